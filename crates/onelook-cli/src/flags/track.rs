//! Flags of `onelook track`.

use std::path::PathBuf;

use clap::{ArgGroup, Args};

use super::delivery::DeliveryArgs;
use super::inference::InferenceArgs;
use super::tracker::TrackerArgs;
use super::value::frame_rate;

/// Follows objects from frame to frame.
#[derive(Args)]
#[command(group = ArgGroup::new("input").required(true).args(["source", "detections"]))]
pub struct TrackArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,
    #[command(flatten)]
    pub tracker: TrackerArgs,
    /// Recorded detections in place of a source and a model, in the format of the MOTChallenge: a line per
    /// box, frame,id,left,top,width,height,confidence. Flags of models and of the run's directory play no
    /// role.
    #[arg(long, value_name = "FILE")]
    pub detections: Option<PathBuf>,
    /// Write the tracks of one video, or of images in their order, to this file in the format of the
    /// MOTChallenge [default with --detections: standard output]
    #[arg(long, value_name = "FILE")]
    pub mot: Option<PathBuf>,
    /// Save the tracks of each video to NAME.txt in the run's directory, in the same format.
    #[arg(long)]
    pub save_mot: bool,
    /// How many frames recorded detections have [default: as seqinfo.ini says, or up to the last box]
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,
    /// Frames per second of recorded detections and of images [default: 30, for detections as
    /// seqinfo.ini says]
    #[arg(long, value_name = "FPS", value_parser = frame_rate)]
    pub frame_rate: Option<f64>,
    /// Time of each frame of recorded detections in seconds, a line per frame, in place of an even frame
    /// rate.
    #[arg(long, value_name = "FILE")]
    pub times: Option<PathBuf>,
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}
