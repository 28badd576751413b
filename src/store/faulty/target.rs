//! Selection of the operations that a fault affects.

use crate::store::{Family, LeaseFamily};

/// Operation of a [`Store`](crate::store::Store).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// The operation [`Store::read`](crate::store::Store::read).
    Read,
    /// The operation [`Store::write`](crate::store::Store::write).
    Write,
    /// The operation [`Store::revoke`](crate::store::Store::revoke).
    Revoke,
    /// The operation [`Store::list`](crate::store::Store::list).
    List,
    /// The operation [`Store::acquire`](crate::store::Store::acquire).
    Acquire,
    /// The operation [`Store::settle`](crate::store::Store::settle).
    Settle,
    /// The operation [`Store::sweep`](crate::store::Store::sweep).
    Sweep,
    /// The operation [`Store::check`](crate::store::Store::check).
    Check,
}

impl Operation {
    /// Restricts the operation to calls that concern a record of `family`. A write belongs to the
    /// families of all records that it stores, checks or deletes. A revocation belongs to the
    /// families that it deletes.
    pub const fn of(self, family: Family) -> Target {
        Target {
            operation: Some(self),
            kind: Some(Kind::Record(family)),
        }
    }

    /// Restricts the operation to calls that concern a lease of `family`.
    pub const fn of_lease(self, family: LeaseFamily) -> Target {
        Target {
            operation: Some(self),
            kind: Some(Kind::Lease(family)),
        }
    }
}

/// Selection of store operations: all operations, one operation, all operations on one family of
/// records or leases, or one operation on one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Target {
    operation: Option<Operation>,
    kind: Option<Kind>,
}

impl Target {
    /// Selects all operations of a store.
    pub const ALL: Self = Self {
        operation: None,
        kind: None,
    };

    /// Selects all operations that concern a record of `family`.
    pub const fn family(family: Family) -> Self {
        Self {
            operation: None,
            kind: Some(Kind::Record(family)),
        }
    }

    /// Selects all operations that concern a lease of `family`.
    pub const fn lease_family(family: LeaseFamily) -> Self {
        Self {
            operation: None,
            kind: Some(Kind::Lease(family)),
        }
    }

    pub(super) fn includes(self, call: &Call) -> bool {
        self.operation.is_none_or(|it| it == call.operation)
            && self.kind.is_none_or(|it| call.kinds.contains(&it))
    }
}

impl From<Operation> for Target {
    fn from(operation: Operation) -> Self {
        Self {
            operation: Some(operation),
            kind: None,
        }
    }
}

/// Record family or lease family that a call concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Record(Family),
    Lease(LeaseFamily),
}

/// Operation of a call, with the families that the call concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    operation: Operation,
    kinds: Vec<Kind>,
}

impl Call {
    pub(super) fn new(operation: Operation) -> Self {
        Self {
            operation,
            kinds: Vec::new(),
        }
    }

    pub(super) fn records(
        operation: Operation,
        families: impl IntoIterator<Item = Family>,
    ) -> Self {
        Self {
            operation,
            kinds: families.into_iter().map(Kind::Record).collect(),
        }
    }

    pub(super) fn lease(operation: Operation, family: LeaseFamily) -> Self {
        Self {
            operation,
            kinds: vec![Kind::Lease(family)],
        }
    }
}

/// Calls of a [`FaultyStore`](super::FaultyStore).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts {
    calls: Vec<Call>,
}

impl Counts {
    /// Returns the number of calls, including failed and cancelled calls.
    pub fn of(&self, target: impl Into<Target>) -> usize {
        let target = target.into();
        let calls = self.calls.iter();
        calls.filter(|call| target.includes(call)).count()
    }

    /// Returns the operations in the order of the calls.
    pub fn operations(&self) -> Vec<Operation> {
        self.calls.iter().map(|call| call.operation).collect()
    }

    pub(super) fn add(&mut self, call: Call) {
        self.calls.push(call);
    }
}
