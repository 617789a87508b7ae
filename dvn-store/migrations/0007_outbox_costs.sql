-- What each transaction takes in wei: at most, until it is mined, and then in truth.
CREATE TABLE outbox_costs (
    outbox_id INTEGER NOT NULL PRIMARY KEY REFERENCES outbox (id),
    dst_eid   INTEGER NOT NULL,
    wei       TEXT    NOT NULL,
    at        INTEGER NOT NULL
) STRICT;

CREATE INDEX outbox_costs_by_time ON outbox_costs (dst_eid, at);
