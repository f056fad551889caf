//! How the network's last tensors say where objects are: data that post-processing interprets.

/// The head of a detection model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetectHead {
    /// Number of classes.
    pub classes: usize,
    /// Bins per box side: 16 for a distribution (DFL, arXiv 2006.04388), 1 for a plain distance.
    pub reg_max: usize,
    /// Pixels of the network's input per cell, one entry per level, finest first.
    pub strides: Vec<usize>,
    /// One box per object by training: no NMS is due (YOLOv10, YOLO26).
    pub end_to_end: bool,
    /// What the graph's outputs are.
    pub outputs: HeadOutputs,
}

/// What the outputs of a detection graph hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadOutputs {
    /// Two maps per level, finest level first: `[batch, 4 * reg_max, h, w]` distances to the left,
    /// top, right and bottom side in cells (for a distribution: logits, bins innermost), then
    /// `[batch, classes, h, w]` class logits.
    Maps,
    /// One tensor `[batch, 4 + classes, anchors]`: centre x, centre y, width, height in pixels of
    /// the input, then class probabilities. The form of exported models.
    Decoded,
    /// One tensor `[batch, detections, 6]`: x1, y1, x2, y2 in pixels of the input, confidence,
    /// class. The form of exported end-to-end models.
    DecodedEndToEnd,
}
