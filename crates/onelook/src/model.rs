//! A model, ready to run: file or name in, an executable network and what the file says of it out.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use onelook_graph::read::{Limits, ModelFile, ReadError, ReadOptions, read, write_safetensors};
use onelook_graph::{Executable, Explanation, Graph, PlacedPicture, family, infer_shapes, pass};
use onelook_types::{
    Detections, LetterboxPlacement, Metadata, Precision, Shape, Tensor, Thresholds,
};
use onelook_vision::head::decode_output0;

use crate::file_bytes::read_file;
use crate::{Device, Engine, EngineOptions, Error, registry};

/// How to load a model.
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Where it runs.
    pub device: Device,
    /// Threads of the CPU engine; all cores when absent.
    pub threads: Option<usize>,
    /// Bytes of a GPU's memory that may be taken; all when absent.
    pub gpu_memory: Option<u64>,
    /// Number format of the arithmetic.
    pub precision: Precision,
    /// For models with two heads: with (`false`) or without (`true`) NMS; when absent, with NMS
    /// where the file has both.
    pub end_to_end: Option<bool>,
    /// What the file may ask for.
    pub limits: Limits,
}

impl LoadOptions {
    /// What of them is for the engine.
    pub fn engine(&self) -> EngineOptions {
        EngineOptions {
            threads: self.threads,
            gpu_memory: self.gpu_memory,
            precision: self.precision,
        }
    }
}

/// A network that is ready to run, from any number of threads at once.
pub struct Model {
    name: String,
    metadata: Metadata,
    graph: Arc<Graph>,
    executable: Box<dyn Executable>,
    device: String,
    reason: String,
    warning: Option<String>,
}

impl Model {
    /// Loads a `.pt`, `.onnx` or `.safetensors` file. A bare name of the registry, such as
    /// `yolo11n` or `yolo11n.pt`, is looked up in the cache and fetched if need be when no such
    /// file exists. A name such as `yolo11x.yaml` gives the architecture with random weights, see
    /// [`has_random_weights`](Self::has_random_weights).
    pub fn load(path: impl AsRef<Path>, options: &LoadOptions) -> Result<Self, Error> {
        let engine = options.device.open(&options.engine())?;
        Self::load_on(&engine, path, options)
    }

    /// As [`load`](Self::load), on an engine that is open already and may serve several models;
    /// device and threads of the options do not count.
    pub fn load_on(
        engine: &Engine,
        path: impl AsRef<Path>,
        options: &LoadOptions,
    ) -> Result<Self, Error> {
        let path = locate(path.as_ref())?;
        let model = open(&path, options)?;
        Self::compile(engine, model, &path.display().to_string(), options)
    }

    /// Loads a model file that is in memory; `name` is for messages.
    pub fn from_bytes(bytes: &[u8], name: &str, options: &LoadOptions) -> Result<Self, Error> {
        let engine = options.device.open(&options.engine())?;
        Self::compile(&engine, parse(bytes, name, options)?, name, options)
    }

    pub(crate) fn compile(
        engine: &Engine,
        model: ModelFile,
        name: &str,
        options: &LoadOptions,
    ) -> Result<Self, Error> {
        if options.precision != engine.precision {
            return Err(Error::Setting {
                name: "precision",
                reason: format!(
                    "{} is not available yet on this device; use {}",
                    options.precision, engine.precision
                ),
            });
        }
        let ModelFile {
            mut graph,
            metadata,
        } = model;
        pass::optimise(&mut graph);
        let executable = engine
            .backend
            .compile_detector(&graph, &metadata.head)
            .map_err(|source| Error::Compile {
                name: name.to_owned(),
                source,
            })?;
        Ok(Self {
            name: name.to_owned(),
            metadata,
            graph: Arc::new(graph),
            executable,
            device: engine.backend.describe(),
            reason: engine.reason.clone(),
            warning: engine.warning.clone(),
        })
    }

    /// Path or name that it was loaded by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the file says of the model.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Whether nothing was learned: it was built from an architecture, and its boxes mean nothing.
    pub fn has_random_weights(&self) -> bool {
        family::has_random_weights(&self.metadata)
    }

    /// Pictures in one run from which the engine gains; more only make the first wait for the last.
    pub fn preferred_batch(&self) -> usize {
        self.executable.preferred_batch()
    }

    /// The optimised graph.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The device in words, such as `cpu, 8 threads, avx512`.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// Why this device was chosen, in one line.
    pub fn device_reason(&self) -> &str {
        &self.reason
    }

    /// What does not work as it should on this device, though the model runs, in one line.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    /// Runs the network on `[batch, 3, height, width]`, RGB from 0 to 1; gives its raw outputs.
    pub fn run(&self, input: &Tensor) -> Result<Vec<Tensor>, Error> {
        self.check(input.shape())?;
        Ok(self.executable.run(&[input])?)
    }

    /// Whether the engine has kernels from pictures to boxes for this network.
    pub(crate) fn detects(&self) -> bool {
        self.executable.detects()
    }

    /// The detections on pictures that share the size of their input, in one go; nothing where the
    /// engine would rather have planes.
    pub(crate) fn detect(
        &self,
        pictures: &[PlacedPicture<'_>],
        thresholds: &Thresholds,
    ) -> Result<Option<Vec<Detections>>, Error> {
        for picture in pictures {
            let LetterboxPlacement { height, width, .. } = picture.placement;
            self.check(&[1, 3, height, width].into())?;
        }
        Ok(self.executable.detect(pictures, thresholds)?)
    }

    /// Runs the network and gives the one tensor that an exported model would give.
    pub fn output0(&self, input: &Tensor) -> Result<Tensor, Error> {
        let outputs = self.run(input)?;
        let [batch, _, height, width] = self.check(input.shape())?;
        self.decode_output0(&outputs, 0..batch, [height, width])
    }

    /// The tensor of [`output0`](Self::output0) for some pictures of a run that has taken place,
    /// for callers that make their own batches; `size` is the input's height and width.
    ///
    /// # Errors
    /// The outputs are not those of this model, or have fewer pictures.
    pub fn decode_output0(
        &self,
        outputs: &[Tensor],
        pictures: Range<usize>,
        size: [usize; 2],
    ) -> Result<Tensor, Error> {
        let head = &self.metadata.head;
        let [height, width] = size;
        let whole = |output: &Tensor| Some(&pictures.end) == output.shape().first();
        if pictures.start == 0 && outputs.iter().all(whole) {
            return Ok(decode_output0(outputs, head, height, width)?);
        }
        let own = outputs.iter().map(|output| rows(output, &pictures));
        let own: Option<Vec<Tensor>> = own.collect();
        let own = own.ok_or_else(|| Error::Setting {
            name: "pictures",
            reason: format!("the run has no pictures {pictures:?}"),
        })?;
        Ok(decode_output0(&own, head, height, width)?)
    }

    /// What is executed for an input of this shape, and why.
    pub fn explain(&self, input: &Shape) -> Result<Explanation, Error> {
        self.check(input)?;
        Ok(self.executable.explain(std::slice::from_ref(input))?)
    }

    /// Runs once; the time of each node in the order of [`Explanation::nodes`].
    pub fn profile(&self, input: &Tensor) -> Result<Vec<Duration>, Error> {
        self.check(input.shape())?;
        Ok(self.executable.profile(&[input])?)
    }

    /// Multiplications and additions of one run, by the graph.
    pub fn flops(&self, input: &Shape) -> Result<u64, Error> {
        let shapes = infer_shapes(&self.graph, std::slice::from_ref(input))?;
        let of = |node: &onelook_graph::Node| {
            let read: Vec<&Shape> = node.inputs.iter().map(|id| &shapes[id.index()]).collect();
            node.op.as_operator().flops(&read)
        };
        Ok(self.graph.nodes.iter().map(of).sum())
    }

    /// An input that the network takes, or why it does not.
    fn check(&self, shape: &Shape) -> Result<[usize; 4], Error> {
        let refuse = |reason: String| Error::Setting {
            name: "input",
            reason: format!("{shape} does not fit '{}': {reason}", self.name),
        };
        let stride = self.metadata.stride.max(1);
        let Some(extents @ [batch, 3, height, width]) = shape.nchw() else {
            return Err(refuse("expected batch x 3 x height x width".to_owned()));
        };
        if batch == 0 || height == 0 || width == 0 {
            return Err(refuse("it is empty".to_owned()));
        }
        let fixed = self.metadata.image_size;
        if self.metadata.fixed_size && [height, width] != fixed {
            return Err(refuse(format!(
                "this model takes only {}x{}",
                fixed[0], fixed[1]
            )));
        }
        if height % stride != 0 || width % stride != 0 {
            return Err(refuse(format!(
                "height and width must be multiples of {stride}"
            )));
        }
        Ok(extents)
    }
}

/// A copy of some rows of a tensor.
fn rows(tensor: &Tensor, wanted: &Range<usize>) -> Option<Tensor> {
    let mut extents = tensor.shape().to_vec();
    let rows = extents.first_mut()?;
    if wanted.is_empty() || wanted.end > *rows {
        return None;
    }
    let length = tensor.data().len() / *rows;
    *rows = wanted.len();
    let data = tensor.data()[wanted.start * length..wanted.end * length].to_vec();
    Tensor::new(extents, data).ok()
}

/// Reads a model file without making it ready to run: what `onelook convert` starts from.
pub fn read_model(path: impl AsRef<Path>, options: &LoadOptions) -> Result<ModelFile, Error> {
    open(&locate(path.as_ref())?, options)
}

fn open(path: &Path, options: &LoadOptions) -> Result<ModelFile, Error> {
    let name = path.display().to_string();
    if registry::is_architecture(path) {
        let built = family::build_with(&name, &read_options(options));
        let built = built.expect("the registry knows only architectures that can be built");
        return built.map_err(|source| Error::Model { name, source });
    }
    if path.extension().is_some_and(|ending| ending == "yaml") && path.exists() {
        let reason = "descriptions of architectures are not read; use a name such as yolo11x.yaml \
                      where no file of that name lies, or a file with weights"
            .to_owned();
        let source = ReadError::Unsupported { reason };
        return Err(Error::Model { name, source });
    }
    let bytes = read_file(path, options.limits.file_bytes)?;
    parse(&bytes, &name, options)
}

/// Writes a model in the native form.
pub fn write_model(model: &ModelFile, path: &Path) -> Result<u64, Error> {
    let bytes = write_safetensors(model).map_err(|source| Error::Model {
        name: path.display().to_string(),
        source,
    })?;
    std::fs::write(path, &bytes).map_err(|error| Error::file(path, error))?;
    Ok(bytes.len() as u64)
}

fn parse(bytes: &[u8], name: &str, options: &LoadOptions) -> Result<ModelFile, Error> {
    read(bytes, &read_options(options)).map_err(|source| Error::Model {
        name: name.to_owned(),
        source,
    })
}

fn read_options(options: &LoadOptions) -> ReadOptions {
    ReadOptions {
        limits: options.limits.clone(),
        end_to_end: options.end_to_end,
    }
}

fn locate(path: &Path) -> Result<PathBuf, Error> {
    Ok(registry::resolve(path, &mut |_| {})?)
}
