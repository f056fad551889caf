//! Architectures without weights against checkpoints of the same name: the same graphs, node by
//! node, value by value.

use onelook_graph::read::{ModelFile, ReadOptions};
use onelook_graph::{family, infer_shapes, read};
use onelook_types::Shape;

use super::{data, generated, open, optimised};

const HEADS: [Option<bool>; 3] = [None, Some(false), Some(true)];

fn asking(end_to_end: Option<bool>) -> ReadOptions {
    ReadOptions {
        end_to_end,
        ..ReadOptions::default()
    }
}

fn listing(model: &ModelFile) -> String {
    let graph = optimised(model);
    let shapes = infer_shapes(&graph, &[Shape::from([1, 3, 640, 640])]).unwrap();
    graph.to_text(Some(&shapes))
}

fn compare(name: &str, options: &ReadOptions, file: &ModelFile) {
    let built = family::build_with(name, options).unwrap().unwrap();
    assert_eq!(listing(&built), listing(file), "{name}");
    assert_eq!(built.metadata.head, file.metadata.head, "{name}");
    assert_eq!(built.metadata.architecture, file.metadata.architecture);
    assert_eq!(built.metadata.stride, file.metadata.stride);
}

#[test]
fn trained_models_have_the_graph_of_their_architecture() {
    let Some(folder) = data() else { return };
    for (name, file) in [
        ("yolo11n", "yolo11n-recon"),
        ("yolov8n", "yolov8n"),
        ("yolo26n", "yolo26n"),
    ] {
        for end_to_end in HEADS {
            let options = asking(end_to_end);
            let built = family::build_with(name, &options).unwrap();
            match open(&folder, file, &options) {
                Ok(read) => compare(name, &options, &read),
                Err(_) => assert!(built.is_err(), "{name} {end_to_end:?}"),
            }
        }
    }
}

#[test]
#[ignore = "needs checkpoints written by scripts/generate_checkpoints.py"]
fn generated_checkpoints_have_the_graph_of_their_architecture() {
    let folder = generated::folder();
    let mut checked = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = stem.split('-').next().unwrap().to_owned();
        let is_known = family::names().contains(&name);
        if is_known && path.extension().is_some_and(|extension| extension == "pt") {
            let bytes = std::fs::read(&path).unwrap();
            let options = ReadOptions::default();
            compare(&name, &options, &read::read(&bytes, &options).unwrap());
            checked += 1;
        }
    }
    eprintln!("{checked} checkpoints compared");
    assert!(checked > 0, "no checkpoints in {}", folder.display());
}
