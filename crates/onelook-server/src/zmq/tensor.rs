//! A tensor of Frigate as an image: `[1, H, W, 3]` or `[1, 3, H, W]`, of bytes or floats, RGB.

use serde::Deserialize;

/// What a request's header says.
#[derive(Debug, Default, Deserialize)]
pub struct Header {
    /// Whether it asks for a model.
    #[serde(default)]
    pub model_request: bool,
    /// Whether it sends a model.
    #[serde(default)]
    pub model_data: bool,
    /// The model's file name.
    pub model_name: Option<String>,
    /// Extents of the tensor.
    pub shape: Option<Vec<usize>>,
    /// numpy's name of its type.
    pub dtype: Option<String>,
}

/// Height and width, and the image as a BMP file, which costs no more than a copy.
///
/// # Errors
/// The header does not describe an image, or does not fit the bytes.
pub fn image(header: &Header, bytes: &[u8]) -> Result<([usize; 2], Vec<u8>), String> {
    let shape = header.shape.as_deref().unwrap_or_default();
    let (height, width, is_planar) = match *shape {
        [1, height, width, 3] => (height, width, false),
        [1, 3, height, width] => (height, width, true),
        _ => {
            return Err(format!(
                "shape {shape:?}: expected [1, height, width, 3] or [1, 3, height, width]"
            ));
        }
    };
    let pixels = height.checked_mul(width).filter(|pixels| *pixels > 0);
    let values = pixels.and_then(|pixels| pixels.checked_mul(3));
    let dtype = header.dtype.as_deref().unwrap_or("uint8");
    let size = match dtype {
        "uint8" => 1,
        "float32" => 4,
        _ => return Err(format!("dtype '{dtype}': expected uint8 or float32")),
    };
    let expected = values.and_then(|values| values.checked_mul(size));
    if expected != Some(bytes.len()) {
        return Err(format!(
            "the tensor has {} bytes, which do not fit shape {shape:?} of {dtype}",
            bytes.len()
        ));
    }
    let converted;
    let values = match size {
        1 => bytes,
        _ => {
            converted = from_floats(bytes);
            &converted
        }
    };
    let area = height * width;
    let value = |y: usize, x: usize, channel: usize| match is_planar {
        true => values[channel * area + y * width + x],
        false => values[(y * width + x) * 3 + channel],
    };
    Ok(([height, width], bmp([height, width], value)?))
}

/// Values of 0 to 1, or of 0 to 255 if one is larger, as bytes.
fn from_floats(bytes: &[u8]) -> Vec<u8> {
    let value = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    let values = || bytes.chunks_exact(4).map(value);
    let factor = if values().any(|value| value > 1.0) {
        1.0
    } else {
        255.0
    };
    values()
        .map(|value| (value * factor).round() as u8)
        .collect()
}

/// 24 bits a pixel, rows from the bottom up, each of a multiple of four bytes.
fn bmp(
    [height, width]: [usize; 2],
    value: impl Fn(usize, usize, usize) -> u8,
) -> Result<Vec<u8>, String> {
    const HEAD: usize = 54;
    let row = (width * 3).next_multiple_of(4);
    let too_large = |_| "the tensor is too large".to_owned();
    let total = u32::try_from(HEAD + row * height).map_err(too_large)?;
    let mut file = Vec::with_capacity(total as usize);
    file.extend(b"BM");
    file.extend(total.to_le_bytes());
    file.extend([0; 4]);
    file.extend((HEAD as u32).to_le_bytes());
    file.extend(40_u32.to_le_bytes());
    for side in [width, height] {
        file.extend(i32::try_from(side).map_err(too_large)?.to_le_bytes());
    }
    file.extend([1, 0, 24, 0]);
    file.extend([0; 24]);
    for y in (0..height).rev() {
        for x in 0..width {
            file.extend([value(y, x, 2), value(y, x, 1), value(y, x, 0)]);
        }
        file.resize(file.len() + row - width * 3, 0);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> Header {
        serde_json::from_str(text).unwrap()
    }

    fn decoded(header: &Header, bytes: &[u8]) -> Vec<u8> {
        let (_, file) = image(header, bytes).unwrap();
        let limits = onelook::media::Limits::default();
        let decoded = onelook::media::decode(&file, &limits).unwrap();
        decoded.pixels().to_vec()
    }

    #[test]
    fn every_layout_gives_the_same_pixels() {
        let pixels: Vec<u8> = (0..2 * 4 * 3).map(|value| value * 10).collect();
        let interleaved = header(r#"{"shape": [1, 2, 4, 3], "dtype": "uint8"}"#);
        assert_eq!(decoded(&interleaved, &pixels), pixels);
        let planar: Vec<u8> = (0..3)
            .flat_map(|channel| pixels.iter().skip(channel).step_by(3).copied())
            .collect();
        let header_planar = header(r#"{"shape": [1, 3, 2, 4], "dtype": "uint8"}"#);
        assert_eq!(decoded(&header_planar, &planar), pixels);
        for factor in [1.0, 255.0] {
            let floats = pixels
                .iter()
                .flat_map(|value| (f32::from(*value) / factor).to_le_bytes());
            let floats: Vec<u8> = floats.collect();
            let of_floats = header(r#"{"shape": [1, 2, 4, 3], "dtype": "float32"}"#);
            assert_eq!(decoded(&of_floats, &floats), pixels);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, bytes) in [
            ("{}", 0),
            (r#"{"shape": [1, 2, 3, 3]}"#, 17),
            (r#"{"shape": [1, 0, 3, 3]}"#, 0),
            (r#"{"shape": [2, 2, 3, 3]}"#, 36),
            (r#"{"shape": [1, 2, 3, 3], "dtype": "float64"}"#, 144),
            (r#"{"shape": [1, 9223372036854775807, 3, 3]}"#, 18),
        ] {
            assert!(image(&header(text), &vec![0; bytes]).is_err(), "{text}");
        }
    }
}
