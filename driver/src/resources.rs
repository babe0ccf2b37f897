//! Finds the register among a device's resources.

use core::ptr::NonNull;

use wdk_sys::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CmResourceTypeMemory, PAGE_NOCACHE, PAGE_READWRITE,
    PHYSICAL_ADDRESS, ULONG, WDFCMRESLIST, call_unsafe_wdf_function_binding,
    ntddk::{MmMapIoSpaceEx, MmUnmapIoSpace},
};
#[cfg(target_arch = "x86_64")]
use wdk_sys::{CM_RESOURCE_PORT_IO, CmResourceTypePort};

use crate::{refusal::Refusal, register::Register};

/// Bytes that the driver maps: the register and nothing beside it.
const LENGTH: u64 = 1;

/// A device's register, with what has to be undone.
#[derive(Clone, Copy)]
pub struct Hardware {
    /// The register.
    pub register: Register,
    /// The port or physical address, as Device Manager shows it.
    pub address: u64,
}

impl Hardware {
    /// Takes the first port or memory resource; memory is mapped until
    /// [`Self::release`]. ARM64 has no ports, and a port resource is passed over.
    ///
    /// IRQL: `PASSIVE_LEVEL`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is none, if it can't hold the register, or if
    /// Windows can't map it.
    ///
    /// # Safety
    ///
    /// `translated` must be the list that `EvtDevicePrepareHardware` was given.
    pub unsafe fn find(translated: WDFCMRESLIST) -> Result<Self, Refusal> {
        // SAFETY: the list is valid in this callback, says the caller.
        let count =
            unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetCount, translated) };
        for index in 0..count {
            // SAFETY: as above; the index is below the count.
            let descriptor = unsafe {
                call_unsafe_wdf_function_binding!(WdfCmResourceListGetDescriptor, translated, index)
            };
            // SAFETY: null, or a descriptor that lives as long as the list.
            if let Some(descriptor) = unsafe { descriptor.as_ref() } {
                let kind = u32::from(descriptor.Type);
                #[cfg(target_arch = "x86_64")]
                if kind == CmResourceTypePort {
                    return Self::from_port(descriptor);
                }
                if kind == CmResourceTypeMemory {
                    return Self::from_memory(descriptor);
                }
            }
        }
        Err(Refusal::NoResource)
    }

    #[cfg(target_arch = "x86_64")]
    fn from_port(descriptor: &CM_PARTIAL_RESOURCE_DESCRIPTOR) -> Result<Self, Refusal> {
        // SAFETY: the type of the descriptor says that this member is the valid one.
        let port = unsafe { descriptor.u.Port };
        if u32::from(descriptor.Flags) & CM_RESOURCE_PORT_IO == 0 {
            return Self::map(port.Start, port.Length);
        }
        // SAFETY: every member of `PHYSICAL_ADDRESS` is the same eight bytes.
        let address = unsafe { port.Start.QuadPart }.cast_unsigned();
        let register = u16::try_from(address).map_err(|_| Refusal::BadResource)?;
        if port.Length == 0 {
            return Err(Refusal::BadResource);
        }
        Ok(Self {
            register: Register::Port(register),
            address,
        })
    }

    fn from_memory(descriptor: &CM_PARTIAL_RESOURCE_DESCRIPTOR) -> Result<Self, Refusal> {
        // SAFETY: the type of the descriptor says that this member is the valid one.
        let memory = unsafe { descriptor.u.Memory };
        Self::map(memory.Start, memory.Length)
    }

    /// Maps the first byte of a range that Windows assigned to the device.
    fn map(start: PHYSICAL_ADDRESS, length: ULONG) -> Result<Self, Refusal> {
        if length == 0 {
            return Err(Refusal::BadResource);
        }
        // SAFETY: the range is the device's, so that it may be mapped uncached
        // (Microsoft, "`MmMapIoSpaceEx`").
        let mapped = unsafe { MmMapIoSpaceEx(start, LENGTH, PAGE_READWRITE | PAGE_NOCACHE) };
        let byte = NonNull::new(mapped.cast()).ok_or(Refusal::NotMapped)?;
        Ok(Self {
            register: Register::Memory(byte),
            // SAFETY: every member of `PHYSICAL_ADDRESS` is the same eight bytes.
            address: unsafe { start.QuadPart }.cast_unsigned(),
        })
    }

    /// Unmaps what [`Self::find`] mapped. IRQL: `PASSIVE_LEVEL`.
    ///
    /// # Safety
    ///
    /// The register must not be used any more.
    pub unsafe fn release(self) {
        match self.register {
            #[cfg(target_arch = "x86_64")]
            Register::Port(_) => {}
            Register::Memory(byte) => {
                // SAFETY: `find` mapped it with this length, and nobody uses it.
                unsafe { MmUnmapIoSpace(byte.as_ptr().cast(), LENGTH) };
            }
        }
    }
}
