//! Tokens: who is let in, as what, and until when.

use std::time::Duration;

use serde_json::{Value, json};
use smartermcp::{auth::token, clock::rfc3339};

use crate::{
    app::{App, OPERATOR, Reply, User},
    cli,
};

const SENTENCE: &str = "Unauthorized - Invalid or expired API token";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Refused as REST has it.
#[track_caller]
fn assert_refused_in_rest(reply: &Reply) {
    reply.assert_problem(401, "unauthenticated");
    assert_eq!(reply.json["detail"], SENTENCE);
    assert!(reply.header("www-authenticate").starts_with("Bearer "), "{:?}", reply.headers);
}

/// Refused as MCP has it: HTTP 401, and a JSON-RPC error that belongs to no request.
#[track_caller]
fn assert_refused_in_mcp(reply: &Reply) {
    reply.assert_status(401);
    assert!(reply.header("www-authenticate").starts_with("Bearer "), "{:?}", reply.headers);
    assert_eq!(reply.json["jsonrpc"], "2.0", "{}", reply.text);
    assert_eq!(reply.json.get("id"), Some(&Value::Null), "{}", reply.text);
    assert_eq!(reply.json["error"]["message"], SENTENCE, "{}", reply.text);
    assert!(reply.json.get("result").is_none(), "{}", reply.text);
}

async fn assert_refused(user: &User) {
    assert_refused_in_rest(&user.get("/api/v1/workflows").await);
    assert_refused_in_mcp(&user.call("workflows_list", json!({})).await);
}

async fn assert_let_in(user: &User) {
    user.get("/api/v1/whoami").await.assert_status(200);
    user.mcp("ping", json!({})).await.assert_status(200);
}

/// Refused because a scope is missing: on both doors HTTP 403 with the challenge of RFC 6750.
async fn assert_lacks(user: &User, tool: &str, scope: &str) {
    let challenge = [r#"error="insufficient_scope""#.to_owned(), format!(r#"scope="{scope}""#)];
    let rest = user.post(&format!("/api/v1/tools/{tool}"), json!({})).await;
    rest.assert_problem(403, "insufficient_scope");
    let legacy = user.call(tool, json!({})).await;
    let modern = user.call_modern(tool, json!({})).await;
    for reply in [&rest, &legacy, &modern] {
        reply.assert_status(403);
        for part in &challenge {
            assert!(reply.header("www-authenticate").contains(part), "{tool}: {:?}", reply.headers);
        }
    }
    for reply in [&legacy, &modern] {
        assert_eq!(reply.json["id"], 1, "{}", reply.text);
        assert!(reply.json["error"]["message"].as_str().unwrap().contains(tool), "{}", reply.text);
    }
}

// Who is let in.

#[tokio::test]
async fn a_request_without_a_valid_token_is_refused_on_both_doors() {
    let app = App::start().await;
    let valid = app.business("luna").await.1.token;
    let mut typo = valid.clone().into_bytes();
    typo[20] = if typo[20] == b'x' { b'y' } else { b'x' };
    let wrong = [
        String::new(),
        token::generate().to_string(),
        valid[..valid.len() - 1].to_owned(),
        String::from_utf8(typo).unwrap(),
        valid.replacen("smcp_", "smcq_", 1),
        "x".repeat(16 * 1024),
        "x".repeat(17 * 1024),
        format!("{valid}{}", " x".repeat(4)),
    ];
    for token in &wrong {
        assert_refused(&app.user_of(token)).await;
    }
    // The scheme is the bearer's and no other; its name is in any case.
    assert_refused_in_rest(
        &app.nobody()
            .with_header("authorization", &format!("Basic {valid}"))
            .get("/api/v1/whoami")
            .await,
    );
    app.nobody()
        .with_header("authorization", &format!("bearer {valid}"))
        .get("/api/v1/whoami")
        .await
        .assert_status(200);
}

#[tokio::test]
async fn two_authorization_headers_are_none() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    assert_let_in(&user).await;
    assert_refused(&user.with_header("authorization", &format!("Bearer {}", user.token))).await;
    assert_refused(&user.with_header("authorization", "Bearer other")).await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let warm = app.user_with(&tenant, &["read:workflows"], json!({ "expires_in": 3600 })).await;
    let cold = app.user_with(&tenant, &["read:workflows"], json!({ "expires_in": 3600 })).await;
    let long = app.user(&tenant, &["read:workflows"]).await;
    assert_let_in(&warm).await;
    app.clock.advance(Duration::from_secs(3590));
    assert_let_in(&warm).await;
    app.clock.advance(Duration::from_secs(11));
    assert_refused(&warm).await;
    assert_refused(&cold).await;
    assert_let_in(&long).await;
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let issued = app.issue(&tenant, &["read:workflows"], json!({})).await;
    let user = app.user_of(issued["api_token"].as_str().unwrap());
    let other = app.user(&tenant, &["read:workflows"]).await;
    assert_let_in(&user).await;
    let path = format!("/auth/token/{}", issued["id"].as_str().unwrap());

    let revoked = app.operator().delete(&path).await;
    revoked.assert_status(204);
    assert_eq!(revoked.text, "");
    assert_refused(&user).await;
    assert_let_in(&other).await;
    assert_eq!(app.operator().get(&path).await.json["status"], "revoked");
}

#[tokio::test]
async fn a_revocation_by_another_process_is_seen_within_a_second() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let issued = app.issue(&tenant, &["read:workflows"], json!({})).await;
    let user = app.user_of(issued["api_token"].as_str().unwrap());
    assert_let_in(&user).await;

    let done = cli::run(app.folder(), &["token", "revoke", issued["id"].as_str().unwrap()]).await;
    assert_eq!(done.code, Some(0), "{done:?}");
    let committed = tokio::time::Instant::now();
    while user.get("/api/v1/whoami").await.status == 200 {
        assert!(
            committed.elapsed() < Duration::from_secs(1),
            "still let in after {:?}",
            committed.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_refused(&user).await;
}

#[tokio::test]
async fn a_tenants_suspension_by_another_process_is_seen_within_a_second() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, &["read:workflows"]).await;
    assert_let_in(&user).await;
    let done = cli::run(app.folder(), &["tenant", "suspend", "luna"]).await;
    assert_eq!(done.json()["status"], "suspended");
    let committed = tokio::time::Instant::now();
    while user.get("/api/v1/whoami").await.status == 200 {
        assert!(
            committed.elapsed() < Duration::from_secs(1),
            "still let in after {:?}",
            committed.elapsed()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

// Tenants.

#[tokio::test]
async fn a_tenant_header_must_agree_with_the_token() {
    let app = App::start().await;
    let (luna, user, _) = app.business("luna").await;
    let (sol, ..) = app.business("sol").await;
    for named in [luna.id.as_str(), &luna.slug, &luna.id.to_uppercase()] {
        let user = user.for_tenant(named);
        user.get("/api/v1/workflows").await.assert_status(200);
        user.call("workflows_list", json!({})).await.content();
    }
    for named in [sol.id.as_str(), "sol", "nobody", "", "Luna", "luna "] {
        let shown = named.trim();
        let sentence = format!("Tenant '{shown}' not found or access denied");
        let user = user.for_tenant(named);
        let rest = user.get("/api/v1/workflows").await;
        if shown == "luna" {
            // A header's value has no blanks at its ends.
            rest.assert_status(200);
            continue;
        }
        rest.assert_problem(404, "tenant_not_found");
        assert_eq!(rest.json["detail"], sentence);
        let mcp = user.call("workflows_list", json!({})).await;
        mcp.assert_status(404);
        assert_eq!(mcp.json["error"]["message"], sentence);
        assert_eq!(mcp.json.get("id"), Some(&Value::Null));
    }
}

#[tokio::test]
async fn a_suspended_tenant_is_not_found_until_it_is_resumed() {
    let app = App::start().await;
    let (luna, user, n8n) = app.business("luna").await;
    let (_, other, _) = app.business("sol").await;
    let path = format!("/api/v1/tenants/{}", luna.id);
    app.operator()
        .patch(&path, json!({ "status": "suspended" }))
        .await
        .assert_status(200);

    let sentence = format!("Tenant '{}' not found or access denied", luna.id);
    let rest = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
    rest.assert_problem(404, "tenant_not_found");
    assert_eq!(rest.json["detail"], sentence);
    let mcp = user.call("workflows_list", json!({})).await;
    mcp.assert_status(404);
    assert_eq!(mcp.json["error"]["message"], sentence);
    let named = user.for_tenant("luna").get("/api/v1/whoami").await;
    assert_eq!(named.json["detail"], "Tenant 'luna' not found or access denied");
    other.get("/api/v1/workflows").await.assert_status(200);
    assert_eq!(n8n.runs(), 0);

    app.operator().patch(&path, json!({ "status": "active" })).await.assert_status(200);
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    assert_eq!(n8n.runs(), 1);
}

// Floods.

/// Sends bad tokens until the address is shut; the first thirty must each get the plain answer.
async fn flood(user: &User) {
    for count in 0.. {
        let reply = user.get("/api/v1/whoami").await;
        if reply.status == 429 {
            assert!(count >= 30, "shut after {count}");
            reply.assert_problem(429, "rate_limited");
            assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
            return;
        }
        assert_refused_in_rest(&reply);
        assert!(count < 150, "never shut");
    }
}

#[tokio::test]
async fn after_a_flood_of_bad_tokens_an_address_is_refused_before_any_look_up() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let warm = app.user(&tenant, &["read:workflows"]).await;
    assert_let_in(&warm).await;
    let mut cold = Vec::new();
    for _ in 0..5 {
        cold.push(app.user(&tenant, &["read:workflows"]).await);
    }
    flood(&app.user_of("smcp_bad")).await;
    // A place comes back each second; a slow machine may need more than one try to see the door shut.
    let mut shut = false;
    for user in &cold {
        let bad = app.user_of("smcp_bad");
        for _ in 0..20 {
            if bad.get("/api/v1/whoami").await.status == 429 {
                break;
            }
        }
        let reply = user.get("/api/v1/whoami").await;
        if reply.status == 429 {
            let mcp = app.user_of("smcp_bad").call("workflows_list", json!({})).await;
            assert!([401, 429].contains(&mcp.status.as_u16()), "{}", mcp.text);
            assert_eq!(mcp.json.get("id"), Some(&Value::Null), "{}", mcp.text);
            shut = true;
            break;
        }
    }
    assert!(shut, "a valid token that is not warm must wait too");
    assert_let_in(&warm).await;
    assert_let_in(&app.operator()).await;
}

#[tokio::test]
async fn a_flood_behind_a_trusted_proxy_hits_its_own_client_only() {
    let app = App::with(|config| config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    let bad = app.user_of("smcp_bad");
    flood(&bad.with_header("x-forwarded-for", "198.51.100.9, 203.0.113.7")).await;
    assert_refused_in_rest(&bad.with_header("x-forwarded-for", "203.0.113.8").get("/api/v1/whoami").await);
    // What the client wrote itself, further left, is not believed: still the flooder.
    flood_is_shut(&bad, "192.0.2.1, 203.0.113.7").await;
}

async fn flood_is_shut(bad: &User, forwarded: &str) {
    let user = bad.with_header("x-forwarded-for", forwarded);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(user.get("/api/v1/whoami").await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn a_forwarded_address_from_an_untrusted_peer_is_ignored() {
    let app = App::start().await;
    for count in 0.. {
        let forwarded = format!("203.0.113.{}", count % 250);
        let reply = app
            .user_of("smcp_bad")
            .with_header("x-forwarded-for", &forwarded)
            .get("/api/v1/whoami")
            .await;
        if reply.status == 429 {
            return;
        }
        assert!(count < 150, "each invented address was believed");
    }
}

// Scopes.

#[tokio::test]
async fn a_missing_scope_is_403_on_both_doors_and_its_tools_are_not_listed() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let reader = app.user(&tenant, &["read:workflows", "read:crm"]).await;
    for (tool, scope) in [
        ("workflows_trigger", "write:workflows"),
        ("workflows_create", "write:workflows"),
        ("tokens_list", "admin:tenants"),
    ] {
        assert_lacks(&reader, tool, scope).await;
    }
    let tools = reader.tools().await;
    assert!(tools.contains(&"workflows_list".to_owned()) && tools.contains(&"workflows_status".to_owned()));
    for hidden in ["workflows_trigger", "workflows_create", "tokens_list", "tenants_create"] {
        assert!(!tools.contains(&hidden.to_owned()), "{hidden}");
    }
    let rest = reader.get("/api/v1/tools").await;
    let named: Vec<_> = rest.json["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(named, tools, "both doors list the same");
}

#[tokio::test]
async fn a_write_scope_includes_its_read_twin() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let writer = app.user(&tenant, &["write:workflows"]).await;
    writer.get("/api/v1/workflows").await.assert_status(200);
    writer.call("workflows_list", json!({})).await.content();
    let other = app.user(&tenant, &["write:crm"]).await;
    assert_lacks(&other, "workflows_list", "read:workflows").await;
}

#[tokio::test]
async fn each_agent_sees_its_own_part() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let all: Vec<_> = smartermcp::auth::Scope::ALL.map(smartermcp::auth::Scope::name).to_vec();
    let everything = app.user(&tenant, &all).await.tools().await;
    // Registering services is the account's, whatever the tool is called.
    let catalogue = smartermcp::backends::catalogue();
    let of_business = |name: &str| catalogue.find(name).unwrap().category != smartermcp::tool::Category::Account;
    let of = |prefix: &str| -> Vec<String> {
        let named = everything.iter().filter(|name| name.starts_with(prefix) && of_business(name));
        named.cloned().collect()
    };
    assert_eq!(
        of("workflows_"),
        ["workflows_create", "workflows_list", "workflows_status", "workflows_trigger"]
    );
    for (agent, prefixes, besides) in [
        ("codex", &["services_", "workflows_", "infra_", "containers_"][..], None),
        ("gemini", &["analytics_", "crm_", "support_", "bots_"], None),
        ("copilot", &["docs_", "generate_"], Some("workflows_create")),
    ] {
        let user = app.user_with(&tenant, &all, json!({ "agent": agent })).await;
        let mut expected: Vec<_> = prefixes.iter().flat_map(|prefix| of(prefix)).collect();
        expected.extend(besides.map(str::to_owned));
        expected.sort();
        assert_eq!(user.tools().await, expected, "{agent}");
        assert_lacks(&user, "tokens_list", "admin:tenants").await;
        if agent != "codex" {
            assert_lacks(&user, "workflows_trigger", "write:workflows").await;
        }
        assert_eq!(user.get("/api/v1/whoami").await.json["agent"], agent);
    }
}

// Issuing.

#[tokio::test]
async fn what_a_token_cannot_be_is_422_and_names_the_field() {
    let app = App::start().await;
    let past = rfc3339(app.clock.millis() - 1000);
    for (wrong, field) in [
        (json!({ "name": "x", "scopes": ["read:moon"] }), "scopes[0]"),
        (json!({ "name": "x", "scopes": [] }), "scopes"),
        (json!({ "name": "x" }), "scopes"),
        (json!({ "scopes": ["read:crm"] }), "name"),
        (json!({ "name": "", "scopes": ["read:crm"] }), "name"),
        (json!({ "name": "x", "scopes": ["read:crm"], "agent": "claude" }), "agent"),
        (
            json!({ "name": "x", "scopes": ["read:crm"], "expires_at": "tomorrow" }),
            "expires_at",
        ),
        (json!({ "name": "x", "scopes": ["read:crm"], "expires_at": past }), "expires_at"),
        (json!({ "name": "x", "scopes": ["read:crm"], "expires_in": 0 }), "expires_in"),
        (
            json!({ "name": "x", "scopes": ["read:crm"], "expires_in": 60, "expires_at": "2030-01-01T00:00:00Z" }),
            "expires_at",
        ),
        (json!({ "name": "x", "scopes": ["read:crm"], "colour": "red" }), "colour"),
        (
            json!({ "name": "x", "scopes": ["read:crm"], "limits": { "general": { "per_minute": 0 } } }),
            "limits",
        ),
        (
            json!({ "name": "x", "scopes": ["read:crm"], "limits": { "categories": { "moon": { "per_minute": 1 } } } }),
            "limits",
        ),
    ] {
        let reply = app.operator().post("/auth/token", wrong.clone()).await;
        reply.assert_problem(422, "invalid_input");
        assert!(reply.json["detail"].as_str().unwrap().contains(field), "{wrong}: {}", reply.text);
        assert!(!reply.text.contains("smcp_"), "{}", reply.text);
    }
    app.operator()
        .post("/auth/token", json!({ "name": "x", "scopes": ["read:crm"], "tenant_id": "nobody" }))
        .await
        .assert_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_token_without_more_said_lives_a_year_and_belongs_to_the_default_tenant() {
    let app = App::start().await;
    // The owner's curl sends no content type.
    let body = json!({ "name": "claude-desktop", "scopes": ["read:workflows", "read:crm"] }).to_string();
    let issued = app.operator().post_untyped("/auth/token", &body).await;
    issued.assert_status(201);
    let expires: jiff::Timestamp = issued.json["expires_at"].as_str().expect("never null").parse().unwrap();
    let life = expires.as_millisecond() - app.clock.millis();
    let year = i64::try_from((DAY * 365).as_millis()).unwrap();
    assert!((year - 60_000..=year).contains(&life), "{life}");
    let default = app.operator().get("/api/v1/tenants/default").await;
    assert_eq!(issued.json["tenant_id"], default.json["id"]);
    assert_eq!(issued.json["name"], "claude-desktop");
    assert_eq!(issued.json["scopes"], json!(["read:workflows", "read:crm"]));
    assert!(issued.json.get("agent").is_none());
    let token = issued.json["api_token"].as_str().unwrap();
    assert!(token.starts_with("smcp_") && token::is_well_formed(token));
    assert_let_in(&app.user_of(token)).await;
    app.clock.advance(DAY * 366);
    assert_refused(&app.user_of(token)).await;
}

#[tokio::test]
async fn the_operator_names_a_tenant_by_header_or_parameter() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let body = json!({ "name": "x", "scopes": ["read:crm"] });
    for named in [luna.id.as_str(), "luna"] {
        let by_header = app.operator().for_tenant(named).post("/auth/token", body.clone()).await;
        assert_eq!(by_header.assert_status(201).json["tenant_id"], luna.id);
        let mut with_tenant = body.clone();
        with_tenant["tenant_id"] = json!(named);
        let by_parameter = app.operator().post("/auth/token", with_tenant).await;
        assert_eq!(by_parameter.assert_status(201).json["tenant_id"], luna.id);
    }
    app.operator()
        .for_tenant("nobody")
        .get("/api/v1/whoami")
        .await
        .assert_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn nobody_gives_scopes_that_he_does_not_hold() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let admin = app.user(&luna, &["admin:tenants", "write:workflows"]).await;
    let give = |scopes: Value| {
        let admin = admin.clone();
        async move { admin.post("/auth/token", json!({ "name": "x", "scopes": scopes })).await }
    };
    for held in [
        json!(["write:workflows"]),
        json!(["read:workflows"]),
        json!(["read:workflows", "admin:tenants"]),
    ] {
        let issued = give(held.clone()).await;
        issued.assert_status(201);
        assert_eq!(issued.json["tenant_id"], luna.id);
        assert_eq!(issued.json["scopes"], held);
    }
    for lacking in [json!(["read:crm"]), json!(["read:workflows", "write:services"])] {
        let refused = give(lacking).await;
        refused.assert_status(403);
        assert!(!refused.text.contains("smcp_"), "{}", refused.text);
    }
    let through_mcp = admin.call("tokens_create", json!({ "name": "x", "scopes": ["write:crm"] })).await;
    assert!(through_mcp.tool_error().contains("write:crm"));
    // The operator gives what he does not hold himself.
    app.issue(&luna, &["write:crm"], json!({})).await;
}

#[tokio::test]
async fn a_tenants_administrator_manages_that_tenant_alone() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let sol = app.tenant("sol").await;
    let of_sol = app.issue(&sol, &["read:crm"], json!({})).await;
    let sols_user = app.user_of(of_sol["api_token"].as_str().unwrap());
    let admin = app.user(&luna, &["admin:tenants", "read:crm"]).await;

    let sols_token = format!("/auth/token/{}", of_sol["id"].as_str().unwrap());
    admin.get(&sols_token).await.assert_problem(404, "not_found");
    admin.delete(&sols_token).await.assert_problem(404, "not_found");
    admin
        .post(&format!("{sols_token}/rotate"), json!({}))
        .await
        .assert_problem(404, "not_found");
    for named in [sol.id.as_str(), "sol"] {
        admin
            .post("/auth/token", json!({ "name": "x", "scopes": ["read:crm"], "tenant_id": named }))
            .await
            .assert_problem(404, "tenant_not_found");
        admin
            .get(&format!("/auth/token?tenant_id={named}"))
            .await
            .assert_problem(404, "tenant_not_found");
    }
    assert_let_in(&sols_user).await;
    let listed = admin.get("/auth/token").await;
    assert!(
        listed.json["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .all(|token| token["tenant_id"] == luna.id),
        "{}",
        listed.text
    );
    assert!(!listed.text.contains("smcp_"));

    // And the operator: all of them, without naming a tenant, but nobody's business.
    app.operator().get(&sols_token).await.assert_status(200);
    let all = app.operator().get("/auth/token").await;
    assert!(all.text.contains(&luna.id) && all.text.contains(&sol.id));
    for operator in [app.operator(), app.operator().for_tenant("luna")] {
        assert_lacks(&operator, "workflows_list", "read:workflows").await;
    }
}

#[tokio::test]
async fn what_is_the_operators_alone_is_refused_to_a_tenants_administrator() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    let own = format!("/api/v1/tenants/{}", luna.id);
    admin
        .post("/api/v1/tenants", json!({ "name": "x", "slug": "xx" }))
        .await
        .assert_problem(403, "operator_only");
    admin.delete(&own).await.assert_problem(403, "operator_only");
    for theirs in [
        json!({ "plan": "enterprise" }),
        json!({ "status": "suspended" }),
        json!({ "backend_allow": ["10.0.0.0/8"] }),
        json!({ "region": "pe" }),
        json!({ "name": "Luna", "plan": "enterprise" }),
    ] {
        admin.patch(&own, theirs).await.assert_problem(403, "operator_only");
    }
    admin
        .post("/api/v1/switches", json!({ "tool": "workflows_list", "reason": "x" }))
        .await
        .assert_problem(403, "operator_only");
    admin.get("/api/v1/switches").await.assert_problem(403, "operator_only");
    let kept = admin.get(&own).await;
    assert_eq!((&kept.json["plan"], &kept.json["name"]), (&json!("business"), &json!("luna")));
}

// Rotation.

#[tokio::test]
async fn a_rotated_token_lives_for_its_overlap_and_not_longer() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let issued = app.issue(&luna, &["read:workflows"], json!({ "agent": "codex" })).await;
    let old = app.user_of(issued["api_token"].as_str().unwrap());
    assert_let_in(&old).await;
    let path = format!("/auth/token/{}", issued["id"].as_str().unwrap());

    let rotated = app.operator().post(&format!("{path}/rotate"), json!({ "overlap_secs": 600 })).await;
    rotated.assert_status(201);
    assert_ne!(rotated.json["id"], issued["id"]);
    for same in ["name", "scopes", "agent", "tenant_id"] {
        assert_eq!(rotated.json[same], issued[same], "{same}");
    }
    let new = app.user_of(rotated.json["api_token"].as_str().unwrap());
    assert_let_in(&old).await;
    assert_let_in(&new).await;
    assert_eq!(app.operator().get(&path).await.json["rotated_to"], rotated.json["id"]);

    app.clock.advance(Duration::from_secs(590));
    assert_let_in(&old).await;
    app.clock.advance(Duration::from_secs(11));
    assert_refused(&old).await;
    assert_let_in(&new).await;
    app.operator()
        .post(&format!("{path}/rotate"), json!({}))
        .await
        .assert_problem(409, "token_ended");
}

#[tokio::test]
async fn a_rotation_without_overlap_ends_the_old_token_at_once() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let issued = app.issue(&luna, &["read:workflows"], json!({})).await;
    let old = app.user_of(issued["api_token"].as_str().unwrap());
    assert_let_in(&old).await;
    let path = format!("/auth/token/{}/rotate", issued["id"].as_str().unwrap());
    app.operator().post(&path, json!({ "overlap_secs": 0 })).await.assert_status(201);
    assert_refused(&old).await;
}

#[tokio::test]
async fn an_overlap_does_not_lengthen_a_tokens_life() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let issued = app.issue(&luna, &["read:workflows"], json!({ "expires_in": 60 })).await;
    let old = app.user_of(issued["api_token"].as_str().unwrap());
    let path = format!("/auth/token/{}/rotate", issued["id"].as_str().unwrap());
    app.operator().post(&path, json!({ "overlap_secs": 3600 })).await.assert_status(201);
    assert_let_in(&old).await;
    app.clock.advance(Duration::from_secs(61));
    assert_refused(&old).await;
}

#[tokio::test]
async fn a_rotation_needs_the_scopes_of_the_token() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let strong = app.issue(&luna, &["write:crm"], json!({})).await;
    let path = format!("/auth/token/{}/rotate", strong["id"].as_str().unwrap());
    let weak = app.user(&luna, &["admin:tenants", "read:crm"]).await;
    let refused = weak.post(&path, json!({})).await;
    refused.assert_status(403);
    assert!(!refused.text.contains("smcp_"));
    assert_let_in(&app.user_of(strong["api_token"].as_str().unwrap())).await;
    let holder = app.user(&luna, &["admin:tenants", "write:crm"]).await;
    holder.post(&path, json!({})).await.assert_status(201);
}

#[tokio::test]
async fn a_token_shows_when_it_was_last_used_and_never_itself() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let issued = app.issue(&luna, &["read:workflows"], json!({})).await;
    let path = format!("/auth/token/{}", issued["id"].as_str().unwrap());
    assert_eq!(app.operator().get(&path).await.json["last_used_at"], Value::Null);
    app.user_of(issued["api_token"].as_str().unwrap())
        .get("/api/v1/whoami")
        .await
        .assert_status(200);
    let shown = app.operator().get(&path).await;
    assert!(shown.json["last_used_at"].is_string(), "{}", shown.text);
    assert!(!shown.text.contains("smcp_") && !shown.text.contains("hash"));
    assert!(app.state.known.used_at(issued["id"].as_str().unwrap().parse().unwrap()).is_some());
}

#[tokio::test]
async fn the_operators_token_is_no_tenants() {
    let app = App::start().await;
    let who = app.user_of(OPERATOR).get("/api/v1/whoami").await;
    assert_eq!(who.json["operator"], true);
    assert_eq!(who.json["scopes"], json!(["admin:tenants"]));
    assert_eq!(who.json["tenant"], Value::Null);
    assert_refused(&app.user_of(&OPERATOR[..OPERATOR.len() - 1])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_revocation_never_loses_a_race_with_a_first_use() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    for round in 0..40 {
        let issued = app.issue(&tenant, &["read:workflows"], json!({})).await;
        let user = app.user_of(issued["api_token"].as_str().unwrap());
        let operator = app.operator();
        let path = format!("/auth/token/{}", issued["id"].as_str().unwrap());
        let (revoked, _, _) = tokio::join!(operator.delete(&path), user.get("/api/v1/whoami"), user.get("/api/v1/whoami"));
        revoked.assert_status(204);
        let after = user.get("/api/v1/whoami").await;
        assert!(
            [401, 429].contains(&after.status.as_u16()),
            "let in after its revocation, round {round}: {}",
            after.text
        );
    }
}

// The doors and the database.

#[tokio::test]
async fn a_call_that_wants_progress_is_refused_before_a_stream_begins() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let reader = app.user(&tenant, &["read:workflows"]).await;
    let params = json!({ "name": "workflows_trigger", "arguments": { "workflow_id": "x" }, "_meta": { "progressToken": 7 } });
    for refused in [
        reader.mcp("tools/call", params.clone()).await,
        reader.mcp_modern("tools/call", params).await,
    ] {
        refused.assert_status(403);
        assert_eq!(refused.header("content-type"), "application/json");
        assert!(refused.header("www-authenticate").contains("insufficient_scope"));
    }
}

#[tokio::test]
async fn the_root_is_the_same_door_as_mcp() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "workflows_list", "arguments": {} } });
    let headers = |user: &User| {
        user.with_header("accept", "application/json, text/event-stream")
            .with_header("mcp-protocol-version", "2025-11-25")
    };
    headers(&user).post("/", body.clone()).await.content();
    assert_refused_in_mcp(&headers(&app.nobody()).post("/", body).await);
}

#[tokio::test]
async fn while_the_database_is_away_warm_tokens_read_for_thirty_seconds_and_nothing_is_written() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    app.sql("alter table revision rename to revision_away").await;
    for _ in 0..200 {
        if app.nobody().get("/health/ready").await.status == 503 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    app.nobody().get("/health/database").await.assert_status(503);
    user.get("/api/v1/workflows").await.assert_status(200);
    user.call("workflows_list", json!({})).await.content();
    let refused = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
    refused.assert_problem(503, "database_away");
    assert!(!refused.header("retry-after").is_empty());
    assert!(
        user.call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" }))
            .await
            .tool_error()
            .contains("database")
    );
    app.clock.advance(Duration::from_secs(31));
    user.get("/api/v1/workflows").await.assert_problem(503, "database_away");

    app.sql("alter table revision_away rename to revision").await;
    for _ in 0..200 {
        if app.nobody().get("/health/ready").await.status == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    assert_eq!(n8n.runs(), 1);
}
