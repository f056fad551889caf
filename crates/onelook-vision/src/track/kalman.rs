//! Where a box is by all its sightings so far: a Kalman filter of constant speed.
//!
//! Noise of the four coordinates is independent, so the filter of eight states is four filters of two:
//! a coordinate and its speed. Knows no clock: how long a step takes is an argument.

use onelook_types::BoxXyxy;
use serde::{Deserialize, Serialize};

use super::camera_motion::CameraMotion;

/// A coordinate and its speed, each with its variance, and their covariance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct Axis {
    pub value: f64,
    /// Per unit of the time that [`predict`](Self::predict) takes.
    pub speed: f64,
    value_variance: f64,
    covariance: f64,
    speed_variance: f64,
}

impl Axis {
    /// A coordinate seen once, of unknown speed; with standard deviations of both.
    pub fn new(value: f64, value_std: f64, speed_std: f64) -> Self {
        Self {
            value,
            speed: 0.0,
            value_variance: value_std * value_std,
            covariance: 0.0,
            speed_variance: speed_std * speed_std,
        }
    }

    /// Goes on for `dt`; the standard deviations are those of what may happen meanwhile.
    pub fn predict(&mut self, dt: f64, value_std: f64, speed_std: f64) {
        self.value += self.speed * dt;
        self.value_variance += dt * (2.0 * self.covariance + dt * self.speed_variance);
        self.value_variance += value_std * value_std;
        self.covariance += dt * self.speed_variance;
        self.speed_variance += speed_std * speed_std;
    }

    /// Takes a measurement into account.
    pub fn correct(&mut self, measured: f64, std: f64) {
        let total = self.value_variance + std * std;
        let (value_gain, speed_gain) = (self.value_variance / total, self.covariance / total);
        let surprise = measured - self.value;
        self.value += value_gain * surprise;
        self.speed += speed_gain * surprise;
        self.value_variance -= value_gain * value_gain * total;
        self.covariance -= value_gain * speed_gain * total;
        self.speed_variance -= speed_gain * speed_gain * total;
    }
}

/// A centre and its speed move, and the coordinates of `lengths` grow. How sure the filter is of them
/// stays: a camera turns by little from frame to frame.
fn follow_camera(axes: &mut [Axis; 4], motion: &CameraMotion, lengths: &[usize]) {
    let [x, y, ..] = *axes;
    let centre = motion.apply([x.value, y.value]);
    let speed = motion.apply_to_step([x.speed, y.speed]);
    for index in [0, 1] {
        (axes[index].value, axes[index].speed) = (centre[index], speed[index]);
    }
    for &length in lengths {
        axes[length].value *= motion.scale();
        axes[length].speed *= motion.scale();
    }
}

/// Two axes as a step of the plane: both change with both.
fn turned([x, y]: [Axis; 2], motion: &CameraMotion) -> [Axis; 2] {
    motion.rows.map(|[a, b, _]| Axis {
        value: a * x.value + b * y.value,
        speed: a * x.speed + b * y.speed,
        value_variance: a * a * x.value_variance + b * b * y.value_variance,
        covariance: a * a * x.covariance + b * b * y.covariance,
        speed_variance: a * a * x.speed_variance + b * b * y.speed_variance,
    })
}

/// Which four coordinates describe a box.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum BoxForm {
    /// Centre, width divided by height, height (ByteTrack, arXiv:2110.06864).
    AspectHeight,
    /// Centre, width, height (BoT-SORT, arXiv:2206.14651).
    WidthHeight,
}

/// Standard deviation of a coordinate in one step, as a part of the box's side.
const VALUE_WEIGHT: f64 = 1.0 / 20.0;
/// Standard deviation of its speed.
const SPEED_WEIGHT: f64 = 1.0 / 160.0;

/// The state of one box.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct BoxFilter {
    form: BoxForm,
    pub axes: [Axis; 4],
}

impl BoxFilter {
    /// A box seen once.
    pub fn new(form: BoxForm, bbox: &BoxXyxy) -> Self {
        let measured = form.coordinates(bbox);
        let (value, speed) = form.noise(&measured);
        let axis = |index: usize| {
            // The aspect ratio hardly changes: it starts as it goes on.
            let (value_factor, speed_factor) = match form.is_aspect(index) {
                true => (1.0, 1.0),
                false => (2.0, 10.0),
            };
            let (value, speed) = (value[index] * value_factor, speed[index] * speed_factor);
            Axis::new(measured[index], value, speed)
        };
        Self {
            form,
            axes: [0, 1, 2, 3].map(axis),
        }
    }

    /// Goes on for one step.
    pub fn predict(&mut self) {
        let (value, speed) = self.form.noise(&self.values());
        for (index, axis) in self.axes.iter_mut().enumerate() {
            axis.predict(1.0, value[index], speed[index]);
        }
    }

    /// Takes a sighting into account; `variance` scales that of the measurement.
    pub fn correct(&mut self, bbox: &BoxXyxy, variance: f64) {
        self.correct_by(self.form.coordinates(bbox), variance.sqrt());
    }

    /// Goes the straight way from where the box was seen to where it is seen, a step at a time, as if
    /// it had been seen after each step but the last.
    pub fn follow(&mut self, from: &BoxXyxy, to: &BoxXyxy, steps: u64) {
        let (from, to) = (centre_and_sides(from), centre_and_sides(to));
        for step in 1..steps {
            let part = step as f64 / steps as f64;
            self.predict();
            let mut measured =
                [0, 1, 2, 3].map(|index| from[index] + (to[index] - from[index]) * part);
            if self.form == BoxForm::AspectHeight {
                measured[2] /= measured[3];
            }
            self.correct_by(measured, 1.0);
        }
        self.predict();
    }

    fn correct_by(&mut self, measured: [f64; 4], noise: f64) {
        let (value, _) = self.form.noise(&self.values());
        for (index, axis) in self.axes.iter_mut().enumerate() {
            let std = match self.form.is_aspect(index) {
                true => 0.1,
                false => value[index],
            };
            axis.correct(measured[index], std * noise);
        }
    }

    /// Goes along with the camera. The box is the upright one around the turned one, and its speeds and
    /// variances turn with the plane, as in the reference; each axis for itself.
    pub fn follow_camera(&mut self, motion: &CameraMotion) {
        if self.form == BoxForm::AspectHeight {
            return follow_camera(&mut self.axes, motion, &[3]);
        }
        let [x, y, width, height] = self.axes;
        let centre = motion.apply([x.value, y.value]);
        let [a, b] = turned([x, y], motion);
        let [c, d] = turned([width, height], motion);
        self.axes = [a, b, c, d];
        let sides = |[a, b, _]: [f64; 3]| a.abs() * width.value + b.abs() * height.value;
        let [width, height] = motion.rows.map(sides);
        let values = [centre[0], centre[1], width, height];
        for (axis, value) in self.axes.iter_mut().zip(values) {
            axis.value = value;
        }
    }

    /// Height, or width and height, stay as they are.
    pub fn stop_growing(&mut self) {
        self.axes[3].speed = 0.0;
        if self.form == BoxForm::WidthHeight {
            self.axes[2].speed = 0.0;
        }
    }

    /// The box as it is now.
    pub fn bbox(&self) -> BoxXyxy {
        let [x, y, shape, height] = self.values();
        let width = match self.form {
            BoxForm::AspectHeight => shape * height,
            BoxForm::WidthHeight => shape,
        };
        BoxXyxy {
            x1: (x - width / 2.0) as f32,
            y1: (y - height / 2.0) as f32,
            x2: (x + width / 2.0) as f32,
            y2: (y + height / 2.0) as f32,
        }
    }

    fn values(&self) -> [f64; 4] {
        self.axes.map(|axis| axis.value)
    }
}

impl BoxForm {
    fn is_aspect(self, index: usize) -> bool {
        self == Self::AspectHeight && index == 2
    }

    /// In f32, step by step as the reference computes them.
    fn coordinates(self, bbox: &BoxXyxy) -> [f64; 4] {
        let (width, height) = (bbox.x2 - bbox.x1, bbox.y2 - bbox.y1);
        let (x, y) = ((bbox.x1 + bbox.x2) / 2.0, (bbox.y1 + bbox.y2) / 2.0);
        let (left, top) = (x - width / 2.0, y - height / 2.0);
        let shape = match self {
            Self::AspectHeight => width / height,
            Self::WidthHeight => width,
        };
        [left + width / 2.0, top + height / 2.0, shape, height].map(f64::from)
    }

    /// Standard deviations of the coordinates and of their speeds, in one step.
    fn noise(self, values: &[f64; 4]) -> ([f64; 4], [f64; 4]) {
        let height = values[3];
        match self {
            Self::AspectHeight => {
                let [value, speed] = [VALUE_WEIGHT, SPEED_WEIGHT].map(|weight| weight * height);
                ([value, value, 1e-2, value], [speed, speed, 1e-5, speed])
            }
            Self::WidthHeight => {
                let sides = [values[2], height, values[2], height];
                (
                    sides.map(|side| VALUE_WEIGHT * side),
                    sides.map(|side| SPEED_WEIGHT * side),
                )
            }
        }
    }
}

fn centre_and_sides(bbox: &BoxXyxy) -> [f64; 4] {
    BoxForm::WidthHeight.coordinates(bbox)
}

/// The state of one box by its centre, width and height, with speeds per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) struct TimedBoxFilter {
    axes: [Axis; 4],
}

/// Standard deviations of the centre and of the sides, as parts of the box's sides.
struct TimedNoise {
    /// Of a detection.
    measured: f64,
    /// Of the coordinate, after a second.
    value: f64,
    /// Of the speed, after a second.
    speed: [f64; 2],
    /// Of a detection that begins a track, and of its unknown speed.
    first: (f64, [f64; 2]),
}

const TIMED: TimedNoise = TimedNoise {
    measured: 0.05,
    value: 0.1,
    speed: [0.35, 0.1],
    first: (0.1, [2.0, 0.1]),
};

impl TimedBoxFilter {
    /// A box seen once.
    pub fn new(bbox: &BoxXyxy) -> Self {
        let measured = BoxForm::WidthHeight.coordinates(bbox);
        let (value, speed) = TIMED.first;
        let axis = |index: usize| {
            let side = measured[2 + index % 2];
            Axis::new(measured[index], value * side, speed[index / 2] * side)
        };
        Self {
            axes: [0, 1, 2, 3].map(axis),
        }
    }

    /// Goes on for so many seconds; the sides stay as they are unless it `grows`.
    pub fn predict(&mut self, seconds: f64, grows: bool) {
        let sides = self.sides();
        // The variance of what may happen grows with time.
        let root = seconds.sqrt();
        for (index, axis) in self.axes.iter_mut().enumerate() {
            if index >= 2 && !grows {
                axis.speed = 0.0;
            }
            let side = sides[index % 2] * root;
            axis.predict(seconds, TIMED.value * side, TIMED.speed[index / 2] * side);
        }
        for side in &mut self.axes[2..] {
            side.value = side.value.max(1.0);
        }
    }

    /// Goes along with the camera.
    pub fn follow_camera(&mut self, motion: &CameraMotion) {
        follow_camera(&mut self.axes, motion, &[2, 3]);
    }

    /// Takes a sighting into account.
    pub fn correct(&mut self, bbox: &BoxXyxy) {
        let measured = BoxForm::WidthHeight.coordinates(bbox);
        let sides = self.sides();
        for (index, axis) in self.axes.iter_mut().enumerate() {
            axis.correct(measured[index], TIMED.measured * sides[index % 2]);
        }
    }

    /// The box as it is now.
    pub fn bbox(&self) -> BoxXyxy {
        let form = BoxForm::WidthHeight;
        BoxFilter {
            form,
            axes: self.axes,
        }
        .bbox()
    }

    fn sides(&self) -> [f64; 2] {
        [self.axes[2].value, self.axes[3].value]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: BoxXyxy = BoxXyxy {
        x1: 10.0,
        y1: 20.0,
        x2: 14.0,
        y2: 30.0,
    };

    #[test]
    fn a_sighting_draws_the_filter_towards_it() {
        for form in [BoxForm::AspectHeight, BoxForm::WidthHeight] {
            let mut filter = BoxFilter::new(form, &BOX);
            assert_eq!(filter.bbox(), BOX);
            let moved = BoxXyxy {
                x1: 12.0,
                x2: 16.0,
                ..BOX
            };
            filter.predict();
            filter.correct(&moved, 1.0);
            assert!((11.0..12.0).contains(&filter.bbox().x1), "{form:?}");
            filter.predict();
            assert!(filter.bbox().x1 > 12.0, "it goes on: {form:?}");
        }
    }

    #[test]
    fn several_short_steps_lead_where_one_long_step_does() {
        let mut filters = [TimedBoxFilter::new(&BOX); 2];
        let seen = BoxXyxy {
            x1: 11.0,
            x2: 15.0,
            ..BOX
        };
        for filter in &mut filters {
            filter.predict(0.1, true);
            filter.correct(&seen);
        }
        filters[0].predict(0.4, true);
        for _ in 0..4 {
            filters[1].predict(0.1, true);
        }
        let [long, short] = filters.map(|filter| filter.bbox());
        assert!(
            (long.x1 - short.x1).abs() < 1e-4 && long.x1 > 11.5,
            "{long:?} {short:?}"
        );
    }

    #[test]
    fn filters_follow_the_camera_with_their_speed() {
        // Twice as large, turned by a quarter to the right, then moved.
        let turn = CameraMotion {
            rows: [[0.0, -2.0, 100.0], [2.0, 0.0, 7.0]],
        };
        let mut axes = [12.0, 25.0, 4.0, 10.0].map(|value| Axis::new(value, 1.0, 1.0));
        axes[0].speed = 3.0;
        follow_camera(&mut axes, &turn, &[2, 3]);
        assert_eq!(axes.map(|axis| axis.value), [50.0, 31.0, 8.0, 20.0]);
        assert_eq!(axes.map(|axis| axis.speed), [0.0, 6.0, 0.0, 0.0]);
    }
}
