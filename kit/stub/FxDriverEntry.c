/*
 * The entry point of a KMDF driver: binds it to the framework, calls its
 * DriverEntry, and unbinds when DriverEntry fails or after the driver has been
 * unloaded. Microsoft's kit has it as WdfDriverEntry.lib.
 *
 * Drivers that use a class extension need more (binding to it) than this has.
 */
#include <ntddk.h>
#include <wdf.h>

/*
 * What WdfVersionBind reads. Size tells the loader which form it is; from 1.25
 * on the longer form lets a driver run on a framework older than its headers.
 */
typedef struct _WDF_BIND_INFO {
    ULONG Size;
    PWCHAR Component;
    ULONG Major;
    ULONG Minor;
    ULONG Build;
    ULONG FuncCount;
    /* The address of the variable that receives the table. */
    WDFFUNC *FuncTable;
    PVOID Module;
#if KMDF_VERSION_MINOR >= 25
    PULONG MinimumVersionRequired;
    PBOOLEAN ClientVersionHigherThanFramework;
    PULONG FuncCountPtr;
    PULONG StructCountPtr;
    WDF_STRUCT_INFO *StructTable;
#endif
} WDF_BIND_INFO;

C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, Component) == 8);
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, Major) == 16);
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, Minor) == 20);
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, Build) == 24);
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, FuncCount) == 28);
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, FuncTable) == 32);
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, Module) == 40);
#if KMDF_VERSION_MINOR >= 25
C_ASSERT(FIELD_OFFSET(WDF_BIND_INFO, MinimumVersionRequired) == 48);
C_ASSERT(sizeof(WDF_BIND_INFO) == 88);
#else
C_ASSERT(sizeof(WDF_BIND_INFO) == 48);
#endif

/* Exported by WDFLDR.SYS. */
DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionBind(PDRIVER_OBJECT DriverObject,
                                              PUNICODE_STRING RegistryPath,
                                              WDF_BIND_INFO *BindInfo,
                                              PWDF_DRIVER_GLOBALS *Globals);
DECLSPEC_IMPORT NTSTATUS NTAPI WdfVersionUnbind(PUNICODE_STRING RegistryPath,
                                                WDF_BIND_INFO *BindInfo,
                                                PWDF_DRIVER_GLOBALS Globals);

DRIVER_INITIALIZE DriverEntry;
DRIVER_INITIALIZE FxDriverEntry;

const WDFFUNC *WdfFunctions = NULL;
PWDF_DRIVER_GLOBALS WdfDriverGlobals = NULL;

#if KMDF_VERSION_MINOR >= 25
BOOLEAN WdfClientVersionHigherThanFramework = FALSE;
ULONG WdfFunctionCount = 0;
ULONG WdfStructureCount = 0;
WDF_STRUCT_INFO WdfStructures = NULL;
static ULONG MinimumVersionRequired = KMDF_VERSION_MINOR;
#endif

static WDF_BIND_INFO BindInfo = {
    .Size = sizeof(WDF_BIND_INFO),
    .Component = L"KmdfLibrary",
    .Major = 1,
    .Minor = KMDF_VERSION_MINOR,
    .FuncCount = WdfFunctionTableNumEntries,
    .FuncTable = (WDFFUNC *)&WdfFunctions,
#if KMDF_VERSION_MINOR >= 25
    .MinimumVersionRequired = &MinimumVersionRequired,
    .ClientVersionHigherThanFramework = &WdfClientVersionHigherThanFramework,
    .FuncCountPtr = &WdfFunctionCount,
    .StructCountPtr = &WdfStructureCount,
    .StructTable = &WdfStructures,
#endif
};

/*
 * Windows keeps the service key's path only while DriverEntry runs, and the
 * unbind needs it. A service name has at most 256 characters, the path before
 * it 52.
 */
static WCHAR ServicePathBuffer[320];
static UNICODE_STRING ServicePath = {0, sizeof(ServicePathBuffer), ServicePathBuffer};

static PDRIVER_UNLOAD DriverUnload = NULL;

static VOID NTAPI UnloadAndUnbind(PDRIVER_OBJECT DriverObject)
{
    if (DriverUnload != NULL) {
        DriverUnload(DriverObject);
    }
    (VOID) WdfVersionUnbind(&ServicePath, &BindInfo, WdfDriverGlobals);
}

NTSTATUS NTAPI FxDriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
    NTSTATUS Status;
    USHORT Index;

    if (RegistryPath->Length > sizeof(ServicePathBuffer)) {
        return STATUS_NAME_TOO_LONG;
    }
    ServicePath.Length = RegistryPath->Length;
    for (Index = 0; Index < RegistryPath->Length / sizeof(WCHAR); Index++) {
        ServicePathBuffer[Index] = RegistryPath->Buffer[Index];
    }

    Status = WdfVersionBind(DriverObject, &ServicePath, &BindInfo, &WdfDriverGlobals);
    if (!NT_SUCCESS(Status)) {
        return Status;
    }

    Status = DriverEntry(DriverObject, RegistryPath);
    if (!NT_SUCCESS(Status)) {
        (VOID) WdfVersionUnbind(&ServicePath, &BindInfo, WdfDriverGlobals);
        return Status;
    }

    /* A non-PnP driver without EvtDriverUnload can't be unloaded: the framework
     * says so here. */
    if (WdfDriverGlobals->DisplaceDriverUnload) {
        DriverUnload = DriverObject->DriverUnload;
        DriverObject->DriverUnload = UnloadAndUnbind;
    }
    return Status;
}
