//! Where the four corners of a box are going, and how much a detection turns them.

use onelook_types::BoxXyxy;

/// A corner's motion is that over so many frames.
pub(super) const FRAMES: u64 = 3;

/// Direction of each corner: a vector of at most length 1, shorter where fewer sightings agree.
pub(super) type Motion = [[f64; 2]; 4];

/// The motion up to the last sighting. A sighting of `n` frames before counts one `n`-th.
pub(super) fn motion(sightings: &[(u64, BoxXyxy)]) -> Motion {
    let Some((&(now, last), before)) = sightings.split_last() else {
        return Motion::default();
    };
    let mut motion = Motion::default();
    for (frame, bbox) in before.iter().filter(|(frame, _)| now - frame <= FRAMES) {
        let weight = ((now - frame) * FRAMES) as f64;
        for (motion, step) in motion.iter_mut().zip(steps(bbox, &last)) {
            *motion = [motion[0] + step[0] / weight, motion[1] + step[1] / weight];
        }
    }
    motion
}

/// How much the corners turn that go from one box to another instead, as a part of half a circle.
pub(super) fn turn(motion: &Motion, from: &BoxXyxy, to: &BoxXyxy) -> f64 {
    let pairs = motion.iter().zip(steps(from, to));
    let angle =
        |([x1, y1], [x2, y2]): (&[f64; 2], [f64; 2])| (x1 * x2 + y1 * y2).clamp(-1.0, 1.0).acos();
    pairs.map(angle).sum::<f64>() / 4.0 / std::f64::consts::PI
}

/// Steps of length 1 from the corners of one box towards those of another.
fn steps(from: &BoxXyxy, to: &BoxXyxy) -> Motion {
    let (from, to) = (corners(from), corners(to));
    [0, 1, 2, 3].map(|corner| {
        let [x, y] = [0, 1].map(|axis| to[corner][axis] - from[corner][axis]);
        let length = x.hypot(y) + 1e-6;
        [x / length, y / length]
    })
}

fn corners(bbox: &BoxXyxy) -> [[f64; 2]; 4] {
    let [x1, y1, x2, y2] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
    [[x1, y1], [x1, y2], [x2, y1], [x2, y2]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(x: f32, y: f32) -> BoxXyxy {
        BoxXyxy {
            x1: x,
            y1: y,
            x2: x + 50.0,
            y2: y + 100.0,
        }
    }

    /// Recorded from the reference (8.4.190).
    #[test]
    fn turns_are_those_of_the_reference() {
        let path = [(130, 200), (140, 201), (150, 203), (160, 207), (170, 214)];
        let sightings: Vec<(u64, BoxXyxy)> = path
            .iter()
            .enumerate()
            .map(|(frame, &(x, y))| (frame as u64, at(x as f32, y as f32)))
            .collect();
        for (detection, degrees) in [(at(180.0, 224.0), 52.6), (at(182.0, 214.0), 53.4)] {
            let turned = turn(&motion(&sightings), &at(150.0, 203.0), &detection) * 180.0;
            assert!((turned - degrees).abs() < 0.1, "{turned}");
        }
    }

    #[test]
    fn what_never_moved_is_turned_by_a_quarter() {
        let sightings = [(7, at(0.0, 0.0))];
        assert_eq!(motion(&sightings), Motion::default());
        assert_eq!(turn(&motion(&sightings), &at(0.0, 0.0), &at(9.0, 9.0)), 0.5);
        assert_eq!(motion(&[]), Motion::default());
    }
}
