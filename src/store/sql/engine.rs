//! [`Engine`]: where SQLite and PostgreSQL differ.

use std::pin::Pin;

use sqlx::Transaction;

#[cfg(feature = "accounts")]
use super::accounts::Users;
use super::error::SqlError;

/// An answer of a driver, later.
pub(super) type Driven<'c, T> = Pin<Box<dyn Future<Output = Result<T, sqlx::Error>> + Send + 'c>>;

/// What the stores need of a database, beside the SQL that all understand.
///
/// A decision is a row of statements that all take the same values. The first one decides; the others only run if it had
/// any rows, and the rows of all are the answer. Where there are several they are one transaction.
pub(super) trait Engine: sqlx::Database {
    /// The name of the store, for `Debug`.
    const STORE: &'static str;
    /// The schema, one version after the other.
    const MIGRATIONS: &'static [&'static str];
    /// How many tables of the name `warden_schema` there are.
    const HAS_SCHEMA: &'static str;
    /// What begins a transaction that writes.
    const BEGIN: &'static str;
    /// Within a transaction, waits until nobody else migrates.
    const LOCK_SCHEMA: Option<&'static str>;

    /// Keeps the record of an API key (1 to 9) unless its owner (3, 4) has so many (10), while no other statement does so for this
    /// owner. Each statement gives one row, the last one if the record was kept.
    const INSERT_API_KEY: &'static [&'static str];
    /// Keeps a ticket (1 to 3) of a subject (4) unless that has so many (6) at this time (5), while no other statement does so for
    /// this subject. Each statement gives one row, the last one if the ticket was kept.
    const PUT_TICKET: &'static [&'static str];
    /// Makes a subject (2, 3) the owner of a resource (1) unless it owns so many (4), while no other statement does so for
    /// this subject. Each statement gives one row, the last one if the claim succeeded.
    const CLAIM_WITHIN: &'static [&'static str];
    /// Hands a resource (1) over from an owner (2, 3) to another (4, 5), and tells of it (6).
    const TRANSFER: &'static [&'static str];
    /// Says whether the owner of a resource (1) is this subject (2, 3); if not, gives it a role (4) and tells of it (5).
    const GRANT: &'static [&'static str];
    /// Ends what a subject (2, 3) may do with a resource (1), and tells of it (4).
    const REVOKE: &'static [&'static str];
    /// Keeps a revocation (2) under its digest (1) until its end (3), and tells of it (4). One that is there already is
    /// told of again, for those who did not hear.
    const PUBLISH: &'static [&'static str];
    /// The table `users`.
    #[cfg(feature = "accounts")]
    const USERS: Users;
    /// The longest message to other nodes, in bytes. A longer one travels in a shorter form.
    const LONGEST_NOTICE: usize;

    /// Values in the driver's own form.
    fn arguments(values: &[Value<'_>]) -> Result<Self::Arguments, SqlError>;

    /// Begins a transaction that writes.
    fn begin<'c>(connection: &'c mut Self::Connection) -> Driven<'c, Transaction<'c, Self>>;

    /// Runs one statement with values, and reads its rows.
    fn run<'c>(
        connection: &'c mut Self::Connection,
        statement: &'static str,
        arguments: Self::Arguments,
    ) -> Driven<'c, Vec<Self::Row>>;

    /// Runs several statements without values.
    fn run_all<'c>(
        connection: &'c mut Self::Connection,
        statements: &'static str,
    ) -> Driven<'c, ()>;

    /// The text in a column.
    fn text(row: &Self::Row, column: usize) -> Result<Option<String>, sqlx::Error>;

    /// The number in a column.
    fn number(row: &Self::Row, column: usize) -> Result<Option<i64>, sqlx::Error>;

    /// The bytes in a column.
    fn bytes(row: &Self::Row, column: usize) -> Result<Option<Vec<u8>>, sqlx::Error>;
}

/// The methods of [`Engine`] that read alike for every driver, but only where its types are known.
macro_rules! drive {
    () => {
        fn arguments(values: &[Value<'_>]) -> Result<Self::Arguments, SqlError> {
            let mut arguments = Self::Arguments::default();
            for value in values {
                let added = match *value {
                    Value::Text(text) => arguments.add(text),
                    Value::Bytes(bytes) => arguments.add(bytes),
                    Value::Number(number) => arguments.add(number),
                };
                added.map_err(|_| SqlError::Driver)?;
            }
            Ok(arguments)
        }

        fn begin<'c>(
            connection: &'c mut Self::Connection,
        ) -> Driven<'c, sqlx::Transaction<'c, Self>> {
            Box::pin(sqlx::Connection::begin_with(connection, Self::BEGIN))
        }

        fn run<'c>(
            connection: &'c mut Self::Connection,
            statement: &'static str,
            arguments: Self::Arguments,
        ) -> Driven<'c, Vec<Self::Row>> {
            Box::pin(async move {
                sqlx::query_with(statement, arguments)
                    .fetch_all(connection)
                    .await
            })
        }

        fn run_all<'c>(
            connection: &'c mut Self::Connection,
            statements: &'static str,
        ) -> Driven<'c, ()> {
            Box::pin(async move {
                sqlx::raw_sql(statements).execute(connection).await?;
                Ok(())
            })
        }

        fn text(row: &Self::Row, column: usize) -> Result<Option<String>, sqlx::Error> {
            row.try_get(column)
        }

        fn number(row: &Self::Row, column: usize) -> Result<Option<i64>, sqlx::Error> {
            row.try_get(column)
        }

        fn bytes(row: &Self::Row, column: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
            row.try_get(column)
        }
    };
}
pub(super) use drive;

/// A value of a statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value<'a> {
    /// Without NUL, in PostgreSQL.
    Text(&'a str),
    Bytes(Option<&'a [u8]>),
    Number(Option<i64>),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl<'a> From<Option<&'a [u8]>> for Value<'a> {
    fn from(bytes: Option<&'a [u8]>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<i64> for Value<'_> {
    fn from(number: i64) -> Self {
        Self::Number(Some(number))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(number: Option<i64>) -> Self {
        Self::Number(number)
    }
}

/// A row of an answer. A column that holds something else than expected is [`SqlError::Foreign`].
pub(super) struct Row<DB: Engine>(pub(super) DB::Row);

impl<DB: Engine> Row<DB> {
    pub(super) fn text(&self, column: usize) -> Result<String, SqlError> {
        DB::text(&self.0, column)?.ok_or(SqlError::Foreign)
    }

    pub(super) fn text_or_none(&self, column: usize) -> Result<Option<String>, SqlError> {
        Ok(DB::text(&self.0, column)?)
    }

    pub(super) fn number(&self, column: usize) -> Result<i64, SqlError> {
        self.number_or_none(column)?.ok_or(SqlError::Foreign)
    }

    pub(super) fn number_or_none(&self, column: usize) -> Result<Option<i64>, SqlError> {
        Ok(DB::number(&self.0, column)?)
    }

    pub(super) fn bytes(&self, column: usize) -> Result<Vec<u8>, SqlError> {
        DB::bytes(&self.0, column)?.ok_or(SqlError::Foreign)
    }
}
