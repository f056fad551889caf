//! Parses the parameters of a request: text from a query or a form, or JSON, in; options out. An
//! unknown name or an invalid value is an error that says what is expected.

use onelook::types::{Metadata, Thresholds};
use onelook::vision::draw::DrawStyle;
use onelook::{ClassList, ClassWord, Options};
use serde_json::Value;

use crate::problem::{Problem, shown};

/// The names of all parameters, in the order of the documentation.
pub const NAMES: [&str; 11] = [
    "model",
    "conf",
    "iou",
    "classes",
    "max_det",
    "imgsz",
    "rect",
    "agnostic_nms",
    "show_labels",
    "show_conf",
    "line_width",
];

/// Bounds of `imgsz`, also after rounding to the model's stride.
const SIDES: std::ops::RangeInclusive<usize> = 32..=4096;

/// Upper bound of `max_det`.
const MAX_DETECTIONS: usize = 10_000;

/// Upper bound of `line_width`.
const MAX_LINE: usize = 100;

/// The parameters of a request; absent ones have their defaults.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DetectParameters {
    /// The model's name.
    pub model: Option<String>,
    conf: Option<f32>,
    iou: Option<f32>,
    classes: Option<ClassList>,
    max_det: Option<usize>,
    imgsz: Option<[usize; 2]>,
    rect: Option<bool>,
    agnostic_nms: Option<bool>,
    show_labels: Option<bool>,
    show_conf: Option<bool>,
    line_width: Option<usize>,
}

impl DetectParameters {
    /// Sets a parameter from the text of a query or a form.
    pub fn set(&mut self, name: &str, text: &str) -> Result<(), Problem> {
        let text = text.trim();
        let parameter = Parameter { name, value: text };
        match name {
            "model" => parameter.assign(&mut self.model, Ok(text.to_owned())),
            "conf" => parameter.assign(&mut self.conf, fraction(text)),
            "iou" => parameter.assign(&mut self.iou, fraction(text)),
            "classes" => parameter.assign(&mut self.classes, text.parse()),
            "max_det" => parameter.assign(&mut self.max_det, count(text, MAX_DETECTIONS)),
            "imgsz" => parameter.assign(&mut self.imgsz, image_size(text)),
            "rect" => parameter.assign(&mut self.rect, boolean(text)),
            "agnostic_nms" => parameter.assign(&mut self.agnostic_nms, boolean(text)),
            "show_labels" => parameter.assign(&mut self.show_labels, boolean(text)),
            "show_conf" => parameter.assign(&mut self.show_conf, boolean(text)),
            "line_width" => parameter.assign(&mut self.line_width, count(text, MAX_LINE)),
            _ => Err(unknown(name)),
        }
    }

    /// Sets a parameter from a member of a JSON object, where values have types.
    pub fn set_json(&mut self, name: &str, value: &Value) -> Result<(), Problem> {
        let text = value.to_string();
        let parameter = Parameter { name, value: &text };
        let (fits, expected) = match name {
            "model" => (value.is_string(), "a string"),
            "conf" | "iou" => (value.is_number(), "a number from 0 to 1"),
            "max_det" | "line_width" => (value.is_u64(), "a whole number"),
            "classes" => (
                is_list(value, 1..=usize::MAX, |one| one.is_u64() || one.is_string()),
                "a list of class numbers or names",
            ),
            "imgsz" => (
                value.is_u64() || is_list(value, 2..=2, Value::is_u64),
                "pixels, such as 640, or a list of height and width",
            ),
            _ if NAMES.contains(&name) => (value.is_boolean(), "true or false"),
            _ => return Err(unknown(name)),
        };
        if !fits {
            return Err(parameter.invalid(&format!("expected {expected}")));
        }
        match (name, value) {
            ("classes", Value::Array(classes)) => {
                // A number that is out of range becomes one that no model has as a class.
                let index = |number: &Value| {
                    let index = number
                        .as_u64()
                        .and_then(|index| usize::try_from(index).ok());
                    ClassWord::Index(index.unwrap_or(usize::MAX))
                };
                let words = classes.iter().map(|class| match class {
                    Value::String(name) => ClassWord::Name(name.clone()),
                    number => index(number),
                });
                parameter.assign(&mut self.classes, Ok(words.collect()))
            }
            (_, Value::String(text)) => self.set(name, text),
            (_, Value::Array(items)) => {
                let words: Vec<String> = items.iter().map(Value::to_string).collect();
                self.set(name, &words.join(","))
            }
            (_, other) => self.set(name, &other.to_string()),
        }
    }

    /// The options for a model; no side of the network's input may be longer than `max_side`.
    pub fn options(&self, metadata: &Metadata, max_side: usize) -> Result<Options, Problem> {
        let standard = Thresholds::default();
        let options = Options {
            thresholds: Thresholds {
                confidence: self.conf.unwrap_or(standard.confidence),
                iou: self.iou.unwrap_or(standard.iou),
                max_detections: self.max_det.unwrap_or(standard.max_detections),
                classes: self.class_indices(&metadata.names)?,
                agnostic: self.agnostic_nms.unwrap_or(standard.agnostic),
                ..standard
            },
            image_size: self.imgsz,
            rect: self.rect,
            batch: 1,
            keep_suppressed: false,
        };
        let size = options.rounded_size(metadata)?;
        // A model that was made for larger images is served as it was made.
        let [height, width] = metadata.image_size;
        let max_side = max_side.max(height).max(width);
        if self.imgsz.is_some() && size.iter().any(|side| *side > max_side) {
            return Err(Problem::bad_request(format!(
                "imgsz: {}x{} after rounding to the model's stride {}, this server accepts at most {max_side} \
                 (--max-imgsz)",
                size[0], size[1], metadata.stride,
            )));
        }
        Ok(options)
    }

    /// How to draw on the image of the response.
    pub fn style(&self) -> DrawStyle {
        let standard = DrawStyle::default();
        DrawStyle {
            line_width: self.line_width,
            labels: self.show_labels.unwrap_or(standard.labels),
            confidence: self.show_conf.unwrap_or(standard.confidence),
            boxes: standard.boxes,
        }
    }

    fn class_indices(&self, names: &[String]) -> Result<Option<Vec<usize>>, Problem> {
        let indices = self.classes.as_ref().map(|classes| classes.indices(names));
        indices
            .transpose()
            .map_err(|reason| Problem::bad_request(format!("classes: {reason}")))
    }
}

/// A parameter's name, and its value as the client sent it.
struct Parameter<'a> {
    name: &'a str,
    value: &'a str,
}

impl Parameter<'_> {
    fn assign<T>(&self, target: &mut Option<T>, value: Result<T, String>) -> Result<(), Problem> {
        let value = value.map_err(|reason| self.invalid(&reason))?;
        match target.replace(value) {
            None => Ok(()),
            Some(_) => Err(Problem::bad_request(format!(
                "the parameter '{}' is given twice: send it once",
                self.name
            ))),
        }
    }

    fn invalid(&self, reason: &str) -> Problem {
        let (name, value) = (self.name, shown(self.value));
        Problem::bad_request(format!("{name}: {value}: {reason}"))
    }
}

fn unknown(name: &str) -> Problem {
    Problem::bad_request(format!(
        "there is no parameter {}; known are: {}",
        shown(name),
        NAMES.join(", ")
    ))
}

fn is_list(
    value: &Value,
    lengths: std::ops::RangeInclusive<usize>,
    item: impl Fn(&Value) -> bool,
) -> bool {
    let items = value.as_array();
    items.is_some_and(|items| lengths.contains(&items.len()) && items.iter().all(item))
}

fn boolean(word: &str) -> Result<bool, String> {
    match word.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

/// A number from 0 to 1.
pub fn fraction(word: &str) -> Result<f32, String> {
    match word.parse::<f32>() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err("expected a number from 0 to 1".to_owned()),
    }
}

fn count(word: &str, most: usize) -> Result<usize, String> {
    match word.parse::<usize>() {
        Ok(value) if (1..=most).contains(&value) => Ok(value),
        _ => Err(format!("expected a whole number from 1 to {most}")),
    }
}

/// `640`, or height and width as `480,640` or `480x640`.
fn image_size(word: &str) -> Result<[usize; 2], String> {
    let sides: Result<Vec<usize>, _> = unbracketed(word)
        .split([',', 'x'])
        .map(|side| side.trim().parse())
        .collect();
    let size = match sides.as_deref() {
        Ok(&[side]) => Some([side, side]),
        Ok(&[height, width]) => Some([height, width]),
        _ => None,
    };
    let within = |size: &[usize; 2]| size.iter().all(|side| SIDES.contains(side));
    size.filter(within).ok_or_else(|| {
        format!(
            "expected {} to {} pixels, such as 640, or height and width, such as 480,640",
            SIDES.start(),
            SIDES.end()
        )
    })
}

fn unbracketed(word: &str) -> &str {
    let word = word.trim();
    let inner = word
        .strip_prefix('[')
        .and_then(|word| word.strip_suffix(']'));
    inner.unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refusal(name: &str, text: &str) -> String {
        DetectParameters::default()
            .set(name, text)
            .unwrap_err()
            .detail
    }

    #[test]
    fn an_invalid_value_is_refused_with_what_is_expected() {
        assert_eq!(
            refusal("conf", "1.5"),
            "conf: \"1.5\": expected a number from 0 to 1"
        );
        assert_eq!(
            refusal("max_det", "0"),
            "max_det: \"0\": expected a whole number from 1 to 10000"
        );
        assert_eq!(
            refusal("rect", "maybe"),
            "rect: \"maybe\": expected true or false"
        );
        for size in ["16", "8192", "0", "640,640,640", "a", "", "-640"] {
            assert!(refusal("imgsz", size).contains("32 to 4096"), "{size}");
        }
        for number in ["nan", "inf", "-0.1", ""] {
            assert!(refusal("iou", number).contains("from 0 to 1"), "{number}");
        }
        assert!(refusal("classes", "[]").contains("such as 0,2"));
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        assert_eq!(
            refusal("confidence", "0.5"),
            "there is no parameter \"confidence\"; known are: model, conf, iou, classes, max_det, \
             imgsz, rect, agnostic_nms, show_labels, show_conf, line_width"
        );
    }

    #[test]
    fn a_parameter_may_be_set_only_once() {
        let mut parameters = DetectParameters::default();
        parameters.set("conf", "0.5").unwrap();
        let twice = parameters.set_json("conf", &json!(0.5)).unwrap_err();
        assert_eq!(
            twice.detail,
            "the parameter 'conf' is given twice: send it once"
        );
    }

    #[test]
    fn json_and_text_mean_the_same() {
        let (mut words, mut typed) = (DetectParameters::default(), DetectParameters::default());
        for (name, word, value) in [
            ("model", "a", json!("a")),
            ("conf", "0.5", json!(0.5)),
            ("classes", "0,bus", json!([0, "bus"])),
            ("imgsz", "480,640", json!([480, 640])),
            ("rect", "True", json!(true)),
            ("line_width", "3", json!(3)),
        ] {
            words.set(name, word).unwrap();
            typed.set_json(name, &value).unwrap();
        }
        assert_eq!(words, typed);
    }

    #[test]
    fn json_values_must_have_the_right_type() {
        for (name, value) in [
            ("conf", json!("0.5")),
            ("conf", json!(null)),
            ("max_det", json!(1.5)),
            ("max_det", json!(-1)),
            ("rect", json!(1)),
            ("classes", json!("0,2")),
            ("classes", json!([])),
            ("classes", json!([-1])),
            ("imgsz", json!([640])),
            ("imgsz", json!({"h": 1})),
            ("model", json!(1)),
        ] {
            let refused = DetectParameters::default()
                .set_json(name, &value)
                .unwrap_err();
            assert!(refused.detail.starts_with(name), "{}", refused.detail);
        }
    }
}
