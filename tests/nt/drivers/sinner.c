/*
 * A KMDF driver that breaks one rule of Windows: the one whose number stands in
 * the value Sin of its service's Parameters key. Without a sin it runs clean.
 * The numbers and the rule that each breaks are listed in tests/host/src/sins.rs.
 */
#include <ntddk.h>
#include <wdf.h>

typedef struct _SINNER {
    KBUGCHECK_CALLBACK_RECORD Record;
    KBUGCHECK_REASON_CALLBACK_RECORD DumpRecord;
    PUCHAR Register;
    ULONG Length;
} SINNER, *PSINNER;

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(SINNER, GetSinner)

DRIVER_INITIALIZE DriverEntry;

#define IN_PAGE __attribute__((section("PAGE"), noinline))
#define IN_INIT __attribute__((section("INIT"), noinline))
#define IN_PAGEDATA __attribute__((section("PAGEDATA")))

static UCHAR Component[] = "sinner";
static ULONG Sin;
static WDFDRIVER TheDriver;
static KBUGCHECK_CALLBACK_RECORD Kept;
static KBUGCHECK_CALLBACK_RECORD Copy;
static REGHANDLE Provider;
static PVOID Pool;
static UCHAR Endless[128];
IN_PAGEDATA static KBUGCHECK_CALLBACK_RECORD PagedRecord;
IN_PAGEDATA static volatile ULONG PagedNumber = 1;

#ifdef __x86_64__
/* The exports themselves: the headers have these inline. */
#define CallWithIrql(Name, Irql)                                                                \
    __asm__ volatile("subq $32, %%rsp\n\tcallq *__imp_" #Name "(%%rip)\n\taddq $32, %%rsp"      \
                     : : "c"((ULONG_PTR)(Irql))                                                 \
                     : "rax", "rdx", "r8", "r9", "r10", "r11", "memory")
#else
#define CallWithIrql(Name, Irql) Name(Irql)
#endif

/* Exported by WDFLDR.SYS for the entry stub. */
DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionBind(PDRIVER_OBJECT DriverObject,
                                              PUNICODE_STRING RegistryPath, PVOID BindInfo,
                                              PWDF_DRIVER_GLOBALS *Globals);
DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionUnbind(PUNICODE_STRING RegistryPath, PVOID BindInfo,
                                                PWDF_DRIVER_GLOBALS Globals);
DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionBindClass(PVOID BindInfo, PWDF_DRIVER_GLOBALS *Globals,
                                                   PVOID ClassBindInfo);
DECLSPEC_IMPORT VOID NTAPI WdfVersionUnbindClass(PVOID BindInfo, PWDF_DRIVER_GLOBALS Globals,
                                                 PVOID ClassBindInfo);
DECLSPEC_IMPORT NTSTATUS NTAPI WdfLdrQueryInterface(PVOID Interface);

static VOID NTAPI OnCrash(PVOID Buffer, ULONG Length);

IN_PAGE static VOID NTAPI PagedCrash(PVOID Buffer, ULONG Length)
{
    UNREFERENCED_PARAMETER(Buffer);
    UNREFERENCED_PARAMETER(Length);
}

IN_PAGE static ULONG PagedFunction(VOID)
{
    return PagedNumber;
}

IN_INIT static ULONG InitFunction(VOID)
{
    __asm__ volatile("" : : : "memory");
    return Sin + 1;
}

__attribute__((noinline, optnone)) static ULONG Deep(ULONG Depth)
{
    volatile UCHAR Space[1024];

    Space[0] = (UCHAR)Depth;
    return Depth == 0 ? 0 : Deep(Depth - 1) + Space[0];
}

static VOID NTAPI OnCrash(PVOID Buffer, ULONG Length)
{
    PSINNER Sinner = Buffer;

    UNREFERENCED_PARAMETER(Length);
    switch (Sin) {
    case 1:
        DbgPrint("sin");
        break;
    case 2:
        PagedNumber++;
        break;
    case 3:
        PagedFunction();
        break;
    case 4:
        *(volatile UCHAR *)NULL = 1;
        break;
    case 5:
        __builtin_trap();
#ifdef __x86_64__
    case 6:
        __asm__ volatile("outb %%al, %%dx" : : "a"(1), "d"(0x80));
        break;
#endif
    case 7:
        Sinner->DumpRecord.Component = NULL;
        break;
    case 8:
        KeDeregisterBugCheckCallback(&Sinner->Record);
        break;
    }
}

static VOID NTAPI OnDumpIo(KBUGCHECK_CALLBACK_REASON Reason,
                           PKBUGCHECK_REASON_CALLBACK_RECORD Record, PVOID Data, ULONG Length)
{
    UNREFERENCED_PARAMETER(Reason);
    UNREFERENCED_PARAMETER(Record);
    UNREFERENCED_PARAMETER(Data);
    UNREFERENCED_PARAMETER(Length);
}

static BOOLEAN Register(PKBUGCHECK_CALLBACK_RECORD Record, PSINNER Sinner)
{
    return KeRegisterBugCheckCallback(Record, OnCrash, Sinner, sizeof(*Sinner), Component);
}

static VOID SinWithRecords(PSINNER Sinner)
{
    KBUGCHECK_CALLBACK_RECORD OnStack = {0};
    UCHAR Name[] = {'s', 't', 'a', 'c', 'k', 0};

    switch (Sin) {
    case 20:
        Register(&OnStack, Sinner);
        break;
    case 21:
        Register(&PagedRecord, Sinner);
        break;
    case 22:
        Kept.State = BufferFinished;
        Register(&Kept, Sinner);
        break;
    case 23:
        Register(&Sinner->Record, Sinner);
        break;
    case 24:
        Sinner->Record.Length = 1;
        KeGetCurrentIrql();
        DbgPrint("the next call sees it");
        break;
    case 25:
        RtlCopyMemory(&Copy, &Sinner->Record, sizeof(Copy));
        KeDeregisterBugCheckCallback(&Copy);
        break;
    case 26:
        Pool = ExAllocatePoolWithTag(NonPagedPoolNx, sizeof(KBUGCHECK_CALLBACK_RECORD), 'niSs');
        RtlZeroMemory(Pool, sizeof(KBUGCHECK_CALLBACK_RECORD));
        Register(Pool, Sinner);
        ExFreePoolWithTag(Pool, 'niSs');
        break;
    case 27:
        KeRegisterBugCheckCallback(&Kept, OnCrash, Sinner, sizeof(*Sinner), Name);
        break;
    case 28:
        KeDeregisterBugCheckReasonCallback((PKBUGCHECK_REASON_CALLBACK_RECORD)&Sinner->Record);
        break;
    case 30:
        RtlFillMemory(Endless, sizeof(Endless), 'x');
        KeRegisterBugCheckCallback(&Kept, OnCrash, Sinner, sizeof(*Sinner), Endless);
        break;
    case 29:
        KeRegisterBugCheckCallback(&Kept, PagedCrash, Sinner, sizeof(*Sinner), Component);
        break;
    }
}

static VOID SinWithObjects(WDFDEVICE Device)
{
    WDF_OBJECT_ATTRIBUTES Attributes;
    WDFSPINLOCK Lock;
    WDFKEY Key;
    KIRQL Old;
    ULONG Value;
    DECLARE_CONST_UNICODE_STRING(Name, L"Sin");

    switch (Sin) {
    case 40:
        KeRaiseIrql(DISPATCH_LEVEL, &Old);
        WdfDriverOpenParametersRegistryKey(TheDriver, KEY_READ, NULL, &Key);
        break;
    case 41:
        KeRaiseIrql(DISPATCH_LEVEL, &Old);
        break;
    case 42:
        WdfObjectDelete((WDFOBJECT)0x1230);
        break;
    case 43:
        WdfDriverOpenParametersRegistryKey(TheDriver, KEY_READ, NULL, &Key);
        WdfRegistryClose(Key);
        WdfRegistryQueryULong(Key, &Name, &Value);
        break;
    case 44:
        WdfSpinLockAcquire((WDFSPINLOCK)Device);
        break;
    case 45:
        WdfObjectDelete(TheDriver);
        break;
    case 46:
        WdfSpinLockCreate(NULL, &Lock);
        WdfSpinLockAcquire(Lock);
        break;
    case 47:
        WdfSpinLockCreate(NULL, &Lock);
        WdfSpinLockAcquire(Lock);
        WdfSpinLockAcquire(Lock);
        break;
    case 48:
        WdfSpinLockCreate(NULL, &Lock);
        WdfSpinLockRelease(Lock);
        break;
    case 49:
        WdfDriverOpenParametersRegistryKey(TheDriver, KEY_READ, NULL, &Key);
        WdfRegistryQueryULong(Key, &Name, (PULONG)0x10);
        break;
    case 50:
        WDF_OBJECT_ATTRIBUTES_INIT(&Attributes);
        Attributes.Size++;
        WdfSpinLockCreate(&Attributes, &Lock);
        break;
    case 51:
        KeRaiseIrql(DISPATCH_LEVEL, &Old);
        PagedNumber++;
        break;
    case 52:
        WdfDeviceSetFailed(Device, 7);
        break;
    case 53:
        CallWithIrql(KeLowerIrql, DISPATCH_LEVEL);
        break;
    case 54:
        CallWithIrql(KfRaiseIrql, DISPATCH_LEVEL);
        CallWithIrql(KfRaiseIrql, APC_LEVEL);
        break;
    case 55:
        ((PFN_WDFOBJECTDELETE)WdfFunctions[WdfObjectDeleteTableIndex])(NULL, Device);
        break;
    case 56:
        ((PFN_WDFOBJECTDELETE)WdfFunctions[0])(WdfDriverGlobals, Device);
        break;
    case 58:
        WdfObjectDelete(Device);
        break;
    case 57:
        WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&Attributes, SINNER);
        Attributes.ContextSizeOverride = 1;
        WdfSpinLockCreate(&Attributes, &Lock);
        break;
    }
}

static VOID SinWithProcessor(VOID)
{
    switch (Sin) {
    case 60:
        InitFunction();
        break;
    case 61:
        Deep(100);
        break;
    case 65:
        *(volatile UCHAR *)(ULONG_PTR)OnCrash = 0xC3;
        break;
    case 66:
        ((VOID (*)(PVOID, ULONG))(ULONG_PTR)0xDEAD0000)(NULL, 0);
        break;
#ifdef __x86_64__
    case 63:
        __asm__ volatile("std");
        DbgPrint("sin");
        break;
    case 64:
        __asm__ volatile("subq $8, %%rsp\n\tsubq $32, %%rsp\n\tcallq *__imp_KeGetCurrentIrql(%%rip)\n\t"
                         "addq $40, %%rsp"
                         : : : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "memory");
        break;
    case 67:
        __asm__ volatile("xorps %xmm6, %xmm6");
        break;
    case 68: {
        ULONG Control = 0x7f80;
        __asm__ volatile("ldmxcsr %0" : : "m"(Control));
        break;
    }
    case 70:
        __asm__ volatile("fldz");
        break;
    case 71:
        /* Empty again afterwards. */
        __asm__ volatile("fldz\n\tfstp %st(0)");
        break;
    case 72:
        __asm__ volatile("pxor %mm3, %mm3\n\temms");
        break;
    case 73:
        __asm__ volatile("vxorps %ymm5, %ymm5, %ymm5");
        break;
    case 74:
        __asm__ volatile("vzeroupper");
        break;
    case 75:
        __asm__ volatile("vzeroupper");
        DbgPrint("the call sees it");
        break;
    case 69:
        __asm__ volatile("xorl %%ecx, %%ecx\n\tdivl %%ecx" : : : "rax", "rcx", "rdx");
        break;
#else
    case 64:
        __asm__ volatile("sub sp, sp, #8\n\tadrp x8, __imp_KeGetCurrentIrql\n\t"
                         "ldr x8, [x8, :lo12:__imp_KeGetCurrentIrql]\n\tblr x8\n\tadd sp, sp, #8"
                         : : : "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10",
                           "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x30", "memory");
        break;
    case 67:
        __asm__ volatile("fmov d8, xzr");
        break;
    case 68:
        __asm__ volatile("msr fpcr, %0" : : "r"(1ULL << 24));
        break;
    case 69:
        /* What compilers do where a division is by zero. */
        __asm__ volatile("brk #0xF004");
        break;
    case 76:
        __asm__ volatile("mov x18, xzr");
        break;
    case 77:
        __asm__ volatile("mov x18, xzr");
        DbgPrint("the call sees it");
        break;
    case 78:
        __asm__ volatile("udf #0");
        break;
#endif
    }
}

static VOID SinWithMemory(VOID)
{
    volatile UCHAR *Byte;

    switch (Sin) {
    case 80:
        Pool = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 'niSs');
        ExFreePoolWithTag(Pool, 'niSs');
        ExFreePoolWithTag(Pool, 'niSs');
        break;
    case 81:
        Byte = Pool = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 'niSs');
        ExFreePoolWithTag(Pool, 'niSs');
        *Byte = 1;
        break;
    case 82:
        Pool = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 'niSs');
        break;
    case 83:
        Byte = Pool = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 'niSs');
        Byte[64] = 1;
        break;
    case 84:
        Pool = ExAllocatePoolWithTag(NonPagedPoolNx, 64, 0);
        break;
    }
}

static NTSTATUS SinWithRegisters(PSINNER Sinner, PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource)
{
    PHYSICAL_ADDRESS Elsewhere;

    switch (Sin) {
    case 90:
        Elsewhere.QuadPart = Resource->u.Memory.Start.QuadPart + 0x1000;
        MmMapIoSpaceEx(Elsewhere, 1, PAGE_READWRITE | PAGE_NOCACHE);
        break;
    case 91:
        MmUnmapIoSpace(Sinner->Register, Sinner->Length + 1);
        break;
    case 92:
        MmUnmapIoSpace((PVOID)0x10000, 1);
        break;
    case 93:
        MmUnmapIoSpace(Sinner->Register, Sinner->Length);
        *(volatile UCHAR *)Sinner->Register = 1;
        break;
    case 94:
        MmMapIoSpaceEx(Resource->u.Memory.Start, 1, PAGE_EXECUTE_READWRITE);
        break;
    case 95:
        MmMapIoSpaceEx(Resource->u.Memory.Start, 1, 0);
        break;
    }
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnPrepareHardware(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
    PSINNER Sinner = GetSinner(Device);
    PCM_PARTIAL_RESOURCE_DESCRIPTOR Resource = WdfCmResourceListGetDescriptor(Translated, 0);

    UNREFERENCED_PARAMETER(Raw);
    if (Resource != NULL && Resource->Type == CmResourceTypeMemory) {
        Sinner->Length = Resource->u.Memory.Length;
        Sinner->Register = MmMapIoSpaceEx(Resource->u.Memory.Start, Sinner->Length,
                                          PAGE_READWRITE | PAGE_NOCACHE);
        if (Sinner->Register == NULL)
            return STATUS_INSUFFICIENT_RESOURCES;
        SinWithRegisters(Sinner, Resource);
    }
    Sinner->Record.State = BufferEmpty;
    Sinner->DumpRecord.State = BufferEmpty;
    if (!Register(&Sinner->Record, Sinner))
        return STATUS_UNSUCCESSFUL;
    if (!KeRegisterBugCheckReasonCallback(&Sinner->DumpRecord, OnDumpIo, KbCallbackDumpIo,
                                          Component))
        return STATUS_UNSUCCESSFUL;
    SinWithRecords(Sinner);
    SinWithObjects(Device);
    SinWithProcessor();
    SinWithMemory();
    return STATUS_SUCCESS;
}

static NTSTATUS NTAPI OnReleaseHardware(WDFDEVICE Device, WDFCMRESLIST Translated)
{
    PSINNER Sinner = GetSinner(Device);

    UNREFERENCED_PARAMETER(Translated);
    KeDeregisterBugCheckReasonCallback(&Sinner->DumpRecord);
    if (Sin != 100)
        KeDeregisterBugCheckCallback(&Sinner->Record);
    if (Sinner->Register != NULL && Sin != 101)
        MmUnmapIoSpace(Sinner->Register, Sinner->Length);
    Sinner->Register = NULL;
    return STATUS_SUCCESS;
}

static VOID NTAPI OnFileCreate(WDFDEVICE Device, WDFREQUEST Request, WDFFILEOBJECT File)
{
    UNREFERENCED_PARAMETER(Device);
    UNREFERENCED_PARAMETER(File);
    if (Sin == 62)
#ifdef __x86_64__
        __asm__ volatile("movq $0, %r15");
#else
        __asm__ volatile("mov x28, xzr");
#endif
    if (Sin == 110)
        return;
    WdfRequestComplete(Request, STATUS_SUCCESS);
    if (Sin == 111)
        WdfRequestComplete(Request, STATUS_SUCCESS);
}

static VOID NTAPI UnloadOfItsOwn(PDRIVER_OBJECT DriverObject)
{
    UNREFERENCED_PARAMETER(DriverObject);
}

static NTSTATUS NTAPI OnDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
    WDF_PNPPOWER_EVENT_CALLBACKS Callbacks;
    WDF_FILEOBJECT_CONFIG Files;
    WDF_OBJECT_ATTRIBUTES Attributes;
    PWDFDEVICE_INIT Init = DeviceInit;
    PHYSICAL_ADDRESS Anywhere;
    WDFDEVICE Device;
    NTSTATUS Status;

    UNREFERENCED_PARAMETER(Driver);
    WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&Callbacks);
    Callbacks.EvtDevicePrepareHardware = OnPrepareHardware;
    Callbacks.EvtDeviceReleaseHardware = OnReleaseHardware;
    if (Sin == 120)
        Callbacks.Size -= 8;
    if (Sin == 121)
        Callbacks.EvtDevicePrepareHardware = (PFN_WDF_DEVICE_PREPARE_HARDWARE)(ULONG_PTR)&Kept;
    WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &Callbacks);
    WDF_FILEOBJECT_CONFIG_INIT(&Files, OnFileCreate, NULL, NULL);
    WdfDeviceInitSetFileObjectConfig(DeviceInit, &Files, WDF_NO_OBJECT_ATTRIBUTES);
    if (Sin == 122) {
        Anywhere.QuadPart = 0xFEBF1000;
        MmMapIoSpaceEx(Anywhere, 1, PAGE_READWRITE | PAGE_NOCACHE);
    }
    WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&Attributes, SINNER);
    Status = WdfDeviceCreate(&DeviceInit, &Attributes, &Device);
    if (Sin == 124)
        WdfDriverWdmGetDriverObject(TheDriver)->DriverUnload = UnloadOfItsOwn;
    if (Sin == 125)
        WdfDriverWdmGetDriverObject(TheDriver)->DriverUnload = NULL;
    if (NT_SUCCESS(Status) && Sin == 123)
        WdfDeviceInitSetDeviceType(Init, FILE_DEVICE_UNKNOWN);
    return Status;
}

NTSTATUS NTAPI DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    static const GUID ProviderId = {0x51, 0x4e, 0x4e, {1, 2, 3, 4, 5, 6, 7, 8}};
    WDF_DRIVER_CONFIG Config;
    WDFKEY Key;
    NTSTATUS Status;
    DECLARE_CONST_UNICODE_STRING(Name, L"Sin");

    WDF_DRIVER_CONFIG_INIT(&Config, OnDeviceAdd);
    Status = WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &Config,
                             &TheDriver);
    if (!NT_SUCCESS(Status))
        return Status;
    Status = WdfDriverOpenParametersRegistryKey(TheDriver, KEY_READ, WDF_NO_OBJECT_ATTRIBUTES, &Key);
    if (NT_SUCCESS(Status)) {
        WdfRegistryQueryULong(Key, &Name, &Sin);
        WdfRegistryClose(Key);
    }
    switch (Sin) {
    case 130:
        Register(&Kept, (PSINNER)&Kept);
        break;
    case 131:
        EtwRegister(&ProviderId, NULL, NULL, &Provider);
        break;
    case 132:
        EtwRegister(&ProviderId, NULL, NULL, &Provider);
        EtwUnregister(Provider);
        EtwUnregister(Provider);
        break;
    case 133: {
        ULONG64 BindInfo[6] = {sizeof(BindInfo), (ULONG64)L"KmdfLibrary", 1 | 15ULL << 32, 443ULL << 32,
                               (ULONG64)&Pool, 0};
        PWDF_DRIVER_GLOBALS Globals;
        WdfVersionBind(DriverObject, RegistryPath, BindInfo, &Globals);
        break;
    }
    case 134:
        WdfVersionUnbind(RegistryPath, NULL, NULL);
        break;
    case 135:
        WdfVersionBindClass(NULL, NULL, NULL);
        break;
    case 136:
        WdfVersionUnbindClass(NULL, NULL, NULL);
        break;
    case 137:
        WdfLdrQueryInterface(NULL);
        break;
    }
    return InitFunction() == Sin + 1 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
