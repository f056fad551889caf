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
    connect(target, address, true).await
}

/// As [`open`], but with whatever certificate the host has: for a host that needs no proof.
pub async fn open_unverified<B: RequestBody>(
    target: &Target,
    address: SocketAddr,
) -> Result<SendRequest<B>, &'static str> {
    connect(target, address, false).await
}

async fn connect<B: RequestBody>(
    target: &Target,
    address: SocketAddr,
    verified: bool,
) -> Result<SendRequest<B>, &'static str> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|_| "the host cannot be reached")?;
    match target.is_encrypted() {
        false => http_handshake(stream).await,
        true => encrypted::open(target, stream, verified).await,
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

    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::CryptoProvider;
    use rustls::{
        ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme,
    };
    use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
    use tokio_rustls::TlsConnector;

    use super::*;

    pub async fn open<B: RequestBody>(
        target: &Target,
        stream: TcpStream,
        verified: bool,
    ) -> Result<SendRequest<B>, &'static str> {
        let name = ServerName::try_from(target.host().to_owned())
            .map_err(|_| "the host's name cannot be in a certificate")?;
        let connector = match verified {
            true => connector(),
            false => unverified_connector(),
        };
        let connector = connector.ok_or("this build has no TLS")?;
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

    fn unverified_connector() -> Option<TlsConnector> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .ok()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
            .with_no_client_auth();
        Some(TlsConnector::from(Arc::new(config)))
    }

    /// Takes every certificate. That the host has its key is still checked.
    #[derive(Debug)]
    struct AnyCertificate(Arc<CryptoProvider>);

    impl ServerCertVerifier for AnyCertificate {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, TlsError> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, TlsError> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, TlsError> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(not(feature = "tls"))]
mod encrypted {
    use super::*;

    pub async fn open<B>(
        _: &Target,
        _: TcpStream,
        _: bool,
    ) -> Result<SendRequest<B>, &'static str> {
        Err("this build has no TLS: only http:// can be used")
    }
}
