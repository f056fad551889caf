//! HTTPS: the configured certificate, HTTP/1.1 and HTTP/2, and no plain text.
#![cfg(feature = "tls")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use onelook_server::health::ask;
use onelook_server::{MaxConnections, Server, TlsFiles};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use support::{TestServer, config, fixture, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A self-signed certificate for localhost, for this test only.
fn files() -> TlsFiles {
    TlsFiles {
        certificate: fixture("localhost.crt"),
        key: fixture("localhost.key"),
    }
}

async fn server() -> TestServer {
    let mut config = config(&[]);
    config.secrets.tls = Some(files());
    serve(config).await
}

async fn connect(server: &TestServer, protocol: &[u8]) -> std::io::Result<TlsStream<TcpStream>> {
    connect_trusting("localhost.crt", server, protocol).await
}

/// A connection that accepts only this certificate.
async fn connect_trusting(
    certificate: &str,
    server: &TestServer,
    protocol: &[u8],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(fixture(certificate)).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let mut client = builder
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_connection_works() {
    let server = server().await;
    let mut stream = connect(&server, b"http/1.1").await.unwrap();
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with("{\"live\":true}"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_health_check_on_the_same_computer_needs_no_certificate_it_trusts() {
    let server = server().await;
    let url = format!("https://{}/livez", server.address);
    let health = ask(&url, Duration::from_secs(30)).await.unwrap();
    assert_eq!(
        (health.status, health.answer.as_str()),
        (200, "{\"live\":true}")
    );
    let plain = format!("http://{}/livez", server.address);
    assert!(ask(&plain, Duration::from_secs(30)).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_clients_get_http_2() {
    let server = server().await;
    let stream = connect(&server, b"h2").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_text_gets_no_response() {
    let server = server().await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream
        .write_all(b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn files_without_a_certificate_are_named() {
    for (certificate, key, named) in [
        ("nowhere.crt", "localhost.key", "nowhere.crt"),
        ("tiny.model", "localhost.key", "tiny.model"),
        ("localhost.crt", "localhost.crt", "localhost.crt"),
    ] {
        let mut config = config(&[]);
        config.secrets.tls = Some(TlsFiles {
            certificate: fixture(certificate),
            key: fixture(key),
        });
        let refused = Server::bind(config, std::time::Instant::now()).await;
        let refused = refused.err().unwrap().to_string();
        assert!(refused.contains(named), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_go_on_makes_way() {
    let mut config = config(&[]);
    config.secrets.tls = Some(files());
    config.limits.connections = MaxConnections {
        all: 2,
        per_address: 2,
    };
    // Longer than this test waits for anything.
    config.limits.header_timeout = Duration::from_secs(600);
    let server = serve(config).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"\x16\x03\x01").await.unwrap();
    let connections = &server.app.metrics.connections;
    while connections.get() < 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _second = TcpStream::connect(server.address).await.unwrap();
    let mut third = connect(&server, b"http/1.1").await.unwrap();
    assert!(livez(&mut third).await.starts_with("HTTP/1.1 200"));
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(30), first.read_to_end(&mut rest));
    assert!(
        closed.await.is_ok(),
        "the oldest handshake is still waited for"
    );
}

async fn livez(stream: &mut TlsStream<TcpStream>) -> String {
    let request = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut answer = vec![0; 1000];
    let read = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let folder = std::env::temp_dir().join(format!("onelook-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let files = TlsFiles {
        certificate: folder.join("a.crt"),
        key: folder.join("a.key"),
    };
    let install = |name: &str| {
        for (end, path) in [("crt", &files.certificate), ("key", &files.key)] {
            std::fs::copy(fixture(&format!("{name}.{end}")), path).unwrap();
        }
    };
    install("localhost");
    let mut config = config(&[]);
    config.secrets.tls = Some(files.clone());
    let server = serve(config).await;
    let mut open = connect(&server, b"http/1.1").await.unwrap();
    assert!(livez(&mut open).await.starts_with("HTTP/1.1 200"));
    assert!(
        connect_trusting("renewed.crt", &server, b"http/1.1")
            .await
            .is_err()
    );
    install("renewed");
    let start = std::time::Instant::now();
    while connect_trusting("renewed.crt", &server, b"http/1.1")
        .await
        .is_err()
    {
        assert!(start.elapsed().as_secs() < 30, "the new one is not used");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let metrics = &server.app.metrics;
    let failed = metrics.reload_failed.with_label_values(&["certificate"]);
    std::fs::write(&files.certificate, "nonsense").unwrap();
    while failed.get() == 0 {
        assert!(
            start.elapsed().as_secs() < 60,
            "the broken one is not noticed"
        );
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert!(
        connect_trusting("renewed.crt", &server, b"http/1.1")
            .await
            .is_ok()
    );
    assert!(
        livez(&mut open).await.starts_with("HTTP/1.1 200"),
        "the old connection goes on"
    );
    std::fs::remove_dir_all(&folder).unwrap();
}
