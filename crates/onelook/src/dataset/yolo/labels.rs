//! A label file of a YOLO data set: text in, the objects of one image out, or the first line that
//! makes no sense.
//!
//! What is refused is what the reference refuses, so that figures count the same images.

use std::path::Path;

use super::super::{Label, Place, read_text};
use crate::Error;

/// How far outside the image a coordinate may lie, as a fraction of it.
const TOLERANCE: f64 = 0.01;

/// Most columns of a row that is a box: class, four coordinates, and one more that is an error.
const BOX_COLUMNS: usize = 6;

/// What is wrong with a line, counted from 1.
type Refusal = (usize, String);

/// The objects of the image that this label file is for, of a data set of so many classes. An image
/// without a label file is an image without objects.
pub(super) fn read(path: &Path, classes: usize) -> Result<Vec<Label>, Error> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    parse(&read_text(path)?, classes).map_err(|(line, reason)| {
        Error::dataset(
            path,
            format!("line {line}: {reason}; its image is left out"),
        )
    })
}

/// Rows are `class cx cy w h`, or all of them `class x1 y1 x2 y2 x3 y3 …`: outlines, of which the
/// box around them counts.
fn parse(text: &str, classes: usize) -> Result<Vec<Label>, Refusal> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows: Vec<(usize, Vec<&str>)> = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.split_whitespace().collect::<Vec<_>>()))
        .filter(|(_, words)| !words.is_empty())
        .collect();
    let outlines = rows.iter().any(|(_, words)| words.len() > BOX_COLUMNS);
    let mut labels: Vec<Label> = Vec::with_capacity(rows.len());
    for (line, words) in &rows {
        let label = label(words, outlines, classes).map_err(|reason| (*line, reason))?;
        // A row that stands twice is one object.
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    Ok(labels)
}

fn label(words: &[&str], outlines: bool, classes: usize) -> Result<Label, String> {
    let numbers: Vec<f64> = words
        .iter()
        .map(|word| {
            word.parse()
                .map_err(|_| format!("{word:?} is not a number"))
        })
        .collect::<Result<_, _>>()?;
    let (class, coordinates) = (numbers[0], &numbers[1..]);
    let fractions = match *coordinates {
        [x, y, w, h] if !outlines => [x, y, w, h],
        [_, _, _, _] => {
            return Err("it is a box among outlines: use one form in the file".to_owned());
        }
        _ if outlines && coordinates.len().is_multiple_of(2) && coordinates.len() > 4 => {
            around(coordinates)
        }
        _ => {
            return Err(format!(
                "it has {} columns: expected class, centre x, centre y, width, height, or class and \
                 at least three corners",
                words.len()
            ));
        }
    };
    // NaN is outside as well.
    if let Some(value) = fractions
        .iter()
        .find(|value| !(-TOLERANCE..=1.0 + TOLERANCE).contains(*value))
    {
        return Err(format!(
            "coordinate {value} is not a fraction of the image, 0 to 1"
        ));
    }
    if !(0.0..classes as f64).contains(&class) || class.fract() != 0.0 {
        return Err(format!(
            "class {} is not one of the {classes} classes of the data set, 0 to {}",
            words[0].escape_debug(),
            classes.max(1) - 1
        ));
    }
    Ok(Label {
        category: class as usize,
        place: Place::Fractions(fractions),
        crowd: false,
    })
}

/// Centre, width and height of the box around an outline.
fn around(outline: &[f64]) -> [f64; 4] {
    // NaN must stay NaN: `f64::min` would drop it.
    let range = |first: usize| {
        let mut values = outline.iter().skip(first).step_by(2).copied();
        let start = values.next().unwrap_or(f64::NAN);
        values.fold((start, start), |(least, most), value| {
            match value.is_nan() {
                true => (value, value),
                false if least.is_nan() => (least, most),
                false => (value.min(least), value.max(most)),
            }
        })
    };
    let ((left, right), (top, bottom)) = (range(0), range(1));
    [
        (left + right) / 2.0,
        (top + bottom) / 2.0,
        right - left,
        bottom - top,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Result<Vec<(usize, [f64; 4])>, usize> {
        let labels = parse(text, 80).map_err(|(line, _)| line)?;
        Ok(labels
            .iter()
            .map(|label| match label.place {
                Place::Fractions(fractions) => (label.category, fractions),
                Place::Pixels(..) => unreachable!("label files hold fractions"),
            })
            .collect())
    }

    /// Recorded from the reference (8.4), which gives these boxes for these files.
    #[test]
    fn rows_that_the_reference_takes_are_taken() {
        let half = [0.5, 0.5, 0.2, 0.2];
        for (text, expected) in [
            ("0 0.5 0.5 0.2 0.2", vec![(0, half)]),
            ("0.0 .5 .5 .2 .2", vec![(0, half)]),
            ("1e0 .5 .5 .2 .2", vec![(1, half)]),
            ("\u{feff}0 .5 .5 .2 .2\r\n", vec![(0, half)]),
            (
                "\n0 .5 .5 .2 .2\n  \n1 .5 .5 .2 .2",
                vec![(0, half), (1, half)],
            ),
            ("0 .5 .5 .2 .2\n0 0.50 .5 .2 .2", vec![(0, half)]),
            ("0 1.005 .5 .2 .2", vec![(0, [1.005, 0.5, 0.2, 0.2])]),
            ("0 -0.005 .5 .2 .2", vec![(0, [-0.005, 0.5, 0.2, 0.2])]),
            ("0 .5 .5 0 0", vec![(0, [0.5, 0.5, 0.0, 0.0])]),
            (
                "1 .25 .25 .75 .25 .75 .5",
                vec![(1, [0.5, 0.375, 0.5, 0.25])],
            ),
            ("", vec![]),
        ] {
            assert_eq!(places(text), Ok(expected), "{text:?}");
        }
        let outside = places("1 -.1 .1 .5 .1 .5 .6").unwrap();
        assert!((outside[0].1[2] - 0.6).abs() < 1e-9, "{outside:?}");
    }

    /// The reference leaves these images out, all of them.
    #[test]
    fn rows_that_the_reference_refuses_are_named_by_their_line() {
        let good = "0 .5 .5 .2 .2\n";
        for row in [
            "0 1.02 .5 .2 .2",
            "0 -0.02 .5 .2 .2",
            "0 nan .5 .2 .2",
            "0 inf .5 .2 .2",
            "0 .5 .5 .2",
            "0",
            "0 .5 .5 .2 .2 .9",
            "cat .5 .5 .2 .2",
            "0,.5,.5,.2,.2",
            "# class x y w h",
            "-1 .5 .5 .2 .2",
            "0.5 .5 .5 .2 .2",
            "NaN .5 .5 .2 .2",
            "99 .5 .5 .2 .2",
            "80 .5 .5 .2 .2",
            "1e30 .5 .5 .2 .2",
        ] {
            assert_eq!(places(&format!("{good}{row}\n{good}")), Err(2), "{row:?}");
        }
        for (text, line) in [
            ("1 .1 .1 .5 .1 .5 .6\n2 .5 .5 .2 .4", 2),
            ("2 .5 .5 .2 .4\n1 .1 .1 .5 .1 .5 .6", 1),
            ("1 .1 .1 .5 .1 .5 .6\n2 .5 .5 .2 .4 .9", 2),
            ("1 .1 .1 .5 .1 .5 .6 .7", 1),
            ("1 .1 .1 .5 .1 .5 1.6", 1),
            ("1 .1 .1 nan .1 .5 .6", 1),
            ("1 nan .1 .5 .1 .5 .6", 1),
        ] {
            assert_eq!(places(text), Err(line), "{text:?}");
        }
    }

    #[test]
    fn a_class_beyond_the_last_is_told_with_the_range() {
        let (line, reason) = parse("99 .5 .5 .2 .2", 80).unwrap_err();
        assert_eq!(line, 1);
        assert_eq!(
            reason,
            "class 99 is not one of the 80 classes of the data set, 0 to 79"
        );
    }
}
