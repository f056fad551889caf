//! Flags of batch jobs: long lists of images whose results are kept part by part.

use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, ValueEnum};

use super::value::seconds;

/// Flags of predict that a job has no use for, and the value with which each says nothing.
const UNUSED: [(&str, Option<&str>); 30] = [
    ("vid_stride", Some("1")),
    ("stream_buffer", Some("false")),
    ("max_age", None),
    ("max_fps", None),
    ("decode_size", None),
    ("hwaccel", Some("none")),
    ("ffmpeg", None),
    ("show", Some("false")),
    ("publish", None),
    ("hls", None),
    ("hls_segments", None),
    ("save", Some("false")),
    ("save_frames", Some("false")),
    ("save_txt", Some("false")),
    ("save_conf", Some("false")),
    ("save_crop", Some("false")),
    ("save_csv", Some("false")),
    ("save_json", Some("false")),
    ("show_labels", Some("true")),
    ("show_conf", Some("true")),
    ("show_boxes", Some("true")),
    ("line_width", None),
    ("project", None),
    ("name", None),
    ("exist_ok", Some("false")),
    ("save_quota", None),
    ("video_minutes", None),
    ("checkpoint_every", None),
    ("verbose", Some("false")),
    ("source", None),
];

/// Whether the flags of `predict` go together: a job takes none that it would ignore.
///
/// # Errors
/// The first flag that it would.
pub fn check(predict: &ArgMatches) -> Result<(), String> {
    let is_given = |name: &str| {
        let source = predict.value_source(name);
        source.is_some_and(|source| source != ValueSource::DefaultValue)
    };
    let Some(job) = ["manifest", "watch"].into_iter().find(|it| is_given(it)) else {
        return Ok(());
    };
    for (name, harmless) in UNUSED.into_iter().filter(|(name, _)| is_given(name)) {
        if harmless != value(predict, name).as_deref() || harmless.is_none() {
            let flag = name.replace('_', "-");
            return Err(format!(
                "--{flag} cannot be used with --{job}: a batch job reads images, and writes nothing but \
                 its rows to --out"
            ));
        }
    }
    Ok(())
}

/// The value as it counts: a switch may be typed in many ways.
fn value(predict: &ArgMatches, name: &str) -> Option<String> {
    if let Ok(Some(value)) = predict.try_get_one::<bool>(name) {
        return Some(value.to_string());
    }
    let raw = predict.get_raw(name)?.next_back()?;
    Some(raw.to_string_lossy().into_owned())
}

/// A list of images that is run in parts, or a directory to which images come.
#[derive(Args, Clone)]
#[command(next_help_heading = "Batch jobs")]
pub struct JobArgs {
    /// List of images, a path or address per line, instead of --source. Results go to --out in parts, each
    /// written whole; with --resume a run that was ended goes on behind its last part.
    #[arg(long, value_name = "FILE", group = "job", requires = "out")]
    pub manifest: Option<PathBuf>,
    /// Directory that is watched for images, instead of --source: each that comes gets its row in --out, a
    /// directory. With --resume those that were done before are left alone.
    #[arg(long, value_name = "DIR", group = "job", requires = "out")]
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::flags::{declarations, parse};

    /// Flags of predict that a job heeds.
    const USED: &[&str] = &[
        "agnostic_nms",
        "batch",
        "classes",
        "conf",
        "detach",
        "device",
        "end_to_end",
        "gpu_memory",
        "help",
        "imgsz",
        "iou",
        "json",
        "manifest",
        "max_bytes",
        "max_det",
        "max_model_bytes",
        "max_pixels",
        "model",
        "out",
        "out_format",
        "part_size",
        "preset",
        "quantize",
        "quiet",
        "rect",
        "resume",
        "retina_masks",
        "shard",
        "task",
        "threads",
        "tile",
        "tile_full_frame",
        "tile_match",
        "tile_merge",
        "tile_overlap",
        "watch",
        "watch_every",
    ];

    #[test]
    fn every_flag_of_predict_is_heeded_by_a_job_or_refused() {
        let mut root = declarations();
        root.build();
        let predict = root.find_subcommand("predict").unwrap();
        let flags = predict.get_arguments().map(|arg| arg.get_id().as_str());
        let flags: BTreeSet<&str> = flags.collect();
        let unused = UNUSED.into_iter().map(|(name, _)| name);
        let known: BTreeSet<&str> = USED.iter().copied().chain(unused).collect();
        assert_eq!(flags, known);
    }

    #[test]
    fn a_job_refuses_each_flag_that_it_would_ignore_and_no_value_that_says_nothing() {
        let said = |words: &[&str]| {
            let job = ["onelook", "predict", "manifest=a.txt", "out=rows"];
            let words = job.iter().chain(words).map(Into::into);
            parse(&words.collect::<Vec<_>>()).map_err(|error| error.to_string())
        };
        for (name, harmless) in UNUSED {
            let value = match (name, harmless) {
                (_, Some("true")) => "False",
                (_, Some("false")) => "True",
                ("hwaccel", _) => "auto",
                ("vid_stride" | "line_width" | "hls_segments", _) => "5",
                ("decode_size", _) => "640",
                ("save_quota", _) => "1GiB",
                ("publish", _) => "rtsp://127.0.0.1/a",
                _ => "3",
            };
            let word = format!("{name}={value}");
            let Err(said_of_it) = said(&[&word]) else {
                panic!("{word} was not refused");
            };
            let flag = format!(
                "--{} cannot be used with --manifest",
                name.replace('_', "-")
            );
            assert!(said_of_it.contains(&flag), "{word}: {said_of_it}");
            if let Some(harmless) = harmless {
                assert!(said(&[&format!("{name}={harmless}")]).is_ok(), "{name}");
            }
        }
        assert!(said(&["save=False", "verbose=no", "save_txt=0"]).is_ok());
        let other = ["onelook", "predict", "source=a.jpg", "project=runs"].map(Into::into);
        assert!(parse(&other).is_ok());
    }

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
