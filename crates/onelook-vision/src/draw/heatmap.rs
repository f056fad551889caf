//! A heatmap over the image: cold cells stay as they are, the warmest are red.

use onelook_types::Frame;

use super::canvas::Canvas;
use crate::analytics::Heatmap;

/// From the coldest to the warmest, evenly spaced.
const COLOURS: [[f32; 3]; 5] = [
    [0.0, 0.0, 255.0],
    [0.0, 255.0, 255.0],
    [0.0, 255.0, 0.0],
    [255.0, 255.0, 0.0],
    [255.0, 0.0, 0.0],
];

/// Draws the map over an image of the size that it was made for; `opacity` is that of the warmest cell,
/// 0 to 1. Between the centres of cells, warmth changes evenly.
pub fn draw_heatmap(frame: &mut Frame, map: &Heatmap, opacity: f32) {
    let warmest = map.cells().iter().copied().fold(0.0, f32::max);
    if warmest <= 0.0 || !warmest.is_finite() {
        return;
    }
    let mut canvas = Canvas::new(frame);
    let [columns, rows] = map.size();
    for y in 0..canvas.height() {
        let (top, bottom, down) = neighbours(y, map.cell(), rows);
        for x in 0..canvas.width() {
            let (left, right, across) = neighbours(x, map.cell(), columns);
            let at = |row: usize, column: usize| map.cells()[row * columns + column];
            let mix = |a: f32, b: f32, share: f32| a + (b - a) * share;
            let upper = mix(at(top, left), at(top, right), across);
            let lower = mix(at(bottom, left), at(bottom, right), across);
            // The root shows what is a quarter as warm half as strongly.
            let warmth = (mix(upper, lower, down) / warmest).clamp(0.0, 1.0).sqrt();
            if warmth > 0.0 {
                canvas.blend(x as i64, y as i64, colour(warmth), warmth * opacity);
            }
        }
    }
}

/// The two cells whose centres enclose a pixel, and how far it is from the first to the second.
fn neighbours(pixel: usize, cell: usize, count: usize) -> (usize, usize, f32) {
    let position = ((pixel as f32 + 0.5) / cell as f32 - 0.5).clamp(0.0, (count - 1) as f32);
    let first = position as usize;
    (first, (first + 1).min(count - 1), position.fract())
}

fn colour(warmth: f32) -> [u8; 3] {
    let position = warmth * (COLOURS.len() - 1) as f32;
    let first = (position as usize).min(COLOURS.len() - 2);
    let share = position - first as f32;
    let channel = |index: usize| {
        let (cold, warm) = (COLOURS[first][index], COLOURS[first + 1][index]);
        (cold + (warm - cold) * share).round() as u8
    };
    [0, 1, 2].map(channel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analytics::HeatmapOptions;
    use onelook_types::{BoxXyxy, Instances};

    #[test]
    fn only_warm_places_change_and_the_warmest_is_red() {
        let mut map = Heatmap::new([64, 48], HeatmapOptions::default()).unwrap();
        let mut frame = Frame::filled(64, 48, [10, 10, 10]).unwrap();
        let black = frame.clone();
        draw_heatmap(&mut frame, &map, 1.0);
        assert_eq!(frame, black);
        let bbox = BoxXyxy {
            x1: 10.0,
            y1: 0.0,
            x2: 30.0,
            y2: 20.0,
        };
        let objects = Instances::new(vec![bbox], vec![0], vec![1.0]);
        map.update(0.0, &objects);
        map.update(1.0, &objects);
        draw_heatmap(&mut frame, &map, 1.0);
        let pixel = |x: usize, y: usize| &frame.pixels()[(y * 64 + x) * 3..][..3];
        assert_eq!(pixel(50, 40), [10, 10, 10]);
        assert!(pixel(20, 20)[0] > 200 && pixel(20, 20)[2] < 30);
    }
}
