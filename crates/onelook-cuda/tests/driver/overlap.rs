//! Runs from several threads: what overlaps, what is shared, what goes when memory is short.

use std::sync::{Arc, Barrier};
use std::thread;

use onelook_cuda::engine::CudaOptions;
use onelook_cuda::kernels::Element;
use onelook_cuda::lower::gpu::Gpu;
use onelook_cuda::lower::{Options, lower};
use onelook_graph::Executable;
use onelook_ptx::lang::{Kernel, Target};
use onelook_types::{Shape, Tensor};

use super::emulated::emulate;
use super::engine::{compiled, graph, run};
use super::fake::{Fake, H100};

/// What the driver is asked to launch for an input of this shape.
fn kernels(input: [usize; 4]) -> Vec<Arc<Kernel>> {
    let options = Options {
        gpu: Gpu {
            multiprocessors: 132,
            ..Gpu::typical(Target::Sm90a)
        },
        element: Element::F16,
        detect: None,
    };
    let plan = lower(&graph(), &Shape::from(input), &options).unwrap();
    let launches = plan.launches.into_iter();
    launches.map(|launch| launch.kernel).collect()
}

/// An engine whose launches run in the interpreter, for inputs of these shapes.
fn emulated(fake: &Fake, inputs: &[[usize; 4]]) -> Box<dyn Executable> {
    for &input in inputs {
        emulate(&fake.path(), kernels(input));
    }
    compiled(fake, &CudaOptions::default())
}

fn input(shape: [usize; 4], seed: usize) -> Tensor {
    Tensor::from_fn(shape, |index| ((index * 7 + seed) % 251) as f32 / 251.0)
}

fn output(executable: &dyn Executable, input: &Tensor) -> Tensor {
    run(executable, input).unwrap().remove(0)
}

/// The outputs of these inputs, each run in a thread of its own, all at once.
fn at_once(executable: &dyn Executable, inputs: &[Tensor]) -> Vec<Tensor> {
    let barrier = Barrier::new(inputs.len());
    thread::scope(|scope| {
        let run = |input| {
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                output(executable, input)
            })
        };
        let threads: Vec<_> = inputs.iter().map(run).collect();
        let outputs = threads.into_iter().map(|thread| thread.join().unwrap());
        outputs.collect()
    })
}

#[test]
fn a_batch_is_packed_copied_and_launched_while_another_is_in_flight() {
    // The first wait for a stream lasts until a second graph has been launched: with a lock around
    // whole runs that never comes.
    let fake = Fake::new(&[H100, "hold cuStreamSynchronize 1 cuGraphLaunch 2"]);
    let shape = [1, 3, 16, 32];
    let inputs = [input(shape, 1), input(shape, 2)];
    {
        let executable = emulated(&fake, &[shape]);
        assert_eq!(executable.batches_in_flight(), 2);
        let is_waiting = |call: &String| call == "waiting cuStreamSynchronize";
        let found = thread::scope(|scope| {
            let (executable, [first, second]) = (&*executable, &inputs);
            let first = scope.spawn(move || output(executable, first));
            while !fake.calls().iter().any(is_waiting) {
                assert!(!first.is_finished(), "it waits for the second");
                thread::yield_now();
            }
            let second = output(executable, second);
            [first.join().unwrap(), second]
        });
        let calls = fake.calls();
        let from = calls.iter().position(is_waiting);
        let after = &calls[from.unwrap()..];
        let until = after.iter().position(|call| call == "cuStreamSynchronize");
        let meanwhile = &after[..until.unwrap()];
        for call in ["cuMemcpyHtoDAsync_v2", "cuGraphLaunch"] {
            let is = |line: &String| line.split(' ').next() == Some(call);
            assert!(meanwhile.iter().any(is), "{call} in {meanwhile:#?}");
        }
        let alone = inputs.each_ref().map(|input| output(&*executable, input));
        assert_eq!(found, alone);
        assert_ne!(found[0], found[1]);
        assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 2);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn a_plan_has_two_contexts_at_most_that_share_kernels_and_constants() {
    let fake = Fake::new(&[H100]);
    {
        let executable = compiled(&fake, &CudaOptions::default());
        let inputs = [(); 8].map(|()| Tensor::zeros([1, 3, 32, 32]));
        output(&*executable, &inputs[0]);
        let (compiles, uploads) = (fake.count("cuLinkCreate_v2"), fake.count("cuMemcpyHtoD_v2"));
        for _ in 0..5 {
            at_once(&*executable, &inputs);
        }
        assert!(fake.count("cuGraphInstantiateWithFlags") <= 2);
        assert!(fake.count("cuStreamCreateWithPriority") <= 2);
        assert_eq!(fake.count("cuGraphLaunch"), 41);
        assert_eq!(fake.count("cuLinkCreate_v2"), compiles);
        assert_eq!(fake.count("cuMemcpyHtoD_v2"), uploads);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn images_that_a_batch_lacks_change_no_bit_and_are_not_copied() {
    let fake = Fake::new(&[H100]);
    let executable = emulated(&fake, &[[4, 3, 16, 16]]);
    let whole = input([4, 3, 16, 16], 5);
    let all = output(&*executable, &whole);
    let per_image = 3 * 16 * 16;
    let first = Tensor::new([3, 3, 16, 16], whole.data()[..3 * per_image].to_vec()).unwrap();
    let before = fake.calls().len();
    let three = output(&*executable, &first);
    assert_eq!(*three.shape(), Shape::from([3, 8, 8, 8]));
    assert_eq!(three.data(), &all.data()[..3 * 8 * 8 * 8]);
    assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 1, "of one plan");
    let calls = fake.calls().split_off(before);
    let copied = |function: &str, values: usize| {
        let bytes = format!(" {}", values * size_of::<f32>());
        let is = |call: &&String| call.starts_with(function) && call.ends_with(&bytes);
        calls.iter().filter(is).count()
    };
    assert_eq!(copied("cuMemcpyHtoDAsync_v2", first.data().len()), 1);
    assert_eq!(copied("cuMemcpyDtoHAsync_v2", three.data().len()), 1);
}

#[test]
fn many_threads_with_many_shapes_get_what_each_gets_alone() {
    let fake = Fake::new(&[H100]);
    let shapes = [[1, 3, 8, 16], [2, 3, 8, 8], [1, 3, 16, 8]];
    {
        let executable = emulated(&fake, &shapes);
        let inputs = (0..12).map(|index| input(shapes[index % 3], index));
        let inputs: Vec<Tensor> = inputs.collect();
        let together = at_once(&*executable, &inputs);
        for (found, input) in together.iter().zip(&inputs) {
            assert_eq!(*found, output(&*executable, input));
        }
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn the_plan_unused_for_longest_goes_when_bytes_are_short() {
    let fake = Fake::new(&[H100]);
    let made = |sides: &[usize], bytes: Option<usize>| {
        let options = CudaOptions {
            plan_bytes: bytes,
            ..CudaOptions::default()
        };
        let before = fake.count("cuGraphInstantiateWithFlags");
        let executable = compiled(&fake, &options);
        for &side in sides {
            run(&*executable, &Tensor::zeros([1, 3, side, side])).unwrap();
        }
        fake.count("cuGraphInstantiateWithFlags") - before
    };
    let sides = [32, 64, 32, 96, 32, 64];
    assert_eq!(made(&sides, None), 3);
    // 64 is unused for longest when 96 comes: only it is made again.
    assert_eq!(made(&sides, Some(1 << 20)), 4);
    // However small, the plan used last stays.
    assert_eq!(made(&[32, 32, 64, 64, 32], Some(0)), 3);
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn memory_that_suffices_for_one_plan_serves_threads_with_many_in_turn() {
    let fake = Fake::new(&[H100]);
    let options = CudaOptions {
        memory_limit: Some(5 << 20),
        ..CudaOptions::default()
    };
    {
        let executable = compiled(&fake, &options);
        let inputs = [256, 192, 256, 224, 256].map(|side| Tensor::zeros([1, 3, side, side]));
        for _ in 0..4 {
            at_once(&*executable, &inputs);
        }
        assert_eq!(fake.count("cuGraphLaunch"), 20);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn host_memory_that_runs_out_makes_idle_plans_go() {
    let inputs = [32, 64].map(|side| Tensor::zeros([1, 3, side, side]));
    let counted = Fake::new(&[H100]);
    run(&*compiled(&counted, &CudaOptions::default()), &inputs[0]).unwrap();
    let next = counted.count("cuMemHostAlloc") + 1;
    let fake = Fake::new(&[H100, &format!("fail cuMemHostAlloc {next} 2")]);
    {
        let executable = compiled(&fake, &CudaOptions::default());
        for input in &inputs {
            run(&*executable, input).unwrap();
        }
        assert_eq!(fake.count("cuGraphExecDestroy"), 1, "the first plan's");
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn threads_that_run_short_at_the_same_time_try_again_in_turn() {
    // The first request lasts until the second has come, and both are refused.
    let fake = Fake::new(&[
        H100,
        "hold cuMemHostAlloc 1 cuMemHostAlloc 2",
        "fail cuMemHostAlloc 1 2",
        "fail cuMemHostAlloc 2 2",
    ]);
    {
        let executable = compiled(&fake, &CudaOptions::default());
        let inputs = [32, 64].map(|side| Tensor::zeros([1, 3, side, side]));
        at_once(&*executable, &inputs);
        assert_eq!(fake.count("cuGraphLaunch"), 2);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn a_run_that_fails_is_told_and_the_next_has_a_new_context() {
    let fake = Fake::new(&[H100, "fail cuGraphLaunch 2 700"]);
    {
        let executable = compiled(&fake, &CudaOptions::default());
        let input = Tensor::zeros([1, 3, 32, 32]);
        run(&*executable, &input).unwrap();
        let error = run(&*executable, &input).unwrap_err().to_string();
        assert!(error.contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{error}");
        assert_eq!(fake.count("cuGraphExecDestroy"), 1);
        run(&*executable, &input).unwrap();
        assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 2);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn a_plan_that_cannot_be_made_is_told_to_each_that_waits_for_it() {
    let fake = Fake::new(&[H100, "fail cuGraphCreate * 999"]);
    {
        let executable = compiled(&fake, &CudaOptions::default());
        let executable = &*executable;
        let input = &Tensor::zeros([1, 3, 32, 32]);
        let failed = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(move || run(executable, input).is_err()));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(failed, [true; 4]);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}
