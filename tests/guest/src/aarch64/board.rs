//! The board, as its device tree describes it (Devicetree Specification 0.4;
//! Linux: Documentation/devicetree/bindings).

use alloc::vec::Vec;
use core::{array, ops::Range};
use dtoolkit::{Node, Property, fdt::Fdt, fdt::FdtNode, standard::NodeStandard};
use nt_model::Resource;
use spinning_top::Spinlock;

use crate::{machine::Platform, run::Region};

/// Where QEMU puts the tree for an ELF image: the start of memory.
const TREE: usize = 0x4000_0000;

/// The most processors that are started.
const PROCESSORS: usize = 8;

/// Bits of a PCI address's first cell that name the space, and the 32-bit memory
/// space (IEEE 1275 PCI bus binding, 2.2.1.1).
const SPACE: u128 = 0x0300_0000 << 64;
const MEMORY_SPACE: u128 = 0x0200_0000 << 64;

/// What is where.
#[derive(Clone)]
pub struct Board {
    /// Usable memory.
    pub memory: Region,
    /// The registers of the serial port, a PL011.
    pub uart: usize,
    /// The registers of `fw_cfg`.
    pub fw_cfg: usize,
    /// PCI configuration space, and the memory that the host bridge decodes.
    pub configuration: Option<Range<u64>>,
    window: Option<(u64, u32)>,
    /// The processors' identifications, as PSCI takes them.
    pub processors: [Option<u64>; PROCESSORS],
    /// Whether PSCI is reached by HVC, else by SMC.
    pub hypervisor_call: bool,
}

static BOARD: Spinlock<Option<Board>> = Spinlock::new(None);

/// The board that [`find`] found.
pub fn board() -> Option<Board> {
    BOARD.lock().clone()
}

/// Reads the device tree. `None` where it lacks memory, serial port or `fw_cfg`.
///
/// # Safety
///
/// The machine has just started, with the first 4 GiB mapped.
pub unsafe fn find() -> Option<Board> {
    let start = core::ptr::with_exposed_provenance(TREE);
    // SAFETY: QEMU has put the tree there, and memory follows it.
    let tree = unsafe { Fdt::from_raw(start) }.ok()?;
    let root = tree.root();
    let memory = first_range(root.child("memory")?)?;
    let bridge = compatible(&root, "pci-host-ecam-generic");
    let cpus = tree.cpus().ok()?;
    let mut processors = cpus.cpus().fuse().filter_map(|cpu| {
        let address: u64 = cpu.reg().ok()??.next()?.address().ok()?;
        Some(address)
    });
    let board = Board {
        memory: usize::try_from(memory.start).ok()?..usize::try_from(memory.end).ok()?,
        uart: registers(&root, "arm,pl011")?,
        fw_cfg: registers(&root, "qemu,fw-cfg-mmio")?,
        configuration: bridge.and_then(first_range),
        window: bridge.and_then(memory_window),
        processors: array::from_fn(|_| processors.next()),
        hypervisor_call: root
            .child("psci")
            .and_then(|node| node.property("method")?.value_as::<&str>().ok())
            == Some("hvc"),
    };
    *BOARD.lock() = Some(board.clone());
    Some(board)
}

/// The first range of a node's registers.
fn first_range(node: FdtNode<'_>) -> Option<Range<u64>> {
    let register = node.reg().ok()??.next()?;
    let start: u64 = register.address().ok()?;
    let length: u64 = register.size().ok()?;
    Some(start..start.checked_add(length)?)
}

/// The node below the root that is compatible with `name`.
fn compatible<'a>(root: &FdtNode<'a>, name: &str) -> Option<FdtNode<'a>> {
    root.children().find(|node| node.is_compatible(name))
}

/// Where the registers of such a node begin.
fn registers(root: &FdtNode<'_>, name: &str) -> Option<usize> {
    usize::try_from(first_range(compatible(root, name)?)?.start).ok()
}

/// The 32-bit memory that a PCI host bridge decodes.
fn memory_window(bridge: FdtNode<'_>) -> Option<(u64, u32)> {
    bridge.ranges().ok()??.find_map(|range| {
        let child: u128 = range.child_bus_address().ok()?;
        let start: u64 = range.parent_bus_address().ok()?;
        let length: u64 = range.length().ok()?;
        let length = u32::try_from(length).ok()?;
        (child & SPACE == MEMORY_SPACE).then_some((start, length))
    })
}

impl Platform for Board {
    fn host_windows(&self) -> Vec<Resource> {
        self.window
            .map(|(start, length)| Resource::Memory { start, length })
            .into_iter()
            .collect()
    }
}
