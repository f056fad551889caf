//! Detections onto the picture: boxes and labels, one colour per class.
//!
//! Changes pixels of the frame it is given, nothing else; whatever the boxes, it stays inside.

use onelook_types::{Detections, Frame};

/// How detections are drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrawStyle {
    /// Width of the boxes' lines in pixels; by the size of the picture when absent.
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

/// Draws the detections, the surest on top; `names` are the classes' names by index.
pub fn draw(_frame: &mut Frame, _detections: &Detections, _names: &[String], _style: &DrawStyle) {}
