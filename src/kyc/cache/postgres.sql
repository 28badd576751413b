-- What kycport knows of each person's verification, for all instances.
-- May be run again at any time, by several at once.
SELECT pg_advisory_xact_lock(hashtext('kycport_assurances'));

CREATE TABLE IF NOT EXISTS kycport_assurances (
    -- SHA-256 of issuer, client and person, in hexadecimal.
    person text PRIMARY KEY,
    -- What KYCPort said of them last, as JSON.
    assurance text NOT NULL,
    -- From when the row may go.
    keep_until timestamptz NOT NULL
);

CREATE INDEX IF NOT EXISTS kycport_assurances_keep_until
    ON kycport_assurances (keep_until);
