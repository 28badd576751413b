//! `multipart/form-data` (RFC 7578) as a stream: parts as they come, nothing held.
//!
//! reqwest's own forms want every part before the first byte goes out; what a browser uploads
//! through this app has no such list.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{
    Stream, StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use http_body::{Body, Frame, SizeHint};
use rand::RngExt as _;

use super::{error::UploadError, media::MediaType};

/// What a form is made of, in its order.
pub(super) enum Piece {
    /// A part begins.
    Part(PartHead),
    /// More of its content.
    Data(Bytes),
}

/// What stands above a part's content.
#[derive(Debug, Clone)]
pub(super) struct PartHead {
    pub(super) name: String,
    /// Of a file: what it is called and what it is.
    pub(super) file: Option<(String, MediaType)>,
}

/// What separates the parts: 128 random bits, which no file has in it.
pub(super) struct Boundary(String);

impl Boundary {
    pub(super) fn random() -> Self {
        let bits: u128 = rand::rng().random();
        Self(format!("kycport-{bits:032x}"))
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.0)
    }

    /// The form. `length` is that of all heads and contents, if it is known.
    pub(super) fn form(
        &self,
        pieces: impl Stream<Item = Result<Piece, UploadError>> + Send + 'static,
        length: Option<u64>,
    ) -> Form {
        let end = self.end();
        let length = length.and_then(|length| length.checked_add(end.len() as u64));
        let boundary = Self(self.0.clone());
        let bytes = pieces
            .map_ok(move |piece| match piece {
                Piece::Part(head) => boundary.head(&head),
                Piece::Data(data) => data,
            })
            .chain(stream::iter([Ok(end)]));
        Form {
            bytes: Mutex::new(bytes.boxed()),
            length,
        }
    }

    /// How long a part is, with what stands above it.
    pub(super) fn length_of(&self, head: &PartHead, content: u64) -> Option<u64> {
        content.checked_add(self.head(head).len() as u64)
    }

    fn head(&self, head: &PartHead) -> Bytes {
        let mut text = format!(
            "\r\n--{}\r\ncontent-disposition: form-data; name=\"{}\"",
            self.0,
            escaped(&head.name)
        );
        if let Some((name, media_type)) = &head.file {
            text.push_str("; filename=\"");
            text.push_str(&escaped(name));
            text.push_str("\"\r\ncontent-type: ");
            text.push_str(media_type.as_str());
        }
        text.push_str("\r\n\r\n");
        text.into()
    }

    fn end(&self) -> Bytes {
        format!("\r\n--{}--\r\n", self.0).into()
    }
}

/// As browsers escape names (WHATWG HTML, "multipart/form-data encoding algorithm"), of the last
/// component alone, without what else a terminal or a file system would act on.
pub(super) fn escaped(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let last = if matches!(last, "" | "." | "..") {
        "file"
    } else {
        last
    };
    let mut escaped = String::with_capacity(last.len());
    for letter in last.chars().take(LONGEST_NAME) {
        match letter {
            '"' => escaped.push_str("%22"),
            '\r' => escaped.push_str("%0D"),
            '\n' => escaped.push_str("%0A"),
            other if other.is_control() => escaped.push('_'),
            other => escaped.push(other),
        }
    }
    escaped
}

/// The longest file name, in characters.
const LONGEST_NAME: usize = 128;

/// A form on its way.
pub(super) struct Form {
    /// The lock is never taken: it makes a stream that one task polls shareable by type.
    bytes: Mutex<BoxStream<'static, Result<Bytes, UploadError>>>,
    length: Option<u64>,
}

impl Body for Form {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let bytes = match self.bytes.get_mut() {
            Ok(bytes) => bytes,
            Err(poisoned) => poisoned.into_inner(),
        };
        bytes.poll_next_unpin(cx).map_ok(Frame::data)
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map(SizeHint::with_exact).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn a_file_name_stays_one() {
        // case 123
        for (name, wire) in [
            ("passport.png", "passport.png"),
            ("a\"; name=\"outcome", "a%22; name=%22outcome"),
            ("a\r\nx-evil: 1", "a%0D%0Ax-evil: 1"),
            ("../../etc/passwd", "passwd"),
            ("..\\..\\boot.ini", "boot.ini"),
            ("..", "file"),
            ("", "file"),
            ("a\0b\x1b[2J", "a_b_[2J"),
            ("Påss.png", "Påss.png"),
        ] {
            assert_eq!(escaped(name), wire);
        }
        assert_eq!(escaped(&"x".repeat(4096)).len(), 128);
    }
}
