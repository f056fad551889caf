//! Which launch must come after which: from the channels and bytes that they touch.

use std::ops::Range;

/// What a launch touches of the arena: channels of a buffer, and the buffer's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The buffer.
    pub buffer: usize,
    /// Channels of it.
    pub channels: Range<u32>,
    /// Bytes of the arena that the buffer takes.
    pub bytes: Range<usize>,
    /// Whether they are written.
    pub writes: bool,
}

impl Access {
    /// Whether the order of the two accesses matters.
    fn conflicts(&self, other: &Self) -> bool {
        let overlap = match self.buffer == other.buffer {
            true => meet(&self.channels, &other.channels),
            false => meet(&self.bytes, &other.bytes),
        };
        (self.writes || other.writes) && overlap
    }
}

fn meet<T: PartialOrd>(a: &Range<T>, b: &Range<T>) -> bool {
    a.start < b.end && b.start < a.end
}

/// For each launch the earlier ones that it must wait for, those left out that others wait for.
pub fn after(launches: &[Vec<Access>]) -> Vec<Vec<usize>> {
    let mut behind: Vec<Vec<bool>> = Vec::new();
    let mut after = Vec::new();
    for (index, accesses) in launches.iter().enumerate() {
        let mut reached = vec![false; index];
        let mut direct = Vec::new();
        for earlier in (0..index).rev() {
            let conflict = accesses.iter().any(|access| {
                launches[earlier]
                    .iter()
                    .any(|other| access.conflicts(other))
            });
            if conflict && !reached[earlier] {
                direct.push(earlier);
                reached[earlier] = true;
                for (reached, further) in reached.iter_mut().zip(&behind[earlier]) {
                    *reached |= further;
                }
            }
        }
        direct.reverse();
        after.push(direct);
        behind.push(reached);
    }
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(buffer: usize, channels: Range<u32>, writes: bool) -> Access {
        let bytes = buffer * 100..buffer * 100 + 100;
        Access {
            buffer,
            channels,
            bytes,
            writes,
        }
    }

    #[test]
    fn readers_of_other_channels_do_not_wait() {
        let launches = [
            vec![access(0, 0..8, true)],
            vec![access(0, 8..16, true)],
            vec![access(0, 0..8, false), access(1, 0..8, true)],
            vec![access(0, 0..16, false)],
        ];
        assert_eq!(after(&launches), [vec![], vec![], vec![0], vec![0, 1]]);
    }

    #[test]
    fn memory_is_taken_over_after_its_last_reader() {
        let mut second = access(1, 0..8, true);
        second.bytes = 50..150;
        let launches = [
            vec![access(0, 0..8, true)],
            vec![access(0, 0..8, false), access(2, 0..8, true)],
            vec![second],
        ];
        assert_eq!(after(&launches), [vec![], vec![0], vec![1]]);
    }
}
