//! Where objects spend their time: seconds per cell of a grid over the image.
//!
//! Takes the objects of each frame, tracked or not, and the frame's time; is drawn by
//! [`draw_heatmap`](crate::draw::draw_heatmap).

use onelook_types::Instances;

use super::error::{AnalyticsError, at_least};
use super::geometry::Anchor;

/// What is added up, and how fast it fades.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatmapOptions {
    /// Side of a cell in pixels.
    pub cell: usize,
    /// What of an object warms the map.
    pub source: HeatmapSource,
    /// Seconds after which half of it has faded; never when absent.
    pub half_life: Option<f64>,
}

/// What of an object warms the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeatmapSource {
    /// A point of the box, spread over its cell and the eight around it.
    Point(Anchor),
    /// All cells that the box touches.
    Box,
}

impl Default for HeatmapOptions {
    fn default() -> Self {
        Self {
            cell: 8,
            source: HeatmapSource::Point(Anchor::BottomCentre),
            half_life: None,
        }
    }
}

/// Most cells of a map.
const MOST_CELLS: usize = 1 << 22;

/// Longest time between two frames that counts as presence, in seconds.
const LONGEST_STEP: f64 = 1.0;

/// Seconds that objects spent in each cell.
#[derive(Debug, Clone)]
pub struct Heatmap {
    options: HeatmapOptions,
    columns: usize,
    rows: usize,
    cells: Vec<f32>,
    time: Option<f64>,
}

impl Heatmap {
    /// A cold map for images of this width and height in pixels.
    ///
    /// # Errors
    /// An empty image, cells too small for it, or a half-life that is not above 0.
    pub fn new(
        [width, height]: [usize; 2],
        options: HeatmapOptions,
    ) -> Result<Self, AnalyticsError> {
        at_least("cell", options.cell as f64, 1.0, "of pixels, 1 or above")?;
        at_least(
            "half_life",
            options.half_life.unwrap_or(1.0),
            1e-3,
            "of seconds above 0",
        )?;
        let (columns, rows) = (width.div_ceil(options.cell), height.div_ceil(options.cell));
        let cells = columns.saturating_mul(rows);
        if !(1..=MOST_CELLS).contains(&cells) {
            return Err(AnalyticsError::Setting {
                setting: "cell",
                value: options.cell as f64,
                expected: "that divides an image of pixels into at most 4 million cells",
            });
        }
        Ok(Self {
            options,
            columns,
            rows,
            cells: vec![0.0; cells],
            time: None,
        })
    }

    /// Adds the time since the frame before where objects are now. A time that is not finite is passed over.
    pub fn update(&mut self, time: f64, instances: &Instances) {
        if !time.is_finite() {
            return;
        }
        let step = (time - self.time.unwrap_or(time)).clamp(0.0, f64::MAX);
        self.time = Some(self.time.unwrap_or(time).max(time));
        if let Some(half_life) = self.options.half_life {
            let factor = (-step / half_life).exp2() as f32;
            self.cells.iter_mut().for_each(|cell| *cell *= factor);
        }
        let warmth = step.min(LONGEST_STEP) as f32;
        for bbox in instances.boxes().iter().filter(|bbox| bbox.is_finite()) {
            match self.options.source {
                HeatmapSource::Point(anchor) => {
                    let point = anchor.of(bbox);
                    let [x, y] = [point.x, point.y].map(|it| self.cell_of(it));
                    for (dx, across) in [(-1, 0.25), (0, 0.5), (1, 0.25)] {
                        for (dy, down) in [(-1, 0.25), (0, 0.5), (1, 0.25)] {
                            self.add(
                                x.saturating_add(dx),
                                y.saturating_add(dy),
                                warmth * across * down,
                            );
                        }
                    }
                }
                HeatmapSource::Box => {
                    let first = |side: f32| self.cell_of(f64::from(side)).max(0);
                    let last = |side: f32, count: usize| {
                        self.cell_of(f64::from(side)).min(count as i64 - 1)
                    };
                    let across = first(bbox.x1)..=last(bbox.x2, self.columns);
                    for y in first(bbox.y1)..=last(bbox.y2, self.rows) {
                        for x in across.clone() {
                            self.add(x, y, warmth);
                        }
                    }
                }
            }
        }
    }

    fn cell_of(&self, pixel: f64) -> i64 {
        (pixel / self.options.cell as f64).floor() as i64
    }

    fn add(&mut self, x: i64, y: i64, warmth: f32) {
        let (Ok(x), Ok(y)) = (usize::try_from(x), usize::try_from(y)) else {
            return;
        };
        if x < self.columns && y < self.rows {
            self.cells[y * self.columns + x] += warmth;
        }
    }

    /// Columns and rows of the grid.
    pub fn size(&self) -> [usize; 2] {
        [self.columns, self.rows]
    }

    /// Side of a cell in pixels.
    pub fn cell(&self) -> usize {
        self.options.cell
    }

    /// Seconds per cell, row by row.
    pub fn cells(&self) -> &[f32] {
        &self.cells
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::BoxXyxy;

    fn one_at(x: f32, y: f32) -> Instances {
        let bbox = BoxXyxy {
            x1: x - 8.0,
            y1: y - 16.0,
            x2: x + 8.0,
            y2: y,
        };
        Instances::new(vec![bbox], vec![0], vec![0.9])
    }

    fn warmed(source: HeatmapSource, half_life: Option<f64>) -> Heatmap {
        let options = HeatmapOptions {
            source,
            half_life,
            ..HeatmapOptions::default()
        };
        let mut map = Heatmap::new([60, 40], options).unwrap();
        map.update(10.0, &one_at(28.0, 20.0));
        map.update(10.5, &one_at(28.0, 20.0));
        map
    }

    #[test]
    fn a_point_warms_its_cell_most_by_the_time_that_passed() {
        let map = warmed(HeatmapSource::Point(Anchor::BottomCentre), None);
        assert_eq!(map.size(), [8, 5]);
        assert_eq!(map.cells().iter().sum::<f32>(), 0.5);
        assert_eq!(map.cells()[2 * 8 + 3], 0.125);
        assert_eq!(map.cells()[8 + 2], 0.031_25);
    }

    #[test]
    fn a_box_warms_all_cells_that_it_touches_and_none_outside() {
        let mut map = warmed(HeatmapSource::Box, None);
        let warm = map.cells().iter().filter(|&&cell| cell == 0.5).count();
        assert_eq!(warm, 9);
        map.update(11.0, &one_at(-1e9, 1e9));
        assert_eq!(map.cells().iter().sum::<f32>(), 4.5);
    }

    #[test]
    fn warmth_fades_by_half_in_each_half_life() {
        let mut map = warmed(HeatmapSource::Box, Some(2.0));
        map.update(14.5, &Instances::default());
        let most = map.cells().iter().copied().fold(0.0, f32::max);
        assert!((most - 0.125).abs() < 1e-6, "{most}");
        // A stream that starts again at 0, or stands still for hours, warms by at most a second.
        map.update(0.0, &one_at(28.0, 20.0));
        map.update(9e9, &one_at(28.0, 20.0));
        assert!(map.cells().iter().all(|&cell| cell <= 1.0));
    }

    #[test]
    fn boxes_far_away_and_times_that_are_none_warm_nothing() {
        let mut map = Heatmap::new([60, 40], HeatmapOptions::default()).unwrap();
        map.update(0.0, &one_at(3e38, 3e38));
        map.update(1.0, &one_at(3e38, 3e38));
        map.update(f64::NAN, &one_at(28.0, 20.0));
        map.update(f64::INFINITY, &one_at(28.0, 20.0));
        map.update(2.0, &Instances::default());
        assert!(map.cells().iter().all(|&cell| cell == 0.0));
    }

    #[test]
    fn maps_of_too_many_cells_are_refused() {
        for (size, cell) in [([0, 40], 8), ([60, 40], 0), ([1 << 20, 1 << 20], 8)] {
            let options = HeatmapOptions {
                cell,
                ..HeatmapOptions::default()
            };
            assert!(Heatmap::new(size, options).is_err(), "{size:?} {cell}");
        }
    }
}
