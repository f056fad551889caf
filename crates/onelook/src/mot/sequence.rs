//! What is known of a sequence besides its boxes.

use std::collections::BTreeMap;

use super::{MAX_FRAME, MotError, shortened};

/// What the file `seqinfo.ini` beside a sequence says of it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SequenceInfo {
    /// Frames per second: `frameRate`.
    pub frame_rate: Option<f64>,
    /// How many frames there are: `seqLength`.
    pub frames: Option<u64>,
    /// Width and height in pixels: `imWidth` and `imHeight`.
    pub image: Option<[usize; 2]>,
}

impl SequenceInfo {
    /// Reads the keys that are known; others are passed over.
    ///
    /// # Errors
    /// The first known key whose value makes no sense.
    pub fn parse(text: &str) -> Result<Self, MotError> {
        let mut values: BTreeMap<&str, f64> = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            let (kind, least, most) = match key {
                "frameRate" => ("number", 1e-3, 1000.0),
                "seqLength" => ("whole number", 1.0, MAX_FRAME as f64),
                "imWidth" | "imHeight" => ("whole number", 1.0, 1e6),
                _ => continue,
            };
            let number = value.parse().ok().filter(|number: &f64| {
                (least..=most).contains(number) && (kind == "number" || number.fract() == 0.0)
            });
            let number = number.ok_or_else(|| MotError {
                line: index + 1,
                reason: format!(
                    "{key} '{}' is not a {kind} from {least} to {most}",
                    shortened(value)
                ),
            })?;
            values.insert(key, number);
        }
        let side = |key| values.get(key).map(|&side| side as usize);
        Ok(Self {
            frame_rate: values.get("frameRate").copied(),
            frames: values.get("seqLength").map(|&frames| frames as u64),
            image: side("imWidth")
                .zip(side("imHeight"))
                .map(|(width, height)| [width, height]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_has_a_rate_a_length_and_a_size() {
        let text = "[Sequence]\nname=A\nframeRate=7\nseqLength = 795\nimWidth=768\nimHeight=576\n";
        let info = SequenceInfo::parse(text).unwrap();
        assert_eq!((info.frame_rate, info.frames), (Some(7.0), Some(795)));
        assert_eq!(info.image, Some([768, 576]));
        assert_eq!(SequenceInfo::parse("").unwrap(), SequenceInfo::default());
        for text in [
            "\nframeRate=0",
            "\nframeRate=nan",
            "\nframeRate=1e-300",
            "\nseqLength=0.5",
            "\nimWidth=0.5",
            "\nseqLength=1e30",
            "\nimWidth=-4",
        ] {
            assert_eq!(SequenceInfo::parse(text).unwrap_err().line, 2, "{text}");
        }
    }
}
