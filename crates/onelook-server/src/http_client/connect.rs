//! Opens a connection to one address, with TLS if the URL has https.

use std::error::Error;
use std::net::SocketAddr;

use hyper::body::Body;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::url::Target;

/// Connects to this address, for requests with bodies of one type; or says why not. The target's host name
/// is used for TLS only.
pub async fn open<B: RequestBody>(
    target: &Target,
    address: SocketAddr,
) -> Result<SendRequest<B>, &'static str> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|_| "the host cannot be reached")?;
    match target.is_encrypted() {
        false => http_handshake(stream).await,
        true => encrypted::open(target, stream).await,
    }
}

/// What a body must be for its connection to run as a task of its own.
pub trait RequestBody:
    Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static
{
}

impl<B> RequestBody for B where
    B: Body<Data: Send, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static
{
}

async fn http_handshake<B: RequestBody, S>(stream: S) -> Result<SendRequest<B>, &'static str>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = handshake(TokioIo::new(stream))
        .await
        .map_err(|_| "the host does not answer in HTTP")?;
    // Ends with the response's body, or when both halves are dropped.
    tokio::spawn(connection);
    Ok(sender)
}

#[cfg(feature = "tls")]
mod encrypted {
    use std::sync::{Arc, OnceLock};

    use rustls::{ClientConfig, RootCertStore};
    use rustls_pki_types::ServerName;
    use tokio_rustls::TlsConnector;

    use super::*;

    pub async fn open<B: RequestBody>(
        target: &Target,
        stream: TcpStream,
    ) -> Result<SendRequest<B>, &'static str> {
        let name = ServerName::try_from(target.host().to_owned())
            .map_err(|_| "the host's name cannot be in a certificate")?;
        let connector = connector().ok_or("this build has no TLS")?;
        let stream = connector.connect(name, stream).await;
        let stream = stream.map_err(|_| "the host's certificate is not accepted")?;
        http_handshake(stream).await
    }

    fn connector() -> Option<TlsConnector> {
        static CONFIG: OnceLock<Option<Arc<ClientConfig>>> = OnceLock::new();
        let config = CONFIG.get_or_init(|| {
            let roots: RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .ok()?
                .with_root_certificates(roots)
                .with_no_client_auth();
            Some(Arc::new(config))
        });
        config.clone().map(TlsConnector::from)
    }
}

#[cfg(not(feature = "tls"))]
mod encrypted {
    use super::*;

    pub async fn open<B>(_: &Target, _: TcpStream) -> Result<SendRequest<B>, &'static str> {
        Err("this build has no TLS: only http:// can be used")
    }
}
