//! Which engine computes: the user's word in, a backend and the reason for it out.
//!
//! Never falls back silently: a device that was named and cannot be had is an error.

mod cuda;
mod found;
mod reference;
mod sample;

use std::fmt;
use std::str::FromStr;

use onelook_cpu::Cpu;
use onelook_graph::Backend;
use onelook_ptx::lang::UnknownTarget;
use onelook_types::Precision;

use crate::{Error, GpuTarget};
pub use found::{FoundDevice, available_memory, usable_cores};
pub use reference::ReferenceBackend;
pub use sample::{SamplePass, random, sample_pass};

/// The CPU and any NVIDIA GPU that the driver knows.
pub fn found_devices() -> Vec<FoundDevice> {
    let mut devices = vec![found::cpu()];
    devices.extend(cuda::found(found::gpus_of_the_system()));
    devices
}

/// Where a network runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Device {
    /// The fastest device that this build can use.
    #[default]
    Auto,
    /// The CPU engine.
    Cpu,
    /// The plain executor that other engines are compared with: right, and slow.
    Reference,
    /// These NVIDIA GPUs by number.
    Cuda(Vec<usize>),
    /// The NVIDIA GPU with the least to do.
    CudaIdlest,
    /// A kind of NVIDIA GPU that nothing runs on: for plans, on machines without one.
    CudaPlanned(GpuTarget),
}

impl FromStr for Device {
    type Err = Error;

    /// `auto`, `cpu`, `reference`, `cuda`, `cuda:0`, `0`, `0,1`, `-1`, or `cuda:sm_90` for a plan.
    fn from_str(word: &str) -> Result<Self, Error> {
        let lower = word.trim().to_ascii_lowercase();
        match lower.as_str() {
            "auto" | "" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "reference" => return Ok(Self::Reference),
            "cuda" | "gpu" => return Ok(Self::Cuda(vec![0])),
            "-1" => return Ok(Self::CudaIdlest),
            _ => {}
        }
        if let Some(target) = lower
            .strip_prefix("cuda:")
            .filter(|rest| rest.starts_with("sm_"))
        {
            let target = target
                .parse()
                .map_err(|error: UnknownTarget| Error::Device {
                    device: word.to_owned(),
                    reason: error.to_string(),
                });
            return target.map(Self::CudaPlanned);
        }
        let numbers: Result<Vec<usize>, _> = lower
            .trim_start_matches('[')
            .trim_end_matches(']')
            .split(',')
            .map(|part| part.trim().trim_start_matches("cuda:").parse())
            .collect();
        numbers.map(Self::Cuda).map_err(|_| Error::Device {
            device: word.to_owned(),
            reason: "expected auto, cpu, reference, a GPU's number such as 0, 0,1 or cuda:0, or -1"
                .to_owned(),
        })
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Reference => f.write_str("reference"),
            Self::Cuda(numbers) => {
                let words: Vec<String> = numbers.iter().map(ToString::to_string).collect();
                write!(f, "cuda:{}", words.join(","))
            }
            Self::CudaIdlest => f.write_str("-1"),
            Self::CudaPlanned(target) => write!(f, "cuda:{target}"),
        }
    }
}

/// How an engine is to be opened.
#[derive(Debug, Clone, Default)]
pub struct EngineOptions {
    /// Threads of the CPU engine; all cores when absent.
    pub threads: Option<usize>,
    /// Bytes of a GPU's memory that may be taken; all when absent.
    pub gpu_memory: Option<u64>,
    /// Number format of the arithmetic, where the engine has a choice.
    pub precision: Precision,
}

/// An open engine and why it was chosen.
pub struct Engine {
    /// The engine.
    pub backend: Box<dyn Backend>,
    /// Why this device, in one line for people.
    pub reason: String,
    /// What does not work as it should, though the engine runs: one line for people.
    pub warning: Option<String>,
}

impl Device {
    /// Opens the engine of this device.
    ///
    /// # Errors
    /// The device cannot be had: nothing else is taken in its place.
    pub fn open(&self, options: &EngineOptions) -> Result<Engine, Error> {
        let (backend, reason) = match self {
            Self::Auto => (cpu(options.threads)?, cuda::why_not()),
            Self::Cpu => (cpu(options.threads)?, "the CPU, as asked".to_owned()),
            Self::Reference => (
                Box::new(ReferenceBackend) as Box<dyn Backend>,
                "the reference executor, as asked: right, and slow".to_owned(),
            ),
            Self::CudaPlanned(_) => {
                let reason = "it names a kind of GPU, which only `onelook explain` takes; name a \
                              GPU by its number, such as cuda:0, or use --device cpu";
                return self.refused(Err(reason.to_owned()));
            }
            Self::Cuda(numbers) => return self.refused(cuda::open(numbers, options)),
            Self::CudaIdlest => return self.refused(cuda::open_idlest(options)),
        };
        Ok(Engine {
            backend,
            reason,
            warning: None,
        })
    }

    fn refused(&self, opened: Result<Engine, String>) -> Result<Engine, Error> {
        opened.map_err(|reason| Error::Device {
            device: self.to_string(),
            reason,
        })
    }
}

fn cpu(threads: Option<usize>) -> Result<Box<dyn Backend>, Error> {
    let cpu = Cpu::new(threads).map_err(|error| Error::Device {
        device: "cpu".to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Box::new(cpu))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_people_use_for_a_device_is_understood() {
        let cases = [
            ("auto", Device::Auto),
            ("CPU", Device::Cpu),
            ("reference", Device::Reference),
            ("0", Device::Cuda(vec![0])),
            ("0,1", Device::Cuda(vec![0, 1])),
            ("[0, 1]", Device::Cuda(vec![0, 1])),
            ("cuda:3", Device::Cuda(vec![3])),
            ("cuda", Device::Cuda(vec![0])),
            ("-1", Device::CudaIdlest),
            ("cuda:sm_90", Device::CudaPlanned(GpuTarget::Sm90a)),
            ("CUDA:SM_75", Device::CudaPlanned(GpuTarget::Sm75)),
        ];
        for (word, device) in cases {
            assert_eq!(word.parse::<Device>().unwrap(), device, "{word}");
        }
        assert!("tpu".parse::<Device>().is_err());
        assert!("-2".parse::<Device>().is_err());
        let error = "cuda:sm_50".parse::<Device>().unwrap_err().to_string();
        assert!(error.contains("sm_75, sm_80"), "{error}");
    }

    #[test]
    fn a_kind_of_gpu_is_for_plans_only() {
        let device = Device::CudaPlanned(GpuTarget::Sm90a);
        let error = device
            .open(&EngineOptions::default())
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("sm_90a") && error.contains("explain"),
            "{error}"
        );
    }

    #[test]
    fn a_gpu_that_this_build_cannot_use_is_an_error_not_a_fallback() {
        let options = EngineOptions {
            gpu_memory: Some(0),
            ..EngineOptions::default()
        };
        let error = Device::Cuda(vec![0]).open(&options).err().unwrap();
        let text = error.to_string();
        assert!(text.starts_with("device 'cuda:0': "), "{text}");
    }
}
