//! Sections of the stable format whose parts are not in this build. They are checked like any other, so that a mistake
//! in them shows now, and then refused, so that nobody relies on what does not run.

use super::{reader::Section, scalar, secret};

pub(super) fn read(root: &mut Section<'_>) {
    if let Some(redis) = root.given_section("redis") {
        read_redis(redis);
    }
    if let Some(postgres) = root.given_section("postgres") {
        read_postgres(postgres);
    }
    for (key, what) in [("policy", "policies beyond the built-in ones are"), ("telemetry", "OpenTelemetry export is")] {
        if root.given_section(key).is_some_and(|section| !section.is_empty()) {
            root.problem_at(key, format!("{what} not in this build: remove what stands under it"));
        }
    }
}

fn read_redis(mut redis: Section<'_>) {
    redis.needed("addr", "host:port", scalar::host_port);
    redis.parsed("password_env", secret::variable_name);
    redis.parsed("db", scalar::number(0..=1_000_000_u32));
    redis
        .reader
        .problem(&redis.place, "redis is not in this build: remove the block, and the queue lives in the process");
    redis.finish();
}

fn read_postgres(mut postgres: Section<'_>) {
    postgres.needed("host", "where PostgreSQL runs", scalar::text);
    postgres.parsed("port", scalar::number(1..=u16::MAX));
    postgres.needed("database", "the name of the database", scalar::text);
    postgres.needed("user", "the name of its user", scalar::text);
    postgres.parsed("password_env", secret::variable_name);
    let message = "postgres is not in this build: remove the block, and SQLite in `service.data_dir` is used";
    postgres.reader.problem(&postgres.place, message);
    postgres.finish();
}
