//! The plans of an executable, and who may run them: a key in, an execution context that nobody else
//! has out.
//!
//! A short lock guards the list alone. Nobody holds it while a plan is made, while inputs are packed,
//! while the GPU computes or while results are read. What is kept is bounded by bytes, the plan unused
//! for longest goes first, and nothing goes that is in use.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use onelook_graph::{PlanKind, RunError};
use onelook_types::Shape;

use crate::driver::{CudaError, ExecutionContext, LoadedPlan};
use crate::lower::LowerError;
use crate::plan::Plan;

/// Runs of one plan at a time: one is copied in or out while the other is computed.
pub(super) const CONTEXTS_PER_PLAN: usize = 2;

/// What a plan is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PlanKey {
    pub kind: PlanKind,
    /// The shape of the network's input, with the plan's batch.
    pub input: Shape,
}

/// A plan that is ready to run.
pub(super) struct ReadyPlan {
    pub loaded: Arc<LoadedPlan>,
    /// Of the graph's outputs.
    pub outputs: Vec<Shape>,
}

/// Makes the plans that a cache lacks.
pub(super) trait PlanMaker {
    /// The plan, and the shapes of the graph's outputs.
    fn lower(&self, key: &PlanKey) -> Result<(Plan, Vec<Shape>), LowerError>;

    /// What the plan will take.
    fn bytes(&self, plan: &Plan) -> PlanBytes;

    /// Brings kernels and constants to the GPU.
    fn load(&self, plan: &Plan) -> Result<Arc<LoadedPlan>, CudaError>;
}

/// Why there is no plan to run.
#[derive(Debug)]
pub(super) enum Unready {
    Lower(LowerError),
    Cuda(CudaError),
}

impl Unready {
    /// Whether a smaller batch might do.
    pub fn is_too_large(&self) -> bool {
        match self {
            Self::Lower(error) => matches!(error, LowerError::TooLarge(_)),
            Self::Cuda(error) => error.is_out_of_memory(),
        }
    }
}

impl From<Unready> for RunError {
    fn from(unready: Unready) -> Self {
        match unready {
            Unready::Lower(LowerError::Graph(error)) => Self::Graph(error),
            Unready::Lower(error) => Self::Device(error.to_string()),
            Unready::Cuda(error) => Self::Device(error.to_string()),
        }
    }
}

/// What a plan will take, which is known before any of it is taken.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PlanBytes {
    /// Of one execution context.
    pub context: usize,
    /// Of the constants, and their sum: plans with the same constants share them.
    pub constants: usize,
    pub constants_sum: [u8; 32],
}

/// The plans that are kept.
pub(super) struct PlanCache {
    state: Mutex<CacheState>,
    /// A context or memory has become free.
    changed: Condvar,
    /// Bytes that all plans may take together, but for those in use.
    budget: usize,
}

#[derive(Default)]
struct CacheState {
    /// The one used last comes last.
    entries: Vec<Entry>,
    /// Leases that are out: runs, and threads that make a plan or a context.
    leases: usize,
    /// Threads that wait until no lease is out, because memory has run out; meanwhile there are no
    /// new leases.
    short_of_memory: usize,
}

struct Entry {
    key: PlanKey,
    /// Absent while it is being made.
    plan: Option<Arc<ReadyPlan>>,
    bytes: PlanBytes,
    idle: Vec<ExecutionContext>,
    /// How many there are, idle, in use or being made.
    contexts: usize,
    /// How many there may be.
    most_contexts: usize,
}

impl Entry {
    fn is_idle(&self) -> bool {
        self.plan.is_some() && self.idle.len() == self.contexts
    }

    /// Takes out the idle contexts of a plan that is in use; it goes on with those that are left.
    fn give_up_idle(&mut self) -> Vec<ExecutionContext> {
        if !self.idle.is_empty() {
            self.contexts -= self.idle.len();
            self.most_contexts = self.contexts.max(1);
        }
        std::mem::take(&mut self.idle)
    }
}

/// The right to run a plan, or to make one; it ends when dropped.
pub(super) struct Lease<'a> {
    cache: &'a PlanCache,
    key: PlanKey,
    /// Absent where the plan is to be made.
    plan: Option<Arc<ReadyPlan>>,
    /// Absent where the context is to be made.
    context: Option<ExecutionContext>,
    /// Whether another context of the plan exists, which could be waited for.
    is_spare: bool,
    /// Whether the context may be used again.
    is_sound: bool,
}

impl PlanCache {
    pub fn new(budget: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Condvar::new(),
            budget,
        }
    }

    /// The list is whole between any two statements under the lock, so poisoning means nothing.
    fn lock(&self) -> MutexGuard<'_, CacheState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, CacheState>) -> MutexGuard<'a, CacheState> {
        let woken = self.changed.wait(state);
        woken.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is such a plan.
    pub fn has(&self, key: &PlanKey) -> bool {
        self.lock().entries.iter().any(|entry| entry.key == *key)
    }

    /// An execution context of this plan that nobody else has, made where there is none. Waits while
    /// all are in use.
    pub fn checkout(&self, key: &PlanKey, maker: &impl PlanMaker) -> Result<Lease<'_>, Unready> {
        loop {
            let mut lease = self.lease(key);
            let made = match (&lease.plan, lease.is_spare) {
                _ if lease.context.is_some() => return Ok(lease),
                (None, _) => {
                    let (plan, context) = self.make_plan(key, maker)?;
                    lease.plan = Some(plan);
                    Ok(context)
                }
                (Some(plan), false) => self.with_memory(|| ExecutionContext::new(&plan.loaded)),
                (Some(plan), true) => ExecutionContext::new(&plan.loaded),
            };
            match made {
                Ok(context) => lease.context = Some(context),
                Err(error) if lease.is_spare && error.is_out_of_memory() => {
                    // The others do; they are in use now, or were a moment ago.
                    let mut state = self.lock();
                    let entry = state.entry(key);
                    entry.most_contexts = (entry.contexts - 1).max(1);
                    continue;
                }
                Err(error) => return Err(Unready::Cuda(error)),
            }
            return Ok(lease);
        }
    }

    /// The caller has the lease to make it.
    fn make_plan(
        &self,
        key: &PlanKey,
        maker: &impl PlanMaker,
    ) -> Result<(Arc<ReadyPlan>, ExecutionContext), Unready> {
        let (plan, outputs) = maker.lower(key).map_err(Unready::Lower)?;
        let evicted = {
            let mut state = self.lock();
            state.entry(key).bytes = maker.bytes(&plan);
            state.evict(self.budget)
        };
        let have_gone = !evicted.is_empty();
        drop(evicted);
        let mut loaded = None;
        let made = self.with_memory(|| {
            // Kernels that were compiled before memory ran out are not compiled again.
            let loaded = match &loaded {
                Some(loaded) => Arc::clone(loaded),
                None => Arc::clone(loaded.insert(maker.load(&plan)?)),
            };
            let context = ExecutionContext::new(&loaded)?;
            Ok((loaded, context))
        });
        let (loaded, context) = made.map_err(Unready::Cuda)?;
        if have_gone {
            loaded.context().trim();
        }
        let ready = Arc::new(ReadyPlan { loaded, outputs });
        self.lock().entry(key).plan = Some(Arc::clone(&ready));
        self.changed.notify_all();
        Ok((ready, context))
    }

    /// An execution context, or the right to make the plan or a context of it. Waits while the plan
    /// is being made elsewhere, or all its contexts are in use and there may be no more.
    fn lease(&self, key: &PlanKey) -> Lease<'_> {
        let mut state = self.lock();
        loop {
            if state.short_of_memory == 0
                && let Some(lease) = self.try_lease(&mut state, key)
            {
                state.leases += 1;
                return lease;
            }
            state = self.wait(state);
        }
    }

    fn try_lease(&self, state: &mut CacheState, key: &PlanKey) -> Option<Lease<'_>> {
        let lease = |plan, context, is_spare| Lease {
            cache: self,
            key: key.clone(),
            plan,
            context,
            is_spare,
            is_sound: true,
        };
        let known = state.entries.iter().position(|entry| entry.key == *key);
        let Some(index) = known else {
            state.entries.push(Entry {
                key: key.clone(),
                plan: None,
                bytes: PlanBytes::default(),
                idle: Vec::new(),
                contexts: 1,
                most_contexts: CONTEXTS_PER_PLAN,
            });
            return Some(lease(None, None, false));
        };
        let bytes = state.bytes();
        let used = state.entries.remove(index);
        let entry = state.entries.push_mut(used);
        let plan = entry.plan.clone()?;
        if let Some(context) = entry.idle.pop() {
            return Some(lease(Some(plan), Some(context), false));
        }
        // The first context is always made; another one only where there is space for it.
        let is_spare = entry.contexts > 0;
        let fits = bytes.saturating_add(entry.bytes.context) <= self.budget;
        if is_spare && (entry.contexts >= entry.most_contexts || !fits) {
            return None;
        }
        entry.contexts += 1;
        Some(lease(Some(plan), None, is_spare))
    }

    /// Makes something that takes memory. Where there is none left, waits until nothing is in use,
    /// gives up all idle plans and the idle contexts of the others, and tries once more.
    ///
    /// The caller has a lease, of which nothing is under way.
    fn with_memory<T>(
        &self,
        mut make: impl FnMut() -> Result<T, CudaError>,
    ) -> Result<T, CudaError> {
        let first = match make() {
            Err(error) if error.is_out_of_memory() => error,
            made => return made,
        };
        self.lock().short_of_memory += 1;
        let _others_wait = OthersWait(self);
        let mut state = self.lock();
        // This lease does not count while it waits: several may.
        state.leases -= 1;
        self.changed.notify_all();
        // Another thread that ran short at the same time has given back what it had got so far.
        let mut has_freed = state.leases > 0 || state.short_of_memory > 1;
        while state.leases > 0 {
            state = self.wait(state);
        }
        state.leases += 1;
        let plans: Vec<Entry> = state
            .entries
            .extract_if(.., |entry| entry.is_idle())
            .collect();
        let contexts: Vec<ExecutionContext> = state
            .entries
            .iter_mut()
            .flat_map(Entry::give_up_idle)
            .collect();
        drop(state);
        has_freed |= !plans.is_empty() || !contexts.is_empty();
        drop((plans, contexts));
        match has_freed {
            true => make(),
            false => Err(first),
        }
    }
}

/// While it lives there are no new leases; also a panic ends that.
struct OthersWait<'a>(&'a PlanCache);

impl Drop for OthersWait<'_> {
    fn drop(&mut self) {
        self.0.lock().short_of_memory -= 1;
        self.0.changed.notify_all();
    }
}

impl CacheState {
    /// Bytes of all plans, constants that several share counted once.
    fn bytes(&self) -> usize {
        let mut sums: Vec<[u8; 32]> = Vec::new();
        let mut bytes = 0_usize;
        for entry in &self.entries {
            bytes = bytes.saturating_add(entry.contexts.saturating_mul(entry.bytes.context));
            if !sums.contains(&entry.bytes.constants_sum) {
                sums.push(entry.bytes.constants_sum);
                bytes = bytes.saturating_add(entry.bytes.constants);
            }
        }
        bytes
    }

    /// Takes out idle plans, those unused for longest first, until all others take no more than the
    /// budget. The one used last stays.
    #[must_use = "they are to be dropped without the lock"]
    fn evict(&mut self, budget: usize) -> Vec<Entry> {
        let mut evicted = Vec::new();
        while self.bytes() > budget {
            let older = self.entries.len().saturating_sub(1);
            match self.entries[..older].iter().position(Entry::is_idle) {
                Some(index) => evicted.push(self.entries.remove(index)),
                None => break,
            }
        }
        if !evicted.is_empty() {
            // There is space again for what could not be had.
            for entry in &mut self.entries {
                entry.most_contexts = CONTEXTS_PER_PLAN;
            }
        }
        evicted
    }

    fn entry(&mut self, key: &PlanKey) -> &mut Entry {
        let entry = self.entries.iter_mut().find(|entry| entry.key == *key);
        entry.expect("a plan with a lease is never taken out")
    }
}

impl Lease<'_> {
    /// Makes sure that the context's inputs have so many bytes each.
    pub fn reserve(&mut self, inputs: &[usize]) -> Result<(), CudaError> {
        match &mut self.context {
            Some(context) => self.cache.with_memory(|| context.reserve(inputs)),
            None => Ok(()),
        }
    }

    /// Gives up this context for good where the plan has others, so that the memory that it lacks
    /// may suffice for those; whether it did.
    pub fn yields_to_others(&mut self) -> bool {
        let mut state = self.cache.lock();
        let entry = state.entry(&self.key);
        let has_others = entry.contexts > 1;
        if has_others {
            entry.most_contexts = 1;
            self.is_sound = false;
        }
        has_others
    }

    /// What it may run.
    pub fn plan(&self) -> Option<&Plan> {
        self.plan.as_ref().map(|plan| plan.loaded.plan())
    }

    /// Runs the plan. A context whose run has failed is not used again.
    pub fn run<T>(
        &mut self,
        run: impl FnOnce(&mut ExecutionContext, &ReadyPlan) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let (Some(plan), Some(context)) = (&self.plan, &mut self.context) else {
            unreachable!("checkout gives leases that have both");
        };
        let outcome = run(context, plan);
        self.is_sound = !matches!(outcome, Err(RunError::Device(_)));
        outcome
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let is_sound = self.is_sound && !thread::panicking();
        // A lease counts until its memory is free: the contexts that go are dropped before.
        let context = self.context.take().filter(|_| is_sound);
        let mut state = self.cache.lock();
        match (&self.plan, context) {
            (None, _) => state.entries.retain(|entry| entry.key != self.key),
            (Some(_), None) => state.entry(&self.key).contexts -= 1,
            (Some(_), Some(context)) => {
                let entry = state.entry(&self.key);
                entry.bytes.context = entry.bytes.context.max(context.bytes());
                entry.idle.push(context);
            }
        }
        let evicted = state.evict(self.cache.budget);
        if !evicted.is_empty() {
            drop(state);
            drop(evicted);
            if let Some(plan) = &self.plan {
                plan.loaded.context().trim();
            }
            state = self.cache.lock();
        }
        state.leases -= 1;
        drop(state);
        self.cache.changed.notify_all();
    }
}
