//! Suppression against the textbook, to the bit.

use onelook_types::LetterboxPlacement;

use super::*;
use crate::kernels::head::CANDIDATE_BYTES;
use crate::kernels::trial::{self, Given};
use crate::pictures::{Picture, pack};
use crate::settings::Settings;

#[derive(Debug, Clone, Copy)]
struct Candidate {
    corners: [f32; 4],
    score: f32,
    class: u32,
    anchor: u32,
}

/// So many candidates in no order, many of them equally sure and near each other.
fn candidates(count: u32, seed: u64) -> Vec<Candidate> {
    let chance = trial::values(seed, count as usize * 6);
    let candidate = |(anchor, chance): (u32, &[f32])| {
        let [x, y, width, height, score, class] = *chance else {
            panic!("six values for each");
        };
        let (x, y) = (
            60.0 + (x * 3.0).floor() * 9.0 + y,
            70.0 + (y * 3.0).floor() * 8.0,
        );
        let (width, height) = (24.0 + 8.0 * width, 20.0 + 6.0 * height);
        Candidate {
            corners: [x - width, y - height, x + width, y + height],
            score: 0.5 + (score * 20.0).floor() / 100.0,
            class: (class + 2.0) as u32,
            anchor: anchor.wrapping_mul(7) % count.next_power_of_two(),
        }
    };
    let mut all: Vec<Candidate> = (0..).zip(chance.chunks_exact(6)).map(candidate).collect();
    if let Some(broken) = all.get_mut(3) {
        broken.corners[2] = f32::NAN;
    }
    if let Some(broken) = all.get_mut(4) {
        broken.corners[1] = f32::NEG_INFINITY;
    }
    all
}

fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |c: &[f32; 4]| (c[2] - c[0]).max(0.0) * (c[3] - c[1]).max(0.0);
    let side = |low: usize, high: usize| (a[high].min(b[high]) - a[low].max(b[low])).max(0.0);
    let common = side(0, 2) * side(1, 3);
    common / (area(a) + area(b) - common)
}

fn textbook(
    found: &[Candidate],
    shape: &NmsShape,
    settings: &Settings,
    place: &LetterboxPlacement,
) -> Vec<Row> {
    let mut sorted = found.to_vec();
    sorted.sort_by(|a, b| {
        let score = b.score.total_cmp(&a.score);
        score.then((a.anchor, a.class).cmp(&(b.anchor, b.class)))
    });
    let limit = settings.max_detections.min(shape.rows as usize);
    if shape.end_to_end {
        sorted.truncate(limit);
        let wanted = |candidate: &Candidate| match &settings.classes {
            Some(classes) => classes.contains(&(candidate.class as usize)),
            None => true,
        };
        sorted.retain(wanted);
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
    let gain = [
        place.scaled_width as f32 / place.source_width as f32,
        place.scaled_height as f32 / place.source_height as f32,
    ];
    let first = [place.left as f32, place.top as f32];
    let size = [place.source_width as f32, place.source_height as f32];
    let row = |candidate: &Candidate| Row {
        corners: std::array::from_fn(|i| {
            ((candidate.corners[i] - first[i % 2]) / gain[i % 2]).clamp(0.0, size[i % 2])
        }),
        score: candidate.score,
        class: candidate.class,
    };
    kept.iter().map(row).collect()
}

fn bytes(found: &[Candidate], capacity: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    for candidate in found {
        let corners = candidate.corners.map(f32::to_bits);
        let words = [
            candidate.score.to_bits(),
            candidate.class,
            candidate.anchor,
            0,
        ];
        bytes.extend(
            corners
                .iter()
                .chain(&words)
                .flat_map(|word| word.to_le_bytes()),
        );
    }
    bytes.resize((capacity * CANDIDATE_BYTES) as usize, 0xff);
    bytes
}

fn check(shape: &NmsShape, settings: &Settings, counts: &[u32]) {
    let placement = LetterboxPlacement {
        width: 160,
        height: 160,
        scaled_width: 150,
        scaled_height: 70,
        left: 5,
        top: 45,
        source_width: 30,
        source_height: 14,
    };
    let mut columns = Vec::new();
    let mut rows = Vec::new();
    for (taps, side) in [(&mut columns, 150), (&mut rows, 70)] {
        let tap = onelook_types::AxisTap {
            first: 0,
            second: 0,
            weights: [2048, 0],
        };
        taps.resize(side, tap);
    }
    let pixels = vec![0; 30 * 14 * 3];
    let picture = Picture {
        pixels: &pixels,
        bgr: false,
        placement,
        padding: 114,
        columns: &columns,
        rows: &rows,
    };
    let found: Vec<_> = (1..)
        .zip(counts)
        .map(|(seed, &count)| candidates(count.min(shape.capacity), seed))
        .collect();
    let given = [
        Given::Bytes(pack(&vec![picture; counts.len()]).unwrap()),
        Given::Bytes(settings.encode(shape.classes as usize)),
        Given::Bytes(
            found
                .iter()
                .flat_map(|found| bytes(found, shape.capacity))
                .collect(),
        ),
        Given::Bytes(
            counts
                .iter()
                .flat_map(|count| count.to_le_bytes())
                .collect(),
        ),
        Given::Room(shape.scratch_bytes() as usize * counts.len()),
        Given::Room(shape.output_bytes() as usize * counts.len()),
    ];
    let tiled = nms(Target::Sm90a, "nms", shape, counts.len() as u32);
    trial::run(&tiled, &given, |rooms| {
        let outputs = rooms[1].chunks_exact(shape.output_bytes() as usize);
        for ((output, found), &count) in outputs.zip(&found).zip(counts) {
            let (rows, candidates) = read_output(output).unwrap();
            assert_eq!(rows, textbook(found, shape, settings, &placement));
            assert_eq!(candidates, count);
        }
    });
}

const SHAPE: NmsShape = NmsShape {
    capacity: 500,
    classes: 4,
    rows: 300,
    end_to_end: false,
};

fn settings() -> Settings {
    Settings {
        confidence: 0.25,
        iou: 0.7,
        max_detections: 300,
        agnostic: false,
        every_class: false,
        classes: None,
    }
}

#[test]
fn overlapping_boxes_of_a_class_go() {
    check(&SHAPE, &settings(), &[0, 1, 2, 5, 33, 128, 129, 500, 501]);
}

#[test]
fn classes_and_limits_are_those_of_the_settings() {
    let agnostic = Settings {
        agnostic: true,
        iou: 0.4,
        ..settings()
    };
    check(&SHAPE, &agnostic, &[200, 7]);
    for max_detections in [0, 3, 40] {
        let few = Settings {
            max_detections,
            iou: 0.9,
            ..settings()
        };
        check(&SHAPE, &few, &[300]);
    }
}

#[test]
fn end_to_end_heads_keep_the_surest() {
    let shape = NmsShape {
        end_to_end: true,
        rows: 200,
        ..SHAPE
    };
    let some = Settings {
        classes: Some(vec![1, 3]),
        ..settings()
    };
    check(&shape, &some, &[0, 9, 150, 400]);
    check(&shape, &settings(), &[9, 400]);
}

#[test]
fn more_candidates_than_shared_memory_holds_are_sorted_in_memory() {
    let shape = NmsShape {
        capacity: 5000,
        ..SHAPE
    };
    check(&shape, &settings(), &[1024, 1025, 5000]);
}
