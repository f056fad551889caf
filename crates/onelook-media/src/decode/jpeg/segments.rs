//! A JPEG stream in, its marker segments out. Bytes between segments are passed over, as every
//! reader does.

/// A marker and what belongs to it.
pub(super) struct Segment<'a> {
    /// The byte after 0xff.
    pub(super) marker: u8,
    /// What follows the length; empty for markers that stand alone.
    pub(super) payload: &'a [u8],
}

/// Walks from segment to segment.
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Segments<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 2 }
    }

    /// What comes after the segment read last.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Passes over `count` bytes, at most those that are left.
    pub(super) fn skip(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.bytes.len());
    }

    /// Passes over all segments up to the end marker; whether there is one.
    pub(super) fn reach_end_marker(&mut self) -> bool {
        std::iter::from_fn(|| self.find()).any(|segment| segment.marker == 0xd9)
    }

    /// The next segment that is whole.
    pub(super) fn find(&mut self) -> Option<Segment<'a>> {
        loop {
            self.at += self
                .bytes
                .get(self.at..)?
                .iter()
                .position(|&byte| byte == 0xff)?
                + 1;
            let marker = *self.bytes.get(self.at)?;
            match marker {
                0xff => {}
                0x00 | 0x01 | 0xd0..=0xd8 => self.at += 1,
                0xd9 => {
                    self.at += 1;
                    return Some(Segment {
                        marker,
                        payload: &[],
                    });
                }
                _ => {
                    let length = self.bytes.get(self.at + 1..self.at + 3)?;
                    let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                    let payload = self.bytes.get(self.at + 3..self.at + 1 + length.max(2))?;
                    self.at += 1 + length.max(2);
                    return Some(Segment { marker, payload });
                }
            }
        }
    }
}

/// Whether a marker starts a frame: all of 0xc0 to 0xcf but three that mean something else.
pub(super) fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Width and height in the frame header of a JPEG stream.
pub(in super::super) fn size(bytes: &[u8]) -> Option<(u32, u32)> {
    let mut segments = Segments::new(bytes);
    loop {
        let segment = segments.find()?;
        if is_frame(segment.marker) {
            let sides = segment.payload.get(1..5)?;
            let side = |high, low| u32::from(u16::from_be_bytes([high, low]));
            return Some((side(sides[2], sides[3]), side(sides[0], sides[1])));
        }
    }
}
