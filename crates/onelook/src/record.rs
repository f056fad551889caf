//! What was found in an image in the form that is written down: one object of JSON per object found.
//!
//! Command line and server write the same form, and other tools read it: it is fixed.

use std::time::Duration;

use onelook_types::{BoxXyxy, Instance, Instances, Keypoint};
use onelook_vision::masks::polygon;
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
    /// The same for the same object on every frame, where objects are tracked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<u64>,
    /// The outline of its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segments: Option<PointsRecord>,
    /// Its key points, in the model's order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keypoints: Option<KeypointsRecord>,
}

/// Key points in pixels of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeypointsRecord {
    /// From the left edge.
    #[serde(serialize_with = "all_five_decimals")]
    pub x: Vec<f32>,
    /// From the top edge.
    #[serde(serialize_with = "all_five_decimals")]
    pub y: Vec<f32>,
    /// How likely each is visible, 0 to 1; absent where the model does not tell.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        serialize_with = "all_five_decimals"
    )]
    pub visible: Vec<f32>,
}

/// Points in pixels of the image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointsRecord {
    /// From the left edge.
    #[serde(serialize_with = "all_five_decimals")]
    pub x: Vec<f32>,
    /// From the top edge.
    #[serde(serialize_with = "all_five_decimals")]
    pub y: Vec<f32>,
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

/// The records of what was found, in the same order; `names` are the classes' names by index,
/// `image_size` is width and height of the image.
pub fn objects(
    instances: &Instances,
    names: &[String],
    image_size: [usize; 2],
) -> Vec<ObjectRecord> {
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
        track_id: found.track_id,
        segments: found.mask.map(|mask| {
            let points = polygon(mask, image_size).into_iter();
            let (x, y) = points.map(|[x, y]| (x, y)).unzip();
            PointsRecord { x, y }
        }),
        keypoints: found.keypoints.map(|points| KeypointsRecord {
            x: points.iter().map(|point| point.x).collect(),
            y: points.iter().map(|point| point.y).collect(),
            visible: points.iter().filter_map(|point| point.score).collect(),
        }),
    });
    records.collect()
}

/// What records say was found, in the same order. A mask is not made of its outline again.
pub fn instances(records: &[ObjectRecord]) -> Instances {
    let rows = records.iter().map(|record| {
        let BoxRecord { x1, y1, x2, y2 } = record.bbox;
        Instance {
            track_id: record.track_id,
            ..Instance::new(BoxXyxy { x1, y1, x2, y2 }, record.class, record.confidence)
        }
    });
    let instances: Instances = rows.collect();
    let keypoints = records.iter().map(|record| {
        let KeypointsRecord { x, y, visible } = record.keypoints.as_ref()?;
        let points = x.iter().zip(y).enumerate();
        let point = |(index, (&x, &y))| Keypoint {
            x,
            y,
            score: visible.get(index).copied(),
        };
        Some(points.map(point).collect())
    });
    match keypoints.collect() {
        Some(keypoints) => instances.with_keypoints(keypoints),
        None => instances,
    }
}

/// An object as a line of a file of labels, without a line break: `class cx cy w h` as fractions of
/// the image, or `class x1 y1 x2 y2 …`, the points of its mask's [`polygon`], where it has a mask; then
/// `x y` or `x y visible` of each key point, then its confidence if asked for, then its track's id if it
/// has one.
///
/// `None` for a mask that outlines nothing: fewer than three points are no polygon.
pub fn label(
    found: &Instance<'_>,
    image_size: [usize; 2],
    with_confidence: bool,
) -> Option<String> {
    let [width, height] = image_size.map(|side| side as f32);
    let mut line = found.class.to_string();
    let mut push = |value: f32| line += &format!(" {value:.6}");
    if let Some(mask) = found.mask {
        let points = polygon(mask, image_size);
        if points.len() < 3 {
            return None;
        }
        for [x, y] in points {
            push(x / width);
            push(y / height);
        }
    } else {
        let bbox = &found.bbox;
        push((bbox.x1 + bbox.x2) / 2.0 / width);
        push((bbox.y1 + bbox.y2) / 2.0 / height);
        push(bbox.width() / width);
        push(bbox.height() / height);
    }
    for point in found.keypoints.unwrap_or_default() {
        push(point.x / width);
        push(point.y / height);
        point.score.into_iter().for_each(&mut push);
    }
    if with_confidence {
        push(found.score);
    }
    if let Some(id) = found.track_id {
        line += &format!(" {id}");
    }
    Some(line)
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
    serializer.serialize_f64(rounded(*value))
}

fn all_five_decimals<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|&value| rounded(value)))
}

fn rounded(value: f32) -> f64 {
    (f64::from(value) * 1e5).round() / 1e5
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::{Mask, PixelRect};

    #[test]
    fn numbers_have_five_decimals_and_come_back() {
        let bbox = BoxXyxy {
            x1: 1234.5678,
            y1: 0.1,
            x2: 2000.0,
            y2: 1.0 / 3.0,
        };
        let found = Instances::from_iter([Instance::new(bbox, 1, 0.939_124_6)]);
        let records = objects(&found, &["person".to_owned()], [3000, 2000]);
        let text = serde_json::to_string(&records).unwrap();
        assert_eq!(
            text,
            r#"[{"name":"1","class":1,"confidence":0.93912,"box":{"x1":1234.56775,"y1":0.1,"x2":2000.0,"y2":0.33333}}]"#
        );
        let back: Vec<ObjectRecord> = serde_json::from_str(&text).unwrap();
        let back = instances(&back);
        assert!((back.boxes()[0].x1 - 1234.5678).abs() < 1e-4);
        assert_eq!((back.classes()[0], back.scores()[0]), (1, 0.93912));
    }

    #[test]
    fn a_mask_is_told_by_its_outline() {
        let region = PixelRect {
            left: 1,
            top: 2,
            width: 3,
            height: 2,
        };
        let masks = [true, false].map(|set| Mask::from_fn([8, 5], region, |_, _| set));
        let [found, empty] = [0, 1].map(|index| Instance {
            mask: Some(&masks[index]),
            ..Instance::new(BoxXyxy::default(), 0, 0.5)
        });
        let records = objects(&Instances::from_iter([found]), &[], [16, 10]);
        let text = serde_json::to_string(&records).unwrap();
        let segments = r#""segments":{"x":[2.0,6.0,6.0,2.0],"y":[4.0,4.0,6.0,6.0]}"#;
        assert!(text.contains(segments), "{text}");
        assert_eq!(
            label(&found, [16, 10], true).unwrap(),
            "0 0.125000 0.400000 0.375000 0.400000 0.375000 0.600000 0.125000 0.600000 0.500000"
        );
        assert_eq!(label(&empty, [16, 10], true), None);
    }

    #[test]
    fn key_points_follow_the_box_and_come_back() {
        let point = |x, score| Keypoint { x, y: 2.5, score };
        for (points, json, words) in [
            (
                [point(4.0, Some(0.5)), point(8.0, Some(0.123456))],
                r#""keypoints":{"x":[4.0,8.0],"y":[2.5,2.5],"visible":[0.5,0.12346]}"#,
                " 0.250000 0.250000 0.500000 0.500000 0.250000 0.123456 0.750000",
            ),
            (
                [point(4.0, None), point(8.0, None)],
                r#""keypoints":{"x":[4.0,8.0],"y":[2.5,2.5]}"#,
                " 0.250000 0.250000 0.500000 0.250000 0.750000",
            ),
        ] {
            let found = Instance {
                keypoints: Some(&points),
                ..Instance::new(BoxXyxy::default(), 0, 0.75)
            };
            let records = objects(&Instances::from_iter([found]), &[], [16, 10]);
            let text = serde_json::to_string(&records).unwrap();
            assert!(text.contains(json), "{text}");
            let back: Vec<ObjectRecord> = serde_json::from_str(&text).unwrap();
            let back = instances(&back);
            let back = back.get(0).unwrap().keypoints.unwrap();
            for (back, point) in back.iter().zip(&points) {
                assert_eq!((back.x, back.y), (point.x, point.y));
                assert_eq!(back.score.is_some(), point.score.is_some());
            }
            assert_eq!(back.len(), 2);
            let line = label(&found, [16, 10], true).unwrap();
            let expected = "0 0.000000 0.000000 0.000000 0.000000".to_owned() + words;
            assert_eq!(line, expected);
        }
    }

    #[test]
    fn the_id_of_a_track_is_kept_and_stands_last_in_a_label() {
        let found = Instance {
            track_id: Some(7),
            ..Instance::new(BoxXyxy::default(), 3, 0.5)
        };
        let records = objects(&Instances::from_iter([found]), &[], [16, 10]);
        let text = serde_json::to_string(&records).unwrap();
        assert!(text.ends_with(r#""y2":0.0},"track_id":7}]"#), "{text}");
        assert_eq!(instances(&records).track_ids(), Some(&[7][..]));
        let line = label(&found, [16, 10], true).unwrap();
        assert!(line.ends_with(" 0.500000 7"), "{line}");
    }

    #[test]
    fn a_label_without_a_mask_is_centre_and_size() {
        let bbox = BoxXyxy {
            x1: 2.0,
            y1: 0.0,
            x2: 6.0,
            y2: 5.0,
        };
        let line = label(&Instance::new(bbox, 3, 0.5), [16, 10], false);
        assert_eq!(line.unwrap(), "3 0.250000 0.250000 0.250000 0.500000");
    }
}
