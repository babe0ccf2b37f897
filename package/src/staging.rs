//! Half-made files live in a folder of their own, which is gone when the work
//! ends, however it ends.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// A temporary folder beside where the result will be, on the same file
/// system, so that the result is put in place by renaming.
#[derive(Debug)]
pub struct Staging(PathBuf);

impl Staging {
    /// Makes one within `parent`.
    ///
    /// # Errors
    /// `parent` can't be written.
    pub fn new(parent: &Path) -> Result<Self> {
        let path = parent.join(format!(".staging-{}", std::process::id()));
        if path.exists() {
            // Of a process that was killed: ours is the only one of this number.
            drop(fs::remove_dir_all(&path));
        }
        fs::create_dir(&path).with_context(|| format!("{} can't be written", parent.display()))?;
        Ok(Self(path))
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Nothing is lost if it stays: nobody reads it.
        drop(fs::remove_dir_all(&self.0));
    }
}
