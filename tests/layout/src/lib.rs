//! Compile-time comparison of the kernel's structures: those that `wdk-sys`
//! generates from the kit's headers against `windows-sys`, which is generated
//! from Microsoft's own metadata. A wrong header stops the build here, and not
//! a Windows machine.
//!
//! Compared are size, alignment and the offset of every field that both name.
//! Built for Windows only, on x64 and on ARM64.
#![no_std]
#![cfg(windows)]

use windows_sys::{
    Wdk::{Foundation as wdk, System::SystemServices as services},
    Win32::{Foundation as win32, System::Kernel as kernel},
};

/// Holds each structure against its counterpart.
macro_rules! same {
    ($($name:ident in $module:ident { $($field:ident)+ })+) => {$(
        const _: () = {
            use wdk_sys::$name as Ours;
            use $module::$name as Theirs;
            assert!(
                size_of::<Ours>() == size_of::<Theirs>(),
                concat!("the size of ", stringify!($name), " differs from Microsoft's metadata")
            );
            assert!(
                align_of::<Ours>() == align_of::<Theirs>(),
                concat!("the alignment of ", stringify!($name), " differs from Microsoft's metadata")
            );
            $(assert!(
                core::mem::offset_of!(Ours, $field) == core::mem::offset_of!(Theirs, $field),
                concat!(
                    "the offset of ", stringify!($name), ".", stringify!($field),
                    " differs from Microsoft's metadata"
                )
            );)+
        };
    )+};
}

// Bug checks.
same! {
    KBUGCHECK_CALLBACK_RECORD in services {
        Entry CallbackRoutine Buffer Length Component Checksum State
    }
    KBUGCHECK_REASON_CALLBACK_RECORD in services {
        Entry CallbackRoutine Component Checksum Reason State
    }
    KBUGCHECK_DUMP_IO in services { Offset Buffer BufferLength Type }
    KBUGCHECK_SECONDARY_DUMP_DATA in services {
        InBuffer InBufferLength MaximumAllowed Guid OutBuffer OutBufferLength
    }
    KBUGCHECK_ADD_PAGES in services { Context Flags BugCheckCode Address Count }
    KBUGCHECK_TRIAGE_DUMP_DATA in services {
        DataArray Flags MaxVirtMemSize BugCheckCode
        BugCheckParameter1 BugCheckParameter2 BugCheckParameter3 BugCheckParameter4
    }
}

// Hardware resources. The metadata knows no packing that depends on the
// processor: it has `Port` and `Memory` packed to four bytes, as the header's
// directive around the whole definition demands, but not `Interrupt`, whose
// `Affinity` is a pointer wide. Its union is aligned to eight bytes then, and
// nothing behind it is where Windows has it. So the parts are compared, and the
// whole follows from the packing.
const _: () = {
    use core::mem::offset_of;
    use services::CM_PARTIAL_RESOURCE_DESCRIPTOR as Theirs;
    use services::CM_PARTIAL_RESOURCE_DESCRIPTOR_0_1 as TheirPort;
    use wdk_sys::_CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1 as OurUnion;
    use wdk_sys::_CM_PARTIAL_RESOURCE_DESCRIPTOR__bindgen_ty_1__bindgen_ty_2 as OurPort;
    use wdk_sys::CM_PARTIAL_RESOURCE_DESCRIPTOR as Ours;

    assert!(
        size_of::<OurPort>() == size_of::<TheirPort>(),
        "the size of u.Port differs"
    );
    assert!(
        align_of::<OurPort>() == align_of::<TheirPort>(),
        "the alignment of u.Port differs"
    );
    assert!(
        offset_of!(OurPort, Length) == offset_of!(TheirPort, Length),
        "the offset of u.Port.Length differs"
    );
    assert!(
        offset_of!(Ours, Flags) == offset_of!(Theirs, Flags),
        "the offset of Flags differs"
    );
    assert!(
        align_of::<OurUnion>() == align_of::<TheirPort>(),
        "the union is not packed as its parts"
    );
    assert!(offset_of!(Ours, u) == 4, "the union does not follow Flags");
    assert!(size_of::<Ours>() == 20, "a descriptor is not 20 bytes");
    assert!(
        offset_of!(wdk_sys::CM_PARTIAL_RESOURCE_LIST, PartialDescriptors) == 8,
        "the list"
    );
    assert!(
        offset_of!(wdk_sys::CM_FULL_RESOURCE_DESCRIPTOR, PartialResourceList) == 8,
        "the full list"
    );
    assert!(
        offset_of!(wdk_sys::CM_RESOURCE_LIST, List) == 4,
        "the resource list"
    );
};

// Drivers, devices and requests.
same! {
    DRIVER_OBJECT in wdk {
        Type Size DeviceObject Flags DriverStart DriverSize DriverSection DriverExtension
        DriverName HardwareDatabase FastIoDispatch DriverInit DriverStartIo DriverUnload
        MajorFunction
    }
    DRIVER_EXTENSION in wdk { DriverObject AddDevice Count ServiceKeyName }
    DEVICE_OBJECT in wdk {
        Type Size ReferenceCount DriverObject NextDevice AttachedDevice CurrentIrp Timer Flags
        Characteristics Vpb DeviceExtension DeviceType StackSize Queue AlignmentRequirement
        DeviceQueue Dpc ActiveThreadCount SecurityDescriptor DeviceLock SectorSize Spare1
        DeviceObjectExtension Reserved
    }
    FILE_OBJECT in wdk {
        Type Size DeviceObject Vpb FsContext FsContext2 SectionObjectPointer PrivateCacheMap
        FinalStatus RelatedFileObject LockOperation DeletePending ReadAccess WriteAccess
        DeleteAccess SharedRead SharedWrite SharedDelete Flags FileName CurrentByteOffset Waiters
        Busy LastLock Lock Event CompletionContext IrpListLock IrpList FileObjectExtension
    }
    IRP in wdk {
        Type Size MdlAddress Flags AssociatedIrp ThreadListEntry IoStatus RequestorMode
        PendingReturned StackCount CurrentLocation Cancel CancelIrql ApcEnvironment
        AllocationFlags UserEvent Overlay CancelRoutine UserBuffer Tail
    }
    IO_STACK_LOCATION in wdk {
        MajorFunction MinorFunction Flags Control Parameters DeviceObject FileObject
        CompletionRoutine Context
    }
    DEVICE_CAPABILITIES in services {
        Size Version Address UINumber DeviceState SystemWake DeviceWake D1Latency D2Latency
        D3Latency
    }
    INTERFACE in services { Size Version Context InterfaceReference InterfaceDereference }
}

// What all of them are made of.
same! {
    UNICODE_STRING in win32 { Length MaximumLength Buffer }
    LIST_ENTRY in kernel { Flink Blink }
    DEVPROPKEY in win32 { fmtid pid }
    OBJECT_ATTRIBUTES in wdk {
        Length RootDirectory ObjectName Attributes SecurityDescriptor SecurityQualityOfService
    }
    MDL in wdk { Next Size MdlFlags Process MappedSystemVa StartVa ByteCount ByteOffset }
    KEVENT in wdk { Header }
    // Period is missing: the metadata has the 32-bit layout there.
    KTIMER in services { Header DueTime TimerListEntry Dpc }
    KDPC in wdk {
        DpcListEntry DeferredRoutine DeferredContext SystemArgument1 SystemArgument2 DpcData
    }
    DISPATCHER_HEADER in wdk { SignalState WaitListHead }
    KEY_VALUE_PARTIAL_INFORMATION in services { TitleIndex Type DataLength Data }
}
