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
        let is_called_so = name.and_then(extension).is_none_or(|extension| {
            found
                .extensions()
                .iter()
                .any(|own| own.eq_ignore_ascii_case(extension))
        });
        if is_called_so {
            Ok(found)
        } else {
            Err(WrongType::Named(found))
        }
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
}
