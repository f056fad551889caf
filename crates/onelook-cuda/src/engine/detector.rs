//! From pictures to boxes by one plan: what it is given, and what its output means.

use onelook_graph::PlacedPicture;
use onelook_types::{DetectHead, Detections, Shape, Thresholds};

use crate::boxes;
use crate::driver::{CudaError, LoadedPlan};
use crate::images::{pack_into, packed_bytes};
use crate::kernels::KernelSpec;
use crate::settings::Settings;

/// Pictures of more bytes than this are made smaller before they go to the GPU.
const MOST_BYTES: usize = 256 << 20;

/// What a plan from pictures to boxes is asked.
pub(super) struct Asked<'a> {
    /// The network's input.
    pub shape: Shape,
    pictures: &'a [PlacedPicture<'a>],
    picture_bytes: usize,
    settings: Vec<u8>,
}

impl<'a> Asked<'a> {
    /// Nothing where no plan could answer: pictures without an input that they share or with more
    /// pixels than a copy is worth, more detections than there is room for.
    pub fn of(
        pictures: &'a [PlacedPicture<'a>],
        thresholds: &Thresholds,
        head: &DetectHead,
    ) -> Option<Self> {
        let size =
            |picture: &PlacedPicture<'_>| [picture.placement.height, picture.placement.width];
        let [height, width] = size(pictures.first()?);
        let share = pictures.iter().all(|it| size(it) == [height, width]);
        let picture_bytes = packed_bytes(pictures).ok()?;
        let settings = Settings::of(thresholds, head).encode(head.classes).ok()?;
        (share && picture_bytes <= MOST_BYTES).then_some(Self {
            shape: [pictures.len(), 3, height, width].into(),
            pictures,
            picture_bytes,
            settings,
        })
    }

    /// The detections on each picture; nothing where more candidates came up than there is room
    /// for, of which chance would have picked some.
    pub fn run(&self, plan: &mut LoadedPlan) -> Result<Option<Vec<Detections>>, CudaError> {
        let lengths = [self.picture_bytes, self.settings.len()];
        plan.run_filled(&lengths, |index, room| match index {
            0 => pack_into(room, self.pictures),
            _ => room.copy_from_slice(&self.settings),
        })?;
        let found = boxes::read(plan.output(0), self.pictures.len());
        let found = found.ok_or_else(|| CudaError::Plan {
            launch: "suppression".to_owned(),
            reason: "it left no list of boxes".to_owned(),
        })?;
        let room = room_for_candidates(plan);
        if found.iter().any(|found| found.candidates > room) {
            return Ok(None);
        }
        let detections = found.into_iter().map(|found| found.detections);
        Ok(Some(detections.collect()))
    }
}

fn room_for_candidates(plan: &LoadedPlan) -> u32 {
    let works = plan
        .plan()
        .launches
        .iter()
        .filter_map(|launch| launch.spec.as_ref());
    let capacity = works.filter_map(|work| match work {
        KernelSpec::Nms(shape) => Some(shape.capacity),
        _ => None,
    });
    capacity.min().unwrap_or(0)
}
