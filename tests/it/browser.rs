//! A browser of the tests: it keeps cookies, sends forms as browsers do, reads the fields of a page, and runs no script, as no page
//! has one. And an application that sends it to the gateway.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, Method, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use crate::app::{App, Reply};

/// Clones share their cookies.
#[derive(Clone)]
pub struct Browser {
    /// Where relative addresses lead.
    pub base: String,
    /// What the gateway calls itself, where that is not the address at which it is asked.
    public: Option<String>,
    http: reqwest::Client,
    jar: Arc<Mutex<BTreeMap<String, String>>>,
    language: &'static str,
}

/// What the browser was answered.
#[derive(Debug)]
pub struct Page {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Browser {
    /// One without cookies, which speaks English.
    pub fn new(app: &App) -> Self {
        Self {
            base: app.base(),
            public: app.state.config.public_url.as_ref().map(|_| app.state.base_url.clone()),
            http: reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            jar: Arc::default(),
            language: "en",
        }
    }

    /// The same one, cookies and all, in another language.
    pub fn speaking(&self, language: &'static str) -> Self {
        Self { language, ..self.clone() }
    }

    /// The same one at a replica.
    pub fn at(&self, app: &App) -> Self {
        Self {
            base: app.base(),
            ..self.clone()
        }
    }

    /// Another one with the cookies that this one has now.
    pub fn copy(&self) -> Self {
        Self {
            jar: Arc::new(Mutex::new(self.jar.lock().unwrap().clone())),
            ..self.clone()
        }
    }

    pub fn cookies(&self) -> BTreeMap<String, String> {
        self.jar.lock().unwrap().clone()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.jar.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    pub fn forget(&self, name: &str) {
        self.jar.lock().unwrap().remove(name);
    }

    pub async fn get(&self, address: &str) -> Page {
        self.send(Method::GET, address, None).await
    }

    /// Sends a form from a page of the gateway.
    pub async fn post(&self, address: &str, form: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        self.send(Method::POST, address, Some(body)).await
    }

    async fn send(&self, method: Method, address: &str, form: Option<String>) -> Page {
        let url = match address.strip_prefix('/') {
            Some(_) => format!("{}{address}", self.base),
            None => match &self.public {
                // There is nobody at the name that it was given in a test.
                Some(public) => address.replacen(public.as_str(), &self.base, 1),
                None => address.to_owned(),
            },
        };
        let mut request = self.http.request(method, url.as_str()).header("accept-language", self.language);
        if url.starts_with(&self.base) {
            let cookies = self
                .cookies()
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>();
            if !cookies.is_empty() {
                request = request.header("cookie", cookies.join("; "));
            }
        }
        if let Some(form) = form {
            request = request
                .header("origin", self.public.as_deref().unwrap_or(&self.base))
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form);
        }
        let response = request.send().await.expect("the gateway answers");
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all("set-cookie") {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.forget(name);
            } else {
                self.set_cookie(name, value);
            }
        }
        Page {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }

    /// Goes where an answer leads, as long as that is within the gateway or the provider that was named.
    pub async fn follow(&self, mut page: Page, through: &str) -> Page {
        for _ in 0..10 {
            let to = page.header("location").to_owned();
            let is_here = to.starts_with('/') || to.starts_with(&self.base) || self.public.as_ref().is_some_and(|own| to.starts_with(own));
            if !is_here && (through.is_empty() || !to.starts_with(through)) {
                return page;
            }
            page = self.get(&to).await;
        }
        panic!("it never ends: {}", page.header("location"));
    }

    /// Goes to an application's request and signs in with a token; the page after that.
    pub async fn sign_in(&self, token: &str, request: &str) -> Page {
        let form = self.follow(self.get(&format!("/oauth/authorize?{request}")).await, "").await;
        form.assert_status(200);
        let sent = self
            .post(
                "/oauth/sign-in",
                &[("csrf", &form.field("csrf")), ("request", &form.field("request")), ("token", token)],
            )
            .await;
        self.follow(sent, "").await
    }

    /// Signs in with a token, without any application.
    pub async fn sign_in_alone(&self, token: &str) -> Page {
        let form = self.get("/oauth/sign-in").await;
        let sent = self
            .post("/oauth/sign-in", &[("csrf", &form.field("csrf")), ("token", token)])
            .await;
        self.follow(sent, "").await
    }

    /// Presses a button of the consent page, with these scopes ticked.
    pub async fn decide(&self, page: &Page, decision: &str, scopes: &[&str]) -> Page {
        let (csrf, request, tenant) = (page.field("csrf"), page.field("request"), page.field("tenant"));
        let mut form = vec![
            ("csrf", csrf.as_str()),
            ("request", request.as_str()),
            ("tenant", tenant.as_str()),
            ("decision", decision),
        ];
        form.extend(scopes.iter().map(|scope| ("scope", *scope)));
        self.post("/oauth/authorize", &form).await
    }
}

impl Page {
    #[track_caller]
    pub fn assert_status(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// All that the browser was told to keep, with the flags.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|value| value.to_str().unwrap())
            .collect()
    }

    /// The text as a reader has it, entities resolved.
    pub fn read(&self) -> String {
        unescape(&self.text)
    }

    #[track_caller]
    pub fn assert_says(&self, what: &str) -> &Self {
        assert!(self.read().contains(what), "{what:?} is not in {}", self.text);
        self
    }

    /// The value of the first field of this name.
    #[track_caller]
    pub fn field(&self, name: &str) -> String {
        let found = self.fields(name).into_iter().next();
        found.unwrap_or_else(|| panic!("there is no field {name} in {} {}", self.status, self.text))
    }

    pub fn fields(&self, name: &str) -> Vec<String> {
        self.inputs(name).map(|input| unescape(attribute(input, "value"))).collect()
    }

    /// The scopes that are offered, and whether each is ticked.
    pub fn offered(&self) -> Vec<(String, bool)> {
        self.inputs("scope")
            .map(|input| (attribute(input, "value").to_owned(), input.contains(" checked")))
            .collect()
    }

    fn inputs<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.text
            .split("<input ")
            .skip(1)
            .map(|rest| &rest[..rest.find('>').unwrap()])
            .filter(move |input| attribute(input, "name") == name)
    }

    /// Where the page goes on to by itself.
    pub fn leads_to(&self) -> String {
        let refresh = self.text.split_once(r#"<meta http-equiv="refresh" content="0;url="#);
        refresh.map_or_else(String::new, |(_, rest)| unescape(rest.split_once('"').unwrap().0))
    }

    /// A parameter of where it goes on to.
    #[track_caller]
    pub fn leads_with(&self, name: &str) -> Option<String> {
        let url = Url::parse(&self.leads_to()).unwrap_or_else(|error| panic!("{error}: {:?} {}", self.headers, self.text));
        url.query_pairs()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }
}

fn attribute<'a>(input: &'a str, name: &str) -> &'a str {
    let begin = format!("{name}=\"");
    input
        .split_once(&begin)
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("", |(value, _)| value)
}

fn unescape(text: &str) -> String {
    let mut parts = text.split("&#");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (number, rest) = part.split_once(';').unwrap();
        out.push(char::from_u32(number.parse().unwrap()).unwrap());
        out.push_str(rest);
    }
    out
}

/// An application that has registered itself.
#[derive(Clone)]
pub struct Application {
    pub client_id: String,
    pub redirect_uri: String,
    resource: String,
    verifier: String,
}

impl Application {
    /// One that runs on the member's own machine.
    pub async fn register(app: &App, name: &str) -> Self {
        Self::register_at(app, name, "http://127.0.0.1:33418/callback").await
    }

    pub async fn register_at(app: &App, name: &str, redirect_uri: &str) -> Self {
        let registered = app
            .nobody()
            .post("/oauth/register", json!({ "client_name": name, "redirect_uris": [redirect_uri] }))
            .await;
        registered.assert_status(201);
        Self {
            client_id: registered.json["client_id"].as_str().unwrap().to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            resource: format!("{}/mcp", app.state.base_url),
            verifier: "v".repeat(43),
        }
    }

    /// The query that it sends a browser with.
    pub fn request(&self, scope: &str) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("resource", &self.resource)
            .append_pair("scope", scope)
            .append_pair("state", "state of the application")
            .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(&self.verifier)))
            .append_pair("code_challenge_method", "S256")
            .finish()
    }

    /// Exchanges the code that the browser brought back.
    pub async fn exchange(&self, app: &App, page: &Page) -> Reply {
        let code = page.leads_with("code").unwrap();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", &code)
            .append_pair("client_id", &self.client_id)
            .append_pair("redirect_uri", &self.redirect_uri)
            .append_pair("resource", &self.resource)
            .append_pair("code_verifier", &self.verifier)
            .finish();
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        app.nobody().raw(Method::POST, "/oauth/token", &headers, form).await
    }
}
