//! Whole programs: over a batch, refused, written and read back.

use super::*;

fn program(operators: &[&str], reads: Reads) -> Program {
    let step = |(at, operator): (usize, &&str)| ProgramStep {
        instruction: Instruction {
            operator: (*operator).to_owned(),
            ..attributes(&[])
        },
        operands: vec![Some(at)],
        results: 1,
    };
    Program {
        reads,
        inputs: 1,
        constants: Vec::new(),
        steps: operators.iter().enumerate().map(step).collect(),
        result: operators.len(),
    }
}

#[test]
fn a_program_runs_image_by_image() {
    let sum = program(&["ReduceMax", "Neg"], Reads::Images(1));
    let images = Tensor::from_fn([3, 1, 2], |k| k as f32);
    let shape = Shape::from([3, 1, 2]);
    assert_eq!(sum.infer(&[&shape]).unwrap(), [Shape::from([3, 1, 1])]);
    assert_eq!(
        sum.execute(&[&images]).unwrap()[0].data(),
        [-1.0, -3.0, -5.0]
    );
    let pairs = program(&["Neg"], Reads::Images(2));
    assert!(pairs.infer(&[&shape]).is_err());
    assert!(pairs.execute(&[&images]).is_err());
}

#[test]
fn results_that_are_no_batch_of_floats_are_refused() {
    let shape = Shape::from([2, 3]);
    let image = Tensor::zeros(shape.clone());
    for operators in [&["Shape"][..], &["NonZero"], &["Cast"], &["Fantasy"]] {
        let program = program(operators, Reads::Images(1));
        assert!(program.infer(&[&shape]).is_err(), "{operators:?}");
        assert!(program.execute(&[&image]).is_err(), "{operators:?}");
    }
}

#[test]
fn a_program_survives_being_written_and_its_contradictions_are_found() {
    let mut whole = program(&["Neg"], Reads::Shapes);
    whole.constants = vec![
        floats(&[f32::NAN.copysign(-1.0), 1.5]),
        kinds(IntegerKind::U8, &[255]),
    ];
    whole.steps[0].operands = vec![Some(2), None];
    whole.result = 3;
    whole.check().unwrap();
    let text = serde_json::to_string(&whole).unwrap();
    let back: Program = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&back).unwrap(), text);
    for lie in [("[255]", "[256]"), ("[2]", "[3]"), ("\"u8\"", "\"u99\"")] {
        let changed = text.replace(lie.0, lie.1);
        assert!(
            serde_json::from_str::<Program>(&changed).is_err(),
            "{lie:?}"
        );
    }
    let mends: [fn(&mut Program); 4] = [
        |program| program.result = 9,
        |program| program.steps[0].operands = vec![Some(3)],
        |program| program.steps[0].instruction.operator = "Loop".to_owned(),
        |program| program.steps[0].results = usize::MAX,
    ];
    for mend in mends {
        let mut changed = whole.clone();
        mend(&mut changed);
        assert!(changed.check().is_err());
        assert!(changed.execute(&[&Tensor::zeros([1])]).is_err());
    }
}
