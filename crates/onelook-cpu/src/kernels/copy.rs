//! Planes of one blocked map copied into another, whose padding may differ.

use super::layout::{Element, MapMut, MapView};

/// The kernel's name in listings, on maps of type `element`.
pub fn name(element: Element) -> &'static str {
    match element {
        Element::F32 => "copy_f32_blocked_portable",
        Element::Bf16 => "copy_bf16_blocked_portable",
    }
}

/// Tasks for `batch` images of `planes` planes.
pub fn tasks(planes: usize, batch: usize) -> usize {
    planes * batch
}

/// Copies plane `task`.
///
/// # Safety
/// The views are valid and have the same channels, height, width and type; other threads run other tasks only; the maps do
/// not overlap.
pub unsafe fn run(input: MapView, output: MapMut, task: usize) {
    let planes = output.layout().planes();
    let (image, plane) = (task / planes, task % planes);
    for y in 0..output.layout().height {
        let (source, target) = (
            input.pixel(image, plane, y as isize, 0),
            output.pixel(image, plane, y as isize, 0),
        );
        // SAFETY: the rows lie within the maps.
        unsafe {
            target.copy_from_nonoverlapping(
                source,
                output.layout().width * output.layout().block_words(),
            )
        }
    }
    // SAFETY: the plane is this task's alone.
    unsafe { output.zero_padding(image, plane, 0..output.layout().height) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::MapLayout;
    use crate::kernels::testing::{Map, random_of};

    #[test]
    fn slices_move_between_maps_of_other_padding() {
        for element in [Element::F32, Element::Bf16] {
            check(element);
        }
    }

    fn check(element: Element) {
        let from = MapLayout::new(48, 3, 5, 0).of(element);
        let to = MapLayout::new(32, 3, 5, 2).of(element);
        let dense = random_of(element, 2 * 48 * 15, 1);
        let (input, mut output) = (Map::filled(from, 2, &dense), Map::dirty(to, 2));
        for task in 0..tasks(1, 2) {
            // SAFETY: the extents fit.
            unsafe {
                run(
                    input.view().slice(1, 16),
                    output.view_mut().slice(0, 16),
                    task,
                );
                run(
                    input.view().slice(2, 16),
                    output.view_mut().slice(1, 16),
                    task,
                );
            }
        }
        output.check_padding();
        let expected: Vec<f32> = dense
            .chunks(48 * 15)
            .flat_map(|image| image[16 * 15..].to_vec())
            .collect();
        assert_eq!(output.to_dense(), expected);
    }
}
