//! Where a video comes from, and how ffmpeg is told: what it may open, and nothing secret on its command
//! line.

use std::ffi::OsString;
use std::path::PathBuf;

use super::redact::{Redactor, redact_url};

/// Where a video comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum VideoAddress {
    /// A file.
    File(PathBuf),
    /// `rtsp://…`, `https://….m3u8` and the like. It may hold a password.
    Url(String),
    /// A camera at this computer, by its number.
    Camera(u16),
}

/// How long the network may be silent before ffmpeg itself gives up, in microseconds: for when whoever
/// watches it is gone.
const NETWORK_TIMEOUT_US: u32 = 20_000_000;

/// Schemes of live streams, and what ffmpeg may open for them.
const LIVE: [(&str, &str); 11] = [
    ("rtsp://", "rtsp,rtp,udp,tcp,srtp"),
    ("rtsps://", "rtsp,rtsps,rtp,udp,tcp,tls,srtp"),
    ("rtmp://", "rtmp,rtmpt,tcp"),
    ("rtmps://", "rtmps,rtmp,tls,tcp"),
    ("rtp://", "rtp,udp"),
    ("srtp://", "srtp,rtp,udp"),
    ("tcp://", "tcp"),
    ("tls://", "tls,tcp"),
    ("udp://", "udp"),
    ("srt://", "srt,udp"),
    ("mms://", "mmsh,mmst,tcp"),
];

const HTTP: &str = "http,https,httpproxy,tls,tcp,crypto";

/// What a file may be to ffmpeg: containers, and streams without one. None that names other files, as playlists
/// do, or whoever sends a file could have others of this computer read.
const FILE_FORMATS: &str = "mov,matroska,avi,mpeg,mpegts,mpegvideo,asf,flv,live_flv,ogg,yuv4mpegpipe,\
    av1,obu,ivf,h261,h263,h264,hevc,vvc,m4v,vc1,mjpeg,mpjpeg,mxf,gxf,dv,nut,nuv,rm,wtv,swf";

/// File name endings (lower case) of videos. What comes over HTTP and ends otherwise is a live stream, and so
/// are [two of them](CAMERA_FORMATS).
pub const VIDEO_EXTENSIONS: [&str; 18] = [
    "mp4", "avi", "mov", "mkv", "webm", "mpg", "mpeg", "m4v", "wmv", "flv", "ts", "m2ts", "mts",
    "3gp", "asf", "ogv", "vob", "y4m",
];

/// Endings of addresses of live streams over HTTP that can be known by them.
pub const STREAM_EXTENSIONS: [&str; 4] = ["m3u8", "mpd", "mjpg", "mjpeg"];

/// Formats of files in which cameras send over HTTP more often than files are kept.
const CAMERA_FORMATS: [&str; 2] = ["flv", "asf"];

/// Those that list segments, several seconds each.
const PLAYLISTS: [&str; 2] = ["m3u8", "mpd"];

impl VideoAddress {
    /// A stream by its scheme; `None` for files, images and what nobody knows.
    pub fn from_url(word: &str) -> Option<Self> {
        let is_stream = LIVE.iter().any(|(scheme, _)| has_scheme(word, scheme));
        is_stream.then(|| Self::Url(word.to_owned()))
    }

    /// How it may be shown and logged.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Url(url) => redact_url(url),
            Self::Camera(number) => number.to_string(),
        }
    }

    /// Whether frames come as they happen, so that the stream has no end but a failure.
    pub fn is_live(&self) -> bool {
        match self {
            Self::File(_) => false,
            Self::Camera(_) => true,
            Self::Url(url) if is_http(url) => {
                let ending = ending(url);
                let is = |endings: &[&str]| endings.contains(&ending.as_str());
                is(&CAMERA_FORMATS) || !is(&VIDEO_EXTENSIONS)
            }
            Self::Url(_) => true,
        }
    }

    /// Whether it is a list of segments (HLS, DASH), which come at once and then not for seconds.
    pub fn is_playlist(&self) -> bool {
        match self {
            Self::Url(url) => is_http(url) && PLAYLISTS.contains(&ending(url).as_str()),
            Self::File(_) | Self::Camera(_) => false,
        }
    }

    /// Takes what is secret out of what programs say about it.
    pub(super) fn redactor(&self) -> Redactor {
        match self {
            Self::Url(url) => Redactor::new(url),
            Self::File(_) | Self::Camera(_) => Redactor::default(),
        }
    }

    /// What ffmpeg may open: for an address from elsewhere never a file.
    fn protocols(&self) -> String {
        match self {
            Self::File(_) => "file".to_owned(),
            Self::Camera(_) => String::new(),
            Self::Url(url) => {
                let own = LIVE.iter().find(|(scheme, _)| has_scheme(url, scheme));
                format!("pipe,{}", own.map_or(HTTP, |(_, protocols)| protocols))
            }
        }
    }

    /// The words that make it ffmpeg's input; a file is read as this container, if one is given.
    pub(super) fn input(&self, container: Option<&str>) -> Input {
        let mut words: Vec<OsString> = Vec::new();
        let mut put = |added: &[&str]| words.extend(added.iter().map(OsString::from));
        let mut script = None;
        match self {
            Self::File(path) => {
                if let Some(container) = container {
                    put(&["-f", container]);
                }
                put(&["-protocol_whitelist", &self.protocols()]);
                put(&["-format_whitelist", FILE_FORMATS, "-i"]);
                let mut file = OsString::from("file:");
                file.push(path);
                words.push(file);
            }
            Self::Camera(number) => {
                put(&["-f", "v4l2", "-i", &format!("/dev/video{number}")]);
            }
            Self::Url(url) => {
                if self.is_live() {
                    put(&["-fpsprobesize", "0"]);
                }
                put(&["-f", "concat", "-safe", "0"]);
                put(&["-protocol_whitelist", &self.protocols(), "-i", "pipe:0"]);
                script = Some(self.script(url));
            }
        }
        Input { words, script }
    }

    /// A list of one address in the language of ffmpeg's `concat` reader. Command lines can be read by
    /// everybody on the machine; ffmpeg's standard input cannot.
    fn script(&self, url: &str) -> String {
        let mut script = format!(
            "ffconcat version 1.0\nfile '{}'\n",
            with_lower_scheme(url).replace('\'', r"'\''")
        );
        let mut option = |name: &str, value: &str| script += &format!("option {name} {value}\n");
        let timeout = NETWORK_TIMEOUT_US.to_string();
        if has_scheme(url, "rtsp://") || has_scheme(url, "rtsps://") {
            option("rtsp_transport", "tcp");
            option("timeout", &timeout);
        } else {
            option("rw_timeout", &timeout);
        }
        if self.is_live() {
            option("fpsprobesize", "0");
        }
        script
    }
}

impl std::fmt::Debug for VideoAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "VideoAddress({})", self.name())
    }
}

/// What makes something ffmpeg's input.
#[derive(Debug, Default)]
pub(super) struct Input {
    /// Words of the command line.
    pub(super) words: Vec<OsString>,
    /// What goes to standard input.
    pub(super) script: Option<String>,
}

fn has_scheme(word: &str, scheme: &str) -> bool {
    word.get(..scheme.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
}

/// The address as ffmpeg knows it: it tells schemes by their case.
fn with_lower_scheme(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
        None => url.to_owned(),
    }
}

fn is_http(url: &str) -> bool {
    has_scheme(url, "http://") || has_scheme(url, "https://")
}

/// The ending of an address's path, in lower case.
fn ending(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    ending.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_in_the_words_or_in_what_is_shown() {
        let address = VideoAddress::from_url("RTSP://me:s3'cret@host/cam?token=t0k").unwrap();
        let input = address.input(None);
        let shown = format!("{:?} {address:?} {}", input.words, address.name());
        for secret in ["me:", "s3'cret", "t0k"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let script = input.script.unwrap();
        assert!(script.contains(r"file 'rtsp://me:s3'\''cret@host/cam?token=t0k'"));
        assert!(script.contains("option rtsp_transport tcp\n"));
    }

    #[test]
    fn an_address_from_elsewhere_opens_no_file() {
        for url in [
            "rtsp://h/a",
            "https://h/a.m3u8",
            "srt://h:1",
            "udp://h:1",
            "http://h/a.mjpg",
        ] {
            let protocols = VideoAddress::Url(url.to_owned()).protocols();
            for forbidden in ["file", "concat", "subfile", "data", "fd", "async", "cache"] {
                assert!(
                    protocols.split(',').all(|one| one != forbidden),
                    "{url}: {protocols}"
                );
            }
        }
        assert_eq!(VideoAddress::File("a.mp4".into()).protocols(), "file");
    }

    #[test]
    fn a_file_is_a_file_whatever_its_name() {
        for name in ["-i", "a:b.mp4", "http:x.mp4", "p%03d.mp4"] {
            let input = VideoAddress::File(name.into()).input(None);
            let expected = OsString::from(format!("file:{name}"));
            assert_eq!(input.words.last(), Some(&expected));
        }
    }

    #[test]
    fn segments_are_waited_for_longer_than_frames() {
        use super::super::decoder::DecodeOptions;
        let timeouts = |url: &str| {
            let options = DecodeOptions::for_address(&VideoAddress::Url(url.to_owned()));
            [options.start_timeout, options.frame_timeout].map(|it| it.as_secs())
        };
        assert_eq!(timeouts("rtsp://h/a"), [15, 5]);
        assert_eq!(timeouts("http://h/video.cgi"), [15, 5]);
        assert_eq!(timeouts("https://h/list.m3u8?a"), [30, 30]);
        assert_eq!(timeouts("https://h/a.mp4"), [120, 120]);
    }

    #[test]
    fn streams_without_an_end_are_live() {
        let live = |url: &str| VideoAddress::Url(url.to_owned()).is_live();
        assert!(live("rtsp://h/a.mp4") && live("http://h/a.MJPG?x=1"));
        assert!(
            live("http://h/live/1.flv?t=2")
                && live("http://h/video.cgi")
                && live("HTTPS://h/list.m3u8")
                && live("http://h")
        );
        assert!(!live("https://h/a.mp4") && !live("http://h/a/b.TS?x=1#y"));
        assert_eq!(VideoAddress::from_url("file:///etc/passwd"), None);
        assert_eq!(VideoAddress::from_url("concat:a|b"), None);
    }
}
