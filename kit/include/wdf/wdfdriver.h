/* The driver object. */
#pragma once

typedef NTSTATUS NTAPI EVT_WDF_DRIVER_DEVICE_ADD(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit);
typedef EVT_WDF_DRIVER_DEVICE_ADD *PFN_WDF_DRIVER_DEVICE_ADD;
typedef VOID NTAPI EVT_WDF_DRIVER_UNLOAD(WDFDRIVER Driver);
typedef EVT_WDF_DRIVER_UNLOAD *PFN_WDF_DRIVER_UNLOAD;

typedef enum _WDF_DRIVER_INIT_FLAGS {
    WdfDriverInitNonPnpDriver = 0x01,
    WdfDriverInitNoDispatchOverride = 0x02,
    WdfVerifyOn = 0x04,
    WdfVerifierOn = 0x08,
} WDF_DRIVER_INIT_FLAGS;

typedef struct _WDF_DRIVER_CONFIG {
    ULONG Size;
    PFN_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd;
    PFN_WDF_DRIVER_UNLOAD EvtDriverUnload;
    ULONG DriverInitFlags;
    ULONG DriverPoolTag;
} WDF_DRIVER_CONFIG, *PWDF_DRIVER_CONFIG;

C_ASSERT(sizeof(WDF_DRIVER_CONFIG) == 32);
C_ASSERT(FIELD_OFFSET(WDF_DRIVER_CONFIG, EvtDriverDeviceAdd) == 8);
C_ASSERT(FIELD_OFFSET(WDF_DRIVER_CONFIG, EvtDriverUnload) == 16);
C_ASSERT(FIELD_OFFSET(WDF_DRIVER_CONFIG, DriverInitFlags) == 24);
C_ASSERT(FIELD_OFFSET(WDF_DRIVER_CONFIG, DriverPoolTag) == 28);

FORCEINLINE VOID WDF_DRIVER_CONFIG_INIT(PWDF_DRIVER_CONFIG Config,
                                        PFN_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd)
{
    RtlZeroMemory(Config, sizeof(*Config));
    Config->Size = sizeof(*Config);
    Config->EvtDriverDeviceAdd = EvtDriverDeviceAdd;
}

KMDF_DECLARE(NTSTATUS, WdfDriverCreate, WDFDRIVERCREATE,
             (PDRIVER_OBJECT DriverObject, PCUNICODE_STRING RegistryPath,
              PWDF_OBJECT_ATTRIBUTES DriverAttributes, PWDF_DRIVER_CONFIG DriverConfig,
              WDFDRIVER *Driver),
             (DriverObject, RegistryPath, DriverAttributes, DriverConfig, Driver))
KMDF_DECLARE(PWSTR, WdfDriverGetRegistryPath, WDFDRIVERGETREGISTRYPATH,
             (WDFDRIVER Driver), (Driver))
KMDF_DECLARE(PDRIVER_OBJECT, WdfDriverWdmGetDriverObject, WDFDRIVERWDMGETDRIVEROBJECT,
             (WDFDRIVER Driver), (Driver))
KMDF_DECLARE(NTSTATUS, WdfDriverOpenParametersRegistryKey, WDFDRIVEROPENPARAMETERSREGISTRYKEY,
             (WDFDRIVER Driver, ACCESS_MASK DesiredAccess, PWDF_OBJECT_ATTRIBUTES KeyAttributes,
              WDFKEY *Key),
             (Driver, DesiredAccess, KeyAttributes, Key))

/* "WdfGetDriver function (wdfdriver.h)". */
FORCEINLINE WDFDRIVER WdfGetDriver(VOID)
{
    return WdfDriverGlobals->Driver;
}
