//! Where a point of one frame is on the next, by the brightness around it (Lucas and Kanade, 1981), from
//! the smallest size of both to the largest (Bouguet, 2001).

use super::luma::Luma;

/// Half the side of the window that is compared.
const REACH: i32 = 6;
/// Steps at one size.
const ITERATIONS: usize = 12;
/// A step of fewer pixels is the last one.
const LAST_STEP: f64 = 0.02;
/// Mean difference of brightness at which the point counts as lost.
const MAX_DIFFERENCE: f32 = 20.0;

/// The point on the second frame; nothing where it cannot be followed. Both frames by size, the largest
/// first.
pub(super) fn follow(from: &[Luma], to: &[Luma], point: [f64; 2]) -> Option<[f64; 2]> {
    let mut flow = [0.0; 2];
    for (level, (from, to)) in from.iter().zip(to).enumerate().rev() {
        let factor = f64::from(1 << level);
        // Pixels of a smaller size lie between those of a larger one.
        let at = point.map(|value| (value + 0.5) / factor - 0.5);
        flow = flow.map(|value| value * 2.0);
        match refined(from, to, at, flow) {
            Some(found) => flow = found,
            // Only the edges of small sizes are near.
            None if level > 0 => {}
            None => return None,
        }
    }
    Some([point[0] + flow[0], point[1] + flow[1]])
}

fn refined(from: &Luma, to: &Luma, [x, y]: [f64; 2], mut flow: [f64; 2]) -> Option<[f64; 2]> {
    let side = (2 * REACH + 1) as usize;
    let window = || {
        (-REACH..=REACH)
            .flat_map(|dy| (-REACH..=REACH).map(move |dx| (f64::from(dx), f64::from(dy))))
    };
    // The window and a pixel around it, for the gradients.
    let mut around = Vec::with_capacity((side + 2) * (side + 2));
    for dy in -REACH - 1..=REACH + 1 {
        for dx in -REACH - 1..=REACH + 1 {
            around.push(from.sample(x + f64::from(dx), y + f64::from(dy))?);
        }
    }
    let mut patch = Vec::with_capacity(side * side);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for row in 1..=side {
        for middle in row * (side + 2) + 1..=row * (side + 2) + side {
            let gradient_x = f64::from(around[middle + 1] - around[middle - 1]) / 2.0;
            let gradient_y = f64::from(around[middle + side + 2] - around[middle - side - 2]) / 2.0;
            patch.push((around[middle], gradient_x, gradient_y));
            xx += gradient_x * gradient_x;
            xy += gradient_x * gradient_y;
            yy += gradient_y * gradient_y;
        }
    }
    let determinant = xx * yy - xy * xy;
    if determinant < 1.0 {
        return None;
    }
    for _ in 0..ITERATIONS {
        let (mut sum_x, mut sum_y) = (0.0, 0.0);
        let mut difference = 0.0;
        for ((dx, dy), &(value, gradient_x, gradient_y)) in window().zip(&patch) {
            let missing = value - to.sample(x + dx + flow[0], y + dy + flow[1])?;
            difference += missing.abs();
            sum_x += f64::from(missing) * gradient_x;
            sum_y += f64::from(missing) * gradient_y;
        }
        let step = [
            (yy * sum_x - xy * sum_y) / determinant,
            (xx * sum_y - xy * sum_x) / determinant,
        ];
        flow = [flow[0] + step[0], flow[1] + step[1]];
        if step[0].hypot(step[1]) < LAST_STEP {
            return (difference / patch.len() as f32 <= MAX_DIFFERENCE).then_some(flow);
        }
    }
    Some(flow)
}
