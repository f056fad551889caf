//! How large images are cut into tiles.

use clap::{Args, ValueEnum};

use super::value::fraction;

/// How large images are cut into tiles.
#[derive(Args, Clone)]
pub struct TileArgs {
    /// Cut images into tiles with sides of so many pixels, so that small objects are found; models of
    /// task detect only [default: images are not cut]
    #[arg(long, value_name = "PIXELS")]
    pub tile: Option<usize>,
    /// Share of a tile's side that neighbours have in common, 0 to below 1.
    #[arg(long, default_value_t = 0.2, value_parser = fraction, value_name = "SHARE")]
    pub tile_overlap: f32,
    /// Look at the whole image too, for objects that are larger than a tile.
    #[arg(long, default_value_t = true)]
    pub tile_full_frame: bool,
    /// How boxes of one object from several tiles become one: the best (nms), the smallest box around
    /// those that overlap the best (greedy-nmm) or each other (nmm), or their weighted mean (wbf).
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    pub tile_merge: TileMerge,
    /// Overlap from which boxes are of one object: intersection over the smaller box, for wbf
    /// intersection over union.
    #[arg(long, default_value_t = 0.5, value_parser = fraction, value_name = "OVERLAP")]
    pub tile_match: f32,
}

/// How boxes of one object become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TileMerge {
    Nms,
    Nmm,
    #[default]
    GreedyNmm,
    Wbf,
}
