//! Pictures with where they land and how they are scaled: what an engine takes that fits them itself.

use onelook_graph::PlacedPicture;
use onelook_types::{AxisTap, Frame, LetterboxPlacement};
use onelook_vision::letterbox::axis_taps;

/// Lends the pictures to `take`; each has its own placement.
pub(crate) fn with_placed<T>(
    frames: &[&Frame],
    placements: &[LetterboxPlacement],
    padding: u8,
    take: impl FnOnce(&[PlacedPicture<'_>]) -> T,
) -> T {
    let taps: Vec<[Vec<AxisTap>; 2]> = placements.iter().map(taps).collect();
    let pictures: Vec<PlacedPicture<'_>> = frames
        .iter()
        .zip(placements)
        .zip(&taps)
        .map(|((frame, placement), [columns, rows])| PlacedPicture {
            pixels: frame.pixels(),
            bgr: false,
            placement: *placement,
            padding,
            columns,
            rows,
        })
        .collect();
    take(&pictures)
}

fn taps(placement: &LetterboxPlacement) -> [Vec<AxisTap>; 2] {
    let of = |source, scaled| axis_taps(source, scaled).collect();
    [
        of(placement.source_width, placement.scaled_width),
        of(placement.source_height, placement.scaled_height),
    ]
}
