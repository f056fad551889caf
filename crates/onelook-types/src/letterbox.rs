//! How an image is fitted into the network's input: the recipe, and what it yields for one size.

/// What to fit images into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterboxRecipe {
    /// Target height in pixels.
    pub height: usize,
    /// Target width in pixels.
    pub width: usize,
    /// Whether to pad up to the target or only up to the next multiple.
    pub mode: LetterboxMode,
    /// Grey value of the padding.
    pub padding: u8,
}

/// How much padding the fitted image gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterboxMode {
    /// Up to the full target.
    Square,
    /// Only up to the next multiple of `stride` on each side.
    Rect {
        /// The network's largest stride.
        stride: usize,
    },
}

/// Where one image lands in the network's input.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LetterboxPlacement {
    /// Input width, padding included.
    pub width: usize,
    /// Input height, padding included.
    pub height: usize,
    /// Width of the scaled image.
    pub scaled_width: usize,
    /// Height of the scaled image.
    pub scaled_height: usize,
    /// Padding columns left of the image.
    pub left: usize,
    /// Padding rows above the image.
    pub top: usize,
    /// Width of the original image.
    pub source_width: usize,
    /// Height of the original image.
    pub source_height: usize,
}

/// What one pixel of a scaled image is along one axis: two source pixels and their weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AxisTap {
    /// The source pixel before.
    pub first: usize,
    /// The source pixel behind; the same one at the borders.
    pub second: usize,
    /// Weights of both, in parts of 2048.
    pub weights: [u16; 2],
}
