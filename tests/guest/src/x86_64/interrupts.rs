//! Exceptions: those of driver code go to the model, any other ends the run.
//! Interrupts stay disabled.

use super::outside;
use crate::run;
use alloc::{boxed::Box, vec, vec::Vec};
use core::{
    arch::global_asm,
    sync::atomic::{AtomicBool, Ordering},
};
use nt_model::{Registers, Trap};
use x86_64::{
    VirtAddr,
    instructions::tables::{lidt, load_tss},
    registers::{
        control::Cr8,
        segmentation::{CS, DS, ES, SS, Segment},
    },
    structures::{
        DescriptorTablePointer,
        gdt::{Descriptor, GlobalDescriptorTable, SegmentSelector},
        tss::TaskStateSegment,
    },
};

global_asm!(include_str!("exceptions.s"));

/// Bytes of the stack that exceptions run on: the model works on it.
const STACK_SIZE: usize = 64 << 10;

/// The interrupt stack table's entries: a double fault may mean that the other
/// stack is the trouble, and a non-maskable interrupt may come while that is in use.
const STACK: u16 = 0;
const DOUBLE_FAULT_STACK: u16 = 1;
const NMI_STACK: u16 = 2;

/// Vectors.
const DEBUG: u8 = 1;
const NMI: u8 = 2;
const DOUBLE_FAULT: u8 = 8;
const PAGE_FAULT: u8 = 14;
const MACHINE_CHECK: u8 = 18;

/// Vectors that are exceptions, and the bytes between their entries.
const EXCEPTIONS: u8 = 32;
const ENTRY_SIZE: usize = 16;

/// Bytes in a gate of the interrupt descriptor table.
const GATE_SIZE: u16 = 16;

/// A gate's type: present, 64-bit interrupt gate.
const INTERRUPT_GATE: u128 = 0x8E00;

/// The page fault's error code: the access was a write.
const WRITE: u64 = 2;

/// An exception is being handled: another one is the guest's own.
static BUSY: AtomicBool = AtomicBool::new(false);

unsafe extern "C" {
    /// The entries of exceptions.s.
    static exception_entries: u8;
}

/// Loads descriptor tables of the guest's own, which last for good.
pub fn enable() {
    let mut tss = TaskStateSegment::new();
    for stack in [STACK, DOUBLE_FAULT_STACK, NMI_STACK] {
        let memory = vec![0_u128; STACK_SIZE / size_of::<u128>()].leak();
        tss.interrupt_stack_table[usize::from(stack)] =
            VirtAddr::from_ptr(memory.as_ptr_range().end);
    }
    let gdt = Box::leak(Box::new(GlobalDescriptorTable::new()));
    let code = gdt.append(Descriptor::kernel_code_segment());
    let data = gdt.append(Descriptor::kernel_data_segment());
    let task = gdt.append(Descriptor::tss_segment(Box::leak(Box::new(tss))));
    gdt.load();
    // SAFETY: a flat 64-bit code segment of the table just loaded.
    unsafe { CS::set_reg(code) };
    // SAFETY: a flat data segment of the table just loaded.
    unsafe { SS::set_reg(data) };
    // SAFETY: as above.
    unsafe { DS::set_reg(data) };
    // SAFETY: as above.
    unsafe { ES::set_reg(data) };
    // SAFETY: the task state segment of the table just loaded.
    unsafe { load_tss(task) };

    let idt: &'static mut [u128] = (0..EXCEPTIONS)
        .map(|vector| {
            let stack = match vector {
                DOUBLE_FAULT => DOUBLE_FAULT_STACK,
                NMI => NMI_STACK,
                _ => STACK,
            };
            let entries = (&raw const exception_entries).addr();
            gate(entries + usize::from(vector) * ENTRY_SIZE, code, stack)
        })
        .collect::<Vec<_>>()
        .leak();
    let pointer = DescriptorTablePointer {
        limit: u16::from(EXCEPTIONS) * GATE_SIZE - 1,
        base: VirtAddr::from_ptr(idt.as_ptr()),
    };
    // SAFETY: the table lasts for good, and its gates lead to the entries.
    unsafe { lidt(&pointer) };
}

/// Makes `irql` the current IRQL.
pub fn set_irql(irql: u8) {
    Cr8::write_raw(irql.into());
}

/// An interrupt gate (Intel SDM 3, "64-Bit Mode IDT").
fn gate(handler: usize, code: SegmentSelector, stack: u16) -> u128 {
    let handler = handler as u128;
    handler & 0xFFFF
        | u128::from(code.0) << 16
        // The table's entries count from 1: 0 means the stack in use.
        | u128::from(stack + 1) << 32
        | INTERRUPT_GATE << 32
        | (handler >> 16) << 48
}

/// Where exceptions.s arrives; what it returns to is what `registers` holds at
/// the end.
#[unsafe(no_mangle)]
extern "C" fn exception(registers: &mut Registers, vector: u8, error: u64, address: u64) {
    if vector == NMI {
        outside::nmi();
        return;
    }
    let trap = match vector {
        DEBUG => Some(Trap::Step),
        PAGE_FAULT => Some(Trap::Page {
            address,
            write: error & WRITE != 0,
        }),
        // These say nothing of the code that they interrupt.
        DOUBLE_FAULT | MACHINE_CHECK => None,
        _ => Some(Trap::Exception { vector }),
    };
    let first = !BUSY.swap(true, Ordering::Relaxed);
    let handled = first && trap.is_some_and(|trap| nt_model::trap(registers, trap));
    if !handled {
        run::stop(format_args!(
            "exception {vector} in the guest at {:#x}, error code {error:#x}, CR2 {address:#x}",
            registers.rip
        ));
    }
    BUSY.store(false, Ordering::Relaxed);
}
