//! Self-attention over the pixels of a map (the PSA block of YOLO11 and YOLO26).

use onelook_types::{Shape, Tensor};
use serde::{Deserialize, Serialize};

use super::{Operator, nchw, single};
use crate::GraphError;

/// Scaled dot-product attention with pixels as tokens.
///
/// Input `[batch, heads * (2 * key_size + head_size), h, w]`: the queries of all heads, then all
/// keys, then all values, each head's channels together. Output `[batch, heads * head_size, h, w]`:
/// for each pixel the values of all pixels, weighted by softmax over `scale * query · key`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Attention {
    /// Independent attentions.
    pub heads: usize,
    /// Channels of a query and of a key.
    pub key_size: usize,
    /// Channels of a value.
    pub head_size: usize,
    /// Factor before the softmax.
    pub scale: f32,
}

impl Operator for Attention {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn attributes(&self) -> String {
        format!(
            "{} heads, key {}, value {}",
            self.heads, self.key_size, self.head_size
        )
    }

    fn check(&self) -> Result<(), String> {
        let channels = self
            .key_size
            .checked_mul(2)
            .and_then(|keys| keys.checked_add(self.head_size)?.checked_mul(self.heads));
        match channels.is_some_and(|channels| channels <= 1 << 24) {
            true => Ok(()),
            false => Err("it has too many channels".to_owned()),
        }
    }

    fn infer(&self, inputs: &[&Shape]) -> Result<Vec<Shape>, GraphError> {
        let shape = single(self.name(), inputs)?;
        let [batch, channels, height, width] = nchw(self.name(), shape)?;
        self.check()
            .map_err(|reason| GraphError::shape(self.name(), inputs, reason))?;
        let expected = self.heads * (2 * self.key_size + self.head_size);
        if channels != expected {
            return Err(GraphError::shape(
                self.name(),
                inputs,
                format!("it takes {expected} channels"),
            ));
        }
        Ok(vec![Shape::from([
            batch,
            self.heads * self.head_size,
            height,
            width,
        ])])
    }

    fn execute(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let input = single(self.name(), inputs)?;
        let mut output = Tensor::zeros(self.infer(&[input.shape()])?.remove(0));
        let [batch, channels, height, width] = nchw(self.name(), input.shape())?;
        let pixels = height * width;
        let outputs = self.heads * self.head_size;
        for image in 0..batch {
            let source = &input.data()[image * channels * pixels..][..channels * pixels];
            let target = &mut output.data_mut()[image * outputs * pixels..][..outputs * pixels];
            for head in 0..self.heads {
                self.attend(source, target, head, pixels);
            }
        }
        Ok(vec![output])
    }

    fn flops(&self, inputs: &[&Shape]) -> u64 {
        let Some([batch, _, height, width]) = inputs.first().and_then(|shape| shape.nchw()) else {
            return 0;
        };
        let pixels = (height * width) as u64;
        2 * (batch * self.heads * (self.key_size + self.head_size)) as u64 * pixels * pixels
    }

    fn is_on_maps(&self) -> bool {
        true
    }
}

impl Attention {
    fn attend(&self, source: &[f32], target: &mut [f32], head: usize, pixels: usize) {
        let channel = |index: usize| &source[index * pixels..][..pixels];
        let query = head * self.key_size;
        let key = self.heads * self.key_size + query;
        let value = 2 * self.heads * self.key_size + head * self.head_size;
        let mut weights = vec![0.0f32; pixels];
        for i in 0..pixels {
            for (j, weight) in weights.iter_mut().enumerate() {
                let product: f32 = (0..self.key_size)
                    .map(|c| channel(query + c)[i] * channel(key + c)[j])
                    .sum();
                *weight = self.scale * product;
            }
            super::softmax::normalise(&mut weights);
            for c in 0..self.head_size {
                let values = channel(value + c);
                target[(head * self.head_size + c) * pixels + i] = weights
                    .iter()
                    .zip(values)
                    .map(|(weight, value)| weight * value)
                    .sum();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tested::{assert_near, refuses, shapes, values};
    use super::super::{MatMul, Softmax, Transpose};
    use super::*;

    const ATTENTION: Attention = Attention {
        heads: 2,
        key_size: 1,
        head_size: 2,
        scale: 0.5,
    };

    #[test]
    fn it_is_softmax_of_queries_by_keys_times_values() {
        let input = Tensor::from_fn([2, 8, 2, 3], |position| {
            (position * 29 % 17) as f32 / 8.0 - 1.0
        });
        let all = values(&ATTENTION, &[&input]).remove(0);
        for (image, head) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let rows = |first: usize, rows: usize| {
                let data = &input.data()[(image * 8 + first) * 6..][..rows * 6];
                Tensor::new([rows, 6], data.to_vec()).unwrap()
            };
            let flip = |tensor: &Tensor| {
                Transpose { order: vec![1, 0] }
                    .execute(&[tensor])
                    .unwrap()
                    .remove(0)
            };
            let (query, key, value) = (rows(head, 1), rows(2 + head, 1), rows(4 + 2 * head, 2));
            let mut scores = MatMul.execute(&[&flip(&query), &key]).unwrap().remove(0);
            scores.data_mut().iter_mut().for_each(|score| *score *= 0.5);
            let weights = Softmax { axis: 1 }.execute(&[&scores]).unwrap().remove(0);
            let expected = values(&MatMul, &[&value, &flip(&weights)]).remove(0);
            assert_near(&all[(image * 4 + 2 * head) * 6..][..12], &expected);
        }
    }

    #[test]
    fn channels_are_those_of_queries_keys_and_values() {
        assert_eq!(
            shapes(&ATTENTION, &[&[3, 8, 5, 7]]),
            Ok(vec![vec![3, 4, 5, 7]])
        );
        refuses(&ATTENTION, &[&[&[3, 7, 5, 7]], &[&[8, 5, 7]], &[]]);
        let huge = Attention {
            heads: usize::MAX,
            ..ATTENTION
        };
        assert!(huge.check().is_err());
    }
}
