# Not run. For `cargo xtask windows-image --script`: at each start of that Windows a live kernel
# dump is made, which must not be reported to the host. The storage subsystem's diagnosis has one
# (Microsoft, "Get-StorageDiagnosticInfo"). A line on COM1 tells the host that the dump is there.
Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$command = {
    $folder = 'C:\LiveDump'
    # The dump of an earlier start is none of this one.
    Remove-Item $folder -Recurse -Force -ErrorAction Ignore
    New-Item $folder -ItemType Directory
    Get-StorageSubSystem -FriendlyName 'Windows Storage*' |
        Get-StorageDiagnosticInfo -DestinationPath $folder -IncludeLiveDump
    if (Get-ChildItem $folder -Recurse -Filter *.dmp | Where-Object Length -GT 0) {
        cmd /c 'echo pvpanic-live-dump-made>\\.\COM1'
    }
}
$encoded = [Convert]::ToBase64String([Text.Encoding]::Unicode.GetBytes($command.ToString()))
$action = New-ScheduledTaskAction -Execute powershell.exe -Argument "-NoProfile -EncodedCommand $encoded"
$trigger = New-ScheduledTaskTrigger -AtStartup
Register-ScheduledTask -TaskName LiveDump -Action $action -Trigger $trigger -User SYSTEM | Out-Null
