//! Damaged input is an error, never a panic: whatever an administrator hands
//! in, the answer is a message.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use anyhow::{Result, ensure};

use super::Tally;
use crate::catalogue;
use crate::image::{Architecture, Image, Version};
use crate::inf;
use crate::inf::rules::Surroundings;

const ROUNDS: usize = 3000;

type Reader<'a> = &'a dyn Fn(&[u8]);

/// `package` is the folder of a package that was made.
pub(super) fn run(package: &Path, tally: &mut Tally) {
    let surroundings = Surroundings {
        files: vec!["pvpanic.sys".to_owned()],
        architecture: Architecture::X64,
        version: Version([0, 1, 0, 0]),
    };
    let readers: [(&str, Reader<'_>); 3] = [
        ("pvpanic.inf", &|bytes| {
            drop(inf::lint(bytes, &surroundings));
        }),
        ("pvpanic.cat", &|bytes| drop(catalogue::read(bytes))),
        ("pvpanic.sys", &|bytes| drop(Image::read(bytes))),
    ];
    for (name, reader) in readers {
        tally.take(
            &format!("{name}, damaged in {ROUNDS} ways, is read without a panic"),
            survives(&package.join(name), reader),
        );
    }
}

fn survives(path: &Path, reader: Reader<'_>) -> Result<()> {
    let whole = fs::read(path)?;
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for round in 0..ROUNDS {
        let mut bytes = whole.clone();
        // Headers are where readers go wrong: half of the damage is there.
        let reach = if round % 2 == 0 {
            bytes.len().min(512)
        } else {
            bytes.len()
        };
        for _ in 0..=random.below(4) {
            let at = random.below(reach);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = u8::try_from(random.below(256))?;
            }
        }
        if round % 8 == 0 {
            bytes.truncate(random.below(whole.len()));
        }
        let survived = catch_unwind(AssertUnwindSafe(|| reader(&bytes)));
        ensure!(survived.is_ok(), "round {round} ended in a panic");
    }
    Ok(())
}

/// The same numbers every time (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or_default() % limit.max(1)
    }
}
