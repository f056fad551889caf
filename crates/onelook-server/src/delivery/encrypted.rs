//! TLS to brokers.

use std::path::Path;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A connection, encrypted or not.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Whether such a file of certificates can be used.
///
/// # Errors
/// The file holds none, or cannot be read.
#[cfg(feature = "tls")]
pub fn check(ca: Option<&Path>) -> Result<(), String> {
    client_config(ca).map(drop)
}

/// There is no TLS in this build.
///
/// # Errors
/// Such a file is named.
#[cfg(not(feature = "tls"))]
pub fn check(ca: Option<&Path>) -> Result<(), String> {
    match ca {
        Some(path) => Err(format!("'{}': this build has no TLS", path.display())),
        None => Ok(()),
    }
}

/// What is trusted: the public certificates, and those of a PEM file.
///
/// # Errors
/// The file holds none, or cannot be read.
#[cfg(feature = "tls")]
pub fn client_config(ca: Option<&Path>) -> Result<rustls::ClientConfig, String> {
    use rustls_pki_types::CertificateDer;
    use rustls_pki_types::pem::PemObject;
    let mut roots: rustls::RootCertStore = webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect();
    if let Some(path) = ca {
        let named = |reason: String| format!("'{}': {reason}", path.display());
        let own: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect)
            .map_err(|error| named(error.to_string()))?;
        if roots.add_parsable_certificates(own).0 == 0 {
            return Err(named("it holds no certificate (PEM)".to_owned()));
        }
    }
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

/// Does the handshake.
///
/// # Errors
/// The certificate is not accepted.
#[cfg(feature = "tls")]
pub async fn encrypt(
    stream: TcpStream,
    host: &str,
    ca: Option<&Path>,
) -> Result<Box<dyn ByteStream>, String> {
    let config = std::sync::Arc::new(client_config(ca)?);
    let name = rustls_pki_types::ServerName::try_from(host.to_owned());
    let name = name.map_err(|_| "its name cannot be in a certificate".to_owned())?;
    let connector = tokio_rustls::TlsConnector::from(config);
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| format!("no encrypted connection: {error}"))?;
    Ok(Box::new(stream))
}

/// There is no TLS in this build.
///
/// # Errors
/// Always.
#[cfg(not(feature = "tls"))]
pub async fn encrypt(
    _: TcpStream,
    _: &str,
    _: Option<&Path>,
) -> Result<Box<dyn ByteStream>, String> {
    Err("this build has no TLS".to_owned())
}
