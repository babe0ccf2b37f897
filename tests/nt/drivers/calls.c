/*
 * A KMDF driver that calls, each as its page permits, what the shipped driver
 * does not: so that nothing in the kernel model goes untried. What comes back is
 * checked, and a wrong result fails the start. The value Last of its service's
 * Parameters key picks what ends its life: 1 a failed device, 2 a bug check of
 * its own. Flags is what it asks pool with.
 */
#include <ntddk.h>
#include <wdf.h>

typedef struct _DEVICE {
    ULONG Number;
} DEVICE, *PDEVICE;

typedef struct _FURTHER {
    ULONG Number;
} FURTHER, *PFURTHER;

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(DEVICE, GetDevice)
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(FURTHER, GetFurther)

DRIVER_INITIALIZE DriverEntry;

#define TAG 'llaC'
#define REQUIRE(Condition)               \
    do {                                 \
        if (!(Condition)) {              \
            DbgPrint("not " #Condition); \
            return STATUS_UNSUCCESSFUL;  \
        }                                \
    } while (0)

/* The exports themselves: the headers have these inline. */
#define CallWithIrql(Import, Irql, Result)                                                      \
    __asm__ volatile("subq $32, %%rsp\n\tcallq *" #Import "(%%rip)\n\taddq $32, %%rsp"          \
                     : "=a"(Result) : "c"((ULONG_PTR)(Irql))                                    \
                     : "rdx", "r8", "r9", "r10", "r11", "memory")

/* "EtwSetInformation function (wdm.h)", which mingw-w64 lacks. */
NTSYSAPI NTSTATUS NTAPI EtwSetInformation(REGHANDLE RegHandle, ULONG InformationClass,
                                          PVOID EventInformation, ULONG InformationLength);

static ULONG Last;
static ULONG Flags = NonPagedPoolNx;

static NTSTATUS CallMemory(VOID)
{
    /* Volatile, so that the compiler leaves the calls. */
    volatile SIZE_T Length = 8;
    static UCHAR First[16] = "abcdefgh";
    static UCHAR Second[16] = "abcdxyzw";
    PUCHAR Pool;

    REQUIRE(RtlCompareMemory(First, Second, Length) == 4);
    REQUIRE(memcmp(First, Second, Length) < 0);
    memmove(First + 1, First, Length);
    REQUIRE(memcmp(First, "aabcdefgh", Length + 1) == 0);
    memcpy(Second, First, Length);
    REQUIRE(memcmp(First, Second, Length) == 0);
    memset(Second, 'z', Length);
    REQUIRE(Second[0] == 'z' && Second[7] == 'z');
    memcpy(First, "abcdefgh", Length);
    memcpy(Second, "abcdxyzw", Length);

    Pool = ExAllocatePoolWithTag((POOL_TYPE)Flags, 64, TAG);
    REQUIRE(Pool != NULL);
    Pool[63] = 1;
    ExFreePoolWithTag(Pool, TAG);
    return STATUS_SUCCESS;
}

static NTSTATUS CallStrings(WDFDRIVER Driver)
{
    UNICODE_STRING Name, Copied;
    WCHAR Buffer[8];

    RtlInitUnicodeString(&Name, L"name");
    REQUIRE(Name.Length == 8 && Name.MaximumLength == 10);
    Copied.Length = 0;
    Copied.MaximumLength = sizeof(Buffer);
    Copied.Buffer = Buffer;
    RtlCopyUnicodeString(&Copied, &Name);
    REQUIRE(Copied.Length == 8 && Buffer[0] == L'n' && Buffer[4] == 0);
    RtlInitUnicodeString(&Name, WdfDriverGetRegistryPath(Driver));
    REQUIRE(Name.Length > 0);
    DbgPrint("name %wZ", &Copied);
    DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, "name %wZ", &Copied);
    return STATUS_SUCCESS;
}

static NTSTATUS CallTracing(VOID)
{
    static const GUID Id = {0x51, 0x4e, 0x4f, {1, 2, 3, 4, 5, 6, 7, 8}};
    static const EVENT_DESCRIPTOR Event = {.Id = 1, .Level = 4};
    enum { EventProviderUseDescriptorType = 3 };
    static UCHAR Use = 1;
    REGHANDLE Provider;

    REQUIRE(NT_SUCCESS(EtwRegister(&Id, NULL, NULL, &Provider)));
    REQUIRE(NT_SUCCESS(EtwSetInformation(Provider, EventProviderUseDescriptorType, &Use,
                                        sizeof(Use))));
    REQUIRE(NT_SUCCESS(EtwWrite(Provider, &Event, NULL, 0, NULL)));
    REQUIRE(NT_SUCCESS(EtwUnregister(Provider)));
    return STATUS_SUCCESS;
}

static NTSTATUS CallIrql(VOID)
{
    ULONG_PTR Irql, Nothing;

    CallWithIrql(__imp_KeGetCurrentIrql, 0, Irql);
    REQUIRE((UCHAR)Irql == PASSIVE_LEVEL);
    CallWithIrql(__imp_KfRaiseIrql, DISPATCH_LEVEL, Irql);
    REQUIRE((UCHAR)Irql == PASSIVE_LEVEL);
    CallWithIrql(__imp_KeGetCurrentIrql, 0, Irql);
    REQUIRE((UCHAR)Irql == DISPATCH_LEVEL);
    CallWithIrql(__imp_KeLowerIrql, PASSIVE_LEVEL, Nothing);
    return STATUS_SUCCESS;
}

static NTSTATUS CallObjects(WDFDEVICE Device)
{
    static UCHAR Given[16];
    WDF_OBJECT_ATTRIBUTES Attributes;
    WDFMEMORY Memory;
    WDFSPINLOCK Lock;
    PFURTHER Further;
    PVOID Buffer;
    size_t Size;

    REQUIRE(NT_SUCCESS(WdfMemoryCreate(NULL, NonPagedPoolNx, TAG, 32, &Memory, &Buffer)));
    REQUIRE(WdfMemoryGetBuffer(Memory, &Size) == Buffer && Size == 32);
    WdfObjectDelete(Memory);
    REQUIRE(NT_SUCCESS(WdfMemoryCreatePreallocated(NULL, Given, sizeof(Given), &Memory)));
    REQUIRE(WdfMemoryGetBuffer(Memory, NULL) == (PVOID)Given);
    WdfObjectDelete(Memory);

    WDF_OBJECT_ATTRIBUTES_INIT(&Attributes);
    Attributes.ParentObject = Device;
    REQUIRE(NT_SUCCESS(WdfSpinLockCreate(&Attributes, &Lock)));
    WdfSpinLockAcquire(Lock);
    WdfSpinLockRelease(Lock);

    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&Attributes, FURTHER);
    REQUIRE(GetFurther(Device) == NULL);
    REQUIRE(NT_SUCCESS(WdfObjectAllocateContext(Device, &Attributes, (PVOID *)&Further)));
    REQUIRE(GetFurther(Device) == Further && Further->Number == 0);
    REQUIRE(GetDevice(Device)->Number == 0);
    return STATUS_SUCCESS;
}

static NTSTATUS CallDevice(WDFDEVICE Device, WDFDRIVER Driver)
{
    static const DEVPROPKEY Key = {{0x51, 0x4e, 0x50, {1, 2, 3, 4, 5, 6, 7, 8}}, 2};
    WDF_DEVICE_PROPERTY_DATA Property;
    ULONG Number = 7, Size;
    DEVPROPTYPE Type;

    REQUIRE(WdfDeviceGetDriver(Device) == Driver);
    REQUIRE(WdfDeviceWdmGetDeviceObject(Device) != NULL);
    REQUIRE(WdfDeviceWdmGetAttachedDevice(Device) != NULL);
    REQUIRE(WdfDeviceWdmGetPhysicalDevice(Device) != NULL);
    WDF_DEVICE_PROPERTY_DATA_INIT(&Property, &Key);
    REQUIRE(NT_SUCCESS(WdfDeviceAssignProperty(Device, &Property, DEVPROP_TYPE_UINT32,
                                               sizeof(Number), &Number)));
    Number = 0;
    REQUIRE(NT_SUCCESS(WdfDeviceQueryPropertyEx(Device, &Property, sizeof(Number), &Number, &Size,
                                                &Type)));
    REQUIRE(Number == 7 && Size == sizeof(Number) && Type == DEVPROP_TYPE_UINT32);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnPrepareHardware(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource = WdfCmResourceListGetDescriptor(Translated, 0);
    PVOID Register;

    UNREFERENCED_PARAMETER(Raw);
    REQUIRE(WdfCmResourceListGetCount(Translated) == 1);
    if (Resource != NULL && Resource->Type == CmResourceTypeMemory) {
        Register = MmMapIoSpace(Resource->u.Memory.Start, Resource->u.Memory.Length, MmNonCached);
        REQUIRE(Register != NULL);
        MmUnmapIoSpace(Register, Resource->u.Memory.Length);
    }
    if (Last == 1)
        WdfDeviceSetFailed(Device, WdfDeviceFailedNoRestart);
    if (Last == 2)
        KeBugCheckEx(MANUALLY_INITIATED_CRASH, 1, 2, 3, 4);
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
    DECLARE_CONST_UNICODE_STRING(Sddl, L"D:P(A;;GA;;;SY)");
    WDF_PNPPOWER_EVENT_CALLBACKS Callbacks;
    WDF_OBJECT_ATTRIBUTES Attributes;
    WDFDEVICE Device;
    NTSTATUS Status;

    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&Callbacks);
    Callbacks.EvtDevicePrepareHardware = OnPrepareHardware;
    WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &Callbacks);
    WdfDeviceInitSetDeviceType(DeviceInit, FILE_DEVICE_UNKNOWN);
    WdfDeviceInitSetCharacteristics(DeviceInit, FILE_DEVICE_SECURE_OPEN, TRUE);
    WdfDeviceInitSetExclusive(DeviceInit, TRUE);
    WdfDeviceInitSetIoType(DeviceInit, WdfDeviceIoBuffered);
    REQUIRE(NT_SUCCESS(WdfDeviceInitAssignSDDLString(DeviceInit, &Sddl)));
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&Attributes, DEVICE);
    Status = WdfDeviceCreate(&DeviceInit, &Attributes, &Device);
    if (NT_SUCCESS(Status))
        Status = CallObjects(Device);
    if (NT_SUCCESS(Status))
        Status = CallDevice(Device, Driver);
    return Status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    DECLARE_CONST_UNICODE_STRING(LastName, L"Last");
    DECLARE_CONST_UNICODE_STRING(FlagsName, L"Flags");
    WDF_DRIVER_CONFIG Config;
    WDFDRIVER Driver;
    WDFKEY Key;
    NTSTATUS Status;

    WDF_DRIVER_CONFIG_INIT(&Config, OnDeviceAdd);
    Status = WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &Config, &Driver);
    if (!NT_SUCCESS(Status))
        return Status;
    REQUIRE(WdfDriverWdmGetDriverObject(Driver) == DriverObject);
    Status = WdfDriverOpenParametersRegistryKey(Driver, KEY_READ, WDF_NO_OBJECT_ATTRIBUTES, &Key);
    if (NT_SUCCESS(Status)) {
        WdfRegistryQueryULong(Key, &LastName, &Last);
        WdfRegistryQueryULong(Key, &FlagsName, &Flags);
        WdfRegistryClose(Key);
    }
    Status = CallMemory();
    if (NT_SUCCESS(Status))
        Status = CallStrings(Driver);
    if (NT_SUCCESS(Status))
        Status = CallTracing();
    if (NT_SUCCESS(Status))
        Status = CallIrql();
    return Status;
}
