//! A line of text on a coloured background, placed at a box but never outside the image.
//!
//! The font is a subset of DejaVu Sans, embedded; see `assets/README.md`.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, GlyphId, PxScale, ScaleFont, point};

use super::canvas::{Canvas, Rect};
use super::palette::text_colour;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/DejaVuSans-subset.ttf"))
        .expect("the embedded font is a valid font")
});

/// Longer names are cut: no image is wide enough for them.
const MAX_LETTERS: usize = 100;

/// Whether the font has every letter of a text.
pub(super) fn is_writable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| FONT.glyph_id(letter).0 != 0)
}

/// Letters laid out on a line.
pub(super) struct Text {
    /// Glyphs and their distances from the start.
    letters: Vec<(GlyphId, f32)>,
    width: f32,
    scale: PxScale,
    margin: usize,
}

impl Text {
    /// A name and a confidence in letters `size` pixels high; the name is shortened, and if need be
    /// the rest too, until all fits into an image of this width.
    pub(super) fn new(name: &str, confidence: &str, size: usize, image_width: usize) -> Self {
        let scale = PxScale::from(size as f32);
        let margin = size.div_ceil(5);
        let available = image_width.saturating_sub(2 * margin) as f32;
        let gap = if name.is_empty() || confidence.is_empty() {
            ""
        } else {
            " "
        };
        let whole = format!("{name}{gap}{confidence}");
        let letters: Vec<char> = name.chars().take(MAX_LETTERS).collect();
        let shortened = (1..letters.len()).rev().map(|length| {
            let start: String = letters[..length].iter().collect();
            format!("{}…{gap}{confidence}", start.trim_end())
        });
        let text = std::iter::once(whole)
            .chain(shortened)
            .find(|text| width(text, scale) <= available)
            .unwrap_or_else(|| confidence.to_owned());
        let letters = lay_out(&text, scale, available);
        Self {
            width: letters
                .last()
                .map_or(0.0, |&(id, x)| x + FONT.as_scaled(scale).h_advance(id)),
            letters,
            scale,
            margin,
        }
    }
}

/// A text and where it goes.
pub(super) struct Label {
    text: Text,
    background: Rect,
    colour: [u8; 3],
}

impl Label {
    /// Finds a free place for a text at its box; see [`places`] for the order. When all are taken, the
    /// first that lies inside the image; when none lies inside, the lowest in the image. `None` for no
    /// text.
    pub(super) fn place(
        text: Text,
        bbox: Rect,
        canvas: &Canvas<'_>,
        taken: &[Label],
    ) -> Option<Self> {
        if text.letters.is_empty() {
            return None;
        }
        let line = FONT.as_scaled(text.scale).height();
        let width = (text.width.ceil() as usize + 2 * text.margin).min(canvas.width());
        let height = (line.ceil() as usize).min(canvas.height());
        let background_at = |(left, top): (usize, usize)| Rect {
            left: left.min(canvas.width() - width),
            top,
            right: left.min(canvas.width() - width) + width,
            bottom: top + height,
        };
        let free = |background: &Rect| {
            !taken
                .iter()
                .any(|label| label.background.overlaps(background))
        };
        let backgrounds = || {
            places(bbox, width, height)
                .map(background_at)
                .filter(|background| background.bottom <= canvas.height())
        };
        let lowest = || background_at((bbox.left, canvas.height() - height));
        let background = backgrounds().find(free).or_else(|| backgrounds().next());
        Some(Self {
            text,
            background: background.unwrap_or_else(lowest),
            colour: [0; 3],
        })
    }

    pub(super) fn coloured(self, colour: [u8; 3]) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>) {
        canvas.fill(self.background, self.colour);
        let ink = text_colour(self.colour);
        let baseline = self.background.top as f32 + FONT.as_scaled(self.text.scale).ascent();
        let start = (self.background.left + self.text.margin) as f32;
        for &(id, x) in &self.text.letters {
            let glyph = id.with_scale_and_position(self.text.scale, point(start + x, baseline));
            let Some(outline) = FONT.outline_glyph(glyph) else {
                continue;
            };
            let bounds = outline.px_bounds();
            let (left, top) = (bounds.min.x as i64, bounds.min.y as i64);
            outline.draw(|x, y, coverage| {
                canvas.blend(left + i64::from(x), top + i64::from(y), ink, coverage);
            });
        }
    }
}

/// Where a label of this size may be at a box, the best place first: above the box, inside its top,
/// below it, each at the left edge and then at the right one; then down the left edge and the right one,
/// line by line. Every place touches the box.
fn places(bbox: Rect, width: usize, height: usize) -> impl Iterator<Item = (usize, usize)> {
    let (left, right) = (bbox.left, bbox.right.saturating_sub(width));
    let rows = move || {
        let rows = [
            bbox.top.checked_sub(height),
            Some(bbox.top),
            Some(bbox.bottom),
        ];
        rows.into_iter().flatten()
    };
    let lines = (1..)
        .map(move |line| bbox.top + line * height.max(1))
        .take_while(move |top| *top < bbox.bottom);
    let at_left = rows().map(move |top| (left, top));
    let at_right = rows().map(move |top| (right, top));
    let inside = lines.flat_map(move |top| [(left, top), (right, top)]);
    at_left.chain(at_right).chain(inside)
}

fn width(text: &str, scale: PxScale) -> f32 {
    let font = FONT.as_scaled(scale);
    let advances = text
        .chars()
        .map(|letter| font.h_advance(font.glyph_id(letter)));
    advances.sum()
}

/// Glyphs with their distances from the start, cut where the available width ends.
fn lay_out(text: &str, scale: PxScale, available: f32) -> Vec<(GlyphId, f32)> {
    let font = FONT.as_scaled(scale);
    let mut letters = Vec::new();
    let mut x = 0.0;
    for letter in text.chars() {
        let id = font.glyph_id(letter);
        let advance = font.h_advance(id);
        if x + advance > available {
            break;
        }
        letters.push((id, x));
        x += advance;
    }
    letters
}

#[cfg(test)]
mod tests {
    use onelook_types::Frame;

    use super::*;

    fn labels(boxes: &[[usize; 4]]) -> Vec<Rect> {
        let mut frame = Frame::filled(400, 300, [0; 3]).unwrap();
        let canvas = Canvas::new(&mut frame);
        let mut labels: Vec<Label> = Vec::new();
        for &[left, top, right, bottom] in boxes {
            let bbox = Rect {
                left,
                top,
                right,
                bottom,
            };
            let text = Text::new("person", "0.90", 12, canvas.width());
            labels.extend(Label::place(text, bbox, &canvas, &labels));
        }
        labels.into_iter().map(|label| label.background).collect()
    }

    #[test]
    fn labels_of_many_boxes_at_one_place_avoid_each_other() {
        let placed = labels(&[[100, 100, 300, 200]; 12]);
        for (index, label) in placed.iter().enumerate() {
            assert!(label.right <= 400 && label.bottom <= 300);
            let earlier = &placed[..index];
            assert!(
                !earlier.iter().any(|other| other.overlaps(label)),
                "{index}"
            );
        }
    }

    #[test]
    fn a_label_is_above_its_box_if_there_is_space() {
        let placed = labels(&[[100, 100, 300, 200]]);
        assert_eq!((placed[0].left, placed[0].bottom), (100, 100));
    }

    #[test]
    fn a_box_without_space_for_another_label_still_gets_one() {
        assert_eq!(labels(&[[0, 0, 5, 5]; 40]).len(), 40);
    }
}
