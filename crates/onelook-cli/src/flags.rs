//! What was typed: one struct per command, whose fields and their documentation make the parser,
//! the help, the completions and the man page.
//!
//! Imports no command. What the flags mean is settled in `options`.

mod bench;
mod cli;
mod completions;
mod config_file;
mod convert;
mod count;
mod delivery;
mod dialect;
mod doctor;
mod explain;
mod fit;
mod gpu_check;
mod health;
mod inference;
mod job;
mod jobs;
mod limit;
mod live;
mod model;
mod models;
mod predict;
mod reference;
mod save;
mod serve;
mod switch;
mod tile;
mod track;
mod tracker;
mod val;
mod value;
mod verify;
mod video;

pub use bench::BenchArgs;
pub use cli::{Command, declarations, parse, unknown_variables, wants_json};
pub use completions::CompletionsArgs;
pub use config_file::Settings;
pub use convert::ConvertArgs;
pub use count::{CountArgs, Mode, Unit};
pub use delivery::DeliveryArgs;
pub use doctor::DoctorArgs;
pub use explain::ExplainArgs;
pub use fit::{FitArgs, Preset};
pub use gpu_check::GpuCheckArgs;
pub use health::HealthArgs;
pub use inference::InferenceArgs;
pub use job::{RowFormat, Shard};
pub use jobs::{JobPlaces, JobsArgs, JobsCommand};
pub use limit::LimitArgs;
pub use live::LiveArgs;
pub use model::{EngineArgs, ModelArgs};
pub use models::{ModelsArgs, ModelsCommand};
pub use predict::PredictArgs;
pub use save::SaveArgs;
#[cfg(test)]
pub use serve::OptionalPort;
pub use serve::ServeArgs;
pub use tile::{TileArgs, TileMerge};
pub use track::TrackArgs;
pub use tracker::TrackerArgs;
pub use val::ValArgs;
pub use value::ImageSize;
pub use verify::VerifyArgs;
