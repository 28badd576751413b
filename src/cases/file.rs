//! Sources of the files to upload.

use std::{fmt, future::Future, io, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{fs::File, io::AsyncReadExt as _};

/// Stream with the content of a file.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// Size of one read from a file, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// Document or selfie to upload: a file name, and the source of the content.
///
/// The client opens the file for the upload. The client opens the file again if the connection
/// could not be made.
#[derive(Clone)]
pub struct CaptureFile {
    source: Source,
    name: Option<String>,
}

#[derive(Clone)]
enum Source {
    Bytes(Bytes),
    Path(PathBuf),
    Factory(Arc<dyn Fn() -> BoxFuture<'static, io::Result<Opened>> + Send + Sync>),
}

/// Open file.
pub(super) struct Opened {
    /// Length in bytes, if known.
    pub(super) length: Option<u64>,
    pub(super) stream: ByteStream,
}

impl CaptureFile {
    /// Creates a file from bytes in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Source::Bytes(bytes.into()))
    }

    /// Creates a file from a path. The file is read in pieces of 64 KiB. The client checks the
    /// extension of the file name against the content, and does not send the name.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
        Self {
            name,
            ..Self::of(Source::Path(path))
        }
    }

    /// Creates a file from a function that opens it, such as an object in an object store. The
    /// function returns the length in bytes, if known, and the content. The client calls the
    /// function again only if no part of the request was sent.
    pub fn opened_by<F, S>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<(Option<u64>, S)>> + Send + 'static,
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        Self::of(Source::Factory(Arc::new(move || {
            let opening = open();
            async move {
                let (length, stream) = opening.await?;
                Ok(Opened {
                    length,
                    stream: stream.boxed(),
                })
            }
            .boxed()
        })))
    }

    /// Sets the name of the file. The client checks the extension against the content, and sends
    /// the escaped name. The default name consists of the part and the type, such as
    /// `document.jpg`.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    pub(super) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    pub(super) fn is_named_by_its_path(&self) -> bool {
        matches!(self.source, Source::Path(_))
    }

    pub(super) async fn open(&self) -> io::Result<Opened> {
        match &self.source {
            Source::Bytes(bytes) => {
                let bytes = bytes.clone();
                Ok(Opened {
                    length: Some(bytes.len() as u64),
                    stream: stream::iter([Ok(bytes)]).boxed(),
                })
            }
            Source::Path(path) => {
                let file = File::open(path).await?;
                let metadata = file.metadata().await?;
                if !metadata.is_file() {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                Ok(Opened {
                    length: Some(metadata.len()),
                    stream: pieces(file).boxed(),
                })
            }
            Source::Factory(open) => open().await,
        }
    }

    fn of(source: Source) -> Self {
        Self { source, name: None }
    }
}

/// `Debug` hides the content and the name.
impl fmt::Debug for CaptureFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::Bytes(_) => "bytes",
            Source::Path(_) => "path",
            Source::Factory(_) => "factory",
        };
        write!(f, "CaptureFile({source})")
    }
}

fn pieces(file: File) -> impl Stream<Item = io::Result<Bytes>> {
    stream::try_unfold(file, |mut file| async {
        let mut piece = BytesMut::with_capacity(READ_BYTES);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    })
}
