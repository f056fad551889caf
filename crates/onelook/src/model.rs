//! A model, ready to run: file or name in, an executable network and what the file says of it out.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use onelook_graph::read::{Limits, ModelFile, ReadError, ReadOptions, read, write_safetensors};
use onelook_graph::{
    Ceiling, CompileOptions, Executable, Explanation, Graph, PlacedLimits, PlanKind, Prepared,
    RunError, RunLimits, RunOutput, family, infer_shapes, pass,
};
use onelook_types::{Metadata, Precision, Shape, Tensor};
use onelook_vision::output0::decode_output0;

use crate::file_bytes::read_file;
use crate::{Device, Engine, EngineOptions, Error, PreparedInput, registry};

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
        let ModelFile {
            mut graph,
            metadata,
        } = model;
        pass::optimise(&mut graph);
        let compile = CompileOptions {
            head: Some(metadata.head.clone()),
            precision: options.precision,
            limits: RunLimits::default(),
        };
        let executable =
            engine
                .backend
                .compile(&graph, &compile)
                .map_err(|source| Error::Compile {
                    name: name.to_owned(),
                    source,
                })?;
        Ok(Self {
            name: name.to_owned(),
            metadata,
            graph: Arc::new(graph),
            executable,
            device: match options.precision {
                Precision::F32 => engine.backend.describe(),
                precision => format!("{}, {precision}", engine.backend.describe()),
            },
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

    /// Images in one run from which the engine gains; more only make the first wait for the last.
    pub fn preferred_batch(&self) -> usize {
        self.executable.preferred_batch()
    }

    /// Runs from which the engine gains when they are under way at the same time, each in a thread
    /// of its own.
    pub fn batches_in_flight(&self) -> usize {
        self.executable.batches_in_flight()
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

    /// Which images the engine fits into the network's input itself; `None` where it takes tensors.
    pub fn placed_limits(&self) -> Option<PlacedLimits> {
        self.executable.placed_limits()
    }

    /// How images go into the runs of [`Pipeline::predict`](crate::Pipeline::predict), but for those
    /// beyond the [limits](Self::placed_limits).
    pub fn plan_kind(&self) -> PlanKind {
        match self.placed_limits() {
            Some(_) => PlanKind::Image,
            None => PlanKind::Tensor,
        }
    }

    /// Runs the network on a batch of inputs with the same [key](PreparedInput::key).
    ///
    /// Images for which the engine has more candidates than it can hold are run once more as tensors:
    /// then the output is raw.
    ///
    /// # Errors
    /// An input does not fit the model, or the engine fails.
    pub fn run(&self, batch: &[&PreparedInput<'_>]) -> Result<RunOutput, Error> {
        for input in batch {
            self.check_input(input)?;
        }
        let items: Vec<Prepared<'_>> = batch.iter().map(|input| input.as_prepared()).collect();
        match self.executable.run(&items) {
            Err(RunError::TooManyCandidates { .. }) => {
                let tensors: Vec<Tensor> = batch.iter().map(|input| input.to_tensor()).collect();
                let tensors = tensors.iter().map(std::slice::from_ref);
                let items: Vec<Prepared<'_>> = tensors.map(Prepared::Tensors).collect();
                Ok(self.executable.run(&items)?)
            }
            output => Ok(output?),
        }
    }

    /// Runs the network on `[batch, 3, height, width]`, RGB from 0 to 1; gives its raw outputs.
    ///
    /// # Errors
    /// The tensor does not fit the model, or the engine fails.
    pub fn run_tensor(&self, input: &Tensor) -> Result<Vec<Tensor>, Error> {
        self.check(input.shape())?;
        let item = Prepared::Tensors(std::slice::from_ref(input));
        Ok(self.executable.run(&[item])?.into_raw()?)
    }

    /// Runs the network and gives the first tensor that an exported model would give.
    ///
    /// # Errors
    /// As [`run_tensor`](Self::run_tensor).
    pub fn output0(&self, input: &Tensor) -> Result<Tensor, Error> {
        let outputs = self.run_tensor(input)?;
        let [batch, _, height, width] = self.check(input.shape())?;
        self.decode_output0(&outputs, 0..batch, [height, width])
    }

    /// The tensor of [`output0`](Self::output0) for some images of a run that has taken place,
    /// for callers that make their own batches; `size` is the input's height and width.
    ///
    /// # Errors
    /// The outputs are not those of this model, or have fewer images.
    pub fn decode_output0(
        &self,
        outputs: &[Tensor],
        images: Range<usize>,
        size: [usize; 2],
    ) -> Result<Tensor, Error> {
        let head = &self.metadata.head;
        let [height, width] = size;
        let whole = |output: &Tensor| Some(&images.end) == output.shape().first();
        if images.start == 0 && outputs.iter().all(whole) {
            return Ok(decode_output0(outputs, head, height, width)?);
        }
        let own = outputs.iter().map(|output| rows(output, &images));
        let own: Option<Vec<Tensor>> = own.collect();
        let own = own.ok_or_else(|| Error::Setting {
            name: "images",
            reason: format!("the run has no images {images:?}"),
        })?;
        Ok(decode_output0(&own, head, height, width)?)
    }

    /// What is executed for an input of this shape, given in this way, and why.
    ///
    /// # Errors
    /// The shape does not fit the model.
    pub fn explain(&self, kind: PlanKind, input: &Shape) -> Result<Explanation, Error> {
        self.check(input)?;
        Ok(self.executable.explain(kind, std::slice::from_ref(input))?)
    }

    /// Runs a batch once; the time of each node in the order of [`Explanation::nodes`].
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn profile(&self, batch: &[&PreparedInput<'_>]) -> Result<Vec<Duration>, Error> {
        for input in batch {
            self.check_input(input)?;
        }
        let items: Vec<Prepared<'_>> = batch.iter().map(|input| input.as_prepared()).collect();
        Ok(self.executable.profile(&items)?)
    }

    /// The most that the convolutions could reach on this device, measured now; `None` where the engine does
    /// not measure it.
    pub fn ceiling(&self) -> Option<Ceiling> {
        self.executable.ceiling()
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

    fn check_input(&self, input: &PreparedInput<'_>) -> Result<(), Error> {
        let shape = match input {
            PreparedInput::Tensor(tensor) => tensor.shape().clone(),
            PreparedInput::Image(_) => {
                let [height, width] = input.key().size;
                [1, 3, height, width].into()
            }
        };
        self.check(&shape).map(|_| ())
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
