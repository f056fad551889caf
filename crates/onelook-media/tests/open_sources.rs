//! What the words of a user open, in which order, and what is said where they lead nowhere.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use onelook_media::{ExceededLimit, Limits, Source, SourceError, SourceOptions, encode_png};
use onelook_types::Frame;

/// A directory that goes when the test ends.
struct Scratch(PathBuf);

impl Scratch {
    /// Each file is an image of one pixel, whose red is the first letter of the content.
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onelook-media-{}-{count}", std::process::id());
        let scratch = Self(std::env::temp_dir().join(name));
        for (path, content) in files {
            let path = scratch.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, image(content)).unwrap();
        }
        scratch
    }

    fn word(&self, path: &str) -> String {
        self.0.join(path).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn image(content: &str) -> Vec<u8> {
    let frame = Frame::filled(1, 1, [content.as_bytes()[0], 0, 0]).unwrap();
    encode_png(&frame).unwrap()
}

fn open(words: &[String]) -> Result<Source, SourceError> {
    Source::open(words, &SourceOptions::default())
}

/// What the items hold, in their order.
fn contents(source: Source) -> Vec<String> {
    let length = source.len_hint();
    let mut last = None;
    let contents: Vec<String> = source
        .map(|frame| {
            assert!(last.is_none_or(|last| frame.index == last + 1));
            last = Some(frame.index);
            match frame.image {
                Ok(image) => char::from(image.frame.pixels()[0]).to_string(),
                Err(error) => error.to_string(),
            }
        })
        .collect();
    assert_eq!(length, Some(contents.len()));
    contents
}

fn refusal(words: &[String]) -> String {
    match open(words) {
        Ok(source) => panic!("{words:?} opened {:?} items", source.len_hint()),
        Err(error) => error.to_string(),
    }
}

const FILES: &[(&str, &str)] = &[
    ("b.jpg", "b"),
    ("a.PNG", "a"),
    ("c.webp", "c"),
    ("notes.md", "x"),
    ("notes.srt", "x"),
    ("odd[1].jpg", "o"),
    ("deep/d.tif", "d"),
    ("deep/er/e.bmp", "e"),
];

#[test]
fn a_file_is_one_item_with_its_path() {
    let scratch = Scratch::new(FILES);
    let word = scratch.word("b.jpg");
    let item = open(std::slice::from_ref(&word)).unwrap().next().unwrap();
    assert_eq!(
        (item.name, item.path),
        (word.clone(), Some(PathBuf::from(word)))
    );
    assert_eq!(item.image.unwrap().frame.pixels(), [b'b', 0, 0]);
}

#[test]
fn words_open_images_in_a_fixed_order() {
    let scratch = Scratch::new(FILES);
    let cases: [(&[&str], &[&str]); 6] = [
        (&[""], &["a", "b", "c", "o"]),
        (&["*.jpg"], &["b", "o"]),
        (&["**/*"], &["a", "b", "c", "d", "e", "o"]),
        (&["deep/**/*.bmp"], &["e"]),
        (&["odd[1].jpg"], &["o"]),
        (&["c.webp", "deep", "b.jpg"], &["c", "d", "b"]),
    ];
    for (words, expected) in cases {
        let words: Vec<String> = words.iter().map(|word| scratch.word(word)).collect();
        assert_eq!(contents(open(&words).unwrap()), expected, "{words:?}");
    }
}

#[test]
fn a_list_is_read_from_where_it_lies_and_from_here() {
    let scratch = Scratch::new(FILES);
    let absolute = scratch.word("c.webp");
    let list = format!("\u{feff}./b.jpg\r\n\n  {absolute}\ndeep/d.tif\nCargo.toml\nlost.jpg\n");
    fs::write(scratch.0.join("list.txt"), list).unwrap();
    let found = contents(open(&[scratch.word("list.txt")]).unwrap());
    assert_eq!(found[..3], ["b", "c", "d"]);
    assert!(found[3].contains("'Cargo.toml'"), "{}", found[3]);
    assert!(
        found[4].contains("lost.jpg' does not exist"),
        "{}",
        found[4]
    );
}

#[test]
fn a_file_that_vanishes_is_one_failed_item() {
    let scratch = Scratch::new(FILES);
    let source = open(&[scratch.word("*.jpg")]).unwrap();
    fs::remove_file(scratch.0.join("b.jpg")).unwrap();
    let found = contents(source);
    assert!(found[0].contains("does not exist"));
    assert_eq!(found[1], "o");
}

#[test]
fn a_refusal_names_the_word_and_says_what_to_do() {
    let scratch = Scratch::new(FILES);
    fs::create_dir(scratch.0.join("bare")).unwrap();
    fs::write(scratch.0.join("empty.txt"), "\n\n").unwrap();
    fs::write(scratch.0.join("binary.txt"), [0xff, 0xfe, 0x80]).unwrap();
    let cases = [
        ("lost.jpg", "does not exist: check the path"),
        (
            "bare",
            "holds no image and no video: expected files ending in",
        ),
        ("*.xyz", "holds no image"),
        ("empty.txt", "holds no image"),
        ("binary.txt", "must be text in UTF-8"),
        ("a**b/*.jpg", "is not a valid glob"),
    ];
    for (path, part) in cases {
        let word = scratch.word(path);
        let message = refusal(std::slice::from_ref(&word));
        assert!(
            message.contains(part) && message.contains(&word),
            "{message}"
        );
    }
    for (word, part) in [
        ("https://host/a.jpg", "download it first"),
        ("", "no source given"),
    ] {
        let message = refusal(&[word.to_owned()]);
        assert!(message.contains(part), "{message}");
    }
    assert!(refusal(&[]).contains("no source given"));
}

fn with_limits(max_bytes: u64) -> SourceOptions {
    SourceOptions {
        limits: Limits {
            max_bytes,
            ..Limits::default()
        },
        ..SourceOptions::default()
    }
}

#[test]
fn addresses_go_to_the_fetcher() {
    let options = SourceOptions {
        fetch: Some(Arc::new(|url: &str, _: u64| match url {
            "https://h/a.jpg" => Ok(image("a")),
            "https://h/long.jpg" => Ok(vec![0; 1001]),
            _ => Err("404".to_owned()),
        })),
        ..with_limits(1000)
    };
    let words = ["https://h/a.jpg", "HTTP://h/b.jpg", "https://h/long.jpg"].map(str::to_owned);
    let found = contents(Source::open(&words, &options).unwrap());
    assert_eq!(found[0], "a");
    assert!(found[1].contains("'HTTP://h/b.jpg' could not be fetched: 404"));
    assert!(found[2].contains("more than 1000 bytes"));
}

#[test]
fn an_address_goes_whole_to_the_fetcher_and_is_shown_without_its_password() {
    let options = SourceOptions {
        fetch: Some(Arc::new(|url: &str, _: u64| Err(format!("no {url}")))),
        ..SourceOptions::default()
    };
    let words = ["https://me:s3cret@h/a.jpg?sig=t0ken".to_owned()];
    let item = Source::open(&words, &options).unwrap().next().unwrap();
    assert_eq!(item.name, "https://***@h/a.jpg?sig=***");
    let error = item.image.unwrap_err().to_string();
    let shown = "https://***@h/a.jpg?sig=***";
    let expected = format!("'{shown}' could not be fetched: no {shown}");
    assert_eq!(error, expected);
    let refused = Source::open(&words, &SourceOptions::default());
    let error = refused.err().unwrap().to_string();
    assert!(!error.contains("s3cret") && !error.contains("t0ken"));
}

#[test]
fn without_ffmpeg_a_video_among_images_is_one_failed_item() {
    let scratch = Scratch::new(&[("a.png", "a"), ("b.mp4", "b"), ("c.png", "c")]);
    let options = SourceOptions {
        ffmpeg: Some("/nonexistent/ffmpeg".into()),
        ..SourceOptions::default()
    };
    let source = Source::open(&[scratch.word("")], &options).unwrap();
    assert_eq!((source.len_hint(), source.entries()), (Some(3), 3));
    let found = contents(source);
    assert_eq!((&*found[0], &*found[2]), ("a", "c"));
    assert!(found[1].contains("b.mp4': videos are read by ffmpeg"));
    let refused = Source::open(&[scratch.word("b.mp4")], &options);
    assert!(refused.is_err());
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let scratch = Scratch::new(&[("a.png", "a"), ("b.png", "b")]);
    let length = image("b").len() as u64;
    fs::write(scratch.0.join("a.png"), vec![0; length as usize + 1]).unwrap();
    let options = with_limits(length);
    let mut source = Source::open(&[scratch.word("")], &options).unwrap();
    let error = source.next().unwrap().image.unwrap_err();
    let allowed = length;
    assert_eq!(
        error.exceeded_limit(),
        Some(ExceededLimit::Bytes { allowed })
    );
    assert_eq!(contents(source), ["b"]);
}

/// The message leaves it to the program to name its flag.
#[test]
fn an_image_of_too_many_pixels_says_which_limit_it_exceeds() {
    let scratch = Scratch::new(&[("a.png", "a")]);
    fs::write(
        scratch.0.join("a.png"),
        encode_png(&Frame::filled(30, 20, [1, 2, 3]).unwrap()).unwrap(),
    )
    .unwrap();
    let options = SourceOptions {
        limits: Limits {
            max_pixels: 599,
            ..Limits::default()
        },
        ..SourceOptions::default()
    };
    let mut source = Source::open(&[scratch.word("a.png")], &options).unwrap();
    let error = source.next().unwrap().image.unwrap_err();
    let (claimed, allowed) = (600, 599);
    assert_eq!(
        error.exceeded_limit(),
        Some(ExceededLimit::Pixels { claimed, allowed })
    );
    assert!(
        error.to_string().ends_with("limit of 599: scale it down"),
        "{error}"
    );
}

#[test]
fn one_bad_image_among_a_thousand_is_one_failed_item_in_its_place() {
    let scratch = Scratch::new(&[("good.png", "g")]);
    fs::write(scratch.0.join("bad.png"), &image("b")[..40]).unwrap();
    let mut list = "good.png\n".repeat(700);
    list += "bad.png\n";
    list += &"good.png\n".repeat(299);
    fs::write(scratch.0.join("list.txt"), list).unwrap();
    // Room for two images of this size at a time, so that the bound is what is tested.
    let options = SourceOptions {
        threads: 4,
        bytes_ahead: 200,
        ..SourceOptions::default()
    };
    let found = contents(Source::open(&[scratch.word("list.txt")], &options).unwrap());
    assert!(found[700].contains("bad.png': this PNG is damaged or cut short"));
    assert_eq!(found.iter().filter(|content| *content == "g").count(), 999);
}

#[test]
fn a_stopped_source_gives_no_more() {
    let scratch = Scratch::new(FILES);
    let mut source = open(&[scratch.word("")]).unwrap();
    let handle = source.stop_handle();
    assert!(source.next().is_some());
    handle.stop();
    assert!(source.next().is_none());
    assert_eq!(source.len_hint(), Some(0));
}

#[test]
fn a_source_crosses_threads() {
    fn crosses<T: Send>() {}
    crosses::<Source>();
}
