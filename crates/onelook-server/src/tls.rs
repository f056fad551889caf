//! HTTPS: certificate and key from PEM files, HTTP/2 and HTTP/1.1 by ALPN.

#[cfg(feature = "tls")]
mod rustls_acceptor {
    use std::sync::{Arc, RwLock};

    use rustls::ServerConfig;
    use rustls_pki_types::pem::PemObject;
    use rustls_pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::server::TlsStream;

    use crate::locks::{read, write};
    use crate::secret_file;
    use crate::secret_sources::TlsFiles;

    /// Accepts TLS connections.
    #[derive(Clone)]
    pub struct Tls(Arc<RwLock<TlsAcceptor>>);

    impl Tls {
        /// Reads certificate and key.
        pub fn load(files: &TlsFiles) -> Result<Self, String> {
            Ok(Self(Arc::new(RwLock::new(Self::read(files)?))))
        }

        /// Reads them again, for connections from now on.
        pub fn reload(&self, files: &TlsFiles) -> Result<(), String> {
            let acceptor = Self::read(files)?;
            *write(&self.0) = acceptor;
            Ok(())
        }

        fn read(files: &TlsFiles) -> Result<TlsAcceptor, String> {
            secret_file::check(&files.key)?;
            let refused =
                |path: &std::path::Path, reason: String| format!("'{}': {reason}", path.display());
            let certificates: Vec<CertificateDer<'static>> =
                CertificateDer::pem_file_iter(&files.certificate)
                    .and_then(Iterator::collect)
                    .map_err(|error| refused(&files.certificate, error.to_string()))?;
            if certificates.is_empty() {
                let reason = "it holds no certificate (PEM)".to_owned();
                return Err(refused(&files.certificate, reason));
            }
            let key = PrivateKeyDer::from_pem_file(&files.key)
                .map_err(|error| refused(&files.key, error.to_string()))?;
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut config = ServerConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .map_err(|error| error.to_string())?
                .with_no_client_auth()
                .with_single_cert(certificates, key)
                .map_err(|error| refused(&files.certificate, error.to_string()))?;
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Ok(TlsAcceptor::from(Arc::new(config)))
        }

        /// Does the TLS handshake.
        pub async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
            let acceptor = read(&self.0).clone();
            acceptor.accept(stream).await
        }
    }
}

#[cfg(not(feature = "tls"))]
mod rustls_acceptor {
    use tokio::net::TcpStream;

    use crate::secret_sources::TlsFiles;

    /// Missing in this build.
    #[derive(Clone)]
    pub struct Tls(std::convert::Infallible);

    impl Tls {
        /// Fails: this build has no TLS.
        pub fn load(_: &TlsFiles) -> Result<Self, String> {
            Err("this build has no TLS: build it with the feature 'tls'".to_owned())
        }

        /// Cannot be called.
        pub fn reload(&self, _: &TlsFiles) -> Result<(), String> {
            match self.0 {}
        }

        /// Cannot be called.
        pub async fn accept(&self, _: TcpStream) -> std::io::Result<TcpStream> {
            match self.0 {}
        }
    }
}

pub use rustls_acceptor::Tls;
