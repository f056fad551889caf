//! An address in, its bytes out; bounded in time and size.
//!
//! The user's own `curl` or `wget` does the work, so that their proxies and certificates hold and
//! this program carries no TLS of its own.

use std::io::{self, Read, Write};
use std::process::{Child, Command, Stdio};

/// Seconds after which an address counts as unreachable.
const CONNECT: &str = "5";

/// Seconds without a byte after which a transfer counts as broken.
const SILENCE: &str = "30";

/// The body at `url`, an error if it has more than `max_bytes`.
pub fn get(url: &str, max_bytes: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    download(url, max_bytes, &mut bytes, &mut |_| {})?;
    Ok(bytes)
}

/// Writes the body at `url` to `to`; `progress` hears of the bytes so far.
pub(super) fn download(
    url: &str,
    max_bytes: u64,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<(), String> {
    if !url.starts_with("http://") && !url.starts_with("https://") {
        return Err("only http:// and https:// addresses are fetched".to_owned());
    }
    let mut client = start(url)?;
    let copied = copy(&mut client, max_bytes, to, progress);
    if copied.is_err() {
        // It may have ended by itself already.
        let _ = client.kill();
    }
    let output = client
        .wait_with_output()
        .map_err(|error| error.to_string())?;
    copied?;
    match output.status.success() {
        true => Ok(()),
        false => Err(reason(&output.stderr)),
    }
}

fn start(url: &str) -> Result<Child, String> {
    for mut command in [curl(url), wget(url)] {
        let client = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        match client {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => return other.map_err(|error| error.to_string()),
        }
    }
    Err("neither curl nor wget is installed".to_owned())
}

fn curl(url: &str) -> Command {
    let mut command = Command::new("curl");
    command
        .args(["--fail", "--location", "--silent", "--show-error"])
        .args(["--proto", "=http,https", "--connect-timeout", CONNECT])
        .args(["--speed-limit", "1", "--speed-time", SILENCE])
        .arg(url);
    command
}

fn wget(url: &str) -> Command {
    let mut command = Command::new("wget");
    command
        .args(["--no-verbose", "--tries=1", "--output-document=-"])
        .args([
            format!("--connect-timeout={CONNECT}"),
            format!("--dns-timeout={CONNECT}"),
            format!("--read-timeout={SILENCE}"),
        ])
        .arg(url);
    command
}

fn copy(
    client: &mut Child,
    max_bytes: u64,
    to: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<(), String> {
    let mut body = client.stdout.take().expect("standard output is piped");
    let mut buffer = vec![0; 1 << 16];
    let mut done = 0;
    loop {
        let count = body.read(&mut buffer).map_err(|error| error.to_string())?;
        if count == 0 {
            return Ok(());
        }
        done += count as u64;
        if done > max_bytes {
            return Err(format!("it has more than {max_bytes} bytes"));
        }
        to.write_all(&buffer[..count])
            .map_err(|error| error.to_string())?;
        progress(done);
    }
}

fn reason(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let last = said.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("the download failed without a word")
        .trim()
        .trim_start_matches("curl: ")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// Answers each connection with `body`; gives its address.
    fn serve(status: &'static str, body: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/image.jpg", listener.local_addr().unwrap());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(head.as_bytes());
                let _ = stream.write_all(body);
            }
        });
        address
    }

    #[test]
    fn a_body_comes_whole_and_a_larger_one_is_refused() {
        let address = serve("200 OK", &[9; 5000]);
        assert_eq!(get(&address, 5000), Ok(vec![9; 5000]));
        let refused = get(&address, 4999).unwrap_err();
        assert_eq!(refused, "it has more than 4999 bytes");
    }

    #[test]
    fn an_error_page_is_not_a_body() {
        let address = serve("404 Not Found", b"nothing here");
        assert!(get(&address, 5000).unwrap_err().contains("404"));
    }

    #[test]
    fn other_schemes_are_refused() {
        assert!(get("file:///etc/passwd", 5000).is_err());
        assert!(get("--output=x", 5000).is_err());
    }
}
