//! Access tokens: what a JWT must be to be let in, its keys, how it is revoked, and those of outside issuers. Each bad token names
//! the section that has it refused.

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::JwkSet};
use serde_json::{Value, json};
use smartermcp::{
    auth::{
        Scope,
        jwt::{self, Access},
    },
    backends,
    config::{Config, Issuer as Outside},
    id::TokenId,
    limits::{Custom, General},
    oauth::keys,
    store::{Reach, changes},
};

use crate::{
    app::{App, Reply, Tenant, User},
    cli::{self, Folder},
    daemons::until,
    servers,
    vendors::issuer::{Fault, Issuer},
};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const LIST: &str = "/api/v1/tools";
/// The scopes of a tenant's business, as the challenge has them.
const TEN: &str =
    "read:services write:services read:workflows write:workflows read:analytics read:crm write:crm read:support read:bots write:bots";

/// What an application was granted that may list workflows.
fn access(app: &App, tenant: &Tenant) -> Access {
    let grant = TokenId::random();
    Access {
        grant,
        tenant: tenant.id.parse().unwrap(),
        client_id: "client-of-the-tests".to_owned(),
        client_name: "Inspector".to_owned(),
        granted_by: "member/luz".to_owned(),
        scopes: [Scope::ReadWorkflows].into_iter().collect(),
        agent: None,
        limits: None,
        until: i64::MAX,
        cells: grant,
        resource: app.state.base_url.clone(),
    }
}

/// An application that calls with a fresh access token.
fn application(app: &App, access: &Access) -> User {
    app.user_of(&jwt::issue(&app.state, access).unwrap().0)
}

/// The claims of an access token, which a test may alter.
fn claims(token: &str) -> Value {
    part(token, 1)
}

fn part(token: &str, index: usize) -> Value {
    let encoded = token.split('.').nth(index).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

/// The claims signed by our own key, whatever they say.
fn signed(app: &App, claims: &Value) -> String {
    app.state.keys.sign(claims, app.clock.millis()).unwrap()
}

/// The token with some of its claims altered, or taken away where null; signed by our own key all the same.
fn altered(app: &App, token: &str, more: Value) -> String {
    let mut claims = claims(token);
    for (name, value) in more.as_object().unwrap() {
        match value.is_null() {
            true => drop(claims.as_object_mut().unwrap().remove(name)),
            false => claims[name] = value.clone(),
        }
    }
    signed(app, &claims)
}

fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

#[track_caller]
fn assert_invalid(reply: &Reply, why: &str) {
    assert_eq!(reply.status, 401, "{why}: {}", reply.text);
    let challenge = reply.header("www-authenticate");
    assert!(challenge.contains(r#"error="invalid_token""#), "{why}: {challenge}");
}

/// Refused on both doors, as RFC 6750 §3.1 has it.
async fn assert_refused(app: &App, token: &str, why: &str) {
    let user = app.user_of(token);
    assert_invalid(&user.get(LIST).await, why);
    assert_invalid(&user.mcp("ping", json!({})).await, why);
}

async fn assert_let_in(user: &User) {
    user.get(LIST).await.assert_status(200);
    user.mcp("ping", json!({})).await.assert_status(200);
}

async fn assert_all_refused(app: &App, wrong: &[(&str, String)]) {
    for (why, token) in wrong {
        assert_refused(app, token, why).await;
    }
}

// What it gives.

/// RFC 9068 §2: the header, the claims, and a signature that the published keys verify.
#[tokio::test]
async fn an_access_token_says_what_the_rfc_wants_and_verifies_by_the_published_keys() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let access = access(&app, &tenant);
    let (token, expires_in) = jwt::issue(&app.state, &access).unwrap();
    assert_eq!(expires_in, 900);
    let published = app.nobody().get("/oauth/jwks.json").await;
    published.assert_status(200);
    let keys: JwkSet = serde_json::from_str(&published.text).unwrap();
    assert!(!published.text.contains(r#""d""#), "{}", published.text);
    let header = part(&token, 0);
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("EdDSA")));
    let key = keys.find(header["kid"].as_str().unwrap()).expect("the key is published");
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[&access.resource]);
    validation.set_issuer(&[app.base()]);
    validation.set_required_spec_claims(&["iss", "exp", "aud", "sub"]);
    let verified = jsonwebtoken::decode::<Value>(&token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap();
    let claims = verified.claims;
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 900);
    for (claim, value) in [
        ("sub", "member/luz"),
        ("client_id", "client-of-the-tests"),
        ("scope", "read:workflows"),
        ("tenant", tenant.id.as_str()),
    ] {
        assert_eq!(claims[claim], value, "{claim}");
    }
    let other = self::claims(&jwt::issue(&app.state, &access).unwrap().0);
    assert_ne!(claims["jti"], other["jti"]);
}

#[tokio::test]
async fn an_access_token_for_either_resource_serves_every_door() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    for resource in ["", "/mcp"] {
        let mut access = access(&app, &tenant);
        access.resource.push_str(resource);
        access.agent = Some(smartermcp::auth::Agent::Codex);
        let user = application(&app, &access);
        user.get("/api/v1/workflows").await.assert_status(200);
        user.call("workflows_list", json!({})).await.content();
        user.call_modern("workflows_list", json!({})).await.content();
        let at_root = user
            .with_header("accept", "application/json, text/event-stream")
            .with_header("mcp-protocol-version", "2025-11-25")
            .post("/", json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" }))
            .await;
        at_root.assert_status(200);
        assert_eq!(user.tools().await, ["workflows_list", "workflows_status"]);
        let who = user.get("/api/v1/whoami").await;
        assert_eq!(who.json["token_id"], access.grant.to_string());
        assert_eq!(who.json["tenant_id"], tenant.id);
        assert_eq!(who.json["scopes"], json!(["read:workflows"]));
        assert_eq!(who.json["agent"], "codex");
        assert_eq!(who.json["operator"], false);
        app.state.audit.flush().await;
        let audited = app.audited(&tenant, "workflows_list").await;
        assert!(
            audited.iter().any(|entry| entry["token"] == access.grant.to_string()),
            "the audit knows the grant: {audited:?}"
        );
        assert!(app.state.known.used_at(access.grant).is_some());
    }
}

#[tokio::test]
async fn a_tenant_header_must_agree_with_an_access_token_and_a_suspended_tenant_is_not_found() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let sol = app.tenant("sol").await;
    let user = application(&app, &access(&app, &luna));
    for named in [luna.id.as_str(), "luna"] {
        assert_let_in(&user.for_tenant(named)).await;
    }
    for named in [sol.id.as_str(), "nobody"] {
        let refused = user.for_tenant(named).get(LIST).await;
        refused.assert_problem(404, "tenant_not_found");
    }
    let path = format!("/api/v1/tenants/{}", luna.id);
    app.operator()
        .patch(&path, json!({ "status": "suspended" }))
        .await
        .assert_status(200);
    user.get(LIST).await.assert_problem(404, "tenant_not_found");
    app.operator().delete(&path).await.assert_status(204);
    assert_refused(&app, &user.token, "its tenant was deleted").await;
}

#[tokio::test]
async fn access_tokens_of_one_token_share_its_allowance() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let pasted = TokenId::random();
    let limits = Custom {
        general: Some(General {
            per_minute: Some(1),
            per_hour: None,
            burst: Some(3),
        }),
        ..Custom::default()
    };
    let connected = [0, 1].map(|_| {
        application(
            &app,
            &Access {
                cells: pasted,
                limits: Some(limits.clone()),
                ..access(&app, &tenant)
            },
        )
    });
    let mut statuses = Vec::new();
    for index in 0..4 {
        // A call that is refused charges the general cell too.
        let reply = connected[index % 2].call("crm_contacts_list", json!({})).await;
        statuses.push(reply.status.as_u16());
    }
    assert_eq!(statuses[..3], [403, 403, 403]);
    let spent = connected[1].get("/api/v1/workflows").await;
    spent.assert_problem(429, "rate_limited");
}

#[tokio::test]
async fn an_access_token_that_was_never_seen_needs_no_database() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    assert_let_in(&application(&app, &access(&app, &tenant))).await;
    for table in ["tokens", "grants", "signing_keys", "tenants"] {
        app.sql(String::leak(format!("alter table {table} rename to {table}_away"))).await;
    }
    assert_let_in(&application(&app, &access(&app, &tenant))).await;
    for table in ["tokens", "grants", "signing_keys", "tenants"] {
        app.sql(String::leak(format!("alter table {table}_away rename to {table}"))).await;
    }
}

// What is refused.

#[tokio::test]
async fn a_jwt_that_no_key_of_ours_has_signed_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let good = jwt::issue(&app.state, &access(&app, &tenant)).unwrap().0;
    assert_let_in(&app.user_of(&good)).await;
    let (header, payload, claims) = (part(&good, 0), good.split('.').nth(1).unwrap(), claims(&good));
    let signature = good.rsplit('.').next().unwrap();
    let keys: Value = serde_json::from_slice(&app.state.keys.jwks()).unwrap();
    let public = keys["keys"][0]["x"].as_str().unwrap();
    let with = |more: Value| {
        let mut header = header.clone();
        for (name, value) in more.as_object().unwrap() {
            header[name] = value.clone();
        }
        header
    };
    let hmac = |secret: &[u8]| {
        let header = Header {
            typ: Some("at+jwt".to_owned()),
            kid: header["kid"].as_str().map(str::to_owned),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret)).unwrap()
    };
    let mut more = claims.clone();
    more["scope"] = json!("admin:tenants");
    assert_all_refused(
        &app,
        &[
            (
                "RFC 8725 §3.2: alg none, without a signature",
                format!("{}.{payload}.", encoded(&with(json!({ "alg": "none" })))),
            ),
            (
                "RFC 8725 §3.2: alg none, with one",
                format!("{}.{payload}.{signature}", encoded(&with(json!({ "alg": "NONE" })))),
            ),
            (
                "RFC 8725 §2.1: HS256 with the public key as it is published",
                hmac(public.as_bytes()),
            ),
            (
                "RFC 8725 §2.1: HS256 with the public key's bytes",
                hmac(&URL_SAFE_NO_PAD.decode(public).unwrap()),
            ),
            (
                "RFC 8725 §3.1: the signature is right, and the algorithm another",
                format!("{}.{payload}.{signature}", encoded(&with(json!({ "alg": "ES256" })))),
            ),
            (
                "RFC 7515 §4.1.4: a kid that nobody knows",
                format!("{}.{payload}.{signature}", encoded(&with(json!({ "kid": "other" })))),
            ),
            (
                "RFC 7515 §5.2: altered claims",
                format!("{}.{}.{signature}", encoded(&header), encoded(&more)),
            ),
            (
                "RFC 7515 §5.2: a header that was not signed",
                format!("{}.{payload}.{signature}", encoded(&with(json!({ "cty": "x" })))),
            ),
            ("RFC 7515 §5.2: cut off", good[..good.len() - 1].to_owned()),
            ("RFC 7515 §2: padded", format!("{good}==")),
            ("RFC 7515 §3.1: four parts", format!("{good}.{signature}")),
        ],
    )
    .await;
}

/// The key is ours, and the claims are not what they must be.
#[tokio::test]
async fn a_jwt_of_ours_that_is_not_for_us_now_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let good = jwt::issue(&app.state, &access(&app, &tenant)).unwrap().0;
    assert_let_in(&app.user_of(&altered(&app, &good, json!({ "jti": "another" })))).await;
    let now = app.clock.millis() / 1000;
    let wrong = [
        ("RFC 9068 §4: another issuer", json!({ "iss": "https://mcp.example.com" })),
        ("RFC 9068 §4: no issuer", json!({ "iss": null })),
        ("RFC 8707 §2: for another resource", json!({ "aud": "https://mcp.example.com" })),
        (
            "RFC 8707 §2: for a path that is none of ours",
            json!({ "aud": format!("{}/other", app.base()) }),
        ),
        (
            "RFC 8707 §2: for a host that begins like ours",
            json!({ "aud": format!("{}.example.com", app.base()) }),
        ),
        ("RFC 9068 §4: for nobody", json!({ "aud": null })),
        ("RFC 7519 §4.1.4: it has ended", json!({ "exp": now })),
        ("RFC 7519 §4.1.4: no end", json!({ "exp": null })),
        ("RFC 7519 §4.1.5: not yet", json!({ "nbf": now + 60 })),
        ("RFC 9068 §2.2: no client", json!({ "client_id": null })),
        ("no grant", json!({ "grant": null })),
        ("no tenant", json!({ "tenant": null })),
    ];
    for (why, more) in wrong {
        assert_refused(&app, &altered(&app, &good, more), why).await;
    }
}

/// RFC 7519 §4.1.4, and 6750 §3.1.
#[tokio::test]
async fn an_access_token_ends_after_fifteen_minutes_also_where_it_is_warm() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let access = access(&app, &tenant);
    let (warm, cold) = (application(&app, &access), application(&app, &access));
    assert_let_in(&warm).await;
    app.clock.advance(MINUTE * 14);
    assert_let_in(&warm).await;
    app.clock.advance(MINUTE + Duration::from_secs(1));
    assert_refused(&app, &warm.token, "warm").await;
    assert_refused(&app, &cold.token, "cold").await;
    assert_let_in(&application(&app, &access)).await;
}

#[tokio::test]
async fn what_is_too_long_or_hardly_a_jwt_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let long = Access {
        client_name: "x".repeat(20 * 1024),
        ..access(&app, &tenant)
    };
    assert_all_refused(
        &app,
        &[
            ("longer than 16 KB", jwt::issue(&app.state, &long).unwrap().0),
            ("no JSON", "aaaa.bbbb.cccc".to_owned()),
            ("empty", "..".to_owned()),
            ("a header alone", format!("{}..", encoded(&json!({ "alg": "EdDSA", "kid": "x" })))),
            (
                "RFC 7515 §4.1.11: critical",
                format!(
                    "{}.e30.AAAA",
                    encoded(&json!({ "alg": "EdDSA", "kid": "x", "crit": ["exp"], "exp": 1 }))
                ),
            ),
            ("deep", format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode("[".repeat(4000)))),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_address_that_sends_many_bad_jwts_is_shut_and_good_ones_go_on() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let warm = application(&app, &access(&app, &tenant));
    assert_let_in(&warm).await;
    let mut statuses = Vec::new();
    for _ in 0..150 {
        statuses.push(app.user_of("aaaa.bbbb.cccc").get(LIST).await.status.as_u16());
        if statuses.last() == Some(&429) {
            break;
        }
    }
    assert!(statuses.len() > 30 && statuses.last() == Some(&429), "{statuses:?}");
    assert_let_in(&warm).await;
    // Behind one address there may be many, whose access tokens change every quarter of an hour.
    let cold = application(&app, &access(&app, &tenant));
    assert_let_in(&cold).await;
    let forged = altered(&app, &cold.token, json!({ "exp": 1 }));
    app.user_of(&forged).get(LIST).await.assert_status(429);
}

// Challenges and metadata.

/// RFC 6750 §3, RFC 9728 §5.1.
#[tokio::test]
async fn a_challenge_names_the_metadata_of_what_was_asked_and_an_error_only_where_a_token_was_sent() {
    let app = App::start().await;
    let base = app.base();
    let root = format!(r#"resource_metadata="{base}/.well-known/oauth-protected-resource""#);
    let mcp = format!(r#"resource_metadata="{base}/.well-known/oauth-protected-resource/mcp""#);
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
    let basic = app.nobody().with_header("authorization", "Basic bHVuYTpzb2w=");
    for (user, sent) in [
        (app.nobody(), false),
        (basic, false),
        (app.user_of("bad"), true),
        (app.user_of("a.b.c"), true),
    ] {
        for (path, metadata) in [
            ("/mcp", &mcp),
            ("/", &root),
            ("/api/v1/tools/workflows_list", &root),
            ("/auth/token", &root),
        ] {
            let reply = user.post(path, body.clone()).await;
            reply.assert_status(401);
            let challenge = reply.header("www-authenticate");
            assert!(
                challenge.starts_with("Bearer ") && challenge.contains(metadata.as_str()),
                "{path}: {challenge}"
            );
            assert!(challenge.contains(&format!(r#"scope="{TEN}""#)), "{challenge}");
            assert!(
                !challenge.contains("offline_access") && !challenge.contains("admin:"),
                "{challenge}"
            );
            assert_eq!(challenge.contains(r#"error="invalid_token""#), sent, "{challenge}");
            assert_eq!(reply.headers.get_all("www-authenticate").iter().count(), 1);
        }
    }
}

/// RFC 6750 §3.1: decided before a stream begins.
#[tokio::test]
async fn a_missing_scope_is_named_with_the_metadata() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = application(&app, &access(&app, &tenant));
    let params = json!({ "name": "workflows_trigger", "arguments": { "workflow_id": "x" }, "_meta": { "progressToken": 7 } });
    for (reply, metadata) in [
        (user.mcp("tools/call", params.clone()).await, "oauth-protected-resource/mcp\""),
        (user.mcp_modern("tools/call", params).await, "oauth-protected-resource/mcp\""),
        (
            user.post("/api/v1/workflows/x/trigger", json!({})).await,
            "oauth-protected-resource\"",
        ),
    ] {
        reply.assert_status(403);
        let challenge = reply.header("www-authenticate");
        for part in [r#"error="insufficient_scope""#, r#"scope="write:workflows""#, metadata] {
            assert!(challenge.contains(part), "{part}: {challenge}");
        }
        assert!(!reply.header("content-type").starts_with("text/event-stream"));
    }
}

/// RFC 9728 §3.
#[tokio::test]
async fn the_metadata_of_each_resource_names_it_to_the_letter() {
    let app = App::start().await;
    for path in ["", "/mcp"] {
        let browser = app.nobody().with_header("origin", "https://inspector.example.com");
        let metadata = browser.get(&format!("/.well-known/oauth-protected-resource{path}")).await;
        metadata.assert_status(200);
        assert_eq!(metadata.json["resource"], format!("{}{path}", app.base()));
        assert_eq!(metadata.json["authorization_servers"], json!([app.base()]));
        assert_eq!(metadata.json["bearer_methods_supported"], json!(["header"]));
        assert_eq!(metadata.json["scopes_supported"], json!(TEN.split(' ').collect::<Vec<_>>()));
        assert_eq!(metadata.header("content-type"), "application/json");
        assert_eq!(metadata.header("access-control-allow-origin"), "*");
        assert_eq!(metadata.header("cache-control"), "public, max-age=300");
    }
    // What clients try besides is plainly not there.
    for path in [
        "/.well-known/oauth-protected-resource/api/v1",
        "/.well-known/oauth-authorization-server/mcp",
        "/.well-known/openid-configuration/mcp",
        "/mcp/.well-known/openid-configuration",
        "/mcp/.well-known/oauth-authorization-server",
        "/.well-known/security.txt",
    ] {
        let reply = app.nobody().get(path).await;
        reply.assert_problem(404, "no_route");
        assert_eq!(reply.header("www-authenticate"), "");
    }
}

/// RFC 8414 §2 and §3.3; OpenID Connect Discovery §3.
#[tokio::test]
async fn the_metadata_of_the_authorization_server_is_at_both_places() {
    let app = App::start().await;
    let base = app.base();
    for place in ["oauth-authorization-server", "openid-configuration"] {
        let metadata = app.nobody().get(&format!("/.well-known/{place}")).await;
        metadata.assert_status(200);
        assert_eq!(metadata.json["issuer"], base);
        for (member, path) in [
            ("authorization_endpoint", "/oauth/authorize"),
            ("token_endpoint", "/oauth/token"),
            ("registration_endpoint", "/oauth/register"),
            ("revocation_endpoint", "/oauth/revoke"),
            ("jwks_uri", "/oauth/jwks.json"),
        ] {
            assert_eq!(metadata.json[member], format!("{base}{path}"), "{member}");
        }
        assert_eq!(metadata.json["code_challenge_methods_supported"], json!(["S256"]));
        assert_eq!(metadata.json["response_types_supported"], json!(["code"]));
        assert_eq!(metadata.json["authorization_response_iss_parameter_supported"], true);
        assert_eq!(metadata.json["client_id_metadata_document_supported"], true);
    }
    // Pages of other sites say their protocol's version to these too, and ask first whether they may.
    for (path, method) in [
        ("/.well-known/oauth-protected-resource/mcp", "GET"),
        ("/.well-known/oauth-authorization-server", "GET"),
        ("/oauth/jwks.json", "GET"),
        ("/oauth/token", "POST"),
        ("/oauth/register", "POST"),
    ] {
        let preflight = app
            .nobody()
            .with_header("origin", "https://inspector.example.com")
            .with_header("access-control-request-method", method)
            .with_header("access-control-request-headers", "mcp-protocol-version")
            .send(http::Method::OPTIONS, path, None)
            .await;
        preflight.assert_status(200);
        assert_eq!(preflight.header("access-control-allow-origin"), "*", "{path}");
        let may_say = preflight.header("access-control-allow-headers");
        assert!(["*", "mcp-protocol-version"].contains(&may_say), "{path}: {may_say}");
    }
}

// Revocation.

/// Stores a grant, past the gateway.
async fn store_grant(app: &App, access: &Access) {
    let (id, tenant, now) = (access.grant, access.tenant, app.clock.millis());
    let statement = format!(
        "insert into grants (id, tenant_id, client_id, client_name, resource, scopes, granted_by, created_at, expires_at) \
         values ('{id}', '{tenant}', 'c', 'C', 'r', 'read:workflows', 'member/luz', {now}, {now} + 1000000)"
    );
    app.sql(String::leak(statement)).await;
}

/// Revokes it as another process would: this one hears of it by the changes.
async fn revoke(app: &App, grant: TokenId) {
    let now = app.clock.millis();
    app.sql(String::leak(format!("update grants set revoked_at = {now} where id = '{grant}'")))
        .await;
    let mut tx = app.state.store.write(Reach::Operator).await.unwrap();
    changes::record(&mut tx, changes::Kind::Grant, &grant.to_string(), now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

/// RFC 7009 §2: within a second, and also after a restart, while the access token would live.
#[tokio::test]
async fn a_revoked_grants_access_tokens_are_refused_within_a_second_and_after_a_restart() {
    let settings = |config: &mut Config| config.public_url = Some("http://gateway.localhost".parse().unwrap());
    let app = App::with(settings).await;
    let tenant = app.tenant("luna").await;
    let (gone, kept) = (access(&app, &tenant), access(&app, &tenant));
    store_grant(&app, &gone).await;
    let (warm, cold) = (application(&app, &gone), application(&app, &gone));
    let other = application(&app, &kept);
    assert_let_in(&warm).await;
    revoke(&app, gone.grant).await;
    until("a revoked grant is refused", Duration::from_secs(1))
        .holds(|| async { warm.get(LIST).await.status == 401 })
        .await;
    assert_refused(&app, &warm.token, "warm").await;
    assert_refused(&app, &cold.token, "cold").await;
    assert_let_in(&other).await;

    let app = App::in_folder(app.stop().await, settings, backends::catalogue()).await;
    assert_refused(&app, &warm.token, "after a restart").await;
    assert_let_in(&app.user_of(&other.token)).await;
    app.state.forget_all().await.unwrap();
    assert_refused(&app, &cold.token, "after everything was read anew").await;
    assert_let_in(&app.user_of(&other.token)).await;
}

#[tokio::test]
async fn a_token_takes_what_was_granted_by_it_along_and_not_when_it_is_rotated() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let issued = app.issue(&tenant, &["read:workflows"], json!({})).await;
    let path = format!("/auth/token/{}", issued["id"].as_str().unwrap());
    let granted = Access {
        cells: issued["id"].as_str().unwrap().parse().unwrap(),
        ..access(&app, &tenant)
    };
    let user = application(&app, &granted);
    assert_let_in(&user).await;
    app.operator().post(&format!("{path}/rotate"), json!({})).await.assert_status(201);
    assert_let_in(&user).await;
    app.operator().delete(&path).await.assert_status(204);
    assert_refused(&app, &user.token, "its token was revoked").await;
}

// Keys.

fn published(app: &App) -> Vec<String> {
    let keys: JwkSet = serde_json::from_slice(&app.state.keys.jwks()).unwrap();
    keys.keys.into_iter().map(|key| key.common.key_id.unwrap()).collect()
}

fn kid(user: &User) -> String {
    part(&user.token, 0)["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_verifies_after() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let access = access(&app, &tenant);
    let fresh = || application(&app, &access);
    let [first] = published(&app).try_into().unwrap();
    keys::tend(&app.state).await.unwrap();
    assert_eq!(published(&app), std::slice::from_ref(&first), "nothing is due");

    app.clock.advance(DAY * 30);
    keys::tend(&app.state).await.unwrap();
    let [_, second] = published(&app).try_into().unwrap();
    assert_eq!(kid(&fresh()), first, "it is published, and does not sign yet");
    app.clock.advance(MINUTE * 10 - Duration::from_secs(2));
    let last_of_first = fresh();
    assert_eq!(kid(&last_of_first), first);
    app.clock.advance(Duration::from_secs(4));
    let first_of_second = fresh();
    assert_eq!(kid(&first_of_second), second);
    app.clock.advance(MINUTE * 14);
    assert_let_in(&last_of_first).await;
    assert_let_in(&first_of_second).await;

    app.clock.advance(MINUTE * 7);
    keys::tend(&app.state).await.unwrap();
    assert_eq!(published(&app), std::slice::from_ref(&second));
    assert_eq!(kid(&fresh()), second);
    assert_let_in(&fresh()).await;
}

#[tokio::test]
async fn keys_outlive_restarts_and_a_rotation_of_the_master_key_and_lie_sealed() {
    let settings = |config: &mut Config| config.public_url = Some("http://gateway.localhost".parse().unwrap());
    let app = App::with(settings).await;
    let tenant = app.tenant("luna").await;
    let user = application(&app, &access(&app, &tenant));
    let keys = published(&app);
    let folder = app.stop().await;
    let rotated = cli::run(&folder, &["secrets", "rotate-key"]).await;
    assert_eq!(rotated.code, Some(0), "{rotated:?}");
    if !servers::given() {
        let doctor = cli::run(&folder, &["doctor"]).await;
        assert!(doctor.out.contains("1 signing keys"), "{doctor:?}");
    }
    let app = App::in_folder(folder, settings, backends::catalogue()).await;
    assert_eq!(published(&app), keys);
    assert_let_in(&app.user_of(&user.token)).await;
    assert_let_in(&application(&app, &access(&app, &tenant))).await;
}

#[tokio::test]
async fn a_key_that_one_replica_rotates_is_known_to_the_others() {
    if !servers::needed() {
        return;
    }
    let public = "http://gateway.localhost";
    let one = App::with(|config| config.public_url = Some(public.parse().unwrap())).await;
    let other = one.replica().await;
    let tenant = one.tenant("luna").await;
    assert_eq!(published(&one), published(&other), "both have the same first key");
    let access = access(&one, &tenant);
    assert_let_in(&other.user_of(&application(&one, &access).token)).await;
    one.clock.advance(DAY * 30);
    keys::tend(&one.state).await.unwrap();
    until("the other publishes the new key", Duration::from_secs(2))
        .holds(|| async { published(&other) == published(&one) })
        .await;
    one.clock.advance(MINUTE * 11);
    let user = application(&one, &access);
    assert_eq!(kid(&user), published(&one)[1]);
    assert_let_in(&other.user_of(&user.token)).await;
}

// Outside issuers.

/// A gateway that takes the tokens of a played issuer.
async fn with_issuer(set: impl FnOnce(&mut Outside)) -> (App, Issuer, Tenant) {
    let issuer = Issuer::start().await;
    let mut outside = Outside {
        url: issuer.url(),
        jwks: None,
        audience: None,
        tenant_claim: "tenant".to_owned(),
        scopes_claim: "scope".to_owned(),
    };
    set(&mut outside);
    let app = App::with(|config| config.issuers = vec![outside]).await;
    // The first fetch is a job's.
    until("its keys are fetched", Duration::from_secs(5))
        .holds(|| async { issuer.inner().fetched > 0 })
        .await;
    let tenant = app.tenant("luna").await;
    (app, issuer, tenant)
}

/// What its token says of a person of this tenant.
fn of_person(app: &App, issuer: &Issuer, tenant: &Tenant) -> Value {
    let now = app.clock.millis() / 1000;
    json!({
        "iss": issuer.url(), "aud": format!("{}/mcp", app.base()), "sub": "user_luz", "exp": now + 300, "iat": now,
        "tenant": tenant.slug, "scope": "openid read:workflows read:crm",
    })
}

#[tokio::test]
async fn an_outside_issuers_token_is_taken_by_each_of_the_three_algorithms() {
    let (app, issuer, tenant) = with_issuer(|_| {}).await;
    let mut claims = of_person(&app, &issuer, &tenant);
    let mut callers = Vec::new();
    for algorithm in [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256] {
        let user = app.user_of(&issuer.token(algorithm, &claims));
        assert_let_in(&user).await;
        let who = user.get("/api/v1/whoami").await;
        assert_eq!(who.json["tenant_id"], tenant.id, "{}", who.text);
        assert_eq!(who.json["scopes"], json!(["read:workflows", "read:crm"]), "{}", who.text);
        callers.push(who.json["token_id"].clone());
    }
    assert!(callers.iter().all(|id| *id == callers[0] && id.is_string()), "{callers:?}");
    claims["sub"] = json!("user_sol");
    let other = app.user_of(&issuer.token(Algorithm::ES256, &claims)).get("/api/v1/whoami").await;
    assert_ne!(other.json["token_id"], callers[0]);
    // Its own keys of other kinds are passed over, and one fetch was enough for all.
    assert_eq!(issuer.inner().fetched, 1);
    let own = application(&app, &access(&app, &tenant));
    assert_let_in(&own).await;
}

#[tokio::test]
async fn claims_are_found_where_the_operator_says() {
    let (app, issuer, tenant) = with_issuer(|outside| {
        outside.audience = Some("smartermcp".to_owned());
        outside.tenant_claim = "app_metadata.tenant".to_owned();
        outside.scopes_claim = "https://smarterbot.cl/scopes".to_owned();
    })
    .await;
    let mut claims = of_person(&app, &issuer, &tenant);
    claims["aud"] = json!(["other", "smartermcp"]);
    claims["app_metadata"] = json!({ "tenant": tenant.id });
    claims["https://smarterbot.cl/scopes"] = json!(["read:bots", "fly:moon"]);
    let who = app.user_of(&issuer.token(Algorithm::ES256, &claims)).get("/api/v1/whoami").await;
    assert_eq!(who.assert_status(200).json["scopes"], json!(["read:bots"]));
    claims["aud"] = json!(app.base());
    assert_refused(&app, &issuer.token(Algorithm::ES256, &claims), "RFC 7519 §4.1.3: another audience").await;
}

#[tokio::test]
async fn a_token_of_an_outside_issuer_that_is_wrong_is_refused() {
    let (app, issuer, tenant) = with_issuer(|_| {}).await;
    let good = of_person(&app, &issuer, &tenant);
    let now = app.clock.millis() / 1000;
    assert_let_in(&app.user_of(&issuer.token(Algorithm::ES256, &good))).await;
    let wrong = [
        ("RFC 7519 §4.1.1: another issuer", json!({ "iss": "https://login.example.com" })),
        ("RFC 7519 §4.1.1: ours, by its key", json!({ "iss": app.base() })),
        ("RFC 7519 §4.1.3: another audience", json!({ "aud": "https://mcp.example.com" })),
        ("RFC 7519 §4.1.3: no audience", json!({ "aud": null })),
        ("RFC 7519 §4.1.4: it has ended", json!({ "exp": now - 1 })),
        ("RFC 7519 §4.1.4: no end", json!({ "exp": null })),
        ("RFC 7519 §4.1.5: not yet", json!({ "nbf": now + 60 })),
        ("RFC 7519 §4.1.6: made in the future", json!({ "iat": now + 60 })),
        ("RFC 7519 §4.1.2: of nobody", json!({ "sub": null })),
        ("OpenID Connect Core §2: an ID token", json!({ "nonce": "n" })),
        ("no tenant", json!({ "tenant": null })),
        ("a tenant that is not there", json!({ "tenant": "nobody" })),
    ];
    for (why, more) in wrong {
        let mut claims = good.clone();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        assert_refused(&app, &issuer.token(Algorithm::ES256, &claims), why).await;
    }
    // Their clock may be a little ahead.
    let mut ahead = good.clone();
    (ahead["iat"], ahead["nbf"]) = (json!(now + 20), json!(now + 20));
    ahead["exp"] = json!((now + 300) as f64 + 0.5);
    assert_let_in(&app.user_of(&issuer.token(Algorithm::ES256, &ahead))).await;
}

#[tokio::test]
async fn an_outside_issuers_key_is_for_its_own_algorithm_alone() {
    let (app, issuer, tenant) = with_issuer(|_| {}).await;
    let claims = of_person(&app, &issuer, &tenant);
    let good = issuer.token(Algorithm::ES256, &claims);
    let (header, rest) = good.split_once('.').unwrap();
    let kid = part(&good, 0)["kid"].clone();
    let published = issuer.jwks();
    let of_rsa = published["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kty"] == "RSA")
        .unwrap();
    let hmac = |kid: &Value, secret: &str| {
        let header = Header {
            kid: kid.as_str().map(str::to_owned),
            ..Header::new(Algorithm::HS256)
        };
        jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let with = |header: Value| format!("{}.{rest}", encoded(&header));
    assert_ne!(header, "");
    assert_all_refused(
        &app,
        &[
            (
                "RFC 8725 §2.1: HS256 with the modulus",
                hmac(&of_rsa["kid"], of_rsa["n"].as_str().unwrap()),
            ),
            ("RFC 8725 §3.1: RS512 by the key of RS256", {
                issuer.token_with(Algorithm::RS256, &claims, |header| header.alg = Algorithm::RS512)
            }),
            ("RFC 8725 §3.2: none", with(json!({ "alg": "none", "kid": kid }))),
            ("RFC 8725 §3.1: another's algorithm", with(json!({ "alg": "EdDSA", "kid": kid }))),
            (
                "RFC 7515 §4.1.4: no kid where there are three keys",
                issuer.token_with(Algorithm::ES256, &claims, |header| header.kid = None),
            ),
            (
                "RFC 7515 §4.1.11: critical",
                issuer.token_with(Algorithm::ES256, &claims, |header| header.crit = Some(vec!["b64".to_owned()])),
            ),
        ],
    )
    .await;
}

#[tokio::test]
async fn an_issuers_new_key_is_fetched_when_a_token_names_it_and_not_more_often_than_each_half_minute() {
    let (app, issuer, tenant) = with_issuer(|_| {}).await;
    let claims = of_person(&app, &issuer, &tenant);
    let withdrawn = app.user_of(&issuer.token(Algorithm::ES256, &claims));
    assert_let_in(&withdrawn).await;
    issuer.rotate();
    let fresh = app.user_of(&issuer.token(Algorithm::ES256, &claims));
    for _ in 0..3 {
        assert_invalid(&fresh.get(LIST).await, "its keys were fetched a moment ago");
    }
    assert_eq!(issuer.inner().fetched, 1);
    app.clock.advance(Duration::from_secs(31));
    assert_let_in(&fresh).await;
    assert_eq!(issuer.inner().fetched, 2);
    assert_refused(&app, &withdrawn.token, "its key was withdrawn").await;
    let unknown = issuer.token_with(Algorithm::ES256, &claims, |header| header.kid = Some("nobody's".to_owned()));
    for _ in 0..3 {
        assert_invalid(&app.user_of(&unknown).get(LIST).await, "RFC 7515 §4.1.4");
    }
    assert_eq!(issuer.inner().fetched, 2);
}

#[tokio::test]
async fn an_issuer_that_is_not_well_keeps_the_keys_that_it_had() {
    let (app, issuer, tenant) = with_issuer(|_| {}).await;
    let claims = of_person(&app, &issuer, &tenant);
    assert_let_in(&app.user_of(&issuer.token(Algorithm::EdDSA, &claims))).await;
    for fault in [Fault::Broken, Fault::Html, Fault::Big, Fault::Redirect] {
        issuer.inner().fault = fault;
        let before = issuer.inner().fetched;
        app.state.issuers.refresh(&app.state).await;
        assert_eq!(issuer.inner().fetched, before + 1, "{fault:?}");
        let mut another = claims.clone();
        another["jti"] = json!(format!("{fault:?}"));
        assert_let_in(&app.user_of(&issuer.token(Algorithm::EdDSA, &another))).await;
    }
}

/// RFC 8414 §3.3: metadata of another issuer is nobody's.
#[tokio::test]
async fn an_issuers_metadata_is_found_at_either_place_and_must_name_it() {
    for place in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let issuer = Issuer::start().await;
        issuer.inner().metadata_at = place;
        // Keys that nobody can verify with are passed over.
        issuer.inner().besides = vec![
            json!({ "kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "short" }),
            json!({ "kty": "oct", "k": "AAAA", "kid": "shared" }),
            json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "weak" }),
            json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA", "kid": "curve" }),
            json!("none"),
        ];
        let url = issuer.url();
        let outside = |audience| Outside {
            url: url.clone(),
            jwks: None,
            audience,
            tenant_claim: "tenant".to_owned(),
            scopes_claim: "scope".to_owned(),
        };
        let app = App::with(|config| config.issuers = vec![outside(None)]).await;
        let tenant = app.tenant("luna").await;
        let claims = of_person(&app, &issuer, &tenant);
        let user = app.user_of(&issuer.token(Algorithm::EdDSA, &claims));
        until("its keys are fetched", Duration::from_secs(5))
            .holds(|| async { user.get(LIST).await.status == 200 })
            .await;
        for kid in ["short", "shared", "weak", "curve"] {
            let token = issuer.token_with(Algorithm::EdDSA, &claims, |header| header.kid = Some(kid.to_owned()));
            assert_invalid(&app.user_of(&token).get(LIST).await, kid);
        }
        issuer.inner().says = Some("https://login.example.com".to_owned());
        let http = smartermcp::auth::issuers::client().unwrap();
        let why = smartermcp::auth::issuers::fetch(&http, &outside(None)).await.err().unwrap();
        assert!(why.contains("login.example.com") || why.contains("404"), "{why}");
    }
}

#[tokio::test]
async fn with_sign_in_off_the_metadata_names_the_outside_issuers_and_our_own_tokens_end() {
    let issuer = Issuer::start().await;
    let url = issuer.url();
    let app = App::with(|config| {
        config.sign_in = false;
        config.issuers = vec![Outside {
            url,
            jwks: Some(format!("{}/keys", issuer.url()).parse().unwrap()),
            audience: None,
            tenant_claim: "tenant".to_owned(),
            scopes_claim: "scope".to_owned(),
        }];
    })
    .await;
    let tenant = app.tenant("luna").await;
    for path in ["", "/mcp"] {
        let metadata = app.nobody().get(&format!("/.well-known/oauth-protected-resource{path}")).await;
        assert_eq!(metadata.assert_status(200).json["authorization_servers"], json!([issuer.url()]));
    }
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
        "/oauth/jwks.json",
    ] {
        app.nobody().get(path).await.assert_problem(404, "no_route");
    }
    assert_refused(&app, &application(&app, &access(&app, &tenant)).token, "sign-in is off").await;
    let user = app.user_of(&issuer.token(Algorithm::RS256, &of_person(&app, &issuer, &tenant)));
    until("its keys are fetched", Duration::from_secs(5))
        .holds(|| async { user.get(LIST).await.status == 200 })
        .await;
}

#[tokio::test]
async fn the_doctor_looks_at_issuers_and_names_a_wrong_setting() {
    if servers::given() {
        return;
    }
    let folder = Folder::new();
    let issuer = Issuer::start().await;
    let url = issuer.url();
    let doctor = async |settings: &[(&str, &str)]| {
        let done = cli::run_with(&folder.0, &["doctor"], settings, "").await;
        done.out
    };
    let well = doctor(&[("SMARTERMCP_ISSUER", &url)]).await;
    assert!(well.contains(&format!("issuers: {url} publishes 3 keys")), "{well}");
    issuer.inner().fault = Fault::Html;
    let ill = doctor(&[("SMARTERMCP_ISSUER", &url)]).await;
    assert!(ill.contains("FAIL  issuers:") && ill.contains("is no JSON"), "{ill}");
    let off = doctor(&[("SMARTERMCP_SIGN_IN", "off")]).await;
    assert!(off.contains("warn  issuers:"), "{off}");
    for (name, wrong) in [
        ("SMARTERMCP_ISSUER", "http://login.example.com"),
        ("SMARTERMCP_ISSUER", "https://login.example.com/#x"),
        ("SMARTERMCP_ISSUER_JWKS", "https://login.example.com/keys"),
        ("SMARTERMCP_SIGN_IN", "maybe"),
    ] {
        let said = doctor(&[(name, wrong)]).await;
        assert!(said.contains("FAIL  configuration") && said.contains(name), "{name}: {said}");
    }
    issuer.inner().fault = Fault::None;
    let file = folder.0.join("smartermcp.toml");
    for (more, said) in [
        ("tenant = \"x\"", "[issuers.clerk] tenant"),
        ("tenant_claim = \"org.id\"", &*format!("issuers: {url} publishes 3 keys")),
    ] {
        std::fs::write(&file, format!("[issuers.clerk]\nissuer = \"{url}\"\n{more}\n")).unwrap();
        let done = cli::run(&folder.0, &["--config", &file.display().to_string(), "doctor"]).await;
        assert!(done.out.contains(said), "{done:?}");
    }
}
