//! Where the durable state is.

use url::Url;

use super::{Problem, Secret, Settings};

const DEFAULT_CONNECTIONS: u32 = 10;
const RIGHT: &str = "a PostgreSQL URL such as postgres://smartermcp:password@db.example:5432/smartermcp?sslmode=verify-full";

/// `DATABASE_URL`.
#[derive(Clone, Debug)]
pub enum Database {
    /// The SQLite file in the data directory.
    Embedded,
    Postgres {
        /// With the password in it.
        url: Secret,
        /// `SMARTERMCP_DATABASE_CONNECTIONS`: how many connections one replica opens for calls; two more are for lists.
        connections: u32,
    },
}

impl Database {
    pub(super) fn read(settings: &Settings) -> Result<Self, Problem> {
        let connections = settings.parsed("SMARTERMCP_DATABASE_CONNECTIONS", "a number from 2 to 200, e.g. 10")?;
        if let Some(count) = connections
            && !(2..=200).contains(&count)
        {
            return Err(Problem::new(
                "SMARTERMCP_DATABASE_CONNECTIONS",
                format!("is {count}"),
                "a number from 2 to 200, e.g. 10",
            ));
        }
        let Some(text) = settings.text("DATABASE_URL") else {
            return Ok(Self::Embedded);
        };
        // The value holds a password: it is not quoted.
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "postgres" | "postgresql") => Ok(Self::Postgres {
                url: Secret::new(text),
                connections: connections.unwrap_or(DEFAULT_CONNECTIONS),
            }),
            Ok(url) => Err(Problem::new("DATABASE_URL", format!("begins with '{}:'", url.scheme()), RIGHT)),
            Err(error) => Err(Problem::new("DATABASE_URL", format!("is no URL ({error})"), RIGHT)),
        }
    }
}
