//! The authorization server as clients meet it: registration, codes, refresh tokens, revocation, and what each says when it is wrong.
//! What a member sees is in `sign_in`.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, response::IntoResponse, routing::get};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL};
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smartermcp::backends;
use url::{Url, form_urlencoded};

use crate::{
    app::{App, BUSINESS, Reply, Tenant, User},
    servers,
};

pub const REDIRECT: &str = "http://localhost:3335/oauth/callback";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-or-more-0123456789";
const DAY: Duration = Duration::from_secs(24 * 3600);
const FORM: &[(&str, &str)] = &[("content-type", "application/x-www-form-urlencoded")];

pub fn challenge() -> String {
    BASE64URL.encode(Sha256::digest(VERIFIER))
}

pub fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// An application that has registered itself, and the tenant whose member will allow it.
pub struct Flow<'a> {
    app: &'a App,
    pub client_id: String,
    pub tenant: Tenant,
    /// Whoever allows it pastes this token.
    pub pasted: User,
}

impl<'a> Flow<'a> {
    pub async fn start(app: &'a App, slug: &str) -> Self {
        let tenant = app.tenant(slug).await;
        let pasted = app.user(&tenant, BUSINESS).await;
        Self {
            client_id: register(app, json!({ "client_name": "MCP CLI Proxy", "redirect_uris": [REDIRECT] })).await,
            app,
            tenant,
            pasted,
        }
    }

    /// The query of an authorization request that is right.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        vec![
            ("response_type", "code".to_owned()),
            ("client_id", self.client_id.clone()),
            ("redirect_uri", REDIRECT.to_owned()),
            ("code_challenge", challenge()),
            ("code_challenge_method", "S256".to_owned()),
            ("resource", format!("{}/mcp", self.app.base())),
            ("scope", "read:workflows write:crm".to_owned()),
            ("state", "of the client".to_owned()),
        ]
    }

    /// The same with some parameters said otherwise; an empty value leaves one out.
    fn with(&self, changes: &[(&'static str, &str)]) -> String {
        let mut query = self.query();
        for (name, value) in changes {
            query.retain(|(known, _)| known != name);
            if !value.is_empty() {
                query.push((name, (*value).to_owned()));
            }
        }
        form(&query.iter().map(|(name, value)| (*name, value.as_str())).collect::<Vec<_>>())
    }

    /// What the application is told at its redirect URI when nobody has to be asked: an error.
    async fn turned_back(&self, changes: &[(&'static str, &str)]) -> Vec<(String, String)> {
        let reply = self.app.nobody().get(&format!("/oauth/authorize?{}", self.with(changes))).await;
        assert!(reply.status.is_redirection(), "{} {}", reply.status, reply.text);
        let location = Url::parse(reply.header("location")).unwrap();
        assert!(location.as_str().starts_with(REDIRECT), "{location}");
        location
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect()
    }

    /// A member allows it; the code.
    pub async fn code(&self) -> String {
        let location = allowed(self.app, &self.pasted, &self.with(&[])).await;
        let pairs: Vec<_> = location.query_pairs().collect();
        let value = |name: &str| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.to_string());
        assert_eq!(value("state").as_deref(), Some("of the client"), "{location}");
        assert_eq!(value("iss"), Some(self.app.base()), "RFC 9207 §2: {location}");
        value("code").unwrap()
    }

    /// The token request for a code, with some of its parameters said otherwise.
    async fn fetch(&self, code: &str, changes: &[(&'static str, &str)]) -> Reply {
        fetch(self.app, &self.client_id, code, changes).await
    }

    /// Connected: what the token endpoint answered.
    pub async fn connected(&self) -> Value {
        let reply = self.fetch(&self.code().await, &[]).await;
        reply.assert_status(200);
        reply.json
    }

    async fn refresh(&self, token: &str) -> Reply {
        post(
            self.app,
            "/oauth/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", token),
                ("client_id", &self.client_id),
            ],
        )
        .await
    }
}

async fn fetch(app: &App, client_id: &str, code: &str, changes: &[(&'static str, &str)]) -> Reply {
    let resource = format!("{}/mcp", app.base());
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("client_id", client_id),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
        ("resource", &resource),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    post(app, "/oauth/token", &pairs).await
}

async fn post(app: &App, path: &str, pairs: &[(&str, &str)]) -> Reply {
    app.nobody().raw(Method::POST, path, FORM, form(pairs)).await
}

pub async fn register(app: &App, metadata: Value) -> String {
    let reply = app.nobody().post("/oauth/register", metadata).await;
    reply.assert_status(201);
    reply.json["client_id"].as_str().unwrap().to_owned()
}

/// An OAuth error (RFC 6749 §5.2), which nobody may keep.
#[track_caller]
fn assert_error(reply: &Reply, status: u16, error: &str) {
    reply.assert_status(status);
    assert_eq!(reply.json["error"], error, "{}", reply.text);
    assert!(!reply.json["error_description"].as_str().unwrap().is_empty());
    assert_eq!(reply.header("cache-control"), "no-store", "RFC 6749 §5.1");
}

fn bearer<'a>(app: &App, answer: &'a Value) -> (User, &'a str) {
    (
        app.user_of(answer["access_token"].as_str().unwrap()),
        answer["refresh_token"].as_str().unwrap(),
    )
}

// From registration to a call.

#[tokio::test]
async fn an_application_registers_is_allowed_and_calls() {
    let app = App::start().await;
    let (tenant, pasted, _) = app.business("luna").await;
    let client_id = register(&app, json!({ "client_name": "MCP CLI Proxy", "redirect_uris": [REDIRECT], "application_type": "native", "token_endpoint_auth_method": "none" })).await;
    let flow = Flow {
        app: &app,
        client_id,
        tenant,
        pasted,
    };
    let code = flow.code().await;
    let reply = flow.fetch(&code, &[]).await;
    reply.assert_status(200);
    assert_eq!(reply.header("cache-control"), "no-store", "RFC 6749 §5.1");
    assert_eq!(reply.json["token_type"], "Bearer");
    assert_eq!(reply.json["expires_in"], 900);
    assert_eq!(reply.json["scope"], "read:workflows write:crm");
    let (user, _) = bearer(&app, &reply.json);
    user.get("/api/v1/workflows").await.assert_status(200);
    user.call("workflows_list", json!({})).await.content();
    user.get("/api/v1/analytics/kpis").await.assert_problem(403, "insufficient_scope");
    let me = user.get("/api/v1/whoami").await;
    assert_eq!(me.json["tenant_id"], flow.tenant.id, "{}", me.text);
}

#[tokio::test]
async fn what_is_stored_of_a_flow_are_hashes() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    let answer = flow.fetch(&code, &[]).await.json;
    for secret in [
        code.as_str(),
        answer["access_token"].as_str().unwrap(),
        answer["refresh_token"].as_str().unwrap(),
    ] {
        assert!(!crate::app::folder_holds(app.folder(), secret).await);
    }
}

// Registration.

#[tokio::test]
async fn a_registration_that_is_wrong_says_what_is_rfc_7591_3_2_2() {
    let app = App::start().await;
    let ask = |body: Value| {
        let app = &app;
        async move { app.nobody().post("/oauth/register", body).await }
    };
    for uris in [
        json!([]),
        json!(["http://app.example.cl/cb"]),
        json!(["javascript:alert(1)"]),
        json!(["https://app.example.cl/#x"]),
    ] {
        assert_error(&ask(json!({ "redirect_uris": uris })).await, 400, "invalid_redirect_uri");
    }
    assert_error(
        &ask(json!({ "redirect_uris": [REDIRECT], "grant_types": ["client_credentials"] })).await,
        400,
        "invalid_client_metadata",
    );
    assert_error(
        &ask(json!({ "redirect_uris": [REDIRECT], "response_types": ["token"] })).await,
        400,
        "invalid_client_metadata",
    );
    assert_error(&ask(json!([])).await, 400, "invalid_client_metadata");
    let large = app
        .nobody()
        .post("/oauth/register", json!({ "client_name": "x".repeat(100_000) }))
        .await;
    large.assert_status(413);
    let none = ask(json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post" })).await;
    assert_eq!(none.json["token_endpoint_auth_method"], "none");
    assert!(none.json.get("client_secret").is_none());
}

#[tokio::test]
async fn one_address_registers_only_so_many_clients() {
    let app = App::start().await;
    let nobody = app.nobody();
    let replies = join_all((0..25).map(|_| nobody.post("/oauth/register", json!({ "redirect_uris": [REDIRECT] })))).await;
    let refused: Vec<_> = replies.iter().filter(|reply| reply.status == 429).collect();
    assert!(!refused.is_empty());
    assert!(refused.iter().all(|reply| reply.header("retry-after").parse::<u64>().unwrap() >= 1));
    assert!(replies.iter().filter(|reply| reply.status == 201).count() >= 20);
}

#[tokio::test]
async fn a_client_that_nobody_uses_is_forgotten_after_a_month_and_told_to_register_anew() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let unused = register(&app, json!({ "redirect_uris": [REDIRECT] })).await;
    let (_, refresh) = bearer(&app, &answer);
    let mut used = refresh.to_owned();
    for (days, status, error) in [(29, 400, "invalid_grant"), (2, 401, "invalid_client")] {
        app.clock.advance(days * DAY);
        smartermcp::jobs::retain(&app.state).await.unwrap();
        let next = flow.refresh(&used).await;
        next.assert_status(200);
        next.json["refresh_token"].as_str().unwrap().clone_into(&mut used);
        let reply = post(
            &app,
            "/oauth/token",
            &[("grant_type", "refresh_token"), ("refresh_token", "x"), ("client_id", &unused)],
        )
        .await;
        assert_error(&reply, status, error);
    }
}

#[tokio::test]
async fn a_client_is_known_for_a_year_after_its_last_refresh() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, refresh) = bearer(&app, &answer);
    let mut refresh = refresh.to_owned();
    for _ in 0..3 {
        app.clock.advance(29 * DAY);
        let next = flow.refresh(&refresh).await;
        next.assert_status(200);
        next.json["refresh_token"].as_str().unwrap().clone_into(&mut refresh);
    }
    // What was granted has long ended, and is forgotten; the client still holds its id.
    for (days, status, error) in [(364, 400, "invalid_grant"), (2, 401, "invalid_client")] {
        app.clock.advance(days * DAY);
        smartermcp::jobs::retain(&app.state).await.unwrap();
        assert_error(&flow.refresh(&refresh).await, status, error);
    }
}

#[tokio::test]
async fn that_a_client_is_in_use_is_noted_once_a_day() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let mut refresh = flow.connected().await["refresh_token"].as_str().unwrap().to_owned();
    let mut noted = Vec::new();
    for hours in [1, 22, 2] {
        app.clock.advance(hours * Duration::from_secs(3600));
        let next = flow.refresh(&refresh).await;
        next.assert_status(200);
        next.json["refresh_token"].as_str().unwrap().clone_into(&mut refresh);
        let row = smartermcp::oauth::client::registered(&app.state, &flow.client_id).await.unwrap();
        noted.push(row.unwrap().used_at.unwrap());
    }
    assert!(noted[0] == noted[1] && noted[1] < noted[2], "{noted:?}");
}

#[tokio::test]
async fn who_fills_the_table_of_clients_pushes_the_oldest_unused_out_and_keeps_nobody_from_registering() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    flow.connected().await;
    let filled = app
        .sql(
            "insert into oauth_clients (id, name, redirect_uris, created_at) \
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 10000) \
             select '00000000-0000-4000-8000-' || substr('' || (100000000000 + i), 1, 12), 'x', '[\"http://localhost/cb\"]', i from n",
        )
        .await;
    assert_eq!(filled, 10_000);
    let known = async |id: &str| smartermcp::oauth::client::registered(&app.state, id).await.unwrap().is_some();
    let (oldest, next) = ("00000000-0000-4000-8000-100000000001", "00000000-0000-4000-8000-100000000002");
    assert!(known(oldest).await && known(next).await);
    let registered = register(&app, json!({ "redirect_uris": [REDIRECT] })).await;
    assert!(known(&registered).await && !known(oldest).await && known(next).await);
    assert!(known(&flow.client_id).await, "one that is in use never goes for it");
    // All of them go with one run of retention, not a thousand an hour.
    smartermcp::jobs::retain(&app.state).await.unwrap();
    assert!(!known(next).await && !known("00000000-0000-4000-8000-100000010000").await && known(&registered).await);
}

#[tokio::test]
async fn the_redirect_uris_of_a_client_are_bounded_together() {
    let app = App::start().await;
    let uris = |length: usize| vec![format!("https://app.example.cl/{}", "x".repeat(length)); 3];
    register(&app, json!({ "redirect_uris": uris(1300) })).await;
    let refused = app.nobody().post("/oauth/register", json!({ "redirect_uris": uris(1400) })).await;
    assert_error(&refused, 400, "invalid_redirect_uri");
}

// The authorization request.

#[tokio::test]
async fn a_request_without_a_client_or_its_redirect_uri_is_shown_and_sent_nowhere_rfc_6749_4_1_2_1() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    for changes in [
        &[("client_id", "")][..],
        &[("client_id", "11111111-1111-4111-8111-111111111111")],
        &[("redirect_uri", "")],
        &[("redirect_uri", "https://evil.example.cl/cb")],
        &[("redirect_uri", "http://localhost:3335/oauth/callback/../other")],
        &[("redirect_uri", "http://localhost.evil.cl:3335/oauth/callback")],
    ] {
        let reply = app.nobody().get(&format!("/oauth/authorize?{}", flow.with(changes))).await;
        assert!(reply.status.is_client_error(), "{changes:?} {}", reply.status);
        assert_eq!(reply.header("location"), "", "{changes:?}");
    }
    let twice = format!("{}&redirect_uri=https%3A%2F%2Fevil.example.cl%2F", flow.with(&[]));
    let reply = app.nobody().get(&format!("/oauth/authorize?{twice}")).await;
    assert!(reply.status.is_client_error(), "RFC 6749 §3.1: {}", reply.status);
}

#[tokio::test]
async fn a_request_that_is_wrong_is_turned_back_with_state_and_issuer() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    for (changes, error, rfc) in [
        (&[("response_type", "token")][..], "unsupported_response_type", "RFC 6749 §4.1.2.1"),
        (&[("response_type", "")], "invalid_request", "RFC 6749 §4.1.2.1"),
        (&[("code_challenge", "")], "invalid_request", "RFC 7636 §4.4.1"),
        (&[("code_challenge_method", "plain")], "invalid_request", "RFC 7636 §4.4.1"),
        (
            &[("code_challenge_method", "")],
            "invalid_request",
            "RFC 7636 §4.3: plain is the default",
        ),
        (&[("code_challenge", "too-short")], "invalid_request", "RFC 7636 §4.2"),
        (&[("resource", "")], "invalid_target", "RFC 8707 §2: missing"),
        (
            &[("resource", "https://other.example.cl/mcp")],
            "invalid_target",
            "RFC 8707 §2: unknown",
        ),
        (
            &[("resource", "http://127.0.0.1:1/mcp")],
            "invalid_target",
            "RFC 8707 §2: another port",
        ),
        (&[("scope", "read:moon mcp openid")], "invalid_scope", "RFC 6749 §4.1.2.1"),
        (&[("prompt", "none")], "interaction_required", "OpenID Connect Core §3.1.2.6"),
        (
            &[("request_uri", "https://evil.example.cl/r")],
            "request_not_supported",
            "RFC 9101 §6",
        ),
    ] {
        let told = flow.turned_back(changes).await;
        let value = |name: &str| told.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!(value("error"), Some(error), "{rfc} {changes:?}");
        assert_eq!(value("state"), Some("of the client"), "{rfc}");
        assert_eq!(value("iss"), Some(app.base().as_str()), "RFC 9207 §2");
        assert_eq!(value("code"), None);
    }
}

#[tokio::test]
async fn scopes_that_nobody_knows_are_passed_over_beside_one_that_is_known_rfc_6749_3_3() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let location = allowed(&app, &flow.pasted, &flow.with(&[("scope", "mcp read:workflows read:moon openid")])).await;
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let answer = flow.fetch(&code, &[]).await;
    answer.assert_status(200);
    assert_eq!(answer.json["scope"], "read:workflows", "and is told so");
}

#[tokio::test]
async fn a_resource_may_come_twice_and_is_told_to_be_one_too_many_rfc_8707_2() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let (own, other) = (format!("{}/mcp", app.base()), app.base());
    let query = |more: &[(&str, &str)]| format!("/oauth/authorize?{}&{}", flow.with(&[]), form(more));
    let answered = async |more: &[(&str, &str)]| {
        let reply = app.nobody().get(&query(more)).await;
        assert_eq!(reply.status, 303, "{}", reply.text);
        reply.header("location").to_owned()
    };
    for several in [&other, "https://other.example.cl/"] {
        let location = answered(&[("resource", several)]).await;
        assert!(
            location.starts_with(REDIRECT) && location.contains("error=invalid_target"),
            "{location}"
        );
        let pairs = [
            ("grant_type", "authorization_code"),
            ("client_id", &flow.client_id),
            ("code", &flow.code().await),
            ("code_verifier", VERIFIER),
            ("resource", &own),
            ("resource", several),
        ];
        assert_error(&post(&app, "/oauth/token", &pairs).await, 400, "invalid_target");
    }
    // The same one twice is one; what nobody knows may come as it likes.
    let long = "x".repeat(3000);
    let passed_over = [
        ("resource", own.as_str()),
        ("ui_locales", "es"),
        ("ui_locales", "en"),
        ("hint", &long),
    ];
    assert!(answered(&passed_over).await.starts_with("/oauth/sign-in"));
}

// Codes.

#[tokio::test]
async fn a_code_with_the_wrong_verifier_is_refused_and_gone_rfc_7636_4_6() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    let wrong = "another-verifier-of-forty-three-characters-or-more-01234";
    assert_error(&flow.fetch(&code, &[("code_verifier", wrong)]).await, 400, "invalid_grant");
    assert_error(&flow.fetch(&code, &[]).await, 400, "invalid_grant");
    assert_error(
        &flow.fetch(&flow.code().await, &[("code_verifier", "")]).await,
        400,
        "invalid_request",
    );
    assert_error(
        &flow.fetch(&flow.code().await, &[("code_verifier", &challenge())]).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn a_code_that_comes_twice_ends_what_it_became_rfc_6749_4_1_2() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    let first = flow.fetch(&code, &[]).await;
    let (user, refresh) = bearer(&app, &first.json);
    user.get("/api/v1/whoami").await.assert_status(200);
    assert_error(&flow.fetch(&code, &[]).await, 400, "invalid_grant");
    crate::daemons::until("the access token is refused", Duration::from_secs(2))
        .holds(|| async { user.get("/api/v1/whoami").await.status == 401 })
        .await;
    assert_error(&flow.refresh(refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_used_code_alone_disconnects_nobody() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    let answer = flow.fetch(&code, &[]).await.json;
    let other = "another-verifier-of-forty-three-characters-or-more-0123";
    assert_error(&flow.fetch(&code, &[("code_verifier", other)]).await, 400, "invalid_grant");
    let stranger = register(&app, json!({ "redirect_uris": [REDIRECT] })).await;
    assert_error(&fetch(&app, &stranger, &code, &[]).await, 400, "invalid_grant");
    let (_, refresh) = bearer(&app, &answer);
    flow.refresh(refresh).await.assert_status(200);
}

#[tokio::test]
async fn of_many_who_come_with_one_code_at_once_one_gets_a_token() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    let replies = join_all((0..8).map(|_| flow.fetch(&code, &[]))).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
}

#[tokio::test]
async fn a_code_lives_sixty_seconds() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    app.clock.advance(Duration::from_secs(59));
    flow.fetch(&code, &[]).await.assert_status(200);
    let code = flow.code().await;
    app.clock.advance(Duration::from_secs(60));
    assert_error(&flow.fetch(&code, &[]).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_code_of_another_client_redirect_or_resource_is_refused() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let other = register(&app, json!({ "redirect_uris": [REDIRECT] })).await;
    for (changes, error, rfc) in [
        (
            &[("client_id", other.as_str())][..],
            "invalid_grant",
            "RFC 6749 §4.1.3: another client's",
        ),
        (
            &[("redirect_uri", "http://localhost:9/oauth/callback")],
            "invalid_grant",
            "RFC 6749 §4.1.3: redirect_uri",
        ),
        (&[("resource", app.base().as_str())], "invalid_target", "RFC 8707 §2.2"),
        (&[("resource", "https://other.example.cl/")], "invalid_target", "RFC 8707 §2.2"),
    ] {
        let reply = flow.fetch(&flow.code().await, changes).await;
        assert_error(&reply, 400, error);
        println!("{rfc}: {}", reply.json["error_description"]);
    }
    let stranger = flow
        .fetch(&flow.code().await, &[("client_id", "22222222-2222-4222-8222-222222222222")])
        .await;
    assert_error(&stranger, 401, "invalid_client");
    assert_error(&flow.fetch("smcc_x", &[]).await, 400, "invalid_grant");
    assert_error(
        &flow.fetch(&flow.code().await, &[("grant_type", "password")]).await,
        400,
        "unsupported_grant_type",
    );
    assert_error(&flow.fetch(&flow.code().await, &[("grant_type", "")]).await, 400, "invalid_request");
    // Left out, they are those of the request.
    let reply = flow.fetch(&flow.code().await, &[("redirect_uri", ""), ("resource", "")]).await;
    reply.assert_status(200);
}

// Refresh tokens.

#[tokio::test]
async fn a_refresh_token_rotates_and_the_old_one_answers_with_the_same_next_for_a_minute() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, first) = bearer(&app, &answer);
    let one = flow.refresh(first).await;
    one.assert_status(200);
    assert_ne!(one.json["refresh_token"], first);
    app.clock.advance(Duration::from_secs(50));
    let again = flow.refresh(first).await;
    again.assert_status(200);
    assert_eq!(again.json["refresh_token"], one.json["refresh_token"]);
    for reply in [&one, &again] {
        let (user, _) = bearer(&app, &reply.json);
        user.get("/api/v1/whoami").await.assert_status(200);
    }
}

#[tokio::test]
async fn twenty_refreshes_at_once_all_get_the_same_next_token() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, first) = bearer(&app, &answer);
    let replies = join_all((0..20).map(|_| flow.refresh(first))).await;
    for reply in &replies {
        reply.assert_status(200);
        assert_eq!(reply.json["refresh_token"], replies[0].json["refresh_token"]);
    }
    let (user, next) = bearer(&app, &replies[19].json);
    user.get("/api/v1/whoami").await.assert_status(200);
    flow.refresh(next).await.assert_status(200);
}

#[tokio::test]
async fn a_used_refresh_token_that_comes_back_later_ends_the_family_rfc_9700_4_14_2() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, first) = bearer(&app, &answer);
    let next = flow.refresh(first).await;
    let (user, next) = bearer(&app, &next.json);
    app.clock.advance(Duration::from_secs(61));
    assert_error(&flow.refresh(first).await, 400, "invalid_grant");
    assert_error(&flow.refresh(next).await, 400, "invalid_grant");
    crate::daemons::until("the access token is refused", Duration::from_secs(2))
        .holds(|| async { user.get("/api/v1/whoami").await.status == 401 })
        .await;
}

#[tokio::test]
async fn a_refresh_narrows_scopes_and_never_widens_them_rfc_6749_6() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, first) = bearer(&app, &answer);
    let ask = |token: String, scope: &'static str| {
        let flow = &flow;
        async move {
            let pairs = [
                ("grant_type", "refresh_token"),
                ("refresh_token", &token),
                ("client_id", &flow.client_id),
                ("scope", scope),
            ];
            post(flow.app, "/oauth/token", &pairs).await
        }
    };
    let fewer = ask(first.to_owned(), "read:workflows").await;
    assert_eq!(fewer.json["scope"], "read:workflows", "{}", fewer.text);
    let next = fewer.json["refresh_token"].as_str().unwrap().to_owned();
    for beyond in ["write:services", "mcp"] {
        assert_error(&ask(next.clone(), beyond).await, 400, "invalid_scope");
    }
    let repeats = ask(next.clone(), "read:workflows write:services mcp").await;
    assert_eq!(repeats.json["scope"], "read:workflows", "{}", repeats.text);
    let habit = ask(next, "offline_access").await;
    assert_eq!(habit.json["scope"], "read:workflows write:crm", "{}", habit.text);
}

#[tokio::test]
async fn a_refresh_token_of_another_client_an_idle_one_and_an_unknown_one_are_refused() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, token) = bearer(&app, &answer);
    let other = register(&app, json!({ "redirect_uris": [REDIRECT] })).await;
    let theirs = post(
        &app,
        "/oauth/token",
        &[("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &other)],
    )
    .await;
    assert_error(&theirs, 400, "invalid_grant");
    assert_error(&flow.refresh("smcr_unknown").await, 400, "invalid_grant");
    // The stranger has not used it up.
    let next = flow.refresh(token).await;
    next.assert_status(200);
    app.clock.advance(31 * DAY);
    assert_error(
        &flow.refresh(next.json["refresh_token"].as_str().unwrap()).await,
        400,
        "invalid_grant",
    );
}

#[tokio::test]
async fn what_was_granted_with_a_token_ends_with_it_and_goes_on_with_its_successor() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (_, refresh) = bearer(&app, &answer);
    let operator = app.operator();
    let me = flow.pasted.get("/api/v1/whoami").await;
    let id = me.json["token_id"].as_str().unwrap();
    let rotated = operator
        .post(&format!("/auth/token/{id}/rotate"), json!({ "overlap_secs": 60 }))
        .await;
    rotated.assert_status(201);
    let next = flow.refresh(refresh).await;
    next.assert_status(200);
    let (user, refresh) = bearer(&app, &next.json);
    user.get("/api/v1/whoami").await.assert_status(200);
    operator
        .delete(&format!("/auth/token/{}", rotated.json["id"].as_str().unwrap()))
        .await
        .assert_status(204);
    crate::daemons::until("the access token is refused", Duration::from_secs(2))
        .holds(|| async { user.get("/api/v1/whoami").await.status == 401 })
        .await;
    assert_error(&flow.refresh(refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_token_that_is_replaced_at_once_takes_along_what_was_connected_with_it() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (user, refresh) = bearer(&app, &answer);
    let me = flow.pasted.get("/api/v1/whoami").await;
    let path = format!("/auth/token/{}/rotate", me.json["token_id"].as_str().unwrap());
    app.operator().post(&path, json!({ "overlap_secs": 0 })).await.assert_status(201);
    crate::daemons::until("the access token is refused", Duration::from_secs(2))
        .holds(|| async { user.get("/api/v1/whoami").await.status == 401 })
        .await;
    assert_error(&flow.refresh(refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn an_access_token_ends_with_the_token_that_it_was_allowed_with() {
    let app = App::start().await;
    let mut flow = Flow::start(&app, "luna").await;
    flow.pasted = app.user_with(&flow.tenant, BUSINESS, json!({ "expires_in": 120 })).await;
    let answer = flow.connected().await;
    assert!(answer["expires_in"].as_i64().unwrap() <= 120, "{answer}");
    app.clock.advance(Duration::from_secs(90));
    let refreshed = flow.refresh(answer["refresh_token"].as_str().unwrap()).await;
    refreshed.assert_status(200);
    assert!(refreshed.json["expires_in"].as_i64().unwrap() <= 30, "{}", refreshed.text);
    let (user, _) = bearer(&app, &refreshed.json);
    user.get("/api/v1/whoami").await.assert_status(200);
    app.clock.advance(Duration::from_secs(30));
    user.get("/api/v1/whoami").await.assert_status(401);
}

#[tokio::test]
async fn what_was_granted_for_another_url_of_this_gateway_is_asked_for_anew() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    app.sql("update grants set resource = 'https://mcp.before.example.cl/mcp'").await;
    let (_, refresh) = bearer(&app, &answer);
    assert_error(&flow.refresh(refresh).await, 400, "invalid_grant");
}

#[tokio::test]
async fn an_application_that_refreshes_without_end_is_slowed_down() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let mut answer = flow.connected().await;
    for refreshes in 0.. {
        let reply = flow.refresh(answer["refresh_token"].as_str().unwrap()).await;
        if reply.status != 200 {
            assert_error(&reply, 429, "temporarily_unavailable");
            assert_eq!((refreshes, reply.header("retry-after")), (30, "60"));
            break;
        }
        answer = reply.json;
    }
    // What it has goes on.
    bearer(&app, &answer).0.get("/api/v1/whoami").await.assert_status(200);
}

#[tokio::test]
async fn codes_that_were_made_before_do_not_connect_more_applications_than_one_may_have() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let code = flow.code().await;
    let me = flow.pasted.get("/api/v1/whoami").await;
    let (tenant, giver, now) = (&flow.tenant.id, me.json["token_id"].as_str().unwrap(), app.clock.millis());
    for (number, used_at) in (0..51).map(|number| (number, if number == 0 { 0 } else { now })) {
        let statement = format!(
            "insert into grants (id, tenant_id, client_id, client_name, resource, scopes, granted_by, created_at, used_at, expires_at) \
             values ('{number}', '{tenant}', 'c', 'C', 'r', 'read:workflows', 'token/{giver}', 0, {used_at}, {now} + 1000000)"
        );
        app.sql(String::leak(statement)).await;
    }
    assert_error(&flow.fetch(&code, &[]).await, 400, "invalid_grant");
    // One that nobody has used for so long that it cannot come back does not count.
    app.sql("update grants set used_at = 1 where id = '50'").await;
    flow.connected().await;
}

#[tokio::test]
async fn a_suspended_tenants_applications_neither_call_nor_refresh() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answer = flow.connected().await;
    let (user, refresh) = bearer(&app, &answer);
    let path = format!("/api/v1/tenants/{}", flow.tenant.id);
    app.operator()
        .patch(&path, json!({ "status": "suspended" }))
        .await
        .assert_status(200);
    user.get("/api/v1/whoami").await.assert_status(404);
    assert_error(&flow.refresh(refresh).await, 400, "invalid_grant");
}

// Revocation.

#[tokio::test]
async fn an_application_gives_back_what_it_was_granted_rfc_7009() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    for name in ["refresh_token", "access_token"] {
        let answer = flow.connected().await;
        let (user, refresh) = bearer(&app, &answer);
        let token = answer[name].as_str().unwrap();
        let stranger = register(&app, json!({ "redirect_uris": [REDIRECT] })).await;
        let refused = post(&app, "/oauth/revoke", &[("token", token), ("client_id", &stranger)]).await;
        assert_error(&refused, 400, "invalid_client");
        user.get("/api/v1/whoami").await.assert_status(200);
        post(&app, "/oauth/revoke", &[("token", token), ("client_id", &flow.client_id)])
            .await
            .assert_status(200);
        crate::daemons::until("the access token is refused", Duration::from_secs(2))
            .holds(|| async { user.get("/api/v1/whoami").await.status == 401 })
            .await;
        assert_error(&flow.refresh(refresh).await, 400, "invalid_grant");
    }
    post(&app, "/oauth/revoke", &[("token", "smcr_unknown"), ("client_id", &flow.client_id)])
        .await
        .assert_status(200);
    assert_error(
        &post(&app, "/oauth/revoke", &[("client_id", &flow.client_id)]).await,
        400,
        "invalid_request",
    );
}

#[tokio::test]
async fn who_gives_back_tokens_that_nobody_has_is_shut_out() {
    let app = App::start().await;
    for (path, pairs) in [
        ("/oauth/revoke", [("token", "smcr_unknown"), ("client_id", "whoever")]),
        ("/oauth/token", [("grant_type", "refresh_token"), ("client_id", "whoever")]),
    ] {
        let app = App::start().await;
        let mut statuses = Vec::new();
        for _ in 0..150 {
            statuses.push(post(&app, path, &pairs).await.status.as_u16());
            if statuses.last() == Some(&429) {
                break;
            }
        }
        assert!(statuses.len() > 30 && statuses.last() == Some(&429), "{path}: {statuses:?}");
    }
    let large = form(&[("token", &"a".repeat(70_000))]);
    for path in ["/oauth/revoke", "/oauth/token", "/oauth/register"] {
        assert_error(
            &app.nobody().raw(Method::POST, path, FORM, large.clone()).await,
            413,
            "invalid_request",
        );
    }
}

#[tokio::test]
async fn what_is_connected_and_what_ends_is_in_the_audit() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let given_back = flow.connected().await;
    let (user, _) = bearer(&app, &given_back);
    let id = async |user: &User| user.get("/api/v1/whoami").await.json["token_id"].clone();
    let (giver, application) = (id(&flow.pasted).await, id(&user).await);
    let refresh = given_back["refresh_token"].as_str().unwrap();
    post(&app, "/oauth/revoke", &[("token", refresh), ("client_id", &flow.client_id)])
        .await
        .assert_status(200);
    let code = flow.code().await;
    flow.fetch(&code, &[]).await.assert_status(200);
    assert_error(&flow.fetch(&code, &[]).await, 400, "invalid_grant");

    let connected = app.audited(&flow.tenant, "applications_connect").await;
    assert_eq!(connected.len(), 2, "{connected:?}");
    for entry in &connected {
        assert_eq!(entry["token"], giver, "{entry}");
        assert_eq!((&entry["door"], &entry["outcome"]), (&json!("oauth"), &json!("ok")), "{entry}");
    }
    let revoked = app.audited(&flow.tenant, "applications_revoke").await;
    let revoked: Vec<_> = revoked.iter().map(|entry| entry["token"].clone()).collect();
    assert_eq!(revoked, [json!("gateway"), application], "newest first");
}

// Client ID Metadata Documents.

/// A server of client documents, played: what it answers is made from its own address.
pub async fn documents(answer: impl Fn(&str) -> axum::response::Response + Clone + Send + Sync + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let id = format!("http://{address}/client.json");
    let asked = Arc::new(AtomicUsize::new(0));
    let (own, counted) = (id.clone(), Arc::clone(&asked));
    let router = Router::new().route(
        "/client.json",
        get(move || async move {
            counted.fetch_add(1, Ordering::Relaxed);
            answer(&own)
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    (id, asked)
}

fn document(id: &str) -> Value {
    json!({ "client_id": id, "client_name": "An editor", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none" })
}

#[tokio::test]
async fn a_client_with_a_metadata_document_needs_no_registration_and_is_fetched_once() {
    let app = App::start().await;
    let (id, asked) = documents(|id| axum::Json(document(id)).into_response()).await;
    let mut flow = Flow::start(&app, "luna").await;
    flow.client_id = id;
    for _ in 0..2 {
        let answer = flow.connected().await;
        let (user, refresh) = bearer(&app, &answer);
        user.get("/api/v1/whoami").await.assert_status(200);
        flow.refresh(refresh).await.assert_status(200);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_client_that_would_sign_assertions_connects_as_a_public_one() {
    let app = App::start().await;
    let (id, _) = documents(|id| {
        let mut document = document(id);
        document["token_endpoint_auth_method"] = json!("private_key_jwt");
        document["jwks_uri"] = json!(format!("{id}/jwks"));
        axum::Json(document).into_response()
    })
    .await;
    let mut flow = Flow::start(&app, "luna").await;
    flow.client_id = id;
    let assertion = [
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &*"a.b.".repeat(200)),
    ];
    let reply = flow.fetch(&flow.code().await, &assertion).await;
    reply.assert_status(200);
    let (user, refresh) = bearer(&app, &reply.json);
    user.get("/api/v1/whoami").await.assert_status(200);
    flow.refresh(refresh).await.assert_status(200);
    // It is PKCE that binds the code.
    let wrong = [("code_verifier", "another-verifier-of-forty-three-characters-or-more-01234")];
    assert_error(&flow.fetch(&flow.code().await, &wrong).await, 400, "invalid_grant");
}

#[tokio::test]
async fn a_document_that_is_wrong_is_shown_and_leads_nowhere() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    type Answer = fn(&str) -> axum::response::Response;
    let answers: [(&str, Answer); 8] = [
        ("redirects", |_| {
            (http::StatusCode::FOUND, [("location", "http://169.254.169.254/latest/meta-data")]).into_response()
        }),
        ("longer than 64 KiB", |_| "x".repeat(10 * 1024 * 1024).into_response()),
        ("another client_id", |_| {
            axum::Json(document("https://other.example.cl/client.json")).into_response()
        }),
        ("no JSON", |_| "<html>".into_response()),
        ("client_name", |id| {
            axum::Json(json!({ "client_id": id, "redirect_uris": [REDIRECT] })).into_response()
        }),
        ("redirect_uris", |id| {
            axum::Json(json!({ "client_id": id, "client_name": "x", "redirect_uris": ["http://evil.example.cl/"] })).into_response()
        }),
        ("secret", |id| {
            axum::Json(json!({ "client_id": id, "client_name": "x", "redirect_uris": [REDIRECT], "client_secret": "s" })).into_response()
        }),
        ("answered 500", |_| http::StatusCode::INTERNAL_SERVER_ERROR.into_response()),
    ];
    for (says, answer) in answers {
        let (id, _) = documents(answer).await;
        let reply = app
            .nobody()
            .get(&format!("/oauth/authorize?{}", flow.with(&[("client_id", &id)])))
            .await;
        assert!(reply.status.is_client_error(), "{says}: {} {}", reply.status, reply.text);
        assert_eq!(reply.header("location"), "");
        assert!(reply.text.contains(says), "{says}: {}", reply.text);
    }
}

#[tokio::test]
async fn slow_documents_hold_up_no_more_than_two_places_of_one_address_and_the_others_wait_their_turn() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let gate = Arc::new(tokio::sync::Semaphore::new(0));
    let (of_one, of_others) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let serve = |id: String, asked: &Arc<AtomicUsize>| {
        let (gate, asked) = (Arc::clone(&gate), Arc::clone(asked));
        get(move || async move {
            asked.fetch_add(1, Ordering::Relaxed);
            drop(gate.acquire().await);
            axum::Json(document(&id))
        })
    };
    let router = Router::new()
        .route("/one.json", serve(format!("{base}/one.json"), &of_one))
        .route("/others.json", serve(format!("{base}/others.json"), &of_others));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let check = |name: &str, address: [u8; 4]| {
        let query = flow.with(&[("client_id", &format!("{base}/{name}.json"))]);
        let state = Arc::clone(&app.state);
        async move { smartermcp::oauth::request::check(&state, &query, address.into()).await }
    };
    let ones = (0..6).map(|_| check("one", [192, 0, 2, 1]));
    let others = (0..40).map(|i| check("others", [198, 51, 100, i]));
    let (ones, others) = (join_all(ones), join_all(others));
    let opens = async {
        crate::daemons::until("all places are taken", Duration::from_secs(4))
            .holds(|| async { of_one.load(Ordering::Relaxed) + of_others.load(Ordering::Relaxed) == 32 })
            .await;
        let taken = of_one.load(Ordering::Relaxed);
        gate.add_permits(1000);
        taken
    };
    let (ones, others, taken) = tokio::join!(ones, others, opens);
    assert_eq!(taken, 2);
    for checked in ones.into_iter().chain(others) {
        checked.unwrap();
    }
}

#[tokio::test]
async fn a_document_that_cannot_be_fetched_again_serves_an_hour_longer_and_one_that_is_gone_does_not() {
    let app = App::start().await;
    let flow = Flow::start(&app, "luna").await;
    let answers = Arc::new(AtomicUsize::new(200));
    let now = Arc::clone(&answers);
    let (id, asked) = documents(move |id| match now.load(Ordering::Relaxed) {
        200 => axum::Json(document(id)).into_response(),
        status => http::StatusCode::from_u16(status.try_into().unwrap()).unwrap().into_response(),
    })
    .await;
    let path = format!("/oauth/authorize?{}", flow.with(&[("client_id", &id)]));
    let ask = async || app.nobody().get(&path).await.status.as_u16();
    let minutes = |minutes: u32| app.clock.advance(minutes * Duration::from_secs(60));
    assert_eq!(ask().await, 303, "to sign in");
    answers.store(500, Ordering::Relaxed);
    minutes(61);
    assert_eq!((ask().await, ask().await), (303, 303));
    assert_eq!(asked.load(Ordering::Relaxed), 2, "tried again a minute later at the earliest");
    minutes(60);
    assert_eq!(ask().await, 404, "for an hour and no longer");
    answers.store(200, Ordering::Relaxed);
    assert_eq!(ask().await, 303);
    answers.store(404, Ordering::Relaxed);
    minutes(61);
    assert_eq!(ask().await, 404, "its server took it away");
}

#[tokio::test]
async fn a_document_inside_a_private_network_is_not_fetched() {
    let app = App::with(|config| config.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let flow = Flow::start(&app, "luna").await;
    let (id, asked) = documents(|id| axum::Json(document(id)).into_response()).await;
    // Every name of a test leads to 127.0.0.1: as if a stranger's had been bent to.
    let named = id.replace("http://127.0.0.1", "https://client.example.cl");
    for id in [
        id.as_str(),
        &named,
        "https://169.254.169.254/client.json",
        "https://10.0.0.1/client.json",
        "https://[::1]/client.json",
        "https://localhost/client.json",
    ] {
        let reply = app
            .nobody()
            .get(&format!("/oauth/authorize?{}", flow.with(&[("client_id", id)])))
            .await;
        assert!(reply.status.is_client_error(), "{id}: {}", reply.status);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

// A restart and a second replica in the middle.

#[tokio::test]
async fn a_flow_goes_on_after_a_restart_at_each_of_its_steps() {
    let app = App::start().await;
    let port = app.address;
    let flow = Flow::start(&app, "luna").await;
    let (code, client_id, pasted) = (flow.code().await, flow.client_id.clone(), flow.pasted.token.clone());
    let folder = app.stop().await;
    let again = |folder| App::in_folder(folder, move |config| config.listen = port, backends::catalogue());
    let app = again(folder).await;
    let answer = fetch(&app, &client_id, &code, &[]).await;
    answer.assert_status(200);
    let folder = app.stop().await;
    let app = again(folder).await;
    let (user, refresh) = bearer(&app, &answer.json);
    user.get("/api/v1/whoami").await.assert_status(200);
    let next = post(
        &app,
        "/oauth/token",
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &client_id),
        ],
    )
    .await;
    next.assert_status(200);
    app.user_of(&pasted).get("/api/v1/whoami").await.assert_status(200);
}

#[tokio::test]
async fn each_step_of_a_flow_may_meet_another_replica() {
    if !servers::given() {
        return;
    }
    let first = App::with(|config| config.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let second = first.replica().await;
    let flow = Flow::start(&first, "luna").await;
    let location = allowed(&second, &flow.pasted, &flow.with(&[("resource", "https://mcp.example.cl/mcp")])).await;
    let code = location.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    let answer = fetch(&first, &flow.client_id, &code, &[("resource", "https://mcp.example.cl/mcp")]).await;
    answer.assert_status(200);
    let (_, refresh) = bearer(&first, &answer.json);
    let next = post(
        &second,
        "/oauth/token",
        &[
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh),
            ("client_id", &flow.client_id),
        ],
    )
    .await;
    next.assert_status(200);
    let (user, _) = bearer(&first, &next.json);
    user.get("/api/v1/whoami").await.assert_status(200);
    let (_, refresh) = bearer(&first, &next.json);
    post(&second, "/oauth/revoke", &[("token", refresh), ("client_id", &flow.client_id)])
        .await
        .assert_status(200);
    crate::daemons::until("the other replica refuses", Duration::from_secs(2))
        .holds(|| async { user.get("/api/v1/whoami").await.status == 401 })
        .await;
}

/// A member pastes a token, and allows all that is asked; where his browser is sent.
pub async fn allowed(app: &App, pasted: &User, query: &str) -> Url {
    use smartermcp::oauth::{
        grant::{self, GrantedBy, Grantor},
        request,
    };
    let asked = request::check(&app.state, query, [127, 0, 0, 1].into()).await.unwrap();
    let me = app.user_of(&pasted.token).get("/api/v1/whoami").await;
    let tenant = smartermcp::auth::named_tenant(&app.state, me.json["tenant_id"].as_str().unwrap())
        .await
        .unwrap();
    let grantor = Grantor {
        tenant,
        by: GrantedBy::Token(me.json["token_id"].as_str().unwrap().parse().unwrap()),
        name: "test".to_owned(),
        scopes: smartermcp::auth::Scopes::business(),
        agent: None,
        limits: None,
        until: i64::MAX,
    };
    grant::allow(&app.state, &asked, &grantor, asked.scopes).await.unwrap()
}
