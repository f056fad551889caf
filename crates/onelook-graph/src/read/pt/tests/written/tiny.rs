//! The smallest network that counts as a detection model: one convolution and a head of one level.

use super::{archive, dict, int, list, module, object, tensor, text, tuple};

/// The whole checkpoint.
pub(in crate::read::pt::tests) fn model() -> Vec<u8> {
    around(&pickle())
}

pub(in crate::read::pt::tests) fn pickle() -> Vec<u8> {
    checkpoint(&[("0", first(weight(4, 3)))], 0)
}

/// The archive around a pickle that uses storage 0 for weights and 1 for the stride.
pub(in crate::read::pt::tests) fn around(pickle: &[u8]) -> Vec<u8> {
    let mut strides = [0; 64];
    strides[..4].copy_from_slice(&8f32.to_le_bytes());
    archive(&[
        ("a/data.pkl", pickle),
        ("a/data/0", &[0; 64]),
        ("a/data/1", &strides),
    ])
}

/// The model with another weight in its convolution.
pub(in crate::read::pt::tests) fn with_weight(weight: Vec<u8>) -> Vec<u8> {
    around(&checkpoint(&[("0", first(weight))], 0))
}

/// The model with one more layer between convolution and head.
pub(in crate::read::pt::tests) fn with_layer(layer: Vec<u8>) -> Vec<u8> {
    around(&checkpoint(&[("0", first(weight(4, 3))), ("1", layer)], 1))
}

fn first(weight: Vec<u8>) -> Vec<u8> {
    let attributes = [("f", int(-1)), ("stride", tuple(&[int(8), int(8)]))];
    module("Conv2d", &attributes, &[], &[("weight", weight)])
}

fn weight(outputs: i32, channels: i32) -> Vec<u8> {
    tensor("0", &[outputs, channels, 1, 1], &[channels, 1, 1, 1])
}

fn checkpoint(layers: &[(&str, Vec<u8>)], last: i32) -> Vec<u8> {
    let branch = |outputs| {
        let conv = module("Conv2d", &[], &[], &[("weight", weight(outputs, 4))]);
        module("ModuleList", &[], &[("0", conv)], &[])
    };
    let attributes = [
        ("f", list(&[int(last)])),
        ("nc", int(2)),
        ("reg_max", int(1)),
        ("stride", tensor("1", &[1], &[1])),
    ];
    let head = module(
        "Detect",
        &attributes,
        &[("cv2", branch(4)), ("cv3", branch(2))],
        &[],
    );
    let layers = module("Sequential", &[], &[layers, &[("9", head)]].concat(), &[]);
    let names = dict(&[(int(0), text("cat"))]);
    let yaml = dict(&[
        (text("yaml_file"), text("x/yolo11.yaml")),
        (text("scale"), text("n")),
    ]);
    let state = dict(&[
        (text("_modules"), dict(&[(text("model"), layers)])),
        (text("names"), names),
        (text("yaml"), yaml),
    ]);
    let model = object("ultralytics.nn.tasks", "DetectionModel", &state);
    let arguments = dict(&[(text("imgsz"), list(&[int(96), int(128)]))]);
    let checkpoint = dict(&[
        (text("ema"), b"N".to_vec()),
        (text("model"), model),
        (text("train_args"), arguments),
        (text("license"), text("free")),
    ]);
    [b"\x80\x02".as_slice(), &checkpoint, b"."].concat()
}
