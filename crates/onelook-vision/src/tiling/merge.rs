//! Boxes of one object from several tiles become one.
//!
//! Greedy, deterministic, without a time limit: the outcome depends on the candidates alone.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use onelook_types::{BoxXyxy, Instance, Instances};

/// How boxes that overlap become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeMethod {
    /// The box of the highest score stays as it is, the others go.
    Nms,
    /// Non-maximum merging: what overlaps a box, or one that is merged into it, is merged into it.
    Nmm,
    /// Greedy non-maximum merging: only what overlaps the box itself.
    GreedyNmm,
    /// Weighted boxes fusion (Solovyev et al., arXiv:1910.13302) of one model's boxes: means, weighted by
    /// the scores. Measures overlap by IoU.
    WeightedBoxes,
}

/// What overlap is measured by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverlapMetric {
    /// Intersection over union.
    Iou,
    /// Intersection over the smaller box: a part of an object that a tile's edge cut off is all inside of
    /// the whole one.
    Ios,
}

/// When boxes are of one object, and what becomes of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MergeOptions {
    /// How boxes that overlap become one.
    pub method: MergeMethod,
    /// What overlap is measured by.
    pub metric: OverlapMetric,
    /// Least overlap of boxes of one object; above it, for weighted boxes.
    pub threshold: f32,
    /// Whether boxes of different classes may be of one object.
    pub agnostic: bool,
}

impl Default for MergeOptions {
    /// sahi's.
    fn default() -> Self {
        Self {
            method: MergeMethod::GreedyNmm,
            metric: OverlapMetric::Ios,
            threshold: 0.5,
            agnostic: false,
        }
    }
}

impl MergeOptions {
    fn matches(&self, a: &BoxXyxy, b: &BoxXyxy) -> bool {
        overlap(self.metric, a, b) >= self.threshold
    }
}

/// The objects of all tiles, whose boxes are in pixels of the whole image, highest score first.
///
/// A merged object has the smallest box around its parts, the highest score, and all else of the part
/// with that score. Boxes with an infinite or NaN side, and scores that are NaN, are left out.
pub fn merge(candidates: &Instances, options: &MergeOptions) -> Instances {
    let mut by_class: BTreeMap<usize, Vec<Instance<'_>>> = BTreeMap::new();
    for instance in candidates {
        if instance.bbox.is_finite() && !instance.score.is_nan() {
            let class = if options.agnostic { 0 } else { instance.class };
            by_class.entry(class).or_default().push(instance);
        }
    }
    let mut merged = Vec::new();
    for rows in by_class.into_values() {
        let mut ranks: Vec<usize> = (0..rows.len()).collect();
        ranks.sort_by(|&a, &b| by_rank(&rows[a], &rows[b]));
        let greedy = || greedy_groups(&rows, &ranks, options);
        merged.extend(match options.method {
            MergeMethod::WeightedBoxes => weighted_boxes(&rows, &ranks, options.threshold),
            MergeMethod::Nmm => united(&rows, &transitive_groups(&rows, &ranks, options), options),
            MergeMethod::GreedyNmm => united(&rows, &greedy(), options),
            MergeMethod::Nms => {
                let groups = greedy();
                groups.iter().map(|group| rows[group[0]]).collect()
            }
        });
    }
    merged.sort_by(by_rank);
    merged.into_iter().collect()
}

/// Highest score first; of equal ones by the box, so that the order of tiles does not matter.
fn by_rank(a: &Instance<'_>, b: &Instance<'_>) -> Ordering {
    b.score.total_cmp(&a.score).then_with(|| by_sides(a, b))
}

fn by_sides(a: &Instance<'_>, b: &Instance<'_>) -> Ordering {
    let sides = |it: &Instance<'_>| [it.bbox.x1, it.bbox.y1, it.bbox.x2, it.bbox.y2];
    let pairs = sides(a).into_iter().zip(sides(b));
    pairs.fold(Ordering::Equal, |order, (a, b)| order.then(a.total_cmp(&b)))
}

fn intersection(a: &BoxXyxy, b: &BoxXyxy) -> f32 {
    let width = a.x2.min(b.x2) - a.x1.max(b.x1);
    let height = a.y2.min(b.y2) - a.y1.max(b.y1);
    width.max(0.0) * height.max(0.0)
}

fn overlap(metric: OverlapMetric, a: &BoxXyxy, b: &BoxXyxy) -> f32 {
    let common = intersection(a, b);
    let whole = match metric {
        OverlapMetric::Iou => a.area() + b.area() - common,
        OverlapMetric::Ios => a.area().min(b.area()),
    };
    if whole > 0.0 { common / whole } else { 0.0 }
}

/// Groups of rows in rank order, the box that stays first: each takes what overlaps it and is free.
fn greedy_groups(
    rows: &[Instance<'_>],
    ranks: &[usize],
    options: &MergeOptions,
) -> Vec<Vec<usize>> {
    let mut is_taken = vec![false; rows.len()];
    let mut groups = Vec::new();
    for (rank, &first) in ranks.iter().enumerate() {
        if is_taken[first] {
            continue;
        }
        let mut group = vec![first];
        for &other in &ranks[rank + 1..] {
            if !is_taken[other] && options.matches(&rows[first].bbox, &rows[other].bbox) {
                is_taken[other] = true;
                group.push(other);
            }
        }
        groups.push(group);
    }
    groups
}

/// As [`greedy_groups`], but members take what overlaps them for their group too.
///
/// As in sahi, a row takes only lower scores, and of equal ones only boxes that do not come behind it by
/// their sides; and it takes them in the order of the candidates, on which the outcome depends.
fn transitive_groups(
    rows: &[Instance<'_>],
    ranks: &[usize],
    options: &MergeOptions,
) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut group_of: Vec<Option<usize>> = vec![None; rows.len()];
    for &row in ranks {
        let group = *group_of[row].get_or_insert_with(|| {
            groups.push(vec![row]);
            groups.len() - 1
        });
        for other in 0..rows.len() {
            let takes = rows[row].score > rows[other].score
                || (rows[row].score == rows[other].score
                    && by_sides(&rows[row], &rows[other]).is_ge());
            if other != row
                && group_of[other].is_none()
                && takes
                && options.matches(&rows[row].bbox, &rows[other].bbox)
            {
                group_of[other] = Some(group);
                groups[group].push(other);
            }
        }
    }
    groups
}

/// One object per group. Members join one by one if they overlap what the box has become.
fn united<'a>(
    rows: &[Instance<'a>],
    groups: &[Vec<usize>],
    options: &MergeOptions,
) -> Vec<Instance<'a>> {
    let unite = |group: &Vec<usize>| {
        let mut object = rows[group[0]];
        for &member in &group[1..] {
            let part = rows[member];
            if options.matches(&object.bbox, &part.bbox) {
                object.bbox = BoxXyxy {
                    x1: object.bbox.x1.min(part.bbox.x1),
                    y1: object.bbox.y1.min(part.bbox.y1),
                    x2: object.bbox.x2.max(part.bbox.x2),
                    y2: object.bbox.y2.max(part.bbox.y2),
                };
            }
        }
        object
    };
    groups.iter().map(unite).collect()
}

/// Boxes that are fused: sums of sides and scores, in double precision.
struct Cluster<'a> {
    first: Instance<'a>,
    bbox: BoxXyxy,
    sides: [f64; 4],
    scores: f64,
    count: usize,
}

fn weighted_boxes<'a>(rows: &[Instance<'a>], ranks: &[usize], threshold: f32) -> Vec<Instance<'a>> {
    let mut clusters: Vec<Cluster<'a>> = Vec::new();
    for row in ranks.iter().map(|&rank| &rows[rank]) {
        let overlaps = clusters
            .iter()
            .map(|it| overlap(OverlapMetric::Iou, &it.bbox, &row.bbox));
        let best = overlaps
            .enumerate()
            .fold(None, |best: Option<(usize, f32)>, next| {
                let is_better = next.1 > best.map_or(threshold, |best| best.1);
                if is_better { Some(next) } else { best }
            });
        let index = best.map_or(clusters.len(), |(index, _)| index);
        if index == clusters.len() {
            clusters.push(Cluster {
                first: *row,
                bbox: row.bbox,
                sides: [0.0; 4],
                scores: 0.0,
                count: 0,
            });
        }
        clusters[index].add(row);
    }
    let fused = clusters.into_iter().map(|cluster| Instance {
        bbox: cluster.bbox,
        score: (cluster.scores / cluster.count as f64) as f32,
        ..cluster.first
    });
    fused.collect()
}

impl Cluster<'_> {
    fn add(&mut self, row: &Instance<'_>) {
        let score = f64::from(row.score);
        let sides = [row.bbox.x1, row.bbox.y1, row.bbox.x2, row.bbox.y2];
        for (sum, side) in self.sides.iter_mut().zip(sides) {
            *sum += score * f64::from(side);
        }
        self.scores += score;
        self.count += 1;
        if self.scores > 0.0 {
            let [x1, y1, x2, y2] = self.sides.map(|sum| (sum / self.scores) as f32);
            self.bbox = BoxXyxy { x1, y1, x2, y2 };
        }
    }
}
