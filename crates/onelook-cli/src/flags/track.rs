//! Flags of `onelook track`.

use std::path::PathBuf;

use clap::Args;

/// Follows objects from frame to frame.
#[derive(Args)]
pub struct TrackArgs {
    /// Recorded detections in the format of the MOTChallenge: a line per box,
    /// frame,id,left,top,width,height,confidence.
    #[arg(long, required = true, value_name = "FILE")]
    pub detections: PathBuf,
    /// Tracker: default, bytetrack, botsort, ocsort, tracktrack, or a .yaml file in the reference's
    /// form.
    #[arg(long, default_value = "default", value_name = "NAME|FILE")]
    pub tracker: String,
    /// Write the tracks to this file in the format of the MOTChallenge [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub mot: Option<PathBuf>,
    /// How many frames there are [default: as seqinfo.ini says, or up to the last box]
    #[arg(long, value_name = "N")]
    pub frames: Option<u64>,
    /// Frames per second [default: as seqinfo.ini says, or 30]
    #[arg(long, value_name = "FPS", value_parser = frame_rate)]
    pub frame_rate: Option<f64>,
    /// Time of each frame in seconds, a line per frame, in place of an even frame rate.
    #[arg(long, value_name = "FILE")]
    pub times: Option<PathBuf>,
    /// Never follow an object into another class.
    #[arg(long)]
    pub per_class: bool,
}

fn frame_rate(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(rate) if (1e-3..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected frames per second, such as 30 or 29.97".to_owned()),
    }
}
