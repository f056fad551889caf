//! A tensor of Frigate as an image: `[1, H, W, 3]` or `[1, 3, H, W]`, of bytes or floats, RGB.

use serde::Deserialize;

use crate::problem::shown;

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

/// Height and width, and the image as a BMP file, which costs no more than a copy. Its memory is asked for.
///
/// # Errors
/// The header does not describe an image, or does not fit the bytes; or there is no memory.
pub fn image(
    header: &Header,
    bytes: &[u8],
    reserve: impl FnOnce(usize) -> Result<(), String>,
) -> Result<([usize; 2], Vec<u8>), String> {
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
        _ => return Err(format!("dtype {}: expected uint8 or float32", shown(dtype))),
    };
    let expected = values.and_then(|values| values.checked_mul(size));
    if expected != Some(bytes.len()) {
        return Err(format!(
            "the tensor has {} bytes, which do not fit shape {shape:?} of {dtype}",
            bytes.len()
        ));
    }
    let (area, floats) = (height * width, bytes.as_chunks::<4>().0);
    let float = |index: usize| f32::from_le_bytes(floats[index]);
    // Floats are 0 to 1, or 0 to 255 if one is larger.
    let is_large = size == 4 && (0..floats.len()).any(|index| float(index) > 1.0);
    let factor = if is_large { 1.0 } else { 255.0 };
    let value = |y: usize, x: usize, channel: usize| {
        let index = match is_planar {
            true => channel * area + y * width + x,
            false => (y * width + x) * 3 + channel,
        };
        match size {
            1 => bytes[index],
            _ => (float(index) * factor).round() as u8,
        }
    };
    Ok(([height, width], bmp([height, width], value, reserve)?))
}

/// 24 bits a pixel, rows from the bottom up, each of a multiple of four bytes.
fn bmp(
    [height, width]: [usize; 2],
    value: impl Fn(usize, usize, usize) -> u8,
    reserve: impl FnOnce(usize) -> Result<(), String>,
) -> Result<Vec<u8>, String> {
    const HEAD: usize = 54;
    let row = (width * 3).next_multiple_of(4);
    let too_large = |_| "the tensor is too large".to_owned();
    let total = u32::try_from(HEAD + row * height).map_err(too_large)?;
    reserve(total as usize)?;
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
        let (_, file) = image(header, bytes, |_| Ok(())).unwrap();
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
            let refused = image(&header(text), &vec![0; bytes], |_| Ok(()));
            assert!(refused.is_err(), "{text}");
        }
    }

    #[test]
    fn the_memory_of_the_image_is_asked_for_before_it_is_taken() {
        // Rows of one pixel are the worst: a byte more for three.
        let thin = header(r#"{"shape": [1, 1000, 1, 3]}"#);
        let mut asked = 0;
        let made = image(&thin, &[0; 3000], |bytes| {
            asked = bytes;
            Ok(())
        });
        assert_eq!(made.unwrap().1.len(), asked);
        let refused = image(&thin, &[0; 3000], |_| Err("no memory".to_owned()));
        assert_eq!(refused.unwrap_err(), "no memory");
    }
}
