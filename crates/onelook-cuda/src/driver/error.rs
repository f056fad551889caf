//! What can go wrong between a GPU and us, by what the user can do about it.

use std::fmt;

use super::abi::{Status, status};

/// A version of the driver's interface: 12040 is CUDA 12.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DriverVersion(pub u32);

impl DriverVersion {
    /// What everything here needs: PTX 8.0 for Hopper and graph nodes in their second form.
    pub const NEEDED: Self = Self(12_000);

    /// An error unless this version is at least `needed`.
    pub(super) fn at_least(self, needed: Self) -> Result<(), CudaError> {
        if self >= needed {
            return Ok(());
        }
        Err(CudaError::DriverTooOld {
            found: self,
            needed,
        })
    }

    /// The first driver package on Linux that has it.
    fn package(self) -> &'static str {
        match self.0 {
            ..=12_000 => "525.60",
            12_001..=12_080 => "570.26",
            _ => "580.65",
        }
    }
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CUDA {}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

/// Why the GPU cannot be used, or stopped to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CudaError {
    /// There is no driver.
    #[error(
        "no NVIDIA driver was found ({tried}): install the NVIDIA driver, version {} or newer; in a \
         container, start it with `--gpus all` (NVIDIA Container Toolkit); or use --device cpu",
        DriverVersion::NEEDED.package()
    )]
    NoDriver {
        /// What was looked for.
        tried: String,
    },
    /// The driver cannot do what is needed.
    #[error(
        "the NVIDIA driver is too old: it knows {found}, {needed} is needed; install driver {} or \
         newer, or use --device cpu",
        needed.package()
    )]
    DriverTooOld {
        /// What it has.
        found: DriverVersion,
        /// What is needed.
        needed: DriverVersion,
    },
    /// The driver lacks a function that its version should have.
    #[error(
        "the NVIDIA driver says it knows {found}, but has no {missing}: install the driver anew, \
         or use --device cpu"
    )]
    DriverIncomplete {
        /// What it says it has.
        found: DriverVersion,
        /// The function.
        missing: &'static str,
    },
    /// The driver sees no GPU.
    #[error(
        "the NVIDIA driver is there, but sees no GPU: look at `nvidia-smi`, at CUDA_VISIBLE_DEVICES \
         (an empty one hides all GPUs), and at the rights on /dev/nvidia*; or use --device cpu"
    )]
    NoDevice,
    /// There is no GPU of this number.
    #[error(
        "there is no GPU {number}: {}", if *count == 1 {
            "there is one, number 0".to_owned()
        } else {
            format!("there are {count}, numbered from 0")
        }
    )]
    NoSuchDevice {
        /// What was asked for.
        number: usize,
        /// How many there are.
        count: usize,
    },
    /// The GPU is too old.
    #[error(
        "{name} has compute capability {}.{}, at least 7.5 (Turing: T4, RTX 20) is needed: use \
         another GPU or --device cpu", capability[0], capability[1]
    )]
    UnsupportedArchitecture {
        /// The GPU's name.
        name: String,
        /// Major and minor.
        capability: [u32; 2],
    },
    /// Memory ran out, or what the user allowed did.
    #[error(transparent)]
    OutOfMemory(Box<OutOfMemory>),
    /// The driver did not take a kernel.
    #[error(
        "the NVIDIA driver did not compile the kernel {kernel}: {reason}{}",
        if log.is_empty() { String::new() } else { format!("\n{log}") }
    )]
    Jit {
        /// The kernel's name.
        kernel: String,
        /// What it answered, and what to do.
        reason: String,
        /// What its compiler wrote.
        log: String,
    },
    /// A plan that cannot be right: this is our fault, not the user's.
    #[error("{launch}: {reason}; this is a bug in onelook, please report it")]
    Plan {
        /// The launch.
        launch: String,
        /// What does not fit.
        reason: String,
    },
    /// Any other call that failed.
    #[error("{function} failed: {name} ({code}): {text}{}", advice(*code))]
    Call {
        /// The driver's function.
        function: &'static str,
        /// The error's number.
        code: Status,
        /// The error's name.
        name: String,
        /// The driver's words for it.
        text: String,
    },
}

impl CudaError {
    /// Whether memory ran out: the GPU's, or the host's for what the driver keeps there.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::OutOfMemory(_) => true,
            Self::Call { code, .. } => *code == status::OUT_OF_MEMORY,
            _ => false,
        }
    }
}

/// The figures of a failed request for memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutOfMemory {
    /// The GPU in words.
    pub device: String,
    /// What it was for.
    pub purpose: String,
    /// Bytes asked for.
    pub wanted: u64,
    /// Bytes that onelook may have, if the user said so.
    pub limit: Option<u64>,
    /// Bytes that onelook has.
    pub used: u64,
    /// Free bytes.
    pub free: u64,
    /// Bytes of the GPU.
    pub total: u64,
}

impl std::error::Error for OutOfMemory {}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [wanted, used, free, total] =
            [self.wanted, self.used, self.free, self.total].map(bytes_in_words);
        let Self {
            device, purpose, ..
        } = self;
        write!(
            f,
            "{device} has not enough memory for {purpose}: {wanted} wanted, {used} in use by \
             onelook, {free} of {total} free"
        )?;
        match self.limit.map(bytes_in_words) {
            Some(limit) => write!(
                f,
                ", {limit} allowed (--gpu-memory): allow more, or use a smaller batch, image size \
                 or model"
            ),
            None => f.write_str(
                ": end other programs on it, or use a smaller batch, image size or model",
            ),
        }
    }
}

/// `1.5 GiB`, `20.0 MiB` or `512 bytes`.
fn bytes_in_words(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{bytes} bytes"),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)),
        _ => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    }
}

/// What to do about errors that users meet.
fn advice(code: Status) -> &'static str {
    match code {
        status::SYSTEM_NOT_READY => "; start nvidia-fabricmanager (machines with NVSwitch need it)",
        status::SYSTEM_DRIVER_MISMATCH => {
            "; the driver was updated and its kernel module was not: restart the machine"
        }
        status::COMPAT_NOT_SUPPORTED_ON_DEVICE => {
            "; remove the CUDA compatibility package (cuda-compat) from the library path"
        }
        status::OPERATING_SYSTEM => {
            "; look at the rights on /dev/nvidia*, and at the limits of the container"
        }
        status::DEVICE_UNAVAILABLE => {
            "; another program has the GPU for itself (compute mode: `nvidia-smi -c 0` shares it)"
        }
        status::OUT_OF_MEMORY => {
            "; the GPU or the host has no memory left: end other programs, or use a smaller batch, \
             image size or model"
        }
        status::UNKNOWN => {
            "; the driver is in trouble: try `nvidia-modprobe -u`, or restart the machine"
        }
        status::ILLEGAL_ADDRESS | status::LAUNCH_FAILED => {
            "; this is a bug in onelook, please report it with the output of `onelook doctor`"
        }
        status::LAUNCH_TIMEOUT => {
            "; the GPU also drives a screen, which limits how long it computes"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_errors_name_wanted_used_free_and_the_limit() {
        let mut error = OutOfMemory {
            device: "cuda:0 (T4)".to_owned(),
            purpose: "values".to_owned(),
            wanted: 3 << 29,
            limit: None,
            used: 20 << 20,
            free: 512,
            total: 16 << 30,
        };
        assert_eq!(
            error.to_string(),
            "cuda:0 (T4) has not enough memory for values: 1.5 GiB wanted, 20.0 MiB in use by \
             onelook, 512 bytes of 16.0 GiB free: end other programs on it, or use a smaller \
             batch, image size or model"
        );
        error.limit = Some(1 << 30);
        assert!(error.to_string().contains("1.0 GiB allowed (--gpu-memory)"));
    }

    #[test]
    fn versions_are_compared_and_named() {
        assert_eq!(DriverVersion(12_040).to_string(), "CUDA 12.4");
        assert!(
            DriverVersion(13_000)
                .at_least(DriverVersion::NEEDED)
                .is_ok()
        );
        let error = DriverVersion(11_080).at_least(DriverVersion::NEEDED);
        assert!(error.unwrap_err().to_string().contains("CUDA 11.8"));
    }
}
