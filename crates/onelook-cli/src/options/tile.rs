//! How large images are cut into tiles.

use onelook::Tiling;
use onelook::vision::tiling::{MergeMethod, MergeOptions, OverlapMetric, TileOptions};

use crate::flags::{TileArgs, TileMerge};

impl TileArgs {
    /// What the flags mean; nothing where images are not to be cut.
    pub fn tiling(&self, agnostic: bool) -> Option<Tiling> {
        let side = self.tile?;
        Some(Tiling {
            tiles: TileOptions {
                size: [side, side],
                // As written: 0.2 is not what the nearest f32 is in double precision.
                overlap: (f64::from(self.tile_overlap) * 1e6).round() / 1e6,
                full_frame: self.tile_full_frame,
            },
            merge: MergeOptions {
                method: match self.tile_merge {
                    TileMerge::Nms => MergeMethod::Nms,
                    TileMerge::Nmm => MergeMethod::Nmm,
                    TileMerge::GreedyNmm => MergeMethod::GreedyNmm,
                    TileMerge::Wbf => MergeMethod::WeightedBoxes,
                },
                metric: OverlapMetric::Ios,
                threshold: self.tile_match,
                agnostic,
            },
        })
    }
}
