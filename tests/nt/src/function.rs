//! What a modelled function is, and the one list of all of them.
//!
//! A function is one entry of a list, made with [`export`] or [`kmdf`]: its name,
//! its documentation page, the highest IRQL it may be called at, the ways it can
//! fail and its body.

use crate::{
    gate::Frame,
    kernel::{DISPATCH_LEVEL, HIGH_LEVEL, PASSIVE_LEVEL, State, Stop},
    kmdf_device, kmdf_driver, kmdf_io, kmdf_object, ntoskrnl, wdfldr,
};

/// What carries a call out. Its result goes to RAX.
pub type Body = fn(&mut State<'_>, &Frame) -> Result<u64, Stop>;

/// A way in which a function can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It returns this NTSTATUS.
    Status(u32),
    /// It returns NULL.
    Null,
    /// It returns FALSE.
    False,
}

impl Failure {
    /// What the function returns.
    pub const fn result(self) -> u64 {
        match self {
            Self::Status(status) => status as u64,
            Self::Null | Self::False => 0,
        }
    }
}

/// Where a function is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By ntoskrnl.exe.
    Ntoskrnl,
    /// By WDFLDR.SYS.
    Wdfldr,
    /// In the function table of KMDF, at this index.
    Kmdf(u16),
    /// Nowhere: Windows gives its address to the driver.
    Internal,
}

/// A modelled function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Where it is exported.
    pub place: Place,
    /// Title of its documentation page.
    pub page: &'static str,
    /// The highest IRQL at which it may be called.
    pub irql: u8,
    /// The ways it can fail, most likely first.
    pub failures: &'static [Failure],
    /// The first Windows build that has it; 0 where all modelled ones do.
    pub first_build: u32,
    /// Whether it may be called during a bug check.
    pub in_bug_check: bool,
    /// What it does.
    pub body: Body,
}

impl Function {
    /// Limits the function to IRQLs up to `irql`.
    pub const fn up_to(mut self, irql: u8) -> Self {
        self.irql = irql;
        self
    }

    /// Lists the ways in which it can fail.
    pub const fn fails(mut self, failures: &'static [Failure]) -> Self {
        self.failures = failures;
        self
    }

    /// The function came with Windows build `build`.
    pub const fn since(mut self, build: u32) -> Self {
        self.first_build = build;
        self
    }

    /// The function may be called at any IRQL, in bug-check callbacks too.
    pub const fn at_any_time(mut self) -> Self {
        self.irql = HIGH_LEVEL;
        self.in_bug_check = true;
        self
    }
}

/// A function of ntoskrnl.exe, for `PASSIVE_LEVEL` and without failures unless
/// more is said.
pub const fn export(name: &'static str, page: &'static str, body: Body) -> Function {
    Function {
        name,
        place: Place::Ntoskrnl,
        page,
        irql: PASSIVE_LEVEL,
        failures: &[],
        first_build: 0,
        in_bug_check: false,
        body,
    }
}

/// A function of WDFLDR.SYS, likewise.
pub const fn loader(name: &'static str, page: &'static str, body: Body) -> Function {
    let mut function = export(name, page, body);
    function.place = Place::Wdfldr;
    function
}

/// A function of KMDF at `index` of its table, likewise.
pub const fn kmdf(index: u16, name: &'static str, page: &'static str, body: Body) -> Function {
    let mut function = export(name, page, body);
    function.place = Place::Kmdf(index);
    function
}

/// A function of Windows that is not exported, likewise.
pub const fn internal(name: &'static str, page: &'static str, body: Body) -> Function {
    let mut function = export(name, page, body);
    function.place = Place::Internal;
    function
}

/// Most functions of KMDF that take a lock may be called at this IRQL.
pub const ANY_THREAD: u8 = DISPATCH_LEVEL;

/// All lists, in the order in which their stubs are numbered.
const LISTS: [&[Function]; 6] = [
    ntoskrnl::FUNCTIONS,
    wdfldr::FUNCTIONS,
    kmdf_driver::FUNCTIONS,
    kmdf_object::FUNCTIONS,
    kmdf_device::FUNCTIONS,
    kmdf_io::FUNCTIONS,
];

/// All modelled functions.
pub fn all() -> impl Iterator<Item = &'static Function> {
    LISTS.into_iter().flatten()
}

/// How many there are.
pub fn count() -> usize {
    LISTS.into_iter().map(<[_]>::len).sum()
}

/// The stub number of the function that `matches` picks.
pub fn number_of(matches: impl FnMut(&'static Function) -> bool) -> Option<u32> {
    all()
        .position(matches)
        .and_then(|index| u32::try_from(index).ok())
}

/// The function of stub number `number`.
pub fn numbered(number: u64) -> Option<&'static Function> {
    let mut rest = usize::try_from(number).ok()?;
    for list in LISTS {
        if let Some(function) = list.get(rest) {
            return Some(function);
        }
        rest -= list.len();
    }
    None
}

/// Stub numbers from here on are entries of the KMDF table that are not modelled.
pub const UNMODELLED: u32 = 0x1_0000;

#[cfg(test)]
mod tests {
    use alloc::{format, string::String, vec::Vec};

    use super::*;

    const README: &str = include_str!("../README.md");

    fn ways(function: &Function) -> String {
        let ways: Vec<String> = function
            .failures
            .iter()
            .map(|failure| match failure {
                Failure::Status(status) => format!("0x{status:08X}"),
                Failure::Null => "NULL".into(),
                Failure::False => "FALSE".into(),
            })
            .collect();
        if ways.is_empty() {
            "none".into()
        } else {
            ways.join(", ")
        }
    }

    fn row(function: &Function) -> String {
        let place = match function.place {
            Place::Ntoskrnl => "ntoskrnl.exe".into(),
            Place::Wdfldr => "WDFLDR.SYS".into(),
            Place::Kmdf(index) => format!("KMDF {index}"),
            Place::Internal => "framework".into(),
        };
        let irql = match (function.irql, function.in_bug_check) {
            (_, true) => "any, bug check too".into(),
            (HIGH_LEVEL, false) => "any".into(),
            (irql, false) => format!("{irql}"),
        };
        let since = match function.first_build {
            0 => String::new(),
            build => format!(", from build {build}"),
        };
        format!(
            "| {} | {place}{since} | {} | {irql} | {} |",
            function.name,
            function.page,
            ways(function)
        )
    }

    #[test]
    fn the_readme_lists_every_function_as_it_is() {
        let rows: Vec<String> = all().map(row).collect();
        let complete = rows.iter().all(|row| README.contains(row));
        assert!(complete, "README.md lacks\n{}", rows.join("\n"));
        let listed = README
            .lines()
            .skip_while(|line| !line.starts_with("## Functions"))
            .filter(|line| line.starts_with("| "));
        // And the line with the names of the columns.
        assert_eq!(
            listed.count(),
            rows.len() + 1,
            "README.md lists what is not modelled"
        );
    }

    #[test]
    fn the_readme_lists_every_rule() {
        let rows: Vec<String> = crate::RULES
            .iter()
            .map(|rule| format!("| {} | {} | {} |", rule.name, rule.demand, rule.page))
            .collect();
        let complete = rows.iter().all(|row| README.contains(row));
        assert!(complete, "README.md lacks\n{}", rows.join("\n"));
    }

    #[test]
    fn kmdf_functions_stand_at_the_index_that_the_table_gives_them() {
        for function in all() {
            if let Place::Kmdf(index) = function.place {
                let name = crate::kmdf_driver::name_of(u64::from(UNMODELLED) + u64::from(index));
                assert_eq!(name, function.name);
            }
        }
    }
}
