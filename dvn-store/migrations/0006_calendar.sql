-- Jobs by the head that they wait for, so that a new head finds those that it brings.
CREATE INDEX jobs_by_wake_head ON jobs (location_eid, wake_head, block_number) WHERE wake_head IS NOT NULL;
