-- The state store, version 1. A later version raises user_version and brings its own steps from here.
-- The published directories are the record; everything here can be made again from their manifests.

-- One row per published run. A row that is still `prepared` belongs to a run that was cut off.
CREATE TABLE run (
    business_date  TEXT    NOT NULL CHECK (business_date GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
    revision       INTEGER NOT NULL CHECK (revision > 0),
    run_id         TEXT    NOT NULL,
    content_sha256 TEXT    NOT NULL CHECK (length(content_sha256) = 64),
    state          TEXT    NOT NULL CHECK (state IN ('prepared', 'published')),
    complete       INTEGER NOT NULL CHECK (complete IN (0, 1)),
    exit_code      INTEGER NOT NULL CHECK (exit_code BETWEEN 0 AND 255),
    -- When a run last found this revision to be right: made it, or had nothing to add to it.
    succeeded_at   TEXT    NOT NULL,
    PRIMARY KEY (business_date, revision)
) STRICT, WITHOUT ROWID;

-- The first business date on which a reconciling item was published. Items never leave.
CREATE TABLE open_item (
    drift_id   TEXT NOT NULL PRIMARY KEY,
    first_seen TEXT NOT NULL CHECK (first_seen GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]')
) STRICT, WITHOUT ROWID;

-- "tout" in ASCII: any other SQLite file is refused.
PRAGMA application_id = 1953461620;
PRAGMA user_version = 1;
