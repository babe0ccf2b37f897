//! The date that goes into the package: the commit's, never the clock's, so
//! that two builds of one commit have the same bytes.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use time::{OffsetDateTime, PrimitiveDateTime};

/// A moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Year.
    pub year: i32,
    /// Month, from 1.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// The date `seconds` after the beginning of 1970.
    ///
    /// # Errors
    /// Outside what UTC time in a catalogue can hold, 1980 to 2049 (ZIP
    /// archives begin in 1980).
    pub fn from_unix(seconds: i64) -> Result<Self> {
        let moment = OffsetDateTime::from_unix_timestamp(seconds)?;
        if !(1980..2050).contains(&moment.year()) {
            bail!("{seconds} seconds since 1970 is not in the years 1980 to 2049");
        }
        Ok(Self {
            seconds,
            year: moment.year(),
            month: moment.month().into(),
            day: moment.day(),
        })
    }

    /// The moment as a date and time in UTC.
    ///
    /// # Errors
    /// None for a date made by [`Date::from_unix`].
    pub fn moment(self) -> Result<PrimitiveDateTime> {
        let moment = OffsetDateTime::from_unix_timestamp(self.seconds)?;
        Ok(PrimitiveDateTime::new(moment.date(), moment.time()))
    }
}

/// The date of the package: `SOURCE_DATE_EPOCH` where it is set, else the date
/// of the commit that is checked out at `repository`.
///
/// # Errors
/// The variable is not a number, or git knows no commit there.
pub fn date(repository: &Path) -> Result<Date> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        let seconds = epoch
            .trim()
            .parse()
            .with_context(|| format!("SOURCE_DATE_EPOCH={epoch} is not a number of seconds"))?;
        return Date::from_unix(seconds);
    }
    let output = Command::new("git")
        .args(["log", "-1", "--format=%ct"])
        .current_dir(repository)
        .output()
        .context("git could not be started, and SOURCE_DATE_EPOCH is not set")?;
    let seconds = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .with_context(|| {
            format!(
                "no date for the package: {} has no commit, and SOURCE_DATE_EPOCH is not set",
                repository.display()
            )
        })?;
    Date::from_unix(seconds)
}
