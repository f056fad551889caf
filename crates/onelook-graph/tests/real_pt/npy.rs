//! Arrays of NumPy's `.npy` format (version 1, little-endian, C order; f32 and u8) as tensors.

use std::path::Path;

use onelook_types::Tensor;

/// Panics on anything unexpected: tests only.
pub fn read(path: &Path) -> Tensor {
    let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(bytes[..8], *b"\x93NUMPY\x01\x00");
    let start = 10 + usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..start]).unwrap();
    assert!(header.contains("'fortran_order': False"));
    let shape = header.split(['(', ')']).nth(1).unwrap();
    let shape: Vec<usize> = shape
        .split(',')
        .filter_map(|extent| extent.trim().parse().ok())
        .collect();
    let content = &bytes[start..];
    let values = match header.contains("'<f4'") {
        true => content
            .as_chunks::<4>()
            .0
            .iter()
            .map(|&four| f32::from_le_bytes(four))
            .collect(),
        false => content.iter().map(|&byte| f32::from(byte)).collect(),
    };
    Tensor::new(shape, values).unwrap()
}
