# Not run outside GitHub's runners. Installs the Windows Driver Kit and the SDK that it depends
# on from NuGet, and tells the following steps where they are: the variables that wdk-build
# reads, set as the workflows of microsoft/windows-drivers-rs set them.
[CmdletBinding()]
param([Parameter(Mandatory)] [string] $Version)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$packages = Join-Path $env:RUNNER_TEMP 'packages'
nuget install Microsoft.Windows.WDK.x64 -Version $Version -OutputDirectory $packages
if ($LASTEXITCODE) { throw "nuget: $LASTEXITCODE" }

$sdk = ($Version -split '\.')[0..2] -join '.'
$wdk = Join-Path $packages "Microsoft.Windows.WDK.x64.$Version\c"
$cpp = @(Get-ChildItem $packages -Directory |
    Where-Object Name -Match "^Microsoft\.Windows\.SDK\.CPP\.$([regex]::Escape($sdk))(\.\d+)?$")
if ($cpp.Count -ne 1) { throw "one SDK package was expected: $($cpp | ForEach-Object Name)" }

$variables = [ordered]@{
    WDKContentRoot    = "$wdk\"
    WDKBinRoot        = "$wdk\bin\$sdk.0"
    WDKToolRoot       = "$wdk\tools\$sdk.0"
    WindowsSdkBinPath = "$($cpp[0].FullName)\c\bin"
}
foreach ($name in $variables.Keys) {
    if (-not (Test-Path $variables[$name])) { throw "$name = $($variables[$name]) is not there" }
    "$name=$($variables[$name])" >> $env:GITHUB_ENV
}
"Version_Number=$sdk.0" >> $env:GITHUB_ENV
# rc.exe, which compiles the version resource, and signtool.exe.
"$($variables.WindowsSdkBinPath)\$sdk.0\x64" >> $env:GITHUB_PATH
