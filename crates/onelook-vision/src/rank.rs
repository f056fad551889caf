//! Which anchors and classes are above the threshold, highest score first.
//!
//! Compares raw values with a bound, so that nothing is decoded for the many that fail.

use std::cmp::Ordering;

use crate::head::Level;

/// Values that are tested together.
const BLOCK: usize = 64;

/// One class of one anchor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) score: f32,
    pub(crate) class: usize,
    pub(crate) level: usize,
    pub(crate) cell: usize,
}

impl Candidate {
    /// Highest score first; equals by anchor, then by class.
    fn order(&self, other: &Self) -> Ordering {
        other
            .score
            .total_cmp(&self.score)
            .then(self.level.cmp(&other.level))
            .then(self.cell.cmp(&other.cell))
            .then(self.class.cmp(&other.class))
    }
}

/// The `limit` candidates of the highest scores when every class of an anchor counts.
pub(crate) fn all_labels(
    levels: &[Level<'_>],
    confidence: f32,
    admits: impl Fn(usize) -> bool,
    limit: usize,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let bound = level.bound(confidence);
        let admitted = planes(level)
            .enumerate()
            .filter(|(class, _)| admits(*class));
        for (class, plane) in admitted {
            for (block, values) in plane.chunks(BLOCK).enumerate() {
                // Most blocks hold nothing of interest; this test vectorises.
                if !values
                    .iter()
                    .fold(false, |any, &value| any | (value > bound))
                {
                    continue;
                }
                for (offset, &value) in values.iter().enumerate() {
                    if value > bound {
                        let cell = block * BLOCK + offset;
                        found.push(candidate(level, index, cell, class, value));
                    }
                }
            }
        }
    }
    highest(found, confidence, limit)
}

/// The `limit` candidates of the highest scores when only the best class of an anchor counts.
pub(crate) fn best_labels(
    levels: &[Level<'_>],
    confidence: f32,
    admits: impl Fn(usize) -> bool,
    limit: usize,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    for (index, level) in levels.iter().enumerate() {
        let bound = level.bound(confidence);
        for (cell, &best) in best_values(level).iter().enumerate() {
            if best > bound {
                let class = planes(level)
                    .position(|plane| plane[cell] == best)
                    .expect("the best value is that of a class");
                found.push(candidate(level, index, cell, class, best));
            }
        }
    }
    found.retain(|candidate| admits(candidate.class));
    highest(found, confidence, limit)
}

fn planes<'a>(level: &Level<'a>) -> impl Iterator<Item = &'a [f32]> {
    level.scores.chunks_exact(level.cells.max(1))
}

fn best_values(level: &Level<'_>) -> Vec<f32> {
    let mut best = vec![f32::NEG_INFINITY; level.cells];
    for plane in planes(level) {
        for (best, &value) in best.iter_mut().zip(plane) {
            *best = if value > *best { value } else { *best };
        }
    }
    best
}

fn candidate(level: &Level<'_>, index: usize, cell: usize, class: usize, value: f32) -> Candidate {
    Candidate {
        score: level.probability(value),
        class,
        level: index,
        cell,
    }
}

fn highest(mut found: Vec<Candidate>, confidence: f32, limit: usize) -> Vec<Candidate> {
    found.retain(|candidate| candidate.score > confidence);
    if limit == 0 {
        found.clear();
    } else if found.len() > limit {
        found.select_nth_unstable_by(limit - 1, Candidate::order);
        found.truncate(limit);
    }
    found.sort_unstable_by(Candidate::order);
    found
}
