-- What kycport remembers of webhook events: which are done, and which are being handled by whom.
-- May be run again at any time, by several at once.
SELECT pg_advisory_xact_lock(hashtext('kycport_webhook_events'));

CREATE TABLE IF NOT EXISTS kycport_webhook_events (
    -- SHA-256 of the event's id, in hexadecimal.
    key text PRIMARY KEY,
    -- Who holds the event, or did when it was done.
    token text NOT NULL,
    -- Until when; null if the event is done.
    lease_until timestamptz,
    -- From when the row may go.
    keep_until timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS kycport_webhook_events_keep_until
    ON kycport_webhook_events (keep_until);
