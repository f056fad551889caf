//! Finds the model inside a checkpoint, and what the checkpoint says of it.

use onelook_types::Task;

use super::module::Module;
use super::pickle::{Id, Node, Pickle};
use super::{damaged, unsupported};
use crate::read::ReadError;

/// Texts of a checkpoint that are worth keeping.
const NOTES: &[&str] = &[
    "description",
    "author",
    "date",
    "version",
    "license",
    "docs",
];

pub(super) struct Checkpoint<'p> {
    pub(super) pickle: &'p Pickle<'p>,
    pub(super) model: Module<'p>,
}

impl<'p> Checkpoint<'p> {
    /// The averaged weights (`ema`) where the file has them, else the model, else a bare model.
    pub(super) fn find(pickle: &'p Pickle<'p>) -> Result<Self, ReadError> {
        let root = pickle.root();
        let present = |key| {
            pickle
                .get(root, key)
                .filter(|&value| !pickle.is_none(value))
        };
        // A state_dict is an OrderedDict, which has a state too: the versions of its modules.
        let is_mapping = |id| {
            pickle
                .class(id)
                .is_some_and(|name| name.module == "collections")
        };
        let is_model = |id| {
            let record = pickle.record(id);
            record.is_some_and(|record| record.state.is_some()) && !is_mapping(id)
        };
        let model = match present("ema").or_else(|| present("model")) {
            Some(model) if is_model(model) => model,
            None if is_model(root) => root,
            Some(_) | None => return Err(no_model(pickle, root)),
        };
        let model = Module::new(pickle, model, String::new())?;
        Ok(Self { pickle, model })
    }

    /// The task by the model's class.
    pub(super) fn task(&self) -> Result<Task, ReadError> {
        Ok(match self.model.class {
            "DetectionModel" => Task::Detect,
            "SegmentationModel" => Task::Segment,
            "PoseModel" => Task::Pose,
            "ClassificationModel" => Task::Classify,
            "OBBModel" => Task::Obb,
            class => {
                return Err(unsupported(format!(
                    "its model is of the class {class}; onelook reads the DetectionModel of yolov8, yolo11 and yolo26"
                )));
            }
        })
    }

    /// One name per class; classes without a name are called by their number.
    pub(super) fn names(&self, classes: usize) -> Vec<String> {
        let mut names: Vec<String> = (0..classes).map(|class| format!("class {class}")).collect();
        let recorded = self.model.attribute("names");
        if let Some(list) = recorded.and_then(|names| self.list(names)) {
            for (slot, &name) in names.iter_mut().zip(list) {
                self.pickle.str(name).unwrap_or_default().clone_into(slot);
            }
        } else if let Some(items) = recorded.and_then(|names| self.pickle.items(names)) {
            for &(class, name) in items {
                let class = self
                    .pickle
                    .int(class)
                    .and_then(|class| usize::try_from(class).ok());
                let slot = class.and_then(|class| names.get_mut(class));
                if let (Some(slot), Some(name)) = (slot, self.pickle.str(name)) {
                    name.clone_into(slot);
                }
            }
        }
        names
    }

    fn list(&self, id: Id) -> Option<&[Id]> {
        match self.pickle.node(id) {
            Node::List(elements) | Node::Tuple(elements) => Some(elements),
            _ => None,
        }
    }

    /// Height and width of training images.
    pub(super) fn image_size(&self) -> [usize; 2] {
        let side = |id| {
            let side = self
                .pickle
                .int(id)
                .and_then(|side| usize::try_from(side).ok());
            side.filter(|side| (1..=1 << 15).contains(side))
        };
        let Some(size) = self.argument("imgsz") else {
            return [640; 2];
        };
        match self.list(size) {
            Some(&[height, width]) => match (side(height), side(width)) {
                (Some(height), Some(width)) => [height, width],
                _ => [640; 2],
            },
            Some(&[both]) => [side(both).unwrap_or(640); 2],
            _ => [side(size).unwrap_or(640); 2],
        }
    }

    /// A training argument: recorded in the checkpoint, or with the model as a dict or namespace.
    fn argument(&self, name: &str) -> Option<Id> {
        let recorded = self.pickle.get(self.pickle.root(), "train_args");
        let own = self.model.attribute("args");
        let namespace = own.and_then(|own| self.pickle.record(own)?.state);
        [recorded, own, namespace]
            .into_iter()
            .flatten()
            .find_map(|arguments| self.pickle.get(arguments, name))
            .filter(|&value| !self.pickle.is_none(value))
    }

    /// Such as `yolo11n`.
    pub(super) fn architecture(&self) -> String {
        let yaml = self.model.attribute("yaml");
        let in_yaml = |key| yaml.and_then(|yaml| self.pickle.get(yaml, key));
        let file = in_yaml("yaml_file").or_else(|| self.model.attribute("yaml_file"));
        let Some(stem) = file
            .or_else(|| self.argument("model"))
            .and_then(|file| self.stem(file))
        else {
            return self.model.class.to_owned();
        };
        let scale = in_yaml("scale")
            .and_then(|scale| self.pickle.str(scale))
            .unwrap_or_default();
        let lacks_scale = stem.ends_with(|last: char| last.is_ascii_digit());
        match lacks_scale {
            true => format!("{stem}{scale}"),
            false => stem.to_owned(),
        }
    }

    /// The file name without folders and extension, of a text or of a `pathlib` path.
    fn stem(&self, file: Id) -> Option<&'p str> {
        let text = self.pickle.str(file).or_else(|| {
            match self.pickle.node(self.pickle.record(file)?.args) {
                Node::Tuple(parts) => self.pickle.str(*parts.last()?),
                _ => None,
            }
        })?;
        let name = text.rsplit(['/', '\\']).next()?;
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        (!stem.is_empty() && stem.len() <= 100).then_some(stem)
    }

    /// Channels of the input.
    pub(super) fn channels(&self) -> i64 {
        let yaml = self.model.attribute("yaml");
        let recorded = ["channels", "ch"]
            .into_iter()
            .find_map(|key| self.pickle.int(self.pickle.get(yaml?, key)?));
        recorded.unwrap_or(3)
    }

    pub(super) fn notes(&self) -> Vec<(String, String)> {
        let Some(items) = self.pickle.items(self.pickle.root()) else {
            return Vec::new();
        };
        items
            .iter()
            .filter_map(|&(key, value)| {
                let (key, value) = (self.pickle.str(key)?, self.pickle.str(value)?);
                (NOTES.contains(&key) && value.len() <= 1000)
                    .then(|| (key.to_owned(), value.to_owned()))
            })
            .collect()
    }
}

/// Says what the file has in place of a model.
fn no_model(pickle: &Pickle<'_>, root: Id) -> ReadError {
    let holder = ["ema", "model", "state_dict"]
        .into_iter()
        .find_map(|key| {
            pickle
                .get(root, key)
                .filter(|&value| !pickle.is_none(value))
        })
        .unwrap_or(root);
    let is_tensor = |id| {
        pickle
            .class(id)
            .is_some_and(|name| name.module == "torch._utils")
    };
    let items = pickle.items(holder);
    if items.is_some_and(|items| items.iter().any(|&(_, value)| is_tensor(value))) {
        return unsupported(
            "it is a bare state_dict: weights without the architecture they belong to; use the .pt \
             that the trainer of Ultralytics wrote (best.pt), or export the whole model to ONNX",
        );
    }
    if items.is_none() {
        return damaged("the checkpoint is neither a dict nor a model");
    }
    unsupported("the checkpoint has no 'model'; use a .pt that Ultralytics wrote")
}
