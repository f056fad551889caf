//! What to keep of a run, and where.

use std::path::PathBuf;

use onelook::types::Task;
use onelook::vision::draw::DrawStyle;

use crate::failure::Failure;
use crate::flags::SaveArgs;
use crate::output::RunDirectory;

impl SaveArgs {
    /// The run's directory, if anything is to be kept.
    pub fn run_directory(&self, task: Task) -> Result<Option<RunDirectory>, Failure> {
        let any = self.save || self.save_txt || self.save_crop || self.save_csv || self.save_json;
        any.then(|| {
            let project = self.project.clone();
            let project = project.unwrap_or_else(|| PathBuf::from("runs").join(task.name()));
            RunDirectory::create(&project, &self.name, self.exist_ok)
        })
        .transpose()
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
