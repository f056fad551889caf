//! Where things are on the ground, and how fast they move there: pixels in, metres out.
//!
//! A view of a plane is a homography (Hartley and Zisserman, Multiple View Geometry, section 4.1) and is
//! determined by four points whose places on the plane are known.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::error::{AnalyticsError, at_least};
use super::geometry::{Anchor, Point, any_three_collinear};
use super::tracks::Sighting;

/// A plane as a camera shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroundPlane {
    /// Pixels to metres, row by row; the third coordinate is positive before the horizon.
    matrix: [[f64; 3]; 3],
}

impl GroundPlane {
    /// The plane on which the four points of the image, in pixels, have these places, in metres.
    ///
    /// # Errors
    /// Points that are not finite, three of them on one line, or pairs in different orders.
    pub fn new(image: [Point; 4], metres: [Point; 4]) -> Result<Self, AnalyticsError> {
        let refuse = |reason| Err(AnalyticsError::Calibration { reason });
        if !image.iter().chain(&metres).all(|point| point.is_finite()) {
            return refuse("a coordinate is infinite or NaN");
        }
        if any_three_collinear(&image) {
            return refuse("three of the image's points lie on one line, or two are the same");
        }
        if any_three_collinear(&metres) {
            return refuse("three of the plane's points lie on one line, or two are the same");
        }
        let (from, image_scaled) = normalised(&image);
        let (to, metres_scaled) = normalised(&metres);
        let Some(scaled) = homography(&image_scaled, &metres_scaled) else {
            return refuse("the points determine no view of a plane");
        };
        // Undo the scaling: to⁻¹ · scaled · from.
        let back = [
            [1.0 / to[0], 0.0, to[1]],
            [0.0, 1.0 / to[0], to[2]],
            [0.0, 0.0, 1.0],
        ];
        let forth = [
            [from[0], 0.0, -from[0] * from[1]],
            [0.0, from[0], -from[0] * from[2]],
            [0.0, 0.0, 1.0],
        ];
        let mut matrix = product(&back, &product(&scaled, &forth));
        let depths = image.map(|point| depth(&matrix, point));
        if depths[0] < 0.0 {
            matrix = matrix.map(|row| row.map(|value| -value));
        }
        if !depths.iter().all(|depth| depth * depths[0] > 0.0) {
            return refuse(
                "the horizon would run between the points: give both fours in one order",
            );
        }
        Ok(Self { matrix })
    }

    /// Where a point of the image is on the plane, in metres; nowhere at or above the horizon.
    pub fn metres(&self, pixel: Point) -> Option<Point> {
        let depth = depth(&self.matrix, pixel);
        let place = Point::new(
            row_at(&self.matrix[0], pixel) / depth,
            row_at(&self.matrix[1], pixel) / depth,
        );
        (depth > 0.0 && place.is_finite()).then_some(place)
    }
}

fn row_at(row: &[f64; 3], point: Point) -> f64 {
    row[0] * point.x + row[1] * point.y + row[2]
}

fn depth(matrix: &[[f64; 3]; 3], point: Point) -> f64 {
    row_at(&matrix[2], point)
}

fn product(a: &[[f64; 3]; 3], b: &[[f64; 3]; 3]) -> [[f64; 3]; 3] {
    a.map(|row| [0, 1, 2].map(|column| (0..3).map(|k| row[k] * b[k][column]).sum()))
}

/// Points about the origin at a mean distance of 1; with the factor and the centre that give them.
fn normalised(points: &[Point; 4]) -> ([f64; 3], [Point; 4]) {
    let mean = |of: fn(&Point) -> f64| points.iter().map(of).sum::<f64>() / 4.0;
    let centre = Point::new(mean(|point| point.x), mean(|point| point.y));
    let spread: f64 = points.iter().map(|point| point.distance(centre)).sum();
    let factor = 4.0 / spread;
    let scaled = points
        .map(|point| Point::new((point.x - centre.x) * factor, (point.y - centre.y) * factor));
    ([factor, centre.x, centre.y], scaled)
}

/// The homography with a last element of 1 that maps four points to four: eight linear equations.
fn homography(from: &[Point; 4], to: &[Point; 4]) -> Option<[[f64; 3]; 3]> {
    let mut rows = [[0.0; 9]; 8];
    for (index, (a, b)) in from.iter().zip(to).enumerate() {
        rows[2 * index] = [a.x, a.y, 1.0, 0.0, 0.0, 0.0, -b.x * a.x, -b.x * a.y, b.x];
        rows[2 * index + 1] = [0.0, 0.0, 0.0, a.x, a.y, 1.0, -b.y * a.x, -b.y * a.y, b.y];
    }
    for column in 0..8 {
        let magnitude = |row: &usize| rows[*row][column].abs();
        let pivot = (column..8).max_by(|a, b| magnitude(a).total_cmp(&magnitude(b)))?;
        if rows[pivot][column].abs() < 1e-9 {
            return None;
        }
        rows.swap(column, pivot);
        let pivot = rows[column].map(|value| value / rows[column][column]);
        for (index, row) in rows.iter_mut().enumerate() {
            let factor = row[column];
            *row = match index == column {
                true => pivot,
                false => std::array::from_fn(|k| row[k] - factor * pivot[k]),
            };
        }
    }
    let h = rows.map(|row| row[8]);
    Some([[h[0], h[1], h[2]], [h[3], h[4], h[5]], [h[6], h[7], 1.0]])
}

/// How speeds are measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpeedOptions {
    /// The plane on which things move.
    pub plane: GroundPlane,
    /// The point of the box that touches it.
    pub anchor: Anchor,
    /// Seconds over which the speed is a mean; no speed is told before half of it has passed.
    pub window: f64,
}

impl SpeedOptions {
    /// The bottom centre of the box, over one second.
    pub fn new(plane: GroundPlane) -> Self {
        Self {
            plane,
            anchor: Anchor::BottomCentre,
            window: 1.0,
        }
    }
}

/// Longest window in seconds, and most places that are kept of a track within it.
const LONGEST_WINDOW: f64 = 60.0;
const MOST_PLACES: usize = 4096;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SpeedMeter {
    options: SpeedOptions,
    tracks: BTreeMap<u64, VecDeque<(f64, Point)>>,
}

impl SpeedMeter {
    pub(super) fn new(options: SpeedOptions) -> Result<Self, AnalyticsError> {
        at_least("window", options.window, 1e-3, "of seconds above 0")?;
        at_least(
            "window",
            LONGEST_WINDOW - options.window,
            0.0,
            "of at most 60 seconds",
        )?;
        Ok(Self {
            options,
            tracks: BTreeMap::new(),
        })
    }

    pub(super) fn update(&mut self, time: f64, sightings: &[Sighting]) {
        for sighting in sightings {
            if let Some(lost) = sighting.continues.and_then(|id| self.tracks.remove(&id)) {
                self.tracks.insert(sighting.id, lost);
            }
            let pixel = self.options.anchor.of(&sighting.bbox);
            if let Some(place) = self.options.plane.metres(pixel) {
                let places = self.tracks.entry(sighting.id).or_default();
                places.push_back((time, place));
                if places.len() > MOST_PLACES {
                    places.pop_front();
                }
            }
        }
        let oldest = time - self.options.window;
        self.tracks.retain(|_, places| {
            while places.front().is_some_and(|&(seen, _)| seen < oldest) {
                places.pop_front();
            }
            !places.is_empty()
        });
    }

    /// Metres per second: the slope of the line of least squares through the places of the window.
    pub(super) fn speed(&self, id: u64) -> Option<f64> {
        let places = self.tracks.get(&id)?;
        let (first, last) = (places.front()?.0, places.back()?.0);
        if last - first < self.options.window / 2.0 {
            return None;
        }
        let mean =
            |of: fn(&(f64, Point)) -> f64| places.iter().map(of).sum::<f64>() / places.len() as f64;
        let (time, x, y) = (mean(|it| it.0), mean(|it| it.1.x), mean(|it| it.1.y));
        let mut sums = [0.0; 3];
        for (seen, place) in places {
            let ahead = seen - time;
            sums[0] += ahead * ahead;
            sums[1] += ahead * (place.x - x);
            sums[2] += ahead * (place.y - y);
        }
        Some((sums[1] / sums[0]).hypot(sums[2] / sums[0]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::BoxXyxy;

    fn points(corners: [[f64; 2]; 4]) -> [Point; 4] {
        corners.map(|[x, y]| Point::new(x, y))
    }

    /// A road of 8 m by 40 m that a camera sees as a trapezium.
    fn road() -> GroundPlane {
        let image = points([
            [400.0, 300.0],
            [600.0, 300.0],
            [900.0, 900.0],
            [100.0, 900.0],
        ]);
        let metres = points([[0.0, 40.0], [8.0, 40.0], [8.0, 0.0], [0.0, 0.0]]);
        GroundPlane::new(image, metres).unwrap()
    }

    /// The pixel of a place on the road, by the inverse homography.
    fn pixel(place: Point) -> Point {
        let metres = points([[0.0, 40.0], [8.0, 40.0], [8.0, 0.0], [0.0, 0.0]]);
        let image = points([
            [400.0, 300.0],
            [600.0, 300.0],
            [900.0, 900.0],
            [100.0, 900.0],
        ]);
        GroundPlane::new(metres, image)
            .unwrap()
            .metres(place)
            .unwrap()
    }

    fn sighting(at: Point) -> Sighting {
        Sighting {
            id: 7,
            bbox: BoxXyxy {
                x1: at.x as f32 - 5.0,
                y1: at.y as f32 - 20.0,
                x2: at.x as f32 + 5.0,
                y2: at.y as f32,
            },
            score: 0.9,
            class: 2,
            continues: None,
        }
    }

    #[test]
    fn the_calibration_points_have_their_places() {
        let plane = road();
        for (pixel, metres) in [
            ([400.0, 300.0], [0.0, 40.0]),
            ([900.0, 900.0], [8.0, 0.0]),
            ([500.0, 900.0], [4.0, 0.0]),
        ] {
            let place = plane.metres(Point::new(pixel[0], pixel[1])).unwrap();
            assert!(
                place.distance(Point::new(metres[0], metres[1])) < 1e-9,
                "{place:?}"
            );
        }
    }

    #[test]
    fn there_is_no_place_beyond_the_horizon() {
        // The sides of the road meet at y = 100.
        assert_eq!(road().metres(Point::new(500.0, 100.0 - 1e-6)), None);
        assert!(road().metres(Point::new(500.0, 110.0)).is_some());
    }

    #[test]
    fn degenerate_calibrations_are_refused() {
        let square = points([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        let line = points([[0.0, 0.0], [1.0, 1.0], [2.0, 2.0], [0.0, 5.0]]);
        let swapped = points([[0.0, 0.0], [1.0, 1.0], [1.0, 0.0], [0.0, 1.0]]);
        let twice = points([[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        let nan = points([[f64::NAN, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]);
        for (image, metres) in [
            (line, square),
            (square, line),
            (twice, square),
            (square, swapped),
            (nan, square),
        ] {
            let error = GroundPlane::new(image, metres).unwrap_err().to_string();
            assert!(
                error.starts_with("the calibration is impossible"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_constant_speed_is_measured_whatever_the_frame_rate() {
        for (rate, from, step) in [(25.0, 2.0, 0.5), (7.0, 35.0, -1.2)] {
            let mut meter = SpeedMeter::new(SpeedOptions::new(road())).unwrap();
            for frame in 0..20 {
                let time = f64::from(frame) / rate;
                let at = pixel(Point::new(3.0, from + f64::from(frame) * step));
                meter.update(time, &[sighting(at)]);
                let speed = meter.speed(7);
                assert_eq!(speed.is_some(), time >= 0.5, "{time}");
                let expected = f64::abs(step) * rate;
                assert!(
                    speed.is_none_or(|it| (it / expected - 1.0).abs() < 1e-3),
                    "{speed:?}"
                );
            }
            meter.update(60.0, &[]);
            assert_eq!(meter.speed(7), None);
        }
    }

    #[test]
    fn jitter_of_a_standing_object_is_no_speed() {
        let mut meter = SpeedMeter::new(SpeedOptions::new(road())).unwrap();
        for frame in 0..50_i32 {
            let jitter = f64::from(frame % 2) * 2.0 - 1.0;
            let at = Point::new(500.0 + jitter, 700.0);
            meter.update(f64::from(frame) / 25.0, &[sighting(at)]);
        }
        assert!(meter.speed(7).unwrap() < 0.01);
    }
}
