//! The device's one byte.

#[cfg(target_arch = "x86_64")]
use core::sync::atomic::{Ordering::SeqCst, compiler_fence};
use core::{arch::asm, ffi::CStr, ptr::NonNull};

use pvpanic_protocol::capability::Event;

/// The register: an I/O port or a mapped byte. Accesses are one byte wide,
/// because crosvm ignores any other and wide writes split into several events.
#[derive(Clone, Copy, Debug)]
pub enum Register {
    /// An I/O port.
    #[cfg(target_arch = "x86_64")]
    Port(u16),
    /// A byte of register space, mapped uncached.
    Memory(NonNull<u8>),
}

impl Register {
    /// Where the register is, in a word.
    pub const fn bus(self) -> &'static CStr {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Port(_) => c"port",
            Self::Memory(_) => c"memory",
        }
    }

    /// Reads the capability byte. IRQL: any.
    ///
    /// # Safety
    ///
    /// The port must be assigned to this device, or the byte mapped.
    pub unsafe fn read(self) -> u8 {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Port(port) => {
                let byte;
                // SAFETY: Windows assigned the port to this device, so that a read
                // of it disturbs nobody (`READ_PORT_UCHAR` is this instruction).
                unsafe {
                    asm!("in al, dx", in("dx") port, out("al") byte,
                        options(nostack, preserves_flags));
                }
                byte
            }
            // SAFETY: the caller says that the byte is mapped.
            Self::Memory(byte) => unsafe { load(byte) },
        }
    }

    /// Reports `event`. IRQL: any, `HIGH_LEVEL` included.
    ///
    /// # Safety
    ///
    /// The port must be assigned to this device, or the byte mapped.
    #[inline]
    pub unsafe fn write(self, event: Event) {
        match self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: Windows assigned the port to this device; `out` needs no lock
            // and no memory, so that `HIGH_LEVEL` allows it (`WRITE_PORT_UCHAR` is
            // this instruction). Not `nomem`: the latch is stored before.
            Self::Port(port) => unsafe {
                asm!("out dx, al", in("dx") port, in("al") event as u8,
                    options(nostack, preserves_flags));
            },
            // SAFETY: the caller says that the byte is mapped; mapped register space
            // is resident.
            Self::Memory(byte) => unsafe { store(byte, event as u8) },
        }
    }
}

/// `READ_REGISTER_UCHAR`.
///
/// # Safety
///
/// `byte` must be mapped.
#[cfg(target_arch = "x86_64")]
unsafe fn load(byte: NonNull<u8>) -> u8 {
    // SAFETY: it is mapped, says the caller.
    unsafe { byte.read_volatile() }
}

/// `WRITE_REGISTER_UCHAR`. No barrier of the processor's is needed: the mapping
/// is uncached, and such stores are neither delayed nor combined (Intel SDM,
/// "Strong Uncacheable").
///
/// # Safety
///
/// `byte` must be mapped.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn store(byte: NonNull<u8>, value: u8) {
    // The latch is stored before the event.
    compiler_fence(SeqCst);
    // SAFETY: it is mapped, says the caller.
    unsafe { byte.write_volatile(value) };
}

/// `READ_REGISTER_UCHAR`: Microsoft's wdm.h has a `dsb`, then the load. The
/// instruction is written out for the reason that [`store`] has.
///
/// # Safety
///
/// `byte` must be mapped.
#[cfg(target_arch = "aarch64")]
unsafe fn load(byte: NonNull<u8>) -> u8 {
    let value: u32;
    // SAFETY: it is mapped, says the caller.
    unsafe {
        asm!("dsb sy", "ldrb {value:w}, [{byte}]",
            byte = in(reg) byte.as_ptr(), value = lateout(reg) value,
            options(nostack, preserves_flags));
    }
    value.to_le_bytes()[0]
}

/// `WRITE_REGISTER_UCHAR`, and a second barrier.
///
/// - The first `dsb` is Microsoft's (wdm.h for ARM64): what was stored before,
///   the latch, is complete before the event. Without a barrier nothing orders an
///   access to normal memory with one to a device. `dmb` would do; Microsoft's
///   function has `dsb`.
/// - The second completes the store itself: a `dsb` completes when the accesses
///   before it have (Arm ARM, "Data Synchronization Barrier"). Windows may restart
///   the machine next, by a call to the firmware, which is ordered with no access.
/// - The instruction is written out: a store with write-back, which a compiler may
///   choose, does not tell a hypervisor what it stores (Arm ARM, `ISV` of a data
///   abort's syndrome), and KVM emulates no such store.
///
/// # Safety
///
/// `byte` must be mapped.
#[cfg(target_arch = "aarch64")]
#[inline]
unsafe fn store(byte: NonNull<u8>, value: u8) {
    // SAFETY: it is mapped, says the caller; barriers need nothing. Not `nomem`:
    // the latch is stored before.
    unsafe {
        asm!("dsb sy", "strb {value:w}, [{byte}]", "dsb sy",
            byte = in(reg) byte.as_ptr(), value = in(reg) u32::from(value),
            options(nostack, preserves_flags));
    }
}
