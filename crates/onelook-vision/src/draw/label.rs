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
    /// Finds a free place for a text at its box: above it, inside its top, below it, in this order;
    /// when all are taken or outside, inside the image as near as can be. `None` for no text.
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
        let left = bbox.left.min(canvas.width() - width);
        let background_at = |top: usize| Rect {
            left,
            top,
            right: left + width,
            bottom: top + height,
        };
        let choices = [
            bbox.top.checked_sub(height),
            Some(bbox.top),
            Some(bbox.bottom),
        ];
        let inside = |background: &Rect| background.bottom <= canvas.height();
        let free = |background: &Rect| {
            !taken
                .iter()
                .any(|label| label.background.overlaps(background))
        };
        let backgrounds = || {
            choices
                .into_iter()
                .flatten()
                .map(background_at)
                .filter(inside)
        };
        let lowest = background_at(canvas.height() - height);
        let background = backgrounds().find(free).or_else(|| backgrounds().next());
        Some(Self {
            text,
            background: background.unwrap_or(lowest),
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
