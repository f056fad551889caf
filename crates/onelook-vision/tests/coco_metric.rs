//! The metric against figures that pycocotools computed for the same random records.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use onelook_vision::metric::{CocoResult, CocoStats, GroundTruth, evaluate};

#[derive(Default)]
struct Set {
    name: String,
    images: Vec<u64>,
    truths: Vec<GroundTruth>,
    predictions: Vec<CocoResult>,
    stats: Vec<f64>,
    classes: Vec<[f64; 3]>,
}

fn sets() -> Vec<Set> {
    let mut sets: Vec<Set> = Vec::new();
    for line in include_str!("fixtures/coco.txt").lines() {
        let (kind, rest) = line.split_once(' ').unwrap();
        if kind == "#" {
            continue;
        }
        if kind == "set" {
            sets.push(Set {
                name: rest.to_owned(),
                ..Set::default()
            });
            continue;
        }
        let values: Vec<f64> = rest.split(' ').map(|word| word.parse().unwrap()).collect();
        let set = sets.last_mut().unwrap();
        match kind {
            "i" => set.images = values.iter().map(|&id| id as u64).collect(),
            "g" => set.truths.push(GroundTruth {
                image: values[0] as u64,
                category: values[1] as usize,
                bbox: values[2..6].try_into().unwrap(),
                area: values[6],
                crowd: values[7] != 0.0,
            }),
            "p" => set.predictions.push(CocoResult {
                image: values[0] as u64,
                category: values[1] as usize,
                bbox: values[2..6].try_into().unwrap(),
                score: values[6],
            }),
            "stats" => set.stats = values,
            "class" => set.classes.push(values.try_into().unwrap()),
            other => panic!("unknown line {other}"),
        }
    }
    sets
}

fn assert_close(actual: f64, expected: f64, what: &str) {
    assert!(
        (actual - expected).abs() < 1e-9,
        "{what}: {actual} instead of {expected}"
    );
}

#[test]
fn all_twelve_figures_and_every_class_equal_pycocotools() {
    let sets = sets();
    assert_eq!(sets.len(), 3);
    for set in sets {
        let result = evaluate(&set.truths, &set.predictions, &set.images);
        for (index, (actual, expected)) in result.stats.iter().zip(&set.stats).enumerate() {
            assert_close(*actual, *expected, &format!("{} figure {index}", set.name));
        }
        assert_eq!(result.classes.len(), set.classes.len());
        for (class, [category, ap50_95, ap50]) in result.classes.iter().zip(set.classes) {
            assert_eq!(class.category, category as usize);
            assert_close(class.ap50_95, ap50_95, &set.name);
            assert_close(class.ap50, ap50, &set.name);
        }
    }
}

#[test]
fn every_object_and_every_sure_prediction_is_in_the_confusion_matrix_once() {
    for set in sets() {
        let mut truths = set.truths.clone();
        truths.retain(|truth| !truth.crowd);
        let sure = set.predictions.iter().filter(|p| p.score > 0.25).count() as u64;
        let confusion = evaluate(&truths, &set.predictions, &set.images).confusion;
        let background = confusion.categories.len();
        let columns = confusion.counts.iter().map(|row| &row[..background]);
        assert_eq!(columns.flatten().sum::<u64>(), truths.len() as u64);
        let rows = confusion.counts[..background].iter();
        assert_eq!(rows.flatten().sum::<u64>(), sure);
    }
}

fn square(category: usize, x: f64) -> GroundTruth {
    GroundTruth {
        image: 1,
        category,
        bbox: [x, 0.0, 10.0, 10.0],
        area: 100.0,
        crowd: false,
    }
}

fn claim(category: usize, x: f64, score: f64) -> CocoResult {
    CocoResult {
        image: 1,
        category,
        bbox: [x, 0.0, 10.0, 10.0],
        score,
    }
}

fn evaluate_one(truths: &[GroundTruth], predictions: &[CocoResult]) -> CocoStats {
    evaluate(truths, predictions, &[1])
}

#[test]
fn perfect_predictions_have_a_perfect_score() {
    let truths = [square(0, 0.0), square(0, 50.0), square(3, 100.0)];
    let claims = [
        claim(0, 0.0, 0.9),
        claim(0, 50.0, 0.8),
        claim(3, 100.0, 0.7),
    ];
    let result = evaluate_one(&truths, &claims);
    assert_close(result.map50_95(), 1.0, "mAP50-95");
    assert_eq!((result.precision, result.recall), (1.0, 1.0));
    assert_eq!(result.confusion.categories, [0, 3]);
    assert_eq!(result.confusion.counts, [[2, 0, 0], [0, 1, 0], [0, 0, 0]]);
}

#[test]
fn a_wrong_class_is_a_confusion_and_a_stray_box_is_background() {
    let truths = [square(0, 0.0), square(1, 200.0)];
    let claims = [claim(1, 0.0, 0.9), claim(1, 500.0, 0.8), claim(1, 0.0, 0.1)];
    let confusion = evaluate_one(&truths, &claims).confusion;
    assert_eq!(confusion.counts, [[0, 0, 0], [1, 0, 1], [0, 1, 0]]);
}

#[test]
fn nothing_to_find_and_nothing_found_are_no_errors() {
    assert_eq!(evaluate(&[], &[], &[]).stats, [-1.0; 12]);
    assert_eq!(evaluate_one(&[square(0, 0.0)], &[]).map50(), 0.0);
    let only_claims = evaluate_one(&[], &[claim(0, 0.0, 0.9)]);
    assert_eq!(only_claims.map50(), -1.0);
}

#[test]
fn scores_that_are_no_numbers_are_left_out() {
    let claims = [claim(0, 0.0, f64::NAN), claim(0, 0.0, 0.5)];
    assert_close(
        evaluate_one(&[square(0, 0.0)], &claims).map50(),
        1.0,
        "mAP50",
    );
}

#[test]
fn records_of_other_images_are_left_out() {
    let far = GroundTruth {
        image: 2,
        ..square(0, 0.0)
    };
    let result = evaluate_one(&[square(0, 0.0), far], &[claim(0, 0.0, 0.5)]);
    assert_eq!(result.classes[0].instances, 1);
}
