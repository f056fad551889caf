//! Every distinct kernel of a plan on fresh random operands: what the GPU wrote against sums in f64
//! and against the interpreter.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, PoisonError};
use std::{fmt, thread};

use onelook_ptx::interpreter::Schedule;
use serde::Serialize;

use super::{CheckError, Checker, Run};
use crate::driver::{CudaError, DeviceBuffer, Function, FunctionInfo, Stream, Value};
use crate::kernels::{Element, KernelSpec, Tiled};
use crate::plan::{Launch, Plan};
use crate::verify::conformance::{KernelArg, KernelTestCase, smaller, tolerance};

/// Height and width of the maps at most: the kernel differs in nothing but extents.
const MOST: [u32; 2] = [24, 40];
/// Images.
const BATCH: u32 = 2;
/// Every bit set is NaN in f16 and in floats.
const POISON: u8 = 0xff;

/// One kernel, and how far off it is: `‖actual - expected‖ / ‖expected‖`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelCheck {
    /// The kernel's name.
    pub name: String,
    /// Its tiles in words.
    pub choice: String,
    /// From sums in f64; NaN where something was not written.
    pub off_truth: f64,
    /// From what the interpreter makes of the same kernel.
    pub off_interpreter: f64,
    /// How far off f64 it may be.
    pub tolerance: f64,
    /// What the driver made of it.
    pub info: Option<FunctionInfo>,
    /// What went wrong before there was a result.
    pub failure: Option<String>,
}

impl KernelCheck {
    /// Whether it did what it should.
    pub fn passed(&self) -> bool {
        // The interpreter sums in another order: both may be off, in opposite directions.
        let close =
            self.off_truth <= self.tolerance && self.off_interpreter <= 2.0 * self.tolerance;
        self.failure.is_none() && close
    }
}

impl fmt::Display for KernelCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.passed() { "ok    " } else { "WRONG " };
        write!(
            f,
            "{verdict} {:.1e}  {:.1e}",
            self.off_truth, self.off_interpreter
        )?;
        if let Some(info) = &self.info {
            write!(f, "  {:>3} registers", info.registers)?;
            if info.local_bytes > 0 {
                write!(f, ", {} bytes spilled", info.local_bytes)?;
            }
        }
        write!(f, "  {}, {}", self.name, self.choice)?;
        match &self.failure {
            Some(failure) => write!(f, ": {failure}"),
            None => Ok(()),
        }
    }
}

impl Checker<'_> {
    /// Tries each distinct kernel of a plan, in the plan's order; `found` gets each. The CPU's part
    /// is done for several at a time, on the GPU they take turns.
    ///
    /// # Errors
    /// There is no plan, or a kernel left the GPU unusable: what was found until then has
    /// been told.
    pub fn kernels(
        &self,
        run: &Run<'_>,
        element: Element,
        mut found: impl FnMut(KernelCheck),
    ) -> Result<(), CheckError> {
        let plan = self.plan(run, element)?;
        let specs = distinct(&plan);
        let (next, turn) = (AtomicUsize::new(0), Mutex::new(true));
        let (sender, receiver) = mpsc::channel();
        let try_all = |sender: Sender<(usize, KernelCheck)>| -> Result<(), CheckError> {
            let stream = Stream::new(self.context)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some((launch, spec)) = specs.get(number) else {
                    return Ok(());
                };
                let Some(check) = self.kernel(launch, spec, &stream, &turn)? else {
                    return Ok(());
                };
                let _ = sender.send((number, check));
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        thread::scope(|scope| {
            let try_all = &try_all;
            let spawn = |sender| scope.spawn(move || try_all(sender));
            let threads: Vec<_> = (0..cores.min(specs.len()))
                .map(|_| spawn(sender.clone()))
                .collect();
            drop(sender);
            let mut early = BTreeMap::new();
            let mut told = 0;
            for (number, check) in receiver {
                early.insert(number, check);
                while let Some(check) = early.remove(&told) {
                    found(check);
                    told += 1;
                }
            }
            early.into_values().for_each(found);
            let ended = threads.into_iter().map(|thread| match thread.join() {
                Ok(outcome) => outcome,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            // What failed after a kernel did is its consequence.
            let failures = ended.filter_map(Result::err);
            let failure = failures.max_by_key(|it| matches!(it, CheckError::Kernel { .. }));
            failure.map_or(Ok(()), Err)
        })
    }

    /// Nothing where another kernel has left the GPU unusable: `turn` says whether it is usable.
    fn kernel(
        &self,
        launch: &Launch,
        spec: &KernelSpec,
        stream: &Stream,
        turn: &Mutex<bool>,
    ) -> Result<Option<KernelCheck>, CheckError> {
        let target = self.gpu.target;
        let case = &KernelTestCase::new(spec, target, BATCH, self.options.seed);
        let tiled = &spec.tiled(target, &launch.kernel.name, BATCH);
        let mut check = KernelCheck {
            name: launch.kernel.name.clone(),
            choice: launch.choice.clone(),
            off_truth: f64::NAN,
            off_interpreter: f64::NAN,
            tolerance: tolerance(spec.element()),
            info: None,
            failure: None,
        };
        let function = self.load(&tiled.kernel);
        // One at a time: of a kernel that fails the name must be known, for it is the last one.
        let mut usable = turn.lock().unwrap_or_else(PoisonError::into_inner);
        if !*usable {
            return Ok(None);
        }
        let function = match function {
            Ok(function) => function,
            Err(failure) => {
                check.failure = Some(failure.to_string());
                return Ok(Some(check));
            }
        };
        check.info = Some(function.info()?);
        let outputs = self.on_device(case, tiled, &function, stream);
        *usable = outputs.is_ok();
        drop(usable);
        let outputs = outputs.map_err(|source| CheckError::Kernel {
            kernel: check.name.clone(),
            source,
        })?;
        if let Err(failure) = compare(case, tiled, &outputs, &mut check) {
            check.failure = Some(failure);
        }
        Ok(Some(check))
    }

    /// Runs the kernel on the case's operands; the outputs' bytes.
    fn on_device(
        &self,
        case: &KernelTestCase,
        tiled: &Tiled,
        function: &Function,
        stream: &Stream,
    ) -> Result<Vec<Vec<u8>>, CudaError> {
        let mut buffers: Vec<DeviceBuffer> = Vec::new();
        let mut values = Vec::new();
        for arg in &case.args {
            values.push(match arg {
                KernelArg::Word(word) => Value::Word(*word),
                KernelArg::Bytes(bytes) => self.buffer(&mut buffers, bytes.len(), Some(bytes))?,
                KernelArg::Output(bytes) => self.buffer(&mut buffers, *bytes, None)?,
                KernelArg::ZeroedOutput(bytes) => {
                    self.buffer(&mut buffers, *bytes, Some(&vec![0; *bytes]))?
                }
            });
        }
        // SAFETY: each address is of a buffer in `buffers` of the size that the case has for the
        // parameter, and the grid is the one that the kernel was tiled for; `buffers` and
        // `function` live until `synchronize` below has returned.
        let launched = unsafe { function.launch(stream, tiled.grid, &values, false) };
        let waited = stream.synchronize();
        launched.and(waited)?;
        let args = case.args.iter();
        let args = args.filter(|arg| !matches!(arg, KernelArg::Word(_)));
        let outputs = buffers.iter().zip(args);
        outputs
            .filter(|(_, arg)| arg.is_output())
            .map(|(buffer, _)| {
                let mut bytes = vec![0; buffer.bytes()];
                buffer.read(0, &mut bytes)?;
                Ok(bytes)
            })
            .collect()
    }

    fn buffer(
        &self,
        buffers: &mut Vec<DeviceBuffer>,
        bytes: usize,
        content: Option<&[u8]>,
    ) -> Result<Value, CudaError> {
        let mut buffer = DeviceBuffer::new(self.context, bytes, "a case")?;
        match content {
            Some(content) => buffer.write(0, content)?,
            None => buffer.fill(POISON)?,
        }
        let address = Value::Address(buffer.address());
        buffers.push(buffer);
        Ok(address)
    }
}

/// Each spec once, with the first launch that does it.
fn distinct(plan: &Plan) -> Vec<(&Launch, KernelSpec)> {
    let mut known = HashSet::new();
    let specs = plan
        .launches
        .iter()
        .filter_map(|launch| Some((launch, smaller(launch.spec.as_ref()?, MOST))));
    specs
        .filter(|(_, spec)| known.insert(format!("{spec:?}")))
        .collect()
}

/// How far off the outputs are, from the truth and from what the interpreter makes of it.
fn compare(
    case: &KernelTestCase,
    tiled: &Tiled,
    outputs: &[Vec<u8>],
    check: &mut KernelCheck,
) -> Result<(), String> {
    check.off_truth = case.results.deviation(outputs)?;
    let interpreted = case.interpret(tiled, &Schedule::in_order());
    let interpreted = interpreted.map_err(|trap| format!("the interpreter: {trap}"))?;
    let truth = case.results.replaced(&interpreted);
    let truth = truth.map_err(|what| format!("the interpreter: {what}"))?;
    check.off_interpreter = truth.deviation(outputs)?;
    Ok(())
}
