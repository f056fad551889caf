//! The end of a head against the textbook.

use super::*;
use crate::kernels::trial::{self, Given};
use crate::settings::Settings;

/// What the model has: per level weights and biases of sides and classes.
struct Model {
    parts: Vec<[(Vec<f32>, Vec<f32>); 2]>,
}

/// A class of an anchor: box, score, class, anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Found {
    corners: [f64; 4],
    score: f64,
    class: u32,
    anchor: u32,
}

impl Model {
    fn new(shape: &HeadShape) -> Self {
        let part = |level: usize, part: usize, rows: u32| {
            let seed = (level * 2 + part) as u64;
            let depth = shape.depths()[part];
            let weights = trial::values(seed + 40, (rows * depth) as usize);
            let weights = weights.iter().map(|w| w / 2.0).collect();
            (weights, trial::values(seed + 50, rows as usize))
        };
        let parts = |level| {
            [
                part(level, 0, 4 * shape.reg_max),
                part(level, 1, shape.classes),
            ]
        };
        Self {
            parts: (0..shape.levels.len()).map(parts).collect(),
        }
    }

    /// Raw values `[cell][row]` of a level's map of one picture.
    fn raw(&self, level: usize, part: usize, map: &[f32]) -> Vec<Vec<f64>> {
        let (weights, bias) = &self.parts[level][part];
        let depth = weights.len() / bias.len();
        let cell = |pixel: &[f32]| {
            let row = |(weights, bias): (&[f32], &f32)| {
                let pairs = weights.iter().zip(pixel);
                let sum: f64 = pairs.map(|(&w, &x)| f64::from(w) * f64::from(x)).sum();
                sum + f64::from(*bias)
            };
            weights.chunks_exact(depth).zip(bias).map(row).collect()
        };
        map.chunks_exact(depth).map(cell).collect()
    }
}

fn distance(bins: &[f64]) -> f64 {
    if bins.len() == 1 {
        return bins[0];
    }
    let total: f64 = bins.iter().map(|bin| bin.exp()).sum();
    let terms = bins.iter().enumerate().map(|(i, bin)| i as f64 * bin.exp());
    terms.sum::<f64>() / total
}

/// Every class of every anchor of a level.
fn textbook(
    shape: &HeadShape,
    level: usize,
    sides: &[Vec<f64>],
    scores: &[Vec<f64>],
) -> Vec<Found> {
    let HeadLevel { boxes, stride, .. } = shape.levels[level];
    let before: u32 = shape.levels[..level].iter().map(|l| l.boxes.pixels()).sum();
    let mut all = Vec::new();
    for (cell, (sides, scores)) in (0..).zip(sides.iter().zip(scores)) {
        let bins = sides.chunks_exact(shape.reg_max as usize);
        let far: Vec<f64> = bins.map(distance).collect();
        let x = f64::from(cell % boxes.width) + 0.5;
        let y = f64::from(cell / boxes.width) + 0.5;
        let corners = [x - far[0], y - far[1], x + far[2], y + far[3]];
        for (class, score) in (0..).zip(scores) {
            all.push(Found {
                corners: corners.map(|corner| corner * f64::from(stride)),
                score: 1.0 / (1.0 + (-score).exp()),
                class,
                anchor: before + cell,
            });
        }
    }
    all
}

/// The best class of each anchor, the first of several.
fn best(all: &[Found], classes: u32) -> Vec<Found> {
    let surest = |anchor: &[Found]| {
        let most = anchor.iter().map(|found| found.score).fold(0.0, f64::max);
        *anchor.iter().find(|found| found.score == most).unwrap()
    };
    all.chunks_exact(classes as usize).map(surest).collect()
}

/// Candidates as the kernel wrote them, by anchor and class.
fn decode(bytes: &[u8], count: u32) -> Vec<Found> {
    let candidates = bytes.chunks_exact(CANDIDATE_BYTES as usize);
    let read = |candidate: &[u8]| {
        let words: Vec<u32> = candidate
            .as_chunks()
            .0
            .iter()
            .map(|&word| u32::from_le_bytes(word))
            .collect();
        let float = |index: usize| f64::from(f32::from_bits(words[index]));
        Found {
            corners: [float(0), float(1), float(2), float(3)],
            score: float(4),
            class: words[5],
            anchor: words[6],
        }
    };
    let mut all: Vec<Found> = candidates.take(count as usize).map(read).collect();
    all.sort_by_key(|found| (found.anchor, found.class));
    all
}

fn assert_same(element: Element, actual: &[Found], expected: &[Found]) {
    let places = |found: &[Found]| -> Vec<_> {
        found
            .iter()
            .map(|found| (found.anchor, found.class))
            .collect()
    };
    assert_eq!(places(actual), places(expected));
    let corners =
        |found: &[Found]| -> Vec<f64> { found.iter().flat_map(|found| found.corners).collect() };
    let scores = |found: &[Found]| -> Vec<f64> { found.iter().map(|found| found.score).collect() };
    for values in [corners, scores] {
        let actual: Vec<f32> = values(actual).iter().map(|&value| value as f32).collect();
        trial::assert_near(element, &actual, &values(expected));
    }
}

/// Runs the kernel and compares raw values and candidates.
fn check(shape: &HeadShape, settings: &Settings, batch: u32) {
    let element = shape.element;
    let model = Model::new(shape);
    let mut given = Vec::new();
    let mut raw: Vec<Vec<f64>> = Vec::new();
    let mut expected = vec![Vec::new(); batch as usize];
    for (index, level) in shape.levels.iter().enumerate() {
        let maps = [level.boxes, level.classes];
        let mut values = Vec::new();
        for (part, map) in maps.iter().enumerate() {
            let count = (map.pixels() * map.channels * batch) as usize;
            let input = trial::values((60 + 2 * index + part) as u64, count);
            given.push(Given::Bytes(element.encode(trial::spread(&input, map))));
            let pictures = input.chunks_exact(count / batch as usize);
            let all: Vec<_> = pictures.map(|map| model.raw(index, part, map)).collect();
            let rows = all[0][0].len();
            let planes = all.iter().flat_map(|cells| {
                (0..rows).flat_map(move |row| cells.iter().map(move |cell| cell[row]))
            });
            raw.push(planes.collect());
            values.push(all);
        }
        for picture in 0..batch as usize {
            let all = textbook(shape, index, &values[0][picture], &values[1][picture]);
            expected[picture].extend(match settings.every_class {
                true => all,
                false => best(&all, shape.classes),
            });
        }
    }
    let wanted = |class: u32| match &settings.classes {
        Some(classes) if shape.filter => classes.contains(&(class as usize)),
        _ => true,
    };
    for found in &mut expected {
        let confidence = f64::from(settings.confidence);
        found.retain(|found| found.score > confidence && wanted(found.class));
        assert!(!found.is_empty());
    }
    let borrowed: Vec<_> = model
        .parts
        .iter()
        .map(|parts| [0, 1].map(|part: usize| (&parts[part].0[..], &parts[part].1[..])))
        .collect();
    let (weights, bias) = pack(Target::Sm90a, shape, batch, &borrowed);
    given.push(Given::Bytes(element.encode(weights)));
    given.push(Given::Bytes(Element::F32.encode(bias)));
    given.push(Given::Bytes(settings.encode(shape.classes as usize)));
    given.push(Given::Room(
        (batch * shape.capacity * CANDIDATE_BYTES) as usize,
    ));
    given.push(Given::Zeros(batch as usize * 4));
    if shape.raw {
        given.extend(raw.iter().map(|raw| Given::Room(raw.len() * 4)));
    }
    let tiled = head(Target::Sm90a, "head", shape, batch);
    trial::run(&tiled, &given, |rooms| {
        for (actual, expected) in rooms[2..].iter().zip(&raw) {
            trial::assert_near(element, &Element::F32.decode(actual), expected);
        }
        for (picture, expected) in expected.iter().enumerate() {
            let count = u32::from_le_bytes(rooms[1][picture * 4..][..4].try_into().unwrap());
            let own = (shape.capacity * CANDIDATE_BYTES) as usize;
            let actual = decode(&rooms[0][picture * own..][..own], count);
            assert_same(element, &actual, expected);
        }
    });
}

fn shape(element: Element, depths: [u32; 2], reg_max: u32, classes: u32) -> HeadShape {
    let level = |height: u32, width: u32, stride: u32| {
        let map = |channels: u32| Map {
            height,
            width,
            channels,
            pitch: channels + stride,
        };
        HeadLevel {
            boxes: map(depths[0]),
            classes: map(depths[1]),
            stride,
        }
    };
    HeadShape {
        element,
        levels: vec![level(5, 7, 8), level(3, 4, 16), level(1, 3, 32)],
        reg_max,
        classes,
        capacity: 8 * 50,
        filter: true,
        raw: true,
    }
}

fn settings(confidence: f32) -> Settings {
    Settings {
        confidence,
        iou: 0.7,
        max_detections: 300,
        agnostic: false,
        every_class: false,
        classes: None,
    }
}

#[test]
fn sure_anchors_become_candidates() {
    for element in [Element::F16, Element::F32] {
        check(&shape(element, [16, 24], 16, 20), &settings(0.93), 2);
        check(&shape(element, [64, 80], 4, 7), &settings(0.9), 1);
        check(&shape(element, [16, 200], 1, 80), &settings(0.999), 1);
    }
}

#[test]
fn every_class_counts_if_so_asked() {
    for element in [Element::F16, Element::F32] {
        let every = Settings {
            every_class: true,
            classes: Some(vec![0, 3, 18, 40]),
            ..settings(0.9)
        };
        check(&shape(element, [16, 16], 16, 20), &every, 2);
    }
}

#[test]
fn more_classes_than_fit_are_gone_through_in_rounds() {
    for element in [Element::F16, Element::F32] {
        let shape = HeadShape {
            filter: false,
            ..shape(element, [16, 16], 16, 425)
        };
        check(&shape, &settings(0.995), 1);
        let every = Settings {
            every_class: true,
            ..settings(0.999)
        };
        check(&shape, &every, 1);
    }
}

#[test]
fn what_finds_no_room_is_counted_and_lost() {
    let shape = HeadShape {
        capacity: 5,
        raw: false,
        levels: vec![shape(Element::F16, [16, 16], 1, 8).levels[0]],
        ..shape(Element::F16, [16, 16], 1, 8)
    };
    let given = [
        Given::Bytes(vec![0; 35 * (16 + 8) * 2]),
        Given::Bytes(vec![0; 35 * (16 + 8) * 2]),
        Given::Bytes(vec![0; 4096]),
        Given::Bytes(vec![0; 4096]),
        Given::Bytes(settings(0.1).encode(8)),
        Given::Room(5 * CANDIDATE_BYTES as usize),
        Given::Zeros(4),
    ];
    let tiled = head(Target::Sm90a, "head", &shape, 1);
    trial::run(&tiled, &given, |rooms| {
        assert_eq!(rooms[1], 35u32.to_le_bytes());
        for found in decode(&rooms[0], 5) {
            assert_eq!((found.score, found.class), (0.5, 0));
        }
    });
}
