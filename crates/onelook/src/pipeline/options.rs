//! How a pipeline is used: thresholds, sizes, batches; with the names and defaults people know.

use onelook_types::{LetterboxMode, LetterboxRecipe, Metadata, Thresholds};

use crate::Error;

/// Larger sides than this are taken for a typing error.
const MAX_SIDE: usize = 16_384;

/// Grey of the padding, as the models were trained with.
pub(crate) const PADDING: u8 = 114;

/// How images are fitted and which objects are reported.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Which objects are reported.
    pub thresholds: Thresholds,
    /// Height and width to fit images into, rounded up to the model's stride; by the model when
    /// absent.
    pub image_size: Option<[usize; 2]>,
    /// Whether to pad only to the next multiple of the stride; when absent, yes where the model
    /// takes any size.
    pub rect: Option<bool>,
    /// Most images in one run.
    pub batch: usize,
    /// Whether boxes that non-maximum suppression dropped come with the results, for
    /// [trackers that want them](onelook_vision::track::TrackerOptions::wants_suppressed). The engine then
    /// gives raw outputs, and small work is added per image.
    pub keep_suppressed: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            thresholds: Thresholds::default(),
            image_size: None,
            rect: None,
            batch: 1,
            keep_suppressed: false,
        }
    }
}

impl Options {
    /// Height and width that images are fitted into: what was asked for, rounded up to the stride.
    pub fn rounded_size(&self, metadata: &Metadata) -> Result<[usize; 2], Error> {
        let stride = metadata.stride.max(1);
        let asked = self.image_size.unwrap_or(metadata.image_size);
        if asked.iter().any(|side| !(1..=MAX_SIDE).contains(side)) {
            return Err(Error::Setting {
                name: "imgsz",
                reason: format!(
                    "{}x{} is out of range: each side must be 1 to {MAX_SIDE} pixels",
                    asked[0], asked[1]
                ),
            });
        }
        let size = asked.map(|side| side.next_multiple_of(stride));
        if metadata.fixed_size && size != metadata.image_size {
            let [height, width] = metadata.image_size;
            return Err(Error::Setting {
                name: "imgsz",
                reason: format!(
                    "this model was exported for {height}x{width} only; leave imgsz out, or use the .pt file"
                ),
            });
        }
        Ok(size)
    }

    pub(super) fn recipe(&self, metadata: &Metadata) -> Result<LetterboxRecipe, Error> {
        let [height, width] = self.rounded_size(metadata)?;
        self.check_classes(metadata)?;
        let rect = self.rect.unwrap_or(true) && !metadata.fixed_size;
        Ok(LetterboxRecipe {
            height,
            width,
            mode: match rect {
                true => LetterboxMode::Rect {
                    stride: metadata.stride.max(1),
                },
                false => LetterboxMode::Square,
            },
            padding: PADDING,
        })
    }

    fn check_classes(&self, metadata: &Metadata) -> Result<(), Error> {
        let count = metadata.names.len();
        let wrong = self
            .thresholds
            .classes
            .iter()
            .flatten()
            .find(|&&c| c >= count);
        match wrong {
            None => Ok(()),
            Some(class) => Err(Error::Setting {
                name: "classes",
                reason: format!(
                    "the model knows classes 0 to {}, not {class}",
                    count.max(1) - 1
                ),
            }),
        }
    }
}
