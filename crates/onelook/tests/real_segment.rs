//! A real segmentation model on real images against the masks that the reference recorded.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use onelook::media::{Limits, decode};
use onelook::types::{BoxXyxy, Frame, Instance, Instances, Mask, PixelRect, Thresholds};
use onelook::{Device, LoadOptions, Model, Options, Parity, Pipeline, Tolerance};
use serde_json::Value;
use test_support::data;

fn image(root: &Path, name: &str) -> Frame {
    let bytes = std::fs::read(root.join(format!("images/{name}.jpg"))).unwrap();
    decode(&bytes, &Limits::default()).unwrap()
}

fn options(retina_masks: bool) -> Options {
    Options {
        thresholds: Thresholds {
            retina_masks,
            ..Thresholds::default()
        },
        ..Options::default()
    }
}

fn load(root: &Path, options: &LoadOptions) -> Model {
    Model::load(root.join("weights/yolo26n-seg.pt"), options).unwrap()
}

/// The set pixels of a COCO run-length text, column by column; `[width, height]`.
fn pixels(rle: &Value) -> ([usize; 2], Vec<bool>) {
    let [height, width] = [0, 1].map(|axis| rle["size"][axis].as_u64().unwrap() as usize);
    let mut counts: Vec<i64> = Vec::new();
    let mut letters = rle["counts"].as_str().unwrap().bytes();
    while let Some(mut letter) = letters.next() {
        let (mut count, mut shift) = (0, 0);
        loop {
            let bits = i64::from(letter) - 48;
            count |= (bits & 31) << shift;
            shift += 5;
            if bits & 32 == 0 {
                count |= if bits & 16 != 0 { -1 << shift } else { 0 };
                break;
            }
            letter = letters.next().unwrap();
        }
        if counts.len() > 2 {
            count += counts[counts.len() - 2];
        }
        counts.push(count);
    }
    let runs = counts.iter().enumerate();
    let set: Vec<bool> = runs
        .flat_map(|(index, &count)| std::iter::repeat_n(index % 2 == 1, count as usize))
        .collect();
    assert_eq!(set.len(), width * height);
    ([width, height], set)
}

/// The recorded instances, with the part of each mask that is no padding.
fn recorded(root: &Path, key: &str, size: [usize; 2]) -> Instances {
    let text = std::fs::read_to_string(root.join("reference/yolo26n-seg_masks.json")).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let rows = value[key]["instances"].as_array().unwrap();
    let masks: Vec<Mask> = rows
        .iter()
        .map(|row| {
            let ([width, height], set) = pixels(&row["mask"]);
            let [left, top] = [(width - size[0]) / 2, (height - size[1]) / 2];
            let region = PixelRect {
                left: 0,
                top: 0,
                width: size[0],
                height: size[1],
            };
            Mask::from_fn(size, region, |x, y| set[(left + x) * height + top + y])
        })
        .collect();
    let number = |value: &Value| value.as_f64().unwrap() as f32;
    let row = |(row, mask)| {
        let row: &Value = row;
        let [x1, y1, x2, y2] = [0, 1, 2, 3].map(|side| number(&row["xyxy"][side]));
        let class = row["cls"].as_u64().unwrap() as usize;
        Instance {
            mask: Some(mask),
            ..Instance::new(BoxXyxy { x1, y1, x2, y2 }, class, number(&row["conf"]))
        }
    };
    rows.iter().zip(&masks).map(row).collect()
}

#[test]
fn masks_are_those_that_the_reference_recorded() {
    let Some(root) = data() else { return };
    let model = std::sync::Arc::new(load(&root, &LoadOptions::default()));
    for (retina, ending, mask_iou) in [(false, "", 0.995), (true, "-retina", 0.99)] {
        let pipeline = Pipeline::new(model.clone(), options(retina)).unwrap();
        for name in ["bus", "zidane"] {
            let found = pipeline.predict(&[image(&root, name)]).unwrap().remove(0);
            let size = found.instances().masks().unwrap()[0].size();
            let expected = recorded(&root, &format!("{name}{ending}"), size);
            let parity = Parity::of(found.instances(), &expected);
            eprintln!("{name}{ending} {size:?}: {parity:?}");
            let tolerance = Tolerance {
                mask_iou,
                ..Tolerance::default()
            };
            assert_eq!(parity.matched, expected.len());
            assert!(
                parity.worst_mask_iou.is_some() && parity.holds(&tolerance),
                "{parity:?}"
            );
        }
    }
}

#[test]
fn the_reference_executor_finds_the_same_masks() {
    let Some(root) = data() else { return };
    let frame = image(&root, "bus");
    let found: Vec<Instances> = [Device::Cpu, Device::Reference]
        .map(|device| {
            let load_options = LoadOptions {
                device,
                ..LoadOptions::default()
            };
            let options = Options {
                image_size: Some([96, 96]),
                ..options(false)
            };
            let pipeline = Pipeline::new(load(&root, &load_options), options).unwrap();
            pipeline.predict(std::slice::from_ref(&frame)).unwrap()[0]
                .instances()
                .clone()
        })
        .into();
    let parity = Parity::of(&found[0], &found[1]);
    eprintln!("{parity:?}");
    assert!(
        parity.worst_mask_iou.is_some() && parity.holds(&Tolerance::default()),
        "{parity:?}"
    );
}

#[test]
fn an_image_has_the_same_masks_in_any_batch_from_either_head() {
    let Some(root) = data() else { return };
    let frames = ["bus", "zidane", "bus"].map(|name| image(&root, name));
    for end_to_end in [false, true] {
        let load_options = LoadOptions {
            end_to_end: Some(end_to_end),
            ..LoadOptions::default()
        };
        let model = std::sync::Arc::new(load(&root, &load_options));
        let found = [1, 3].map(|batch| {
            let options = Options {
                image_size: Some([320, 320]),
                rect: Some(false),
                batch,
                ..options(false)
            };
            let results = Pipeline::new(model.clone(), options)
                .unwrap()
                .predict(&frames)
                .unwrap();
            results
                .iter()
                .map(|it| it.instances().clone())
                .collect::<Vec<_>>()
        });
        assert!(!found[0][0].is_empty() && found[0][0] == found[0][2]);
        assert_eq!(found[0], found[1]);
    }
}
