//! The metric on real predictions over the first 128 images of COCO val2017, against the figures
//! that pycocotools 2.0 computed for them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use flate2::read::GzDecoder;
use onelook_vision::metric::{CocoResult, GroundTruth, evaluate};
use serde_json::Value;
use test_support::data;

const EXPECTED: [(&str, [f64; 12]); 3] = [
    (
        "yolo11n-recon",
        [
            0.4525030484558688,
            0.6052932939696573,
            0.5015300116081,
            0.210057126049296,
            0.4496344664463204,
            0.6311453472212792,
            0.4042038691689864,
            0.6131345477684168,
            0.6559896482616487,
            0.3697697175124359,
            0.6251085825614127,
            0.7805712917350848,
        ],
    ),
    (
        "yolov8n",
        [
            0.4364712670282372,
            0.5989435460288912,
            0.4705278407717599,
            0.2269425416813901,
            0.4167308346670585,
            0.6102131570620867,
            0.3697055804038289,
            0.593626717856647,
            0.6427889778061965,
            0.3541036620162834,
            0.6155152114586077,
            0.7757580733442803,
        ],
    ),
    (
        "yolo26n",
        [
            0.4701387234632684,
            0.6265125265324291,
            0.4971374764916629,
            0.2186546013014314,
            0.4401665250762136,
            0.6500234217240013,
            0.4031355038456697,
            0.6270958659691854,
            0.6537419656602403,
            0.3438942864185562,
            0.6224638789733129,
            0.7812374030071799,
        ],
    ),
];

fn bbox(record: &Value) -> [f64; 4] {
    std::array::from_fn(|index| record["bbox"][index].as_f64().unwrap())
}

fn ground_truth(instances: &Value) -> Vec<GroundTruth> {
    let read = |record: &Value| GroundTruth {
        image: record["image_id"].as_u64().unwrap(),
        category: record["category_id"].as_u64().unwrap() as usize,
        bbox: bbox(record),
        area: record["area"].as_f64().unwrap(),
        crowd: record["iscrowd"] == 1,
    };
    instances["annotations"]
        .as_array()
        .unwrap()
        .iter()
        .map(read)
        .collect()
}

fn predictions(path: &Path) -> Vec<CocoResult> {
    let records: Value =
        serde_json::from_reader(GzDecoder::new(File::open(path).unwrap())).unwrap();
    let read = |record: &Value| CocoResult {
        image: record["image_id"].as_u64().unwrap(),
        category: record["category_id"].as_u64().unwrap() as usize,
        bbox: bbox(record),
        score: record["score"].as_f64().unwrap(),
    };
    records.as_array().unwrap().iter().map(read).collect()
}

#[test]
fn real_predictions_score_as_pycocotools_scores_them() {
    let Some(data) = data() else { return };
    let instances = File::open(data.join("coco-val-subset/instances.json")).unwrap();
    let instances: Value = serde_json::from_reader(instances).unwrap();
    let truths = ground_truth(&instances);
    let images: BTreeSet<u64> = instances["images"]
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["id"].as_u64().unwrap())
        .collect();
    let images: Vec<u64> = images.into_iter().collect();
    for (model, expected) in EXPECTED {
        let file = format!("reference/{model}_val-subset_predictions.json.gz");
        let result = evaluate(&truths, &predictions(&data.join(file)), &images);
        for (figure, (actual, expected)) in result.stats.iter().zip(expected).enumerate() {
            assert!(
                (actual - expected).abs() < 1e-9,
                "{model}, figure {figure}: {actual} instead of {expected}"
            );
        }
        eprintln!(
            "{model}: mAP50-95 {:.4}, mAP50 {:.4}, P {:.3} R {:.3} at confidence {:.3}",
            result.map50_95(),
            result.map50(),
            result.precision,
            result.recall,
            result.confidence
        );
    }
}
