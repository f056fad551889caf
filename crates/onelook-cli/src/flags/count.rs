//! Flags of `onelook count`.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};

use super::delivery::DeliveryArgs;
use super::inference::InferenceArgs;
use super::tracker::TrackerArgs;
use super::value::{named_line, named_zone};

/// A name and points of an image.
pub type NamedPoints = (String, Vec<[f64; 2]>);

/// Counts crossings of lines and stays in zones, on videos and over recorded tracks.
#[derive(Args)]
#[command(group = ArgGroup::new("input").required(true).args(["source", "tracks"]))]
pub struct CountArgs {
    #[command(flatten)]
    pub inference: InferenceArgs,
    #[command(flatten)]
    pub tracker: TrackerArgs,
    /// Recorded tracks in place of a source and a model, in the format of the MOTChallenge:
    /// frame,id,left,top,width,height,confidence. With --conf 1 what ground truth marks as to be ignored is
    /// left out; other flags of models and of the run's directory play no role.
    #[arg(long, value_name = "FILE")]
    pub tracks: Option<PathBuf>,
    /// Line from one point to another, as NAME=X1,Y1,X2,Y2; in is to the left of this direction on the
    /// screen. May be given several times.
    #[arg(long, value_parser = named_line, value_name = "NAME=POINTS")]
    pub line: Vec<NamedPoints>,
    /// Zone by the corners of its outline, as NAME=X,Y,X,Y,X,Y. May be given several times.
    #[arg(long, value_parser = named_zone, value_name = "NAME=POINTS")]
    pub zone: Vec<NamedPoints>,
    /// Unit of points of lines and zones: pixels, or fractions of the image's sides.
    #[arg(long, value_enum, default_value_t, value_name = "UNIT")]
    pub coordinates: Unit,
    /// What counts as a crossing of a line: our own definition, LineZone of supervision, or the object
    /// counter of ultralytics, in which in is rightwards or downwards.
    #[arg(long, value_enum, default_value_t, value_name = "MODE")]
    pub mode: Mode,
    /// Point of the box that counts, such as centre, for lines of mode default and for zones.
    #[arg(long, default_value = "bottom-centre", value_name = "POINT")]
    pub anchor: String,
    /// Count each track once per line, in mode default.
    #[arg(long)]
    pub once: bool,
    /// Frames per second of recorded tracks and of images [default: 30, for tracks as seqinfo.ini beside
    /// them says]
    #[arg(long, value_name = "FPS")]
    pub frame_rate: Option<f64>,
    /// Read the class from the eighth column, as MOT16 and later have it.
    #[arg(long)]
    pub class_column: bool,
    /// Draw lines and zones with their counts into the saved images and videos.
    #[arg(long, default_value_t = true)]
    pub show_places: bool,
    /// Write each event as a line of JSON to this file, with the time in seconds.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
    #[command(flatten)]
    pub delivery: DeliveryArgs,
}

/// Unit of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Unit {
    #[default]
    Pixels,
    Fractions,
}

/// Whose definition of a crossing counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Mode {
    #[default]
    Default,
    Supervision,
    Ultralytics,
}
