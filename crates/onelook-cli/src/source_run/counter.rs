//! Counts crossings of lines and stays in zones on the frames of each sequence: events as they happen,
//! totals at the end.

use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;

use onelook::record::class_name;
use onelook::vision::analytics::{
    Analytics, AnalyticsOptions, Coordinates, Event, EventKind, LineRule, Point,
};
use onelook::vision::draw::DrawnPlace;
use onelook::{direction_name, event_record, totals_record};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::CountPlan;
use crate::console::Console;
use crate::delivery::Delivery;
use crate::failure::Failure;
use crate::output::{LineFile, LineFileState, PredictedImage, print_totals};

/// Counts on each sequence by itself.
pub struct Counter<'a> {
    options: AnalyticsOptions,
    is_drawn: bool,
    names: &'a [String],
    is_verbose: bool,
    console: &'a Console,
    events: Option<LineFile>,
    delivery: Option<Rc<Delivery>>,
    sequences: BTreeMap<usize, Counted>,
}

/// How much a counter keeps for another program.
pub enum CounterKeep {
    /// Nothing.
    Nothing,
    /// What it takes to go on.
    Anew,
    /// The same, with what another program has kept.
    State(CounterState),
}

/// How a counter goes on in another program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CounterState {
    events: Option<LineFileState>,
    sequences: BTreeMap<usize, Counted>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Counted {
    source: String,
    analytics: Analytics,
    /// Lines, then zones, in pixels.
    places: Vec<Vec<Point>>,
    frames: u64,
    seconds: f64,
}

impl<'a> Counter<'a> {
    /// Nothing was counted; opens the file of events.
    pub fn new(
        plan: &CountPlan<'_>,
        names: &'a [String],
        is_verbose: bool,
        delivery: Option<Rc<Delivery>>,
        console: &'a Console,
        keep: CounterKeep,
    ) -> Result<Self, Failure> {
        let path = plan.events.map(Path::to_owned);
        if path.is_some() {
            console.saves_results();
        }
        let (events, sequences) = match keep {
            CounterKeep::Nothing => (path.map(LineFile::create), BTreeMap::new()),
            CounterKeep::Anew => (path.map(LineFile::create_resumable), BTreeMap::new()),
            CounterKeep::State(state) => (state.events.map(LineFile::resume), state.sequences),
        };
        Ok(Self {
            options: plan.options.clone(),
            is_drawn: plan.is_drawn,
            names,
            is_verbose,
            console,
            events: events.transpose()?,
            delivery,
            sequences,
        })
    }

    /// Has the events on the disk, and tells how to go on from here.
    pub fn checkpoint(&mut self) -> Result<CounterState, Failure> {
        Ok(CounterState {
            events: self.events.as_mut().map(LineFile::sync).transpose()?,
            sequences: self.sequences.clone(),
        })
    }

    /// What happens with this frame is told and saved; gives what is to be drawn on it.
    pub fn update(&mut self, image: &PredictedImage<'_>) -> Result<Vec<DrawnPlace>, Failure> {
        let position = image.sequence;
        let counted = match self.sequences.entry(position.number) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(Counted::new(&self.options, image)?)
            }
        };
        let time = (position.time.as_secs_f64() * 1e6).round() / 1e6;
        counted.frames = position.frame;
        counted.seconds = time;
        let happened = counted.analytics.update(time, image.result.instances());
        let places = match self.is_drawn {
            true => counted.drawn(&self.options),
            false => Vec::new(),
        };
        if let Some(delivery) = &self.delivery {
            let totals = totals_record([&counted.analytics]);
            let list = |kind: &str| totals[kind].as_array().cloned().unwrap_or_default();
            let sinks = delivery.sinks();
            sinks.set_totals(image.source, &list("lines"), &list("zones"));
        }
        for event in happened {
            let mut record = event_record(&event);
            record["source"] = json!(image.source);
            record["frame"] = json!(position.frame);
            self.tell(image.source, &event, &record)?;
        }
        Ok(places)
    }

    fn tell(&mut self, source: &str, event: &Event, record: &Value) -> Result<(), Failure> {
        if let Some(file) = &mut self.events {
            file.append(&format!("{record}\n"))?;
        }
        if let Some(delivery) = &self.delivery {
            let mut published = record.clone();
            published["stream"] = json!(source);
            if let Some(object) = event.object {
                published["name"] = json!(class_name(self.names, object.class));
            }
            delivery.sinks().publish(&published);
        }
        if !self.is_verbose {
            return Ok(());
        }
        self.console.value(record)?;
        let direction = match event.kind {
            EventKind::Crossed { direction } => format!(" {}", direction_name(direction)),
            _ => String::new(),
        };
        let object = event.object.map_or(String::new(), |object| {
            let class = class_name(self.names, object.class);
            format!(", {class} {}", object.track_id)
        });
        self.console.line(format!(
            "{source} {:.2} s: {} {}{direction}{object}",
            event.time,
            event.place,
            event.kind.name().replace('_', " ")
        ))
    }

    /// Tells the totals of every sequence, and gives the file of events its name.
    pub fn finish(&mut self) -> Result<(), Failure> {
        let is_one = self.sequences.len() == 1;
        for counted in self.sequences.values() {
            let prefix = match is_one {
                true => String::new(),
                false => format!("{}: ", counted.source),
            };
            print_totals(&counted.analytics, &prefix, self.console)?;
            let mut value = totals_record([&counted.analytics]);
            value["source"] = json!(counted.source);
            value["frames"] = json!(counted.frames);
            value["seconds"] = json!(counted.seconds);
            self.console.value(&value)?;
        }
        self.events.as_mut().map_or(Ok(()), LineFile::finish)
    }
}

impl Counted {
    fn new(options: &AnalyticsOptions, image: &PredictedImage<'_>) -> Result<Self, Failure> {
        let size = image.size();
        let options = AnalyticsOptions {
            image: Some(size),
            ..options.clone()
        };
        let analytics = Analytics::new(&options)
            .map_err(|error| Failure::Usage(format!("'{}': {error}", image.source)))?;
        let factors = match options.coordinates {
            Coordinates::Pixels => [1.0; 2],
            Coordinates::Fractions => size.map(|side| side as f64),
        };
        let pixels = |point: &Point| Point::new(point.x * factors[0], point.y * factors[1]);
        let lines = options.lines.iter().map(|line| vec![line.start, line.end]);
        let zones = options.zones.iter().map(|zone| zone.corners.clone());
        let places = lines.chain(zones);
        Ok(Self {
            source: match image.video {
                Some(_) => image.source.to_owned(),
                None => "images".to_owned(),
            },
            analytics,
            places: places
                .map(|points| points.iter().map(pixels).collect())
                .collect(),
            frames: 0,
            seconds: 0.0,
        })
    }

    /// The places with their counts so far.
    fn drawn(&self, options: &AnalyticsOptions) -> Vec<DrawnPlace> {
        let lines = self.analytics.lines().map(|(name, totals)| {
            let [ins, outs] = totals.sums();
            format!("{name}: {ins} in, {outs} out")
        });
        let zones = self
            .analytics
            .zones()
            .enumerate()
            .map(|(index, (name, _))| {
                format!("{name}: {} inside", self.analytics.occupants(index).count())
            });
        let texts = lines.chain(zones).zip(&self.places).enumerate();
        // Of the object counter of ultralytics, in is the same side whatever the line.
        let has_side = |index: usize| {
            let line = options.lines.get(index);
            line.is_some_and(|line| !matches!(line.rule, LineRule::Ultralytics))
        };
        let place = |(index, (text, points)): (usize, (String, &Vec<Point>))| DrawnPlace {
            points: points.clone(),
            is_closed: index >= options.lines.len(),
            has_arrow: has_side(index),
            text,
        };
        texts.map(place).collect()
    }
}
