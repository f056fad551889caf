//! What is fetched and what is not, against a server on this machine.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A server that gives each connection the next response; its address and number of connections.
fn server(answers: Vec<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for (stream, answer) in listener.incoming().zip(answers) {
            let Ok(mut stream) = stream else { return };
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (address, count)
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn redirect(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
}

/// Public addresses only.
fn public() -> Config {
    Config {
        allow_urls: true,
        ..Config::default()
    }
}

/// Resolves one name to the test's server, and all others as usual.
fn fetcher(name: &'static str, address: SocketAddr) -> Fetcher {
    let real = Fetcher::new(&Config::default());
    Fetcher {
        resolve: Box::new(move |host, port| match host == name {
            true => Box::pin(async move { Ok(vec![address]) }),
            false => (real.resolve)(host, port),
        }),
        // Allows the test servers, whose ephemeral ports are high.
        is_allowed: Box::new(|_, address| address.port() > 1024 || is_public(address.ip())),
    }
}

async fn refusal(fetcher: &Fetcher, url: &str) -> Problem {
    fetcher.get(url).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn every_spelling_of_this_machine_is_refused_without_a_connection() {
    let (address, connections) = server(vec![ok("secret"); 20]);
    let port = address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[::1]",
        "0.0.0.0",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "[::ffff:127.0.0.1]",
        "[::]",
        "0",
        "127.0.0.1.",
    ] {
        let problem = refusal(&Fetcher::new(&public()), &format!("http://{host}:{port}/x")).await;
        // A spelling that the system cannot resolve is refused just as well.
        assert!(
            matches!(
                problem.kind,
                ProblemKind::Forbidden | ProblemKind::Unprocessable | ProblemKind::BadRequest
            ),
            "{host}: {problem:?}"
        );
    }
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn cloud_metadata_and_private_networks_are_refused() {
    for host in [
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "2852039166",
    ] {
        let problem = refusal(
            &Fetcher::new(&public()),
            &format!("http://{host}/latest/meta-data/"),
        )
        .await;
        assert_eq!(problem.kind, ProblemKind::Forbidden, "{host}");
    }
}

#[tokio::test]
async fn a_name_with_one_private_address_is_refused() {
    let fetcher = Fetcher {
        resolve: Box::new(|_, port| {
            let addresses = ["1.1.1.1", "127.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
            Box::pin(async move { Ok(addresses.map(|ip| SocketAddr::new(ip, port)).to_vec()) })
        }),
        is_allowed: Box::new(|_, address| is_public(address.ip())),
    };
    assert_eq!(
        refusal(&fetcher, "http://mixed.example/").await.kind,
        ProblemKind::Forbidden
    );
}

#[tokio::test]
async fn redirects_to_allowed_addresses_are_followed() {
    let (address, connections) = server(vec![redirect("/b"), redirect("c?d"), ok("image")]);
    let response = fetcher("good.example", address)
        .get("http://good.example/a")
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"image");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_redirect_to_a_private_address_is_refused() {
    for location in [
        "http://169.254.169.254/latest/meta-data/",
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "//10.0.0.1/",
    ] {
        let (address, _) = server(vec![redirect(location)]);
        let problem = refusal(&fetcher("good.example", address), "http://good.example/").await;
        assert_eq!(problem.kind, ProblemKind::Forbidden, "{location}");
    }
    let (address, _) = server(vec![redirect("file:///etc/passwd")]);
    let problem = refusal(&fetcher("good.example", address), "http://good.example/").await;
    assert_eq!(problem.kind, ProblemKind::BadRequest);
}

#[tokio::test]
async fn endless_redirects_are_refused() {
    let (address, connections) = server(vec![redirect("/again"); 10]);
    let problem = refusal(&fetcher("good.example", address), "http://good.example/").await;
    assert!(problem.detail.contains("more than 3 times"), "{problem}");
    assert_eq!(connections.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_name_is_resolved_once_per_request_and_the_connection_goes_there() {
    let (good, asked) = server(vec![ok("public"), redirect("http://rebound.example/")]);
    let (inside, stolen) = server(vec![ok("secret"); 4]);
    let lookups = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lookups);
    // Allowed at the first lookup, private afterwards: DNS rebinding.
    let resolve: Resolve = Box::new(move |_, _| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        let address = if first { good } else { inside };
        Box::pin(async move { Ok(vec![address]) })
    });
    static GOOD_PORT: AtomicUsize = AtomicUsize::new(0);
    GOOD_PORT.store(usize::from(good.port()), Ordering::SeqCst);
    let fetcher = Fetcher {
        resolve,
        is_allowed: Box::new(|_, address| {
            usize::from(address.port()) == GOOD_PORT.load(Ordering::SeqCst)
        }),
    };
    let response = fetcher.get("http://rebound.example/").await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(&body[..], b"public");
    assert_eq!(lookups.load(Ordering::SeqCst), 1);
    // The next request resolves the name again, and is refused.
    let problem = refusal(&fetcher, "http://rebound.example/").await;
    assert_eq!(problem.kind, ProblemKind::Forbidden);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert_eq!(stolen.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_response_without_success_is_an_error() {
    for answer in [
        "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
        "SSH-2.0-x\r\n".to_owned(),
        String::new(),
    ] {
        let (address, _) = server(vec![answer]);
        let problem = refusal(&fetcher("good.example", address), "http://good.example/").await;
        assert_eq!(problem.kind, ProblemKind::Unprocessable);
    }
}

#[tokio::test]
async fn a_named_network_is_fetched_from_and_nothing_else_of_this_machine() {
    let (address, _) = server(vec![ok("image")]);
    let config = Config {
        allow_url_hosts: vec!["127.0.0.0/8".parse().unwrap()],
        ..Config::default()
    };
    let fetcher = Fetcher::new(&config);
    let port = address.port();
    assert!(
        fetcher
            .get(&format!("http://127.0.0.1:{port}/a"))
            .await
            .is_ok()
    );
    let refused = refusal(&fetcher, &format!("http://[::1]:{port}/a")).await;
    assert_eq!(refused.kind, ProblemKind::Forbidden);
    let refused = refusal(&fetcher, "http://93.184.216.34/a").await;
    assert_eq!(
        refused.kind,
        ProblemKind::Forbidden,
        "public ones were not allowed"
    );
}
