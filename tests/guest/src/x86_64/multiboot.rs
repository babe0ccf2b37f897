//! What a Multiboot2 loader tells: the memory, the files that it has loaded, and
//! where ACPI's tables begin (Multiboot2 Specification, "Boot information").

#[cfg(target_os = "none")]
use super::paging;
#[cfg(target_os = "none")]
use alloc::{vec, vec::Vec};
use core::ops::Range;

/// Types of tags.
const MODULE: u32 = 3;
const MEMORY_MAP: u32 = 6;
const ACPI_OLD: u32 = 14;
const ACPI_NEW: u32 = 15;

/// A memory map's type of usable memory, as in E820.
pub const USABLE: u32 = 1;

/// Bytes before the first tag, and before a tag's content.
const HEADER: usize = 8;

/// Bytes of a memory map's entry that have a meaning.
const ENTRY: usize = 20;

/// The tags of the boot information: the type and the content of each.
fn tags(information: &[u8]) -> impl Iterator<Item = (u32, &[u8])> + Clone {
    let mut rest = information.get(HEADER..).unwrap_or_default();
    core::iter::from_fn(move || {
        let kind = number(rest, 0)?;
        let size = usize::try_from(number(rest, 4)?).ok()?;
        let content = rest.get(HEADER..size)?;
        rest = rest.get(size.next_multiple_of(8)..).unwrap_or_default();
        Some((kind, content))
    })
}

/// The 32-bit number at an offset.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes
        .get(at..at + 4)?
        .try_into()
        .ok()
        .map(u32::from_le_bytes)
}

/// An address or a length at an offset.
fn address(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 8)?.try_into().ok()?;
    usize::try_from(u64::from_le_bytes(bytes)).ok()
}

/// The modules: the name of each and where it lies.
fn modules(information: &[u8]) -> impl Iterator<Item = (&[u8], Range<usize>)> + Clone {
    let modules = tags(information).filter(|(kind, _)| *kind == MODULE);
    modules.filter_map(|(_, content)| {
        let start = usize::try_from(number(content, 0)?).ok()?;
        let end = usize::try_from(number(content, 4)?).ok()?;
        let name = content.get(8..)?.split(|&byte| byte == 0).next()?;
        Some((name, start..end))
    })
}

/// A copy of the RSDP, the newer one of two.
fn rsdp(information: &[u8]) -> Option<&[u8]> {
    let find = |kind| tags(information).find(|(it, _)| *it == kind);
    let (_, content) = find(ACPI_NEW).or_else(|| find(ACPI_OLD))?;
    Some(content)
}

/// The usable memory.
fn usable(information: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let maps = tags(information).filter(|(kind, _)| *kind == MEMORY_MAP);
    maps.flat_map(|(_, content)| {
        let size = number(content, 0).map_or(0, |size| size as usize);
        let entries = content.get(8..).unwrap_or_default();
        entries.chunks_exact(size.max(ENTRY)).filter_map(|entry| {
            let (start, length) = (address(entry, 0)?, address(entry, 8)?);
            (number(entry, 16)? == USABLE).then_some(start..start + length)
        })
    })
}

/// The parts of a range before and after all that is taken in it.
fn free_parts(
    range: &Range<usize>,
    taken: impl Iterator<Item = Range<usize>> + Clone,
) -> [Range<usize>; 2] {
    let within = taken.filter(|it| it.start < range.end && range.start < it.end);
    let first = within.clone().map(|it| it.start).min();
    let last = within.map(|it| it.end).max();
    [
        range.start..first.unwrap_or(range.end),
        last.unwrap_or(range.end)..range.end,
    ]
}

/// The boot information.
#[cfg(target_os = "none")]
pub struct Information {
    /// Not mapped any more once the guest has page tables of its own.
    bytes: &'static [u8],
}

#[cfg(target_os = "none")]
impl Information {
    /// The boot information at an address.
    ///
    /// # Safety
    ///
    /// A Multiboot2 loader passed the address, and it is mapped one to one.
    pub const unsafe fn new(address: usize) -> Self {
        let size: *const u32 = core::ptr::with_exposed_provenance(address);
        // SAFETY: it begins with its size, and is aligned to 8 bytes.
        let size = unsafe { size.read() };
        let start = core::ptr::with_exposed_provenance(address);
        // SAFETY: it has that size, and nothing writes there.
        let bytes = unsafe { core::slice::from_raw_parts(start, size as usize) };
        Self { bytes }
    }

    /// Where the loader's copy of the RSDP lies; 0 where it gave none.
    pub fn rsdp(&self) -> usize {
        rsdp(self.bytes).map_or(0, |rsdp| rsdp.as_ptr().addr())
    }

    /// The usable memory that nothing of the loader's lies in.
    pub fn free_memory(&self) -> impl Iterator<Item = Range<usize>> {
        let modules = modules(self.bytes).map(|(_, range)| range);
        let taken = core::iter::once(self.range()).chain(modules);
        usable(self.bytes).flat_map(move |range| free_parts(&range, taken.clone()))
    }

    /// The module of that name. It takes the heap and the guest's page tables.
    pub fn module(&self, name: &str) -> Option<Vec<u8>> {
        let information = copy(&self.range())?;
        let (_, range) = modules(&information).find(|(it, _)| *it == name.as_bytes())?;
        copy(&range)
    }

    fn range(&self) -> Range<usize> {
        let start = self.bytes.as_ptr().addr();
        start..start + self.bytes.len()
    }
}

/// A copy of physical memory.
#[cfg(target_os = "none")]
fn copy(range: &Range<usize>) -> Option<Vec<u8>> {
    let start = paging::map(range.start as u64, range.len())?;
    let mut bytes = vec![0; range.len()];
    // SAFETY: both are as long as the range, and one is new.
    unsafe { core::ptr::copy_nonoverlapping(start.as_ptr(), bytes.as_mut_ptr(), range.len()) };
    paging::unmap(start, range.len());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};

    /// Boot information with these tags.
    fn information(tags: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        for (kind, content) in tags {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(
                u32::try_from(HEADER + content.len())
                    .unwrap_or(0)
                    .to_le_bytes(),
            );
            bytes.extend(content);
            bytes.resize(bytes.len().next_multiple_of(8), 0xAA);
        }
        bytes
    }

    fn module(start: u32, end: u32, name: &str) -> (u32, Vec<u8>) {
        let numbers = [start.to_le_bytes(), end.to_le_bytes()].concat();
        (MODULE, [&numbers[..], name.as_bytes(), &[0]].concat())
    }

    #[test]
    fn modules_are_found_by_name() {
        let bytes = information(&[
            (1, b"command line\0".to_vec()),
            module(0x1000, 0x1800, "one"),
            module(0x2000, 0x2001, "another"),
            (0, Vec::new()),
        ]);
        let found: Vec<_> = modules(&bytes).collect();
        assert_eq!(
            found,
            [(&b"one"[..], 0x1000..0x1800), (b"another", 0x2000..0x2001)]
        );
    }

    #[test]
    fn only_usable_memory_is_listed() {
        let entry = |start: u64, length: u64, kind: u32| {
            let numbers = [start.to_le_bytes(), length.to_le_bytes()].concat();
            [&numbers[..], &kind.to_le_bytes(), &[0; 4]].concat()
        };
        let map = [
            [24_u32.to_le_bytes(), 0_u32.to_le_bytes()].concat(),
            entry(0, 0x9_F000, USABLE),
            entry(0x10_0000, 0x7FF0_0000, USABLE),
            entry(0x8000_0000, 0x1000, 2),
        ];
        let bytes = information(&[(MEMORY_MAP, map.concat())]);
        let found: Vec<_> = usable(&bytes).collect();
        assert_eq!(found, [0..0x9_F000, 0x10_0000..0x8000_0000]);
    }

    #[test]
    fn the_newer_rsdp_is_taken() {
        let old = (ACPI_OLD, b"old".to_vec());
        let new = (ACPI_NEW, b"new".to_vec());
        let bytes = information(&[old.clone(), new]);
        assert_eq!(rsdp(&bytes), Some(&b"new"[..]));
        assert_eq!(rsdp(&information(&[old])), Some(&b"old"[..]));
        assert_eq!(rsdp(&information(&[])), None);
    }

    #[test]
    fn what_the_loader_has_taken_is_not_free() {
        let taken = [0x3000..0x4000, 0x5000..0x5001, 0x9000..0xA000].into_iter();
        assert_eq!(
            free_parts(&(0x1000..0x8000), taken.clone()),
            [0x1000..0x3000, 0x5001..0x8000]
        );
        assert_eq!(
            free_parts(&(0x6000..0x8000), taken),
            [0x6000..0x8000, 0x8000..0x8000]
        );
    }

    #[test]
    fn information_that_is_cut_off_has_no_more_tags() {
        let bytes = information(&[module(1, 2, "one"), module(3, 4, "two")]);
        assert_eq!(modules(&bytes[..bytes.len() - 8]).count(), 1);
        assert_eq!(modules(&[]).count(), 0);
    }
}
