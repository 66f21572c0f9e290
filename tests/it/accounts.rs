//! The account: tenants, connections, cursors, kill switches, usage, whoami.

use serde_json::{Value, json};

use crate::app::{App, Reply, User, folder_holds};

// Tenants.

#[tokio::test]
async fn a_tenant_is_made_with_the_defaults_of_the_contract() {
    let app = App::start().await;
    let made = app
        .operator()
        .post("/api/v1/tenants", json!({ "name": "Panadería Luna", "slug": "panaderia-luna" }))
        .await;
    made.assert_status(201);
    let id: uuid::Uuid = made.json["id"].as_str().unwrap().parse().unwrap();
    assert_eq!(id.get_version_num(), 4);
    for (field, value) in [
        ("slug", "panaderia-luna"),
        ("name", "Panadería Luna"),
        ("plan", "business"),
        ("status", "active"),
        ("time_zone", "America/Santiago"),
        ("locale", "es-CL"),
    ] {
        assert_eq!(made.json[field], value, "{field}");
    }
    assert_eq!(made.json["rut"], Value::Null);
    for named in [id.to_string().as_str(), "panaderia-luna"] {
        assert_eq!(app.operator().get(&format!("/api/v1/tenants/{named}")).await.json, made.json);
    }
}

#[tokio::test]
async fn what_a_tenant_cannot_be_is_refused_and_names_the_field() {
    let app = App::start().await;
    for (field, wrong) in [
        ("slug", json!("Luna")),
        ("slug", json!("1luna")),
        ("slug", json!("lu/na")),
        ("slug", json!("")),
        ("slug", json!("x".repeat(64))),
        ("name", json!("")),
        ("rut", json!("76.192.083-8")),
        ("rut", json!("hello")),
        ("plan", json!("golden")),
        ("time_zone", json!("Chile/Luna")),
        ("time_zone", json!("../../etc/passwd")),
        ("backend_allow", json!(["10.0.0.0/33"])),
        ("backend_allow", json!("10.0.0.0/8")),
        ("id", json!("mine")),
    ] {
        let mut body = json!({ "name": "Luna", "slug": "luna" });
        body[field] = wrong.clone();
        let refused = app.operator().post("/api/v1/tenants", body).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.json["detail"].as_str().unwrap().contains(field),
            "{field}={wrong}: {}",
            refused.text
        );
    }
    app.operator()
        .get("/api/v1/tenants/luna")
        .await
        .assert_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_rut_is_verified_and_written_one_way() {
    let app = App::start().await;
    for (slug, given, normal) in [("luna", "76.192.083-9", "76192083-9"), ("sol", "10.000.013-k", "10000013-K")] {
        let made = app
            .operator()
            .post("/api/v1/tenants", json!({ "name": slug, "slug": slug, "rut": given }))
            .await;
        assert_eq!(made.assert_status(201).json["rut"], normal);
    }
    let changed = app.operator().patch("/api/v1/tenants/luna", json!({ "rut": "5126663-3" })).await;
    assert_eq!(changed.assert_status(200).json["rut"], "5126663-3");
    app.operator()
        .patch("/api/v1/tenants/luna", json!({ "rut": "5126663-4" }))
        .await
        .assert_problem(422, "invalid_input");
}

#[tokio::test]
async fn a_slug_belongs_to_one_tenant_for_ever() {
    let app = App::start().await;
    app.tenant("luna").await;
    let again = json!({ "name": "Other", "slug": "luna" });
    app.operator()
        .post("/api/v1/tenants", again.clone())
        .await
        .assert_problem(409, "slug_taken");
    app.operator()
        .post("/api/v1/tenants", json!({ "name": "x", "slug": "default" }))
        .await
        .assert_problem(409, "slug_taken");
    app.operator().delete("/api/v1/tenants/luna").await.assert_status(204);
    app.operator()
        .post("/api/v1/tenants", again)
        .await
        .assert_problem(409, "slug_taken");
}

#[tokio::test]
async fn a_tenant_is_changed_by_the_operator_and_in_part_by_itself() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    let own = admin
        .patch(
            "/api/v1/tenants/luna",
            json!({ "name": "Luna SpA", "time_zone": "Pacific/Easter", "locale": "en-US" }),
        )
        .await;
    own.assert_status(200);
    assert_eq!(
        (&own.json["name"], &own.json["time_zone"]),
        (&json!("Luna SpA"), &json!("Pacific/Easter"))
    );
    let by_operator = app
        .operator()
        .patch(
            &format!("/api/v1/tenants/{}", luna.id),
            json!({ "plan": "starter", "region": "pe", "backend_allow": ["10.8.0.0/24"] }),
        )
        .await;
    by_operator.assert_status(200);
    assert_eq!(by_operator.json["plan"], "starter");
    assert_eq!(by_operator.json["backend_allow"], json!(["10.8.0.0/24"]));
    assert_eq!(by_operator.json["name"], "Luna SpA", "what is not said stays");
    // The change is seen by the tenant's next call.
    assert_eq!(admin.get("/api/v1/whoami").await.json["plan"]["plan"], "starter");
    app.operator()
        .patch("/api/v1/tenants/luna", json!({ "status": "deleted" }))
        .await
        .assert_problem(422, "invalid_input");
}

#[tokio::test]
async fn a_deleted_tenant_is_gone_with_its_tokens_and_connections() {
    let app = App::start().await;
    let (luna, user, n8n) = app.business("luna").await;
    let cold = app.user(&luna, &["read:workflows"]).await;
    user.get("/api/v1/workflows").await.assert_status(200);
    app.operator()
        .delete(&format!("/api/v1/tenants/{}", luna.id))
        .await
        .assert_status(204);
    for user in [&user, &cold] {
        let refused = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
        refused.assert_problem(401, "unauthenticated");
    }
    for named in [luna.id.as_str(), "luna"] {
        app.operator()
            .get(&format!("/api/v1/tenants/{named}"))
            .await
            .assert_problem(404, "tenant_not_found");
        app.operator()
            .delete(&format!("/api/v1/tenants/{named}"))
            .await
            .assert_problem(404, "tenant_not_found");
        app.operator()
            .for_tenant(named)
            .get("/api/v1/connections")
            .await
            .assert_problem(404, "tenant_not_found");
    }
    assert!(!app.operator().get("/api/v1/tenants").await.text.contains(&luna.id));
    assert_eq!(n8n.runs(), 0);
    app.operator()
        .delete("/api/v1/tenants/default")
        .await
        .assert_problem(409, "default_tenant");
}

// Connections.

const SECRET: &str = "n8n-api-key-that-nobody-may-see";

#[tokio::test]
async fn a_connection_is_set_shown_tested_and_removed_and_its_credential_never_comes_out() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let (url, n8n) = app.vendors.n8n("luna", SECRET);
    let admin = app.user(&luna, &["admin:tenants", "read:workflows"]).await;
    let mut answers = Vec::new();

    admin.get("/api/v1/connections/n8n").await.assert_problem(404, "not_connected");
    let body = json!({ "url": format!("{url}/"), "credential": { "api_key": SECRET, "mcp_token": "mcp-token" } });
    let set = admin.put("/api/v1/connections/n8n", body.clone()).await;
    set.assert_status(200);
    assert_eq!((&set.json["backend"], &set.json["url"]), (&json!("n8n"), &json!(url)));
    assert_eq!(set.json["tenant_id"], luna.id);
    assert!(n8n.last_request_headers().is_empty(), "storing calls nobody");
    answers.push(set);
    answers.push(admin.get("/api/v1/connections/n8n").await);
    let listed = admin.get("/api/v1/connections").await;
    assert_eq!(listed.json["connections"].as_array().unwrap().len(), 1);
    let backends = listed.json["backends"].as_array().unwrap();
    let connectable = backends.iter().find(|backend| backend["backend"] == "n8n").unwrap();
    assert_eq!(connectable["connected"], true);
    assert_eq!(connectable["credential_schema"]["required"], json!(["api_key"]));
    answers.push(listed);
    let tested = admin.post("/api/v1/connections/n8n/test", json!({})).await;
    assert_eq!(tested.assert_status(200).json["ok"], true, "{}", tested.text);
    answers.push(tested);
    answers.push(admin.call("connections_get", json!({ "backend": "n8n" })).await);
    answers.push(
        admin
            .call(
                "connections_set",
                json!({ "backend": "n8n", "url": url, "credential": { "api_key": SECRET } }),
            )
            .await,
    );
    admin.get("/api/v1/workflows").await.assert_status(200);
    answers.push(admin.get("/api/v1/audit").await);
    for answer in &answers {
        answer.assert_status(200);
        assert!(
            !answer.text.contains(SECRET) && !answer.text.contains("mcp-token"),
            "{}",
            answer.text
        );
    }
    assert!(!folder_holds(app.folder(), SECRET).await, "it is stored sealed");

    admin.delete("/api/v1/connections/n8n").await.assert_status(204);
    admin.delete("/api/v1/connections/n8n").await.assert_problem(404, "not_connected");
    admin.get("/api/v1/workflows").await.assert_problem(409, "not_connected");
    admin
        .post("/api/v1/connections/n8n/test", json!({}))
        .await
        .assert_problem(409, "not_connected");
}

#[tokio::test]
async fn a_connection_is_replaced_at_once() {
    let app = App::start().await;
    let (luna, user, old) = app.business("luna").await;
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    let (url, new) = app.vendors.n8n("luna-new", "new-key");
    app.connect_n8n(&luna, &url, "new-key").await;
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    assert_eq!((old.runs(), new.runs()), (1, 1));
    let listed = app.operator().for_tenant("luna").get("/api/v1/connections").await;
    assert_eq!(
        listed.json["connections"].as_array().unwrap().len(),
        1,
        "one per tenant and backend"
    );
}

#[tokio::test]
async fn a_test_says_what_is_wrong_with_a_connection() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let (url, _) = app.vendors.n8n("luna", "right-key");
    let operator = app.operator().for_tenant("luna");
    app.connect_n8n(&luna, &url, "wrong-key").await;
    let refused = operator.post("/api/v1/connections/n8n/test", json!({})).await;
    refused.assert_status(502);
    let said = refused.json["detail"].as_str().unwrap().to_lowercase();
    assert!(said.contains("key") || said.contains("credential"), "{said}");
    assert!(!refused.text.contains("wrong-key"), "{}", refused.text);

    // Port 1 of loopback: nobody listens there.
    app.connect_n8n(&luna, "http://n8n-luna.vendors.test:1", "right-key").await;
    let silent = operator.post("/api/v1/connections/n8n/test", json!({})).await;
    silent.assert_problem(503, "backend_down");
    assert!(
        silent.json["detail"].as_str().unwrap().contains("refuses connections"),
        "{}",
        silent.text
    );
}

#[tokio::test]
async fn what_a_connection_cannot_be_is_refused_and_names_the_field() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let wide = json!({ "limits": { "general": { "per_minute": 1000, "burst": 1000 } } });
    let admin = app.user_with(&luna, &["admin:tenants"], wide).await;
    let good = json!({ "url": "http://n8n.vendors.test", "credential": { "api_key": SECRET } });
    for (wrong, field) in [
        (json!({ "url": "http://169.254.169.254/latest" }), "url"),
        (json!({ "url": "http://10.0.0.1" }), "url"),
        (json!({ "url": "http://[::1]:5678" }), "url"),
        (json!({ "url": "http://192.168.1.2" }), "url"),
        (json!({ "url": "http://luna:password-in-url@n8n.vendors.test" }), "url"),
        (json!({ "url": "http://token-in-url@n8n.vendors.test" }), "url"),
        (json!({ "url": "http://n8n.vendors.test/?key=1" }), "url"),
        (json!({ "url": "ftp://n8n.vendors.test" }), "url"),
        (json!({ "url": "n8n.vendors.test" }), "url"),
        (json!({ "url": "" }), "url"),
        (json!({ "credential": {} }), "credential.api_key"),
        (json!({ "credential": { "api_key": SECRET, "apikey": 1 } }), "credential.apikey"),
        (json!({ "credential": SECRET }), "credential"),
        (json!({ "credential": { "api_key": { "value": SECRET } } }), "credential"),
        (
            json!({ "credential": { "api_key": SECRET, "webhook_auth": { "type": SECRET } } }),
            "credential",
        ),
        (json!({ "credential": { "api_key": "x".repeat(70_000) } }), "credential"),
    ] {
        let mut body = good.clone();
        for (name, value) in wrong.as_object().unwrap() {
            body[name] = value.clone();
        }
        let refused = admin.put("/api/v1/connections/n8n", body).await;
        refused.assert_status(422);
        assert_eq!(refused.header("content-type"), "application/problem+json");
        assert!(
            refused.json["detail"].as_str().unwrap().contains(field),
            "{field}: {}",
            refused.text
        );
        for secret in [SECRET, "password-in-url", "token-in-url"] {
            assert!(!refused.text.contains(secret), "a secret is quoted: {}", refused.text);
        }
    }
    admin.get("/api/v1/connections/n8n").await.assert_problem(404, "not_connected");
    for unknown in ["odoo-2", "N8N", "n8n%2F..", "%C3%B1"] {
        let path = format!("/api/v1/connections/{unknown}");
        admin.put(&path, good.clone()).await.assert_status(404);
        admin.get(&path).await.assert_status(404);
        admin.delete(&path).await.assert_status(404);
        admin.post(&format!("{path}/test"), json!({})).await.assert_status(404);
    }
}

#[tokio::test]
async fn another_tenants_ids_are_not_found_everywhere() {
    let app = App::start().await;
    let (sol, ..) = app.business("sol").await;
    let luna = app.tenant("luna").await;
    let admin = app
        .user_with(
            &luna,
            &["admin:tenants"],
            json!({ "limits": { "general": { "per_minute": 1000, "burst": 1000 } } }),
        )
        .await;
    for named in [sol.id.as_str(), "sol", "nobody"] {
        let replies: [Reply; 10] = [
            admin.get(&format!("/api/v1/tenants/{named}")).await,
            admin.patch(&format!("/api/v1/tenants/{named}"), json!({ "name": "mine" })).await,
            admin.get(&format!("/api/v1/connections?tenant_id={named}")).await,
            admin.get(&format!("/api/v1/connections/n8n?tenant_id={named}")).await,
            admin.delete(&format!("/api/v1/connections/n8n?tenant_id={named}")).await,
            admin.post("/api/v1/connections/n8n/test", json!({ "tenant_id": named })).await,
            admin
                .put(
                    "/api/v1/connections/n8n",
                    json!({ "tenant_id": named, "url": "http://x.vendors.test", "credential": { "api_key": "k" } }),
                )
                .await,
            admin.get(&format!("/api/v1/usage?tenant_id={named}")).await,
            admin.get(&format!("/api/v1/audit?tenant_id={named}")).await,
            admin.get(&format!("/auth/token?tenant_id={named}")).await,
        ];
        for reply in replies {
            reply.assert_problem(404, "tenant_not_found");
            assert_eq!(reply.json["detail"], format!("Tenant '{named}' not found or access denied"));
        }
        let mcp = admin.call("usage_get", json!({ "tenant_id": named })).await;
        assert!(
            mcp.json["error"]["code"] == -32602 || mcp.json["result"]["isError"] == true,
            "{}",
            mcp.text
        );
        assert!(!mcp.text.contains("api_calls"));
    }
    assert_eq!(admin.get("/api/v1/tenants").await.json["tenants"].as_array().unwrap().len(), 1);
    assert_eq!(
        app.operator().for_tenant("sol").get("/api/v1/connections/n8n").await.status,
        200,
        "sol's is untouched"
    );
}

#[tokio::test]
async fn the_operator_must_say_which_tenant() {
    let app = App::start().await;
    app.tenant("luna").await;
    for path in ["/api/v1/connections", "/api/v1/usage", "/api/v1/connections/n8n"] {
        let refused = app.operator().get(path).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.text.contains("X-Tenant-ID") && refused.text.contains("tenant_id"),
            "{}",
            refused.text
        );
    }
    app.operator().get("/api/v1/usage?tenant_id=luna").await.assert_status(200);
}

// Cursors.

/// Every page of a list, two items each; the ids on them, and the cursors between.
async fn pages(user: &User, path: &str, items: &str) -> (Vec<String>, Vec<String>) {
    let (mut ids, mut cursors) = (Vec::new(), Vec::<String>::new());
    loop {
        let cursor = cursors.last().map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let page = user.get(&format!("{path}?limit=2{cursor}")).await;
        page.assert_status(200);
        let found = page.json[items].as_array().unwrap();
        assert!(found.len() <= 2);
        ids.extend(found.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        match page.json["next_cursor"].as_str() {
            None => break,
            Some(next) => {
                assert_eq!(found.len(), 2, "only the last page is shorter");
                cursors.push(next.to_owned());
            }
        }
        assert!(cursors.len() < 100, "it never ends");
    }
    (ids, cursors)
}

#[tokio::test]
async fn a_list_is_paged_without_gap_or_repetition() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    for _ in 0..4 {
        app.issue(&luna, &["read:crm"], json!({})).await;
    }
    let whole = admin.get("/auth/token").await;
    let whole: Vec<_> = whole.json["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| token["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(whole.len(), 5);
    let (ids, cursors) = pages(&admin, "/auth/token", "tokens").await;
    assert_eq!((ids, cursors.len()), (whole, 2));

    for slug in ["sol", "mar", "rio"] {
        app.tenant(slug).await;
    }
    let (ids, _) = pages(&app.operator(), "/api/v1/tenants", "tenants").await;
    assert_eq!(ids.len(), 5);
    let through_mcp = admin.call("tokens_list", json!({ "limit": 2, "cursor": cursors[1] })).await;
    assert_eq!(through_mcp.content()["tokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_cursor_is_good_for_its_own_tenant_and_list_only() {
    let app = App::start().await;
    let luna = app.tenant("luna").await;
    let sol = app.tenant("sol").await;
    let wide = json!({ "limits": { "general": { "per_minute": 1000, "burst": 1000 } } });
    let admin = app.user_with(&luna, &["admin:tenants"], wide).await;
    let other = app.user(&sol, &["admin:tenants"]).await;
    for _ in 0..4 {
        app.issue(&luna, &["read:crm"], json!({})).await;
    }
    for _ in 0..3 {
        admin.get("/api/v1/usage").await.assert_status(200);
    }
    let (_, cursors) = pages(&admin, "/auth/token", "tokens").await;
    let (_, audits) = pages(&admin, "/api/v1/audit", "entries").await;
    let good = &cursors[0];
    let mut altered = good.clone().into_bytes();
    altered[3] = if altered[3] == b'A' { b'B' } else { b'A' };
    let altered = String::from_utf8(altered).unwrap();
    let mut moved = good.clone().into_bytes();
    let end = moved.len() - 2;
    moved[end] = if moved[end] == b'A' { b'B' } else { b'A' };
    let moved = String::from_utf8(moved).unwrap();
    let long = "A".repeat(5000);

    for wrong in [altered.as_str(), &moved, &audits[0], &good[..10], "", "next", &long] {
        let refused = admin.get(&format!("/auth/token?cursor={wrong}")).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.json["detail"].as_str().unwrap().contains("cursor"),
            "{wrong}: {}",
            refused.text
        );
    }
    other
        .get(&format!("/auth/token?cursor={good}"))
        .await
        .assert_problem(422, "invalid_input");
    app.operator()
        .get(&format!("/auth/token?cursor={good}"))
        .await
        .assert_problem(422, "invalid_input");
    let mcp = other.call("tokens_list", json!({ "cursor": good })).await;
    assert!(mcp.tool_error().contains("cursor"));
    admin.get(&format!("/auth/token?cursor={good}")).await.assert_status(200);
    for limit in ["0", "201", "-1", "many", "1.5"] {
        let refused = admin.get(&format!("/auth/token?limit={limit}")).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.json["detail"].as_str().unwrap().contains("limit"),
            "{limit}: {}",
            refused.text
        );
    }
}

// Kill switches.

async fn assert_switched_off(user: &User, reason: &str) {
    let rest = user.get("/api/v1/workflows").await;
    rest.assert_problem(503, "switched_off");
    assert!(rest.json["detail"].as_str().unwrap().contains(reason), "{}", rest.text);
    assert!(!rest.header("retry-after").is_empty());
    let mcp = user.call("workflows_list", json!({})).await;
    assert!(mcp.tool_error().contains(reason), "{}", mcp.text);
    assert_eq!(
        mcp.json["result"]["_meta"]["cl.smarterbot/error"]["code"], "switched_off",
        "{}",
        mcp.text
    );
    assert!(!user.tools().await.contains(&"workflows_list".to_owned()));
}

async fn assert_switched_on(user: &User) {
    user.get("/api/v1/workflows").await.assert_status(200);
    assert!(user.tools().await.contains(&"workflows_list".to_owned()));
}

#[tokio::test]
async fn a_tool_a_backend_or_a_tenant_is_switched_off_and_on_again() {
    let app = App::start().await;
    let (luna, user, _) = app.business("luna").await;
    let (_, other, _) = app.business("sol").await;
    for (switch, others_too) in [
        (json!({ "tool": "workflows_list" }), true),
        (json!({ "backend": "n8n" }), true),
        (json!({ "tenant_id": luna.id }), false),
        (json!({ "tenant_id": "luna", "tool": "workflows_list" }), false),
        (json!({ "tenant_id": "luna", "backend": "n8n", "tool": "workflows_list" }), false),
    ] {
        assert_switched_on(&user).await;
        let mut body = switch.clone();
        body["reason"] = json!("n8n is being upgraded");
        let made = app.operator().post("/api/v1/switches", body).await;
        made.assert_status(201);
        assert_switched_off(&user, "n8n is being upgraded").await;
        if others_too {
            assert_switched_off(&other, "n8n is being upgraded").await;
        } else {
            assert_switched_on(&other).await;
        }
        let listed = app.operator().get("/api/v1/switches").await;
        assert_eq!(listed.json["switches"].as_array().unwrap().len(), 1, "{switch}");
        let path = format!("/api/v1/switches/{}", made.json["id"].as_str().unwrap());
        app.operator().delete(&path).await.assert_status(204);
        app.operator().delete(&path).await.assert_problem(404, "not_found");
    }
    assert_switched_on(&user).await;
}

#[tokio::test]
async fn a_switch_of_one_tool_leaves_the_others() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    app.operator()
        .post("/api/v1/switches", json!({ "tool": "workflows_trigger", "reason": "later" }))
        .await
        .assert_status(201);
    assert_switched_on(&user).await;
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_problem(503, "switched_off");
    assert_eq!(n8n.runs(), 0);
}

#[tokio::test]
async fn a_switch_that_would_lock_the_operator_out_or_names_nothing_is_refused() {
    let app = App::start().await;
    for (wrong, status) in [
        (json!({ "reason": "all" }), 422),
        (json!({ "tool": "workflows_destroy", "reason": "x" }), 422),
        (json!({ "tool": "switches_remove", "reason": "x" }), 422),
        (json!({ "tool": "workflows_list" }), 422),
        (json!({ "tool": "workflows_list", "reason": "" }), 422),
        (json!({ "backend": "moon", "reason": "x" }), 404),
        (json!({ "tenant_id": "nobody", "reason": "x" }), 404),
    ] {
        app.operator().post("/api/v1/switches", wrong).await.assert_status(status);
    }
    assert_eq!(app.operator().get("/api/v1/switches").await.json["switches"], json!([]));
}

#[tokio::test]
async fn a_switch_outlives_a_restart() {
    let app = App::start().await;
    app.operator()
        .post("/api/v1/switches", json!({ "tool": "workflows_list", "reason": "later" }))
        .await
        .assert_status(201);
    let folder = app.stop().await;
    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    let (_, user, _) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_problem(503, "switched_off");
}

// Usage and whoami.

fn used<'a>(usage: &'a Value, meter: &str) -> &'a Value {
    usage["meters"]
        .as_array()
        .unwrap()
        .iter()
        .find(|shown| shown["meter"] == meter)
        .unwrap()
}

#[tokio::test]
async fn usage_counts_api_calls_and_executions() {
    let app = App::start().await;
    let (luna, user, _) = app.business("luna").await;
    let admin = app.user(&luna, &["admin:tenants"]).await;
    user.get("/api/v1/workflows").await.assert_status(200);
    user.call("workflows_list", json!({})).await.content();
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({}))
        .await
        .assert_status(200);
    let usage = admin.get("/api/v1/usage").await;
    usage.assert_status(200);
    assert_eq!(usage.json["plan"], "business");
    assert_eq!(
        *used(&usage.json, "api_calls"),
        json!({ "meter": "api_calls", "used": 3, "quota": 100_000, "left": 99_997 })
    );
    assert_eq!(
        *used(&usage.json, "workflows"),
        json!({ "meter": "workflows", "used": 1, "quota": 1000, "left": 999 })
    );
    assert_eq!(used(&usage.json, "code_generations")["used"], 0);
    // What is refused before it is admitted is no call of the plan; and managing the account is free.
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({ "moon": 1 }))
        .await
        .assert_status(422);
    user.get("/auth/token").await.assert_status(403);
    admin.get("/auth/token").await.assert_status(200);
    assert_eq!(used(&admin.get("/api/v1/usage").await.json, "api_calls")["used"], 3);
    assert_eq!(
        app.operator().for_tenant("luna").get("/api/v1/usage").await.json,
        admin.get("/api/v1/usage").await.json
    );
}

#[tokio::test]
async fn an_enterprise_has_no_quota() {
    let app = App::start().await;
    let tenant = app.tenant_with("luna", json!({ "plan": "enterprise" })).await;
    let admin = app.user(&tenant, &["admin:tenants"]).await;
    let usage = admin.get("/api/v1/usage").await;
    assert_eq!(
        *used(&usage.json, "workflows"),
        json!({ "meter": "workflows", "used": 0, "quota": null, "left": null })
    );
}

#[tokio::test]
async fn a_month_ends_by_the_tenants_own_time_zone() {
    let app = App::start().await;
    let mut ends = Vec::new();
    for (slug, zone) in [("luna", "Asia/Tokyo"), ("sol", "UTC")] {
        let tenant = app.tenant_with(slug, json!({ "time_zone": zone })).await;
        let admin = app.user(&tenant, &["admin:tenants"]).await;
        let usage = admin.get("/api/v1/usage").await;
        let end: jiff::Timestamp = usage.json["month_ends_at"].as_str().unwrap().parse().unwrap();
        ends.push(end.to_zoned(jiff::tz::TimeZone::get(zone).unwrap()));
    }
    for end in &ends {
        assert_eq!((end.day(), end.hour(), end.minute(), end.second()), (1, 0, 0, 0), "{end}");
    }
}

#[tokio::test]
async fn whoami_says_who_and_what_is_left() {
    let app = App::start().await;
    let (luna, user, _) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    let issued = app
        .issue(
            &luna,
            &["read:workflows", "write:crm"],
            json!({ "agent": "gemini", "expires_in": 3600, "limits": { "general": { "per_minute": 7 } } }),
        )
        .await;
    let who = app.user_of(issued["api_token"].as_str().unwrap()).get("/api/v1/whoami").await;
    who.assert_status(200);
    assert_eq!(
        (&who.json["tenant"]["id"], &who.json["tenant"]["slug"]),
        (&json!(luna.id), &json!("luna"))
    );
    assert_eq!(who.json["tenant_id"], luna.id);
    assert_eq!(who.json["token_id"], issued["id"]);
    assert_eq!(who.json["scopes"], json!(["read:workflows", "write:crm"]));
    assert_eq!(who.json["agent"], "gemini");
    assert_eq!(who.json["expires_at"], issued["expires_at"]);
    assert_eq!(who.json["limits"]["general"]["limit"], 7);
    assert_eq!(who.json["limits"]["hour"]["limit"], 5000);
    assert_eq!(who.json["limits"]["categories"]["workflows"]["limit"], 30);
    assert_eq!(who.json["plan"]["plan"], "business");
    assert_eq!(
        *used(&who.json["plan"], "api_calls"),
        json!({ "meter": "api_calls", "used": 1, "quota": 100_000, "left": 99_999 })
    );
    assert!(!who.text.contains("smcp_"));
    app.nobody().get("/api/v1/whoami").await.assert_status(401);
}
