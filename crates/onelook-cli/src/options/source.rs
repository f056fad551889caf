//! Where frames come from, and how.

use std::sync::Arc;

use onelook::media::video::VideoError;
use onelook::media::{Limits, SourceOptions};

use crate::console::Console;
use crate::flags::InferenceArgs;

/// Images may come from addresses, which the user's own client fetches.
pub fn source_options(limits: &Limits) -> SourceOptions {
    SourceOptions {
        limits: *limits,
        fetch: Some(Arc::new(|url: &str, max_bytes: u64| {
            onelook::registry::get(url, max_bytes)
        })),
        ..SourceOptions::default()
    }
}

impl InferenceArgs {
    /// What the flags mean for the source.
    pub fn source_options(&self, console: &Console) -> SourceOptions {
        let warn = console.detached_warning();
        let mut options = source_options(&self.limits.limits());
        let batch = self.fit.batch.unwrap_or(1);
        options.images_ahead = options.images_ahead.max(batch.saturating_mul(2));
        options.ffmpeg = self.video.ffmpeg.clone();
        options.video_stride = self.video.vid_stride;
        options.buffer_streams = self.video.stream_buffer;
        options.video_side = self.video.decode_size;
        options.hardware_decoding = self.video.hwaccel.clone().filter(|name| name != "none");
        options.on_reconnect = Some(Arc::new(move |name: &str, error: &VideoError| {
            warn(&format!("'{name}': {error}; it is opened again"));
        }));
        options
    }
}
