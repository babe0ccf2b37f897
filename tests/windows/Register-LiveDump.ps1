# Not run. For `cargo xtask windows-image --script`: at each start of that Windows a live kernel
# dump is made, which must not be reported to the host. The storage subsystem's diagnosis has one
# (Microsoft, "Get-StorageDiagnosticInfo").
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$command = 'Get-StorageSubSystem -FriendlyName "Windows Storage*" | ' +
    'Get-StorageDiagnosticInfo -DestinationPath C:\LiveDump -IncludeLiveDump'
$encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($command))
$action = New-ScheduledTaskAction -Execute powershell.exe -Argument "-NoProfile -EncodedCommand $encoded"
$trigger = New-ScheduledTaskTrigger -AtStartup
Register-ScheduledTask -TaskName LiveDump -Action $action -Trigger $trigger -User SYSTEM | Out-Null
