# Not run outside GitHub's runners. Windows accepts the catalogue, stages the package with no
# device there, and gives it up again.
[CmdletBinding()]
param(
    [Parameter(Mandatory)] [string] $Package,
    [string] $Root,
    [string] $Publisher
)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

foreach ($pair in @(('Root', $Root), ('TrustedPublisher', $Publisher))) {
    $store, $file = $pair
    if ($file) {
        certutil -addstore $store $file
        if ($LASTEXITCODE) { throw "certutil: $LASTEXITCODE" }
    }
}

foreach ($name in 'pvpanic.cat', 'pvpanic.sys') {
    $signature = Get-AuthenticodeSignature (Join-Path $Package $name)
    if ($signature.Status -ne 'Valid') { throw "${name}: $($signature.StatusMessage)" }
}
foreach ($name in 'pvpanic.inf', 'pvpanic.sys') {
    # By the catalogue, which must list the file (Microsoft, "Verifying the Signature of a
    # Catalog File Signed by a Test Certificate").
    signtool verify /pa /v /c (Join-Path $Package 'pvpanic.cat') (Join-Path $Package $name)
    if ($LASTEXITCODE) { throw "signtool: $name is not in the catalogue" }
}

$before = @(Get-ChildItem "$env:SystemRoot\INF\oem*.inf" | ForEach-Object Name)
pnputil /add-driver (Join-Path $Package 'pvpanic.inf') /install
# 259: no device has it, which is so on a machine without the device.
if ($LASTEXITCODE -notin 0, 259) { throw "pnputil /add-driver: $LASTEXITCODE" }
$staged = @(Get-ChildItem "$env:SystemRoot\INF\oem*.inf" | Where-Object Name -NotIn $before)
if ($staged.Count -ne 1) { throw "one INF was expected in the store, not: $($staged | ForEach-Object Name)" }

pnputil /delete-driver $staged[0].Name
if ($LASTEXITCODE) { throw "pnputil /delete-driver: $LASTEXITCODE" }
