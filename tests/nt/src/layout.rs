//! Structures that the driver and Windows share, as the headers of the Windows
//! driver kit lay them out on x64.

use crate::memory::Plain;

macro_rules! structures {
    ($($(#[$doc:meta])* $name:ident = $size:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }
        const _: () = assert!(size_of::<$name>() == $size);
        // SAFETY: a structure of integers alone.
        unsafe impl Plain for $name {}
    )*};
}

structures! {
    /// `KBUGCHECK_CALLBACK_RECORD`.
    CallbackRecord = 0x40 {
        flink: u64, blink: u64, routine: u64, buffer: u64, length: u32, reserved: u32,
        component: u64, checksum: u64, state: u8, padding: [u8; 7],
    }
    /// `KBUGCHECK_REASON_CALLBACK_RECORD`.
    ReasonRecord = 0x30 {
        flink: u64, blink: u64, routine: u64, component: u64, checksum: u64,
        reason: u32, state: u8, padding: [u8; 3],
    }
    /// `KBUGCHECK_DUMP_IO`.
    DumpIo = 24 { offset: u64, buffer: u64, length: u32, kind: u32, }
    /// `KBUGCHECK_SECONDARY_DUMP_DATA`.
    SecondaryDumpData = 48 {
        in_buffer: u64, in_length: u32, maximum: u32, guid: [u64; 2], out_buffer: u64,
        out_length: u32, padding: u32,
    }
    /// `KBUGCHECK_ADD_PAGES`.
    AddPages = 32 { context: u64, flags: u32, code: u32, address: u64, count: u64, }
    /// `KBUGCHECK_TRIAGE_DUMP_DATA`.
    TriageDumpData = 56 {
        array: u64, flags: u32, maximum: u32, code: u32, padding: u32, parameters: [u64; 4],
    }
    /// `WDF_BIND_INFO`.
    BindInfo = 48 {
        size: u32, padding: u32, component: u64, major: u32, minor: u32, build: u32,
        function_count: u32, function_table: u64, module: u64,
    }
    /// What follows [`BindInfo`] from KMDF 1.25 on.
    BindInfo2 = 40 {
        minimum_version: u64, client_version_higher: u64, function_count: u64,
        structure_count: u64, structure_table: u64,
    }
    /// `WDF_DRIVER_CONFIG`.
    DriverConfig = 32 { size: u32, padding: u32, device_add: u64, unload: u64, flags: u32, tag: u32, }
    /// `WDF_OBJECT_ATTRIBUTES`.
    ObjectAttributes = 56 {
        size: u32, padding: u32, cleanup: u64, destroy: u64, execution: u32, scope: u32,
        parent: u64, context_size: u64, context_type: u64,
    }
    /// `WDF_OBJECT_CONTEXT_TYPE_INFO`.
    ContextTypeInfo = 40 {
        size: u32, padding: u32, name: u64, context_size: u64, unique: u64, get_unique: u64,
    }
    /// `WDF_PNPPOWER_EVENT_CALLBACKS`.
    PnpPowerCallbacks = 144 {
        size: u32, padding: u32, d0_entry: u64, d0_entry_post: u64, d0_exit: u64, d0_exit_pre: u64,
        prepare: u64, release: u64, io_cleanup: u64, io_flush: u64, io_init: u64, io_suspend: u64,
        io_restart: u64, surprise_removal: u64, query_remove: u64, query_stop: u64,
        usage: u64, relations: u64, usage_ex: u64,
    }
    /// `WDF_FILEOBJECT_CONFIG`.
    FileObjectConfig = 40 {
        size: u32, padding: u32, create: u64, close: u64, cleanup: u64, forward: u32, class: u32,
    }
    /// `WDF_DEVICE_PROPERTY_DATA`.
    DevicePropertyData = 24 { size: u32, padding: u32, key: u64, lcid: u32, flags: u32, }
    /// `WDF_MEMORY_DESCRIPTOR`.
    MemoryDescriptor = 24 { kind: u32, padding: u32, buffer: u64, length: u64, }
    /// `CM_PARTIAL_RESOURCE_DESCRIPTOR` (packed to 4 bytes in the kit).
    ResourceDescriptor = 20 {
        kind: u8, share: u8, flags: u16, start_low: u32, start_high: u32, length: u32, last: u32,
    }
    /// `EVENT_DESCRIPTOR`.
    EventDescriptor = 16 {
        id: u16, version: u8, channel: u8, level: u8, opcode: u8, task: u16, keyword: u64,
    }
    /// `EVENT_DATA_DESCRIPTOR`.
    EventData = 16 { pointer: u64, size: u32, kind: u32, }
}
