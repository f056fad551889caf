//! Where a job's results go, by the name that was given.

use std::fmt;
use std::path::{Path, PathBuf};

use onelook::printable::printable_path;

use crate::failure::Failure;
use crate::flags::{RowFormat, Shard};

/// A directory of part files, or one file that the parts become.
pub struct JobOutput {
    path: PathBuf,
    is_file: bool,
    format: RowFormat,
    shard: Shard,
}

impl JobOutput {
    /// What `--out` and `--out-format` mean for this shard.
    pub fn new(out: &Path, format: Option<RowFormat>, shard: Shard) -> Result<Self, Failure> {
        let ending = out
            .extension()
            .map(|it| it.to_string_lossy().to_lowercase());
        let of_file = match ending.as_deref() {
            Some("parquet") => Some(RowFormat::Parquet),
            Some("jsonl") => Some(RowFormat::Jsonl),
            _ => None,
        };
        // A directory may be called as a file.
        let of_file = of_file.filter(|_| !out.is_dir());
        match (of_file, format) {
            (Some(named), Some(asked)) if named != asked => {
                return Err(Failure::Usage(
                    "--out-format is for directories: a file has the format of its ending"
                        .to_owned(),
                ));
            }
            (None, _) if out.is_file() => {
                return Err(Failure::Usage(format!(
                    "--out '{}': expected a directory, or a file ending in .parquet or .jsonl",
                    printable_path(out)
                )));
            }
            _ => {}
        }
        let format = of_file.or(format).unwrap_or(RowFormat::Jsonl);
        if format == RowFormat::Parquet && !cfg!(any(feature = "parquet", test)) {
            return Err(Failure::Usage(
                "Parquet needs a build with the feature parquet: pass --out with the ending .jsonl, or \
                 --out-format jsonl"
                    .to_owned(),
            ));
        }
        let path = match of_file.is_some() && shard.count > 1 {
            true => {
                let stem = out.file_stem().unwrap_or_default().to_string_lossy();
                let ending = out.extension().unwrap_or_default().to_string_lossy();
                out.with_file_name(format!("{stem}-{}.{ending}", of_shards(shard)))
            }
            false => out.to_owned(),
        };
        Ok(Self {
            path,
            is_file: of_file.is_some(),
            format,
            shard,
        })
    }

    /// The directory or file of the results.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that the parts become, if they do.
    pub fn file(&self) -> Option<&Path> {
        self.is_file.then_some(self.path.as_path())
    }

    /// How rows are written down.
    pub fn format(&self) -> RowFormat {
        self.format
    }

    /// Where part files are.
    pub fn directory(&self) -> PathBuf {
        match self.is_file {
            true => {
                let name = self.path.file_name().unwrap_or_default();
                self.path
                    .with_file_name(format!("{}.parts", name.to_string_lossy()))
            }
            false => self.path.clone(),
        }
    }

    /// Whether the one file is there, and nothing is left to be done.
    pub fn is_finished(&self) -> bool {
        self.is_file && self.path.exists() && !self.directory().exists()
    }

    /// The name of a part's file.
    pub fn part(&self, number: usize) -> String {
        part_name(self.shard, number, self.format)
    }

    /// Which shard's results they are.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// The name of the shard's files that are not results, without their ending.
    pub fn shard_name(&self) -> String {
        of_shards(self.shard)
    }
}

impl fmt::Display for JobOutput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "'{}'", printable_path(&self.path))
    }
}

/// The name of a part's file.
pub fn part_name(shard: Shard, number: usize, format: RowFormat) -> String {
    let ending = match format {
        RowFormat::Parquet => "parquet",
        RowFormat::Jsonl => "jsonl",
    };
    format!("part-{}-{number:06}.{ending}", of_shards(shard))
}

fn of_shards(Shard { index, count }: Shard) -> String {
    format!("{index:05}-of-{count:05}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_told_by_their_names() {
        let shard = Shard { index: 2, count: 8 };
        let file = JobOutput::new(Path::new("/none/a.parquet"), None, shard).unwrap();
        assert_eq!(
            file.file(),
            Some(Path::new("/none/a-00002-of-00008.parquet"))
        );
        assert_eq!(
            file.directory(),
            Path::new("/none/a-00002-of-00008.parquet.parts")
        );
        let rows = JobOutput::new(Path::new("/none/a.jsonl"), None, Shard::default()).unwrap();
        assert_eq!(
            (rows.format(), rows.path()),
            (RowFormat::Jsonl, Path::new("/none/a.jsonl"))
        );
        let parts = JobOutput::new(Path::new("/none/a"), None, shard).unwrap();
        assert_eq!((parts.file(), parts.format()), (None, RowFormat::Jsonl));
        assert_eq!(parts.part(3), "part-00002-of-00008-000003.jsonl");
        let jsonl = Some(RowFormat::Jsonl);
        assert!(JobOutput::new(Path::new("/none/a.parquet"), jsonl, shard).is_err());
        assert_eq!(
            JobOutput::new(Path::new("/none/a"), Some(RowFormat::Parquet), shard)
                .unwrap()
                .part(0),
            "part-00002-of-00008-000000.parquet"
        );
    }
}
