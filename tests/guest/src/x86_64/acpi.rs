//! The machine's own ACPI: tables found, AML interpreted, devices listed.

use super::{crs, paging};
use crate::{machine::Platform, pci::Address};
use ::acpi::{
    AcpiError, AcpiTables, Handle, Handler, PciAddress, PhysicalMapping,
    aml::{
        AmlError, Interpreter,
        namespace::{AmlName, NamespaceLevelKind},
        object::{Object, WrappedObject},
    },
    platform::AcpiPlatform,
    rsdp::Rsdp,
};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{ptr::NonNull, str::FromStr};
use nt_model::{AcpiValue, DeviceDescription, Resource};
use x86_64::instructions::port::{Port, PortRead, PortWrite};

/// `_STA`: the device is present.
const STA_PRESENT: u64 = 1;

/// Hardware IDs of a PCI host bridge and a PCI Express one.
const HOST_BRIDGES: [&str; 2] = ["PNP0A03", "PNP0A08"];

/// The ACPI namespace, with what it needs to run methods.
pub struct Acpi {
    interpreter: Interpreter<Hardware>,
    /// The node of the PCI root bus.
    host_bridge: Option<AmlName>,
}

impl Acpi {
    /// Finds the tables from the RSDP at `rsdp`, or in the BIOS area where that
    /// is 0, and loads DSDT and SSDTs.
    pub fn new(rsdp: usize) -> Result<Self, AcpiError> {
        let rsdp = if rsdp == 0 {
            // SAFETY: the search reads the BIOS areas, which every PC has.
            unsafe { Rsdp::search_for_on_bios(Hardware) }?.physical_start
        } else {
            rsdp
        };
        // SAFETY: the loader or the search found the RSDP there.
        let tables = unsafe { AcpiTables::from_rsdp(Hardware, rsdp) }?;
        let platform = AcpiPlatform::new(tables, Hardware)?;
        let interpreter = Interpreter::new_from_platform(&platform)?;
        interpreter.initialize_namespace();
        let mut acpi = Self {
            interpreter,
            host_bridge: None,
        };
        acpi.host_bridge = acpi.present().into_iter().find(|path| {
            acpi.identifier(path, "_HID")
                .is_some_and(|hid| HOST_BRIDGES.contains(&hid.as_str()))
        });
        Ok(acpi)
    }

    /// The value of an object, or of a method run with `arguments`.
    fn object(
        &self,
        name: &AmlName,
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, nt_model::AcpiError> {
        if self.interpreter.namespace.lock().get(name.clone()).is_err() {
            return Err(nt_model::AcpiError::NotFound);
        }
        let arguments = arguments.iter().map(to_aml).collect();
        self.interpreter
            .evaluate(name.clone(), arguments)
            .ok()
            .and_then(|value| from_aml(&value))
            .ok_or(nt_model::AcpiError::Failed)
    }

    /// The value of the object `name` of a device.
    fn property(&self, path: &AmlName, name: &str) -> Option<AcpiValue> {
        let name = AmlName::from_str(name).ok()?.resolve(path).ok()?;
        self.object(&name, &[]).ok()
    }

    fn integer(&self, path: &AmlName, name: &str) -> Option<u64> {
        match self.property(path, name)? {
            AcpiValue::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// The first of an object's [`Self::identifiers`].
    fn identifier(&self, path: &AmlName, name: &str) -> Option<String> {
        self.identifiers(path, name).into_iter().next()
    }

    /// The identifiers that an object gives, one or a package of them: strings,
    /// or numbers that pack an EISA ID, or in `_UID` are just numbers.
    fn identifiers(&self, path: &AmlName, name: &str) -> Vec<String> {
        let values = match self.property(path, name) {
            Some(AcpiValue::Package(values)) => values,
            value => value.into_iter().collect(),
        };
        values
            .into_iter()
            .filter_map(|value| match value {
                AcpiValue::String(text) => Some(text),
                AcpiValue::Integer(number) if name == "_UID" => Some(number.to_string()),
                AcpiValue::Integer(number) => u32::try_from(number).ok().map(eisa_id),
                AcpiValue::Buffer(_) | AcpiValue::Package(_) => None,
            })
            .collect()
    }

    fn resources(&self, path: &AmlName) -> Vec<Resource> {
        match self.property(path, "_CRS") {
            Some(AcpiValue::Buffer(template)) => crs::ports_and_memory(&template),
            _ => Vec::new(),
        }
    }

    /// The device nodes below `node`, parents first.
    fn device_nodes(&self, node: &AmlName) -> Vec<AmlName> {
        let mut devices = Vec::new();
        // The walk itself has no errors of its own.
        let _ = self.interpreter.namespace.lock().traverse(|path, level| {
            let inside = is_below(path, node);
            if inside && level.kind == NamespaceLevelKind::Device {
                devices.push(path.clone());
            }
            Ok(inside || path == node || is_below(node, path))
        });
        devices
    }

    /// The device nodes that are present, and so is everything above them.
    fn present(&self) -> Vec<AmlName> {
        // Methods can't run while the namespace is locked: collect first.
        let mut devices = self.device_nodes(&AmlName::root());
        let mut absent: Vec<AmlName> = Vec::new();
        devices.retain(|path| {
            let here = !absent.iter().any(|parent| is_below(path, parent))
                && self
                    .integer(path, "_STA")
                    .is_none_or(|status| status & STA_PRESENT != 0);
            if !here {
                absent.push(path.clone());
            }
            here
        });
        devices
    }
}

impl Platform for Acpi {
    /// Those that have a `_HID`.
    fn devices(&self) -> Vec<DeviceDescription> {
        let mut devices = Vec::new();
        for path in self.present() {
            let Some(hid) = self.identifier(&path, "_HID") else {
                continue;
            };
            let uid = self
                .identifier(&path, "_UID")
                .unwrap_or_else(|| "0".to_string());
            let mut hardware_ids = Vec::new();
            // As Windows splits PNP and ACPI IDs: the vendor, then four digits.
            if let Some((vendor, product)) = hid
                .len()
                .checked_sub(4)
                .and_then(|at| hid.split_at_checked(at))
            {
                hardware_ids.push(format!("ACPI\\VEN_{vendor}&DEV_{product}"));
            }
            hardware_ids.push(format!("ACPI\\{hid}"));
            hardware_ids.push(format!("*{hid}"));
            for cid in self.identifiers(&path, "_CID") {
                hardware_ids.push(format!("ACPI\\{cid}"));
                hardware_ids.push(format!("*{cid}"));
            }
            devices.push(DeviceDescription {
                id: format!("ACPI\\{hid}\\{uid}"),
                hardware_ids,
                resources: self.resources(&path),
                acpi_path: Some(shown(&path)),
            });
        }
        devices
    }

    /// The host bridge's `_CRS`.
    fn host_windows(&self) -> Vec<Resource> {
        self.host_bridge
            .as_ref()
            .map_or_else(Vec::new, |path| self.resources(path))
    }

    fn pci_node(&self, route: &[(u8, u8)]) -> Option<String> {
        let mut node = self.host_bridge.clone()?;
        for &(device, function) in route {
            let address = u64::from(device) << 16 | u64::from(function);
            node = self
                .device_nodes(&node)
                .into_iter()
                .filter(|path| path.parent().is_ok_and(|parent| parent == node))
                .find(|path| self.integer(path, "_ADR") == Some(address))?;
        }
        Some(shown(&node))
    }

    fn evaluate(
        &self,
        path: &str,
        method: &str,
        arguments: &[AcpiValue],
    ) -> Result<AcpiValue, nt_model::AcpiError> {
        let name = AmlName::from_str(path)
            .and_then(|path| AmlName::from_str(method)?.resolve(&path))
            .map_err(|_| nt_model::AcpiError::NotFound)?;
        self.object(&name, arguments)
    }

    fn children(&self, path: &str) -> Vec<(String, bool)> {
        let mut children = Vec::new();
        let Ok(node) = AmlName::from_str(path) else {
            return children;
        };
        let mut namespace = self.interpreter.namespace.lock();
        // The walk itself has no errors of its own.
        let _ = namespace.traverse(|name, level| {
            if level.kind == NamespaceLevelKind::MethodLocals {
                return Ok(false);
            }
            let inside = *name == node || is_below(name, &node);
            for (segment, (_, object)) in level.values.iter().filter(|_| inside) {
                let child = AmlName::from_name_seg(*segment).resolve(name)?;
                // A method that has run may have left its locals behind.
                let below = level.children.get(segment);
                let parent = matches!(**object, Object::Device)
                    || below.is_some_and(|level| level.kind != NamespaceLevelKind::MethodLocals);
                children.push((shown(&child), parent));
            }
            Ok(inside || is_below(&node, name))
        });
        children
    }
}

/// Whether `name` lies below `parent`.
fn is_below(name: &AmlName, parent: &AmlName) -> bool {
    let mut name = name.parent();
    while let Ok(ancestor) = name {
        if ancestor == *parent {
            return true;
        }
        name = ancestor.parent();
    }
    false
}

/// A path as it is written: segments without the underscores that fill them.
fn shown(path: &AmlName) -> String {
    let full = path.as_string();
    let segments = full.trim_start_matches('\\').split('.');
    let segments: Vec<&str> = segments
        .map(|segment| segment.trim_end_matches('_'))
        .collect();
    format!("\\{}", segments.join("."))
}

/// The seven characters that an EISA ID packs into 32 bits.
fn eisa_id(packed: u32) -> String {
    let number = packed.swap_bytes();
    let letter = |shift: u32| char::from(b'@' + (number >> shift & 0x1F) as u8);
    format!(
        "{}{}{}{:04X}",
        letter(26),
        letter(21),
        letter(16),
        number & 0xFFFF
    )
}

fn to_aml(value: &AcpiValue) -> WrappedObject {
    match value {
        AcpiValue::Integer(number) => Object::Integer(*number),
        AcpiValue::String(text) => Object::String(text.clone()),
        AcpiValue::Buffer(bytes) => Object::Buffer(bytes.clone()),
        AcpiValue::Package(values) => Object::Package(values.iter().map(to_aml).collect()),
    }
    .wrap()
}

/// `None` for what is no value: devices, methods, fields and the like.
fn from_aml(object: &WrappedObject) -> Option<AcpiValue> {
    match &*object.clone().unwrap_reference() {
        Object::Integer(number) => Some(AcpiValue::Integer(*number)),
        Object::String(text) => Some(AcpiValue::String(text.clone())),
        Object::Buffer(bytes) => Some(AcpiValue::Buffer(bytes.clone())),
        Object::Package(values) => values
            .iter()
            .map(from_aml)
            .collect::<Option<_>>()
            .map(AcpiValue::Package),
        // A method that returned nothing: no arguments in Windows' output buffer,
        // as with an empty package.
        Object::Uninitialized => Some(AcpiValue::Package(Vec::new())),
        _ => None,
    }
}

/// What the interpreter reaches the machine through.
#[derive(Clone)]
struct Hardware;

impl Hardware {
    /// Reads a value from physical memory.
    fn read<T: Copy>(&self, address: usize) -> T {
        // SAFETY: AML declares the address a region that may be read so.
        let mapping = unsafe { self.map_physical_region::<T>(address, size_of::<T>()) };
        // SAFETY: the mapping is as long as the value.
        unsafe { mapping.virtual_start.read_volatile() }
    }

    /// Writes a value to physical memory.
    fn write<T: Copy>(&self, address: usize, value: T) {
        // SAFETY: AML declares the address a region that may be written so.
        let mapping = unsafe { self.map_physical_region::<T>(address, size_of::<T>()) };
        // SAFETY: the mapping is as long as the value.
        unsafe { mapping.virtual_start.write_volatile(value) };
    }
}

/// Reads a port.
fn read_port<T: PortRead>(port: u16) -> T {
    // SAFETY: AML declares the port a region that may be read so.
    unsafe { Port::new(port).read() }
}

/// Writes a port.
fn write_port<T: PortWrite>(port: u16, value: T) {
    // SAFETY: AML declares the port a region that may be written so.
    unsafe { Port::new(port).write(value) };
}

/// The function that AML means.
fn place(address: PciAddress) -> Address {
    Address {
        bus: address.bus(),
        device: address.device(),
        function: address.function(),
    }
}

impl Handler for Hardware {
    unsafe fn map_physical_region<T>(
        &self,
        physical_address: usize,
        size: usize,
    ) -> PhysicalMapping<Self, T> {
        // A table may be shorter than the structure that it is read as: a first
        // revision of the FADT is.
        let length = size.max(size_of::<T>());
        let Some(start) = paging::map(physical_address as u64, length) else {
            panic!("ACPI needs {size} bytes at {physical_address:#x}, which can't be mapped");
        };
        PhysicalMapping {
            physical_start: physical_address,
            virtual_start: start.cast(),
            region_length: size,
            mapped_length: length,
            handler: self.clone(),
        }
    }

    fn unmap_physical_region<T>(region: &PhysicalMapping<Self, T>) {
        let start: NonNull<u8> = region.virtual_start.cast();
        paging::unmap(start, region.mapped_length);
    }

    fn read_u8(&self, address: usize) -> u8 {
        self.read(address)
    }

    fn read_u16(&self, address: usize) -> u16 {
        self.read(address)
    }

    fn read_u32(&self, address: usize) -> u32 {
        self.read(address)
    }

    fn read_u64(&self, address: usize) -> u64 {
        self.read(address)
    }

    fn write_u8(&self, address: usize, value: u8) {
        self.write(address, value);
    }

    fn write_u16(&self, address: usize, value: u16) {
        self.write(address, value);
    }

    fn write_u32(&self, address: usize, value: u32) {
        self.write(address, value);
    }

    fn write_u64(&self, address: usize, value: u64) {
        self.write(address, value);
    }

    fn read_io_u8(&self, port: u16) -> u8 {
        read_port(port)
    }

    fn read_io_u16(&self, port: u16) -> u16 {
        read_port(port)
    }

    fn read_io_u32(&self, port: u16) -> u32 {
        read_port(port)
    }

    fn write_io_u8(&self, port: u16, value: u8) {
        write_port(port, value);
    }

    fn write_io_u16(&self, port: u16, value: u16) {
        write_port(port, value);
    }

    fn write_io_u32(&self, port: u16, value: u32) {
        write_port(port, value);
    }

    fn read_pci_u8(&self, address: PciAddress, offset: u16) -> u8 {
        place(address).read(offset)
    }

    fn read_pci_u16(&self, address: PciAddress, offset: u16) -> u16 {
        place(address).read(offset)
    }

    fn read_pci_u32(&self, address: PciAddress, offset: u16) -> u32 {
        place(address).read(offset)
    }

    fn write_pci_u8(&self, address: PciAddress, offset: u16, value: u8) {
        place(address).write(offset, value);
    }

    fn write_pci_u16(&self, address: PciAddress, offset: u16, value: u16) {
        place(address).write(offset, value);
    }

    fn write_pci_u32(&self, address: PciAddress, offset: u16, value: u32) {
        place(address).write(offset, value);
    }

    /// Under TCG, what this guest is for, the time stamp counter counts
    /// nanoseconds; elsewhere it is faster, and waits are shorter.
    fn nanos_since_boot(&self) -> u64 {
        // SAFETY: every 64-bit processor has the instruction.
        unsafe { core::arch::x86_64::_rdtsc() }
    }

    fn stall(&self, microseconds: u64) {
        let end = self.nanos_since_boot() + microseconds * 1_000;
        while self.nanos_since_boot() < end {
            core::hint::spin_loop();
        }
    }

    fn sleep(&self, milliseconds: u64) {
        self.stall(milliseconds * 1_000);
    }

    fn create_mutex(&self) -> Handle {
        Handle(0)
    }

    /// One thread runs AML, so that every mutex is free or its own.
    fn acquire(&self, _mutex: Handle, _timeout: u16) -> Result<(), AmlError> {
        Ok(())
    }

    fn release(&self, _mutex: Handle) {}
}
