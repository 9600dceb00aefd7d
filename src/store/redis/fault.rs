//! [`Fault`]: what went wrong with Redis, without what must not stand in a log.

use std::io;

use redis::{ErrorKind, RedisError};

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
    #[error("the subject has too many tickets already")]
    TooManyTickets,
    #[error("no Sentinel of the URL knows its service")]
    UnknownService,
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
    /// Reports an error after which the connection cannot be used: it is closed, its answers are out of step, or its
    /// server does not accept writes.
    pub(super) fn spoils(error: &RedisError) -> bool {
        error.is_unrecoverable_error()
            || matches!(
                error.kind(),
                ErrorKind::Io | ErrorKind::Parse | ErrorKind::AuthenticationFailed
            )
            || code(error) == Some("NOAUTH")
            || Self::demotes(error)
    }

    /// Reports an answer of a server that is not the primary, or is not ready to be one.
    pub(super) fn demotes(error: &RedisError) -> bool {
        matches!(code(error), Some("READONLY" | "MASTERDOWN" | "LOADING"))
    }
}

/// Returns the error code of an answer.
///
/// Before Redis 7 a script that fails answers `ERR`, and the code of the command that failed stands in the text:
/// `Error running script (call to f_<sha1>): @user_script:1: @user_script: 1: -READONLY You can't write …`.
fn code(error: &RedisError) -> Option<&str> {
    let code = error.code()?;
    let inner = || {
        let text = error.detail()?.strip_prefix("Error running script ")?;
        let (_, answer) = text.split_once(": -")?;
        let code = answer.split(' ').next()?;
        code.bytes()
            .all(|byte| byte.is_ascii_uppercase())
            .then_some(code)
    };
    Some(match code {
        "ERR" => inner().unwrap_or(code),
        code => code,
    })
}

impl From<RedisError> for Fault {
    fn from(error: RedisError) -> Self {
        match (error.kind(), code(&error)) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use redis::{Value, parse_redis_value};

    use super::*;

    fn answered(text: &str) -> RedisError {
        let answer: Value = parse_redis_value(format!("-{text}\r\n").as_bytes()).unwrap();
        answer.extract_error().unwrap_err()
    }

    #[test]
    fn an_answer_of_a_former_primary_is_recognised_inside_a_script_too() {
        let script = "ERR Error running script (call to f_1f8f): @user_script:1: @user_script: 1: ";
        for (answer, named, demotes) in [
            (
                "READONLY You can't write against a read only replica.",
                "READONLY",
                true,
            ),
            ("MASTERDOWN Link with MASTER is down", "MASTERDOWN", true),
            (
                "LOADING Redis is loading the dataset in memory",
                "LOADING",
                true,
            ),
            (
                &*format!("{script}-READONLY You can't write"),
                "READONLY",
                true,
            ),
            (
                &*format!("{script}-MASTERDOWN Link with MASTER is down"),
                "MASTERDOWN",
                true,
            ),
            (
                &*format!("{script}-LOADING Redis is loading"),
                "LOADING",
                true,
            ),
            (&*format!("{script}-OOM command not allowed"), "OOM", false),
            ("OOM command not allowed", "OOM", false),
            ("ERR unknown command", "ERR", false),
            // A text that a client chose is not looked into.
            ("ERR value is not an integer: -READONLY x", "ERR", false),
        ] {
            let error = answered(answer);
            assert_eq!(Fault::demotes(&error), demotes, "{answer}");
            assert_eq!(Fault::spoils(&error), demotes, "{answer}");
            let fault = Fault::from(error).to_string();
            assert_eq!(fault, format!("Redis answered {named}"), "{answer}");
        }
    }
}
