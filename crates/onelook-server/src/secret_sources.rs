//! Where tokens and certificates come from. A source that cannot be used is an error; it never means
//! that no token is needed.

use std::path::PathBuf;

use crate::auth::Tokens;
use crate::secret_file;

/// Where secrets come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SecretSources {
    /// Tokens of the environment; if the file has none either, none is needed.
    pub tokens: Tokens,
    /// A file with more tokens.
    pub token_file: Option<PathBuf>,
    /// Certificate chain and key.
    pub tls: Option<TlsFiles>,
}

/// PEM files of a certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl SecretSources {
    /// The tokens of the environment and of the file.
    ///
    /// # Errors
    /// The file cannot be used, or holds no token: that never means that none is needed.
    pub fn read_tokens(&self) -> Result<Tokens, String> {
        let tokens = self.tokens.clone();
        match &self.token_file {
            Some(path) => Ok(tokens.and(Tokens::read(path)?)),
            None => Ok(tokens),
        }
    }

    /// What is odd about the files, in words.
    pub fn warnings(&self) -> Vec<String> {
        let key = self.tls.as_ref().map(|files| files.key.as_path());
        let files = [self.token_file.as_deref(), key];
        let files = files.into_iter().flatten();
        files.filter_map(secret_file::warning).collect()
    }
}
