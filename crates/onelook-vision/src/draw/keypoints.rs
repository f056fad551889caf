//! Key points as discs, and the limbs of persons as lines between them.
//!
//! A limb and a disc are both a line with round ends, smooth at its edges.

use onelook_types::Keypoint;

use super::canvas::Canvas;
use super::palette::class_colour;

/// Points that are less likely visible are not drawn.
const LEAST_SCORE: f32 = 0.25;

/// Pairs of a person's 17 key points in the order of COCO: nose, eyes, ears, shoulders, elbows, wrists,
/// hips, knees, ankles; left before right.
const LIMBS: [[usize; 2]; 19] = [
    [0, 1],
    [0, 2],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
    [5, 6],
    [5, 7],
    [7, 9],
    [6, 8],
    [8, 10],
    [5, 11],
    [6, 12],
    [11, 12],
    [11, 13],
    [13, 15],
    [12, 14],
    [14, 16],
];

/// Draws the points of one object that lie inside the image, each index in its own colour, over its limbs
/// in the object's colour.
pub(super) fn draw(canvas: &mut Canvas<'_>, points: &[Keypoint], line: usize, colour: [u8; 3]) {
    let [width, height] = [canvas.width(), canvas.height()].map(|side| side as f32);
    let shown = |point: &Keypoint| {
        let is_visible = point.score.is_none_or(|score| score >= LEAST_SCORE);
        // On the border are those that were clipped to it.
        let is_inside = 0.0 < point.x && point.x < width && 0.0 < point.y && point.y < height;
        (is_visible && is_inside).then_some([point.x, point.y])
    };
    let shown: Vec<Option<[f32; 2]>> = points.iter().map(shown).collect();
    let line = line as f32;
    if shown.len() == 17 {
        for [from, to] in LIMBS {
            if let (Some(from), Some(to)) = (shown[from], shown[to]) {
                stroke(canvas, from, to, 0.5 * line, colour);
            }
        }
    }
    for (index, point) in shown.iter().enumerate() {
        if let Some(point) = *point {
            stroke(canvas, point, point, line + 1.0, class_colour(index));
        }
    }
}

/// A line with round ends: all pixels that are at most `radius` from it.
fn stroke(canvas: &mut Canvas<'_>, from: [f32; 2], to: [f32; 2], radius: f32, colour: [u8; 3]) {
    let reach = radius + 1.0;
    let pixels = |low: f32, high: f32, side: usize| {
        let first = (low - reach).max(0.0) as usize;
        first..((high + reach).max(0.0) as usize).min(side)
    };
    let [dx, dy] = [0, 1].map(|axis| to[axis] - from[axis]);
    let length = dx * dx + dy * dy;
    for y in pixels(from[1].min(to[1]), from[1].max(to[1]), canvas.height()) {
        let centre_y = y as f32 + 0.5;
        // Only the part of the line that is near this row.
        let [a, b] = match dy {
            0.0 => [0.0, 1.0],
            _ => [-reach, reach].map(|reach| ((centre_y + reach - from[1]) / dy).clamp(0.0, 1.0)),
        }
        .map(|along| from[0] + along * dx);
        for x in pixels(a.min(b), a.max(b), canvas.width()) {
            let [px, py] = [x as f32 + 0.5 - from[0], centre_y - from[1]];
            let along = match length {
                0.0 => 0.0,
                _ => ((px * dx + py * dy) / length).clamp(0.0, 1.0),
            };
            let distance = (px - along * dx).hypot(py - along * dy);
            canvas.blend(x as i64, y as i64, colour, radius + 0.5 - distance);
        }
    }
}
