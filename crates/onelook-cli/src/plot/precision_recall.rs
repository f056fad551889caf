//! Precision over recall at IoU 0.50: a thin line per class, a thick one for their mean.

use std::path::Path;

use onelook::vision::metric::CocoStats;
use plotters::prelude::*;

use super::undrawn::undrawn;
use crate::failure::Failure;
use crate::output::write_whole;

const SIZE: (u32, u32) = (900, 700);

/// Writes the plot.
pub fn precision_recall(stats: &CocoStats, path: &Path) -> Result<(), Failure> {
    let curves: Vec<&[f64]> = stats
        .classes
        .iter()
        .map(|class| class.precision_at_recall.as_slice())
        .filter(|curve| !curve.is_empty())
        .collect();
    let svg = paint(&curves, stats.map50()).map_err(|error| undrawn(path)(error.to_string()))?;
    write_whole(path, svg.as_bytes())
}

fn paint(curves: &[&[f64]], map50: f64) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .margin(20)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .caption(
            format!("all classes {map50:.3} mAP at IoU 0.50"),
            ("sans-serif", 22),
        )
        .build_cartesian_2d(0.0..1.0, 0.0..1.02)?;
    chart
        .configure_mesh()
        .x_desc("Recall")
        .y_desc("Precision")
        .draw()?;
    for curve in curves {
        chart.draw_series(LineSeries::new(
            points(curve),
            BLACK.mix(0.15).stroke_width(1),
        ))?;
    }
    let mean = mean(curves);
    chart.draw_series(LineSeries::new(points(&mean), BLUE.stroke_width(3)))?;
    root.present()?;
    // Both borrow the text.
    drop(chart);
    drop(root);
    Ok(svg)
}

fn points(curve: &[f64]) -> Vec<(f64, f64)> {
    let steps = (curve.len().max(2) - 1) as f64;
    let point = |(index, &precision): (usize, &f64)| (index as f64 / steps, precision);
    curve.iter().enumerate().map(point).collect()
}

fn mean(curves: &[&[f64]]) -> Vec<f64> {
    let length = curves.iter().map(|curve| curve.len()).min().unwrap_or(0);
    let at = |index: usize| curves.iter().map(|curve| curve[index]).sum::<f64>();
    (0..length)
        .map(|index| at(index) / curves.len() as f64)
        .collect()
}
