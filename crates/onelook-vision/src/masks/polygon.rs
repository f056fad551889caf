//! The outline of a mask as a polygon.

use std::ops::Range;

use onelook_types::Mask;

/// Steps to the neighbours of a pixel, clockwise from the right.
const STEPS: [[isize; 2]; 8] = [
    [1, 0],
    [1, 1],
    [0, 1],
    [-1, 1],
    [-1, 0],
    [-1, -1],
    [0, -1],
    [1, -1],
];

/// Neighbour to the left.
const LEFT: usize = 4;

/// The outer border of the largest connected part of a mask, clockwise from its first pixel, as points
/// in pixels of an image of `image_size` (width, height), which the mask may be smaller than.
///
/// Points are the positions of border pixels; those on a straight line are left out. Pixels connect
/// over corners too; holes and smaller parts are not told. Empty for an empty mask.
pub fn polygon(mask: &Mask, image_size: [usize; 2]) -> Vec<[f32; 2]> {
    let Some(start) = largest_part(mask) else {
        return Vec::new();
    };
    let scale = [0, 1].map(|axis| image_size[axis] as f32 / mask.size()[axis].max(1) as f32);
    let border = border(mask, start).into_iter();
    let points = border.map(|[x, y]| [x as f32 * scale[0], y as f32 * scale[1]]);
    points.collect()
}

/// The first pixel, row by row, of the largest connected part; of equal ones the first.
fn largest_part(mask: &Mask) -> Option<[isize; 2]> {
    let runs: Vec<(usize, Range<usize>)> = mask.runs().collect();
    let mut parts = Parts((0..runs.len()).collect());
    let mut above = 0;
    for (index, (row, run)) in runs.iter().enumerate() {
        // Runs of the row above that end left of this one touch none of the later ones either.
        while above < index
            && (runs[above].0 + 1 < *row
                || runs[above].0 + 1 == *row && runs[above].1.end < run.start)
        {
            above += 1;
        }
        let touching = runs[above..index].iter().enumerate();
        let touching =
            touching.take_while(|(_, (other, it))| other + 1 == *row && it.start <= run.end);
        for (offset, _) in touching {
            parts.join(above + offset, index);
        }
    }
    let mut areas = vec![0; runs.len()];
    for (index, (_, run)) in runs.iter().enumerate() {
        areas[parts.root(index)] += run.len();
    }
    let largest = (0..runs.len()).rev().max_by_key(|&index| areas[index])?;
    let (row, run) = &runs[largest];
    Some([run.start as isize, *row as isize])
}

/// Which part each run belongs to, by the number of the part's first run.
struct Parts(Vec<usize>);

impl Parts {
    fn root(&mut self, mut index: usize) -> usize {
        while self.0[index] != index {
            self.0[index] = self.0[self.0[index]];
            index = self.0[index];
        }
        index
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }
}

/// Follows the outer border from a part's first pixel (Suzuki and Abe 1985, algorithm 1): at each pixel
/// the first neighbour that is set, clockwise from the one it came from. Corners only.
fn border(mask: &Mask, start: [isize; 2]) -> Vec<[isize; 2]> {
    let is_set = |[x, y]: [isize; 2]| match (usize::try_from(x), usize::try_from(y)) {
        (Ok(x), Ok(y)) => mask.contains(x, y),
        _ => false,
    };
    let step = |[x, y]: [isize; 2], direction: usize| {
        let [dx, dy] = STEPS[direction];
        [x + dx, y + dy]
    };
    let next = |pixel: [isize; 2], came_from: usize| {
        let around = (1..=8).map(|turn| (came_from + turn) % 8);
        around
            .into_iter()
            .find(|&direction| is_set(step(pixel, direction)))
    };
    let Some(first) = next(start, LEFT) else {
        return vec![start];
    };
    let mut corners = Vec::new();
    let (mut pixel, mut direction) = (start, first);
    let mut before = None;
    loop {
        if before != Some(direction) {
            corners.push(pixel);
        }
        before = Some(direction);
        pixel = step(pixel, direction);
        direction = next(pixel, (direction + 4) % 8).expect("the pixel it came from is set");
        if pixel == start && direction == first {
            return corners;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::PixelRect;

    fn mask(rows: &[&str]) -> Mask {
        let size = [rows[0].len(), rows.len()];
        let region = PixelRect {
            left: 0,
            top: 0,
            width: size[0],
            height: size[1],
        };
        Mask::from_fn(size, region, |x, y| rows[y].as_bytes()[x] == b'#')
    }

    fn points(rows: &[&str]) -> Vec<[f32; 2]> {
        polygon(&mask(rows), [rows[0].len(), rows.len()])
    }

    #[test]
    fn corners_go_clockwise_from_the_first_pixel() {
        assert_eq!(
            points(&["....", ".##.", ".##.", ".##."]),
            [[1.0, 1.0], [2.0, 1.0], [2.0, 3.0], [1.0, 3.0]]
        );
        assert_eq!(points(&["...", ".#.", "..."]), [[1.0, 1.0]]);
        assert_eq!(points(&["###"]), [[0.0, 0.0], [2.0, 0.0]]);
        assert_eq!(points(&["...", "..."]), [[0.0; 2]; 0]);
    }

    #[test]
    fn the_largest_part_is_told_and_parts_connect_over_corners() {
        let rows = ["#....", "...#.", "..#.#", "...#.", "##..."];
        assert_eq!(
            points(&rows),
            [[3.0, 1.0], [4.0, 2.0], [3.0, 3.0], [2.0, 2.0]]
        );
    }

    #[test]
    fn points_are_told_in_pixels_of_the_image() {
        let small = mask(&["##", "##"]);
        assert_eq!(polygon(&small, [8, 6])[2], [4.0, 3.0]);
    }
}
