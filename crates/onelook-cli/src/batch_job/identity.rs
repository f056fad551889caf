//! What a job is known by: another manifest, model or threshold is another job, whose rows must not stand
//! beside these.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use onelook::registry::sha256_of;
use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::output::JobOutput;
use crate::console::Console;
use crate::failure::{Failure, refused};
use crate::flags::{PredictArgs, Shard};

/// By what a job is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobIdentity(BTreeMap<String, String>);

impl JobIdentity {
    /// Of a shard of this manifest under these flags.
    pub fn of_manifest(
        manifest: &Manifest,
        shard: Shard,
        output: &JobOutput,
        args: &PredictArgs,
        console: &Console,
    ) -> Result<Self, Failure> {
        let own = [
            ("manifest", manifest.sha256.clone()),
            ("images", manifest.total.to_string()),
            ("shard", format!("{}/{}", shard.index, shard.count)),
            ("part-size", args.job.part_size.to_string()),
        ];
        Self::new(own, output, args, console)
    }

    /// Of images that come to this directory.
    pub fn of_watch(
        directory: &Path,
        output: &JobOutput,
        args: &PredictArgs,
        console: &Console,
    ) -> Result<Self, Failure> {
        let directory = fs::canonicalize(directory).map_err(refused(directory))?;
        Self::new(
            [("watch", directory.display().to_string())],
            output,
            args,
            console,
        )
    }

    /// Where a job runs, and how many images at once, may differ from run to run.
    fn new<const N: usize>(
        own: [(&str, String); N],
        output: &JobOutput,
        args: &PredictArgs,
        console: &Console,
    ) -> Result<Self, Failure> {
        let inference = &args.inference;
        let (fit, tile) = (&inference.fit, &inference.tile);
        let model = inference.model.locate(console)?;
        // An architecture without weights is no file.
        let model = match model.is_file() {
            true => sha256_of(&model).map_err(refused(&model))?,
            false => model.display().to_string(),
        };
        let flags = [
            ("onelook", env!("CARGO_PKG_VERSION").to_owned()),
            ("format", format!("{:?}", output.format()).to_lowercase()),
            ("model", model),
            ("quantize", format!("{:?}", inference.model.engine.quantize)),
            (
                "end-to-end",
                format!("{:?}", inference.model.engine.end_to_end),
            ),
            ("conf", format!("{:?}", fit.conf)),
            ("iou", format!("{:?}", fit.iou)),
            ("max-det", fit.max_det.to_string()),
            ("imgsz", format!("{:?}", fit.imgsz)),
            ("classes", format!("{:?}", fit.classes)),
            ("agnostic-nms", fit.agnostic_nms.to_string()),
            ("retina-masks", fit.retina_masks.to_string()),
            ("rect", format!("{:?}", fit.rect)),
            ("preset", format!("{:?}", fit.preset)),
            ("tile", format!("{:?}", tile.tile)),
            ("tile-overlap", tile.tile_overlap.to_string()),
            ("tile-full-frame", tile.tile_full_frame.to_string()),
            ("tile-merge", format!("{:?}", tile.tile_merge)),
            ("tile-match", tile.tile_match.to_string()),
        ];
        let entries = own.into_iter().chain(flags);
        Ok(Self(
            entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        ))
    }

    /// Lines of the manifest, and the shard.
    pub fn extent(&self) -> Option<(usize, Shard)> {
        let (index, count) = self.0.get("shard")?.split_once('/')?;
        let (index, count) = (index.parse().ok()?, count.parse().ok()?);
        let images = self.0.get("images")?.parse().ok()?;
        (index < count).then_some((images, Shard { index, count }))
    }

    /// What this one has otherwise than `other`, by name.
    pub fn differences(&self, other: &Self) -> Vec<&str> {
        let names = self
            .0
            .iter()
            .filter(|(key, value)| other.0.get(*key) != Some(value));
        names.map(|(key, _)| key.as_str()).collect()
    }
}
