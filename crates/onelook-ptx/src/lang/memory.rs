//! The verbs of memory: loads, stores, copies, barriers, atomics, exchange between lanes.

use std::ops::Add;

use super::boolean::BoolValue;
use super::{
    Address, Atomic, Bool, Builder, Cache, F16x2, F32, Feature, Global, Instruction, Operand,
    ShuffleBy, U32, U32Like, Vote,
};

/// An address in shared memory: a register and a constant distance in bytes.
#[derive(Debug, Clone, Copy)]
pub struct SharedAddress<'k> {
    base: U32<'k>,
    offset: i32,
}

impl<'k> SharedAddress<'k> {
    /// The address as a number, for descriptors.
    pub fn address(self) -> U32<'k> {
        self.base + self.offset.cast_unsigned()
    }

    pub(super) fn to_address(self) -> Address {
        Address::Shared {
            base: self.base.operand(),
            offset: self.offset,
        }
    }
}

impl Add<u32> for SharedAddress<'_> {
    type Output = Self;
    /// So many bytes further.
    fn add(self, bytes: u32) -> Self {
        let bytes = i32::try_from(bytes).expect("shared memory is small");
        Self {
            offset: self.offset + bytes,
            ..self
        }
    }
}

impl<'k> Add<U32<'k>> for SharedAddress<'k> {
    type Output = Self;
    /// So many bytes further.
    fn add(self, bytes: U32<'k>) -> Self {
        match bytes.known() {
            Some(bytes) => self + bytes,
            None => Self {
                base: self.base + bytes,
                ..self
            },
        }
    }
}

impl Global<'_> {
    pub(super) fn to_address(self) -> Address {
        Address::Global {
            base: self.base,
            offset: self.offset,
        }
    }
}

impl Builder {
    /// Reserves so many bytes of shared memory.
    pub fn shared(&self, bytes: u32, alignment: u32) -> SharedAddress<'_> {
        let start = self.reserve_shared(bytes, alignment);
        SharedAddress {
            base: self.shared_base(),
            offset: start.cast_signed(),
        }
    }

    /// Loads `N` words (1, 2 or 4) that lie side by side, aligned to their size.
    pub fn load<const N: usize>(&self, from: Global<'_>, cache: Cache) -> [U32<'_>; N] {
        self.load_from(from.to_address(), 4, cache)
    }

    /// Loads a byte or two, widened with zeros.
    pub fn load_narrow(&self, from: Global<'_>, bytes: u32, cache: Cache) -> U32<'_> {
        let [value] = self.load_from(from.to_address(), bytes, cache);
        value
    }

    /// Loads `N` words (1, 2 or 4) from shared memory, aligned to their size.
    pub fn load_shared<const N: usize>(&self, from: SharedAddress<'_>) -> [U32<'_>; N] {
        self.load_from(from.to_address(), 4, Cache::Default)
    }

    /// Loads two bytes from shared memory, widened with zeros.
    pub fn load_shared_u16(&self, from: SharedAddress<'_>) -> U32<'_> {
        let [value] = self.load_from(from.to_address(), 2, Cache::Default);
        value
    }

    fn load_from<const N: usize>(&self, from: Address, bytes: u32, cache: Cache) -> [U32<'_>; N] {
        let to = [(); N].map(|()| self.reg());
        self.emit(Instruction::Load {
            to: to.to_vec(),
            from,
            bytes,
            cache,
        });
        to.map(|register| U32::in_register(self, register))
    }

    /// Stores `N` words (1, 2 or 4) side by side, aligned to their size.
    pub fn store<'k, V: Into<U32<'k>>, const N: usize>(&'k self, to: Global<'k>, values: [V; N]) {
        self.store_to(to.to_address(), values.map(Into::into), 4);
    }

    /// Stores the low byte or two.
    pub fn store_narrow<'k>(&'k self, to: Global<'k>, value: U32<'k>, bytes: u32) {
        self.store_to(to.to_address(), [value], bytes);
    }

    /// Stores `N` words (1, 2 or 4) in shared memory, aligned to their size.
    pub fn store_shared<'k, V: Into<U32<'k>>, const N: usize>(
        &'k self,
        to: SharedAddress<'k>,
        values: [V; N],
    ) {
        self.store_to(to.to_address(), values.map(Into::into), 4);
    }

    /// Stores the low two bytes in shared memory.
    pub fn store_shared_u16<'k>(&'k self, to: SharedAddress<'k>, value: U32<'k>) {
        self.store_to(to.to_address(), [value], 2);
    }

    fn store_to<'k, const N: usize>(&'k self, to: Address, values: [U32<'k>; N], bytes: u32) {
        let from = values.map(U32::operand).to_vec();
        self.emit(Instruction::Store { to, from, bytes });
    }

    /// Changes a word of global memory in one go; gives what was there.
    pub fn atomic<'k>(&'k self, op: Atomic, at: Global<'k>, value: U32<'k>) -> U32<'k> {
        self.atomic_at(op, at.to_address(), value)
    }

    /// Changes a word of shared memory in one go; gives what was there.
    pub fn atomic_shared<'k>(
        &'k self,
        op: Atomic,
        at: SharedAddress<'k>,
        value: U32<'k>,
    ) -> U32<'k> {
        self.atomic_at(op, at.to_address(), value)
    }

    fn atomic_at<'k>(&'k self, op: Atomic, at: Address, value: U32<'k>) -> U32<'k> {
        let old = self.reg();
        let value = value.operand();
        self.emit(Instruction::Atomic { op, old, at, value });
        U32::in_register(self, old)
    }

    /// Begins to copy 4, 8 or 16 bytes to shared memory, zeros where the condition fails. Ends at
    /// [`async_wait`](Self::async_wait), or at once on targets that cannot do it beside other work.
    pub fn async_copy<'k>(
        &'k self,
        to: SharedAddress<'k>,
        from: Global<'k>,
        bytes: u32,
        when: Bool<'k>,
    ) {
        if self.target().has(Feature::AsyncCopy) {
            let when = match when.value() {
                BoolValue::Known(true) => None,
                _ => Some(when.register()),
            };
            let (to, from) = (to.to_address(), from.to_address());
            return self.emit(Instruction::AsyncCopy {
                to,
                from,
                bytes,
                when,
            });
        }
        let words = bytes as usize / 4;
        let values: Vec<U32<'_>> = (0..words).map(|_| self.variable(self.u32(0))).collect();
        self.when(when, || {
            self.emit(Instruction::Load {
                to: values.iter().map(|value| value.register()).collect(),
                from: from.to_address(),
                bytes: 4,
                cache: Cache::Default,
            });
        });
        self.emit(Instruction::Store {
            to: to.to_address(),
            from: values.iter().map(|value| value.operand()).collect(),
            bytes: 4,
        });
    }

    /// Closes a group of asynchronous copies.
    pub fn async_commit(&self) {
        if self.target().has(Feature::AsyncCopy) {
            self.emit(Instruction::AsyncCommit);
        }
    }

    /// Waits until at most so many of the latest groups are under way.
    pub fn async_wait(&self, pending: u32) {
        if self.target().has(Feature::AsyncCopy) {
            self.emit(Instruction::AsyncWait { pending });
        }
    }

    /// Waits for all threads of the block and makes their writes visible.
    pub fn barrier(&self) {
        self.emit(Instruction::Barrier);
    }

    /// Waits for all lanes of the warp and makes their writes visible.
    pub fn warp_barrier(&self) {
        self.emit(Instruction::WarpBarrier);
    }

    /// Makes this thread's earlier writes visible to the device before its later ones.
    pub fn device_fence(&self) {
        self.emit(Instruction::DeviceFence);
    }

    /// Another lane's value; all lanes take part.
    pub fn shuffle<'k>(&'k self, from: impl Into<U32<'k>>, by: ShuffleBy) -> U32<'k> {
        let to = self.reg();
        let from = from.into().operand();
        self.emit(Instruction::Shuffle { to, from, by });
        U32::in_register(self, to)
    }

    /// The value of the lane with this number.
    pub fn from_lane<'k>(
        &'k self,
        from: impl Into<U32<'k>>,
        lane: impl Into<U32Like<'k>>,
    ) -> U32<'k> {
        let lane: Operand = lane.into().on(self).operand();
        self.shuffle(from, ShuffleBy::Lane(lane))
    }

    /// The largest float of the lanes that differ in the bits of `lanes - 1`, a power of two.
    pub fn group_max<'k>(&'k self, value: F32<'k>, lanes: u32) -> F32<'k> {
        self.fold(value, lanes, F32::max)
    }

    /// The sum over the lanes that differ in the bits of `lanes - 1`, a power of two.
    pub fn group_sum<'k>(&'k self, value: F32<'k>, lanes: u32) -> F32<'k> {
        self.fold(value, lanes, |a, b| a + b)
    }

    fn fold<'k>(
        &'k self,
        value: F32<'k>,
        lanes: u32,
        join: impl Fn(F32<'k>, F32<'k>) -> F32<'k>,
    ) -> F32<'k> {
        let steps = (0..lanes.trailing_zeros()).rev();
        steps.fold(value, |value, bit| {
            let other = self.shuffle(value, ShuffleBy::Xor(1 << bit)).as_f32();
            join(value, other)
        })
    }

    /// A bit per lane: where the condition holds.
    pub fn ballot<'k>(&'k self, condition: Bool<'k>) -> U32<'k> {
        let to = self.reg();
        let from = condition.register();
        let what = Vote::Ballot;
        self.emit(Instruction::Vote { what, to, from });
        U32::in_register(self, to)
    }

    /// Waits for the kernels before this one, where they may still run.
    pub fn grid_wait(&self) {
        if self.target().has(Feature::BulkCopy) {
            self.emit(Instruction::GridWait);
        }
    }

    /// Lets the kernels behind this one start.
    pub fn grid_launch(&self) {
        if self.target().has(Feature::BulkCopy) {
            self.emit(Instruction::GridLaunch);
        }
    }

    /// Two f16 values as one word from shared memory.
    pub fn load_shared_f16x2(&self, from: SharedAddress<'_>) -> F16x2<'_> {
        let [word] = self.load_shared(from);
        word.as_f16x2()
    }
}
