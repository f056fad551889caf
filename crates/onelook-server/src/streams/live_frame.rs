//! A frame with its objects for those who watch: encoded when the first of them asks, once for all.

use std::sync::Arc;

use bytes::Bytes;
use onelook::media::encode_jpeg;
use onelook::record::{ObjectRecord, objects};
use onelook::types::{BoxXyxy, Frame, Instances};
use onelook::vision::draw::{DrawStyle, draw};
use tokio::sync::OnceCell;

use crate::blocking::blocking;
use crate::problem::Problem;

/// Longest side of images for those who watch: larger frames are made smaller by a whole factor.
const WATCHED_SIDE: usize = 960;

/// Longest side of the image of an event.
const EVENT_SIDE: usize = 1920;

/// Quality of JPEGs that are replaced a moment later.
const WATCHED_QUALITY: u8 = 75;

/// Quality of a JPEG that is kept.
const SNAPSHOT_QUALITY: u8 = 90;

/// A frame that was run, and what was found on it.
pub struct LiveFrame {
    /// Position among the stream's decoded frames.
    pub number: u64,
    /// Seconds of the stream.
    pub time: f64,
    /// Milliseconds from the frame's arrival to its result.
    pub delay_ms: f64,
    frame: Frame,
    found: Instances,
    names: Arc<[String]>,
    speeds: Vec<Option<f64>>,
    plain: OnceCell<Result<Bytes, Problem>>,
    drawn: OnceCell<Result<Bytes, Problem>>,
    snapshot: OnceCell<Result<Bytes, Problem>>,
}

impl LiveFrame {
    /// A frame of a stream with its objects in pixels of the frame.
    pub fn new(
        (number, time, delay_ms): (u64, f64, f64),
        frame: Frame,
        found: Instances,
        names: Arc<[String]>,
    ) -> Self {
        Self {
            number,
            time,
            delay_ms,
            frame,
            found,
            names,
            speeds: Vec::new(),
            plain: OnceCell::new(),
            drawn: OnceCell::new(),
            snapshot: OnceCell::new(),
        }
    }

    /// With how fast its objects move, in their order, in metres per second.
    pub fn with_speeds(mut self, speeds: Vec<Option<f64>>) -> Self {
        self.speeds = speeds;
        self
    }

    /// How fast the object of this index moves, in metres per second, where that is known.
    pub fn speed(&self, index: usize) -> Option<f64> {
        self.speeds.get(index).copied().flatten()
    }

    /// Width and height in pixels.
    pub fn size(&self) -> [usize; 2] {
        [self.frame.width(), self.frame.height()]
    }

    /// Its objects and the numbers of their tracks, in the same order; `None` without a tracker.
    pub fn objects(&self) -> (Vec<ObjectRecord>, Option<&[u64]>) {
        let records = objects(&self.found, &self.names, self.size());
        (records, self.found.track_ids())
    }

    /// As JPEG without boxes, made smaller.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub async fn plain(self: &Arc<Self>) -> Result<Bytes, Problem> {
        let own = Arc::clone(self);
        let work = move || {
            encoded(
                &shrunk(&own.frame, factor(&own.frame, WATCHED_SIDE)),
                WATCHED_QUALITY,
            )
        };
        let made = self.plain.get_or_init(|| away(work));
        made.await.clone()
    }

    /// As JPEG with boxes, made smaller.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub async fn drawn(self: &Arc<Self>) -> Result<Bytes, Problem> {
        let own = Arc::clone(self);
        let work = move || own.with_boxes(factor(&own.frame, WATCHED_SIDE), WATCHED_QUALITY);
        let made = self.drawn.get_or_init(|| away(work));
        made.await.clone()
    }

    /// As JPEG with boxes, at its own size.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub async fn snapshot(self: &Arc<Self>) -> Result<Bytes, Problem> {
        let own = Arc::clone(self);
        let work = move || own.with_boxes(1, SNAPSHOT_QUALITY);
        let made = self.snapshot.get_or_init(|| away(work));
        made.await.clone()
    }

    /// As JPEG with these boxes, made smaller if it is very large. Takes long: not for threads that answer
    /// requests.
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn event_jpeg(&self, found: &Instances) -> Result<Bytes, Problem> {
        let factor = factor(&self.frame, EVENT_SIDE);
        self.with(found, factor, SNAPSHOT_QUALITY)
    }

    /// What was found on it.
    pub fn found(&self) -> &Instances {
        &self.found
    }

    /// The frame itself.
    pub fn frame(&self) -> &Frame {
        &self.frame
    }

    fn with_boxes(&self, factor: usize, quality: u8) -> Result<Bytes, Problem> {
        self.with(&self.found, factor, quality)
    }

    fn with(&self, found: &Instances, factor: usize, quality: u8) -> Result<Bytes, Problem> {
        let mut frame = shrunk(&self.frame, factor);
        let found = scaled(found, [1.0 / factor as f64; 2]);
        draw(&mut frame, &found, &self.names, &DrawStyle::default());
        encoded(&frame, quality)
    }
}

/// Away from the threads that answer requests.
async fn away(
    work: impl FnOnce() -> Result<Bytes, Problem> + Send + 'static,
) -> Result<Bytes, Problem> {
    blocking(work).await?
}

fn encoded(frame: &Frame, quality: u8) -> Result<Bytes, Problem> {
    let bytes = encode_jpeg(frame, quality).map_err(Problem::internal)?;
    Ok(bytes.into())
}

/// By how much a frame is made smaller for its longest side to be no longer.
fn factor(frame: &Frame, side: usize) -> usize {
    let longest = frame.width().max(frame.height());
    longest.div_ceil(side).max(1)
}

/// Boxes times these factors on x and y.
pub fn scaled(found: &Instances, [x, y]: [f64; 2]) -> Instances {
    if x == 1.0 && y == 1.0 {
        return found.clone();
    }
    let times = |value: f32, factor: f64| (f64::from(value) * factor) as f32;
    let boxes = found.boxes().iter().map(|bbox| BoxXyxy {
        x1: times(bbox.x1, x),
        y1: times(bbox.y1, y),
        x2: times(bbox.x2, x),
        y2: times(bbox.y2, y),
    });
    let scaled = Instances::new(
        boxes.collect(),
        found.classes().to_vec(),
        found.scores().to_vec(),
    );
    match found.track_ids() {
        Some(ids) => scaled.with_track_ids(ids.to_vec()),
        None => scaled,
    }
}

/// Each pixel is the mean of `factor` x `factor`; what is left at the right and at the bottom is cut off.
fn shrunk(frame: &Frame, factor: usize) -> Frame {
    let (width, height) = (frame.width() / factor, frame.height() / factor);
    if factor <= 1 || width == 0 || height == 0 {
        return frame.clone();
    }
    let pixels = frame.pixels();
    let row = frame.width() * 3;
    let area = (factor * factor) as u32;
    let mut small = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let mut sums = [area / 2; 3];
            for line in 0..factor {
                let start = (y * factor + line) * row + x * factor * 3;
                for pixel in pixels[start..start + factor * 3].chunks_exact(3) {
                    for (sum, value) in sums.iter_mut().zip(pixel) {
                        *sum += u32::from(*value);
                    }
                }
            }
            small.extend(sums.map(|sum| (sum / area) as u8));
        }
    }
    Frame::new(width, height, small).unwrap_or_else(|_| frame.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_frame_is_made_smaller_by_means() {
        let pixels = (0..4 * 3 * 3).map(|index| index as u8).collect();
        let frame = Frame::new(4, 3, pixels).unwrap();
        let small = shrunk(&frame, 2);
        assert_eq!((small.width(), small.height()), (2, 1));
        // Of red at 0, 3, 12 and 15.
        assert_eq!(small.pixels()[0], 8);
        assert_eq!(factor(&frame, WATCHED_SIDE), 1);
        assert_eq!(
            factor(&Frame::filled(1920, 10, [0; 3]).unwrap(), WATCHED_SIDE),
            2
        );
        assert_eq!(
            factor(&Frame::filled(10, 1921, [0; 3]).unwrap(), WATCHED_SIDE),
            3
        );
    }

    #[tokio::test]
    async fn whoever_asks_gets_the_same_bytes() {
        let frame = Frame::filled(32, 16, [9; 3]).unwrap();
        let found = Instances::default();
        let live = LiveFrame::new((0, 0.0, 0.0), frame, found, Arc::from([]));
        let live = Arc::new(live);
        let (one, other) = tokio::join!(live.plain(), live.plain());
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.as_ptr(), other.as_ptr());
        assert_eq!(&one[..2], [0xff, 0xd8]);
    }
}
