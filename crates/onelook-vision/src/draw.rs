//! Objects onto the image: masks, boxes, key points and labels, one colour per class.
//!
//! Changes pixels of the frame it is given, nothing else; whatever the boxes, it stays inside.

mod canvas;
mod heatmap;
mod keypoints;
mod label;
mod palette;
mod places;

use onelook_types::{BoxXyxy, Frame, Instance, Instances, Mask};

use canvas::{Canvas, Rect};
pub use heatmap::draw_heatmap;
use label::Label;
pub use palette::class_colour;
pub use places::{DrawnPlace, draw_places};

/// Share of a mask's colour in the pixels under it.
const MASK_OPACITY: f32 = 0.5;

/// How objects are drawn. Masks, where objects have them, are drawn under everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawStyle {
    /// Width of the boxes' lines in pixels; by the size of the image when absent.
    pub line_width: Option<usize>,
    /// Whether to write the classes' names.
    pub labels: bool,
    /// Whether to write the confidences.
    pub confidence: bool,
    /// Whether to draw boxes.
    pub boxes: bool,
}

impl Default for DrawStyle {
    fn default() -> Self {
        Self {
            line_width: None,
            labels: true,
            confidence: true,
            boxes: true,
        }
    }
}

/// Draws the objects, the highest score on top; `names` are the classes' names by index.
///
/// A name with letters that the embedded font lacks (it has Latin, Greek and Cyrillic), or a class
/// without a name, is written as its number. Boxes with an infinite or NaN coordinate are left out.
pub fn draw(frame: &mut Frame, instances: &Instances, names: &[String], style: &DrawStyle) {
    let mut canvas = Canvas::new(frame);
    let line = line_width(&canvas, style);
    for instance in instances.iter().rev() {
        if let Some(mask) = instance.mask {
            fill(&mut canvas, mask, class_colour(instance.class));
        }
    }
    let placed: Vec<(Rect, Instance<'_>)> = instances
        .iter()
        .filter_map(|instance| Some((outline(&instance.bbox, line, &canvas)?, instance)))
        .collect();
    if style.boxes {
        for (rect, instance) in placed.iter().rev() {
            canvas.frame(*rect, line, class_colour(instance.class));
        }
    }
    for instance in instances.iter().rev() {
        if let Some(points) = instance.keypoints {
            keypoints::draw(&mut canvas, points, line, class_colour(instance.class));
        }
    }
    let mut labels: Vec<Label> = Vec::new();
    for (rect, instance) in &placed {
        let (name, confidence) = words(instance, names, style);
        let text = label::Text::new(&name, &confidence, (4 + 5 * line).max(12), canvas.width());
        if let Some(label) = Label::place(text, *rect, &canvas, &labels) {
            labels.push(label.coloured(class_colour(instance.class)));
        }
    }
    for label in labels.iter().rev() {
        label.draw(&mut canvas);
    }
}

/// Tints the pixels that a mask sets, which may be of another size than the image.
fn fill(canvas: &mut Canvas<'_>, mask: &Mask, colour: [u8; 3]) {
    let [width, height] = mask.size();
    let (columns, rows) = (canvas.width(), canvas.height());
    let region = mask.region();
    let pixels = |first: usize, count: usize, size: usize, side: usize| {
        first * side / size.max(1)..((first + count) * side).div_ceil(size.max(1)).min(side)
    };
    for y in pixels(region.top, region.height, height, rows) {
        for x in pixels(region.left, region.width, width, columns) {
            if mask.contains(x * width / columns, y * height / rows) {
                canvas.blend(x as i64, y as i64, colour, MASK_OPACITY);
            }
        }
    }
}

fn line_width(canvas: &Canvas<'_>, style: &DrawStyle) -> usize {
    let automatic = (canvas.width() + canvas.height()).div_ceil(640);
    let largest = canvas.width().min(canvas.height()).div_ceil(2);
    style.line_width.unwrap_or(automatic).clamp(1, largest)
}

/// The box with half a line around it, inside the image.
fn outline(bbox: &BoxXyxy, line: usize, canvas: &Canvas<'_>) -> Option<Rect> {
    let corners = [bbox.x1, bbox.y1, bbox.x2, bbox.y2];
    if !corners.iter().all(|corner| corner.is_finite()) {
        return None;
    }
    let margin = (line / 2) as f32;
    let pixel = |value: f32, side: usize| value.round().clamp(0.0, side as f32) as usize;
    let rect = Rect {
        left: pixel(bbox.x1 - margin, canvas.width().saturating_sub(line)),
        top: pixel(bbox.y1 - margin, canvas.height().saturating_sub(line)),
        right: pixel(bbox.x2 + margin, canvas.width()),
        bottom: pixel(bbox.y2 + margin, canvas.height()),
    };
    Some(Rect {
        right: rect.right.max(rect.left + line),
        bottom: rect.bottom.max(rect.top + line),
        ..rect
    })
}

/// What to write: the name with the track's id before it, and the confidence, each empty when not wanted.
fn words(instance: &Instance<'_>, names: &[String], style: &DrawStyle) -> (String, String) {
    let name = || {
        let known = names.get(instance.class);
        let known = known.filter(|name| label::is_writable(name));
        let name = known.map_or_else(|| format!("class {}", instance.class), String::clone);
        let id = instance.track_id.map(|id| format!("id:{id} "));
        id.unwrap_or_default() + &name
    };
    let name = if style.labels { name() } else { String::new() };
    let confidence = if style.confidence {
        format!("{:.2}", instance.score)
    } else {
        String::new()
    };
    (name, confidence)
}
