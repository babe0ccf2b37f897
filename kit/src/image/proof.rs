//! Shows that every rule can fail: a good image, with one property broken at a
//! time, has to be found out.

use anyhow::{Context, Result, bail};

use super::{Rule, check, checksum};
use crate::architecture::Architecture;

/// What is checked together: the image, its map, and the version it should
/// have.
#[derive(Clone)]
struct Specimen {
    image: Vec<u8>,
    map: String,
    architecture: Architecture,
    version: [u16; 4],
}

/// One way to break an image.
type Break = fn(&mut Specimen) -> Option<()>;

const BREAKS: [(Rule, &str, Break); 23] = [
    (Rule::Format, "not a PE image", |it| it.put(0, b"ZM")),
    (Rule::Format, "cut off in its headers", |it| {
        it.image.truncate(0x80);
        Some(())
    }),
    (Rule::Format, "a 32-bit image", |it| {
        it.put(it.optional()?, &0x10B_u16.to_le_bytes())
    }),
    (Rule::Machine, "for 32-bit x86", |it| {
        it.put(it.headers()? + 4, &0x014C_u16.to_le_bytes())
    }),
    (Rule::Machine, "for the other architecture", |it| {
        let [other] = Architecture::ALL
            .into_iter()
            .filter(|other| *other != it.architecture)
            .collect::<Vec<_>>()[..]
        else {
            return None;
        };
        it.architecture = other;
        Some(())
    }),
    (Rule::Subsystem, "a console program", |it| {
        it.put(it.optional()? + 68, &3_u16.to_le_bytes())
    }),
    (Rule::EntryPoint, "entered behind its entry point", |it| {
        let at = it.optional()? + 16;
        let entry = it.number(at)?;
        it.put(at, &(entry + 1).to_le_bytes())
    }),
    (Rule::DynamicBase, "without DYNAMIC_BASE", |it| {
        it.clear(0x0040)
    }),
    (Rule::NxCompat, "without NX_COMPAT", |it| it.clear(0x0100)),
    (Rule::HighEntropy, "without HIGH_ENTROPY_VA", |it| {
        it.clear(0x0020)
    }),
    (Rule::ForceIntegrity, "without FORCE_INTEGRITY", |it| {
        it.clear(0x0080)
    }),
    (Rule::WritableCode, "with writable code", |it| {
        // The first section's characteristics.
        let at = it.optional()? + 240 + 36;
        let flags = it.number(at)?;
        it.put(at, &(flags | 0x8000_0000).to_le_bytes())
    }),
    (
        Rule::SectionAlignment,
        "with sections closer than pages",
        |it| it.put(it.optional()? + 32, &0x200_u32.to_le_bytes()),
    ),
    (Rule::Checksum, "changed after it was built", |it| {
        let last = it.image.last_mut()?;
        *last ^= 1;
        Some(())
    }),
    (Rule::Version, "of another version", |it| {
        let [major, ..] = &mut it.version;
        *major += 1;
        Some(())
    }),
    (Rule::Version, "without a version resource", |it| {
        it.put(it.optional()? + 112 + 2 * 8, &[0; 8])
    }),
    (
        Rule::Version,
        "with the version resource of a program",
        |it| {
            let at = it.find(&0xFEEF_04BD_u32.to_le_bytes())?;
            it.put(at + 36, &1_u32.to_le_bytes())
        },
    ),
    (Rule::Exports, "with another export", |it| {
        it.replace(b"\0DriverEntry\0", b"\0DriverExtra\0")
    }),
    (
        Rule::ImportedModule,
        "that imports from another driver",
        |it| it.replace(b"\0WDFLDR.SYS\0", b"\0WDFLDX.SYS\0"),
    ),
    (
        Rule::ImportedFunction,
        "that imports what Windows lacks",
        |it| it.replace(b"\0WdfVersionBind\0", b"\0WdfVersionBend\0"),
    ),
    (Rule::PanicCode, "that can panic", |it| {
        it.map
            .push_str(" 0001:00000000 core::panicking::panic 0000000180001000 a.o\n");
        Some(())
    }),
    (Rule::PanicText, "with the place of a panic", |it| {
        it.image.extend_from_slice(b"src\\device.rs\0");
        Some(())
    }),
    (Rule::Folder, "with a folder of this machine", |it| {
        it.image.extend_from_slice(super::folder().as_bytes());
        Some(())
    }),
];

/// Breaks a good image in every way and answers how many ways there were.
///
/// # Errors
///
/// If the image is not good to begin with, or a break goes unnoticed: the error
/// names it.
pub fn prove(
    image: &[u8],
    map: &str,
    architecture: Architecture,
    version: [u16; 4],
) -> Result<usize> {
    let good = Specimen {
        image: image.to_vec(),
        map: map.to_owned(),
        architecture,
        version,
    };
    if let Some(finding) = good.check().first() {
        bail!("the image is not good to begin with: {finding}");
    }
    for (rule, name, apply) in BREAKS {
        let mut broken = good.clone();
        apply(&mut broken).with_context(|| format!("could not make an image {name}"))?;
        // A break of its own is not to be found by the checksum alone.
        if rule != Rule::Checksum {
            broken.correct_checksum();
        }
        let findings = broken.check();
        if !findings.iter().any(|finding| finding.rule == rule) {
            bail!("an image {name} was accepted: {rule:?} is not checked. Found: {findings:?}");
        }
    }
    Ok(BREAKS.len())
}

impl Specimen {
    fn check(&self) -> Vec<super::Finding> {
        check(&self.image, &self.map, self.architecture, self.version)
    }

    /// Where the PE signature is.
    fn headers(&self) -> Option<usize> {
        Some(self.number(0x3C)? as usize)
    }

    /// Where the optional header is.
    fn optional(&self) -> Option<usize> {
        Some(self.headers()? + 4 + 20)
    }

    fn number(&self, at: usize) -> Option<u32> {
        let bytes = self.image.get(at..at + 4)?.try_into().ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    fn put(&mut self, at: usize, value: &[u8]) -> Option<()> {
        self.image
            .get_mut(at..at + value.len())?
            .copy_from_slice(value);
        Some(())
    }

    /// Clears a flag of `DllCharacteristics`.
    fn clear(&mut self, flag: u32) -> Option<()> {
        let at = self.optional()? + 70;
        let [low, high, ..] = (self.number(at)? & !flag).to_le_bytes();
        self.put(at, &[low, high])
    }

    fn find(&self, bytes: &[u8]) -> Option<usize> {
        self.image
            .windows(bytes.len())
            .position(|window| window == bytes)
    }

    fn replace(&mut self, from: &[u8], to: &[u8]) -> Option<()> {
        let at = self.find(from)?;
        self.put(at, to)
    }

    fn correct_checksum(&mut self) {
        if let (Some(optional), Some(sum)) = (self.optional(), checksum(&self.image)) {
            // An image that is cut off has no room for one.
            let _ = self.put(optional + 64, &sum.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Architecture, Specimen, prove};

    const VERSION: [u16; 4] = [1, 2, 3, 0];
    const MAP: &str =
        " 0001:00000000       FxDriverEntry              0000000180001000     a.obj\n";

    /// The smallest image that breaks no rule: code, one import, one export and
    /// a version resource.
    fn specimen(architecture: Architecture) -> Option<Vec<u8>> {
        let mut it = Specimen {
            image: vec![0; 0xA00],
            map: MAP.to_owned(),
            architecture,
            version: VERSION,
        };
        let shorts: &[(usize, u16)] = &[
            (0x44, architecture.image_machine()),
            (0x46, 3),      // sections
            (0x54, 240),    // size of the optional header
            (0x56, 0x2022), // executable, large addresses, DLL
            (0x58, 0x20B),
            (0x58 + 68, 1),      // native
            (0x58 + 70, 0x01E0), // the four characteristics
        ];
        let longs: &[(usize, u32)] = &[
            (0x3C, 0x40),             // the PE signature
            (0x58 + 16, 0x1000),      // entry point
            (0x58 + 24, 0x8000_0000), // base, low half
            (0x58 + 28, 1),           // base, high half
            (0x58 + 32, 0x1000),      // section alignment
            (0x58 + 36, 0x200),       // file alignment
            (0x58 + 56, 0x4000),      // size of the image
            (0x58 + 60, 0x200),       // size of the headers
            (0x58 + 108, 16),         // data directories
            (0x58 + 112, 0x20C0),     // exports
            (0x58 + 116, 0x80),
            (0x58 + 120, 0x2000), // imports
            (0x58 + 124, 40),
            (0x58 + 128, 0x3000), // resources
            (0x58 + 132, 0x100),
            // The import of one function from one module.
            (0x400, 0x2040),
            (0x40C, 0x2081),
            (0x410, 0x2050),
            (0x440, 0x2060),
            (0x450, 0x2060),
            // The export directory.
            (0x4CC, 0x2110),
            (0x4D0, 1),
            (0x4D4, 1),
            (0x4D8, 1),
            (0x4DC, 0x2100),
            (0x4E0, 0x2104),
            (0x4E4, 0x2108),
            (0x500, 0x1000),
            (0x504, 0x2131),
            // Resources: type 16, name 1, language 0x409, then the data.
            (0x80C, 0x0001_0000),
            (0x810, 16),
            (0x814, 0x8000_0018),
            (0x824, 0x0001_0000),
            (0x828, 1),
            (0x82C, 0x8000_0030),
            (0x83C, 0x0001_0000),
            (0x840, 0x409),
            (0x844, 0x48),
            (0x848, 0x3060),
            (0x84C, 52),
            (0x860, 0xFEEF_04BD),
            (0x868, 0x0001_0002),
            (0x86C, 0x0003_0000),
            (0x884, 3),
        ];
        for (at, value) in shorts {
            it.put(*at, &value.to_le_bytes())?;
        }
        for (at, value) in longs {
            it.put(*at, &value.to_le_bytes())?;
        }
        it.put(0, b"MZ")?;
        it.put(0x40, b"PE\0\0")?;
        it.put(0x462, b"WdfVersionBind")?;
        it.put(0x481, b"WDFLDR.SYS")?;
        it.put(0x510, b"pvpanic.dll")?;
        it.put(0x531, b"DriverEntry")?;
        put_sections(&mut it)?;
        it.correct_checksum();
        Some(it.image)
    }

    /// The headers of its three sections.
    fn put_sections(it: &mut Specimen) -> Option<()> {
        for (index, (name, address, offset, size, flags)) in [
            (
                b".text\0\0\0",
                0x1000_u32,
                0x200_u32,
                0x200_u32,
                0x6000_0020_u32,
            ),
            (b".rdata\0\0", 0x2000, 0x400, 0x400, 0x4000_0040),
            (b".rsrc\0\0\0", 0x3000, 0x800, 0x200, 0x4000_0040),
        ]
        .into_iter()
        .enumerate()
        {
            let header = 0x148 + 40 * index;
            it.put(header, name)?;
            for (field, value) in [
                (8, size),
                (12, address),
                (16, size),
                (20, offset),
                (36, flags),
            ] {
                it.put(header + field, &value.to_le_bytes())?;
            }
        }
        Some(())
    }

    #[test]
    fn every_rule_finds_the_image_that_breaks_it() {
        for architecture in Architecture::ALL {
            let image = specimen(architecture).unwrap_or_default();
            match prove(&image, MAP, architecture, VERSION) {
                Ok(count) => assert!(count >= 17, "a rule has no image that breaks it"),
                Err(error) => panic!("{architecture}: {error:#}"),
            }
        }
    }

    #[test]
    fn an_image_that_is_cut_off_anywhere_is_found_out_and_never_a_crash() {
        let image = specimen(Architecture::X64).unwrap_or_default();
        for length in 0..image.len() {
            let cut = image.get(..length).unwrap_or_default();
            assert!(
                !super::check(cut, MAP, Architecture::X64, VERSION).is_empty(),
                "{length} bytes were accepted"
            );
        }
    }
}
