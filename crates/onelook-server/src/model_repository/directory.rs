//! A model directory: the model files directly in it, named by their stems.

use std::path::Path;

use crate::config::ModelSource;

const EXTENSIONS: [&str; 3] = ["pt", "onnx", "safetensors"];

/// The models of a directory, by name, without hidden files and links to other directories.
pub fn models(directory: &Path) -> Result<Vec<ModelSource>, String> {
    let refused = |error: std::io::Error| format!("'{}': {error}", directory.display());
    let root = directory.canonicalize().map_err(refused)?;
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&root).map_err(refused)? {
        let path = entry.map_err(refused)?.path();
        let known = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| EXTENSIONS.contains(&extension));
        let inside = path
            .canonicalize()
            .is_ok_and(|real| real.parent() == Some(&root) && real.is_file());
        let name = path.file_stem().and_then(|stem| stem.to_str());
        if let Some(name) = name.filter(|name| known && inside && !name.starts_with('.')) {
            found.push(ModelSource {
                name: name.to_owned(),
                source: path.clone(),
            });
        }
    }
    found.sort_by(|a, b| (&a.name, rank(&a.source)).cmp(&(&b.name, rank(&b.source))));
    found.dedup_by(|later, first| later.name == first.name);
    Ok(found)
}

/// Of files that differ only in their extension, the one that loads fastest is used.
fn rank(path: &Path) -> usize {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let by_speed = ["safetensors", "pt", "onnx"];
    by_speed
        .iter()
        .position(|known| Some(*known) == extension)
        .unwrap_or(by_speed.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_model_files_directly_in_the_directory_are_found() {
        let root = std::env::temp_dir().join(format!("onelook-models-{}", std::process::id()));
        std::fs::create_dir_all(root.join("below")).unwrap();
        for name in [
            "b.pt",
            "a.onnx",
            "a.pt",
            ".hidden.pt",
            "notes.txt",
            "below/c.pt",
        ] {
            std::fs::write(root.join(name), b"x").unwrap();
        }
        #[cfg(unix)]
        std::os::unix::fs::symlink(root.join("below/c.pt"), root.join("link.pt")).unwrap();
        let found = models(&root).unwrap();
        let names: Vec<&str> = found.iter().map(|model| model.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(found[0].source.ends_with("a.pt"));
        std::fs::remove_dir_all(&root).unwrap();
        assert!(models(&root).is_err());
    }
}
