//! Each operator on small operands: what it gives, and what it refuses.

mod programs;

use std::slice::from_ref;

use super::*;

fn attributes(list: &[(&str, Attribute)]) -> Instruction {
    Instruction {
        operator: String::new(),
        opset: 17,
        attributes: list
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
    }
}

fn run(
    operator: &str,
    list: &[(&str, Attribute)],
    inputs: &[Option<Data>],
    outputs: usize,
) -> Result<Vec<Data>, Failure> {
    let instruction = Instruction {
        operator: operator.to_owned(),
        ..attributes(list)
    };
    evaluate(&instruction, inputs, outputs, &mut Budget(1 << 20))
}

/// The only result.
fn one(operator: &str, list: &[(&str, Attribute)], inputs: &[Data]) -> Data {
    let inputs: Vec<Option<Data>> = inputs.iter().cloned().map(Some).collect();
    run(operator, list, &inputs, 1).unwrap().remove(0)
}

fn refusal(operator: &str, list: &[(&str, Attribute)], inputs: &[Data]) -> String {
    let inputs: Vec<Option<Data>> = inputs.iter().cloned().map(Some).collect();
    run(operator, list, &inputs, 1).unwrap_err().words(operator)
}

fn ints(values: &[i64]) -> Data {
    Data::list(values.to_vec())
}

fn kinds(kind: IntegerKind, values: &[i64]) -> Data {
    Data::integers([values.len()], values.to_vec(), kind)
}

fn floats(values: &[f32]) -> Data {
    Data::floats([values.len()], values.to_vec())
}

fn scalar(value: i64) -> Data {
    Data::integers(Vec::new(), vec![value], IntegerKind::I64)
}

/// 0, 1, 2… under these extents.
fn counting(extents: &[usize]) -> Data {
    let count = extents.iter().product::<usize>();
    Data::floats(extents.to_vec(), (0..count).map(|k| k as f32).collect())
}

fn matrix(extents: [usize; 2], values: &[i64]) -> Data {
    Data::integers(extents, values.to_vec(), IntegerKind::I64)
}

const INT: fn(i64) -> Attribute = Attribute::Int;

#[test]
fn integers_stay_exact_where_floats_would_not() {
    let large = (1 << 53) + 1;
    assert_eq!(
        one("Add", &[], &[ints(&[large]), ints(&[2])]),
        ints(&[large + 2])
    );
    assert_eq!(
        one("Mul", &[], &[ints(&[large]), ints(&[3])]),
        ints(&[large * 3])
    );
    assert_eq!(
        one("Div", &[], &[ints(&[-7, 7]), ints(&[2])]),
        ints(&[-3, 3])
    );
    assert_eq!(
        one("Mod", &[], &[ints(&[-7, 7]), ints(&[3, -3])]),
        ints(&[2, -2])
    );
    let fmod = [("fmod", INT(1))];
    assert_eq!(
        one("Mod", &fmod, &[ints(&[-7, 7]), ints(&[3, -3])]),
        ints(&[-1, 1])
    );
    assert_eq!(
        one("Max", &[], &[ints(&[1, 5]), ints(&[3]), ints(&[2])]),
        ints(&[3, 5])
    );
    assert_eq!(one("Neg", &[], &[ints(&[4])]), ints(&[-4]));
    let small = |values: &[i64]| kinds(IntegerKind::I32, values);
    let wrapped = one("Add", &[], &[small(&[i64::from(i32::MAX)]), small(&[1])]);
    assert_eq!(wrapped, small(&[i64::from(i32::MIN)]));
}

#[test]
fn floats_follow_their_functions() {
    let x = floats(&[-1.5, 0.0, 2.5]);
    assert_eq!(one("Round", &[], from_ref(&x)), floats(&[-2.0, 0.0, 2.0]));
    assert_eq!(one("Floor", &[], from_ref(&x)), floats(&[-2.0, 0.0, 2.0]));
    assert_eq!(one("Sign", &[], from_ref(&x)), floats(&[-1.0, 0.0, 1.0]));
    assert_eq!(
        one("Mod", &[], &[x.clone(), floats(&[2.0])]),
        floats(&[0.5, 0.0, 0.5])
    );
    assert_eq!(
        one("Pow", &[], &[x.clone(), ints(&[2])]),
        floats(&[2.25, 0.0, 6.25])
    );
    let bounds = [x.clone(), floats(&[-1.0]), floats(&[1.0])];
    assert_eq!(one("Clip", &[], &bounds), floats(&[-1.0, 0.0, 1.0]));
    assert_eq!(
        one("Softmax", &[], &[Data::floats([2, 2], vec![0.0; 4])]),
        Data::floats([2, 2], vec![0.5; 4])
    );
    let holds = |values: &[i64]| kinds(IntegerKind::Bool, values);
    let less = one("Less", &[], &[x.clone(), floats(&[0.0])]);
    assert_eq!(less, holds(&[1, 0, 0]));
    assert_eq!(one("Not", &[], from_ref(&less)), holds(&[0, 1, 1]));
    assert_eq!(
        one("Xor", &[], &[less.clone(), holds(&[1])]),
        holds(&[0, 1, 1])
    );
    let chosen = one("Where", &[], &[less, x.clone(), floats(&[9.0])]);
    assert_eq!(chosen, floats(&[-1.5, 9.0, 9.0]));
    assert_eq!(
        one("Cast", &[("to", INT(7))], from_ref(&x)),
        ints(&[-1, 0, 2])
    );
    assert_eq!(one("Cast", &[("to", INT(9))], &[x]), holds(&[1, 0, 1]));
    assert_eq!(
        one("Cast", &[("to", INT(1))], &[ints(&[3])]),
        floats(&[3.0])
    );
    assert_eq!(
        one(
            "CastLike",
            &[],
            &[ints(&[300]), kinds(IntegerKind::U8, &[0])]
        ),
        kinds(IntegerKind::U8, &[44])
    );
}

#[test]
fn shapes_are_made_of_shapes() {
    let x = counting(&[2, 3, 4]);
    assert_eq!(one("Shape", &[], from_ref(&x)), ints(&[2, 3, 4]));
    assert_eq!(
        one("Shape", &[("start", INT(-2))], from_ref(&x)),
        ints(&[3, 4])
    );
    assert_eq!(one("Size", &[], from_ref(&x)), scalar(24));
    let shape = |operator: &str, list: &[(&str, Attribute)], inputs: &[Data]| {
        one(operator, list, inputs).shape().to_vec()
    };
    assert_eq!(shape("Reshape", &[], &[x.clone(), ints(&[0, -1])]), [2, 12]);
    assert_eq!(shape("Flatten", &[("axis", INT(2))], from_ref(&x)), [6, 4]);
    assert_eq!(
        shape("Unsqueeze", &[], &[x.clone(), ints(&[0, -1])]),
        [1, 2, 3, 4, 1]
    );
    let thin = counting(&[1, 3, 1]);
    assert_eq!(shape("Squeeze", &[], from_ref(&thin)), [3]);
    assert_eq!(shape("Squeeze", &[], &[thin, ints(&[-1])]), [1, 3]);
    assert_eq!(
        one("ConstantOfShape", &[], &[ints(&[2])]),
        floats(&[0.0, 0.0])
    );
    let ones = [("value", Attribute::Data(ints(&[1])))];
    assert_eq!(one("ConstantOfShape", &ones, &[ints(&[2])]), ints(&[1, 1]));
    assert_eq!(
        one("Range", &[], &[scalar(5), scalar(0), scalar(-2)]),
        ints(&[5, 3, 1])
    );
    let bounds = [floats(&[0.0]), floats(&[1.0]), floats(&[0.5])];
    assert_eq!(one("Range", &[], &bounds), floats(&[0.0, 0.5]));
}

#[test]
fn elements_are_moved_to_their_places() {
    let x = counting(&[2, 3]);
    let values = |operator: &str, list: &[(&str, Attribute)], inputs: &[Data]| -> Vec<f32> {
        match one(operator, list, inputs) {
            Data::Floats(tensor) => tensor.data().to_vec(),
            Data::Integers(_) => panic!("integers"),
        }
    };
    let axis = |axis: i64| [("axis", INT(axis))];
    assert_eq!(
        values("Transpose", &[], from_ref(&x)),
        [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    );
    let part = [
        x.clone(),
        ints(&[-1]),
        ints(&[i64::MIN]),
        ints(&[1]),
        ints(&[-2]),
    ];
    assert_eq!(values("Slice", &[], &part), [2.0, 0.0, 5.0, 3.0]);
    let part = [x.clone(), ints(&[1]), ints(&[100]), ints(&[-1])];
    assert_eq!(values("Slice", &[], &part), [1.0, 2.0, 4.0, 5.0]);
    assert_eq!(
        values("Gather", &axis(1), &[x.clone(), scalar(-1)]),
        [2.0, 5.0]
    );
    assert_eq!(
        values("Gather", &axis(0), &[x.clone(), ints(&[1, 0])]),
        [3.0, 4.0, 5.0, 0.0, 1.0, 2.0]
    );
    let picked = [x.clone(), matrix([2, 2], &[2, 0, -1, 1])];
    assert_eq!(
        values("GatherElements", &axis(1), &picked),
        [2.0, 0.0, 5.0, 4.0]
    );
    let picked = [x.clone(), matrix([2, 2], &[0, 1, 1, 2])];
    assert_eq!(values("GatherND", &[], &picked), [1.0, 5.0]);
    assert_eq!(
        values("GatherND", &[], &[x.clone(), matrix([1, 1], &[1])]),
        [3.0, 4.0, 5.0]
    );
    let updates = [x.clone(), matrix([1, 1], &[1]), counting(&[1, 3])];
    assert_eq!(
        values("ScatterND", &[], &updates),
        [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]
    );
    assert_eq!(
        values("Expand", &[], &[floats(&[1.0, 2.0]), ints(&[2, 1])]),
        [1.0, 2.0, 1.0, 2.0]
    );
    assert_eq!(
        values("Tile", &[], &[floats(&[1.0, 2.0]), ints(&[2])]),
        [1.0, 2.0, 1.0, 2.0]
    );
    let joined = [counting(&[2, 1]), counting(&[2, 2])];
    assert_eq!(
        values("Concat", &axis(-1), &joined),
        [0.0, 0.0, 1.0, 1.0, 2.0, 3.0]
    );
    let padded = [floats(&[1.0, 2.0]), ints(&[1, -1]), floats(&[7.0])];
    assert_eq!(values("Pad", &[], &padded), [7.0, 1.0]);
    let places = one(
        "NonZero",
        &[],
        &[Data::floats([2, 2], vec![0.0, 1.0, 2.0, 0.0])],
    );
    assert_eq!(places, matrix([2, 2], &[0, 1, 1, 0]));
    let pieces = run("Split", &axis(1), &[Some(x), Some(ints(&[1, 2]))], 2).unwrap();
    assert_eq!(pieces[1], Data::floats([2, 2], vec![1.0, 2.0, 4.0, 5.0]));
}

#[test]
fn values_are_reduced_and_ranked() {
    let x = Data::floats([2, 3], vec![3.0, 1.0, 3.0, 2.0, f32::NAN, 5.0]);
    let row = [("axes", Attribute::Ints(vec![1])), ("keepdims", INT(0))];
    assert_eq!(one("ReduceMax", &row, from_ref(&x)), floats(&[3.0, 5.0]));
    assert_eq!(
        one("ReduceSum", &row, &[counting(&[2, 2])]),
        floats(&[1.0, 5.0])
    );
    assert_eq!(
        one("ReduceMean", &row, &[counting(&[2, 2])]),
        floats(&[0.5, 2.5])
    );
    assert_eq!(one("ReduceProd", &[], &[ints(&[3, 4])]), ints(&[12]));
    let axis = [("axis", INT(1)), ("keepdims", INT(0))];
    assert_eq!(one("ArgMax", &axis, from_ref(&x)), ints(&[0, 2]));
    let last = [
        axis[0].clone(),
        axis[1].clone(),
        ("select_last_index", INT(1)),
    ];
    assert_eq!(one("ArgMax", &last, from_ref(&x)), ints(&[2, 2]));
    let best = run("TopK", &[], &[Some(x.clone()), Some(ints(&[2]))], 2).unwrap();
    assert_eq!(best[0], Data::floats([2, 2], vec![3.0, 3.0, 5.0, 2.0]));
    assert_eq!(best[1], matrix([2, 2], &[0, 2, 2, 0]));
    let along = [("axis", INT(0)), ("largest", INT(0))];
    let least = run(
        "TopK",
        &along,
        &[Some(counting(&[3, 2])), Some(ints(&[1]))],
        2,
    )
    .unwrap();
    assert_eq!(least[0], Data::floats([1, 2], vec![0.0, 1.0]));
}

#[test]
fn overlapping_boxes_of_a_class_are_suppressed() {
    let boxes = [
        [0.0, 0.0, 10.0, 10.0],
        [11.0, 10.0, 0.0, 0.0],
        [20.0, 20.0, 30.0, 30.0],
    ];
    let boxes = Data::floats([1, 3, 4], boxes.concat());
    let scores = Data::floats([1, 2, 3], vec![0.8, 0.9, 0.7, 0.1, 0.6, 0.2]);
    let inputs = [
        boxes.clone(),
        scores.clone(),
        scalar(5),
        floats(&[0.5]),
        floats(&[0.15]),
    ];
    let expected = matrix([4, 3], &[0, 0, 1, 0, 0, 2, 0, 1, 1, 0, 1, 2]);
    assert_eq!(one("NonMaxSuppression", &[], &inputs), expected);
    let first = [boxes, scores, scalar(1), floats(&[0.5]), floats(&[0.5])];
    let expected = matrix([2, 3], &[0, 0, 1, 0, 1, 1]);
    assert_eq!(one("NonMaxSuppression", &[], &first), expected);
}

#[test]
fn quantised_values_are_taken_back_and_forth() {
    let (scale, zero) = (floats(&[0.5, 2.0]), kinds(IntegerKind::I8, &[0, -1]));
    let integers = Data::integers([2, 2], vec![-128, 127, 3, -1], IntegerKind::I8);
    let axis = [("axis", INT(0))];
    let inputs = [integers.clone(), scale.clone(), zero.clone()];
    let restored = one("DequantizeLinear", &axis, &inputs);
    assert_eq!(restored, Data::floats([2, 2], vec![-64.0, 63.5, 8.0, 0.0]));
    assert_eq!(
        one("QuantizeLinear", &axis, &[restored, scale, zero]),
        integers
    );
    let saturated = one(
        "QuantizeLinear",
        &[],
        &[floats(&[-3.0, 900.0]), floats(&[1.0])],
    );
    assert_eq!(saturated, kinds(IntegerKind::U8, &[0, 255]));
}

#[test]
fn every_way_to_lie_is_named() {
    let (x, i) = (counting(&[2, 3]), ints(&[1, 2]));
    let axis = |axis: i64| [("axis", INT(axis))];
    let zero_step = [x.clone(), ints(&[0]), ints(&[1]), ints(&[0]), ints(&[0])];
    let texts = [
        refusal("Fantasy", &[], &[]),
        refusal("Add", &[], from_ref(&x)),
        refusal("Add", &[], &[x.clone(), i.clone()]),
        refusal("Add", &[], &[x.clone(), counting(&[2])]),
        refusal("Add", &[], &[ints(&[i64::MAX]), ints(&[1])]),
        refusal("Div", &[], &[i.clone(), ints(&[0])]),
        refusal("Not", &[], from_ref(&x)),
        refusal("Cast", &[("to", INT(8))], from_ref(&x)),
        refusal("Gather", &axis(2), &[x.clone(), scalar(0)]),
        refusal("Gather", &axis(0), &[x.clone(), scalar(2)]),
        refusal("Gather", &axis(0), &[x.clone(), x.clone()]),
        refusal(
            "GatherElements",
            &axis(0),
            &[x.clone(), matrix([3, 4], &[0; 12])],
        ),
        refusal("GatherND", &[], &[x.clone(), matrix([1, 3], &[0; 3])]),
        refusal(
            "ScatterND",
            &[],
            &[x.clone(), matrix([1, 1], &[1]), counting(&[3])],
        ),
        refusal("Slice", &[], &zero_step),
        refusal("Slice", &[], &[x.clone(), i.clone(), ints(&[1])]),
        refusal("Reshape", &[], &[x.clone(), ints(&[4])]),
        refusal("Reshape", &[], &[x.clone(), ints(&[1; 9])]),
        refusal("Squeeze", &[], &[x.clone(), ints(&[0])]),
        refusal("Unsqueeze", &[], &[x.clone(), ints(&[0, 0])]),
        refusal(
            "Transpose",
            &[("perm", Attribute::Ints(vec![0, 0]))],
            from_ref(&x),
        ),
        refusal("Concat", &axis(0), &[x.clone(), counting(&[2, 2])]),
        refusal("Split", &axis(1), &[x.clone(), ints(&[1, 1])]),
        refusal("Expand", &[], &[x.clone(), ints(&[1 << 40, 1 << 40, 2, 3])]),
        refusal("Tile", &[], &[x.clone(), ints(&[i64::MAX, 2])]),
        refusal("ConstantOfShape", &[], &[ints(&[1 << 40])]),
        refusal("ConstantOfShape", &[], &[ints(&[1 << 40, 0])]),
        refusal("ConstantOfShape", &[], &[ints(&[-1])]),
        refusal("Range", &[], &[scalar(0), scalar(1 << 40), scalar(1)]),
        refusal("Range", &[], &[scalar(0), scalar(1), scalar(0)]),
        refusal(
            "Range",
            &[],
            &[floats(&[0.0]), floats(&[1.0]), floats(&[0.0])],
        ),
        refusal("Pad", &[], &[x.clone(), ints(&[0, 0, -3, 0])]),
        refusal("TopK", &[], &[x.clone(), ints(&[4])]),
        refusal("ArgMax", &[], &[Data::floats([0], Vec::new())]),
        refusal("NonMaxSuppression", &[], &[x.clone(), x.clone()]),
        refusal("DequantizeLinear", &[], &[i, floats(&[1.0]), x]),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r"
    onelook lacks Fantasy
    Add: it takes two inputs
    Add: extents must match or be 1
    Add: extents must match or be 1
    Add: integers overflow or are divided by 0
    Div: integers overflow or are divided by 0
    onelook lacks Not (of floats)
    onelook lacks Cast (to type 8)
    Gather: there is no axis 2
    Gather: an index lies outside
    Gather: input 1 must be of integers
    GatherElements: its indices do not fit its input
    GatherND: its indices have more columns than its input axes
    ScatterND: its updates do not fit its indices
    Slice: its step is 0
    Slice: its ranges have different lengths
    Reshape: 2x3 cannot become [4]
    Reshape: 2x3 cannot become [1, 1, 1, 1, 1, 1, 1, 1, 1]
    Squeeze: an axis to remove has more than one element
    Unsqueeze: an axis is named twice
    Transpose: its order is no order of the axes
    Concat: all axes but the joined one must match
    Split: its pieces do not fill the axis
    Expand: it takes too much memory or time
    Tile: it takes too much memory or time
    ConstantOfShape: it takes too much memory or time
    ConstantOfShape: it takes too much memory or time
    ConstantOfShape: an extent is negative
    Range: it takes too much memory or time
    Range: it never ends
    Range: it never ends
    Pad: its padding leaves a negative extent
    TopK: there are no 4 among 3
    ArgMax: it chooses among none
    NonMaxSuppression: it takes batch x boxes x 4 and batch x classes x boxes
    DequantizeLinear: its zero point does not fit its scale
    ");
}
