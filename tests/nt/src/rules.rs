//! The rules: one name and one sentence for each.

/// A rule that a driver can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name, as a violation reports it.
    pub name: &'static str,
    /// What it demands.
    pub demand: &'static str,
    /// Title of the documentation page that demands it.
    pub page: &'static str,
}

macro_rules! rules {
    ($($name:literal $demand:literal $page:literal)*) => {
        /// All rules.
        pub const RULES: &[Rule] = &[
            $(Rule { name: $name, demand: $demand, page: $page },)*
        ];
    };
}

rules! {
    "avx-touched" "The upper halves of AVX registers are not touched (seen where AVX is enabled, as in a process)" "Using Extended Processor Features in Windows Drivers"
    "bad-argument" "Arguments are among the values that the function documents" "the function's own page"
    "bad-context-size" "A context is as large as its type at least" "WDF_OBJECT_ATTRIBUTES"
    "bad-pointer" "Pointers that are passed point at memory of the driver's, writable where it is written" "the function's own page"
    "bind-info" "The framework is bound with a released version's function count and structure" "KMDF stub: fxldr.h"
    "bound-at-unload" "A driver that is unloaded, or whose DriverEntry failed, is no longer bound" "KMDF stub: fxldr.h"
    "call-in-bug-check" "Bug-check callbacks call nothing but what is permitted at any time" "Writing a Bug Check Callback Routine"
    "callback-not-code" "Callbacks are code of the driver's that is still there" "the callback's own page"
    "component-not-resident" "A record's Component stays and is never paged out" "Writing a Bug Check Callback Routine"
    "deregistered-with-wrong-function" "A record is deregistered with the function that belongs to the one that registered it" "KeDeregisterBugCheckReasonCallback function (wdm.h)"
    "device-init-bad" "WDFDEVICE_INIT is used only until WdfDeviceCreate has succeeded" "WdfDeviceCreate"
    "direction-flag-set" "The direction flag is clear at every call and return" "x64 calling convention"
    "discarded-section-touched" "Nothing touches a discardable section once DriverEntry has returned" "Locking Pageable Code or Data"
    "etw-handle" "Only handles of registered providers are used" "EtwRegister function (wdm.h)"
    "exception" "Driver code raises no exception" "Handling Exceptions"
    "executable-mapping" "Registers are not mapped executable" "MmMapIoSpaceEx function (wdm.h)"
    "freed-memory-touched" "Memory is not touched once it is freed" "Special Pool"
    "handle-bad" "Handles are what the framework gave" "Introduction to Framework Objects"
    "handle-dead" "Handles are not used once their object is deleted" "Framework Object Life Cycle"
    "handle-wrong-type" "Handles have the type that the function expects" "Introduction to Framework Objects"
    "irql-changed" "A callback returns at the IRQL that it was called at" "Managing Hardware Priorities"
    "irql-lowered-upwards" "KeLowerIrql does not raise the IRQL" "KeLowerIrql macro (wdm.h)"
    "irql-raised-downwards" "KeRaiseIrql does not lower the IRQL" "KeRaiseIrql macro (wdm.h)"
    "irql-too-high" "Functions are called at the IRQL that they permit" "the function's own page"
    "left-registered-at-unload" "No bug-check record and no ETW provider stays registered when the driver goes" "DRIVER_UNLOAD callback function"
    "map-outside-prepare" "Registers are mapped from prepare hardware on, not before and not after release" "Finding and Mapping Hardware Resources"
    "map-outside-resources" "Only registers that are assigned to the device are mapped" "Finding and Mapping Hardware Resources"
    "mapping-left-at-release" "Release hardware unmaps what prepare hardware mapped" "EVT_WDF_DEVICE_RELEASE_HARDWARE callback function"
    "memory-overrun" "Memory is not touched behind its end" "Special Pool"
    "no-memory" "The model has memory for what the driver asks for" "none: a limit of the model"
    "no-unload-routine" "A driver that is unloaded has a DriverUnload routine" "DRIVER_UNLOAD callback function"
    "nonvolatile-changed" "Nonvolatile registers, the stack pointer, the direction flag and the control bits of MXCSR or FPCR are kept" "x64 calling convention; Overview of ARM64 ABI conventions"
    "not-modelled" "Everything that the driver calls is modelled" "none: a limit of the model"
    "object-not-deletable" "Objects that belong to the framework are not deleted" "WdfObjectDelete"
    "page-fault" "Only memory that is there is touched" "the driver's own"
    "pageable-memory-touched" "Nothing pageable is touched at DISPATCH_LEVEL or above" "Making Drivers Pageable"
    "pool-left-at-unload" "All pool is freed when the driver goes" "Special Pool"
    "pool-not-allocated" "Pool is freed once" "ExFreePoolWithTag function (wdm.h)"
    "port-not-assigned" "Only ports that are assigned to the device are touched (seen while observing)" "Finding and Mapping Hardware Resources"
    "protection-broken" "Sections are used as their protection says" "PE Format"
    "record-altered" "A registered record is not touched" "Writing a Bug Check Callback Routine"
    "record-freed" "A record is deregistered before its memory goes" "Writing a Bug Check Callback Routine"
    "record-left-at-release" "No callback stays registered for a device without its hardware" "EVT_WDF_DEVICE_RELEASE_HARDWARE callback function"
    "record-moved" "A record stays where it was registered" "Writing a Bug Check Callback Routine"
    "record-not-initialized" "A record is initialised before it is registered" "KeInitializeCallbackRecord macro (wdm.h)"
    "record-not-resident" "A record is in memory that stays and is never paged out" "Writing a Bug Check Callback Routine"
    "record-registered-twice" "A record is registered once" "KeRegisterBugCheckCallback function (wdm.h)"
    "registers-not-mapped" "Registers are not touched once they are unmapped" "MmUnmapIoSpace function (wdm.h)"
    "request-not-completed" "A create request is completed, once" "EVT_WDF_DEVICE_FILE_CREATE callback function"
    "routine-not-resident" "A bug-check callback is resident code" "Writing a Bug Check Callback Routine"
    "spin-lock-deadlock" "A spin lock is not acquired twice" "WdfSpinLockAcquire"
    "spin-lock-held" "A callback returns without a spin lock" "Introduction to Spin Locks"
    "spin-lock-not-held" "Only a held spin lock is released" "WdfSpinLockRelease"
    "stack-misaligned" "The stack is aligned to 16 bytes at every call" "x64 stack usage; Overview of ARM64 ABI conventions"
    "stack-overflow" "24 KiB of stack are enough" "Using the Kernel Stack"
    "string-not-terminated" "Strings end" "the function's own page"
    "structure-size" "Structures have the Size that the bound framework expects" "the structure's own page"
    "unbind-without-bind" "Only what was bound is unbound" "KMDF stub: fxldr.h"
    "unmap-length" "A mapping is removed with the length that it was made with" "MmUnmapIoSpace function (wdm.h)"
    "unmap-without-map" "Only what is mapped is unmapped" "MmUnmapIoSpace function (wdm.h)"
    "x87-touched" "x87 and MMX registers are not touched" "Using Floating Point in a WDM Driver"
    "wrong-globals" "KMDF functions get the driver globals" "KMDF stub: fxldr.h"
}

/// Whether there is a rule of that name.
pub fn is_known(name: &str) -> bool {
    RULES.iter().any(|rule| rule.name == name)
}
