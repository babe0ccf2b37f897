//! PCI: enumeration, hardware IDs, base address registers (PCI Local Bus
//! Specification 3.0, chapter 6).

use crate::arch::configuration::{self, Read, Write};
use alloc::{format, string::String, vec, vec::Vec};
use core::{cmp::Reverse, ops::Range};
use nt_model::{DeviceDescription, Resource};

/// Offsets in configuration space.
const VENDOR: u16 = 0x00;
const DEVICE: u16 = 0x02;
const COMMAND: u16 = 0x04;
const REVISION: u16 = 0x08;
const PROGRAMMING_INTERFACE: u16 = 0x09;
const SUBCLASS: u16 = 0x0A;
const BASE_CLASS: u16 = 0x0B;
const HEADER_TYPE: u16 = 0x0E;
const BASE_ADDRESSES: u16 = 0x10;
const PRIMARY_BUS: u16 = 0x18;
const SECONDARY_BUS: u16 = 0x19;
const SUBORDINATE_BUS: u16 = 0x1A;
const BRIDGE_MEMORY: u16 = 0x20;
const SUBSYSTEM_VENDOR: u16 = 0x2C;
const SUBSYSTEM: u16 = 0x2E;
const CAPABILITIES: u16 = 0x34;

/// The command register's I/O and memory decode.
const DECODE_IO: u16 = 1;
const DECODE_MEMORY: u16 = 2;

/// Vendor ID where there is no function.
const NOBODY: u16 = 0xFFFF;

/// Header type bit of a device with several functions, and the layouts.
const MULTI_FUNCTION: u8 = 0x80;
const LAYOUT_ENDPOINT: u8 = 0;
const LAYOUT_BRIDGE: u8 = 1;

/// The capability of PCI Express, and the offsets in it (PCI Express Base
/// Specification, section 7.5.3).
const PCI_EXPRESS: u8 = 0x10;
const EXPRESS_CAPABILITIES: u16 = 0x02;
const SLOT_CONTROL: u16 = 0x18;
const SLOT_STATUS: u16 = 0x1A;
/// The port has a slot.
const SLOT: u16 = 1 << 8;
/// Slot control: the power indicator is on, or off; the power is off.
const INDICATOR: u16 = 3 << 8;
const INDICATOR_ON: u16 = 1 << 8;
const INDICATOR_OFF: u16 = 3 << 8;
const POWER_OFF: u16 = 1 << 10;
/// Slot status: something is plugged in.
const PRESENT: u16 = 1 << 6;

/// The memory that a bridge is given.
const BRIDGE_WINDOW: u32 = 1 << 20;

/// Firmware and this guest give each memory range pages of its own.
const PAGE: u64 = 4096;

/// Where a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    pub bus: u8,
    pub device: u8,
    pub function: u8,
}

impl Address {
    /// Reads configuration space.
    pub fn read<T: Read>(self, offset: u16) -> T {
        configuration::read(self, offset)
    }

    /// Writes configuration space.
    pub fn write<T: Write>(self, offset: u16, value: T) {
        configuration::write(self, offset, value);
    }

    fn layout(self) -> u8 {
        self.read::<u8>(HEADER_TYPE) & !MULTI_FUNCTION
    }

    fn is_there(self) -> bool {
        self.read::<u16>(VENDOR) != NOBODY
    }

    /// Where the registers of its slot are, for a port that has one: the offset of
    /// its PCI Express capability.
    fn slot(self) -> Option<u16> {
        let mut offset: u8 = self.read(CAPABILITIES);
        while offset != 0 {
            let at = u16::from(offset & !3);
            if self.read::<u8>(at) == PCI_EXPRESS {
                let capabilities: u16 = self.read(at + EXPRESS_CAPABILITIES);
                return (capabilities & SLOT != 0).then_some(at);
            }
            offset = self.read(at + 1);
        }
        None
    }

    /// Turns the power of its slot on or off, with the indicator.
    fn set_slot_power(self, slot: u16, on: bool) {
        let control: u16 = self.read(slot + SLOT_CONTROL);
        let power = if on {
            INDICATOR_ON
        } else {
            INDICATOR_OFF | POWER_OFF
        };
        let control = control & !(INDICATOR | POWER_OFF) | power;
        self.write(slot + SLOT_CONTROL, control);
    }
}

/// A function that was found.
pub struct Function {
    address: Address,
    /// Device and function number of each bridge from the root bus on, and the
    /// function's own.
    pub route: Vec<(u8, u8)>,
    /// The bridge above it, if there is one.
    bridge: Option<Address>,
    /// The memory that the bridge passes on.
    bridge_window: Option<Range<u64>>,
}

/// One base address register, or two for a 64-bit address.
struct BaseAddress {
    offset: u16,
    resource: Resource,
}

/// Does for bridges what firmware does where there is any: a bus for each, memory
/// to pass on, and power for what is plugged into its slot.
pub fn open_bridges(host_windows: &[Resource]) {
    number_buses(0, &mut 0);
    for function in functions() {
        let bridge = function.address;
        if bridge.layout() != LAYOUT_BRIDGE {
            continue;
        }
        if let Some(slot) = bridge.slot()
            && bridge.read::<u16>(slot + SLOT_STATUS) & PRESENT != 0
            && bridge.read::<u16>(slot + SLOT_CONTROL) & POWER_OFF != 0
        {
            bridge.set_slot_power(slot, true);
        }
        let window = bridge_window(bridge);
        if window.start == 0 || window.is_empty() {
            // The windows that were given before count as taken.
            let functions = functions();
            let windows = function.windows(host_windows);
            if let Some(start) = place(
                BRIDGE_WINDOW.into(),
                windows,
                &taken(&functions, bridge.bus),
            ) {
                // Base and limit of one window of 1 MiB.
                bridge.write(BRIDGE_MEMORY, start >> 16 | start);
                let command: u16 = bridge.read(COMMAND);
                bridge.write(COMMAND, command | DECODE_MEMORY);
            }
        }
    }
}

/// Numbers the buses behind the bridges of `bus` that have none; `last` is the last
/// number that is in use.
fn number_buses(bus: u8, last: &mut u8) {
    for bridge in on_bus(bus).filter(|address| address.layout() == LAYOUT_BRIDGE) {
        let mut secondary: u8 = bridge.read(SECONDARY_BUS);
        if secondary == 0 {
            *last += 1;
            secondary = *last;
            bridge.write(PRIMARY_BUS, bus);
            bridge.write(SECONDARY_BUS, secondary);
            bridge.write(SUBORDINATE_BUS, u8::MAX);
            number_buses(secondary, last);
            bridge.write(SUBORDINATE_BUS, *last);
        } else {
            *last = bridge.read::<u8>(SUBORDINATE_BUS).max(*last);
        }
    }
}

/// The functions that are on a bus.
fn on_bus(bus: u8) -> impl Iterator<Item = Address> {
    (0..32).flat_map(move |device| {
        let first = Address {
            bus,
            device,
            function: 0,
        };
        let there = first.is_there();
        let count = if !there {
            0
        } else if first.read::<u8>(HEADER_TYPE) & MULTI_FUNCTION == 0 {
            1
        } else {
            8
        };
        (0..count)
            .map(move |function| Address { function, ..first })
            .filter(|address| address.is_there())
    })
}

/// All functions, bridges included, bus by bus from the root bus on.
pub fn functions() -> Vec<Function> {
    let mut found = Vec::new();
    scan(0, &[], None, &mut found);
    found
}

fn scan(bus: u8, above: &[(u8, u8)], bridge: Option<Address>, found: &mut Vec<Function>) {
    for address in on_bus(bus) {
        let route = [above, &[(address.device, address.function)]].concat();
        let secondary: u8 = address.read(SECONDARY_BUS);
        let behind = (address.layout() == LAYOUT_BRIDGE && secondary > bus).then(|| route.clone());
        found.push(Function {
            address,
            route,
            bridge,
            bridge_window: bridge.map(bridge_window),
        });
        if let Some(route) = behind {
            scan(secondary, &route, Some(address), found);
        }
    }
}

/// The memory that a bridge passes on: base and limit in units of 1 MiB.
fn bridge_window(bridge: Address) -> Range<u64> {
    let limits: u32 = bridge.read(BRIDGE_MEMORY);
    let base = u64::from(limits & 0xFFF0) << 16;
    let limit = u64::from(limits & 0xFFF0_0000) + 0x10_0000;
    base..limit.max(base)
}

/// Gives every memory register that has no address yet, a hot-plugged
/// function's, a place in its bus's window, and turns the decode on.
pub fn assign(functions: &[Function], host_windows: &[Resource]) {
    for function in functions {
        for base in function.base_addresses() {
            let Resource::Memory { start: 0, length } = base.resource else {
                continue;
            };
            let windows = function.windows(host_windows);
            let taken = taken(functions, function.address.bus);
            if let Some(start) = place(u64::from(length).max(PAGE), windows, &taken) {
                function.address.write(base.offset, start);
                function.set_decode(true);
            }
        }
    }
}

/// What is in use on the bus: the functions' ranges and the bridges' windows.
fn taken(functions: &[Function], bus: u8) -> Vec<Range<u64>> {
    let on_bus = functions
        .iter()
        .filter(|function| function.address.bus == bus);
    on_bus
        .flat_map(|function| {
            let mut ranges: Vec<_> = function
                .base_addresses()
                .iter()
                .filter_map(|base| memory_range(&base.resource))
                .collect();
            if function.address.layout() == LAYOUT_BRIDGE {
                ranges.push(bridge_window(function.address));
            }
            ranges
        })
        .collect()
}

/// The highest free place of that length between 1 MiB and 4 GiB.
fn place(length: u64, mut windows: Vec<Range<u64>>, taken: &[Range<u64>]) -> Option<u32> {
    let length = length.next_power_of_two();
    windows.retain(|window| window.start >= 1 << 20);
    windows.sort_by_key(|window| Reverse(window.end));
    for window in windows {
        let mut end = window.end.min(1 << 32);
        while let Some(start) = end.checked_sub(length).map(|start| start & !(length - 1)) {
            if start < window.start {
                break;
            }
            let conflict = taken
                .iter()
                .find(|range| range.start < start + length && start < range.end);
            match conflict {
                Some(range) => end = range.start,
                None => return u32::try_from(start).ok(),
            }
        }
    }
    None
}

fn memory_range(resource: &Resource) -> Option<Range<u64>> {
    match *resource {
        Resource::Memory { start, length } if start != 0 => Some(start..start + u64::from(length)),
        _ => None,
    }
}

impl Function {
    /// Where its memory can be: what the bridge above it passes on.
    fn windows(&self, host_windows: &[Resource]) -> Vec<Range<u64>> {
        self.bridge_window.as_ref().map_or_else(
            || host_windows.iter().filter_map(memory_range).collect(),
            |window| vec![window.clone()],
        )
    }

    /// Turns the power of the slot off that it is in, so that it can be taken out;
    /// `false` where it is in none.
    pub fn turn_slot_off(&self) -> bool {
        let slot = self.bridge.and_then(|port| Some((port, port.slot()?)));
        if let Some((port, slot)) = slot {
            port.set_slot_power(slot, false);
        }
        slot.is_some()
    }

    /// What the PCI bus driver reports of a function that is no bridge.
    pub fn description(&self, acpi_path: Option<String>) -> Option<DeviceDescription> {
        let address = self.address;
        if address.layout() != LAYOUT_ENDPOINT {
            return None;
        }
        let hardware_ids = self.hardware_ids();
        let id = format!("{}\\{}", hardware_ids.first()?, self.location());
        let resources = self
            .base_addresses()
            .into_iter()
            .map(|base| base.resource)
            .collect();
        Some(DeviceDescription {
            id,
            hardware_ids,
            acpi_path,
            resources,
        })
    }

    /// Bus, device and function, the last part of the function's instance name.
    pub fn location(&self) -> String {
        let Address {
            bus,
            device,
            function,
        } = self.address;
        format!("{bus:02x}:{device:02x}.{function}")
    }

    /// The IDs of Microsoft's page "Identifiers for PCI devices", in its order.
    fn hardware_ids(&self) -> Vec<String> {
        let address = self.address;
        let vendor: u16 = address.read(VENDOR);
        let device: u16 = address.read(DEVICE);
        let subsystem_vendor: u16 = address.read(SUBSYSTEM_VENDOR);
        let subsystem: u16 = address.read(SUBSYSTEM);
        let revision: u8 = address.read(REVISION);
        let class: u8 = address.read(BASE_CLASS);
        let subclass: u8 = address.read(SUBCLASS);
        let interface: u8 = address.read(PROGRAMMING_INTERFACE);
        let name = format!("PCI\\VEN_{vendor:04X}&DEV_{device:04X}");
        let board = format!("{name}&SUBSYS_{subsystem:04X}{subsystem_vendor:04X}");
        vec![
            format!("{board}&REV_{revision:02X}"),
            board,
            format!("{name}&REV_{revision:02X}"),
            name.clone(),
            format!("{name}&CC_{class:02X}{subclass:02X}{interface:02X}"),
            format!("{name}&CC_{class:02X}{subclass:02X}"),
        ]
    }

    /// Turns decode of the function's own kinds of ranges on or off.
    pub fn set_decode(&self, on: bool) {
        let decode = self.base_addresses().iter().fold(0, |decode, base| {
            decode
                | match base.resource {
                    Resource::Port { .. } => DECODE_IO,
                    Resource::Memory { .. } => DECODE_MEMORY,
                    // No base address register is one.
                    Resource::MappedPort { .. } | Resource::Interrupt { .. } => 0,
                }
        });
        let command: u16 = self.address.read(COMMAND);
        let command = if on {
            command | decode
        } else {
            command & !decode
        };
        self.address.write(COMMAND, command);
    }

    /// The base address registers that the function has.
    fn base_addresses(&self) -> Vec<BaseAddress> {
        let address = self.address;
        let count = match address.layout() {
            LAYOUT_ENDPOINT => 6,
            LAYOUT_BRIDGE => 2,
            _ => 0,
        };
        let end = BASE_ADDRESSES + 4 * count;
        // Sizing writes all ones: nothing may be decoded meanwhile.
        let command: u16 = address.read(COMMAND);
        address.write(COMMAND, command & !(DECODE_IO | DECODE_MEMORY));
        let mut found = Vec::new();
        let mut offset = BASE_ADDRESSES;
        while offset < end {
            let (low, size_low) = size(address, offset);
            let wide = low & 7 == 4;
            if low & 1 == 1 {
                // I/O ports have 16 bits.
                let length = (!(size_low & 0xFFFC)).wrapping_add(1) & 0xFFFF;
                if size_low & 0xFFFC != 0 {
                    let start = u64::from(low & 0xFFFC);
                    found.push(BaseAddress {
                        offset,
                        resource: Resource::Port { start, length },
                    });
                }
            } else if size_low & !0xF != 0 {
                let (high, _) = if wide {
                    size(address, offset + 4)
                } else {
                    (0, 0)
                };
                let start = u64::from(high) << 32 | u64::from(low & !0xF);
                // Ranges of 4 GiB and more are nobody's here.
                let length = (!(size_low & !0xF)).wrapping_add(1);
                found.push(BaseAddress {
                    offset,
                    resource: Resource::Memory { start, length },
                });
            }
            offset += if wide { 8 } else { 4 };
        }
        address.write(COMMAND, command);
        found
    }
}

/// A register's value, and what it reads after all ones were written.
fn size(address: Address, offset: u16) -> (u32, u32) {
    let value: u32 = address.read(offset);
    address.write(offset, u32::MAX);
    let ones = address.read(offset);
    address.write(offset, value);
    (value, ones)
}
