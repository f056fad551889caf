//! Frames with boxes and labels as a live stream, which others may watch.

use onelook::media::video::{Ffmpeg, LiveWriter};
use onelook::vision::draw::DrawStyle;

use super::predicted::{PredictedImage, Sink};
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::LiveArgs;

/// Pushes frames to a server, or writes a playlist.
pub struct Live<'a> {
    writers: Vec<(String, LiveWriter)>,
    names: &'a [String],
    style: DrawStyle,
    console: &'a Console,
    /// Failures that were told.
    told: u64,
}

impl<'a> Live<'a> {
    pub fn start(
        args: &LiveArgs,
        ffmpeg: Option<&std::path::Path>,
        names: &'a [String],
        style: DrawStyle,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let ffmpeg = Ffmpeg::find(ffmpeg).map_err(failure)?;
        let mut writers = Vec::new();
        for target in args.targets()? {
            let name = target.name();
            let writer = LiveWriter::start(&ffmpeg, target).map_err(failure)?;
            writers.push((name, writer));
        }
        Ok(Self {
            writers,
            names,
            style,
            console,
            told: 0,
        })
    }
}

impl Sink for Live<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let frame = image.annotated(self.names, &self.style);
        for (_, writer) in &self.writers {
            writer.write(frame.clone());
        }
        let reports = self.writers.iter().map(|(name, it)| (name, it.report()));
        let reports: Vec<_> = reports.collect();
        let failures = reports.iter().map(|(_, report)| report.failures).sum();
        if failures > self.told {
            self.told = failures;
            for (name, report) in reports.iter().filter(|(_, report)| report.failures > 0) {
                let reason = report.last_error.as_deref().unwrap_or_default();
                let text = format!("'{name}': {reason}; it is tried again");
                self.console.warn(text);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        for (name, writer) in std::mem::take(&mut self.writers) {
            let report = writer.finish();
            let text = format!(
                "{name}: {} frames sent, {} left out, {} failures",
                report.sent, report.dropped, report.failures
            );
            self.console.detail(text)?;
        }
        Ok(())
    }
}

fn failure(error: onelook::media::video::VideoError) -> Failure {
    Failure::failed("file", error.to_string())
}
