# Not run outside GitHub's runners. Makes a code-signing certificate, lets this machine trust it,
# and writes it with its key to a file; the key's password goes to the following steps.
[CmdletBinding()]
param([Parameter(Mandatory)] [string] $Out)

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$certificate = New-SelfSignedCertificate -Type CodeSigningCert -Subject 'CN=pvpanic CI test' `
    -KeyAlgorithm RSA -KeyLength 3072 -HashAlgorithm SHA256 -CertStoreLocation Cert:\CurrentUser\My
$bytes = [byte[]]::new(24)
[Security.Cryptography.RandomNumberGenerator]::Fill($bytes)
$password = [Convert]::ToHexString($bytes)
Write-Output "::add-mask::$password"
$secret = ConvertTo-SecureString $password -AsPlainText -Force
Export-PfxCertificate -Cert $certificate -FilePath $Out -Password $secret | Out-Null
"PVPANIC_SIGN_PASSWORD=$password" >> $env:GITHUB_ENV

$public = "$Out.cer"
Export-Certificate -Cert $certificate -FilePath $public | Out-Null
foreach ($store in 'Root', 'TrustedPublisher') {
    Import-Certificate -FilePath $public -CertStoreLocation "Cert:\LocalMachine\$store" | Out-Null
}
# The packer reads the key from the file.
Remove-Item "Cert:\CurrentUser\My\$($certificate.Thumbprint)"
