//! How one stream is read, tracked and counted: what users write as JSON or TOML, checked.
//!
//! Has the address with its password: never shown, neither by `Debug` nor in an answer.

mod scene;

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use onelook::media::video::VideoAddress;
use onelook::streams::StreamSettings;
use onelook::tracking::{self, TrackerSettings};
use onelook::vision::analytics::{
    Analytics, AnalyticsOptions, Coordinates, CrowdOptions, Line, LineRule, Point, Zone,
    ZoneOptions,
};
use onelook::vision::track::TrackerOptions;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

pub use scene::{HeatmapConfig, PlaneConfig};

/// Most lines and zones of one stream, together.
const MAX_PLACES: usize = 32;

/// Longest name of a stream, a line or a zone, in bytes.
const MAX_NAME: usize = 64;

/// Longest address, in bytes.
const MAX_URL: usize = 2048;

/// Confidence below which no object is looked for: every stream shares one run of the model.
pub const LEAST_CONFIDENCE: f32 = 0.05;

/// Seconds for which a crowd must last before it is told.
const CROWD_AFTER: f64 = 1.0;

/// What a stream is read from, and what is done with it.
#[derive(Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamConfig {
    /// Its name in addresses and metrics: letters, digits, `-`, `_` and `.`.
    #[schema(example = "gate", min_length = 1, max_length = 64)]
    pub name: String,
    /// Where its frames come from; never told again with its password.
    #[schema(example = "rtsp://user:password@192.168.1.20/stream1")]
    pub url: String,
    /// The model; the server's first if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "yolo11n")]
    pub model: Option<String>,
    /// Most frames per second that are run; all that come if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 10.0)]
    pub fps: Option<f64>,
    /// Most pixels of the longer side of its frames: larger ones are made smaller while they are decoded, which
    /// costs less. Boxes and views are of that size. As they come if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 32, maximum = 16384, example = 640)]
    pub decode_size: Option<u32>,
    /// Its share of the model's time beside other streams; 1 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u32>, minimum = 1, maximum = 1000, example = 1)]
    pub weight: Option<NonZeroU32>,
    /// What follows its objects: default, bytetrack, botsort, ocsort, tracktrack or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "default")]
    pub tracker: Option<String>,
    /// Smallest confidence of an object; 0.25 without a tracker and 0.1 with one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.05, maximum = 1)]
    pub confidence: Option<f32>,
    /// Lines whose crossings are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<LineConfig>,
    /// Zones in which objects are counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneConfig>,
    /// The ground, for speeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plane: Option<PlaneConfig>,
    /// Keeps where objects spend their time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heatmap: Option<HeatmapConfig>,
}

/// A line with a direction. To its left on the screen is `in`: upwards over a line from left to right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LineConfig {
    /// Its name, unique among lines and zones.
    #[schema(example = "entrance")]
    pub name: String,
    /// Where it starts: x and y, 0 to 1 of the image's width and height.
    #[schema(example = json!([0.1, 0.5]))]
    pub start: [f64; 2],
    /// Where it ends.
    #[schema(example = json!([0.9, 0.5]))]
    pub end: [f64; 2],
}

/// A polygon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneConfig {
    /// Its name, unique among lines and zones.
    #[schema(example = "waiting area")]
    pub name: String,
    /// Its corners in the order of the outline: x and y, 0 to 1 of the image's width and height.
    #[schema(example = json!([[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]))]
    pub corners: Vec<[f64; 2]>,
    /// Number of objects from which on it is crowded, which is told as an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crowd: Option<usize>,
}

impl StreamConfig {
    /// Checks all values. The text says which is wrong, and what would do; it never quotes the address.
    ///
    /// # Errors
    /// The first value that cannot be used.
    pub fn check(&self) -> Result<(), String> {
        check_name(&self.name)?;
        let named = |reason: &str| Err(format!("stream '{}': {reason}", self.name));
        if self.url.is_empty() || self.url.len() > MAX_URL {
            return named("url: expected an address of at most 2048 bytes");
        }
        if self.url.chars().any(char::is_control) {
            return named("url: it has a control character");
        }
        if self.fps.is_some_and(|fps| !(fps > 0.0 && fps <= 1000.0)) {
            return named("fps: expected more than 0 and at most 1000");
        }
        let is_side = |side: u32| (32..=16384).contains(&side);
        if self.decode_size.is_some_and(|side| !is_side(side)) {
            return named("decode_size: expected 32 to 16384 pixels");
        }
        if self.weight.is_some_and(|weight| weight.get() > 1000) {
            return named("weight: expected 1 to 1000");
        }
        let is_confidence = |value: f32| (LEAST_CONFIDENCE..=1.0).contains(&value);
        if self.confidence.is_some_and(|value| !is_confidence(value)) {
            return named("confidence: expected 0.05 to 1");
        }
        self.tracker_settings()?;
        if self.lines.len() + self.zones.len() > MAX_PLACES {
            return named("expected at most 32 lines and zones together");
        }
        let lines = self.lines.iter().map(|line| &line.name);
        let mut names = lines.chain(self.zones.iter().map(|zone| &zone.name));
        if let Some(long) = names.find(|name| name.len() > MAX_NAME) {
            let start: String = long.chars().take(20).collect();
            return named(&format!("the name '{start}…' has more than 64 bytes"));
        }
        if self.tracker_settings()?.is_none() && !(self.lines.is_empty() && self.zones.is_empty()) {
            return named("lines and zones count tracks: tracker must not be none");
        }
        if self.tracker_settings()?.is_none() && self.plane.is_some() {
            return named("plane: speeds are those of tracks: tracker must not be none");
        }
        if let Some(heatmap) = &self.heatmap {
            heatmap.check().or_else(|reason| named(&reason))?;
        }
        // The size of the image is not known yet, and does not matter for fractions.
        self.speed_meter([1000, 1000])
            .and_then(|_| self.analytics([1000, 1000]))
            .map(drop)
            .map_err(|reason| format!("stream '{}': {reason}", self.name))
    }

    /// Where the frames come from: an address with a scheme, the number of a camera, or a file.
    pub fn address(&self) -> VideoAddress {
        if self.url.contains("://") {
            return VideoAddress::Url(self.url.clone());
        }
        match self.url.parse() {
            Ok(camera) => VideoAddress::Camera(camera),
            Err(_) => VideoAddress::File(PathBuf::from(&self.url)),
        }
    }

    /// What follows its objects, if anything does.
    ///
    /// # Errors
    /// There is no tracker of this name.
    pub fn tracker_settings(&self) -> Result<Option<TrackerSettings>, String> {
        let name = self.tracker.as_deref().unwrap_or("default");
        if name == "none" {
            return Ok(None);
        }
        // Never a file: the name may come from elsewhere.
        if !TrackerOptions::NAMES.contains(&name) {
            return Err(format!(
                "stream '{}': tracker: expected none or one of {}",
                self.name,
                TrackerOptions::NAMES.join(", ")
            ));
        }
        let found = tracking::tracker(name).map_err(|error| error.to_string())?;
        Ok(Some(found))
    }

    /// Smallest confidence of an object.
    pub fn least_confidence(&self) -> f32 {
        let is_tracked = self.tracker.as_deref() != Some("none");
        self.confidence
            .unwrap_or(if is_tracked { 0.1 } else { 0.25 })
    }

    /// How it is run beside others. Its objects are tracked elsewhere, so that another tracker does not
    /// mean another connection.
    pub fn settings(&self, max_age: Option<Duration>) -> StreamSettings {
        StreamSettings {
            weight: self.weight.unwrap_or(NonZeroU32::MIN),
            max_fps: self.fps,
            max_age,
            tracker: None,
        }
    }

    /// One counter for each line and zone, in this order: a place that comes or goes leaves the counts of
    /// the others alone.
    ///
    /// # Errors
    /// A line or a zone that makes no sense.
    pub fn analytics(&self, image: [usize; 2]) -> Result<Vec<(Place, Analytics)>, String> {
        let lines = self.lines.iter().cloned().map(Place::Line);
        let zones = self.zones.iter().cloned().map(Place::Zone);
        let places: Vec<Place> = lines.chain(zones).collect();
        let mut names = std::collections::BTreeSet::new();
        if let Some(twice) = places.iter().find(|place| !names.insert(place.name())) {
            return Err(format!("two lines or zones are called '{}'", twice.name()));
        }
        let counter = |place: Place| Ok((place.clone(), place.analytics(image)?));
        places.into_iter().map(counter).collect()
    }

    /// Measures the speeds of tracks by their own numbers, if the ground is known.
    ///
    /// # Errors
    /// Points that determine no plane.
    pub fn speed_meter(&self, image: [usize; 2]) -> Result<Option<Analytics>, String> {
        let Some(plane) = &self.plane else {
            return Ok(None);
        };
        let options = AnalyticsOptions {
            speed: Some(plane.speed_options(image)?),
            join: None,
            ..AnalyticsOptions::default()
        };
        let meter = Analytics::new(&options).map_err(|error| error.to_string())?;
        Ok(Some(meter))
    }

    /// These settings with the members of `patch` in place of theirs; null takes one away.
    ///
    /// # Errors
    /// The patch is no object, has other members, or tries to change what cannot be changed.
    pub fn patched(&self, patch: &Value) -> Result<Self, String> {
        let Value::Object(patch) = patch else {
            return Err("expected an object with the settings to change".to_owned());
        };
        if let Some(fixed) = ["name", "url"].iter().find(|key| patch.contains_key(**key)) {
            return Err(format!(
                "{fixed}: it cannot be changed: remove the stream and add another"
            ));
        }
        let mut settings = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let Value::Object(settings) = &mut settings {
            for (key, value) in patch {
                match value {
                    Value::Null => settings.remove(key),
                    value => settings.insert(key.clone(), value.clone()),
                };
            }
        }
        let patched: Self = serde_json::from_value(settings)
            .map_err(|error| error.to_string().chars().take(300).collect::<String>())?;
        patched.check().map(|()| patched)
    }

    /// Whether the newest frame counts and it is opened again after each end: all but files.
    pub fn is_live(&self) -> bool {
        self.address().is_live()
    }

    /// Whether the same frames come, whatever is done with them.
    pub fn has_same_source(&self, other: &Self) -> bool {
        self.url == other.url && self.model == other.model && self.decode_size == other.decode_size
    }
}

/// A line or a zone.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A line.
    Line(LineConfig),
    /// A zone.
    Zone(ZoneConfig),
}

impl Place {
    fn name(&self) -> &str {
        match self {
            Self::Line(line) => &line.name,
            Self::Zone(zone) => &zone.name,
        }
    }

    /// Counts what happens there.
    fn analytics(&self, image: [usize; 2]) -> Result<Analytics, String> {
        let mut options = AnalyticsOptions {
            coordinates: Coordinates::Fractions,
            image: Some(image),
            ..AnalyticsOptions::default()
        };
        let point = |[x, y]: [f64; 2]| Point { x, y };
        match self {
            Self::Line(line) => options.lines.push(Line {
                name: line.name.clone(),
                start: point(line.start),
                end: point(line.end),
                rule: LineRule::default(),
            }),
            Self::Zone(zone) => options.zones.push(Zone {
                name: zone.name.clone(),
                corners: zone.corners.iter().copied().map(point).collect(),
                options: ZoneOptions {
                    crowd: zone
                        .crowd
                        .map(|count| CrowdOptions::new(count, CROWD_AFTER)),
                    ..ZoneOptions::default()
                },
            }),
        }
        Analytics::new(&options).map_err(|error| error.to_string())
    }
}

/// Names are part of paths and of metrics.
fn check_name(name: &str) -> Result<(), String> {
    let is_sane = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
    let is_reserved = matches!(name, "live" | "events" | "." | "..");
    match !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(is_sane) && !is_reserved {
        true => Ok(()),
        false => Err(
            "name: expected 1 to 64 letters, digits, '-', '_' and '.', and not 'live' or 'events'"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config(members: Value) -> Result<StreamConfig, String> {
        let mut whole = json!({"name": "gate", "url": "rtsp://me:s3cret@cam.lan/1"});
        let (Value::Object(whole_members), Value::Object(members)) = (&mut whole, members) else {
            unreachable!("both are objects");
        };
        whole_members.extend(members);
        let config: StreamConfig =
            serde_json::from_value(whole).map_err(|error| error.to_string())?;
        config.check().map(|()| config)
    }

    #[test]
    fn what_cannot_be_used_is_named_without_the_address() {
        let line = |name: &str| json!({"name": name, "start": [0.1, 0.5], "end": [0.9, 0.5]});
        for (members, word) in [
            (json!({"name": ""}), "name"),
            (json!({"name": "live"}), "live"),
            (json!({"name": "a/b"}), "name"),
            (json!({"url": "rtsp://s3cret\n@x"}), "control"),
            (json!({"url": ""}), "url"),
            (json!({"fps": 0}), "fps"),
            (json!({"weight": 0}), "expected"),
            (json!({"weight": 1001}), "weight"),
            (json!({"decode_size": 31}), "decode_size"),
            (json!({"decode_size": 16385}), "decode_size"),
            (json!({"confidence": 0.01}), "confidence"),
            (json!({"tracker": "/etc/passwd.yaml"}), "bytetrack"),
            (json!({"speed": 1}), "speed"),
            (json!({"lines": [line("a"), line("a")]}), "'a'"),
            (json!({"lines": [line("")]}), "name"),
            (
                json!({"lines": [line("a")], "tracker": "none"}),
                "tracker must not be none",
            ),
            (
                json!({"lines": vec![line("a"); 33]}),
                "at most 32 lines and zones",
            ),
            (
                json!({"zones": [{"name": "z", "corners": [[0, 0], [1, 1]]}]}),
                "'z'",
            ),
            (
                json!({"lines": [{"name": "a", "start": [0, 0], "end": [2, 0]}]}),
                "'a'",
            ),
        ] {
            let said = config(members.clone()).map(drop).unwrap_err();
            assert!(said.contains(word), "{members}: {said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
        assert!(config(json!({})).is_ok());
    }

    #[test]
    fn a_patch_changes_what_it_names_and_null_takes_away() {
        let config = config(json!({"fps": 5, "weight": 2})).unwrap();
        let patched = config.patched(&json!({"fps": null, "confidence": 0.5}));
        let patched = patched.unwrap();
        assert_eq!((patched.fps, patched.confidence), (None, Some(0.5)));
        assert_eq!(patched.weight, config.weight);
        assert!(config.has_same_source(&patched));
        let smaller = config.patched(&json!({"decode_size": 640})).unwrap();
        assert!(!config.has_same_source(&smaller));
        for wrong in [
            json!([]),
            json!({"url": "rtsp://x/"}),
            json!({"name": "b"}),
            json!({"fps": -1}),
        ] {
            assert!(config.patched(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_address_is_a_stream_a_camera_or_a_file() {
        let address = |url: &str| config(json!({"url": url})).unwrap().address();
        assert_eq!(
            address("rtsp://a/b"),
            VideoAddress::Url("rtsp://a/b".to_owned())
        );
        assert_eq!(address("0"), VideoAddress::Camera(0));
        assert_eq!(
            address("clips/a.mp4"),
            VideoAddress::File("clips/a.mp4".into())
        );
    }
}
