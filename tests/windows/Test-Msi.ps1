# Not run outside GitHub's runners. Installs, repairs and removes the MSI, silently.
[CmdletBinding()]
param([Parameter(Mandatory)] [string] $Folder)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$msi = @(Get-ChildItem $Folder -Filter '*-x64.msi')
if ($msi.Count -ne 1) { throw "one MSI was expected in ${Folder}: $($msi | ForEach-Object Name)" }
New-Item -ItemType Directory -Force logs | Out-Null

function Get-Staged {
    Get-WindowsDriver -Online | Where-Object OriginalFileName -Like '*\pvpanic.inf'
}

$steps = @(
    @{ Name = 'install'; Action = '/i'; Staged = 1 }
    @{ Name = 'repair'; Action = '/fa'; Staged = 1 }
    @{ Name = 'remove'; Action = '/x'; Staged = 0 }
)
foreach ($step in $steps) {
    $log = Join-Path (Get-Location) "logs\$($step.Name).log"
    $arguments = $step.Action, "`"$($msi[0].FullName)`"", '/qn', '/norestart', '/l*v', "`"$log`""
    $process = Start-Process msiexec -ArgumentList $arguments -Wait -PassThru
    if ($process.ExitCode -notin 0, 3010) {
        Get-Content $log -Tail 60
        throw "$($step.Name): exit code $($process.ExitCode)"
    }
    $staged = @(Get-Staged)
    if ($staged.Count -ne $step.Staged) {
        throw "after $($step.Name) there are $($staged.Count) packages in the store"
    }
}
