//! The client of one tenant's Chatwoot: authentication, its account in every path, its errors, and the test of a connection.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, Method};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use super::Credential;
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, Reply, Request, shortened},
    },
    error::{Error, Kind, Result},
};

const ACCESS_TOKEN: HeaderName = HeaderName::from_static("api_access_token");
/// The longest token that is taken; Chatwoot's have 24 characters.
const TOKEN_MAX: usize = 256;

/// One tenant's Chatwoot, for one call.
pub struct Chatwoot {
    pub(super) http: Client,
    credential: Arc<Credential>,
}

/// The two generations of the API that are in use side by side.
#[derive(Clone, Copy, Debug)]
pub(super) enum Api {
    V1,
    /// Reports.
    V2,
}

/// The user whose token it is. What else Chatwoot tells of him, the token among it, is not read.
#[derive(Deserialize)]
struct Profile {
    accounts: Vec<Membership>,
}

#[derive(Deserialize)]
struct Membership {
    #[serde(deserialize_with = "number")]
    id: u64,
    role: Option<String>,
}

impl Backend for Chatwoot {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Chatwoot {
    const NAME: &'static str = "chatwoot";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        let token = &credential.access_token;
        if !(1..=TOKEN_MAX).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "credential.access_token: must be 1 to {TOKEN_MAX} visible ASCII characters, without spaces"
            )));
        }
        if credential.account_id == 0 {
            return Err(Error::invalid(
                "credential.account_id: must be the account's number, as in /app/accounts/3/dashboard",
            ));
        }
        Ok(())
    }

    async fn test(&self) -> Result<Tested> {
        let profile = self.profile().await?;
        let account = self.credential.account_id;
        if !profile.accounts.iter().any(|membership| membership.id == account) {
            return Err(Error::new(
                Kind::BackendRefused,
                format!("The access token works, and its user is no member of account {account}; check the credential's account_id"),
            )
            .coded("permission_missing"));
        }
        // A day of the past: what it answers does not matter.
        let report = [("type", "account"), ("since", "1700000000"), ("until", "1700086400")];
        let reports: Result<Value> = self.read(Api::V2, "/reports/summary", &report).await;
        let detail = match reports {
            Ok(_) => "The access token works for this account, and may read its reports.".to_owned(),
            Err(error) => match self.refused_reports(error).await {
                error if error.code() == "permission_missing" => "The access token works for this account, and may not read its reports: support_metrics needs an administrator's token, and support_agents_status tells no active_conversations.".to_owned(),
                error => return Err(error),
            },
        };
        Ok(Tested {
            ok: true,
            version: self.version().await,
            detail,
        })
    }
}

impl Chatwoot {
    /// Reads JSON of the tenant's account.
    pub(super) async fn read<T: DeserializeOwned>(&self, api: Api, path: &str, query: &[(&str, &str)]) -> Result<T> {
        self.reply(api, path, query)
            .await?
            .json(said)
            .map_err(|error| self.no_account(error))
    }

    /// The same, whatever the status: for a route that not every version has.
    pub(super) async fn reply(&self, api: Api, path: &str, query: &[(&str, &str)]) -> Result<Reply> {
        let path = self.path(api, path);
        self.authorised(self.http.get(&path))?.query(query).send().await
    }

    /// Asks by POST for what changes nothing.
    pub(super) async fn ask<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)], body: &Value) -> Result<T> {
        let request = self.http.ask(Method::POST, &self.path(Api::V1, path));
        let reply = self.authorised(request)?.query(query).json(body)?.send().await?;
        reply.json(said).map_err(|error| self.no_account(error))
    }

    /// Why reports were refused: the token may be good, and its user no administrator. Chatwoot answers the same 401 to both.
    pub(super) async fn refused_reports(&self, refused: Error) -> Error {
        if refused.code() != "credential_refused" {
            return refused;
        }
        let account = self.credential.account_id;
        let role = self.profile().await.ok().and_then(|profile| {
            let of_this = profile.accounts.into_iter().find(|membership| membership.id == account);
            of_this.and_then(|membership| membership.role)
        });
        match role {
            Some(role) if role != "administrator" => Error::new(
                Kind::BackendRefused,
                "Chatwoot shows reports to administrators alone, and the connection's access token is not an administrator's; set the connection again with one that is",
            )
            .coded("permission_missing"),
            _ => refused,
        }
    }

    async fn profile(&self) -> Result<Profile> {
        let reply = self.authorised(self.http.get("/api/v1/profile"))?.send().await?;
        match reply.status.as_u16() {
            401 => Err(Error::new(
                Kind::BackendRefused,
                "Chatwoot refuses the access token (HTTP 401). If it is the right one, look at the proxy before Chatwoot: it may drop the header api_access_token for its underscores (nginx: underscores_in_headers on)",
            )
            .coded("credential_refused")),
            404 => Err(not_chatwoot("no /api/v1/profile")),
            _ => {
                let profile: Value = reply.json(said)?;
                serde_json::from_value(profile).map_err(|error| not_chatwoot(error.to_string()))
            }
        }
    }

    /// Chatwoot tells its version to anybody, unless a proxy is in the way.
    async fn version(&self) -> Option<String> {
        let found: Value = self.http.get("/api").send().await.ok()?.json(said).ok()?;
        Some(shortened(found["version"].as_str()?))
    }

    fn path(&self, api: Api, path: &str) -> String {
        let version = match api {
            Api::V1 => "v1",
            Api::V2 => "v2",
        };
        format!("/api/{version}/accounts/{}{path}", self.credential.account_id)
    }

    fn authorised<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        let mut token = HeaderValue::from_str(&self.credential.access_token).map_err(|_| {
            Error::new(
                Kind::BackendRefused,
                "The stored credential holds characters that no HTTP header takes; set it again",
            )
            .coded("credential_refused")
        })?;
        token.set_sensitive(true);
        Ok(request.header(ACCESS_TOKEN, token))
    }

    /// The routes that we read are there in every account: what is not found is the account, or Chatwoot itself.
    fn no_account(&self, error: Error) -> Error {
        if error.kind() != Kind::NotFound {
            return error;
        }
        Error::new(
            Kind::BackendRefused,
            format!(
                "Chatwoot has no account {}, or the address is not Chatwoot's own; check the connection's url and the credential's account_id",
                self.credential.account_id
            ),
        )
        .because(error.message().to_owned())
    }
}

pub(super) fn not_chatwoot(why: impl Into<String>) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'chatwoot' did not answer as its API does; check that the connection's url is the instance itself, without /api/v1",
    )
    .because(why.into())
}

/// Chatwoot's own words about a failure: `{"error": …}`, `{"errors": [text or {message}]}`, `{"message": …}` or `{"description": …}`.
pub(super) fn said(body: &Value) -> Option<String> {
    let first = &body["errors"][0];
    [&body["error"], first, &first["message"], &body["message"], &body["description"]]
        .into_iter()
        .find_map(|words| words.as_str().map(str::to_owned))
}

/// A number, which may come as text.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }
    match Number::deserialize(deserializer)? {
        Number::Number(number) => Ok(number),
        Number::Text(text) => text.parse().map_err(|_| serde::de::Error::custom("no number")),
    }
}
