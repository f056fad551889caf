//! Boxes within states that are saved: their own crate knows no serde.

use onelook_types::BoxXyxy;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A box, for `#[serde(with = "SavedBox")]`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "BoxXyxy")]
pub(crate) struct SavedBox {
    x1: f32,
    y1: f32,
    x2: f32,
    y2: f32,
}

/// A box by the number of its frame.
#[derive(Serialize, Deserialize)]
struct SavedSighting(u64, #[serde(with = "SavedBox")] BoxXyxy);

/// Boxes by the numbers of their frames, for `#[serde(with = "saved_box::sightings")]`.
pub(crate) mod sightings {
    use super::{BoxXyxy, Deserialize, Deserializer, SavedSighting, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        sightings: &[(u64, BoxXyxy)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let saved = sightings.iter();
        serializer.collect_seq(saved.map(|&(frame, bbox)| SavedSighting(frame, bbox)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(u64, BoxXyxy)>, D::Error> {
        let saved = Vec::deserialize(deserializer)?.into_iter();
        Ok(saved
            .map(|SavedSighting(frame, bbox)| (frame, bbox))
            .collect())
    }
}
