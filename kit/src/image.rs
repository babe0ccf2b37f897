//! Checks of a driver's image: what Windows demands, what makes it safe to
//! load, and what this project promises.

mod proof;

use std::fmt;

use object::{
    LittleEndian as LE,
    pe::{
        IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE, IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
        IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA, IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
        IMAGE_SCN_MEM_EXECUTE, IMAGE_SCN_MEM_WRITE, IMAGE_SUBSYSTEM_NATIVE, RT_VERSION,
    },
    read::pe::{Import, PeFile64, ResourceDirectoryEntryData},
};

pub use proof::prove;

use crate::{architecture::Architecture, workspace};

const KERNEL_IMPORTS: &str = include_str!("../imports/ntoskrnl.def");
const FRAMEWORK_IMPORTS: &str = include_str!("../imports/wdfldr.def");

/// Where Windows enters a KMDF driver.
const ENTRY: &str = "FxDriverEntry";

/// What the image exports though nobody imports from a driver. Rust can't give
/// a function a name of its own without exporting it: `DriverEntry` is called by
/// the entry stub, the others are names that compilers refer to and that
/// `wdk-sys` defines.
const EXPORTS: [&str; 5] = [
    "DriverEntry",
    "_fltused",
    "__CxxFrameHandler3",
    "__CxxFrameHandler4",
    "__GSHandlerCheck_EH4",
];

/// The rules, each with what it protects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It can be read as a PE32+ image at all.
    Format,
    /// It is for the architecture that was asked for.
    Machine,
    /// It is a native image: Windows loads no other into the kernel.
    Subsystem,
    /// It starts at the KMDF stub, which binds the framework.
    EntryPoint,
    /// It can be loaded anywhere (address space layout randomisation).
    DynamicBase,
    /// Its data is not executable.
    NxCompat,
    /// It can be loaded anywhere in 64 bits of address space.
    HighEntropy,
    /// Windows loads it only if it is signed.
    ForceIntegrity,
    /// No section is both writable and executable.
    WritableCode,
    /// Sections are aligned to pages, so that each has its own protection.
    SectionAlignment,
    /// The checksum is right: Windows verifies that of a driver.
    Checksum,
    /// The version resource is there and has the workspace's version.
    Version,
    /// It exports what the crates force and nothing else.
    Exports,
    /// It imports from the kernel and the framework's loader only.
    ImportedModule,
    /// It imports only functions of the oldest supported Windows.
    ImportedFunction,
    /// It has no code that handles a panic.
    PanicCode,
    /// It has no text of a panic.
    PanicText,
    /// It names no folder of the machine that built it.
    Folder,
}

/// One thing that is wrong with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule that is broken.
    pub rule: Rule,
    /// What is wrong, where, and what to do.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {}", self.rule, self.message)
    }
}

/// Checks an image against every rule.
///
/// `map` is the linker's map of the image, `version` what the version resource
/// has to say. No finding means that all is well.
#[must_use]
pub fn check(
    image: &[u8],
    map: &str,
    architecture: Architecture,
    version: [u16; 4],
) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    match PeFile64::parse(image) {
        Ok(file) => {
            findings.headers(&file, architecture);
            findings.entry_point(&file, map);
            findings.sections(&file);
            findings.checksum(&file, image);
            findings.version(&file, image, version);
            findings.exports(&file);
            findings.imports(&file);
        }
        Err(error) => findings.add(
            Rule::Format,
            format!(
                "this is no PE32+ image ({error}); build for {}",
                architecture.windows_target()
            ),
        ),
    }
    findings.panics(image, map);
    findings.folder(image);
    findings.0
}

/// The sections of an image: name, bytes used, bytes in the file.
///
/// None if it is no PE32+ image.
#[must_use]
pub fn sections(image: &[u8]) -> Vec<(String, u32, u32)> {
    PeFile64::parse(image).map_or_else(
        |_| Vec::new(),
        |file| {
            file.section_table()
                .iter()
                .map(|section| {
                    (
                        String::from_utf8_lossy(section.raw_name()).into_owned(),
                        section.virtual_size.get(LE),
                        section.size_of_raw_data.get(LE),
                    )
                })
                .collect()
        },
    )
}

struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, rule: Rule, message: String) {
        self.0.push(Finding { rule, message });
    }

    fn headers(&mut self, file: &PeFile64<'_>, architecture: Architecture) {
        let header = &file.nt_headers().file_header;
        let optional = &file.nt_headers().optional_header;
        let machine = header.machine.get(LE);
        let wanted = architecture.image_machine();
        if machine != wanted {
            self.add(
                Rule::Machine,
                format!(
                    "the machine is {machine:#06x}, not {wanted:#06x} ({architecture}); build for \
                     {architecture}"
                ),
            );
        }
        let subsystem = optional.subsystem.get(LE);
        if subsystem != IMAGE_SUBSYSTEM_NATIVE {
            self.add(
                Rule::Subsystem,
                format!(
                    "the subsystem is {subsystem}, not 1 (native); link with /subsystem:native"
                ),
            );
        }
        let characteristics = optional.dll_characteristics.get(LE);
        for (rule, flag, option) in [
            (
                Rule::DynamicBase,
                IMAGE_DLLCHARACTERISTICS_DYNAMIC_BASE,
                "/dynamicbase",
            ),
            (
                Rule::NxCompat,
                IMAGE_DLLCHARACTERISTICS_NX_COMPAT,
                "/nxcompat",
            ),
            (
                Rule::HighEntropy,
                IMAGE_DLLCHARACTERISTICS_HIGH_ENTROPY_VA,
                "/highentropyva",
            ),
            (
                Rule::ForceIntegrity,
                IMAGE_DLLCHARACTERISTICS_FORCE_INTEGRITY,
                "/integritycheck",
            ),
        ] {
            if characteristics & flag == 0 {
                self.add(
                    rule,
                    format!(
                        "DllCharacteristics is {characteristics:#06x}, without {flag:#06x}; link with \
                         {option}"
                    ),
                );
            }
        }
        let alignment = optional.section_alignment.get(LE);
        if alignment != 0x1000 {
            self.add(
                Rule::SectionAlignment,
                format!("sections are aligned to {alignment:#x}, not to a page of 0x1000 bytes; link without /align"),
            );
        }
    }

    fn entry_point(&mut self, file: &PeFile64<'_>, map: &str) {
        let optional = &file.nt_headers().optional_header;
        let entry = optional.address_of_entry_point.get(LE);
        let address = optional.image_base.get(LE) + u64::from(entry);
        let names: Vec<_> = symbols(map)
            .filter(|(_, at)| *at == address)
            .map(|(name, _)| name)
            .collect();
        if !names.contains(&ENTRY) {
            self.add(
                Rule::EntryPoint,
                format!(
                    "Windows would enter at {entry:#x}, which the map calls {names:?}, not {ENTRY}; \
                     link with /entry:{ENTRY}"
                ),
            );
        }
    }

    fn sections(&mut self, file: &PeFile64<'_>) {
        for section in file.section_table().iter() {
            let flags = section.characteristics.get(LE);
            if flags & IMAGE_SCN_MEM_WRITE != 0 && flags & IMAGE_SCN_MEM_EXECUTE != 0 {
                self.add(
                    Rule::WritableCode,
                    format!(
                        "section {} is both writable and executable; separate its code from its data",
                        String::from_utf8_lossy(section.raw_name())
                    ),
                );
            }
        }
    }

    fn checksum(&mut self, file: &PeFile64<'_>, image: &[u8]) {
        let present = file.nt_headers().optional_header.check_sum.get(LE);
        match checksum(image) {
            Some(right) if right == present => {}
            Some(right) => self.add(
                Rule::Checksum,
                format!(
                    "the checksum is {present:#010x}, and should be {right:#010x}; the file was \
                     changed after it was built"
                ),
            ),
            None => self.add(Rule::Checksum, "the headers are cut off".to_owned()),
        }
    }

    fn version(&mut self, file: &PeFile64<'_>, image: &[u8], wanted: [u16; 4]) {
        let Some(info) = fixed_file_info(file, image) else {
            self.add(
                Rule::Version,
                "there is no version resource; link kit's pvpanic.res".to_owned(),
            );
            return;
        };
        if info.version != wanted {
            self.add(
                Rule::Version,
                format!(
                    "the version resource says {:?}, the workspace {wanted:?}; build it again",
                    info.version
                ),
            );
        }
        if info.file_type != 3 {
            self.add(
                Rule::Version,
                format!(
                    "the version resource says file type {}, not 3 (driver)",
                    info.file_type
                ),
            );
        }
    }

    fn exports(&mut self, file: &PeFile64<'_>) {
        match file.export_table() {
            Ok(None) => {}
            Ok(Some(table)) => {
                for (pointer, _) in table.name_iter() {
                    let name = table
                        .name_from_pointer(pointer)
                        .map_or_else(|_| "?".into(), String::from_utf8_lossy);
                    if !EXPORTS.contains(&name.as_ref()) {
                        self.add(
                            Rule::Exports,
                            format!(
                                "{name} is exported; nobody imports from a driver, so remove its \
                                 no_mangle or export_name"
                            ),
                        );
                    }
                }
            }
            Err(error) => self.add(Rule::Exports, format!("the exports can't be read: {error}")),
        }
    }

    fn imports(&mut self, file: &PeFile64<'_>) {
        if let Err(error) = self.try_imports(file) {
            self.add(
                Rule::ImportedModule,
                format!("the imports can't be read: {error}"),
            );
        }
    }

    fn try_imports(&mut self, file: &PeFile64<'_>) -> object::Result<()> {
        let Some(table) = file.import_table()? else {
            return Ok(());
        };
        let mut descriptors = table.descriptors()?;
        while let Some(descriptor) = descriptors.next()? {
            let module = String::from_utf8_lossy(table.name(descriptor.name.get(LE))?).into_owned();
            let (list, file_name) = match module.to_ascii_lowercase().as_str() {
                "ntoskrnl.exe" => (KERNEL_IMPORTS, "ntoskrnl.def"),
                "wdfldr.sys" => (FRAMEWORK_IMPORTS, "wdfldr.def"),
                _ => {
                    self.add(
                        Rule::ImportedModule,
                        format!(
                            "it imports from {module}; a KMDF driver gets everything from \
                             ntoskrnl.exe and WDFLDR.SYS"
                        ),
                    );
                    continue;
                }
            };
            let mut thunks = table.thunks(descriptor.original_first_thunk.get(LE))?;
            while let Some(thunk) = thunks.next::<object::pe::ImageNtHeaders64>()? {
                let name = match table.import::<object::pe::ImageNtHeaders64>(thunk)? {
                    Import::Name(_, name) => String::from_utf8_lossy(name).into_owned(),
                    Import::Ordinal(ordinal) => format!("ordinal {ordinal}"),
                };
                if !definitions(list).any(|known| known == name) {
                    self.add(
                        Rule::ImportedFunction,
                        format!(
                            "it imports {name} of {module}, which is not in kit/imports/{file_name}; \
                             a driver that imports what build 14393 lacks does not load there. If \
                             that build has it, add it to the list"
                        ),
                    );
                }
            }
        }
        Ok(())
    }

    fn panics(&mut self, image: &[u8], map: &str) {
        for (name, _) in symbols(map) {
            if ["panicking", "rust_begin_unwind", "rust_panic"]
                .iter()
                .any(|part| name.contains(part))
            {
                self.add(
                    Rule::PanicCode,
                    format!(
                        "{name} is in the image: something can panic, which in a bug check would \
                         be a second one. Replace the index, the arithmetic or the unwrap by one \
                         that has an answer"
                    ),
                );
            }
        }
        if let Some(text) = source_path(image) {
            self.add(
                Rule::PanicText,
                format!(
                    "the image has the text {text:?}, the place of a panic: see what the map has of \
                     core::panicking, and of code that could not be proved not to panic"
                ),
            );
        }
    }

    fn folder(&mut self, image: &[u8]) {
        let folder = folder();
        if image
            .windows(folder.len())
            .any(|window| window == folder.as_bytes())
        {
            self.add(
                Rule::Folder,
                format!("the image names {folder}: built elsewhere it would be other bytes"),
            );
        }
    }
}

/// What every path below the workspace begins with.
fn folder() -> String {
    workspace::root().join("").display().to_string()
}

/// The names of a module definition file.
fn definitions(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .skip_while(|line| line.trim() != "EXPORTS")
        .skip(1)
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
}

/// The symbols of a linker's map and their addresses at the preferred base.
pub fn symbols(map: &str) -> impl Iterator<Item = (&str, u64)> {
    map.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let place = words.next()?;
        let name = words.next()?;
        let address = words.next()?;
        let (section, offset) = place.split_once(':')?;
        let numbers = [section, offset, address]
            .into_iter()
            .all(|word| word.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if !numbers || address.len() != 16 {
            return None;
        }
        Some((name, u64::from_str_radix(address, 16).ok()?))
    })
}

/// The path of a Rust source file in the image, if there is one.
fn source_path(image: &[u8]) -> Option<String> {
    let is_path = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-./\\".contains(byte);
    image.windows(4).enumerate().find_map(|(at, window)| {
        let [before, b'.', b'r', b's'] = window else {
            return None;
        };
        let end = at + window.len();
        // The name of the section .rsrc is no path.
        if !is_path(before) || image.get(end) == Some(&b'r') {
            return None;
        }
        let head = image.get(..end)?;
        let length = head.iter().rev().take_while(|byte| is_path(byte)).count();
        Some(String::from_utf8_lossy(head.get(end - length..)?).into_owned())
    })
}

/// What the fixed part of a version resource says.
struct FixedFileInfo {
    version: [u16; 4],
    file_type: u32,
}

/// Finds `VS_FIXEDFILEINFO` in the resource directory's three levels.
fn fixed_file_info(file: &PeFile64<'_>, image: &[u8]) -> Option<FixedFileInfo> {
    let sections = file.section_table();
    let directory = file
        .data_directories()
        .resource_directory(image, &sections)
        .ok()??;
    let types = directory.root().ok()?;
    let versions = types
        .entries
        .iter()
        .find(|entry| entry.name_or_id().id() == Some(RT_VERSION))?;
    let ResourceDirectoryEntryData::Table(names) = versions.data(directory).ok()? else {
        return None;
    };
    let ResourceDirectoryEntryData::Table(languages) =
        names.entries.first()?.data(directory).ok()?
    else {
        return None;
    };
    let ResourceDirectoryEntryData::Data(entry) =
        languages.entries.first()?.data(directory).ok()?
    else {
        return None;
    };
    let data = sections
        .pe_data_at(image, entry.offset_to_data.get(LE))?
        .get(..entry.size.get(LE) as usize)?;
    let start = data
        .windows(4)
        .position(|window| window == 0xFEEF_04BD_u32.to_le_bytes())?;
    let number = |index: usize| {
        let at = start + 4 * index;
        let bytes = data.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    };
    let halves = |value: u32| [(value >> 16) as u16, (value & 0xFFFF) as u16];
    let [major, minor] = halves(number(2)?);
    let [patch, build] = halves(number(3)?);
    Some(FixedFileInfo {
        version: [major, minor, patch, build],
        file_type: number(9)?,
    })
}

/// The checksum of a PE image: the sum of its 16-bit words with the carries
/// added in, the checksum's own field left out, plus the length.
#[must_use]
pub fn checksum(image: &[u8]) -> Option<u32> {
    let headers = u32::from_le_bytes(image.get(0x3C..0x40)?.try_into().ok()?) as usize;
    // The signature, IMAGE_FILE_HEADER, then the field's offset.
    let field = headers.checked_add(4 + 20 + 64)?;
    image.get(field..field.checked_add(4)?)?;
    let mut sum: u32 = 0;
    for (index, word) in image.chunks(2).enumerate() {
        if (field..field + 4).contains(&(index * 2)) {
            continue;
        }
        let low = word.first().copied().unwrap_or(0);
        let high = word.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_le_bytes([low, high]));
        sum = (sum & 0xFFFF) + (sum >> 16);
    }
    Some(sum + u32::try_from(image.len()).ok()?)
}
