//! What is written is read back to the bit; what lies is refused.

use onelook_types::{DetectHead, Head, Metadata, OutputEncoding};

use super::*;
use crate::op::{
    Activation, Attention, Binary, Concat, Copy, DepthToSpace, MatMul, MaxPool, Reduce, Reduction,
    Reshape, Slice, Softmax, Split, Transpose, Upsample,
};

fn weights(count: usize) -> Arc<Tensor> {
    Arc::new(Tensor::from_fn([count], |k| 0.1 + k as f32))
}

/// A graph with every operator, attributes far from their defaults.
fn graph() -> Graph {
    let mut graph = Graph::new();
    let input = graph.add_input("images");
    let halves = Arc::new(Tensor::from_fn([8, 3, 1, 2], |k| k as f32 / 4.0));
    let conv = Conv {
        stride: [2, 1],
        padding: [0, 0, 0, 1],
        dilation: [1, 1],
        activation: Some(Activation::Silu),
        ..Conv::new(halves, Some(weights(8)))
    };
    let map = graph.add("conv \"quoted\"", conv, &[input]);
    let norm = BatchNorm {
        scale: weights(8),
        shift: weights(8),
        mean: weights(8),
        variance: weights(8),
        epsilon: 0.1,
    };
    let map = graph.add("norm", norm, &[map]);
    let square = Arc::new(Tensor::from_fn([8, 8, 1, 1], |k| (k as f32).sin()));
    let added = Conv {
        residual: true,
        ..Conv::new(square, None)
    };
    let map = graph.add("added", added, &[map, map]);
    let scale = 1.0 / 3f32.sqrt();
    let attention = Attention {
        heads: 2,
        key_size: 1,
        head_size: 2,
        scale,
    };
    let map = graph.add("attention", attention, &[map]);
    let pool = MaxPool {
        kernel: [3, 3],
        stride: [1, 1],
        padding: [1; 4],
    };
    let map = graph.add("pool", pool, &[map]);
    let map = graph.add("larger", Upsample { factor: 2 }, &[map]);
    let map = graph.add("smaller", DepthToSpace { block: 1 }, &[map]);
    let pieces = graph.add_with_outputs(
        "cut",
        Split {
            axis: 1,
            sizes: vec![1, 3],
        },
        &[map],
        2,
    );
    let joined = graph.add("join", Concat { axis: 1 }, &[pieces[1], pieces[0]]);
    let flat = graph.add("flat", Reshape::new(&[0, 4, -1]).unwrap(), &[joined]);
    let short = graph.add(
        "short",
        Slice {
            axis: 2,
            start: 0,
            end: 5,
        },
        &[flat],
    );
    let order = vec![0, 2, 1];
    let turned = graph.add("turned", Transpose { order }, &[short]);
    let product = graph.add("product", MatMul, &[short, turned]);
    let soft = graph.add("soft", Softmax { axis: 2 }, &[product]);
    let reduction = Reduction::Max;
    let largest = graph.add("largest", Reduce { reduction, axis: 1 }, &[soft]);
    let two = graph.add_constant("two", Tensor::scalar(2.0));
    let half = graph.add("half", Binary::Div, &[largest, two]);
    let same = graph.add("same", Copy, &[half]);
    let on = graph.add("on", Activation::Sigmoid, &[same]);
    graph.add_value("never written");
    graph.outputs.push(on);
    graph
}

fn model() -> ModelFile {
    let metadata = Metadata {
        architecture: "yolo11n".to_owned(),
        names: vec!["person".to_owned(), "it's \"ö\"".to_owned()],
        stride: 32,
        image_size: [64, 32],
        fixed_size: true,
        head: Head::Detect(DetectHead {
            classes: 2,
            reg_max: 16,
            strides: vec![8, 16, 32],
            end_to_end: true,
            encoding: OutputEncoding::DecodedEndToEnd,
        }),
        notes: vec![
            ("licence".to_owned(), "x".to_owned()),
            ("author".to_owned(), String::new()),
        ],
    };
    ModelFile {
        graph: graph(),
        metadata,
    }
}

fn bits(graph: &Graph) -> Vec<Vec<u32>> {
    let mut all = Vec::new();
    let mut push = |tensor: &Tensor| all.push(tensor.data().iter().map(|x| x.to_bits()).collect());
    for node in &graph.nodes {
        match &node.op {
            Op::Conv(conv) => {
                push(&conv.weight);
                conv.bias.iter().for_each(|bias| push(bias));
            }
            Op::BatchNorm(norm) => {
                for tensor in [&norm.scale, &norm.shift, &norm.mean, &norm.variance] {
                    push(tensor);
                }
            }
            Op::Constant(constant) => push(&constant.tensor),
            _ => {}
        }
    }
    all
}

fn reread(bytes: &[u8]) -> Result<ModelFile, ReadError> {
    read(bytes, &ReadOptions::default())
}

#[test]
fn what_is_written_is_read_back_to_the_bit() {
    let model = model();
    let bytes = write(&model).unwrap();
    assert_eq!(
        crate::read::Format::detect(&bytes),
        Some(crate::read::Format::Safetensors)
    );
    let back = reread(&bytes).unwrap();
    assert_eq!(back.graph.to_text(None), model.graph.to_text(None));
    assert_eq!(back.graph.values, model.graph.values);
    assert_eq!(
        format!("{:?}", back.graph.nodes),
        format!("{:?}", model.graph.nodes)
    );
    assert_eq!(bits(&back.graph), bits(&model.graph));
    assert_eq!(back.metadata, model.metadata);
}

#[test]
fn the_same_model_gives_the_same_bytes_with_aligned_tensors() {
    let bytes = write(&model()).unwrap();
    assert_eq!(bytes, write(&model()).unwrap());
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let start = bytes.as_ptr() as usize;
    let mut halves = 0;
    for (name, view) in file.iter() {
        let width = view.dtype().bitsize() / 8;
        assert_eq!((view.data().as_ptr() as usize - start) % width, 0, "{name}");
        halves += usize::from(view.dtype() == Dtype::F16);
    }
    assert_eq!(halves, 2);
}

#[test]
fn a_graph_with_views_is_not_written() {
    let mut model = model();
    let of = ValueId(0);
    model.graph.values[1].view = Some(crate::View { of, channel: 0 });
    let error = write(&model).unwrap_err().to_string();
    assert!(error.contains("prepared for an engine"), "{error}");
}

/// The file with its description changed.
fn tampered(change: impl FnOnce(&mut serde_json::Value)) -> Vec<u8> {
    let bytes = write(&model()).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let json = &header.metadata().as_ref().unwrap()[KEY];
    let mut record: serde_json::Value = serde_json::from_str(json).unwrap();
    change(&mut record);
    let header = HashMap::from([(KEY.to_owned(), record.to_string())]);
    safetensors::serialize(file.tensors(), Some(header)).unwrap()
}

#[test]
fn every_lie_of_the_description_is_named() {
    type Change = fn(&mut serde_json::Value);
    let changes: [Change; 13] = [
        |record| record["version"] = 2.into(),
        |record| record["graph"]["nodes"][0]["op"] = serde_json::json!({"teleport": {}}),
        |record| record["graph"]["nodes"][0]["op"]["conv"]["weight"] = "nowhere".into(),
        |record| record["graph"]["nodes"][0]["op"]["conv"]["groups"] = 7.into(),
        |record| record["graph"]["nodes"][0]["op"]["conv"]["stride"] = serde_json::json!([0, 1]),
        |record| record["graph"]["nodes"][0]["inputs"][0] = 5.into(),
        |record| record["graph"]["nodes"][0]["inputs"][0] = 4_000_000_000u32.into(),
        |record| record["graph"]["nodes"][1]["outputs"][0] = 1.into(),
        |record| {
            record["graph"]["nodes"][5]["op"] =
                serde_json::json!({"upsample": {"factor": u64::MAX}})
        },
        |record| record["metadata"]["names"] = serde_json::json!(["one"]),
        |record| record["metadata"]["image_size"] = serde_json::json!([0, 1]),
        |record| record["metadata"]["task"] = "dream".into(),
        |record| {
            record["metadata"]["task"] = "pose".into();
            record["metadata"]["head"]["keypoints"] = serde_json::json!([u64::MAX, true]);
        },
    ];
    let texts: Vec<String> = changes
        .into_iter()
        .map(|change| reread(&tampered(change)).unwrap_err().to_string())
        // The list of operators that follows grows with each new one.
        .map(|text| text.split(", expected one of").next().unwrap().to_owned())
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    cannot use this model: its description has version 2, this onelook reads 1
    the safetensors file is damaged: its description: unknown variant `teleport`
    the safetensors file is damaged: tensor 'nowhere' is missing; download or export it again
    the model's graph is inconsistent: 'conv "quoted"': 8 outputs cannot be cut into 7 groups
    the model's graph is inconsistent: 'conv "quoted"': its stride or dilation is 0
    the model's graph is inconsistent: node 'conv "quoted"' reads value 'pool', which nothing before it produces
    the model's graph is inconsistent: 'conv "quoted"': there is no value 4000000000
    the model's graph is inconsistent: 'norm': value 'conv "quoted"' is written twice
    the model's graph is inconsistent: upsample 'larger' cannot take inputs of shape 1x4x32x32: the result is too large
    the safetensors file is damaged: its head does not fit its class names; download or export it again
    the safetensors file is damaged: its image size or stride is out of range; download or export it again
    the safetensors file is damaged: unknown task 'dream': expected detect, segment, pose, classify or obb; download or export it again
    the safetensors file is damaged: its head adds 18446744073709551615 values to each box; download or export it again
    "#);
}

#[test]
fn every_lie_of_the_container_is_named() {
    let bytes = write(&model()).unwrap();
    let with_length = |length: u64| {
        let mut lying = bytes.clone();
        lying[..8].copy_from_slice(&length.to_le_bytes());
        lying
    };
    let foreign = safetensors::serialize(
        [("a", TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap())],
        None,
    );
    let files = [
        vec![1, 2, 3],
        with_length(u64::MAX),
        with_length(1 << 25),
        with_length(10),
        bytes[..bytes.len() - 1].to_vec(),
        foreign.unwrap(),
    ];
    let texts: Vec<String> = files
        .iter()
        .map(|file| reread(file).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    the safetensors file is damaged: it ends within its first 8 bytes; download or export it again
    the header asks for 18446744073709551615, more than the 67108864 allowed
    the safetensors file is damaged: its header is longer than the file; download or export it again
    the safetensors file is damaged: invalid JSON in header: EOF while parsing a string at line 1 column 10; download or export it again
    the safetensors file is damaged: incomplete metadata, file not fully covered; download or export it again
    cannot use this model: a safetensors file without the network's structure; convert the .pt or .onnx file with `onelook convert`
    ");
}

#[test]
fn tensors_that_overlap_are_refused() {
    let header = br#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend([0; 4]);
    let error = reread(&bytes).unwrap_err().to_string();
    assert!(error.contains("invalid offset for tensor"), "{error}");
}

#[test]
fn tensors_beyond_the_limit_are_refused() {
    let bytes = write(&model()).unwrap();
    let mut options = ReadOptions::default();
    options.limits.tensor_bytes = 100;
    assert!(matches!(
        read(&bytes, &options),
        Err(ReadError::Limit { .. })
    ));
    options.limits = Limits {
        nodes: 3,
        ..Limits::default()
    };
    assert!(matches!(
        read(&bytes, &options),
        Err(ReadError::Limit { .. })
    ));
}
