//! What is executed for inputs of one shape: steps in order, each with its places in memory.
//!
//! A step is a kernel bound to places; the memory itself comes with each run, so that a plan is
//! shared by all runs.

use onelook_graph::ExplainedNode;
use onelook_types::Shape;

use crate::kernels::{BLOCK, MapLayout, MapMut, MapView};

/// Everything that a run needs to know about inputs of one shape, for one image.
pub(crate) struct Plan {
    /// What to do, in order.
    pub steps: Vec<Box<dyn Step>>,
    /// One entry per step.
    pub listing: Vec<ExplainedNode>,
    /// Shapes of the graph's outputs for one image.
    pub outputs: Vec<Shape>,
    /// Words of all values.
    pub arena_words: usize,
    /// Bytes of all values if none shared memory.
    pub unshared_bytes: usize,
    /// Floats of scratch memory that each thread needs.
    pub scratch_floats: usize,
}

impl Plan {
    /// Why a step failed in the runs since the last call.
    pub(crate) fn take_failure(&self) -> Option<String> {
        self.steps.iter().find_map(|step| step.take_failure())
    }
}

/// A kernel bound to its operands' places.
pub(crate) trait Step: Send + Sync {
    /// The kernel's name.
    fn kernel(&self) -> &'static str;

    /// How the kernel goes about it, for listings.
    fn choice(&self) -> String {
        String::new()
    }

    /// How many tasks the step consists of; they may run at the same time.
    fn tasks(&self) -> usize;

    /// Floats of scratch memory that a thread needs while it runs a task.
    fn scratch_floats(&self) -> usize {
        0
    }

    /// Why a run of the step failed since the last call; most steps cannot fail.
    fn take_failure(&self) -> Option<String> {
        None
    }

    /// Does one task.
    ///
    /// # Safety
    /// `memory` has the extents of the plan that the step belongs to; all tasks of the steps before
    /// have ended; no other thread runs the same task or has the same `worker`.
    unsafe fn run(&self, memory: &Memory<'_>, task: usize, worker: usize);
}

/// The memory of one run on one image.
#[derive(Clone, Copy)]
pub(crate) struct Memory<'a> {
    pub arena: *mut f32,
    pub scratch: *mut f32,
    pub scratch_floats: usize,
    pub inputs: &'a [*const f32],
    pub outputs: &'a [*mut f32],
}

// SAFETY: addresses only; the steps answer for what they read and write.
unsafe impl Send for Memory<'_> {}
// SAFETY: shared access reads the addresses only.
unsafe impl Sync for Memory<'_> {}

impl<'a> Memory<'a> {
    /// The scratch memory of one thread.
    pub(crate) fn scratch(&self, worker: usize) -> *mut f32 {
        self.scratch.wrapping_add(worker * self.scratch_floats)
    }

    /// So many floats of it.
    ///
    /// # Safety
    /// The plan reserved as many for each thread, and nobody else uses this worker's while the slice is there.
    pub(crate) unsafe fn scratch_slice(self, worker: usize, floats: usize) -> &'a mut [f32] {
        // SAFETY: the caller guarantees the floats and that they are this worker's alone.
        unsafe { std::slice::from_raw_parts_mut(self.scratch(worker), floats) }
    }
}

/// A map in the arena, or planes of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MapPlace {
    /// First word of the whole map.
    pub offset: usize,
    /// Extents of the whole map.
    pub whole: MapLayout,
    /// First plane of this part.
    pub first_plane: usize,
    /// Channels of this part.
    pub channels: usize,
}

impl MapPlace {
    /// Extents of this part.
    pub(crate) fn layout(&self) -> MapLayout {
        MapLayout {
            channels: self.channels,
            ..self.whole
        }
    }

    /// Planes of this part.
    pub(crate) fn planes(&self) -> usize {
        self.channels.div_ceil(BLOCK)
    }

    /// The part in the memory of a run.
    ///
    /// # Safety
    /// The memory belongs to a run of the plan that this place is of.
    pub(crate) unsafe fn view(&self, memory: &Memory<'_>) -> MapView {
        // SAFETY: the caller guarantees that the memory is of a run of this place's plan.
        unsafe { self.view_mut(memory) }.view()
    }

    /// The part in the memory of a run, to be written.
    ///
    /// # Safety
    /// As [`view`](Self::view).
    pub(crate) unsafe fn view_mut(&self, memory: &Memory<'_>) -> MapMut {
        let data = memory.arena.wrapping_add(self.offset);
        // SAFETY: the plan reserved the whole map on a cache line; the run's arena is as long.
        let whole = unsafe { MapMut::new(data, self.whole, self.whole.image_words()) };
        whole.slice(self.first_plane, self.channels)
    }
}

/// Dense values: in the arena, or what the caller or the model brings.
#[derive(Debug, Clone)]
pub(crate) enum DensePlace {
    /// First word in the arena.
    Arena(usize),
    /// A graph input.
    Input(usize),
    /// A graph output.
    Output(usize),
    /// Part of the model.
    Constant(std::sync::Arc<onelook_types::Tensor>),
}

impl DensePlace {
    /// Where the values lie in a run.
    pub(crate) fn read(&self, memory: &Memory<'_>) -> *const f32 {
        match self {
            Self::Arena(offset) => memory.arena.wrapping_add(*offset),
            Self::Input(index) => memory.inputs[*index],
            Self::Output(index) => memory.outputs[*index],
            Self::Constant(tensor) => tensor.data().as_ptr(),
        }
    }

    /// Where the values are written in a run.
    ///
    /// # Panics
    /// It is an input or a constant: no plan writes these.
    pub(crate) fn write(&self, memory: &Memory<'_>) -> *mut f32 {
        match self {
            Self::Arena(offset) => memory.arena.wrapping_add(*offset),
            Self::Output(index) => memory.outputs[*index],
            Self::Input(_) | Self::Constant(_) => {
                panic!("a plan writes into an input or a constant")
            }
        }
    }
}
