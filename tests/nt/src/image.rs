//! Reading a driver image: headers, sections, relocations and imports.
//!
//! Everything here is safe code over the bytes of the file, so that any file at
//! all is either laid out or refused with a reason. Putting the result into
//! memory is the work of the loader.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt;

use object::{
    LittleEndian as LE,
    pe::{self, ImageDosHeader, ImageNtHeaders64},
    read::pe::{ImageNtHeaders, ImageOptionalHeader},
};

use crate::{
    arch,
    machine::{PAGE_SIZE, Protection},
};

/// Why an image can't be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadError {
    /// The file is not a portable executable.
    NotPe(String),
    /// The file ends before something that its headers promise.
    Truncated(String),
    /// A 32-bit image.
    ThirtyTwoBit,
    /// An image for another processor.
    Machine(u16),
    /// An image that is no kernel-mode driver.
    NotDriver(String),
    /// Headers or tables that contradict each other.
    Malformed(String),
    /// The header's checksum is not the file's.
    Checksum {
        /// What the header says.
        header: u32,
        /// What the file has.
        file: u32,
    },
    /// A relocation that is of another type or lies outside the image.
    Relocation(String),
    /// An import of something that the model does not have.
    UnknownImport {
        /// The file that it is imported from.
        library: String,
        /// The function.
        name: String,
    },
    /// An import that the chosen Windows build lacks.
    ImportTooNew {
        /// The function.
        name: String,
        /// The first build that has it.
        first: u32,
        /// The build that was chosen.
        build: u32,
    },
    /// No memory for it.
    NoMemory,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPe(why) => write!(f, "the file is not a PE image: {why}"),
            Self::Truncated(what) => write!(f, "the file is truncated: {what}"),
            Self::ThirtyTwoBit => f.write_str("the image is 32-bit; a 64-bit driver is needed"),
            Self::Machine(machine) => {
                write!(
                    f,
                    "the image is for machine 0x{machine:04x}, not {} (0x{:04x})",
                    arch::NAME,
                    arch::MACHINE
                )
            }
            Self::NotDriver(why) => write!(f, "the image is not a kernel-mode driver: {why}"),
            Self::Malformed(why) => write!(f, "the image is malformed: {why}"),
            Self::Checksum { header, file } => write!(
                f,
                "the image's header has checksum 0x{header:x}, but the file's is 0x{file:x}; \
                 Windows checks it for all drivers"
            ),
            Self::Relocation(why) => write!(f, "bad relocation: {why}"),
            Self::UnknownImport { library, name } => write!(
                f,
                "the image imports {name} from {library}, which the model does not have"
            ),
            Self::ImportTooNew { name, first, build } => write!(
                f,
                "the image imports {name}, which Windows build {build} lacks (it came with \
                 {first}): the driver would not load there"
            ),
            Self::NoMemory => f.write_str("no memory for the image"),
        }
    }
}

/// One section, in pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Offset of its first byte in the image.
    pub start: u32,
    /// Its size in memory, rounded up to whole pages.
    pub size: u32,
    /// The access that Windows gives it.
    pub protection: Protection,
    /// Whether it may be paged out (its name begins with `PAGE`, or is `.edata`).
    pub pageable: bool,
    /// Whether it goes away when `DriverEntry` has returned: it is marked so, or
    /// its name begins with `INIT`.
    pub discardable: bool,
}

/// A function that the image imports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// The file that exports it, as the image names it.
    pub library: String,
    /// Its name.
    pub name: String,
    /// Offset of the slot that receives its address.
    pub slot: u32,
}

/// An image, laid out as it is in memory but not yet relocated or bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The bytes, at their places in memory; whole pages.
    pub bytes: Vec<u8>,
    /// Offset of the entry point.
    pub entry: u32,
    /// The address that the linker assumed.
    pub preferred_base: u64,
    /// Size of the header pages.
    pub headers: u32,
    /// The sections, in order.
    pub sections: Vec<Section>,
    /// Offsets of the 64-bit addresses to relocate.
    pub relocations: Vec<u32>,
    /// The imports.
    pub imports: Vec<Import>,
    /// Offset of `__security_cookie`, where the image has one.
    pub security_cookie: Option<u32>,
}

const PAGE: u32 = 4096;
const _: () = assert!(PAGE as usize == PAGE_SIZE);
/// More than any driver that this model is for, and little enough to allocate.
const LARGEST_IMAGE: u32 = 64 << 20;

/// Reads and lays out the image in `file`.
///
/// # Errors
///
/// [`LoadError`] for the first thing that Windows would refuse.
pub fn lay_out(file: &[u8]) -> Result<Layout, LoadError> {
    let (headers, directories) = read_headers(file)?;
    let optional = &headers.optional_header;
    let image_size = optional.size_of_image();
    let bytes_of_headers = optional.size_of_headers();
    if optional.section_alignment() != PAGE || !image_size.is_multiple_of(PAGE) {
        return Err(LoadError::Malformed(format!(
            "section alignment 0x{:x}, image size 0x{image_size:x}: whole 4 KiB pages are needed",
            optional.section_alignment()
        )));
    }
    if image_size == 0 || image_size > LARGEST_IMAGE || bytes_of_headers > image_size {
        return Err(LoadError::Malformed(format!("image size 0x{image_size:x}")));
    }
    check_sum(file, optional.check_sum())?;
    let mut bytes = vec![0; image_size as usize];
    let header_bytes = file
        .get(..bytes_of_headers as usize)
        .ok_or_else(|| LoadError::Truncated("the headers are not complete".into()))?;
    bytes[..header_bytes.len()].copy_from_slice(header_bytes);

    let sections = read_sections(file, headers, &mut bytes)?;
    let entry = optional.address_of_entry_point();
    if !sections.iter().any(|section| {
        section.protection == Protection::ReadExecute
            && (section.start..section.start + section.size).contains(&entry)
    }) {
        return Err(LoadError::Malformed(format!(
            "the entry point 0x{entry:x} is in no executable section"
        )));
    }
    let directory = |index: usize| {
        directories
            .get(index)
            .map_or((0, 0), pe::ImageDataDirectory::address_range)
    };
    Ok(Layout {
        relocations: read_relocations(&bytes, directory(pe::IMAGE_DIRECTORY_ENTRY_BASERELOC))?,
        imports: read_imports(&bytes, directory(pe::IMAGE_DIRECTORY_ENTRY_IMPORT))?,
        security_cookie: read_cookie(
            &bytes,
            directory(pe::IMAGE_DIRECTORY_ENTRY_LOAD_CONFIG),
            optional.image_base(),
        )?,
        entry,
        preferred_base: optional.image_base(),
        headers: sections.first().map_or(PAGE, |first| first.start),
        sections,
        bytes,
    })
}

fn read_headers(
    file: &[u8],
) -> Result<(&ImageNtHeaders64, object::read::pe::DataDirectories<'_>), LoadError> {
    if file.len() < 2 || &file[..2] != b"MZ" {
        return Err(LoadError::NotPe("it does not begin with MZ".into()));
    }
    let dos = ImageDosHeader::parse(file)
        .map_err(|_| LoadError::Truncated("the DOS header is not complete".into()))?;
    let mut offset = u64::from(dos.nt_headers_offset());
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    let peek = |from: usize, length: usize| {
        at.checked_add(from)
            .and_then(|start| file.get(start..start.checked_add(length)?))
            .ok_or_else(|| LoadError::Truncated("the PE header is not complete".into()))
    };
    if peek(0, 4)? != b"PE\0\0" {
        return Err(LoadError::NotPe("it has no PE signature".into()));
    }
    let machine = u16::from_le_bytes([peek(4, 1)?[0], peek(5, 1)?[0]]);
    match machine {
        arch::MACHINE => {}
        pe::IMAGE_FILE_MACHINE_I386 => return Err(LoadError::ThirtyTwoBit),
        other => return Err(LoadError::Machine(other)),
    }
    if peek(24, 2)? == pe::IMAGE_NT_OPTIONAL_HDR32_MAGIC.to_le_bytes() {
        return Err(LoadError::ThirtyTwoBit);
    }
    let (headers, directories) = ImageNtHeaders64::parse(file, &mut offset)
        .map_err(|error| LoadError::Truncated(error.to_string()))?;
    let optional = &headers.optional_header;
    if optional.subsystem() != pe::IMAGE_SUBSYSTEM_NATIVE {
        return Err(LoadError::NotDriver(format!(
            "its subsystem is {}, not native (1)",
            optional.subsystem()
        )));
    }
    let characteristics = headers.file_header.characteristics.get(LE);
    if characteristics & pe::IMAGE_FILE_EXECUTABLE_IMAGE == 0 {
        return Err(LoadError::NotDriver(
            "it is marked as not executable".into(),
        ));
    }
    if characteristics & pe::IMAGE_FILE_RELOCS_STRIPPED != 0 {
        return Err(LoadError::NotDriver("its relocations are stripped".into()));
    }
    Ok((headers, directories))
}

fn read_sections(
    file: &[u8],
    headers: &ImageNtHeaders64,
    bytes: &mut [u8],
) -> Result<Vec<Section>, LoadError> {
    let dos = ImageDosHeader::parse(file).map_err(|error| LoadError::NotPe(error.to_string()))?;
    // Behind the signature, the file header and the optional header.
    let table = u64::from(dos.nt_headers_offset())
        + 24
        + u64::from(headers.file_header.size_of_optional_header.get(LE));
    let table = headers
        .sections(file, table)
        .map_err(|_| LoadError::Truncated("the section table is not complete".into()))?;
    let mut sections: Vec<Section> = Vec::new();
    for header in table.iter() {
        let name = String::from_utf8_lossy(header.raw_name()).into_owned();
        let start = header.virtual_address.get(LE);
        let (from, stored) = header.pe_file_range();
        let size = header.virtual_size.get(LE).max(1);
        let end = start
            .checked_add(size)
            .and_then(|end| end.checked_next_multiple_of(PAGE))
            .filter(|end| *end as usize <= bytes.len());
        let previous = sections.last().map_or(0, |last| last.start + last.size);
        let Some(end) = end.filter(|_| start.is_multiple_of(PAGE) && start >= previous.max(1))
        else {
            return Err(LoadError::Malformed(format!(
                "section {name} (0x{start:x}, 0x{size:x} bytes) overlaps another or leaves the \
                 image"
            )));
        };
        let source = (from as usize)
            .checked_add(stored as usize)
            .and_then(|to| file.get(from as usize..to))
            .ok_or_else(|| {
                LoadError::Truncated(format!("section {name} ends behind the file's end"))
            })?;
        let source = &source[..source.len().min((end - start) as usize)];
        bytes[start as usize..start as usize + source.len()].copy_from_slice(source);
        let flags = header.characteristics.get(LE);
        let write = flags & pe::IMAGE_SCN_MEM_WRITE != 0;
        let execute = flags & pe::IMAGE_SCN_MEM_EXECUTE != 0;
        if write && execute {
            return Err(LoadError::Malformed(format!(
                "section {name} is both writable and executable"
            )));
        }
        sections.push(Section {
            pageable: name.starts_with("PAGE") || name == ".edata",
            discardable: flags & pe::IMAGE_SCN_MEM_DISCARDABLE != 0 || name.starts_with("INIT"),
            name,
            start,
            size: end - start,
            protection: match (write, execute) {
                (true, _) => Protection::ReadWrite,
                (_, true) => Protection::ReadExecute,
                _ => Protection::Read,
            },
        });
    }
    Ok(sections)
}

/// The sum that "PE Format" calls the image file checksum. A header with 0 has none.
fn check_sum(file: &[u8], header: u32) -> Result<(), LoadError> {
    if header == 0 {
        return Ok(());
    }
    let pairs = file.chunks_exact(2);
    let odd = pairs.remainder().first().copied().map_or(0, u64::from);
    let mut sum: u64 = pairs
        .map(|pair| u64::from(u16::from_le_bytes([pair[0], pair[1]])))
        .sum::<u64>()
        + odd;
    // The field itself does not count.
    sum += 0x1_fffe - u64::from(header & 0xffff) - u64::from(header >> 16);
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let length = u32::try_from(file.len()).unwrap_or(u32::MAX);
    let file = u32::try_from(sum).unwrap_or(0).wrapping_add(length);
    if file == header {
        Ok(())
    } else {
        Err(LoadError::Checksum { header, file })
    }
}

fn read_relocations(bytes: &[u8], (start, size): (u32, u32)) -> Result<Vec<u32>, LoadError> {
    let mut found = Vec::new();
    let end = start as usize + size as usize;
    if end > bytes.len() {
        return Err(LoadError::Relocation(
            "the relocation table leaves the image".into(),
        ));
    }
    let mut block = start as usize;
    while block + 8 <= end {
        let page = u32_at(bytes, block)?;
        let length = u32_at(bytes, block + 4)? as usize;
        if length < 8 || block + length > end {
            return Err(LoadError::Relocation(format!(
                "the block for page 0x{page:x} has the impossible length {length}"
            )));
        }
        for entry in bytes[block + 8..block + length].chunks_exact(2) {
            let entry = u16::from_le_bytes([entry[0], entry[1]]);
            let kind = entry >> 12;
            let target = page.checked_add(u32::from(entry & 0xfff));
            match kind {
                pe::IMAGE_REL_BASED_ABSOLUTE => {}
                pe::IMAGE_REL_BASED_DIR64 => match target {
                    Some(target) if target as usize + 8 <= bytes.len() => found.push(target),
                    _ => {
                        return Err(LoadError::Relocation(format!(
                            "page 0x{page:x} entry 0x{entry:04x} lies outside the image"
                        )));
                    }
                },
                other => {
                    return Err(LoadError::Relocation(format!(
                        "type {other} is not of a 64-bit image"
                    )));
                }
            }
        }
        block += length;
    }
    Ok(found)
}

fn read_imports(bytes: &[u8], (start, size): (u32, u32)) -> Result<Vec<Import>, LoadError> {
    let mut imports = Vec::new();
    if size == 0 {
        return Ok(imports);
    }
    let mut descriptor = start as usize;
    loop {
        let names = u32_at(bytes, descriptor)?;
        let library = u32_at(bytes, descriptor + 12)?;
        let slots = u32_at(bytes, descriptor + 16)?;
        if library == 0 || slots == 0 {
            return Ok(imports);
        }
        let library = text_at(bytes, library as usize)?;
        let names = if names == 0 { slots } else { names };
        for index in 0.. {
            let lookup = u64_at(bytes, names as usize + index * 8)?;
            if lookup == 0 {
                break;
            }
            let slot = slots as usize + index * 8;
            u64_at(bytes, slot)?;
            let name = if lookup >> 63 == 0 {
                // Behind the two bytes of the hint.
                text_at(bytes, (lookup & 0x7fff_ffff) as usize + 2)?
            } else {
                format!("ordinal {}", lookup & 0xffff)
            };
            imports.push(Import {
                library: library.clone(),
                name,
                slot: u32::try_from(slot).unwrap_or(u32::MAX),
            });
        }
        descriptor += 20;
    }
}

fn read_cookie(
    bytes: &[u8],
    (start, size): (u32, u32),
    preferred_base: u64,
) -> Result<Option<u32>, LoadError> {
    // Offset of SecurityCookie in IMAGE_LOAD_CONFIG_DIRECTORY64.
    const COOKIE: usize = 0x58;
    if size == 0 {
        return Ok(None);
    }
    let start = start as usize;
    if (u32_at(bytes, start)? as usize) < COOKIE + 8 {
        return Ok(None);
    }
    let address = u64_at(bytes, start + COOKIE)?;
    if address == 0 {
        return Ok(None);
    }
    let offset = address.wrapping_sub(preferred_base);
    usize::try_from(offset)
        .ok()
        .filter(|offset| offset.checked_add(8).is_some_and(|end| end <= bytes.len()))
        .and_then(|offset| u32::try_from(offset).ok())
        .map(Some)
        .ok_or_else(|| {
            LoadError::Malformed(format!(
                "the security cookie 0x{address:x} lies outside the image"
            ))
        })
}

fn array_at<const N: usize>(bytes: &[u8], offset: usize) -> Result<[u8; N], LoadError> {
    offset
        .checked_add(N)
        .and_then(|end| bytes.get(offset..end)?.try_into().ok())
        .ok_or_else(|| LoadError::Malformed(format!("a table at 0x{offset:x} leaves the image")))
}

fn u32_at(bytes: &[u8], offset: usize) -> Result<u32, LoadError> {
    array_at(bytes, offset).map(u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], offset: usize) -> Result<u64, LoadError> {
    array_at(bytes, offset).map(u64::from_le_bytes)
}

fn text_at(bytes: &[u8], offset: usize) -> Result<String, LoadError> {
    let rest = bytes
        .get(offset..)
        .ok_or_else(|| LoadError::Malformed(format!("a name at 0x{offset:x} leaves the image")))?;
    let end = rest.iter().take(512).position(|byte| *byte == 0);
    end.map(|end| String::from_utf8_lossy(&rest[..end]).into_owned())
        .ok_or_else(|| LoadError::Malformed(format!("the name at 0x{offset:x} does not end")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PE: usize = 0x40;
    const OPTIONAL: usize = PE + 24;
    const TABLE: usize = OPTIONAL + 240;
    const FILE_HEADERS: usize = 0x400;

    fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
        file[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn put32(file: &mut [u8], at: usize, value: u32) {
        put(file, at, &value.to_le_bytes());
    }

    /// Three sections of a page: code with the entry point, data with an import
    /// table, a relocation block for one address in it.
    fn driver() -> Vec<u8> {
        let mut file = vec![0; FILE_HEADERS + 3 * 0x200];
        put(&mut file, 0, b"MZ");
        put32(&mut file, 0x3C, u32::try_from(PE).unwrap_or(0));
        put(&mut file, PE, b"PE\0\0");
        put(&mut file, PE + 4, &[0x64, 0x86, 3, 0]);
        put(&mut file, PE + 20, &[240, 0, 0x22, 0]);
        put(&mut file, OPTIONAL, &[0x0B, 0x02]);
        put32(&mut file, OPTIONAL + 16, 0x1000);
        put(&mut file, OPTIONAL + 24, &0x1_4000_0000_u64.to_le_bytes());
        put32(&mut file, OPTIONAL + 32, 0x1000);
        put32(&mut file, OPTIONAL + 36, 0x200);
        put32(&mut file, OPTIONAL + 56, 0x4000);
        put32(&mut file, OPTIONAL + 60, 0x400);
        put(&mut file, OPTIONAL + 68, &[1, 0]);
        put32(&mut file, OPTIONAL + 108, 16);
        put32(&mut file, OPTIONAL + 112 + 8, 0x2000);
        put32(&mut file, OPTIONAL + 112 + 12, 40);
        put32(&mut file, OPTIONAL + 112 + 40, 0x3000);
        put32(&mut file, OPTIONAL + 112 + 44, 12);
        let sections: [(&[u8], u32, u32); 3] = [
            (b".text", 1, 0x6000_0020),
            (b".data", 2, 0xC000_0040),
            (b".reloc", 3, 0x4200_0040),
        ];
        for (name, number, flags) in sections {
            let at = TABLE + (number as usize - 1) * 40;
            put(&mut file, at, name);
            put32(&mut file, at + 8, 0x200);
            put32(&mut file, at + 12, number * 0x1000);
            put32(&mut file, at + 16, 0x200);
            put32(&mut file, at + 20, 0x400 + (number - 1) * 0x200);
            put32(&mut file, at + 36, flags);
        }
        let data = FILE_HEADERS + 0x200;
        put32(&mut file, data, 0x2040);
        put32(&mut file, data + 12, 0x2080);
        put32(&mut file, data + 16, 0x2060);
        put32(&mut file, data + 0x40, 0x2090);
        put32(&mut file, data + 0x60, 0x2090);
        put(&mut file, data + 0x80, b"ntoskrnl.exe\0");
        put(&mut file, data + 0x92, b"DbgPrint\0");
        let reloc = FILE_HEADERS + 0x400;
        put32(&mut file, reloc, 0x2000);
        put32(&mut file, reloc + 4, 12);
        put(&mut file, reloc + 8, &[0x00, 0xA1, 0, 0]);
        file
    }

    fn refusal(change: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut file = driver();
        change(&mut file);
        lay_out(&file).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn a_driver_is_laid_out_with_its_sections_imports_and_relocations() {
        let layout = lay_out(&driver());
        let layout = layout.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(layout.entry, 0x1000);
        assert_eq!(layout.relocations, [0x2100]);
        let import = Import {
            library: "ntoskrnl.exe".into(),
            name: "DbgPrint".into(),
            slot: 0x2060,
        };
        assert_eq!(layout.imports, [import]);
        let protections: Vec<_> = layout.sections.iter().map(|s| s.protection).collect();
        assert_eq!(
            protections,
            [
                Protection::ReadExecute,
                Protection::ReadWrite,
                Protection::Read
            ]
        );
        assert!(layout.sections[2].discardable);
    }

    #[test]
    fn every_kind_of_bad_image_has_its_own_refusal() {
        assert!(refusal(|file| file[0] = b'X').contains("not a PE image"));
        assert!(refusal(|file| file.truncate(0x30)).contains("truncated"));
        assert!(refusal(|file| file.truncate(0x500)).contains("section .text ends behind"));
        assert!(refusal(|file| file[PE + 4] = 0x4C).contains("machine 0x864c"));
        assert!(refusal(|file| put(file, PE + 4, &[0x4C, 0x01])).contains("32-bit"));
        assert!(refusal(|file| file[OPTIONAL + 68] = 2).contains("subsystem is 2"));
        assert!(refusal(|file| file[PE + 22] = 0x23).contains("relocations are stripped"));
        assert!(refusal(|file| put32(file, OPTIONAL + 64, 1)).contains("checksum 0x1,"));
        assert!(refusal(|file| file[TABLE + 39] = 0xE0).contains("writable and executable"));
        assert!(refusal(|file| file[TABLE + 40 + 13] = 0x10).contains("overlaps another"));
        assert!(refusal(|file| put32(file, OPTIONAL + 16, 0x2000)).contains("entry point 0x2000"));
        assert!(
            refusal(|file| put32(file, FILE_HEADERS + 0x400, 0x3F00)).contains("outside the image")
        );
        assert!(refusal(|file| file[FILE_HEADERS + 0x409] = 0x31).contains("type 3"));
        assert!(
            refusal(|file| put32(file, FILE_HEADERS + 0x20C, 0x9000)).contains("leaves the image")
        );
    }
}
