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
    #[error("the database does not let this user in ({0})")]
    NotLetIn(String),
    #[error("there is no such database ({0})")]
    NoDatabase(String),
    #[error("the database answered {code}: {message}")]
    Answered { code: String, message: String },
    /// The message may quote a value, or name somebody.
    #[error("the database answered {0}")]
    Rejected(String),
    #[error("the driver of the database failed")]
    Driver,
    #[error("the database holds what no store has written")]
    Foreign,
    #[error("the value is beyond what the database can hold")]
    TooGreat,
    #[cfg(feature = "postgres")]
    #[error("the database accepts no writes: connect to the primary")]
    ReadOnly,
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
                let message = answer.message().to_owned();
                match code.as_str() {
                    _ if is_harmless(&code) => Self::Answered { code, message },
                    refused if refused.starts_with("28") => Self::NotLetIn(code),
                    "3D000" => Self::NoDatabase(code),
                    _ => Self::Rejected(code),
                }
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

impl SqlError {
    /// Reports an answer of a server that accepts no writes: a standby, or a former primary (`25006`).
    pub(super) fn is_read_only(&self) -> bool {
        match self {
            Self::Answered { code, .. } => code == "25006",
            #[cfg(feature = "postgres")]
            Self::ReadOnly => true,
            _ => false,
        }
    }

    /// Reports an error after which the connection cannot be used. Besides a read-only server these are the ends of a
    /// server process: `57P01` by an administrator, `57P02` by a crash, `57P03` while it starts.
    pub(super) fn spoils(&self) -> bool {
        matches!(self, Self::Connection(_))
            || matches!(self, Self::Answered { code, .. } if matches!(&**code, "57P01" | "57P02" | "57P03"))
            || self.is_read_only()
    }
}

/// Whether the message that comes with a code says nothing of values, people and places.
fn is_harmless(code: &str) -> bool {
    // Codes of SQLite are plain numbers, and its messages name tables and columns at most.
    if code.len() != 5 {
        return true;
    }
    // Classes of SQLSTATE: what cannot be done now, or not here, and what is wrong with the schema. Who may not do it is
    // named by 42501.
    let classes = ["08", "0A", "25", "40", "42", "53", "54", "55", "57", "58"];
    classes.iter().any(|class| code.starts_with(class)) && code != "42501"
}

impl From<SqlError> for StoreError {
    fn from(error: SqlError) -> Self {
        Self::new(error)
    }
}
