//! Where a point of one frame is on the next, by the brightness around it (Lucas and Kanade, 1981), from
//! the smallest size of both to the largest (Bouguet, 2001).

use super::luma::Luma;

/// Side of the window that is compared: rows of whole vectors.
const SIDE: usize = 12;
/// The window with a pixel around it, for the gradients.
const OUTER: usize = SIDE + 2;
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

type Square = [[f32; SIDE]; SIDE];

/// A window of the first frame and how its brightness changes.
struct Window {
    values: Square,
    gradients_x: Square,
    gradients_y: Square,
}

impl Window {
    fn new(around: &[[f32; OUTER]; OUTER]) -> Self {
        let mut window = Self {
            values: [[0.0; SIDE]; SIDE],
            gradients_x: [[0.0; SIDE]; SIDE],
            gradients_y: [[0.0; SIDE]; SIDE],
        };
        for y in 0..SIDE {
            for x in 0..SIDE {
                window.values[y][x] = around[y + 1][x + 1];
                window.gradients_x[y][x] = (around[y + 1][x + 2] - around[y + 1][x]) / 2.0;
                window.gradients_y[y][x] = (around[y + 2][x + 1] - around[y][x + 1]) / 2.0;
            }
        }
        window
    }
}

/// Sum of the products, by columns first: a vector at a time.
fn sum_of_products(a: &Square, b: &Square) -> f64 {
    let mut sums = [0.0; SIDE];
    for (a, b) in a.iter().zip(b) {
        for x in 0..SIDE {
            sums[x] += a[x] * b[x];
        }
    }
    sum(&sums)
}

fn sum(columns: &[f32; SIDE]) -> f64 {
    columns.iter().copied().map(f64::from).sum()
}

fn refined(from: &Luma, to: &Luma, [x, y]: [f64; 2], mut flow: [f64; 2]) -> Option<[f64; 2]> {
    let reach = (SIDE / 2) as f64;
    let mut around = [[0.0; OUTER]; OUTER];
    let corner = [x, y].map(|value| value - reach - 1.0);
    from.square(corner[0], corner[1], |y, row| around[y] = *row)?;
    let window = Window::new(&around);
    let Window {
        values,
        gradients_x,
        gradients_y,
    } = &window;
    let xx = sum_of_products(gradients_x, gradients_x);
    let xy = sum_of_products(gradients_x, gradients_y);
    let yy = sum_of_products(gradients_y, gradients_y);
    let determinant = xx * yy - xy * xy;
    if determinant < 1.0 {
        return None;
    }
    for _ in 0..ITERATIONS {
        let mut missing = [[0.0; SIDE]; SIDE];
        let (mut sums_x, mut sums_y) = ([0.0; SIDE], [0.0; SIDE]);
        let corner = [x - reach + flow[0], y - reach + flow[1]];
        to.square::<SIDE>(corner[0], corner[1], |y, row| {
            for x in 0..SIDE {
                let value = values[y][x] - row[x];
                missing[y][x] = value;
                sums_x[x] += value * gradients_x[y][x];
                sums_y[x] += value * gradients_y[y][x];
            }
        })?;
        let (sum_x, sum_y) = (sum(&sums_x), sum(&sums_y));
        let step = [
            (yy * sum_x - xy * sum_y) / determinant,
            (xx * sum_y - xy * sum_x) / determinant,
        ];
        flow = [flow[0] + step[0], flow[1] + step[1]];
        if step[0] * step[0] + step[1] * step[1] < LAST_STEP * LAST_STEP {
            let difference: f32 = missing.as_flattened().iter().map(|it| it.abs()).sum();
            let is_same = difference / (SIDE * SIDE) as f32 <= MAX_DIFFERENCE;
            return is_same.then_some(flow);
        }
    }
    Some(flow)
}
