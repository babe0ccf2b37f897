/*
 * A KMDF driver with every Plug and Play and power callback and a bug-check
 * callback of every kind, none of which does anything but fail if the value Fail
 * of the service's Parameters key is its number: for checking in which order the
 * kernel model calls them.
 */
#include <ntddk.h>
#include <wdf.h>

DRIVER_INITIALIZE DriverEntry;

static ULONG Fail;

static UCHAR Component[] = "order";
static KBUGCHECK_CALLBACK_RECORD CrashRecord;
static KBUGCHECK_REASON_CALLBACK_RECORD ReasonRecords[4];
static const KBUGCHECK_CALLBACK_REASON Reasons[4] = {
    KbCallbackSecondaryDumpData, KbCallbackDumpIo, KbCallbackAddPages,
    (KBUGCHECK_CALLBACK_REASON)7 /* KbCallbackTriageDumpData */
};

static VOID NTAPI OnReason(KBUGCHECK_CALLBACK_REASON Reason,
                           PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data, ULONG Length)
{
    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Record);
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Length);
}

static VOID NTAPI OnCrash(PVOID Buffer, ULONG Length)
{
    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Length);
}

/* A status that nothing else gives. */
#define RESULT(Number) (Fail == (Number) ? STATUS_DEVICE_CONFIGURATION_ERROR : STATUS_SUCCESS)

static NTSTATUS NTAPI OnPrepare(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
    UNREFERENCED_PARAMETER(Raw);
    UNREFERENCED_PARAMETER(Translated);
    if (Fail == 10) {
        WdfDeviceSetFailed(Device, WdfDeviceFailedNoRestart);
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    if (Fail == 1)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    CrashRecord.State = BufferEmpty;
    KeRegisterBugCheckCallback(&CrashRecord, OnCrash, NULL, 0, Component);
    for (ULONG Index = 0; Index < 4; Index++) {
        ReasonRecords[Index].State = BufferEmpty;
        KeRegisterBugCheckReasonCallback(&ReasonRecords[Index], OnReason, Reasons[Index],
                                         Component);
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnRelease(WDFDEVICE Device, WDFCMRESLIST Translated)
{
    UNREFERENCED_PARAMETER(Device);
    UNREFERENCED_PARAMETER(Translated);
    KeDeregisterBugCheckCallback(&CrashRecord);
    for (ULONG Index = 0; Index < 4; Index++)
        KeDeregisterBugCheckReasonCallback(&ReasonRecords[Index]);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnD0Entry(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Previous)
{
    UNREFERENCED_PARAMETER(Device);
    if (Fail == 3 && Previous == WdfPowerDeviceD3)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    return RESULT(2);
}

static NTSTATUS NTAPI OnD0EntryPost(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Previous)
{
    UNREFERENCED_PARAMETER(Device);
    UNREFERENCED_PARAMETER(Previous);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnD0Exit(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Target)
{
    UNREFERENCED_PARAMETER(Device);
    UNREFERENCED_PARAMETER(Target);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnD0ExitPre(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Target)
{
    UNREFERENCED_PARAMETER(Device);
    UNREFERENCED_PARAMETER(Target);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnIo(WDFDEVICE Device)
{
    UNREFERENCED_PARAMETER(Device);
    return STATUS_SUCCESS;
}

static VOID NTAPI OnEnd(WDFDEVICE Device)
{
    UNREFERENCED_PARAMETER(Device);
}

static VOID NTAPI OnObject(WDFOBJECT Object)
{
    UNREFERENCED_PARAMETER(Object);
}

static VOID NTAPI OnUnload(WDFDRIVER Driver)
{
    UNREFERENCED_PARAMETER(Driver);
}

static NTSTATUS NTAPI OnDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
    WDF_PNPPOWER_EVENT_CALLBACKS Callbacks;
    WDF_OBJECT_ATTRIBUTES Attributes;
    WDFDEVICE Device;

    UNREFERENCED_PARAMETER(Driver);
    if (Fail == 4)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&Callbacks);
    Callbacks.EvtDevicePrepareHardware = OnPrepare;
    Callbacks.EvtDeviceReleaseHardware = OnRelease;
    Callbacks.EvtDeviceD0Entry = OnD0Entry;
    Callbacks.EvtDeviceD0EntryPostInterruptsEnabled = OnD0EntryPost;
    Callbacks.EvtDeviceD0Exit = OnD0Exit;
    Callbacks.EvtDeviceD0ExitPreInterruptsDisabled = OnD0ExitPre;
    Callbacks.EvtDeviceSelfManagedIoInit = OnIo;
    Callbacks.EvtDeviceSelfManagedIoSuspend = OnIo;
    Callbacks.EvtDeviceSelfManagedIoRestart = OnIo;
    Callbacks.EvtDeviceSelfManagedIoFlush = OnEnd;
    Callbacks.EvtDeviceSelfManagedIoCleanup = OnEnd;
    Callbacks.EvtDeviceSurpriseRemoval = OnEnd;
    WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &Callbacks);
    WDF_OBJECT_ATTRIBUTES_INIT(&Attributes);
    Attributes.EvtCleanupCallback = OnObject;
    Attributes.EvtDestroyCallback = OnObject;
    return WdfDeviceCreate(&DeviceInit, &Attributes, &Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DECLARE_CONST_UNICODE_STRING(Name, L"Fail");
    WDF_OBJECT_ATTRIBUTES Attributes;
    WDF_DRIVER_CONFIG Config;
    WDFDRIVER Driver;
    WDFKEY Key;
    NTSTATUS Status;

    WDF_DRIVER_CONFIG_INIT(&Config, OnDeviceAdd);
    Config.EvtDriverUnload = OnUnload;
    WDF_OBJECT_ATTRIBUTES_INIT(&Attributes);
    Attributes.EvtCleanupCallback = OnObject;
    Attributes.EvtDestroyCallback = OnObject;
    Status = WdfDriverCreate(DriverObject, RegistryPath, &Attributes, &Config, &Driver);
    if (!NT_SUCCESS(Status))
        return Status;
    Status = WdfDriverOpenParametersRegistryKey(Driver, KEY_READ, WDF_NO_OBJECT_ATTRIBUTES, &Key);
    if (NT_SUCCESS(Status)) {
        WdfRegistryQueryULong(Key, &Name, &Fail);
        WdfRegistryClose(Key);
    }
    return RESULT(5);
}
