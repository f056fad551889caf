//! What the model says of one image, as arrays.

use std::sync::Arc;

use numpy::{PyArray1, PyArray2, PyArray3};
use onelook::record;
use onelook::types::{FrameView, Head, Instances, Prediction};
use onelook::vision::draw::{DrawStyle, draw};
use onelook::vision::masks::polygon;
use onelook::{ImageResult, Parity};
use pyo3::exceptions::PyIndexError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::array::{ImageArray, colour, from_frame, shaped};

/// What the model says of one image.
#[pyclass(frozen, module = "onelook._native")]
pub struct Detections {
    result: ImageResult,
    /// Width and height of the image.
    size: [usize; 2],
    /// What the model gives, also where it has found nothing.
    head: Arc<Head>,
}

impl Detections {
    pub fn new(result: ImageResult, size: [usize; 2], head: Arc<Head>) -> Self {
        Self { result, size, head }
    }

    pub fn instances(&self) -> &Instances {
        self.result.instances()
    }

    /// Boxes that non-maximum suppression dropped, where they were asked for.
    pub fn suppressed(&self) -> &Instances {
        &self.result.suppressed
    }

    /// The same image with other objects.
    pub fn with(&self, instances: Instances) -> Self {
        Self {
            result: ImageResult {
                prediction: Prediction::Instances(instances),
                ..self.result.clone()
            },
            size: self.size,
            head: Arc::clone(&self.head),
        }
    }
}

#[pymethods]
impl Detections {
    fn __len__(&self) -> usize {
        self.instances().len()
    }

    /// Milliseconds per image: fitting it into the input, the network, decoding its outputs.
    #[getter]
    fn speed(&self) -> (f64, f64, f64) {
        let speed = self.result.speed;
        [speed.preprocess, speed.inference, speed.postprocess]
            .map(record::milliseconds)
            .into()
    }

    /// Height and width of the network's input.
    #[getter]
    fn input_size(&self) -> (usize, usize) {
        self.result.input.into()
    }

    /// Height and width of the image.
    #[getter]
    fn image_size(&self) -> (usize, usize) {
        let [width, height] = self.size;
        (height, width)
    }

    /// `x1, y1, x2, y2, [track id,] confidence, class` of each object.
    fn boxes<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray2<f32>>> {
        self.rows(py, |found| {
            let bbox = found.bbox;
            [bbox.x1, bbox.y1, bbox.x2, bbox.y2]
        })
    }

    /// `x, y, width, height, angle, [track id,] confidence, class` of each object; absent where boxes are
    /// not turned.
    fn turned_boxes<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray2<f32>>>> {
        if !matches!(*self.head, Head::Obb(_)) {
            return Ok(None);
        }
        let rows = self.rows(py, |found| {
            let bbox = found.bbox;
            let centre = [(bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0];
            let angle = found.angle.unwrap_or_default();
            [centre[0], centre[1], bbox.width(), bbox.height(), angle]
        });
        rows.map(Some)
    }

    /// A mask per object, `(objects, height, width)`, 0 or 1; absent where the model gives none.
    fn masks<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray3<u8>>>> {
        let Some(masks) = self.instances().masks().filter(|masks| !masks.is_empty()) else {
            return Ok(None);
        };
        let [width, height] = masks[0].size();
        let mut pixels = vec![0; masks.len() * height * width];
        for (mask, pixels) in masks.iter().zip(pixels.chunks_exact_mut(height * width)) {
            for (row, columns) in mask.runs() {
                pixels[row * width..][columns].fill(1);
            }
        }
        shaped(py, pixels, [masks.len(), height, width]).map(Some)
    }

    /// The outline of each mask in pixels of the image, `(points, 2)`.
    fn polygons<'py>(&self, py: Python<'py>) -> PyResult<Vec<Bound<'py, PyArray2<f32>>>> {
        let masks = self.instances().masks().unwrap_or_default().iter();
        let polygons = masks.map(|mask| {
            let points = polygon(mask, self.size);
            let count = points.len();
            shaped(py, points.into_flattened(), [count, 2])
        });
        polygons.collect()
    }

    /// Key points of each object, `(objects, points, 2 or 3)`: x, y and, where the model tells, how likely
    /// each is visible; absent where the model gives none.
    fn keypoints<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray3<f32>>>> {
        let Head::Pose(head) = &*self.head else {
            return Ok(None);
        };
        let columns = 2 + usize::from(head.visibility);
        let mut values = Vec::new();
        for object in self.instances() {
            for point in object.keypoints.unwrap_or_default() {
                let values_of = [point.x, point.y, point.score.unwrap_or_default()];
                values.extend_from_slice(&values_of[..columns]);
            }
        }
        let shape = [self.instances().len(), head.keypoints, columns];
        shaped(py, values, shape).map(Some)
    }

    /// The probability of each class; absent where the model finds objects.
    fn probabilities<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<f32>>> {
        match &self.result.prediction {
            Prediction::Classification(classes) => Some(PyArray1::from_slice(py, &classes.scores)),
            Prediction::Instances(_) => None,
        }
    }

    /// Whether objects have track ids.
    #[getter]
    fn is_track(&self) -> bool {
        self.instances().track_ids().is_some()
    }

    /// The objects of these indices, in this order.
    fn select(&self, indices: Vec<usize>) -> PyResult<Self> {
        let count = self.instances().len();
        match indices.iter().find(|&&index| index >= count) {
            Some(index) => Err(PyIndexError::new_err(format!(
                "there is no object {index}: there are {count}"
            ))),
            None => Ok(self.with(self.instances().select(&indices))),
        }
    }

    /// How these objects compare with others of the same image.
    fn compare<'py>(&self, py: Python<'py>, other: &Self) -> PyResult<Bound<'py, PyDict>> {
        let parity = Parity::of(self.instances(), other.instances());
        let report = PyDict::new(py);
        report.set_item("matched", parity.matched)?;
        report.set_item("only_first", parity.only_first.len())?;
        report.set_item("only_second", parity.only_second.len())?;
        report.set_item("worst_pixels", parity.worst_pixels)?;
        report.set_item("worst_score", parity.worst_score)?;
        Ok(report)
    }

    /// The objects as JSON, as the command line writes them.
    fn json(&self, names: Vec<String>) -> String {
        let objects = record::objects(self.instances(), &names, self.size);
        serde_json::to_string(&objects).expect("records are valid JSON")
    }

    /// The objects as lines of a file of labels.
    fn labels(&self, with_confidence: bool) -> Vec<String> {
        let objects = self.instances().iter();
        objects
            .filter_map(|object| record::label(&object, self.size, with_confidence))
            .collect()
    }

    /// The image with its objects drawn on it, in the same order of channels.
    #[pyo3(signature = (image, color, names, *, line_width = None, labels = true, conf = true, boxes = true))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn draw<'py>(
        &self,
        py: Python<'py>,
        image: &Bound<'py, PyAny>,
        color: &str,
        names: Vec<String>,
        line_width: Option<usize>,
        labels: bool,
        conf: bool,
        boxes: bool,
    ) -> PyResult<Bound<'py, PyArray3<u8>>> {
        let image = ImageArray::of(image, colour(color)?)?;
        let view: FrameView<'_> = image.view();
        let style = DrawStyle {
            line_width,
            labels,
            confidence: conf,
            boxes,
        };
        let frame = py.detach(|| {
            let mut frame = view.to_frame();
            draw(&mut frame, self.instances(), &names, &style);
            if color == "bgr" {
                for pixel in frame.pixels_mut().as_chunks_mut::<3>().0 {
                    pixel.swap(0, 2);
                }
            }
            frame
        });
        from_frame(py, frame)
    }
}

impl Detections {
    /// A row per object: `place`, then what all kinds of boxes have.
    fn rows<'py, const N: usize>(
        &self,
        py: Python<'py>,
        place: impl Fn(&onelook::types::Instance<'_>) -> [f32; N],
    ) -> PyResult<Bound<'py, PyArray2<f32>>> {
        let found = self.instances();
        let columns = N + 2 + usize::from(self.is_track());
        let mut values = Vec::with_capacity(found.len() * columns);
        for object in found {
            values.extend(place(&object));
            values.extend(object.track_id.map(|id| id as f32));
            values.extend([object.score, object.class as f32]);
        }
        shaped(py, values, [found.len(), columns])
    }
}
