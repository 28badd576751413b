//! Streaming writer for `multipart/form-data` (RFC 7578).
//!
//! The forms of reqwest need the list of parts before the first byte is sent. For an upload that a
//! browser streams through this app, the list is not known in advance.

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

/// Piece of a form, in the order of the form.
pub(super) enum Piece {
    /// Start of the next part, with its headers.
    Part(PartHead),
    /// Content of the current part.
    Data(Bytes),
}

/// Headers of a part.
#[derive(Debug, Clone)]
pub(super) struct PartHead {
    pub(super) name: String,
    /// Name and type, if the part is a file.
    pub(super) file: Option<(String, MediaType)>,
}

/// Boundary between the parts. The boundary contains 128 random bits. No file therefore contains
/// the boundary.
pub(super) struct Boundary(String);

impl Boundary {
    pub(super) fn random() -> Self {
        let bits: u128 = rand::rng().random();
        Self(format!("kycport-{bits:032x}"))
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.0)
    }

    /// Builds the form. `length` is the length of all heads and contents, if known.
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

    /// Returns the length of a part with its head.
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

/// Escapes a file name as browsers do (WHATWG HTML, "multipart/form-data encoding algorithm").
/// Removes directories, and replaces other control characters.
pub(super) fn escaped(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let last = if matches!(last, "" | "." | "..") {
        "file"
    } else {
        last
    };
    let mut escaped = String::with_capacity(last.len());
    for letter in last.chars().take(MAX_NAME_CHARS) {
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

/// Maximum length of a file name, in characters.
const MAX_NAME_CHARS: usize = 128;

/// Request body that streams a form.
pub(super) struct Form {
    /// The mutex only makes the stream `Sync`, and is never locked.
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
    fn a_file_name_is_escaped_and_has_no_path() {
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
