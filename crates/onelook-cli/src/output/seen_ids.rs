//! Which objects of a sequence were seen, in bounded memory: ids rise.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Ids that are remembered of a sequence. Lower ones are known.
const MAX_IDS: usize = 4096;

/// Ids that were seen.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SeenIds {
    ids: BTreeSet<u64>,
    /// All below are known.
    floor: u64,
}

impl SeenIds {
    /// Whether the id is new.
    pub fn insert(&mut self, id: u64) -> bool {
        if id < self.floor || !self.ids.insert(id) {
            return false;
        }
        if self.ids.len() > MAX_IDS
            && let Some(lowest) = self.ids.pop_first()
        {
            self.floor = lowest + 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_id_is_new_once_in_bounded_memory() {
        let mut seen = SeenIds::default();
        assert!(seen.insert(2) && seen.insert(1) && !seen.insert(2));
        let limit = MAX_IDS as u64;
        assert!((3..=2 * limit).all(|id| seen.insert(id)));
        assert!(!seen.insert(1) && seen.ids.len() == MAX_IDS);
    }
}
