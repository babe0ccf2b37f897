//! The guest's memory as libvirt dumped it.

use std::{fs, path::Path};

use anyhow::{Context, Result, anyhow, bail, ensure};
use object::{
    LittleEndian, Object as _, ObjectSection as _,
    elf::{ET_CORE, FileHeader64, PT_LOAD},
    read::{
        elf::{FileHeader as _, ProgramHeader as _},
        pe::PeFile64,
    },
};

const PAGE: usize = 4096;

/// What of a guest is looked for in its memory.
#[derive(Clone, Debug)]
pub enum Trace {
    /// This driver, as Windows' loader lays an image out.
    Loaded(Vec<u8>),
    /// The first page of this file.
    Page(Vec<u8>),
}

/// Checks that a dump is an ELF core with `present` in the guest's memory, and without
/// `absent`, which is another guest's.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(path: &Path, present: &Trace, absent: &Trace) -> Result<()> {
    let core = fs::read(path).with_context(|| format!("can't read {}", path.display()))?;
    let memory = memory(&core).with_context(|| path.display().to_string())?;
    let size: usize = memory.iter().map(|range| range.len()).sum();
    ensure!(
        has(&memory, present)?,
        "{} has nothing of the driver in {size} bytes of memory",
        path.display()
    );
    ensure!(
        !has(&memory, absent)?,
        "{} has another guest's driver in {size} bytes of memory",
        path.display()
    );
    Ok(())
}

fn has(memory: &[&[u8]], trace: &Trace) -> Result<bool> {
    match trace {
        Trace::Loaded(image) => has_image(memory, image),
        Trace::Page(file) => {
            let page = file
                .get(..PAGE)
                .ok_or_else(|| anyhow!("less than a page"))?;
            Ok(memory
                .iter()
                .any(|range| range.chunks_exact(PAGE).any(|candidate| candidate == page)))
        }
    }
}

/// The ranges of memory in an ELF core.
fn memory(core: &[u8]) -> Result<Vec<&[u8]>> {
    let header = FileHeader64::<LittleEndian>::parse(core).context("this is no ELF file")?;
    let endian = header.endian()?;
    ensure!(
        header.e_type(endian) == ET_CORE,
        "this is no core but an ELF file of type {}",
        header.e_type(endian)
    );
    let mut ranges = Vec::new();
    for segment in header.program_headers(endian, core)? {
        if segment.p_type(endian) == PT_LOAD {
            ranges.push(
                segment
                    .data(endian, core)
                    .map_err(|()| anyhow!("the core breaks off"))?,
            );
        }
    }
    Ok(ranges)
}

/// Whether memory has a driver as it runs: its code at the distance from its headers
/// that it has in memory, which is not the distance that it has in the file.
fn has_image(memory: &[&[u8]], image: &[u8]) -> Result<bool> {
    let file = PeFile64::parse(image).context("the driver is no image")?;
    let section = file
        .section_by_name(".text")
        .ok_or_else(|| anyhow!("the driver has no .text"))?;
    let code = section.data()?;
    let base = file.relative_address_base();
    let distance = usize::try_from(section.address() - base)?;
    if section
        .file_range()
        .is_some_and(|(start, _)| start == distance as u64)
    {
        bail!("the driver is in memory as it is in the file: one can't be told from the other");
    }
    let headers = image.get(..64).unwrap_or_default();
    Ok(memory.iter().any(|range| {
        (0..range.len()).step_by(PAGE).any(|start| {
            range[start..].starts_with(headers)
                && range
                    .get(start + distance..)
                    .is_some_and(|rest| rest.starts_with(code))
        })
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_no_dump() {
        let trace = Trace::Page(vec![0; PAGE]);
        let program = std::env::current_exe().expect("this is a program");
        let error = check(&program, &trace, &trace).expect_err("it is no core");
        assert!(
            format!("{error:#}").contains("this is no core"),
            "{error:#}"
        );
    }
}
