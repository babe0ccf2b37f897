/*
 * A small KMDF driver that is no panic driver: it counts the writes of a crash
 * dump and, after the dump, writes the count to the first register of each of
 * its devices. It shows that the kernel model knows nothing of the driver that
 * it is tested with.
 */
#include <ntddk.h>
#include <wdf.h>

typedef struct _COUNTER {
    KBUGCHECK_REASON_CALLBACK_RECORD DumpRecord;
    KBUGCHECK_CALLBACK_RECORD CrashRecord;
    PUCHAR Register;
    ULONG Length;
    USHORT Port;
    UCHAR Count;
} COUNTER, *PCOUNTER;

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(COUNTER, GetCounter)

DRIVER_INITIALIZE DriverEntry;
static UCHAR Component[] = "counter";

static VOID NTAPI OnDumpIo(KBUGCHECK_CALLBACK_REASON Reason,
                           PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data, ULONG Length)
{
    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Length);
    CONTAINING_RECORD(Record, COUNTER, DumpRecord)->Count++;
}

static VOID NTAPI OnCrash(PVOID Buffer, ULONG Length)
{
    PCOUNTER Counter = Buffer;

    UNREFERENCED_PARAMETER(Length);
    if (Counter->Register != NULL)
        *(volatile UCHAR *)Counter->Register = Counter->Count;
#ifdef __x86_64__
    else
        __asm__ volatile("outb %0, %1" : : "a"(Counter->Count), "d"(Counter->Port));
#endif
}

static NTSTATUS NTAPI OnPrepareHardware(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
    PCOUNTER Counter = GetCounter(Device);
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource = WdfCmResourceListGetDescriptor(Translated, 0);

    UNREFERENCED_PARAMETER(Raw);
    if (Resource == NULL)
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    if (Resource->Type == CmResourceTypePort) {
        Counter->Port = (USHORT)Resource->u.Port.Start.LowPart;
    } else {
        Counter->Length = Resource->u.Memory.Length;
        Counter->Register = MmMapIoSpaceEx(Resource->u.Memory.Start, Counter->Length,
                                           PAGE_READWRITE | PAGE_NOCACHE);
        if (Counter->Register == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
    }
    Counter->Count = 0;
    Counter->CrashRecord.State = BufferEmpty;
    Counter->DumpRecord.State = BufferEmpty;
    if (!KeRegisterBugCheckCallback(&Counter->CrashRecord, OnCrash, Counter, sizeof(*Counter),
                                    Component))
        return STATUS_UNSUCCESSFUL;
    KeRegisterBugCheckReasonCallback(&Counter->DumpRecord, OnDumpIo, KbCallbackDumpIo, Component);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnReleaseHardware(WDFDEVICE Device, WDFCMRESLIST Translated)
{
    PCOUNTER Counter = GetCounter(Device);

    UNREFERENCED_PARAMETER(Translated);
    KeDeregisterBugCheckReasonCallback(&Counter->DumpRecord);
    KeDeregisterBugCheckCallback(&Counter->CrashRecord);
    if (Counter->Register != NULL)
        MmUnmapIoSpace(Counter->Register, Counter->Length);
    Counter->Register = NULL;
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
    WDF_PNPPOWER_EVENT_CALLBACKS Callbacks;
    WDF_OBJECT_ATTRIBUTES Attributes;
    WDFDEVICE Device;

    UNREFERENCED_PARAMETER(Driver);
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&Callbacks);
    Callbacks.EvtDevicePrepareHardware = OnPrepareHardware;
    Callbacks.EvtDeviceReleaseHardware = OnReleaseHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &Callbacks);
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&Attributes, COUNTER);
    return WdfDeviceCreate(&DeviceInit, &Attributes, &Device);
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    WDF_DRIVER_CONFIG Config;

    WDF_DRIVER_CONFIG_INIT(&Config, OnDeviceAdd);
    return WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &Config,
                           WDF_NO_HANDLE);
}
