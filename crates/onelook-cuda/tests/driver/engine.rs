//! A small network through the engine: what is loaded and launched, shape by shape.

use std::sync::Arc;

use onelook_cuda::driver::Driver;
use onelook_cuda::engine::{Cuda, CudaOptions};
use onelook_graph::op::{Activation, Concat, Conv};
use onelook_graph::{
    Backend, CompileOptions, Executable, ExplainedNode, Graph, PlanKind, Prepared, RunError, pass,
};
use onelook_types::{Precision, Shape, Tensor};

use super::fake::{Fake, H100};

/// Two branches over one convolution, joined again: four convolutions with both ends.
pub fn graph() -> Graph {
    let mut graph = Graph::new();
    let input = graph.add_input("image");
    let conv = |graph: &mut Graph, name: &str, from, channels, outputs, stride| {
        let weight = Tensor::from_fn([outputs, channels, 3, 3], |index| index as f32 / 1e4);
        let mut conv = Conv::new(Arc::new(weight), None);
        conv.stride = [stride; 2];
        conv.padding = [1; 4];
        let value = graph.add(name, conv, &[from]);
        graph.add(&format!("{name}.silu"), Activation::Silu, &[value])
    };
    let first = conv(&mut graph, "first", input, 3, 16, 2);
    let left = conv(&mut graph, "left", first, 16, 16, 1);
    let right = conv(&mut graph, "right", first, 16, 32, 1);
    let joined = graph.add("joined", Concat { axis: 1 }, &[left, right]);
    let last = conv(&mut graph, "last", joined, 48, 8, 1);
    graph.outputs.push(last);
    pass::optimise(&mut graph);
    graph
}

pub fn compiled(fake: &Fake, options: &CudaOptions) -> Box<dyn Executable> {
    let driver = Driver::open_file(&fake.path()).unwrap();
    let cuda = Cuda::open(&driver, 0, options).unwrap();
    assert_eq!(cuda.describe(), "cuda:0, NVIDIA H100 80GB HBM3");
    let half = CompileOptions {
        precision: Precision::F16,
        ..CompileOptions::default()
    };
    cuda.compile(&graph(), &half).unwrap()
}

pub fn run(executable: &dyn Executable, input: &Tensor) -> Result<Vec<Tensor>, RunError> {
    let item = Prepared::Tensors(std::slice::from_ref(input));
    executable.run(&[item])?.into_raw()
}

#[test]
fn a_network_is_loaded_once_per_shape_and_launched_as_one_graph() {
    let fake = Fake::new(&[H100]);
    {
        let executable = compiled(&fake, &CudaOptions::default());
        let input = Tensor::zeros([2, 3, 32, 64]);
        let outputs = run(&*executable, &input).unwrap();
        assert_eq!(*outputs[0].shape(), Shape::from([2, 8, 16, 32]));
        let launches = executable
            .explain(PlanKind::Tensor, &[input.shape().clone()])
            .unwrap()
            .nodes
            .len();
        assert!(launches >= 4);
        assert_eq!(fake.launches().len(), launches);
        run(&*executable, &input).unwrap();
        assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 1);
        assert_eq!(fake.count("cuGraphLaunch"), 2);
        run(&*executable, &Tensor::zeros([1, 3, 32, 32])).unwrap();
        assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 2);
        assert_eq!(
            executable
                .profile(&[Prepared::Tensors(std::slice::from_ref(&input))])
                .unwrap()
                .len(),
            launches
        );
        assert_eq!(fake.count("cuGraphInstantiateWithFlags"), 2);
    }
    assert_eq!(fake.leaks(), [""; 0]);
}

#[test]
fn launches_never_run_before_what_they_wait_for() {
    let fake = Fake::new(&[H100]);
    let executable = compiled(&fake, &CudaOptions::default());
    let input = Tensor::zeros([1, 3, 32, 32]);
    run(&*executable, &input).unwrap();
    let nodes: Vec<String> = fake
        .calls()
        .into_iter()
        .filter(|call| call.starts_with("cuGraphAddKernelNode_v2 "))
        .collect();
    let free = |call: &&String| call.ends_with("after []");
    assert_eq!(
        nodes.iter().filter(free).count(),
        1,
        "only the first: {nodes:#?}"
    );
    let planned = executable
        .explain(PlanKind::Tensor, &[input.shape().clone()])
        .unwrap()
        .nodes;
    let shapes: Vec<Shape> = planned.iter().map(|node| node.output.clone()).collect();
    assert_eq!(shapes[0], Shape::from([1, 3, 32, 32]));
    assert_eq!(shapes[1], Shape::from([1, 16, 16, 16]));
    assert_eq!(*shapes.last().unwrap(), Shape::from([1, 8, 16, 16]));
    let launched = fake.launches();
    let is =
        |launch: &String, node: &ExplainedNode| launch.starts_with(&format!("{} ", node.kernel));
    assert!(is(&launched[0], &planned[0]), "{launched:#?}");
    assert!(
        is(launched.last().unwrap(), planned.last().unwrap()),
        "{launched:#?}"
    );
}

#[test]
fn memory_that_does_not_suffice_is_an_error_of_the_run_with_figures() {
    let fake = Fake::new(&[H100]);
    let options = CudaOptions {
        memory_limit: Some(1 << 20),
        ..CudaOptions::default()
    };
    let executable = compiled(&fake, &options);
    let error = run(&*executable, &Tensor::zeros([1, 3, 640, 640])).unwrap_err();
    let RunError::Device(text) = &error else {
        panic!("{error}");
    };
    assert!(text.contains("1.0 MiB allowed (--gpu-memory)"), "{text}");
    run(&*executable, &Tensor::zeros([1, 3, 32, 32])).unwrap();
}

#[test]
fn plans_that_are_not_in_use_give_way_to_a_new_one() {
    let fake = Fake::new(&[H100]);
    let options = CudaOptions {
        memory_limit: Some(5 << 20),
        ..CudaOptions::default()
    };
    let executable = compiled(&fake, &options);
    for side in [192, 224, 256, 192] {
        run(&*executable, &Tensor::zeros([1, 3, side, side])).unwrap();
    }
}
