//! A model directory: the model files in it, named by their stems.
//!
//! Links are followed, as Kubernetes and Hugging Face lay directories out, but not out of the root. A
//! file that cannot be served is skipped, with the reason; it never keeps the others from being served.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::check_name;
use crate::config::ModelSource;

const EXTENSIONS: [&str; 3] = ["pt", "onnx", "safetensors"];

/// A model directory and the directory that links in it must not leave.
#[derive(Debug, Clone)]
pub struct ModelDirectory {
    path: PathBuf,
    root: PathBuf,
}

/// What a model directory holds.
#[derive(Debug, Default)]
pub struct DirectoryListing {
    /// The models, by name.
    pub models: Vec<ModelSource>,
    /// Why files that look like models are not among them, and why there is none at all.
    pub warnings: Vec<String>,
}

impl ModelDirectory {
    /// The directory `path`, whose links may lead anywhere in `root`; without one, in `path` itself.
    ///
    /// # Errors
    /// A directory that cannot be read, or a root that does not hold it.
    pub fn new(path: &Path, root: Option<&Path>) -> Result<Self, String> {
        let real = |path: &Path| {
            let refused = |error| format!("'{}': {error}", path.display());
            let real = path.canonicalize().map_err(refused)?;
            std::fs::read_dir(&real).map_err(refused)?;
            Ok::<_, String>(real)
        };
        let own = real(path)?;
        let root = root.map(real).transpose()?.unwrap_or_else(|| own.clone());
        match own.starts_with(&root) {
            true => Ok(Self {
                path: path.to_owned(),
                root,
            }),
            false => Err(format!(
                "--model-root '{}' does not hold --model-dir '{}'",
                root.display(),
                path.display()
            )),
        }
    }

    /// The models in it, without hidden files.
    pub fn models(&self) -> DirectoryListing {
        let mut found = DirectoryListing::default();
        let shown = self.path.display();
        let entries = match std::fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) => {
                found.warnings.push(format!("'{shown}': {error}"));
                return found;
            }
        };
        let mut others = 0;
        for entry in entries.flatten() {
            let path = entry.path();
            let file = entry.file_name();
            match self.model(&path) {
                _ if file.as_encoded_bytes().starts_with(b".") => {}
                _ if !has_extension(&path) => others += 1,
                Ok(name) => found.models.push(ModelSource { name, source: path }),
                Err(reason) => {
                    let warning = format!("{file:?} in '{shown}' is not served: {reason}");
                    found.warnings.push(warning);
                }
            }
        }
        found.warnings.sort();
        let models = &mut found.models;
        models.sort_by(|a, b| (&a.name, rank(&a.source)).cmp(&(&b.name, rank(&b.source))));
        models.dedup_by(|later, first| later.name == first.name);
        if models.is_empty() {
            let reason = match (found.warnings.len(), others) {
                (0, 0) => "it is empty".to_owned(),
                (0, others) => {
                    format!("none of its {others} entries ends in .pt, .onnx or .safetensors")
                }
                _ => "none of its model files can be served".to_owned(),
            };
            let warning = format!("no model was found in --model-dir '{shown}': {reason}");
            found.warnings.push(warning);
        }
        found
    }

    /// The name of the model in this file of the directory, or why there is none.
    fn model(&self, path: &Path) -> Result<String, String> {
        self.check_link(path)?;
        if !path.is_file() {
            return Err("it is not a file".to_owned());
        }
        let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        check_name(stem).map_err(|_| {
            "a model's name has only letters, digits and ._-, at most 128, so rename the file or \
             name it with --model NAME=FILE"
        })?;
        Ok(stem.to_owned())
    }

    /// Fails if the file is not, in the end, in the root. Asked again before each load: links change.
    pub fn check_link(&self, path: &Path) -> Result<(), String> {
        let is_link = path.is_symlink();
        let real = path.canonicalize().map_err(|error| match is_link {
            true => format!("it is a link that leads to no file ({error})"),
            false => error.to_string(),
        })?;
        match real.starts_with(&self.root) {
            true => Ok(()),
            false => Err(format!(
                "it leads to '{}', outside of '{}': if you trust that, name a directory that holds \
                 both with --model-root",
                real.display(),
                self.root.display()
            )),
        }
    }
}

fn has_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
}

/// Of files that differ only in their extension, the one that loads fastest is used.
fn rank(path: &Path) -> usize {
    let extension = path.extension().and_then(OsStr::to_str);
    let by_speed = ["safetensors", "pt", "onnx"];
    by_speed
        .iter()
        .position(|known| Some(*known) == extension)
        .unwrap_or(by_speed.len())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs::{create_dir_all, write};
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory that goes when the test ends.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str, files: &[&str]) -> Self {
            let name = format!("onelook-directory-{name}-{}", std::process::id());
            let root = std::env::temp_dir().join(name);
            let _ = std::fs::remove_dir_all(&root);
            create_dir_all(&root).unwrap();
            let scratch = Self(root.canonicalize().unwrap());
            for file in files {
                scratch.add(file);
            }
            scratch
        }

        fn add(&self, file: impl AsRef<Path>) {
            let path = self.0.join(file);
            create_dir_all(path.parent().unwrap()).unwrap();
            write(path, b"x").unwrap();
        }

        fn link(&self, link: &str, target: &str) {
            let path = self.0.join(link);
            create_dir_all(path.parent().unwrap()).unwrap();
            symlink(target, path).unwrap();
        }

        /// Names and warnings of the directory below this one.
        fn found(&self, directory: &str, root: Option<&str>) -> (Vec<String>, Vec<String>) {
            let root = root.map(|root| self.0.join(root));
            let directory = ModelDirectory::new(&self.0.join(directory), root.as_deref());
            let found = directory.unwrap().models();
            let names = found.models.into_iter().map(|model| model.name);
            (names.collect(), found.warnings)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn only_model_files_directly_in_the_directory_are_found() {
        let files = [
            "b.pt",
            "a.onnx",
            "a.pt",
            ".hidden.pt",
            "notes.txt",
            "below/c.pt",
        ];
        let scratch = Scratch::new("plain", &files);
        assert_eq!(
            scratch.found("", None),
            (vec!["a".to_owned(), "b".to_owned()], vec![])
        );
        let models = ModelDirectory::new(&scratch.0, None).unwrap().models();
        assert!(models.models[0].source.ends_with("a.pt"));
        assert!(ModelDirectory::new(&scratch.0.join("nowhere"), None).is_err());
    }

    #[test]
    fn an_odd_name_is_skipped_with_its_reason_and_keeps_no_other_from_being_found() {
        let files = ["a b.pt", "\u{732b}.pt", "good.pt", "x\n.onnx"];
        let scratch = Scratch::new("odd", &files);
        scratch.add(OsStr::from_bytes(b"\xff.pt"));
        create_dir_all(scratch.0.join("folder.pt")).unwrap();
        scratch.link("gone.pt", "nowhere");
        scratch.link("circle.pt", "circle.pt");
        let (names, warnings) = scratch.found("", None);
        assert_eq!(names, ["good"]);
        assert_eq!(warnings.len(), 7, "{warnings:?}");
        for (file, reason) in [
            ("\"a b.pt\"", "--model NAME=FILE"),
            ("\"\\xFF.pt\"", "--model NAME=FILE"),
            ("\"x\\n.onnx\"", "--model NAME=FILE"),
            ("\"folder.pt\"", "not a file"),
            ("\"gone.pt\"", "leads to no file"),
        ] {
            let named = warnings.iter().find(|warning| warning.starts_with(file));
            assert!(named.is_some_and(|named| named.contains(reason)), "{file}");
        }
    }

    #[test]
    fn links_of_kubernetes_are_followed() {
        let scratch = Scratch::new("kubernetes", &["..2026_11/a.pt"]);
        scratch.link("..data", "..2026_11");
        scratch.link("a.pt", "..data/a.pt");
        assert_eq!(scratch.found("", None), (vec!["a".to_owned()], vec![]));
    }

    #[test]
    fn a_link_that_leaves_the_root_is_skipped_and_the_flag_named() {
        let scratch = Scratch::new("face", &["repo/blobs/0a1b", "secret"]);
        scratch.link("repo/snapshots/x/model.pt", "../../blobs/0a1b");
        scratch.link("repo/snapshots/x/theft.pt", "../../../secret");
        let (names, warnings) = scratch.found("repo/snapshots/x", None);
        assert!(names.is_empty());
        let flag = |warning: &&String| warning.contains("--model-root");
        assert_eq!(warnings.iter().filter(flag).count(), 2, "{warnings:?}");
        let (names, warnings) = scratch.found("repo/snapshots/x", Some("repo"));
        assert_eq!(names, ["model"]);
        assert!(warnings[0].contains("theft.pt"), "{warnings:?}");
        let elsewhere = scratch.0.join("repo/blobs");
        let refused = ModelDirectory::new(&scratch.0.join("repo/snapshots"), Some(&elsewhere));
        assert!(refused.unwrap_err().contains("does not hold"));
    }

    #[test]
    fn a_directory_without_models_says_why() {
        let reason = |name: &str, files: &[&str]| {
            let (names, warnings) = Scratch::new(name, files).found("", None);
            assert!(names.is_empty());
            warnings.last().cloned().unwrap()
        };
        assert!(reason("empty", &[]).ends_with("it is empty"));
        assert!(reason("texts", &["a.txt", "b"]).contains("none of its 2 entries ends in .pt"));
        assert!(reason("names", &["a b.pt"]).ends_with("can be served"));
    }
}
