//! The device's one byte.

use core::{
    arch::asm,
    ffi::CStr,
    ptr::NonNull,
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

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
            Self::Memory(byte) => unsafe { byte.read_volatile() },
        }
    }

    /// Reports `event`. IRQL: any, `HIGH_LEVEL` included.
    ///
    /// On x64 the memory access needs no barrier of the processor's: the mapping
    /// is uncached, and such stores are neither delayed nor combined (Intel SDM,
    /// "Strong Uncacheable").
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
            Self::Memory(byte) => {
                // The latch is stored before the event.
                compiler_fence(SeqCst);
                // SAFETY: the caller says that the byte is mapped; mapped register
                // space is resident.
                unsafe { byte.write_volatile(event as u8) };
            }
        }
    }
}
