//! Which class was taken for which, as a heat map; columns are the truth.

use std::path::Path;

use onelook::vision::metric::ConfusionMatrix;
use plotters::prelude::*;

use super::undrawn::undrawn;
use crate::failure::Failure;
use crate::output::write_whole;

/// Pixels of a cell, and of the margin for names.
const CELL: i32 = 14;
const MARGIN: i32 = 130;

/// Writes the plot; `name` gives the name of a category.
pub fn confusion<'a>(
    matrix: &ConfusionMatrix,
    name: impl Fn(usize) -> &'a str,
    path: &Path,
) -> Result<(), Failure> {
    let mut names: Vec<&str> = matrix.categories.iter().map(|&id| name(id)).collect();
    names.push("background");
    let svg = paint(matrix, &names).map_err(|error| undrawn(path)(error.to_string()))?;
    write_whole(path, svg.as_bytes())
}

fn paint(matrix: &ConfusionMatrix, names: &[&str]) -> Result<String, Box<dyn std::error::Error>> {
    let side = (MARGIN + CELL * names.len() as i32 + 20) as u32;
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, (side, side)).into_drawing_area();
    root.fill(&WHITE)?;
    let style = ("sans-serif", CELL - 4).into_font();
    let upright = style.transform(FontTransform::Rotate90);
    root.draw(&Text::new(
        "predicted (rows), true (columns)",
        (4, 4),
        style.clone(),
    ))?;
    for (index, name) in names.iter().enumerate() {
        let place = MARGIN + CELL * index as i32;
        root.draw(&Text::new(
            (*name).to_owned(),
            (4, place + 2),
            style.clone(),
        ))?;
        root.draw(&Text::new(
            (*name).to_owned(),
            (place + CELL, 20),
            upright.clone(),
        ))?;
    }
    for (row, column, share) in shares(matrix) {
        let (x, y) = (MARGIN + CELL * column as i32, MARGIN + CELL * row as i32);
        let cell = [(x, y), (x + CELL - 1, y + CELL - 1)];
        root.draw(&Rectangle::new(cell, BLUE.mix(share.max(0.08)).filled()))?;
    }
    root.present()?;
    drop(root);
    Ok(svg)
}

/// Row, column and share of its column of each count that is not zero.
fn shares(matrix: &ConfusionMatrix) -> Vec<(usize, usize, f64)> {
    let rows = matrix.counts.iter().enumerate();
    let cells = rows.flat_map(|(row, counts)| {
        let cells = counts.iter().enumerate();
        cells.map(move |(column, &count)| (row, column, count))
    });
    let total = |column: usize| matrix.counts.iter().map(|row| row[column]).sum::<u64>();
    cells
        .filter(|&(_, _, count)| count > 0)
        .map(|(row, column, count)| (row, column, count as f64 / total(column) as f64))
        .collect()
}
