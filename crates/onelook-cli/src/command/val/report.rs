//! Figures as a table for people, as an object for machines, and predictions in COCO's form.

use onelook::Validation;
use onelook::dataset::Dataset;
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::Failure;

/// Names of pycocotools' figures, in its order.
const FIGURES: [&str; 12] = [
    "AP  IoU 0.50:0.95, all, 100",
    "AP  IoU 0.50,      all, 100",
    "AP  IoU 0.75,      all, 100",
    "AP  IoU 0.50:0.95, small, 100",
    "AP  IoU 0.50:0.95, medium, 100",
    "AP  IoU 0.50:0.95, large, 100",
    "AR  IoU 0.50:0.95, all, 1",
    "AR  IoU 0.50:0.95, all, 10",
    "AR  IoU 0.50:0.95, all, 100",
    "AR  IoU 0.50:0.95, small, 100",
    "AR  IoU 0.50:0.95, medium, 100",
    "AR  IoU 0.50:0.95, large, 100",
];

/// The table of the classes if `verbose`, the twelve figures, the speed.
pub fn words(
    validation: &Validation,
    dataset: &Dataset,
    verbose: bool,
    console: &Console,
) -> Result<(), Failure> {
    let stats = &validation.stats;
    let row = |name: &str, images: usize, instances: usize, figures: [f64; 4]| {
        let [precision, recall, ap50, ap] = figures;
        console.line(format!(
            "{name:>22} {images:>8} {instances:>10} {precision:>8.3} {recall:>8.3} {ap50:>8.3} {ap:>9.3}"
        ))
    };
    console.line(format!(
        "{:>22} {:>8} {:>10} {:>8} {:>8} {:>8} {:>9}",
        "class", "images", "instances", "P", "R", "mAP50", "mAP50-95"
    ))?;
    let all = [
        stats.precision,
        stats.recall,
        stats.map50(),
        stats.map50_95(),
    ];
    row("all", validation.images, validation.instances, all)?;
    for class in stats.classes.iter().filter(|_| verbose) {
        let figures = [class.precision, class.recall, class.ap50, class.ap50_95];
        row(
            dataset.name(class.category),
            class.images,
            class.instances,
            figures,
        )?;
    }
    console.line(format!(
        "P and R at confidence {:.3}, where F1 is best\n",
        stats.confidence
    ))?;
    for (name, figure) in FIGURES.iter().zip(stats.stats) {
        console.line(format!("{name:<32} {figure:.4}"))?;
    }
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    console.line(format!(
        "\nSpeed: {:.1}ms preprocess, {:.1}ms inference, {:.1}ms postprocess per image",
        milliseconds(validation.speed.preprocess),
        milliseconds(validation.speed.inference),
        milliseconds(validation.speed.postprocess),
    ))?;
    Ok(())
}

/// One object; other tools read `map50_95`, `map50` and `stats`, so their form is fixed.
pub fn value(validation: &Validation, dataset: &Dataset) -> Value {
    let stats = &validation.stats;
    let classes = stats.classes.iter().map(|class| {
        json!({
            "name": dataset.name(class.category),
            "category_id": class.category,
            "images": class.images,
            "instances": class.instances,
            "precision": class.precision,
            "recall": class.recall,
            "map50": class.ap50,
            "map50_95": class.ap50_95,
        })
    });
    json!({
        "map50_95": stats.map50_95(),
        "map50": stats.map50(),
        "stats": stats.stats,
        "images": validation.images,
        "instances": validation.instances,
        "precision": stats.precision,
        "recall": stats.recall,
        "confidence": stats.confidence,
        "classes": classes.collect::<Vec<_>>(),
    })
}

/// COCO's results form.
pub fn predictions(validation: &Validation) -> Value {
    let round = |value: f64, scale: f64| (value * scale).round() / scale;
    let rows = validation.predictions.iter().map(|claim| {
        json!({
            "image_id": claim.image,
            "category_id": claim.category,
            "bbox": claim.bbox.map(|value| round(value, 1e3)),
            "score": round(claim.score, 1e5),
        })
    });
    Value::Array(rows.collect())
}
