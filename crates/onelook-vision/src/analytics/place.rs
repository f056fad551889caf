//! Lines and zones as people describe them, checked and brought to pixels.

use std::collections::BTreeSet;

use super::error::AnalyticsError;
use super::geometry::{Point, Segment, crosses_itself};
use super::line::LineRule;
use super::zone::ZoneOptions;

/// The unit of points of lines and zones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coordinates {
    /// Pixels of the original image.
    #[default]
    Pixels,
    /// 0 to 1 of the image's width and height.
    Fractions,
}

/// A directed line.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// What events call it; unique among lines and zones.
    pub name: String,
    /// Where it starts.
    pub start: Point,
    /// Where it ends.
    pub end: Point,
    /// What counts as a crossing.
    pub rule: LineRule,
}

/// A polygon.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// What events call it; unique among lines and zones.
    pub name: String,
    /// In the order of the outline, either way round, without the first one again at the end.
    pub corners: Vec<Point>,
    /// What counts as being inside.
    pub options: ZoneOptions,
}

/// Most corners of a polygon.
const MOST_CORNERS: usize = 1000;

/// Checks places one by one.
pub(super) struct PlaceChecker {
    coordinates: Coordinates,
    size: Option<[f64; 2]>,
    names: BTreeSet<String>,
}

impl PlaceChecker {
    pub(super) fn new(
        coordinates: Coordinates,
        image: Option<[usize; 2]>,
    ) -> Result<Self, AnalyticsError> {
        let size = image.map(|sides| sides.map(|side| side as f64));
        let is_sized = size.is_some_and(|sides| sides.iter().all(|&side| side > 0.0));
        match is_sized || (size.is_none() && coordinates == Coordinates::Pixels) {
            true => Ok(Self {
                coordinates,
                size,
                names: BTreeSet::new(),
            }),
            false => Err(AnalyticsError::Setting {
                setting: "image",
                value: size.map_or(f64::NAN, |sides| sides[0].min(sides[1])),
                expected: "of pixels above 0 for both sides",
            }),
        }
    }

    pub(super) fn segment(&mut self, line: &Line) -> Result<Segment, AnalyticsError> {
        self.check_name(&line.name)?;
        let segment = Segment {
            start: self.pixels(&line.name, line.start)?,
            end: self.pixels(&line.name, line.end)?,
        };
        match segment.length() > 0.0 {
            true => Ok(segment),
            false => Err(AnalyticsError::NoLength {
                name: line.name.clone(),
            }),
        }
    }

    pub(super) fn corners(&mut self, zone: &Zone) -> Result<Vec<Point>, AnalyticsError> {
        self.check_name(&zone.name)?;
        let (name, corners) = (zone.name.clone(), zone.corners.len());
        if !(3..=MOST_CORNERS).contains(&corners) {
            return Err(AnalyticsError::Corners {
                name,
                corners,
                limit: MOST_CORNERS,
            });
        }
        let points = zone
            .corners
            .iter()
            .map(|&corner| self.pixels(&name, corner));
        let points = points.collect::<Result<Vec<Point>, _>>()?;
        match crosses_itself(&points) {
            true => Err(AnalyticsError::CrossesItself { name }),
            false => Ok(points),
        }
    }

    fn check_name(&mut self, name: &str) -> Result<(), AnalyticsError> {
        match !name.is_empty() && self.names.insert(name.to_owned()) {
            true => Ok(()),
            false => Err(AnalyticsError::Name {
                name: name.to_owned(),
            }),
        }
    }

    fn pixels(&self, name: &str, point: Point) -> Result<Point, AnalyticsError> {
        let limits = match (self.coordinates, self.size) {
            (Coordinates::Fractions, _) => [1.0; 2],
            // Coordinates beyond this lose digits in the arithmetic.
            (Coordinates::Pixels, None) => [1e6; 2],
            (Coordinates::Pixels, Some(size)) => size,
        };
        let within = |value: f64, limit: f64| (0.0..=limit).contains(&value);
        if !within(point.x, limits[0]) || !within(point.y, limits[1]) {
            return Err(AnalyticsError::Outside {
                name: name.to_owned(),
                x: point.x,
                y: point.y,
                width: limits[0],
                height: limits[1],
            });
        }
        let factors = match (self.coordinates, self.size) {
            (Coordinates::Fractions, Some(size)) => size,
            _ => [1.0; 2],
        };
        Ok(Point::new(point.x * factors[0], point.y * factors[1]))
    }
}
