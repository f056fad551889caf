//! What to keep of a run, and where.

use std::path::{Path, PathBuf};
use std::time::Duration;

use onelook::types::Task;
use onelook::vision::draw::DrawStyle;

use crate::failure::Failure;
use crate::flags::SaveArgs;
use crate::output::RunDirectory;

/// Minutes of a live stream in a file, where files have a quota.
const QUOTA_MINUTES: f64 = 10.0;

/// The directory of a run: `name` in `project`, which is `runs/TASK` when absent. The name may lead
/// through directories, as in `name=day/first`.
pub fn run_directory(
    project: Option<&Path>,
    name: &str,
    exist_ok: bool,
    task: Task,
) -> Result<RunDirectory, Failure> {
    let (parent, last) = place(project, name, task)?;
    RunDirectory::create(&parent, &last, exist_ok)
}

/// Where the directory of a run is to be, and its name there.
fn place(project: Option<&Path>, name: &str, task: Task) -> Result<(PathBuf, String), Failure> {
    let project = project.map_or_else(|| Path::new("runs").join(task.name()), PathBuf::from);
    let path = project.join(name);
    let last = path.file_name().and_then(|last| last.to_str());
    match (path.parent(), last.filter(|_| !name.trim().is_empty())) {
        (Some(parent), Some(last)) => Ok((parent.to_owned(), last.to_owned())),
        _ => Err(Failure::Usage(format!(
            "--name '{name}': expected a name for the run's directory"
        ))),
    }
}

impl SaveArgs {
    /// The run's directory, if anything is to be kept; `name` is its name unless another is given,
    /// `keeps_more` whether more is kept than these flags say.
    pub fn run_directory(
        &self,
        task: Task,
        name: &str,
        keeps_more: bool,
    ) -> Result<Option<RunDirectory>, Failure> {
        let any = keeps_more
            || self.save
            || self.save_frames
            || self.save_txt
            || self.save_crop
            || self.save_csv
            || self.save_json;
        let name = self.name.as_deref().unwrap_or(name);
        any.then(|| run_directory(self.project.as_deref(), name, self.exist_ok, task))
            .transpose()
    }

    /// The directories that runs of these flags have made, in the order in which they were made.
    pub fn run_directories(&self, task: Task, name: &str) -> Result<Vec<PathBuf>, Failure> {
        let (project, name) = (
            self.project.as_deref(),
            self.name.as_deref().unwrap_or(name),
        );
        let (parent, last) = place(project, name, task)?;
        Ok(RunDirectory::existing(&parent, &last))
    }

    /// How long a file of a live stream may be. Where there is a quota it has an end, since only whole files are
    /// counted and removed.
    pub fn longest_video(&self) -> Option<Duration> {
        let quota = self.save_quota.map(|_| QUOTA_MINUTES);
        let minutes = self.video_minutes.or(quota);
        minutes.map(|minutes| Duration::from_secs_f64(60.0 * minutes))
    }

    /// How boxes are drawn.
    pub fn style(&self) -> DrawStyle {
        DrawStyle {
            line_width: self.line_width,
            labels: self.show_labels,
            confidence: self.show_conf,
            boxes: self.show_boxes,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        save: SaveArgs,
    }

    #[test]
    fn a_live_stream_that_has_a_quota_is_cut_into_files() {
        let longest = |words: &[&str]| {
            let words = Words::parse_from([&["onelook"][..], words].concat());
            words.save.longest_video().map(|it| it.as_secs())
        };
        assert_eq!(longest(&[]), None);
        assert_eq!(longest(&["--save-quota", "1GiB"]), Some(600));
        assert_eq!(
            longest(&["--save-quota", "1GiB", "--video-minutes", "2"]),
            Some(120)
        );
        assert_eq!(longest(&["--video-minutes", "2"]), Some(120));
    }
}
