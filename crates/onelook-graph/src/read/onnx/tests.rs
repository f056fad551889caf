//! Small exports made here: what is read, and what is refused with which words.

mod export;
mod kinds;

use onelook_types::{OutputEncoding, Tensor};

use super::*;
use crate::{infer_shapes, reference};
use export::{Export, info, int, ints, word};

fn text(file: &ModelFile) -> String {
    let [height, width] = file.metadata.image_size;
    let shapes = infer_shapes(&file.graph, &[Shape::from([1, 3, height, width])]).unwrap();
    file.graph.to_text(Some(&shapes))
}

/// Most operators with attributes far from their defaults.
fn many_operators() -> Export {
    Export::new()
        .floats("w", &[4, 3, 1, 1], &[0.5; 12])
        .floats("v", &[4], &[1.0; 4])
        .integers("axes", &[0, -1])
        .integers("starts", &[-3])
        .integers("ends", &[i64::MAX])
        .integers("axis", &[1])
        .floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0])
        .node("Conv images w -> a", &[ints("kernel_shape", &[1, 1])])
        .node("BatchNormalization a v v v v -> b", &[])
        .node("Dropout b -> c", &[])
        .node("Relu c -> d", &[])
        .node("Split d -> e f", &[int("axis", 1)])
        .node("Slice d starts ends axis -> g", &[])
        .node("Concat e f g -> h", &[int("axis", -3)])
        .node(
            "MaxPool h -> i",
            &[ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
        )
        .node(
            "Resize i _ scales -> j",
            &[
                word("coordinate_transformation_mode", "asymmetric"),
                word("nearest_mode", "floor"),
            ],
        )
        .node(
            "ReduceMean j -> k",
            &[ints("axes", &[3]), int("keepdims", 0)],
        )
        .node("Unsqueeze k axes -> l", &[])
        .node("Squeeze l axes -> m", &[])
        .node("Softmax m -> n", &[])
        .node("GlobalAveragePool j -> o", &[])
        .node("Flatten o -> p", &[])
        .node("Transpose n -> q", &[])
        .node("Cast q -> r", &[int("to", 1)])
        .node("Transpose r -> s", &[])
        .property("names", "['a', 'b', 'c']")
        .decoded("s", 7)
}

#[test]
fn operators_with_static_shapes_become_ours() {
    let export = many_operators();
    insta::assert_snapshot!(text(&export.read().unwrap()), @r"
    input %0: 1x3x4x4
    %21: 1x3x4x4 = reshape 1x0x0x0 (%0)  # fixed_batch
    %1: 1x4x4x4 = conv 1x1 3->4 (%21)  # /Conv
    %2: 1x4x4x4 = batch_norm (%1)  # /BatchNormalization
    %3: 1x4x4x4 = relu (%2)  # /Relu
    %4: 1x2x4x4, %5: 1x2x4x4 = split axis 1 into 2+2 (%3)  # /Split
    %6: 1x3x4x4 = slice axis 1 1..4 (%3)  # /Slice
    %7: 1x7x4x4 = concat axis 1 (%4, %5, %6)  # /Concat
    %8: 1x7x2x2 = max_pool 2x2 stride 2 padding 0 (%7)  # /MaxPool
    %9: 1x7x4x4 = upsample x2 (%8)  # /Resize
    %10: 1x7x4x1 = reduce_mean axis 3 (%9)  # /ReduceMean
    %11: 1x7x4 = reshape 1x7x4 (%10)  # /ReduceMean
    %12: 1x1x7x4x1 = reshape 1x1x7x4x1 (%11)  # /Unsqueeze
    %13: 1x7x4 = reshape 1x7x4 (%12)  # /Squeeze
    %14: 1x7x4 = softmax axis 2 (%13)  # /Softmax
    %15: 1x7x1x4 = reduce_mean axis 2 (%9)  # /GlobalAveragePool
    %16: 1x7x1x1 = reduce_mean axis 3 (%15)  # /GlobalAveragePool
    %17: 1x7 = reshape 1x7 (%16)  # /Flatten
    %18: 4x7x1 = transpose 2,1,0 (%14)  # /Transpose
    %19: 1x7x4 = transpose 2,1,0 (%18)  # /Transpose
    %20: 1x7x4 = reshape 1x7x-1 (%19)  # /Reshape
    output %20
    ");
}

#[test]
fn constants_are_computed_once() {
    let tensor = proto::Tensor {
        dims: vec![],
        data_type: 10,
        int32_data: vec![0x4000],
        ..Default::default()
    };
    let value = proto::Attribute {
        name: "value".to_owned(),
        t: Some(tensor),
        ..Default::default()
    };
    let file = Export::new()
        .floats("one", &[], &[1.0])
        .node("Constant -> two", &[value])
        .node("Add one two -> three", &[])
        .node("Identity three -> still", &[])
        .node("Mul images still -> a", &[])
        .node("Add a still -> b", &[])
        .decoded("b", 6)
        .read()
        .unwrap();
    insta::assert_snapshot!(text(&file), @r"
    input %0: 1x3x4x4
    %1: scalar = constant ()  # still
    %2: 1x3x4x4 = mul (%0, %1)  # /Mul
    %3: 1x3x4x4 = add (%2, %1)  # /Add
    %4: 1x6x8 = reshape 0x6x-1 (%3)  # /Reshape
    output %4
    ");
    let image = Tensor::from_fn([1, 3, 4, 4], |_| 1.0);
    assert_eq!(
        reference::run(&file.graph, &[&image]).unwrap()[0].data(),
        [6.0; 48]
    );
}

#[test]
fn all_that_is_lacking_is_listed_at_once() {
    let mut export = Export::new()
        .floats("scales", &[4], &[1.0, 1.0, 1.5, 1.5])
        .integers("k", &[1])
        .node("Resize images _ scales -> a", &[])
        .node("HardSwish a -> b", &[])
        .node("NonMaxSuppression b -> c", &[])
        .node("HardSwish images -> d", &[])
        .node(
            "MaxPool images -> e",
            &[ints("kernel_shape", &[2, 2]), ints("dilations", &[2, 2])],
        )
        .node("Resize images _ scales -> f", &[word("mode", "linear")])
        .node("Conv images images -> g", &[])
        .node("Reshape c images -> output0", &[]);
    export.graph().node[1].domain = "com.example".to_owned();
    insta::assert_snapshot!(export.refusal(), @"the ONNX model uses operators that onelook lacks: Conv (input 1 is not a constant), HardSwish, MaxPool (with dilation), Resize (by other than one whole number), Resize (mode linear), com.example.HardSwish");
}

#[test]
fn files_that_cannot_be_used_are_refused_by_name() {
    let plain = || Export::new().decoded("images", 6);
    let two_inputs = {
        let mut export = plain();
        export.graph().input.push(info("more", &[1]));
        export
    };
    let external = proto::Tensor {
        name: "w".to_owned(),
        data_type: 1,
        data_location: 1,
        ..Default::default()
    };
    let tensor = |dims: &[i64], bytes: usize, data_type: i32| proto::Tensor {
        name: "w".to_owned(),
        dims: dims.to_vec(),
        raw_data: vec![0; bytes],
        data_type,
        ..Default::default()
    };
    let exports = [
        plain().opset(5),
        two_inputs,
        plain().image(&[1, 1, 4, 4]),
        plain().image(&[1, 3, 1 << 40, 4]),
        plain().tensor(external),
        plain().tensor(tensor(&[1 << 20, 1 << 20], 4, 1)),
        plain().tensor(tensor(&[-1], 4, 1)),
        plain().tensor(tensor(&[2], 4, 1)),
        plain().tensor(tensor(&[1], 4, 8)),
        plain().node("Add images nowhere -> x", &[]),
        plain().node("Relu images -> images", &[]),
        plain().node("Relu images -> x y", &[]),
        plain().node("Softmax images -> x", &[int("axis", 4)]),
        plain()
            .floats("w", &[1], &[1.0])
            .node("Conv images w -> x", &[]),
        plain()
            .floats("w", &[1, 1, 1, 1], &[1.0])
            .node("Conv images w -> x", &[]),
        plain().property("task", "segment"),
        plain().property("names", "{0: __import__('os')}"),
        plain().property("names", "{0: 'a', 1: 'b', 2: 'c'}"),
        plain().property("names", "{5: 'a'}"),
        plain().property("stride", "0"),
        Export::new().decoded("images", 3),
    ];
    let texts: Vec<String> = exports.iter().map(Export::refusal).collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    cannot use this model: its ONNX operator set is 5; export with opset 12 to 26
    cannot use this model: it has 2 inputs; a detection model has one
    cannot use this model: its input 'images' is no batch x 3 x height x width tensor of floats
    cannot use this model: its input 'images' is no batch x 3 x height x width tensor of floats
    cannot use this model: tensor 'w' lies in another file; save the model with its weights inside
    tensor 'w' with those before it asks for 4398046511128, more than the 4294967296 allowed
    the onnx file is damaged: tensor 'w': it has a negative extent; download or export it again
    the onnx file is damaged: tensor 'w': its data does not fill shape 2; download or export it again
    cannot use this model: tensor 'w' has ONNX data type 8
    the onnx file is damaged: node '/Add' reads 'nowhere', which nothing before it writes; download or export it again
    the onnx file is damaged: 'images' is written twice; download or export it again
    the onnx file is damaged: Relu '/Relu' has too many outputs; download or export it again
    the onnx file is damaged: Softmax '/Softmax': there is no axis 4; download or export it again
    the ONNX model uses operators that onelook lacks: Conv (with a weight of shape 1)
    the model's graph is inconsistent: conv '/Conv' cannot take inputs of shape 1x3x4x4: it takes 1 channels
    cannot use this model: it is an ONNX model for the task 'segment'; onelook reads ONNX models for detection only
    the onnx file is damaged: its metadata has names '{0: __import__('os')}', which cannot be understood; download or export it again
    cannot use this model: its output has shape 1x6x8 and its metadata names 3 classes; a detection model's output is 1 x (4 + classes) x anchors, or 1 x detections x 6 with class names
    the onnx file is damaged: its metadata has names '{5: 'a'}', which cannot be understood; download or export it again
    the onnx file is damaged: its metadata has stride '0', which cannot be understood; download or export it again
    cannot use this model: its output has shape 1x3x16 and its metadata names no classes; a detection model's output is 1 x (4 + classes) x anchors, or 1 x detections x 6 with class names
    ");
}

#[test]
fn damaged_bytes_are_refused() {
    let bytes = Export::new().decoded("images", 6).0.encode_to_vec();
    for end in 3..bytes.len() {
        let _ = crate::read::read(&bytes[..end], &ReadOptions::default());
    }
    let cut = crate::read::read(&bytes[..bytes.len() - 1], &ReadOptions::default());
    assert!(matches!(cut, Err(ReadError::Damaged { .. })));
    assert!(read(b"\x08\x08", &ReadOptions::default()).is_err());
}

#[test]
fn changed_bytes_never_panic() {
    let bytes = many_operators().0.encode_to_vec();
    for place in 0..bytes.len() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            let _ = read(&changed, &ReadOptions::default());
        }
    }
}

#[test]
fn many_empty_messages_do_not_take_memory() {
    let mut bytes = vec![0x08, 8, 0x3a, 0x80, 0x80, 0x80, 0x04];
    bytes.extend([0x0a, 0].repeat(1 << 22));
    let error = read(&bytes, &ReadOptions::default()).unwrap_err();
    assert!(matches!(error, ReadError::Limit { .. }), "{error}");
}

#[test]
fn metadata_is_read_from_the_properties() {
    let file = Export::new()
        .decoded("images", 6)
        .property(
            "description",
            "Ultralytics YOLO11n model trained on coco.yaml",
        )
        .property("names", r#"{0: 'person', 1: "driver's \x41"}"#)
        .property("stride", "16")
        .property("imgsz", "[4, 4]")
        .property("task", "detect")
        .property("license", "none")
        .read()
        .unwrap();
    let metadata = file.metadata;
    assert_eq!(metadata.architecture, "yolo11n");
    assert_eq!(metadata.names, ["person", "driver's A"]);
    assert_eq!((metadata.stride, metadata.image_size), (16, [4, 4]));
    assert!(metadata.fixed_size && !metadata.head.detect().unwrap().end_to_end);
    assert_eq!(
        metadata.head.detect().unwrap().encoding,
        OutputEncoding::Decoded
    );
    let notes: Vec<&str> = metadata.notes.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(notes, ["description", "license"]);
}

#[test]
fn without_properties_the_shapes_tell() {
    let metadata = Export::new().decoded("images", 6).read().unwrap().metadata;
    assert_eq!(metadata.architecture, "onnx");
    assert_eq!(metadata.names, ["class0", "class1"]);
    assert_eq!((metadata.stride, metadata.image_size), (32, [4, 4]));
}

#[test]
fn an_end_to_end_head_is_told_by_its_shape() {
    let metadata = Export::new()
        .decoded("images", 8)
        .property("names", "['a', 'b', 'c']")
        .read()
        .unwrap()
        .metadata;
    assert_eq!(
        metadata.head.detect().unwrap().encoding,
        OutputEncoding::DecodedEndToEnd
    );
    assert!(metadata.head.detect().unwrap().end_to_end);
    assert_eq!(metadata.head.classes(), 3);
}

#[test]
fn symbolic_sides_leave_the_size_free() {
    let export = Export::new()
        .image(&[0, 3, 0, 0])
        .floats("w", &[6, 3, 1, 1], &[1.0; 18])
        .node("Conv images w -> a", &[])
        .decoded("a", 6);
    let file = export.property("imgsz", "[8, 4]").read().unwrap();
    assert!(!file.metadata.fixed_size);
    assert_eq!(file.metadata.image_size, [8, 4]);
    let shapes = infer_shapes(&file.graph, &[Shape::from([3, 3, 6, 2])]).unwrap();
    assert_eq!(shapes[file.graph.outputs[0].index()][..], [3, 6, 12]);
}

#[test]
fn reshapes_follow_the_batch() {
    let file = Export::new()
        .integers("areas", &[4, 3, 2, 2])
        .integers("back", &[1, 12, 4])
        .node("Reshape images areas -> a", &[])
        .node("Relu a -> b", &[])
        .node("Reshape b back -> c", &[])
        .decoded("c", 6)
        .read()
        .unwrap();
    insta::assert_snapshot!(text(&file), @r"
    input %0: 1x3x4x4
    %1: 4x3x2x2 = reshape -1x3x2x2 (%0)  # /Reshape
    %2: 4x3x2x2 = relu (%1)  # /Relu
    %3: 1x12x4 = reshape -1x12x4 (%2)  # /Reshape
    %4: 1x6x8 = reshape 0x6x-1 (%3)  # /Reshape
    output %4
    ");
    let images = Tensor::from_fn([3, 3, 4, 4], |position| position as f32);
    let all = reference::run(&file.graph, &[&images]).unwrap().remove(0);
    assert_eq!(all.shape()[..], [3, 6, 8]);
    for image in 0..3 {
        let one = Tensor::new([1, 3, 4, 4], images.data()[image * 48..][..48].to_vec());
        let alone = reference::run(&file.graph, &[&one.unwrap()])
            .unwrap()
            .remove(0);
        assert_eq!(all.data()[image * 48..][..48], *alone.data());
    }
}

#[test]
fn images_that_get_mixed_pin_the_batch() {
    let file = Export::new()
        .integers("flat", &[3, 16])
        .node("Transpose images -> a", &[ints("perm", &[1, 0, 2, 3])])
        .node("Reshape a flat -> b", &[])
        .decoded("b", 6)
        .read()
        .unwrap();
    insta::assert_snapshot!(text(&file), @r"
    input %0: 1x3x4x4
    %4: 1x3x4x4 = reshape 1x0x0x0 (%0)  # fixed_batch
    %1: 3x1x4x4 = transpose 1,0,2,3 (%4)  # /Transpose
    %2: 3x16 = reshape 3x16 (%1)  # /Reshape
    %3: 1x6x8 = reshape 1x6x-1 (%2)  # /Reshape
    output %3
    ");
    assert!(infer_shapes(&file.graph, &[Shape::from([2, 3, 4, 4])]).is_err());
}
