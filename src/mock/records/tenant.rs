//! Stored tenants and their request counts (K40, K43).

use std::{collections::BTreeMap, time::Duration};

use subtle::ConstantTimeEq as _;

use super::{old_secret::OldSecret, secrets::Secrets};
use crate::mock::random;

#[derive(Clone)]
pub(in crate::mock) struct TenantRecord {
    pub(in crate::mock) id: String,
    pub(in crate::mock) api_key: String,
    /// Previous API key that the mock still accepts (K97).
    old_api_key: Option<String>,
    /// Whether the API key may read statuses. If `false`, the response to a status request is 403
    /// (K43).
    pub(in crate::mock) may_read_status: bool,
    /// Secrets that sign the tenant's deliveries.
    pub(in crate::mock) webhook_secrets: Secrets,
    /// Start of the current rate limit window, and the number of requests in it.
    window: Option<(Duration, u32)>,
}

impl TenantRecord {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            api_key: fresh_key(),
            old_api_key: None,
            may_read_status: true,
            webhook_secrets: Secrets::generate(),
            window: None,
        }
    }

    pub(in crate::mock) fn rotate_api_key(&mut self, old: OldSecret) {
        old.replace(&mut self.api_key, &mut self.old_api_key, fresh_key());
    }

    fn has_key(&self, key: &str) -> bool {
        let is_it = |own: &String| own.as_bytes().ct_eq(key.as_bytes()).into();
        is_it(&self.api_key) || self.old_api_key.as_ref().is_some_and(is_it)
    }

    /// Counts a request at `now`, a time of a monotonic clock. If the window already contains `max`
    /// requests, returns the time until the window ends.
    fn count(&mut self, now: Duration, (max, per): (u32, Duration)) -> Result<(), Duration> {
        let running = self
            .window
            .filter(|(since, _)| now.saturating_sub(*since) < per);
        let (since, taken) = running.unwrap_or((now, 0));
        if taken >= max {
            return Err(per.saturating_sub(now.saturating_sub(since)));
        }
        self.window = Some((since, taken.saturating_add(1)));
        Ok(())
    }
}

fn fresh_key() -> String {
    format!("key_{}", random::token())
}

/// All tenants, by ID.
#[derive(Clone, Default)]
pub(in crate::mock) struct Tenants(BTreeMap<String, TenantRecord>);

impl Tenants {
    /// Returns the tenant with this ID. Creates the tenant if it does not exist.
    pub(in crate::mock) fn ensure(&mut self, id: &str) -> TenantRecord {
        let own = self.0.entry(id.to_owned());
        own.or_insert_with(|| TenantRecord::new(id)).clone()
    }

    pub(in crate::mock) fn all(&self) -> Vec<TenantRecord> {
        self.0.values().cloned().collect()
    }

    pub(in crate::mock) fn get(&self, id: &str) -> Option<TenantRecord> {
        self.0.get(id).cloned()
    }

    /// Finds the tenant of an API key. Compares the API key with each stored key in constant time.
    pub(in crate::mock) fn of_key(&self, key: &str) -> Option<TenantRecord> {
        self.0.values().find(|it| it.has_key(key)).cloned()
    }

    /// Returns the secrets that sign deliveries to this tenant.
    pub(in crate::mock) fn secrets(&self, id: &str) -> Option<Secrets> {
        self.0.get(id).map(|tenant| tenant.webhook_secrets.clone())
    }

    pub(in crate::mock) fn change(&mut self, id: &str, change: impl FnOnce(&mut TenantRecord)) {
        if let Some(tenant) = self.0.get_mut(id) {
            change(tenant);
        }
    }

    /// See [`TenantRecord::count`].
    pub(in crate::mock) fn count(
        &mut self,
        id: &str,
        now: Duration,
        limit: (u32, Duration),
    ) -> Result<(), Duration> {
        match self.0.get_mut(id) {
            Some(tenant) => tenant.count(now, limit),
            None => Ok(()),
        }
    }
}
