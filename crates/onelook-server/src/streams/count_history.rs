//! What was counted at a stream's lines and in its zones over time: per minute for a day, per hour for thirty
//! days, in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Mutex;

use serde::Serialize;
use utoipa::ToSchema;

use crate::locks::lock;

/// Most places of one interval: more than a stream has at one time, as they come and go.
const MAX_PLACES: usize = 64;

/// Totals of a place since it was made.
#[derive(Debug, Clone, Copy)]
pub enum PlaceTotals<'a> {
    /// Crossings of a line, in and out.
    Line(&'a str, [u64; 2]),
    /// How many are in a zone, and how many have entered it.
    Zone(&'a str, usize, u64),
}

/// How long an interval is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolution {
    /// 60 seconds, for 24 hours.
    Minute,
    /// 3600 seconds, for 30 days.
    Hour,
}

impl Resolution {
    /// Seconds of an interval.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    fn capacity(self) -> usize {
        match self {
            Self::Minute => 24 * 60,
            Self::Hour => 30 * 24,
        }
    }
}

/// What happened in one interval. One without a frame is missing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = StreamHistorySample)]
pub struct HistorySample {
    /// When it began, in seconds since 1970.
    pub at_s: u64,
    /// Frames that were run.
    pub frames: u64,
    /// Crossings of each line in this interval.
    pub lines: BTreeMap<String, LineSample>,
    /// Objects in each zone.
    pub zones: BTreeMap<String, ZoneSample>,
}

/// Crossings of a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = StreamLineSample)]
pub struct LineSample {
    /// Inwards.
    pub r#in: u64,
    /// Outwards.
    pub out: u64,
}

/// Objects in a zone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = StreamZoneSample)]
pub struct ZoneSample {
    /// Mean over the frames.
    pub mean: f64,
    /// Most at one time.
    pub most: usize,
    /// How many entered from outside.
    pub entered: u64,
    #[serde(skip)]
    frames: u64,
}

/// The history of one stream.
#[derive(Default)]
pub struct CountHistory(Mutex<HistoryState>);

#[derive(Default)]
struct HistoryState {
    minutes: VecDeque<HistorySample>,
    hours: VecDeque<HistorySample>,
    /// Totals of each place at the last frame.
    last: HashMap<String, [u64; 2]>,
}

impl CountHistory {
    /// Adds a frame that was run `now_s` seconds after 1970.
    pub fn add(&self, now_s: u64, totals: &[PlaceTotals<'_>]) {
        let mut state = lock(&self.0);
        let mut last = HashMap::with_capacity(totals.len());
        let mut changes = Vec::with_capacity(totals.len());
        for total in totals {
            let (name, now) = match *total {
                PlaceTotals::Line(name, both) => (name, both),
                PlaceTotals::Zone(name, _, entered) => (name, [entered, 0]),
            };
            // A place that was drawn anew counts from 0.
            let before = state.last.get(name).copied().unwrap_or_default();
            let is_new = now.iter().zip(&before).any(|(now, before)| now < before);
            let since = |index: usize| now[index] - if is_new { 0 } else { before[index] };
            changes.push((*total, [since(0), since(1)]));
            last.insert(name.to_owned(), now);
        }
        state.last = last;
        let HistoryState { minutes, hours, .. } = &mut *state;
        for (samples, resolution) in [(minutes, Resolution::Minute), (hours, Resolution::Hour)] {
            let sample = current(samples, now_s, resolution);
            sample.frames += 1;
            for (total, change) in &changes {
                sample.add(total, *change);
            }
        }
    }

    /// The intervals that began later than `after`, the oldest first.
    pub fn samples(&self, resolution: Resolution, after: Option<u64>) -> Vec<HistorySample> {
        let state = lock(&self.0);
        let samples = match resolution {
            Resolution::Minute => &state.minutes,
            Resolution::Hour => &state.hours,
        };
        let is_asked = |sample: &&HistorySample| after.is_none_or(|after| sample.at_s > after);
        samples.iter().filter(is_asked).cloned().collect()
    }
}

/// The interval of this time; those that are too old go.
fn current(
    samples: &mut VecDeque<HistorySample>,
    now_s: u64,
    resolution: Resolution,
) -> &mut HistorySample {
    let start = now_s - now_s % resolution.seconds();
    // A clock that was set back goes on in the last interval.
    if samples.back().is_none_or(|last| last.at_s < start) {
        samples.push_back(HistorySample {
            at_s: start,
            frames: 0,
            lines: BTreeMap::new(),
            zones: BTreeMap::new(),
        });
    }
    let span = resolution.seconds() * resolution.capacity() as u64;
    while samples
        .front()
        .is_some_and(|first| first.at_s + span <= start)
    {
        samples.pop_front();
    }
    let last = samples.len() - 1;
    &mut samples[last]
}

impl HistorySample {
    fn add(&mut self, total: &PlaceTotals<'_>, [first, second]: [u64; 2]) {
        match *total {
            PlaceTotals::Line(name, _) => {
                if let Some(line) = place(&mut self.lines, name) {
                    line.r#in += first;
                    line.out += second;
                }
            }
            PlaceTotals::Zone(name, inside, _) => {
                if let Some(zone) = place(&mut self.zones, name) {
                    zone.frames += 1;
                    zone.mean += (inside as f64 - zone.mean) / zone.frames as f64;
                    zone.most = zone.most.max(inside);
                    zone.entered += first;
                }
            }
        }
    }
}

fn place<'a, T: Default>(places: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if !places.contains_key(name) && places.len() < MAX_PLACES {
        places.insert(name.to_owned(), T::default());
    }
    places.get_mut(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use PlaceTotals::{Line, Zone};

    #[test]
    fn an_interval_has_what_came_in_it_and_not_what_came_before() {
        let history = CountHistory::default();
        history.add(3600, &[Line("gate", [1, 0]), Zone("yard", 2, 2)]);
        history.add(3659, &[Line("gate", [3, 1]), Zone("yard", 4, 5)]);
        history.add(3660, &[Line("gate", [3, 2]), Zone("yard", 1, 5)]);
        let minutes = history.samples(Resolution::Minute, None);
        let line = |sample: &HistorySample| [sample.lines["gate"].r#in, sample.lines["gate"].out];
        assert_eq!(
            minutes.iter().map(line).collect::<Vec<_>>(),
            [[3, 1], [0, 1]]
        );
        let zone = &minutes[0].zones["yard"];
        assert_eq!((zone.mean, zone.most, zone.entered), (3.0, 4, 5));
        assert_eq!(minutes[1].zones["yard"].entered, 0);
        let hours = history.samples(Resolution::Hour, None);
        assert_eq!(
            (hours.len(), hours[0].frames, line(&hours[0])),
            (1, 3, [3, 2])
        );
        assert_eq!(history.samples(Resolution::Minute, Some(3600)).len(), 1);
    }

    #[test]
    fn a_place_that_is_drawn_anew_counts_from_zero_and_one_that_goes_is_forgotten() {
        let history = CountHistory::default();
        history.add(0, &[Line("gate", [5, 0])]);
        history.add(1, &[Line("gate", [1, 0])]);
        history.add(2, &[]);
        history.add(3, &[Line("gate", [2, 0])]);
        let minutes = history.samples(Resolution::Minute, None);
        assert_eq!(minutes[0].lines["gate"].r#in, 5 + 1 + 2);
    }

    #[test]
    fn it_stays_bounded_and_a_clock_that_is_set_back_harms_nothing() {
        let history = CountHistory::default();
        for minute in 0..3000 {
            let name = format!("line {}", minute % 100);
            history.add(minute * 60, &[Line(&name, [1, 0])]);
        }
        let minutes = history.samples(Resolution::Minute, None);
        assert_eq!(minutes.len(), 1440);
        assert_eq!(minutes[0].at_s, (3000 - 1440) * 60);
        let hours = history.samples(Resolution::Hour, None);
        assert!(hours.iter().all(|hour| hour.lines.len() <= MAX_PLACES));
        history.add(60, &[]);
        let after = history.samples(Resolution::Minute, None);
        assert_eq!((after.len(), after[1439].frames), (1440, 2));
    }
}
