//! Counting over the recorded tracks of MOT15: what compatible rules must give exactly, and how near the
//! default comes to the truth.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

use onelook::mot::{MotOptions, MotTracks};
use onelook::vision::analytics::{
    Analytics, AnalyticsOptions, Anchor, BandOptions, JoinOptions, Line, LineRule, Point, Zone,
    ZoneOptions,
};
use serde_json::Value;
use test_support::data_file;

const SEQUENCES: [&str; 11] = [
    "ADL-Rundle-6",
    "ADL-Rundle-8",
    "ETH-Bahnhof",
    "ETH-Pedcross2",
    "ETH-Sunnyday",
    "KITTI-13",
    "KITTI-17",
    "PETS09-S2L1",
    "TUD-Campus",
    "TUD-Stadtmitte",
    "Venice-2",
];

/// Every change of side, at once.
fn every_change_of_side() -> LineRule {
    LineRule::Band(BandOptions {
        band: 0.0,
        return_factor: 1.0,
        ..BandOptions::default()
    })
}

fn tracks(folder: &Path, path: &str) -> MotTracks {
    let path = folder.join(path);
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    let mut text = String::new();
    match bytes.starts_with(b"\x1f\x8b") {
        true => GzDecoder::new(&bytes[..]).read_to_string(&mut text),
        false => (&bytes[..]).read_to_string(&mut text),
    }
    .unwrap();
    let options = MotOptions {
        min_confidence: Some(1e-6),
        ..MotOptions::default()
    };
    MotTracks::parse(&text, &options).unwrap()
}

fn truth(folder: &Path, sequence: &str) -> MotTracks {
    tracks(folder, &format!("{sequence}/gt.txt"))
}

fn byte_track(folder: &Path, sequence: &str) -> MotTracks {
    let path = format!("reference/mot15-frcnn/ultralytics-bytetrack/{sequence}.txt");
    tracks(folder, &path)
}

/// Frame rate, frames, width, height.
fn info(folder: &Path, sequence: &str) -> [f64; 4] {
    let text = std::fs::read_to_string(folder.join(sequence).join("seqinfo.ini")).unwrap();
    ["frameRate", "seqLength", "imWidth", "imHeight"].map(|key| {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        line.split('=').nth(1).unwrap().trim().parse().unwrap()
    })
}

fn run(options: &AnalyticsOptions, tracks: &MotTracks, frames: u64, rate: f64) -> Analytics {
    let mut analytics = Analytics::new(options).unwrap();
    for frame in 1..=frames {
        analytics.update((frame - 1) as f64 / rate, tracks.frame(frame));
    }
    analytics
}

fn line(from: [f64; 2], to: [f64; 2], rule: LineRule) -> Line {
    Line {
        name: format!("line at {}", from[0]),
        start: Point::new(from[0], from[1]),
        end: Point::new(to[0], to[1]),
        rule,
    }
}

/// In and out of each line.
fn sums(analytics: &Analytics) -> Vec<[u64; 2]> {
    analytics.lines().map(|(_, totals)| totals.sums()).collect()
}

fn point(value: &Value) -> [f64; 2] {
    [0, 1].map(|index| value[index].as_f64().unwrap())
}

#[test]
fn compatible_rules_give_the_recorded_counts() {
    let Some(folder) = data_file("tracking") else {
        return;
    };
    let text = std::fs::read_to_string(folder.join("reference/counting.json")).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let bottom = |threshold| LineRule::Supervision {
        anchors: vec![Anchor::BottomCentre],
        threshold,
    };
    let mut compared = 0;
    for case in &cases {
        let sequence = case["sequence"].as_str().unwrap();
        let tracks = match case["source"].as_str().unwrap() {
            "ground truth" => truth(&folder, sequence),
            "frcnn det + ByteTrack (ultralytics)" => byte_track(&folder, sequence),
            "yolo11n + ByteTrack (ultralytics)" => tracks(
                &folder,
                "reference/pets09-yolo11n-300/ultralytics-bytetrack.txt",
            ),
            "frcnn det + SORT" => tracks(
                &folder,
                &format!("reference/mot15-frcnn/sort-sort/{sequence}.txt.gz"),
            ),
            other => panic!("unknown source {other}"),
        };
        let rules = [
            ("plain", every_change_of_side()),
            ("linezone_4_corners", LineRule::supervision()),
            ("linezone_bottom", bottom(1)),
            ("linezone_bottom_thr3", bottom(3)),
            ("object_counter", LineRule::Ultralytics),
        ];
        let (start, end) = (point(&case["line"][0]), point(&case["line"][1]));
        let corners = case["zone"].as_array().unwrap().iter().map(point);
        for (name, rule) in rules {
            let options = AnalyticsOptions {
                lines: vec![line(start, end, rule)],
                zones: vec![Zone {
                    name: "zone".to_owned(),
                    corners: corners.clone().map(|[x, y]| Point::new(x, y)).collect(),
                    options: ZoneOptions {
                        enter_after: 0.0,
                        leave_after: 0.0,
                        lost_after: 1e9,
                        ..ZoneOptions::default()
                    },
                }],
                join: None,
                memory: 1e9,
                ..AnalyticsOptions::default()
            };
            let frames = case["frames"].as_u64().unwrap();
            let rate = case["fps"].as_f64().unwrap();
            let analytics = run(&options, &tracks, frames, rate);
            let expected = &case[name];
            let counted = sums(&analytics)[0];
            let place = format!("{sequence}, {}, {name}", case["source"]);
            let recorded = ["in", "out"].map(|key| expected[key].as_u64().unwrap());
            assert_eq!(counted, recorded, "{place}");
            if let Some(ids) = expected["ids"].as_u64() {
                assert_eq!(analytics.lines().next().unwrap().1.tracks, ids, "{place}");
            }
            let (_, zone) = analytics.zones().next().unwrap();
            let expected = &case["zone_bottom"];
            let whole = |key: &str| expected[key].as_u64().unwrap();
            assert_eq!(zone.entered, whole("entered"), "{place}");
            assert_eq!(zone.born_inside, whole("first_seen_inside"), "{place}");
            assert_eq!(zone.left, whole("left"), "{place}");
            compared += 1;
        }
    }
    assert_eq!(compared, 5 * cases.len());
}

/// Three upright lines through the image, at a quarter, a half and three quarters of its width.
fn counts_at_three_lines(
    folder: &Path,
    sequence: &str,
    tracks: &MotTracks,
    rule: &LineRule,
    is_plain: bool,
) -> Vec<[u64; 2]> {
    let [rate, frames, width, height] = info(folder, sequence);
    let lines = [0.25, 0.5, 0.75]
        .map(|share| line([width * share, 0.0], [width * share, height], rule.clone()));
    let mut options = AnalyticsOptions {
        lines: lines.to_vec(),
        image: Some([width as usize, height as usize]),
        ..AnalyticsOptions::default()
    };
    if is_plain {
        (options.join, options.memory) = (None, 1e9);
    }
    sums(&run(&options, tracks, frames as u64, rate))
}

/// Crossings counted, and the sum of the errors of every in and out, by sequence.
fn errors_by_sequence(
    folder: &Path,
    rule: &LineRule,
    is_plain: bool,
) -> BTreeMap<&'static str, [u64; 3]> {
    let of_sequence = |sequence: &'static str| {
        let every = every_change_of_side();
        let truth = counts_at_three_lines(folder, sequence, &truth(folder, sequence), &every, true);
        let tracked = byte_track(folder, sequence);
        let counted = counts_at_three_lines(folder, sequence, &tracked, rule, is_plain);
        let sum = |counts: &[[u64; 2]]| counts.as_flattened().iter().sum();
        let pairs = truth.as_flattened().iter().zip(counted.as_flattened());
        let error = pairs.map(|(a, b)| a.abs_diff(*b)).sum();
        (sequence, [sum(&truth), sum(&counted), error])
    };
    SEQUENCES.map(of_sequence).into_iter().collect()
}

fn totals(errors: &BTreeMap<&str, [u64; 3]>) -> [u64; 3] {
    [0, 1, 2].map(|index| errors.values().map(|row| row[index]).sum())
}

#[test]
fn the_default_comes_nearest_to_the_true_crossings() {
    let Some(folder) = data_file("tracking") else {
        return;
    };
    let default = errors_by_sequence(&folder, &LineRule::default(), false);
    for (sequence, [truth, counted, error]) in &default {
        println!("{sequence}: {truth} true, {counted} counted, error {error}");
    }
    let [truth, counted, error] = totals(&default);
    println!("all: {truth} true, {counted} counted, error {error}");
    let others = [
        every_change_of_side(),
        LineRule::supervision(),
        LineRule::Ultralytics,
    ];
    let others = others.map(|rule| totals(&errors_by_sequence(&folder, &rule, true)));
    println!("every change, supervision, ultralytics: {others:?}");
    assert_eq!(truth, 490);
    assert!(error <= 80, "{error}");
    assert!(others.iter().all(|other| error < other[2]), "{others:?}");
}

#[test]
fn a_trembling_box_on_the_edge_enters_a_zone_once() {
    let Some(folder) = data_file("tracking") else {
        return;
    };
    let corners = [
        [200.0, 250.0],
        [440.0, 250.0],
        [440.0, 480.0],
        [200.0, 480.0],
    ];
    let zone = |options: ZoneOptions, join| AnalyticsOptions {
        join,
        zones: vec![Zone {
            name: "crossing".to_owned(),
            corners: corners.map(|[x, y]| Point::new(x, y)).to_vec(),
            options,
        }],
        ..AnalyticsOptions::default()
    };
    let sequence = "TUD-Stadtmitte";
    let [rate, frames, ..] = info(&folder, sequence);
    let entered = |tracks: &MotTracks, options: ZoneOptions, join| {
        let analytics = run(&zone(options, join), tracks, frames as u64, rate);
        analytics.zones().next().unwrap().1.entered
    };
    let undamped = ZoneOptions {
        enter_after: 0.0,
        leave_after: 0.0,
        lost_after: 1e9,
        ..ZoneOptions::default()
    };
    let tracked = byte_track(&folder, sequence);
    assert_eq!(
        entered(&truth(&folder, sequence), undamped.clone(), None),
        4
    );
    assert_eq!(entered(&tracked, undamped, None), 27);
    let join = Some(JoinOptions::default());
    assert_eq!(entered(&tracked, ZoneOptions::default(), join), 4);
}
