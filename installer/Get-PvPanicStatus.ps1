#Requires -Version 5.1
<#
.SYNOPSIS
    Tells what the hypervisor will learn of the next crash of this Windows.

.DESCRIPTION
    Prints each pvpanic device with its driver, what the device offers and what
    the driver has armed, then the crash dump settings, and in one sentence what
    the host will get at the next bug check. Changes nothing.

    The device properties that it reads are written by pvpanic.sys and outlive
    it, so that they are believed only of a device that works and runs the
    pvpanic service with this package's INF.

.EXAMPLE
    .\Get-PvPanicStatus.ps1

.EXAMPLE
    .\Get-PvPanicStatus.ps1 | ConvertTo-Json -Depth 4
#>
[CmdletBinding()]
param()

Set-StrictMode -Version Latest
$ErrorActionPreference = 'Stop'

$Category = '{8C5B1F0E-6D3A-4E27-9B41-52C7A90D3E16}'
$Keys = [ordered]@{
    Capability = 2; Armed = 3; Address = 4; Warnings = 5; Refusal = 6; ReportDumpEnd = 7
}
$Panicked = 1
$CrashLoaded = 2
$FailedStart = 10

function Get-Property($Device, [string] $Key) {
    $property = Get-PnpDeviceProperty -InstanceId $Device.InstanceId -KeyName $Key -ErrorAction SilentlyContinue
    if ($null -eq $property -or $property.Type -eq 'Empty') { return $null }
    return $property.Data
}

function Get-EventName([int] $Bits) {
    $names = @()
    if ($Bits -band $Panicked) { $names += 'PANICKED' }
    if ($Bits -band $CrashLoaded) { $names += 'CRASH_LOADED' }
    if ($names.Count -eq 0) { return 'none' }
    return $names -join ' and '
}

function Get-WarningText([uint32] $Bits) {
    $texts = @()
    if ($Bits -band 1) { $texts += 'the ACPI method RDPT is missing or failed' }
    if ($Bits -band 2) { $texts += 'RDPT and the register offer different events' }
    if ($Bits -band 4) { $texts += 'the ACPI method WRPT was not found' }
    if ($Bits -band 8) { $texts += 'Windows registered only one of two bug-check callbacks' }
    return $texts
}

# Only this package's INF names the PCI device without its subsystem.
function Test-OurInf([string] $Name) {
    $path = Join-Path $env:SystemRoot "INF\$Name"
    if (-not (Test-Path -LiteralPath $path)) { return $false }
    return [bool] (Select-String -LiteralPath $path -Pattern 'PCI\\VEN_1B36&DEV_0011\s*(;|$)' -Quiet)
}

# What one device will tell the host.
function Get-NextCrash([int] $Armed, [bool] $Dumps, [int] $ReportDumpEnd) {
    $panicked = $Armed -band $Panicked
    $crashLoaded = $Armed -band $CrashLoaded
    if (-not $Dumps) {
        if ($panicked) { return 'PANICKED at the bug check' }
        return 'nothing: crash dumps are off and the device does not offer PANICKED'
    }
    if (-not $crashLoaded) { return 'PANICKED after the crash dump' }
    $begin = 'CRASH_LOADED when the crash dump begins'
    if (-not $panicked -or $ReportDumpEnd -eq 0) {
        return "$begin and nothing more: libvirt does not apply on_crash"
    }
    if ($ReportDumpEnd -eq 1) { return "$begin, and PANICKED only if the dump breaks off" }
    return "$begin, and PANICKED when it has ended"
}

$dumpKinds = @{ 0 = 'none'; 1 = 'complete'; 2 = 'kernel'; 3 = 'small'; 7 = 'automatic' }
$crashControl = Get-ItemProperty -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl'
$dumpSetting = [int] $crashControl.CrashDumpEnabled
$dumps = $dumpSetting -ne 0

$found = @(Get-PnpDevice -PresentOnly | Where-Object {
        $ids = @($_.HardwareID)
        $ids -contains 'ACPI\QEMU0001' -or $ids -contains 'PCI\VEN_1B36&DEV_0011'
    })

$devices = foreach ($device in $found) {
    $infName = Get-Property $device 'DEVPKEY_Device_DriverInfPath'
    $ours = (Get-Property $device 'DEVPKEY_Device_Service') -eq 'pvpanic' -and
        $infName -and (Test-OurInf $infName)
    $values = @{}
    foreach ($name in $Keys.Keys) { $values[$name] = Get-Property $device "$Category $($Keys[$name])" }
    $works = $device.Status -eq 'OK'
    $known = $ours -and $works -and $null -ne $values.Armed
    $refused = $ours -and $device.ConfigManagerErrorCode -eq $FailedStart -and $null -ne $values.Refusal
    $next =
    if ($known) { Get-NextCrash ([int] $values.Armed) $dumps ([int] $values.ReportDumpEnd) }
    elseif ($ours -and $works) { 'unknown: the driver could not write what it armed (see its ETW events)' }
    elseif ($ours) { 'nothing: the device does not work' }
    else { 'unknown: the device does not run this driver' }
    [pscustomobject] @{
        Device        = $device.InstanceId
        Status        = $device.Status
        ProblemCode   = $device.ConfigManagerErrorCode
        ProblemStatus = Get-Property $device 'DEVPKEY_Device_ProblemStatus'
        DriverVersion = Get-Property $device 'DEVPKEY_Device_DriverVersion'
        Inf           = $infName
        ThisDriver    = [bool] $ours
        Offers        = if ($known) { Get-EventName ([int] $values.Capability) } else { 'unknown' }
        Armed         = if ($known) { Get-EventName ([int] $values.Armed) } else { 'unknown' }
        Address       = if ($known) { '0x{0:X}' -f [uint64] $values.Address } else { 'unknown' }
        ReportDumpEnd = if ($known) { [int] $values.ReportDumpEnd } else { 'unknown' }
        Warnings      = @(if ($known) { Get-WarningText ([uint32] $values.Warnings) })
        Refusal       = if ($refused) { '0x{0:X8}' -f $values.Refusal } else { $null }
        NextCrash     = $next
    }
}

$sentences = @($devices | ForEach-Object { $_.NextCrash } | Select-Object -Unique)
$sentence =
if ($sentences.Count -eq 0) { 'The host will get nothing: this machine has no pvpanic device.' }
else { "The host will get $($sentences -join '; from another device: ')." }
if ($dumps) { $sentence += ' If Windows can write no dump at all, PANICKED comes at the bug check where it is armed.' }

[pscustomobject] @{
    Devices   = @($devices)
    CrashDump = if ($dumpKinds.ContainsKey($dumpSetting)) { $dumpKinds[$dumpSetting] } else { "unknown ($dumpSetting)" }
    NextCrash = $sentence
}
