//! One image of a batch, ready for a run: as the tensor that the network reads, or as pixels with
//! their placement where the engine fits images itself.

use std::sync::Arc;

use onelook_graph::{PlacedImage, PlanKind, Prepared};
use onelook_types::{
    AxisTap, Frame, FrameView, LetterboxPlacement, LetterboxRecipe, Tensor, Thresholds,
};
use onelook_vision::letterbox::{axis_taps, fill_input};

/// Pixels, borrowed or shared.
#[derive(Debug, Clone)]
pub enum FrameSource<'f> {
    /// Somebody else's.
    Borrowed(FrameView<'f>),
    /// For runs that outlive their caller.
    Shared(Arc<Frame>),
}

impl FrameSource<'_> {
    /// The pixels.
    pub fn view(&self) -> FrameView<'_> {
        match self {
            Self::Borrowed(view) => *view,
            Self::Shared(frame) => FrameView::from(&**frame),
        }
    }
}

impl<'f> From<FrameView<'f>> for FrameSource<'f> {
    fn from(view: FrameView<'f>) -> Self {
        Self::Borrowed(view)
    }
}

impl<'f> From<&'f Frame> for FrameSource<'f> {
    fn from(frame: &'f Frame) -> Self {
        Self::Borrowed(frame.into())
    }
}

impl From<Arc<Frame>> for FrameSource<'_> {
    fn from(frame: Arc<Frame>) -> Self {
        Self::Shared(frame)
    }
}

/// An item of a batch, in the form that the model's engine takes.
#[derive(Debug, Clone)]
pub enum PreparedInput<'f> {
    /// `[images, 3, height, width]`, red, green, blue from 0 to 1.
    Tensor(Tensor),
    /// One image as it came.
    Image(ImageInput<'f>),
}

/// An image that the engine fits into the network's input itself.
#[derive(Debug, Clone)]
pub struct ImageInput<'f> {
    frame: FrameSource<'f>,
    placement: LetterboxPlacement,
    padding: u8,
    columns: Vec<AxisTap>,
    rows: Vec<AxisTap>,
    thresholds: Arc<Thresholds>,
}

/// What items must have in common to share a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchKey {
    /// How images go in.
    pub kind: PlanKind,
    /// Height and width of the network's input.
    pub size: [usize; 2],
}

impl PreparedInput<'_> {
    /// The item as engines take it.
    pub fn as_prepared(&self) -> Prepared<'_> {
        match self {
            Self::Tensor(tensor) => Prepared::Tensors(std::slice::from_ref(tensor)),
            Self::Image(image) => Prepared::Placed(image.as_placed()),
        }
    }

    /// What it must have in common with others to share a run.
    pub fn key(&self) -> BatchKey {
        match self {
            Self::Tensor(tensor) => {
                let [.., height, width] = tensor.shape().nchw().unwrap_or_default();
                BatchKey {
                    kind: PlanKind::Tensor,
                    size: [height, width],
                }
            }
            Self::Image(image) => BatchKey {
                kind: PlanKind::Image,
                size: [image.placement.height, image.placement.width],
            },
        }
    }

    /// How many images it holds.
    pub fn images(&self) -> usize {
        match self {
            Self::Tensor(tensor) => tensor.shape().first().copied().unwrap_or(0),
            Self::Image(_) => 1,
        }
    }

    /// The same as a tensor.
    pub fn to_tensor(&self) -> Tensor {
        match self {
            Self::Tensor(tensor) => tensor.clone(),
            Self::Image(image) => fit(&image.frame.view(), &image.placement, image.padding),
        }
    }
}

impl<'f> ImageInput<'f> {
    pub(crate) fn new(
        frame: FrameSource<'f>,
        placement: LetterboxPlacement,
        recipe: &LetterboxRecipe,
        thresholds: &Arc<Thresholds>,
    ) -> Self {
        let taps = |source, scaled| axis_taps(source, scaled).collect();
        Self {
            columns: taps(placement.source_width, placement.scaled_width),
            rows: taps(placement.source_height, placement.scaled_height),
            frame,
            placement,
            padding: recipe.padding,
            thresholds: Arc::clone(thresholds),
        }
    }

    pub(crate) fn as_placed(&self) -> PlacedImage<'_> {
        PlacedImage {
            frame: self.frame.view(),
            placement: self.placement,
            padding: self.padding,
            columns: &self.columns,
            rows: &self.rows,
            thresholds: &self.thresholds,
        }
    }
}

/// The network's input for one image.
pub(crate) fn fit(frame: &FrameView<'_>, placement: &LetterboxPlacement, padding: u8) -> Tensor {
    let mut input = Tensor::zeros([1, 3, placement.height, placement.width]);
    fill_input(*frame, placement, padding, input.data_mut());
    input
}
