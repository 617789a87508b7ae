-- The document that a decision was based on. Rows without one hash as they did before there was this column.
ALTER TABLE audit ADD COLUMN evidence BLOB CHECK (length(evidence) = 32);

CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX jobs_by_sender ON jobs (sender);
CREATE INDEX jobs_by_receiver ON jobs (receiver);

-- Retention: up to which row the log was cut, and what holds the rows that went. The newest cut is where the log begins.
CREATE TABLE audit_cuts (
    sequence INTEGER NOT NULL PRIMARY KEY,
    row_hash BLOB    NOT NULL CHECK (length(row_hash) = 32),
    archive  BLOB    NOT NULL CHECK (length(archive) = 32),
    -- the row of the log that tells it
    told_in  INTEGER NOT NULL
) STRICT;

CREATE TRIGGER audit_cuts_at_a_row BEFORE INSERT ON audit_cuts
WHEN NEW.sequence <= (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
  OR NOT EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence AND row_hash = NEW.row_hash)
  OR NEW.told_in <= NEW.sequence
  OR NOT EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.told_in AND action = 'audit_pruned' AND evidence = NEW.archive)
BEGIN SELECT RAISE(ABORT, 'a cut is at a row of the log, above the one before, and told by a row'); END;

CREATE TRIGGER audit_cuts_no_update BEFORE UPDATE ON audit_cuts
BEGIN SELECT RAISE(ABORT, 'cuts are only ever added to'); END;

CREATE TRIGGER audit_cuts_no_delete BEFORE DELETE ON audit_cuts
BEGIN SELECT RAISE(ABORT, 'cuts are only ever added to'); END;

DROP TRIGGER audit_no_delete;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
WHEN OLD.sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;

-- Documents are compressed; where `packed` is NULL `json` holds the document, as older releases wrote it.
ALTER TABLE evidence ADD COLUMN packed BLOB;
ALTER TABLE halt_evidence ADD COLUMN packed BLOB;
