//! `predictions.csv`: a row per object.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use onelook::record::class_name;

use super::{RunDirectory, Seen, Sink};
use crate::failure::{Failure, refused};

pub struct Table<'a> {
    names: &'a [String],
    path: PathBuf,
    file: BufWriter<File>,
}

impl<'a> Table<'a> {
    pub fn new(directory: &RunDirectory, names: &'a [String]) -> Result<Self, Failure> {
        let path = directory.path().join("predictions.csv");
        let mut file = BufWriter::new(File::create(&path).map_err(refused(&path))?);
        writeln!(file, "source,class,name,confidence,x1,y1,x2,y2").map_err(refused(&path))?;
        Ok(Self { names, path, file })
    }
}

impl Sink for Table<'_> {
    fn accept(&mut self, seen: &Seen<'_>) -> Result<(), Failure> {
        for found in &seen.prediction.detections {
            let bbox = &found.bbox;
            writeln!(
                self.file,
                "{},{},{},{:.5},{:.2},{:.2},{:.2},{:.2}",
                quoted(seen.source),
                found.class,
                quoted(&class_name(self.names, found.class)),
                found.confidence,
                bbox.x1,
                bbox.y1,
                bbox.x2,
                bbox.y2
            )
            .map_err(refused(&self.path))?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        self.file.flush().map_err(refused(&self.path))
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
