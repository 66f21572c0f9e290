//! Signing in by the operator's OpenID provider: authorization code with PKCE, state and nonce (OpenID Connect Core 1.0 §3.1).
//!
//! Between the redirect there and the way back nothing is kept here: the browser holds a random cookie, and state, nonce and code
//! verifier are keyed hashes of it. So any replica can take the callback, and what somebody reads of the addresses tells him
//! neither cookie nor verifier. An ID token is verified with the provider's published keys, and who it names must have been
//! invited by his e-mail address, which the provider has verified.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Mutex;
use url::{Url, form_urlencoded};

use super::{
    cookie::{Cookie, VALUE_MAX},
    request::Parameters,
    sign_in::{Identity, normal_email},
};
use crate::{
    auth::{
        issuers::{self, Key},
        jwt::Jws,
        token,
    },
    config::{OpenId, is_endpoint},
    error::{Error, Result, chain},
    state::State,
    store::{self, Reach},
};

/// Where the provider sends the browser back to.
pub const CALLBACK: &str = "/oauth/sign-in/callback";

/// How long one may take at the provider, in milliseconds.
const AWAY_MS: i64 = 10 * 60 * 1000;
/// How long the provider's metadata and keys are used before they are read again.
const FRESH_MS: i64 = 10 * 60 * 1000;
/// How often they are read again because of a key that is not among them, or after they could not be read.
const AGAIN_MS: i64 = 30_000;
const FAILED_MS: i64 = 3_000;
/// The longest answer of the provider's to a request of ours.
const ANSWER_MAX: usize = 256 * 1024;
/// How far the provider's clock may be ahead of ours, in seconds.
const LEEWAY: f64 = 30.0;
/// OpenID Connect Core 1.0 §2 (`sub`).
const SUBJECT_MAX: usize = 255;
const COOKIE_PREFIX: &str = "smco_";

/// Why somebody is not signed in.
#[derive(Debug)]
pub enum Refused {
    /// Too long ago, not this browser's, or answered already.
    Stale,
    /// The provider cannot be reached, or does not answer as OpenID has it. For the log.
    Away(String),
    /// The provider says no: the member's own choice, for example. Its error code.
    Denied(String),
    /// What it sent does not hold. For the log.
    Untrusted(String),
    /// It has not verified the e-mail address.
    Unverified,
    /// Nobody has invited this address.
    NotInvited(String),
    /// Somebody else has taken the invitation of this address.
    Taken(String),
    Failed(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Refused::Failed(error)
    }
}

/// The operator's OpenID provider.
pub struct Provider {
    config: OpenId,
    http: reqwest::Client,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    found: Option<Arc<Found>>,
    /// When it was last asked in vain, epoch milliseconds.
    failed_at: i64,
}

/// What the provider publishes about itself.
struct Found {
    metadata: Metadata,
    keys: Vec<Key>,
    /// Epoch milliseconds.
    at: i64,
}

/// OpenID Connect Discovery 1.0 §3, as far as it is needed.
#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// RFC 9207 §3.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

/// OpenID Connect Core 1.0 §3.1.3.3.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: f64,
    iat: f64,
    nbf: Option<f64>,
    nonce: Option<String>,
    #[serde(flatten)]
    address: Address,
}

/// The claims of the scope `email` (§5.4): in the ID token, or at the userinfo endpoint.
#[derive(Deserialize)]
struct Address {
    email: Option<String>,
    /// Nothing but the boolean `true` is.
    #[serde(default)]
    email_verified: Value,
}

#[derive(Deserialize)]
struct UserInfo {
    sub: String,
    #[serde(flatten)]
    address: Address,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Provider {
    pub fn new(config: &OpenId) -> Result<Self> {
        Ok(Self {
            config: config.clone(),
            http: issuers::client()?,
            known: Mutex::default(),
        })
    }

    /// What people know it by.
    pub fn name(&self) -> &str {
        &self.config.name
    }

    /// Whether the provider publishes what is needed of it.
    ///
    /// # Errors
    /// With what is wrong, for the operator.
    pub async fn check(&self) -> Result<(), String> {
        self.look(0).await.map(drop)
    }

    /// Where the browser goes to sign in, and the cookie that it comes back with. `request` is what the member was about to see.
    pub async fn begin(&self, state: &State, request: &str) -> Result<(Url, HeaderValue), Refused> {
        let now = state.clock.millis();
        let found = self.found(now, None).await?;
        let trip = Trip::begin(request, now)?;
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(trip.hashed(state, "verifier").as_bytes()));
        let mut url = found.metadata.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", &callback(state))
            .append_pair("scope", "openid email")
            .append_pair("state", &trip.hashed(state, "state"))
            .append_pair("nonce", &trip.hashed(state, "nonce"))
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok((url, Cookie::OpenId.set(state, &trip.cookie, AWAY_MS / 1000)?))
    }

    /// Who came back, and what he was about to see. `cookie` is what he left with, `query` what the provider answers.
    pub async fn finish(&self, state: &State, cookie: Option<&str>, query: &str) -> Result<(Identity, String), Refused> {
        let now = state.clock.millis();
        let trip = cookie.and_then(Trip::read).ok_or(Refused::Stale)?;
        let answer = Parameters::read(query)?;
        let named = answer.get("state").ok_or(Refused::Stale)?;
        let is_ours = bool::from(trip.hashed(state, "state").as_bytes().ct_eq(named.as_bytes()));
        if !is_ours || !(0..=AWAY_MS).contains(&(now - trip.begun_at)) {
            return Err(Refused::Stale);
        }
        let found = self.found(now, None).await?;
        let metadata = &found.metadata;
        // Mix-up of providers (RFC 9207 §2.4).
        match answer.get("iss") {
            Some(issuer) if issuer == metadata.issuer => {}
            None if !metadata.authorization_response_iss_parameter_supported => {}
            _ => return Err(untrusted("the answer is another issuer's")),
        }
        if let Some(error) = answer.get("error") {
            return Err(Refused::Denied(code_of(error)));
        }
        let code = answer.get("code").ok_or_else(|| untrusted("the answer holds no code"))?;
        let tokens = self.exchange(state, metadata, code, &trip).await?;
        let claims = self.verify(&tokens.id_token, &trip.hashed(state, "nonce"), now).await?;
        // Either may be told at the userinfo endpoint alone (§5.4).
        let is_told = claims.address.email.is_some() && !claims.address.email_verified.is_null();
        let address = match (is_told, &metadata.userinfo_endpoint, &tokens.access_token) {
            (false, Some(endpoint), Some(access_token)) => self.ask_address(endpoint, access_token, &claims.sub).await?,
            _ => claims.address,
        };
        if address.email_verified != Value::Bool(true) {
            return Err(Refused::Unverified);
        }
        let email = address.email.as_deref().and_then(normal_email).ok_or(Refused::Unverified)?;
        let identity = admit(state, metadata.issuer.clone(), claims.sub, email).await?;
        Ok((identity, trip.request))
    }

    /// Exchanges the code (§3.1.3.1).
    async fn exchange(&self, state: &State, metadata: &Metadata, code: &str, trip: &Trip) -> Result<Tokens, Refused> {
        #[derive(Deserialize)]
        struct Said {
            error: String,
        }
        let (status, body) = fetch(self.token_request(state, metadata, code, trip)?)
            .await
            .map_err(Refused::Away)?;
        if status != StatusCode::OK {
            let said = serde_json::from_slice::<Said>(&body)
                .map(|said| code_of(&said.error))
                .unwrap_or_default();
            let why = format!("the token endpoint answers HTTP {} {said}", status.as_u16());
            return Err(if status.is_server_error() {
                Refused::Away(why)
            } else {
                Refused::Untrusted(why)
            });
        }
        serde_json::from_slice(&body).map_err(|error| untrusted(&format!("the token endpoint's answer: {error}")))
    }

    fn token_request(&self, state: &State, metadata: &Metadata, code: &str, trip: &Trip) -> Result<reqwest::RequestBuilder> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &callback(state))
            .append_pair("code_verifier", &trip.hashed(state, "verifier"));
        let mut request = self
            .http
            .post(metadata.token_endpoint.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json");
        let takes = |method: &str| metadata.token_endpoint_auth_methods_supported.iter().any(|known| known == method);
        match &self.config.client_secret {
            // Basic unless the provider takes the other alone (OpenID Connect Discovery 1.0 §3).
            Some(secret) if takes("client_secret_post") && !takes("client_secret_basic") => {
                form.append_pair("client_id", &self.config.client_id)
                    .append_pair("client_secret", secret.expose());
            }
            Some(secret) => {
                // Both halves are encoded as in a form first (RFC 6749 §2.3.1).
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.config.client_id), encoded(secret.expose()));
                let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(pair))).map_err(Error::internal)?;
                value.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, value);
            }
            None => {
                form.append_pair("client_id", &self.config.client_id);
            }
        }
        Ok(request.body(form.finish()))
    }

    /// Verifies an ID token (§3.1.3.7).
    async fn verify(&self, id_token: &str, nonce: &str, now: i64) -> Result<Claims, Refused> {
        let jws = Jws::parse(id_token).ok_or_else(|| untrusted("the ID token is none that can be read"))?;
        let found = self.found(now, Some(&jws)).await?;
        if !issuers::key_of(&found.keys, &jws).is_some_and(|key| key.has_signed(&jws)) {
            return Err(untrusted("no key of the provider's verifies the ID token"));
        }
        let claims: Claims = jws.claims().ok_or_else(|| untrusted("the ID token lacks a claim"))?;
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are exact in 53 bits")]
        let now = (now / 1000) as f64;
        let is_for_us = match &claims.aud {
            Audience::One(one) => *one == self.config.client_id,
            // Of several audiences, the one that it was made for must be said to be us.
            Audience::Many(many) => many.contains(&self.config.client_id) && (many.len() == 1 || claims.azp.is_some()),
        };
        let holds = [
            (claims.iss == found.metadata.issuer, "another issuer's"),
            (is_for_us, "for another audience"),
            (
                claims.azp.as_ref().is_none_or(|azp| *azp == self.config.client_id),
                "made for another party",
            ),
            (claims.exp > now, "expired"),
            (claims.iat <= now + LEEWAY, "issued in the future"),
            (claims.nbf.is_none_or(|from| from <= now + LEEWAY), "not yet valid"),
            (
                claims
                    .nonce
                    .as_ref()
                    .is_some_and(|said| bool::from(said.as_bytes().ct_eq(nonce.as_bytes()))),
                "the answer to another request",
            ),
            (!claims.sub.is_empty() && claims.sub.len() <= SUBJECT_MAX, "nobody's"),
        ];
        match holds.iter().find(|(holds, _)| !holds) {
            Some((_, why)) => Err(untrusted(&format!("the ID token is {why}"))),
            None => Ok(claims),
        }
    }

    /// Asks for the address at the userinfo endpoint, which must speak of the same person (§5.3.2).
    async fn ask_address(&self, endpoint: &Url, access_token: &str, subject: &str) -> Result<Address, Refused> {
        let request = self
            .http
            .get(endpoint.clone())
            .bearer_auth(access_token)
            .header(header::ACCEPT, "application/json");
        let (status, body) = fetch(request).await.map_err(Refused::Away)?;
        if status != StatusCode::OK {
            return Err(Refused::Away(format!("the userinfo endpoint answers HTTP {}", status.as_u16())));
        }
        let told: UserInfo =
            serde_json::from_slice(&body).map_err(|error| untrusted(&format!("the userinfo endpoint's answer: {error}")))?;
        if told.sub != subject {
            return Err(untrusted("the userinfo endpoint speaks of another person"));
        }
        Ok(told.address)
    }

    /// What the provider publishes, read again where it is old, or has no key for this ID token.
    async fn found(&self, now: i64, wanted: Option<&Jws<'_>>) -> Result<Arc<Found>, Refused> {
        let mut known = self.known.lock().await;
        if let Some(found) = &known.found {
            let age = now - found.at;
            let has_key = wanted.is_none_or(|jws| issuers::key_of(&found.keys, jws).is_some());
            if age < AGAIN_MS || (has_key && age < FRESH_MS) {
                return Ok(Arc::clone(found));
            }
        }
        // Whoever comes while it is away does not wait for it one after the other.
        if now - known.failed_at < FAILED_MS {
            return Err(Refused::Away("it was away a moment ago".to_owned()));
        }
        match self.look(now).await {
            Ok(found) => Ok(Arc::clone(known.found.insert(Arc::new(found)))),
            Err(why) => {
                known.failed_at = now;
                Err(Refused::Away(why))
            }
        }
    }

    async fn look(&self, now: i64) -> Result<Found, String> {
        let place = format!("{}/.well-known/openid-configuration", self.config.issuer);
        let place = Url::parse(&place).map_err(|error| error.to_string())?;
        let published = issuers::read(&self.http, place).await?;
        let metadata: Metadata = serde_json::from_value(published).map_err(|error| format!("its metadata: {error}"))?;
        // OpenID Connect Discovery 1.0 §4.3, but for a slash at the end.
        if metadata.issuer.trim_end_matches('/') != self.config.issuer {
            return Err(format!("it calls itself '{}'", code_of(&metadata.issuer)));
        }
        let mut endpoints = vec![&metadata.authorization_endpoint, &metadata.token_endpoint, &metadata.jwks_uri];
        endpoints.extend(&metadata.userinfo_endpoint);
        if endpoints.into_iter().any(|endpoint| !is_endpoint(endpoint)) {
            return Err("one of its endpoints is not https".to_owned());
        }
        let keys = issuers::keys_at(&self.http, metadata.jwks_uri.clone()).await?;
        Ok(Found { metadata, keys, at: now })
    }
}

/// The way to the provider and back, as the browser's cookie holds it: a random part, when it began, and what the member was about
/// to see. Nobody but this gateway can make a state of it, so that a cookie that was altered fits no answer.
struct Trip {
    cookie: String,
    begun_at: i64,
    request: String,
}

impl Trip {
    fn begin(request: &str, now: i64) -> Result<Self> {
        let cookie = format!("{}.{now}.{}", *token::random(COOKIE_PREFIX), URL_SAFE_NO_PAD.encode(request));
        if cookie.len() > VALUE_MAX {
            return Err(Error::invalid(
                "The application's request is too long to take it along to the provider; sign in with a token",
            ));
        }
        Ok(Self {
            cookie,
            begun_at: now,
            request: request.to_owned(),
        })
    }

    fn read(cookie: &str) -> Option<Self> {
        let mut parts = cookie.splitn(3, '.');
        parts.next().filter(|random| token::is_of(COOKIE_PREFIX, random))?;
        let begun_at = parts.next()?.parse().ok()?;
        let request = String::from_utf8(URL_SAFE_NO_PAD.decode(parts.next()?).ok()?).ok()?;
        Some(Self {
            cookie: cookie.to_owned(),
            begun_at,
            request,
        })
    }

    /// 43 characters of base64url, as a code verifier must be (RFC 7636 §4.1).
    fn hashed(&self, state: &State, what: &str) -> String {
        URL_SAFE_NO_PAD.encode(state.secrets.hash(&format!("openid {what}"), self.cookie.as_bytes()))
    }
}

/// Lets in a person who was invited, and gives him the invitations of his address that nobody has taken.
async fn admit(state: &State, issuer: String, subject: String, email: String) -> Result<Identity, Refused> {
    let mut tx = state.store.write(Reach::Operator).await?;
    store::meta::lock(&mut tx).await?;
    store::members::bind(&mut tx, &email, &issuer, &subject).await?;
    if store::members::of_person(&mut tx, &issuer, &subject).await?.is_empty() {
        let is_taken = store::members::is_invited(&mut tx, &email).await?;
        tx.undo().await?;
        return Err(if is_taken {
            Refused::Taken(email)
        } else {
            Refused::NotInvited(email)
        });
    }
    tx.commit().await?;
    Ok(Identity::Person { issuer, subject, email })
}

async fn fetch(request: reqwest::RequestBuilder) -> Result<(StatusCode, Vec<u8>), String> {
    let away = |error: reqwest::Error| chain(&error.without_url());
    let mut response = request.send().await.map_err(away)?;
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(away)? {
        if body.len() + piece.len() > ANSWER_MAX {
            return Err(format!("its answer is longer than {} KiB", ANSWER_MAX / 1024));
        }
        body.extend_from_slice(&piece);
    }
    Ok((response.status(), body))
}

fn callback(state: &State) -> String {
    format!("{}{CALLBACK}", state.base_url)
}

fn untrusted(why: &str) -> Refused {
    Refused::Untrusted(why.to_owned())
}

/// What stands in a line of the log of a text from outside.
fn code_of(text: &str) -> String {
    text.chars().filter(char::is_ascii_graphic).take(64).collect()
}
