//! Deploying and configuring a bot.

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::client::{Botpress, Own, time};
use crate::{
    auth::Scope,
    backends::{client::shortened, figures::Unavailable},
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<DeployBot>()]
}

/// Configure one of the tenant's bots, or switch it on or off; with neither, deploy its newest version.
///
/// Example: `{"bot_id": "main", "active": false}` blocks the bot, `{"bot_id": "main", "configuration": {"saludo": "Hola"}}` sets its
/// configuration, and `{"bot_id": "main"}` makes the newest saved version the one that answers users. What was live before is
/// replaced: ask before you do it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeployBot {
    /// The bot: its id, or a name that the connection has for it, e.g. `main`.
    #[schemars(length(min = 1, max = 200))]
    bot_id: String,
    /// The bot's configuration, whole, as its schema has it, e.g. `{"saludo": "Hola"}`. It takes the place of the one before.
    configuration: Option<Map<String, Value>>,
    /// true: it answers users; false: it is blocked, and answers nobody.
    active: Option<bool>,
}

/// How the bot stands.
#[derive(Serialize, JsonSchema)]
struct Deployed {
    bot_id: String,
    /// `inactive`: it was blocked with this call, or has never been deployed. Null where Botpress did not tell.
    status: Option<Status>,
    /// When the bot was changed last (RFC 3339, UTC).
    updated_at: Option<String>,
    /// The fields that are null, and why.
    unavailable: Vec<Unavailable>,
}

#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Active,
    Inactive,
    Deploying,
}

impl Tool for DeployBot {
    const NAME: &'static str = "bots_deploy";
    const TITLE: &'static str = "Deploy or configure a bot";
    const ROUTE: Route = Route::post("/bots/{bot_id}/deploy").destroys();
    const SCOPE: Scope = Scope::WriteBots;
    const CATEGORY: Category = Category::Bots;
    type Backend = Botpress;
    type Output = Deployed;

    async fn call(self, botpress: &Botpress) -> Result<Deployed> {
        let bot = botpress.own(&self.bot_id).await?;
        let mut change = Map::new();
        if let Some(data) = self.configuration {
            change.insert("configuration".to_owned(), json!({ "data": data }));
        }
        if let Some(active) = self.active {
            change.insert("blocked".to_owned(), json!(!active));
        }
        if change.is_empty() {
            deploy(botpress, bot).await
        } else {
            // One request: both are done, or neither.
            let shown: Shown = botpress.write(Method::PUT, &bot.path(), &Value::Object(change)).await?;
            Ok(Deployed::of(&bot, &shown.bot, self.active == Some(false)))
        }
    }
}

/// Deploys the newest version. Botpress answers `{}`: how the bot stands then is asked for, and is not needed for the outcome.
async fn deploy(botpress: &Botpress, bot: Own) -> Result<Deployed> {
    let path = format!("{}/versions", bot.path());
    let known: Versions = botpress.read(&path, &[]).await?;
    let version = newest(&known.versions)?;
    let body = json!({ "versionId": version.id });
    let _: Value = botpress.write(Method::POST, &format!("{path}/deploy"), &body).await?;
    match botpress.read::<Shown>(&bot.path(), &[]).await {
        Ok(shown) => Ok(Deployed::of(&bot, &shown.bot, false)),
        Err(error) => {
            let request_id = &botpress.http.session().request_id;
            let why = format!(
                "version '{}' was deployed, and how the bot stands was not told",
                shortened(&version.name)
            );
            error.log(request_id);
            Ok(Deployed {
                bot_id: bot.id().to_owned(),
                status: None,
                updated_at: None,
                unavailable: ["status", "updated_at"].map(|name| Unavailable::new(name, why.clone())).into(),
            })
        }
    }
}

/// The version that was saved last. Botpress tells no dates, and promises no order; its ids are ULIDs, which begin with the time.
///
/// # Errors
/// Where there is none, or it cannot be told which it is: a guess would go live.
fn newest(versions: &[Version]) -> Result<&Version> {
    match versions {
        [] => Err(Error::conflict(
            "bot_id: the bot has no saved version that could be deployed; save or publish one in Botpress Studio first",
        )),
        [only] => Ok(only),
        several => {
            let dated: Option<Vec<_>> = several.iter().map(|version| Some((ulid(&version.id)?, version))).collect();
            dated
                .and_then(|dated| dated.into_iter().max_by_key(|(ulid, _)| *ulid))
                .map(|(_, version)| version)
                .ok_or_else(|| {
                    Error::conflict(format!(
                        "bot_id: the bot has {} versions, and Botpress does not tell which is the newest; deploy it in Botpress Studio",
                        several.len()
                    ))
                })
        }
    }
}

/// The ULID of an id such as `ver_01JGZ3N5X8Q4W7M2K9T6R1V0BC`: 26 characters of Crockford's base 32, of which ten are the time.
fn ulid(id: &str) -> Option<&str> {
    let (_, ulid) = id.rsplit_once('_')?;
    let fits = |byte: u8| byte.is_ascii_digit() || (byte.is_ascii_uppercase() && !b"ILOU".contains(&byte));
    (ulid.len() == 26 && ulid.bytes().all(fits)).then_some(ulid)
}

impl Deployed {
    fn of(bot: &Own, shown: &Bot, blocked: bool) -> Self {
        let status = match shown.status.as_deref() {
            _ if blocked => Some(Status::Inactive),
            Some("deploying") => Some(Status::Deploying),
            Some("deleting") => Some(Status::Inactive),
            Some("active") | None => Some(match shown.deployed_at {
                Some(_) => Status::Active,
                None => Status::Inactive,
            }),
            Some(_) => None,
        };
        let updated_at = shown.updated_at.as_deref().and_then(time);
        let untold = |name| Unavailable::new(name, "Botpress did not tell");
        Self {
            bot_id: bot.id().to_owned(),
            unavailable: [
                status.is_none().then(|| untold("status")),
                updated_at.is_none().then(|| untold("updated_at")),
            ]
            .into_iter()
            .flatten()
            .collect(),
            status,
            updated_at,
        }
    }
}

#[derive(Deserialize)]
struct Shown {
    bot: Bot,
}

/// A bot as its own page has it: only what is needed is read. A secret lies beside it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bot {
    status: Option<String>,
    deployed_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Versions {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    id: String,
    #[serde(default)]
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(ids: &[&str]) -> Vec<Version> {
        ids.iter()
            .map(|id| Version {
                id: (*id).to_owned(),
                name: String::new(),
            })
            .collect()
    }

    #[test]
    fn the_newest_version_is_the_one_whose_id_is_the_latest_and_is_never_guessed() {
        let (old, new) = ("ver_01HQZ3N5X8Q4W7M2K9T6R1V0BC", "ver_01JGZ3N5X8Q4W7M2K9T6R1V0BC");
        assert_eq!(newest(&versions(&[old, new])).unwrap().id, new);
        assert_eq!(newest(&versions(&[new, old])).unwrap().id, new);
        assert_eq!(newest(&versions(&["v1"])).unwrap().id, "v1");
        assert!(newest(&versions(&["v1", "v2"])).is_err());
        assert!(newest(&versions(&[new, "ver_2"])).is_err());
        assert!(newest(&[]).is_err());
    }
}
