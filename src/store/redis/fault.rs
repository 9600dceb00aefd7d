//! [`Fault`]: what went wrong with Redis, without what must not stand in a log.

use std::io;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::{ConfigError, StoreError};

/// What went wrong.
///
/// Answers of the server may quote keys, names and users; of those only the code comes over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("Redis did not answer in time")]
    Silent,
    #[error("the connection to Redis could not be opened in time")]
    Unreachable,
    #[error("the connection to Redis could not be opened")]
    Closed,
    #[error("the connection to Redis failed: {0}")]
    Connection(io::ErrorKind),
    #[error("Redis answered {0}")]
    Answered(String),
    #[error("the client of Redis failed: {0}")]
    Client(&'static str),
    #[error("Redis holds what no store has written")]
    Foreign,
    #[error("the ticket is known already")]
    KnownTicket,
    #[error("this Redis is a replica: writes have to go to its primary")]
    Replica,
    #[error(
        "this Redis throws keys away when it is full (`maxmemory-policy {0}`): set it to `noeviction`"
    )]
    Evicting(String),
    #[error("this is no URL of a Redis: {0}")]
    Url(&'static str),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Fault {
    /// Whether a connection on which this happened is of no more use: it is gone, its answers are out of step, or who
    /// stands behind it is not the one that decides any more.
    pub(super) fn spoils(error: &RedisError) -> bool {
        let kind = error.kind();
        error.is_unrecoverable_error()
            || matches!(
                kind,
                ErrorKind::Io
                    | ErrorKind::Parse
                    | ErrorKind::AuthenticationFailed
                    | ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
            )
            || error.code() == Some("NOAUTH")
    }
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        match (error.kind(), error.code()) {
            (ErrorKind::UnexpectedReturnType, _) => Self::Foreign,
            (ErrorKind::Io, _) => {
                let source = std::error::Error::source(&error);
                let cause = source.and_then(<dyn std::error::Error>::downcast_ref::<io::Error>);
                Self::Connection(cause.map_or(io::ErrorKind::Other, io::Error::kind))
            }
            (_, Some(code)) => Self::Answered(code.to_owned()),
            (kind, None) => Self::Client(match kind {
                ErrorKind::AuthenticationFailed => "it was not let in",
                ErrorKind::InvalidClientConfig => "its settings do not fit",
                ErrorKind::Parse => "it did not understand the answer",
                ErrorKind::RESP3NotSupported => "the server does not speak RESP3",
                _ => "of itself",
            }),
        }
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        Self::new(fault)
    }
}
