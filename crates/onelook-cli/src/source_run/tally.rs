//! What the images and frames of a run came to.

use std::time::Duration;

use onelook::Speed;

use crate::failure::Failure;
use crate::output::PredictedImage;

/// What the images came to.
#[derive(Default)]
pub struct Tally {
    /// Images and frames whose turn came.
    position: usize,
    /// How many there are, if there is no video among them.
    total: Option<usize>,
    /// Images and videos in all.
    pub entries: usize,
    /// Those that could not be used.
    failed: usize,
    /// Those that another program has run.
    before: usize,
    speed: Speed,
    input: [usize; 2],
}

impl Tally {
    /// Nothing was done of these images, or of these images and videos.
    pub fn new(total: Option<usize>, entries: usize) -> Self {
        Self {
            total,
            entries,
            ..Self::default()
        }
    }

    /// Images and frames whose turn came, and those of them that could not be used.
    pub fn counts(&self) -> [usize; 2] {
        [self.position, self.failed]
    }

    /// Goes on where another program came to.
    pub fn resume(&mut self, [position, failed]: [usize; 2]) {
        (self.position, self.failed) = (position, failed);
        self.before = position.saturating_sub(failed);
    }

    /// The next image or frame has its result.
    pub fn add(&mut self, image: &PredictedImage<'_>) {
        self.position += 1;
        self.speed += image.result.speed;
        self.input = image.result.input;
    }

    /// The next image or video could not be used.
    pub fn add_failed(&mut self) {
        self.position += 1;
        self.failed += 1;
    }

    /// Mean times, if anything was predicted.
    pub fn summary(&self) -> Option<String> {
        let done = (self.position - self.failed).saturating_sub(self.before);
        if done == 0 {
            return None;
        }
        let mean = |total: Duration| total.as_secs_f64() * 1e3 / done as f64;
        let [height, width] = self.input;
        Some(format!(
            "Speed: {:.1}ms preprocess, {:.1}ms inference, {:.1}ms postprocess per image at shape (1, 3, {height}, {width})",
            mean(self.speed.preprocess),
            mean(self.speed.inference),
            mean(self.speed.postprocess),
        ))
    }

    /// `3 of 5 images`, or `3 images or frames` where there are videos among them.
    fn of_total(&self, count: usize) -> String {
        match self.total {
            Some(total) => format!("{count} of {total} images"),
            None => format!("{count} images or frames"),
        }
    }

    pub fn interrupted(&self, signal: u8) -> Failure {
        let done = self.of_total(self.position);
        Failure::Interrupted {
            signal,
            message: format!("ended by a signal after {done}; their results are complete"),
        }
    }

    pub fn outcome(&self) -> Result<(), Failure> {
        match self.failed {
            0 => Ok(()),
            failed => Err(Failure::failed(
                "image",
                match self.total {
                    Some(_) => format!("{} could not be used, see above", self.of_total(failed)),
                    None => format!(
                        "{failed} of {} images and videos could not be used or not to their end, see above",
                        self.entries
                    ),
                },
            )),
        }
    }
}
