//! The output of a plan that ends in boxes, as instances.

use onelook_types::{BoxXyxy, Instance, Instances};

use crate::kernels::nms::{Row, read_output};

/// What a plan says of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxList {
    /// The objects, highest score first.
    pub instances: Instances,
    /// How many candidates there were; with more than the plan's buffers hold, some were lost.
    pub candidates: u32,
}

/// The lists of so many images; `None` where the bytes are no such output.
pub fn read(output: &[u8], images: usize) -> Option<Vec<BoxList>> {
    let bytes = output.len().checked_div(images)?;
    let of = |image: usize| {
        let (rows, candidates) = read_output(&output[image * bytes..][..bytes])?;
        Some(BoxList {
            instances: rows.iter().map(instance).collect(),
            candidates,
        })
    };
    (0..images).map(of).collect()
}

fn instance(row: &Row) -> Instance<'static> {
    let [x1, y1, x2, y2] = row.corners;
    Instance::new(BoxXyxy { x1, y1, x2, y2 }, row.class as usize, row.score)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_written_is_no_output() {
        let nothing = BoxList {
            instances: Instances::default(),
            candidates: 0,
        };
        assert_eq!(read(&[0xff; 400], 2), None);
        assert_eq!(read(&[0; 400], 2), Some(vec![nothing; 2]));
        assert_eq!(read(&[], 1), None);
        assert_eq!(read(&[0; 400], 0), None);
    }
}
