//! Quantised exports: read as if the weights had never been quantised.

use super::*;

#[test]
fn dequantised_weights_are_plain_weights() {
    let file = Export::new()
        .small(
            "w",
            &[6, 3, 1, 1],
            3,
            &[-3, 2, 1, 0, 5, -7, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4],
        )
        .floats("ws", &[6], &[0.5, 0.25, 1.0, 1.0, 1.0, 1.0])
        .small("wz", &[6], 3, &[1, 0, 0, 0, 0, 0])
        .small("b", &[6], 6, &[4, 0, 0, 0, 0, 0])
        .floats("one", &[], &[0.25])
        .floats("s", &[], &[0.1])
        .small("z", &[], 2, &[0])
        .node("QuantizeLinear images s z -> q", &[])
        .node("DequantizeLinear q s z -> x", &[])
        .node("DequantizeLinear w ws wz -> weight", &[int("axis", 0)])
        .node("DequantizeLinear b one -> bias", &[])
        .node("Conv x weight bias -> a", &[])
        .decoded("a", 6)
        .read()
        .unwrap();
    // Steps that begin at 0 cut off what is below.
    insta::assert_snapshot!(text(&file), @r"
    input %0: 1x3x4x4
    %1: 1x3x4x4 = relu (%0)  # /QuantizeLinear
    %2: 1x6x4x4 = conv 1x1 3->6 (%1)  # /Conv
    %3: 1x6x16 = reshape 0x6x-1 (%2)  # /Reshape
    output %3
    ");
    let image = image([1, 3, 4, 4]);
    let first = run(&file, &image).data()[5];
    let pixel = |channel: usize| image.data()[channel * 16 + 5].max(0.0);
    let expected = 0.5 * (-4.0 * pixel(0) + pixel(1)) + 1.0;
    assert!((first - expected).abs() < 1e-5, "{first}, not {expected}");
}

#[test]
fn dynamically_quantised_convolutions_are_plain_ones() {
    let weights: Vec<i32> = (0..18).collect();
    let file = Export::new()
        .small("w", &[6, 3, 1, 1], 2, &weights)
        .small("wz", &[], 2, &[9])
        .floats("ws", &[], &[0.1])
        .floats("b", &[1, 6, 1, 1], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .node("DynamicQuantizeLinear images -> q s z", &[])
        .node("ConvInteger q w z wz -> sums", &[])
        .node("Cast sums -> floats", &[int("to", 1)])
        .node("Mul s ws -> scale", &[])
        .node("Mul floats scale -> a", &[])
        .node("Add a b -> c", &[])
        .decoded("c", 6)
        .read()
        .unwrap();
    let plain: Vec<f32> = (0..18).map(|w| (w as f32 - 9.0) * 0.1).collect();
    let same = Export::new()
        .floats("w", &[6, 3, 1, 1], &plain)
        .floats("b", &[6], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .node("Conv images w b -> c", &[])
        .decoded("c", 6)
        .read()
        .unwrap();
    let image = image([1, 3, 4, 4]);
    near(&run(&file, &image), &run(&same, &image));
    let mut optimised = file.graph.clone();
    crate::pass::optimise(&mut optimised);
    assert_eq!(optimised.nodes.len(), same.graph.nodes.len());
}

#[test]
fn quantised_operators_are_plain_ones() {
    let weights: Vec<i32> = (0..9).collect();
    let file = Export::new()
        .floats("s", &[], &[0.02])
        .small("z", &[], 2, &[128])
        .floats("ws", &[], &[0.1])
        .small("wz", &[], 2, &[4])
        .small("w", &[3, 3, 1, 1], 2, &weights)
        .small("b", &[3], 6, &[500, 0, 0])
        .node("QuantizeLinear images s z -> q", &[])
        .node("QLinearConv q s z w ws wz s z b -> c", &[])
        .node("MaxPool c -> p", &[ints("kernel_shape", &[1, 1])])
        .node("QLinearSigmoid p s z s z -> g", &[])
        .node("QLinearMul p s z g s z s z -> m", &[])
        .node("QLinearAdd m s z q s z s z -> n", &[])
        .node("QLinearConcat s z n s z m s z -> j", &[int("axis", 1)])
        .node("DequantizeLinear j s z -> out", &[]);
    let mut file = file.decoded("out", 6);
    for node in &mut file.graph().node[3..7] {
        node.domain = "com.microsoft".to_owned();
    }
    let plain: Vec<f32> = (0..9).map(|w| (w as f32 - 4.0) * 0.1).collect();
    let same = Export::new()
        .floats("w", &[3, 3, 1, 1], &plain)
        .floats("b", &[3], &[1.0, 0.0, 0.0])
        .node("Conv images w b -> p", &[])
        .node("Sigmoid p -> g", &[])
        .node("Mul p g -> m", &[])
        .node("Add m images -> n", &[])
        .node("Concat n m -> j", &[int("axis", 1)])
        .decoded("j", 6);
    let image = image([1, 3, 4, 4]);
    let (file, same) = (file.read().unwrap(), same.read().unwrap());
    near(&run(&file, &image), &run(&same, &image));
}

#[test]
fn quantisation_that_contradicts_itself_is_refused() {
    let plain = || {
        Export::new()
            .floats("s", &[], &[0.5])
            .floats("t", &[], &[0.25])
            .small("z", &[], 2, &[128])
            .small("w", &[3, 3, 1, 1], 2, &[1; 9])
            .node("QuantizeLinear images s z -> q", &[])
    };
    let exports = [
        plain()
            .node("DequantizeLinear q t z -> a", &[])
            .decoded("a", 6),
        plain().node("ConvInteger q w z -> a", &[]).decoded("a", 6),
        plain().node("Add q q -> a", &[]).decoded("a", 6),
        plain()
            .node("DequantizeLinear images s z -> a", &[])
            .decoded("a", 6),
        plain().node("Identity q -> output0", &[]),
    ];
    let texts: Vec<String> = exports.iter().map(Export::refusal).collect();
    insta::assert_snapshot!(texts.join("\n"), @r"
    the ONNX model uses operators that onelook lacks: DequantizeLinear (with another scale than was quantised with)
    the ONNX model uses operators that onelook lacks: ConvInteger (of what DynamicQuantizeLinear did not make)
    the ONNX model uses operators that onelook lacks: Add (arithmetic on integers)
    the ONNX model uses operators that onelook lacks: DequantizeLinear (of what was not quantised)
    the onnx file is damaged: output 'output0' is of integers; download or export it again
    ");
}
