//! What reader and writer of NUT share: the start codes, the flags, what the headers say.

pub(super) const FILE_ID: &[u8; 25] = b"nut/multimedia container\0";
pub(super) const MAIN: u64 = 0x4E4D_7A56_1F5F_04AD;
pub(super) const STREAM: u64 = 0x4E53_1140_5BF2_F9DB;
pub(super) const SYNC_POINT: u64 = 0x4E4B_E4AD_EECA_4569;
/// The class of a stream of video.
pub(super) const VIDEO: u64 = 0;

/// What a frame code stands for, or a frame says of itself.
pub(super) mod flag {
    pub const KEY: u64 = 1;
    pub const CODED_PTS: u64 = 8;
    pub const STREAM_ID: u64 = 16;
    pub const SIZE_MSB: u64 = 32;
    pub const CHECKSUM: u64 = 64;
    pub const RESERVED: u64 = 128;
    pub const SIDE_DATA: u64 = 256;
    pub const HEADER_IDX: u64 = 1024;
    pub const MATCH_TIME: u64 = 2048;
    pub const CODED: u64 = 4096;
    pub const INVALID: u64 = 8192;
}

/// A fraction of a second that times are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeBase {
    /// Seconds of `denominator` ticks.
    pub numerator: u32,
    /// Ticks in `numerator` seconds.
    pub denominator: u32,
}

impl TimeBase {
    /// Ticks as seconds.
    pub fn seconds(self, ticks: i64) -> f64 {
        ticks as f64 * f64::from(self.numerator) / f64::from(self.denominator)
    }
}

/// What the headers say of the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NutVideo {
    /// Four letters for the layout of pixels, such as `RGB` and 24.
    pub fourcc: [u8; 4],
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// What times are counted in.
    pub time_base: TimeBase,
}

impl NutVideo {
    /// Three bytes a pixel, red first; width and height in pixels, times in ticks of a second.
    pub fn rgb([width, height]: [usize; 2], ticks_per_second: u32) -> Self {
        let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
        Self {
            fourcc: *b"RGB\x18",
            width: side(width),
            height: side(height),
            time_base: TimeBase {
                numerator: 1,
                denominator: ticks_per_second,
            },
        }
    }
}
