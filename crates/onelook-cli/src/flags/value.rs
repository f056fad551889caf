//! Words to values, in every usual spelling.

/// Height and width in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize(pub [usize; 2]);

/// `true`, `false`, and other words for them.
pub fn boolean(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// What decodes videos: `auto`, `none` or a name of ffmpeg's; booleans stand for the first two.
pub fn hardware_decoder(word: &str) -> Result<String, String> {
    match boolean(word) {
        Ok(true) => return Ok("auto".to_owned()),
        Ok(false) => return Ok("none".to_owned()),
        Err(_) => {}
    }
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    match !word.is_empty() && word.chars().all(is_name) {
        true => Ok(word.to_owned()),
        false => Err("expected auto, none or what `ffmpeg -hwaccels` lists".to_owned()),
    }
}

/// `4GiB`, `1.5 GB`, `800M` or a plain number of bytes; `M` and `MiB` are 1024s, `MB` is 1000s.
pub fn byte_size(word: &str) -> Result<u64, String> {
    let word = word.trim();
    let end = word.find(|letter: char| !letter.is_ascii_digit() && letter != '.');
    let (number, unit) = word.split_at(end.unwrap_or(word.len()));
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0_f64.powi(2),
        "g" | "gib" => 1024.0_f64.powi(3),
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        _ => f64::NAN,
    };
    let bytes = number.parse::<f64>().unwrap_or(f64::NAN) * factor;
    match bytes {
        1.0..1e18 => Ok(bytes as u64),
        _ => Err("expected a size above 0 in bytes, such as 4GiB or 800MB".to_owned()),
    }
}

/// `400`, `400M` or `400MP`: pixels in millions.
pub fn megapixels(word: &str) -> Result<u64, String> {
    let number = word.trim().to_ascii_lowercase();
    let number = number.trim_end_matches('p').trim_end_matches('m').trim();
    match number.parse::<f64>().map(|millions| millions * 1e6) {
        Ok(pixels @ 1.0..1e18) => Ok(pixels as u64),
        _ => Err("expected megapixels above 0, such as 400".to_owned()),
    }
}

/// A number from 0 to 1.
pub fn fraction(word: &str) -> Result<f32, String> {
    match word.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

/// Frames per second.
pub fn frame_rate(word: &str) -> Result<f64, String> {
    match word.parse::<f64>() {
        Ok(rate) if (1e-3..=1e6).contains(&rate) => Ok(rate),
        _ => Err("expected frames per second, such as 30 or 29.97".to_owned()),
    }
}

/// Seconds above 0.
pub fn seconds(word: &str) -> Result<f64, String> {
    match word.trim().trim_end_matches('s').parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e9 => Ok(seconds),
        _ => Err("expected seconds above 0, such as 0.5".to_owned()),
    }
}

/// Minutes above 0.
pub fn minutes(word: &str) -> Result<f64, String> {
    match word.trim().parse::<f64>() {
        Ok(minutes) if minutes > 0.0 && minutes <= 1e7 => Ok(minutes),
        _ => Err("expected minutes above 0, such as 10".to_owned()),
    }
}

/// `640`, `480,640`, `[480,640]` or `480x640`: height first.
pub fn image_size(word: &str) -> Result<ImageSize, String> {
    let sides: Result<Vec<usize>, _> = unbracketed(word)
        .split([',', 'x'])
        .map(|side| side.trim().parse())
        .collect();
    match sides.as_deref() {
        Ok(&[side]) if side > 0 => Ok(ImageSize([side, side])),
        Ok(&[height, width]) if height > 0 && width > 0 => Ok(ImageSize([height, width])),
        _ => Err("expected pixels, such as 640, or height and width, such as 480,640".to_owned()),
    }
}

/// `NAME=X1,Y1,X2,Y2`.
pub fn named_line(word: &str) -> Result<(String, Vec<[f64; 2]>), String> {
    let line = named_zone(word)
        .ok()
        .filter(|(_, points)| points.len() == 2);
    line.ok_or_else(|| "expected a name and two points, such as gate=10,20,300,20".to_owned())
}

/// `NAME=X,Y,X,Y,X,Y`.
pub fn named_zone(word: &str) -> Result<(String, Vec<[f64; 2]>), String> {
    let expected = || "expected a name and points, such as hall=10,20,300,20,300,400".to_owned();
    let (name, points) = word.split_once('=').ok_or_else(expected)?;
    let numbers: Result<Vec<f64>, _> = points.split(',').map(|it| it.trim().parse()).collect();
    let numbers = numbers.map_err(|_| expected())?;
    match numbers.as_chunks::<2>() {
        (points, []) if !name.trim().is_empty() => Ok((name.trim().to_owned(), points.to_vec())),
        _ => Err(expected()),
    }
}

fn unbracketed(word: &str) -> &str {
    word.trim()
        .trim_start_matches(['[', '('])
        .trim_end_matches([']', ')'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_height_first_in_every_spelling() {
        for word in ["480,640", "[480, 640]", "480x640", "(480,640)"] {
            assert_eq!(image_size(word), Ok(ImageSize([480, 640])), "{word}");
        }
        assert_eq!(image_size("640"), Ok(ImageSize([640, 640])));
        for word in ["", "0", "a", "1,2,3", "-640"] {
            assert!(image_size(word).is_err(), "{word}");
        }
    }

    #[test]
    fn bytes_are_counted_in_every_usual_unit() {
        let cases = [
            ("4GiB", 4 << 30),
            ("1.5 g", 3 << 29),
            ("800MB", 800_000_000),
            ("512mib", 512 << 20),
            ("7", 7),
        ];
        for (word, bytes) in cases {
            assert_eq!(byte_size(word), Ok(bytes), "{word}");
        }
        for word in ["", "0", "GiB", "4TiBs", "-1", "1.2.3G", "NaN", "9e99"] {
            assert!(byte_size(word).is_err(), "{word}");
        }
    }

    #[test]
    fn pixels_are_counted_in_millions() {
        for word in ["400", "400M", "400 MP", "400mp"] {
            assert_eq!(megapixels(word), Ok(400_000_000), "{word}");
        }
        assert_eq!(megapixels("0.5"), Ok(500_000));
        for word in ["", "0", "-1", "NaN", "many", "1e99", "inf"] {
            assert!(megapixels(word).is_err(), "{word}");
        }
    }

    #[test]
    fn lines_and_zones_are_a_name_and_points() {
        let line = named_line("the gate=1, 2.5,3,4").unwrap();
        assert_eq!(line, ("the gate".to_owned(), vec![[1.0, 2.5], [3.0, 4.0]]));
        assert_eq!(named_zone("a=0,0,1,0,1,1").unwrap().1.len(), 3);
        for word in ["", "a", "1,2,3,4", "=1,2,3,4", "a=1,2,3", "a=1,2,3,x", "a="] {
            assert!(
                named_zone(word).is_err() && named_line(word).is_err(),
                "{word}"
            );
        }
        assert!(named_line("a=0,0,1,0,1,1").is_err());
    }

    #[test]
    fn seconds_are_above_zero() {
        assert_eq!((seconds("0.5"), seconds("2s")), (Ok(0.5), Ok(2.0)));
        for word in ["0", "-1", "NaN", "inf", "x"] {
            assert!(seconds(word).is_err(), "{word}");
        }
    }

    #[test]
    fn hardware_decoders_are_names_or_whether() {
        for (word, name) in [
            ("auto", "auto"),
            ("True", "auto"),
            ("none", "none"),
            ("cuda", "cuda"),
        ] {
            assert_eq!(hardware_decoder(word).as_deref(), Ok(name));
        }
        for word in ["", "-i", "a b", "cuda:0"] {
            assert!(hardware_decoder(word).is_err(), "{word}");
        }
    }

    #[test]
    fn fractions_stay_between_zero_and_one() {
        assert_eq!(fraction("0.25"), Ok(0.25));
        for word in ["1.1", "-0.1", "NaN", "x"] {
            assert!(fraction(word).is_err(), "{word}");
        }
    }
}
