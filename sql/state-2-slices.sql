-- The state store, version 2: what was fetched. Its pages lie beside it under raw/, named by their content.

-- One answer of a provider, whole: all chains of pages that speak for these days of a report.
CREATE TABLE fetch (
    fetch_id   INTEGER NOT NULL PRIMARY KEY,
    provider   TEXT    NOT NULL,
    account    TEXT    NOT NULL,
    endpoint   TEXT    NOT NULL,
    -- The moment that the run spoke for, and the clock's.
    as_of      TEXT    NOT NULL,
    fetched_at TEXT    NOT NULL,
    run_id     TEXT    NOT NULL
) STRICT;

CREATE TABLE page (
    fetch_id INTEGER NOT NULL REFERENCES fetch (fetch_id) ON DELETE CASCADE,
    number   INTEGER NOT NULL CHECK (number > 0),
    name     TEXT    NOT NULL,
    -- Of the page as it came, before compression.
    sha256   TEXT    NOT NULL CHECK (length(sha256) = 64),
    -- What the answer was grouped by, as a JSON list.
    group_by TEXT    NOT NULL,
    PRIMARY KEY (fetch_id, number)
) STRICT, WITHOUT ROWID;

-- What a report says about one UTC day. Every version stays known; the newest is in force, and only it and the
-- one before it still have their pages.
CREATE TABLE slice (
    provider TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    endpoint TEXT    NOT NULL,
    day      TEXT    NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    version  INTEGER NOT NULL CHECK (version > 0),
    fetch_id INTEGER REFERENCES fetch (fetch_id),
    -- Of the rows, whatever their order and pages.
    digest   TEXT    NOT NULL,
    rows     INTEGER NOT NULL CHECK (rows >= 0),
    -- Money by currency, as a JSON object of decimal texts.
    amounts  TEXT    NOT NULL,
    -- The business date of the run that first saw this version.
    seen_on  TEXT    NOT NULL CHECK (seen_on GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    PRIMARY KEY (provider, account, endpoint, day, version)
) STRICT, WITHOUT ROWID;

-- Slices whose newest answer looks wrong: the version before it stays in force until the answer is seen on a
-- second day, or is accepted by hand.
CREATE TABLE held (
    provider TEXT NOT NULL,
    account  TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    day      TEXT NOT NULL CHECK (day GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    reason   TEXT NOT NULL CHECK (reason IN ('shrunk', 'unit')),
    since    TEXT NOT NULL CHECK (since GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    PRIMARY KEY (provider, account, endpoint, day)
) STRICT, WITHOUT ROWID;

PRAGMA user_version = 2;
