//! Stays in zones over synthetic scenes whose events are known exactly.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod scene;

use onelook_vision::analytics::{CrowdOptions, EventKind, ZoneOptions};
use scene::{RATE, Row, run, zone};

/// One track that is inside of the zone on the frames marked with `i`, outside on those with `o`,
/// unseen on others.
fn visits(pattern: &str) -> Vec<Vec<Row>> {
    let row = |letter| match letter {
        'i' => vec![(1, 0, [110.0, 200.0])],
        'o' => vec![(1, 0, [90.0, 200.0])],
        _ => Vec::new(),
    };
    pattern.chars().map(row).collect()
}

/// Entered, born inside, left, lost inside.
fn stays(pattern: &str) -> [u64; 4] {
    let (analytics, _) = run(&zone(ZoneOptions::default()), visits(pattern));
    let (_, totals) = analytics.zones().next().unwrap();
    [
        totals.entered,
        totals.born_inside,
        totals.left,
        totals.lost_inside,
    ]
}

#[test]
fn a_zone_is_entered_and_left_once_however_the_box_trembles() {
    let edge = "oi".repeat(100);
    assert_eq!(stays(&edge), [0, 0, 0, 0]);
    let inside = "i".repeat(10);
    let trembling = "iiio".repeat(25);
    assert_eq!(
        stays(&format!("oo{inside}{trembling}{inside}")),
        [1, 0, 0, 0]
    );
    let outside = "o".repeat(27);
    assert_eq!(
        stays(&format!("oo{inside}{trembling}{outside}")),
        [1, 0, 1, 0]
    );
}

#[test]
fn a_track_that_is_born_inside_has_not_entered() {
    assert_eq!(stays(&"i".repeat(10)), [0, 1, 0, 0]);
    assert_eq!(stays(&"i".repeat(5)), [0, 0, 0, 0]);
}

#[test]
fn a_track_that_was_lost_before_it_had_entered_begins_anew() {
    let seen_again = |after: &str| stays(&format!("oiii{}{after}", " ".repeat(30)));
    assert_eq!(seen_again("i"), [0, 0, 0, 0]);
    assert_eq!(seen_again("iiiiii"), [1, 0, 0, 0]);
}

#[test]
fn an_occlusion_in_the_zone_interrupts_no_stay_and_a_long_one_ends_it() {
    let inside = "i".repeat(10);
    let hidden = |frames: usize| format!("o{inside}{}{inside}", " ".repeat(frames));
    assert_eq!(stays(&hidden(20)), [1, 0, 0, 0]);
    assert_eq!(stays(&hidden(30)), [1, 1, 0, 1]);
    // Last seen outside, then hidden: it has left.
    assert_eq!(
        stays(&format!("o{inside}o{}", " ".repeat(30))),
        [1, 0, 1, 0]
    );
}

#[test]
fn dwell_times_are_from_first_inside_to_last_inside() {
    let pattern = format!("oo{}{}", "i".repeat(26), "o".repeat(40));
    let (analytics, events) = run(&zone(ZoneOptions::default()), visits(&pattern));
    let kinds: Vec<EventKind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(
        kinds,
        [
            EventKind::Entered {
                since: 2.0 / RATE,
                born_inside: false
            },
            EventKind::Left {
                last_inside: 27.0 / RATE,
                dwell: 27.0 / RATE - 2.0 / RATE,
                lost: false
            },
        ]
    );
    assert_eq!((events[0].time, events[1].time), (7.0 / RATE, 53.0 / RATE));
    let (_, totals) = analytics.zones().next().unwrap();
    assert_eq!(totals.dwell_mean(), Some(totals.dwell_longest));
    assert_eq!(
        (totals.most_at_once, analytics.occupants(0).count()),
        (1, 0)
    );
}

#[test]
fn occupancy_is_by_class_and_holds_those_that_are_hidden_for_a_moment() {
    let all = |frame: usize| -> Vec<Row> {
        let mut rows = vec![(1, 0, [150.0, 200.0]), (2, 2, [200.0, 200.0])];
        if frame < 20 {
            rows.push((3, 2, [250.0, 200.0]));
        }
        rows
    };
    let (analytics, _) = run(&zone(ZoneOptions::default()), (0..30).map(all));
    assert_eq!(analytics.occupancy(0), [(0, 1), (2, 2)].into());
    assert_eq!(analytics.occupancy(7).len(), 0);
}

#[test]
fn an_id_that_changes_inside_is_one_stay() {
    let scene = (0..40_u64).map(|frame| vec![(1 + frame / 10, 0, [110.0 + frame as f32, 200.0])]);
    let (analytics, _) = run(&zone(ZoneOptions::default()), scene);
    let (_, totals) = analytics.zones().next().unwrap();
    assert_eq!((totals.born_inside, totals.lost_inside), (1, 0));
    let occupants: Vec<_> = analytics.occupants(0).collect();
    assert_eq!((occupants.len(), occupants[0].track_id), (1, 4));
    assert_eq!(
        (occupants[0].since, occupants[0].last_inside),
        (0.0, 39.0 / RATE)
    );
}

#[test]
fn a_crowd_starts_and_ends_after_its_own_delays() {
    let options = ZoneOptions {
        crowd: Some(CrowdOptions {
            release_count: 2,
            ..CrowdOptions::new(3, 1.0)
        }),
        lost_after: 0.0,
        ..ZoneOptions::default()
    };
    let rows = |count: usize| -> Vec<Row> {
        (0..count)
            .map(|id| (id as u64, 0, [120.0 + 50.0 * id as f32, 200.0]))
            .collect()
    };
    // Two are fewer than three, but as many as hold a crowd together.
    let counts = [vec![3; 40], vec![2; 40], vec![3; 10], vec![1; 40]].concat();
    let (_, events) = run(&zone(options), counts.into_iter().map(rows));
    let crowds: Vec<(f64, EventKind)> = events
        .iter()
        .filter(|event| event.object.is_none())
        .map(|event| (event.time, event.kind))
        .collect();
    assert_eq!(
        crowds,
        [
            (30.0 / RATE, EventKind::CrowdStarted { count: 3 }),
            (
                115.0 / RATE,
                EventKind::CrowdEnded {
                    count: 1,
                    duration: 90.0 / RATE - 5.0 / RATE
                }
            ),
        ]
    );
}
