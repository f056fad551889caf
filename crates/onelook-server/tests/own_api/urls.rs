//! Images by URL: off by default, and never from private addresses.

use onelook_server::Config;
use serde_json::json;
use tokio::net::TcpListener;

use crate::colours::{colours, server};
use crate::support::serve;

#[tokio::test]
async fn urls_are_not_fetched_by_default() {
    let server = server().await;
    let body = json!({"image": {"url": "http://example.com/a.png"}}).to_string();
    let answer = server.post("/v1/detect", "application/json", body).await;
    assert_eq!(answer.status.as_u16(), 403);
    assert!(
        answer.json()["detail"]
            .as_str()
            .unwrap()
            .contains("--allow-urls")
    );
}

#[tokio::test]
async fn private_addresses_are_refused_without_a_connection() {
    let inside = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = inside.local_addr().unwrap().port();
    let server = serve(Config {
        allow_urls: true,
        ..colours()
    })
    .await;
    for (url, status) in [
        (format!("http://127.0.0.1:{port}/a.png"), 403),
        (format!("http://localhost:{port}/a.png"), 403),
        (format!("http://[::1]:{port}/a.png"), 403),
        (format!("http://0.0.0.0:{port}/a.png"), 403),
        (format!("http://2130706433:{port}/a.png"), 403),
        (format!("http://[::ffff:127.0.0.1]:{port}/a.png"), 403),
        ("http://169.254.169.254/latest/meta-data/".to_owned(), 403),
        (format!("http://user:pass@127.0.0.1:{port}/"), 400),
        ("file:///etc/passwd".to_owned(), 400),
        ("ftp://example.com/a.png".to_owned(), 400),
        ("http://".to_owned(), 400),
        ("a.png".to_owned(), 400),
    ] {
        let body = json!({"image": {"url": url}}).to_string();
        let answer = server.post("/v1/detect", "application/json", body).await;
        assert_eq!(answer.status.as_u16(), status, "{url}: {answer:?}");
    }
    let nobody = tokio::time::timeout(std::time::Duration::from_millis(50), inside.accept());
    assert!(nobody.await.is_err(), "somebody connected");
}
