//! foreign_relying_party
