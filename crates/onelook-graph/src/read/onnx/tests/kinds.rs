//! Exports of the kinds that people have: with their shape arithmetic left in, with symbolic sides,
//! quantised, with suppression inside.

mod quantised;

use super::*;

/// An image whose values differ everywhere.
fn image(shape: [usize; 4]) -> Tensor {
    Tensor::from_fn(shape, |position| (position as f32 * 0.37).sin())
}

fn run(file: &ModelFile, image: &Tensor) -> Tensor {
    let mut optimised = file.graph.clone();
    crate::pass::optimise(&mut optimised);
    let plain = reference::run(&file.graph, &[image]).unwrap().remove(0);
    let fused = reference::run(&optimised, &[image]).unwrap().remove(0);
    let pairs = plain.data().iter().zip(fused.data());
    assert!(pairs.clone().count() == plain.data().len() && *plain.shape() == *fused.shape());
    pairs.for_each(|(a, b)| assert!((a - b).abs() < 1e-4, "{a} {b}"));
    plain
}

fn near(actual: &Tensor, expected: &Tensor) {
    assert_eq!(actual.shape(), expected.shape());
    for (actual, expected) in actual.data().iter().zip(expected.data()) {
        assert!((actual - expected).abs() < 1e-4, "{actual}, not {expected}");
    }
}

/// A head of six rows whose reshape is computed from the shape of what is reshaped.
fn shape_arithmetic(export: Export) -> Export {
    export
        .floats("w", &[6, 3, 1, 1], &[0.5; 18])
        .integers("first", &[0])
        .integers("rows", &[6])
        .integers("rest", &[-1])
        .node("Conv images w -> map", &[])
        .node("Shape map -> shape", &[])
        .node("Gather shape first -> batch", &[int("axis", 0)])
        .node("Concat batch rows rest -> extents", &[int("axis", 0)])
        .node("Reshape map extents -> flat", &[])
}

#[test]
fn shape_arithmetic_is_folded() {
    let export = shape_arithmetic(Export::new()).node("Identity flat -> output0", &[]);
    let file = export.read().unwrap();
    insta::assert_snapshot!(text(&file), @r"
    input %0: 1x3x4x4
    %1: 1x6x4x4 = conv 1x1 3->6 (%0)  # /Conv
    %2: 1x6x16 = reshape 0x6x-1 (%1)  # /Reshape
    output %2
    ");
    assert!(file.metadata.fixed_size);
}

/// Adds to every cell its index, made by Range and ConstantOfShape from the shape of the map, and
/// takes the map through another rank, as attention does.
fn with_cells(export: Export) -> Export {
    shape_arithmetic(export)
        .integers("none", &[])
        .integers("two", &[2])
        .integers("three", &[3])
        .integers("scalar", &[0])
        .node("Squeeze scalar -> zero", &[])
        .node("Gather shape two -> height", &[int("axis", 0)])
        .node("Gather shape three -> width", &[int("axis", 0)])
        .node("Mul height width -> area", &[])
        .node("Squeeze area -> count", &[])
        .node("Constant -> one", &[int("value_int", 1)])
        .node("Range zero count one -> cells", &[])
        .node("Cast cells -> cellsf", &[int("to", 1)])
        .node("ConstantOfShape area -> nothing", &[])
        .node("Add cellsf nothing -> offsets", &[])
        .node("Concat batch rows height width -> back", &[int("axis", 0)])
        .node("Reshape flat back -> again", &[])
        .node("Relu again -> on", &[])
        .node("Reshape on extents -> flat2", &[])
        .node("Add flat2 offsets -> output0", &[])
}

#[test]
fn symbolic_sides_are_bound_when_they_are_known() {
    let file = with_cells(Export::new().image(&[0, 3, 0, 0]))
        .property("imgsz", "[4, 4]")
        .property("stride", "4")
        .read()
        .unwrap();
    assert!(!file.metadata.fixed_size);
    insta::assert_snapshot!(file.graph.to_text(None), @r"
    input %0
    %1 = conv 1x1 3->6 (%0)  # /Conv
    %2 = reshape 0x6x-1 (%1)  # /Reshape
    %3 = reshape_to 5 steps: Concat Gather Shape (%2, %1)  # /Reshape
    %4 = relu (%3)  # /Relu
    %5 = reshape 0x6x-1 (%4)  # /Reshape
    %6 = shape_program 9 steps: Add Cast ConstantOfShape Gather Mul Range Shape Squeeze (%1)  # offsets
    %7 = add (%5, %6)  # /Add
    output %7
    ");
    let native = crate::read::write_safetensors(&file).unwrap();
    let native = read_again(&native);
    for shape in [[1, 3, 4, 4], [2, 3, 8, 12]] {
        let image = image(shape);
        let [_, _, height, width] = shape;
        let cells = height * width;
        let expected = Tensor::from_fn([shape[0], 6, cells], |position| {
            let (cell, batch) = (position % cells, position / (6 * cells));
            let pixel = |channel: usize| image.data()[(batch * 3 + channel) * cells + cell];
            (0.5 * (pixel(0) + pixel(1) + pixel(2))).max(0.0) + cell as f32
        });
        near(&run(&file, &image), &expected);
        near(&run(&native, &image), &expected);
    }
}

fn read_again(bytes: &[u8]) -> ModelFile {
    crate::read::read(bytes, &ReadOptions::default()).unwrap()
}

#[test]
fn sides_that_decide_more_than_shapes_are_pinned() {
    // The kernel's padding follows the map's sides.
    let attributes = [
        ints("kernel_shape", &[3, 3]),
        ints("strides", &[3, 3]),
        word("auto_pad", "SAME_UPPER"),
    ];
    let file = Export::new()
        .image(&[0, 3, 0, 0])
        .node("MaxPool images -> a", &attributes)
        .decoded("a", 6)
        .property("imgsz", "[4, 4]")
        .property("stride", "4")
        .property("names", "['a', 'b']")
        .read()
        .unwrap();
    assert!(file.metadata.fixed_size);
    let other = infer_shapes(&file.graph, &[Shape::from([1, 3, 8, 12])]);
    assert!(other.unwrap_err().to_string().contains("fixed_size"));
    assert!(infer_shapes(&file.graph, &[Shape::from([2, 3, 4, 4])]).is_ok());
}

/// Two boxes and two classes in 16 cells, as a head gives them: rows of x, y, w, h and scores.
fn head() -> Export {
    Export::new()
        .image(&[1, 3, 8, 4])
        .property("names", "['a', 'b']")
        .integers("rows", &[1, 6, 16])
        .node("Reshape images rows -> head", &[])
}

/// Cells in which nothing is found but at these: position, box, scores.
fn cells(found: &[(usize, [f32; 6])]) -> Tensor {
    let mut image = Tensor::zeros([1, 3, 8, 4]);
    for (cell, rows) in found {
        for (row, value) in rows.iter().enumerate() {
            image.data_mut()[row * 16 + cell] = *value;
        }
    }
    image
}

#[test]
fn suppression_inside_an_export_gives_rows_of_detections() {
    let export = |last: Export, first: &str| {
        last.integers("cut", &[4, 2])
            .integers("most", &[3])
            .floats("iou", &[1], &[0.5])
            .floats("least", &[1], &[0.25])
            .integers("zero", &[0])
            .integers("columns", &[2])
            .integers("one", &[1])
            .integers("flat", &[-1])
            .node("Transpose head -> cells", &[ints("perm", &[0, 2, 1])])
            .node("Split cells cut -> boxes scores", &[int("axis", 2)])
            .node("Transpose scores -> byclass", &[ints("perm", &[0, 2, 1])])
            .node(
                "NonMaxSuppression boxes byclass most iou least -> kept",
                &[],
            )
            .node("Gather kept one -> classcolumn", &[int("axis", 1)])
            .node("Gather kept columns -> boxcolumn", &[int("axis", 1)])
            .node("Reshape boxcolumn flat -> places", &[])
            .node("Squeeze zero -> image", &[])
            .node(&format!("{first} -> allboxes"), &[int("axis", 0)])
            .node("Gather allboxes places -> keptboxes", &[int("axis", 0)])
            .node("Concat boxcolumn classcolumn -> pairs", &[int("axis", 1)])
            .node("Gather scores image -> allscores", &[int("axis", 0)])
            .node("GatherND allscores pairs -> keptscores", &[])
            .node("Unsqueeze keptscores one -> scorecolumn", &[])
            .node("Cast classcolumn -> classes", &[int("to", 1)])
            .node(
                "Concat keptboxes scorecolumn classes -> found",
                &[int("axis", 1)],
            )
    };
    let padded = |first: &str| {
        export(head(), first)
            .node("Shape found -> size", &[])
            .node("Gather size zero -> count", &[int("axis", 0)])
            .integers("room", &[5])
            .integers("before", &[0, 0])
            .node("Sub room count -> free", &[])
            .node("Concat before free zero -> pads", &[int("axis", 0)])
            .node("Pad found pads -> all", &[])
            .node("Slice all zero room zero -> some", &[])
            .node("Unsqueeze some zero -> output0", &[])
    };
    let file = padded("Gather boxes image").read().unwrap();
    let detect = file.metadata.head.detect().unwrap();
    assert_eq!(detect.encoding, OutputEncoding::DecodedEndToEnd);
    let image = cells(&[
        (3, [0.0, 0.0, 2.0, 2.0, 0.5, 0.0]),
        (7, [0.0, 0.0, 2.0, 2.1, 0.75, 0.0]),
        (9, [4.0, 4.0, 6.0, 6.0, 0.0, 0.5]),
    ]);
    let rows = run(&file, &image);
    assert_eq!(rows.shape()[..], [1, 5, 6]);
    assert_eq!(
        rows.data()[..18],
        [
            [0.0, 0.0, 2.0, 2.1, 0.75, 0.0],
            [4.0, 4.0, 6.0, 6.0, 0.5, 1.0],
            [0.0; 6],
        ]
        .concat()
    );
    // A batch runs image by image.
    let mut both = image.data().to_vec();
    both.extend(cells(&[]).data());
    let both = run(&file, &Tensor::new([2, 3, 8, 4], both).unwrap());
    assert_eq!(both.shape()[..], [2, 5, 6]);
    assert_eq!(both.data()[..30], *rows.data());
    assert_eq!(both.data()[30..], [0.0; 30]);
    near(
        &run(
            &read_again(&crate::read::write_safetensors(&file).unwrap()),
            &image,
        ),
        &rows,
    );

    // Where the file takes the batch away first, only its own batch is known to be right.
    let pinned = padded("Squeeze boxes zero").read().unwrap();
    near(&run(&pinned, &image), &rows);
    assert!(infer_shapes(&pinned.graph, &[Shape::from([2, 3, 8, 4])]).is_err());

    let open = export(head(), "Gather boxes image").node("Unsqueeze found zero -> output0", &[]);
    let refusal = open.refusal();
    assert!(
        refusal.contains("depends on the image (1x0x6, "),
        "{refusal}"
    );
}

#[test]
fn the_tail_of_a_head_without_suppression_gives_rows_of_detections() {
    let file = head()
        .integers("cut", &[4, 2])
        .integers("k", &[3])
        .integers("last", &[-1])
        .integers("four", &[1, 1, 4])
        .integers("two", &[1, 1, 2])
        .integers("classes", &[2])
        .integers("flat", &[1, -1])
        .node("Transpose head -> cells", &[ints("perm", &[0, 2, 1])])
        .node("Split cells cut -> boxes scores", &[int("axis", 2)])
        .node(
            "ReduceMax scores -> best",
            &[ints("axes", &[2]), int("keepdims", 0)],
        )
        .node("TopK best k -> top places", &[])
        .node("Unsqueeze places last -> column", &[])
        .node("Tile column four -> forboxes", &[])
        .node(
            "GatherElements boxes forboxes -> topboxes",
            &[int("axis", 1)],
        )
        .node("Tile column two -> forscores", &[])
        .node(
            "GatherElements scores forscores -> topscores",
            &[int("axis", 1)],
        )
        .node("Reshape topscores flat -> list", &[])
        .node("TopK list k -> score index", &[])
        .node("Mod index classes -> class", &[])
        .node("Div index classes -> cell", &[])
        .node("Unsqueeze cell last -> cellcolumn", &[])
        .node("Tile cellcolumn four -> again", &[])
        .node(
            "GatherElements topboxes again -> finalboxes",
            &[int("axis", 1)],
        )
        .node("Unsqueeze score last -> scorecolumn", &[])
        .node("Cast class -> classf", &[int("to", 1)])
        .node("Unsqueeze classf last -> classcolumn", &[])
        .node(
            "Concat finalboxes scorecolumn classcolumn -> output0",
            &[int("axis", 2)],
        )
        .read()
        .unwrap();
    assert!(file.metadata.head.detect().unwrap().end_to_end);
    let image = cells(&[
        (3, [0.0, 1.0, 2.0, 3.0, 0.5, 0.875]),
        (9, [4.0, 4.0, 6.0, 6.0, 0.75, 0.0]),
    ]);
    let rows = run(&file, &image);
    let expected = [
        [0.0, 1.0, 2.0, 3.0, 0.875, 1.0],
        [4.0, 4.0, 6.0, 6.0, 0.75, 0.0],
        [0.0, 1.0, 2.0, 3.0, 0.5, 0.0],
    ];
    assert_eq!(*rows.data(), expected.concat());
}

#[test]
fn nodes_may_come_in_any_order() {
    let mut export = Export::new()
        .node("Relu cast -> a", &[])
        .decoded("a", 6)
        .node("Cast images -> cast", &[int("to", 10)]);
    let file = export.read().unwrap();
    assert_eq!(file.graph.nodes.len(), 2);
    export.graph().node[2].input[0] = "a".to_owned();
    assert!(export.refusal().contains("which nothing before it writes"));
}

#[test]
fn what_was_lacking_first_is_named_where_a_program_cannot_go_on() {
    let export = Export::new()
        .floats("low", &[], &[0.0])
        .floats("high", &[], &[6.0])
        .floats("w", &[6, 3, 1, 1], &[1.0; 18])
        .node("Clip images low high -> a", &[])
        .node("Abs a -> b", &[])
        .node("Conv b w -> c", &[])
        .decoded("c", 6);
    insta::assert_snapshot!(export.refusal(), @"the ONNX model uses operators that onelook lacks: Clip (to 0..6)");
}

#[test]
fn outputs_that_do_not_fit_the_names_are_refused() {
    let output = |extents: [i64; 3], names: &str| {
        let export = Export::new()
            .image(&[1, 3, 12, 10])
            .integers("extents", &extents)
            .node("Reshape images extents -> output0", &[]);
        match names {
            "" => export,
            names => export.property("names", names),
        }
    };
    let texts = [
        output([1, 6, 60], "['a']").refusal(),
        output([1, 6, 60], "['a', 'b', 'c']").refusal(),
        output([1, 40, 9], "['a', 'b', 'c', 'd']").refusal(),
        output([1, 40, 9], "").refusal(),
    ];
    insta::assert_snapshot!(texts.join("\n"), @r"
    cannot use this model: its output has shape 1x6x60 and its metadata names 1 classes; a detection model's output is 1 x (4 + classes) x anchors, or 1 x detections x 6 with class names
    cannot use this model: its output has shape 1x6x60 and its metadata names 3 classes; a detection model's output is 1 x (4 + classes) x anchors, or 1 x detections x 6 with class names
    cannot use this model: its output has shape 1x40x9 and its metadata names 4 classes; a detection model's output is 1 x (4 + classes) x anchors, or 1 x detections x 6 with class names; this looks like an export of the YOLOv5 repository, with an objectness column: export it with the ultralytics package
    cannot use this model: its output has shape 1x40x9 and its metadata names no classes; a detection model's output is 1 x (4 + classes) x anchors, or 1 x detections x 6 with class names
    ");
    assert!(output([1, 6, 60], "['a', 'b']").read().is_ok());
    assert!(output([1, 60, 6], "['a']").read().is_ok());
}

#[test]
fn windows_follow_padding_that_is_named_and_extents_rounded_up() {
    let pool = |attributes: &[proto::Attribute]| {
        let all = [
            attributes,
            &[ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2])],
        ]
        .concat();
        let export = Export::new()
            .node("MaxPool images -> a", &all)
            .node("AveragePool images -> b", &all)
            .node("Concat a b -> c", &[int("axis", 1)])
            .property("names", "['a', 'b']")
            .decoded("c", 6);
        let text = text(&export.read().unwrap());
        text.lines().skip(1).take(2).collect::<Vec<_>>().join("\n")
    };
    let counted = |name: &str| pool(&[word("auto_pad", name), int("count_include_pad", 1)]);
    insta::assert_snapshot!(counted("SAME_UPPER"), @r"
    %1: 1x3x2x2 = max_pool 3x3 stride 2 padding 0 (%0)  # /MaxPool
    %2: 1x3x2x2 = conv 3x3 3->3 stride 2 padding 0,0,1,1 groups 3 (%0)  # /AveragePool
    ");
    insta::assert_snapshot!(counted("SAME_LOWER"), @r"
    %1: 1x3x2x2 = max_pool 3x3 stride 2 padding 1 (%0)  # /MaxPool
    %2: 1x3x2x2 = conv 3x3 3->3 stride 2 padding 1,1,0,0 groups 3 (%0)  # /AveragePool
    ");
    insta::assert_snapshot!(pool(&[word("auto_pad", "VALID")]), @r"
    %1: 1x3x1x1 = max_pool 3x3 stride 2 padding 0 (%0)  # /MaxPool
    %2: 1x3x1x1 = conv 3x3 3->3 stride 2 groups 3 (%0)  # /AveragePool
    ");
    let up = [
        ints("kernel_shape", &[3, 3]),
        ints("strides", &[2, 2]),
        int("ceil_mode", 1),
    ];
    let export = Export::new()
        .property("names", "['a', 'b']")
        .node("MaxPool images -> a", &up)
        .decoded("a", 6);
    let text = text(&export.read().unwrap());
    insta::assert_snapshot!(text.lines().nth(1).unwrap(), @"%1: 1x3x2x2 = max_pool 3x3 stride 2 padding 0 (%0)  # /MaxPool");
}
