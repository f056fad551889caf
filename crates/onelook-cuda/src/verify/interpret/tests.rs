//! Whole plans: dependencies that are not declared, arguments that lead nowhere.

use std::sync::Arc;

use onelook_ptx::lang::{Builder, Cache, Target, U32};
use onelook_types::Shape;

use super::*;
use crate::plan::Region;

fn schedules() -> Vec<Schedule> {
    let adversarial = (0..5).map(Schedule::adversarial);
    std::iter::once(Schedule::in_order())
        .chain(adversarial)
        .collect()
}

fn memory(region: Region) -> Argument {
    Argument::Memory {
        region,
        offset: 0,
        bytes: 128,
    }
}

fn launch(from: Region, to: Region, after: Vec<usize>) -> Launch {
    let k = Builder::new("sample", Target::Sm90a, 32);
    let (input, output) = (k.input("in"), k.output("out"));
    k.grid_wait();
    let at = k.thread() * 4;
    let [word]: [U32<'_>; 1] = k.load(input + at, Cache::Default);
    k.store(output + at, [word + 1]);
    Launch {
        name: "a step".to_owned(),
        kernel: Arc::new(k.finish()),
        grid: [1; 3],
        arguments: vec![memory(from), memory(to)],
        after,
        spec: None,
        output: Shape::default(),
        choice: String::new(),
        flops: 0,
        bytes: 0,
    }
}

fn plan(after: Vec<usize>, input: Region) -> Plan {
    Plan {
        launches: vec![
            launch(input, Region::Arena, Vec::new()),
            launch(Region::Arena, Region::Output(0), after),
        ],
        arena_bytes: 128,
        inputs: vec![128],
        outputs: vec![128],
        ..Plan::default()
    }
}

#[test]
fn launches_run_after_those_that_they_name() {
    for schedule in schedules() {
        let plan = plan(vec![0], Region::Input(0));
        let outcome = run_plan(&plan, &[&[1; 128]], &schedule);
        let (outputs, reports) = outcome.unwrap_or_else(|trap| panic!("{trap}"));
        assert_eq!(outputs[0][..4], [3, 1, 1, 1]);
        assert_eq!((reports.len(), reports[1].written_bytes), (2, 128));
    }
}

#[test]
fn a_dependency_left_out_is_found_by_some_order() {
    let plan = plan(Vec::new(), Region::Input(0));
    let traps = schedules()
        .into_iter()
        .filter_map(|schedule| run_plan(&plan, &[&[1; 128]], &schedule).err());
    let traps: Vec<String> = traps.map(|trap| trap.to_string()).collect();
    assert!(!traps.is_empty());
    assert!(traps[0].contains("of launch 1 'a step'"), "{}", traps[0]);
}

#[test]
fn plans_that_do_not_fit_are_traps() {
    let schedule = Schedule::in_order();
    let run = |plan: &Plan, input: &[u8]| run_plan(plan, &[input], &schedule);
    assert!(
        run(&plan(vec![1], Region::Input(0)), &[1; 128])
            .unwrap_err()
            .what
            .contains("circle")
    );
    assert!(run(&plan(vec![0], Region::Input(0)), &[1; 4]).is_err());
    let nowhere = run(&plan(vec![0], Region::Input(3)), &[1; 128]).unwrap_err();
    assert!(nowhere.what.contains("Input(3)"), "{nowhere}");
}
