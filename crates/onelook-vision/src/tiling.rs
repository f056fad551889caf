//! Large images in tiles, so that small objects are seen at full size: an image's size in, overlapping
//! tiles out, and what was found in all of them made one list again.
//!
//! The tiles are those of sahi (MIT, Akyon et al., arXiv:2202.06934). Runs no network.

mod merge;

use onelook_types::PixelRect;

pub use merge::{MergeMethod, MergeOptions, OverlapMetric, merge};

/// How an image is cut.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TileOptions {
    /// Width and height of a tile in pixels.
    pub size: [usize; 2],
    /// Share of a tile's side that neighbours have in common, 0 to below 1.
    pub overlap: f64,
    /// Whether the whole image is one more tile, for objects that are larger than a tile.
    pub full_frame: bool,
}

impl TileOptions {
    /// Squares that overlap by a fifth, and the whole image.
    pub fn square(side: usize) -> Self {
        Self {
            size: [side, side],
            overlap: 0.2,
            full_frame: true,
        }
    }
}

/// Most tiles of an image.
const MOST_TILES: usize = 10_000;

/// Tiles that cannot be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum TilingError {
    /// A tile without pixels.
    #[error("a tile has {0}x{1} pixels: give sides above 0")]
    Size(usize, usize),
    /// Neighbours that have everything in common, or less than nothing.
    #[error("tiles overlap by {0}: give a number from 0 to below 1")]
    Overlap(f64),
    /// Too small tiles for the image.
    #[error(
        "the image would be cut into more than {MOST_TILES} tiles: give larger ones, or less overlap"
    )]
    TooMany,
}

/// The tiles of an image of this width and height, row by row; all of one size if the image is as large,
/// the last ones of a row or column moved back to the edge. With `full_frame`, the whole image comes
/// first, unless it is the only tile.
///
/// # Errors
/// No size, an impossible overlap, or more than 10,000 tiles.
pub fn tiles(image: [usize; 2], options: &TileOptions) -> Result<Vec<PixelRect>, TilingError> {
    let [width, height] = options.size;
    if width == 0 || height == 0 {
        return Err(TilingError::Size(width, height));
    }
    if !(0.0..1.0).contains(&options.overlap) {
        return Err(TilingError::Overlap(options.overlap));
    }
    let columns = starts(image[0], width, options.overlap)?;
    let rows = starts(image[1], height, options.overlap)?;
    if columns.len().saturating_mul(rows.len()) > MOST_TILES {
        return Err(TilingError::TooMany);
    }
    let whole = PixelRect {
        left: 0,
        top: 0,
        width: image[0],
        height: image[1],
    };
    let mut tiles = Vec::with_capacity(columns.len() * rows.len() + 1);
    if options.full_frame && columns.len() * rows.len() > 1 {
        tiles.push(whole);
    }
    for &top in &rows {
        tiles.extend(columns.iter().map(|&left| PixelRect {
            left,
            top,
            width: width.min(image[0]),
            height: height.min(image[1]),
        }));
    }
    Ok(tiles)
}

/// Where tiles of this length start along a side of the image.
fn starts(side: usize, length: usize, overlap: f64) -> Result<Vec<usize>, TilingError> {
    // Rounded down, as sahi does; below the length, so that each step goes on.
    let shared = ((overlap * length as f64) as usize).min(length - 1);
    let mut starts = Vec::new();
    let (mut start, mut end) = (0, 0);
    while end < side {
        end = start + length;
        if end > side {
            (start, end) = (side.saturating_sub(length), side);
        }
        starts.push(start);
        start = end.saturating_sub(shared);
        if starts.len() > MOST_TILES {
            return Err(TilingError::TooMany);
        }
    }
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_tiles_are_refused() {
        let with = |size, overlap| {
            let options = TileOptions {
                size,
                overlap,
                full_frame: true,
            };
            tiles([8000, 6000], &options)
        };
        assert_eq!(with([0, 640], 0.2), Err(TilingError::Size(0, 640)));
        assert_eq!(with([640, 640], 1.0), Err(TilingError::Overlap(1.0)));
        assert!(with([640, 640], f64::NAN).is_err());
        assert_eq!(with([10, 10], 0.2), Err(TilingError::TooMany));
        assert_eq!(with([640, 640], 0.999_999), Err(TilingError::TooMany));
        assert_eq!(with([usize::MAX, 640], 0.0).map(|it| it.len()), Ok(11));
    }

    #[test]
    fn the_whole_image_comes_first_where_there_are_several_tiles() {
        let whole = |width, height| PixelRect {
            left: 0,
            top: 0,
            width,
            height,
        };
        let options = TileOptions::square(640);
        assert_eq!(tiles([640, 480], &options), Ok(vec![whole(640, 480)]));
        let two = tiles([1000, 480], &options).unwrap();
        assert_eq!((two.len(), two[0]), (3, whole(1000, 480)));
        assert_eq!(tiles([0, 480], &options), Ok(Vec::new()));
    }
}
