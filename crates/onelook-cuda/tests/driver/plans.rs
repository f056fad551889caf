//! Plans as graphs: what is loaded, in what order launches run, and what they are given.

use std::sync::Arc;
use std::time::Duration;

use onelook_cuda::driver::{
    Constants, Context, CudaError, Edges, ExecutionContext, LoadedPlan, Modules,
};
use onelook_cuda::plan::{Argument, Launch, Plan, Region};
use onelook_ptx::lang::{Builder, Target};
use onelook_types::Shape;

use super::fake::{Fake, H100};
use super::{context, copy_kernel};

const BYTES: usize = 256;

fn memory(region: Region, offset: usize) -> Argument {
    Argument::Memory {
        region,
        offset,
        bytes: BYTES,
    }
}

fn copy(from: Argument, to: Argument, after: &[usize]) -> Launch {
    Launch {
        name: "a copy".to_owned(),
        spec: None,
        kernel: Arc::new(copy_kernel(64)),
        grid: [3, 2, 1],
        arguments: vec![from, to, Argument::Word(BYTES as u32)],
        after: after.to_vec(),
        output: Shape::default(),
        choice: String::new(),
        flops: 0,
        bytes: 2 * BYTES as u64,
    }
}

/// Input to output through two places of the arena; the constants and the counters to outputs of
/// their own. The second place is used twice: an ignored edge gives the wrong bytes.
fn plan() -> Plan {
    let (input, output) = (memory(Region::Input(0), 0), memory(Region::Output(0), 0));
    let (first, second) = (memory(Region::Arena, 0), memory(Region::Arena, 512));
    Plan {
        launches: vec![
            copy(memory(Region::Constants, 0), second, &[]),
            copy(second, memory(Region::Output(1), 0), &[0]),
            copy(input, first, &[]),
            copy(first, second, &[1, 2]),
            copy(second, output, &[3]),
            copy(
                memory(Region::Counters, 0),
                memory(Region::Output(2), 0),
                &[],
            ),
        ],
        arena_bytes: 768,
        unshared_bytes: 768,
        constants: (0..BYTES).map(|index| index as u8).collect(),
        counter_bytes: BYTES,
        inputs: vec![BYTES],
        outputs: vec![BYTES; 3],
    }
}

fn loaded(context: &Arc<Context>, plan: &Plan) -> Result<ExecutionContext, CudaError> {
    let constants = Constants::upload(context, &plan.constants)?;
    let loaded = LoadedPlan::new(context, plan, constants, &mut Modules::default(), None)?;
    ExecutionContext::new(&loaded)
}

fn run(loaded: &mut ExecutionContext, value: u8) -> Result<[Vec<u8>; 3], CudaError> {
    let mut outputs = [const { Vec::new() }; 3].map(|_: Vec<u8>| vec![0xee; BYTES]);
    let mut slices = outputs.each_mut().map(|output| &mut output[..]);
    loaded.run(&[&[value; BYTES]], &mut slices)?;
    Ok(outputs)
}

#[test]
fn a_plan_runs_in_the_order_of_its_needs_again_and_again() {
    let fake = Fake::new(&[H100]);
    {
        let plan = plan();
        let mut loaded = loaded(&context(&fake, None), &plan).unwrap();
        assert_eq!(
            fake.count("cuLinkCreate_v2"),
            1,
            "equal kernels are loaded once"
        );
        for value in [9, 8] {
            let [copied, constants, counters] = run(&mut loaded, value).unwrap();
            assert_eq!(copied, [value; BYTES]);
            assert_eq!(constants, plan.constants);
            assert_eq!(counters, [0; BYTES]);
        }
        assert_eq!(fake.count("cuGraphLaunch"), 2);
        assert_eq!(fake.launches().len(), 12);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

/// The plan with kernels that wait by themselves, but for the fourth.
fn waiting_plan() -> Plan {
    let builder = Builder::new("copy", Target::Sm90a, 64);
    builder.input("from");
    builder.output("to");
    builder.word("bytes");
    builder.grid_launch();
    builder.grid_wait();
    let kernel = Arc::new(builder.finish());
    let mut plan = plan();
    for (index, launch) in plan.launches.iter_mut().enumerate() {
        if index != 3 {
            launch.kernel = Arc::clone(&kernel);
        }
    }
    plan.launches[5].after = vec![4];
    plan
}

/// How many nodes each added node waits for to its end, in the order of the plan; and the early
/// edges.
fn edges(fake: &Fake) -> (Vec<usize>, usize) {
    let calls = fake.calls();
    let kernels = calls.iter().filter_map(|call| {
        call.strip_prefix("cuGraphAddKernelNode_v2 ")?
            .split_once("after ")
    });
    let nodes = |list: &str| list.split(", ").filter(|word| *word != "[]").count();
    let full = kernels.map(|(_, list)| nodes(list));
    (full.collect(), fake.count("cuGraphAddDependencies_v2"))
}

#[test]
fn edges_let_a_launch_start_early_only_where_it_waits_by_itself() {
    let fake = Fake::with_edges(&[H100]);
    {
        let plan = waiting_plan();
        let mut loaded = loaded(&context(&fake, None), &plan).unwrap();
        assert_eq!(edges(&fake), (vec![0, 1, 0, 2, 1, 2], 0), "plain at first");
        assert_eq!(loaded.connect(Edges::Dependent), Ok(2));
        // The fourth does not wait by itself; the last waits for the counters' being zero, too.
        let expected = vec![0, 1, 0, 2, 1, 2, 0, 0, 0, 2, 0, 2];
        assert_eq!(edges(&fake), (expected, 2));
        for value in [9, 8] {
            loaded.poison().unwrap();
            let [copied, constants, counters] = run(&mut loaded, value).unwrap();
            assert_eq!(copied, [value; BYTES]);
            assert_eq!(constants, plan.constants);
            assert_eq!(counters, [0; BYTES]);
        }
        assert_eq!(loaded.connect(Edges::Full), Ok(0));
        assert_eq!(run(&mut loaded, 7).unwrap()[0], [7; BYTES]);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn without_early_edges_a_plan_gets_plain_ones() {
    let fake = Fake::new(&[H100]);
    let mut loaded = loaded(&context(&fake, None), &waiting_plan()).unwrap();
    assert_eq!(loaded.connect(Edges::Dependent), Ok(0));
    assert_eq!(edges(&fake).0[6..], [0, 1, 0, 2, 1, 2]);
    assert_eq!(run(&mut loaded, 3).unwrap()[0], [3; BYTES]);
}

#[test]
fn edges_that_the_driver_refuses_leave_the_graph_as_it_was() {
    let fake = Fake::with_edges(&[H100, "fail cuGraphInstantiateWithFlags 2 1"]);
    let mut loaded = loaded(&context(&fake, None), &waiting_plan()).unwrap();
    assert!(loaded.connect(Edges::Dependent).is_err());
    assert_eq!(run(&mut loaded, 3).unwrap()[0], [3; BYTES]);
}

#[test]
fn a_graph_is_launched_in_a_row_without_copies() {
    let fake = Fake::new(&[H100]);
    let mut loaded = loaded(&context(&fake, None), &plan()).unwrap();
    run(&mut loaded, 3).unwrap();
    let copies =
        |fake: &Fake| fake.count("cuMemcpyHtoDAsync_v2") + fake.count("cuMemcpyDtoHAsync_v2");
    let before = copies(&fake);
    let time = loaded.replay(5).unwrap();
    assert!(time.as_nanos().abs_diff(5 * 6 * 10_000) < 100, "{time:?}");
    assert_eq!(copies(&fake), before);
    // One goes ahead and is not counted.
    assert_eq!(fake.count("cuGraphLaunch"), 1 + 1 + 5);
    loaded.launch().unwrap();
    assert_eq!(copies(&fake), before);
    assert_eq!(fake.count("cuGraphLaunch"), 8);
}

#[test]
fn what_a_plan_leaves_unwritten_shows_in_poisoned_memory() {
    let fake = Fake::new(&[H100]);
    let mut plan = plan();
    plan.launches.remove(1);
    plan.launches[1].after = vec![];
    plan.launches[2].after = vec![0, 1];
    plan.launches[3].after = vec![2];
    let mut loaded = loaded(&context(&fake, None), &plan).unwrap();
    loaded.poison().unwrap();
    let [copied, unwritten, counters] = run(&mut loaded, 3).unwrap();
    assert_eq!(copied, [3; BYTES]);
    assert_eq!(unwritten, [0xff; BYTES]);
    assert_eq!(counters, [0; BYTES]);
}

#[test]
fn launches_get_their_grid_their_threads_and_their_places() {
    let fake = Fake::new(&[H100]);
    let mut loaded = loaded(&context(&fake, None), &plan()).unwrap();
    run(&mut loaded, 1).unwrap();
    let allocated = |bytes: usize| {
        let calls = fake.calls();
        let line = calls
            .iter()
            .find(|line| line.starts_with(&format!("cuMemAlloc_v2 {bytes} ")));
        let place = line
            .and_then(|line| line.rsplit_once("= "))
            .unwrap()
            .1
            .to_owned();
        place.trim_end_matches("+0").to_owned()
    };
    let arena = allocated(1024);
    let launch = format!("copy 3,2,1 x 64 shared 0: {arena}+0 {arena}+512 256");
    assert!(fake.launches().contains(&launch), "{:#?}", fake.launches());
}

#[test]
fn launches_get_all_their_shared_memory_whatever_the_driver_reports_as_static() {
    let builder = Builder::new("copy", Target::Sm80, 64);
    builder.input("from");
    builder.output("to");
    builder.word("bytes");
    builder.shared(512, 16);
    let kernel = Arc::new(builder.finish());
    let mut plan = plan();
    for launch in &mut plan.launches {
        launch.kernel = Arc::clone(&kernel);
    }
    let fake = Fake::new(&[H100]);
    let mut loaded = loaded(&context(&fake, None), &plan).unwrap();
    run(&mut loaded, 1).unwrap();
    let launches = fake.launches();
    let given = |launch: &String| launch.contains(" shared 512: ");
    assert!(launches.iter().all(given), "{launches:#?}");
}

#[test]
fn profiles_time_each_launch() {
    let fake = Fake::new(&[H100]);
    let mut loaded = loaded(&context(&fake, None), &plan()).unwrap();
    run(&mut loaded, 1).unwrap();
    let times = loaded.profile().unwrap();
    assert_eq!(times.len(), 6);
    let about = |time: &Duration| time.as_nanos().abs_diff(10_000) < 10;
    assert!(times.iter().all(about), "{times:?}");
}

#[test]
fn a_run_that_fails_says_so_and_leaves_nothing_under_way() {
    let script = [H100, "fail cuMemcpyDtoHAsync_v2 2 700"];
    let fake = Fake::new(&script);
    {
        let mut loaded = loaded(&context(&fake, None), &plan()).unwrap();
        let error = run(&mut loaded, 1).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("CUDA_ERROR_ILLEGAL_ADDRESS (700)"),
            "{error}"
        );
        assert_eq!(fake.count("cuStreamSynchronize"), 1);
        assert_eq!(run(&mut loaded, 5).unwrap()[0], [5; BYTES]);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn whatever_call_fails_while_a_plan_is_loaded_is_told_and_nothing_leaks() {
    let calls = [
        "cuMemAlloc_v2 1",
        "cuMemcpyHtoD_v2 1",
        "cuModuleGetFunction 1",
        "cuMemHostAlloc 2",
        "cuGraphCreate 1",
        "cuGraphAddMemsetNode 1",
        "cuGraphAddKernelNode_v2 3",
        "cuGraphInstantiateWithFlags 1",
        "cuStreamCreateWithPriority 1",
        "cuGraphUpload 1",
    ];
    for call in calls {
        let fake = Fake::new(&[H100, &format!("fail {call} 1")]);
        let error = loaded(&context(&fake, None), &plan()).err().unwrap();
        let function = call
            .split('_')
            .next()
            .unwrap()
            .trim_end_matches([' ', '1', '2', '3']);
        assert!(error.to_string().contains(function), "{call}: {error}");
        assert_eq!(fake.leaks(), [""; 0], "{call}");
    }
}

#[test]
fn a_plan_larger_than_the_limit_is_refused_with_the_figures() {
    let fake = Fake::new(&[H100]);
    let context = context(&fake, Some(2048));
    let error = loaded(&context, &plan()).err().unwrap();
    assert!(matches!(error, CudaError::OutOfMemory(_)), "{error}");
}

#[test]
fn inputs_of_another_size_are_refused() {
    let fake = Fake::new(&[H100]);
    let mut loaded = loaded(&context(&fake, None), &plan()).unwrap();
    let error = loaded.run(&[&[0; 3]], &mut []).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("[3] bytes were given, the plan has [256]"),
        "{error}"
    );
    assert_eq!(fake.count("cuGraphLaunch"), 0);
}

#[test]
fn an_input_whose_size_the_caller_decides_gets_the_room_that_it_needs() {
    let fake = Fake::new(&[H100]);
    {
        let mut plan = plan();
        plan.inputs = vec![Argument::WHOLE];
        let Argument::Memory { bytes, .. } = &mut plan.launches[2].arguments[0] else {
            panic!("the input comes first");
        };
        *bytes = Argument::WHOLE;
        let mut loaded = loaded(&context(&fake, None), &plan).unwrap();
        for (length, value) in [(300, 1), (5 << 20, 2), (BYTES, 3)] {
            let mut outputs = [[0xee; BYTES]; 3];
            let mut slices = outputs.each_mut().map(|output| &mut output[..]);
            loaded.run(&[&vec![value; length]], &mut slices).unwrap();
            assert_eq!(outputs[0], [value; BYTES]);
        }
        assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 2);
        assert_eq!(fake.count("cuLinkCreate_v2"), 1);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}
