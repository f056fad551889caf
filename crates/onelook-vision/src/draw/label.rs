//! A line of text on a coloured plate, placed at a box but never outside the picture.
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

/// Longer texts are cut: no picture is wide enough for them.
const MAX_LETTERS: usize = 100;

/// Whether the font has every letter of a text.
pub(super) fn is_writable(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| FONT.glyph_id(letter).0 != 0)
}

/// A text and where it goes.
pub(super) struct Label {
    letters: Vec<(GlyphId, f32)>,
    scale: PxScale,
    margin: usize,
    plate: Rect,
    colour: [u8; 3],
}

impl Label {
    /// Finds a free place for a text at its box: above it, inside its top, below it, in this order;
    /// when all are taken or outside, inside the picture as near as can be. `None` for no text.
    pub(super) fn place(
        text: &str,
        size: f32,
        bbox: Rect,
        canvas: &Canvas<'_>,
        taken: &[Label],
    ) -> Option<Self> {
        let scale = PxScale::from(size);
        let font = FONT.as_scaled(scale);
        let margin = (size / 5.0).ceil() as usize;
        let room = canvas.width().saturating_sub(2 * margin) as f32;
        let (letters, text_width) = lay_out(text, scale, room);
        if letters.is_empty() {
            return None;
        }
        let width = (text_width.ceil() as usize + 2 * margin).min(canvas.width());
        let height = (font.height().ceil() as usize).min(canvas.height());
        let left = bbox.left.min(canvas.width() - width);
        let plate_at = |top: usize| Rect {
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
        let inside = |plate: &Rect| plate.bottom <= canvas.height();
        let free = |plate: &Rect| !taken.iter().any(|label| label.plate.overlaps(plate));
        let plates = || choices.into_iter().flatten().map(plate_at).filter(inside);
        let lowest = plate_at(canvas.height() - height);
        let plate = plates().find(free).or_else(|| plates().next());
        Some(Self {
            letters,
            scale,
            margin,
            plate: plate.unwrap_or(lowest),
            colour: [0; 3],
        })
    }

    pub(super) fn coloured(self, colour: [u8; 3]) -> Self {
        Self { colour, ..self }
    }

    pub(super) fn draw(&self, canvas: &mut Canvas<'_>) {
        canvas.fill(self.plate, self.colour);
        let ink = text_colour(self.colour);
        let baseline = self.plate.top as f32 + FONT.as_scaled(self.scale).ascent();
        let start = (self.plate.left + self.margin) as f32;
        for &(id, x) in &self.letters {
            let glyph = id.with_scale_and_position(self.scale, point(start + x, baseline));
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

/// Glyphs with their distances from the start, cut where the room ends, and the width of them all.
fn lay_out(text: &str, scale: PxScale, room: f32) -> (Vec<(GlyphId, f32)>, f32) {
    let font = FONT.as_scaled(scale);
    let mut letters = Vec::new();
    let mut x = 0.0;
    for letter in text.chars().take(MAX_LETTERS) {
        let id = font.glyph_id(letter);
        let advance = font.h_advance(id);
        if x + advance > room {
            break;
        }
        letters.push((id, x));
        x += advance;
    }
    (letters, x)
}
