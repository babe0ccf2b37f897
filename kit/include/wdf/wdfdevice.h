/* Device objects: plug and play, power, file objects, properties, state. */
#pragma once

#include <devpropdef.h>

typedef enum _WDF_POWER_DEVICE_STATE {
    WdfPowerDeviceInvalid = 0,
    WdfPowerDeviceD0,
    WdfPowerDeviceD1,
    WdfPowerDeviceD2,
    WdfPowerDeviceD3,
    WdfPowerDeviceD3Final,
    WdfPowerDevicePrepareForHibernation,
    WdfPowerDeviceMaximum,
} WDF_POWER_DEVICE_STATE, *PWDF_POWER_DEVICE_STATE;

typedef enum _WDF_DEVICE_FAILED_ACTION {
    WdfDeviceFailedUndefined = 0,
    WdfDeviceFailedAttemptRestart,
    WdfDeviceFailedNoRestart,
} WDF_DEVICE_FAILED_ACTION;

typedef enum _WDF_DEVICE_IO_TYPE {
    WdfDeviceIoUndefined = 0,
    WdfDeviceIoNeither,
    WdfDeviceIoBuffered,
    WdfDeviceIoDirect,
    WdfDeviceIoBufferedOrDirect,
} WDF_DEVICE_IO_TYPE, *PWDF_DEVICE_IO_TYPE;

typedef enum _WDF_SPECIAL_FILE_TYPE {
    WdfSpecialFileUndefined = 0,
    WdfSpecialFilePaging,
    WdfSpecialFileHibernation,
    WdfSpecialFileDump,
    WdfSpecialFileBoot,
#if KMDF_VERSION_MINOR >= 31
    WdfSpecialFilePostDisplay,
    WdfSpecialFileGuestAssigned,
#endif
    WdfSpecialFileMax,
} WDF_SPECIAL_FILE_TYPE, *PWDF_SPECIAL_FILE_TYPE;

/* --- Plug and play and power callbacks, all at PASSIVE_LEVEL --- */

typedef NTSTATUS NTAPI EVT_WDF_DEVICE_D0_ENTRY(WDFDEVICE Device,
                                               WDF_POWER_DEVICE_STATE PreviousState);
typedef EVT_WDF_DEVICE_D0_ENTRY *PFN_WDF_DEVICE_D0_ENTRY;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED(
    WDFDEVICE Device, WDF_POWER_DEVICE_STATE PreviousState);
typedef EVT_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED
    *PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_D0_EXIT(WDFDEVICE Device, WDF_POWER_DEVICE_STATE TargetState);
typedef EVT_WDF_DEVICE_D0_EXIT *PFN_WDF_DEVICE_D0_EXIT;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED(
    WDFDEVICE Device, WDF_POWER_DEVICE_STATE TargetState);
typedef EVT_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED
    *PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_PREPARE_HARDWARE(WDFDEVICE Device, WDFCMRESLIST ResourcesRaw,
                                                       WDFCMRESLIST ResourcesTranslated);
typedef EVT_WDF_DEVICE_PREPARE_HARDWARE *PFN_WDF_DEVICE_PREPARE_HARDWARE;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_RELEASE_HARDWARE(WDFDEVICE Device,
                                                       WDFCMRESLIST ResourcesTranslated);
typedef EVT_WDF_DEVICE_RELEASE_HARDWARE *PFN_WDF_DEVICE_RELEASE_HARDWARE;
typedef VOID NTAPI EVT_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP *PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP;
typedef VOID NTAPI EVT_WDF_DEVICE_SELF_MANAGED_IO_FLUSH(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SELF_MANAGED_IO_FLUSH *PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_SELF_MANAGED_IO_INIT(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SELF_MANAGED_IO_INIT *PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND *PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_SELF_MANAGED_IO_RESTART(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SELF_MANAGED_IO_RESTART *PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART;
typedef VOID NTAPI EVT_WDF_DEVICE_SURPRISE_REMOVAL(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SURPRISE_REMOVAL *PFN_WDF_DEVICE_SURPRISE_REMOVAL;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_QUERY_REMOVE(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_QUERY_REMOVE *PFN_WDF_DEVICE_QUERY_REMOVE;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_QUERY_STOP(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_QUERY_STOP *PFN_WDF_DEVICE_QUERY_STOP;
typedef VOID NTAPI EVT_WDF_DEVICE_USAGE_NOTIFICATION(WDFDEVICE Device,
                                                     WDF_SPECIAL_FILE_TYPE NotificationType,
                                                     BOOLEAN IsInNotificationPath);
typedef EVT_WDF_DEVICE_USAGE_NOTIFICATION *PFN_WDF_DEVICE_USAGE_NOTIFICATION;
typedef VOID NTAPI EVT_WDF_DEVICE_RELATIONS_QUERY(WDFDEVICE Device,
                                                  DEVICE_RELATION_TYPE RelationType);
typedef EVT_WDF_DEVICE_RELATIONS_QUERY *PFN_WDF_DEVICE_RELATIONS_QUERY;
typedef NTSTATUS NTAPI EVT_WDF_DEVICE_USAGE_NOTIFICATION_EX(WDFDEVICE Device,
                                                            WDF_SPECIAL_FILE_TYPE NotificationType,
                                                            BOOLEAN IsInNotificationPath);
typedef EVT_WDF_DEVICE_USAGE_NOTIFICATION_EX *PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX;

typedef struct _WDF_PNPPOWER_EVENT_CALLBACKS {
    ULONG Size;
    PFN_WDF_DEVICE_D0_ENTRY EvtDeviceD0Entry;
    PFN_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED EvtDeviceD0EntryPostInterruptsEnabled;
    PFN_WDF_DEVICE_D0_EXIT EvtDeviceD0Exit;
    PFN_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED EvtDeviceD0ExitPreInterruptsDisabled;
    PFN_WDF_DEVICE_PREPARE_HARDWARE EvtDevicePrepareHardware;
    PFN_WDF_DEVICE_RELEASE_HARDWARE EvtDeviceReleaseHardware;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP EvtDeviceSelfManagedIoCleanup;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_FLUSH EvtDeviceSelfManagedIoFlush;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_INIT EvtDeviceSelfManagedIoInit;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND EvtDeviceSelfManagedIoSuspend;
    PFN_WDF_DEVICE_SELF_MANAGED_IO_RESTART EvtDeviceSelfManagedIoRestart;
    PFN_WDF_DEVICE_SURPRISE_REMOVAL EvtDeviceSurpriseRemoval;
    PFN_WDF_DEVICE_QUERY_REMOVE EvtDeviceQueryRemove;
    PFN_WDF_DEVICE_QUERY_STOP EvtDeviceQueryStop;
    PFN_WDF_DEVICE_USAGE_NOTIFICATION EvtDeviceUsageNotification;
    PFN_WDF_DEVICE_RELATIONS_QUERY EvtDeviceRelationsQuery;
    PFN_WDF_DEVICE_USAGE_NOTIFICATION_EX EvtDeviceUsageNotificationEx;
} WDF_PNPPOWER_EVENT_CALLBACKS, *PWDF_PNPPOWER_EVENT_CALLBACKS;

C_ASSERT(sizeof(WDF_PNPPOWER_EVENT_CALLBACKS) == 144);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceD0Entry) == 8);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceD0EntryPostInterruptsEnabled) == 16);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceD0Exit) == 24);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceD0ExitPreInterruptsDisabled) == 32);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDevicePrepareHardware) == 40);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceReleaseHardware) == 48);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSelfManagedIoCleanup) == 56);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSelfManagedIoFlush) == 64);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSelfManagedIoInit) == 72);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSelfManagedIoSuspend) == 80);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSelfManagedIoRestart) == 88);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceSurpriseRemoval) == 96);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceQueryRemove) == 104);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceQueryStop) == 112);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceUsageNotification) == 120);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceRelationsQuery) == 128);
C_ASSERT(FIELD_OFFSET(WDF_PNPPOWER_EVENT_CALLBACKS, EvtDeviceUsageNotificationEx) == 136);

FORCEINLINE VOID WDF_PNPPOWER_EVENT_CALLBACKS_INIT(PWDF_PNPPOWER_EVENT_CALLBACKS Callbacks)
{
    RtlZeroMemory(Callbacks, sizeof(*Callbacks));
    Callbacks->Size = sizeof(*Callbacks);
}

/* --- File objects --- */

typedef VOID NTAPI EVT_WDF_DEVICE_FILE_CREATE(WDFDEVICE Device, WDFREQUEST Request,
                                              WDFFILEOBJECT FileObject);
typedef EVT_WDF_DEVICE_FILE_CREATE *PFN_WDF_DEVICE_FILE_CREATE;
typedef VOID NTAPI EVT_WDF_FILE_CLOSE(WDFFILEOBJECT FileObject);
typedef EVT_WDF_FILE_CLOSE *PFN_WDF_FILE_CLOSE;
typedef VOID NTAPI EVT_WDF_FILE_CLEANUP(WDFFILEOBJECT FileObject);
typedef EVT_WDF_FILE_CLEANUP *PFN_WDF_FILE_CLEANUP;

typedef enum _WDF_FILEOBJECT_CLASS {
    WdfFileObjectInvalid = 0,
    WdfFileObjectNotRequired = 1,
    WdfFileObjectWdfCanUseFsContext = 2,
    WdfFileObjectWdfCanUseFsContext2 = 3,
    WdfFileObjectWdfCannotUseFsContexts = 4,
    WdfFileObjectCanBeOptional = 0x80000000,
} WDF_FILEOBJECT_CLASS, *PWDF_FILEOBJECT_CLASS;

typedef struct _WDF_FILEOBJECT_CONFIG {
    ULONG Size;
    PFN_WDF_DEVICE_FILE_CREATE EvtDeviceFileCreate;
    PFN_WDF_FILE_CLOSE EvtFileClose;
    PFN_WDF_FILE_CLEANUP EvtFileCleanup;
    WDF_TRI_STATE AutoForwardCleanupClose;
    WDF_FILEOBJECT_CLASS FileObjectClass;
} WDF_FILEOBJECT_CONFIG, *PWDF_FILEOBJECT_CONFIG;

C_ASSERT(sizeof(WDF_FILEOBJECT_CONFIG) == 40);
C_ASSERT(FIELD_OFFSET(WDF_FILEOBJECT_CONFIG, EvtDeviceFileCreate) == 8);
C_ASSERT(FIELD_OFFSET(WDF_FILEOBJECT_CONFIG, EvtFileClose) == 16);
C_ASSERT(FIELD_OFFSET(WDF_FILEOBJECT_CONFIG, EvtFileCleanup) == 24);
C_ASSERT(FIELD_OFFSET(WDF_FILEOBJECT_CONFIG, AutoForwardCleanupClose) == 32);
C_ASSERT(FIELD_OFFSET(WDF_FILEOBJECT_CONFIG, FileObjectClass) == 36);

FORCEINLINE VOID WDF_FILEOBJECT_CONFIG_INIT(PWDF_FILEOBJECT_CONFIG Config,
                                            PFN_WDF_DEVICE_FILE_CREATE EvtDeviceFileCreate,
                                            PFN_WDF_FILE_CLOSE EvtFileClose,
                                            PFN_WDF_FILE_CLEANUP EvtFileCleanup)
{
    RtlZeroMemory(Config, sizeof(*Config));
    Config->Size = sizeof(*Config);
    Config->EvtDeviceFileCreate = EvtDeviceFileCreate;
    Config->EvtFileClose = EvtFileClose;
    Config->EvtFileCleanup = EvtFileCleanup;
    Config->AutoForwardCleanupClose = WdfUseDefault;
    Config->FileObjectClass = WdfFileObjectWdfCannotUseFsContexts;
}

/* --- Device state and properties --- */

typedef struct _WDF_DEVICE_STATE {
    ULONG Size;
    WDF_TRI_STATE Disabled;
    WDF_TRI_STATE DontDisplayInUI;
    WDF_TRI_STATE Failed;
    WDF_TRI_STATE NotDisableable;
    WDF_TRI_STATE Removed;
    WDF_TRI_STATE ResourcesChanged;
#if KMDF_VERSION_MINOR >= 31
    WDF_TRI_STATE AssignedToGuest;
#endif
} WDF_DEVICE_STATE, *PWDF_DEVICE_STATE;

C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, Disabled) == 4);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, DontDisplayInUI) == 8);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, Failed) == 12);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, NotDisableable) == 16);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, Removed) == 20);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, ResourcesChanged) == 24);
#if KMDF_VERSION_MINOR >= 31
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_STATE, AssignedToGuest) == 28);
C_ASSERT(sizeof(WDF_DEVICE_STATE) == 32);
#else
C_ASSERT(sizeof(WDF_DEVICE_STATE) == 28);
#endif

FORCEINLINE VOID WDF_DEVICE_STATE_INIT(PWDF_DEVICE_STATE State)
{
    RtlZeroMemory(State, sizeof(*State));
    State->Size = sizeof(*State);
    State->Disabled = WdfUseDefault;
    State->DontDisplayInUI = WdfUseDefault;
    State->Failed = WdfUseDefault;
    State->NotDisableable = WdfUseDefault;
    State->Removed = WdfUseDefault;
    State->ResourcesChanged = WdfUseDefault;
#if KMDF_VERSION_MINOR >= 31
    State->AssignedToGuest = WdfUseDefault;
#endif
}

typedef struct _WDF_DEVICE_PROPERTY_DATA {
    ULONG Size;
    const DEVPROPKEY *PropertyKey;
    LCID Lcid;
    ULONG Flags;
} WDF_DEVICE_PROPERTY_DATA, *PWDF_DEVICE_PROPERTY_DATA;

C_ASSERT(sizeof(WDF_DEVICE_PROPERTY_DATA) == 24);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_PROPERTY_DATA, PropertyKey) == 8);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_PROPERTY_DATA, Lcid) == 16);
C_ASSERT(FIELD_OFFSET(WDF_DEVICE_PROPERTY_DATA, Flags) == 20);

FORCEINLINE VOID WDF_DEVICE_PROPERTY_DATA_INIT(PWDF_DEVICE_PROPERTY_DATA Data,
                                               const DEVPROPKEY *PropertyKey)
{
    RtlZeroMemory(Data, sizeof(*Data));
    Data->Size = sizeof(*Data);
    Data->PropertyKey = PropertyKey;
}

/* --- Before the device exists --- */

KMDF_DECLARE(VOID, WdfDeviceInitFree, WDFDEVICEINITFREE, (PWDFDEVICE_INIT DeviceInit),
             (DeviceInit))
KMDF_DECLARE(VOID, WdfDeviceInitSetPnpPowerEventCallbacks, WDFDEVICEINITSETPNPPOWEREVENTCALLBACKS,
             (PWDFDEVICE_INIT DeviceInit, PWDF_PNPPOWER_EVENT_CALLBACKS PnpPowerEventCallbacks),
             (DeviceInit, PnpPowerEventCallbacks))
KMDF_DECLARE(VOID, WdfDeviceInitSetFileObjectConfig, WDFDEVICEINITSETFILEOBJECTCONFIG,
             (PWDFDEVICE_INIT DeviceInit, PWDF_FILEOBJECT_CONFIG FileObjectConfig,
              PWDF_OBJECT_ATTRIBUTES FileObjectAttributes),
             (DeviceInit, FileObjectConfig, FileObjectAttributes))
KMDF_DECLARE(VOID, WdfDeviceInitSetDeviceType, WDFDEVICEINITSETDEVICETYPE,
             (PWDFDEVICE_INIT DeviceInit, DEVICE_TYPE DeviceType), (DeviceInit, DeviceType))
KMDF_DECLARE(VOID, WdfDeviceInitSetCharacteristics, WDFDEVICEINITSETCHARACTERISTICS,
             (PWDFDEVICE_INIT DeviceInit, ULONG DeviceCharacteristics, BOOLEAN OrInValues),
             (DeviceInit, DeviceCharacteristics, OrInValues))
KMDF_DECLARE(VOID, WdfDeviceInitSetExclusive, WDFDEVICEINITSETEXCLUSIVE,
             (PWDFDEVICE_INIT DeviceInit, BOOLEAN IsExclusive), (DeviceInit, IsExclusive))
KMDF_DECLARE(NTSTATUS, WdfDeviceInitAssignSDDLString, WDFDEVICEINITASSIGNSDDLSTRING,
             (PWDFDEVICE_INIT DeviceInit, PCUNICODE_STRING SDDLString), (DeviceInit, SDDLString))
KMDF_DECLARE(NTSTATUS, WdfDeviceInitAssignName, WDFDEVICEINITASSIGNNAME,
             (PWDFDEVICE_INIT DeviceInit, PCUNICODE_STRING DeviceName), (DeviceInit, DeviceName))
KMDF_DECLARE(VOID, WdfDeviceInitSetIoType, WDFDEVICEINITSETIOTYPE,
             (PWDFDEVICE_INIT DeviceInit, WDF_DEVICE_IO_TYPE IoType), (DeviceInit, IoType))

/* --- The device --- */

KMDF_DECLARE(NTSTATUS, WdfDeviceCreate, WDFDEVICECREATE,
             (PWDFDEVICE_INIT *DeviceInit, PWDF_OBJECT_ATTRIBUTES DeviceAttributes,
              WDFDEVICE *Device),
             (DeviceInit, DeviceAttributes, Device))
KMDF_DECLARE(WDFDRIVER, WdfDeviceGetDriver, WDFDEVICEGETDRIVER, (WDFDEVICE Device), (Device))
KMDF_DECLARE(WDFIOTARGET, WdfDeviceGetIoTarget, WDFDEVICEGETIOTARGET, (WDFDEVICE Device),
             (Device))
KMDF_DECLARE(VOID, WdfDeviceSetDeviceState, WDFDEVICESETDEVICESTATE,
             (WDFDEVICE Device, PWDF_DEVICE_STATE DeviceState), (Device, DeviceState))
KMDF_DECLARE(VOID, WdfDeviceSetFailed, WDFDEVICESETFAILED,
             (WDFDEVICE Device, WDF_DEVICE_FAILED_ACTION FailedAction), (Device, FailedAction))
KMDF_DECLARE(NTSTATUS, WdfDeviceAssignProperty, WDFDEVICEASSIGNPROPERTY,
             (WDFDEVICE Device, PWDF_DEVICE_PROPERTY_DATA DeviceProperty, DEVPROPTYPE Type,
              ULONG Size, PVOID Data),
             (Device, DeviceProperty, Type, Size, Data))
KMDF_DECLARE(NTSTATUS, WdfDeviceQueryProperty, WDFDEVICEQUERYPROPERTY,
             (WDFDEVICE Device, DEVICE_REGISTRY_PROPERTY DeviceProperty, ULONG BufferLength,
              PVOID PropertyBuffer, PULONG ResultLength),
             (Device, DeviceProperty, BufferLength, PropertyBuffer, ResultLength))
KMDF_DECLARE(NTSTATUS, WdfDeviceQueryPropertyEx, WDFDEVICEQUERYPROPERTYEX,
             (WDFDEVICE Device, PWDF_DEVICE_PROPERTY_DATA DeviceProperty, ULONG BufferLength,
              PVOID PropertyBuffer, PULONG RequiredSize, PDEVPROPTYPE Type),
             (Device, DeviceProperty, BufferLength, PropertyBuffer, RequiredSize, Type))
KMDF_DECLARE(PDEVICE_OBJECT, WdfDeviceWdmGetDeviceObject, WDFDEVICEWDMGETDEVICEOBJECT,
             (WDFDEVICE Device), (Device))
KMDF_DECLARE(PDEVICE_OBJECT, WdfDeviceWdmGetPhysicalDevice, WDFDEVICEWDMGETPHYSICALDEVICE,
             (WDFDEVICE Device), (Device))
KMDF_DECLARE(PDEVICE_OBJECT, WdfDeviceWdmGetAttachedDevice, WDFDEVICEWDMGETATTACHEDDEVICE,
             (WDFDEVICE Device), (Device))
