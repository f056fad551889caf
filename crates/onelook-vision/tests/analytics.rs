//! Crossings, and what holds for lines and zones, over synthetic scenes whose events are known exactly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod scene;

use onelook_types::{BoxXyxy, Instances};
use onelook_vision::analytics::{
    Analytics, AnalyticsError, AnalyticsOptions, Anchor, BandOptions, Coordinates, CrowdOptions,
    Direction, EventKind, GroundPlane, LineRule, Point, SpeedOptions, ZoneOptions,
};
use proptest::collection::vec;
use proptest::prelude::*;
use scene::{RATE, Row, instances, line, run, zone};

/// One track along these places, all at y 300.
fn along(places: &[f32]) -> Vec<Vec<Row>> {
    places.iter().map(|&x| vec![(1, 0, [x, 300.0])]).collect()
}

/// Crossings in and out of the only line.
fn crossings(options: &AnalyticsOptions, frames: Vec<Vec<Row>>) -> [u64; 2] {
    run(options, frames).0.lines().next().unwrap().1.sums()
}

fn crossings_along(places: &[f32]) -> [u64; 2] {
    crossings(&line(BandOptions::default()), along(places))
}

#[test]
fn jitter_on_the_line_is_no_crossing() {
    let jitter: Vec<f32> = (0..500).map(|frame| [97.0, 103.0][frame % 2]).collect();
    assert_eq!(crossings_along(&jitter), [0, 0]);
    // A walk across with jitter on the way is one.
    let mut walk: Vec<f32> = vec![80.0, 90.0];
    walk.extend(&jitter[..50]);
    walk.extend([110.0, 120.0]);
    assert_eq!(crossings_along(&walk), [0, 1]);
}

#[test]
fn a_u_turn_is_a_crossing_each_way_and_one_before_the_line_none() {
    assert_eq!(crossings_along(&[80.0, 90.0, 95.0, 90.0, 80.0]), [0, 0]);
    assert_eq!(
        crossings_along(&[80.0, 95.0, 110.0, 120.0, 95.0, 80.0]),
        [1, 1]
    );
    let once = BandOptions {
        once: true,
        ..BandOptions::default()
    };
    let places = [80.0, 95.0, 110.0, 120.0, 95.0, 80.0];
    assert_eq!(crossings(&line(once), along(&places)), [0, 1]);
}

#[test]
fn the_way_back_needs_a_wider_band() {
    assert_eq!(crossings_along(&[80.0, 110.0, 95.0, 110.0]), [0, 1]);
    assert_eq!(crossings_along(&[80.0, 110.0, 93.0, 110.0]), [1, 2]);
}

#[test]
fn whoever_stands_just_beyond_the_line_has_crossed_it_after_two_seconds() {
    let stands = |frames: usize| {
        let mut places = vec![90.0];
        places.extend(vec![102.0; frames]);
        crossings_along(&places)
    };
    assert_eq!(stands(50), [0, 0]);
    assert_eq!(stands(51), [0, 1]);
}

#[test]
fn fast_objects_cross_in_one_step_and_pass_beside_the_ends() {
    assert_eq!(crossings_along(&[0.0, 1000.0]), [0, 1]);
    let step = |from: [f32; 2], to: [f32; 2]| {
        let frames = vec![vec![(1, 0, from)], vec![(1, 0, to)]];
        crossings(&line(BandOptions::default()), frames)
    };
    assert_eq!(step([50.0, 600.0], [150.0, 600.0]), [0, 0]);
    assert_eq!(step([50.0, 50.0], [150.0, 90.0]), [0, 0]);
    // Aslant through the line's end region: the way counts, not where it ends.
    assert_eq!(step([50.0, 600.0], [150.0, 300.0]), [0, 1]);
}

#[test]
fn a_track_born_on_the_line_has_come_from_nowhere() {
    assert_eq!(crossings_along(&[100.0, 100.0, 110.0, 120.0]), [0, 0]);
    assert_eq!(crossings_along(&[101.0, 110.0, 120.0]), [0, 0]);
    assert_eq!(crossings_along(&[99.0, 110.0, 120.0]), [0, 1]);
}

#[test]
fn a_track_that_is_lost_on_the_line_and_comes_back_beyond_it_has_crossed() {
    let lost_for = |frames: usize| {
        let mut scene = along(&[80.0, 90.0, 99.0]);
        scene.extend(vec![Vec::new(); frames]);
        scene.extend(along(&[115.0, 120.0]));
        crossings(&line(BandOptions::default()), scene)
    };
    assert_eq!(lost_for(100), [0, 1]);
    // Longer than tracks are remembered.
    assert_eq!(lost_for(1000), [0, 0]);
}

#[test]
fn an_id_that_changes_near_the_line_loses_no_crossing_and_adds_none() {
    let walk = |frame: usize| 70.0 + 4.0 * frame as f32;
    let scene: Vec<Vec<Row>> = (0..15)
        .map(|frame| vec![(1 + u64::from(frame > 7), 0, [walk(frame), 300.0])])
        .collect();
    let (analytics, events) = run(&line(BandOptions::default()), scene.clone());
    assert_eq!(analytics.lines().next().unwrap().1.sums(), [0, 1]);
    assert_eq!(events[0].object.unwrap().track_id, 2);
    let unjoined = AnalyticsOptions {
        join: None,
        ..line(BandOptions::default())
    };
    assert_eq!(crossings(&unjoined, scene), [0, 0]);
}

#[test]
fn two_ids_that_are_swapped_in_passing_count_as_two_crossings() {
    // One goes right at y 200, one left at y 400; their ids are swapped before they reach the line.
    let scene: Vec<Vec<Row>> = (0..30)
        .map(|frame| {
            let (right, left) = (40.0 + 4.0 * frame as f32, 160.0 - 4.0 * frame as f32);
            let (a, b) = if frame < 5 { (1, 2) } else { (2, 1) };
            vec![(a, 0, [right, 200.0]), (b, 0, [left, 400.0])]
        })
        .collect();
    let counted = crossings(&line(BandOptions::default()), scene);
    // The swap itself carries each id over the line, and the walk carries it back.
    assert_eq!(counted, [2, 2]);
}

#[test]
fn a_stranger_far_away_continues_no_lost_track() {
    let scene = vec![
        vec![(1, 0, [90.0, 300.0])],
        vec![(1, 0, [92.0, 300.0])],
        vec![(2, 0, [192.0, 300.0])],
    ];
    assert_eq!(crossings(&line(BandOptions::default()), scene), [0, 0]);
}

#[test]
fn totals_go_by_the_class_that_most_sightings_have() {
    let classes = [2, 2, 2, 7, 2, 7];
    let places = [70.0, 80.0, 90.0, 110.0, 120.0, 130.0];
    let scene = classes
        .iter()
        .zip(places)
        .map(|(&class, x)| vec![(1, class, [x, 300.0])]);
    let (analytics, events) = run(&line(BandOptions::default()), scene);
    let (_, totals) = analytics.lines().next().unwrap();
    assert_eq!(totals.outs.get(&2), Some(&1));
    assert_eq!((totals.outs.len(), totals.tracks), (1, 1));
    let event = &events[0];
    assert_eq!((event.time, event.place.as_str()), (3.0 / RATE, "line"));
    let direction = Direction::Out;
    assert_eq!(event.kind, EventKind::Crossed { direction });
    let object = event.object.unwrap();
    assert_eq!((object.track_id, object.class, object.score), (1, 2, 0.5));
    assert_eq!((object.bbox.x1, object.bbox.y2), (90.0, 300.0));
}

#[test]
fn the_anchor_is_a_choice() {
    let places = [[80.0, 560.0], [120.0, 560.0]];
    let scene = || places.iter().map(|&place| vec![(1, 0, place)]).collect();
    // The feet pass below the line's end, the heads over the line.
    assert_eq!(crossings(&line(BandOptions::default()), scene()), [0, 0]);
    let heads = BandOptions {
        anchor: Anchor::TopCentre,
        ..BandOptions::default()
    };
    assert_eq!(crossings(&line(heads), scene()), [0, 1]);
}

#[test]
fn repeated_events_are_counted_and_reported_once() {
    let places: Vec<f32> = (0..40).map(|frame| [80.0, 120.0][frame / 2 % 2]).collect();
    let mut options = line(BandOptions::default());
    let (_, events) = run(&options, along(&places));
    assert_eq!(events.len(), 19);
    options.repeat_after = 60.0;
    let (analytics, events) = run(&options, along(&places));
    assert_eq!(analytics.lines().next().unwrap().1.sums(), [9, 10]);
    assert_eq!(events.len(), 2);
}

#[test]
fn events_tell_the_speed_on_a_calibrated_plane() {
    let corners = |side: f64| [[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]];
    let points = |side| corners(side).map(|[x, y]| Point::new(x, y));
    let mut options = line(BandOptions::default());
    // A hundred pixels a metre.
    options.speed = Some(SpeedOptions::new(
        GroundPlane::new(points(1000.0), points(10.0)).unwrap(),
    ));
    let places: Vec<f32> = (0..40).map(|frame| 10.0 + 4.0 * frame as f32).collect();
    let (analytics, events) = run(&options, along(&places));
    let speed = events[0].object.unwrap().speed.unwrap();
    assert!((speed - 1.0).abs() < 1e-3, "{speed}");
    assert!(analytics.speed(1).is_some() && analytics.speed(2).is_none());
}

#[test]
fn fractions_and_pixels_are_the_same_places() {
    let mut options = line(BandOptions::default());
    options.coordinates = Coordinates::Fractions;
    options.image = Some([200, 1000]);
    options.lines[0].start = Point::new(0.5, 0.5);
    options.lines[0].end = Point::new(0.5, 0.1);
    assert_eq!(crossings(&options, along(&[80.0, 120.0])), [0, 1]);
}

#[test]
fn hostile_times_and_boxes_do_no_harm() {
    let mut analytics = Analytics::new(&line(BandOptions::default())).unwrap();
    let mut at = |time: f64, x: f32| {
        analytics
            .update(time, &instances(&[(1, 0, [x, 300.0])]))
            .len()
    };
    assert_eq!(at(0.0, 80.0), 0);
    assert_eq!(at(f64::NAN, f32::NAN), 0);
    assert_eq!(at(f64::INFINITY, f32::INFINITY), 0);
    assert_eq!(at(-5.0, 120.0), 1);
    let untracked = Instances::new(vec![BoxXyxy::default()], vec![0], vec![1.0]);
    assert_eq!(analytics.update(1.0, &untracked), []);
}

#[test]
fn descriptions_that_make_no_sense_are_refused() {
    let refused = |change: &dyn Fn(&mut AnalyticsOptions)| {
        let mut options = line(BandOptions::default());
        options.zones = zone(ZoneOptions::default()).zones;
        options.image = Some([640, 640]);
        change(&mut options);
        Analytics::new(&options).unwrap_err()
    };
    let is = |error: AnalyticsError, words: &str| {
        assert!(error.to_string().contains(words), "{error}");
    };
    is(
        refused(&|it| it.lines[0].end = it.lines[0].start),
        "'line' has no length",
    );
    is(
        refused(&|it| it.zones[0].corners.truncate(2)),
        "2 corners: give 3 to 1000",
    );
    is(
        refused(&|it| it.zones[0].corners.swap(0, 1)),
        "'zone' crosses itself",
    );
    is(
        refused(&|it| it.zones[0].name = "line".to_owned()),
        "a name of its own",
    );
    is(refused(&|it| it.lines[0].name.clear()), "a name of its own");
    is(
        refused(&|it| it.lines[0].end.y = 640.5),
        "outside of the image",
    );
    is(
        refused(&|it| it.lines[0].end.y = f64::NAN),
        "outside of the image",
    );
    is(refused(&|it| it.image = Some([0, 640])), "image is 0");
    is(
        refused(&|it| it.coordinates = Coordinates::Fractions),
        "outside of the image",
    );
    is(
        refused(&|it| {
            it.coordinates = Coordinates::Fractions;
            it.image = None;
        }),
        "image is NaN",
    );
    is(
        refused(&|it| it.zones[0].options.enter_after = -1.0),
        "enter_after is -1",
    );
    is(refused(&|it| it.memory = f64::INFINITY), "memory is inf");
    is(
        refused(&|it| {
            it.lines[0].rule = LineRule::Supervision {
                anchors: Vec::new(),
                threshold: 1,
            };
        }),
        "anchors is 0",
    );
    is(
        refused(&|it| {
            let mut crowd = CrowdOptions::new(2, 1.0);
            crowd.release_count = 3;
            it.zones[0].options.crowd = Some(crowd);
        }),
        "not below crowd.release_count",
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn totals_are_the_sums_of_events_whatever_tracks_and_times_do(
        frames in vec((any::<f64>(), vec((0_u64..6, 0_usize..3, -50.0_f32..450.0, 50.0_f32..650.0), 0..6)), 0..60),
        steady in any::<bool>(),
    ) {
        let mut options = line(BandOptions::default());
        options.zones = zone(ZoneOptions { crowd: Some(CrowdOptions::new(2, 0.1)), ..ZoneOptions::default() }).zones;
        let mut analytics = Analytics::new(&options).unwrap();
        let mut crossed = [0_u64; 2];
        let (mut came, mut went) = (0, 0);
        for (index, (time, rows)) in frames.into_iter().enumerate() {
            let time = if steady { index as f64 / RATE } else { time };
            let rows: Vec<Row> = rows.into_iter().map(|(id, class, x, y)| (id, class, [x, y])).collect();
            for event in analytics.update(time, &instances(&rows)) {
                match event.kind {
                    EventKind::Crossed { direction: Direction::In } => crossed[0] += 1,
                    EventKind::Crossed { direction: Direction::Out } => crossed[1] += 1,
                    EventKind::Entered { .. } => came += 1,
                    EventKind::Left { dwell, .. } => {
                        went += 1;
                        prop_assert!(dwell >= 0.0);
                    }
                    _ => {}
                }
            }
        }
        let (_, totals) = analytics.lines().next().unwrap();
        prop_assert_eq!(totals.sums(), crossed);
        let (_, totals) = analytics.zones().next().unwrap();
        prop_assert_eq!(totals.entered + totals.born_inside, came);
        prop_assert_eq!(totals.left + totals.lost_inside, went);
        prop_assert_eq!(analytics.occupants(0).count() as u64, came - went);
    }
}
