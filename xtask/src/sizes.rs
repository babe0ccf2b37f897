//! `sizes`: the kernel's structures as the bindings have them, so that two kits
//! can be compared: the one here against Microsoft's.
//!
//! The bindings carry an assertion for each size, alignment and offset. They were
//! checked when they were compiled, so that their numbers are the headers'.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail, ensure};
use kit::Architecture;
use lexopt::{Arg::Long, Parser};

/// What is asserted, and the number.
type Sizes = BTreeMap<String, u64>;

/// The bindings have 131 numbers of KMDF's structures.
const LEAST_OF_KMDF: usize = 100;

/// How the assertions begin.
const ASSERTIONS: [&str; 3] = ["Size of ", "Alignment of ", "Offset of field: "];

/// The option: the list to hold the sizes against.
///
/// # Errors
///
/// For anything else.
pub fn parse(parser: &mut Parser) -> Result<Option<PathBuf>> {
    let mut against = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Long("against") => against = Some(parser.value()?.into()),
            argument => return Err(argument.unexpected().into()),
        }
    }
    Ok(against)
}

/// Prints the sizes of this machine's kit, or holds them against a list that was
/// printed elsewhere.
///
/// # Errors
///
/// If the driver does not compile, or the list can't be read.
pub fn sizes(against: Option<&Path>) -> Result<ExitCode> {
    kit::setup(kit::Purpose::Run)?;
    let here = of(Architecture::X64)?;
    let Some(against) = against else {
        for (what, number) in &here {
            println!("{number:>8}  {what}");
        }
        return Ok(ExitCode::SUCCESS);
    };
    let text =
        fs::read_to_string(against).with_context(|| format!("can't read {}", against.display()))?;
    let there = list(&text).with_context(|| format!("{}", against.display()))?;
    println!("{}", compare(&here, &there)?);
    Ok(ExitCode::SUCCESS)
}

/// The sizes of this machine's kit.
///
/// # Errors
///
/// If the driver does not compile, or its bindings assert nothing.
fn of(architecture: Architecture) -> Result<Sizes> {
    kit::build_driver(architecture)?;
    let path = bindings(architecture)?;
    let text =
        fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    let sizes = assertions(&text);
    ensure!(
        !sizes.is_empty(),
        "{} has no assertion that is understood here",
        path.display()
    );
    Ok(sizes)
}

/// Holds KMDF's structures for ARM64 against those for x64: sizes of integers and
/// pointers are the same on both.
///
/// # Errors
///
/// If they differ, or are too few.
pub fn check_kmdf() -> Result<()> {
    same_kmdf(&of(Architecture::X64)?, &of(Architecture::Arm64)?)
}

fn same_kmdf(x64: &Sizes, arm64: &Sizes) -> Result<()> {
    let kmdf: BTreeSet<&String> = x64
        .keys()
        .chain(arm64.keys())
        .filter(|what| what.contains(" _WDF_"))
        .collect();
    ensure!(
        kmdf.len() >= LEAST_OF_KMDF,
        "{} numbers of KMDF are fewer than {LEAST_OF_KMDF}: are they still read?",
        kmdf.len()
    );
    for what in kmdf {
        let (x64, arm64) = (x64.get(what), arm64.get(what));
        ensure!(x64 == arm64, "{what}: {x64:?} for x64, {arm64:?} for ARM64");
    }
    Ok(())
}

/// The bindings that the last build of the driver used.
fn bindings(architecture: Architecture) -> Result<PathBuf> {
    let folder = kit::root()
        .join("target/cross")
        .join(architecture.windows_target())
        .join("driver/build");
    let mut newest = None;
    for entry in
        fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))?
    {
        let path = entry?.path().join("out/types.rs");
        if let Ok(written) = fs::metadata(&path).and_then(|it| it.modified()) {
            newest = newest.max(Some((written, path)));
        }
    }
    newest
        .map(|(_, path)| path)
        .with_context(|| format!("no bindings below {}", folder.display()))
}

/// The numbers in bindings' text. `rustfmt` may have broken the lines.
pub fn assertions(bindings: &str) -> Sizes {
    let mut sizes = Sizes::new();
    for part in bindings.split('"').skip(1).collect::<Vec<_>>().windows(2) {
        let &[what, code] = part else { continue };
        if !ASSERTIONS.iter().any(|begin| what.starts_with(begin)) {
            continue;
        }
        let number = code
            .split_once(';')
            .and_then(|(code, _)| code.rsplit_once("- "))
            .and_then(|(_, number)| number.strip_suffix("usize]"))
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            sizes.insert(what.to_owned(), number);
        }
    }
    sizes
}

/// A list as [`sizes`] prints it.
///
/// # Errors
///
/// For a line that is not one of it.
pub fn list(text: &str) -> Result<Sizes> {
    text.lines()
        .map(|line| {
            line.trim()
                .split_once("  ")
                .and_then(|(number, what)| Some((what.to_owned(), number.parse().ok()?)))
                .with_context(|| format!("{line:?} is no line of `cargo xtask sizes`"))
        })
        .collect()
}

/// Holds two kits against each other.
///
/// A structure without a name of its own is left out: its number depends on
/// what else the headers have. What one kit lacks is no difference, as long as
/// there is something to compare.
///
/// # Errors
///
/// If they differ: with every difference. If they have less than half in common.
pub fn compare(here: &Sizes, there: &Sizes) -> Result<String> {
    let has_name = |what: &&String| !what.contains("__bindgen_");
    let ours = here.keys().filter(has_name).count();
    let theirs = there.keys().filter(has_name).count();
    let both: Vec<_> = here
        .iter()
        .filter(|(what, _)| has_name(what))
        .filter_map(|(what, ours)| Some((what, ours, there.get(what)?)))
        .collect();
    let differ: Vec<String> = both
        .iter()
        .filter(|(_, ours, theirs)| ours != theirs)
        .map(|(what, ours, theirs)| format!("{what}: {ours} here, {theirs} there"))
        .collect();
    if !differ.is_empty() {
        bail!(
            "{} of {} numbers differ:\n  {}",
            differ.len(),
            both.len(),
            differ.join("\n  ")
        );
    }
    ensure!(
        both.len() * 2 > ours.min(theirs),
        "only {} of {ours} numbers here are in the other list, which has {theirs}: is it of this \
         driver?",
        both.len(),
    );
    Ok(format!(
        "{} sizes, alignments and offsets agree; {} here are not there, {} there are not here",
        both.len(),
        ours - both.len(),
        theirs - both.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::{LEAST_OF_KMDF, Sizes, assertions, compare, list, same_kmdf};

    const BINDINGS: &str = r#"
const _: () = {
    ["Size of A"][::core::mem::size_of::<A>() - 16usize];
    [
        "Alignment of A",
    ][::core::mem::align_of::<A>() - 8usize];
    ["Offset of field: A::b"][::core::mem::offset_of!(A, b)
        - 4usize];
};
pub const NAME: &[u8; 2] = b"x\0";
"#;

    fn sizes() -> Sizes {
        assertions(BINDINGS)
    }

    #[test]
    fn sizes_are_read_however_the_lines_are_broken() {
        let expected = [
            ("Alignment of A", 8),
            ("Offset of field: A::b", 4),
            ("Size of A", 16),
        ];
        assert_eq!(
            sizes(),
            Sizes::from(expected.map(|(what, number)| (what.to_owned(), number)))
        );
    }

    #[test]
    fn a_printed_list_is_read_back() {
        let text =
            "      16  Size of A\n       8  Alignment of A\n       4  Offset of field: A::b\n";
        assert_eq!(list(text).expect("it is a list"), sizes());
        assert!(list("Size of A\n").is_err());
    }

    #[test]
    fn two_kits_that_agree_pass_and_a_difference_is_named() {
        assert!(compare(&sizes(), &sizes()).is_ok());
        let mut other = sizes();
        other.insert("Size of A".to_owned(), 24);
        let error = compare(&sizes(), &other).expect_err("a size differs");
        assert!(
            error.to_string().contains("Size of A: 16 here, 24 there"),
            "{error}"
        );
    }

    #[test]
    fn lists_that_have_nothing_in_common_are_no_agreement() {
        let other = Sizes::from([("Size of B".to_owned(), 1)]);
        assert!(compare(&sizes(), &other).is_err());
        assert!(compare(&sizes(), &Sizes::new()).is_err());
    }

    #[test]
    fn structures_of_kmdf_that_differ_or_are_too_few_are_refused() {
        let x64: Sizes = (0..LEAST_OF_KMDF)
            .map(|index| (format!("Size of _WDF_{index}"), 8))
            .collect();
        assert!(same_kmdf(&x64, &x64).is_ok());
        let mut other = x64.clone();
        other.insert("Size of _WDF_0".to_owned(), 16);
        assert!(same_kmdf(&x64, &other).is_err());
        other = x64.clone();
        other.remove("Size of _WDF_0");
        assert!(same_kmdf(&x64, &other).is_err());
        assert!(same_kmdf(&other, &x64).is_err());
        assert!(same_kmdf(&other, &other).is_err());
        assert!(same_kmdf(&sizes(), &sizes()).is_err());
    }
}
