//! A played issuer of access tokens, after RFC 8414, RFC 7517 and OpenID Connect Discovery: it has a key of each kind, publishes
//! the public halves, and signs whatever a test wants. It is no authorization server: nobody signs in there.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

/// Of an RSA key that is the tests' alone.
const RSA: &[u8] = include_bytes!("issuer.pem");
/// What stands before a private key in PKCS #8, of Ed25519 (RFC 8410 §7) and of P-256 (RFC 5915 §3).
const ED25519: &[u8] = &[
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];
const P256: &[u8] = &[
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20,
];

/// What it does instead of publishing its keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fault {
    #[default]
    None,
    /// 500.
    Broken,
    /// 200 with a page of a proxy.
    Html,
    /// More than anybody reads.
    Big,
    /// To where another issuer's keys are.
    Redirect,
}

#[derive(Clone)]
pub struct Issuer {
    inner: Arc<Mutex<Inner>>,
    address: SocketAddr,
    _serving: Arc<Serving>,
}

struct Serving(tokio::task::JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub struct Inner {
    pub fault: Fault,
    /// How often its keys were fetched.
    pub fetched: usize,
    /// Where metadata is: of OpenID Connect, or RFC 8414's.
    pub metadata_at: &'static str,
    /// What its metadata says who it is, if not itself.
    pub says: Option<String>,
    /// Keys that are published besides, as they are.
    pub besides: Vec<Value>,
    keys: Vec<Key>,
}

#[derive(Clone)]
struct Key {
    kid: String,
    algorithm: Algorithm,
    signs: EncodingKey,
}

impl Issuer {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner {
            fault: Fault::None,
            fetched: 0,
            metadata_at: "/.well-known/openid-configuration",
            says: None,
            besides: Vec::new(),
            keys: keys(),
        }));
        let shared = Arc::clone(&inner);
        let router = Router::new().fallback(move |request: Request| {
            let answered = answer(&mut shared.lock().unwrap(), address, request.uri().path());
            async move { answered }
        });
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            inner,
            address,
            _serving: Arc::new(Serving(serving)),
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Withdraws all keys, and publishes others.
    pub fn rotate(&self) {
        self.inner().keys = keys();
    }

    /// A token of these claims by its key of this algorithm.
    pub fn token(&self, algorithm: Algorithm, claims: &Value) -> String {
        self.token_with(algorithm, claims, |_| {})
    }

    /// The same, with more said in its header.
    pub fn token_with(&self, algorithm: Algorithm, claims: &Value, set: impl FnOnce(&mut Header)) -> String {
        let key = self.inner().keys.iter().find(|key| key.algorithm == algorithm).unwrap().clone();
        let mut header = Header {
            kid: Some(key.kid.clone()),
            ..Header::new(algorithm)
        };
        set(&mut header);
        jsonwebtoken::encode(&header, claims, &key.signs).unwrap()
    }

    /// Its published keys.
    pub fn jwks(&self) -> Value {
        json!({ "keys": self.inner().keys.iter().map(Key::shown).collect::<Vec<_>>() })
    }
}

impl Key {
    fn shown(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.signs, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }
}

/// One of each kind; the RSA one is always the same, by another name.
fn keys() -> Vec<Key> {
    let random = || [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
    [
        (Algorithm::EdDSA, EncodingKey::from_ed_der(&[ED25519, &random()].concat())),
        (Algorithm::ES256, EncodingKey::from_ec_der(&[P256, &random()].concat())),
        (Algorithm::RS256, EncodingKey::from_rsa_pem(RSA).unwrap()),
    ]
    .into_iter()
    .map(|(algorithm, signs)| Key {
        kid: uuid::Uuid::new_v4().to_string(),
        algorithm,
        signs,
    })
    .collect()
}

fn answer(inner: &mut Inner, address: SocketAddr, path: &str) -> Response {
    if path == inner.metadata_at {
        let itself = format!("http://{address}");
        let metadata = json!({ "issuer": inner.says.as_ref().unwrap_or(&itself), "jwks_uri": format!("{itself}/keys") });
        return axum::Json(metadata).into_response();
    }
    if path != "/keys" {
        return StatusCode::NOT_FOUND.into_response();
    }
    inner.fetched += 1;
    let published: Vec<_> = inner.keys.iter().map(Key::shown).chain(inner.besides.iter().cloned()).collect();
    match inner.fault {
        Fault::None => axum::Json(json!({ "keys": published })).into_response(),
        Fault::Broken => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Fault::Html => axum::response::Html("<html>please sign in</html>").into_response(),
        Fault::Big => axum::Json(json!({ "keys": published, "padding": "x".repeat(300 * 1024) })).into_response(),
        Fault::Redirect => (StatusCode::FOUND, [(http::header::LOCATION, format!("http://{address}/elsewhere"))]).into_response(),
    }
}
