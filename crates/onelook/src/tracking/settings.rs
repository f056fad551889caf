//! A tracker's settings in the reference's YAML: keys and values in, options out.
//!
//! What cannot be had is refused by its key; a key that belongs to no tracker is a mistake.

use std::ops::RangeInclusive;

use onelook_vision::track::TrackerOptions;
use onelook_vision::track::bytetrack::ByteTrackOptions;
use onelook_vision::track::ocsort::OcSortOptions;
use onelook_vision::track::tracktrack::TrackTrackOptions;
use yaml_rust2::yaml::Hash;
use yaml_rust2::{Yaml, YamlLoader};

/// Which tracker, and what it asks of its frames.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrackerSettings {
    /// The tracker.
    pub options: TrackerOptions,
    /// The camera's motion is to be taken out of the predictions, which takes the frames' pixels.
    pub camera_motion: bool,
}

/// Keys that are harmless: they set what only a tracker with appearance uses.
const UNUSED: [&str; 4] = [
    "model",
    "proximity_thresh",
    "appearance_thresh",
    "tracker_type",
];

impl TrackerSettings {
    /// Reads a file's text.
    ///
    /// # Errors
    /// What is wrong with it and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let documents =
            YamlLoader::load_from_str(text).map_err(|error| format!("it is no YAML: {error}"))?;
        let hash = documents.first().and_then(Yaml::as_hash);
        let mut keys = Keys::new(hash.ok_or("expected keys such as 'tracker_type: bytetrack'")?);
        let kind = keys
            .text("tracker_type")?
            .ok_or("'tracker_type' is missing: bytetrack, botsort, ocsort or tracktrack")?;
        let options = match kind.as_str() {
            "bytetrack" => TrackerOptions::ByteTrack(keys.bytetrack()?),
            "botsort" => TrackerOptions::BotSort(keys.bytetrack()?),
            "ocsort" => TrackerOptions::OcSort(keys.ocsort()?),
            "tracktrack" => TrackerOptions::TrackTrack(keys.tracktrack()?),
            other => {
                return Err(format!(
                    "tracker_type '{other}' cannot be had: expected bytetrack, botsort, ocsort or tracktrack"
                ));
            }
        };
        let camera_motion = match kind.as_str() {
            "botsort" | "tracktrack" => keys.camera_motion()?,
            _ => false,
        };
        keys.finish()?;
        Ok(Self {
            options,
            camera_motion,
        })
    }
}

/// The keys of a file, each asked for once.
struct Keys<'a> {
    hash: &'a Hash,
    known: Vec<&'static str>,
}

impl<'a> Keys<'a> {
    fn new(hash: &'a Hash) -> Self {
        Self {
            hash,
            known: UNUSED.to_vec(),
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Yaml> {
        self.known.push(key);
        let value = self.hash.get(&Yaml::String(key.to_owned()));
        value.filter(|value| !value.is_null())
    }

    fn text(&mut self, key: &'static str) -> Result<Option<String>, String> {
        match self.value(key) {
            None => Ok(None),
            Some(Yaml::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(format!("'{key}' must be a word")),
        }
    }

    fn number(
        &mut self,
        key: &'static str,
        default: f64,
        range: RangeInclusive<f64>,
    ) -> Result<f64, String> {
        let Some(value) = self.value(key) else {
            return Ok(default);
        };
        let number = value
            .as_f64()
            .or_else(|| value.as_i64().map(|value| value as f64));
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| {
                format!(
                    "'{key}' must be a number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
    }

    fn fraction(&mut self, key: &'static str, default: f32) -> Result<f32, String> {
        let number = self.number(key, f64::from(default), 0.0..=1.0)?;
        Ok(number as f32)
    }

    fn count(
        &mut self,
        key: &'static str,
        default: u64,
        range: RangeInclusive<f64>,
    ) -> Result<u64, String> {
        let number = self.number(key, default as f64, range)?;
        match number.fract() == 0.0 {
            true => Ok(number as u64),
            false => Err(format!("'{key}' must be a whole number")),
        }
    }

    fn switch(&mut self, key: &'static str, default: bool) -> Result<bool, String> {
        match self.value(key) {
            None => Ok(default),
            Some(Yaml::Boolean(value)) => Ok(*value),
            // Python's spelling.
            Some(Yaml::String(word)) if word == "True" => Ok(true),
            Some(Yaml::String(word)) if word == "False" => Ok(false),
            Some(_) => Err(format!("'{key}' must be true or false")),
        }
    }

    fn bytetrack(&mut self) -> Result<ByteTrackOptions, String> {
        let usual = ByteTrackOptions::default();
        Ok(ByteTrackOptions {
            high_threshold: self.fraction("track_high_thresh", usual.high_threshold)?,
            low_threshold: self.fraction("track_low_thresh", usual.low_threshold)?,
            new_threshold: self.fraction("new_track_thresh", usual.new_threshold)?,
            buffer: self.count("track_buffer", usual.buffer, 0.0..=1e6)?,
            match_threshold: self.number("match_thresh", usual.match_threshold, 0.0..=1.0)?,
            fuse_score: self.switch("fuse_score", usual.fuse_score)?,
            per_class: usual.per_class,
        })
    }

    fn ocsort(&mut self) -> Result<OcSortOptions, String> {
        let usual = OcSortOptions::default();
        Ok(OcSortOptions {
            base: self.bytetrack()?,
            direction_frames: self.count(
                "delta_t",
                u64::from(usual.direction_frames),
                1.0..=1000.0,
            )? as u32,
            direction_weight: self.number("inertia", usual.direction_weight, 0.0..=10.0)?,
            use_low: self.switch("use_byte", usual.use_low)?,
        })
    }

    fn tracktrack(&mut self) -> Result<TrackTrackOptions, String> {
        let usual = TrackTrackOptions::default();
        if self.number("lost_match_thr", 0.0, 0.0..=1.0)? != 0.0 {
            return Err("'lost_match_thr' cannot be had: leave it at 0".to_owned());
        }
        Ok(TrackTrackOptions {
            high_threshold: self.fraction("track_high_thresh", usual.high_threshold)?,
            low_threshold: self.fraction("track_low_thresh", usual.low_threshold)?,
            new_threshold: self.fraction("new_track_thresh", usual.new_threshold)?,
            buffer: self.count("track_buffer", usual.buffer, 0.0..=1e6)?,
            match_threshold: self.number("match_thresh", usual.match_threshold, 0.0..=1.0)?,
            threshold_step: self.number("reduce_step", usual.threshold_step, 0.0..=1.0)?,
            // Without appearance its weight falls to the overlap.
            overlap_weight: self.number("iou_weight", 0.5, 0.0..=10.0)?
                + self.number("reid_weight", 0.5, 0.0..=10.0)?,
            score_weight: self.number("conf_weight", usual.score_weight, 0.0..=10.0)?,
            turn_weight: self.number("angle_weight", usual.turn_weight, 0.0..=10.0)?,
            low_penalty: self.number("penalty_p", usual.low_penalty, 0.0..=10.0)?,
            suppressed_penalty: self.number("penalty_q", usual.suppressed_penalty, 0.0..=10.0)?,
            new_max_iou: self.fraction("tai_thr", usual.new_max_iou)?,
            confirm_after: self.count("min_track_len", usual.confirm_after as u64, 1.0..=1000.0)?
                as usize,
            per_class: usual.per_class,
        })
    }

    fn camera_motion(&mut self) -> Result<bool, String> {
        match self.text("gmc_method")?.as_deref() {
            None | Some("none" | "None") => Ok(false),
            Some("sparseOptFlow") => Ok(true),
            Some(other) => Err(format!(
                "gmc_method '{other}' cannot be had: expected sparseOptFlow or none"
            )),
        }
    }

    /// Refuses what cannot be had, and keys that nobody asked for.
    fn finish(mut self) -> Result<(), String> {
        if self.switch("with_reid", false)? {
            return Err("'with_reid: true' cannot be had: objects are not compared by appearance, set it to false".to_owned());
        }
        let names = self.hash.keys().map(|key| key.as_str().unwrap_or("?"));
        match names.into_iter().find(|name| !self.known.contains(name)) {
            Some(name) => Err(format!("the tracker has no setting '{name}'")),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<TrackerSettings, String> {
        TrackerSettings::parse(text)
    }

    #[test]
    fn the_references_files_give_the_usual_options() {
        let bytetrack = "tracker_type: bytetrack # (str)\ntrack_high_thresh: 0.25\ntrack_low_thresh: 0.1\n\
            new_track_thresh: 0.25\ntrack_buffer: 30\nmatch_thresh: 0.8\nfuse_score: True\n";
        let settings = parsed(bytetrack).unwrap();
        assert_eq!(Some(settings.options), TrackerOptions::named("bytetrack"));
        let botsort = bytetrack.replace("bytetrack", "botsort")
            + "gmc_method: sparseOptFlow\nproximity_thresh: 0.5\nappearance_thresh: 0.8\nwith_reid: False\nmodel: auto\n";
        let settings = parsed(&botsort).unwrap();
        assert_eq!(Some(settings.options), TrackerOptions::named("botsort"));
        assert!(settings.camera_motion);
        let ocsort = bytetrack.replace("bytetrack", "ocsort")
            + "delta_t: 3\ninertia: 0.2\nuse_byte: False\n";
        assert_eq!(
            Some(parsed(&ocsort).unwrap().options),
            TrackerOptions::named("ocsort")
        );
        let tracktrack = "tracker_type: tracktrack\ntrack_high_thresh: 0.6\ntrack_low_thresh: 0.25\nnew_track_thresh: 0.7\n\
            track_buffer: 30\nmatch_thresh: 0.7\nlost_match_thr: 0.0\niou_weight: 0.5\nreid_weight: 0.5\nconf_weight: 0.1\n\
            angle_weight: 0.05\npenalty_p: 0.2\npenalty_q: 0.4\nreduce_step: 0.05\ntai_thr: 0.55\nmin_track_len: 3\n\
            gmc_method: none\nwith_reid: False\nmodel: auto\n";
        assert_eq!(
            Some(parsed(tracktrack).unwrap().options),
            TrackerOptions::named("tracktrack")
        );
    }

    #[test]
    fn what_cannot_be_had_is_refused_by_its_key() {
        for (text, word) in [
            ("", "tracker_type"),
            ("- a", "tracker_type"),
            ("a: [", "no YAML"),
            ("track_buffer: 30", "tracker_type"),
            ("tracker_type: deepocsort", "deepocsort"),
            ("tracker_type: botsort\nwith_reid: True", "with_reid"),
            ("tracker_type: botsort\ngmc_method: orb", "orb"),
            ("tracker_type: bytetrack\nmatch_thresh: 80", "match_thresh"),
            ("tracker_type: bytetrack\ntrack_buffer: 1.5", "track_buffer"),
            ("tracker_type: bytetrack\ntrack_buffer: -1", "track_buffer"),
            ("tracker_type: bytetrack\nfuse_score: 3", "fuse_score"),
            ("tracker_type: bytetrack\ndelta_t: 3", "delta_t"),
            (
                "tracker_type: tracktrack\nlost_match_thr: 0.9",
                "lost_match_thr",
            ),
            (
                "tracker_type: bytetrack\ntrack_low_thresh: .nan",
                "track_low_thresh",
            ),
        ] {
            let said = parsed(text).unwrap_err();
            assert!(said.contains(word), "{text}: {said}");
        }
    }
}
