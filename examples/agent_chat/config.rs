//! The settings: environment variables, the file `.env` of the working directory, and defaults.

use std::{
    collections::HashMap, env, error::Error, fmt::Display, io, net::SocketAddr, str::FromStr,
    time::Duration,
};

use tower_warden::{SigningKey, TokenIssuer};
use tracing::Level;

pub(crate) struct Config {
    pub(crate) port: u16,
    pub(crate) secret: String,
    pub(crate) issuer: Option<String>,
    pub(crate) audience: Option<String>,
    pub(crate) leeway: Duration,
    /// How long the token of a session lives, which is renewed while somebody is there.
    pub(crate) session_token: Duration,
    /// Where browsers find the service: over https the cookies are `__Host-` cookies.
    pub(crate) public_origin: String,
    pub(crate) allowed_origins: Vec<String>,
    pub(crate) log_level: Level,
    /// A file, or a database of PostgreSQL.
    pub(crate) database_url: String,
    pub(crate) redis_url: Option<String>,
    /// What API keys are hashed under: the store does not have it.
    pub(crate) pepper: String,
    secret_is_random: bool,
}

impl Config {
    pub(crate) fn from_env() -> Result<Self, Box<dyn Error>> {
        let variables = Variables::load()?;
        let given: Option<String> = variables.get("JWT_SECRET")?;
        let secret_is_random = given.is_none();
        let secret = match given {
            Some(secret) => secret,
            None => random_secret()?,
        };
        let origins: Option<String> = variables.get("ALLOWED_ORIGINS")?;
        Ok(Self {
            port: variables.get("PORT")?.unwrap_or(8787),
            pepper: variables
                .get("API_KEY_PEPPER")?
                .unwrap_or_else(|| secret.clone()),
            database_url: variables
                .get("DATABASE_URL")?
                .unwrap_or_else(|| String::from("sqlite:agent_chat.db")),
            redis_url: variables.get("REDIS_URL")?,
            secret,
            issuer: variables.get("JWT_ISSUER")?,
            audience: variables.get("JWT_AUDIENCE")?,
            leeway: Duration::from_secs(variables.get("JWT_LEEWAY")?.unwrap_or(30)),
            session_token: Duration::from_secs(variables.get("SESSION_TOKEN")?.unwrap_or(900)),
            public_origin: variables
                .get("PUBLIC_ORIGIN")?
                .unwrap_or_else(|| String::from("http://localhost")),
            allowed_origins: origins
                .iter()
                .flat_map(|origins| origins.split(','))
                .map(|origin| origin.trim().to_owned())
                .filter(|origin| !origin.is_empty())
                .collect(),
            log_level: variables.get("LOG_LEVEL")?.unwrap_or(Level::INFO),
            secret_is_random,
        })
    }

    /// What the console shows at start: how to talk to the agent, with a token that is good for an hour.
    pub(crate) fn greeting(&self, address: SocketAddr) -> Result<String, Box<dyn Error>> {
        let mut issuer = TokenIssuer::builder(SigningKey::hs256(&self.secret)?);
        if let Some(name) = &self.issuer {
            issuer = issuer.with_issuer(name);
        }
        if let Some(audience) = &self.audience {
            issuer = issuer.with_audience(audience);
        }
        let token = issuer.build()?.mint("demo-user").sign()?;
        let token = token.expose();
        let warning = if self.secret_is_random {
            "warning: JWT_SECRET is not set, so a random one is used: tokens and API keys die with this process\n"
        } else {
            ""
        };
        // No URL of a server is shown: a password may stand in it.
        let kept_in = if self.database_url.starts_with("postgres") {
            "PostgreSQL"
        } else {
            &self.database_url
        };
        Ok(format!(
            "{warning}listening on http://{address}\n\
             all is kept in {kept_in} (DATABASE_URL)\n\
             \n\
             # open it in a browser: sign up, chat, share a room\n\
             \n\
             # refused: no token\n\
             curl -i http://{address}/history\n\
             # chat\n\
             curl -N http://{address}/chat -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' -d '{{\"message\":\"hello\"}}'\n\
             # a live agent, as a plain request; a handshake is upgraded\n\
             curl http://{address}/agents/helper/lobby -H 'Authorization: Bearer {token}'\n\
             # a ticket for one handshake: ws://{address}/agents/helper/lobby?ticket=...\n\
             curl http://{address}/auth/ticket -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' -d '{{\"agent\":\"helper\",\"room\":\"lobby\"}}'\n\
             # share the room\n\
             curl http://{address}/agents/helper/lobby/share -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' -d '{{\"subject\":\"a-friend\",\"role\":\"reader\"}}'\n\
             # an API key, which opens what its owner owns, in the header X-API-Key\n\
             curl http://{address}/keys -H 'Authorization: Bearer {token}' \
             -H 'Content-Type: application/json' -d '{{\"label\":\"laptop\"}}'\n\
             \n"
        ))
    }
}

/// The settings by name. A variable of the environment wins over a line of `.env`.
struct Variables {
    file: HashMap<String, String>,
}

impl Variables {
    /// Reads `.env` in the working directory, where there is one.
    fn load() -> Result<Self, String> {
        let lines = match dotenvy::from_path_iter(".env") {
            Ok(lines) => lines,
            Err(dotenvy::Error::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    file: HashMap::new(),
                });
            }
            Err(error) => return Err(format!("cannot open .env: {error}")),
        };
        let mut file = HashMap::new();
        for (index, line) in lines.enumerate() {
            // The error of the library shows the line, which may hold a secret.
            let (name, value) = line.map_err(|_| {
                format!(
                    "cannot read setting {} of .env: expected `NAME=value`",
                    index + 1
                )
            })?;
            file.insert(name, value);
        }
        Ok(Self { file })
    }

    /// Returns the value of a setting. An empty one counts as not set.
    fn get<T>(&self, name: &str) -> Result<Option<T>, String>
    where
        T: FromStr<Err: Display>,
    {
        let value = match env::var(name) {
            Ok(value) => Some(value),
            Err(env::VarError::NotPresent) => self.file.get(name).cloned(),
            Err(env::VarError::NotUnicode(_)) => return Err(format!("{name} is not UTF-8")),
        };
        match value.filter(|value| !value.is_empty()) {
            Some(value) => match value.parse() {
                Ok(parsed) => Ok(Some(parsed)),
                Err(error) => Err(format!("{name} = `{value}`: {error}")),
            },
            None => Ok(None),
        }
    }
}

/// 256 random bits, as hexadecimal digits.
fn random_secret() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
