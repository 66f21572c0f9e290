//! The pages: who signs in and how, what he sees of an application that asks, what he can give it, and how it ends.

use std::time::Duration;

use axum::response::IntoResponse as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Method;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use smartermcp::{auth::token, backends};

use crate::{
    app::{App, BUSINESS, OPERATOR, Tenant, User, folder_holds},
    browser::{Application, Browser, Page},
    cli,
    oauth::documents,
    servers,
    vendors::openid::{Provider, Signs},
};

const ASKED: &str = "read:workflows write:workflows read:crm";
/// What gateways with a provider call themselves, wherever they are asked.
const PUBLIC: &str = "http://localhost:8080";
const HOUR: Duration = Duration::from_secs(3600);

/// A gateway with an OpenID provider.
async fn with_provider() -> (App, Provider) {
    let provider = Provider::start().await;
    let config = provider.config();
    let app = App::with(|set| {
        set.public_url = Some(PUBLIC.parse().unwrap());
        set.openid = Some(config);
    })
    .await;
    (app, provider)
}

/// A tenant's token, and an application that asks for access.
async fn business(app: &App) -> (Tenant, User, Application) {
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, BUSINESS).await;
    (tenant, user, Application::register(app, "MCP CLI Proxy").await)
}

async fn invite(app: &App, tenant: &Tenant, email: &str, scopes: &[&str]) -> Value {
    let invited = app
        .operator()
        .post(
            "/api/v1/members",
            json!({ "email": email, "scopes": scopes, "tenant_id": tenant.id }),
        )
        .await;
    invited.assert_status(201);
    invited.json
}

/// By the provider, as whoever it says; where the browser arrives.
async fn by_openid(browser: &Browser, provider: &Provider, request: &str) -> Page {
    let form = browser.follow(browser.get(&format!("/oauth/authorize?{request}")).await, "").await;
    form.assert_status(200);
    let link = form
        .text
        .split("href=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&#38;", "&");
    browser.follow(browser.get(&link).await, provider.base()).await
}

/// The callback that the provider sends the browser to, not followed yet.
async fn callback(browser: &Browser) -> String {
    let leave = browser.get("/oauth/sign-in/openid").await;
    leave.assert_status(303);
    let back = browser.get(leave.header("location")).await;
    back.header("location").to_owned()
}

#[track_caller]
fn assert_is_consent(page: &Page) {
    page.assert_status(200).assert_says("Connect this application?");
}

/// A page that goes on to the application by itself, and lets nobody else know what it tells it.
#[track_caller]
fn assert_leads_back(page: &Page, to: &str) {
    page.assert_status(200);
    assert!(page.leads_to().starts_with(to), "{:?} {}", page.headers, page.text);
    assert_eq!(page.header("location"), "");
    assert_eq!(page.header("referrer-policy"), "no-referrer");
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(
        page.header("content-security-policy")
            .contains("; form-action 'self'; frame-ancestors 'none'")
    );
    assert!(!page.text.contains("<form") && !page.text.contains("<script"), "{}", page.text);
}

#[track_caller]
fn assert_is_sign_in(page: &Page) {
    page.assert_status(200).assert_says("Access token");
}

/// Refused, and nobody is signed in.
#[track_caller]
fn assert_out(page: &Page, status: u16, says: &str) {
    page.assert_status(status).assert_says(says);
    assert!(
        !page.set_cookies().iter().any(|cookie| cookie.starts_with("smartermcp=s")),
        "{:?}",
        page.headers
    );
}

// Signing in with a token, and consent.

#[tokio::test]
async fn a_member_pastes_a_token_sees_who_asks_for_what_and_allows_it() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    assert_is_consent(&page);
    for said in [
        "MCP CLI Proxy",
        "nobody has verified it",
        "127.0.0.1:33418",
        "any program on this device can pretend to be this application",
        "luna",
        "with the token «test»",
        "See, create and run your workflows",
        "See your contacts and sales opportunities",
        "at the latest",
    ] {
        page.assert_says(said);
    }
    assert_eq!(
        page.offered(),
        ["read:workflows", "write:workflows", "read:crm"].map(|scope| (scope.to_owned(), true))
    );
    let sent = browser
        .decide(&page, "allow", &["read:workflows", "write:workflows", "read:crm"])
        .await;
    assert_leads_back(&sent, "http://127.0.0.1:33418/callback?");
    sent.assert_says("127.0.0.1:33418").assert_says("a program on this device");
    assert_eq!(sent.leads_with("state").unwrap(), "state of the application");
    assert_eq!(sent.leads_with("iss").unwrap(), app.base(), "RFC 9207 §2");
    let tokens = application.exchange(&app, &sent).await;
    tokens.assert_status(200);
    assert_eq!(tokens.json["scope"], ASKED);
    // Signed in, the next application is decided on at once.
    let other = Application::register(&app, "Editor").await;
    assert_is_consent(&browser.get(&format!("/oauth/authorize?{}", other.request(ASKED))).await);
}

#[tokio::test]
async fn fewer_scopes_than_were_asked_for_can_be_allowed() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    let none = browser.decide(&page, "allow", &[]).await;
    none.assert_status(422).assert_says("You have ticked nothing");
    assert!(none.offered().iter().all(|(_, ticked)| !ticked));
    let sent = browser.decide(&none, "allow", &["read:crm"]).await;
    let tokens = application.exchange(&app, &sent).await;
    assert_eq!(tokens.assert_status(200).json["scope"], "read:crm");
}

#[tokio::test]
async fn what_the_token_does_not_hold_is_shown_as_such_and_cannot_be_given() {
    let app = App::start().await;
    let (tenant, _, application) = business(&app).await;
    let weak = app.user(&tenant, &["write:crm"]).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&weak.token, &application.request(ASKED)).await;
    // read:crm is included in write:crm.
    assert_eq!(page.offered(), [("read:crm".to_owned(), true)]);
    page.assert_says("you cannot give it")
        .assert_says("See, create and run your workflows");
    for scopes in [
        &["read:workflows"][..],
        &["read:crm", "read:workflows"],
        // Held, and not asked for.
        &["write:crm"],
        &["admin:tenants"],
        &["read:moon"],
    ] {
        let refused = browser.decide(&page, "allow", scopes).await;
        assert!(
            refused.status.is_client_error(),
            "{scopes:?}: {} {:?}",
            refused.status,
            refused.headers
        );
        assert_eq!((refused.header("location"), refused.leads_to().as_str()), ("", ""));
    }
    let nothing = browser.get(&format!("/oauth/authorize?{}", application.request("read:bots"))).await;
    nothing.assert_says("you cannot give it");
    assert!(!nothing.text.contains(r#"value="allow""#), "{}", nothing.text);
    assert_leads_back(&browser.decide(&nothing, "deny", &[]).await, "http://127.0.0.1:33418/callback?");
}

#[tokio::test]
async fn administration_is_offered_to_its_holder_and_ticked_by_hand() {
    let app = App::start().await;
    let (tenant, user, application) = business(&app).await;
    let admin = app.user(&tenant, &["admin:tenants", "read:crm"]).await;
    let request = application.request("read:crm admin:tenants");
    let browser = Browser::new(&app);
    let page = browser.sign_in(&admin.token, &request).await;
    assert_eq!(page.offered(), [("read:crm".to_owned(), true), ("admin:tenants".to_owned(), false)]);
    let page = Browser::new(&app).sign_in(&user.token, &request).await;
    assert_eq!(page.offered(), [("read:crm".to_owned(), true)]);
}

#[tokio::test]
async fn a_member_refuses_and_the_application_is_told() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    let sent = browser.decide(&page, "deny", &["read:crm"]).await;
    assert_leads_back(&sent, "http://127.0.0.1:33418/callback?");
    sent.assert_says("You refused");
    assert_eq!(sent.leads_with("error").unwrap(), "access_denied", "RFC 6749 §4.1.2.1");
    assert_eq!(sent.leads_with("state").unwrap(), "state of the application");
    assert_eq!(sent.leads_with("iss").unwrap(), app.base());
    assert_eq!(sent.leads_with("code"), None);
}

#[tokio::test]
async fn an_application_on_the_web_is_shown_by_its_host_and_without_the_warning_for_local_ones() {
    let app = App::start().await;
    let (_, user, _) = business(&app).await;
    let web = Application::register_at(&app, "Agenda", "https://agenda.example:8443/cb").await;
    let page = Browser::new(&app).sign_in(&user.token, &web.request("read:crm")).await;
    page.assert_says("agenda.example:8443");
    assert!(!page.text.contains("any program on this device"), "{}", page.text);
    let editor = Application::register_at(&app, "Editor", "cursor://anysphere.cursor/cb").await;
    let page = Browser::new(&app).sign_in(&user.token, &editor.request("read:crm")).await;
    page.assert_says("cursor:").assert_says("any program on this device");
}

#[tokio::test]
async fn who_returns_to_this_device_is_warned_of_though_a_site_vouches_for_the_name() {
    let app = App::start().await;
    let (_, user, mut editor) = business(&app).await;
    let uris = ["https://editor.example/redirect", "http://127.0.0.1/"];
    let (id, _) =
        documents(move |id| axum::Json(json!({ "client_id": id, "client_name": "Editor", "redirect_uris": uris })).into_response()).await;
    editor.client_id = id;
    for (redirect_uri, warned) in [("https://editor.example/redirect", false), ("http://127.0.0.1:51004/", true)] {
        redirect_uri.clone_into(&mut editor.redirect_uri);
        let page = Browser::new(&app).sign_in(&user.token, &editor.request("read:crm")).await;
        assert_is_consent(&page);
        page.assert_says("where it is described");
        for warning in ["any program on this device can pretend", "it cannot know which program"] {
            assert_eq!(page.read().contains(warning), warned, "{redirect_uri}: {}", page.text);
        }
    }
}

#[tokio::test]
async fn a_decision_leads_back_by_a_page_of_its_own_that_no_policy_for_forms_holds_up() {
    let app = App::start().await;
    let (_, user, _) = business(&app).await;
    let browser = Browser::new(&app);
    browser.sign_in_alone(&user.token).await;
    for (redirect_uri, shown, leads) in [
        // Some of these go on from there: to claude://, for example, which a form could not.
        (
            "https://agenda.example:8443/cb",
            "agenda.example:8443",
            "https://agenda.example:8443/cb?",
        ),
        ("cursor://anysphere.cursor/cb", "cursor:", "cursor://anysphere.cursor/cb?"),
        // With what would end an attribute, or begin another address.
        (
            "https://agenda.example/c;url='x'/?a=%22&b=<c>",
            "agenda.example",
            "https://agenda.example/c;url='x'/?a=%22&b=%3Cc%3E&",
        ),
    ] {
        let application = Application::register_at(&app, "Agenda", redirect_uri).await;
        let request = application.request("read:crm");
        for (decision, tells) in [("allow", "code"), ("deny", "error")] {
            let page = browser.get(&format!("/oauth/authorize?{request}")).await;
            let sent = browser.decide(&page, decision, &["read:crm"]).await;
            assert_leads_back(&sent, leads);
            assert!(sent.leads_with(tells).is_some(), "{}", sent.text);
            sent.assert_says(shown);
            let link = sent
                .text
                .split("<a class=\"button\" href=\"")
                .nth(1)
                .unwrap()
                .split('"')
                .next()
                .unwrap();
            assert!(
                sent.text.contains(&format!(r#"content="0;url={link}""#)),
                "the link leads there too: {}",
                sent.text
            );
        }
    }
}

#[tokio::test]
async fn what_an_application_calls_itself_is_text_and_nothing_else() {
    let app = App::start().await;
    let (_, user, _) = business(&app).await;
    let name = r#"</strong><script>alert(1)</script><form action="https://evil.example"> "x" & 'y'"#;
    let evil = Application::register(&app, name).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &evil.request("read:crm")).await;
    assert_is_consent(&page);
    page.assert_says(name);
    assert!(
        !page.text.contains("<script") && !page.text.contains("evil.example\">"),
        "{}",
        page.text
    );
    // The request is shown again in a hidden field: its own text is no markup either.
    let request = format!("{}&x=%22%3E%3Cscript%3E", evil.request("read:crm"));
    let page = browser.get(&format!("/oauth/authorize?{request}")).await;
    assert_eq!(page.fields("request")[0], request);
    assert!(!page.text.contains("<script"));
}

#[tokio::test]
async fn a_tokens_agent_goes_on_to_what_it_connects_and_the_page_says_so() {
    let app = App::start().await;
    let (tenant, _, application) = business(&app).await;
    let codex = app.user_with(&tenant, BUSINESS, json!({ "agent": "codex" })).await;
    let page = Browser::new(&app).sign_in(&codex.token, &application.request(ASKED)).await;
    page.assert_says("only the tools of the agent").assert_says("codex");
}

#[tokio::test]
async fn a_token_that_does_not_work_signs_nobody_in_and_is_not_shown_again() {
    let app = App::start().await;
    let (tenant, user, _) = business(&app).await;
    let expired = app.user_with(&tenant, BUSINESS, json!({ "expires_in": 1 })).await.token;
    let revoked = app.issue(&tenant, BUSINESS, json!({})).await;
    let path = format!("/auth/token/{}", revoked["id"].as_str().unwrap());
    app.operator().delete(&path).await.assert_status(204);
    app.clock.advance(Duration::from_secs(2));
    let browser = Browser::new(&app);
    for wrong in [
        "",
        "hello",
        "two words",
        "línea",
        "a.b.c",
        &user.token[..user.token.len() - 1],
        &token::generate(),
        &expired,
        revoked["api_token"].as_str().unwrap(),
        "x\r\nSet-Cookie: a=b",
    ] {
        let page = browser.sign_in_alone(wrong).await;
        assert_out(&page, 403, "This token does not work");
        assert!(wrong.len() < 6 || !page.text.contains(wrong.trim()), "{wrong}");
        assert!(page.text.contains(r#"aria-invalid="true""#) && page.text.contains(r#"role="alert""#));
    }
    let operator = browser.sign_in_alone(OPERATOR).await;
    assert_out(&operator, 403, "This is the operator's token");
    assert!(!operator.text.contains(OPERATOR));
    // What is pasted with blanks around it is what was meant.
    browser
        .sign_in_alone(&format!("  {}\n", user.token))
        .await
        .assert_says("Connected applications");
}

#[tokio::test]
async fn who_tries_too_many_tokens_is_shut_out_as_everywhere() {
    let app = App::start().await;
    let (_, user, _) = business(&app).await;
    let browser = Browser::new(&app);
    let mut tried = 0;
    let refused = loop {
        let page = browser.sign_in_alone(&token::generate()).await;
        if page.status == 429 {
            break page;
        }
        assert_out(&page, 403, "This token does not work");
        tried += 1;
        assert!(tried < 60, "it never ends");
    };
    assert!(tried >= 25, "{tried}");
    assert_out(&refused, 429, "Too many attempts");
    assert!(!refused.header("retry-after").is_empty());
    // Then not even one that works is looked up.
    let (csrf, token) = (refused.field("csrf"), user.token.as_str());
    let right = browser.post("/oauth/sign-in", &[("csrf", &csrf), ("token", token)]).await;
    assert_out(&right, 429, "Too many attempts");
}

#[tokio::test]
async fn what_was_pasted_is_nowhere_afterwards() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let form = browser
        .follow(browser.get(&format!("/oauth/authorize?{}", application.request(ASKED))).await, "")
        .await;
    let (csrf, request) = (form.field("csrf"), form.field("request"));
    let sent = browser
        .post("/oauth/sign-in", &[("csrf", &csrf), ("request", &request), ("token", &user.token)])
        .await;
    sent.assert_status(303);
    let page = browser.follow(sent, "").await;
    let decided = browser.decide(&page, "allow", &["read:crm"]).await;
    for answer in [&page, &decided] {
        assert!(!answer.text.contains("smcp_") && !format!("{:?}", answer.headers).contains("smcp_"));
    }
    // Neither is the session, nor the code.
    let cookie = &browser.cookies()["smartermcp"];
    for secret in [user.token.as_str(), cookie, &decided.leads_with("code").unwrap()] {
        assert!(!folder_holds(app.folder(), secret).await, "{secret}");
    }
}

#[tokio::test]
async fn a_suspended_tenants_token_signs_nobody_in() {
    let app = App::start().await;
    let (tenant, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    app.operator()
        .patch(&format!("/api/v1/tenants/{}", tenant.id), json!({ "status": "suspended" }))
        .await
        .assert_status(200);
    assert_out(&Browser::new(&app).sign_in_alone(&user.token).await, 403, "suspended");
    let decided = browser.decide(&page, "allow", &["read:crm"]).await;
    assert!(decided.header("location").starts_with("/oauth/sign-in"), "{:?}", decided.headers);
}

// Sessions.

#[tokio::test]
async fn cookies_are_the_hosts_own_and_no_script_reads_them() {
    let app = App::start().await;
    let (_, user, _) = business(&app).await;
    let browser = Browser::new(&app);
    let form = browser.get("/oauth/sign-in").await;
    let pre = form.set_cookies()[0].to_owned();
    assert!(pre.starts_with("smartermcp-pre=smcb_"), "{pre}");
    let sent = browser
        .post("/oauth/sign-in", &[("csrf", &form.field("csrf")), ("token", &user.token)])
        .await;
    let session = sent.set_cookies()[0].to_owned();
    assert!(session.starts_with("smartermcp=smcs_"), "{session}");
    for cookie in [pre, session] {
        for flag in ["; Path=/;", "; HttpOnly", "; SameSite=Lax", "; Max-Age="] {
            assert!(cookie.contains(flag), "{cookie}");
        }
        assert!(
            !cookie.contains("Secure") && !cookie.contains("Domain"),
            "http on this machine: {cookie}"
        );
    }

    let app = App::with(|set| set.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    assert_is_consent(&page);
    let cookies = browser.cookies();
    assert!(cookies.keys().eq(["__Host-smartermcp"]), "the other one is cleared: {cookies:?}");
    let form = Browser::new(&app).get("/oauth/sign-in").await;
    assert!(form.set_cookies()[0].starts_with("__Host-smartermcp-pre="));
    assert!(form.set_cookies()[0].contains("; Secure"));
    // A name that another host of the domain could set is not looked at.
    let bent = Browser::new(&app);
    bent.set_cookie("smartermcp", &cookies["__Host-smartermcp"]);
    assert_is_sign_in(&bent.follow(bent.get("/oauth/applications").await, "").await);
    assert_leads_back(
        &browser.decide(&page, "allow", &["read:crm"]).await,
        "http://127.0.0.1:33418/callback?",
    );
}

#[tokio::test]
async fn a_session_ends_after_eight_hours() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    app.clock.advance(8 * HOUR - Duration::from_secs(30));
    assert_is_consent(&browser.get(&format!("/oauth/authorize?{}", application.request(ASKED))).await);
    app.clock.advance(Duration::from_secs(31));
    let decided = browser.decide(&page, "allow", &["read:crm"]).await;
    assert!(
        decided.header("location").starts_with("/oauth/sign-in?request="),
        "{:?}",
        decided.headers
    );
    // The request is not lost with it.
    let form = browser.follow(decided, "").await;
    assert_eq!(form.field("request"), application.request(ASKED));
}

#[tokio::test]
async fn signing_out_ends_the_session_whatever_the_browser_keeps() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    let kept = browser.copy();
    let csrf = page.fields("csrf").pop().unwrap();
    let out = browser
        .post("/oauth/sign-out", &[("csrf", &csrf), ("request", &page.field("request"))])
        .await;
    out.assert_status(303);
    assert!(browser.cookies().is_empty(), "{:?}", browser.cookies());
    // To sign in as somebody else, for the same application.
    assert_eq!(browser.follow(out, "").await.field("request"), application.request(ASKED));
    for cookies in [&browser, &kept] {
        let listed = cookies.follow(cookies.get("/oauth/applications").await, "").await;
        assert_is_sign_in(&listed);
        let decided = cookies.decide(&page, "allow", &["read:crm"]).await;
        assert!(decided.header("location").starts_with("/oauth/sign-in"));
    }
}

#[tokio::test]
async fn a_session_that_somebody_else_chose_is_never_taken_over() {
    let app = App::start().await;
    let (_, user, _) = business(&app).await;
    let browser = Browser::new(&app);
    let chosen = token::random("smcs_").to_string();
    browser.set_cookie("smartermcp", &chosen);
    browser.sign_in_alone(&user.token).await.assert_status(200);
    assert_ne!(browser.cookies()["smartermcp"], chosen);
    let attacker = Browser::new(&app);
    for cookie in [chosen.as_str(), "", "smcs_", &user.token] {
        attacker.set_cookie("smartermcp", cookie);
        assert_is_sign_in(&attacker.follow(attacker.get("/oauth/applications").await, "").await);
    }
}

#[tokio::test]
async fn a_session_gives_nothing_once_its_token_is_revoked_or_expired() {
    let app = App::start().await;
    let (tenant, _, application) = business(&app).await;
    for life in [json!({}), json!({ "expires_in": 3600 })] {
        let issued = app.issue(&tenant, BUSINESS, life.clone()).await;
        let browser = Browser::new(&app);
        let page = browser
            .sign_in(issued["api_token"].as_str().unwrap(), &application.request(ASKED))
            .await;
        assert_is_consent(&page);
        if life == json!({}) {
            let path = format!("/auth/token/{}", issued["id"].as_str().unwrap());
            app.operator().delete(&path).await.assert_status(204);
        } else {
            app.clock.advance(HOUR);
        }
        let decided = browser.decide(&page, "allow", &["read:crm"]).await;
        decided.assert_status(303);
        assert!(decided.header("location").starts_with("/oauth/sign-in"), "{:?}", decided.headers);
        assert!(browser.cookies().is_empty());
    }
}

#[tokio::test]
async fn a_form_that_the_gateway_did_not_give_this_browser_does_nothing() {
    let app = App::start().await;
    let (_, user, application) = business(&app).await;
    let (browser, other) = (Browser::new(&app), Browser::new(&app));
    let request = application.request(ASKED);
    let page = browser.sign_in(&user.token, &request).await;
    let theirs = other.sign_in(&user.token, &request).await;
    let (own, others) = (page.fields("csrf"), theirs.fields("csrf"));
    let (consent, sign_out) = (own[0].as_str(), own[1].as_str());
    // Of no form, of another session's, of another form of the same session, and almost right.
    let decide = async |csrf: &str| {
        let tenant = page.field("tenant");
        let form = [
            ("csrf", csrf),
            ("request", &request),
            ("tenant", &tenant),
            ("decision", "allow"),
            ("scope", "read:crm"),
        ];
        browser.post("/oauth/authorize", &form).await
    };
    for wrong in [
        "",
        "0",
        &others[0],
        sign_out,
        &consent[..consent.len() - 1],
        &consent.to_uppercase(),
    ] {
        decide(wrong).await.assert_status(403).assert_says("no longer good");
    }
    for wrong in ["", &others[1], consent] {
        for path in ["/oauth/sign-out", "/oauth/applications/revoke"] {
            browser
                .post(path, &[("csrf", wrong), ("application", "x")])
                .await
                .assert_status(403);
        }
    }
    assert_is_consent(&browser.get(&format!("/oauth/authorize?{request}")).await);

    // Before there is a session, the sign-in form is bound to a cookie of its own.
    let (browser, other) = (Browser::new(&app), Browser::new(&app));
    let form = browser.get("/oauth/sign-in").await;
    let theirs = other.get("/oauth/sign-in").await;
    for wrong in ["", &theirs.field("csrf")] {
        let sent = browser.post("/oauth/sign-in", &[("csrf", wrong), ("token", &user.token)]).await;
        assert_out(&sent, 403, "no longer good");
    }
    browser.forget("smartermcp-pre");
    let sent = browser
        .post("/oauth/sign-in", &[("csrf", &form.field("csrf")), ("token", &user.token)])
        .await;
    assert_out(&sent, 403, "keeps no cookies");
}

#[tokio::test]
async fn a_form_of_another_site_is_refused_before_it_is_read() {
    let app = App::start().await;
    for origin in ["https://evil.example", "null"] {
        let sent = app
            .nobody()
            .raw(Method::POST, "/oauth/sign-in", &[("origin", origin)], "csrf=x&token=y")
            .await;
        sent.assert_problem(403, "origin_not_allowed");
    }
}

#[tokio::test]
async fn every_page_is_closed_to_what_is_from_elsewhere() {
    let (app, _provider) = with_provider().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let request = application.request(ASKED);
    let form = browser.follow(browser.get(&format!("/oauth/authorize?{request}")).await, "").await;
    let consent = browser.sign_in(&user.token, &request).await;
    let nothing = browser.decide(&consent, "allow", &[]).await;
    let applications = browser.get("/oauth/applications").await;
    let error = browser.get("/oauth/authorize?client_id=nobody").await;
    let refused = browser.post("/oauth/authorize", &[("request", &request)]).await;
    for page in [form, consent, nothing, applications, error, refused] {
        let style = page.text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let policy = page.header("content-security-policy");
        let hash = STANDARD.encode(Sha256::digest(style));
        let own = format!("default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'");
        assert_eq!(policy, own);
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("cache-control"), "no-store");
        assert_eq!(
            page.header("referrer-policy"),
            "same-origin",
            "or browsers would send Origin: null with our forms"
        );
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        for elsewhere in ["<script", "javascript:", "src=", "url(", "@import", "style=", "onclick"] {
            assert!(!page.text.contains(elsewhere), "{elsewhere}");
        }
        // For the screen reader and the keyboard.
        assert!(page.text.contains(r#"<html lang="en">"#) && page.text.contains("<h1>") && page.text.contains("<main>"));
        assert!(page.text.contains(r#"name="viewport""#) && style.contains(":focus-visible") && style.contains("prefers-color-scheme"));
        for input in page
            .text
            .split("<input ")
            .skip(1)
            .filter(|input| !input.starts_with(r#"type="hidden""#))
        {
            let id = input.split("id=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(page.text.contains(&format!(r#"<label for="{id}">"#)), "{id} has no label");
        }
    }
    // What is no page keeps what it had.
    assert_eq!(app.nobody().get("/health").await.header("referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn every_page_speaks_spanish_and_english() {
    let (app, _provider) = with_provider().await;
    let (_, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let request = application.request(ASKED);
    browser.sign_in(&user.token, &request).await;
    let stranger = Browser::new(&app);
    let consent = format!("/oauth/authorize?{request}");
    for (who, path, english, spanish) in [
        (&stranger, "/oauth/sign-in", "Access token", "Token de acceso"),
        (&browser, consent.as_str(), "What it may do", "Lo que podrá hacer"),
        (
            &browser,
            "/oauth/applications",
            "You have connected none",
            "No has conectado ninguna",
        ),
        (
            &browser,
            "/oauth/authorize",
            "The application asked for something",
            "La aplicación pidió algo",
        ),
        (
            &browser,
            "/oauth/sign-in/callback?state=x",
            "You were not signed in",
            "No pudiste entrar",
        ),
    ] {
        for (language, tag, says, not) in [
            ("en-GB,en;q=0.9", "en", english, spanish),
            ("es-CL,es;q=0.9,en;q=0.5", "es", spanish, english),
            ("fr", "es", spanish, english),
        ] {
            let page = who.speaking(language).get(path).await;
            page.assert_says(says);
            assert!(!page.read().contains(not), "{path} {language}");
            assert!(page.text.contains(&format!(r#"<html lang="{tag}">"#)));
        }
    }
}

#[tokio::test]
async fn a_request_that_names_no_client_is_shown_to_the_member_and_leads_nowhere() {
    let app = App::start().await;
    let (_, _, application) = business(&app).await;
    let browser = Browser::new(&app);
    let bent = application.request(ASKED).replace("33418%2Fcallback", "33418%2Fother");
    for request in ["", "client_id=nobody", &bent] {
        let page = browser.get(&format!("/oauth/authorize?{request}")).await;
        assert!(page.status.is_client_error(), "{request}: {}", page.status);
        assert_eq!(page.header("location"), "");
        page.assert_says("It was given nothing");
        assert!(
            page.text.contains(r#"<p class="note" lang="en">"#),
            "and says why, to whoever made it: {}",
            page.text
        );
    }
    // Whatever is taken along through the sign-in page stays on it.
    for evil in ["//evil.example", "https://evil.example/", "\r\nx: y"] {
        let form = browser.get("/oauth/sign-in").await;
        let user = app.user(&app.tenant(&format!("t{}", evil.len())).await, BUSINESS).await;
        let sent = browser
            .post(
                "/oauth/sign-in",
                &[("csrf", &form.field("csrf")), ("request", evil), ("token", &user.token)],
            )
            .await;
        assert!(sent.header("location").starts_with("/oauth/authorize?"), "{:?}", sent.headers);
        browser.forget("smartermcp");
    }
}

#[tokio::test]
async fn nobody_is_sent_to_another_site_before_he_signed_in() {
    let app = App::start().await;
    let (_, user, local) = business(&app).await;
    let web = Application::register_at(&app, "Agenda", "https://agenda.example/cb").await;
    let editor = Application::register_at(&app, "Editor", "cursor://anysphere.cursor/cb").await;
    let stranger = Browser::new(&app);
    let wrongs = |application: &Application| {
        let request = application.request("read:crm");
        [
            request.replace("response_type=code&", ""),
            format!("{request}&prompt=none"),
            application.request("read:moon"),
        ]
    };
    for wrong in wrongs(&web) {
        let page = stranger.get(&format!("/oauth/authorize?{wrong}")).await;
        page.assert_status(400)
            .assert_says("agenda.example")
            .assert_says("Go on only if you know it");
        assert_eq!((page.header("location"), page.leads_to().as_str()), ("", ""));
        // By hand, the application can still be told (RFC 6749 §4.1.2.1).
        page.assert_says("<a class=\"button plain\" href=\"https://agenda.example/cb?error=");
        assert_eq!(page.header("referrer-policy"), "same-origin");
    }
    // What stays on his own machine needs nobody's word.
    for (application, to) in [
        (&local, "http://127.0.0.1:33418/callback?error="),
        (&editor, "cursor://anysphere.cursor/cb?error="),
    ] {
        for wrong in wrongs(application) {
            let sent = stranger.get(&format!("/oauth/authorize?{wrong}")).await;
            sent.assert_status(303);
            assert!(sent.header("location").starts_with(to), "{:?}", sent.headers);
        }
    }
    let member = Browser::new(&app);
    member.sign_in_alone(&user.token).await;
    for (application, to) in [
        (&web, "https://agenda.example/cb?error="),
        (&local, "http://127.0.0.1:33418/callback?error="),
    ] {
        for wrong in wrongs(application) {
            assert_leads_back(&member.get(&format!("/oauth/authorize?{wrong}")).await, to);
        }
    }
}

#[tokio::test]
async fn a_form_that_is_too_large_is_refused() {
    let app = App::start().await;
    let browser = Browser::new(&app);
    let form = browser.get("/oauth/sign-in").await;
    let sent = browser
        .post(
            "/oauth/sign-in",
            &[("csrf", &form.field("csrf")), ("token", &"x".repeat(70 * 1024))],
        )
        .await;
    sent.assert_status(413).assert_says("64 KiB");
}

#[tokio::test]
async fn a_restart_or_another_replica_in_the_middle_loses_nothing() {
    let (app, provider) = with_provider().await;
    let (luna, user, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let (holder, member) = (Browser::new(&app), Browser::new(&app));
    let page = holder.sign_in(&user.token, &application.request(ASKED)).await;
    let form = member
        .follow(member.get(&format!("/oauth/authorize?{}", application.request(ASKED))).await, "")
        .await;
    let left = member
        .get(&format!("/oauth/sign-in/openid?request={}", percent(&form.field("request"))))
        .await;
    let back = member.get(left.header("location")).await.header("location").to_owned();
    // SQLite has one server at a time; PostgreSQL's replicas serve side by side.
    let (first, app) = if servers::given() {
        let replica = app.replica().await;
        (Some(app), replica)
    } else {
        let folder = app.stop().await;
        let config = provider.config();
        (
            None,
            App::in_folder(
                folder,
                |set| {
                    set.public_url = Some(PUBLIC.parse().unwrap());
                    set.openid = Some(config);
                },
                backends::catalogue(),
            )
            .await,
        )
    };
    let decided = holder.at(&app).decide(&page, "allow", &["read:crm"]).await;
    let tokens = application.exchange(&app, &decided).await;
    assert_eq!(tokens.assert_status(200).json["scope"], "read:crm");
    let member = member.at(&app);
    assert_is_consent(&member.follow(member.get(&back).await, "").await);
    drop(first);
}

fn percent(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

// What is connected.

#[tokio::test]
async fn a_member_sees_what_he_has_connected_and_takes_it_back() {
    let app = App::start().await;
    let (tenant, user, application) = business(&app).await;
    let browser = Browser::new(&app);
    let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
    let tokens = application
        .exchange(&app, &browser.decide(&page, "allow", &["read:workflows"]).await)
        .await;
    let connected = app.user_of(tokens.assert_status(200).json["access_token"].as_str().unwrap());
    connected.get("/api/v1/whoami").await.assert_status(200);

    // Another token of the same tenant has connected something of its own.
    let colleague = app.user(&tenant, BUSINESS).await;
    let others = Browser::new(&app);
    let page = others.sign_in(&colleague.token, &application.request(ASKED)).await;
    application
        .exchange(&app, &others.decide(&page, "allow", &["read:crm"]).await)
        .await;

    let listed = browser.get("/oauth/applications").await;
    listed.assert_says("MCP CLI Proxy").assert_says("See your workflows");
    assert!(!listed.text.contains("contacts"), "only his own");
    let foreign = others.get("/oauth/applications").await.field("application");
    let kept = browser
        .post(
            "/oauth/applications/revoke",
            &[("csrf", &listed.field("csrf")), ("application", &foreign)],
        )
        .await;
    kept.assert_status(200).assert_says("See your workflows");
    others.get("/oauth/applications").await.assert_says("contacts");

    let revoked = browser
        .post(
            "/oauth/applications/revoke",
            &[("csrf", &listed.field("csrf")), ("application", &listed.field("application"))],
        )
        .await;
    revoked
        .assert_status(200)
        .assert_says("no access any more")
        .assert_says("You have connected none");
    connected.get("/api/v1/whoami").await.assert_status(401);
}

#[tokio::test]
async fn an_administrator_sees_and_revokes_all_that_is_connected_to_the_tenant() {
    let app = App::start().await;
    let (tenant, user, application) = business(&app).await;
    let (sol, admin) = (app.tenant("sol").await, app.user(&tenant, &["admin:tenants"]).await);
    for scope in ["read:crm", "read:workflows"] {
        let browser = Browser::new(&app);
        let page = browser.sign_in(&user.token, &application.request(ASKED)).await;
        application.exchange(&app, &browser.decide(&page, "allow", &[scope]).await).await;
    }
    let first = admin.get("/api/v1/applications?limit=1").await;
    first.assert_status(200);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = admin.get(&format!("/api/v1/applications?limit=1&cursor={cursor}")).await;
    assert!(second.json.get("next_cursor").is_none(), "{}", second.text);
    let shown = &first.json["applications"][0];
    assert_eq!(
        (&shown["client_name"], &shown["tenant_id"]),
        (&json!("MCP CLI Proxy"), &json!(tenant.id))
    );
    assert!(shown["granted_by"].as_str().unwrap().starts_with("token/"), "{}", first.text);
    let mut scopes = [&shown["scopes"], &second.json["applications"][0]["scopes"]].map(Value::to_string);
    scopes.sort();
    assert_eq!(scopes, [r#"["read:crm"]"#, r#"["read:workflows"]"#]);
    let through_mcp = admin.call("applications_list", json!({ "limit": 1 })).await;
    assert_eq!(through_mcp.content()["applications"], first.json["applications"]);

    let path = format!("/api/v1/applications/{}", shown["id"].as_str().unwrap());
    let stranger = app.user(&sol, &["admin:tenants"]).await;
    assert_eq!(stranger.get("/api/v1/applications").await.json["applications"], json!([]));
    stranger.delete(&path).await.assert_problem(404, "not_found");
    stranger
        .get(&format!("/api/v1/applications?tenant_id={}", tenant.id))
        .await
        .assert_problem(404, "tenant_not_found");
    admin.delete(&path).await.assert_status(204);
    admin.delete(&path).await.assert_problem(404, "not_found");
    admin.delete("/api/v1/applications/nothing").await.assert_problem(404, "not_found");
    let left = app.operator().for_tenant(&tenant.id).get("/api/v1/applications").await;
    assert_eq!(left.json["applications"].as_array().unwrap().len(), 1);
}

// Members.

#[tokio::test]
async fn an_administrator_invites_lists_and_removes_members() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let admin = app.user(&luna, &["admin:tenants", "write:crm"]).await;
    let invited = admin
        .post("/api/v1/members", json!({ "email": "Ana@Luna.cl ", "scopes": ["read:crm"] }))
        .await;
    invited.assert_status(201);
    assert_eq!(
        (&invited.json["email"], &invited.json["status"], &invited.json["tenant_id"]),
        (&json!("ana@luna.cl"), &json!("invited"), &json!(luna.id))
    );
    admin
        .post("/api/v1/members", json!({ "email": "ana@LUNA.cl", "scopes": ["read:crm"] }))
        .await
        .assert_problem(409, "already_invited");
    for wrong in [
        json!({ "email": "ana", "scopes": ["read:crm"] }),
        json!({ "email": "ana@luna.cl,eva@luna.cl", "scopes": ["read:crm"] }),
        json!({ "email": "eva@luna.cl", "scopes": [] }),
        json!({ "email": "eva@luna.cl", "scopes": ["read:moon"] }),
        json!({ "email": "eva@luna.cl", "scopes": ["admin:tenants"] }),
        json!({ "email": "eva@luna.cl" }),
    ] {
        admin.post("/api/v1/members", wrong).await.assert_problem(422, "invalid_input");
    }
    admin
        .post(
            "/api/v1/members",
            json!({ "email": "eva@luna.cl", "scopes": ["read:crm", "read:bots"] }),
        )
        .await
        .assert_problem(403, "scope_not_held");
    let eva = admin
        .call("members_invite", json!({ "email": "eva@luna.cl", "scopes": ["write:crm"] }))
        .await;
    eva.content();
    let first = admin.get("/api/v1/members?limit=1").await;
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = admin.get(&format!("/api/v1/members?limit=1&cursor={cursor}")).await;
    assert!(second.json.get("next_cursor").is_none());
    assert_ne!(first.json["members"], second.json["members"]);

    // Another tenant's administrator sees and reaches none of them, and may invite the same person.
    let sol = app.tenant("sol").await;
    let stranger = app.user(&sol, &["admin:tenants", "read:crm"]).await;
    let path = format!("/api/v1/members/{}", invited.json["id"].as_str().unwrap());
    assert_eq!(stranger.get("/api/v1/members").await.json["members"], json!([]));
    stranger.delete(&path).await.assert_problem(404, "not_found");
    stranger
        .post("/api/v1/members", json!({ "email": "ana@luna.cl", "scopes": ["read:crm"] }))
        .await
        .assert_status(201);
    admin.delete(&path).await.assert_status(204);
    admin.delete(&path).await.assert_problem(404, "not_found");
    assert_eq!(admin.get("/api/v1/members").await.json["members"].as_array().unwrap().len(), 1);
    app.operator().get("/api/v1/members").await.assert_problem(422, "invalid_input");
}

#[tokio::test]
async fn a_member_signs_in_by_the_provider_and_allows_what_he_was_invited_to() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["write:workflows"]).await;
    provider.person("ana", "Ana@Luna.cl", true);
    let browser = Browser::new(&app);
    let form = browser.get("/oauth/sign-in").await;
    form.assert_says("Continue with Luna ID");
    let page = by_openid(&browser, &provider, &application.request(ASKED)).await;
    assert_is_consent(&page);
    page.assert_says("ana@luna.cl");
    assert_eq!(
        page.offered(),
        ["read:workflows", "write:workflows"].map(|scope| (scope.to_owned(), true))
    );
    let tokens = application
        .exchange(&app, &browser.decide(&page, "allow", &["read:workflows"]).await)
        .await;
    let connected = app.user_of(tokens.assert_status(200).json["access_token"].as_str().unwrap());
    connected.get("/api/v1/whoami").await.assert_status(200);
    assert!(browser.cookies().keys().eq(["smartermcp"]), "{:?}", browser.cookies());

    let members = app.operator().for_tenant(&luna.id).get("/api/v1/members").await;
    assert_eq!(members.json["members"][0]["status"], "joined");
    // Removed, he and what he has connected are out.
    let path = format!("/api/v1/members/{}", members.json["members"][0]["id"].as_str().unwrap());
    app.operator().for_tenant(&luna.id).delete(&path).await.assert_status(204);
    for _ in 0..100 {
        if connected.get("/api/v1/whoami").await.status == 401 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    connected.get("/api/v1/whoami").await.assert_status(401);
    let decided = browser.decide(&page, "allow", &["read:workflows"]).await;
    decided.assert_status(403).assert_says("You are a member of no business");
    let again = by_openid(&Browser::new(&app), &provider, &application.request(ASKED)).await;
    assert_out(&again, 403, "nobody has invited this address");
}

#[tokio::test]
async fn who_is_a_member_of_several_tenants_chooses_one_and_gives_only_what_he_holds_there() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    let (sol, mar) = (app.tenant("sol").await, app.tenant("mar").await);
    invite(&app, &luna, "ana@luna.cl", &["write:workflows"]).await;
    invite(&app, &sol, "ana@luna.cl", &["read:crm"]).await;
    invite(&app, &mar, "eva@mar.cl", &["read:crm"]).await;
    let browser = Browser::new(&app);
    let choice = by_openid(&browser, &provider, &application.request(ASKED)).await;
    choice.assert_status(200).assert_says("Which business is it for?");
    let mut tenants = choice.fields("tenant");
    tenants.sort();
    let mut own = [luna.id.clone(), sol.id.clone()];
    own.sort();
    assert_eq!(tenants, own);
    let choose = async |decision: &str, tenant: &str, scope: &str| {
        let (csrf, request) = (choice.field("csrf"), choice.field("request"));
        let form = [
            ("csrf", csrf.as_str()),
            ("request", &request),
            ("tenant", tenant),
            ("decision", decision),
            ("scope", scope),
        ];
        browser.post("/oauth/authorize", &form).await
    };
    let page = choose("tenant", &sol.id, "").await;
    assert_is_consent(&page);
    assert_eq!(page.offered(), [("read:crm".to_owned(), true)]);
    page.assert_says("Choose another business");
    browser.decide(&page, "other", &[]).await.assert_says("Which business is it for?");
    // What he holds in one is not given in another, nor anything of a tenant that is not his.
    choose("allow", &sol.id, "read:workflows").await.assert_status(403);
    for nobodys in [mar.id.as_str(), "", "x"] {
        choose("allow", nobodys, "read:crm").await.assert_says("Which business is it for?");
        choose("tenant", nobodys, "").await.assert_says("Which business is it for?");
    }
    let tokens = application
        .exchange(&app, &browser.decide(&page, "allow", &["read:crm"]).await)
        .await;
    let connected = app.user_of(tokens.assert_status(200).json["access_token"].as_str().unwrap());
    assert_eq!(connected.get("/api/v1/whoami").await.json["tenant_id"], sol.id);
    browser
        .get("/oauth/applications")
        .await
        .assert_says("sol")
        .assert_says("See your contacts");
    // A tenant that is suspended is no choice any more.
    app.operator()
        .patch(&format!("/api/v1/tenants/{}", sol.id), json!({ "status": "suspended" }))
        .await
        .assert_status(200);
    let page = browser.get(&format!("/oauth/authorize?{}", application.request(ASKED))).await;
    assert_is_consent(&page);
    assert_eq!(page.field("tenant"), luna.id);
}

#[tokio::test]
async fn an_invitation_belongs_to_the_account_that_came_first() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    let member = invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let request = application.request(ASKED);
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
    // Somebody else, to whom the provider has given the address since.
    provider.person("eva", "ana@luna.cl", true);
    assert_out(
        &by_openid(&Browser::new(&app), &provider, &request).await,
        403,
        "another account has signed in",
    );
    // She herself, with a new address.
    provider.person("ana", "ana@sol.cl", true);
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
    // Invited anew, the address is the other one's.
    app.operator()
        .for_tenant(&luna.id)
        .delete(&format!("/api/v1/members/{}", member["id"].as_str().unwrap()))
        .await
        .assert_status(204);
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    provider.person("eva", "ana@luna.cl", true);
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
}

#[tokio::test]
async fn who_was_not_invited_or_has_no_verified_address_is_not_let_in() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let request = application.request(ASKED);
    for (email, verified, says) in [
        ("eva@luna.cl", json!(true), "nobody has invited this address"),
        ("ana@luna.cl", json!(false), "has not verified"),
        ("ana@luna.cl", json!("true"), "has not verified"),
        ("ana@luna.cl", Value::Null, "has not verified"),
        ("no address", json!(true), "has not verified"),
    ] {
        provider.person("ana", email, verified);
        assert_out(&by_openid(&Browser::new(&app), &provider, &request).await, 403, says);
    }
    provider.person("ana", "ana@luna.cl", true);
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
}

#[tokio::test]
async fn an_id_token_that_does_not_hold_signs_nobody_in() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let request = application.request(ASKED);
    // OpenID Connect Core 1.0 §3.1.3.7, by its numbers.
    type Alteration = fn(&mut Value);
    let alterations: [(&str, Alteration); 15] = [
        ("2: iss", |claims| claims["iss"] = json!("https://evil.example")),
        ("2: no iss", |claims| claims["iss"] = Value::Null),
        ("2: two issuers", |claims| {
            claims["iss"] = json!([claims["iss"], "https://evil.example"])
        }),
        ("3: aud", |claims| claims["aud"] = json!("another client")),
        ("3: no aud", |claims| claims["aud"] = json!([])),
        ("4: several without azp", |claims| claims["aud"] = json!([claims["aud"], "another"])),
        ("5: azp", |claims| claims["azp"] = json!("another client")),
        ("9: exp", |claims| claims["exp"] = json!(claims["iat"].as_i64().unwrap() - 1)),
        ("9: no exp", |claims| claims["exp"] = Value::Null),
        ("10: iat", |claims| claims["iat"] = json!(claims["iat"].as_i64().unwrap() + 600)),
        ("10: nbf", |claims| claims["nbf"] = json!(claims["iat"].as_i64().unwrap() + 600)),
        ("11: nonce", |claims| claims["nonce"] = json!("of another request")),
        ("11: no nonce", |claims| claims["nonce"] = Value::Null),
        ("2: no sub", |claims| claims["sub"] = json!("")),
        ("2: sub", |claims| claims["sub"] = json!("x".repeat(256))),
    ];
    for (what, alter) in alterations {
        provider.alter(alter);
        let page = by_openid(&Browser::new(&app), &provider, &request).await;
        println!("{what}");
        assert_out(&page, 403, "does not hold");
    }
    provider.alter(|_| {});
    for signs in [Signs::Stranger, Signs::Nothing, Signs::PublicAsSecret] {
        provider.sign(signs);
        println!("{signs:?}");
        assert_out(&by_openid(&Browser::new(&app), &provider, &request).await, 403, "does not hold");
    }
    // And what does hold: the three algorithms, and an audience of several that names us as its party.
    for algorithm in [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA] {
        provider.sign(Signs::By(algorithm));
        println!("{algorithm:?}");
        assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
    }
    provider.alter(|claims| {
        claims["azp"] = claims["aud"].clone();
        claims["aud"] = json!([claims["aud"], "another"]);
    });
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
}

#[tokio::test]
async fn an_answer_is_good_for_its_own_browser_once_and_for_ten_minutes() {
    let (app, _provider) = with_provider().await;
    let (luna, ..) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let browser = Browser::new(&app);
    let back = callback(&browser).await;
    // Without the cookie, in another browser, and altered.
    let other = Browser::new(&app);
    assert_out(&other.get(&back).await, 403, "not for this browser");
    callback(&other).await;
    assert_out(&other.get(&back).await, 403, "not for this browser");
    for altered in [
        back.replace("state=", "state=x"),
        back.replace("state=", "other="),
        format!("{back}&state=x"),
    ] {
        let page = browser.copy().get(&altered).await;
        assert!(
            page.status.is_client_error() && page.header("location").is_empty(),
            "{altered}: {}",
            page.text
        );
    }
    let bent = browser.copy();
    let (name, cookie) = browser.cookies().into_iter().find(|(name, _)| name.contains("openid")).unwrap();
    bent.set_cookie(&name, &format!("{cookie}AA"));
    assert_out(&bent.get(&back).await, 403, "not for this browser");
    // Another issuer's (RFC 9207 §2.4).
    let mixed = back.replace("iss=", "iss=x");
    assert_out(&browser.copy().get(&mixed).await, 403, "does not hold");
    // Good, and then used up: the browser has no cookie for it any more, and the provider knows the code no more.
    let kept = browser.copy();
    browser.get(&back).await.assert_status(303);
    assert_out(&browser.get(&back).await, 403, "used already");
    assert_out(&kept.get(&back).await, 403, "does not hold");

    let browser = Browser::new(&app);
    let back = callback(&browser).await;
    app.clock.advance(Duration::from_secs(601));
    assert_out(&browser.get(&back).await, 403, "took too long");

    // The member does not want to.
    let browser = Browser::new(&app);
    let back = callback(&browser).await.replace("code=", "error=access_denied&x=");
    assert_out(&browser.get(&back).await, 403, "access_denied");
}

#[tokio::test]
async fn answers_that_do_not_hold_are_counted_as_bad_tokens_are() {
    let (app, _provider) = with_provider().await;
    let browser = Browser::new(&app);
    for tried in 0.. {
        let page = browser.get("/oauth/sign-in/callback?state=x&code=y").await;
        if page.status == 429 {
            assert!(tried >= 25, "{tried}");
            break;
        }
        assert_out(&page, 403, "not for this browser");
        assert!(tried < 60, "it never ends");
    }
}

#[tokio::test]
async fn while_the_provider_is_down_members_are_told_and_tokens_still_sign_in() {
    let (app, provider) = with_provider().await;
    let (luna, user, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let request = application.request(ASKED);
    provider.fail(Some(503));
    let browser = Browser::new(&app);
    let page = by_openid(&browser, &provider, &request).await;
    assert_out(&page, 503, "sign in with a token");
    assert_is_consent(&browser.sign_in(&user.token, &request).await);
    // It comes back, and goes away again between the redirect and the callback.
    provider.fail(None);
    app.clock.advance(Duration::from_secs(4));
    let browser = Browser::new(&app);
    let back = callback(&browser).await;
    provider.fail(Some(500));
    assert_out(&browser.copy().get(&back).await, 503, "Try again");
    // A page of HTML where OpenID has JSON.
    provider.fail(Some(200));
    assert_out(&browser.copy().get(&back).await, 403, "does not hold");
    provider.fail(None);
    browser.get(&back).await.assert_status(303);
}

#[tokio::test]
async fn a_key_that_the_provider_has_changed_to_is_fetched_once_and_not_for_every_stranger() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let request = application.request(ASKED);
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
    assert_eq!(provider.asked_for_keys(), 1);
    provider.sign(Signs::New);
    assert_out(&by_openid(&Browser::new(&app), &provider, &request).await, 403, "does not hold");
    assert_eq!(provider.asked_for_keys(), 1, "asked again at most every 30 seconds");
    app.clock.advance(Duration::from_secs(31));
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
    assert_eq!(provider.asked_for_keys(), 2);
}

#[tokio::test]
async fn an_address_that_the_id_token_lacks_is_asked_for_and_must_be_the_same_persons() {
    let (app, provider) = with_provider().await;
    let (luna, _, application) = business(&app).await;
    invite(&app, &luna, "ana@luna.cl", &["read:crm"]).await;
    let request = application.request(ASKED);
    provider.tell_by_userinfo(Some("eva"));
    assert_out(&by_openid(&Browser::new(&app), &provider, &request).await, 403, "does not hold");
    provider.tell_by_userinfo(None);
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
    provider.tell_verified_by_userinfo();
    assert_is_consent(&by_openid(&Browser::new(&app), &provider, &request).await);
}

#[tokio::test]
async fn without_a_provider_there_is_no_such_way_in() {
    let app = App::start().await;
    let browser = Browser::new(&app);
    assert!(!browser.get("/oauth/sign-in").await.text.contains("sign-in/openid"));
    for path in ["/oauth/sign-in/openid", "/oauth/sign-in/callback?state=x&code=y"] {
        browser.get(path).await.assert_status(404).assert_says("no OpenID provider");
    }
}

#[tokio::test]
async fn a_provider_that_is_set_by_half_refuses_the_start() {
    let folder = cli::Folder::new();
    let issuer = ("SMARTERMCP_OPENID_ISSUER", "https://clerk.example.cl");
    for (settings, names) in [
        (vec![issuer], "SMARTERMCP_OPENID_CLIENT_ID"),
        (vec![("SMARTERMCP_OPENID_CLIENT_ID", "x")], "SMARTERMCP_OPENID_ISSUER"),
        (vec![("SMARTERMCP_OPENID_CLIENT_SECRET", "hidden")], "SMARTERMCP_OPENID_ISSUER"),
        (
            vec![
                ("SMARTERMCP_OPENID_ISSUER", "http://clerk.example.cl"),
                ("SMARTERMCP_OPENID_CLIENT_ID", "x"),
            ],
            "https",
        ),
        (
            vec![
                ("SMARTERMCP_OPENID_ISSUER", "https://a:b@clerk.example.cl"),
                ("SMARTERMCP_OPENID_CLIENT_ID", "x"),
            ],
            "SMARTERMCP_OPENID_ISSUER",
        ),
    ] {
        let done = cli::run_with(&folder.0, &["migrate"], &settings, "").await;
        assert!(done.failure().contains(names) && !done.err.contains("hidden"), "{done:?}");
    }
}

#[tokio::test]
async fn the_doctor_says_whether_the_provider_can_be_asked() {
    let (folder, provider) = (cli::Folder::new(), Provider::start().await);
    let settings = [("SMARTERMCP_OPENID_ISSUER", provider.base()), ("SMARTERMCP_OPENID_CLIENT_ID", "x")];
    for (fails, verdict, says) in [(None, "ok", "publishes"), (Some(500), "fail", "HTTP 500")] {
        provider.fail(fails);
        let done = cli::run_with(&folder.0, &["doctor", "--json"], &settings, "").await;
        let found: Value = serde_json::from_str(&done.out).unwrap_or_else(|error| panic!("{error}: {done:?}"));
        let finding = found["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["check"] == "openid");
        let finding = finding.unwrap_or_else(|| panic!("{found:#}"));
        assert_eq!(finding["verdict"], verdict, "{finding}");
        assert!(finding["message"].as_str().unwrap().contains(says), "{finding}");
    }
}
