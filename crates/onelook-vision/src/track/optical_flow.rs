//! How the camera moved, from the pixels of two frames: corners of the one are found again on the other,
//! and the similarity that most of them agree on is the camera's motion.
//!
//! Frame after frame in, a [`CameraMotion`] each out. The same frames give the same motion: what is drawn
//! at random is drawn from a fixed seed.

mod corner_points;
mod lucas_kanade;
mod luma;

use onelook_types::FrameView;
use serde::{Deserialize, Serialize};

use super::camera_motion::CameraMotion;
use corner_points::corner_points;
use lucas_kanade::follow;
use luma::Luma;

/// The longer side of the frames in which corners are followed.
const LONGER_SIDE: usize = 320;
/// Sizes of a frame, each half of the one before.
const LEVELS: usize = 3;
/// Pixels of the small frame by which a corner may miss the motion that it agrees with.
const TOLERANCE: f32 = 1.0;
/// Most pairs of corners that are tried.
const TRIES: usize = 200;
/// How surely a pair was among them both of which agree with the motion.
const CERTAINTY: f64 = 0.9999;
/// So many times as many corners must agree with a motion as with none: a large object that passes is more
/// likely than a camera that follows it. What agrees with none still tells of a slow motion.
const STILL_ADVANTAGE: usize = 4;
/// Corners that must agree.
const LEAST_AGREEING: usize = 8;

/// A point before and after.
type Step = ([f64; 2], [f64; 2]);

/// Finds the camera's motion of one stream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CameraMotionEstimator {
    previous: Option<[Luma; LEVELS]>,
    /// The frame before that, whose memory is used again.
    #[serde(skip)]
    unused: [Luma; LEVELS],
}

impl CameraMotionEstimator {
    /// How the camera moved since the frame before; still where that cannot be told, as on the first
    /// frame, where the size changes or where too little has corners.
    pub fn estimate(&mut self, frame: &FrameView<'_>) -> CameraMotion {
        let factor = frame
            .width()
            .max(frame.height())
            .div_ceil(LONGER_SIDE)
            .min(255);
        let mut levels = std::mem::take(&mut self.unused);
        levels[0].shrink(frame, factor);
        for level in 1..LEVELS {
            let (larger, smaller) = levels.split_at_mut(level);
            smaller[0].halve(&larger[level - 1]);
        }
        let motion = self.previous.as_ref().and_then(|previous| {
            let is_alike = levels[0].size() == previous[0].size();
            is_alike.then(|| moved(previous, &levels)).flatten()
        });
        self.unused = self.previous.replace(levels).unwrap_or_default();
        enlarged(motion.unwrap_or(CameraMotion::STILL), factor as f64)
    }
}

/// The motion from one frame to another of the same size.
fn moved(previous: &[Luma; LEVELS], current: &[Luma; LEVELS]) -> Option<CameraMotion> {
    let corners = corner_points(&previous[0]).into_iter();
    let steps = corners.filter_map(|from| Some((from, follow(previous, current, from)?)));
    agreed_motion(&steps.collect::<Vec<Step>>())
}

/// The motion of a frame `factor` times as large, whose pixels' centres lie between those of the small one.
fn enlarged(motion: CameraMotion, factor: f64) -> CameraMotion {
    let middle = (factor - 1.0) / 2.0;
    CameraMotion {
        rows: motion.rows.map(|[a, b, c]| [a, b, c * factor]),
    }
    .about(middle)
}

impl CameraMotion {
    /// The same motion in coordinates whose origin lies at minus this on both axes.
    fn about(self, offset: f64) -> Self {
        let [x, y] = self.apply_to_step([offset, offset]);
        let [[a, b, c], [d, e, f]] = self.rows;
        Self {
            rows: [[a, b, c + offset - x], [d, e, f + offset - y]],
        }
    }
}

/// The similarity that most steps agree on, by random sample consensus (Fischler and Bolles, 1981).
fn agreed_motion(steps: &[Step]) -> Option<CameraMotion> {
    let points = Points::new(steps);
    let still = points.count_agreeing(&CameraMotion::STILL);
    let mut best = (still, CameraMotion::STILL);
    // No motion has more than all of them.
    if steps.len() > still * STILL_ADVANTAGE {
        let sampled = sampled_motion(steps, &points);
        if sampled.0 > still * STILL_ADVANTAGE {
            best = sampled;
        }
    }
    if best.0 < LEAST_AGREEING.max(steps.len() / 4) {
        return None;
    }
    let refined = fitted(agreeing(steps, &best.1))?;
    fitted(agreeing(steps, &refined))
}

/// The motion of the pair of steps that most steps agree with, and how many do.
fn sampled_motion(steps: &[Step], points: &Points) -> (usize, CameraMotion) {
    let mut random = Random(1);
    let mut best = (0, CameraMotion::STILL);
    let mut tries = 0;
    while tries < tries_for(best.0, steps.len()) {
        tries += 1;
        let pair = [(); 2].map(|()| steps[random.below(steps.len())]);
        if let Some(motion) = fitted(pair.iter()) {
            let agreeing = points.count_agreeing(&motion);
            if agreeing > best.0 {
                best = (agreeing, motion);
            }
        }
    }
    best
}

/// Steps that agree with the motion.
fn agreeing<'a>(
    steps: &'a [Step],
    motion: &CameraMotion,
) -> impl Iterator<Item = &'a Step> + Clone {
    let motion = *motion;
    steps.iter().filter(move |(from, to)| {
        let [x, y] = motion.apply(*from);
        let [x, y] = [x - to[0], y - to[1]];
        x * x + y * y <= f64::from(TOLERANCE * TOLERANCE)
    })
}

/// How many pairs are to be tried when `agreeing` steps of `count` do agree.
fn tries_for(agreeing: usize, count: usize) -> usize {
    if agreeing == 0 {
        return TRIES;
    }
    let pair = (agreeing as f64 / count as f64).powi(2);
    // Where all agree, one of minus infinity.
    let tries = (1.0 - CERTAINTY).ln() / (1.0 - pair).ln();
    (tries.ceil() as usize).clamp(1, TRIES)
}

/// Steps by coordinate, for vectors.
struct Points([Vec<f32>; 4]);

impl Points {
    fn new(steps: &[Step]) -> Self {
        let column =
            |value: fn(&Step) -> f64| steps.iter().map(|step| value(step) as f32).collect();
        Self([
            column(|step| step.0[0]),
            column(|step| step.0[1]),
            column(|step| step.1[0]),
            column(|step| step.1[1]),
        ])
    }

    fn count_agreeing(&self, motion: &CameraMotion) -> usize {
        let [[a, b, c], [d, e, f]] = motion.rows.map(|row| row.map(|value| value as f32));
        let [from_x, from_y, to_x, to_y] = &self.0;
        let froms = from_x.iter().zip(from_y);
        let agrees = |((x, y), (to_x, to_y)): ((&f32, &f32), (&f32, &f32))| {
            let miss = [a * x + b * y + c - to_x, d * x + e * y + f - to_y];
            u32::from(miss[0] * miss[0] + miss[1] * miss[1] <= TOLERANCE * TOLERANCE)
        };
        froms.zip(to_x.iter().zip(to_y)).map(agrees).sum::<u32>() as usize
    }
}

/// The similarity with the least squares of misses.
fn fitted<'a>(steps: impl Iterator<Item = &'a Step> + Clone) -> Option<CameraMotion> {
    let count = steps.clone().count() as f64;
    let mean = |point: fn(&Step) -> [f64; 2], axis: usize| {
        steps.clone().map(|step| point(step)[axis]).sum::<f64>() / count
    };
    let from = [mean(|step| step.0, 0), mean(|step| step.0, 1)];
    let to = [mean(|step| step.1, 0), mean(|step| step.1, 1)];
    let (mut along, mut across, mut square) = (0.0, 0.0, 0.0);
    for (a, b) in steps.clone() {
        let (ax, ay) = (a[0] - from[0], a[1] - from[1]);
        let (bx, by) = (b[0] - to[0], b[1] - to[1]);
        along += ax * bx + ay * by;
        across += ax * by - ay * bx;
        square += ax * ax + ay * ay;
    }
    let (cosine, sine) = (along / square, across / square);
    let motion = CameraMotion {
        rows: [
            [cosine, -sine, to[0] - cosine * from[0] + sine * from[1]],
            [sine, cosine, to[1] - sine * from[0] - cosine * from[1]],
        ],
    };
    motion.is_sound().then_some(motion)
}

/// Numbers that look random and are always the same (xorshift, Marsaglia, 2003).
struct Random(u64);

impl Random {
    /// A number below `limit`, or 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use onelook_types::PixelFormat;

    use super::*;

    const WIDTH: usize = 480;
    const HEIGHT: usize = 320;

    /// Smooth spots everywhere, seen by a camera that moved so.
    fn seen(motion: &CameraMotion) -> Vec<u8> {
        let [[a, b, c], [d, e, f]] = motion.rows;
        let determinant = a * e - b * d;
        let mut pixels = Vec::with_capacity(WIDTH * HEIGHT);
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let (x, y) = (x as f64 - c, y as f64 - f);
                let (x, y) = ((e * x - b * y) / determinant, (a * y - d * x) / determinant);
                let value = (x / 9.0).sin() * (y / 11.0).cos()
                    + (x / 23.0 + y / 31.0).sin() * (y / 17.0 - x / 41.0).cos();
                pixels.push((128.0 + 50.0 * value) as u8);
            }
        }
        pixels
    }

    fn estimated(motion: &CameraMotion) -> CameraMotion {
        let mut estimator = CameraMotionEstimator::default();
        let frames = [seen(&CameraMotion::STILL), seen(motion)];
        let mut views = frames
            .iter()
            .map(|pixels| FrameView::new(pixels, WIDTH, HEIGHT, WIDTH, PixelFormat::Grey).unwrap());
        assert_eq!(
            estimator.estimate(&views.next().unwrap()),
            CameraMotion::STILL
        );
        estimator.estimate(&views.next().unwrap())
    }

    /// How far the two put the farthest corner of the frame apart.
    fn miss(a: &CameraMotion, b: &CameraMotion) -> f64 {
        let corners = [
            [0.0, 0.0],
            [WIDTH as f64, 0.0],
            [0.0, HEIGHT as f64],
            [WIDTH as f64, HEIGHT as f64],
        ];
        let miss = |point| {
            let ([ax, ay], [bx, by]) = (a.apply(point), b.apply(point));
            (ax - bx).hypot(ay - by)
        };
        corners.map(miss).into_iter().fold(0.0, f64::max)
    }

    #[test]
    fn shifts_turns_and_zooms_are_found() {
        let (sine, cosine) = 0.02_f64.sin_cos();
        for motion in [
            CameraMotion::STILL,
            CameraMotion::shift(3.0, -2.0),
            CameraMotion::shift(-14.0, 9.0),
            CameraMotion {
                rows: [[cosine, -sine, 5.0], [sine, cosine, -3.0]],
            },
            CameraMotion {
                rows: [[1.02, 0.0, -4.0], [0.0, 1.02, -2.0]],
            },
        ] {
            let found = estimated(&motion);
            assert!(miss(&found, &motion) < 0.5, "{motion:?} {found:?}");
        }
    }

    #[test]
    fn frames_without_corners_and_of_other_sizes_tell_nothing() {
        let flat = vec![90; WIDTH * HEIGHT];
        let pixels = seen(&CameraMotion::STILL);
        let view = |pixels, width, height| {
            FrameView::new(pixels, width, height, width, PixelFormat::Grey).unwrap()
        };
        let mut estimator = CameraMotionEstimator::default();
        for (pixels, width, height) in [
            (&flat, WIDTH, HEIGHT),
            (&flat, WIDTH, HEIGHT),
            (&pixels, WIDTH, HEIGHT / 2),
            (&pixels, 1, 1),
            (&pixels, 1, 1),
            (&pixels, 3, 200),
        ] {
            assert_eq!(
                estimator.estimate(&view(pixels, width, height)),
                CameraMotion::STILL
            );
        }
    }

    #[test]
    fn a_large_object_that_passes_is_no_motion_of_the_camera() {
        let steps = (0..40).map(|index| {
            let from = [f64::from(index % 8) * 30.0, f64::from(index / 8) * 30.0];
            let passes = if index % 3 == 0 { 0.0 } else { 9.0 };
            (from, [from[0] + 0.25 + passes, from[1]])
        });
        let motion = agreed_motion(&steps.collect::<Vec<Step>>()).unwrap();
        assert!(miss(&motion, &CameraMotion::shift(0.25, 0.0)) < 1e-6);
    }

    #[test]
    fn a_few_objects_that_move_themselves_are_outvoted() {
        let steps = (0..40).map(|index| {
            let from = [f64::from(index % 8) * 30.0, f64::from(index / 8) * 30.0];
            let own = if index % 4 == 0 { 9.0 } else { 0.0 };
            (from, [from[0] + 2.0 + own, from[1] - 1.0])
        });
        let motion = agreed_motion(&steps.collect::<Vec<Step>>()).unwrap();
        assert!(miss(&motion, &CameraMotion::shift(2.0, -1.0)) < 1e-6);
        assert_eq!(agreed_motion(&[]), None);
    }
}
