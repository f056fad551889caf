//! Frames with boxes and labels as a live stream, which others may watch.

use onelook::media::video::{Ffmpeg, LiveWriter};
use onelook::vision::draw::DrawStyle;

use super::predicted::{PredictedImage, Sink};
use crate::console::Console;
use crate::failure::Failure;
use crate::flags::LiveArgs;

/// Pushes frames to a server, or writes a playlist.
pub struct Live<'a> {
    targets: Vec<Target>,
    names: &'a [String],
    style: DrawStyle,
    console: &'a Console,
}

/// One of its places.
struct Target {
    name: String,
    writer: LiveWriter,
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
        let mut targets = Vec::new();
        for target in args.targets()? {
            targets.push(Target {
                name: target.name(),
                writer: LiveWriter::start(&ffmpeg, target).map_err(failure)?,
                told: 0,
            });
        }
        Ok(Self {
            targets,
            names,
            style,
            console,
        })
    }
}

impl Sink for Live<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let frame = image.annotated(self.names, &self.style);
        for Target { name, writer, told } in &mut self.targets {
            writer.write(frame.clone());
            let report = writer.report();
            if report.failures > *told {
                *told = report.failures;
                let reason = report.last_error.as_deref().unwrap_or_default();
                let text = format!("'{name}': {reason}; it is tried again");
                self.console.warn(text);
            }
        }
        Ok(())
    }

    fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        for Target { name, writer, .. } in std::mem::take(&mut self.targets) {
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
