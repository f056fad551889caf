//! Hostile and odd checkpoints, written by hand: a clear error each, never a panic.

mod families;
mod written;

use super::super::{Limits, ModelFile, ReadError, ReadOptions, read};
use written::{archive, deflated, dict, int, list, module, negative, object, text, tiny, tuple};

fn read_with(bytes: &[u8], limits: Limits) -> Result<ModelFile, ReadError> {
    let options = ReadOptions {
        limits,
        ..ReadOptions::default()
    };
    read(bytes, &options)
}

fn read_pickle(pickle: &[u8]) -> Result<ModelFile, ReadError> {
    read_with(&archive(&[("a/data.pkl", pickle)]), Limits::default())
}

fn refusal(pickle: &[u8]) -> String {
    read_pickle(pickle).unwrap_err().to_string()
}

#[test]
fn tiny_model_is_read() {
    let model = read_with(&tiny::model(), Limits::default()).unwrap();
    assert_eq!(model.graph.outputs.len(), 2);
    assert_eq!(model.metadata.names, ["cat", "class 1"]);
    assert_eq!(model.metadata.image_size, [96, 128]);
    assert_eq!(model.metadata.architecture, "yolo11n");
    assert_eq!(model.metadata.head.detect().unwrap().strides, [8]);
    assert_eq!(
        model.metadata.notes,
        [("license".to_owned(), "free".to_owned())]
    );
}

#[test]
fn names_off_the_list_are_refused_however_they_are_written() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("__builtin__", "eval"),
        ("builtins", "exec"),
        ("builtins", "getattr"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("webbrowser", "open"),
    ] {
        let global = format!("\u{2}c{module}\n{name}\n");
        let called = [b"\x80", global.as_bytes(), &tuple(&[text("id")]), b"R."].concat();
        let stacked = [b"\x80\x04", &*text(module), &text(name), b"\x93)R."].concat();
        let instance = [
            b"\x80\x02(",
            &*text("id"),
            format!("i{module}\n{name}\n.").as_bytes(),
        ]
        .concat();
        let named = [b"\x80", global.as_bytes(), b"."].concat();
        for pickle in [called, stacked, instance, named] {
            let error = read_pickle(&pickle).unwrap_err();
            let name = format!("{module}.{name}");
            assert_eq!(error, ReadError::Forbidden { name });
        }
    }
}

#[test]
fn getattr_may_only_name_an_exchanged_method() {
    let conv = object("ultralytics.nn.modules.conv", "Conv", &dict(&[]));
    let call = |object: &[u8], method: &str| {
        let name = &b"\x80\x02c__builtin__\ngetattr\n"[..];
        [name, &tuple(&[object.to_vec(), text(method)]), b"R."].concat()
    };
    let allowed = read_pickle(&call(&conv, "forward_fuse")).unwrap_err();
    assert!(!matches!(allowed, ReadError::Forbidden { .. }), "{allowed}");
    for pickle in [call(&conv, "__class__"), call(&text("os"), "forward")] {
        assert!(matches!(
            read_pickle(&pickle),
            Err(ReadError::Forbidden { .. })
        ));
    }
}

#[test]
fn every_truncation_is_an_error() {
    let whole = tiny::model();
    for length in 0..whole.len() {
        assert!(
            read(&whole[..length], &ReadOptions::default()).is_err(),
            "{length} bytes"
        );
    }
    let pickle = tiny::pickle();
    for length in 0..pickle.len() {
        let cut = archive(&[("a/data.pkl", &pickle[..length])]);
        assert!(
            read(&cut, &ReadOptions::default()).is_err(),
            "{length} bytes of the pickle"
        );
    }
}

#[test]
fn changed_bytes_never_panic() {
    let pickle = tiny::pickle();
    for position in 0..pickle.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut changed = pickle.clone();
            changed[position] ^= change;
            let _ = read(&tiny::around(&changed), &ReadOptions::default());
        }
    }
    let whole = tiny::model();
    for position in 0..whole.len() {
        let mut changed = whole.clone();
        changed[position] ^= 0xff;
        let _ = read(&changed, &ReadOptions::default());
    }
}

#[test]
fn unknown_opcode_is_named_with_its_place() {
    assert!(refusal(b"\x80\x02N\xfe.").contains("opcode 0xfe at byte 3"));
    assert!(refusal(b"\x80\x09.").contains("protocol 9"));
}

#[test]
fn zip_bombs_are_refused() {
    let bomb = vec![0; 10 << 20];
    let declaring = |size| {
        let file = deflated("a/data/0", &bomb, size);
        read_with(&file, Limits::default()).unwrap_err()
    };
    for declared in [bomb.len() as u32, u32::MAX - 1] {
        let error = declaring(declared);
        assert!(matches!(error, ReadError::Limit { .. }), "{error}");
    }
    let lying = declaring(100);
    assert!(lying.to_string().contains("a/data/0"), "{lying}");
}

#[test]
fn compressed_checkpoint_is_read() {
    let pickle = tiny::pickle();
    let file = deflated("a/data.pkl", &pickle, pickle.len() as u32);
    let error = read_with(&file, Limits::default()).unwrap_err();
    assert!(error.to_string().contains("no data/0"), "{error}");
}

#[test]
fn tensor_of_a_million_times_a_million_is_refused() {
    for (shape, strides) in [
        ([1_000_000, 1_000_000], [1_000_000, 1]),
        ([1_000_000, 1_000_000], [0, 0]),
        ([i32::MAX, i32::MAX], [1, 1]),
    ] {
        let weight = written::tensor("0", &shape, &strides);
        let error = read(&tiny::with_weight(weight), &ReadOptions::default()).unwrap_err();
        assert!(error.to_string().contains("claims"), "{error}");
    }
    let below = written::tensor_at(negative(1), "0", &[1], &[1]);
    assert!(read(&tiny::with_weight(below), &ReadOptions::default()).is_err());
    let beyond = written::tensor_at(int(5), "0", &[4, 3, 1, 1], &[3, 1, 1, 1]);
    assert!(read(&tiny::with_weight(beyond), &ReadOptions::default()).is_err());
}

#[test]
fn tensors_together_stay_within_the_limit() {
    let limits = Limits {
        tensor_bytes: 40,
        ..Limits::default()
    };
    assert!(matches!(
        read_with(&tiny::model(), limits),
        Err(ReadError::Limit { .. })
    ));
}

#[test]
fn module_that_contains_itself_is_refused() {
    let inner = [b"h\x07".to_vec()];
    let children = dict(&[(text("0"), inner[0].clone())]);
    let state = dict(&[(text("_modules"), children), (text("f"), negative(1))]);
    let cycle = [
        b"ctorch.nn.modules.container\nSequential\n)\x81q\x07".as_slice(),
        &state,
        b"b",
    ]
    .concat();
    let error = read(&tiny::with_layer(cycle), &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("nesting of modules"), "{error}");
}

/// Forty levels of a module that contains the next one twice would be 2^40 modules.
#[test]
fn modules_that_multiply_are_refused() {
    let mut nested = module("Identity", &[], &[], &[]);
    for level in 0..40u8 {
        let children = [
            ("0", [&nested[..], &[b'q', level]].concat()),
            ("1", vec![b'h', level]),
        ];
        nested = module("Sequential", &[("f", negative(1))], &children, &[]);
    }
    let error = read(&tiny::with_layer(nested), &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("number of modules"), "{error}");
}

#[test]
fn values_that_multiply_stay_shared() {
    let mut pickle = b"\x80\x02]q\x00".to_vec();
    for _ in 0..10_000 {
        pickle.extend(b"]h\x00a(h\x00h\x00h\x00h\x00h\x00h\x00h\x00h\x00eq\x00");
    }
    pickle.push(b'.');
    assert!(refusal(&pickle).contains("neither a dict nor a model"));
}

#[test]
fn deep_nesting_is_refused_or_harmless() {
    let marks = [b"\x80\x02".as_slice(), &[b'('; 100_000]].concat();
    assert!(refusal(&marks).contains("nesting"));
    let lists = [
        b"\x80\x02".as_slice(),
        &[b']'; 100_000],
        &[b'a'; 99_999],
        b".",
    ]
    .concat();
    assert!(refusal(&lists).contains("neither a dict nor a model"));
}

#[test]
fn values_are_counted() {
    let limits = Limits {
        description_bytes: 16 * 1000,
        ..Limits::default()
    };
    let many = [b"\x80\x02".as_slice(), &[b'N'; 2000], b"."].concat();
    let error = read_with(&archive(&[("a/data.pkl", &many)]), limits).unwrap_err();
    assert!(error.to_string().contains("number of values"), "{error}");
}

#[test]
fn other_kinds_of_file_are_explained() {
    let says = |bytes: &[u8], word: &str| {
        let error = read(bytes, &ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    };
    says(
        b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.",
        "before version 1.6",
    );
    says(
        &archive(&[("a/data.pkl", b"N."), ("a/code/x.py", b"")]),
        "TorchScript",
    );
    says(
        &archive(&[("a/data.pkl", b"N."), ("a/byteorder", b"big")]),
        "big-endian",
    );
    says(&archive(&[("a/nothing", b"")]), "no data.pkl");
    says(&archive(&[("a/x", b""), ("a/x", b"")]), "");
    let weight = written::tensor("0", &[1], &[1]);
    let state_dict = dict(&[(text("model.0.weight"), weight)]);
    let pickle = [b"\x80\x02".as_slice(), &state_dict, b"."].concat();
    says(&archive(&[("a/data.pkl", &pickle)]), "state_dict");
    let nested = [
        b"\x80\x02".as_slice(),
        &dict(&[(text("model"), state_dict)]),
        b".",
    ]
    .concat();
    says(&archive(&[("a/data.pkl", &nested)]), "state_dict");
    says(&archive(&[("a/data.pkl", b"\x80\x02}.")]), "no 'model'");
}

/// As `torch.save(model.state_dict())` writes it: an OrderedDict with items and a state.
#[test]
fn a_bare_state_dict_is_called_so_in_every_place() {
    let weight = written::tensor("0", &[1], &[1]);
    let metadata = dict(&[(text("_metadata"), dict(&[]))]);
    let state_dict = [
        &b"ccollections\nOrderedDict\n)R("[..],
        &text("model.0.weight"),
        &weight,
        b"u",
        &metadata,
        b"b",
    ]
    .concat();
    let of = |key: &str| dict(&[(text(key), state_dict.clone())]);
    for root in [state_dict.clone(), of("model"), of("ema"), of("state_dict")] {
        let pickle = [b"\x80\x02".as_slice(), &root, b"."].concat();
        let error = read(
            &archive(&[("a/data.pkl", &pickle)]),
            &ReadOptions::default(),
        );
        let said = error.unwrap_err().to_string();
        assert!(said.contains("a bare state_dict"), "{said}");
        assert!(said.contains("best.pt"), "{said}");
    }
}

#[test]
fn checkpoints_of_other_projects_are_called_what_they_are() {
    for (module, class, word) in [
        ("models.yolo", "Model", "YOLOv5"),
        ("models.yolo", "DetectionModel", "YOLOv7"),
        ("models.common", "Conv", "YOLOv5"),
        ("yolov5.models.yolo", "Model", "YOLOv5"),
        (
            "torchvision.transforms.transforms",
            "Compose",
            "a classifier",
        ),
        ("torchvision.models.resnet", "ResNet", "a classifier"),
        ("yolox.models.yolox", "YOLOX", "another project"),
        ("__main__", "Net", "the program that saved it"),
    ] {
        let pickle = format!("\u{2}c{module}\n{class}\n)R.");
        let error = read_pickle(&[b"\x80", pickle.as_bytes()].concat()).unwrap_err();
        assert!(matches!(error, ReadError::Unsupported { .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains(word), "{said}");
        assert!(said.contains(&format!("'{module}.{class}'")), "{said}");
        assert!(!said.contains("refused"), "{said}");
    }
}

#[test]
fn all_unknown_modules_are_listed_at_once() {
    let unknown = |class| module(class, &[("f", negative(1))], &[], &[]);
    let both = [("0", unknown("Mystery")), ("1", unknown("Enigma"))];
    let layer = module("Sequential", &[("f", negative(1))], &both, &[]);
    let error = read(&tiny::with_layer(layer), &ReadOptions::default()).unwrap_err();
    assert!(error.to_string().contains("Enigma, Mystery"), "{error}");
}

#[test]
fn wires_to_nowhere_are_refused() {
    for from in [int(7), negative(9), text("x"), list(&[int(0), int(5)])] {
        let layer = module("Concat", &[("f", from)], &[], &[]);
        assert!(read(&tiny::with_layer(layer), &ReadOptions::default()).is_err());
    }
}
