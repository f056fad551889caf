//! Opens a video by ffmpeg, from its first frame or from behind one that was read before.

use super::address::VideoAddress;
use super::decoder::{DecodeOptions, Decoder, FfmpegDecoder, OpenDecoder};
use super::error::VideoError;
use super::ffmpeg::Ffmpeg;
use super::resumed::ResumedDecoder;
use crate::stop::StopHandle;

/// Opens an address by ffmpeg.
#[derive(Debug, Clone)]
pub struct FfmpegOpener {
    /// Where ffmpeg is.
    pub ffmpeg: Ffmpeg,
    /// What to open.
    pub address: VideoAddress,
    /// How.
    pub options: DecodeOptions,
}

impl OpenDecoder for FfmpegOpener {
    fn open(&mut self, stop: &StopHandle) -> Result<Box<dyn Decoder>, VideoError> {
        let Self {
            ffmpeg,
            address,
            options,
        } = self;
        Ok(match &options.resume {
            Some(point) => {
                let decoder = ResumedDecoder::open(ffmpeg, address, options, point, stop)?;
                Box::new(decoder)
            }
            None => Box::new(FfmpegDecoder::open(ffmpeg, address, options, None, stop)?),
        })
    }
}
