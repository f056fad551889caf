//! Samples of one colour in, a row of the image's full width out.
//!
//! Halved chroma is interpolated with weights 3 and 1 of the nearer and the farther neighbour on
//! each side, rounding up and down in turn as libjpeg does; other ratios are repeated.

use super::header::Component;
use super::window::Window;

/// Fills `out` with row `y` of the image, `width` samples or a few more.
pub(super) fn row(
    component: &Component,
    plane: &Window,
    (h_max, v_max): (usize, usize),
    y: usize,
    width: usize,
    out: &mut Vec<u8>,
) {
    out.clear();
    let line = |y: usize| &plane.row(y.min(component.height - 1))[..component.width];
    let (across, down) = (h_max / component.h, v_max / component.v);
    let near = line(y / down);
    let upper = y.is_multiple_of(2);
    let far = || {
        line(if upper {
            (y / 2).saturating_sub(1)
        } else {
            y / 2 + 1
        })
    };
    match (across, down) {
        (1, 1) => out.extend_from_slice(near),
        (1, 2) => between_rows(near, far(), if upper { 1 } else { 2 }, out),
        (2, 1) if component.width > 2 => between_columns(near, out),
        (2, 2) if component.width > 2 => between_both(near, far(), out),
        _ => {
            let repeated = near
                .iter()
                .flat_map(|&sample| std::iter::repeat_n(sample, across));
            out.extend(repeated.take(width));
        }
    }
}

fn between_rows(near: &[u8], far: &[u8], bias: u16, out: &mut Vec<u8>) {
    let pairs = near.iter().zip(far);
    out.extend(pairs.map(|(&near, &far)| {
        let sum = u16::from(near) * 3 + u16::from(far);
        ((sum + bias) >> 2) as u8
    }));
}

#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn between_columns(line: &[u8], out: &mut Vec<u8>) {
    let line: Vec<u16> = line.iter().map(|&sample| sample.into()).collect();
    spread(
        &line,
        out,
        |near, far, bias| ((near * 3 + far + bias) >> 2) as u8,
        [1, 2],
    );
}

#[multiversion::multiversion(targets("x86_64+avx2", "x86_64+sse4.1"))]
fn between_both(near: &[u8], far: &[u8], out: &mut Vec<u8>) {
    let pairs = near.iter().zip(far);
    let sums: Vec<u16> = pairs
        .map(|(&near, &far)| u16::from(near) * 3 + u16::from(far))
        .collect();
    spread(
        &sums,
        out,
        |near, far, bias| ((near * 3 + far + bias) >> 4) as u8,
        [8, 7],
    );
}

/// Two samples for each of `line`: one blended with the left neighbour, one with the right, each
/// with its own bias. The outermost blend with themselves.
#[inline(always)]
fn spread(line: &[u16], out: &mut Vec<u8>, blend: impl Fn(u16, u16, u16) -> u8, bias: [u16; 2]) {
    out.resize(line.len() * 2, 0);
    let last = line.len() - 1;
    out[0] = blend(line[0], line[0], bias[0]);
    out[2 * last + 1] = blend(line[last], line[last], bias[1]);
    let inner = &mut out[1..2 * last + 1];
    for (two, pair) in inner.chunks_exact_mut(2).zip(line.windows(2)) {
        two[0] = blend(pair[0], pair[1], bias[1]);
        two[1] = blend(pair[1], pair[0], bias[0]);
    }
}
