//! The guest's screen, as QEMU's `screendump` writes it.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::qmp::Qmp;

/// Bytes of a pixel.
const PIXEL: usize = 3;

/// The largest text cursor, in pixels: one that blinks changes no more.
const CURSOR: (usize, usize) = (16, 32);

/// One picture of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Screen {
    width: usize,
    pixels: Vec<u8>,
}

impl Screen {
    /// Takes a picture, which QEMU writes to `file`.
    ///
    /// # Errors
    ///
    /// If QEMU takes none or is gone.
    pub fn take(qmp: &mut Qmp, file: &Path) -> Result<Self> {
        qmp.execute("screendump", &json!({"filename": file}))?;
        let picture = fs::read(file).context("QEMU wrote no picture of the screen")?;
        Self::parse(&picture)
    }

    /// Reads a picture in binary PPM, which is QEMU's default.
    ///
    /// # Errors
    ///
    /// If it is none, or is cut off.
    pub fn parse(ppm: &[u8]) -> Result<Self> {
        let mut fields = ppm.splitn(4, u8::is_ascii_whitespace);
        let mut field = || fields.next().context("the picture has no header");
        ensure!(field()? == b"P6", "the picture is no binary PPM");
        let mut number = || -> Result<usize> { Ok(str::from_utf8(field()?)?.parse()?) };
        let (width, height) = (number()?, number()?);
        let (depth, pixels) = field()
            .ok()
            .and_then(|rest| rest.split_at_checked(4))
            .context("the picture has no pixels")?;
        ensure!(depth == b"255\n", "the picture's pixels are not 3 bytes");
        ensure!(
            width > 0 && pixels.len() == width * height * PIXEL,
            "the picture of {width} x {height} pixels has {} bytes",
            pixels.len()
        );
        Ok(Self {
            width,
            pixels: pixels.to_vec(),
        })
    }

    /// Whether all of it has one colour: it shows nothing.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let mut pixels = self.pixels.chunks(PIXEL);
        let first = pixels.next();
        pixels.all(|pixel| Some(pixel) == first)
    }

    /// Whether both show the same, but for a text cursor that blinks.
    #[must_use]
    pub fn shows_same(&self, other: &Self) -> bool {
        if (self.width, self.pixels.len()) != (other.width, other.pixels.len()) {
            return false;
        }
        let changed = || {
            let pairs = self.pixels.chunks(PIXEL).zip(other.pixels.chunks(PIXEL));
            let changed = pairs.enumerate().filter(|(_, (one, two))| one != two);
            changed.map(|(index, _)| (index % self.width, index / self.width))
        };
        let extent = |values: &mut dyn Iterator<Item = usize>| {
            let (least, most) = values.fold((usize::MAX, 0), |(least, most), value| {
                (least.min(value), most.max(value + 1))
            });
            most.saturating_sub(least)
        };
        extent(&mut changed().map(|(x, _)| x)) <= CURSOR.0
            && extent(&mut changed().map(|(_, y)| y)) <= CURSOR.1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A black screen of 100 x 80 with white pixels.
    fn screen(white: &[(usize, usize)]) -> Screen {
        let mut ppm = b"P6\n100 80\n255\n".to_vec();
        let header = ppm.len();
        ppm.resize(header + 100 * 80 * PIXEL, 0);
        for (x, y) in white {
            let at = header + (y * 100 + x) * PIXEL;
            ppm[at..at + PIXEL].fill(0xFF);
        }
        Screen::parse(&ppm).expect("a picture")
    }

    #[test]
    fn one_colour_is_blank() {
        assert!(screen(&[]).is_blank());
        assert!(!screen(&[(5, 5)]).is_blank());
    }

    #[test]
    fn a_cursor_that_blinks_is_no_change() {
        let without = screen(&[(90, 70)]);
        let with = screen(&[(90, 70), (3, 4), (11, 5)]);
        assert!(without.shows_same(&without));
        assert!(without.shows_same(&with));
        assert!(with.shows_same(&without));
    }

    #[test]
    fn what_is_larger_than_a_cursor_is_a_change() {
        let before = screen(&[]);
        assert!(!before.shows_same(&screen(&[(3, 4), (19, 4)])));
        assert!(!before.shows_same(&screen(&[(3, 4), (3, 36)])));
    }

    #[test]
    fn another_size_is_a_change() {
        let small = Screen::parse(b"P6\n1 1\n255\n\0\0\0").expect("a picture");
        assert!(!small.shows_same(&screen(&[])));
    }

    #[test]
    fn what_is_no_picture_is_an_error() {
        for bytes in [
            &b""[..],
            b"P5\n1 1\n255\n\0\0\0",
            b"P6\n1 1\n255\n\0\0",
            b"P6\n0 0\n255\n",
            b"P6\nx 1\n255\n\0\0\0",
            b"P6\n1 1\n65535\n\0\0\0\0\0\0",
        ] {
            assert!(Screen::parse(bytes).is_err(), "{bytes:?}");
        }
    }
}
