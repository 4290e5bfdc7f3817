-- Alerts (reliability.md section 6): what was told of them, and what is on its way to whom. A row that a prepared
-- run brings is held until that run is published, or goes with it.

-- Two kinds of run share one store: the nightly one, and the one that watches in between.
CREATE TABLE run_of_kind (
    kind           TEXT    NOT NULL CHECK (kind IN ('nightly', 'watch')),
    business_date  TEXT    NOT NULL CHECK (business_date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    revision       INTEGER NOT NULL CHECK (revision > 0),
    run_id         TEXT    NOT NULL,
    content_sha256 TEXT    NOT NULL CHECK (length(content_sha256) = 64),
    state          TEXT    NOT NULL CHECK (state IN ('prepared', 'published')),
    complete       INTEGER NOT NULL CHECK (complete IN (0, 1)),
    exit_code      INTEGER NOT NULL CHECK (exit_code BETWEEN 0 AND 255),
    succeeded_at   TEXT    NOT NULL,
    PRIMARY KEY (kind, business_date, revision)
) STRICT, WITHOUT ROWID;
INSERT INTO run_of_kind
SELECT 'nightly', business_date, revision, run_id, content_sha256, state, complete, exit_code, succeeded_at FROM run;
DROP TABLE run;
ALTER TABLE run_of_kind RENAME TO run;

-- One row for each telling of an alert; the newest that is not held is what was told last.
CREATE TABLE alert (
    key        TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 64),
    generation INTEGER NOT NULL CHECK (generation > 0),
    rule       TEXT    NOT NULL,
    -- JSON list: provider, account, team, key id, model, detail.
    scope      TEXT    NOT NULL CHECK (json_array_length(scope) = 6),
    first_seen TEXT    NOT NULL,
    severity   TEXT    NOT NULL CHECK (severity IN ('info', 'warning', 'error', 'critical')),
    -- Decimal text, as everywhere.
    amount     TEXT,
    -- Until when the amount was projected, where it was.
    projected_until TEXT,
    currency   TEXT,
    state      TEXT    NOT NULL CHECK (state IN ('firing', 'resolved')),
    -- The moment that the telling run spoke for.
    told_at    TEXT    NOT NULL,
    -- Until when that run had seen the charges.
    seen_until TEXT    NOT NULL,
    -- The run that brings it, while that is only prepared: `nightly/2026-11-18.r1`.
    held_by    TEXT,
    PRIMARY KEY (key, generation)
) STRICT, WITHOUT ROWID;

-- A body as it is sent, and sent again.
CREATE TABLE payload (
    sha256 TEXT NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),
    body   TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Rows of one channel with one payload are one message.
CREATE TABLE delivery (
    key             TEXT    NOT NULL,
    generation      INTEGER NOT NULL,
    channel         TEXT    NOT NULL,
    state           TEXT    NOT NULL CHECK (state IN ('held', 'pending', 'sending', 'sent', 'refused')),
    tries           INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- By the clock: what the other side asked for.
    next_try        TEXT,
    -- By the moment that runs speak for: the end of quiet hours.
    not_before      TEXT,
    payload_sha256  TEXT    NOT NULL REFERENCES payload,
    -- What the fallback channel gets when this one refuses for good.
    fallback_sha256 TEXT REFERENCES payload,
    PRIMARY KEY (key, generation, channel),
    FOREIGN KEY (key, generation) REFERENCES alert ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_of_channel ON delivery (channel, state);
