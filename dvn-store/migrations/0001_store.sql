-- Numbers that come from chains are u64 or u128 and do not fit an INTEGER. They are TEXT, zero-padded to 20 or 39
-- digits, so that they lose nothing, sort as numbers and can be read by people. Endpoint ids and what this node counts
-- itself are INTEGER. Instants are INTEGER, microseconds since 1970. Hashes and addresses are BLOB.

CREATE TABLE jobs (
    id                       BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    guid                     BLOB    NOT NULL CHECK (length(guid) = 32),
    -- the claim
    nonce                    TEXT    NOT NULL,
    src_eid                  INTEGER NOT NULL,
    sender                   BLOB    NOT NULL,
    dst_eid                  INTEGER NOT NULL,
    receiver                 BLOB    NOT NULL,
    payload_hash             BLOB    NOT NULL,
    -- where its log stands
    location_eid             INTEGER NOT NULL,
    block_number             TEXT    NOT NULL,
    block_hash               BLOB    NOT NULL,
    tx_hash                  BLOB    NOT NULL,
    log_index                TEXT    NOT NULL,
    -- how it stands
    state                    TEXT    NOT NULL,
    reason                   TEXT,
    wake_at                  INTEGER,
    wake_head                TEXT,
    first_send_confirmations TEXT,
    signed_confirmations     TEXT,
    signed_expiration        TEXT,
    signed_target            BLOB,
    signatures               BLOB,
    attested_number          TEXT,
    attested_hash            BLOB,
    attempts                 INTEGER NOT NULL,
    last_error               TEXT,
    observed_at              INTEGER NOT NULL,
    version                  INTEGER NOT NULL,
    CHECK (wake_at IS NULL OR wake_head IS NULL),
    CHECK ((signed_confirmations IS NULL) = (signatures IS NULL)
        AND (signed_expiration IS NULL) = (signatures IS NULL)
        AND (signed_target IS NULL) = (signatures IS NULL)),
    CHECK ((attested_number IS NULL) = (attested_hash IS NULL))
) STRICT;

CREATE INDEX jobs_due ON jobs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX jobs_ripe ON jobs (location_eid, block_number, wake_head) WHERE wake_head IS NOT NULL;
CREATE INDEX jobs_in_state ON jobs (dst_eid, state, reason, observed_at);
CREATE INDEX jobs_by_guid ON jobs (guid);
CREATE INDEX jobs_by_transaction ON jobs (tx_hash);

CREATE TABLE cursors (
    eid     INTEGER NOT NULL PRIMARY KEY,
    through TEXT    NOT NULL
) STRICT;

CREATE TABLE finalized (
    eid    INTEGER NOT NULL,
    number TEXT    NOT NULL,
    hash   BLOB    NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (eid, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER finalized_is_final BEFORE UPDATE ON finalized
BEGIN SELECT RAISE(ABORT, 'a final block''s hash does not change'); END;

-- One row per slot. Its payload hash is decided once; the rows of the journal refer to the pair.
CREATE TABLE journal_slots (
    guid         BLOB    NOT NULL PRIMARY KEY CHECK (length(guid) = 32),
    payload_hash BLOB    NOT NULL CHECK (length(payload_hash) = 32),
    nonce        TEXT    NOT NULL,
    src_eid      INTEGER NOT NULL,
    sender       BLOB    NOT NULL CHECK (length(sender) = 32),
    dst_eid      INTEGER NOT NULL,
    receiver     BLOB    NOT NULL CHECK (length(receiver) = 32),
    UNIQUE (guid, payload_hash),
    UNIQUE (src_eid, sender, dst_eid, receiver, nonce)
) STRICT, WITHOUT ROWID;

CREATE TABLE journal (
    sequence      INTEGER NOT NULL PRIMARY KEY,
    guid          BLOB    NOT NULL,
    payload_hash  BLOB    NOT NULL,
    confirmations TEXT    NOT NULL CHECK (length(confirmations) = 20),
    expiration    TEXT    NOT NULL CHECK (length(expiration) = 20),
    vid           INTEGER NOT NULL,
    target        BLOB    NOT NULL CHECK (length(target) = 20),
    signer        BLOB    NOT NULL CHECK (length(signer) = 20),
    source_block  BLOB    NOT NULL CHECK (length(source_block) = 32),
    evidence      BLOB    NOT NULL CHECK (length(evidence) = 32),
    chain_time    TEXT    NOT NULL CHECK (length(chain_time) = 20),
    at            INTEGER NOT NULL,
    signature     BLOB    CHECK (length(signature) = 65),
    prev_hash     BLOB    NOT NULL CHECK (length(prev_hash) = 32),
    row_hash      BLOB    NOT NULL CHECK (length(row_hash) = 32),
    FOREIGN KEY (guid, payload_hash) REFERENCES journal_slots (guid, payload_hash)
) STRICT;

CREATE INDEX journal_by_guid ON journal (guid);

-- The triggers below hold for every connection, also one that has foreign keys off or says INSERT OR REPLACE, which
-- deletes rows without asking triggers on DELETE.
CREATE TRIGGER journal_slots_decided_once BEFORE INSERT ON journal_slots
WHEN EXISTS (SELECT 1 FROM journal_slots WHERE guid = NEW.guid)
  OR EXISTS (SELECT 1 FROM journal_slots WHERE src_eid = NEW.src_eid AND sender = NEW.sender AND dst_eid = NEW.dst_eid
             AND receiver = NEW.receiver AND nonce = NEW.nonce)
BEGIN SELECT RAISE(ABORT, 'equivocation: the slot is decided'); END;

CREATE TRIGGER journal_slots_no_update BEFORE UPDATE ON journal_slots
BEGIN SELECT RAISE(ABORT, 'equivocation: the slot is decided'); END;

CREATE TRIGGER journal_slots_no_delete BEFORE DELETE ON journal_slots
BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;

CREATE TRIGGER journal_one_payload BEFORE INSERT ON journal
WHEN NOT EXISTS (SELECT 1 FROM journal_slots WHERE guid = NEW.guid AND payload_hash = NEW.payload_hash)
BEGIN SELECT RAISE(ABORT, 'equivocation: the slot has another payload'); END;

CREATE TRIGGER journal_taken_back BEFORE INSERT ON journal
WHEN NEW.confirmations <> '00000000000000000000'
 AND EXISTS (SELECT 1 FROM journal WHERE guid = NEW.guid AND confirmations = '00000000000000000000')
BEGIN SELECT RAISE(ABORT, 'equivocation: the slot was taken back'); END;

CREATE TRIGGER journal_in_order BEFORE INSERT ON journal
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM journal)
  OR NEW.prev_hash IS NOT coalesce((SELECT row_hash FROM journal ORDER BY sequence DESC LIMIT 1), zeroblob(32))
BEGIN SELECT RAISE(ABORT, 'a row follows the newest one'); END;

CREATE TRIGGER journal_no_update BEFORE UPDATE ON journal
WHEN OLD.signature IS NOT NULL
  OR NEW.sequence IS NOT OLD.sequence OR NEW.guid IS NOT OLD.guid OR NEW.payload_hash IS NOT OLD.payload_hash
  OR NEW.confirmations IS NOT OLD.confirmations OR NEW.expiration IS NOT OLD.expiration OR NEW.vid IS NOT OLD.vid
  OR NEW.target IS NOT OLD.target OR NEW.signer IS NOT OLD.signer OR NEW.source_block IS NOT OLD.source_block
  OR NEW.evidence IS NOT OLD.evidence OR NEW.chain_time IS NOT OLD.chain_time OR NEW.at IS NOT OLD.at
  OR NEW.prev_hash IS NOT OLD.prev_hash OR NEW.row_hash IS NOT OLD.row_hash
BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;

CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is only ever added to'); END;

CREATE TABLE halts (
    scope    TEXT    NOT NULL PRIMARY KEY,
    reason   TEXT    NOT NULL,
    evidence BLOB,
    since    INTEGER NOT NULL
) STRICT;

-- AUTOINCREMENT, so that a submission's name is never used again.
CREATE TABLE outbox (
    id      INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    dst_eid INTEGER NOT NULL,
    sender  BLOB    NOT NULL CHECK (length(sender) = 20),
    nonce   TEXT    NOT NULL,
    open    INTEGER NOT NULL CHECK (open IN (0, 1))
) STRICT;

CREATE UNIQUE INDEX outbox_one_open_per_nonce ON outbox (dst_eid, sender, nonce) WHERE open = 1;

-- `open` repeats the transaction's, because an index cannot look into another table.
CREATE TABLE outbox_items (
    outbox_id     INTEGER NOT NULL REFERENCES outbox (id),
    position      INTEGER NOT NULL,
    job           BLOB    NOT NULL CHECK (length(job) = 32),
    nonce         TEXT    NOT NULL,
    src_eid       INTEGER NOT NULL,
    sender        BLOB    NOT NULL,
    dst_eid       INTEGER NOT NULL,
    receiver      BLOB    NOT NULL,
    payload_hash  BLOB    NOT NULL,
    confirmations TEXT    NOT NULL,
    expiration    TEXT    NOT NULL,
    vid           INTEGER NOT NULL,
    target        BLOB    NOT NULL,
    open          INTEGER NOT NULL CHECK (open IN (0, 1)),
    PRIMARY KEY (outbox_id, position)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX outbox_one_open_per_job ON outbox_items (job) WHERE open = 1;
CREATE INDEX outbox_items_by_job ON outbox_items (job);

CREATE TRIGGER outbox_closes_items AFTER UPDATE OF open ON outbox
BEGIN UPDATE outbox_items SET open = NEW.open WHERE outbox_id = NEW.id; END;

CREATE TABLE outbox_attempts (
    outbox_id    INTEGER NOT NULL REFERENCES outbox (id),
    position     INTEGER NOT NULL,
    tx_hash      BLOB    NOT NULL CHECK (length(tx_hash) = 32),
    raw          BLOB    NOT NULL,
    max_fee      TEXT    NOT NULL,
    priority_fee TEXT    NOT NULL,
    at           INTEGER NOT NULL,
    PRIMARY KEY (outbox_id, position)
) STRICT, WITHOUT ROWID;

CREATE TABLE evidence (
    id     INTEGER NOT NULL PRIMARY KEY,
    guid   BLOB    NOT NULL CHECK (length(guid) = 32),
    digest BLOB    NOT NULL CHECK (length(digest) = 32),
    json   TEXT    NOT NULL,
    at     INTEGER NOT NULL,
    UNIQUE (guid, digest)
) STRICT;

CREATE TABLE audit (
    sequence  INTEGER NOT NULL PRIMARY KEY,
    at        INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    action    TEXT    NOT NULL,
    guid      BLOB    CHECK (length(guid) = 32),
    detail    TEXT    NOT NULL,
    prev_hash BLOB    NOT NULL CHECK (length(prev_hash) = 32),
    row_hash  BLOB    NOT NULL CHECK (length(row_hash) = 32)
) STRICT;

CREATE INDEX audit_by_guid ON audit (guid) WHERE guid IS NOT NULL;

CREATE TRIGGER audit_in_order BEFORE INSERT ON audit
WHEN NEW.sequence IS NOT (SELECT coalesce(max(sequence), 0) + 1 FROM audit)
  OR NEW.prev_hash IS NOT coalesce((SELECT row_hash FROM audit ORDER BY sequence DESC LIMIT 1), zeroblob(32))
BEGIN SELECT RAISE(ABORT, 'a row follows the newest one'); END;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;

CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is only ever added to'); END;

-- A released lease has no holder; its fence stays, so that the next one's is larger.
CREATE TABLE leases (
    name   TEXT    NOT NULL PRIMARY KEY,
    holder TEXT,
    fence  INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
