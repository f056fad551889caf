//! Attention against sums in f64.

use super::*;
use crate::kernels::KernelSpec;
use crate::verify::conformance::{KernelTestCase, tolerance};

/// `tiles_of`: the batch that the tiles are chosen for.
fn check(
    element: Element,
    sizes: [usize; 3],
    [height, width]: [u32; 2],
    batch: u32,
    tiles_of: u32,
) {
    let [heads, key_size, head_size] = sizes;
    let attention = Attention {
        heads,
        key_size,
        head_size,
        scale: (key_size as f32).powf(-0.5),
    };
    let channels = (heads * (2 * key_size + head_size)) as u32;
    let shape = AttentionShape {
        element,
        attention,
        input: Map {
            height,
            width,
            channels,
            pitch: channels + 8,
        },
        pitch: (heads * head_size) as u32 + 16,
    };
    assert!(shape.is_supported());
    let mut tiled = super::attention(Target::Sm90a, "attention", &shape, tiles_of);
    tiled.grid[2] = batch;
    let case = KernelTestCase::new(&KernelSpec::Attention(shape), Target::Sm90a, batch, 1);
    let off = case.under_adversarial_schedules(&tiled, 5).unwrap();
    assert!(off <= tolerance(element), "off by {off:e}");
}

#[test]
fn pixels_attend_to_all_pixels_of_their_image() {
    for element in [Element::F16, Element::F32] {
        check(element, [2, 32, 64], [7, 9], 2, 2);
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
