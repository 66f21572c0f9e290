//! Requests to Vault: the requests are those of the crate vaultrs, the HTTP client is ours.
//!
//! vaultrs' own client reads an answer of any length (`docs/adr/0009-secrets-in-vault.md`). Here
//! each request has [`WAIT`] in all, an answer at most [`ANSWER_MAX`] bytes, and of an answer only the fields that we need must be
//! there. Vault's words to a refusal go to the log, cut short, and to no caller.

use std::{fs, time::Duration};

use http::{HeaderValue, Method, StatusCode, header};
use rustify::endpoint::Endpoint;
use serde::{Deserialize, de::DeserializeOwned};
use url::Url;
use zeroize::Zeroizing;

use crate::{
    config::{Secret, VaultServer},
    error::{Error, Result, chain},
};

/// How long one request may take, connecting included.
pub const WAIT: Duration = Duration::from_secs(2);
/// Eight times the longest credential: Vault writes `<`, `>` and `&` in six bytes.
const ANSWER_MAX: usize = 512 * 1024;
const WORDS_MAX: usize = 300;

/// Why a request to Vault came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No answer in time, or one that is not Vault's.
    Away(String),
    /// It answered, with a 5xx or with too much: maybe for this path alone.
    Broken(String),
    /// It is there, and opens nothing until somebody unseals it.
    Sealed,
    /// 403: the token, or what its policies allow.
    Denied,
    /// 404 without a word: not there, or deleted. With words it is the mount that is not there.
    Missing,
    /// Another refusal: the status and Vault's words; 0 where it is ours, and nothing was sent.
    Refused(u16, String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Away(why) | Self::Broken(why) => f.write_str(why),
            Self::Sealed => f.write_str("it is sealed"),
            Self::Denied => f.write_str("permission denied"),
            Self::Missing => f.write_str("HTTP 404"),
            Self::Refused(0, words) => f.write_str(words),
            Self::Refused(status, words) => write!(f, "HTTP {status} {words}"),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Whether it may pass by itself, so that it is soon tried again.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Broken(_) | Self::Sealed)
    }
}

#[derive(Debug)]
pub struct Wire {
    http: reqwest::Client,
    base: Url,
    namespace: Option<HeaderValue>,
}

/// A refusal, as Vault words it (developer.hashicorp.com/vault/api-docs#error-response).
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

impl Wire {
    /// # Errors
    /// When the authority's file holds no certificate.
    pub fn new(server: &VaultServer) -> Result<Self> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("smartermcp/", env!("CARGO_PKG_VERSION")))
            // A token goes to the address that was set and to no other.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(WAIT);
        if let Some(path) = &server.ca {
            let refused = |why: String| {
                Error::invalid(format!(
                    "VAULT_CACERT names {}, which {why}. What would be right: a file with certificates in PEM",
                    path.display()
                ))
            };
            let pem = fs::read(path).map_err(|error| refused(format!("cannot be read ({error})")))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| refused("holds no certificate".to_owned()))?;
            if roots.is_empty() {
                return Err(refused("holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(roots);
        }
        Ok(Self {
            http: builder.build().map_err(Error::no_client)?,
            base: server.address.clone(),
            namespace: server
                .namespace
                .as_deref()
                .map(HeaderValue::from_str)
                .transpose()
                .map_err(Error::internal)?,
        })
    }

    /// Sends a request of vaultrs' and reads its answer.
    pub async fn ask<E: Endpoint, T: DeserializeOwned>(&self, token: Option<&Secret>, endpoint: &E) -> Result<T, Failure> {
        read(&self.tell(token, endpoint).await?)
    }

    /// The same where the answer has no body, or none of interest.
    pub async fn tell<E: Endpoint>(&self, token: Option<&Secret>, endpoint: &E) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let built = |_| Failure::Refused(0, "the request cannot be written".to_owned());
        let body = endpoint.body().map_err(built)?.unwrap_or_default();
        let query = endpoint.query().map_err(built)?;
        // Some paths of vaultrs begin with a slash, and one with a tab.
        self.send(token, endpoint.method().into(), endpoint.path().trim(), query.as_deref(), body)
            .await
    }

    /// Sends any request; `path` is what stands after `/v1/`.
    pub async fn send(
        &self,
        token: Option<&Secret>,
        method: Method,
        path: &str,
        query: Option<&str>,
        body: Vec<u8>,
    ) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path.trim_start_matches('/').split('/'));
        }
        url.set_query(query.filter(|query| !query.is_empty()));
        // What guards a Vault agent against requests that a browser was talked into.
        let mut request = self.http.request(method, url).header("x-vault-request", "true");
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose()).map_err(|_| Failure::Denied)?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        match tokio::time::timeout(WAIT, answer(request)).await {
            Ok(answered) => answered,
            Err(_) => Err(Failure::Away("no answer in time".to_owned())),
        }
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let away = |error: reqwest::Error| Failure::Away(chain(&error.without_url()));
    let mut response = request.send().await.map_err(away)?;
    let status = response.status();
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(away)? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(Failure::Broken(format!("an answer of more than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status.is_success() {
        return Ok(body);
    }
    let refusal: Option<Refusal> = serde_json::from_slice(&body).ok();
    let words: String = refusal
        .iter()
        .flat_map(|refusal| &refusal.errors)
        .flat_map(|line| line.chars().chain(" ".chars()))
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(WORDS_MAX)
        .collect();
    Err(match status {
        StatusCode::FORBIDDEN => Failure::Denied,
        // What stands between may say 404 too; Vault says it in JSON.
        StatusCode::NOT_FOUND if refusal.is_some() && words.trim().is_empty() => Failure::Missing,
        StatusCode::SERVICE_UNAVAILABLE if words.contains("sealed") => Failure::Sealed,
        status if status.is_server_error() => Failure::Broken(format!("HTTP {} {words}", status.as_u16())),
        status if refusal.is_none() => Failure::Away(format!("HTTP {} {words}", status.as_u16())),
        status => Failure::Refused(status.as_u16(), words.trim().to_owned()),
    })
}

/// Reads an answer. What it holds is not quoted where it cannot be read: it may be the secret.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|error| {
        Failure::Away(format!(
            "an answer that is none of Vault's (at {}:{})",
            error.line(),
            error.column()
        ))
    })
}

#[cfg(test)]
mod tests {
    use vaultrs::api::{kv2::requests::ReadSecretRequest, token::requests::RenewTokenSelfRequest};

    use super::*;

    /// What a Vault of a few lines was asked.
    async fn asked(base: &str, endpoint: impl Endpoint) -> String {
        crate::serve::install_crypto();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = VaultServer {
            address: format!("http://127.0.0.1:{port}{base}").parse().unwrap(),
            login: crate::config::VaultLogin::Token(Secret::new("t")),
            namespace: None,
            ca: None,
            kv_mount: "smarteros".to_owned(),
            transit_mount: "transit".to_owned(),
            transit_key: "k".to_owned(),
            cache: WAIT,
        };
        let wire = Wire::new(&server).unwrap();
        let (done, line) = tokio::join!(wire.tell(None, &endpoint), async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let (mut peer, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 4096];
            let length = peer.read(&mut bytes).await.unwrap();
            peer.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            String::from_utf8(bytes[..length].to_vec())
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .to_owned()
        });
        done.unwrap();
        line
    }

    #[tokio::test]
    async fn paths_are_those_of_the_api_whatever_the_crate_writes_before_them() {
        let read = || {
            ReadSecretRequest::builder()
                .mount("smarteros")
                .path("tenants/luna/n8n")
                .version(Some(3))
                .build()
                .unwrap()
        };
        assert_eq!(
            asked("", read()).await,
            "GET /v1/smarteros/data/tenants/luna/n8n?version=3 HTTP/1.1"
        );
        assert_eq!(
            asked("/vault/", read()).await,
            "GET /vault/v1/smarteros/data/tenants/luna/n8n?version=3 HTTP/1.1"
        );
        let renew = RenewTokenSelfRequest::builder().build().unwrap();
        assert_eq!(asked("", renew).await, "POST /v1/auth/token/renew-self HTTP/1.1");
    }
}
