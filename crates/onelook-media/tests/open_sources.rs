//! What the words of a user open, in which order, and what is said where they lead nowhere.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use onelook_media::{Source, SourceError, SourceOptions};

/// A directory that goes when the test ends.
struct Room(PathBuf);

impl Room {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onelook-media-{}-{count}", std::process::id());
        let room = Self(std::env::temp_dir().join(name));
        for (path, content) in files {
            let path = room.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        room
    }

    fn word(&self, path: &str) -> String {
        self.0.join(path).display().to_string()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn open(words: &[String]) -> Result<Source, SourceError> {
    Source::open(words, &SourceOptions::default())
}

/// What the items hold, in their order.
fn contents(source: Source) -> Vec<String> {
    let length = source.len();
    let contents: Vec<String> = source
        .map(|item| match item.bytes {
            Ok(bytes) => String::from_utf8(bytes).unwrap(),
            Err(error) => error.to_string(),
        })
        .collect();
    assert_eq!(contents.len(), length);
    contents
}

fn refusal(words: &[String]) -> String {
    match open(words) {
        Ok(source) => panic!("{words:?} opened {} items", source.len()),
        Err(error) => error.to_string(),
    }
}

const FILES: &[(&str, &str)] = &[
    ("b.jpg", "b"),
    ("a.PNG", "a"),
    ("c.webp", "c"),
    ("notes.md", "x"),
    ("clip.mp4", "x"),
    ("cameras.streams", "x"),
    ("odd[1].jpg", "odd"),
    ("deep/d.tif", "d"),
    ("deep/er/e.bmp", "e"),
];

#[test]
fn a_file_is_one_item_with_its_path() {
    let room = Room::new(FILES);
    let word = room.word("b.jpg");
    let item = open(std::slice::from_ref(&word)).unwrap().next().unwrap();
    assert_eq!(
        (item.name, item.path),
        (word.clone(), Some(PathBuf::from(word)))
    );
    assert_eq!(item.bytes, Ok(b"b".to_vec()));
}

#[test]
fn words_open_images_in_a_fixed_order() {
    let room = Room::new(FILES);
    let cases: [(&[&str], &[&str]); 6] = [
        (&[""], &["a", "b", "c", "odd"]),
        (&["*.jpg"], &["b", "odd"]),
        (&["**/*"], &["a", "b", "c", "d", "e", "odd"]),
        (&["deep/**/*.bmp"], &["e"]),
        (&["odd[1].jpg"], &["odd"]),
        (&["c.webp", "deep", "b.jpg"], &["c", "d", "b"]),
    ];
    for (words, expected) in cases {
        let words: Vec<String> = words.iter().map(|word| room.word(word)).collect();
        assert_eq!(contents(open(&words).unwrap()), expected, "{words:?}");
    }
}

#[test]
fn a_list_is_read_from_where_it_lies_and_from_here() {
    let room = Room::new(FILES);
    let absolute = room.word("c.webp");
    let list = format!("\u{feff}./b.jpg\r\n\n  {absolute}\ndeep/d.tif\nCargo.toml\nlost.jpg\n");
    fs::write(room.0.join("list.txt"), list).unwrap();
    let found = contents(open(&[room.word("list.txt")]).unwrap());
    assert_eq!(found[..3], ["b", "c", "d"]);
    assert!(found[3].contains("onelook-media"));
    assert!(
        found[4].contains("lost.jpg' does not exist"),
        "{}",
        found[4]
    );
}

#[test]
fn a_file_that_vanishes_is_one_failed_item() {
    let room = Room::new(FILES);
    let source = open(&[room.word("*.jpg")]).unwrap();
    fs::remove_file(room.0.join("b.jpg")).unwrap();
    let found = contents(source);
    assert!(found[0].contains("does not exist"));
    assert_eq!(found[1], "odd");
}

#[test]
fn a_refusal_names_the_word_and_says_what_to_do() {
    let room = Room::new(FILES);
    fs::create_dir(room.0.join("bare")).unwrap();
    fs::write(room.0.join("empty.txt"), "\n\n").unwrap();
    fs::write(room.0.join("binary.txt"), [0xff, 0xfe, 0x80]).unwrap();
    let cases = [
        ("lost.jpg", "does not exist: check the path"),
        ("bare", "holds no image: expected files ending in"),
        ("*.xyz", "holds no image"),
        ("empty.txt", "holds no image"),
        ("binary.txt", "must be text in UTF-8"),
        ("clip.mp4", "is a video, which is not supported yet"),
        (
            "cameras.streams",
            "is a list of streams, which is not supported yet",
        ),
        ("a**b/*.jpg", "is not a valid glob"),
    ];
    for (path, part) in cases {
        let word = room.word(path);
        let message = refusal(std::slice::from_ref(&word));
        assert!(
            message.contains(part) && message.contains(&word),
            "{message}"
        );
    }
    for (word, part) in [
        ("0", "the number of a camera"),
        ("rtsp://host/stream", "a live stream"),
        ("https://host/clip.mp4?x=1", "a video"),
        ("https://host/a.jpg", "download it first"),
        ("", "no source given"),
    ] {
        let message = refusal(&[word.to_owned()]);
        assert!(message.contains(part), "{message}");
    }
    assert!(refusal(&[]).contains("no source given"));
}

#[test]
fn addresses_go_to_the_fetcher() {
    let options = SourceOptions {
        max_bytes: 20,
        fetch: Some(Arc::new(|url: &str, _: u64| match url.ends_with("b.jpg") {
            true => Err("404".to_owned()),
            false => Ok(url.as_bytes().to_vec()),
        })),
    };
    let words = [
        "https://h/a.jpg",
        "HTTP://h/b.jpg",
        "https://h/a-long-name.jpg",
    ]
    .map(str::to_owned);
    let found = contents(Source::open(&words, &options).unwrap());
    assert_eq!(found[0], "https://h/a.jpg");
    assert!(found[1].contains("'HTTP://h/b.jpg' could not be fetched: 404"));
    assert!(found[2].contains("more than 20 bytes"));
}

#[test]
fn a_file_over_the_limit_is_not_read() {
    let room = Room::new(&[("a.jpg", "12345"), ("b.jpg", "1234")]);
    let options = SourceOptions {
        max_bytes: 4,
        fetch: None,
    };
    let found = contents(Source::open(&[room.word("")], &options).unwrap());
    assert!(found[0].contains("more than 4 bytes"));
    assert_eq!(found[1], "1234");
}

#[test]
fn a_source_crosses_threads() {
    fn crosses<T: Send>() {}
    crosses::<Source>();
}
