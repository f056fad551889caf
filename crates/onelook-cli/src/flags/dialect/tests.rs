//! Words as people type them, and what becomes of them.

use super::super::cli::declarations;
use super::*;

fn normalised(typed: &str) -> Result<String, String> {
    let words: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
    let mut root = declarations();
    root.build();
    let words = normalise(&root, &words)?;
    let words: Vec<String> = words
        .into_iter()
        .map(|word| word.into_string().unwrap())
        .collect();
    Ok(words.join(" "))
}

fn check(typed: &str, expected: &str) {
    assert_eq!(normalised(typed).as_deref(), Ok(expected), "{typed}");
}

#[test]
fn both_dialects_mean_the_same() {
    let expected = "onelook predict --model=yolo11n.pt --source=bus.jpg --conf=0.25";
    for typed in [
        "onelook predict model=yolo11n.pt source=bus.jpg conf=0.25",
        "onelook predict --model=yolo11n.pt --source=bus.jpg --conf=0.25",
        "onelook predict model = yolo11n.pt source= bus.jpg conf =0.25",
        "onelook mode=predict model=yolo11n.pt source=bus.jpg conf=0.25",
        "onelook model=yolo11n.pt source=bus.jpg mode=predict conf=0.25",
        "onelook model=yolo11n.pt source=bus.jpg conf=0.25 mode = predict",
        "onelook predict mode=predict model=yolo11n.pt source=bus.jpg conf=0.25",
        "onelook model=yolo11n.pt source=bus.jpg conf=0.25",
    ] {
        check(typed, expected);
    }
    check(
        "onelook predict --model yolo11n.pt --source bus.jpg",
        "onelook predict --model yolo11n.pt --source bus.jpg",
    );
    check(
        "onelook --json val data=a",
        "onelook --json=true val --data=a",
    );
    check(
        "onelook json=True mode=val data=a",
        "onelook --json=True val --data=a",
    );
}

#[test]
fn a_task_before_the_mode_is_accepted() {
    let expected = "onelook predict --model=a.pt --task=detect";
    for typed in [
        "onelook detect predict model=a.pt",
        "onelook task=detect mode=predict model=a.pt",
        "onelook task = detect mode = predict model=a.pt",
        "onelook mode=predict task=detect model=a.pt",
    ] {
        check(typed, expected);
    }
    check(
        "onelook predict task=detect",
        "onelook predict --task=detect",
    );
    check("onelook task=None predict", "onelook predict");
}

#[test]
fn modes_of_the_reference_say_what_to_use() {
    for (typed, word) in [
        ("onelook train data=a.yaml", "does not train"),
        ("onelook mode=export model=a.pt", "onelook convert"),
        ("onelook mode=walk", "no such command"),
        ("onelook val mode=predict", "both"),
    ] {
        let said = normalised(typed).unwrap_err();
        assert!(said.contains(word), "{typed}: {said}");
    }
}

#[test]
fn switches_are_on_off_or_negated() {
    check(
        "onelook predict save_txt",
        "onelook predict --save-txt=true",
    );
    check("onelook predict rect=False", "onelook predict --rect=False");
    check("onelook predict --no-rect", "onelook predict --rect=false");
    check(
        "onelook predict --rect false",
        "onelook predict --rect=false",
    );
    check("onelook predict --no_save", "onelook predict --save=false");
    check(
        "onelook predict no_save=False",
        "onelook predict --save=true",
    );
    check(
        "onelook models fetch --force x",
        "onelook models fetch --force=true x",
    );
}

#[test]
fn keys_of_the_reference_are_dropped_mapped_or_explained() {
    let harmless = "onelook predict half=False augment=False stream=True embed=None \
        visualize=False device= --half False --stream";
    check(harmless, "onelook predict");
    check("onelook val show=False", "onelook val");
    check("onelook predict show=True", "onelook predict --show=True");
    check("onelook predict half=True", "onelook predict --quantize=16");
    check(
        "onelook predict --half conf=0.5",
        "onelook predict --quantize=16 --conf=0.5",
    );
    check(
        "onelook predict hide_labels=True",
        "onelook predict --show-labels=false",
    );
    assert!(
        normalised("onelook val show=True")
            .unwrap_err()
            .contains("predict, track and count")
    );
    assert!(normalised("onelook predict --augment").is_err());
}

#[test]
fn a_value_is_never_taken_for_a_flag() {
    for typed in [
        "onelook predict --source conf=1.jpg --model a=b.pt",
        "onelook predict --source mode=val",
        "onelook predict --source half",
        "onelook predict -s save_txt",
    ] {
        check(typed, typed);
    }
    check(
        "onelook predict source=a=b.jpg",
        "onelook predict --source=a=b.jpg",
    );
    check(
        "onelook predict classes=[0,2]",
        "onelook predict --classes=[0,2]",
    );
    check(
        "onelook predict classes=[0, 2]",
        "onelook predict --classes=[0,2]",
    );
    check(
        "onelook predict classes = [ 0, 2 ]",
        "onelook predict --classes=[0,2]",
    );
    check("onelook predict classes=None", "onelook predict");
    check(
        "onelook serve grpc_port=none",
        "onelook serve --grpc-port=none",
    );
    check("onelook predict -- conf=0.5", "onelook predict -- conf=0.5");
}

#[test]
fn a_mistyped_key_becomes_a_flag_that_the_parser_refuses() {
    check("onelook predict confg=0.3", "onelook predict --confg=0.3");
    check("onelook detekt", "onelook detekt");
    check("onelook --help", "onelook --help");
}

#[test]
fn words_of_commands_with_names_are_left_alone() {
    for typed in [
        "onelook models fetch yolo11n",
        "onelook models show a=b.pt",
        "onelook completions bash",
    ] {
        check(typed, typed);
    }
}
