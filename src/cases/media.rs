//! What a file is, told from its first bytes and held against its name (K58).

use std::fmt;

use crate::wire::cases::SELFIE;

/// What KYCPort takes. A selfie is not a PDF.
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

/// Why a file is not taken for what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WrongType {
    /// It is nothing that KYCPort takes there.
    Unsupported,
    /// Its name says that it is something else.
    Named(MediaType),
}

/// So many bytes tell what a file is.
pub(super) const TELLING_BYTES: usize = 12;

impl MediaType {
    /// As it stands in `Content-Type`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Pdf => "application/pdf",
        }
    }

    /// How the file of `part` begins, and what it is called.
    pub(super) fn judge(part: &str, head: &[u8], name: Option<&str>) -> Result<Self, WrongType> {
        let found = Self::of(head).filter(|found| part != SELFIE || *found != Self::Pdf);
        let found = found.ok_or(WrongType::Unsupported)?;
        // What is no extension of another known type contradicts nothing: `scan 12.03.2024`,
        // `Dr. Smith passport`, `photo.jpg (1)`.
        let is_called_otherwise = name.and_then(extension).is_some_and(|extension| {
            !found.has(extension)
                && (Self::ALL.iter().any(|other| other.has(extension))
                    || OTHER_EXTENSIONS
                        .iter()
                        .any(|other| other.eq_ignore_ascii_case(extension)))
        });
        if is_called_otherwise {
            Err(WrongType::Named(found))
        } else {
            Ok(found)
        }
    }

    const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::WebP, Self::Pdf];

    /// The name to send: with the type's own extension, if what follows the last dot is none.
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

    /// What KYCPort takes as `part`, for a person.
    pub(crate) fn names(part: &str) -> &'static str {
        if part == SELFIE {
            "JPEG, PNG, WebP"
        } else {
            "JPEG, PNG, WebP, PDF"
        }
    }

    /// The first is the one a file without a name is given.
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

/// Extensions of common types that KYCPort does not accept. A person who chose such a file by mistake
/// is told so.
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
    fn the_content_says_what_it_is_and_the_name_may_not_say_otherwise() {
        // case 123
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\r";
        let webp = b"RIFF\0\0\0\0WEBPVP8 ";
        for (part, head, name, verdict) in [
            ("document", &png[..], None, Ok("image/png")),
            ("document", &png[..], Some("a.PNG"), Ok("image/png")),
            ("document", &png[..], Some("scan"), Ok("image/png")),
            (
                "document",
                &png[..],
                Some("scan.pdf"),
                Err(WrongType::Named(MediaType::Png)),
            ),
            (
                "document",
                &png[..],
                Some("scan.png.exe"),
                Err(WrongType::Named(MediaType::Png)),
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
                Err(WrongType::Named(MediaType::Png)),
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
            let judged = MediaType::judge(part, head, name);
            assert_eq!(judged.map(MediaType::as_str), verdict, "{name:?}");
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
