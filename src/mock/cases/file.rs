//! Streaming inspection of an uploaded file. The mock does not keep the uploaded files.

use sha2::{Digest as _, Sha256};

use crate::{
    mock::{random, records::file::FileSnapshot},
    wire::cases::SELFIE,
};

/// Number of bytes that the engine inspects at the start of a file.
const HEAD_BYTES: usize = 64 * 1024;
/// Number of bytes that the engine inspects at the end of a file.
const TAIL_BYTES: usize = 1024;
/// Marker in a document that forces an outcome. The outcome follows the marker.
const MARKER: &[u8] = b"KYCPORT-MOCK:";

/// Defect of an uploaded file (K58).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mock) enum BadFile {
    Type,
    Unreadable,
}

/// State of the inspection while the mock receives a file.
#[derive(Default)]
pub(in crate::mock) struct FileInspector {
    hash: Sha256,
    size: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl FileInspector {
    pub(in crate::mock) fn push(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.size = self.size.saturating_add(piece.len() as u64);
        let room = HEAD_BYTES.saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(room));
        self.tail.extend_from_slice(piece);
        let over = self.tail.len().saturating_sub(TAIL_BYTES);
        self.tail.drain(..over);
    }

    pub(in crate::mock) fn size(&self) -> u64 {
        self.size
    }

    /// Validates the complete file of `part`.
    pub(in crate::mock) fn finish(
        self,
        part: &str,
        content_type: Option<String>,
        file_name: Option<String>,
    ) -> Result<FileSnapshot, BadFile> {
        if self.size == 0 {
            return Err(BadFile::Unreadable);
        }
        let (found, is_whole) = self.kind().ok_or(BadFile::Type)?;
        let fits = content_type.as_deref() == Some(found)
            && (part != SELFIE || found != "application/pdf");
        if !fits {
            return Err(BadFile::Type);
        }
        if !is_whole {
            return Err(BadFile::Unreadable);
        }
        Ok(FileSnapshot {
            size: self.size,
            content_type,
            file_name,
            marker: self.marker(),
            sha256: random::hex("", &self.hash.finalize()),
        })
    }

    /// Returns the media type, and whether the file is complete.
    fn kind(&self) -> Option<(&'static str, bool)> {
        let (head, tail) = (self.head.as_slice(), self.tail.as_slice());
        if head.starts_with(b"\x89PNG\r\n\x1a\n") {
            Some(("image/png", tail.ends_with(b"IEND\xaeB`\x82")))
        } else if head.starts_with(b"\xff\xd8\xff") {
            Some(("image/jpeg", tail.ends_with(b"\xff\xd9")))
        } else if head.starts_with(b"%PDF-") {
            Some(("application/pdf", find(tail, b"%%EOF").is_some()))
        } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
            let length = head.get(4..8).and_then(|it| it.try_into().ok());
            let length = u64::from(u32::from_le_bytes(length.unwrap_or_default()));
            Some(("image/webp", length.saturating_add(8) == self.size))
        } else {
            None
        }
    }

    fn marker(&self) -> Option<String> {
        word(&self.head).or_else(|| word(&self.tail))
    }
}

/// Returns the word after the marker.
fn word(bytes: &[u8]) -> Option<String> {
    let begin = find(bytes, MARKER)?.checked_add(MARKER.len())?;
    let word = bytes.get(begin..)?.iter();
    let word = word.copied().take_while(u8::is_ascii_lowercase);
    Some(word.take(16).map(char::from).collect())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|it| it == wanted)
}
