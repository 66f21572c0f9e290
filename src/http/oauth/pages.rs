//! The pages that a member sees, and what they have in common: read from a browser, rendered in its language, and closed against
//! everything from elsewhere.
//!
//! No page has a script. Its one style is inside it, named by its hash in the policy; its forms go here and nowhere else: what leads
//! on to the application that asked is a page of its own ([`onward`]). `Referrer-Policy: same-origin` and not `no-referrer`, with which
//! browsers send `Origin: null` with our own forms.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use askama::Template;
use axum::{
    body::Body,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};
use sha2::{Digest as _, Sha256};
use url::{Url, form_urlencoded};

use super::language::Language;
use crate::{
    auth::{Scope, Scopes},
    config::loopback,
    error::{Error, Result},
    http::{address, body, problem, request_id},
    oauth::{
        grant::Grantor,
        sign_in::{Identity, SignedIn},
    },
    state::State,
};

/// What stands in each page's `style`, to the letter.
pub const STYLE: &str = include_str!("../../../templates/style.css");

static STYLE_HASH: LazyLock<String> = LazyLock::new(|| STANDARD.encode(Sha256::digest(STYLE)));

/// The largest form: twice the largest request, for the encoding.
const FORM_MAX: usize = 64 * 1024;

/// What a browser asks, as far as the pages need it.
pub struct Visit {
    pub language: Language,
    pub address: IpAddr,
    pub headers: HeaderMap,
    pub query: String,
    request_id: Option<Arc<str>>,
}

/// Why a page is not shown: the browser goes elsewhere, is told why not, or we have failed.
pub enum Turn {
    Elsewhere(Box<Response>),
    Failed(Error),
}

impl From<Error> for Turn {
    fn from(error: Error) -> Self {
        Turn::Failed(error)
    }
}

impl From<Response> for Turn {
    fn from(response: Response) -> Self {
        Turn::Elsewhere(Box::new(response))
    }
}

impl Visit {
    pub fn begin(state: &State, request: Request) -> (Self, Body) {
        let (parts, body) = request.into_parts();
        (Self::read(state, parts), body)
    }

    fn read(state: &State, parts: Parts) -> Self {
        Self {
            language: Language::of(&parts.headers),
            address: address::client(state, &parts.extensions, &parts.headers),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            request_id: request_id(&parts.extensions).cloned(),
            headers: parts.headers,
        }
    }

    pub fn say(&self, spanish: &'static str, english: &'static str) -> &'static str {
        self.language.say(spanish, english)
    }

    /// What a handler came to, as the browser gets it.
    pub fn answer(&self, outcome: Result<Response, Turn>) -> Response {
        match outcome {
            Ok(response) => response,
            Err(Turn::Elsewhere(response)) => *response,
            Err(Turn::Failed(error)) => self.failed(&error),
        }
    }

    fn failed(&self, error: &Error) -> Response {
        let id = self.request_id.as_deref().unwrap_or_default();
        error.log(id);
        let (title, text) = match error.kind().status().is_server_error() {
            true => (
                self.say("Algo falló de nuestro lado", "Something failed on our side"),
                self.say("Inténtalo de nuevo en un momento.", "Try again in a moment."),
            ),
            false => (
                self.say("No se puede hacer", "This cannot be done"),
                self.say("Vuelve atrás y revisa qué pides.", "Go back and look at what you ask for."),
            ),
        };
        let notice = Notice {
            detail: Some(format!("{} ({id})", error.message())),
            ..self.notice(title, text)
        };
        let mut response = page(error.kind().status(), &notice);
        problem::retry_after(error, response.headers_mut());
        response
    }

    /// A page that says one thing.
    pub fn notice(&self, title: &str, text: impl Into<String>) -> Notice<'static> {
        Notice {
            language: self.language,
            title: title.to_owned(),
            text: text.into(),
            detail: None,
            away: None,
            link: None,
            session: None,
        }
    }

    /// Of a form that this browser was not given, or no longer.
    pub fn not_our_form(&self, request: &str) -> Turn {
        let notice = Notice {
            link: Some(sign_in_path(request)),
            ..self.notice(
                self.say("Este formulario ya no vale", "This form is no longer good"),
                self.say(
                    "Venció, o tu navegador no guarda cookies de este sitio. No se hizo nada.",
                    "It has expired, or your browser keeps no cookies of this site. Nothing was done.",
                ),
            )
        };
        page(StatusCode::FORBIDDEN, &notice).into()
    }
}

/// A form that was sent.
pub struct Form(Vec<(String, String)>);

impl Form {
    /// # Errors
    /// As [`body::read`].
    pub async fn read(visit: &Visit, body: Body) -> Result<Self> {
        let bytes = body::read(&visit.headers, body, FORM_MAX).await?;
        Ok(Self(form_urlencoded::parse(&bytes).into_owned().collect()))
    }

    /// The first of this name; empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A page as it goes out.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            let error = Error::internal(error);
            error.log("");
            return problem::response(&error, None);
        }
    };
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
        *STYLE_HASH
    );
    HeaderValue::try_from(policy).expect("a policy of letters")
});

/// The page that leads back to the application, after a form: it goes on by itself, and has a link for where it does not.
///
/// Not a redirect: browsers hold `form-action` against every hop after a form (CSP 3 §6.4.2), also against those that the application
/// makes from its redirect URI, into a program or to another host, which nobody can name beforehand. A page's own refresh is no form's.
pub fn onward(visit: &Visit, title: &str, to: &Url) -> Response {
    let (goes_to, here) = destination(to);
    let leads = Onward {
        language: visit.language,
        title,
        to: to.as_str(),
        goes_to,
        here,
    };
    let mut response = page(StatusCode::OK, &leads);
    // It holds no form, and its address and what it leads to are nobody's business.
    response
        .headers_mut()
        .insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Where a redirect leads, as a person reads it, and whether that is on his own device.
pub fn destination(url: &Url) -> (String, bool) {
    match url.host() {
        Some(host) if matches!(url.scheme(), "http" | "https") => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            (format!("{host}{port}"), loopback(url))
        }
        _ => (format!("{}:", url.scheme()), true),
    }
}

/// Sends the browser elsewhere, by GET.
pub fn go(to: &str) -> Response {
    match HeaderValue::try_from(to) {
        Ok(location) => (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response(),
        Err(error) => {
            let error = Error::internal(error);
            error.log("");
            problem::response(&error, None)
        }
    }
}

/// Where a member signs in to see a request.
pub fn sign_in_path(request: &str) -> String {
    format!("/oauth/sign-in{}", as_parameter(request))
}

/// A request as the query of another page.
pub fn as_parameter(request: &str) -> String {
    match request {
        "" => String::new(),
        request => format!(
            "?{}",
            form_urlencoded::Serializer::new(String::new())
                .append_pair("request", request)
                .finish()
        ),
    }
}

/// The page that a request belongs to, or, without one, the list of what is connected.
pub fn request_path(request: &str) -> String {
    if request.is_empty() {
        return "/oauth/applications".to_owned();
    }
    // Its query as a browser would write it: nothing of it can be anything else of a URL.
    let mut url = Url::parse("http://localhost/oauth/authorize").expect("a URL");
    url.set_query(Some(request));
    url[url::Position::BeforePath..].to_owned()
}

/// Who is signed in, and his way out.
pub struct Session<'a> {
    pub name: String,
    pub csrf: String,
    pub request: &'a str,
}

/// The form that signs out.
pub const SIGN_OUT: &str = "sign-out";

impl<'a> Session<'a> {
    pub fn new(state: &State, visit: &Visit, signed_in: &SignedIn, grantors: &[Grantor], request: &'a str) -> Self {
        let name = match &signed_in.identity {
            Identity::Person { email, .. } => email.clone(),
            Identity::Token { .. } => {
                let name = grantors.first().map(|grantor| grantor.name.as_str()).unwrap_or_default();
                format!("{} «{name}»", visit.say("con el token", "with the token"))
            }
        };
        Self {
            name,
            csrf: signed_in.csrf(state, SIGN_OUT),
            request,
        }
    }
}

/// A scope in words.
pub struct Offer {
    pub name: &'static str,
    pub words: &'static str,
    pub ticked: bool,
}

impl Offer {
    pub fn list(language: Language, scopes: Scopes, ticked: Scopes) -> Vec<Self> {
        scopes
            .given()
            .map(|scope| Self {
                name: Scope::name(scope),
                words: language.scope(scope),
                ticked: ticked.given().any(|other| other == scope),
            })
            .collect()
    }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignIn<'a> {
    pub language: Language,
    pub csrf: String,
    pub request: &'a str,
    /// The same, as a query.
    pub query: String,
    pub provider: Option<&'a str>,
    pub problem: Option<&'static str>,
}

/// A tenant, as a choice.
pub struct Choice<'a> {
    pub id: String,
    pub slug: &'a str,
    pub name: &'a str,
}

impl<'a> Choice<'a> {
    pub fn of(grantor: &'a Grantor) -> Self {
        let tenant = &grantor.tenant.tenant;
        Self {
            id: tenant.id.to_string(),
            slug: &tenant.slug,
            name: &tenant.name,
        }
    }
}

#[derive(Template)]
#[template(path = "tenants.html")]
pub struct Tenants<'a> {
    pub language: Language,
    pub csrf: String,
    pub client: &'a str,
    pub tenants: Vec<Choice<'a>>,
    pub session: Session<'a>,
}

#[derive(Template)]
#[template(path = "consent.html")]
pub struct Consent<'a> {
    pub language: Language,
    pub csrf: String,
    pub client: &'a str,
    /// The host that its description was fetched from.
    pub vouched: Option<String>,
    pub goes_to: String,
    /// Whether that is on this device, where every program can say that it is this application, whoever vouches for the name.
    pub here: bool,
    pub tenant: Choice<'a>,
    /// Whether there are other tenants to choose.
    pub others: bool,
    pub offered: Vec<Offer>,
    pub lacking: Vec<Offer>,
    pub agent: Option<&'static str>,
    pub until: String,
    pub problem: Option<&'static str>,
    pub session: Session<'a>,
}

/// A connected application.
pub struct Connected {
    pub id: String,
    pub client: String,
    pub tenant_name: String,
    pub offers: Vec<Offer>,
    pub created: String,
    pub used: String,
    pub until: String,
}

#[derive(Template)]
#[template(path = "applications.html")]
pub struct Applications<'a> {
    pub language: Language,
    pub csrf: String,
    pub applications: Vec<Connected>,
    /// The one that has just lost its access.
    pub gone: Option<String>,
    pub session: Session<'a>,
}

#[derive(Template)]
#[template(path = "notice.html")]
pub struct Notice<'a> {
    pub language: Language,
    pub title: String,
    pub text: String,
    /// In English, for whoever made the application.
    pub detail: Option<String>,
    /// What somebody may go on to who knows it: its host, and the address itself.
    pub away: Option<(String, String)>,
    /// Where one signs in again.
    pub link: Option<String>,
    pub session: Option<Session<'a>>,
}

#[derive(Template)]
#[template(path = "onward.html")]
struct Onward<'a> {
    language: Language,
    title: &'a str,
    to: &'a str,
    goes_to: String,
    /// Whether that is on this device.
    here: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_its_host_or_its_scheme() {
        for (url, said) in [
            ("https://app.example/cb?x=1", ("app.example", false)),
            ("https://app.example:8443/cb", ("app.example:8443", false)),
            ("http://127.0.0.1:33418/callback", ("127.0.0.1:33418", true)),
            ("http://[::1]:33418/callback", ("[::1]:33418", true)),
            ("cursor://claude.ai/cb", ("cursor:", true)),
        ] {
            let (goes_to, here) = destination(&url.parse().unwrap());
            assert_eq!((goes_to.as_str(), here), said, "{url}");
        }
    }

    #[test]
    fn a_request_leads_to_its_page_and_nowhere_else() {
        assert_eq!(request_path(""), "/oauth/applications");
        assert_eq!(
            request_path("client_id=x&scope=read%3Acrm"),
            "/oauth/authorize?client_id=x&scope=read%3Acrm"
        );
        for evil in ["//evil.example/", "#x", "a=\r\nSet-Cookie: x=y", "x y\u{e9}"] {
            let path = request_path(evil);
            assert!(
                path.starts_with("/oauth/authorize?") && HeaderValue::try_from(&path).is_ok() && !path.contains('#'),
                "{path}"
            );
        }
    }
}
