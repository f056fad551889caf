//! Writes a described network as `torch.save` writes a model of Ultralytics: protocol 2, every object with its
//! dictionaries, what was written before taken from the memo, each tensor a view of a storage of its own.

use std::collections::HashMap;

use half::f16;
use onelook_types::Shape;

use super::archive;
use crate::read::pt::described::{Attribute, Described};

/// The value of element `position` of the tensor at `path`: small, different, and exact in half precision.
pub(in crate::read::pt::tests) fn element(path: &str, position: usize) -> f32 {
    let hash = path.bytes().fold(17u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    let value = hash.wrapping_add(position as u32).wrapping_mul(0x9e37_79b9) >> 26;
    // Variances must be positive, and are never near zero in a real file.
    let lift = if path.ends_with("running_var") {
        64.0
    } else {
        -31.5
    };
    (value as f32 + lift) / 128.0
}

/// A checkpoint of a model of `class`, such as `DetectionModel`, whose layers are the children of `layers`.
pub(in crate::read::pt::tests) fn checkpoint(
    class: &str,
    yaml_file: &str,
    layers: &Described,
) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes.extend(b"\x80\x02");
    let classes = ["person", "bicycle"];
    writer.dict(|it| {
        it.entry("epoch", |it| it.int(-1));
        it.entry("best_fitness", |it| it.bytes.extend(b"N"));
        it.entry("model", |it| {
            it.object("ultralytics.nn.tasks", class, |it| {
                it.entry("_modules", |it| {
                    it.ordered(|it| it.entry("model", |it| it.module(layers, "model")));
                });
                it.entry("yaml", |it| {
                    it.dict(|it| {
                        it.entry("nc", |it| it.int(80));
                        it.entry("scale", |it| it.text("n"));
                        it.entry("yaml_file", |it| it.text(yaml_file));
                        it.entry("channels", |it| it.int(3));
                    });
                });
                it.entry("names", |it| {
                    it.dict(|it| {
                        for (index, name) in classes.into_iter().enumerate() {
                            it.int(index as i64);
                            it.text(name);
                        }
                    });
                });
            });
        });
        it.entry("ema", |it| it.bytes.extend(b"N"));
        it.entry("train_args", |it| {
            it.dict(|it| it.entry("imgsz", |it| it.int(320)))
        });
        it.entry("version", |it| it.text("8.4.0"));
    });
    writer.bytes.push(b'.');
    let mut members = vec![
        ("best/data.pkl".to_owned(), writer.bytes),
        ("best/byteorder".to_owned(), b"little".to_vec()),
    ];
    let storages = writer.storages.into_iter().enumerate();
    members.extend(storages.map(|(key, bytes)| (format!("best/data/{key}"), bytes)));
    members.push(("best/version".to_owned(), b"3\n".to_vec()));
    let members: Vec<(&str, &[u8])> = members
        .iter()
        .map(|(path, bytes)| (path.as_str(), &bytes[..]))
        .collect();
    archive(&members)
}

#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    storages: Vec<Vec<u8>>,
    /// What can be written again by its number.
    memo: HashMap<Vec<u8>, u32>,
}

impl Writer {
    /// Writes `bytes`, or where they were written before, their number.
    fn once(&mut self, bytes: Vec<u8>) {
        let next = self.memo.len() as u32;
        let (number, [short, long]) = match self.memo.get(&bytes) {
            Some(&known) => (known, [b'h', b'j']),
            None => {
                self.bytes.extend(&bytes);
                self.memo.insert(bytes, next);
                (next, [b'q', b'r'])
            }
        };
        match u8::try_from(number) {
            Ok(number) => self.bytes.extend([short, number]),
            Err(_) => self
                .bytes
                .extend([&[long][..], &number.to_le_bytes()].concat()),
        }
    }

    fn global(&mut self, module: &str, name: &str) {
        self.once(format!("c{module}\n{name}\n").into_bytes());
    }

    fn text(&mut self, text: &str) {
        self.once(super::text(text));
    }

    fn int(&mut self, value: i64) {
        match value {
            0..=0xff => self.bytes.extend([b'K', value as u8]),
            0x100..=0xffff => self
                .bytes
                .extend([&b"M"[..], &(value as u16).to_le_bytes()].concat()),
            _ => self
                .bytes
                .extend([&b"J"[..], &(value as i32).to_le_bytes()].concat()),
        }
    }

    fn float(&mut self, value: f64) {
        self.bytes.push(b'G');
        self.bytes.extend(value.to_be_bytes());
    }

    fn ints(&mut self, values: &[usize]) {
        self.tuple(|it| values.iter().for_each(|&value| it.int(value as i64)));
    }

    fn tuple(&mut self, elements: impl FnOnce(&mut Self)) {
        self.between(b"(", elements, b"t");
    }

    fn dict(&mut self, items: impl FnOnce(&mut Self)) {
        self.between(b"}(", items, b"u");
    }

    /// An OrderedDict: made by a call, then filled.
    fn ordered(&mut self, items: impl FnOnce(&mut Self)) {
        self.global("collections", "OrderedDict");
        self.between(b")R(", items, b"u");
    }

    fn entry(&mut self, key: &str, value: impl FnOnce(&mut Self)) {
        self.text(key);
        value(self);
    }

    fn object(&mut self, module: &str, class: &str, state: impl FnOnce(&mut Self)) {
        self.global(module, class);
        self.between(b")\x81}(", state, b"ub");
    }

    fn between(&mut self, start: &[u8], content: impl FnOnce(&mut Self), end: &[u8]) {
        self.bytes.extend(start);
        content(self);
        self.bytes.extend(end);
    }

    fn module(&mut self, module: &Described, path: &str) {
        self.object(home(module.class), module.class, |it| {
            it.entry("training", |it| it.bytes.push(b'\x89'));
            let is_buffer = |name: &str| name.starts_with("running");
            for (group, buffers) in [("_parameters", false), ("_buffers", true)] {
                it.entry(group, |it| {
                    it.ordered(|it| {
                        let tensors = module
                            .tensors
                            .iter()
                            .filter(|(name, _)| is_buffer(name) == buffers);
                        for (name, extents) in tensors {
                            let path = format!("{path}.{name}");
                            it.entry(name, |it| match buffers {
                                true => it.tensor(extents, &path),
                                false => it.parameter(extents, &path),
                            });
                        }
                    });
                });
            }
            it.entry("_backward_hooks", |it| it.ordered(|_| ()));
            it.entry("_non_persistent_buffers_set", |it| {
                it.global("__builtin__", "set");
                it.bytes.extend(b"]\x85R");
            });
            it.entry("_modules", |it| {
                it.ordered(|it| {
                    for (name, child) in &module.children {
                        it.entry(name, |it| it.module(child, &format!("{path}.{name}")));
                    }
                });
            });
            for (name, value) in &module.attributes {
                it.entry(name, |it| it.attribute(value));
            }
        });
    }

    fn attribute(&mut self, value: &Attribute) {
        match value {
            Attribute::Bool(value) => self.bytes.push(if *value { 0x88 } else { 0x89 }),
            Attribute::Int(value) => self.int(*value),
            Attribute::Ints(values) => {
                self.between(
                    b"](",
                    |it| values.iter().for_each(|&value| it.int(value)),
                    b"e",
                );
            }
            Attribute::Float(value) => self.float(*value),
            Attribute::Elements(values) => {
                let bytes = values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect();
                self.rebuilt("FloatStorage", bytes, &[values.len()]);
            }
        }
    }

    fn parameter(&mut self, extents: &[usize], path: &str) {
        self.global("torch._utils", "_rebuild_parameter");
        self.tuple(|it| {
            it.tensor(extents, path);
            it.bytes.push(b'\x88');
            it.ordered(|_| ());
        });
        self.bytes.push(b'R');
    }

    fn tensor(&mut self, extents: &[usize], path: &str) {
        let elements = 0..extents.iter().product();
        let halves = elements.map(|position| f16::from_f32(element(path, position)));
        self.rebuilt(
            "HalfStorage",
            halves.flat_map(f16::to_le_bytes).collect(),
            extents,
        );
    }

    fn rebuilt(&mut self, storage: &str, bytes: Vec<u8>, extents: &[usize]) {
        let key = self.storages.len().to_string();
        self.storages.push(bytes);
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.tuple(|it| {
            it.tuple(|it| {
                it.text("storage");
                it.global("torch", storage);
                it.text(&key);
                it.text("cpu");
                it.int(extents.iter().product::<usize>() as i64);
            });
            it.bytes.push(b'Q');
            it.int(0);
            it.ints(extents);
            it.ints(&Shape::from(extents.to_vec()).strides());
            it.bytes.push(b'\x89');
            it.ordered(|_| ());
        });
        self.bytes.push(b'R');
    }
}

/// The Python module of a class.
fn home(class: &str) -> &'static str {
    match class {
        "Conv2d" | "ConvTranspose2d" => "torch.nn.modules.conv",
        "BatchNorm2d" => "torch.nn.modules.batchnorm",
        "SiLU" => "torch.nn.modules.activation",
        "Identity" => "torch.nn.modules.linear",
        "MaxPool2d" => "torch.nn.modules.pooling",
        "Upsample" => "torch.nn.modules.upsampling",
        "Sequential" | "ModuleList" => "torch.nn.modules.container",
        "Conv" | "DWConv" | "Concat" => "ultralytics.nn.modules.conv",
        "Detect" | "Segment" | "Segment26" | "Pose" | "Pose26" => "ultralytics.nn.modules.head",
        _ => "ultralytics.nn.modules.block",
    }
}
