//! Test cases for the head: every class of every anchor in f64, of which those above the threshold
//! must be found, in any order.

use onelook_ptx::lang::Target;

use super::candidates::{COUNTERS, Candidates, DecodedCandidate, ExpectedCandidate};
use super::maps::random_map;
use super::products::dot;
use super::{Expected, KernelArg, KernelTestCase, Random, Results, input_arg};
use crate::kernels::head::{CANDIDATE_BYTES, HeadLevel, HeadShape, pack};
use crate::kernels::{Element, Map};
use crate::settings::Settings;

/// How far off a raw value may be for a class still to count as above the threshold, or as the
/// best.
const ROUNDING: f64 = 1e-3;

/// The best classes or all of them, as chance has it; some are not wanted.
pub(super) fn any(
    shape: &HeadShape,
    target: Target,
    batch: u32,
    random: &mut Random,
) -> KernelTestCase {
    let settings = Settings {
        every_class: random.value() > 0.0,
        classes: Some(
            (0..shape.classes as usize)
                .filter(|class| class % 5 != 3)
                .collect(),
        ),
        ..Settings::default()
    };
    case(shape, target, batch, &settings, random)
}

/// With random weights and these settings, but for a confidence such that one candidate is found
/// for every fourth anchor.
pub(crate) fn case(
    shape: &HeadShape,
    target: Target,
    batch: u32,
    settings: &Settings,
    random: &mut Random,
) -> KernelTestCase {
    let parts: Vec<[Part; 2]> = shape
        .levels
        .iter()
        .map(|level| {
            let sides = Part::new(level.boxes, 4 * shape.reg_max, batch, shape.element, random);
            let classes = Part::new(level.classes, shape.classes, batch, shape.element, random);
            [sides, classes]
        })
        .collect();
    let images: Vec<Vec<Class>> = (0..batch)
        .map(|image| every_class(shape, &parts, image as usize))
        .collect();
    // Every image has a confidence of its own, every other one counts classes otherwise.
    let settings: Vec<Settings> = (0..)
        .zip(&images)
        .map(|(number, image)| {
            let every_class = settings.every_class != (number % 2 == 1);
            Settings {
                confidence: confidence(std::slice::from_ref(image), shape, every_class),
                every_class,
                ..settings.clone()
            }
        })
        .collect();
    let borrowed: Vec<_> = parts
        .iter()
        .map(|level| {
            level
                .each_ref()
                .map(|part| (&part.weights[..], &part.bias[..]))
        })
        .collect();
    let (weights, bias) = pack(target, shape, batch, &borrowed);
    let maps = parts.iter().flatten();
    let mut all: Vec<KernelArg> = maps
        .map(|part| input_arg(shape.element, &part.map))
        .collect();
    all.extend([
        input_arg(shape.element, &weights),
        input_arg(Element::F32, &bias),
        super::encoded(&settings, shape.classes),
        KernelArg::Output((batch * shape.capacity * CANDIDATE_BYTES) as usize),
        KernelArg::ZeroedOutput(batch as usize * 4),
    ]);
    let stored = parts.iter().flatten().filter(|_| shape.raw);
    let raw: Vec<Expected> = (COUNTERS + 1..)
        .zip(stored)
        .map(|(output, part)| part.planes(output))
        .collect();
    all.extend(
        raw.iter()
            .map(|raw| KernelArg::Output(raw.values.len() * 4)),
    );
    let pairs = images.iter().zip(&settings);
    let expected = pairs.map(|(classes, settings)| expected(classes, shape, settings));
    KernelTestCase {
        args: all,
        results: Results::Candidates(Candidates {
            raw,
            capacity: shape.capacity as usize,
            images: expected.collect(),
        }),
    }
}

/// The convolution of a level that makes sides or classes.
struct Part {
    map: Vec<f32>,
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Raw values: `[image][cell][row]`.
    raw: Vec<Vec<Vec<f64>>>,
}

impl Part {
    fn new(map: Map, rows: u32, batch: u32, element: Element, random: &mut Random) -> Self {
        let values = random_map(&map, batch, element, random);
        let depth = map.channels as usize;
        let scale = 3.0 / (depth as f32).sqrt();
        let weights = random.rounded(rows as usize * depth, scale, element);
        let bias = random.values(rows as usize, 1.0);
        let wide: Vec<f64> = weights.iter().copied().map(f64::from).collect();
        let cell = |pixel: &[f32]| -> Vec<f64> {
            let pixel: Vec<f64> = pixel[..depth].iter().copied().map(f64::from).collect();
            let rows = wide.chunks_exact(depth).zip(&bias);
            rows.map(|(weights, &bias)| dot(weights, &pixel) + f64::from(bias))
                .collect()
        };
        let pixels = (map.pixels() * map.pitch) as usize;
        let raw = values.chunks_exact(pixels).map(|image| {
            let cells = image.chunks_exact(map.pitch as usize);
            cells.map(cell).collect()
        });
        Self {
            raw: raw.collect(),
            map: values,
            weights,
            bias,
        }
    }

    /// The raw values, planes by row.
    fn planes(&self, output: usize) -> Expected {
        let rows = self.bias.len();
        let plane = |cells: &'_ Vec<Vec<f64>>| -> Vec<f64> {
            let rows = (0..rows).flat_map(|row| cells.iter().map(move |cell| cell[row]));
            rows.collect()
        };
        let values: Vec<f64> = self.raw.iter().flat_map(plane).collect();
        Expected {
            output,
            element: Element::F32,
            pitch: values.len(),
            columns: values.len(),
            values,
        }
    }
}

/// A class of an anchor before anything is left out.
#[derive(Clone, Copy)]
struct Class {
    found: DecodedCandidate,
    raw: f64,
}

/// Every class of every anchor of an image.
fn every_class(shape: &HeadShape, parts: &[[Part; 2]], image: usize) -> Vec<Class> {
    let mut all = Vec::new();
    let mut anchor = 0;
    for (level, [sides, scores]) in shape.levels.iter().zip(parts) {
        let cells = sides.raw[image].iter().zip(&scores.raw[image]);
        for (cell, (sides, scores)) in (0..).zip(cells) {
            let corners = corners(level, cell, sides, shape.reg_max as usize);
            let class = |(class, &raw): (u32, &f64)| Class {
                found: DecodedCandidate {
                    corners,
                    score: sigmoid(raw),
                    class,
                    anchor,
                },
                raw,
            };
            all.extend((0..).zip(scores).map(class));
            anchor += 1;
        }
    }
    all
}

fn corners(level: &HeadLevel, cell: u32, sides: &[f64], bins: usize) -> [f64; 4] {
    let far: Vec<f64> = sides.chunks_exact(bins).map(distance).collect();
    let x = f64::from(cell % level.boxes.width) + 0.5;
    let y = f64::from(cell / level.boxes.width) + 0.5;
    let corners = [x - far[0], y - far[1], x + far[2], y + far[3]];
    corners.map(|corner| corner * f64::from(level.stride))
}

fn distance(bins: &[f64]) -> f64 {
    if bins.len() == 1 {
        return bins[0];
    }
    let total: f64 = bins.iter().map(|bin| bin.exp()).sum();
    let terms = bins.iter().enumerate().map(|(i, bin)| i as f64 * bin.exp());
    terms.sum::<f64>() / total
}

fn sigmoid(raw: f64) -> f64 {
    1.0 / (1.0 + (-raw).exp())
}

/// Between the values of two neighbours, so that one in four anchors has something above it.
fn confidence(images: &[Vec<Class>], shape: &HeadShape, every_class: bool) -> f32 {
    let mut values: Vec<f64> = Vec::new();
    let mut anchors = 0;
    for anchor in images
        .iter()
        .flat_map(|all| all.chunks_exact(shape.classes as usize))
    {
        anchors += 1;
        match every_class {
            true => values.extend(anchor.iter().map(|class| class.raw)),
            false => values.push(best(anchor)),
        }
    }
    values.sort_by(|a, b| b.total_cmp(a));
    let count = (anchors / 4).max(1);
    let next = values
        .get(count)
        .copied()
        .unwrap_or(values[count - 1] - 1.0);
    sigmoid((values[count - 1] + next) / 2.0) as f32
}

fn best(anchor: &[Class]) -> f64 {
    let values = anchor.iter().map(|class| class.raw);
    values.fold(f64::NEG_INFINITY, f64::max)
}

/// What may be found of all classes of an image.
fn expected(all: &[Class], shape: &HeadShape, settings: &Settings) -> Vec<ExpectedCandidate> {
    let confidence = f64::from(settings.confidence);
    let wanted = |class: &&Class| match &settings.classes {
        Some(classes) if shape.filter => classes.contains(&(class.found.class as usize)),
        _ => true,
    };
    let mut expected = Vec::new();
    for anchor in all.chunks_exact(shape.classes as usize) {
        let most = best(anchor);
        let close = |class: &&Class| settings.every_class || class.raw >= most - ROUNDING;
        let rivals: Vec<&Class> = anchor.iter().filter(close).collect();
        let all_wanted = rivals.iter().all(wanted);
        for class in rivals.into_iter().filter(wanted) {
            if sigmoid(class.raw + ROUNDING) > confidence {
                let surely = match settings.every_class {
                    true => class.raw,
                    false if all_wanted => most,
                    false => f64::NEG_INFINITY,
                };
                expected.push(ExpectedCandidate {
                    found: class.found,
                    must: sigmoid(surely - ROUNDING) > confidence,
                    alone: !settings.every_class,
                });
            }
        }
    }
    expected
}
