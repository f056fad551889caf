//! Which model, and where it runs.

use clap::Args;
use onelook::types::{Precision, Task};

use super::value::byte_size;

/// Which model, and where it runs.
#[derive(Args, Clone, Default)]
pub struct ModelArgs {
    /// Model: a .pt, .onnx or .safetensors file, or a name of `onelook models list`. Without it
    /// yolo11n, or yolo26n where only a package mirror can be reached. A name such as yolo11x.yaml
    /// is that architecture with random weights.
    #[arg(long, short, value_name = "FILE|NAME")]
    pub model: Option<String>,
    /// Where it runs, and how.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Most bytes of a model file and of its tensors, such as 8GiB [default: 4GiB]
    #[arg(long, value_parser = byte_size, value_name = "BYTES")]
    pub max_model_bytes: Option<u64>,
    /// Task that the model must be for; also accepted as a word before the command.
    #[arg(long, hide = true)]
    pub task: Option<Task>,
}

/// Where models run, and how.
#[derive(Args, Clone, Default)]
pub struct EngineArgs {
    /// Device: auto, cpu, reference (plain and slow), or a GPU as 0, 0,1, cuda:0, -1.
    #[arg(
        long,
        default_value = "auto",
        allow_hyphen_values = true,
        value_name = "DEVICE"
    )]
    pub device: String,
    /// Threads of the CPU engine [default: all cores]
    #[arg(long, alias = "workers", value_name = "N")]
    pub threads: Option<usize>,
    /// Most GPU memory to use, such as 4GiB or 800MB [default: all of it]
    #[arg(long, value_parser = byte_size, value_name = "BYTES")]
    pub gpu_memory: Option<u64>,
    /// Number format in bits: 32, 16 or 8 [default: 32]
    #[arg(long, alias = "precision", value_name = "BITS")]
    pub quantize: Option<Precision>,
    /// For models with two heads (YOLO26): use the one without NMS (true) or with it (false)
    /// [default: with NMS where the file has both]
    #[arg(long, alias = "end2end")]
    pub end_to_end: Option<bool>,
}
