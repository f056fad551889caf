//! Pools against the textbook's, to the bit.

use super::*;
use crate::kernels::KernelSpec;
use crate::verify::conformance::KernelTestCase;

fn map(height: u32, width: u32, channels: u32) -> Map {
    let pitch = channels + 8;
    Map {
        height,
        width,
        channels,
        pitch,
    }
}

fn check(spec: &KernelSpec, batch: u32) {
    let target = Target::Sm90a;
    let case = KernelTestCase::new(spec, target, batch, 1);
    let tiled = spec.tiled(target, "pool", batch);
    assert_eq!(case.under_adversarial_schedules(&tiled, 5), Ok(0.0));
}

#[test]
fn a_chain_gives_every_pool_of_it() {
    for element in [Element::F16, Element::F32] {
        for (height, width, batch) in [(5, 5, 1), (20, 20, 1), (9, 23, 2), (1, 7, 1)] {
            let shape = ChainShape {
                element,
                input: map(height, width, 16),
                window: 5,
                pitches: vec![24, 16, 32],
            };
            check(&KernelSpec::PoolChain(shape), batch);
        }
    }
}

#[test]
fn single_pools_take_any_window() {
    for (kernel, stride, padding, output) in [
        ([2, 2], [2, 2], [0, 0], [4, 5]),
        ([3, 5], [2, 1], [1, 2], [5, 11]),
        ([2, 2], [1, 1], [0, 0], [9, 11]),
    ] {
        for element in [Element::F16, Element::F32] {
            let shape = PoolShape {
                element,
                input: map(9, 11, 8),
                window: Window {
                    kernel,
                    stride,
                    padding,
                    output,
                },
                pitch: 8,
            };
            check(&KernelSpec::Pool(shape), 2);
        }
    }
}
