//! The blocks of the families as descriptions: channels in and out, and a few choices, become the
//! modules that a checkpoint would hold, named as it names them.

use crate::read::pt::described::{Attribute, Described};

/// Names of list members, which are their positions.
pub(super) const POSITIONS: [&str; 24] = [
    "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16",
    "17", "18", "19", "20", "21", "22", "23",
];

/// Epsilon of every batch norm.
const EPSILON: f64 = 1e-3;

pub(super) fn module(
    class: &'static str,
    attributes: Vec<(&'static str, Attribute)>,
    children: Vec<(&'static str, Described)>,
) -> Described {
    Described {
        class,
        attributes,
        children,
        tensors: Vec::new(),
    }
}

pub(super) fn list(class: &'static str, members: Vec<Described>) -> Described {
    let children = POSITIONS.into_iter().zip(members).collect();
    module(class, Vec::new(), children)
}

pub(super) fn int(value: usize) -> Attribute {
    Attribute::Int(value as i64)
}

/// A convolution without anything behind it.
pub(super) fn conv2d(inputs: usize, outputs: usize) -> Described {
    Described {
        tensors: vec![
            ("weight", vec![outputs, inputs, 1, 1]),
            ("bias", vec![outputs]),
        ],
        ..module("Conv2d", Vec::new(), Vec::new())
    }
}

/// Convolution, batch norm, SiLU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conv {
    inputs: usize,
    outputs: usize,
    kernel: usize,
    stride: usize,
    depthwise: bool,
    activation: bool,
}

pub(super) fn conv(inputs: usize, outputs: usize, kernel: usize) -> Conv {
    Conv {
        inputs,
        outputs,
        kernel,
        stride: 1,
        depthwise: false,
        activation: true,
    }
}

pub(super) fn depthwise(channels: usize, kernel: usize) -> Conv {
    Conv {
        depthwise: true,
        ..conv(channels, channels, kernel)
    }
}

impl Conv {
    pub(super) fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    pub(super) fn linear(self) -> Self {
        Self {
            activation: false,
            ..self
        }
    }

    pub(super) fn described(self) -> Described {
        let (groups, class) = match self.depthwise {
            true => (self.inputs, "DWConv"),
            false => (1, "Conv"),
        };
        let inner = module(
            "Conv2d",
            vec![
                ("stride", int(self.stride)),
                ("padding", int(self.kernel / 2)),
                ("groups", int(groups)),
            ],
            Vec::new(),
        );
        let extents = vec![self.outputs, self.inputs / groups, self.kernel, self.kernel];
        let inner = Described {
            tensors: vec![("weight", extents)],
            ..inner
        };
        let activation = match self.activation {
            true => "SiLU",
            false => "Identity",
        };
        let children = vec![
            ("conv", inner),
            ("bn", batch_norm(self.outputs)),
            ("act", module(activation, Vec::new(), Vec::new())),
        ];
        module(class, Vec::new(), children)
    }
}

impl From<Conv> for Described {
    fn from(conv: Conv) -> Self {
        conv.described()
    }
}

fn batch_norm(channels: usize) -> Described {
    let tensors = ["weight", "bias", "running_mean", "running_var"];
    Described {
        tensors: tensors.map(|name| (name, vec![channels])).into(),
        ..module(
            "BatchNorm2d",
            vec![("eps", Attribute::Float(EPSILON))],
            Vec::new(),
        )
    }
}

/// Two 3x3 convolutions over `inner` channels, with a shortcut or without.
pub(super) fn bottleneck(channels: usize, inner: usize, shortcut: bool) -> Described {
    let children = vec![
        ("cv1", conv(channels, inner, 3).into()),
        ("cv2", conv(inner, channels, 3).into()),
    ];
    module(
        "Bottleneck",
        vec![("add", Attribute::Bool(shortcut))],
        children,
    )
}

/// Two bottlenecks of full width on one of two branches of half the channels.
pub(super) fn c3k(channels: usize) -> Described {
    let half = channels / 2;
    let chain = vec![bottleneck(half, half, true); 2];
    let children = vec![
        ("cv1", conv(channels, half, 1).into()),
        ("cv2", conv(channels, half, 1).into()),
        ("cv3", conv(2 * half, channels, 1).into()),
        ("m", list("Sequential", chain)),
    ];
    module("C3k", Vec::new(), children)
}

/// The frame of C2f and C3k2: `blocks` work one after the other on `inner` channels.
pub(super) fn split_and_join(
    class: &'static str,
    [inputs, inner, outputs]: [usize; 3],
    blocks: Vec<Described>,
) -> Described {
    let joined = (2 + blocks.len()) * inner;
    let children = vec![
        ("cv1", conv(inputs, 2 * inner, 1).into()),
        ("cv2", conv(joined, outputs, 1).into()),
        ("m", list("ModuleList", blocks)),
    ];
    module(class, vec![("c", int(inner))], children)
}

/// Pools of 5x5 pixels, each of the last one's outcome.
pub(super) fn sppf(channels: usize, since_yolo26: bool) -> Described {
    let half = channels / 2;
    let first = conv(channels, half, 1);
    let first = if since_yolo26 { first.linear() } else { first };
    let pool = vec![
        ("kernel_size", int(5)),
        ("stride", int(1)),
        ("padding", int(2)),
    ];
    let children = vec![
        ("cv1", first.into()),
        ("cv2", conv(4 * half, channels, 1).into()),
        ("m", module("MaxPool2d", pool, Vec::new())),
    ];
    let attributes = vec![("n", int(3)), ("add", Attribute::Bool(since_yolo26))];
    module("SPPF", attributes, children)
}

/// Attention with heads of 64 channels, then two 1x1 convolutions.
pub(super) fn attention_block(channels: usize) -> Described {
    let heads = (channels / 64).max(1);
    let head = channels / heads;
    let key = head / 2;
    let attention = module(
        "Attention",
        vec![
            ("num_heads", int(heads)),
            ("key_dim", int(key)),
            ("head_dim", int(head)),
        ],
        vec![
            (
                "qkv",
                conv(channels, channels + 2 * key * heads, 1)
                    .linear()
                    .into(),
            ),
            ("proj", conv(channels, channels, 1).linear().into()),
            ("pe", depthwise(channels, 3).linear().into()),
        ],
    );
    let forward = vec![
        conv(channels, 2 * channels, 1).into(),
        conv(2 * channels, channels, 1).linear().into(),
    ];
    let children = vec![("attn", attention), ("ffn", list("Sequential", forward))];
    module("PSABlock", vec![("add", Attribute::Bool(true))], children)
}

pub(super) fn c2psa(channels: usize, blocks: usize) -> Described {
    let half = channels / 2;
    let chain = vec![attention_block(half); blocks];
    let children = vec![
        ("cv1", conv(channels, 2 * half, 1).into()),
        ("cv2", conv(2 * half, channels, 1).into()),
        ("m", list("Sequential", chain)),
    ];
    module("C2PSA", vec![("c", int(half))], children)
}
