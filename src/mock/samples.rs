//! Small valid PNG images to upload, one pixel each.
//!
//! The images of two seeds differ, because the engine rejects an image that two persons upload.

use flate2::Crc;

use crate::wire::cases::Outcome;

/// Returns a document image for this seed.
pub fn document(seed: &str) -> Vec<u8> {
    picture(&format!("document of {seed}"), 0)
}

/// Returns the back of the document image for this seed.
pub fn document_back(seed: &str) -> Vec<u8> {
    picture(&format!("document back of {seed}"), 0)
}

/// Returns a selfie image for this seed.
pub fn selfie(seed: &str) -> Vec<u8> {
    picture(&format!("selfie of {seed}"), 0)
}

/// Returns a document image that forces this outcome.
pub fn document_that_is(outcome: &Outcome, seed: &str) -> Vec<u8> {
    // The PNG checksum follows this text, and the first byte of the checksum may be a letter. The
    // full stop separates the outcome from the checksum.
    picture(&format!("document of {seed} KYCPORT-MOCK:{outcome}."), 0)
}

/// Returns a document image with `bytes` bytes of padding. The image is 100 to 200 bytes larger
/// than its padding.
pub fn document_of_size(seed: &str, bytes: usize) -> Vec<u8> {
    picture(&format!("document of {seed}"), bytes)
}

/// PNG signature and `IHDR` chunk: one pixel, 8-bit grey (PNG, third edition, section 11.2.1).
const BEGIN: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01\0\0\0\x01\x08\0\0\0\0\x3a\x7e\x9b\x55";
/// `IDAT` chunk with one black pixel.
const PIXEL: &[u8] = b"\0\0\0\x0aIDAT\x78\x9c\x63\x60\0\0\0\x02\0\x01\x48\xaf\xa4\x71";
const END: &[u8] = b"\0\0\0\0IEND\xaeB`\x82";

fn picture(comment: &str, padding: usize) -> Vec<u8> {
    let mut content = b"tEXtComment\0".to_vec();
    content.extend_from_slice(comment.as_bytes());
    content.resize(content.len().saturating_add(padding), b'.');
    let length = u32::try_from(content.len().saturating_sub(4)).unwrap_or(u32::MAX);
    let mut picture = BEGIN.to_vec();
    picture.extend_from_slice(PIXEL);
    picture.extend_from_slice(&length.to_be_bytes());
    picture.extend_from_slice(&content);
    let mut crc = Crc::new();
    crc.update(&content);
    picture.extend_from_slice(&crc.sum().to_be_bytes());
    picture.extend_from_slice(END);
    picture
}

#[cfg(test)]
mod tests {
    use super::document_that_is;
    use crate::{mock::cases::file::FileInspector, wire::cases::Outcome};

    #[test]
    fn the_marker_is_read_for_every_seed() {
        for seed in 0..500 {
            let mut inspector = FileInspector::default();
            inspector.push(&document_that_is(&Outcome::Review, &seed.to_string()));
            let facts = inspector.finish("document", Some("image/png".to_owned()), None);
            let word = facts.ok().and_then(|facts| facts.marker);
            assert_eq!(word.as_deref(), Some("review"), "{seed}");
        }
    }
}
