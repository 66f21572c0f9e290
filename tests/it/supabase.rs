//! Supabase: its credential, the test of its connection, what is sent to it, and how its refusals are told. It is played.

use axum::{Router, response::IntoResponse as _};
use futures::{StreamExt as _, stream};
use http::{StatusCode, header};
use serde_json::{Value, json};
use smartermcp::sandbox::{
    faults::Fault,
    supabase::{self, Project, SHOP, Stands, Table, column},
};

use crate::app::{App, Reply, Tenant, User};

pub const SECRET: &str = "sb_secret_K3vWq8xYt0Zr5Bn1Lm7Ps_Jd2Fg4H";
const SCHEMAS: &str = "/api/v1/docs/schemas/supabase";

pub async fn connect(app: &App, tenant: &Tenant, url: &str, credential: Value) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator
        .put("/api/v1/connections/supabase", json!({ "url": url, "credential": credential }))
        .await
}

async fn test(app: &App, tenant: &Tenant) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator.post("/api/v1/connections/supabase/test", json!({})).await
}

/// A tenant with this played project, and a user who may read.
pub async fn with_project(app: &App, slug: &str, project: &Project, credential: Value) -> (Tenant, User) {
    let tenant = app.tenant(slug).await;
    let url = app.vendors.play(&format!("supabase-{slug}"), project.router());
    connect(app, &tenant, &url, credential).await.assert_status(200);
    let user = reader(app, &tenant).await;
    (tenant, user)
}

/// A user who may read, and whose token's own limits stand in no test's way.
pub async fn reader(app: &App, tenant: &Tenant) -> User {
    let wide = json!({ "general": { "per_minute": 10_000, "per_hour": 100_000, "burst": 1000 }, "categories": { "documentation": { "per_minute": 10_000 } } });
    app.user_with(tenant, &["read:services"], json!({ "limits": wide })).await
}

fn names(answer: &Value) -> Vec<&str> {
    let tables = answer["tables"].as_array().unwrap();
    tables.iter().map(|table| table["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_credential_that_supabase_could_not_take_is_refused_when_it_is_set() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let url = app.vendors.play("supabase", Project::new(SECRET).router());
    let anon = supabase::legacy_key("anon");
    for (credential, field) in [
        (json!({}), "credential.api_key: is missing"),
        (json!({ "api_key": "" }), "credential.api_key"),
        (json!({ "api_key": "secret-9 x" }), "credential.api_key"),
        (json!({ "api_key": "secret-9\n" }), "credential.api_key"),
        (
            json!({ "api_key": supabase::PUBLISHABLE }),
            "credential.api_key: is a publishable (anon) key",
        ),
        (json!({ "api_key": anon }), "credential.api_key: is a publishable (anon) key"),
        (json!({ "api_key": SECRET, "schema": "" }), "credential.schema"),
        (json!({ "api_key": SECRET, "schema": "luna, public" }), "credential.schema"),
        (json!({ "api_key": SECRET, "schema": "a".repeat(64) }), "credential.schema"),
        (json!({ "api_key": SECRET, "url": "x" }), "credential.url"),
        (json!({ "api_key": 7 }), "credential"),
    ] {
        let refused = connect(&app, &tenant, &url, credential.clone()).await;
        refused.assert_problem(422, "invalid_input");
        let said = refused.json["detail"].as_str().unwrap();
        assert!(said.starts_with(field), "{credential}: {said}");
        for secret in ["secret-9", SECRET, supabase::PUBLISHABLE, &anon] {
            assert!(!refused.text.contains(secret), "{}", refused.text);
        }
    }
    for key in [
        SECRET.to_owned(),
        supabase::legacy_key("service_role"),
        supabase::legacy_key("luna"),
    ] {
        connect(&app, &tenant, &url, json!({ "api_key": key, "schema": "luna_1" }))
            .await
            .assert_status(200);
    }
}

#[tokio::test]
async fn a_secret_key_goes_alone_and_a_legacy_one_as_a_bearer_too() {
    let app = App::start().await;
    let legacy = supabase::legacy_key("service_role");
    for (slug, key, bearer) in [("new", SECRET, None), ("old", legacy.as_str(), Some(format!("Bearer {legacy}")))] {
        let project = Project::standing(Stands::Hosted, key, vec![("public", &[]), ("luna", SHOP)]);
        let (tenant, user) = with_project(&app, slug, &project, json!({ "api_key": key, "schema": "luna" })).await;
        let tested = test(&app, &tenant).await;
        tested.assert_status(200);
        user.get(SCHEMAS).await.assert_status(200);
        let asked = project.asked();
        assert_eq!(asked.len(), 2);
        for asked in asked {
            assert_eq!(asked.path, "/rest/v1/");
            assert_eq!(asked.api_key.as_deref(), Some(key));
            assert_eq!(asked.authorization, bearer, "{slug}");
            assert_eq!(asked.accept.as_deref(), Some("application/openapi+json"));
            assert_eq!(asked.profile.as_deref(), Some("luna"));
        }
    }
}

#[tokio::test]
async fn a_test_of_the_connection_tells_the_version_and_how_many_tables_there_are() {
    const ONE: &[Table] = &[Table {
        name: "clientes",
        comment: None,
        columns: &[column("id", "uuid").key()],
        is_view: false,
    }];
    let app = App::start().await;
    for (slug, tables, words) in [
        ("shop", SHOP, "shows 5 tables of the default schema"),
        ("one", ONE, "shows one table of the default schema"),
        ("none", &[], "shows no table of the default schema"),
    ] {
        let project = Project::standing(Stands::Hosted, SECRET, vec![("public", tables)]);
        let (tenant, _) = with_project(&app, slug, &project, json!({ "api_key": SECRET })).await;
        let tested = test(&app, &tenant).await;
        tested.assert_status(200);
        assert_eq!(tested.json["version"], "14.5");
        assert!(tested.json["detail"].as_str().unwrap().contains(words), "{}", tested.text);
        assert!(!tested.text.contains(SECRET));
    }
}

#[tokio::test]
async fn a_test_of_the_connection_says_which_part_is_wrong() {
    const NEVER: &str = "never-to-be-told";
    let app = App::start().await;
    let pgrst = |code: &str, message: &str, hint: Value| json!({ "code": code, "details": null, "hint": hint, "message": message });
    let cases = [
        // Keys: as hosted projects answer, as they announced they would, and as Kong does.
        (
            401,
            json!({ "message": "Invalid API key", "hint": "Double check your Supabase `anon` or `service_role` API key." }),
            "credential_refused",
            "Invalid API key",
        ),
        (401, json!({ "message": "Unauthorized" }), "credential_refused", "Unauthorized"),
        (
            401,
            pgrst("PGRST303", "JWT expired", Value::Null),
            "credential_refused",
            "JWT expired",
        ),
        (
            401,
            json!({ "message": "Secret API key required", "hint": "Only secret API keys can be used for this endpoint." }),
            "permission_missing",
            "secret key (sb_secret_",
        ),
        (
            401,
            json!({ "message": "Invalid API key", "hint": "Only the `service_role` API key can be used for this endpoint." }),
            "permission_missing",
            "service_role",
        ),
        (
            403,
            json!({ "message": "Access to schema is forbidden", "hint": "Accessing the schema via the Data API is only allowed using a secret API key." }),
            "permission_missing",
            "publishable",
        ),
        (
            403,
            json!({ "message": "You cannot consume this service" }),
            "permission_missing",
            "publishable",
        ),
        // The schema.
        (
            403,
            pgrst("42501", "permission denied for schema luna", Value::Null),
            "permission_missing",
            "grant it usage",
        ),
        (
            406,
            pgrst(
                "PGRST106",
                "Invalid schema: luna",
                json!(format!("Only the following schemas are exposed: {NEVER}")),
            ),
            "schema_not_exposed",
            "does not expose the schema luna",
        ),
        (
            406,
            pgrst(
                "PGRST106",
                &format!("The schema must be one of the following: {NEVER}"),
                Value::Null,
            ),
            "schema_not_exposed",
            "luna",
        ),
        // The address.
        (
            404,
            pgrst("PGRST126", "Root endpoint metadata is disabled", Value::Null),
            "backend_refused",
            "openapi-mode",
        ),
        (404, json!({ "error": "requested path is invalid" }), "backend_refused", "url"),
        (200, json!({ "hello": "world" }), "backend_refused", "url"),
        (200, json!([]), "backend_refused", "url"),
        (503, pgrst("PGRST001", NEVER, Value::Null), "backend_down", "currently unavailable"),
    ];
    for (index, (status, body, code, words)) in cases.into_iter().enumerate() {
        let tenant = app.tenant(&format!("t{index}")).await;
        let status = StatusCode::from_u16(status).unwrap();
        let text = body.to_string();
        let router =
            Router::new().fallback(move || async move { (status, [(header::CONTENT_TYPE, "application/json")], text).into_response() });
        let url = app.vendors.play(&format!("odd-{index}"), router);
        connect(&app, &tenant, &url, json!({ "api_key": SECRET, "schema": "luna" }))
            .await
            .assert_status(200);
        let tested = test(&app, &tenant).await;
        assert_eq!(tested.json["code"], code, "{body}: {}", tested.text);
        assert!(tested.json["detail"].as_str().unwrap().contains(words), "{body}: {}", tested.text);
        for secret in [SECRET, NEVER] {
            assert!(!tested.text.contains(secret), "{}", tested.text);
        }
    }
}

#[tokio::test]
async fn each_gateway_refuses_what_it_refuses_and_it_is_told_apart() {
    let app = App::start().await;
    let legacy = supabase::legacy_key("service_role");
    for (slug, stands, key, given, code) in [
        ("wrong-key", Stands::Hosted, SECRET, "sb_secret_another", "credential_refused"),
        (
            "wrong-key-self",
            Stands::SelfHosted,
            SECRET,
            "sb_secret_another",
            "credential_refused",
        ),
        ("wrong-jwt", Stands::Alone, legacy.as_str(), SECRET, "credential_refused"),
        ("denied", Stands::Denied, SECRET, SECRET, "permission_missing"),
        ("silent", Stands::Silent, legacy.as_str(), legacy.as_str(), "backend_refused"),
    ] {
        let project = Project::standing(stands, key, vec![("public", SHOP)]);
        let (tenant, user) = with_project(&app, slug, &project, json!({ "api_key": given })).await;
        assert_eq!(test(&app, &tenant).await.json["code"], code, "{slug}");
        let listed = user.get(SCHEMAS).await;
        listed.assert_problem(502, code);
        let said = user.call("docs_schemas", json!({ "database": "supabase" })).await;
        assert_eq!(said.tool_error().lines().next(), listed.json["detail"].as_str(), "{slug}");
    }
}

#[tokio::test]
async fn a_postgrest_that_stands_alone_is_found_at_the_root_and_looked_for_once() {
    let app = App::start().await;
    let key = supabase::legacy_key("luna");
    let project = Project::standing(Stands::Alone, &key, vec![("public", SHOP)]);
    let (tenant, user) = with_project(&app, "luna", &project, json!({ "api_key": key })).await;
    test(&app, &tenant).await.assert_status(200);
    let listed = user.get(SCHEMAS).await;
    assert_eq!(names(&listed.assert_status(200).json).len(), 5);
    let paths: Vec<_> = project.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/rest/v1/", "/", "/"]);
    let document = user.get("/api/v1/docs/apis/supabase").await;
    assert_eq!(document.json["document"]["basePath"], "/");
}

#[tokio::test]
async fn an_address_with_the_path_of_the_data_api_leads_to_the_same() {
    let app = App::start().await;
    let project = Project::new(SECRET);
    let tenant = app.tenant("luna").await;
    let url = app.vendors.play("supabase", project.router());
    connect(&app, &tenant, &format!("{url}/rest/v1/"), json!({ "api_key": SECRET }))
        .await
        .assert_status(200);
    test(&app, &tenant).await.assert_status(200);
    assert_eq!(project.asked()[0].path, "/rest/v1/");
    let user = reader(&app, &tenant).await;
    let document = user.get("/api/v1/docs/apis/supabase").await;
    assert_eq!(document.json["document"]["basePath"], "/rest/v1");
    assert!(
        document.json["document"]["host"]
            .as_str()
            .unwrap()
            .starts_with("supabase.vendors.test:")
    );
    assert_eq!(document.json["document"]["schemes"], json!(["http"]));
}

#[tokio::test]
async fn tenants_who_share_a_project_see_their_own_schema_and_no_other() {
    const SOL: &[Table] = &[Table {
        name: "recetas",
        comment: None,
        columns: &[column("id", "bigint").key(), column("secreto", "text")],
        is_view: false,
    }];
    let app = App::start().await;
    let project = Project::standing(Stands::Hosted, SECRET, vec![("public", &[]), ("luna", SHOP), ("sol", SOL)]);
    let (_, luna) = with_project(&app, "luna", &project, json!({ "api_key": SECRET, "schema": "luna" })).await;
    let (_, sol) = with_project(&app, "sol", &project, json!({ "api_key": SECRET, "schema": "sol" })).await;
    let (_, lost) = with_project(&app, "lost", &project, json!({ "api_key": SECRET, "schema": "lost" })).await;
    for _ in 0..2 {
        let of_luna = luna.get(SCHEMAS).await;
        assert_eq!(
            names(&of_luna.json),
            ["customers", "order_items", "orders", "products", "sales_by_day"]
        );
        let of_sol = sol.get(SCHEMAS).await;
        assert_eq!(names(&of_sol.json), ["recetas"]);
        for (user, never) in [(&luna, "recetas"), (&sol, "customers")] {
            let document = user.get("/api/v1/docs/apis/supabase").await;
            assert!(!document.assert_status(200).text.contains(never));
        }
        let refused = lost.get(SCHEMAS).await;
        refused.assert_problem(502, "schema_not_exposed");
        for other in ["luna", "sol"] {
            assert!(!refused.text.contains(other), "{}", refused.text);
        }
    }
}

#[tokio::test]
async fn every_fault_is_a_failure_on_both_doors_and_tells_no_secret() {
    let app = App::start().await;
    let app = &app;
    let cases = [
        (Fault::Status(401), 502, "credential_refused"),
        (Fault::Status(403), 502, "permission_missing"),
        (Fault::Status(404), 502, "backend_refused"),
        (Fault::Status(422), 422, "invalid_input"),
        (Fault::Status(429), 503, "backend_down"),
        (Fault::Status(500), 503, "backend_down"),
        (Fault::Status(502), 503, "backend_down"),
        (Fault::Html, 502, "backend_refused"),
        (Fault::NotJson, 502, "backend_refused"),
        (Fault::CutOff, 503, "backend_down"),
        (Fault::LyingLength, 502, "backend_refused"),
        (Fault::Huge(11 * 1024 * 1024), 502, "backend_refused"),
        (Fault::RedirectTo("https://elsewhere.example".to_owned()), 502, "backend_refused"),
    ];
    let all = cases.into_iter().enumerate().map(|(index, (fault, status, code))| async move {
        let project = Project::new(SECRET);
        let (_, user) = with_project(app, &format!("t{index}"), &project, json!({ "api_key": SECRET })).await;
        project.faults().set(fault.clone());
        for (path, tool, arguments) in [
            (SCHEMAS, "docs_schemas", json!({ "database": "supabase" })),
            ("/api/v1/docs/apis/supabase", "docs_apis", json!({ "service_id": "supabase" })),
        ] {
            let rest = user.get(path).await;
            // After five failures the connection rests.
            let rests = |said: &str| said == "Service 'supabase' is currently unavailable";
            let said = rest.json["detail"].as_str().unwrap();
            let right = (rest.status.as_u16(), rest.json["code"].as_str()) == (status, Some(code));
            assert!(right || rests(said), "{tool} at {fault:?}: {}", rest.text);
            let mcp = user.call_modern(tool, arguments).await;
            assert!(!mcp.tool_error().is_empty(), "{tool} at {fault:?}");
            for text in [&rest.text, &mcp.text] {
                assert!(!text.contains("K3vWq8xYt0Zr5Bn1Lm7Ps"), "{text}");
            }
        }
        project.faults().set(Fault::FailTimes { status: 503, times: 2 });
    });
    stream::iter(all).buffer_unordered(6).collect::<()>().await;
    let project = Project::new(SECRET);
    let (_, user) = with_project(app, "again", &project, json!({ "api_key": SECRET })).await;
    project.faults().set(Fault::FailTimes { status: 503, times: 2 });
    user.get(SCHEMAS).await.assert_status(200);
    assert_eq!(project.faults().requests(), 3, "a read is tried again");
}
