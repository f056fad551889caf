//! Photographs from real cameras; needs the test data (`ONELOOK_TEST_DATA`).
#![allow(clippy::unwrap_used)]

use onelook_media::{Source, SourceOptions};
use test_support::data;

#[test]
fn every_photograph_decodes() {
    let Some(data) = data() else { return };
    let words = [
        "images",
        "coco-val-subset/images",
        "coco-train-subset/images",
    ]
    .map(|directory| data.join(directory).display().to_string());
    let source = Source::open(&words, &SourceOptions::default()).unwrap();
    assert_eq!(source.len_hint(), Some(258));
    for item in source {
        let image = item.image.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(image.warnings, [], "{}", item.name);
        let frame = image.frame;
        assert!(
            frame.width() >= 100 && frame.height() >= 100,
            "{}",
            item.name
        );
    }
}
