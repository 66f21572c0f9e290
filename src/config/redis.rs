//! Where limits are counted for all replicas.

use url::Url;

use super::{Problem, Secret, Settings};

const RIGHT: &str =
    "redis://host:6379/0, rediss:// with TLS, redis+sentinel://host:26379,host:26379/mymaster/0 or redis+cluster://host:6379,host:6379";

const SENTINEL_PORT: u16 = 26379;

/// `REDIS_URL`, each address with the user and password in it.
#[derive(Clone, Debug)]
pub enum RedisServers {
    Single(Secret),
    /// Sentinels, which know where the master is.
    Sentinel {
        /// Host and port of each.
        sentinels: Vec<(String, u16)>,
        master: String,
        /// The master itself: TLS, user, password, number of the database.
        tls: bool,
        username: Option<String>,
        password: Option<Secret>,
        db: i64,
    },
    Cluster(Vec<Secret>),
}

impl RedisServers {
    pub(super) fn read(settings: &Settings) -> Result<Option<Self>, Problem> {
        // The value holds a password: it is not quoted.
        settings.text("REDIS_URL").map(Self::parse).transpose()
    }

    /// # Errors
    /// Says what is wrong, without the value.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |what: &str| Problem::new("REDIS_URL", what, RIGHT);
        let (scheme, rest) = text.split_once("://").ok_or_else(|| wrong("is no URL"))?;
        let (base, form) = scheme.split_once('+').unwrap_or((scheme, ""));
        if !matches!(base, "redis" | "rediss") {
            return Err(wrong("begins with something other than redis:// or rediss://"));
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = authority.rsplit_once('@').map_or(("", authority), |(user, hosts)| (user, hosts));
        let at = |host: &str, tail: &str| {
            let user = if user.is_empty() { String::new() } else { format!("{user}@") };
            let text = format!("{base}://{user}{host}{tail}");
            match Url::parse(&text) {
                Ok(url) if url.has_host() => Ok(Secret::new(text)),
                _ => Err(wrong("names no host, or one that is none")),
            }
        };
        match form {
            "" => at(hosts, &format!("/{path}")).map(Self::Single),
            "cluster" => hosts
                .split(',')
                .map(|host| at(host, ""))
                .collect::<Result<_, _>>()
                .map(Self::Cluster),
            "sentinel" => {
                let (master, db) = path.split_once('/').unwrap_or((path, ""));
                if master.is_empty() {
                    return Err(wrong("names sentinels and no master after them"));
                }
                let db = match db {
                    "" => 0,
                    number => number.parse().map_err(|_| wrong("ends with a database that is no number"))?,
                };
                // User and password are the master's; sentinels are asked without.
                let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
                let (username, password) = user.split_once(':').unwrap_or((user, ""));
                Ok(Self::Sentinel {
                    sentinels: hosts
                        .split(',')
                        .map(|host| {
                            let url = Url::parse(&format!("redis://{host}")).ok()?;
                            Some((url.host_str()?.to_owned(), url.port().unwrap_or(SENTINEL_PORT)))
                        })
                        .collect::<Option<_>>()
                        .ok_or_else(|| wrong("names a sentinel that is no host"))?,
                    master: master.to_owned(),
                    tls: base == "rediss",
                    username: (!username.is_empty()).then(|| plain(username)),
                    password: (!password.is_empty()).then(|| Secret::new(plain(password))),
                    db,
                })
            }
            _ => Err(wrong("has a form that is neither sentinel nor cluster")),
        }
    }
}
