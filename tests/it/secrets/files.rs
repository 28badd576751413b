//! Tests that the app reads secrets from files.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use kycport::{
    Secret,
    secrets::{InvalidSecret, SecretFiles, SecretProvider as _, SecretsUnavailable},
};

const CLIENT: &str = "KYCPORT_CLIENT_SECRET";
const KEY: &str = "KYCPORT_TENANT_API_KEY";
const WEBHOOK: &str = "KYCPORT_WEBHOOK_SECRET";
const PREVIOUS: &str = "KYCPORT_WEBHOOK_SECRET_PREVIOUS";

/// Temporary directory. Dropping this value deletes the directory.
struct Mounted(PathBuf);

impl Mounted {
    fn new(test: &str) -> Self {
        let name = format!("secrets-{test}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn is(secret: Option<&Secret>, text: &str) -> bool {
    secret.is_some_and(|secret| secret.expose() == text)
}

#[tokio::test]
async fn a_directory_is_read_again_and_missing_files_are_skipped() {
    let mounted = Mounted::new("directory");
    let files = SecretFiles::in_directory(&mounted.0);
    assert_eq!(files.secrets().await, Ok(kycport::secrets::Secrets::new()));
    mounted.write(CLIENT, "the secret");
    mounted.write(KEY, "the key\n");
    mounted.write(WEBHOOK, "the webhook secret\r\n");
    mounted.write(PREVIOUS, "the previous webhook secret");
    let secrets = files.secrets().await.unwrap();
    assert!(is(secrets.client_secret.as_ref(), "the secret"));
    assert!(is(secrets.tenant_api_key.as_ref(), "the key"));
    assert!(is(secrets.webhook_secret.as_ref(), "the webhook secret"));
    assert!(is(
        secrets.previous_webhook_secret.as_ref(),
        "the previous webhook secret"
    ));
    mounted.write(CLIENT, "another");
    let secrets = files.secrets().await.unwrap();
    assert!(is(secrets.client_secret.as_ref(), "another"));
}

#[tokio::test]
async fn an_invalid_secret_is_rejected_with_the_name_of_its_file() {
    let mounted = Mounted::new("flaws");
    let large = vec![b'x'; 64 * 1024 + 1];
    let flaws: [(&[u8], InvalidSecret); 12] = [
        (b"", InvalidSecret::Blank),
        (b"\n", InvalidSecret::Blank),
        (b"the secret\n\n", InvalidSecret::WhiteSpace),
        (b"the secret \n", InvalidSecret::WhiteSpace),
        (b"\tthe secret", InvalidSecret::WhiteSpace),
        (b"the\0secret", InvalidSecret::ControlCharacter),
        (b"the \xff secret", InvalidSecret::NotText),
        (&large, InvalidSecret::TooLarge),
        (b"\"the secret\"\n", InvalidSecret::Quoted),
        (b"'the secret'", InvalidSecret::Quoted),
        (
            b"KYCPORT_CLIENT_SECRET=the secret\n",
            InvalidSecret::Assignment,
        ),
        (b"export CLIENT_SECRET=x", InvalidSecret::Assignment),
    ];
    let path = mounted.path(CLIENT);
    for (text, problem) in flaws {
        mounted.write(CLIENT, text);
        for files in [
            SecretFiles::in_directory(&mounted.0),
            SecretFiles::new().client_secret(&path),
        ] {
            let error = files.secrets().await.unwrap_err();
            assert!(
                error.to_string().starts_with(path.to_str().unwrap()),
                "{error}"
            );
            let path = path.clone();
            assert_eq!(error, SecretsUnavailable::InvalidSecret { path, problem });
        }
    }
    // These files contain valid secrets.
    for text in ["\"half", "c2VjcmV0==", "AB_CD==", "a=b", "lower_case=x"] {
        mounted.write(CLIENT, text);
        let secrets = SecretFiles::new().client_secret(&path).secrets().await;
        assert!(is(secrets.unwrap().client_secret.as_ref(), text), "{text}");
    }
    fs::remove_file(&path).unwrap();
    mounted.write(WEBHOOK, "fifteen bytes..\n");
    let error = SecretFiles::in_directory(&mounted.0).secrets().await;
    let path = mounted.path(WEBHOOK);
    let problem = InvalidSecret::Short;
    assert_eq!(
        error,
        Err(SecretsUnavailable::InvalidSecret { path, problem })
    );
}

#[tokio::test]
async fn a_configured_file_or_directory_must_exist() {
    let mounted = Mounted::new("missing");
    let kind = io::ErrorKind::NotFound;
    let path = mounted.path("nowhere");
    let missing = Err(SecretsUnavailable::File {
        path: path.clone(),
        kind,
    });
    let files = SecretFiles::new().tenant_api_key(&path);
    assert_eq!(files.secrets().await, missing);
    let files = SecretFiles::in_directory(&path);
    assert_eq!(files.secrets().await, missing);
}

#[cfg(unix)]
#[tokio::test]
async fn a_kubernetes_secret_volume_is_read_atomically() {
    use std::os::unix::fs::symlink;

    let mounted = Mounted::new("kubernetes");
    for (version, text) in [("..1", "of old"), ("..2", "of now")] {
        fs::create_dir(mounted.path(version)).unwrap();
        mounted.write(&format!("{version}/{CLIENT}"), format!("secret {text}"));
        mounted.write(&format!("{version}/{KEY}"), format!("key {text}"));
    }
    // One link points to the old version and one link points to the new version, as during the
    // swap.
    symlink(format!("..1/{CLIENT}"), mounted.path(CLIENT)).unwrap();
    symlink(format!("..data/{KEY}"), mounted.path(KEY)).unwrap();
    symlink("..2", mounted.path("..data")).unwrap();
    let secrets = SecretFiles::in_directory(&mounted.0)
        .secrets()
        .await
        .unwrap();
    assert!(is(secrets.client_secret.as_ref(), "secret of now"));
    assert!(is(secrets.tenant_api_key.as_ref(), "key of now"));
}
