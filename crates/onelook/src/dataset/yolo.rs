//! A YOLO data set: a `.yaml` that names directories or lists of images, and label files beside
//! them (`images/a.jpg` has `labels/a.txt`).

mod labels;

use std::path::{Path, PathBuf};

use onelook_media::IMAGE_EXTENSIONS;
use yaml_rust2::{Yaml, YamlLoader};

use super::{Category, Dataset, DatasetImage, ExcludedImage, Split, read_text};
use crate::Error;

/// More classes than any model has.
const MAX_CLASSES: usize = 1 << 20;

pub(super) fn read(data: &Path, images: Option<&Path>, split: Split) -> Result<Dataset, Error> {
    let refuse = |reason: String| Error::dataset(data, reason);
    let documents = YamlLoader::load_from_str(&read_text(data)?)
        .map_err(|error| refuse(format!("it is no YAML: {error}")))?;
    let document = documents
        .first()
        .ok_or_else(|| refuse("it is empty".to_owned()))?;
    let categories = categories(document).map_err(refuse)?;
    let places = match images {
        Some(images) => vec![images.to_owned()],
        None => places(data, document, split).map_err(refuse)?,
    };
    let mut paths = Vec::new();
    for place in places {
        paths.extend(list(&place).map_err(|error| Error::file(&place, error))?);
    }
    paths.sort();
    paths.dedup();
    let mut dataset = Dataset {
        images: Vec::with_capacity(paths.len()),
        excluded: Vec::new(),
        categories,
        by_index: true,
    };
    for (index, path) in paths.into_iter().enumerate() {
        match labels::read(&label_file(&path), dataset.categories.len()) {
            Ok(labels) => dataset.images.push(DatasetImage {
                id: index as u64 + 1,
                path,
                size: None,
                labels,
            }),
            Err(error) => dataset.excluded.push(ExcludedImage { path, error }),
        }
    }
    Ok(dataset)
}

/// The directories, lists or images of the split.
fn places(data: &Path, document: &Yaml, split: Split) -> Result<Vec<PathBuf>, String> {
    let home = data.parent().unwrap_or(Path::new(""));
    let root = document["path"]
        .as_str()
        .map_or_else(|| home.to_owned(), |path| home.join(path));
    let value = match (&document[split.name()], split) {
        // Some exporters spell it out.
        (Yaml::BadValue, Split::Val) => &document["validation"],
        (value, _) => value,
    };
    let words: Vec<&str> = match value {
        Yaml::Array(list) => list.iter().filter_map(Yaml::as_str).collect(),
        value => value.as_str().into_iter().collect(),
    };
    if words.is_empty() {
        return Err(missing_split(document, split));
    }
    Ok(words.into_iter().map(|word| locate(&root, word)).collect())
}

fn missing_split(document: &Yaml, split: Split) -> String {
    let there: Vec<String> = [Split::Train, Split::Val, Split::Test]
        .into_iter()
        .filter(|split| !matches!(document[split.name()], Yaml::BadValue | Yaml::Null))
        .map(|split| format!("split={}", split.name()))
        .collect();
    let instead = match there.as_slice() {
        [] => "name the images' directory or list under that key".to_owned(),
        there => format!("name it there, or use {}", there.join(" or ")),
    };
    format!("it has no '{}:' images; {instead}", split.name())
}

/// `word` seen from `root`. Exports that were moved say `../valid/images` for `valid/images`.
fn locate(root: &Path, word: &str) -> PathBuf {
    let path = root.join(word);
    match word.strip_prefix("../").map(|inside| root.join(inside)) {
        Some(inside) if !path.exists() && inside.exists() => inside,
        _ => path,
    }
}

/// The classes by `names`, or as many as `nc` says, called by their number.
fn categories(document: &Yaml) -> Result<Vec<Category>, String> {
    let count = integer(&document["nc"]);
    let mut categories = match &document["names"] {
        Yaml::Array(list) => list
            .iter()
            .enumerate()
            .map(|(id, name)| category(id, name))
            .collect(),
        Yaml::Hash(map) => map
            .iter()
            .map(|(id, name)| category(integer(id)?, name))
            .collect(),
        Yaml::BadValue | Yaml::Null => count.filter(|&count| count <= MAX_CLASSES).map(|count| {
            let category = |id| Category {
                id,
                name: format!("class_{id}"),
            };
            (0..count).map(category).collect::<Vec<_>>()
        }),
        _ => None,
    }
    .filter(|categories| !categories.is_empty())
    .ok_or("'names' must list the classes, or map their numbers to names; without names, 'nc' must say how many there are")?;
    let names = categories.len();
    if let Some(count) = count.filter(|&count| count != names) {
        return Err(format!(
            "'nc' says {count} classes, 'names' has {names}: correct one of them"
        ));
    }
    categories.sort_by_key(|category| category.id);
    match categories
        .iter()
        .enumerate()
        .find(|(index, category)| *index != category.id)
    {
        Some((index, _)) => Err(format!(
            "'names' has {names} classes, but none with number {index}: expected 0 to {}, each once",
            names - 1
        )),
        None => Ok(categories),
    }
}

fn category(id: usize, name: &Yaml) -> Option<Category> {
    let name = match name {
        Yaml::Integer(number) => number.to_string(),
        Yaml::Real(number) => number.clone(),
        Yaml::Boolean(value) => value.to_string(),
        name => name.as_str()?.to_owned(),
    };
    Some(Category { id, name })
}

/// A number, in quotes or not.
fn integer(value: &Yaml) -> Option<usize> {
    match value {
        Yaml::Integer(number) => usize::try_from(*number).ok(),
        Yaml::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// The images of a directory and those within, of a list, or the image itself.
fn list(place: &Path) -> std::io::Result<Vec<PathBuf>> {
    if place.is_dir() {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(place)? {
            let path = entry?.path();
            if path.is_dir() || is_image(&path) {
                found.extend(list(&path)?);
            }
        }
        return Ok(found);
    }
    if place.extension().is_some_and(|ending| ending == "txt") {
        let home = place.parent().unwrap_or(Path::new(""));
        let text = std::fs::read_to_string(place)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        return Ok(lines.map(|line| home.join(line)).collect());
    }
    std::fs::metadata(place)?;
    Ok(vec![place.to_owned()])
}

fn is_image(path: &Path) -> bool {
    let ending = path
        .extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_ascii_lowercase();
    IMAGE_EXTENSIONS.contains(&ending.as_str())
}

/// `…/images/…/a.jpg` has `…/labels/…/a.txt`; the last `images` counts.
fn label_file(image: &Path) -> PathBuf {
    let mut parts: Vec<_> = image.iter().map(ToOwned::to_owned).collect();
    if let Some(part) = parts
        .iter_mut()
        .rev()
        .skip(1)
        .find(|part| *part == "images")
    {
        *part = "labels".into();
    }
    parts.iter().collect::<PathBuf>().with_extension("txt")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A data set of two images, one with a label; gives its directory.
    fn scratch(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("onelook-yolo-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("images/val")).unwrap();
        std::fs::create_dir_all(root.join("labels/val")).unwrap();
        std::fs::write(root.join("images/val/a.jpg"), b"x").unwrap();
        std::fs::write(root.join("images/val/b.png"), b"x").unwrap();
        std::fs::write(root.join("labels/val/a.txt"), "1 0.5 0.5 0.5 0.5\n").unwrap();
        root
    }

    fn described(root: &Path, yaml: &str, split: Split) -> Result<Dataset, String> {
        let data = root.join("set.yaml");
        std::fs::write(&data, yaml).unwrap();
        read(&data, None, split).map_err(|error| error.to_string())
    }

    #[test]
    fn label_files_lie_beside_the_last_images_directory() {
        assert_eq!(
            label_file(Path::new("/images/set/images/val/a.jpg")),
            Path::new("/images/set/labels/val/a.txt")
        );
        assert_eq!(label_file(Path::new("a.jpg")), Path::new("a.txt"));
    }

    #[test]
    fn a_described_data_set_is_found_with_its_labels() {
        let root = scratch("found");
        let yaml = "# a set\nval: images/val\nnames:\n  0: cat\n  1: dog\n";
        let dataset = described(&root, yaml, Split::Val).unwrap();
        assert_eq!(dataset.images.len(), 2);
        assert_eq!(dataset.images[0].labels.len(), 1);
        assert_eq!(dataset.name(1), "dog");
        let truth = dataset.images[0].truths(100, 40).next().unwrap();
        assert_eq!(truth.bbox, [25.0, 10.0, 50.0, 20.0]);
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn an_image_with_an_odd_row_is_left_out_and_the_rest_stays() {
        let root = scratch("odd");
        let labels = root.join("labels/val/a.txt");
        for row in [
            "1 0.5 0.5 0.5 0.5\n7 0.5 0.5 0.5 0.5\n".as_bytes(),
            b"\n\xff",
        ] {
            std::fs::write(&labels, row).unwrap();
            let dataset = described(&root, "val: images/val\nnc: 2\n", Split::Val).unwrap();
            assert_eq!(dataset.images.len(), 1);
            let said = dataset.excluded[0].error.to_string();
            assert!(dataset.excluded[0].path.ends_with("images/val/a.jpg"));
            assert!(said.contains("a.txt"), "{said}");
            assert!(
                row[0] == b'\n' || said.contains("line 2: class 7"),
                "{said}"
            );
        }
        std::fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn classes_are_named_counted_or_both() {
        let names = |yaml: &str| {
            let document = &YamlLoader::load_from_str(yaml).unwrap()[0];
            let categories = categories(document)?;
            Ok::<_, String>(categories.into_iter().map(|c| c.name).collect::<Vec<_>>())
        };
        for (yaml, expected) in [
            ("names: [cat, dog]", ["cat", "dog"]),
            ("names: {0: cat, 1: dog}", ["cat", "dog"]),
            ("names: {'1': dog, \"0\": cat}\nnc: 2", ["cat", "dog"]),
            ("names: [1, 1.5]", ["1", "1.5"]),
            ("names: [true, null_]", ["true", "null_"]),
            ("nc: 2", ["class_0", "class_1"]),
            ("nc: '2'\nnames:", ["class_0", "class_1"]),
        ] {
            assert_eq!(names(yaml).unwrap(), expected, "{yaml}");
        }
        for yaml in [
            "val: x",
            "names: []",
            "names: cat",
            "nc: -1",
            "nc: 99999999999",
            "nc: 3\nnames: [cat, dog]",
            "names: {0: cat, 2: dog}",
            "names: {0: cat, '0': dog}",
            "names: {zero: cat}",
        ] {
            assert!(names(yaml).is_err(), "{yaml}");
        }
    }

    #[test]
    fn another_split_is_never_taken_in_silence() {
        let root = scratch("split");
        let only_train = "train: images/val\nnames: [cat, dog]\n";
        for yaml in [only_train, "train: images/val\nval:\nnames: [cat, dog]\n"] {
            let said = described(&root, yaml, Split::Val).unwrap_err();
            assert!(
                said.contains("no 'val:'") && said.contains("split=train"),
                "{said}"
            );
        }
        assert!(described(&root, only_train, Split::Test).is_err());
        let train = described(&root, only_train, Split::Train).unwrap();
        assert_eq!(train.images.len(), 2);
        for place in [
            "validation: images/val",
            "val: ../images/val",
            "val: [images/val]",
        ] {
            let yaml = format!("{place}\nnames: [cat, dog]\n");
            assert_eq!(
                described(&root, &yaml, Split::Val).unwrap().images.len(),
                2,
                "{place}"
            );
        }
        std::fs::remove_dir_all(&root).unwrap();
    }
}
