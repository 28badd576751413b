//! Secrets in files, as Kubernetes and Docker mount them.

use std::{
    io,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use tokio::{fs::File, io::AsyncReadExt as _};

use super::{
    flaw::SecretFlaw,
    kind::SecretKind,
    provider::{SecretProvider, Secrets, SecretsUnavailable},
};
use crate::secret::Secret;

/// A larger file is no secret, in bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// Reads each secret from a file of its own, anew at each reload. The rules are those of the
/// environment, but that a file may end in one newline.
///
/// ```
/// use kycport::secrets::SecretFiles;
///
/// // Whatever is there of KYCPORT_CLIENT_SECRET, KYCPORT_TENANT_API_KEY, …
/// let mounted = SecretFiles::in_directory("/run/secrets");
/// // Or a path for each.
/// let named = SecretFiles::new()
///     .client_secret("/run/secrets/kycport_client")
///     .webhook_secret("/run/secrets/kycport_webhook");
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "nothing is read before a reload"]
pub struct SecretFiles {
    directory: Option<PathBuf>,
    named: Vec<(SecretKind, PathBuf)>,
}

impl SecretFiles {
    /// No file yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The files in this directory that are called like the variables: `KYCPORT_CLIENT_SECRET`,
    /// `KYCPORT_TENANT_API_KEY`, `KYCPORT_WEBHOOK_SECRET` and `KYCPORT_WEBHOOK_SECRET_PREVIOUS`.
    /// One that is not there is left out. What Kubernetes replaces as one is read as one.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: Some(directory.into()),
            named: Vec::new(),
        }
    }

    /// The client secret's file, which must be there.
    pub fn client_secret(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::ClientSecret, path)
    }

    /// The tenant key's file, which must be there.
    pub fn tenant_api_key(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::TenantApiKey, path)
    }

    /// The webhook secret's file, which must be there.
    pub fn webhook_secret(self, path: impl Into<PathBuf>) -> Self {
        self.file(SecretKind::WebhookSecret, path)
    }

    /// The previous webhook secret's file, which must be there.
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
            let now = as_of_now(directory).await?;
            for kind in [
                SecretKind::ClientSecret,
                SecretKind::TenantApiKey,
                SecretKind::WebhookSecret,
                SecretKind::PreviousWebhookSecret,
            ] {
                let shown = directory.join(kind.variable());
                match read(kind, &now.join(kind.variable()), &shown).await {
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

/// Kubernetes moves one link, `..data`, from the old files to the new: whoever follows it once
/// never reads some of each.
async fn as_of_now(directory: &Path) -> Result<PathBuf, SecretsUnavailable> {
    if let Ok(data) = tokio::fs::canonicalize(directory.join("..data")).await {
        return Ok(data);
    }
    let found = tokio::fs::canonicalize(directory).await;
    found.map_err(|error| unreadable(directory, &error))
}

/// `shown` is what an error calls the file.
async fn read(kind: SecretKind, path: &Path, shown: &Path) -> Result<Secret, SecretsUnavailable> {
    let file = File::open(path).await;
    let file = file.map_err(|error| unreadable(shown, &error))?;
    let mut bytes = zeroize::Zeroizing::new(Vec::new());
    let most = MOST_BYTES.saturating_add(1);
    let taken = file.take(most).read_to_end(&mut bytes).await;
    let taken = taken.map_err(|error| unreadable(shown, &error))?;
    let refuse = |flaw| {
        let path = shown.to_owned();
        Err(SecretsUnavailable::Flaw { path, flaw })
    };
    if u64::try_from(taken).is_ok_and(|taken| taken > MOST_BYTES) {
        return refuse(SecretFlaw::TooLarge);
    }
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return refuse(SecretFlaw::NotText);
    };
    let text = without_newline(text);
    match SecretFlaw::of(kind, text) {
        Some(flaw) => refuse(flaw),
        None => Ok(Secret::new(text)),
    }
}

/// Editors and `echo` end a file in one newline; more of them, or a blank, is somebody's mistake.
fn without_newline(text: &str) -> &str {
    let line = text.strip_suffix('\n');
    line.map_or(text, |line| line.strip_suffix('\r').unwrap_or(line))
}

fn unreadable(path: &Path, error: &io::Error) -> SecretsUnavailable {
    SecretsUnavailable::File {
        path: path.to_owned(),
        kind: error.kind(),
    }
}
