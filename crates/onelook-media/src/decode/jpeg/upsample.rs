//! Samples of one colour in, a row of the picture's full width out.
//!
//! Halved chroma is interpolated with weights 3 and 1 of the nearer and the farther neighbour on
//! each side, rounding up and down in turn as libjpeg does; other ratios are repeated.

use super::header::Component;

/// Fills `out` with row `y` of the picture, `width` samples or a few more.
pub(super) fn row(
    component: &Component,
    plane: &[u8],
    (h_max, v_max): (usize, usize),
    y: usize,
    width: usize,
    out: &mut Vec<u8>,
) {
    out.clear();
    let stride = component.blocks_wide * 8;
    let line = |y: usize| &plane[y.min(component.height - 1) * stride..][..component.width];
    let (across, down) = (h_max / component.h, v_max / component.v);
    let near = line(y / down);
    let upper = y.is_multiple_of(2);
    let far = line(if upper {
        (y / 2).saturating_sub(1)
    } else {
        y / 2 + 1
    });
    match (across, down) {
        (1, 1) => out.extend_from_slice(near),
        (1, 2) => between_rows(near, far, if upper { 1 } else { 2 }, out),
        (2, 1) if component.width > 2 => between_columns(near, out),
        (2, 2) if component.width > 2 => between_both(near, far, out),
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
    out.extend(
        pairs.map(|(&near, &far)| ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8),
    );
}

fn between_columns(line: &[u8], out: &mut Vec<u8>) {
    let blend =
        |near: u8, far: u8, bias: u16| ((u16::from(near) * 3 + u16::from(far) + bias) >> 2) as u8;
    let last = line.len() - 1;
    out.extend([line[0], blend(line[0], line[1], 2)]);
    for three in line.windows(3) {
        out.extend([blend(three[1], three[0], 1), blend(three[1], three[2], 2)]);
    }
    out.extend([blend(line[last], line[last - 1], 1), line[last]]);
}

fn between_both(near: &[u8], far: &[u8], out: &mut Vec<u8>) {
    let sum = |at: usize| u16::from(near[at]) * 3 + u16::from(far[at]);
    let blend = |near: u16, far: u16, bias: u16| ((near * 3 + far + bias) >> 4) as u8;
    let last = near.len() - 1;
    let (mut before, mut here) = (sum(0), sum(0));
    for at in 0..last {
        let after = sum(at + 1);
        out.extend([blend(here, before, 8), blend(here, after, 7)]);
        (before, here) = (here, after);
    }
    out.extend([blend(here, before, 8), blend(here, here, 7)]);
}
