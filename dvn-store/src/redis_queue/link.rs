//! Connections to whatever stands behind the addresses.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisResult, TlsCertificates, Value,
    aio::MultiplexedConnection,
    cluster::{ClusterClient, ClusterConfig},
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use secrecy::ExposeSecret;

use super::{RedisKind, RedisOptions, RedisOptionsError, options::wrong};

/// Where to connect to.
pub(super) enum Target {
    Single(Client),
    Sentinel(SentinelClient),
    Cluster(ClusterClient),
}

/// A connection.
pub(super) enum Link {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Target {
    pub(super) fn try_new(
        options: &RedisOptions,
        addresses: &[(String, u16)],
        certificates: Option<TlsCertificates>,
    ) -> Result<Self, RedisOptionsError> {
        if certificates.is_some() {
            // The client asks for the process's provider; one that is set already stays.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let failed = |error: redis::RedisError| wrong("tls.ca", format!("cannot be used: {error}"));
        let infos = addresses.iter().map(|address| options.info(address)).collect::<Result<Vec<_>, _>>()?;
        match &options.kind {
            RedisKind::Single => {
                let info = infos.into_iter().next().ok_or_else(|| wrong("addresses", "names no server"))?;
                let client = match certificates {
                    Some(certificates) => Client::build_with_tls(info, certificates),
                    None => Client::open(info),
                };
                client.map(Self::Single).map_err(failed)
            }
            RedisKind::Sentinel { master, password } => {
                let sockets = addresses.iter().map(|address| options.socket(address));
                let mut builder =
                    SentinelClientBuilder::new(sockets, master, SentinelServerType::Master).map_err(failed)?;
                builder = sentinel(builder, options, certificates);
                if let Some(password) = password {
                    builder = builder.set_client_to_sentinel_password(password.expose_secret());
                }
                builder.build().map(Self::Sentinel).map_err(failed)
            }
            RedisKind::Cluster => {
                let mut builder = ClusterClient::builder(infos).retries(1);
                if let Some(user) = &options.user {
                    builder = builder.username(user);
                }
                if let Some(password) = &options.password {
                    builder = builder.password(password.expose_secret());
                }
                if let Some(certificates) = certificates {
                    builder = builder.tls(redis::cluster::TlsMode::Secure).certs(certificates);
                }
                builder.build().map(Self::Cluster).map_err(failed)
            }
        }
    }

    /// A connection whose answers may take so long.
    pub(super) async fn connect(&mut self, connecting: Duration, answer: Duration) -> RedisResult<Link> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(connecting)).set_response_timeout(Some(answer));
        Ok(match self {
            Self::Single(client) => Link::Single(client.get_multiplexed_async_connection_with_config(&config).await?),
            Self::Sentinel(client) => Link::Single(client.get_async_connection_with_config(&config).await?),
            Self::Cluster(client) => {
                let config = ClusterConfig::new().set_connection_timeout(connecting).set_response_timeout(answer);
                Link::Cluster(client.get_async_connection_with_config(config).await?)
            }
        })
    }
}

fn sentinel(
    mut builder: SentinelClientBuilder,
    options: &RedisOptions,
    certificates: Option<TlsCertificates>,
) -> SentinelClientBuilder {
    builder = builder.set_client_to_redis_db(i64::from(options.db));
    if let Some(user) = &options.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &options.password {
        builder = builder.set_client_to_redis_password(password.expose_secret());
    }
    if let (Some(mode), Some(certificates)) = (options.tls_mode(), certificates) {
        builder = builder.set_client_to_redis_tls_mode(mode).set_client_to_sentinel_tls_mode(mode);
        builder = builder.set_client_to_redis_certificates(certificates.clone());
        builder = builder.set_client_to_sentinel_certificates(certificates);
    }
    builder
}

impl Link {
    pub(super) async fn command(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Single(connection) => command.query_async(connection).await,
            Self::Cluster(connection) => command.query_async(connection).await,
        }
    }

    pub(super) async fn pipeline(&mut self, commands: &Pipeline) -> RedisResult<()> {
        match self {
            Self::Single(connection) => commands.query_async(connection).await,
            Self::Cluster(connection) => commands.query_async(connection).await,
        }
    }
}
