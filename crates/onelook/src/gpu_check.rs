//! Whether the GPU at hand computes what it should, and how quickly: kernels against f64 and the
//! interpreter, networks against the CPU engine from tensors to maps and from images to boxes, times.
//!
//! A step that fails is a line of the report; the others are taken all the same.

mod boxes;

use std::fmt;

use onelook_cuda::driver::{Context, CubinCache, Driver};
use onelook_cuda::kernels::Element;
use onelook_cuda::verify::check::{
    CheckOptions, CheckReport, Checker, GraphTimes, NetworkCheck, Run,
};
use onelook_graph::read::ModelFile;
use onelook_types::{DetectHead, Frame, FrameView, Instances, Tensor};
use serde::Serialize;

use crate::packed::{Packed, image_plan_head, pack};
use crate::{
    Device, EngineOptions, Error, LoadOptions, Model, Options, Pipeline, random, registry,
};
pub use boxes::BoxCheck;

/// Images in a run whose time is taken.
const BATCHES: [usize; 3] = [1, 8, 32];

/// Formats that are checked.
const FORMATS: [Element; 2] = [Element::F16, Element::F32];

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct GpuCheck {
    /// By the engine itself.
    #[serde(flatten)]
    pub report: CheckReport,
    /// The network's maps against the CPU engine's, by number format.
    pub engines: Vec<NetworkCheck>,
    /// The boxes against the CPU engine's, by number format.
    pub boxes: Vec<BoxCheck>,
    /// What could not be tried, and what else is worth knowing.
    pub remarks: Vec<String>,
    /// Steps that did not come to their end.
    pub failures: Vec<StepFailure>,
}

/// A step that did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepFailure {
    /// Which.
    pub step: String,
    /// Why.
    pub reason: String,
}

/// What [`check_gpu`] tells while it goes on.
#[derive(Debug)]
pub enum CheckEvent<'a> {
    /// What comes next.
    Next(&'a str),
    /// All that has been found so far, after each step.
    Found(&'a GpuCheck),
}

impl GpuCheck {
    /// Whether everything is as it should be.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
            && self.report.passed()
            && self.engines.iter().all(NetworkCheck::passed)
            && self.boxes.iter().all(BoxCheck::passed)
    }
}

impl fmt::Display for GpuCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.report)?;
        writeln!(f, "network, tensors to maps: off from the CPU engine")?;
        for engine in &self.engines {
            writeln!(f, "{engine}")?;
        }
        writeln!(f, "\nnetwork, images to boxes: against the CPU engine")?;
        for boxes in &self.boxes {
            writeln!(f, "{boxes}")?;
        }
        for StepFailure { step, reason } in &self.failures {
            writeln!(f, "\nWRONG  {step}: {reason}")?;
        }
        for remark in &self.remarks {
            writeln!(f, "\n{remark}")?;
        }
        Ok(())
    }
}

/// Checks and times the GPU of this number with a model on these images, telling `tell` what is
/// next and what was found. Kernels are tried on random operands by this seed; number formats are
/// checked all, whatever the options say.
///
/// # Errors
/// There is no such GPU, there are no images, or one of the engines cannot take the model. What goes
/// wrong on the GPU is no error but in the report.
pub fn check_gpu(
    number: usize,
    options: &EngineOptions,
    seed: u64,
    model: ModelFile,
    frames: &[Frame],
    tell: impl FnMut(CheckEvent<'_>),
) -> Result<GpuCheck, Error> {
    let refused = |error: &dyn fmt::Display| Error::Device {
        device: format!("cuda:{number}"),
        reason: error.to_string(),
    };
    let driver = Driver::open().map_err(|error| refused(&error))?;
    let context = Context::open(&driver, number, options.gpu_memory);
    let context = context.map_err(|error| refused(&error))?;
    let cache = registry::kernels_directory().map(CubinCache::new);
    let check = CheckOptions {
        seed,
        ..CheckOptions::default()
    };
    let checker = Checker::new(&context, cache.as_ref(), check);
    let checker = checker.map_err(|error| refused(&error))?;
    let pipeline = on_cpu(model, options)?;
    let head = &pipeline.model().metadata().head;
    let mut session = Session {
        found: GpuCheck {
            report: checker.report(),
            engines: Vec::new(),
            boxes: Vec::new(),
            remarks: Vec::new(),
            failures: Vec::new(),
        },
        head: image_plan_head(head),
        frames: frames.iter().collect(),
        checker,
        pipeline: &pipeline,
        tell,
    };
    let run = session.whole(1)?;
    let examined = session.checker.examine(&run);
    examined.map_err(|error| refused(&error))?;
    session.all();
    let problem = cache.as_ref().and_then(CubinCache::problem);
    session.found.remarks.extend(problem.map(str::to_owned));
    Ok(session.found)
}

/// The model on the CPU, whose images all come to one size.
fn on_cpu(model: ModelFile, options: &EngineOptions) -> Result<Pipeline, Error> {
    let engine = Device::Cpu.open(options)?;
    let model = Model::compile(&engine, model, "the model", &LoadOptions::default())?;
    let options = Options {
        rect: Some(false),
        ..Options::default()
    };
    Pipeline::new(model, options)
}

/// A check that goes on.
struct Session<'a, T> {
    found: GpuCheck,
    checker: Checker<'a>,
    pipeline: &'a Pipeline,
    /// Where the GPU can take images and give boxes.
    head: Option<&'a DetectHead>,
    frames: Vec<&'a Frame>,
    tell: T,
}

impl<'a, T: FnMut(CheckEvent<'_>)> Session<'a, T> {
    fn all(&mut self) {
        for element in FORMATS {
            self.kernels(element);
        }
        let graph = self.pipeline.model().graph();
        self.step("the network against the reference", |it| {
            it.found.report.networks = it.checker.networks(graph)?;
            Ok(())
        });
        self.step("launch latency", |it| {
            it.found.report.latencies = it.checker.latencies()?;
            Ok(())
        });
        self.step("memory bandwidth", |it| {
            it.found.report.bandwidths = it.checker.bandwidths()?;
            Ok(())
        });
        self.step("the network against the CPU engine", Self::maps);
        if self.head.is_some() {
            self.boxes();
        }
        for batch in BATCHES {
            self.step(&format!("times at batch {batch}"), |it| {
                let times = it.checker.times(&it.whole(batch)?)?;
                it.found.report.times.push(times);
                Ok(())
            });
        }
        // What has never been tried comes last: whatever it does, the rest is known by then.
        for batch in BATCHES {
            self.step(&format!("dependent launch at batch {batch}"), |it| {
                let graph = it.checker.dependent_times(&it.whole(batch)?)?;
                it.keep(batch, graph);
                Ok(())
            });
        }
    }

    /// Takes a step; why it came to no end is kept.
    fn step(
        &mut self,
        name: &str,
        work: impl FnOnce(&mut Self) -> Result<(), Box<dyn std::error::Error>>,
    ) {
        (self.tell)(CheckEvent::Next(name));
        if let Err(error) = work(self) {
            self.failed(name, &*error);
        }
        self.checker.tidy_up();
        (self.tell)(CheckEvent::Found(&self.found));
    }

    fn failed(&mut self, step: &str, error: &dyn std::error::Error) {
        self.found.failures.push(StepFailure {
            step: step.to_owned(),
            reason: error.to_string(),
        });
    }

    /// Puts the times of launches that start early beside those of the plain graph.
    fn keep(&mut self, batch: usize, graph: Option<GraphTimes>) {
        let mut times = self.found.report.times.iter_mut();
        match (times.find(|times| times.batch == batch), graph) {
            (Some(times), Some(graph)) => times.graphs.push(graph),
            _ => self.found.remarks.push(format!(
                "batch {batch} has no launches that start early: GPU or driver know none"
            )),
        }
    }

    fn kernels(&mut self, element: Element) {
        self.step(&format!("kernels in {}", element.name()), |it| {
            let run = it.whole(1)?;
            let (checks, tell) = (&mut it.found.report.kernels, &mut it.tell);
            it.checker.kernels(&run, element, |check| {
                tell(CheckEvent::Next(&check.name));
                checks.push(check);
            })?;
            Ok(())
        });
    }

    /// The maps of random tensors in both formats.
    fn maps(&mut self) -> Result<(), Box<dyn std::error::Error>> {
        let input = random(self.input_shape(2), 1.0);
        let expected = self.pipeline.model().run_tensor(&input)?;
        let run = Run {
            head: None,
            inputs: vec![bytes(&input)],
            ..self.run(2, Vec::new())
        };
        self.found.engines = self.checker.maps(&run, &expected)?;
        Ok(())
    }

    /// The boxes on the images in both formats, and in halves on as many as times are taken of:
    /// other tiles compute those.
    fn boxes(&mut self) {
        let expected = match self.expected() {
            Ok(expected) => expected,
            Err(error) => return self.failed("boxes of the CPU engine", &error),
        };
        let own = self.frames.len();
        let more = BATCHES.into_iter().filter(|&batch| batch != own);
        let more = more.map(|batch| (FORMATS[0], batch));
        let trials = FORMATS.into_iter().map(|format| (format, own)).chain(more);
        for (element, batch) in trials {
            let name = element.name();
            let expected: Vec<_> = expected.iter().cloned().cycle().take(batch).collect();
            self.step(&format!("boxes in {name} at batch {batch}"), |it| {
                let outputs = it.checker.outputs(&it.whole(batch)?, element)?;
                let threshold = it.pipeline.options().thresholds.confidence;
                let check = BoxCheck::of_output(name, &expected, &outputs, threshold);
                it.found.boxes.push(check);
                Ok(())
            });
        }
    }

    /// What the CPU engine finds on each image.
    fn expected(&self) -> Result<Vec<Instances>, Error> {
        let views: Vec<FrameView<'_>> = self.frames.iter().map(|&frame| frame.into()).collect();
        let results = self.pipeline.predict(&views)?;
        Ok(results.iter().map(|it| it.instances().clone()).collect())
    }

    /// The network from its first input to its last output, on so many images.
    fn whole(&self, batch: usize) -> Result<Run<'a>, Error> {
        if self.head.is_none() {
            let grey = Tensor::from_fn(self.input_shape(batch), |_| 0.5);
            return Ok(self.run(batch, vec![bytes(&grey)]));
        }
        let frames: Vec<&Frame> = self.frames.iter().copied().cycle().take(batch).collect();
        let Packed { inputs, .. } = pack(self.pipeline, &frames)?;
        Ok(self.run(batch, inputs.into()))
    }

    fn run(&self, batch: usize, inputs: Vec<Vec<u8>>) -> Run<'a> {
        let recipe = self.pipeline.recipe();
        Run {
            graph: self.pipeline.model().graph(),
            head: self.head,
            batch,
            size: [recipe.height, recipe.width],
            inputs,
        }
    }

    fn input_shape(&self, batch: usize) -> [usize; 4] {
        let recipe = self.pipeline.recipe();
        [batch, 3, recipe.height, recipe.width]
    }
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let values = tensor.data().iter();
    values.flat_map(|value| value.to_le_bytes()).collect()
}
