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
$Keys = [ordered]@{ Capability = 2; Armed = 3; Address = 4; Warnings = 5; Refusal = 6 }
$Panicked = 1
$CrashLoaded = 2

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

function Get-RegistryValue([string] $Path, [string] $Name) {
    $item = Get-ItemProperty -LiteralPath $Path -Name $Name -ErrorAction SilentlyContinue
    if ($null -eq $item) { return $null }
    return $item.$Name
}

$dumpKinds = @{ 0 = 'none'; 1 = 'complete'; 2 = 'kernel'; 3 = 'small'; 7 = 'automatic' }
$crashControl = 'HKLM:\SYSTEM\CurrentControlSet\Control\CrashControl'
$dumpSetting = [int] (Get-RegistryValue $crashControl 'CrashDumpEnabled')
$dumpKind = $dumpKinds[$dumpSetting]
if ($null -eq $dumpKind) { $dumpKind = "unknown ($dumpSetting)" }
$reportDumpEnd = Get-RegistryValue 'HKLM:\SYSTEM\CurrentControlSet\Services\pvpanic\Parameters' 'ReportDumpEnd'
if ($reportDumpEnd -isnot [int] -or $reportDumpEnd -notin 0, 1, 2) { $reportDumpEnd = 0 }

$devices = @(Get-PnpDevice -PresentOnly | Where-Object {
        $ids = @($_.HardwareID)
        $ids -contains 'ACPI\QEMU0001' -or $ids -contains 'PCI\VEN_1B36&DEV_0011'
    })

$armedByAnyone = 0
$report = foreach ($device in $devices) {
    $service = Get-Property $device 'DEVPKEY_Device_Service'
    $infPath = Get-Property $device 'DEVPKEY_Device_DriverInfPath'
    $ours = $false
    if ($service -eq 'pvpanic' -and $infPath) {
        $inf = Join-Path $env:SystemRoot "INF\$infPath"
        # Only this package's INF names the PCI device without its subsystem.
        $ours = [bool] (Select-String -LiteralPath $inf -SimpleMatch 'PCI\VEN_1B36&DEV_0011' -Quiet) -and
            [bool] (Select-String -LiteralPath $inf -Pattern 'PCI\\VEN_1B36&DEV_0011\s*(;|$)' -Quiet)
    }
    $works = $device.Status -eq 'OK'
    $values = @{}
    foreach ($name in $Keys.Keys) { $values[$name] = Get-Property $device "$Category $($Keys[$name])" }
    $armed = 0
    if ($ours -and $works -and $null -ne $values.Armed) { $armed = [int] $values.Armed }
    $armedByAnyone = $armedByAnyone -bor $armed
    [pscustomobject] @{
        Device        = $device.InstanceId
        Status        = $device.Status
        Problem       = $device.Problem
        DriverVersion = Get-Property $device 'DEVPKEY_Device_DriverVersion'
        Inf           = $infPath
        ThisDriver    = $ours
        Offers        = if ($ours -and $works) { Get-EventName ([int] $values.Capability) } else { 'unknown' }
        Armed         = if ($ours -and $works) { Get-EventName $armed } else { 'unknown' }
        Address       = if ($ours -and $works) { '0x{0:X}' -f [uint64] $values.Address } else { $null }
        Warnings      = if ($ours -and $works) { @(Get-WarningText ([uint32] $values.Warnings)) } else { @() }
        Refusal       = if ($ours -and -not $works -and $null -ne $values.Refusal) { '0x{0:X8}' -f $values.Refusal } else { $null }
    }
}

$dumps = $dumpSetting -ne 0
$sentence =
if ($devices.Count -eq 0) {
    'The host will get nothing: this machine has no pvpanic device.'
} elseif ($armedByAnyone -eq 0) {
    'Nothing is armed by this driver: see the status of each device.'
} elseif (-not $dumps -and -not ($armedByAnyone -band $Panicked)) {
    'The host will get nothing: crash dumps are off and the device does not offer PANICKED.'
} elseif (-not $dumps) {
    'The host will get PANICKED at the bug check.'
} elseif (-not ($armedByAnyone -band $CrashLoaded)) {
    'The host will get PANICKED after the crash dump is written.'
} elseif (-not ($armedByAnyone -band $Panicked)) {
    'The host will get CRASH_LOADED when the crash dump begins, and nothing more.'
} elseif ($reportDumpEnd -eq 2) {
    'The host will get CRASH_LOADED when the crash dump begins and PANICKED when it has ended.'
} elseif ($reportDumpEnd -eq 1) {
    'The host will get CRASH_LOADED when the crash dump begins, and PANICKED only if the dump breaks off.'
} else {
    'The host will get CRASH_LOADED when the crash dump begins, and nothing more: libvirt does not apply on_crash.'
}

[pscustomobject] @{
    Devices       = @($report)
    CrashDump     = $dumpKind
    ReportDumpEnd = $reportDumpEnd
    NextCrash     = $sentence
}
