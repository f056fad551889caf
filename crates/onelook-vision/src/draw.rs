//! Detections onto the image: boxes and labels, one colour per class.
//!
//! Changes pixels of the frame it is given, nothing else; whatever the boxes, it stays inside.

mod canvas;
mod label;
mod palette;

use onelook_types::{BoxXyxy, Detection, Detections, Frame};

use canvas::{Canvas, Rect};
use label::Label;
pub use palette::class_colour;

/// How detections are drawn.
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

/// Draws the detections, the highest confidence on top; `names` are the classes' names by index.
///
/// A name with letters that the embedded font lacks (it has Latin, Greek and Cyrillic), or a class
/// without a name, is written as its number. Boxes with a NaN or infinite coordinate are left out.
pub fn draw(frame: &mut Frame, detections: &Detections, names: &[String], style: &DrawStyle) {
    let mut canvas = Canvas::new(frame);
    let line = line_width(&canvas, style);
    let placed: Vec<(Rect, &Detection)> = detections
        .iter()
        .filter_map(|detection| Some((outline(&detection.bbox, line, &canvas)?, detection)))
        .collect();
    if style.boxes {
        for (rect, detection) in placed.iter().rev() {
            canvas.frame(*rect, line, class_colour(detection.class));
        }
    }
    let mut labels: Vec<Label> = Vec::new();
    for (rect, detection) in &placed {
        let (name, confidence) = words(detection, names, style);
        let text = label::Text::new(&name, &confidence, (4 + 5 * line).max(12), canvas.width());
        if let Some(label) = Label::place(text, *rect, &canvas, &labels) {
            labels.push(label.coloured(class_colour(detection.class)));
        }
    }
    for label in labels.iter().rev() {
        label.draw(&mut canvas);
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

/// What to write: the name and the confidence, each empty when not wanted.
fn words(detection: &Detection, names: &[String], style: &DrawStyle) -> (String, String) {
    let name = || {
        let known = names.get(detection.class);
        let known = known.filter(|name| label::is_writable(name));
        known.map_or_else(|| format!("class {}", detection.class), String::clone)
    };
    let name = if style.labels { name() } else { String::new() };
    let confidence = if style.confidence {
        format!("{:.2}", detection.confidence)
    } else {
        String::new()
    };
    (name, confidence)
}
