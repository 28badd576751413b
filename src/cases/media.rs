//! Types of files, detected from their first bytes and compared with their names (K58).

use std::fmt;

use crate::wire::cases::SELFIE;

/// File type that KYCPort accepts. A selfie must not be a PDF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MediaType {
    /// `image/jpeg`.
    Jpeg,
    /// `image/png`.
    Png,
    /// `image/webp`.
    WebP,
    /// `application/pdf`.
    Pdf,
}

/// Error for a file with a wrong media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongType {
    /// KYCPort does not accept this type for the part.
    Unsupported,
    /// The extension of the file name belongs to another type than the content.
    Mismatch(MediaType),
}

/// Bytes at the start of a file that identify its type.
pub(super) const SIGNATURE_BYTES: usize = 12;

impl MediaType {
    /// Returns the value for `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// Detects the type of the file in `part` from its first bytes, and compares the extension of
    /// its name.
    pub(super) fn detect(part: &str, head: &[u8], name: Option<&str>) -> Result<Self, WrongType> {
        let found = Self::of(head).filter(|found| part != SELFIE || *found != Self::Pdf);
        let found = found.ok_or(WrongType::Unsupported)?;
        // The text after the last dot is a mismatch only if it is a known extension. The client
        // therefore accepts names such as `scan 12.03.2024` and `photo.jpg (1)`.
        let is_mismatch = name.and_then(extension).is_some_and(|extension| {
            !found.has(extension)
                && (Self::ALL.iter().any(|other| other.has(extension))
                    || OTHER_EXTENSIONS
                        .iter()
                        .any(|other| other.eq_ignore_ascii_case(extension)))
        });
        if is_mismatch {
            Err(WrongType::Mismatch(found))
        } else {
            Ok(found)
        }
    }

    const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::WebP, Self::Pdf];

    /// Returns the name to send. Adds the extension of the type if the name does not end in an
    /// extension of the type.
    pub(super) fn complete(self, name: &str) -> String {
        let own = self.extensions().first().copied().unwrap_or_default();
        match extension(name) {
            Some(extension) if !self.has(extension) => format!("{name}.{own}"),
            _ => name.to_owned(),
        }
    }

    fn has(self, extension: &str) -> bool {
        self.extensions()
            .iter()
            .any(|own| own.eq_ignore_ascii_case(extension))
    }

    /// Returns the types that KYCPort accepts for `part`, as text for an end user.
    pub(crate) fn names(part: &str) -> &'static str {
        if part == SELFIE {
            "JPEG, PNG, WebP"
        } else {
            "JPEG, PNG, WebP, PDF"
        }
    }

    /// Returns the extensions of the type. The first extension is used for a file without a name.
    pub(super) fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Jpeg => &["jpg", "jpeg", "jpe", "jfif"],
            Self::Png => &["png"],
            Self::WebP => &["webp"],
            Self::Pdf => &["pdf"],
        }
    }

    fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                ..,
            ] => Some(Self::WebP),
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            _ => None,
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Extensions of common types that KYCPort does not accept. If a file has one of these extensions,
/// the person has chosen the wrong file.
const OTHER_EXTENSIONS: [&str; 24] = [
    "gif", "bmp", "tif", "tiff", "heic", "heif", "avif", "svg", "mp4", "mov", "webm", "mp3", "doc",
    "docx", "xls", "xlsx", "txt", "html", "htm", "js", "zip", "exe", "bat", "sh",
];

fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

#[cfg(test)]
mod tests {
    use super::{MediaType, WrongType};

    #[test]
    fn the_type_is_detected_from_the_content_and_must_match_the_name() {
        // case 123
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\r";
        let webp = b"RIFF\0\0\0\0WEBPVP8 ";
        for (part, head, name, expected) in [
            ("document", &png[..], None, Ok("image/png")),
            ("document", &png[..], Some("a.PNG"), Ok("image/png")),
            ("document", &png[..], Some("scan"), Ok("image/png")),
            (
                "document",
                &png[..],
                Some("scan.pdf"),
                Err(WrongType::Mismatch(MediaType::Png)),
            ),
            (
                "document",
                &png[..],
                Some("scan.png.exe"),
                Err(WrongType::Mismatch(MediaType::Png)),
            ),
            (
                "document",
                &png[..],
                Some("scan 12.03.2024"),
                Ok("image/png"),
            ),
            (
                "document",
                &png[..],
                Some("Dr. Smith passport"),
                Ok("image/png"),
            ),
            ("document", &png[..], Some("photo.png (1)"), Ok("image/png")),
            (
                "document",
                &png[..],
                Some("photo.heic"),
                Err(WrongType::Mismatch(MediaType::Png)),
            ),
            (
                "document",
                b"%PDF-1.7\n",
                Some("a.pdf"),
                Ok("application/pdf"),
            ),
            (
                "selfie",
                b"%PDF-1.7\n",
                Some("a.pdf"),
                Err(WrongType::Unsupported),
            ),
            (
                "selfie",
                b"\xff\xd8\xff\xe0",
                Some("me.jpeg"),
                Ok("image/jpeg"),
            ),
            ("document_back", &webp[..], Some("b.webp"), Ok("image/webp")),
            (
                "document",
                b"RIFF\0\0\0\0AVI LIST",
                None,
                Err(WrongType::Unsupported),
            ),
            ("document", b"GIF89a", None, Err(WrongType::Unsupported)),
            ("document", b"\x89PN", None, Err(WrongType::Unsupported)),
            ("document", b"", None, Err(WrongType::Unsupported)),
        ] {
            let detected = MediaType::detect(part, head, name);
            assert_eq!(detected.map(MediaType::as_str), expected, "{name:?}");
        }
    }

    #[test]
    fn a_name_is_sent_with_an_extension_of_its_type() {
        // case 123
        for (name, sent) in [
            ("scan", "scan"),
            ("scan.JPEG", "scan.JPEG"),
            ("scan 12.03.2024", "scan 12.03.2024.jpg"),
            ("photo.jpg (1)", "photo.jpg (1).jpg"),
        ] {
            assert_eq!(MediaType::Jpeg.complete(name), sent);
        }
    }
}
