//! Applications that ask for access: registered by themselves, or described by a document at their own address.
//!
//! A registration (RFC 7591) is a row of the database; one that nobody has allowed anything goes after 30 days, or sooner where there
//! are too many, the oldest first. A Client ID Metadata Document is fetched from the address that is the client's id, on the word of a
//! stranger: never from inside a private network, never over a redirect, within a size and a time, and seldom from one address. No
//! client has a secret: PKCE is what binds a code to it.

use std::{
    collections::HashMap,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use governor::Quota;
use http::{StatusCode, header};
use quick_cache::sync::Cache;
use serde::Deserialize;
use tokio::sync::Semaphore;
use unicode_general_category::{GeneralCategory, get_general_category};
use url::{Host, Url};

use crate::{
    auth::{Flood, network},
    backends::{Connections, Guard},
    config::{Config, loopback},
    error::{Error, Kind, Result, chain},
    state::State,
    store::{self, Reach, oauth_clients::Row},
};

/// The longest name that is shown.
pub const NAME_MAX: usize = 100;
/// Marks on one letter of it: more grow out of their line, over what stands above.
const MARKS_MAX: usize = 3;
const REDIRECT_URIS_MAX: usize = 20;
/// Of all redirect URIs of a client together, in bytes: an outsider has them stored.
const REDIRECT_URIS_LENGTH: usize = 4096;
pub const URI_MAX: usize = 2048;
/// Clients that nobody has allowed anything, all together: for one more, the oldest goes.
const UNUSED_MAX: i64 = 10_000;

/// How long fetching a document may take, how long one waits for a place to do so, and how long it may be.
const FETCH: Duration = Duration::from_secs(5);
const PLACE: Duration = Duration::from_secs(5);
const DOCUMENT_MAX: usize = 64 * 1024;
/// How many documents are fetched at once, how many of them for one address, and how many are kept.
const FETCHES: usize = 32;
const FETCHES_OF_ONE: usize = 2;
const KEPT: usize = 1000;
/// How long a document is kept, whatever its server says.
const KEPT_LEAST_MS: i64 = 60_000;
const KEPT_USUALLY_MS: i64 = 3_600_000;
const KEPT_MOST_MS: i64 = 24 * 3_600_000;
/// How long one serves on when it cannot be fetched again, and after how long that is tried anew.
const STALE_MS: i64 = 3_600_000;
const AGAIN_MS: i64 = 60_000;

/// Hosted clients register for all of their users from a few addresses.
const REGISTRATIONS: Quota = Quota::per_hour(NonZeroU32::new(120).unwrap()).allow_burst(NonZeroU32::new(20).unwrap());
const DOCUMENTS: Quota = Quota::per_minute(NonZeroU32::new(20).unwrap()).allow_burst(NonZeroU32::new(10).unwrap());

/// Schemes of applications whose addresses have no dot, as RFC 8252 §7.1 would have it: editors that are in use.
const EDITORS: [&str; 6] = ["cursor", "vscode", "vscode-insiders", "vscodium", "windsurf", "zed"];

/// An application, as far as it says who it is.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub name: String,
    pub redirect_uris: Vec<String>,
    /// Its home page.
    pub uri: Option<Url>,
    /// Whether its id is the address that it was fetched from: then that host vouches for it.
    pub metadata: bool,
}

impl Client {
    /// The redirect URI that a request names, if the client has it: as it stands, or, on this machine, with any port
    /// (RFC 8252 §7.3).
    pub fn redirect_uri(&self, asked: &str) -> Option<Url> {
        let url = Url::parse(asked).ok()?;
        let known = self.redirect_uris.iter().any(|known| {
            known == asked
                || Url::parse(known).is_ok_and(|known| is_native(&known) && is_native(&url) && portless(known) == portless(url.clone()))
        });
        known.then_some(url)
    }
}

fn is_native(url: &Url) -> bool {
    url.scheme() == "http" && loopback(url)
}

fn portless(mut url: Url) -> Url {
    // An http URL takes every port.
    let _ = url.set_port(None);
    url
}

/// Whether a client may be sent back to this address: over https, to this machine, or into an application of this machine.
fn is_redirect_uri(text: &str) -> bool {
    if text.len() > URI_MAX || text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return false;
    }
    let Ok(url) = Url::parse(text) else { return false };
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    match url.scheme() {
        "https" => is_plain_host(&url),
        "http" => loopback(&url) && is_plain_host(&url),
        scheme => scheme.contains('.') || EDITORS.contains(&scheme),
    }
}

/// Whether a host is a name of `[a-z0-9.-]` or an IP address. Others have `;`, `,` or `*` in them, with which a name could pretend, on the
/// page, to be that of another host.
fn is_plain_host(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'-')),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => true,
        None => false,
    }
}

/// Whether a client may have these: 1 to 20, of 4 KiB together.
pub fn are_redirect_uris(uris: &[String]) -> bool {
    (1..=REDIRECT_URIS_MAX).contains(&uris.len())
        && uris.iter().map(String::len).sum::<usize>() <= REDIRECT_URIS_LENGTH
        && uris.iter().all(|uri| is_redirect_uri(uri))
}

/// What a client says its name is, in one line that cannot pretend to be anything else of the page.
pub fn shown_name(said: Option<&str>) -> Option<String> {
    let mut marks = 0;
    let name: String = said?
        .chars()
        .filter(|letter| {
            marks = if is_mark(*letter) { marks + 1 } else { 0 };
            !is_invisible(*letter) && marks <= MARKS_MAX
        })
        .take(NAME_MAX)
        .collect();
    let name = name.trim();
    // Marks alone have nothing to stand on.
    name.chars().any(|letter| !is_mark(letter)).then(|| name.to_owned())
}

/// Marks that turn the direction of text, or take no room: with them a name could read like another, or be none.
fn is_invisible(letter: char) -> bool {
    use GeneralCategory as Is;
    matches!(
        get_general_category(letter),
        Is::Control | Is::Format | Is::LineSeparator | Is::ParagraphSeparator | Is::PrivateUse | Is::Surrogate | Is::Unassigned
    )
    // The joiner, fillers of Hangul, vowels of Khmer, the empty Braille cell, and what chooses a variant: of other categories, and empty.
    || matches!(letter, '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}')
}

/// What stands above or below the letter before it.
fn is_mark(letter: char) -> bool {
    matches!(
        get_general_category(letter),
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
    )
}

/// What is kept of clients, and what guards their registration.
pub struct Clients {
    /// Made at the first document: a machine without authorities' certificates can have all else.
    http: OnceLock<reqwest::Client>,
    guard: Guard,
    /// Over http on this machine, for development, documents may be too.
    local: bool,
    documents: Cache<String, Kept>,
    fetches: Semaphore,
    /// The same for each network that asks right now.
    fetches_of: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
    registrations: Flood,
    fetched: Flood,
}

#[derive(Clone)]
struct Kept {
    client: Arc<Client>,
    /// Epoch milliseconds, as below.
    until: i64,
    /// Until when it serves where it cannot be fetched again.
    stale_until: i64,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients")
            .field("documents", &self.documents.len())
            .finish_non_exhaustive()
    }
}

impl Clients {
    pub fn new(config: &Config, base_url: &str) -> Self {
        let local = Url::parse(base_url).is_ok_and(|base| is_native(&base));
        // What the operator allows to backends is not allowed to strangers.
        let own: Vec<ipnet::IpNet> = match local {
            true => vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()]
                .into_iter()
                .map(|address: IpAddr| address.into())
                .collect(),
            false => Vec::new(),
        };
        let guard = Guard::new(&own, &[], config.network.dns.clone());
        Self {
            http: OnceLock::new(),
            guard,
            local,
            documents: Cache::new(KEPT),
            fetches: Semaphore::new(FETCHES),
            fetches_of: Mutex::default(),
            registrations: Flood::new(REGISTRATIONS, ("registrations of clients", "register once")),
            fetched: Flood::new(DOCUMENTS, ("documents of clients to fetch", "try again")),
        }
    }

    /// The client of this id.
    ///
    /// # Errors
    /// [`Kind::NotFound`] where there is none, or its document is not as it must be, in words for its maker.
    pub async fn find(&self, state: &State, id: &str, address: IpAddr) -> Result<Arc<Client>> {
        if id.starts_with("https://") || (self.local && id.starts_with("http://")) {
            return self.described(state, id, address).await;
        }
        match registered(state, id).await? {
            Some(row) => Ok(Arc::new(Client {
                id: row.id,
                name: row.name,
                redirect_uris: row.redirect_uris,
                uri: None,
                metadata: false,
            })),
            None => Err(unknown(
                "This application is not registered here, or was so long ago that it was forgotten. Let it connect anew: most do when their stored sign-in is removed",
            )),
        }
    }

    /// Stores a client that registers itself, and answers its id.
    ///
    /// # Errors
    /// 429 for an address that registers too many.
    pub async fn register(&self, state: &State, name: String, redirect_uris: Vec<String>, address: IpAddr) -> Result<Row> {
        self.registrations.check(address)?;
        self.registrations.count(address)?;
        let row = Row {
            id: uuid::Uuid::new_v4().to_string(),
            name,
            redirect_uris,
            created_at: state.clock.millis(),
            used_at: None,
        };
        let mut tx = state.store.write(Reach::Operator).await?;
        // Refused instead, whoever fills the table would keep everybody else out.
        store::oauth_clients::make_room(&mut tx, UNUSED_MAX - 1).await?;
        store::oauth_clients::insert(&mut tx, &row).await?;
        tx.commit().await?;
        Ok(row)
    }

    async fn described(&self, state: &State, id: &str, address: IpAddr) -> Result<Arc<Client>> {
        let now = state.clock.millis();
        let kept = self.documents.get(id);
        if let Some(kept) = kept.as_ref().filter(|kept| kept.until > now) {
            return Ok(Arc::clone(&kept.client));
        }
        let url = document_url(id)
            .ok_or_else(|| unknown("client_id: must be an https address with a path, without a fragment, dot segments or a user"))?;
        let found = match (self.ask(url, address).await, kept.filter(|kept| kept.stale_until > now)) {
            (Ok(Some((document, keep_ms))), _) => Kept {
                client: Arc::new(read_document(id, &document)?),
                until: now + keep_ms,
                stale_until: now + keep_ms + STALE_MS,
            },
            (Ok(None), _) => return Err(unknown("There is no document at client_id any more, or there never was")),
            // Its server is away, or too many ask: nobody has said that it holds no longer.
            (Err(_), Some(kept)) => Kept {
                until: kept.stale_until.min(now + AGAIN_MS),
                ..kept
            },
            (Err(error), None) => return Err(error),
        };
        self.documents.insert(id.to_owned(), found.clone());
        Ok(found.client)
    }

    /// Asks for a document when it is this address's turn. `None`: its server says that there is none.
    async fn ask(&self, url: Url, address: IpAddr) -> Result<Option<(Vec<u8>, i64)>> {
        self.fetched.check(address)?;
        self.fetched.count(address)?;
        let of_one = {
            let mut all = self.fetches_of.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for.
            all.retain(|_, places| Arc::strong_count(places) > 1);
            Arc::clone(
                all.entry(network(address))
                    .or_insert_with(|| Arc::new(Semaphore::new(FETCHES_OF_ONE))),
            )
        };
        // Its own first: who waits for one of his places takes none of everybody's.
        let places = async { (of_one.acquire().await, self.fetches.acquire().await) };
        let Ok(_places) = tokio::time::timeout(PLACE, places).await else {
            return Err(Error::unavailable("Too many applications are being looked at right now; try again in a moment").retry_after(1));
        };
        tokio::time::timeout(FETCH, self.fetch(url))
            .await
            .unwrap_or_else(|_| Err(unfetched("it did not answer in time")))
    }

    async fn fetch(&self, url: Url) -> Result<Option<(Vec<u8>, i64)>> {
        self.guard
            .check_literal(&url)
            .map_err(|refused| unfetched("its address is not a public one").because(refused))?;
        let http = match self.http.get() {
            Some(http) => http,
            None => {
                let made = Connections::stranger(&self.guard)?;
                self.http.get_or_init(|| made)
            }
        };
        let sent = http.get(url).header(header::ACCEPT, "application/json").send().await;
        let mut response = sent.map_err(|error| unfetched("it cannot be reached").because(chain(&error.without_url())))?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            status if status.is_redirection() => return Err(unfetched("it redirects, which is not followed")),
            status => return Err(unfetched(&format!("it answered {}", status.as_u16()))),
        }
        let keep_ms = keep_ms(response.headers());
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| unfetched("it was cut off").because(chain(&error.without_url())))?
        {
            if body.len() + chunk.len() > DOCUMENT_MAX {
                return Err(unfetched("it is longer than 64 KiB"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Some((body, keep_ms)))
    }
}

/// A client that registered itself. An id that no registration answered is not looked up.
pub async fn registered(state: &State, id: &str) -> Result<Option<Row>> {
    if uuid::Uuid::try_parse(id).is_err() {
        return Ok(None);
    }
    let mut tx = state.store.read(Reach::Operator).await?;
    store::oauth_clients::find(&mut tx, id).await
}

/// The address of a document (draft-ietf-oauth-client-id-metadata-document §3).
fn document_url(id: &str) -> Option<Url> {
    let url = Url::parse(id).ok().filter(|_| id.len() <= URI_MAX)?;
    // Written as it was parsed: dot segments, capitals or a default port would make one document have many ids.
    let plain = url.as_str() == id && url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    (plain && is_plain_host(&url) && url.path().len() > 1).then_some(url)
}

/// The fields of a metadata document that matter here (RFC 7591 §2).
#[derive(Deserialize)]
struct Document {
    client_id: String,
    client_name: Option<String>,
    redirect_uris: Vec<String>,
    client_uri: Option<String>,
    token_endpoint_auth_method: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    client_secret: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Whether its client can do without a secret that is shared with us: all that there is here.
    ///
    /// One that would sign assertions with a key of its own (`private_key_jwt`) is taken too, and is a public client like all others: its
    /// `client_assertion` is neither asked for nor looked at. What a thief of a code lacks is the PKCE verifier, which only who asked
    /// has, and the redirect URI is one that the document names; a stolen refresh token is found out by its rotation. RFC 9700 §2.1.1 and
    /// §2.2.2 and RFC 8252 §8.1 have nothing more of a public client. Refused, such clients could not connect at all: they
    /// register in no other way.
    fn is_public(&self) -> bool {
        let method = self.token_endpoint_auth_method.as_deref();
        let supported = self.token_endpoint_auth_methods_supported.iter().map(String::as_str);
        let named: Vec<_> = method.into_iter().chain(supported).collect();
        let asks_for_secret = self.client_secret.is_some() || method.is_some_and(|method| method.starts_with("client_secret"));
        !asks_for_secret && (named.is_empty() || named.iter().any(|name| matches!(*name, "none" | "private_key_jwt")))
    }
}

fn read_document(id: &str, body: &[u8]) -> Result<Client> {
    let document: Document = serde_json::from_slice(body).map_err(|error| {
        unknown("The document at client_id is no JSON object with client_id, client_name and redirect_uris").because(error.to_string())
    })?;
    if document.client_id != id {
        return Err(unknown("The document at client_id names another client_id than its own address"));
    }
    if !document.is_public() {
        return Err(unknown(
            "The document at client_id asks for a client secret; this gateway takes token_endpoint_auth_method none, with PKCE",
        ));
    }
    let uris = document.redirect_uris;
    if !are_redirect_uris(&uris) {
        return Err(unknown(
            "The document at client_id must hold 1 to 20 redirect_uris, of 4 KiB together, over https, to localhost, or with a scheme of the application's own",
        ));
    }
    Ok(Client {
        name: shown_name(document.client_name.as_deref()).ok_or_else(|| unknown("The document at client_id has no client_name"))?,
        id: id.to_owned(),
        redirect_uris: uris,
        uri: document
            .client_uri
            .and_then(|uri| Url::parse(&uri).ok())
            .filter(|uri| uri.scheme() == "https"),
        metadata: true,
    })
}

/// How long a document may be kept (RFC 9111 §5.2.2), within bounds.
fn keep_ms(headers: &http::HeaderMap) -> i64 {
    let said = headers
        .get(header::CACHE_CONTROL)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut keep = KEPT_USUALLY_MS;
    for directive in said.split(',').map(|directive| directive.trim().to_ascii_lowercase()) {
        if directive == "no-store" || directive == "no-cache" {
            return KEPT_LEAST_MS;
        }
        if let Some(seconds) = directive.strip_prefix("max-age=").and_then(|seconds| seconds.parse::<i64>().ok()) {
            keep = seconds.saturating_mul(1000);
        }
    }
    keep.clamp(KEPT_LEAST_MS, KEPT_MOST_MS)
}

fn unknown(message: &'static str) -> Error {
    Error::new(Kind::NotFound, message).coded("client_unknown")
}

fn unfetched(why: &str) -> Error {
    Error::new(Kind::NotFound, format!("The document at client_id cannot be had: {why}")).coded("client_unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(uris: &[&str]) -> Client {
        Client {
            id: "x".to_owned(),
            name: "x".to_owned(),
            redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
            uri: None,
            metadata: false,
        }
    }

    #[test]
    fn a_redirect_matches_exactly_but_for_the_port_of_this_machine() {
        let local = client(&["http://localhost:3335/oauth/callback", "https://app.example.cl/cb"]);
        for fits in [
            "http://localhost:3335/oauth/callback",
            "http://localhost:49150/oauth/callback",
            "http://localhost/oauth/callback",
            "https://app.example.cl/cb",
        ] {
            assert!(local.redirect_uri(fits).is_some(), "{fits}");
        }
        for differs in [
            "http://127.0.0.1:3335/oauth/callback",
            "http://localhost:3335/oauth/callback/",
            "http://localhost:3335/oauth/callback?x=1",
            "http://localhost.evil.cl:3335/oauth/callback",
            "http://user@localhost:3335/oauth/callback",
            "https://app.example.cl:8443/cb",
            "https://app.example.cl/cb#x",
            "https://app.example.cl/cb/../cb",
        ] {
            assert!(local.redirect_uri(differs).is_none(), "{differs}");
        }
    }

    #[test]
    fn only_https_this_machine_and_applications_are_sent_back_to() {
        for fits in [
            "https://claude.ai/api/mcp/auth_callback",
            "http://127.0.0.1:3000/callback",
            "http://[::1]:3000/callback",
            "cursor://anysphere.cursor-mcp/oauth/callback",
            "com.example.app:/oauth",
            "https://xn--bcher-kva.example/cb",
            "https://bücher.example/cb",
            "https://192.0.2.1/cb",
            "https://[2001:db8::1]/cb",
        ] {
            assert!(is_redirect_uri(fits), "{fits}");
        }
        for refused in [
            "http://app.example.cl/cb",
            "javascript:alert(1)",
            "data:text/html,x",
            "intent://x",
            "file:///etc/passwd",
            "https://user:secret@app.example.cl/",
            "https://app.example.cl/#x",
            "/relative",
            "https://app.example.cl/ x",
            "https://claude.ai;.evil.example/cb",
            "https://x;sandbox/cb",
            "https://claude.ai,evil.example/cb",
            "https://*.com/cb",
            "https://a_b.example/cb",
            "https://claude.ai'(.evil.example/cb",
            "http://x;.localhost/cb",
        ] {
            assert!(!is_redirect_uri(refused), "{refused}");
        }
    }

    #[test]
    fn a_document_may_name_every_method_that_needs_no_shared_secret() {
        let id = "https://app.example.cl/client.json";
        let read = |more: serde_json::Value| {
            let mut document = serde_json::json!({ "client_id": id, "client_name": "x", "redirect_uris": ["https://app.example.cl/cb"] });
            document.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read_document(id, document.to_string().as_bytes())
        };
        for taken in [
            "{}",
            r#"{"token_endpoint_auth_method":"none"}"#,
            r#"{"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example.cl/jwks"}"#,
            r#"{"token_endpoint_auth_method":"private_key_jwt","token_endpoint_auth_methods_supported":["none","private_key_jwt"]}"#,
            r#"{"token_endpoint_auth_methods_supported":["client_secret_basic","none"]}"#,
            r#"{"token_endpoint_auth_method":"tls_client_auth","token_endpoint_auth_methods_supported":["none"]}"#,
        ] {
            assert!(read(serde_json::from_str(taken).unwrap()).is_ok(), "{taken}");
        }
        for refused in [
            r#"{"token_endpoint_auth_method":"client_secret_post"}"#,
            r#"{"token_endpoint_auth_method":"client_secret_basic","token_endpoint_auth_methods_supported":["none"]}"#,
            r#"{"token_endpoint_auth_method":"client_secret_jwt"}"#,
            r#"{"token_endpoint_auth_methods_supported":["client_secret_basic"]}"#,
            r#"{"token_endpoint_auth_method":"tls_client_auth"}"#,
            r#"{"token_endpoint_auth_method":"none","client_secret":"x"}"#,
        ] {
            assert!(read(serde_json::from_str(refused).unwrap()).is_err(), "{refused}");
        }
    }

    #[test]
    fn a_document_has_one_spelling_of_its_address() {
        assert!(document_url("https://app.example.cl/client.json").is_some());
        for refused in [
            "https://app.example.cl",
            "https://app.example.cl/",
            "https://app.example.cl/a/../client.json",
            "https://APP.example.cl/client.json",
            "https://app.example.cl:443/client.json",
            "https://u@app.example.cl/client.json",
            "https://app.example.cl/client.json#x",
            "https://app.example.cl;.evil.example/client.json",
        ] {
            assert!(document_url(refused).is_none(), "{refused}");
        }
    }

    #[test]
    fn a_name_cannot_hide_what_it_says() {
        assert_eq!(shown_name(Some(" Cla\u{202e}ude\n ")).as_deref(), Some("Claude"));
        for nothing in [
            "\u{200b}\t",
            "\u{ad}\u{115f}\u{1160}\u{180e}\u{3164}\u{ffa0}\u{fff9}\u{fffa}\u{fffb}",
            "\u{e0000}\u{e0041}\u{e007f}\u{e0100}\u{fe0f}",
            "\u{2800}\u{a0}\u{3000}",
            "\u{301}\u{301}",
            "\u{e000}",
        ] {
            assert_eq!(shown_name(Some(nothing)), None, "{}", nothing.escape_unicode());
        }
        assert_eq!(shown_name(Some("Cl\u{ad}au\u{3164}de")).as_deref(), Some("Claude"));
        let stacked = format!("a{}b\u{301}\u{323}", "\u{30d}".repeat(50));
        assert_eq!(shown_name(Some(&stacked)).unwrap(), "a\u{30d}\u{30d}\u{30d}b\u{301}\u{323}");
        for kept in ["Asistente de Luna", "日本語", "Ñandú", "ภาษาไทย", "हिन्दी", "Agenda ✨"] {
            assert_eq!(shown_name(Some(kept)).as_deref(), Some(kept));
        }
        assert_eq!(shown_name(Some(&"a".repeat(500))).unwrap().len(), NAME_MAX);
    }
}
