//! Points, segments and polygons of the plane: on which side, whether they meet, what lies inside.
//!
//! Coordinates are of any unit, `x` to the right and `y` downwards. Knows nothing of tracks or time.

use onelook_types::BoxXyxy;
use serde::{Deserialize, Serialize};

/// A point, `x` to the right and `y` downwards.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

impl Point {
    /// A point of these coordinates.
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The distance to another point.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    pub(super) fn is_finite(self) -> bool {
        self.x.is_finite() && self.y.is_finite()
    }
}

/// The point of a box that stands for the object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Anchor {
    TopLeft,
    TopCentre,
    TopRight,
    CentreLeft,
    Centre,
    CentreRight,
    BottomLeft,
    /// Where a person or a vehicle stands on the ground.
    #[default]
    BottomCentre,
    BottomRight,
}

impl Anchor {
    /// The four corners.
    pub const CORNERS: [Self; 4] = [
        Self::TopLeft,
        Self::TopRight,
        Self::BottomLeft,
        Self::BottomRight,
    ];

    /// The name in words, such as `bottom-centre`, and the anchor: all nine.
    pub const NAMED: [(&'static str, Self); 9] = [
        ("top-left", Self::TopLeft),
        ("top-centre", Self::TopCentre),
        ("top-right", Self::TopRight),
        ("centre-left", Self::CentreLeft),
        ("centre", Self::Centre),
        ("centre-right", Self::CentreRight),
        ("bottom-left", Self::BottomLeft),
        ("bottom-centre", Self::BottomCentre),
        ("bottom-right", Self::BottomRight),
    ];

    /// Where it is on this box.
    pub fn of(self, bbox: &BoxXyxy) -> Point {
        let [left, top, right, bottom] = [bbox.x1, bbox.y1, bbox.x2, bbox.y2].map(f64::from);
        let (middle, centre) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let (x, y) = match self {
            Self::TopLeft => (left, top),
            Self::TopCentre => (middle, top),
            Self::TopRight => (right, top),
            Self::CentreLeft => (left, centre),
            Self::Centre => (middle, centre),
            Self::CentreRight => (right, centre),
            Self::BottomLeft => (left, bottom),
            Self::BottomCentre => (middle, bottom),
            Self::BottomRight => (right, bottom),
        };
        Point { x, y }
    }
}

/// A directed segment of a length above 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Segment {
    /// Where it starts.
    pub start: Point,
    /// Where it ends.
    pub end: Point,
}

impl Segment {
    pub(super) fn length(&self) -> f64 {
        self.start.distance(self.end)
    }

    /// How far left of the infinite line the point is, for somebody who looks from start to end on the
    /// screen; below 0 to the right of it.
    pub(super) fn distance_left(&self, point: Point) -> f64 {
        -cross(self.start, self.end, point) / self.length()
    }

    /// Where along the infinite line the point is: 0 beside the start, 1 beside the end.
    pub(super) fn along(&self, point: Point) -> f64 {
        let (dx, dy) = (self.end.x - self.start.x, self.end.y - self.start.y);
        ((point.x - self.start.x) * dx + (point.y - self.start.y) * dy) / (dx * dx + dy * dy)
    }

    /// Whether each has its ends on both sides of the other; touching is not crossing.
    pub(super) fn crosses(&self, other: &Self) -> bool {
        let apart = |segment: &Self, a, b| {
            let [a, b] = [a, b].map(|point| sign(cross(segment.start, segment.end, point)));
            a * b < 0
        };
        apart(self, other.start, other.end) && apart(other, self.start, self.end)
    }

    /// Whether they have a point in common; touching is meeting.
    pub(super) fn meets(&self, other: &Self) -> bool {
        let side = |segment: &Self, point| sign(cross(segment.start, segment.end, point));
        let (a, b) = (side(self, other.start), side(self, other.end));
        let (c, d) = (side(other, self.start), side(other, self.end));
        let within = |segment: &Self, point: Point| {
            let between = |a: f64, b: f64, value: f64| a.min(b) <= value && value <= a.max(b);
            between(segment.start.x, segment.end.x, point.x)
                && between(segment.start.y, segment.end.y, point.y)
        };
        self.crosses(other)
            || (a == 0 && within(self, other.start))
            || (b == 0 && within(self, other.end))
            || (c == 0 && within(other, self.start))
            || (d == 0 && within(other, self.end))
    }
}

/// Twice the signed area of the triangle: above 0 clockwise on the screen.
fn cross(a: Point, b: Point, c: Point) -> f64 {
    (b.x - a.x) * (c.y - a.y) - (b.y - a.y) * (c.x - a.x)
}

fn sign(value: f64) -> i8 {
    i8::from(value > 0.0) - i8::from(value < 0.0)
}

/// Whether three of the points lie on one line, to within a thousandth of the extent of all.
pub(super) fn any_three_collinear(points: &[Point; 4]) -> bool {
    let extent = points
        .iter()
        .flat_map(|a| points.iter().map(|b| a.distance(*b)))
        .fold(0.0, f64::max);
    (0..4).any(|left_out| {
        let three: Vec<Point> = (0..4)
            .filter(|&index| index != left_out)
            .map(|index| points[index])
            .collect();
        cross(three[0], three[1], three[2]).abs() <= extent * extent * 1e-3
    })
}

/// Sides of a closed polygon, the last one back to its first corner.
fn sides(corners: &[Point]) -> impl Iterator<Item = Segment> + '_ {
    let next = corners.iter().cycle().skip(1);
    let sides = corners.iter().zip(next);
    sides.map(|(&start, &end)| Segment { start, end })
}

/// Whether the point is inside of a polygon without crossings, by the number of sides to its right; its
/// outline is outside.
pub(super) fn contains(corners: &[Point], point: Point) -> bool {
    let dot = Segment {
        start: point,
        end: point,
    };
    if sides(corners).any(|side| side.meets(&dot)) {
        return false;
    }
    let crossed = |side: &Segment| {
        let (a, b) = (side.start, side.end);
        (a.y > point.y) != (b.y > point.y)
            && point.x < (b.x - a.x) * (point.y - a.y) / (b.y - a.y) + a.x
    };
    sides(corners).filter(crossed).count() % 2 == 1
}

/// Whether sides of the polygon that are not neighbours meet, or neighbours lie on each other.
pub(super) fn crosses_itself(corners: &[Point]) -> bool {
    let sides: Vec<Segment> = sides(corners).collect();
    let last = sides.len() - 1;
    let folds_back = |(a, b): (&Segment, &Segment)| {
        cross(a.start, a.end, b.end) == 0.0
            && (a.end.x - a.start.x) * (b.end.x - b.start.x)
                + (a.end.y - a.start.y) * (b.end.y - b.start.y)
                < 0.0
    };
    let meets = |(index, side): (usize, &Segment)| {
        let others = sides.iter().enumerate().skip(index + 2);
        others
            .filter(|&(other, _)| !(index == 0 && other == last))
            .any(|(_, other)| side.meets(other))
    };
    let neighbours = sides.iter().zip(sides.iter().cycle().skip(1));
    sides.iter().any(|side| side.length() == 0.0)
        || neighbours.into_iter().any(folds_back)
        || sides.iter().enumerate().any(meets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(start: [f64; 2], end: [f64; 2]) -> Segment {
        Segment {
            start: Point::new(start[0], start[1]),
            end: Point::new(end[0], end[1]),
        }
    }

    fn polygon(corners: &[[f64; 2]]) -> Vec<Point> {
        corners.iter().map(|&[x, y]| Point::new(x, y)).collect()
    }

    #[test]
    fn left_is_left_on_the_screen() {
        let upwards = segment([5.0, 10.0], [5.0, 0.0]);
        assert_eq!(upwards.distance_left(Point::new(2.0, 7.0)), 3.0);
        assert_eq!(upwards.distance_left(Point::new(7.0, 7.0)), -2.0);
        let rightwards = segment([0.0, 5.0], [10.0, 5.0]);
        assert_eq!(rightwards.distance_left(Point::new(3.0, 1.0)), 4.0);
    }

    #[test]
    fn segments_that_touch_meet_and_those_beside_do_not() {
        let line = segment([0.0, 0.0], [10.0, 0.0]);
        assert!(line.meets(&segment([5.0, -1.0], [5.0, 1.0])));
        assert!(line.meets(&segment([10.0, -1.0], [10.0, 1.0])));
        assert!(line.meets(&segment([5.0, -1.0], [5.0, 0.0])));
        assert!(line.meets(&segment([3.0, 0.0], [12.0, 0.0])));
        assert!(line.crosses(&segment([9.0, -1.0], [9.0, 1.0])));
        assert!(!line.crosses(&segment([10.0, -1.0], [10.0, 1.0])));
        assert!(!line.meets(&segment([11.0, -1.0], [11.0, 1.0])));
        assert!(!line.meets(&segment([11.0, 0.0], [12.0, 0.0])));
        assert!(!line.meets(&segment([5.0, 1.0], [5.0, 2.0])));
    }

    #[test]
    fn a_notch_is_outside_of_a_polygon() {
        let notched = polygon(&[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 1.0], [0.0, 4.0]]);
        assert!(contains(&notched, Point::new(0.5, 2.0)));
        assert!(contains(&notched, Point::new(3.5, 2.0)));
        assert!(!contains(&notched, Point::new(2.0, 2.0)));
        assert!(!contains(&notched, Point::new(5.0, 2.0)));
        assert!(!contains(&notched, Point::new(0.0, 2.0)));
        assert!(!crosses_itself(&notched));
    }

    #[test]
    fn polygons_that_cross_themselves_are_known() {
        for corners in [
            &[[0.0, 0.0], [4.0, 4.0], [4.0, 0.0], [0.0, 4.0]][..],
            &[[0.0, 0.0], [4.0, 0.0], [2.0, 0.0]],
            &[[0.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]],
            &[[0.0, 0.0], [4.0, 0.0], [4.0, 4.0], [2.0, 0.0], [0.0, 4.0]],
        ] {
            assert!(crosses_itself(&polygon(corners)), "{corners:?}");
        }
        let straight = polygon(&[[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [4.0, 4.0]]);
        assert!(!crosses_itself(&straight));
    }

    #[test]
    fn nine_anchors_are_nine_points_of_a_box() {
        let bbox = BoxXyxy {
            x1: 10.0,
            y1: 20.0,
            x2: 30.0,
            y2: 60.0,
        };
        let points = Anchor::NAMED.map(|(_, anchor)| anchor.of(&bbox));
        let expected = [20.0, 40.0, 60.0].map(|y| [10.0, 20.0, 30.0].map(|x| Point::new(x, y)));
        assert_eq!(points.as_slice(), expected.as_flattened());
    }
}
