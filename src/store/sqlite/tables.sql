CREATE TABLE IF NOT EXISTS kycport_schema (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    -- Version of the newest release that has migrated.
    version INTEGER NOT NULL,
    -- Lowest version that releases must know to work with these tables.
    compatible_with INTEGER NOT NULL
);
INSERT OR IGNORE INTO kycport_schema (only_row, version, compatible_with) VALUES (1, 1, 1);

-- The revocation counter of all namespaces.
CREATE TABLE IF NOT EXISTS kycport_counter (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    mark INTEGER NOT NULL
);
INSERT OR IGNORE INTO kycport_counter (only_row, mark) VALUES (1, 0);

CREATE TABLE IF NOT EXISTS kycport_records (
    -- Namespace (16 bytes), owner (16), family (1) and id (16). Family 0 is the owner's fence.
    key BLOB PRIMARY KEY,
    -- Version that the writer chose; the mark of a fence.
    version INTEGER NOT NULL,
    -- Time in milliseconds since 1970.
    expires_at INTEGER NOT NULL,
    body BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kycport_records_expires_at ON kycport_records (expires_at);

CREATE TABLE IF NOT EXISTS kycport_leases (
    -- Namespace (16 bytes), id (16) and family (1).
    key BLOB PRIMARY KEY,
    token BLOB NOT NULL,
    -- End of the lease. Null if the work is done.
    held_until INTEGER,
    -- Time at which the row is removed.
    expires_at INTEGER NOT NULL,
    result BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS kycport_leases_expires_at ON kycport_leases (expires_at);
