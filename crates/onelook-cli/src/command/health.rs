//! `onelook health`: whether a running server is ready, as an exit code.

use std::env;
use std::time::Duration;

use onelook_server::health::{Health, ask};
use serde_json::{Value, json};

use crate::console::Console;
use crate::failure::Failure;
use crate::flags::HealthArgs;

pub fn run(args: &HealthArgs, console: &Console) -> Result<(), Failure> {
    let timeout = Duration::try_from_secs_f64(args.timeout);
    let timeout =
        timeout.map_err(|_| Failure::Usage("timeout: not a time in seconds".to_owned()))?;
    let url = address(args.url.as_deref(), args.live);
    let threads = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed("threads", error.to_string()))?;
    let asked = threads.block_on(ask(&url, timeout));
    let Health { status, answer } =
        asked.map_err(|reason| Failure::failed("unreachable", format!("{url}: {reason}")))?;
    let healthy = status == 200;
    console.value(&json!({
        "url": url, "healthy": healthy, "status": status,
        "answer": serde_json::from_str(&answer).unwrap_or(Value::String(answer.clone())),
    }))?;
    match healthy {
        true => console.line(format!("{url}: {status}")),
        false => Err(Failure::failed(
            "unhealthy",
            format!("{url}: {status} {answer}"),
        )),
    }
}

/// The server's address, with the path to ask where it has none.
fn address(url: Option<&str>, live: bool) -> String {
    let path = if live { "/livez" } else { "/readyz" };
    let server = match url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => {
            let scheme = match env::var_os("ONELOOK_SERVE_TLS_CERT") {
                Some(_) => "https",
                None => "http",
            };
            let port = env::var("ONELOOK_SERVE_PORT").unwrap_or_else(|_| "8000".to_owned());
            format!("{scheme}://127.0.0.1:{port}")
        }
    };
    let has_path = server
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    match has_path {
        true => server,
        false => format!("{server}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_named_is_asked_and_otherwise_that_of_the_question() {
        let of = |url| address(Some(url), false);
        assert_eq!(of("http://gpu1:9000"), "http://gpu1:9000/readyz");
        assert_eq!(of("http://gpu1:9000/"), "http://gpu1:9000/readyz");
        assert_eq!(
            of("https://gpu1/v2/health/ready"),
            "https://gpu1/v2/health/ready"
        );
        assert_eq!(address(Some("http://gpu1"), true), "http://gpu1/livez");
    }
}
