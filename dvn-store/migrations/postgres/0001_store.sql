-- Numbers that come from chains are u64 or u128 and do not fit a BIGINT. They are TEXT, zero-padded to 20 or 39
-- digits, so that they lose nothing, sort as numbers and can be read by people. Endpoint ids and what this node counts
-- itself are BIGINT. Instants are BIGINT, microseconds since 1970. Hashes and addresses are BYTEA. Text sorts by its bytes,
-- whatever the database's language.

CREATE TABLE jobs (
    id                       BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(id) = 32),
    guid                     BYTEA NOT NULL CHECK (octet_length(guid) = 32),
    -- the claim
    nonce                    TEXT COLLATE "C" NOT NULL,
    src_eid                  BIGINT NOT NULL,
    sender                   BYTEA NOT NULL,
    dst_eid                  BIGINT NOT NULL,
    receiver                 BYTEA NOT NULL,
    payload_hash             BYTEA NOT NULL,
    -- where its log stands
    location_eid             BIGINT NOT NULL,
    block_number             TEXT COLLATE "C" NOT NULL,
    block_hash               BYTEA NOT NULL,
    tx_hash                  BYTEA NOT NULL,
    log_index                TEXT COLLATE "C" NOT NULL,
    -- how it stands
    state                    TEXT COLLATE "C" NOT NULL,
    reason                   TEXT COLLATE "C",
    wake_at                  BIGINT,
    wake_head                TEXT COLLATE "C",
    first_send_confirmations TEXT COLLATE "C",
    signed_confirmations     TEXT COLLATE "C",
    signed_expiration        TEXT COLLATE "C",
    signed_target            BYTEA,
    signatures               BYTEA,
    attested_number          TEXT COLLATE "C",
    attested_hash            BYTEA,
    attempts                 BIGINT NOT NULL,
    last_error               TEXT COLLATE "C",
    observed_at              BIGINT NOT NULL,
    version                  BIGINT NOT NULL,
    -- who works on it in which version, and until when at most
    claimed_by               TEXT COLLATE "C",
    claimed_version          BIGINT,
    claimed_until            BIGINT,
    -- the order of insertion
    rowid                    BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    CHECK (wake_at IS NULL OR wake_head IS NULL),
    CHECK ((signed_confirmations IS NULL) = (signatures IS NULL)
        AND (signed_expiration IS NULL) = (signatures IS NULL)
        AND (signed_target IS NULL) = (signatures IS NULL)),
    CHECK ((attested_number IS NULL) = (attested_hash IS NULL))
);

CREATE INDEX jobs_due ON jobs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX jobs_ripe ON jobs (location_eid, block_number, wake_head) WHERE wake_head IS NOT NULL;
CREATE INDEX jobs_by_wake_head ON jobs (location_eid, wake_head, block_number) WHERE wake_head IS NOT NULL;
CREATE INDEX jobs_in_state ON jobs (dst_eid, state, reason, observed_at);
CREATE INDEX jobs_by_guid ON jobs (guid);
CREATE INDEX jobs_by_transaction ON jobs (tx_hash);

CREATE TABLE cursors (
    eid     BIGINT NOT NULL PRIMARY KEY,
    through TEXT COLLATE "C" NOT NULL
);

CREATE TABLE finalized (
    eid    BIGINT NOT NULL,
    number TEXT COLLATE "C" NOT NULL,
    hash   BYTEA NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (eid, number)
);

-- What a trigger refuses, it refuses with its argument.
CREATE FUNCTION dvn_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0];
END $$;

CREATE TRIGGER finalized_is_final BEFORE UPDATE ON finalized
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('a final block''s hash does not change');

-- One row per slot. Its payload hash is decided once; the rows of the journal refer to the pair.
CREATE TABLE journal_slots (
    guid         BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(guid) = 32),
    payload_hash BYTEA NOT NULL CHECK (octet_length(payload_hash) = 32),
    nonce        TEXT COLLATE "C" NOT NULL,
    src_eid      BIGINT NOT NULL,
    sender       BYTEA NOT NULL CHECK (octet_length(sender) = 32),
    dst_eid      BIGINT NOT NULL,
    receiver     BYTEA NOT NULL CHECK (octet_length(receiver) = 32),
    UNIQUE (guid, payload_hash),
    UNIQUE (src_eid, sender, dst_eid, receiver, nonce)
);

CREATE TABLE journal (
    sequence      BIGINT NOT NULL PRIMARY KEY,
    guid          BYTEA NOT NULL,
    payload_hash  BYTEA NOT NULL,
    confirmations TEXT COLLATE "C" NOT NULL CHECK (octet_length(confirmations) = 20),
    expiration    TEXT COLLATE "C" NOT NULL CHECK (octet_length(expiration) = 20),
    vid           BIGINT NOT NULL,
    target        BYTEA NOT NULL CHECK (octet_length(target) = 20),
    signer        BYTEA NOT NULL CHECK (octet_length(signer) = 20),
    source_block  BYTEA NOT NULL CHECK (octet_length(source_block) = 32),
    evidence      BYTEA NOT NULL CHECK (octet_length(evidence) = 32),
    chain_time    TEXT COLLATE "C" NOT NULL CHECK (octet_length(chain_time) = 20),
    at            BIGINT NOT NULL,
    signature     BYTEA CHECK (octet_length(signature) = 65),
    -- why the row stands here: before the key is used, from a destination or another journal, or by an operator
    purpose       TEXT COLLATE "C" NOT NULL DEFAULT 'sign' CHECK (purpose IN ('sign', 'recovered', 'released')),
    prev_hash     BYTEA NOT NULL CHECK (octet_length(prev_hash) = 32),
    row_hash      BYTEA NOT NULL CHECK (octet_length(row_hash) = 32),
    FOREIGN KEY (guid, payload_hash) REFERENCES journal_slots (guid, payload_hash)
);

CREATE INDEX journal_by_guid ON journal (guid);

-- The journal's name, the time in which nothing is signed, where its head was last kept a second time, and the timeline of the
-- server that it was last written on. There is none until an operator begins the journal.
CREATE TABLE journal_identity (
    one               BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
    id                BYTEA NOT NULL CHECK (octet_length(id) = 32),
    quarantine_until  BIGINT,
    quarantine_reason TEXT COLLATE "C",
    mirror            TEXT COLLATE "C",
    -- That of the server on which the journal began, from the first moment on: another one means that another server took over.
    timeline          TEXT COLLATE "C" NOT NULL DEFAULT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
    CHECK ((quarantine_until IS NULL) = (quarantine_reason IS NULL))
);

-- Up to which block each destination's history was compared with the journal.
CREATE TABLE journal_anchors (
    eid     BIGINT NOT NULL PRIMARY KEY,
    through TEXT COLLATE "C" NOT NULL CHECK (octet_length(through) = 20)
);

CREATE FUNCTION journal_permits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest journal%ROWTYPE;
BEGIN
    IF NOT EXISTS (SELECT 1 FROM journal_identity) THEN
        RAISE EXCEPTION 'the journal was not begun';
    END IF;
    IF NOT EXISTS (SELECT 1 FROM journal_slots WHERE guid = NEW.guid AND payload_hash = NEW.payload_hash) THEN
        RAISE EXCEPTION 'equivocation: the slot has another payload';
    END IF;
    IF NEW.purpose = 'sign' AND NEW.confirmations <> '00000000000000000000'
        AND (SELECT max(sequence) FROM journal
             WHERE guid = NEW.guid AND confirmations = '00000000000000000000' AND purpose <> 'released')
          > (SELECT coalesce(max(sequence), 0) FROM journal WHERE guid = NEW.guid AND purpose = 'released') THEN
        RAISE EXCEPTION 'equivocation: the slot was taken back';
    END IF;
    SELECT * INTO newest FROM journal ORDER BY sequence DESC LIMIT 1;
    IF NEW.sequence IS DISTINCT FROM coalesce(newest.sequence, 0) + 1
        OR NEW.prev_hash IS DISTINCT FROM coalesce(newest.row_hash, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'a row follows the newest one';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER journal_permits BEFORE INSERT ON journal FOR EACH ROW EXECUTE FUNCTION journal_permits();

CREATE FUNCTION journal_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.signature IS NOT NULL OR (to_jsonb(NEW) - 'signature') IS DISTINCT FROM (to_jsonb(OLD) - 'signature') THEN
        RAISE EXCEPTION 'the journal is only ever added to';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal FOR EACH ROW EXECUTE FUNCTION journal_keeps();

CREATE TRIGGER journal_no_delete BEFORE DELETE ON journal
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('the journal is only ever added to');
CREATE TRIGGER journal_no_truncate BEFORE TRUNCATE ON journal
FOR EACH STATEMENT EXECUTE FUNCTION dvn_refuse('the journal is only ever added to');
CREATE TRIGGER journal_slots_no_update BEFORE UPDATE ON journal_slots
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('equivocation: the slot is decided');
CREATE TRIGGER journal_slots_no_delete BEFORE DELETE ON journal_slots
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('the journal is only ever added to');
CREATE TRIGGER journal_slots_no_truncate BEFORE TRUNCATE ON journal_slots
FOR EACH STATEMENT EXECUTE FUNCTION dvn_refuse('the journal is only ever added to');
CREATE TRIGGER journal_identity_no_delete BEFORE DELETE ON journal_identity
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('the journal keeps its name');
CREATE TRIGGER journal_identity_no_truncate BEFORE TRUNCATE ON journal_identity
FOR EACH STATEMENT EXECUTE FUNCTION dvn_refuse('the journal keeps its name');

CREATE TABLE halts (
    scope    TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    reason   TEXT COLLATE "C" NOT NULL,
    evidence BYTEA,
    since    BIGINT NOT NULL
);

-- A submission's name is never used again.
CREATE TABLE outbox (
    id      BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dst_eid BIGINT NOT NULL,
    sender  BYTEA NOT NULL CHECK (octet_length(sender) = 20),
    nonce   TEXT COLLATE "C" NOT NULL,
    open    BIGINT NOT NULL CHECK (open IN (0, 1))
);

CREATE UNIQUE INDEX outbox_one_open_per_nonce ON outbox (dst_eid, sender, nonce) WHERE open = 1;

-- `open` repeats the transaction's, because an index cannot look into another table.
CREATE TABLE outbox_items (
    outbox_id     BIGINT NOT NULL REFERENCES outbox (id),
    position      BIGINT NOT NULL,
    job           BYTEA NOT NULL CHECK (octet_length(job) = 32),
    nonce         TEXT COLLATE "C" NOT NULL,
    src_eid       BIGINT NOT NULL,
    sender        BYTEA NOT NULL,
    dst_eid       BIGINT NOT NULL,
    receiver      BYTEA NOT NULL,
    payload_hash  BYTEA NOT NULL,
    confirmations TEXT COLLATE "C" NOT NULL,
    expiration    TEXT COLLATE "C" NOT NULL,
    vid           BIGINT NOT NULL,
    target        BYTEA NOT NULL,
    open          BIGINT NOT NULL CHECK (open IN (0, 1)),
    PRIMARY KEY (outbox_id, position)
);

CREATE UNIQUE INDEX outbox_one_open_per_job ON outbox_items (job) WHERE open = 1;
CREATE INDEX outbox_items_by_job ON outbox_items (job);

CREATE FUNCTION outbox_closes_items() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE outbox_items SET open = NEW.open WHERE outbox_id = NEW.id;
    RETURN NULL;
END $$;

CREATE TRIGGER outbox_closes_items AFTER UPDATE OF open ON outbox
FOR EACH ROW EXECUTE FUNCTION outbox_closes_items();

CREATE TABLE outbox_attempts (
    outbox_id    BIGINT NOT NULL REFERENCES outbox (id),
    position     BIGINT NOT NULL,
    tx_hash      BYTEA NOT NULL CHECK (octet_length(tx_hash) = 32),
    raw          BYTEA NOT NULL,
    max_fee      TEXT COLLATE "C" NOT NULL,
    priority_fee TEXT COLLATE "C" NOT NULL,
    at           BIGINT NOT NULL,
    PRIMARY KEY (outbox_id, position)
);

-- Documents are compressed in `packed`; where that is NULL, `json` holds the document.
CREATE TABLE evidence (
    id     BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    guid   BYTEA NOT NULL CHECK (octet_length(guid) = 32),
    digest BYTEA NOT NULL CHECK (octet_length(digest) = 32),
    json   TEXT COLLATE "C" NOT NULL,
    packed BYTEA,
    at     BIGINT NOT NULL,
    UNIQUE (guid, digest)
);

-- Partitions of a million rows, so that what was archived goes without a trace of work.
CREATE TABLE audit (
    sequence  BIGINT NOT NULL PRIMARY KEY,
    at        BIGINT NOT NULL,
    actor     TEXT COLLATE "C" NOT NULL,
    action    TEXT COLLATE "C" NOT NULL,
    guid      BYTEA CHECK (octet_length(guid) = 32),
    detail    TEXT COLLATE "C" NOT NULL,
    evidence  BYTEA CHECK (octet_length(evidence) = 32),
    prev_hash BYTEA NOT NULL CHECK (octet_length(prev_hash) = 32),
    row_hash  BYTEA NOT NULL CHECK (octet_length(row_hash) = 32)
) PARTITION BY RANGE (sequence);

CREATE INDEX audit_by_guid ON audit (guid) WHERE guid IS NOT NULL;
CREATE INDEX audit_by_time ON audit (at);
CREATE INDEX jobs_by_sender ON jobs (sender);
CREATE INDEX jobs_by_receiver ON jobs (receiver);

-- Makes the partition of a row where it is missing.
CREATE FUNCTION audit_room(row_number BIGINT) RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    first BIGINT := row_number / 1000000 * 1000000;
BEGIN
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF audit FOR VALUES FROM (%s) TO (%s)',
        'audit_' || first, first, first + 1000000);
    RETURN first;
END $$;

SELECT audit_room(0);

-- Retention: up to which row the log was cut, and what holds the rows that went. The newest cut is where the log begins.
CREATE TABLE audit_cuts (
    sequence BIGINT NOT NULL PRIMARY KEY,
    row_hash BYTEA NOT NULL CHECK (octet_length(row_hash) = 32),
    archive  BYTEA NOT NULL CHECK (octet_length(archive) = 32),
    -- the row of the log that tells it
    told_in  BIGINT NOT NULL
);

-- Drops the partitions that are wholly below the newest cut, and says how many rows went with them.
CREATE FUNCTION audit_drop() RETURNS BIGINT LANGUAGE plpgsql AS $$
DECLARE
    through BIGINT := (SELECT coalesce(max(sequence), 0) FROM audit_cuts);
    part TEXT;
    held BIGINT;
    gone BIGINT := 0;
BEGIN
    FOR part IN SELECT child.relname FROM pg_inherits JOIN pg_class child ON child.oid = inhrelid
        WHERE inhparent = 'audit'::regclass AND substr(child.relname, 7)::bigint + 999999 <= through
    LOOP
        EXECUTE format('SELECT count(*) FROM %I', part) INTO held;
        EXECUTE format('DROP TABLE %I', part);
        gone := gone + held;
    END LOOP;
    RETURN gone;
END $$;

CREATE FUNCTION audit_permits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    newest audit%ROWTYPE;
BEGIN
    SELECT * INTO newest FROM audit ORDER BY sequence DESC LIMIT 1;
    IF NEW.sequence IS DISTINCT FROM coalesce(newest.sequence, 0) + 1
        OR NEW.prev_hash IS DISTINCT FROM coalesce(newest.row_hash, decode(repeat('00', 32), 'hex')) THEN
        RAISE EXCEPTION 'a row follows the newest one';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_permits BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION audit_permits();
CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('the audit log is only ever added to');

CREATE FUNCTION audit_keeps() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.sequence > (SELECT coalesce(max(sequence), 0) FROM audit_cuts) THEN
        RAISE EXCEPTION 'the audit log is only ever added to';
    END IF;
    RETURN OLD;
END $$;

CREATE TRIGGER audit_keeps BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keeps();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit
FOR EACH STATEMENT EXECUTE FUNCTION dvn_refuse('the audit log is only ever added to');

CREATE FUNCTION audit_cuts_permit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <= (SELECT coalesce(max(sequence), 0) FROM audit_cuts)
        OR NOT EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.sequence AND row_hash = NEW.row_hash)
        OR NEW.told_in <= NEW.sequence
        OR NOT EXISTS (SELECT 1 FROM audit WHERE sequence = NEW.told_in AND action = 'audit_pruned' AND evidence = NEW.archive)
    THEN
        RAISE EXCEPTION 'a cut is at a row of the log, above the one before, and told by a row';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER audit_cuts_at_a_row BEFORE INSERT ON audit_cuts FOR EACH ROW EXECUTE FUNCTION audit_cuts_permit();
CREATE TRIGGER audit_cuts_no_change BEFORE UPDATE OR DELETE ON audit_cuts
FOR EACH ROW EXECUTE FUNCTION dvn_refuse('cuts are only ever added to');
CREATE TRIGGER audit_cuts_no_truncate BEFORE TRUNCATE ON audit_cuts
FOR EACH STATEMENT EXECUTE FUNCTION dvn_refuse('cuts are only ever added to');

-- A released lease has no holder; its fence stays, so that the next one's is larger.
CREATE TABLE leases (
    name   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder TEXT COLLATE "C",
    fence  BIGINT NOT NULL,
    until  BIGINT NOT NULL
);
-- Which nonces of each path were seen: all from where the path begins for this node up to `through`, and those of
-- `path_ahead`, which wait for what is missing between.
CREATE TABLE paths (
    id       BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    src_eid  BIGINT NOT NULL,
    sender   BYTEA NOT NULL CHECK (octet_length(sender) = 32),
    dst_eid  BIGINT NOT NULL,
    receiver BYTEA NOT NULL CHECK (octet_length(receiver) = 32),
    through  TEXT COLLATE "C" NOT NULL,
    UNIQUE (src_eid, sender, dst_eid, receiver)
);

CREATE TABLE path_ahead (
    path  BIGINT NOT NULL REFERENCES paths (id),
    nonce TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (path, nonce)
);

-- What halts are based on, named by its digest.
CREATE TABLE halt_evidence (
    digest BYTEA NOT NULL PRIMARY KEY CHECK (octet_length(digest) = 32),
    json   TEXT COLLATE "C" NOT NULL,
    packed BYTEA,
    at     BIGINT NOT NULL
);

