//! Expected detections of a suppression, to the bit.

use super::rows::Run;
use crate::kernels::nms::{NmsShape, OUTPUT_HEADER_BYTES, ROW_BYTES, Row, read_output};

/// The number of the output buffer with the detections; scratch memory comes before.
const OUTPUT: usize = 1;

/// What must be left of each image, and how many candidates it had.
#[derive(Debug, Clone, PartialEq)]
pub struct Detections {
    pub(super) shape: NmsShape,
    pub(super) images: Vec<(Vec<Row>, u32)>,
}

impl Detections {
    pub(super) fn deviation(&self, outputs: &[Vec<u8>]) -> Result<f64, String> {
        for (number, (expected, actual)) in self.images.iter().zip(self.read(outputs)).enumerate() {
            let actual = actual.ok_or(format!("image {number}: more detections than rows"))?;
            let counts = |(rows, candidates): &(Vec<Row>, u32)| (rows.len(), *candidates);
            let (there, wanted) = (counts(&actual), counts(expected));
            if there != wanted {
                return Err(format!(
                    "image {number}: {} detections of {} candidates, not {} of {}",
                    there.0, there.1, wanted.0, wanted.1
                ));
            }
            let mut rows = actual.0.iter().zip(&expected.0);
            if let Some((actual, expected)) = rows.find(|(actual, expected)| actual != expected) {
                return Err(format!("image {number}: {actual:?}, not {expected:?}"));
            }
        }
        Ok(0.0)
    }

    pub(super) fn replaced(&self, outputs: &[Vec<u8>]) -> Result<Self, String> {
        let images: Option<Vec<_>> = self.read(outputs).into_iter().collect();
        Ok(Self {
            shape: self.shape,
            images: images.ok_or("more detections than rows")?,
        })
    }

    pub(super) fn runs(&self, outputs: &[Vec<u8>]) -> Vec<Run> {
        let pitch = self.shape.output_bytes() as usize;
        let run = |(number, read): (usize, Option<(Vec<Row>, u32)>)| Run {
            output: OUTPUT,
            offset: number * pitch,
            bytes: OUTPUT_HEADER_BYTES as usize
                + read.map_or(0, |(rows, _)| rows.len()) * ROW_BYTES as usize,
        };
        self.read(outputs)
            .into_iter()
            .enumerate()
            .map(run)
            .collect()
    }

    fn read(&self, outputs: &[Vec<u8>]) -> Vec<Option<(Vec<Row>, u32)>> {
        let outputs = outputs[OUTPUT].chunks_exact(self.shape.output_bytes() as usize);
        outputs.map(read_output).collect()
    }
}
