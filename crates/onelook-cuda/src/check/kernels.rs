//! Every distinct kernel of a plan on fresh random operands: what the GPU wrote against sums in f64
//! and against the interpreter.

use std::collections::HashSet;
use std::fmt;

use serde::Serialize;

use super::{CheckError, Checker};
use crate::conformance::{Given, Trial, smaller, tolerance};
use crate::driver::{CudaError, DeviceBuffer, Function, FunctionInfo, Stream, Value};
use crate::interpreter::Schedule;
use crate::kernels::{Tiled, Work};
use crate::plan::Plan;
use crate::ptx;

/// Height and width of the maps at most: the kernel differs in nothing but extents.
const MOST: [u32; 2] = [24, 40];
/// Every bit set is NaN in halves and in floats.
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
    /// Tries each distinct work of the plan.
    pub(super) fn kernels(
        &self,
        plan: &Plan,
        progress: &mut impl FnMut(&str),
    ) -> Result<Vec<KernelCheck>, CheckError> {
        let stream = Stream::new(self.context)?;
        let mut tried = HashSet::new();
        let mut checks = Vec::new();
        for launch in &plan.launches {
            let Some(work) = &launch.work else { continue };
            let work = smaller(work, MOST);
            if !tried.insert(format!("{work:?}")) {
                continue;
            }
            progress(&launch.kernel.name);
            let target = self.gpu.target;
            let trial = Trial::new(&work, target, 2, self.options.seed);
            let tiled = work.tiled(target, &launch.kernel.name, 2);
            let check = KernelCheck {
                name: launch.kernel.name.clone(),
                choice: launch.choice.clone(),
                ..self.kernel(&work, &trial, &tiled, &stream)?
            };
            checks.push(check);
        }
        Ok(checks)
    }

    fn kernel(
        &self,
        work: &Work,
        trial: &Trial,
        tiled: &Tiled,
        stream: &Stream,
    ) -> Result<KernelCheck, CheckError> {
        let mut check = KernelCheck {
            name: String::new(),
            choice: String::new(),
            off_truth: f64::NAN,
            off_interpreter: f64::NAN,
            tolerance: tolerance(work.element()),
            info: None,
            failure: None,
        };
        let function = ptx::emit(&tiled.kernel).map_err(|error| error.to_string());
        let function = function.and_then(|text| {
            Function::load(self.context, &tiled.kernel, &text, self.cache)
                .map_err(|e| e.to_string())
        });
        let function = match function {
            Ok(function) => function,
            Err(failure) => {
                check.failure = Some(failure);
                return Ok(check);
            }
        };
        check.info = Some(function.info()?);
        // What fails from here on leaves the context unusable: no other kernel can be tried.
        let rooms = self.on_device(trial, tiled, &function, stream)?;
        if let Err(failure) = compare(trial, tiled, &rooms, &mut check) {
            check.failure = Some(failure);
        }
        Ok(check)
    }

    /// Runs the kernel on the trial's operands; the rooms' bytes.
    fn on_device(
        &self,
        trial: &Trial,
        tiled: &Tiled,
        function: &Function,
        stream: &Stream,
    ) -> Result<Vec<Vec<u8>>, CudaError> {
        let mut buffers: Vec<DeviceBuffer> = Vec::new();
        let mut values = Vec::new();
        for given in &trial.given {
            values.push(match given {
                Given::Word(word) => Value::Word(*word),
                Given::Bytes(bytes) => self.buffer(&mut buffers, bytes.len(), Some(bytes))?,
                Given::Room(bytes) => self.buffer(&mut buffers, *bytes, None)?,
                Given::Zeros(bytes) => self.buffer(&mut buffers, *bytes, Some(&vec![0; *bytes]))?,
            });
        }
        // SAFETY: each address is of a buffer of the size that the trial gives the kernel's
        // parameter; the buffers live until the stream has been waited for.
        let launched = unsafe { function.launch(stream, tiled.grid, &values, false) };
        let waited = stream.synchronize();
        launched.and(waited)?;
        let given = trial.given.iter();
        let given = given.filter(|given| !matches!(given, Given::Word(_)));
        let rooms = buffers.iter().zip(given);
        rooms
            .filter(|(_, given)| given.is_room())
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
        let mut buffer = DeviceBuffer::new(self.context, bytes, "a trial")?;
        match content {
            Some(content) => buffer.write(0, content)?,
            None => buffer.fill(POISON)?,
        }
        let address = Value::Address(buffer.address());
        buffers.push(buffer);
        Ok(address)
    }
}

/// How far off the rooms are, from the truth and from what the interpreter makes of it.
fn compare(
    trial: &Trial,
    tiled: &Tiled,
    rooms: &[Vec<u8>],
    check: &mut KernelCheck,
) -> Result<(), String> {
    check.off_truth = trial.results.deviation(rooms)?;
    let interpreted = trial.interpret(tiled, &Schedule::in_order());
    let interpreted = interpreted.map_err(|trap| format!("the interpreter: {trap}"))?;
    let truth = trial.results.replaced(&interpreted);
    let truth = truth.map_err(|what| format!("the interpreter: {what}"))?;
    check.off_interpreter = truth.deviation(rooms)?;
    Ok(())
}
