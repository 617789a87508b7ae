-- Why a row stands in the journal: 'sign' before the key is used, 'recovered' from a destination or another journal,
-- 'released' by an operator.
ALTER TABLE journal ADD COLUMN purpose TEXT NOT NULL DEFAULT 'sign' CHECK (purpose IN ('sign', 'recovered', 'released'));

-- The journal's name, and the time in which nothing is signed. There is none until an operator begins the journal; one that
-- was written before there were names gets its own here.
CREATE TABLE journal_identity (
    one               INTEGER NOT NULL PRIMARY KEY CHECK (one = 1),
    id                BLOB    NOT NULL CHECK (length(id) = 32),
    quarantine_until  INTEGER,
    quarantine_reason TEXT,
    CHECK ((quarantine_until IS NULL) = (quarantine_reason IS NULL))
) STRICT;

INSERT INTO journal_identity (one, id) SELECT 1, randomblob(32) WHERE EXISTS (SELECT 1 FROM journal);

CREATE TRIGGER journal_identity_no_delete BEFORE DELETE ON journal_identity
BEGIN SELECT RAISE(ABORT, 'the journal keeps its name'); END;

CREATE TRIGGER journal_begun BEFORE INSERT ON journal
WHEN NOT EXISTS (SELECT 1 FROM journal_identity)
BEGIN SELECT RAISE(ABORT, 'the journal was not begun'); END;

-- Up to which block each destination's history was compared with the journal.
CREATE TABLE journal_anchors (
    eid     INTEGER NOT NULL PRIMARY KEY,
    through TEXT    NOT NULL CHECK (length(through) = 20)
) STRICT;

-- After a retraction the slot is closed until an operator releases it. What is recovered was signed before and opens nothing.
DROP TRIGGER journal_taken_back;
CREATE TRIGGER journal_taken_back BEFORE INSERT ON journal
WHEN NEW.purpose = 'sign' AND NEW.confirmations <> '00000000000000000000'
 AND (SELECT max(sequence) FROM journal
      WHERE guid = NEW.guid AND confirmations = '00000000000000000000' AND purpose <> 'released')
   > (SELECT coalesce(max(sequence), 0) FROM journal WHERE guid = NEW.guid AND purpose = 'released')
BEGIN SELECT RAISE(ABORT, 'equivocation: the slot was taken back'); END;

DROP TRIGGER journal_no_update;
CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
WHEN OLD.signature IS NOT NULL
  OR NEW.sequence IS NOT OLD.sequence OR NEW.guid IS NOT OLD.guid OR NEW.payload_hash IS NOT OLD.payload_hash
  OR NEW.confirmations IS NOT OLD.confirmations OR NEW.expiration IS NOT OLD.expiration OR NEW.vid IS NOT OLD.vid
  OR NEW.target IS NOT OLD.target OR NEW.signer IS NOT OLD.signer OR NEW.source_block IS NOT OLD.source_block
  OR NEW.evidence IS NOT OLD.evidence OR NEW.chain_time IS NOT OLD.chain_time OR NEW.at IS NOT OLD.at
  OR NEW.prev_hash IS NOT OLD.prev_hash OR NEW.row_hash IS NOT OLD.row_hash OR NEW.purpose IS NOT OLD.purpose
BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;
