//! A loaded model, and a model with how it is used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use numpy::{IntoPyArray, PyArrayDyn, PyArrayMethods, PyReadonlyArray4, PyUntypedArrayMethods};
use onelook::media::Limits;
use onelook::types::{Frame, FrameView, Precision, Tensor, Thresholds};
use onelook::{Device, LoadOptions, Model, Options, Pipeline, found_devices};
use pyo3::prelude::*;

use crate::array::{ImageArray, colour};
use crate::detections::Detections;
use crate::error::{OrRaise, raised};
use crate::process::OfProcess;

/// A model that is ready to run, from any number of threads at once.
#[pyclass(frozen, module = "onelook._native")]
pub struct Network {
    model: OfProcess<Arc<Model>>,
    asked: Device,
}

#[pymethods]
impl Network {
    /// Loads a `.pt`, `.onnx` or `.safetensors` file, or a model of the registry by its name.
    #[new]
    #[pyo3(signature = (path, device = "auto", threads = None, precision = "32", end2end = None, gpu_memory = None))]
    fn new(
        py: Python<'_>,
        path: PathBuf,
        device: &str,
        threads: Option<usize>,
        precision: &str,
        end2end: Option<bool>,
        gpu_memory: Option<u64>,
    ) -> PyResult<Self> {
        let options = LoadOptions {
            device: device.parse().or_raise()?,
            threads,
            gpu_memory,
            precision: precision_of(precision)?,
            end_to_end: end2end,
            ..LoadOptions::default()
        };
        let model = py.detach(|| Model::load(path, &options)).or_raise()?;
        Ok(Self {
            model: OfProcess::new(Arc::new(model)),
            asked: options.device,
        })
    }

    /// Path or name that it was loaded by.
    #[getter]
    fn name(&self) -> &str {
        self.model.name()
    }

    /// Class names by class index.
    #[getter]
    fn names(&self) -> Vec<String> {
        self.model.metadata().names.clone()
    }

    /// What it was trained for: `detect`, `segment`, `pose`, `obb` or `classify`.
    #[getter]
    fn task(&self) -> String {
        self.model.metadata().task().to_string()
    }

    /// Family and scale, such as `yolo11n`.
    #[getter]
    fn architecture(&self) -> &str {
        &self.model.metadata().architecture
    }

    /// The sides of its input are multiples of this.
    #[getter]
    fn stride(&self) -> usize {
        self.model.metadata().stride
    }

    /// Height and width that it was trained with.
    #[getter]
    fn image_size(&self) -> (usize, usize) {
        self.model.metadata().image_size.into()
    }

    /// What else the file says: licence, author, date, version.
    #[getter]
    fn notes(&self) -> Vec<(String, String)> {
        self.model.metadata().notes.clone()
    }

    /// The device in words.
    #[getter]
    fn device(&self) -> &str {
        self.model.device()
    }

    /// Whether it runs on this device: the one that was asked for, or the one that was found.
    fn is_on(&self, device: &str) -> PyResult<bool> {
        let device: Device = device.parse().or_raise()?;
        let found = self.model.device().split(", ").next();
        let found = found.and_then(|word| word.parse::<Device>().ok());
        Ok(device == Device::Auto || device == self.asked || Some(device) == found)
    }

    /// Why this device was chosen.
    #[getter]
    fn device_reason(&self) -> &str {
        self.model.device_reason()
    }

    /// What does not work as it should on this device, though the model runs.
    #[getter]
    fn warning(&self) -> Option<&str> {
        self.model.warning()
    }

    /// Whether nothing was learned: it was built from an architecture.
    #[getter]
    fn has_random_weights(&self) -> bool {
        self.model.has_random_weights()
    }

    /// Number of parameters.
    #[getter]
    fn parameters(&self) -> usize {
        self.model.graph().parameters()
    }

    /// Floating-point operations of an input of this height and width.
    fn flops(&self, height: usize, width: usize) -> PyResult<u64> {
        let shape = [1, 3, height, width].into();
        self.model.flops(&shape).or_raise()
    }

    /// Runs the network on `(batch, 3, height, width)` of `float32`, RGB from 0 to 1; its raw outputs.
    fn run<'py>(
        &self,
        py: Python<'py>,
        input: PyReadonlyArray4<'py, f32>,
    ) -> PyResult<Vec<Bound<'py, PyArrayDyn<f32>>>> {
        let shape: Vec<usize> = input.shape().to_vec();
        // An array may seem to be far larger than its memory.
        let values = shape
            .iter()
            .try_fold(1, |all: u64, &side| all.checked_mul(side as u64));
        let most = 3 * Limits::default().max_pixels;
        if values.is_none_or(|values| values > most) {
            let message = format!("input: {shape:?} is too large: at most {most} values are taken");
            return Err(raised("SettingError", message));
        }
        let values = input.as_array().iter().copied().collect();
        let input =
            Tensor::new(shape, values).map_err(|error| raised("ImageError", error.to_string()))?;
        let model = self.model.running()?;
        let outputs = py.detach(|| model.run_tensor(&input)).or_raise()?;
        let arrays = outputs.into_iter().map(|output| {
            let shape = output.shape().to_vec();
            output.into_data().into_pyarray(py).reshape(shape)
        });
        arrays.collect()
    }
}

fn precision_of(word: &str) -> PyResult<Precision> {
    let precision = word.parse::<Precision>();
    precision.map_err(|error| raised("SettingError", format!("quantize: {error}")))
}

/// A model with everything before and behind it.
#[pyclass(frozen, module = "onelook._native")]
pub struct Predictor {
    pub(crate) pipeline: OfProcess<Pipeline>,
}

#[pymethods]
impl Predictor {
    #[new]
    #[pyo3(signature = (
        network, *, conf = 0.25, iou = 0.7, imgsz = None, rect = None, classes = None, max_det = 300,
        agnostic_nms = false, batch = 1, retina_masks = false, multi_label = false, keep_suppressed = false,
    ))]
    #[expect(clippy::too_many_arguments, reason = "keywords of Python")]
    fn new(
        network: &Network,
        conf: f32,
        iou: f32,
        imgsz: Option<[usize; 2]>,
        rect: Option<bool>,
        classes: Option<Vec<usize>>,
        max_det: usize,
        agnostic_nms: bool,
        batch: usize,
        retina_masks: bool,
        multi_label: bool,
        keep_suppressed: bool,
    ) -> PyResult<Self> {
        for (name, value) in [("conf", conf), ("iou", iou)] {
            if !(0.0..=1.0).contains(&value) {
                let message = format!("{name}: expected 0 to 1, not {value}");
                return Err(raised("SettingError", message));
            }
        }
        let options = Options {
            thresholds: Thresholds {
                confidence: conf,
                iou,
                max_detections: max_det,
                classes,
                agnostic: agnostic_nms,
                multi_label,
                retina_masks,
            },
            image_size: imgsz,
            rect,
            batch: batch.max(1),
            keep_suppressed,
        };
        let model = Arc::clone(network.model.running()?);
        let pipeline = Pipeline::new(model, options).or_raise()?;
        Ok(Self {
            pipeline: OfProcess::new(pipeline),
        })
    }

    /// What the model says of each image; their order is that of the images.
    fn predict(
        &self,
        py: Python<'_>,
        images: Vec<Bound<'_, PyAny>>,
        color: &str,
    ) -> PyResult<Vec<Detections>> {
        let colour = colour(color)?;
        let images = images.iter().map(|image| ImageArray::of(image, colour));
        let images: Vec<ImageArray<'_>> = images.collect::<PyResult<_>>()?;
        let views: Vec<FrameView<'_>> = images.iter().map(ImageArray::view).collect();
        let pipeline = self.pipeline.running()?;
        let placements: Vec<_> = views.iter().map(|view| pipeline.place(view)).collect();
        let results = py.detach(|| pipeline.predict_placed(&views, &placements));
        let head = Arc::new(pipeline.model().metadata().head.clone());
        let sizes = views.iter().map(|view| [view.width(), view.height()]);
        let results = results.or_raise()?.into_iter().zip(sizes);
        Ok(results
            .map(|(result, size)| Detections::new(result, size, Arc::clone(&head)))
            .collect())
    }

    /// Seconds of each of `runs` whole predictions of one grey image of this height and width, after
    /// `warmup` that do not count.
    fn time(
        &self,
        py: Python<'_>,
        height: usize,
        width: usize,
        runs: usize,
        warmup: usize,
    ) -> PyResult<Vec<f64>> {
        let frame = Frame::filled(width, height, [114; 3]).or_raise()?;
        let frames = [frame];
        let pipeline = self.pipeline.running()?;
        let mut times = Vec::with_capacity(runs.min(1 << 20));
        for run in 0..warmup.saturating_add(runs) {
            let time = py.detach(|| {
                let start = Instant::now();
                pipeline.predict(&frames).map(|_| start.elapsed())
            });
            let time: Duration = time.or_raise()?;
            py.check_signals()?;
            if run >= warmup {
                times.push(time.as_secs_f64());
            }
        }
        Ok(times)
    }
}

/// What networks could run on, the CPU and any NVIDIA GPU that the driver knows: the name of each, whether
/// this build can use it, and what else there is to say.
#[pyfunction]
pub fn devices(py: Python<'_>) -> Vec<(String, bool, String)> {
    let found = py.detach(found_devices).into_iter();
    found
        .map(|device| (device.name, device.usable, device.remark))
        .collect()
}
