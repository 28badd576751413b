//! Namespaces, which separate the records of different issuers and clients.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::store::{Owner, digest};

/// Namespace of one issuer and one client. Relying parties that share a database do not see each
/// other's records, because the namespace is part of every key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Namespace([u8; 16]);

impl Namespace {
    pub(crate) fn of(issuer: &str, client_id: &str) -> Self {
        let parts = [issuer.as_bytes(), client_id.as_bytes()];
        Self(digest("kycport namespace", &parts))
    }

    pub(crate) fn bytes(&self) -> [u8; 16] {
        self.0
    }

    /// Returns the owner of a person's records. The hash includes the namespace. One person
    /// therefore has unrelated owner ids at different clients.
    pub(crate) fn owner_of(&self, subject: &str) -> Owner {
        Owner {
            namespace: self.0,
            id: digest("kycport owner", &[&self.0, subject.as_bytes()]),
        }
    }

    /// Returns the owner with this ID.
    pub(crate) fn owner(&self, id: [u8; 16]) -> Owner {
        Owner {
            namespace: self.0,
            id,
        }
    }

    /// Returns the owner of records that belong to the whole namespace.
    pub(crate) fn itself(&self) -> Owner {
        Owner::namespace(self.0)
    }

    /// Returns four characters that distinguish the cookie names of apps on one host. The
    /// characters encode three bytes as base64url. Cookie names may contain all characters of
    /// base64url.
    pub(crate) fn short_name(&self) -> String {
        let [first, second, third, ..] = self.0;
        URL_SAFE_NO_PAD.encode([first, second, third])
    }
}

#[cfg(test)]
mod tests {
    use super::Namespace;

    #[test]
    fn issuer_and_client_make_the_namespace() {
        let own = Namespace::of("https://issuer", "client");
        assert_eq!(own, Namespace::of("https://issuer", "client"));
        assert_ne!(own, Namespace::of("https://issuer", "other"));
        assert_ne!(own, Namespace::of("https://other", "client"));
        assert_ne!(own, Namespace::of("https://issuerc", "lient"));
        assert_eq!(own.short_name().len(), 4);
    }

    #[test]
    fn a_person_has_another_owner_in_each_namespace() {
        let (one, other) = (Namespace::of("i", "a"), Namespace::of("i", "b"));
        assert_ne!(one.owner_of("ada").id, other.owner_of("ada").id);
        assert_ne!(one.owner_of("ada"), one.owner_of("bob"));
        assert_eq!(one.owner(one.owner_of("ada").id), one.owner_of("ada"));
    }
}
