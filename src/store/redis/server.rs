//! [`Server`]: where the Redis of a store is: at one address, or at the one that Sentinels name.

#[cfg(feature = "aws-lc-rs")]
use redis::TlsCertificates;
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo,
    ProtocolVersion, RedisError, cmd, io::tcp::TcpSettings,
};
use tokio::task::JoinSet;

use super::{fault::Fault, options::RedisOptions};
#[cfg(feature = "aws-lc-rs")]
use crate::ConfigError;

/// The port of a Sentinel, unless the URL has another.
const SENTINEL_PORT: u16 = 26_379;

pub(super) enum Server {
    At(Box<Client>),
    Named(Box<Sentinels>),
}

/// The Sentinels of a URL, and the service that they watch.
pub(super) struct Sentinels {
    sentinels: Vec<Client>,
    service: String,
    /// The primary, but for its address.
    primary: ConnectionInfo,
    options: RedisOptions,
}

impl Server {
    /// Reads a URL.
    pub(super) fn of(url: &str, options: &RedisOptions) -> Result<Self, Fault> {
        for (scheme, single) in [
            ("redis+sentinel://", "redis://"),
            ("rediss+sentinel://", "rediss://"),
        ] {
            if let Some(rest) = url.strip_prefix(scheme) {
                let sentinels = Sentinels::of(single, rest, options)?;
                return Ok(Self::Named(Box::new(sentinels)));
            }
        }
        Ok(Self::At(Box::new(client(info(url)?, options)?)))
    }

    pub(super) fn database(&self) -> i64 {
        match self {
            Self::At(client) => client.get_connection_info().redis_settings().db(),
            Self::Named(sentinels) => sentinels.primary.redis_settings().db(),
        }
    }

    /// Returns the client of the present primary. The caller bounds the time.
    pub(super) async fn client(&self) -> Result<Client, Fault> {
        match self {
            Self::At(client) => Ok(Client::clone(client)),
            Self::Named(sentinels) => sentinels.primary().await,
        }
    }
}

impl Sentinels {
    /// Reads `[user:password@]host[:port][,host[:port]…]/service[/database]`. User and password are those of the Redis.
    fn of(scheme: &str, rest: &str, options: &RedisOptions) -> Result<Self, Fault> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let (service, database) = path.split_once('/').unwrap_or((path, ""));
        if service.is_empty() {
            return Err(Fault::Url(
                "its path names no service: `redis+sentinel://host:26379,host:26379/service/database`",
            ));
        }
        let primary = info(&format!("{scheme}{user}localhost/{database}"))?;
        let sentinels = hosts.split(',').map(|host| {
            if host.is_empty() || host.starts_with(':') {
                return Err(Fault::Url("the name of a host is missing"));
            }
            let info = info(&format!("{scheme}{host}"))?;
            let has_port = host.rsplit(']').next().is_some_and(|end| end.contains(':'));
            let address = match has_port {
                true => info.addr().clone(),
                false => moved(info.addr(), None, SENTINEL_PORT),
            };
            client(info.set_addr(address), options)
        });
        Ok(Self {
            sentinels: sentinels.collect::<Result<_, _>>()?,
            service: service.to_owned(),
            primary,
            options: options.clone(),
        })
    }

    /// Asks all Sentinels at once. The first that knows the service decides, and the role of the server is checked when it
    /// is connected.
    async fn primary(&self) -> Result<Client, Fault> {
        let mut questions = JoinSet::new();
        for sentinel in &self.sentinels {
            questions.spawn(address(sentinel.clone(), self.service.clone()));
        }
        let mut fault = Fault::Unreachable;
        while let Some(answer) = questions.join_next().await {
            match answer {
                Ok(Ok(Some((host, port)))) => {
                    let address = moved(self.primary.addr(), Some(host), port);
                    return client(self.primary.clone().set_addr(address), &self.options);
                }
                Ok(Ok(None)) => fault = Fault::UnknownService,
                Ok(Err(_)) | Err(_) => {}
            }
        }
        Err(fault)
    }
}

/// Asks a Sentinel for the address of a service's primary.
async fn address(sentinel: Client, service: String) -> Result<Option<(String, u16)>, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None);
    let mut connection = sentinel
        .get_multiplexed_async_connection_with_config(&config)
        .await?;
    let mut question = cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(service);
    question.query_async(&mut connection).await
}

/// Returns an address with another port, and another host where there is one.
fn moved(address: &ConnectionAddr, to: Option<String>, port: u16) -> ConnectionAddr {
    match address.clone() {
        ConnectionAddr::Tcp(host, _) => ConnectionAddr::Tcp(to.unwrap_or(host), port),
        ConnectionAddr::TcpTls {
            host,
            insecure,
            tls_params,
            ..
        } => ConnectionAddr::TcpTls {
            host: to.unwrap_or(host),
            port,
            insecure,
            tls_params,
        },
        other => other,
    }
}

/// Reads the URL of one server.
fn info(url: &str) -> Result<ConnectionInfo, Fault> {
    // The client's own error may quote the URL, with the password.
    let unfit = |_| Fault::Url(unfit_part(url));
    let info = url.into_connection_info().map_err(unfit)?;
    if !info.addr().is_supported() {
        return Err(Fault::Url("its TLS needs the feature `aws-lc-rs`"));
    }
    // Only a fragment of the URL would say so.
    if let ConnectionAddr::TcpTls { insecure: true, .. } = info.addr() {
        return Err(Fault::Url(
            "leave out `#insecure`: a certificate is always checked",
        ));
    }
    // Only RESP3 tells at once that a connection has ended.
    let settings = info.redis_settings().clone();
    let settings = settings
        .set_protocol(ProtocolVersion::RESP3)
        .set_skip_set_lib_name();
    Ok(info
        .set_redis_settings(settings)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

/// Names the part of a URL that cannot be read.
fn unfit_part(url: &str) -> &'static str {
    let known = [
        "redis://",
        "rediss://",
        "unix://",
        "redis+unix://",
        "valkey://",
        "valkeys://",
        "valkey+unix://",
    ];
    if !known.iter().any(|scheme| url.starts_with(scheme)) {
        return "it does not begin with `redis://`, `rediss://` or `unix://`";
    }
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    if host.contains('[') != host.contains(']') {
        return "its host has a bracket too few";
    }
    let port = host.rsplit(']').next().unwrap_or(host).split_once(':');
    if port.is_some_and(|(_, port)| !port.is_empty() && port.parse::<u16>().is_err()) {
        return "its port is no number up to 65535: in a password `/`, `?`, `#`, `@` and `%` are percent-encoded";
    }
    if !database.is_empty() && database.parse::<u32>().is_err() {
        return "its path is no number of a database";
    }
    "expected `redis://user:password@host:port/database`"
}

#[cfg(feature = "aws-lc-rs")]
fn client(info: ConnectionInfo, options: &RedisOptions) -> Result<Client, Fault> {
    let Some(authorities) = &options.authorities else {
        return Ok(Client::open(info)?);
    };
    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(authorities.0.clone()),
    };
    let unfit = |_| {
        Fault::Config(ConfigError::Setting {
            name: "with_authorities",
            value: format!("{} bytes", authorities.0.len()),
            problem: "certificates of authorities are given as PEM, for a `rediss://` URL",
        })
    };
    Client::build_with_tls(info, certificates).map_err(unfit)
}

#[cfg(not(feature = "aws-lc-rs"))]
fn client(info: ConnectionInfo, _: &RedisOptions) -> Result<Client, Fault> {
    Ok(Client::open(info)?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_part_of_a_url_and_quotes_nothing() {
        for (url, part) in [
            ("https://me:secret@redis.example", "begin with `redis://`"),
            ("redis://me:secret@redis.example:99999", "port"),
            ("redis://me:secret@redis.example:secret", "port"),
            ("redis://me:sec/ret@redis.example", "port"),
            ("redis://me:secret@[::1", "bracket"),
            ("redis://me:secret@redis.example/secret", "database"),
            ("redis+sentinel://me:secret@redis.example:x/main", "port"),
            ("redis+sentinel://me:secret@redis.example,:1/main", "host"),
            ("redis+sentinel://me:secret@redis.example", "service"),
            (
                "redis+sentinel://me:secret@redis.example/main/secret",
                "database",
            ),
        ] {
            let refused = Server::of(url, &RedisOptions::new()).err().unwrap();
            let error = refused.to_string();
            assert!(error.contains(part), "{url}: {error}");
            for private in ["secret", "redis.example", "me:"] {
                assert!(!error.contains(private), "{url}: {error}");
            }
        }
    }
}
