//! Lines and zones onto the image, each with a text such as its counts.

use onelook_types::Frame;

use super::canvas::{Canvas, Rect};
use super::label::{Label, Text};
use super::palette::class_colour;
use super::{DrawStyle, line_width};
use crate::analytics::Point;

/// Colours of places begin at another one than those of classes, the first of which are the most frequent.
const FIRST_COLOUR: usize = 5;

/// A line or a zone to be drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawnPlace {
    /// Its points in pixels of the image.
    pub points: Vec<Point>,
    /// Whether the last point is joined to the first.
    pub is_closed: bool,
    /// Whether an arrow points to the left of its first two points, for somebody who looks from one to the
    /// other on the screen: where `in` is of a line.
    pub has_arrow: bool,
    /// What is written at its first point.
    pub text: String,
}

/// Draws the places in different colours; `style` says how wide lines are and whether texts are written.
///
/// A text with letters that the embedded font lacks is left out. Points outside of the image are drawn as
/// far as they are in it.
pub fn draw_places(frame: &mut Frame, places: &[DrawnPlace], style: &DrawStyle) {
    let mut canvas = Canvas::new(frame);
    let line = line_width(&canvas, style);
    let mut labels: Vec<Label> = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let colour = class_colour(FIRST_COLOUR + index);
        let next = place.points.iter().skip(1).chain(
            place
                .is_closed
                .then(|| place.points.first())
                .into_iter()
                .flatten(),
        );
        for (from, to) in place.points.iter().zip(next) {
            stroke(&mut canvas, *from, *to, line, colour);
        }
        if let (true, &[start, end, ..]) = (place.has_arrow, place.points.as_slice()) {
            arrow(&mut canvas, start, end, line, colour);
        }
        let Some(first) = place.points.first().filter(|_| style.labels) else {
            continue;
        };
        if !super::label::is_writable(&place.text) {
            continue;
        }
        let (x, y) = (
            pixel(first.x, canvas.width()),
            pixel(first.y, canvas.height()),
        );
        let at = Rect {
            left: x,
            top: y,
            right: x + line,
            bottom: y + line,
        };
        let text = Text::new(&place.text, "", (4 + 5 * line).max(12), canvas.width());
        if let Some(label) = Label::place(text, at, &canvas, &labels) {
            labels.push(label.coloured(colour));
        }
    }
    for label in &labels {
        label.draw(&mut canvas);
    }
}

/// From the middle between the points to the left.
fn arrow(canvas: &mut Canvas<'_>, start: Point, end: Point, line: usize, colour: [u8; 3]) {
    let distance = start.distance(end);
    if !distance.is_finite() || distance <= 0.0 {
        return;
    }
    let (along_x, along_y) = ((end.x - start.x) / distance, (end.y - start.y) / distance);
    let middle = Point::new((start.x + end.x) / 2.0, (start.y + end.y) / 2.0);
    let from_middle = |left: f64, along: f64| {
        Point::new(
            middle.x + left * along_y + along * along_x,
            middle.y - left * along_x + along * along_y,
        )
    };
    let length = (8 * line + 8) as f64;
    let tip = from_middle(length, 0.0);
    stroke(canvas, middle, tip, line, colour);
    for side in [-0.3, 0.3] {
        let barb = from_middle(0.6 * length, side * length);
        stroke(canvas, barb, tip, line, colour);
    }
}

/// Squares with sides of `line` pixels, one per pixel of the way.
fn stroke(canvas: &mut Canvas<'_>, from: Point, to: Point, line: usize, colour: [u8; 3]) {
    let steps = (to.x - from.x).abs().max((to.y - from.y).abs()).ceil();
    // Lines that are longer than any image are not drawn point by point.
    if !steps.is_finite() || steps > 1e6 {
        return;
    }
    let margin = line / 2;
    for step in 0..=steps as usize {
        let share = step as f64 / steps.max(1.0);
        let x = from.x + share * (to.x - from.x);
        let y = from.y + share * (to.y - from.y);
        if x < 0.0 || y < 0.0 {
            continue;
        }
        let (left, top) = (
            (x.round() as usize).saturating_sub(margin),
            (y.round() as usize).saturating_sub(margin),
        );
        let square = Rect {
            left,
            top,
            right: left + line,
            bottom: top + line,
        };
        canvas.fill(square, colour);
    }
}

fn pixel(value: f64, side: usize) -> usize {
    value.round().clamp(0.0, side.saturating_sub(1) as f64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(points: &[[f64; 2]], is_closed: bool, text: &str) -> DrawnPlace {
        DrawnPlace {
            points: points.iter().map(|&[x, y]| Point::new(x, y)).collect(),
            is_closed,
            has_arrow: false,
            text: text.to_owned(),
        }
    }

    fn drawn(places: &[DrawnPlace]) -> Frame {
        let mut frame = Frame::filled(60, 40, [7; 3]).unwrap();
        let style = DrawStyle {
            line_width: Some(1),
            ..DrawStyle::default()
        };
        draw_places(&mut frame, places, &style);
        frame
    }

    fn colour_at(frame: &Frame, x: usize, y: usize) -> [u8; 3] {
        frame.row(y)[3 * x..3 * x + 3].try_into().unwrap()
    }

    #[test]
    fn a_line_is_open_and_a_zone_is_closed() {
        let corners = [[10.0, 10.0], [50.0, 10.0], [50.0, 30.0]];
        for (is_closed, expected) in [(false, [7; 3]), (true, class_colour(FIRST_COLOUR))] {
            let frame = drawn(&[place(&corners, is_closed, "")]);
            assert_eq!(colour_at(&frame, 50, 20), class_colour(FIRST_COLOUR));
            assert_eq!(colour_at(&frame, 30, 20), expected, "{is_closed}");
        }
    }

    #[test]
    fn an_arrow_points_to_the_left_of_a_line() {
        for (points, left, right) in [
            ([[30.0, 5.0], [30.0, 35.0]], (38, 20), (22, 20)),
            ([[55.0, 20.0], [5.0, 20.0]], (30, 28), (30, 12)),
        ] {
            let line = DrawnPlace {
                has_arrow: true,
                ..place(&points, false, "")
            };
            let frame = drawn(&[line]);
            let [left, right] = [left, right].map(|(x, y)| colour_at(&frame, x, y));
            assert_eq!((left, right), (class_colour(FIRST_COLOUR), [7; 3]));
        }
    }

    #[test]
    fn texts_stand_beside_their_places_and_odd_places_do_no_harm() {
        let far = place(&[[-1e9, 5.0], [f64::NAN, 5.0]], true, "far");
        let unwritable = place(&[[5.0, 5.0], [5.0, 9.0]], false, "\u{4e00}");
        let empty = place(&[], true, "none");
        let frame = drawn(&[
            far,
            unwritable,
            empty,
            place(&[[20.0, 30.0], [40.0, 30.0]], false, "3"),
        ]);
        assert_eq!(colour_at(&frame, 30, 30), class_colour(FIRST_COLOUR + 3));
        let background =
            (0..30).filter(|&y| colour_at(&frame, 20, y) == class_colour(FIRST_COLOUR + 3));
        assert!(background.count() > 5, "no text above the line's start");
    }
}
