//! Where tokens and certificates come from. A source that cannot be used is an error; it never means
//! that no token is needed.

use std::path::PathBuf;

use crate::auth::Tokens;
use crate::config::{Config, TlsFiles};
use crate::secret_file;

/// Where secrets come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSources {
    /// Tokens of the environment.
    pub tokens: Tokens,
    /// A file with more tokens.
    pub token_file: Option<PathBuf>,
    /// Certificate chain and key.
    pub tls: Option<TlsFiles>,
}

impl SecretSources {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self {
            tokens: config.tokens.clone(),
            token_file: config.token_file.clone(),
            tls: config.tls.clone(),
        }
    }

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
