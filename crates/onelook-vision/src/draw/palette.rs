//! A colour per class, and black or white on it, whichever is easier to read.

/// Hand-picked so that neighbours differ in hue and lightness.
const COLOURS: [u32; 20] = [
    0xff4d4f, 0x1677ff, 0xffc53d, 0x13a8a8, 0x9254de, 0x73d13d, 0xf759ab, 0x0b5f8a, 0xfa8c16,
    0x36cfc9, 0x7a1f5c, 0xd3f261, 0x85a5ff, 0xad4e00, 0x00a854, 0xffadd2, 0x4b3fbf, 0xa8a032,
    0x69c0ff, 0xb71c1c,
];

/// The colour of a class as red, green, blue; the same in every image. Distinct for 80 classes:
/// the hand-picked colours, then those lighter, then darker, then much lighter.
pub fn class_colour(class: usize) -> [u8; 3] {
    let [_, red, green, blue] = COLOURS[class % COLOURS.len()].to_be_bytes();
    [red, green, blue].map(|channel| match class / COLOURS.len() % 4 {
        0 => channel,
        1 => mix(channel, 255, 3),
        2 => mix(channel, 0, 2),
        _ => mix(channel, 255, 5),
    })
}

/// `eighths` of the way from one value to another.
fn mix(from: u8, to: u8, eighths: u16) -> u8 {
    ((u16::from(from) * (8 - eighths) + u16::from(to) * eighths) / 8) as u8
}

/// Black or white, whichever contrasts more with the background (WCAG 2 relative luminance).
pub(super) fn text_colour(background: [u8; 3]) -> [u8; 3] {
    let luminance = relative_luminance(background);
    let against_white = 1.05 / (luminance + 0.05);
    let against_black = (luminance + 0.05) / 0.05;
    if against_white > against_black {
        [255; 3]
    } else {
        [0; 3]
    }
}

fn relative_luminance(colour: [u8; 3]) -> f32 {
    let [red, green, blue] = colour.map(|channel| {
        let value = f32::from(channel) / 255.0;
        if value <= 0.040_45 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_on_every_class_colour_has_a_contrast_of_at_least_four_and_a_half() {
        for class in 0..200 {
            let colour = class_colour(class);
            let (a, b) = (
                relative_luminance(colour),
                relative_luminance(text_colour(colour)),
            );
            let contrast = (a.max(b) + 0.05) / (a.min(b) + 0.05);
            assert!(contrast >= 4.5, "class {class}: {contrast}");
        }
    }

    #[test]
    fn the_first_eighty_classes_have_eighty_colours() {
        let mut colours: Vec<_> = (0..80).map(class_colour).collect();
        colours.sort_unstable();
        colours.dedup();
        assert_eq!(colours.len(), 80);
    }
}
