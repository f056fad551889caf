//! What was found in an image in the form that is written down: one object of JSON per object found.
//!
//! Command line and server write the same form, and other tools read it: it is fixed.

use std::time::Duration;

use onelook_types::Instances;
use serde::{Deserialize, Serialize, Serializer};

/// One object of an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectRecord {
    /// Name of the class, or its number where the model has no name for it.
    pub name: String,
    /// Number of the class.
    pub class: usize,
    /// 0 to 1.
    #[serde(serialize_with = "five_decimals")]
    pub confidence: f32,
    /// Corners in pixels of the image.
    #[serde(rename = "box")]
    pub bbox: BoxRecord,
}

/// Corners in pixels of the image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BoxRecord {
    /// Left edge.
    #[serde(serialize_with = "five_decimals")]
    pub x1: f32,
    /// Top edge.
    #[serde(serialize_with = "five_decimals")]
    pub y1: f32,
    /// Right edge.
    #[serde(serialize_with = "five_decimals")]
    pub x2: f32,
    /// Bottom edge.
    #[serde(serialize_with = "five_decimals")]
    pub y2: f32,
}

/// The records of what was found, in the same order; `names` are the classes' names by index.
pub fn objects(instances: &Instances, names: &[String]) -> Vec<ObjectRecord> {
    let records = instances.iter().map(|found| ObjectRecord {
        name: class_name(names, found.class),
        class: found.class,
        confidence: found.score,
        bbox: BoxRecord {
            x1: found.bbox.x1,
            y1: found.bbox.y1,
            x2: found.bbox.x2,
            y2: found.bbox.y2,
        },
    });
    records.collect()
}

/// The class's name, or its number where the model has none.
pub fn class_name(names: &[String], class: usize) -> String {
    let name = names.get(class).cloned();
    name.unwrap_or_else(|| class.to_string())
}

/// A time as records have it: milliseconds with three decimals.
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

fn five_decimals<S: Serializer>(value: &f32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((f64::from(*value) * 1e5).round() / 1e5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::{BoxXyxy, Instance};

    #[test]
    fn numbers_have_five_decimals_and_come_back() {
        let bbox = BoxXyxy {
            x1: 1234.5678,
            y1: 0.1,
            x2: 2000.0,
            y2: 1.0 / 3.0,
        };
        let found = Instances::from_iter([Instance::new(bbox, 1, 0.939_124_6)]);
        let records = objects(&found, &["person".to_owned()]);
        let text = serde_json::to_string(&records).unwrap();
        assert_eq!(
            text,
            r#"[{"name":"1","class":1,"confidence":0.93912,"box":{"x1":1234.56775,"y1":0.1,"x2":2000.0,"y2":0.33333}}]"#
        );
        let back: Vec<ObjectRecord> = serde_json::from_str(&text).unwrap();
        assert!((back[0].bbox.x1 - 1234.5678).abs() < 1e-4);
    }
}
