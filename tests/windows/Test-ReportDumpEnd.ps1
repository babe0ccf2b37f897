# Not run outside GitHub's runners. Whether installing the package again keeps an administrator's
# ReportDumpEnd. DevCon makes a device with our hardware ID: the service is installed for it,
# though the driver, which is signed for tests, is not loaded.
[CmdletBinding()]
param([Parameter(Mandatory)] [string] $Package)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$id = 'ACPI\QEMU0001'
$inf = Join-Path $Package 'pvpanic.inf'
$key = 'HKLM:\SYSTEM\CurrentControlSet\Services\pvpanic'
$devcon = Get-ChildItem $env:WDKToolRoot -Recurse -Filter devcon.exe |
    Where-Object FullName -Match '\\x64\\' | Select-Object -First 1
if (-not $devcon) { throw "no devcon.exe for x64 below $env:WDKToolRoot" }

function Invoke-DevCon {
    & $devcon.FullName @args
    # 1: done, restart to complete.
    if ($LASTEXITCODE -notin 0, 1) { throw "devcon ${args}: $LASTEXITCODE" }
}

Invoke-DevCon install $inf $id
try {
    if (-not (Test-Path $key)) { throw 'the package installed no service' }
    New-Item "$key\Parameters" -Force | Out-Null
    Set-ItemProperty "$key\Parameters" -Name ReportDumpEnd -Type DWord -Value 2
    # A second AddService: without one the question is not asked.
    Remove-ItemProperty $key -Name DisplayName
    Invoke-DevCon update $inf $id
    if (-not (Get-ItemProperty $key).PSObject.Properties['DisplayName']) {
        throw 'AddService did not run again'
    }
    $value = (Get-ItemProperty "$key\Parameters").ReportDumpEnd
    if ($value -ne 2) { throw "ReportDumpEnd is $value, not 2" }
}
finally {
    Invoke-DevCon remove $id
}
