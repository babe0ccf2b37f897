//! What a device offers.

/// The byte that reports a panic event: exactly one bit.
///
/// QEMU acts on the lowest set bit only, and Cloud Hypervisor calls two bits at
/// once an unknown event. The third event of the specification, shutdown
/// (bit 2), is not here: it takes the power away at once, and no callback of
/// Windows is the last step of a shutdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// The guest has panicked. The host applies its policy (`on_crash`).
    Panicked = 1 << 0,
    /// The guest has panicked and handles it itself, by writing a crash dump.
    CrashLoaded = 1 << 1,
}

/// The events that a device offers and this driver reports; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability(u8);

/// Why a capability byte can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CapabilityError {
    /// 0xFF: no device decodes the address.
    NoDevice,
    /// The device offers no event that this driver reports.
    NoEvent,
}

impl Capability {
    /// What a read answers where no device decodes the address.
    pub const NO_DEVICE: u8 = 0xFF;

    const KNOWN: u8 = Event::Panicked as u8 | Event::CrashLoaded as u8;

    /// Takes the byte that was read from the device. Unknown bits are ignored.
    ///
    /// # Errors
    ///
    /// [`CapabilityError`] if there is no device or it offers no known event.
    pub const fn from_register(byte: u8) -> Result<Self, CapabilityError> {
        if byte == Self::NO_DEVICE {
            return Err(CapabilityError::NoDevice);
        }
        match byte & Self::KNOWN {
            0 => Err(CapabilityError::NoEvent),
            events => Ok(Self(events)),
        }
    }

    /// What both this device and the answer of its `RDPT` method offer, or
    /// [`None`] where that is nothing.
    #[must_use]
    pub const fn common(self, rdpt: u32) -> Option<Self> {
        match self.0 & rdpt.to_le_bytes()[0] {
            0 => None,
            events => Some(Self(events)),
        }
    }

    /// Whether the device offers `event`.
    #[must_use]
    pub const fn offers(self, event: Event) -> bool {
        self.0 & event as u8 != 0
    }

    /// The events as bits of the device's byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_taken_or_refused_for_the_right_reason() {
        for byte in 0..=u8::MAX {
            let expected = match (byte, byte & 3) {
                (0xFF, _) => Err(CapabilityError::NoDevice),
                (_, 0) => Err(CapabilityError::NoEvent),
                (_, events) => Ok(Capability(events)),
            };
            assert_eq!(Capability::from_register(byte), expected, "{byte:#04x}");
        }
    }

    #[test]
    fn an_event_is_offered_by_its_own_bit() {
        for (byte, panicked, crash_loaded) in [
            (1, true, false),
            (2, false, true),
            (3, true, true),
            (7, true, true),
            (0x81, true, false),
        ] {
            let capability = Capability::from_register(byte).expect("a known event");
            assert_eq!(capability.offers(Event::Panicked), panicked);
            assert_eq!(capability.offers(Event::CrashLoaded), crash_loaded);
        }
    }

    #[test]
    fn the_register_and_rdpt_must_have_an_event_in_common() {
        let both = Capability(3);
        assert_eq!(both.common(7), Some(both));
        assert_eq!(both.common(1), Some(Capability(1)));
        assert_eq!(both.common(4), None);
        assert_eq!(Capability(1).common(2), None);
        assert_eq!(both.common(0x100), None);
    }
}
