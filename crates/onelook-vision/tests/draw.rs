//! Drawing: stays inside whatever comes, and looks as it looked before (snapshots of images, with
//! a tolerance; set `ONELOOK_UPDATE_SNAPSHOTS=1` to accept what is drawn now).

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use onelook_types::{BoxXyxy, Frame, Instance, Instances, Keypoint};
use onelook_vision::draw::{DrawStyle, class_colour, draw};
use proptest::prelude::*;

fn found([x1, y1, x2, y2]: [f32; 4], class: usize, score: f32) -> Instance<'static> {
    Instance::new(BoxXyxy { x1, y1, x2, y2 }, class, score)
}

fn names() -> Vec<String> {
    [
        "cat",
        "Füchsin",
        "Кошка",
        "猫",
        "a name far too long for an image so small as this one",
    ]
    .map(str::to_owned)
    .to_vec()
}

fn scene() -> Instances {
    Instances::from_iter([
        found([20.0, 40.0, 120.0, 150.0], 0, 0.98),
        found([150.0, 0.0, 239.0, 60.0], 1, 0.9),
        found([22.0, 42.0, 90.0, 100.0], 2, 0.7),
        found([150.0, 90.0, 200.0, 140.0], 3, 0.6),
        found([60.0, 120.0, 300.0, 400.0], 4, 0.5),
    ])
}

fn tiles(width: usize, height: usize) -> Frame {
    let pixels = (0..width * height).flat_map(|index| {
        let (x, y) = (index % width, index / width);
        [(x * 8 / width * 32) as u8, (y * 8 / height * 32) as u8, 128]
    });
    Frame::new(width, height, pixels.collect()).unwrap()
}

fn style() -> DrawStyle {
    DrawStyle::default()
}

/// Binary PPM: needs no codec and, unpacked, opens in any viewer.
fn to_ppm(frame: &Frame) -> Vec<u8> {
    let mut bytes = format!("P6\n{} {}\n255\n", frame.width(), frame.height()).into_bytes();
    bytes.extend_from_slice(frame.pixels());
    bytes
}

/// Compares with the stored image: at most one pixel in a thousand may differ by more than 16.
fn assert_looks_like(frame: &Frame, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.ppm.gz"));
    let drawn = to_ppm(frame);
    if std::env::var_os("ONELOOK_UPDATE_SNAPSHOTS").is_some() {
        let file = std::fs::File::create(&path).unwrap();
        let mut file = flate2::write::GzEncoder::new(file, flate2::Compression::best());
        std::io::Write::write_all(&mut file, &drawn).unwrap();
        file.finish().unwrap();
    }
    let mut stored = Vec::new();
    let file = std::fs::File::open(&path).unwrap();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut stored).unwrap();
    assert_eq!(stored.len(), drawn.len(), "{name} has another size");
    let different = stored
        .iter()
        .zip(&drawn)
        .filter(|(a, b)| a.abs_diff(**b) > 16);
    assert!(
        different.count() <= drawn.len() / 1000,
        "{name} looks different"
    );
}

#[test]
fn boxes_and_labels_look_as_before() {
    let mut frame = tiles(240, 160);
    draw(&mut frame, &scene(), &names(), &style());
    assert_looks_like(&frame, "boxes_and_labels");
}

#[test]
fn thick_boxes_without_labels_look_as_before() {
    let mut frame = tiles(240, 160);
    let style = DrawStyle {
        line_width: Some(7),
        labels: false,
        confidence: false,
        boxes: true,
    };
    draw(&mut frame, &scene(), &names(), &style);
    assert_looks_like(&frame, "thick_boxes");
}

fn point([x, y]: [f32; 2], score: f32) -> Keypoint {
    let score = Some(score);
    Keypoint { x, y, score }
}

#[test]
fn a_person_and_a_thing_with_key_points_look_as_before() {
    const PERSON: [[f32; 2]; 17] = [
        [60.0, 22.0],
        [65.0, 17.0],
        [55.0, 17.0],
        [71.0, 20.0],
        [49.0, 20.0],
        [80.0, 42.0],
        [40.0, 42.0],
        [96.0, 66.0],
        [26.0, 64.0],
        [112.0, 50.0],
        [18.0, 90.0],
        [72.0, 88.0],
        [48.0, 88.0],
        [84.0, 116.0],
        [46.0, 118.0],
        [78.0, 146.0],
        [44.0, 146.0],
    ];
    let mut person = PERSON.map(|place| point(place, 0.9));
    // A wrist that is not seen, with the lower arm to it.
    person[10].score = Some(0.1);
    let thing = [[150.0, 40.0], [220.0, 40.0], [185.0, 110.0]].map(|place| point(place, 0.5));
    let objects = [
        Instance {
            keypoints: Some(&person),
            ..found([10.0, 8.0, 120.0, 154.0], 1, 0.9)
        },
        Instance {
            keypoints: Some(&thing),
            ..found([140.0, 30.0, 230.0, 120.0], 2, 0.8)
        },
    ];
    let mut frame = tiles(240, 160);
    draw(
        &mut frame,
        &Instances::from_iter(objects),
        &names(),
        &style(),
    );
    assert_looks_like(&frame, "keypoints");
}

#[test]
fn key_points_that_are_unlikely_or_outside_are_not_drawn() {
    let bare = DrawStyle {
        line_width: Some(2),
        labels: false,
        confidence: false,
        boxes: false,
    };
    let drawn = |points: &[Keypoint]| {
        let mut frame = Frame::filled(40, 30, [0; 3]).unwrap();
        let object = Instance {
            keypoints: Some(points),
            ..found([0.0; 4], 0, 0.9)
        };
        draw(&mut frame, &Instances::from_iter([object]), &[], &bare);
        frame
    };
    let nothing = drawn(&[]);
    for hidden in [
        point([20.0, 15.0], 0.2),
        point([f32::NAN, 15.0], 0.9),
        point([20.0, f32::INFINITY], 0.9),
        point([20.0, -1.0], 0.9),
        point([40.0, 15.0], 0.9),
        point([20.0, 0.0], 0.9),
        point([20.0, 15.0], f32::NAN),
    ] {
        assert_eq!(drawn(&[hidden; 17]), nothing, "{hidden:?}");
    }
    // A disc in the colour of its index, cut off at the border.
    let frame = drawn(&[point([20.0, 15.0], 0.25), point([0.5, 29.5], 0.9)]);
    let pixel = |x: usize, y: usize| &frame.pixels()[(y * 40 + x) * 3..][..3];
    assert_eq!(pixel(20, 15), class_colour(0));
    assert_eq!(pixel(21, 15), class_colour(0));
    assert_eq!(pixel(24, 15), [0; 3]);
    assert_eq!(pixel(0, 29), class_colour(1));
}

#[test]
fn nothing_is_drawn_for_nothing() {
    let mut frame = tiles(20, 10);
    draw(&mut frame, &Instances::default(), &[], &style());
    assert_eq!(frame, tiles(20, 10));
    let silent = DrawStyle {
        line_width: None,
        labels: false,
        confidence: false,
        boxes: false,
    };
    draw(&mut frame, &scene(), &names(), &silent);
    assert_eq!(frame, tiles(20, 10));
}

#[test]
fn a_box_around_the_whole_image_is_seen() {
    let mut frame = Frame::filled(64, 48, [0; 3]).unwrap();
    let all = Instances::from_iter([found([0.0, 0.0, 64.0, 48.0], 7, 0.5)]);
    let style = DrawStyle {
        labels: false,
        confidence: false,
        ..style()
    };
    draw(&mut frame, &all, &[], &style);
    for pixel in [frame.row(0), frame.row(47)]
        .iter()
        .flat_map(|row| row.chunks(3))
    {
        assert_eq!(pixel, class_colour(7));
    }
}

fn coordinate() -> impl Strategy<Value = f32> {
    prop_oneof![
        -50.0f32..150.0,
        Just(f32::NAN),
        Just(f32::INFINITY),
        Just(-1e30f32),
        Just(1e30f32)
    ]
}

proptest! {
    #[test]
    fn any_box_on_any_image_is_drawn_or_left_out(
        width in 1usize..60,
        height in 1usize..60,
        corners in [coordinate(), coordinate(), coordinate(), coordinate()],
        class in prop_oneof![0usize..100, Just(usize::MAX)],
        line_width in prop_oneof![Just(None), (0usize..200).prop_map(Some), Just(Some(usize::MAX))],
    ) {
        let mut frame = tiles(width, height);
        let instances = Instances::from_iter([found(corners, class, f32::NAN); 2]);
        draw(&mut frame, &instances, &names(), &DrawStyle { line_width, ..style() });
    }
}
