//! Outside issuers: others whose access tokens the operator has this gateway take, and their keys.
//!
//! Their keys are kept, fetched every ten minutes, and at most every 30 s when a token names one that is not known. An issuer that
//! is away keeps the keys that it had. Where they are fetched is the operator's word, so that no guard against private addresses
//! stands before it; it must be https, or on this machine.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;
use url::Url;

use super::{
    KnownToken, Scopes,
    jwt::{self, Jws, Outside},
};
use crate::{
    config::{Issuer, loopback},
    error::{Error, Result, chain},
    id::{TenantId, TokenId},
    state::State,
};

/// How often keys are fetched.
pub const REFRESH: Duration = Duration::from_mins(10);
/// How often at most because of a token.
const ASKED_AGAIN_MS: i64 = 30_000;
const PATIENCE: Duration = Duration::from_secs(5);
const BODY_MAX: usize = 256 * 1024;
const KEYS_MAX: usize = 64;
/// RFC 7518 §3.3: at least 2048 bits; and no more than verifying is cheap for.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=512;
const ED25519_BYTES: usize = 32;
/// How far their clock may be ahead of ours.
const LEEWAY_MS: f64 = 30_000.0;
/// How much of what they say is kept as a caller's name.
const NAME_MAX: usize = 100;

/// All of them.
#[derive(Debug)]
pub struct Issuers {
    all: Vec<Known>,
}

/// One, with the keys that it has published.
struct Known {
    issuer: Issuer,
    http: reqwest::Client,
    keys: ArcSwap<Vec<Key>>,
    /// When its keys were last asked for, epoch milliseconds.
    asked_at: Mutex<Option<i64>>,
}

/// A key, and the one algorithm that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    jwk: Jwk,
    algorithm: Algorithm,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Issuers {
    pub fn new(issuers: &[Issuer]) -> Result<Self> {
        if issuers.is_empty() {
            // A machine without authorities' certificates can have all else.
            return Ok(Self { all: Vec::new() });
        }
        let http = client()?;
        let all = issuers.iter().map(|issuer| Known {
            issuer: issuer.clone(),
            http: http.clone(),
            keys: ArcSwap::default(),
            asked_at: Mutex::default(),
        });
        Ok(Self { all: all.collect() })
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Fetches all keys anew.
    pub async fn refresh(&self, state: &State) {
        futures::future::join_all(self.all.iter().map(|known| async {
            let mut asked_at = known.asked_at.lock().await;
            known.fetch(state, &mut asked_at).await;
        }))
        .await;
    }

    /// The caller whom a token names, if it is of one of these, signed by it, and for us now.
    pub(super) async fn verify(&self, state: &State, jws: &Jws<'_>, now: i64) -> Result<Option<Arc<KnownToken>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let Some(claims) = jws.claims::<Map<String, Value>>() else {
            return Ok(None);
        };
        let said = claims.get("iss").and_then(Value::as_str);
        let Some(known) = self.all.iter().find(|known| said == Some(&known.issuer.url)) else {
            return Ok(None);
        };
        if !known.has_signed(state, jws, now).await {
            return Ok(None);
        }
        match known.caller(state, &claims, now).await? {
            Ok(caller) => Ok(Some(jwt::outside(state, caller))),
            Err(why) => {
                // Signed by somebody whom the operator trusts: what is wrong is a matter of settings, and worth a line.
                tracing::info!(issuer = known.issuer.url, why, "an access token was refused");
                Ok(None)
            }
        }
    }
}

impl Known {
    async fn has_signed(&self, state: &State, jws: &Jws<'_>, now: i64) -> bool {
        if let Some(key) = self.key(jws) {
            return key.has_signed(jws);
        }
        let mut asked_at = self.asked_at.lock().await;
        // Whoever waited for another's question finds the answer.
        if self.key(jws).is_none() && asked_at.is_none_or(|at| now - at >= ASKED_AGAIN_MS) {
            self.fetch(state, &mut asked_at).await;
        }
        drop(asked_at);
        self.key(jws).is_some_and(|key| key.has_signed(jws))
    }

    fn key(&self, jws: &Jws<'_>) -> Option<Key> {
        key_of(&self.keys.load(), jws).cloned()
    }

    async fn fetch(&self, state: &State, asked_at: &mut Option<i64>) {
        *asked_at = Some(state.clock.millis());
        match fetch(&self.http, &self.issuer).await {
            Ok(keys) => {
                if keys != **self.keys.load() {
                    self.keys.store(Arc::new(keys));
                    // One that was withdrawn takes what it has signed with it.
                    state.known.forget_access();
                }
            }
            Err(why) => tracing::warn!(
                issuer = self.issuer.url,
                why,
                "the keys of an issuer could not be fetched; those that it had stay"
            ),
        }
    }

    /// Whom a signed token names, or why nobody.
    async fn caller(&self, state: &State, claims: &Map<String, Value>, now: i64) -> Result<Result<Outside, String>> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of this age are exact")]
        let now = now as f64;
        // NumericDate may have a fraction (RFC 7519 §2).
        let moment = |name: &str| claims.get(name).map(|value| value.as_f64().unwrap_or(f64::NAN) * 1000.0);
        let Some(ends) = moment("exp").filter(|ends| *ends > now) else {
            return Ok(Err("it has no exp, or has ended".to_owned()));
        };
        for begins in ["nbf", "iat"] {
            if moment(begins).is_some_and(|begins| begins.is_nan() || begins > now + LEEWAY_MS) {
                return Ok(Err(format!("its {begins} is in the future")));
            }
        }
        if !self.is_for(state, claims.get("aud")) {
            return Ok(Err("its aud is not this gateway".to_owned()));
        }
        // With a client's id as the audience, what it learns of a person would pass as what it may do.
        if ["nonce", "at_hash", "c_hash"].iter().any(|name| claims.contains_key(*name)) {
            return Ok(Err("it is an ID token (OpenID Connect Core §2), and no access token".to_owned()));
        }
        let Some(subject) = text("sub").filter(|subject| !subject.is_empty()) else {
            return Ok(Err("it has no sub".to_owned()));
        };
        let Some(named) = find(claims, &self.issuer.tenant_claim).and_then(Value::as_str) else {
            return Ok(Err(format!("it names no tenant in {}", self.issuer.tenant_claim)));
        };
        let tenant = match super::named_tenant(state, named).await {
            Ok(tenant) => tenant.tenant.id,
            Err(error) if error.kind() == crate::error::Kind::NotFound => {
                return Ok(Err(error.message().to_owned()));
            }
            Err(error) => return Err(error),
        };
        let name = text("client_id").or_else(|| text("azp")).unwrap_or(subject);
        #[expect(clippy::cast_possible_truncation, reason = "what is past the range is the end of time")]
        let expires_at = ends as i64;
        Ok(Ok(Outside {
            id: id_of(&self.issuer.url, subject, tenant),
            name: name.chars().take(NAME_MAX).collect(),
            tenant,
            scopes: scopes(find(claims, &self.issuer.scopes_claim)),
            expires_at,
        }))
    }

    /// RFC 7519 §4.1.3: one audience, or a list that holds it.
    fn is_for(&self, state: &State, audience: Option<&Value>) -> bool {
        let is_us = |said: &Value| match (&self.issuer.audience, said.as_str()) {
            (_, None) => false,
            (Some(wanted), Some(said)) => wanted == said,
            (None, Some(said)) => jwt::resources(state).iter().any(|resource| resource == said.trim_end_matches('/')),
        };
        match audience {
            Some(Value::Array(list)) => list.iter().any(is_us),
            Some(one) => is_us(one),
            None => false,
        }
    }
}

/// The key that a token names; one that names none can only mean the only one.
pub fn key_of<'a>(keys: &'a [Key], jws: &Jws<'_>) -> Option<&'a Key> {
    match (jws.kid(), keys) {
        (Some(kid), keys) => keys.iter().find(|key| key.jwk.common.key_id.as_deref() == Some(kid)),
        (None, [only]) => Some(only),
        (None, _) => None,
    }
}

impl Key {
    pub fn has_signed(&self, jws: &Jws<'_>) -> bool {
        let same = jws.alg().parse() == Ok(self.algorithm);
        same && DecodingKey::from_jwk(&self.jwk).is_ok_and(|key| jws.is_signed_by(&key, self.algorithm))
    }

    /// A key that we can verify with, of those that are published; the others are somebody else's.
    fn read(published: &Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(published.clone()).ok()?;
        if jwk
            .common
            .public_key_use
            .as_ref()
            .is_some_and(|purpose| *purpose != PublicKeyUse::Signature)
        {
            return None;
        }
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).map_or(0, |bytes| bytes.len());
        let (algorithm, named) = match &jwk.algorithm {
            AlgorithmParameters::RSA(rsa) if RSA_BYTES.contains(&bytes(&rsa.n)) => (Algorithm::RS256, KeyAlgorithm::RS256),
            AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => (Algorithm::ES256, KeyAlgorithm::ES256),
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 && bytes(&pair.x) == ED25519_BYTES => {
                (Algorithm::EdDSA, KeyAlgorithm::EdDSA)
            }
            _ => return None,
        };
        let same = jwk.common.key_algorithm.is_none_or(|said| said == named);
        same.then_some(Self { jwk, algorithm })
    }
}

/// What fetches keys: no proxy and no redirect, so that they come from where the operator says.
pub fn client() -> Result<reqwest::Client> {
    crate::serve::install_crypto();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .map_err(Error::no_client)
}

/// The keys that an issuer publishes, of those that we can verify with.
///
/// # Errors
/// With what is wrong, for the operator.
pub async fn fetch(http: &reqwest::Client, issuer: &Issuer) -> Result<Vec<Key>, String> {
    let place = match &issuer.jwks {
        Some(place) => place.clone(),
        None => discover(http, &issuer.url).await?,
    };
    keys_at(http, place).await
}

/// The keys of a JWK Set, of those that we can verify with.
///
/// # Errors
/// With what is wrong, for the operator.
pub async fn keys_at(http: &reqwest::Client, place: Url) -> Result<Vec<Key>, String> {
    let set = read(http, place.clone()).await?;
    let published = set
        .get("keys")
        .and_then(Value::as_array)
        .ok_or_else(|| format!("{place} is no JWK Set"))?;
    let keys: Vec<_> = published.iter().take(KEYS_MAX).filter_map(Key::read).collect();
    match keys.is_empty() {
        true => Err(format!("{place} has no key for RS256, ES256 or EdDSA")),
        false => Ok(keys),
    }
}

/// Where the issuer's metadata says that its keys are (OpenID Connect Discovery §4, RFC 8414 §3).
async fn discover(http: &reqwest::Client, issuer: &str) -> Result<Url, String> {
    let base = issuer.trim_end_matches('/');
    let mut inserted = Url::parse(issuer).map_err(|error| error.to_string())?;
    inserted.set_path(&format!(
        "/.well-known/oauth-authorization-server{}",
        inserted.path().trim_end_matches('/')
    ));
    let mut problem = String::new();
    for place in [format!("{base}/.well-known/openid-configuration"), inserted.into()] {
        let metadata = match Url::parse(&place) {
            Ok(place) => read(http, place).await,
            Err(error) => Err(error.to_string()),
        };
        match metadata {
            Ok(metadata) if metadata["issuer"] == issuer => {
                let said = metadata["jwks_uri"].as_str().and_then(|text| Url::parse(text).ok());
                return said
                    .filter(|url| url.scheme() == "https" || loopback(url))
                    .ok_or_else(|| format!("{place} names no https jwks_uri"));
            }
            Ok(metadata) => problem = format!("{place} is of the issuer {}", metadata["issuer"]),
            Err(why) => problem = why,
        }
    }
    Err(problem)
}

/// A JSON document, within a size and a time.
///
/// # Errors
/// With what is wrong, for the operator.
pub async fn read(http: &reqwest::Client, place: Url) -> Result<Value, String> {
    let failed = |why: String| format!("{place} {why}");
    let sent = http
        .get(place.clone())
        .header(http::header::ACCEPT, "application/json")
        .send()
        .await;
    let mut response = sent.map_err(|error| failed(format!("does not answer ({})", chain(&error.without_url()))))?;
    if !response.status().is_success() {
        return Err(failed(format!("answers HTTP {}", response.status().as_u16())));
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failed(chain(&error.without_url())))? {
        if body.len() + chunk.len() > BODY_MAX {
            return Err(failed(format!("answers more than {} KiB", BODY_MAX / 1024)));
        }
        body.extend_from_slice(&chunk);
    }
    serde_json::from_slice(&body).map_err(|_| failed("is no JSON".to_owned()))
}

/// A claim of this name; where there is none, the one at this path.
fn find<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let at_path = || {
        let (first, rest) = name.split_once('.')?;
        rest.split('.').try_fold(claims.get(first)?, |value, step| value.get(step))
    };
    claims.get(name).or_else(at_path)
}

/// Text with blanks (RFC 6749 §3.3), or a list. What is no scope of ours grants nothing.
fn scopes(claim: Option<&Value>) -> Scopes {
    match claim {
        Some(Value::String(text)) => Scopes::from_stored(text),
        Some(Value::Array(list)) => list.iter().filter_map(|scope| scope.as_str()?.parse().ok()).collect(),
        _ => Scopes::default(),
    }
}

/// The id of a caller: the same whenever this issuer names him in this tenant.
fn id_of(issuer: &str, subject: &str, tenant: TenantId) -> TokenId {
    let digest = Sha256::new()
        .chain_update(issuer)
        .chain_update([0])
        .chain_update(subject)
        .chain_update([0])
        .chain_update(tenant.to_string())
        .finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    TokenId::of(bytes)
}
