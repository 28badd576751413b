//! Where a file to upload comes from.

use std::{fmt, future::Future, io, path::PathBuf, sync::Arc};

use bytes::{Bytes, BytesMut};
use futures_util::{
    FutureExt as _, Stream, StreamExt as _,
    future::BoxFuture,
    stream::{self, BoxStream},
};
use tokio::{fs::File, io::AsyncReadExt as _};

/// A file's content, piece by piece.
pub type ByteStream = BoxStream<'static, io::Result<Bytes>>;

/// So much of a file is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// A document or a selfie: where its bytes come from, and what it is called.
///
/// It is opened when it is sent, and once more if the connection could not be made at first.
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

/// A file under way.
pub(super) struct Opened {
    /// In bytes, if it is known.
    pub(super) length: Option<u64>,
    pub(super) stream: ByteStream,
}

impl CaptureFile {
    /// What lies in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self::of(Source::Bytes(bytes.into()))
    }

    /// A file of this machine, read 64 KiB at a time. It goes by its own name, of which only the
    /// extension is looked at, and which is not sent.
    pub fn path(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        let name = path.file_name().map(|it| it.to_string_lossy().into_owned());
        Self {
            name,
            ..Self::of(Source::Path(path))
        }
    }

    /// Whatever `open` opens, such as an object of a store: its length in bytes if that is known,
    /// and its content. It is opened again only if nothing of it was sent.
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

    /// What whoever captured it calls it. It is held against the content and sent escaped; without
    /// it, a name is made up from the part and the content.
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
                let about = file.metadata().await?;
                if !about.is_file() {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
                Ok(Opened {
                    length: Some(about.len()),
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

/// Shows neither content nor name.
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
        let mut piece = BytesMut::with_capacity(PIECE);
        let read = file.read_buf(&mut piece).await?;
        Ok((read > 0).then(|| (piece.freeze(), file)))
    })
}
