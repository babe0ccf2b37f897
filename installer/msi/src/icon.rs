//! The icon in Apps & features: a machine that raises its voice.

/// One character is one pixel: `.` nothing, `b` the screen, `w` the mark.
const PICTURE: [&str; 16] = [
    "................",
    ".bbbbbbbbbbbbbb.",
    "bbbbbbbbbbbbbbbb",
    "bbbbbbbwwbbbbbbb",
    "bbbbbbbwwbbbbbbb",
    "bbbbbbbwwbbbbbbb",
    "bbbbbbbwwbbbbbbb",
    "bbbbbbbwwbbbbbbb",
    "bbbbbbbbbbbbbbbb",
    "bbbbbbbwwbbbbbbb",
    "bbbbbbbbbbbbbbbb",
    ".bbbbbbbbbbbbbb.",
    "......bbbb......",
    ".....bbbbbb.....",
    "....bbbbbbbb....",
    "................",
];

const SIDES: [u8; 2] = [16, 32];

/// An icon file with 16 by 16 and 32 by 32 pixels, 32 bits each.
pub fn icon() -> Vec<u8> {
    // ICONDIR: reserved, type 1, how many.
    let mut file = vec![0, 0, 1, 0, 2, 0];
    let mut images = Vec::new();
    for side in SIDES {
        let image = image(usize::from(side));
        let offset = 6 + 16 * SIDES.len() + images.len();
        // ICONDIRENTRY: width, height, colours, reserved, planes, bits.
        file.extend([side, side, 0, 0, 1, 0, 32, 0]);
        file.extend(u32::try_from(image.len()).unwrap_or(0).to_le_bytes());
        file.extend(u32::try_from(offset).unwrap_or(0).to_le_bytes());
        images.extend(image);
    }
    file.extend(images);
    file
}

/// BITMAPINFOHEADER, the pixels from the bottom up, and an empty mask.
fn image(side: usize) -> Vec<u8> {
    let scale = side / PICTURE.len();
    let mut image = Vec::new();
    let side_32 = u32::try_from(side).unwrap_or(0);
    for number in [40, side_32, 2 * side_32] {
        image.extend(u32::to_le_bytes(number));
    }
    image.extend([1, 0, 32, 0]);
    image.extend([0; 24]);
    for row in PICTURE.iter().rev() {
        let pixels = row.bytes().flat_map(|pixel| {
            let colour: [u8; 4] = match pixel {
                b'b' => [0xB4, 0x5A, 0x00, 0xFF],
                b'w' => [0xFF; 4],
                _ => [0; 4],
            };
            std::iter::repeat_n(colour, scale).flatten()
        });
        let line: Vec<u8> = pixels.collect();
        for _ in 0..scale {
            image.extend(&line);
        }
    }
    // Rows of the mask are padded to four bytes.
    image.resize(image.len() + side * side.div_ceil(32) * 4, 0);
    image
}
