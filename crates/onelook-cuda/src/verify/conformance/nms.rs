//! Test cases for suppression: crowds of candidates, many of them of equal confidence and some that are no
//! boxes; what must be left, to the bit.

use onelook_graph::PlacedImage;
use onelook_types::{AxisTap, FrameView, LetterboxPlacement, PixelFormat, Thresholds};

use super::detections::Detections;
use super::{KernelArg, KernelTestCase, Random, Results};
use crate::images::pack;
use crate::kernels::head::CANDIDATE_BYTES;
use crate::kernels::nms::{NmsShape, Row};
use crate::settings::Settings;

/// Where the images lie in the network's input.
const PLACEMENT: LetterboxPlacement = LetterboxPlacement {
    width: 160,
    height: 160,
    scaled_width: 150,
    scaled_height: 70,
    left: 5,
    top: 45,
    source_width: 30,
    source_height: 14,
};

/// More candidates than are sorted at once, and fewer, in turn.
pub(super) fn any(shape: &NmsShape, batch: u32, random: &mut Random) -> KernelTestCase {
    let counts = (0..batch as usize).map(|number| [1100, 130, 0, 37][number % 4]);
    let settings = Settings {
        agnostic: random.value() > 0.0,
        ..Settings::default()
    };
    case(shape, &settings, &counts.collect::<Vec<u32>>(), random)
}

/// An image for each count of candidates, which may exceed the capacity.
pub(crate) fn case(
    shape: &NmsShape,
    settings: &Settings,
    counts: &[u32],
    random: &mut Random,
) -> KernelTestCase {
    let found: Vec<Vec<Candidate>> = counts
        .iter()
        .map(|&count| candidates(count.min(shape.capacity), shape.classes, random))
        .collect();
    // Every other image has settings of its own: a kernel that reads those of another is wrong.
    let settings: Vec<Settings> = (0..counts.len())
        .map(|image| match image % 2 {
            0 => settings.clone(),
            _ => Settings {
                iou: settings.iou / 2.0,
                max_detections: settings.max_detections.div_ceil(2),
                agnostic: !settings.agnostic,
                ..settings.clone()
            },
        })
        .collect();
    let lists = found.iter().flat_map(|found| encode(found, shape.capacity));
    let pairs = found.iter().zip(&settings);
    let left = pairs.map(|(found, settings)| left(found, shape, settings));
    KernelTestCase {
        args: vec![
            KernelArg::Bytes(images(counts.len())),
            super::encoded(&settings, shape.classes),
            KernelArg::Bytes(lists.collect()),
            KernelArg::Bytes(
                counts
                    .iter()
                    .flat_map(|count| count.to_le_bytes())
                    .collect(),
            ),
            KernelArg::Output(shape.scratch_bytes() as usize * counts.len()),
            KernelArg::Output(shape.output_bytes() as usize * counts.len()),
        ],
        results: Results::Detections(Detections {
            shape: *shape,
            images: left.zip(counts.iter().copied()).collect(),
        }),
    }
}

/// So many images at [`PLACEMENT`].
fn images(count: usize) -> Vec<u8> {
    let tap = AxisTap {
        first: 0,
        second: 0,
        weights: [2048, 0],
    };
    let (width, height) = (PLACEMENT.source_width, PLACEMENT.source_height);
    let pixels = vec![0; width * height * 3];
    let frame = FrameView::new(&pixels, width, height, width * 3, PixelFormat::Rgb);
    let image = PlacedImage {
        frame: frame.expect("as many pixels as its size says"),
        thresholds: &Thresholds::default(),
        placement: PLACEMENT,
        padding: 114,
        columns: &[tap; PLACEMENT.scaled_width],
        rows: &[tap; PLACEMENT.scaled_height],
    };
    pack(&vec![image; count]).expect("taps and pixels fit their sizes")
}

#[derive(Debug, Clone, Copy)]
struct Candidate {
    corners: [f32; 4],
    score: f32,
    class: u32,
    anchor: u32,
}

/// So many candidates in no order, many of them equally sure and near each other.
fn candidates(count: u32, classes: u32, random: &mut Random) -> Vec<Candidate> {
    let candidate = |number: u32| {
        let [x, y, width, height, score, class] = [(); 6].map(|()| 2.0 * random.value());
        let (x, y) = (
            60.0 + (x * 3.0).floor() * 9.0 + y,
            70.0 + (y * 3.0).floor() * 8.0,
        );
        let (width, height) = (24.0 + 8.0 * width, 20.0 + 6.0 * height);
        Candidate {
            corners: [x - width, y - height, x + width, y + height],
            score: 0.5 + (score * 20.0).floor() / 100.0,
            class: ((class + 2.0) as u32).min(classes - 1),
            anchor: number.wrapping_mul(7) % count.next_power_of_two(),
        }
    };
    let mut all: Vec<Candidate> = (0..count).map(candidate).collect();
    if let Some(broken) = all.get_mut(3) {
        broken.corners[2] = f32::NAN;
    }
    if let Some(broken) = all.get_mut(4) {
        broken.corners[1] = f32::NEG_INFINITY;
    }
    all
}

/// Candidates as the head writes them, with what must not be read behind them.
fn encode(found: &[Candidate], capacity: u32) -> Vec<u8> {
    let words = |candidate: &Candidate| {
        let [a, b, c, d] = candidate.corners.map(f32::to_bits);
        let Candidate { class, anchor, .. } = *candidate;
        [a, b, c, d, candidate.score.to_bits(), class, anchor, 0]
    };
    let words = found.iter().flat_map(words);
    let mut bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    bytes.resize((capacity * CANDIDATE_BYTES) as usize, 0xff);
    bytes
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |c: &[f32; 4]| (c[2] - c[0]).max(0.0) * (c[3] - c[1]).max(0.0);
    let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    let common = side(0, 2) * side(1, 3);
    common / (area(a) + area(b) - common)
}

/// What the textbook leaves of an image's candidates, on the original image.
fn left(found: &[Candidate], shape: &NmsShape, settings: &Settings) -> Vec<Row> {
    let mut sorted = found.to_vec();
    sorted.sort_by(|a, b| {
        let score = b.score.total_cmp(&a.score);
        score.then((a.anchor, a.class).cmp(&(b.anchor, b.class)))
    });
    let limit = settings.max_detections.min(shape.rows as usize);
    if shape.end_to_end {
        sorted.truncate(limit);
        sorted.retain(|candidate| match &settings.classes {
            Some(classes) => classes.contains(&(candidate.class as usize)),
            None => true,
        });
    }
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in sorted {
        let clash = |other: &Candidate| {
            (settings.agnostic || other.class == candidate.class)
                && overlap(&other.corners, &candidate.corners) > settings.iou
        };
        let finite = candidate.corners.iter().all(|corner| corner.is_finite());
        if finite && (shape.end_to_end || !kept.iter().any(clash)) && kept.len() < limit {
            kept.push(candidate);
        }
    }
    kept.iter().map(back).collect()
}

fn back(candidate: &Candidate) -> Row {
    let place = &PLACEMENT;
    let gain = [
        place.scaled_width as f32 / place.source_width as f32,
        place.scaled_height as f32 / place.source_height as f32,
    ];
    let first = [place.left as f32, place.top as f32];
    let size = [place.source_width as f32, place.source_height as f32];
    let corner = |i: usize| {
        let axis = i % 2;
        ((candidate.corners[i] - first[axis]) / gain[axis]).clamp(0.0, size[axis])
    };
    Row {
        corners: [0, 1, 2, 3].map(corner),
        score: candidate.score,
        class: candidate.class,
    }
}
