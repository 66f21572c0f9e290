//! A played OpenID provider: discovery, authorization code with PKCE, ID tokens, userinfo, as OpenID Connect Core 1.0 has them; and at
//! its worst where a test says so. It lets everybody in at once, as the person that it was told. Its keys were made for these tests
//! and are good for nothing else.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{Query, State as Shared},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smartermcp::config::{OpenId, Secret};
use tokio::{net::TcpListener, task::JoinHandle};

const CLIENT: &str = "smartermcp at the provider";
const SECRET: &str = "secret of the client: %+&";

/// Clones share it.
#[derive(Clone)]
pub struct Provider(Arc<Inner>);

struct Inner {
    base: String,
    serving: JoinHandle<()>,
    plays: Mutex<Plays>,
}

/// What it does, and what it was asked.
struct Plays {
    person: Value,
    signs: Signs,
    /// What is changed in the claims of an ID token before it is signed.
    alters: fn(&mut Value),
    /// Answered to everything in place of what was asked.
    fails: Option<u16>,
    /// The address is told at the userinfo endpoint alone.
    by_userinfo: bool,
    /// The address is in the ID token too, and whether it is verified is not.
    address_in_token: bool,
    /// What userinfo says of the subject, where that is another.
    userinfo_of: Option<&'static str>,
    /// Codes that were given out: redirect URI, challenge, nonce.
    codes: HashMap<String, (String, String, String)>,
    asked_for_keys: usize,
}

/// How it signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    By(Algorithm),
    /// With a key that it publishes only after [`Provider::rotate`], and another id.
    New,
    /// With a key that it never publishes, under the id of one that it does.
    Stranger,
    /// With nothing: `alg: none`.
    Nothing,
    /// HS256 with its own public key, as one who takes the head's word would verify.
    PublicAsSecret,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let provider = Arc::new_cyclic(|weak: &std::sync::Weak<Inner>| {
            let router = Router::new()
                .route("/.well-known/openid-configuration", get(discovery))
                .route("/jwks", get(jwks))
                .route("/authorize", get(authorize))
                .route("/token", post(token))
                .route("/userinfo", get(userinfo))
                .with_state(weak.clone());
            Inner {
                base,
                serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
                plays: Mutex::new(Plays {
                    person: json!({ "sub": "ana", "email": "ana@luna.cl", "email_verified": true }),
                    signs: Signs::By(Algorithm::RS256),
                    alters: |_| {},
                    fails: None,
                    by_userinfo: false,
                    address_in_token: false,
                    userinfo_of: None,
                    codes: HashMap::new(),
                    asked_for_keys: 0,
                }),
            }
        });
        Self(provider)
    }

    /// What an operator sets to use it.
    pub fn config(&self) -> OpenId {
        OpenId {
            issuer: self.0.base.clone(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(Secret::new(SECRET)),
            name: "Luna ID".to_owned(),
        }
    }

    pub fn base(&self) -> &str {
        &self.0.base
    }

    /// Who comes next.
    pub fn person(&self, sub: &str, email: &str, verified: impl Into<Value>) {
        self.plays(|plays| plays.person = json!({ "sub": sub, "email": email, "email_verified": verified.into() }));
    }

    pub fn sign(&self, signs: Signs) {
        self.plays(|plays| plays.signs = signs);
    }

    pub fn alter(&self, alters: fn(&mut Value)) {
        self.plays(|plays| plays.alters = alters);
    }

    pub fn fail(&self, status: Option<u16>) {
        self.plays(|plays| plays.fails = status);
    }

    pub fn tell_by_userinfo(&self, of: Option<&'static str>) {
        self.plays(|plays| {
            plays.by_userinfo = true;
            plays.userinfo_of = of;
        });
    }

    /// The ID token holds the address, and only the userinfo endpoint says that it is verified.
    pub fn tell_verified_by_userinfo(&self) {
        self.plays(|plays| {
            plays.by_userinfo = true;
            plays.address_in_token = true;
        });
    }

    pub fn asked_for_keys(&self) -> usize {
        self.plays(|plays| plays.asked_for_keys)
    }

    fn plays<T>(&self, with: impl FnOnce(&mut Plays) -> T) -> T {
        with(&mut self.0.plays.lock().unwrap())
    }

    fn id_token(&self, nonce: &str) -> String {
        let now = jiff::Timestamp::now().as_second();
        let mut claims = json!({ "iss": self.base(), "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": nonce });
        let (signs, alters) = self.plays(|plays| {
            for (name, value) in plays.person.as_object().unwrap() {
                let in_token = name == "sub" || name == "email" && plays.address_in_token;
                if in_token || !plays.by_userinfo {
                    claims[name] = value.clone();
                }
            }
            (plays.signs, plays.alters)
        });
        alters(&mut claims);
        match signs {
            Signs::By(algorithm) => signed(&claims, algorithm, &key(algorithm), &format!("{algorithm:?}")),
            Signs::New => signed(&claims, Algorithm::EdDSA, &other_key(), "new"),
            Signs::Stranger => signed(&claims, Algorithm::EdDSA, &other_key(), "EdDSA"),
            Signs::Nothing => {
                let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
                format!("{}.{}.", part(json!({ "alg": "none" })), part(claims))
            }
            Signs::PublicAsSecret => {
                let public = serde_json::to_vec(&published(Algorithm::RS256)).unwrap();
                signed(&claims, Algorithm::HS256, &EncodingKey::from_secret(&public), "RS256")
            }
        }
    }
}

fn signed(claims: &Value, algorithm: Algorithm, key: &EncodingKey, id: &str) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(id.to_owned());
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(include_bytes!("rs256.pem")),
        Algorithm::ES256 => EncodingKey::from_ec_pem(include_bytes!("es256.pem")),
        _ => EncodingKey::from_ed_pem(include_bytes!("eddsa.pem")),
    }
    .unwrap()
}

/// PKCS#8 of an Ed25519 key whose seed is known to everybody.
fn other_key() -> EncodingKey {
    let mut der = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20".to_vec();
    der.extend([7; 32]);
    EncodingKey::from_ed_der(&der)
}

fn published(algorithm: Algorithm) -> Jwk {
    let mut jwk = Jwk::from_encoding_key(&key(algorithm), algorithm).unwrap();
    jwk.common.key_id = Some(format!("{algorithm:?}"));
    jwk
}

type Played = Shared<std::sync::Weak<Inner>>;

/// The provider, unless it is down.
#[expect(clippy::result_large_err, reason = "an answer is what its callers return")]
fn up(played: &std::sync::Weak<Inner>) -> Result<Provider, Response> {
    let provider = Provider(played.upgrade().unwrap());
    match provider.plays(|plays| plays.fails) {
        None => Ok(provider),
        Some(status) => Err((StatusCode::from_u16(status).unwrap(), "<html>out of order</html>").into_response()),
    }
}

async fn discovery(Shared(played): Played) -> Result<Json<Value>, Response> {
    let provider = up(&played)?;
    let at = |path: &str| format!("{}{path}", provider.base());
    Ok(Json(json!({
        "issuer": provider.base(),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/jwks"),
        "userinfo_endpoint": at("/userinfo"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "EdDSA"],
        "authorization_response_iss_parameter_supported": true,
    })))
}

async fn jwks(Shared(played): Played) -> Result<Json<Value>, Response> {
    let provider = up(&played)?;
    let mut keys = vec![json!({ "kty": "OKP", "crv": "X448", "kid": "of a kind that nobody here knows", "x": "AA" })];
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        keys.push(serde_json::to_value(published(algorithm)).unwrap());
    }
    if provider.plays(|plays| {
        plays.asked_for_keys += 1;
        plays.signs == Signs::New
    }) {
        let mut new = Jwk::from_encoding_key(&other_key(), Algorithm::EdDSA).unwrap();
        new.common.key_id = Some("new".to_owned());
        keys.push(serde_json::to_value(new).unwrap());
    }
    Ok(Json(json!({ "keys": keys })))
}

async fn authorize(Shared(played): Played, Query(asked): Query<HashMap<String, String>>) -> Result<Redirect, Response> {
    let provider = up(&played)?;
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("scope", "openid email"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(asked.get(name).map(String::as_str), Some(value), "{name}");
    }
    let code = uuid::Uuid::new_v4().to_string();
    let kept = (
        asked["redirect_uri"].clone(),
        asked["code_challenge"].clone(),
        asked["nonce"].clone(),
    );
    provider.plays(|plays| plays.codes.insert(code.clone(), kept));
    let mut back: url::Url = asked["redirect_uri"].parse().unwrap();
    back.query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &asked["state"])
        .append_pair("iss", provider.base());
    Ok(Redirect::to(back.as_str()))
}

async fn token(Shared(played): Played, headers: HeaderMap, body: String) -> Result<Json<Value>, Response> {
    let provider = up(&played)?;
    let refused = |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    // Both halves of Basic are encoded as in a form (RFC 6749 §2.3.1).
    let form = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", form(CLIENT), form(SECRET))));
    if headers.get("authorization").map(|value| value.as_bytes()) != Some(basic.as_bytes()) {
        return Err(refused("invalid_client"));
    }
    let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let kept = provider.plays(|plays| plays.codes.remove(&form["code"]));
    let Some((redirect_uri, challenge, nonce)) = kept else {
        return Err(refused("invalid_grant"));
    };
    let verified = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"])) == challenge;
    if !verified || form["redirect_uri"] != redirect_uri || form["grant_type"] != "authorization_code" {
        return Err(refused("invalid_grant"));
    }
    Ok(Json(
        json!({ "id_token": provider.id_token(&nonce), "access_token": "access", "token_type": "Bearer", "expires_in": 300 }),
    ))
}

async fn userinfo(Shared(played): Played, headers: HeaderMap) -> Result<Json<Value>, Response> {
    let provider = up(&played)?;
    assert_eq!(headers["authorization"], "Bearer access");
    Ok(Json(provider.plays(|plays| {
        let mut told = plays.person.clone();
        if let Some(other) = plays.userinfo_of {
            told["sub"] = json!(other);
        }
        told
    })))
}
