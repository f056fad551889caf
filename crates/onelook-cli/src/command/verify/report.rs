//! How two sets of predictions compare: a line per image, a verdict; or an object.

use onelook::printable::printable;
use onelook::{Parity, Tolerance};
use serde_json::{Value, json};

use super::compared::Compared;
use crate::console::Console;
use crate::failure::Failure;

/// All images together.
pub fn total(compared: &[Compared]) -> Parity {
    let mut total = Parity::default();
    compared.iter().for_each(|one| total.add(&one.parity));
    total
}

/// The largest error of raw tensors that could be compared.
pub fn worst_raw(compared: &[Compared]) -> Option<f32> {
    compared.iter().filter_map(|one| one.raw).reduce(f32::max)
}

pub fn words(
    compared: &[Compared],
    routes: &[String; 2],
    tolerance: &Tolerance,
    names: &[String],
    console: &Console,
) -> Result<(), Failure> {
    console.line(format!("first     {}", routes[0]))?;
    console.line(format!("second    {}", routes[1]))?;
    for one in compared {
        let verdict = if one.parity.holds(tolerance) {
            "same"
        } else {
            "DIFFERS"
        };
        console.line(format!(
            "{:<9} {}: {}",
            verdict,
            printable(&one.name),
            sentence(&one.parity)
        ))?;
        let alone = [
            ("first", &one.parity.only_first),
            ("second", &one.parity.only_second),
        ];
        for (which, found) in alone {
            for found in found {
                let name = names.get(found.class).map_or("?", String::as_str);
                console.line(format!("          only {which}: {name} {:.3}", found.score))?;
            }
        }
    }
    console.line(format!(
        "in all    {} images: {}",
        compared.len(),
        sentence(&total(compared))
    ))?;
    let raw = worst_raw(compared).map_or_else(
        || "not comparable (a recording, or heads of different form)".to_owned(),
        |error| format!("largest relative error {error:.2e}"),
    );
    console.line(format!("raw       {raw}"))?;
    let tolerated = format!(
        "tolerance {} px, {} score",
        tolerance.pixels, tolerance.score
    );
    console.line(match total(compared).worst_mask_iou {
        Some(_) => format!("{tolerated}, {} mask IoU", tolerance.mask_iou),
        None => tolerated,
    })?;
    Ok(())
}

/// The differences in words.
pub fn sentence(parity: &Parity) -> String {
    let boxes = format!(
        "{} matched, {} only first, {} only second, worst {:.3} px, {:.5} score",
        parity.matched,
        parity.only_first.len(),
        parity.only_second.len(),
        parity.worst_pixels,
        parity.worst_score
    );
    let masks = parity.worst_mask_iou;
    let masks = masks.map(|iou| format!(", {iou:.4} mask IoU"));
    let boxes_only = match parity.not_compared {
        0 => String::new(),
        count => format!(", {count} compared by their boxes only"),
    };
    boxes + &masks.unwrap_or_default() + &boxes_only
}

pub fn value(compared: &[Compared], routes: &[String; 2], tolerance: &Tolerance) -> Value {
    let figures = |parity: &Parity, raw: Option<f32>| {
        json!({
            "same": parity.holds(tolerance),
            "matched": parity.matched,
            "only_first": parity.only_first.len(),
            "only_second": parity.only_second.len(),
            "worst_pixels": parity.worst_pixels,
            "worst_score": parity.worst_score,
            "worst_mask_iou": parity.worst_mask_iou,
            "compared_by_boxes_only": parity.not_compared,
            "raw_error": raw,
        })
    };
    let images = compared.iter().map(|one| {
        let mut value = figures(&one.parity, one.raw);
        value["source"] = json!(one.name);
        value
    });
    let mut value = figures(&total(compared), worst_raw(compared));
    value["routes"] = json!(routes);
    value["tolerance"] = json!({
        "pixels": tolerance.pixels,
        "score": tolerance.score,
        "mask_iou": tolerance.mask_iou,
    });
    value["images"] = images.collect();
    value
}
