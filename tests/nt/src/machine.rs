//! What differs between a bare QEMU guest and a Linux process.

use alloc::{string::String, vec::Vec};
use core::ptr::NonNull;

/// How a device is attached, and what its bus driver reports of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceDescription {
    /// Instance name, for example `ACPI\QEMU0001\0` or `PCI\VEN_1B36&DEV_0011\00:04.0`.
    pub id: String,
    /// Hardware IDs, most specific first.
    pub hardware_ids: Vec<String>,
    /// The path of the device's ACPI node, where it has one (`\_SB.PCI0.S08.PEVT`).
    pub acpi_path: Option<String>,
    /// Resources that the bus driver assigns at start.
    pub resources: Vec<Resource>,
}

/// One assigned hardware resource, translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// `CmResourceTypePort`: I/O ports.
    Port {
        /// First port.
        start: u64,
        /// Number of ports.
        length: u32,
    },
    /// `CmResourceTypePort` without `CM_RESOURCE_PORT_IO`: ports that a bridge has
    /// put into memory space.
    MappedPort {
        /// First physical address.
        start: u64,
        /// Length in bytes.
        length: u32,
    },
    /// `CmResourceTypeInterrupt`.
    Interrupt {
        /// The vector.
        vector: u32,
    },
    /// `CmResourceTypeMemory`: physical memory space.
    Memory {
        /// First physical address.
        start: u64,
        /// Length in bytes.
        length: u32,
    },
}

/// A value that an ACPI control method takes or returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcpiValue {
    /// An integer.
    Integer(u64),
    /// A string, without its terminator.
    String(String),
    /// A buffer.
    Buffer(Vec<u8>),
    /// A package.
    Package(Vec<Self>),
}

/// Why a control method gave no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// The node has no object of that name.
    NotFound,
    /// The interpreter stopped with an error.
    Failed,
}

/// The access that a page of memory allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// No access at all.
    None,
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// An exception that a back end hands to [`crate::trap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A single step. [`Registers::next`](crate::Registers::next) is the instruction
    /// that comes next. A back end that emulates an instruction meanwhile hands this
    /// over after it, because the processor then reports only the instruction after
    /// that.
    Step,
    /// Driver code wrote CR8, as `KeRaiseIrql` does where it is inline, and the
    /// back end has carried that out.
    IrqlWrite {
        /// The new IRQL.
        irql: u8,
    },
    /// A page that is absent or protected.
    Page {
        /// The address that was touched.
        address: u64,
        /// Whether it was written.
        write: bool,
    },
    /// Any other exception.
    Exception {
        /// Its number: the vector on x64.
        vector: u8,
    },
}

/// Runs work on the processor of this number while all others stand still, and
/// comes back when it is done; `false` where there is no such processor.
pub type RunOn = fn(u32, &mut dyn FnMut()) -> bool;

/// What its user does to a machine to crash Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashedBy {
    /// A non-maskable interrupt.
    Nmi,
    /// Right Ctrl held and Scroll Lock pressed twice.
    Keyboard,
}

/// The machine that the model runs on.
///
/// Before a run a back end enables SSE, which driver code for Windows uses. Its
/// exception handlers need a stack of their own, because a driver may exhaust
/// its, and call [`crate::trap`] with what happened in
/// driver code and go on with the registers that it leaves.
pub trait Machine {
    /// Writes one line of the report (one JSON object, no line end).
    fn report(&mut self, line: &str);

    /// Lists the devices on all buses, afresh at each call.
    fn devices(&mut self) -> Vec<DeviceDescription>;

    /// Evaluates the control method `method` of the ACPI node `path`.
    ///
    /// # Errors
    ///
    /// [`AcpiError`] where the method does not exist or fails.
    fn evaluate(
        &mut self,
        path: &str,
        method: [u8; 4],
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, AcpiError>;

    /// Full paths of all child objects below the ACPI node `path`, with `true`
    /// for those that have children of their own or are devices.
    fn children(&mut self, path: &str) -> Vec<(String, bool)>;

    /// Maps `length` bytes of physical register space, uncached.
    fn map_registers(&mut self, physical: u64, length: usize) -> Option<NonNull<u8>>;

    /// Removes a mapping that [`Machine::map_registers`] made.
    fn unmap_registers(&mut self, address: NonNull<u8>, length: usize);

    /// Allocates zeroed, writable, page-aligned memory.
    fn allocate_pages(&mut self, pages: usize) -> Option<NonNull<u8>>;

    /// Frees what [`Machine::allocate_pages`] gave.
    fn free_pages(&mut self, start: NonNull<u8>, pages: usize);

    /// Changes the protection of pages that [`Machine::allocate_pages`] gave.
    fn protect(&mut self, start: NonNull<u8>, pages: usize, protection: Protection);

    /// Turns a PCI function's register decode on or off (command register).
    fn set_decode(&mut self, device: &DeviceDescription, on: bool);

    /// Does what the ACPI `_EJ0` of an ejected device's slot does; `false` where
    /// there is no such method.
    fn eject(&mut self, device: &DeviceDescription) -> bool;

    /// Waits until the host has done what the report asks it for: in a guest, for
    /// a byte on the serial port. In a process there is nobody to wait for.
    fn wait_for_host(&mut self);

    /// Stands idle until the machine's user crashes it; `None` where nobody can.
    fn idle(&mut self) -> Option<CrashedBy> {
        None
    }

    /// How work gets to another processor. A function of its own, because the work
    /// uses the machine.
    fn run_on(&self) -> RunOn;

    /// Makes `irql` the current IRQL: CR8 in a guest, remembered in a process,
    /// where `mov reg, cr8` traps and has to be answered.
    fn set_irql(&mut self, irql: u8);
}
