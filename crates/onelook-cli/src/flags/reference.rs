//! Keys of the Python reference that onelook has no flag for: harmless at the value that changes
//! nothing, else answered with what to use instead.

use super::value::boolean;

/// What a key with a value comes to.
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Nothing: it says what is the case anyway.
    Harmless,
    /// The same as this flag.
    Flag(String),
    /// It cannot be had; what to use instead.
    Refused(String),
}

/// A key of the reference.
pub struct ReferenceKey {
    name: &'static str,
    kind: Kind,
    /// What to say to a value that is not harmless.
    advice: &'static str,
}

/// Which values are harmless.
enum Kind {
    /// True or false, of which false changes nothing.
    Off,
    /// Only this one.
    Only(&'static str),
    /// All of them.
    Any,
    /// True means this flag, false nothing.
    Means(&'static str),
    /// True means that this switch is off, false that it is on.
    Negates(&'static str),
    /// The value is that of this flag.
    Renamed(&'static str),
    /// A setting of training.
    Training,
}

use Kind::{Any, Means, Negates, Off, Only, Renamed, Training};

const fn key(name: &'static str, kind: Kind, advice: &'static str) -> ReferenceKey {
    ReferenceKey { name, kind, advice }
}

const KEYS: &[ReferenceKey] = &[
    key(
        "augment",
        Off,
        "augmentation while predicting is not available: leave it out",
    ),
    key("boxes", Renamed("show-boxes"), ""),
    key("cache", Off, "images are not kept in memory: leave it out"),
    key(
        "compile",
        Off,
        "models are compiled for the device anyway: leave it out",
    ),
    key("cfg", Any, ""),
    key("data", Any, ""),
    key("deterministic", Any, ""),
    key(
        "dnn",
        Off,
        "ONNX files are run by onelook itself: leave it out",
    ),
    key(
        "dynamic",
        Off,
        "the size of the input is chosen with imgsz=: leave it out",
    ),
    key(
        "embed",
        Only("[]"),
        "feature vectors cannot be had in this version",
    ),
    key("half", Means("quantize=16"), ""),
    key("hide-conf", Negates("show-conf"), ""),
    key("hide-labels", Negates("show-labels"), ""),
    key("int8", Means("quantize=8"), ""),
    key("line-thickness", Renamed("line-width"), ""),
    key("nms", Any, ""),
    key("optimize", Off, "graphs are optimised anyway: leave it out"),
    key("persist", Any, ""),
    key(
        "profile",
        Off,
        "use `onelook bench`, which measures the time per node",
    ),
    key(
        "save-hybrid",
        Off,
        "use save_txt=True, which saves what was found",
    ),
    key("save-period", Any, ""),
    key("seed", Any, ""),
    key("show", Off, "only predict, track and count open a window"),
    key(
        "single-cls",
        Off,
        "classes are always told apart: leave it out",
    ),
    key("stream", Any, ""),
    key("tracker", Any, ""),
    key("verbose", Any, ""),
    key(
        "visualize",
        Off,
        "use `onelook explain`, which shows the layers",
    ),
    key("amp", Training, ""),
    key("close-mosaic", Training, ""),
    key("cos-lr", Training, ""),
    key("dropout", Training, ""),
    key("epochs", Training, ""),
    key("fraction", Training, ""),
    key("freeze", Training, ""),
    key("lr0", Training, ""),
    key("lrf", Training, ""),
    key("mask-ratio", Training, ""),
    key("momentum", Training, ""),
    key("multi-scale", Training, ""),
    key("optimizer", Training, ""),
    key("overlap-mask", Training, ""),
    key("patience", Training, ""),
    key("pretrained", Training, ""),
    key("resume", Training, ""),
    key("warmup-epochs", Training, ""),
    key("weight-decay", Training, ""),
];

/// Words that are modes or commands of the reference, and what to use instead.
const MODES: &[(&str, &str)] = &[
    (
        "train",
        "onelook does not train: train with the ultralytics package and use the best.pt here",
    ),
    (
        "export",
        "onelook runs .pt files as they are; `onelook convert` writes the format that loads fastest",
    ),
    ("benchmark", "use `onelook bench`"),
    ("checks", "use `onelook doctor`"),
];

/// The key of this name, with hyphens.
pub fn find(name: &str) -> Option<&'static ReferenceKey> {
    KEYS.iter().find(|key| key.name == name)
}

/// What to say to a mode of the reference that is no command here.
pub fn unavailable_mode(word: &str) -> Option<String> {
    let (_, advice) = MODES.iter().find(|(mode, _)| *mode == word)?;
    Some(format!("'{word}' is not a command of onelook: {advice}"))
}

impl ReferenceKey {
    /// Whether a key without a value, such as `--half`, means that it is true.
    pub fn is_switch(&self) -> bool {
        matches!(self.kind, Off | Means(_) | Negates(_) | Any)
    }

    /// What it comes to with this value.
    pub fn meaning(&self, value: &str) -> Meaning {
        let as_bool = boolean(value);
        let typed = self.name.replace('-', "_");
        let refused = |advice: &str| Meaning::Refused(format!("{typed}={value}: {advice}"));
        if value.is_empty() || value.eq_ignore_ascii_case("none") {
            return Meaning::Harmless;
        }
        match (&self.kind, as_bool) {
            (Any, _) | (Off | Means(_), Ok(false)) => Meaning::Harmless,
            (Only(harmless), _) if *harmless == value => Meaning::Harmless,
            (Means(flag), Ok(true)) => Meaning::Flag((*flag).to_owned()),
            (Negates(flag), Ok(value)) => Meaning::Flag(format!("{flag}={}", !value)),
            (Renamed(flag), _) => Meaning::Flag(format!("{flag}={value}")),
            (Training, _) => refused("it is a setting of training, and onelook does not train"),
            (Means(_) | Negates(_), Err(reason)) => refused(&reason),
            (Off | Only(_), _) => refused(self.advice),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(name: &str, value: &str) -> Meaning {
        find(name).unwrap().meaning(value)
    }

    #[test]
    fn defaults_are_harmless_and_other_values_say_what_to_use() {
        for (name, value) in [
            ("half", "False"),
            ("show", "0"),
            ("augment", "false"),
            ("stream", "True"),
            ("embed", "None"),
            ("visualize", "False"),
        ] {
            assert_eq!(meaning(name, value), Meaning::Harmless, "{name}");
        }
        assert_eq!(
            meaning("half", "True"),
            Meaning::Flag("quantize=16".to_owned())
        );
        assert_eq!(
            meaning("hide-conf", "True"),
            Meaning::Flag("show-conf=false".to_owned())
        );
        for (name, value, word) in [
            ("show", "True", "predict, track and count"),
            ("epochs", "100", "does not train"),
            ("half", "maybe", "true or false"),
        ] {
            let Meaning::Refused(said) = meaning(name, value) else {
                panic!("{name}={value} was not refused");
            };
            assert!(
                said.contains(word) && said.contains(&format!("={value}")),
                "{said}"
            );
        }
    }

    #[test]
    fn the_list_is_in_hyphens_and_has_each_key_once() {
        for (index, key) in KEYS.iter().enumerate() {
            assert!(!key.name.contains('_'), "{}", key.name);
            assert!(
                !KEYS[..index].iter().any(|other| other.name == key.name),
                "{}",
                key.name
            );
        }
    }
}
