//! Addresses as they may be shown: without user names, passwords and tokens.

/// What stands where something was taken out.
const HIDDEN: &str = "***";

/// Query keys of cameras whose values tell nothing but which of its streams is meant.
const HARMLESS_KEYS: [&str; 16] = [
    "ch",
    "channel",
    "subtype",
    "stream",
    "streamtype",
    "profile",
    "camera",
    "cam",
    "codec",
    "resolution",
    "width",
    "height",
    "fps",
    "quality",
    "unicast",
    "proto",
];

/// What stands before names and passwords that cameras want in the path of an address.
const SECRET_KEYS: [&str; 13] = [
    "user=",
    "username=",
    "usr=",
    "login=",
    "password=",
    "passwd=",
    "pass=",
    "pwd=",
    "psw=",
    "token=",
    "secret=",
    "auth=",
    "key=",
];

/// Shorter secrets are not looked for by themselves: they would take letters out of every word.
const LEAST_BYTES: usize = 4;

/// Takes what is secret of one address out of what programs say about it.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    /// What to look for, the longest first, and what to say instead.
    known: Vec<(String, String)>,
}

impl Redactor {
    /// For what is said about `url`, in whatever piece of it.
    pub(crate) fn new(url: &str) -> Self {
        let (scheme, after) = url.split_once("://").unwrap_or(("", url));
        let (user, host) = after.rsplit_once('@').unwrap_or(("", after));
        let password = user.split_once(':').map_or("", |(_, password)| password);
        let path = secret_path(scheme, host).map_or("", |start| &host[start..]);
        let mut known = vec![(url.to_owned(), redact_url(url))];
        for secret in [user, password, path] {
            if secret.len() >= LEAST_BYTES {
                known.push((secret.to_owned(), HIDDEN.to_owned()));
            }
        }
        Self { known }
    }

    /// `text` without what is secret.
    pub(crate) fn redact(&self, text: &str) -> String {
        let known = self.known.iter();
        let text = known.fold(text.to_owned(), |text, (secret, instead)| {
            text.replace(secret, instead)
        });
        redact(&text)
    }
}

/// One address made harmless, whatever letters are in its password.
pub(crate) fn redact_url(url: &str) -> String {
    let (scheme, address) = url.split_once("://").unwrap_or(("", url));
    let mut out = format!("{scheme}://");
    redact_address(scheme, address, &mut out);
    out
}

/// `text` with every address in it made harmless.
fn redact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find("://") {
        let (before, after) = rest.split_at(place + 3);
        out += before;
        let end = after.find(is_end).unwrap_or(after.len());
        let scheme = before[..place]
            .rsplit(|letter: char| !letter.is_ascii_alphanumeric())
            .next();
        redact_address(scheme.unwrap_or(""), &after[..end], &mut out);
        rest = &after[end..];
    }
    out + rest
}

/// What ends an address within a sentence.
fn is_end(letter: char) -> bool {
    letter.is_whitespace() || letter.is_control() || "'\"<>`".contains(letter)
}

/// Appends what follows `://`. A password may hold any letter, so the last `@` before the path counts, or,
/// where there is none, the last of all.
fn redact_address(scheme: &str, address: &str, out: &mut String) {
    let (address, query) = match address.split_once('?') {
        Some((address, query)) if !query.contains('@') => (address, Some(query)),
        _ => (address, None),
    };
    let host = match address.rsplit_once('@') {
        Some((_, host)) => {
            *out += HIDDEN;
            out.push('@');
            host
        }
        None => address,
    };
    if let Some(start) = secret_path(scheme, host) {
        // What looks like a query may be the rest of a password.
        *out += &host[..start];
        *out += HIDDEN;
        return;
    }
    *out += host;
    let Some(query) = query else { return };
    for (index, part) in query.split('&').enumerate() {
        out.push(if index == 0 { '?' } else { '&' });
        match part.split_once('=') {
            Some((key, value)) => {
                let is_harmless = HARMLESS_KEYS.contains(&key.to_ascii_lowercase().as_str());
                *out += key;
                out.push('=');
                *out += if is_harmless { value } else { HIDDEN };
            }
            None => *out += HIDDEN,
        }
    }
}

/// Where in a host with its path the part begins that is secret to its end: at the first part of the path
/// with a password in it, or at the last part of an RTMP address, which is the key to the stream.
fn secret_path(scheme: &str, host: &str) -> Option<usize> {
    let mut start = host.find('/')? + 1;
    let mut last = start;
    for part in host[start..].split('/') {
        let lower = part.to_ascii_lowercase();
        if SECRET_KEYS.iter().any(|key| lower.contains(key)) {
            return Some(start);
        }
        if !part.is_empty() {
            last = start;
        }
        start += part.len() + 1;
    }
    let is_rtmp = scheme
        .get(..4)
        .is_some_and(|head| head.eq_ignore_ascii_case("rtmp"));
    (is_rtmp && last < host.len()).then_some(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_secret_is_taken_out_and_the_rest_stays() {
        for (text, expected) in [
            ("rtsp://host:554/cam0", "rtsp://host:554/cam0"),
            ("rtsp://u:p@host/a", "rtsp://***@host/a"),
            ("rtsp://u:p/@:?w@host/a", "rtsp://***@host/a"),
            ("rtsp://token@host/a", "rtsp://***@host/a"),
            (
                "https://h/a.m3u8?channel=1&Token=abc&x",
                "https://h/a.m3u8?channel=1&Token=***&***",
            ),
            (
                "[rtsp @ 0x1] 'rtsp://u:p@h/a': 401, see http://v:q@g.",
                "[rtsp @ 0x1] 'rtsp://***@h/a': 401, see http://***@g.",
            ),
            ("rtsp://u:p@h/?a=b&pw=c@d", "rtsp://***@d"),
            (
                "rtsp://h:554/user=admin_password=xyz_channel=1_stream=0.sdp?real_stream",
                "rtsp://h:554/***",
            ),
            ("rtsp://h/a/User=me&PWD=a/b?c=d", "rtsp://h/a/***"),
            (
                "see rtmp://h/live2/ab-cd-ef: no",
                "see rtmp://h/live2/*** no",
            ),
            ("RTMPS://u:p@h/live/ab/?x=1", "RTMPS://***@h/live/***"),
            ("rtmp://h/", "rtmp://h/"),
            ("nothing here", "nothing here"),
        ] {
            assert_eq!(redact(text), expected);
        }
    }

    #[test]
    fn a_password_with_quotes_is_known_in_every_piece() {
        let redactor = Redactor::new("rtsp://me:it's \"5@host/a");
        let said = "'rtsp://me:it's \"5@host/a': no; it's \"5 and me:it's \"5@x";
        assert_eq!(
            redactor.redact(said),
            "'rtsp://***@host/a': no; *** and ***@x"
        );
    }

    #[test]
    fn an_empty_or_short_user_leaves_other_words_as_they_are() {
        for url in ["udp://@239.0.0.1:1234", "rtsp://a@host/b", "rtsp://:@h/b"] {
            let said = "a word: bind failed";
            assert_eq!(Redactor::new(url).redact(said), said, "{url}");
        }
    }

    #[test]
    fn a_stream_key_and_a_password_of_a_path_are_known_in_every_piece() {
        let redactor = Redactor::new("rtmp://host/live/ab-cd-ef");
        assert_eq!(redactor.redact("no stream ab-cd-ef"), "no stream ***");
        let redactor = Redactor::new("rtsp://host/user=a_password=xyz");
        let said = "/user=a_password=xyz not found";
        assert_eq!(redactor.redact(said), "/*** not found");
    }
}
