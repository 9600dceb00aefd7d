//! What was said, in a database: it is there again when the service is started again.

use std::str::FromStr;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use sqlx::{
    ColumnIndex, Decode, FromRow, PgPool, Row, SqlitePool, Type, query, query_as, raw_sql,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions},
};

/// A message of a user or of the agent.
#[derive(Clone, Serialize)]
pub(crate) struct Message {
    pub(crate) role: String,
    /// The subject of the user who said it, as several may talk in a room.
    #[serde(rename = "from", skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    pub(crate) text: String,
}

impl Message {
    pub(crate) fn user(subject: &str, text: &str) -> Self {
        Self::new("user", Some(subject), text)
    }

    pub(crate) fn agent(text: &str) -> Self {
        Self::new("agent", None, text)
    }

    fn new(role: &str, subject: Option<&str>, text: &str) -> Self {
        Self {
            role: role.to_owned(),
            subject: subject.map(str::to_owned),
            // PostgreSQL keeps every character but this one.
            text: text.replace('\0', "\u{fffd}"),
        }
    }
}

/// The conversations of all places.
#[derive(Clone)]
pub(crate) enum History {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

const SQLITE_TABLE: &str = "
    CREATE TABLE IF NOT EXISTS agent_chat_messages (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        place TEXT NOT NULL, role TEXT NOT NULL, subject TEXT, text TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS agent_chat_messages_place ON agent_chat_messages (place, number);";

// The lock keeps two nodes that start at once from making it twice.
const POSTGRES_TABLE: &str = "
    BEGIN;
    SELECT pg_advisory_xact_lock(hashtext('agent_chat_messages'));
    CREATE TABLE IF NOT EXISTS agent_chat_messages (
        number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        place TEXT NOT NULL, role TEXT NOT NULL, subject TEXT, text TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS agent_chat_messages_place ON agent_chat_messages (place, number);
    COMMIT;";

const APPEND: &str =
    "INSERT INTO agent_chat_messages (place, role, subject, text) VALUES ($1, $2, $3, $4)";
const READ: &str =
    "SELECT role, subject, text FROM agent_chat_messages WHERE place = $1 ORDER BY number";

impl History {
    /// Opens the database of a URL, `sqlite:…` or `postgres:…`, and makes the table if it is not there.
    pub(crate) async fn open(url: &str) -> Result<Self, sqlx::Error> {
        if url.starts_with("postgres") {
            let pool = PgPool::connect(url).await?;
            raw_sql(POSTGRES_TABLE).execute(&pool).await?;
            return Ok(Self::Postgres(pool));
        }
        let file = SqliteConnectOptions::from_str(url)?.create_if_missing(true);
        let pool = SqlitePoolOptions::new().connect_with(file).await?;
        raw_sql(SQLITE_TABLE).execute(&pool).await?;
        Ok(Self::Sqlite(pool))
    }

    pub(crate) async fn append(&self, place: &str, message: &Message) -> Result<(), sqlx::Error> {
        let Message {
            role,
            subject,
            text,
        } = message;
        match self {
            Self::Sqlite(pool) => {
                let insert = query(APPEND)
                    .bind(place)
                    .bind(role)
                    .bind(subject)
                    .bind(text);
                insert.execute(pool).await.map(drop)
            }
            Self::Postgres(pool) => {
                let insert = query(APPEND)
                    .bind(place)
                    .bind(role)
                    .bind(subject)
                    .bind(text);
                insert.execute(pool).await.map(drop)
            }
        }
    }

    /// What was said in a place, oldest first.
    pub(crate) async fn read(&self, place: &str) -> Result<Vec<Message>, sqlx::Error> {
        match self {
            Self::Sqlite(pool) => query_as(READ).bind(place).fetch_all(pool).await,
            Self::Postgres(pool) => query_as(READ).bind(place).fetch_all(pool).await,
        }
    }
}

impl<'r, R: Row> FromRow<'r, R> for Message
where
    usize: ColumnIndex<R>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        Ok(Self {
            role: row.try_get(0)?,
            subject: row.try_get(1)?,
            text: row.try_get(2)?,
        })
    }
}

/// The database does not answer: nothing was said, and nothing is lost.
pub(crate) struct Unavailable(sqlx::Error);

impl From<sqlx::Error> for Unavailable {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "the history cannot be reached");
        let body = Json(json!({ "code": "store_unavailable", "status": 503 }));
        let later = [(header::RETRY_AFTER, "5")];
        (StatusCode::SERVICE_UNAVAILABLE, later, body).into_response()
    }
}
