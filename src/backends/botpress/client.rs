//! The client of one tenant's Botpress: authentication, its workspace in every request, whose bots these are, its errors, and the
//! test of a connection.

use std::{collections::HashSet, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use super::Credential;
use crate::{
    backends::{
        Backend, Connected, Session, Tested,
        client::{Client, Reply, Request},
    },
    clock::rfc3339,
    error::{Error, Kind, Result},
};

const WORKSPACE: HeaderName = HeaderName::from_static("x-workspace-id");
const BOT: HeaderName = HeaderName::from_static("x-bot-id");
/// The longest id of anything, and the longest token, that is taken.
const ID_MAX: usize = 100;
const TOKEN_MAX: usize = 512;
/// The longest page that Botpress gives (20 unless asked for).
pub(super) const PAGE_MAX: usize = 100;
/// How many pages of a workspace's bots are looked through for one.
const PAGES_MAX: usize = 20;
/// How long it is known which bots a workspace has.
const BOTS_FRESH: Duration = Duration::from_mins(1);
/// Under which name a connection remembers that.
const BOTS: &str = "bots";

/// One tenant's Botpress, for one call.
pub struct Botpress {
    pub(super) http: Client,
    credential: Arc<Credential>,
}

/// One of the workspace's own bots.
pub(super) struct Own(String);

impl Own {
    /// A bot that the workspace's own list has named.
    ///
    /// # Errors
    /// When Botpress gives ids of a form that it has never given.
    pub(super) fn listed(id: &str) -> Result<Self> {
        match is_id(id) {
            true => Ok(Self(id.to_owned())),
            false => Err(not_botpress("an id that is none")),
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.0
    }

    /// The path of the bot in the admin API. Its id needs no escaping: it was checked.
    pub(super) fn path(&self) -> String {
        format!("/v1/admin/bots/{}", self.0)
    }
}

/// What comes after a page.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) next_token: Option<String>,
}

impl Backend for Botpress {
    const KIND: Option<&'static str> = Some(Self::NAME);

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection(Self::NAME).await?;
        Ok(Self {
            credential: connection.credential()?,
            http: Client::open(connection, session).await?,
        })
    }
}

impl Connected for Botpress {
    const NAME: &'static str = "botpress";
    type Credential = Credential;

    fn check(credential: &Credential) -> Result<()> {
        let token = &credential.token;
        if !(1..=TOKEN_MAX).contains(&token.len()) || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "credential.token: must be 1 to {TOKEN_MAX} visible ASCII characters, without spaces"
            )));
        }
        if token.starts_with("bp_bak_") || token.starts_with("bp_iak_") {
            return Err(Error::invalid(
                "credential.token: this is the key of a bot or an integration, which may not list bots; make a personal access token (bp_pat_…)",
            ));
        }
        if !is_id(&credential.workspace_id) {
            return Err(Error::invalid(format!(
                "credential.workspace_id: must be 1 to {ID_MAX} letters, digits, - and _, as in the address of the workspace's pages"
            )));
        }
        Ok(())
    }

    async fn test(&self) -> Result<Tested> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(rename = "bots")]
            _bots: Vec<Value>,
        }
        let listed: Result<Page> = self.read("/v1/admin/bots", &[("pageSize", "1")]).await;
        let Err(refused) = listed else {
            return Ok(Tested {
                ok: true,
                version: None,
                detail: "The token works, and may see the workspace's bots.".to_owned(),
            });
        };
        if refused.code() != "credential_refused" && refused.kind() != Kind::NotFound {
            return Err(refused);
        }
        // Whose token it is may be asked without a workspace.
        let reply = self.authorised(self.http.get("/v1/admin/account/me"))?.send().await?;
        match reply.status.as_u16() {
            200 => Err(Error::new(
                Kind::BackendRefused,
                "The token works, and may not see the bots of this workspace; check the credential's workspace_id, and that the token's user is a member of it",
            )
            .coded("permission_missing")),
            401 | 403 => Err(Error::new(
                Kind::BackendRefused,
                "Botpress refuses the token; it may be revoked, or the key of a bot: make a personal access token, and set the connection again",
            )
            .coded("credential_refused")),
            429 | 500.. => Err(reply.refusal(said)),
            status => Err(not_botpress(format!("HTTP {status} for the account"))),
        }
    }
}

impl Botpress {
    /// Reads JSON of the tenant's workspace.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &str, query: &[(&str, &str)]) -> Result<T> {
        answer(self.of_workspace(self.http.get(path))?.query(query).send().await?)
    }

    /// The same, of an answer that may be so long.
    pub(super) async fn read_at_most<T: DeserializeOwned>(&self, path: &str, bytes: usize) -> Result<T> {
        answer(self.of_workspace(self.http.get(path))?.at_most(bytes).send().await?)
    }

    /// Reads JSON of one of its bots, from the runtime API.
    pub(super) async fn read_of<T: DeserializeOwned>(&self, bot: &Own, path: &str, query: &[(&str, &str)]) -> Result<T> {
        let request = self.of_workspace(self.http.get(path))?.header(BOT, plain(&bot.0)?);
        answer(request.query(query).send().await?)
    }

    /// Changes something of the tenant's workspace.
    pub(super) async fn write<T: DeserializeOwned>(&self, method: Method, path: &str, body: &Value) -> Result<T> {
        answer(self.of_workspace(self.http.write(method, path))?.json(body)?.send().await?)
    }

    /// The bot that a caller names, by its id or by what the tenant calls it, if it is one of the workspace's.
    pub(super) async fn own(&self, named: &str) -> Result<Own> {
        let id = self.http.connection().resolve(named);
        let absent = || {
            let quoted: String = named.chars().take(ID_MAX).collect();
            Error::not_found(format!(
                "bot_id: this workspace has no bot '{quoted}'; bots_list shows those that it has"
            ))
        };
        if !is_id(id) {
            return Err(absent());
        }
        let connection = self.http.connection();
        if connection
            .recall::<HashSet<String>>(BOTS, BOTS_FRESH)
            .is_some_and(|known| known.contains(id))
        {
            return Ok(Own(id.to_owned()));
        }
        // It may be a minute younger than what is known.
        let known = Arc::new(self.bot_ids().await?);
        let is_own = known.contains(id);
        connection.learn(BOTS, known);
        if is_own { Ok(Own(id.to_owned())) } else { Err(absent()) }
    }

    async fn bot_ids(&self) -> Result<HashSet<String>> {
        #[derive(Deserialize)]
        struct Page {
            bots: Vec<Bot>,
            meta: Meta,
        }
        #[derive(Deserialize)]
        struct Bot {
            id: String,
        }
        let mut ids = HashSet::new();
        let mut token: Option<String> = None;
        let length = PAGE_MAX.to_string();
        for _ in 0..PAGES_MAX {
            let mut query = vec![("pageSize", length.as_str())];
            if let Some(token) = &token {
                query.push(("nextToken", token));
            }
            let page: Page = self.read("/v1/admin/bots", &query).await?;
            ids.extend(page.bots.into_iter().map(|bot| bot.id));
            match page.meta.next_token {
                Some(next) if token.as_ref() != Some(&next) => token = Some(next),
                _ => break,
            }
        }
        Ok(ids)
    }

    fn of_workspace<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        Ok(self.authorised(request)?.header(WORKSPACE, plain(&self.credential.workspace_id)?))
    }

    fn authorised<'a>(&self, request: Request<'a>) -> Result<Request<'a>> {
        let mut token = plain(&format!("Bearer {}", self.credential.token))?;
        token.set_sensitive(true);
        Ok(request.header(header::AUTHORIZATION, token))
    }
}

fn plain(text: &str) -> Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(|_| {
        Error::new(
            Kind::BackendRefused,
            "The stored credential holds characters that no HTTP header takes; set it again",
        )
        .coded("credential_refused")
    })
}

/// Botpress' answer. What the plan does not allow is no matter of the credential.
fn answer<T: DeserializeOwned>(reply: Reply) -> Result<T> {
    if matches!(reply.status.as_u16(), 402 | 403) {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        if matches!(body["type"].as_str(), Some("QuotaExceeded" | "PaymentRequired" | "LimitExceeded")) {
            let words = crate::backends::client::shortened(&said(&body).unwrap_or_default());
            return Err(Error::new(
                Kind::BackendRefused,
                format!("Botpress does not allow more under the workspace's plan: {words}"),
            ));
        }
    }
    reply.json(said)
}

pub(super) fn not_botpress(why: impl Into<String>) -> Error {
    Error::new(
        Kind::BackendRefused,
        "'botpress' did not answer as its API does; check that the connection's url is https://api.botpress.cloud",
    )
    .because(why.into())
}

/// Its own words about a failure: `{"id", "code", "type", "message"}`.
fn said(body: &Value) -> Option<String> {
    body.get("message").and_then(Value::as_str).map(str::to_owned)
}

/// The form of Botpress' ids; nothing else goes into a path or a header.
fn is_id(text: &str) -> bool {
    (1..=ID_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// A time of Botpress' as ours are; null where it is none.
pub(super) fn time(text: &str) -> Option<String> {
    let moment: Timestamp = text.parse().ok()?;
    Some(rfc3339(moment.as_millisecond()))
}
