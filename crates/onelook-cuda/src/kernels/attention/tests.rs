//! Attention against sums in f64.

use super::*;
use crate::kernels::trial::{self, Given};

/// Outputs pixel by pixel from inputs without gaps.
fn textbook(values: &[f32], attention: &Attention, tokens: usize) -> Vec<f64> {
    let Attention {
        heads,
        key_size: key,
        head_size: size,
        scale,
    } = *attention;
    let channels = heads * (2 * key + size);
    let mut out = Vec::new();
    for picture in values.chunks_exact(tokens * channels) {
        let at = |token: usize, channel: usize| f64::from(picture[token * channels + channel]);
        for (i, head) in (0..tokens).flat_map(|i| (0..heads).map(move |head| (i, head))) {
            let product = |j: usize| {
                let terms =
                    (0..key).map(|c| at(i, head * key + c) * at(j, (heads + head) * key + c));
                f64::from(scale) * terms.sum::<f64>()
            };
            let products: Vec<f64> = (0..tokens).map(product).collect();
            let largest = products.iter().copied().fold(f64::MIN, f64::max);
            let weights: Vec<f64> = products.iter().map(|p| (p - largest).exp()).collect();
            let total: f64 = weights.iter().sum();
            out.extend((0..size).map(|c| {
                let channel = 2 * heads * key + head * size + c;
                let terms = weights.iter().enumerate().map(|(j, w)| w * at(j, channel));
                terms.sum::<f64>() / total
            }));
        }
    }
    out
}

fn check(element: Element, sizes: [usize; 3], [height, width]: [u32; 2], batch: u32, tile: u32) {
    let [heads, key_size, head_size] = sizes;
    let attention = Attention {
        heads,
        key_size,
        head_size,
        scale: (key_size as f32).powf(-0.5),
    };
    let channels = (heads * (2 * key_size + head_size)) as u32;
    let input = Map {
        height,
        width,
        channels,
        pitch: channels + 8,
    };
    let outputs = (heads * head_size) as u32;
    let shape = AttentionShape {
        element,
        attention,
        input,
        pitch: outputs + 16,
    };
    assert!(shape.is_supported());
    let tokens = input.pixels();
    let values = trial::values(11, (tokens * channels * batch) as usize);
    let expected = textbook(&values, &attention, tokens as usize);
    let pixels = (tokens * batch) as usize;
    let given = [
        Given::Bytes(element.encode(trial::spread(&values, &input))),
        Given::Room(pixels * (outputs as usize + 16) * element.bytes() as usize),
    ];
    let mut tiled = super::attention(Target::Sm90a, "attention", &shape, batch * tile);
    tiled.grid[2] = batch;
    trial::run(&tiled, &given, |rooms| {
        let actual = trial::gather(&element.decode(&rooms[0]), outputs, outputs + 16);
        trial::assert_near(element, &actual, &expected);
    });
}

#[test]
fn pixels_attend_to_all_pixels_of_their_picture() {
    for element in [Element::F16, Element::F32] {
        check(element, [2, 32, 64], [7, 9], 2, 1);
        check(element, [1, 16, 32], [1, 1], 1, 1);
        check(element, [1, 32, 64], [8, 16], 1, 1);
    }
}

#[test]
fn keys_beyond_one_chunk_are_taken_in_turn() {
    check(Element::F16, [1, 16, 16], [3, 173], 1, 1);
}

#[test]
fn every_way_to_cut_the_work_gives_the_same() {
    for element in [Element::F16, Element::F32] {
        for tile in [24, 96] {
            check(element, [2, 16, 16], [9, 11], 1, tile);
        }
    }
}
