//! The comparison of one image.

use onelook::Parity;
use onelook::types::{Frame, Instances};

/// What both sides found in one image, compared.
pub struct Compared {
    /// Path or address.
    pub name: String,
    /// How far the boxes are apart.
    pub parity: Parity,
    /// Error of the raw tensors, where they can be compared.
    pub raw: Option<f32>,
}

/// An image worth showing.
pub struct Shown {
    /// Path or address.
    pub name: String,
    /// How much the two differ, to sort by.
    pub severity: f32,
    /// The pixels.
    pub frame: Frame,
    /// The objects of either side.
    pub routes: [Instances; 2],
}
