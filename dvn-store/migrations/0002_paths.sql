-- Which nonces of each path were seen: all from where the path begins for this node up to `through`, and those of
-- `path_ahead`, which wait for what is missing between.
CREATE TABLE paths (
    id       INTEGER NOT NULL PRIMARY KEY,
    src_eid  INTEGER NOT NULL,
    sender   BLOB    NOT NULL CHECK (length(sender) = 32),
    dst_eid  INTEGER NOT NULL,
    receiver BLOB    NOT NULL CHECK (length(receiver) = 32),
    through  TEXT    NOT NULL,
    UNIQUE (src_eid, sender, dst_eid, receiver)
) STRICT;

CREATE TABLE path_ahead (
    path  INTEGER NOT NULL REFERENCES paths (id),
    nonce TEXT    NOT NULL,
    PRIMARY KEY (path, nonce)
) STRICT, WITHOUT ROWID;

-- What halts are based on, named by its digest.
CREATE TABLE halt_evidence (
    digest BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    json   TEXT    NOT NULL,
    at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
