//! Why a device does not start.

use pvpanic_protocol::capability::CapabilityError;
use wdk_sys::{
    NTSTATUS, STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_DEVICE_FEATURE_NOT_SUPPORTED,
    STATUS_DRIVER_INTERNAL_ERROR, STATUS_INSUFFICIENT_RESOURCES, STATUS_IO_DEVICE_INVALID_DATA,
    STATUS_NO_SUCH_DEVICE, STATUS_RESOURCE_TYPE_NOT_FOUND,
};

/// A reason, with an NTSTATUS of its own: what Device Manager and
/// `DEVPKEY_Device_ProblemStatus` show beside code 10.
#[derive(Clone, Copy, Debug)]
pub enum Refusal {
    /// The device has neither a port nor a memory resource.
    NoResource,
    /// The port or memory resource can't hold the register.
    BadResource,
    /// Windows could not map the register. Passing: worth another try.
    NotMapped,
    /// The read answered 0xFF: no device decodes the address.
    NoDevice,
    /// The device offers no event that this driver reports.
    NoEvent,
    /// `RDPT` and the register offer no event in common.
    Contradiction,
    /// Windows registered none of the bug-check callbacks.
    NotRegistered,
}

impl Refusal {
    /// The status that `EvtDevicePrepareHardware` answers.
    pub const fn status(self) -> NTSTATUS {
        match self {
            Self::NoResource => STATUS_RESOURCE_TYPE_NOT_FOUND,
            Self::BadResource => STATUS_DEVICE_CONFIGURATION_ERROR,
            Self::NotMapped => STATUS_INSUFFICIENT_RESOURCES,
            Self::NoDevice => STATUS_NO_SUCH_DEVICE,
            Self::NoEvent => STATUS_DEVICE_FEATURE_NOT_SUPPORTED,
            Self::Contradiction => STATUS_IO_DEVICE_INVALID_DATA,
            Self::NotRegistered => STATUS_DRIVER_INTERNAL_ERROR,
        }
    }

    /// Whether another try can't succeed, so that the framework must not make
    /// its five.
    pub const fn is_lasting(self) -> bool {
        !matches!(self, Self::NotMapped)
    }
}

impl From<CapabilityError> for Refusal {
    fn from(error: CapabilityError) -> Self {
        match error {
            CapabilityError::NoDevice => Self::NoDevice,
            CapabilityError::NoEvent => Self::NoEvent,
        }
    }
}
