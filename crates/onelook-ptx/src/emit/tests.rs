//! What the text looks like, what it refuses, and whether ptxas takes all of it.

use std::env;
use std::fs;
use std::process::Command;
use std::sync::Arc;

use super::{PtxError, emit};
use crate::lang::*;

/// Every instruction that the target has, each with registers and with constants where it can.
fn everything(target: Target) -> Kernel {
    let k = Builder::new("everything", target, 128).with_blocks_per_multiprocessor(2);
    let (input, output) = (k.input("image"), k.output("boxes [n, 6]"));
    let (number, factor) = (k.word("count"), k.float("factor"));
    let shared = k.shared(8192, 1024);
    k.comment("integers\nand floats");
    integers(&k, number, output);
    floats(&k, factor, output + 1024);
    memory(&k, input, output + 2048, shared);
    lanes(&k, number, output + 4096);
    matrices(&k, shared, output + 8192);
    if target.has(Feature::BulkCopy) {
        bulk(&k, shared, output + 12288);
    }
    if target.has(Feature::Wgmma) {
        wgmma(&k, shared, output + 16384);
    }
    k.finish()
}

fn keep<'k>(k: &'k Builder, to: Global<'k>, values: &[U32<'k>]) {
    for (i, value) in values.iter().enumerate() {
        k.store(to + 4 * i as u32, [*value]);
    }
}

fn integers<'k>(k: &'k Builder, a: U32<'k>, to: Global<'k>) {
    let b = k.thread() + k.lane() + k.warp() + k.special(Special::GridX);
    let block =
        k.special(Special::BlockX) + k.special(Special::BlockY) + k.special(Special::BlockZ);
    let values = [
        a + b,
        a - b,
        a * b,
        a / (b + 1),
        a / 7,
        a % 7,
        a.min(b),
        a.max(5),
        a.min_signed(b),
        a.max_signed(5),
        a & b,
        a | 0x1_0000,
        a ^ b,
        a << b,
        a >> b,
        a << 40,
        a.shift_right_signed(3),
        a.multiply_add(12, b),
        a.count_ones(),
        a.highest_one(),
        a.reverse_bits(),
        k.u32(5).count_ones(),
        block,
        k.u32(7) - a,
    ];
    keep(k, to, &values);
    let to = to + 512;
    let less = a.less(b) & !a.less_signed(b) | a.equals(3) ^ a.differs(b) & k.bool(true);
    let odd = (a & 1).equals(1);
    k.emit(Instruction::Permute {
        to: values[0].register(),
        a: values[1].operand(),
        b: Operand::Constant(0),
        selector: Operand::Constant(0x7531),
    });
    let address = less.select_address(to, to + 64);
    k.store(address, [less.select(a, b)]);
    k.when(odd, || k.store(to + 128, [a]));
    k.when_else(odd, || {}, || k.store(to + 132, [b]));
    k.when_else(odd, || k.store(to + 136, [a]), || k.store(to + 140, [b]));
    k.count(0, a, 3, |i| k.count(i, 9, 1, |j| k.store(to + j, [i])));
    let held = k.bool(true).register();
    k.store(to, [Bool::in_register(k, held).select(a, k.u32(1))]);
}

fn floats<'k>(k: &'k Builder, a: F32<'k>, to: Global<'k>) {
    let b = a * 0.5;
    let values = [
        a + b,
        a - b,
        a * b,
        a / b,
        a.min(b),
        a.max(b),
        -a,
        a.absolute(),
        a.floor(),
        a.exp2(),
        a.log2(),
        a.reciprocal(),
        a.square_root(),
        a.tanh(),
        k.thread().to_f32(),
        a.fused_multiply_add(b, k.f32(1.0)),
        a.round_to_u32().as_f32(),
        a.less(b).select(a, k.f32(f32::NAN)),
        a.at_least(b).select(a, b),
        a.above(b).select(a, b),
        a.equals(b).select(a, b),
    ];
    keep(k, to, &values.map(F32::bits));
    let pair = a.pack(b);
    let ones = F16x2::constant(k, 0x3c00_3c00);
    let [low, high] = (pair + ones).max(pair * ones).unpack();
    let [one, _] = ones.unpack();
    let folded = (ones + ones).max(k.zero_f16x2());
    keep(
        k,
        to + 256,
        &[
            low.bits(),
            high.bits(),
            one.bits(),
            folded.bits(),
            k.f32(1.0).pack(low).bits(),
        ],
    );
    let to_p = k.predicate();
    k.emit(Instruction::Compare {
        op: Compare::NotEqual,
        kind: CompareAs::Float,
        to: to_p,
        a: a.bits().operand(),
        b: b.bits().operand(),
    });
    k.store(to + 512, [Bool::in_register(k, to_p).select(a, b)]);
    let doubled = k.reg();
    k.emit(Instruction::Asm {
        text: ".reg .f32 %t;\nadd.f32 %t, {1}, {1};\nxor.b32 {0}, %t, {2};".to_owned(),
        outputs: vec![doubled],
        inputs: vec![a.bits().operand(), Operand::Constant(1)],
        meaning: Meaning(Arc::new(|bits| vec![bits[0]])),
    });
    k.store(to + 516, [U32::in_register(k, doubled)]);
}

fn memory<'k>(k: &'k Builder, from: Global<'k>, to: Global<'k>, shared: SharedAddress<'k>) {
    let at = k.thread() * 16;
    for (i, cache) in [Cache::Default, Cache::ReadOnly, Cache::L2, Cache::Streaming]
        .into_iter()
        .enumerate()
    {
        let [a, b, c, d] = k.load::<4>(from + at, cache);
        let [e, f] = k.load::<2>(from + at + 16, cache);
        let [g] = k.load::<1>(from + at + 32, cache);
        let narrow =
            k.load_narrow(from + at + 36, 1, cache) + k.load_narrow(from + at + 38, 2, cache);
        let to = to + 64 * i as u32;
        k.store(to, [a, b, c, k.u32(0)]);
        k.store(to + 16, [d + e + f + g, narrow]);
        k.store_narrow(to + 24, a, 1);
        k.store_narrow(to + 26, a, 2);
    }
    k.store_shared(shared + at, [k.u32(0); 4]);
    k.store_shared_u16(shared + at + 16, at);
    k.barrier();
    k.warp_barrier();
    let [a, b] = k.load_shared::<2>(shared + at);
    let sum = a + b + k.load_shared_u16(shared + at) + k.load_shared_f16x2(shared + 4).bits();
    for op in [Atomic::Add, Atomic::Max, Atomic::Or, Atomic::Exchange] {
        let old = k.atomic(op, to + 512, sum) + k.atomic_shared(op, shared + 16, k.u32(1));
        k.store(to + 516, [old]);
    }
    k.device_fence();
    for (i, bytes) in [4, 8, 16].into_iter().enumerate() {
        let place = shared + 64 * i as u32 + at;
        k.async_copy(place, from + at, bytes, at.less(100));
        k.async_copy(place, from + at, bytes, k.bool(true));
    }
    k.async_commit();
    k.async_wait(1);
    k.async_wait(0);
}

fn lanes<'k>(k: &'k Builder, a: U32<'k>, to: Global<'k>) {
    let by = [
        ShuffleBy::Xor(1),
        ShuffleBy::Up(2),
        ShuffleBy::Down(3),
        ShuffleBy::Lane(Operand::Constant(4)),
    ];
    let mut values = by.map(|by| k.shuffle(a, by)).to_vec();
    values.push(k.from_lane(a, k.lane()));
    values.push(k.group_max(a.as_f32(), 8).bits());
    values.push(k.ballot(a.less(3)));
    values.push(k.shuffle(k.u32(5), ShuffleBy::Xor(1)));
    keep(k, to, &values);
}

fn matrices<'k>(k: &'k Builder, shared: SharedAddress<'k>, to: Global<'k>) {
    let row = shared + k.lane() * 16;
    let a = k.load_matrix::<4>(row, false);
    let [b0, b1] = k.load_matrix::<2>(row + 512, true);
    let [b2] = k.load_matrix::<1>(row, true);
    let sums = [(); 4].map(|()| k.float_variable(0.0));
    k.mma(sums, a, [b0, b1]);
    k.mma(sums, a, [b2, b1]);
    k.store(to, sums);
    if k.target().has(Feature::MmaK16) {
        let sums = [(); 4].map(|()| k.variable(k.u32(0)));
        k.mma_bytes(sums, a.map(F16x2::bits), [b0.bits(), b1.bits()]);
        k.store(to + 16, sums);
    }
}

fn bulk<'k>(k: &'k Builder, shared: SharedAddress<'k>, to: Global<'k>) {
    let (tile, im2col) = (k.tensor_map("weights"), k.tensor_map("pixels"));
    let barrier = k.shared(8, 8);
    let x = k.warp();
    k.grid_wait();
    k.when(k.thread().equals(0), || {
        k.mbarrier_init(barrier, 1);
        k.proxy_fence();
    });
    k.barrier();
    k.when(k.thread().equals(0), || {
        k.mbarrier_expect(barrier, k.u32(4096));
        k.mbarrier_expect(barrier, x);
        k.mbarrier_arrive(barrier);
        k.tensor_load(shared, tile, &[x, k.u32(0)], &[], barrier);
        k.tensor_load(
            shared,
            im2col,
            &[x, x, x, k.u32(1)],
            &[x, k.u32(2)],
            barrier,
        );
    });
    k.mbarrier_wait(barrier, k.u32(0));
    k.mbarrier_wait(barrier, x & 1);
    k.grid_launch();
    k.store(to, k.load_shared::<1>(shared));
}

fn wgmma<'k>(k: &'k Builder, shared: SharedAddress<'k>, to: Global<'k>) {
    let layout = Descriptor {
        leading_bytes: 16,
        stride_bytes: 1024,
        swizzle: Swizzle::Bytes128,
    };
    let (a, b) = (
        k.descriptor(shared, layout),
        k.descriptor(shared + 4096, layout),
    );
    let sums: Vec<F32<'_>> = (0..16).map(|_| k.float_variable(0.0)).collect();
    k.wgmma_fence();
    k.wgmma(32, &sums, MatrixA::Shared(a), b, false);
    k.wgmma_commit();
    k.wgmma_wait(0);
    let held = k
        .load_matrix::<4>(shared + k.lane() * 16, false)
        .map(F16x2::register);
    k.wgmma_fence();
    k.wgmma(32, &sums, MatrixA::Registers(held), b, true);
    k.wgmma_commit();
    k.wgmma_wait(0);
    keep(
        k,
        to,
        &sums.iter().map(|sum| sum.bits()).collect::<Vec<_>>(),
    );
}

#[test]
fn ptxas_takes_every_instruction_for_every_target() {
    let ptxas = env::var_os("ONELOOK_PTXAS").unwrap_or_else(|| "ptxas".into());
    if Command::new(&ptxas).arg("--version").output().is_err() {
        return test_support::skip("ptxas", "set ONELOOK_PTXAS, or run cargo xtask ptx");
    }
    let folder = env::temp_dir().join(format!("onelook-ptx-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    for target in Target::ALL {
        let file = folder.join(format!("{target}.ptx"));
        fs::write(&file, emit(&everything(target)).unwrap()).unwrap();
        let mut command = Command::new(&ptxas);
        command
            .arg("--gpu-name")
            .arg(target.name())
            .arg("--output-file");
        let output = command
            .arg(file.with_extension("cubin"))
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{target}: {said}\n{}",
            file.display()
        );
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_text_reads_like_the_kernel() {
    let k = Builder::new("scale_f32", Target::Sm80, 256);
    let (from, to) = (k.input("from"), k.output("to"));
    let count = k.word("count");
    let index = k.special(Special::BlockX) * 256 + k.thread();
    k.comment("layer 3: twice every value");
    k.when(index.less(count), || {
        let [value] = k.load(from + index * 4, Cache::ReadOnly);
        k.store(to + index * 4, [value.as_f32() * 2.0]);
    });
    insta::assert_snapshot!(emit(&k.finish()).unwrap());
}

#[test]
fn what_a_target_lacks_is_an_error() {
    let k = Builder::new("early", Target::Sm75, 32);
    k.emit(Instruction::AsyncCommit);
    let error = emit(&k.finish()).unwrap_err();
    assert!(matches!(
        error,
        PtxError::Unavailable {
            instruction: "cp.async",
            target: "sm_75",
            ..
        }
    ));
    let k = Builder::new("early", Target::Sm100, 128);
    k.wgmma_fence();
    let text = emit(&k.finish()).unwrap_err().to_string();
    assert_eq!(
        text,
        "kernel 'early' uses wgmma, which sm_100 does not have: write it without"
    );
}

#[test]
fn the_version_is_the_lowest_that_serves() {
    let version = |target, write: fn(&Builder)| {
        let k = Builder::new("sample", target, 32);
        write(&k);
        let text = emit(&k.finish()).unwrap();
        text.lines().next().unwrap().to_owned()
    };
    assert_eq!(version(Target::Sm75, |_| {}), ".version 6.3");
    assert_eq!(
        version(Target::Sm75, |k| k
            .store_shared(k.shared(4, 4), [k.f32(1.0).tanh()])),
        ".version 7.0"
    );
    assert_eq!(version(Target::Sm80, |k| k.async_commit()), ".version 7.0");
    assert_eq!(version(Target::Sm86, |k| k.async_commit()), ".version 7.1");
    assert_eq!(version(Target::Sm90a, |k| k.grid_wait()), ".version 8.0");
    assert_eq!(version(Target::Sm120, |_| {}), ".version 8.7");
}

#[test]
fn an_instruction_without_a_shape_in_ptx_is_an_error() {
    let k = Builder::new("odd", Target::Sm80, 32);
    let from = Address::Shared {
        base: Operand::Constant(0),
        offset: 0,
    };
    k.emit(Instruction::Load {
        to: vec![k.reg(), k.reg(), k.reg()],
        from,
        bytes: 4,
        cache: Cache::Default,
    });
    assert!(matches!(emit(&k.finish()), Err(PtxError::Malformed { .. })));
}
