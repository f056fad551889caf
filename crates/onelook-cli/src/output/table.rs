//! `predictions.csv`: a row per object.

use std::fmt::Write;

use onelook::record::class_name;

use super::predicted::{Keep, PredictedImage, Sink, SinkState};
use super::run_directory::RunDirectory;
use super::whole_file::LineFile;
use crate::failure::Failure;

pub struct Table<'a> {
    names: &'a [String],
    file: LineFile,
    /// Whether rows say which frame they are of.
    has_frames: bool,
    /// Whether they say which track they are of.
    has_ids: bool,
}

impl<'a> Table<'a> {
    pub fn new(
        directory: &RunDirectory,
        names: &'a [String],
        (has_frames, has_ids): (bool, bool),
        keep: Keep,
    ) -> Result<Self, Failure> {
        let (mut file, goes_on) = keep.line_file(directory.path().join("predictions.csv"))?;
        let frame = if has_frames { ",frame,time" } else { "" };
        let id = if has_ids { ",track_id" } else { "" };
        if !goes_on {
            file.append(&format!(
                "source,class,name,confidence,x1,y1,x2,y2{frame}{id}\n"
            ))?;
        }
        Ok(Self {
            names,
            file,
            has_frames,
            has_ids,
        })
    }
}

impl Sink for Table<'_> {
    fn write(&mut self, image: &PredictedImage<'_>) -> Result<(), Failure> {
        let mut rows = String::new();
        let time = image
            .time
            .map_or(String::new(), |time| format!("{:.6}", time.as_secs_f64()));
        let frame = match (self.has_frames, image.video) {
            (false, _) => String::new(),
            (true, Some(video)) => format!(",{},{time}", video.frame),
            (true, None) => ",,".to_owned(),
        };
        for found in image.result.instances() {
            let bbox = &found.bbox;
            let id = match (self.has_ids, found.track_id) {
                (false, _) => String::new(),
                (true, id) => format!(",{}", id.map_or(String::new(), |id| id.to_string())),
            };
            let _ = writeln!(
                rows,
                "{},{},{},{:.5},{:.2},{:.2},{:.2},{:.2}{frame}{id}",
                quoted(image.source),
                found.class,
                quoted(&class_name(self.names, found.class)),
                found.score,
                bbox.x1,
                bbox.y1,
                bbox.x2,
                bbox.y2
            );
        }
        self.file.append(&rows)
    }

    fn checkpoint(&mut self) -> Result<SinkState, Failure> {
        self.file.sync().map(SinkState::of_file)
    }

    fn finish(&mut self, _complete: bool) -> Result<(), Failure> {
        self.file.finish()
    }
}

/// A field as RFC 4180 wants it.
fn quoted(field: &str) -> String {
    match field.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => field.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_field_with_commas_or_quotes_is_quoted() {
        assert_eq!(quoted("bus.jpg"), "bus.jpg");
        assert_eq!(quoted("a,\"b\".jpg"), "\"a,\"\"b\"\".jpg\"");
    }
}
