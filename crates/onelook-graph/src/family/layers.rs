//! The layers of each family from image to head, with the scale applied.

use super::Scale;
use super::blocks::{
    attention_block, bottleneck, c2psa, c3k, conv, conv2d, depthwise, int, list, module,
    split_and_join, sppf,
};
use crate::read::pt::described::{Attribute, Described};

/// Classes of the head.
const CLASSES: usize = 80;

/// Layers so far. Widths and repetitions are the family's; the scale is applied here.
pub(super) struct Stack {
    scale: Scale,
    layers: Vec<Described>,
    /// Outputs of each layer.
    channels: Vec<usize>,
}

pub(super) fn yolov8(scale: Scale) -> Stack {
    let mut stack = Stack::new(scale);
    stack.conv(64).conv(128).c2f(128, 3, true);
    stack.conv(256).c2f(256, 6, true);
    stack.conv(512).c2f(512, 6, true);
    stack.conv(1024).c2f(1024, 3, true).sppf(false);
    stack.upsample().concat(6).c2f(512, 3, false);
    stack.upsample().concat(4).c2f(256, 3, false);
    stack.conv(256).concat(12).c2f(512, 3, false);
    stack.conv(512).concat(9).c2f(1024, 3, false);
    stack.detect([15, 18, 21], &HeadForm::YOLOV8)
}

pub(super) fn yolo11(scale: Scale) -> Stack {
    let mut stack = Stack::new(scale);
    stack.backbone_since_yolo11(false);
    stack.upsample().concat(6).c3k2(512, 0.5, false);
    stack.upsample().concat(4).c3k2(256, 0.5, false);
    stack.conv(256).concat(13).c3k2(512, 0.5, false);
    stack.conv(512).concat(10).c3k2(1024, 0.5, true);
    stack.detect([16, 19, 22], &HeadForm::YOLO11)
}

pub(super) fn yolo26(scale: Scale) -> Stack {
    let mut stack = Stack::new(scale);
    stack.backbone_since_yolo11(true);
    stack.upsample().concat(6).c3k2(512, 0.5, true);
    stack.upsample().concat(4).c3k2(256, 0.5, true);
    stack.conv(256).concat(13).c3k2(512, 0.5, true);
    stack.conv(512).concat(10).c3k2_with_attention(1024);
    stack.detect([16, 19, 22], &HeadForm::YOLO26)
}

/// What differs between the families' heads.
struct HeadForm {
    reg_max: usize,
    depthwise_classes: bool,
    one_to_one: bool,
}

impl HeadForm {
    const YOLOV8: Self = Self {
        reg_max: 16,
        depthwise_classes: false,
        one_to_one: false,
    };
    const YOLO11: Self = Self {
        depthwise_classes: true,
        ..Self::YOLOV8
    };
    const YOLO26: Self = Self {
        reg_max: 1,
        depthwise_classes: true,
        one_to_one: true,
    };
}

impl Stack {
    fn new(scale: Scale) -> Self {
        Self {
            scale,
            layers: Vec::new(),
            channels: Vec::new(),
        }
    }

    /// The layers as the children of one module.
    pub(super) fn into_layers(self) -> Described {
        list("Sequential", self.layers)
    }

    fn backbone_since_yolo11(&mut self, since_yolo26: bool) {
        self.conv(64).conv(128).c3k2(256, 0.25, false);
        self.conv(256).c3k2(512, 0.25, false);
        self.conv(512).c3k2(512, 0.5, true);
        self.conv(1024).c3k2(1024, 0.5, true);
        self.sppf(since_yolo26).c2psa();
    }

    fn width(&self, channels: usize) -> usize {
        let scaled = channels.min(self.scale.most_channels) as f64 * self.scale.width;
        (scaled as usize).next_multiple_of(8)
    }

    fn depth(&self, repetitions: usize) -> usize {
        let scaled = repetitions as f64 * self.scale.depth;
        (scaled.round() as usize).max(1)
    }

    fn last(&self) -> usize {
        self.channels.last().copied().unwrap_or(3)
    }

    /// Adds a layer that reads the one before, and maybe others.
    fn push(&mut self, mut layer: Described, also: Option<usize>, outputs: usize) -> &mut Self {
        let from = match also {
            Some(other) => Attribute::Ints(vec![-1, other as i64]),
            None => Attribute::Int(-1),
        };
        layer.attributes.push(("f", from));
        self.layers.push(layer);
        self.channels.push(outputs);
        self
    }

    fn conv(&mut self, channels: usize) -> &mut Self {
        let outputs = self.width(channels);
        self.push(
            conv(self.last(), outputs, 3).stride(2).into(),
            None,
            outputs,
        )
    }

    fn c2f(&mut self, channels: usize, repetitions: usize, shortcut: bool) -> &mut Self {
        let outputs = self.width(channels);
        let inner = outputs / 2;
        let blocks = vec![bottleneck(inner, inner, shortcut); self.depth(repetitions)];
        let layer = split_and_join("C2f", [self.last(), inner, outputs], blocks);
        self.push(layer, None, outputs)
    }

    /// `deep` blocks are C3k, as all are from scale m on.
    fn c3k2(&mut self, channels: usize, expansion: f64, deep: bool) -> &mut Self {
        let outputs = self.width(channels);
        let inner = (outputs as f64 * expansion) as usize;
        let deep = deep || "mlx".contains(self.scale.letter);
        let block = match deep {
            true => c3k(inner),
            false => bottleneck(inner, inner / 2, true),
        };
        let blocks = vec![block; self.depth(2)];
        let layer = split_and_join("C3k2", [self.last(), inner, outputs], blocks);
        self.push(layer, None, outputs)
    }

    fn c3k2_with_attention(&mut self, channels: usize) -> &mut Self {
        let outputs = self.width(channels);
        let inner = outputs / 2;
        let pair = vec![bottleneck(inner, inner / 2, true), attention_block(inner)];
        let blocks = vec![list("Sequential", pair)];
        let layer = split_and_join("C3k2", [self.last(), inner, outputs], blocks);
        self.push(layer, None, outputs)
    }

    fn sppf(&mut self, since_yolo26: bool) -> &mut Self {
        let channels = self.last();
        self.push(sppf(channels, since_yolo26), None, channels)
    }

    fn c2psa(&mut self) -> &mut Self {
        let channels = self.last();
        self.push(c2psa(channels, self.depth(2)), None, channels)
    }

    fn upsample(&mut self) -> &mut Self {
        let twice = vec![("scale_factor", Attribute::Float(2.0))];
        let channels = self.last();
        self.push(module("Upsample", twice, Vec::new()), None, channels)
    }

    fn concat(&mut self, other: usize) -> &mut Self {
        let outputs = self.last() + self.channels[other];
        let layer = module("Concat", vec![("d", int(1))], Vec::new());
        self.push(layer, Some(other), outputs)
    }

    fn detect(mut self, levels: [usize; 3], form: &HeadForm) -> Self {
        let channels = levels.map(|level| self.channels[level]);
        let branches = || {
            let boxes = channels.map(|inputs| box_branch(inputs, channels[0], form));
            let classes = channels.map(|inputs| class_branch(inputs, channels[0], form));
            [boxes, classes].map(|branch| list("ModuleList", branch.into()))
        };
        let mut children: Vec<_> = ["cv2", "cv3"].into_iter().zip(branches()).collect();
        if form.one_to_one {
            children.extend(["one2one_cv2", "one2one_cv3"].into_iter().zip(branches()));
        }
        let attributes = vec![
            (
                "f",
                Attribute::Ints(levels.map(|level| level as i64).into()),
            ),
            ("nc", int(CLASSES)),
            ("reg_max", int(form.reg_max)),
            ("stride", Attribute::Elements(vec![8.0, 16.0, 32.0])),
        ];
        self.layers.push(module("Detect", attributes, children));
        self
    }
}

fn box_branch(inputs: usize, finest: usize, form: &HeadForm) -> Described {
    let sides = 4 * form.reg_max;
    let inner = (finest / 4).max(16).max(sides);
    let steps = vec![
        conv(inputs, inner, 3).into(),
        conv(inner, inner, 3).into(),
        conv2d(inner, sides),
    ];
    list("Sequential", steps)
}

fn class_branch(inputs: usize, finest: usize, form: &HeadForm) -> Described {
    let inner = finest.max(CLASSES.min(100));
    let step = |from: usize| match form.depthwise_classes {
        true => {
            let pair = vec![depthwise(from, 3).into(), conv(from, inner, 1).into()];
            list("Sequential", pair)
        }
        false => conv(from, inner, 3).into(),
    };
    list(
        "Sequential",
        vec![step(inputs), step(inner), conv2d(inner, CLASSES)],
    )
}
