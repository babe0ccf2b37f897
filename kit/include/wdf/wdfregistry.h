/* Registry keys. All of it at PASSIVE_LEVEL. */
#pragma once

KMDF_DECLARE(NTSTATUS, WdfRegistryOpenKey, WDFREGISTRYOPENKEY,
             (WDFKEY ParentKey, PCUNICODE_STRING KeyName, ACCESS_MASK DesiredAccess,
              PWDF_OBJECT_ATTRIBUTES KeyAttributes, WDFKEY *Key),
             (ParentKey, KeyName, DesiredAccess, KeyAttributes, Key))
KMDF_DECLARE(VOID, WdfRegistryClose, WDFREGISTRYCLOSE, (WDFKEY Key), (Key))
KMDF_DECLARE(HANDLE, WdfRegistryWdmGetHandle, WDFREGISTRYWDMGETHANDLE, (WDFKEY Key), (Key))
KMDF_DECLARE(NTSTATUS, WdfRegistryQueryULong, WDFREGISTRYQUERYULONG,
             (WDFKEY Key, PCUNICODE_STRING ValueName, PULONG Value), (Key, ValueName, Value))
KMDF_DECLARE(NTSTATUS, WdfRegistryQueryValue, WDFREGISTRYQUERYVALUE,
             (WDFKEY Key, PCUNICODE_STRING ValueName, ULONG ValueLength, PVOID Value,
              PULONG ValueLengthQueried, PULONG ValueType),
             (Key, ValueName, ValueLength, Value, ValueLengthQueried, ValueType))
KMDF_DECLARE(NTSTATUS, WdfRegistryAssignULong, WDFREGISTRYASSIGNULONG,
             (WDFKEY Key, PCUNICODE_STRING ValueName, ULONG Value), (Key, ValueName, Value))
