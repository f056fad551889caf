//! Flags of batch jobs: long lists of images whose results are kept part by part.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::value::seconds;

/// Flags that say what to keep of other runs.
const NOT_FOR_JOBS: [&str; 10] = [
    "source",
    "save_frames",
    "save_txt",
    "save_crop",
    "save_csv",
    "save_json",
    "save_quota",
    "video_minutes",
    "publish",
    "hls",
];

/// A list of images that is run in parts, or a directory to which images come.
#[derive(Args, Clone)]
#[command(next_help_heading = "Batch jobs")]
pub struct JobArgs {
    /// List of images, a path or address per line, instead of --source. Results go to --out in parts, each
    /// written whole; with --resume a run that was ended goes on behind its last part.
    #[arg(long, value_name = "FILE", group = "job", requires = "out", conflicts_with_all = NOT_FOR_JOBS)]
    pub manifest: Option<PathBuf>,
    /// Directory that is watched for images, instead of --source: each that comes gets its row in --out, a
    /// directory. With --resume those that were done before are left alone.
    #[arg(long, value_name = "DIR", group = "job", requires = "out", conflicts_with_all = NOT_FOR_JOBS)]
    pub watch: Option<PathBuf>,
    /// Seconds between two looks at the directory of --watch. An image is read when two looks in a row have
    /// found it unchanged.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds, requires = "watch")]
    pub watch_every: f64,
    /// Which part of the manifest this run does, for runs on several machines: 0/8 to 7/8 [default: 0/1]
    #[arg(long, value_name = "INDEX/COUNT", value_parser = shard, requires = "manifest")]
    pub shard: Option<Shard>,
    /// Where the results of a job go: a directory of part files, or a file ending in .parquet or
    /// .jsonl, to which the shard is added where there are several: NAME-00000-of-00008.parquet.
    #[arg(long, value_name = "DIR|FILE", requires = "job")]
    pub out: Option<PathBuf>,
    /// Format of the part files in a directory [default: jsonl]
    #[arg(long, value_enum, value_name = "FORMAT", requires = "job")]
    pub out_format: Option<RowFormat>,
    /// Images of one part: so many are run again at most when a run was ended.
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "job")]
    pub part_size: usize,
    /// Run in the background, whatever becomes of this terminal: `onelook jobs` shows how far it is. What it
    /// says goes to a .log file in OUT/_onelook. For manifests.
    #[arg(long)]
    pub detach: bool,
}

/// One of so many shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: usize,
    /// At least 1.
    pub count: usize,
}

impl Default for Shard {
    fn default() -> Self {
        Self { index: 0, count: 1 }
    }
}

/// How rows are written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Apache Parquet; needs a build with the feature parquet.
    Parquet,
    /// A JSON object per line.
    Jsonl,
}

/// `INDEX/COUNT`, the index from 0.
fn shard(word: &str) -> Result<Shard, String> {
    let numbers = word.split_once('/');
    let parse = |(index, count): (&str, &str)| {
        let [index, count] = [index, count].map(|number| number.trim().parse::<usize>());
        Some((index.ok()?, count.ok()?))
    };
    match numbers.and_then(parse) {
        Some((index, count)) if index < count && count <= 100_000 => Ok(Shard { index, count }),
        Some((index, count)) if index == count && count > 0 => Err(format!(
            "shards are numbered from 0: the last of {count} is {}/{count}",
            count - 1
        )),
        _ => {
            Err("expected the shard's index from 0 and how many there are, such as 0/8".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_numbered_from_zero() {
        assert_eq!(shard("0/1"), Ok(Shard { index: 0, count: 1 }));
        assert_eq!(shard(" 7 / 8"), Ok(Shard { index: 7, count: 8 }));
        assert!(shard("8/8").unwrap_err().contains("7/8"));
        for word in [
            "",
            "1",
            "1/",
            "/2",
            "0/0",
            "3/2",
            "-1/2",
            "0/1000000",
            "a/b",
        ] {
            assert!(shard(word).is_err(), "{word}");
        }
    }
}
