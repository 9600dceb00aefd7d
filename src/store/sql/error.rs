//! [`SqlError`]: what went wrong in a database, without what must not stand in a log.

use std::io;

use crate::{ConfigError, StoreError};

/// What went wrong.
///
/// Errors of drivers may hold values, names and addresses; of those only what is known to be harmless comes over.
#[derive(Debug, thiserror::Error)]
pub(super) enum SqlError {
    #[error("the database did not answer in time")]
    TimedOut,
    #[error("no connection to the database could be had in time")]
    NoConnection,
    #[error("the connection to the database failed: {0}")]
    Connection(io::ErrorKind),
    #[error("the connection to the database could not be secured")]
    Tls,
    #[error("the pool of connections is closed")]
    Closed,
    #[error("the database answered {code}: {message}")]
    Answered { code: String, message: String },
    /// The message may quote a value.
    #[error("the database answered {0}")]
    Rejected(String),
    #[error("the driver of the database failed")]
    Driver,
    #[error("the database holds what no store has written")]
    Foreign,
    #[error("the value is beyond what the database can hold")]
    TooGreat,
    #[error("{0}")]
    Unfit(&'static str),
    #[error(
        "the database has the schema {found}, this version of the crate knows {known}: use a later one"
    )]
    Newer { found: i64, known: i64 },
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl From<sqlx::Error> for SqlError {
    fn from(error: sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(answer) => {
                let code = answer.code().unwrap_or_default().into_owned();
                // SQLSTATE 22 and 23 are about data, and their messages may quote it. Codes of SQLite are plain
                // numbers, and its messages name tables and columns at most.
                if code.len() == 5 && (code.starts_with("22") || code.starts_with("23")) {
                    return Self::Rejected(code);
                }
                let message = answer.message().to_owned();
                Self::Answered { code, message }
            }
            sqlx::Error::Io(error) => Self::Connection(error.kind()),
            sqlx::Error::Tls(_) => Self::Tls,
            sqlx::Error::PoolTimedOut => Self::NoConnection,
            sqlx::Error::PoolClosed => Self::Closed,
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Foreign,
            _ => Self::Driver,
        }
    }
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        Self::new(error)
    }
}
