//! Videos and cameras among the sources of frames.

use super::*;

#[test]
fn images_and_videos_of_a_directory_come_in_turn() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let pixel = Frame::filled(2, 1, [9, 9, 9]).unwrap();
    for name in ["a.png", "c.png"] {
        fs::write(
            scratch.path(name),
            onelook_media::encode_png(&pixel).unwrap(),
        )
        .unwrap();
    }
    scratch.clip("b.mp4", "64x48", 1, X264);
    fs::write(scratch.path("bad.mp4"), b"no video").unwrap();
    let word = scratch.0.display().to_string();
    let source = Source::open(&[word], &SourceOptions::default()).unwrap();
    assert_eq!((source.len_hint(), source.entries()), (None, 4));
    let items: Vec<(usize, Option<u64>, bool)> = source
        .map(|item| {
            let frame = item.video.as_ref().map(|video| video.frame);
            assert_eq!(
                item.timestamp.is_some(),
                item.image.is_ok() && frame.is_some()
            );
            (item.index, frame, item.image.is_ok())
        })
        .collect();
    let mut expected = vec![(0, None, true)];
    expected.extend((1..=10).map(|frame| (1, Some(frame), true)));
    expected.extend([(2, Some(0), false), (3, None, true)]);
    assert_eq!(items, expected);
}

#[test]
fn a_stopped_source_ends_in_the_middle_of_a_video() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let path = scratch.clip("a.mp4", "64x48", 2, X264);
    let words = [path.display().to_string(), path.display().to_string()];
    let mut source = Source::open(&words, &SourceOptions::default()).unwrap();
    assert!(source.next().is_some());
    source.stop_handle().stop();
    assert!(source.next().is_none());
}

#[test]
fn live_streams_are_refused_among_others() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let list = scratch.path("cameras.streams");
    fs::write(&list, "# two\nrtsp://me:secret@host/a\nrtsp://host/b\n").unwrap();
    let refused = Source::open(&[list.display().to_string()], &SourceOptions::default());
    let said = refused.err().unwrap().to_string();
    assert!(
        said.contains("'rtsp://***@host/a' is a live stream"),
        "{said}"
    );
}

#[test]
fn lists_of_streams_and_live_streams_among_others_are_to_be_run_at_once() {
    let Some(scratch) = Scratch::new() else {
        return;
    };
    let words = |names: &[&str]| -> Vec<String> {
        let word = |name: &&str| match name.contains("://") {
            true => (*name).to_owned(),
            false => scratch.path(name).display().to_string(),
        };
        names.iter().map(word).collect()
    };
    let list = |name: &str, text: &str| fs::write(scratch.path(name), text).unwrap();
    list("videos.streams", "a.mp4\nb.mp4\n");
    list("images.streams", "a.jpg\nb.jpg\n");
    list("one.streams", "rtsp://host/a\n");
    list("videos.txt", "a.mp4\nb.mp4\n");
    let options = SourceOptions::default();
    for (names, expected) in [
        (&["videos.streams"][..], Some([false, false])),
        (
            &["rtsp://me:secret@host/a", "tcp://host:1"],
            Some([true, true]),
        ),
        (&["videos.txt"], None),
        (&["images.streams"], None),
        (&["one.streams"], None),
    ] {
        let opened = Source::open_all(&words(names), &options);
        let is_live = match opened {
            Ok(OpenedSource::AtOnce(streams)) => {
                assert!(streams.iter().all(|stream| !stream.name.contains("secret")));
                Some(
                    streams
                        .iter()
                        .map(|stream| stream.is_live)
                        .collect::<Vec<_>>(),
                )
            }
            Ok(OpenedSource::InTurn(_)) | Err(_) => None,
        };
        assert_eq!(is_live, expected.map(|it| it.to_vec()), "{names:?}");
    }
    let mixed = words(&["rtsp://host/a", "images.streams"]);
    let said = Source::open_all(&mixed, &options)
        .err()
        .unwrap()
        .to_string();
    assert!(said.contains("a.jpg' is no video"), "{said}");
}

/// Nobody listens there.
#[test]
fn a_refused_camera_is_told_without_its_password() {
    let Some(_scratch) = Scratch::new() else {
        return;
    };
    let word = "rtsp://me:it's-secret@127.0.0.1:9/cam?token=hidden".to_owned();
    let mut source = Source::open(&[word], &SourceOptions::default()).unwrap();
    let item = source.next().unwrap();
    let said = item.image.unwrap_err().to_string();
    assert!(
        said.contains("refused") && said.contains("***@127.0.0.1:9"),
        "{said}"
    );
    for secret in ["secret", "hidden", "me:"] {
        assert!(
            !said.contains(secret) && !item.name.contains(secret),
            "{said}"
        );
    }
    assert!(source.next().is_none());
}
