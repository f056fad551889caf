//! Words to values, in every spelling that people have in their hands.

/// Height and width in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageSize(pub [usize; 2]);

/// A class by number or by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClassWord {
    /// By number.
    Index(usize),
    /// By name.
    Name(String),
}

/// `true`, `false` and their kin.
pub fn boolean(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false".to_owned()),
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

/// A number from 0 to 1.
pub fn fraction(word: &str) -> Result<f32, String> {
    match word.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
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

/// `0`, `0,2`, `[0,2]` or names such as `person,bus`.
pub fn class_words(text: &str) -> Result<Vec<ClassWord>, String> {
    let words: Vec<ClassWord> = unbracketed(text)
        .split(',')
        .map(|word| word.trim().trim_matches(['\'', '"']))
        .filter(|word| !word.is_empty())
        .map(|word| match word.parse() {
            Ok(index) => ClassWord::Index(index),
            Err(_) => ClassWord::Name(word.to_owned()),
        })
        .collect();
    match words.is_empty() {
        true => Err("expected class numbers or names, such as 0,2 or person,bus".to_owned()),
        false => Ok(words),
    }
}

impl ClassWord {
    /// Its index among `names`.
    pub fn index(&self, names: &[String]) -> Result<usize, String> {
        match self {
            Self::Index(index) if *index < names.len() => Ok(*index),
            Self::Index(index) => Err(format!(
                "the model knows classes 0 to {}, not {index}",
                names.len().max(1) - 1
            )),
            Self::Name(word) => names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(word))
                .ok_or_else(|| format!("the model knows no class '{word}'")),
        }
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
    fn classes_are_numbers_or_names() {
        let names = ["person".to_owned(), "bus".to_owned()];
        let indices = |text: &str| -> Result<Vec<usize>, String> {
            class_words(text)?
                .iter()
                .map(|word| word.index(&names))
                .collect()
        };
        assert_eq!(indices("0"), Ok(vec![0]));
        assert_eq!(indices("[0, 1]"), Ok(vec![0, 1]));
        assert_eq!(indices("Bus,person"), Ok(vec![1, 0]));
        assert_eq!(indices("['bus']"), Ok(vec![1]));
        assert!(indices("2").is_err());
        assert!(indices("cat").is_err());
        assert!(indices("[]").is_err());
    }

    #[test]
    fn fractions_stay_between_zero_and_one() {
        assert_eq!(fraction("0.25"), Ok(0.25));
        for word in ["1.1", "-0.1", "NaN", "x"] {
            assert!(fraction(word).is_err(), "{word}");
        }
    }
}
