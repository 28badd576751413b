//! Secrets in files, as Kubernetes and Docker mount them.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use tokio::{fs::File, io::AsyncReadExt as _};

use super::{
    invalid::InvalidSecret,
    kind::SecretKind,
    provider::{SecretProvider, Secrets, SecretsUnavailable},
};
use crate::secret::Secret;

/// Maximum size of a secret file, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Provider that reads each secret from its own file.
///
/// The provider reads the files again at each reload. The rules for the environment variables also
/// apply to the files. In addition, a file may end in one newline.
///
/// ```
/// use kycport::secrets::SecretFiles;
///
/// // Reads KYCPORT_CLIENT_SECRET, KYCPORT_TENANT_API_KEY and so on, if they exist.
/// let mounted = SecretFiles::in_directory("/run/secrets");
/// // Or set one path per secret.
/// let named = SecretFiles::new()
///     .client_secret("/run/secrets/kycport_client")
///     .webhook_secret("/run/secrets/kycport_webhook");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "the provider reads no files before a reload"]
pub struct SecretFiles {
    directory: Option<PathBuf>,
    named: Vec<(SecretKind, PathBuf)>,
}

impl SecretFiles {
    /// Creates a provider without files.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the files in `directory` that are named like the environment variables:
    /// `KYCPORT_CLIENT_SECRET`, `KYCPORT_TENANT_API_KEY`, `KYCPORT_WEBHOOK_SECRET` and
    /// `KYCPORT_WEBHOOK_SECRET_PREVIOUS`.
    ///
    /// The provider skips a file that does not exist. If Kubernetes replaces the mounted files
    /// during a reload, the reload reads either only old files or only new files.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: Some(directory.into()),
            named: Vec::new(),
        }
    }

    /// Sets the path of the client secret. A reload fails if this file does not exist.
    pub fn client_secret(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::ClientSecret, path)
    }

    /// Sets the path of the tenant key. A reload fails if this file does not exist.
    pub fn tenant_api_key(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::TenantApiKey, path)
    }

    /// Sets the path of the webhook secret. A reload fails if this file does not exist.
    pub fn webhook_secret(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::WebhookSecret, path)
    }

    /// Sets the path of the previous webhook secret. A reload fails if this file does not exist.
    pub fn previous_webhook_secret(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::PreviousWebhookSecret, path)
    }

    fn file(mut self, kind: SecretKind, path: impl Into<PathBuf>) -> Self {
        self.named.push((kind, path.into()));
        self
    }
}

#[async_trait]
impl SecretProvider for SecretFiles {
    async fn secrets(&self) -> Result<Secrets, SecretsUnavailable> {
        let mut secrets = Secrets::new();
        if let Some(directory) = &self.directory {
            let current = resolve_directory(directory).await?;
            for kind in [
                SecretKind::ClientSecret,
                SecretKind::TenantApiKey,
                SecretKind::WebhookSecret,
                SecretKind::PreviousWebhookSecret,
            ] {
                let shown = directory.join(kind.variable());
                match read(kind, &current.join(kind.variable()), &shown).await {
                    Ok(secret) => secrets = secrets.with(kind, secret),
                    Err(SecretsUnavailable::File {
                        kind: io::ErrorKind::NotFound,
                        ..
                    }) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        for (kind, path) in &self.named {
            secrets = secrets.with(*kind, read(*kind, path, path).await?);
        }
        Ok(secrets)
    }
}

/// Resolves the directory that contains the current files.
///
/// Kubernetes updates mounted secrets by replacing one symbolic link, `..data`. Resolving this link
/// once per reload avoids a mix of old and new files.
async fn resolve_directory(directory: &Path) -> Result<PathBuf, SecretsUnavailable> {
    if let Ok(data) = tokio::fs::canonicalize(directory.join("..data")).await {
        return Ok(data);
    }
    let found = tokio::fs::canonicalize(directory).await;
    found.map_err(|error| unreadable(directory, &error))
}

/// Reads a secret from `path`. An error message contains the path `shown` instead of `path`.
async fn read(kind: SecretKind, path: &Path, shown: &Path) -> Result<Secret, SecretsUnavailable> {
    let file = File::open(path).await;
    let file = file.map_err(|error| unreadable(shown, &error))?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let limit = MAX_FILE_BYTES.saturating_add(1);
    let read = file.take(limit).read_to_end(&mut bytes).await;
    let read = read.map_err(|error| unreadable(shown, &error))?;
    let invalid = |problem| {
        let path = shown.to_owned();
        Err(SecretsUnavailable::InvalidSecret { path, problem })
    };
    if u64::try_from(read).is_ok_and(|read| read > MAX_FILE_BYTES) {
        return invalid(InvalidSecret::TooLarge);
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return invalid(InvalidSecret::NotText);
    };
    let text = strip_newline(text);
    match InvalidSecret::in_secret(kind, text) {
        Some(problem) => invalid(problem),
        None => Ok(Secret::new(text)),
    }
}

/// Removes one trailing newline, which editors and `echo` add to a file. The validation rejects
/// further newlines and trailing spaces.
fn strip_newline(text: &str) -> &str {
    let line = text.strip_suffix('\n');
    line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

fn unreadable(path: &Path, error: &io::Error) -> SecretsUnavailable {
    SecretsUnavailable::File {
        path: path.to_owned(),
        kind: error.kind(),
    }
}
