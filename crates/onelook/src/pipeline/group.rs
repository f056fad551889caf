//! Placements in, lists of images that may share one run out; and how many lists run at a time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use onelook_types::LetterboxPlacement;

/// Indices of images of equal input shape, at most `batch` together, by first appearance.
pub(super) fn by_shape(placements: &[LetterboxPlacement], batch: usize) -> Vec<Vec<usize>> {
    let mut groups: Vec<([usize; 2], Vec<usize>)> = Vec::new();
    for (index, placement) in placements.iter().enumerate() {
        let shape = [placement.height, placement.width];
        let open = groups
            .iter_mut()
            .find(|(other, members)| *other == shape && members.len() < batch.max(1));
        match open {
            Some((_, members)) => members.push(index),
            None => groups.push((shape, vec![index])),
        }
    }
    groups.into_iter().map(|(_, members)| members).collect()
}

/// What `run` gives for each group, in the groups' order; so many run at a time, each in a thread. Of
/// several failures that of the first group is told.
pub(super) fn for_each<T, E>(
    groups: &[Vec<usize>],
    at_a_time: usize,
    run: impl Fn(&[usize]) -> Result<T, E> + Sync,
) -> Result<Vec<T>, E>
where
    T: Send + Sync,
    E: Send + Sync,
{
    if at_a_time <= 1 || groups.len() <= 1 {
        return groups.iter().map(|group| run(group)).collect();
    }
    let outcomes: Vec<OnceLock<Result<T, E>>> = groups.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(group) = groups.get(index) else {
                break;
            };
            let outcome = run(group);
            if outcome.is_err() {
                next.store(groups.len(), Ordering::Relaxed);
            }
            let _ = outcomes[index].set(outcome);
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_a_time.min(groups.len()) {
            // One that cannot be started is done without.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    // Groups are begun in order, so what was not begun comes behind a failure.
    outcomes
        .into_iter()
        .map_while(OnceLock::into_inner)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use onelook_types::{LetterboxMode, LetterboxRecipe};
    use onelook_vision::letterbox::place;

    #[test]
    fn only_images_of_one_shape_share_a_run() {
        let recipe = LetterboxRecipe {
            height: 640,
            width: 640,
            mode: LetterboxMode::Rect { stride: 32 },
            padding: 114,
        };
        let sizes = [(640, 480), (480, 640), (1280, 960), (640, 480), (100, 100)];
        let placements: Vec<_> = sizes.iter().map(|&(w, h)| place(&recipe, w, h)).collect();
        assert_eq!(
            by_shape(&placements, 2),
            [vec![0, 2], vec![1], vec![3], vec![4]]
        );
    }

    #[test]
    fn groups_that_run_at_the_same_time_come_back_in_order() {
        let groups: Vec<Vec<usize>> = (0..50).map(|index| vec![index]).collect();
        let run = |group: &[usize]| match group[0] {
            40 | 30 => Err(group[0]),
            index => Ok(index),
        };
        for at_a_time in [1, 2, 7] {
            let done = for_each(&groups[..30], at_a_time, run);
            assert_eq!(done, Ok((0..30).collect()));
            assert_eq!(for_each(&groups, at_a_time, run), Err(30));
        }
        assert_eq!(for_each(&[], 2, run), Ok(Vec::new()));
    }
}
