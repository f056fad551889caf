//! Flags of `onelook count`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::value::{fraction, named_line, named_zone};

/// A name and points of an image.
pub type NamedPoints = (String, Vec<[f64; 2]>);

/// Counts crossings of lines and stays in zones over recorded tracks.
#[derive(Args)]
pub struct CountArgs {
    /// Tracks in the format of the MOTChallenge: frame,id,left,top,width,height,confidence.
    #[arg(long, value_name = "FILE")]
    pub tracks: PathBuf,
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
    /// Frames per second [default: as seqinfo.ini beside the tracks says, or 30]
    #[arg(long, value_name = "FPS")]
    pub frame_rate: Option<f64>,
    /// Least confidence of a box; 1 leaves out what ground truth marks as to be ignored.
    #[arg(long, default_value_t = 0.0, value_parser = fraction, value_name = "SCORE")]
    pub conf: f32,
    /// Read the class from the eighth column, as MOT16 and later have it.
    #[arg(long)]
    pub class_column: bool,
    /// Write each event as a line of JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub events: Option<PathBuf>,
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
