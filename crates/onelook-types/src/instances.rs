//! The objects on one image, as columns.

use crate::{BoxXyxy, Mask};

/// The objects on one image, highest score first: a column per property, a row per object.
///
/// Columns that a model or a step does not give are absent; those that are there have a value for
/// every object.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Instances {
    boxes: Vec<BoxXyxy>,
    classes: Vec<usize>,
    scores: Vec<f32>,
    masks: Option<Vec<Mask>>,
    keypoints: Option<Vec<Vec<Keypoint>>>,
    angles: Option<Vec<f32>>,
    track_ids: Option<Vec<u64>>,
}

/// One object: a row of [`Instances`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Instance<'a> {
    /// Where, in pixels of the original image. With an [`angle`](Self::angle): before the box is
    /// turned about its centre.
    pub bbox: BoxXyxy,
    /// Which class, an index into [`Metadata::names`](crate::Metadata::names).
    pub class: usize,
    /// Confidence, 0 to 1.
    pub score: f32,
    /// Which pixels.
    pub mask: Option<&'a Mask>,
    /// Where its key points are, in the model's order.
    pub keypoints: Option<&'a [Keypoint]>,
    /// How far the box is turned clockwise about its centre, in radians.
    pub angle: Option<f32>,
    /// The same for the same object on every frame of a video.
    pub track_id: Option<u64>,
}

/// A point of an object that the model was trained to find.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Keypoint {
    /// Pixels from the left edge of the original image.
    pub x: f32,
    /// Pixels from its top edge.
    pub y: f32,
    /// Confidence that it is visible, 0 to 1, where the model tells.
    pub score: Option<f32>,
}

impl Instance<'_> {
    /// An object of which nothing but the box is known.
    pub fn new(bbox: BoxXyxy, class: usize, score: f32) -> Self {
        Self {
            bbox,
            class,
            score,
            mask: None,
            keypoints: None,
            angle: None,
            track_id: None,
        }
    }
}

/// A column that is absent has no values.
fn value<T>(column: &Option<Vec<T>>, index: usize) -> Option<&T> {
    column.as_ref()?.get(index)
}

impl Instances {
    /// No objects.
    pub const EMPTY: Self = Self {
        boxes: Vec::new(),
        classes: Vec::new(),
        scores: Vec::new(),
        masks: None,
        keypoints: None,
        angles: None,
        track_ids: None,
    };

    /// Objects by boxes, classes and scores, which must be equally many.
    ///
    /// # Panics
    /// When they are not.
    pub fn new(boxes: Vec<BoxXyxy>, classes: Vec<usize>, scores: Vec<f32>) -> Self {
        assert_eq!(
            [classes.len(), scores.len()],
            [boxes.len(); 2],
            "a value per object"
        );
        Self {
            boxes,
            classes,
            scores,
            ..Self::default()
        }
    }

    /// The same objects with a mask each.
    ///
    /// # Panics
    /// When there are more or fewer masks than objects.
    #[must_use]
    pub fn with_masks(self, masks: Vec<Mask>) -> Self {
        let masks = Some(self.column(masks));
        Self { masks, ..self }
    }

    /// The same objects with key points each.
    ///
    /// # Panics
    /// When there are more or fewer sets of key points than objects.
    #[must_use]
    pub fn with_keypoints(self, keypoints: Vec<Vec<Keypoint>>) -> Self {
        let keypoints = Some(self.column(keypoints));
        Self { keypoints, ..self }
    }

    /// The same objects with their boxes turned by these angles, in radians.
    ///
    /// # Panics
    /// When there are more or fewer angles than objects.
    #[must_use]
    pub fn with_angles(self, angles: Vec<f32>) -> Self {
        let angles = Some(self.column(angles));
        Self { angles, ..self }
    }

    /// The same objects with the numbers of their tracks.
    ///
    /// # Panics
    /// When there are more or fewer numbers than objects.
    #[must_use]
    pub fn with_track_ids(self, track_ids: Vec<u64>) -> Self {
        let track_ids = Some(self.column(track_ids));
        Self { track_ids, ..self }
    }

    fn column<T>(&self, values: Vec<T>) -> Vec<T> {
        assert_eq!(values.len(), self.len(), "a value per object");
        values
    }

    /// How many objects.
    pub fn len(&self) -> usize {
        self.boxes.len()
    }

    /// Whether there is no object.
    pub fn is_empty(&self) -> bool {
        self.boxes.is_empty()
    }

    /// Where, in pixels of the original image.
    pub fn boxes(&self) -> &[BoxXyxy] {
        &self.boxes
    }

    /// Indices into [`Metadata::names`](crate::Metadata::names).
    pub fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// Confidences, 0 to 1.
    pub fn scores(&self) -> &[f32] {
        &self.scores
    }

    /// Which pixels.
    pub fn masks(&self) -> Option<&[Mask]> {
        self.masks.as_deref()
    }

    /// Which track each object belongs to.
    pub fn track_ids(&self) -> Option<&[u64]> {
        self.track_ids.as_deref()
    }

    /// The object of this index.
    pub fn get(&self, index: usize) -> Option<Instance<'_>> {
        Some(Instance {
            bbox: *self.boxes.get(index)?,
            class: self.classes[index],
            score: self.scores[index],
            mask: value(&self.masks, index),
            keypoints: value(&self.keypoints, index).map(Vec::as_slice),
            angle: value(&self.angles, index).copied(),
            track_id: value(&self.track_ids, index).copied(),
        })
    }

    /// The objects, row by row.
    pub fn iter(&self) -> Rows<'_> {
        Rows {
            instances: self,
            rows: 0..self.len(),
        }
    }

    /// The objects of these indices, in this order.
    ///
    /// # Panics
    /// When an index is not below [`len`](Self::len).
    #[must_use]
    pub fn select(&self, indices: &[usize]) -> Self {
        fn pick<T: Clone>(column: &[T], indices: &[usize]) -> Vec<T> {
            indices.iter().map(|&index| column[index].clone()).collect()
        }
        fn pick_any<T: Clone>(column: &Option<Vec<T>>, indices: &[usize]) -> Option<Vec<T>> {
            column.as_ref().map(|column| pick(column, indices))
        }
        Self {
            boxes: pick(&self.boxes, indices),
            classes: pick(&self.classes, indices),
            scores: pick(&self.scores, indices),
            masks: pick_any(&self.masks, indices),
            keypoints: pick_any(&self.keypoints, indices),
            angles: pick_any(&self.angles, indices),
            track_ids: pick_any(&self.track_ids, indices),
        }
    }
}

/// Rows whose optional columns, where the first one has them, all have.
impl<'a> FromIterator<Instance<'a>> for Instances {
    fn from_iter<I: IntoIterator<Item = Instance<'a>>>(rows: I) -> Self {
        let rows: Vec<Instance<'a>> = rows.into_iter().collect();
        fn all<T>(values: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
            values
                .collect::<Option<Vec<T>>>()
                .filter(|values| !values.is_empty())
        }
        Self {
            boxes: rows.iter().map(|row| row.bbox).collect(),
            classes: rows.iter().map(|row| row.class).collect(),
            scores: rows.iter().map(|row| row.score).collect(),
            masks: all(rows.iter().map(|row| row.mask.cloned())),
            keypoints: all(rows.iter().map(|row| row.keypoints.map(<[_]>::to_vec))),
            angles: all(rows.iter().map(|row| row.angle)),
            track_ids: all(rows.iter().map(|row| row.track_id)),
        }
    }
}

/// Iterator over the rows of [`Instances`].
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    instances: &'a Instances,
    rows: std::ops::Range<usize>,
}

impl<'a> Iterator for Rows<'a> {
    type Item = Instance<'a>;

    fn next(&mut self) -> Option<Instance<'a>> {
        self.instances.get(self.rows.next()?)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.rows.size_hint()
    }
}

impl DoubleEndedIterator for Rows<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.instances.get(self.rows.next_back()?)
    }
}

impl ExactSizeIterator for Rows<'_> {}

impl<'a> IntoIterator for &'a Instances {
    type Item = Instance<'a>;
    type IntoIter = Rows<'a>;

    fn into_iter(self) -> Rows<'a> {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PixelRect;

    fn three() -> Instances {
        let boxes = vec![BoxXyxy::default(); 3];
        let mask = |size: usize| Mask::from_fn([size, size], PixelRect::default(), |_, _| false);
        Instances::new(boxes, vec![4, 5, 6], vec![0.9, 0.8, 0.7])
            .with_masks(vec![mask(1), mask(2), mask(3)])
            .with_track_ids(vec![10, 20, 30])
    }

    #[test]
    fn every_column_follows_a_selection() {
        let picked = three().select(&[2, 0]);
        assert_eq!(picked.classes(), [6, 4]);
        assert_eq!(picked.scores(), [0.7, 0.9]);
        let row = picked.get(0).unwrap();
        assert_eq!(row.mask.unwrap().size(), [3, 3]);
        assert_eq!((row.track_id, row.angle), (Some(30), None));
        assert_eq!(picked.get(2), None);
    }

    #[test]
    fn rows_become_the_same_columns_again() {
        assert_eq!(three().iter().collect::<Instances>(), three());
        assert_eq!(three().iter().rev().map(|row| row.class).next(), Some(6));
        assert_eq!(
            Instances::default().iter().collect::<Instances>(),
            Instances::default()
        );
    }

    #[test]
    #[should_panic(expected = "a value per object")]
    fn a_column_has_a_value_per_object() {
        let _ = three().with_angles(vec![0.0]);
    }
}
