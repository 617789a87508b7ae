//! The servers that a node shares with others.

use std::net::SocketAddr;

/// A PostgreSQL database in place of the embedded store.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct NodeDatabase {
    /// Where the server is.
    pub address: SocketAddr,
    /// `postgres.database`.
    pub database: String,
    /// `postgres.user`.
    pub user: String,
    /// The user's password, which stands in a variable.
    pub password: String,
}

/// A Redis server in place of the queue inside the process.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a plain record of settings")]
pub struct NodeRedis {
    /// Where the server is.
    pub address: SocketAddr,
    /// The password, which stands in a variable.
    pub password: String,
}

const POSTGRES_PASSWORD: &str = "DVN_POSTGRES_PASSWORD";
const REDIS_PASSWORD: &str = "DVN_REDIS_PASSWORD";

impl NodeDatabase {
    pub(super) fn block(&self) -> String {
        let Self { address, database, user, .. } = self;
        let (host, port) = (address.ip(), address.port());
        format!(
            "\npostgres: {{ host: \"{host}\", port: {port}, database: {database}, user: {user}, password_env: \
             {POSTGRES_PASSWORD} }}\n"
        )
    }

    pub(super) fn variable(&self) -> (String, String) {
        (POSTGRES_PASSWORD.to_owned(), self.password.clone())
    }
}

impl NodeRedis {
    pub(super) fn block(&self) -> String {
        format!("\nredis: {{ addr: \"{}\", password_env: {REDIS_PASSWORD} }}\n", self.address)
    }

    pub(super) fn variable(&self) -> (String, String) {
        (REDIS_PASSWORD.to_owned(), self.password.clone())
    }
}
