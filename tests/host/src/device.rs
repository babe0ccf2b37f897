//! Simulated devices with one register byte each, and what their bus says of them.

use std::{cell::RefCell, fmt, str::FromStr};

use nt_model::{AcpiError, AcpiValue, DeviceDescription, Resource, Target};

/// Where a register is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At I/O ports from this one on.
    Port(u16),
    /// At physical memory from this address on.
    Memory(u64),
}

/// What a device's ACPI method does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acpi {
    /// There is no such method.
    Missing,
    /// It stops with an error.
    Fails,
    /// It gives this value.
    Gives(AcpiValue),
}

/// A simulated device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Instance name.
    pub id: String,
    /// Hardware IDs, most specific first.
    pub hardware_ids: Vec<String>,
    /// Where its register is.
    pub place: Place,
    /// How many ports or bytes its resource has.
    pub length: u32,
    /// What reading the register gives.
    pub capability: u8,
    /// Its ACPI node.
    pub acpi_path: Option<String>,
    /// What its method RDPT does.
    pub rdpt: Acpi,
    /// Whether it has a method WRPT.
    pub wrpt: bool,
    /// Resources in place of its own, for drivers that must cope with any.
    pub resources: Option<Vec<Resource>>,
}

/// A device description that can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceError(String);

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "device {}", self.0)
    }
}

impl std::error::Error for DeviceError {}

impl Device {
    /// The ACPI device of QEMU at `port`, offering `capability`.
    #[must_use]
    pub fn isa(port: u16, capability: u8) -> Self {
        Self {
            id: "ACPI\\QEMU0001\\0".into(),
            hardware_ids: vec![
                "ACPI\\VEN_QEMU&DEV_0001".into(),
                "ACPI\\QEMU0001".into(),
                "*QEMU0001".into(),
            ],
            place: Place::Port(port),
            length: 1,
            capability,
            acpi_path: Some("\\_SB.PCI0.S08.PEVT".into()),
            rdpt: Acpi::Gives(AcpiValue::Integer(capability.into())),
            wrpt: true,
            resources: None,
        }
    }

    /// The PCI device of QEMU in slot `slot` with its register at `address`.
    #[must_use]
    pub fn pci(slot: u8, address: u64, capability: u8) -> Self {
        Self {
            id: format!("PCI\\VEN_1B36&DEV_0011&SUBSYS_11001AF4&REV_01\\{slot:02x}"),
            hardware_ids: vec![
                "PCI\\VEN_1B36&DEV_0011&SUBSYS_11001AF4&REV_01".into(),
                "PCI\\VEN_1B36&DEV_0011&SUBSYS_11001AF4".into(),
                "PCI\\VEN_1B36&DEV_0011&REV_01".into(),
                "PCI\\VEN_1B36&DEV_0011".into(),
                "PCI\\VEN_1B36&DEV_0011&CC_088000".into(),
                "PCI\\VEN_1B36&DEV_0011&CC_0880".into(),
            ],
            place: Place::Memory(address),
            length: 2,
            capability,
            acpi_path: None,
            rdpt: Acpi::Missing,
            wrpt: false,
            resources: None,
        }
    }

    fn description(&self) -> DeviceDescription {
        let own = match self.place {
            Place::Port(port) => Resource::Port {
                start: port.into(),
                length: self.length,
            },
            Place::Memory(start) => Resource::Memory {
                start,
                length: self.length,
            },
        };
        DeviceDescription {
            id: self.id.clone(),
            hardware_ids: self.hardware_ids.clone(),
            acpi_path: self.acpi_path.clone(),
            resources: self.resources.clone().unwrap_or_else(|| vec![own]),
        }
    }
}

/// `isa` or `pci`, then `capability=N`, `port=N` or `address=N` and `slot=N`,
/// `length=N`, `rdpt=N|none|fails`, `wrpt=yes|no`, separated by commas.
impl FromStr for Device {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        let bad = |what: &str| DeviceError(format!("{text}: {what}"));
        let number = |word: &str| {
            word.strip_prefix("0x")
                .map_or_else(|| word.parse(), |digits| u64::from_str_radix(digits, 16))
                .map_err(|_| bad(&format!("\"{word}\" is no number")))
        };
        let small = |word: &str| {
            u16::try_from(number(word)?).map_err(|_| bad(&format!("{word} is too large")))
        };
        let byte = |word: &str| {
            u8::try_from(number(word)?).map_err(|_| bad(&format!("{word} is more than a byte")))
        };
        let mut words = text.split(',');
        let mut device = match words.next() {
            Some("isa") => Self::isa(0x505, 3),
            Some("pci") => Self::pci(4, 0xFEBF_1000, 3),
            _ => return Err(bad("it begins with isa or pci")),
        };
        let mut rdpt = None;
        for word in words {
            match (word.split_once('='), device.place) {
                (Some(("capability", value)), _) => device.capability = byte(value)?,
                (Some(("port", value)), Place::Port(_)) => {
                    device.place = Place::Port(small(value)?);
                }
                (Some(("address", value)), Place::Memory(_)) => {
                    device.place = Place::Memory(number(value)?);
                }
                (Some(("slot", value)), Place::Memory(address)) => {
                    let made = Self::pci(byte(value)?, address, device.capability);
                    device.id = made.id;
                }
                (Some(("length", value)), _) => {
                    device.length = u32::try_from(number(value)?).unwrap_or(u32::MAX);
                }
                (Some(("rdpt", "none")), _) => rdpt = Some(Acpi::Missing),
                (Some(("rdpt", "fails")), _) => rdpt = Some(Acpi::Fails),
                (Some(("rdpt", value)), _) => {
                    rdpt = Some(Acpi::Gives(AcpiValue::Integer(number(value)?)));
                }
                (Some(("wrpt", value @ ("yes" | "no"))), _) => device.wrpt = value == "yes",
                _ => {
                    return Err(bad(&format!(
                        "\"{word}\" is not capability=N, port=N (isa), address=N or slot=N \
                         (pci), length=N, rdpt=N|none|fails or wrpt=yes|no"
                    )));
                }
            }
        }
        if device.acpi_path.is_some() {
            device.rdpt =
                rdpt.unwrap_or_else(|| Acpi::Gives(AcpiValue::Integer(device.capability.into())));
        }
        Ok(device)
    }
}

/// A write to a register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The device, by its instance name; empty where none decodes that place.
    pub device: String,
    /// The port or physical address.
    pub at: Place,
    /// Width in bytes.
    pub width: u8,
    /// The value.
    pub value: u64,
}

/// All devices.
#[derive(Debug, Default)]
pub struct Bus {
    devices: Vec<(Device, bool)>,
    /// Where mappings are: address in the process, physical address, length.
    mappings: Vec<(u64, u64, u64)>,
    writes: Vec<Write>,
    /// The IRQL that `mov reg, cr8` reads.
    pub irql: u8,
}

thread_local! {
    static BUS: RefCell<Bus> = RefCell::default();
}

/// Does something with the bus of this thread.
pub fn with_bus<R>(action: impl FnOnce(&mut Bus) -> R) -> R {
    BUS.with(|bus| action(&mut bus.borrow_mut()))
}

impl Bus {
    /// A bus with `devices`.
    #[must_use]
    pub fn new(devices: &[Device]) -> Self {
        Self {
            devices: devices
                .iter()
                .map(|device| (device.clone(), true))
                .collect(),
            ..Self::default()
        }
    }

    /// Takes what was written so far.
    pub fn take_writes(&mut self) -> Vec<Write> {
        core::mem::take(&mut self.writes)
    }

    /// What the buses list.
    #[must_use]
    pub fn descriptions(&self) -> Vec<DeviceDescription> {
        let devices = self.devices.iter();
        devices.map(|(device, _)| device.description()).collect()
    }

    /// Turns the decoding of a device's memory on or off.
    pub fn set_decode(&mut self, id: &str, on: bool) {
        for (device, decode) in &mut self.devices {
            // Ports of the system board are decoded always.
            if device.id == id && matches!(device.place, Place::Memory(_)) {
                *decode = on;
            }
        }
    }

    /// Takes a device away; `false` where there is none.
    pub fn eject(&mut self, id: &str) -> bool {
        let before = self.devices.len();
        self.devices.retain(|(device, _)| device.id != id);
        self.devices.len() < before
    }

    /// Notes a mapping.
    pub fn map(&mut self, address: u64, physical: u64, length: u64) {
        self.mappings.push((address, physical, length));
    }

    /// Forgets a mapping.
    pub fn unmap(&mut self, address: u64) {
        self.mappings.retain(|mapping| mapping.0 != address);
    }

    /// Evaluates a method of the node `path`.
    ///
    /// # Errors
    ///
    /// [`AcpiError`] where it is missing or fails.
    pub fn evaluate(
        &mut self,
        path: &str,
        method: [u8; 4],
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, AcpiError> {
        let found = self
            .devices
            .iter()
            .map(|(device, _)| device)
            .find(|device| device.acpi_path.as_deref() == Some(path));
        let device = found.ok_or(AcpiError::NotFound)?.clone();
        match (&method, arguments) {
            (b"RDPT", _) => match device.rdpt {
                Acpi::Missing => Err(AcpiError::NotFound),
                Acpi::Fails => Err(AcpiError::Failed),
                Acpi::Gives(value) => Ok(value),
            },
            (b"WRPT", [AcpiValue::Integer(value)]) if device.wrpt => {
                self.writes.push(Write {
                    device: device.id.clone(),
                    at: device.place,
                    width: 1,
                    value: value & 0xff,
                });
                Ok(AcpiValue::Integer(0))
            }
            _ => Err(AcpiError::NotFound),
        }
    }

    /// The children of the node `path`.
    #[must_use]
    pub fn children(&self, path: &str) -> Vec<(String, bool)> {
        let mut found = Vec::new();
        for (device, _) in &self.devices {
            if device.acpi_path.as_deref() == Some(path) {
                if device.rdpt != Acpi::Missing {
                    found.push((format!("{path}.RDPT"), false));
                }
                if device.wrpt {
                    found.push((format!("{path}.WRPT"), false));
                }
            }
        }
        found
    }

    /// The physical place behind what an instruction touches.
    fn place(&self, target: Target) -> Option<Place> {
        match target {
            Target::Port(port) => Some(Place::Port(port)),
            Target::Memory(address) => self
                .mappings
                .iter()
                .find(|(start, _, length)| (*start..start + length).contains(&address))
                .map(|(start, physical, _)| Place::Memory(physical + (address - start))),
        }
    }

    /// Whether an address of the process lies in a mapping.
    #[must_use]
    pub fn is_mapped(&self, address: u64) -> bool {
        self.place(Target::Memory(address)).is_some()
    }

    fn decoding(&self, at: Place) -> Option<&Device> {
        self.devices.iter().find_map(|(device, decode)| {
            let length = u64::from(device.length);
            let hit = match (at, device.place) {
                (Place::Port(at), Place::Port(start)) => {
                    at >= start && u64::from(at - start) < length
                }
                (Place::Memory(at), Place::Memory(start)) => at >= start && at - start < length,
                _ => false,
            };
            (hit && *decode).then_some(device)
        })
    }

    /// Carries out a read.
    #[must_use]
    pub fn read(&self, target: Target, width: u8) -> u64 {
        let Some(at) = self.place(target) else {
            return u64::MAX;
        };
        // Nothing there: all ones, as on a real bus.
        let missing = u64::MAX >> (64 - 8 * u32::from(width.clamp(1, 8)));
        self.decoding(at).map_or(missing, |device| {
            if at == device.place {
                u64::from(device.capability)
            } else {
                0
            }
        })
    }

    /// Carries out a write.
    pub fn write(&mut self, target: Target, width: u8, value: u64) {
        let Some(at) = self.place(target) else {
            return;
        };
        let device = self.decoding(at).map_or_else(String::new, |d| d.id.clone());
        self.writes.push(Write {
            device,
            at,
            width,
            value,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_read_from_its_words() {
        let device: Device = "isa,capability=7,port=0x600,rdpt=fails,wrpt=no"
            .parse()
            .unwrap_or_else(|_| Device::isa(0, 0));
        assert_eq!(device.place, Place::Port(0x600));
        assert_eq!(device.capability, 7);
        assert_eq!(device.rdpt, Acpi::Fails);
        assert!(!device.wrpt);
    }

    #[test]
    fn a_bad_word_is_named() {
        let error = "pci,port=1".parse::<Device>().map(|_| ()).unwrap_err();
        assert!(error.to_string().contains("\"port=1\" is not capability=N"));
        assert!("floppy".parse::<Device>().is_err());
    }

    #[test]
    fn a_place_without_a_device_reads_as_ones() {
        let bus = Bus::new(&[Device::isa(0x505, 7)]);
        assert_eq!(bus.read(Target::Port(0x505), 1), 7);
        assert_eq!(bus.read(Target::Port(0x506), 1), 0xff);
    }
}
