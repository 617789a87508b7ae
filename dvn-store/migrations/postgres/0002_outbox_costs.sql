-- What each transaction takes in wei: at most, until it is mined, and then in truth.
CREATE TABLE outbox_costs (
    outbox_id BIGINT NOT NULL PRIMARY KEY REFERENCES outbox (id),
    dst_eid   BIGINT NOT NULL,
    wei       TEXT COLLATE "C" NOT NULL,
    at        BIGINT NOT NULL
);

CREATE INDEX outbox_costs_by_time ON outbox_costs (dst_eid, at);
