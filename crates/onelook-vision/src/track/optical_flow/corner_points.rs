//! Points around which brightness changes in both directions (Shi and Tomasi, 1994), spread over the
//! frame.

use super::luma::Luma;

/// Points lie in squares of so many pixels, one in each.
const CELL: usize = 16;
/// Half the side of the window in which a corner is looked for.
const REACH: usize = 2;
/// A corner is at least this part as strong as the strongest.
const QUALITY: f32 = 0.01;
/// Weaker corners are noise.
const LEAST_STRENGTH: f32 = 4.0;
/// Rows of a window.
const ROWS: usize = 2 * REACH + 1;

/// The strongest corner of each cell, if it is one.
///
/// A pixel's strength is the lesser eigenvalue of the gradients' covariance, per pixel of the window
/// around it. Every second pixel of every second row is looked at: corners are wider than that.
pub(super) fn corner_points(luma: &Luma) -> Vec<[f64; 2]> {
    let margin = REACH + 1;
    if luma.width < 2 * margin + 1 || luma.height < 2 * margin + 1 {
        return Vec::new();
    }
    let (right, bottom) = (luma.width - margin, luma.height - margin);
    let cells_across = luma.width.div_ceil(CELL);
    let mut cells = vec![(0.0_f32, 0, 0); cells_across * luma.height.div_ceil(CELL)];
    // Products of gradients of the last rows, by row number.
    let mut rows: [Products; ROWS] = std::array::from_fn(|_| Products::new(luma.width));
    let mut sums = Products::new(luma.width);
    for y in 1..margin - 1 + REACH {
        rows[y % ROWS].fill(luma, y);
    }
    for y in margin..bottom {
        rows[(y + REACH) % ROWS].fill(luma, y + REACH);
        if (y - margin) % 2 == 1 {
            continue;
        }
        sums.add_up(&rows);
        for x in (margin..right).step_by(2) {
            let best = &mut cells[y / CELL * cells_across + x / CELL];
            if let Some(strength) = sums.strength_above(x, best.0) {
                *best = (strength, x, y);
            }
        }
    }
    let strongest = cells.iter().fold(0.0, |most: f32, cell| most.max(cell.0));
    let least = (strongest * QUALITY).max(LEAST_STRENGTH);
    let corners = cells.into_iter().filter(|cell| cell.0 >= least);
    corners.map(|(_, x, y)| [x as f64, y as f64]).collect()
}

/// Squares and products of the gradients of a row, or sums of them over rows.
struct Products {
    xx: Vec<f32>,
    xy: Vec<f32>,
    yy: Vec<f32>,
}

impl Products {
    fn new(width: usize) -> Self {
        Self {
            xx: vec![0.0; width],
            xy: vec![0.0; width],
            yy: vec![0.0; width],
        }
    }

    /// Of row `y`, which has rows above and below; twice the gradients, to save divisions.
    fn fill(&mut self, luma: &Luma, y: usize) {
        let inner = luma.width - 2;
        let (left, right) = (&luma.row(y)[..inner], &luma.row(y)[2..]);
        let (above, below) = (
            &luma.row(y - 1)[1..][..inner],
            &luma.row(y + 1)[1..][..inner],
        );
        let products = [&mut self.xx, &mut self.xy, &mut self.yy];
        let [xx, xy, yy] = products.map(|values| &mut values[1..][..inner]);
        for x in 0..inner {
            let (dx, dy) = (right[x] - left[x], below[x] - above[x]);
            (xx[x], xy[x], yy[x]) = (dx * dx, dx * dy, dy * dy);
        }
    }

    fn add_up(&mut self, rows: &[Self; ROWS]) {
        let add = |sums: &mut Vec<f32>, rows: [&Vec<f32>; ROWS]| {
            sums.copy_from_slice(rows[0]);
            for row in &rows[1..] {
                for (sum, value) in sums.iter_mut().zip(*row) {
                    *sum += value;
                }
            }
        };
        add(&mut self.xx, rows.each_ref().map(|row| &row.xx));
        add(&mut self.xy, rows.each_ref().map(|row| &row.xy));
        add(&mut self.yy, rows.each_ref().map(|row| &row.yy));
    }

    /// Of sums over rows: the strength of the window around column `x`, if it is more than `least`.
    fn strength_above(&self, x: usize, least: f32) -> Option<f32> {
        let sum = |values: &[f32]| values[x - REACH..=x + REACH].iter().sum::<f32>();
        // The gradients are twice what they are.
        let strength = |eigenvalue: f32| eigenvalue / (4 * ROWS * ROWS) as f32;
        let (xx, yy) = (sum(&self.xx), sum(&self.yy));
        // The lesser eigenvalue is at most either of them.
        if strength(xx.min(yy)) <= least {
            return None;
        }
        let xy = sum(&self.xy);
        let difference = (xx - yy) / 2.0;
        let lesser = (xx + yy) / 2.0 - (difference * difference + xy * xy).sqrt();
        Some(strength(lesser)).filter(|strength| *strength > least)
    }
}
