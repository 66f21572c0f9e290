//! Documentation: of services, of their APIs, and of databases. Backends are played; what is kept of them is the repository's own.

use axum::{
    Json, Router,
    response::{Html, IntoResponse as _},
    routing::get,
};
use serde_json::{Value, json};
use smartermcp::{
    backends,
    sandbox::{
        docker::{Docker, Image},
        faults::Fault,
        odoo,
        supabase::Project,
    },
};

use crate::{
    app::{App, Reply, Tenant, User},
    supabase::{SECRET, connect, reader, with_project},
};

/// What has a page, whatever a tenant has connected.
const PAGES: [&str; 10] = [
    "botpress",
    "chatwoot",
    "docker",
    "llm",
    "metabase",
    "n8n",
    "odoo",
    "prometheus",
    "smartermcp",
    "supabase",
];

/// A tenant who has connected nothing, and a user who may read.
async fn newcomer(app: &App, slug: &str) -> (Tenant, User) {
    let tenant = app.tenant(slug).await;
    let user = reader(app, &tenant).await;
    (tenant, user)
}

/// The same answer on REST and on both eras of MCP.
async fn on_all_doors(user: &User, path: &str, tool: &str, arguments: Value) -> Value {
    let rest = user.get(path).await;
    rest.assert_status(200);
    assert_eq!(user.call(tool, arguments.clone()).await.content(), &rest.json);
    assert_eq!(user.call_modern(tool, arguments).await.content(), &rest.json);
    rest.json
}

async fn apis(user: &User, service: &str) -> Value {
    on_all_doors(
        user,
        &format!("/api/v1/docs/apis/{service}"),
        "docs_apis",
        json!({ "service_id": service }),
    )
    .await
}

async fn services(user: &User, service: &str) -> Value {
    on_all_doors(
        user,
        &format!("/api/v1/docs/services/{service}"),
        "docs_services",
        json!({ "service_id": service }),
    )
    .await
}

async fn schemas(user: &User, database: &str) -> Value {
    on_all_doors(
        user,
        &format!("/api/v1/docs/schemas/{database}"),
        "docs_schemas",
        json!({ "database": database }),
    )
    .await
}

async fn register(app: &App, tenant: &Tenant, service: &str, body: Value) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    let reply = operator.put(&format!("/api/v1/services/{service}"), body).await;
    reply.assert_status(200);
    reply
}

fn table<'a>(answer: &'a Value, name: &str) -> &'a Value {
    let tables = answer["tables"].as_array().unwrap();
    tables
        .iter()
        .find(|table| table["name"] == name)
        .unwrap_or_else(|| panic!("{name}: {answer}"))
}

fn names(answer: &Value) -> Vec<&str> {
    let tables = answer["tables"].as_array().unwrap();
    tables.iter().map(|table| table["name"].as_str().unwrap()).collect()
}

// Services.

#[tokio::test]
async fn a_backends_page_needs_no_connection_and_is_the_same_on_all_doors() {
    let app = App::start().await;
    let (_, user) = newcomer(&app, "luna").await;
    for name in PAGES {
        // The category's burst is 20 calls.
        app.clock.advance(std::time::Duration::from_secs(1));
        let page = services(&user, name).await;
        assert_eq!((&page["service_id"], &page["source"]), (&json!(name), &json!("kept")));
        for list in ["tech_stack", "api_endpoints", "examples"] {
            assert!(!page[list].as_array().unwrap().is_empty(), "{name}: {list}");
        }
        for text in ["description", "connecting", "good_to_know"] {
            assert!(page[text].as_str().unwrap().len() > 40, "{name}: {text}");
        }
        for endpoint in page["api_endpoints"].as_array().unwrap() {
            assert!(endpoint["path"].as_str().unwrap().starts_with('/'), "{name}: {endpoint}");
            assert!(!endpoint["description"].as_str().unwrap().is_empty(), "{name}: {endpoint}");
        }
    }
}

#[tokio::test]
async fn every_example_of_every_page_is_a_call_that_the_gateway_takes() {
    let app = App::start().await;
    let (_, user) = newcomer(&app, "luna").await;
    let catalogue = backends::catalogue();
    for name in PAGES {
        let page = user.get(&format!("/api/v1/docs/services/{name}")).await;
        page.assert_status(200);
        for example in page.json["examples"].as_array().unwrap() {
            let tool = catalogue.find(example["tool"].as_str().unwrap());
            let tool = tool.unwrap_or_else(|| panic!("{name}: there is no tool {}", example["tool"]));
            tool.input
                .check(&example["arguments"])
                .unwrap_or_else(|error| panic!("{name}: {example}: {}", error.message()));
        }
    }
}

#[tokio::test]
async fn a_service_registered_by_hand_is_described_by_what_was_registered() {
    let app = App::start().await;
    let (luna, user) = newcomer(&app, "luna").await;
    let url = app.vendors.play("tienda", Router::new());
    register(
        &app,
        &luna,
        "tienda",
        json!({ "type": "frontend", "name": "Tienda en línea", "url": url, "health_url": format!("{url}/health"), "image": "ghcr.io/smarteros/tienda" }),
    )
    .await;
    register(&app, &luna, "caja", json!({ "type": "infrastructure" })).await;
    let page = services(&user, "tienda").await;
    assert_eq!(page["source"], "registry");
    assert_eq!(page["description"], "Tienda en línea. Type: frontend.");
    assert_eq!(page["tech_stack"], json!(["ghcr.io/smarteros/tienda"]));
    let paths: Vec<_> = page["api_endpoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|endpoint| &endpoint["path"])
        .collect();
    assert!(
        paths[0].as_str().unwrap().starts_with(&url) && paths[1].as_str().unwrap().ends_with("/health"),
        "{paths:?}"
    );
    assert_eq!(page["examples"][0]["arguments"], json!({ "service_id": "tienda" }));
    let bare = services(&user, "caja").await;
    assert_eq!(bare["description"], "Type: infrastructure.");
    assert_eq!(bare["unavailable"], json!(["tech_stack", "api_endpoints"]));
}

#[tokio::test]
async fn a_service_in_containers_is_described_by_their_labels() {
    let app = App::start().await;
    let (luna, user) = newcomer(&app, "luna").await;
    let docker = Docker::default();
    let url = app.vendors.play("docker", docker.router());
    app.operator()
        .for_tenant(&luna.id)
        .put("/api/v1/connections/docker", json!({ "url": url, "credential": {} }))
        .await
        .assert_status(200);
    docker.run(&luna.id, "web-1", ("ghcr.io/smarteros/web:3", Image::new("w")), |container| {
        container.label("smarteros.service", "web");
        container.label("smarteros.type", "frontend");
        container.label("smarteros.url", "https://luna.example.cl");
        container.label("org.opencontainers.image.title", "Vitrina");
        container.label("org.opencontainers.image.description", "of the image");
        container.label("smarteros.description", "La vitrina\nde la panadería");
        container.label("org.opencontainers.image.documentation", "https://docs.example.cl");
        container.label("org.opencontainers.image.source", "https://git.example.cl/web");
    });
    docker.run(&luna.id, "long-1", ("x:1", Image::new("x")), |container| {
        container.label("smarteros.service", "long");
        container.label("smarteros.description", &"ñ".repeat(100_000));
    });
    let page = services(&user, "web").await;
    assert_eq!(
        page["description"],
        "Vitrina. La vitrina de la panadería Type: frontend. Documentation: https://docs.example.cl Source code: https://git.example.cl/web"
    );
    assert_eq!(page["tech_stack"], json!(["ghcr.io/smarteros/web:3"]));
    assert_eq!(page["api_endpoints"][0]["path"], "https://luna.example.cl");
    let long = services(&user, "long").await;
    assert_eq!(long["description"].as_str().unwrap().chars().count(), 2000);
}

#[tokio::test]
async fn another_tenants_service_is_not_found_by_any_of_the_tools() {
    let app = App::start().await;
    let (luna, user) = newcomer(&app, "luna").await;
    let (sol, other) = newcomer(&app, "sol").await;
    register(&app, &luna, "tienda", json!({ "type": "frontend", "name": "Secreta" })).await;
    register(&app, &sol, "cocina", json!({ "type": "backend" })).await;
    for (user, service) in [
        (&other, "tienda"),
        (&user, "cocina"),
        (&user, "nobody"),
        (&user, "N8N"),
        (&user, "odoo2"),
        (&user, ".."),
    ] {
        for (tool, path) in [("docs_services", "services"), ("docs_apis", "apis")] {
            if service != ".." {
                let refused = user.get(&format!("/api/v1/docs/{path}/{service}")).await;
                refused.assert_problem(404, "not_found");
                assert!(!refused.text.contains("Secreta"));
            }
            let said = user.call(tool, json!({ "service_id": service })).await;
            assert!(said.tool_error().contains("there is no service"), "{}", said.text);
        }
    }
    user.get("/api/v1/docs/services/tienda").await.assert_status(200);
}

// APIs.

#[tokio::test]
async fn the_gateways_own_document_is_the_one_that_it_serves() {
    let app = App::start().await;
    let (_, user) = newcomer(&app, "luna").await;
    let shown = apis(&user, "smartermcp").await;
    let served = app.nobody().get("/openapi.json").await;
    assert_eq!(shown["document"], served.json);
    assert_eq!((&shown["format"], &shown["source"]), (&json!("openapi"), &json!("live")));
    assert_eq!(shown["truncated"], false);
    assert!(shown["note"].is_null());
}

#[tokio::test]
async fn n8ns_document_is_its_own_where_it_shows_it_and_else_the_kept_page() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    let kept = apis(&user, "n8n").await;
    assert_eq!((&kept["format"], &kept["source"]), (&json!("markdown"), &json!("kept")));
    assert!(kept["document"].as_str().unwrap().starts_with("# n8n\n"));
    assert!(kept["note"].as_str().unwrap().contains("not connected"));

    let (url, sandbox) = app.vendors.n8n("luna", "key-7f");
    app.connect_n8n(&tenant, &url, "key-7f").await;
    let live = apis(&user, "n8n").await;
    assert_eq!((&live["format"], &live["source"]), (&json!("openapi"), &json!("live")));
    assert_eq!(live["document"]["openapi"], "3.0.0");
    assert_eq!(live["document"]["servers"], json!([{ "url": format!("{url}/api/v1") }]));
    assert!(live["document"]["server"].is_null(), "what n8n spells wrong is mended");
    assert_eq!(live["document"]["paths"]["/workflows"]["get"]["operationId"], "getWorkflows");
    assert!(
        sandbox.last_request_headers().get("x-n8n-api-key").is_none(),
        "the page is everybody's"
    );

    // Connected anew, nothing is remembered.
    app.connect_n8n(&tenant, &url, "key-7f").await;
    sandbox.set_fault(Fault::Status(404));
    let off = apis(&user, "n8n").await;
    assert_eq!((&off["format"], &off["source"]), (&json!("markdown"), &json!("kept")));
    assert!(off["note"].as_str().unwrap().contains("Swagger UI"));
    let records = schemas(&user, "n8n").await;
    assert_eq!(records["source"], "kept");

    for (fault, status, code) in [
        (Fault::Status(500), 503, "backend_down"),
        (Fault::Html, 502, "backend_refused"),
        (Fault::NotJson, 502, "backend_refused"),
    ] {
        app.connect_n8n(&tenant, &url, "key-7f").await;
        sandbox.set_fault(fault);
        user.get("/api/v1/docs/apis/n8n").await.assert_problem(status, code);
        user.get("/api/v1/docs/schemas/n8n").await.assert_problem(status, code);
        services(&user, "n8n").await;
    }
}

#[tokio::test]
async fn supabases_document_is_asked_for_once_in_five_minutes_for_each_connection() {
    let app = App::start().await;
    let project = Project::new(SECRET);
    let (tenant, user) = with_project(&app, "luna", &project, json!({ "api_key": SECRET })).await;
    let (_, other) = with_project(&app, "sol", &Project::new(SECRET), json!({ "api_key": SECRET })).await;
    let shown = apis(&user, "supabase").await;
    assert_eq!(shown["document"]["swagger"], "2.0");
    assert_eq!(shown["document"]["basePath"], "/rest/v1");
    assert!(!shown["document"]["paths"]["/orders"]["get"].is_null());
    apis(&user, "supabase").await;
    apis(&other, "supabase").await;
    assert_eq!(project.asked().len(), 1, "the other tenant's is its own");
    schemas(&user, "supabase").await;
    assert_eq!(project.asked().len(), 2);
    let url = format!("http://supabase-luna.vendors.test:{}", app.vendors.address().port());
    connect(&app, &tenant, &url, json!({ "api_key": "sb_secret_wrong" }))
        .await
        .assert_status(200);
    user.get("/api/v1/docs/apis/supabase")
        .await
        .assert_problem(502, "credential_refused");
}

#[tokio::test]
async fn a_backend_without_a_document_of_its_own_answers_its_page() {
    let app = App::start().await;
    let (_, user) = newcomer(&app, "luna").await;
    for name in ["docker", "prometheus", "supabase"] {
        let shown = apis(&user, name).await;
        assert_eq!((&shown["format"], &shown["source"]), (&json!("markdown"), &json!("kept")), "{name}");
        assert!(shown["document"].as_str().unwrap().contains("## Endpoints"), "{name}");
        assert_eq!(shown["note"].is_string(), name == "supabase", "{name}");
    }
}

#[tokio::test]
async fn metabases_document_is_asked_for_without_its_key_and_has_its_address() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    let document = json!({ "openapi": "3.1.0", "servers": [{ "url": "" }], "paths": { "/api/card/{id}": { "get": {} } } });
    let connect = async |host: &str, router: Router| {
        let url = app.vendors.play(host, router);
        let connection = json!({ "url": url, "credential": { "api_key": "mb_key-7f" } });
        let operator = app.operator().for_tenant(&tenant.id);
        operator.put("/api/v1/connections/metabase", connection).await.assert_status(200);
        url
    };
    let router = Router::new().route(
        "/api/docs/openapi.json",
        get(move |headers: http::HeaderMap| async move {
            match headers.contains_key("x-api-key") {
                true => Json(json!({})),
                false => Json(document),
            }
        }),
    );
    let url = connect("metabase", router).await;
    let shown = apis(&user, "metabase").await;
    assert_eq!(shown["document"]["servers"], json!([{ "url": url }]));
    assert_eq!((&shown["format"], &shown["source"]), (&json!("openapi"), &json!("live")));
    connect("metabase-odd", Router::new().fallback(async || Json(json!({ "openapi": 3 })))).await;
    user.get("/api/v1/docs/apis/metabase").await.assert_problem(502, "backend_refused");
}

/// A service of the tenant's whose web server this is.
async fn served(app: &App, tenant: &Tenant, id: &str, router: Router) -> String {
    let url = app.vendors.play(&format!("service-{id}"), router);
    register(app, tenant, id, json!({ "type": "backend", "url": url })).await;
    url
}

#[tokio::test]
async fn a_registered_services_document_is_found_below_its_address() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    let document = json!({ "openapi": "3.1.0", "info": { "title": "Tienda", "version": "1" }, "paths": { "/orders": { "get": {} } } });
    for (id, place) in [
        ("one", "/openapi.json"),
        ("two", "/api/openapi.json"),
        ("three", "/swagger.json"),
        ("four", "/v3/api-docs"),
    ] {
        let answer = document.clone();
        // A page for whatever is asked besides, as single-page applications have it.
        let router = Router::new()
            .route(place, get(move || async move { Json(answer) }))
            .fallback(async || Html("<!doctype html>"));
        let url = served(&app, &tenant, id, router).await;
        let shown = apis(&user, id).await;
        assert_eq!((&shown["format"], &shown["source"]), (&json!("openapi"), &json!("live")), "{id}");
        let mut expected = document.clone();
        expected["servers"] = json!([{ "url": url }]);
        assert_eq!(shown["document"], expected, "{id}");
    }
}

#[tokio::test]
async fn a_registered_service_without_a_document_is_described_and_says_what_was_looked_for() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    served(&app, &tenant, "pages", Router::new().fallback(async || Html("<!doctype html>"))).await;
    served(
        &app,
        &tenant,
        "other",
        Router::new().fallback(async || Json(json!({ "openapi": 3 }))),
    )
    .await;
    served(
        &app,
        &tenant,
        "refuses",
        Router::new().fallback(async || (http::StatusCode::FORBIDDEN, Json(json!({ "openapi": "3.0.0", "paths": {} })))),
    )
    .await;
    for id in ["pages", "other", "refuses"] {
        let shown = apis(&user, id).await;
        assert_eq!(
            (&shown["format"], &shown["source"]),
            (&json!("markdown"), &json!("registry")),
            "{id}"
        );
        assert!(shown["note"].as_str().unwrap().contains("/openapi.json"), "{id}: {shown}");
        assert!(shown["document"].as_str().unwrap().starts_with(&format!("# {id}\n")), "{id}");
    }
    register(&app, &tenant, "nowhere", json!({ "type": "backend" })).await;
    assert!(apis(&user, "nowhere").await["note"].as_str().unwrap().contains("no address"));
    // Nobody listens there.
    register(
        &app,
        &tenant,
        "gone",
        json!({ "type": "backend", "url": "http://gone.vendors.test:9" }),
    )
    .await;
    let gone = apis(&user, "gone").await;
    assert!(gone["note"].as_str().unwrap().contains("could not be asked"), "{gone}");
}

#[tokio::test]
async fn a_registered_address_that_backends_may_not_have_is_not_asked() {
    let app = App::with(|config| config.network.allow.clear()).await;
    let (tenant, user) = newcomer(&app, "luna").await;
    register(
        &app,
        &tenant,
        "inside",
        json!({ "type": "backend", "url": "http://169.254.169.254/latest" }),
    )
    .await;
    let shown = apis(&user, "inside").await;
    assert!(shown["note"].as_str().unwrap().contains("not allowed"), "{shown}");
}

#[tokio::test]
async fn a_document_that_is_too_long_is_answered_in_part_and_says_so() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    let words = "w".repeat(2 * 1024 * 1024);
    let document = json!({
        "openapi": "3.0.0", "info": { "title": "Tienda", "version": "1", "description": words },
        "paths": { "/orders": { "get": { "operationId": "list_orders", "description": "d" } } },
    });
    served(
        &app,
        &tenant,
        "long",
        Router::new().route("/openapi.json", get(move || async move { Json(document) })),
    )
    .await;
    let shown = apis(&user, "long").await;
    assert_eq!(shown["truncated"], true);
    assert!(shown["note"].as_str().unwrap().contains("descriptions"));
    assert_eq!(shown["document"]["info"], json!({ "title": "Tienda", "version": "1" }));
    assert_eq!(
        shown["document"]["paths"]["/orders"]["get"],
        json!({ "operationId": "list_orders" })
    );
    let huge = Router::new().fallback(async || vec![b'x'; 11 * 1024 * 1024].into_response());
    served(&app, &tenant, "huge", huge).await;
    assert!(apis(&user, "huge").await["note"].as_str().unwrap().contains("larger than"));
}

// Databases.

#[tokio::test]
async fn supabases_tables_have_their_columns_and_keys_on_all_doors() {
    let app = App::start().await;
    let (_, user) = with_project(&app, "luna", &Project::new(SECRET), json!({ "api_key": SECRET })).await;
    let shown = schemas(&user, "supabase").await;
    assert_eq!((&shown["database"], &shown["source"]), (&json!("supabase"), &json!("live")));
    assert_eq!((&shown["truncated"], &shown["next_cursor"]), (&json!(false), &Value::Null));
    assert_eq!(names(&shown), ["customers", "order_items", "orders", "products", "sales_by_day"]);
    assert_eq!(
        table(&shown, "orders")["columns"],
        json!([
            { "name": "created_at", "type": "timestamp with time zone", "nullable": false },
            { "name": "customer_id", "type": "bigint", "nullable": false },
            { "name": "details", "type": "jsonb", "nullable": true },
            { "name": "id", "type": "bigint", "nullable": false },
            { "name": "paid_at", "type": "timestamp with time zone", "nullable": true },
            { "name": "status", "type": "text", "nullable": false },
            { "name": "total", "type": "numeric", "nullable": false },
        ])
    );
    let relationship = |table: &str, column: &str, references: &str| json!({ "table": table, "column": column, "references_table": references, "references_column": "id" });
    assert_eq!(
        shown["relationships"],
        json!([
            relationship("customers", "company_id", "customers"),
            relationship("order_items", "order_id", "orders"),
            relationship("order_items", "product_id", "products"),
            relationship("orders", "customer_id", "customers"),
        ])
    );
}

#[tokio::test]
async fn tables_come_in_pages_whose_cursor_is_of_one_tenant_and_one_database() {
    let app = App::start().await;
    let project = Project::new(SECRET);
    let (_, user) = with_project(&app, "luna", &project, json!({ "api_key": SECRET })).await;
    let (_, other) = with_project(&app, "sol", &Project::new(SECRET), json!({ "api_key": SECRET })).await;
    let (mut found, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
    let mut given = Vec::new();
    loop {
        let page = user.get(&format!("/api/v1/docs/schemas/supabase?limit=2{cursor}")).await;
        page.assert_status(200);
        for relationship in page.json["relationships"].as_array().unwrap() {
            assert!(names(&page.json).contains(&relationship["table"].as_str().unwrap()));
        }
        found.extend(names(&page.json).into_iter().map(str::to_owned));
        pages += 1;
        match page.json["next_cursor"].as_str() {
            Some(next) => {
                given.push(next.to_owned());
                cursor = format!("&cursor={next}");
            }
            None => break,
        }
    }
    assert_eq!(pages, 3);
    assert_eq!(found, ["customers", "order_items", "orders", "products", "sales_by_day"]);
    assert_eq!(project.asked().len(), 1, "all pages are of one look");
    let cursor = &given[0];
    for (user, database) in [(&user, "smarteros"), (&other, "supabase")] {
        let refused = user.get(&format!("/api/v1/docs/schemas/{database}?cursor={cursor}")).await;
        refused.assert_problem(422, "invalid_input");
    }
    for wrong in [
        "supabase?limit=0",
        "supabase?limit=201",
        "supabase?cursor=x",
        "supabase?dsn=postgres://x",
        "postgres",
        "Supabase",
    ] {
        let refused = user.get(&format!("/api/v1/docs/schemas/{wrong}")).await;
        refused.assert_problem(422, "invalid_input");
    }
}

#[tokio::test]
async fn very_wide_tables_end_a_page_early() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let columns: serde_json::Map<_, _> = (0..1700)
        .map(|index| (format!("c{index:04}"), json!({ "format": "text" })))
        .collect();
    let definitions: serde_json::Map<_, _> = (0..8)
        .map(|index| (format!("t{index}"), json!({ "properties": columns })))
        .collect();
    let document = json!({ "swagger": "2.0", "info": { "version": "14.5" }, "definitions": definitions });
    let url = app
        .vendors
        .play("wide", Router::new().fallback(move || async move { Json(document) }));
    connect(&app, &tenant, &url, json!({ "api_key": SECRET })).await.assert_status(200);
    let user = reader(&app, &tenant).await;
    let first = user.get("/api/v1/docs/schemas/supabase").await;
    assert_eq!(names(&first.json), ["t0", "t1", "t2"]);
    assert_eq!(
        first.json["truncated"], true,
        "PostgreSQL has no table of 1700 columns, and 1600 are shown"
    );
    let next = first.json["next_cursor"].as_str().unwrap();
    let second = user.get(&format!("/api/v1/docs/schemas/supabase?cursor={next}")).await;
    assert_eq!(names(&second.json), ["t3", "t4", "t5"]);
}

#[tokio::test]
async fn the_platforms_tables_are_kept_and_hold_no_secret_columns() {
    let app = App::start().await;
    let (_, user) = newcomer(&app, "luna").await;
    let shown = schemas(&user, "smarteros").await;
    assert_eq!(shown["source"], "kept");
    assert_eq!(
        names(&shown),
        ["audit", "connections", "plans", "services", "tenants", "tokens", "usage"]
    );
    assert!(shown["note"].as_str().unwrap().contains("tokens_list"));
    for secret in ["hash", "credential", "backend_allow"] {
        assert!(!shown["tables"].to_string().contains(&format!("\"{secret}\"")), "{secret}");
    }
}

#[tokio::test]
async fn n8ns_records_are_kept_until_it_is_connected_and_then_its_own() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    let kept = schemas(&user, "n8n").await;
    assert_eq!(kept["source"], "kept");
    assert!(kept["note"].as_str().unwrap().contains("kept copy"));
    assert!(names(&kept).contains(&"credential"));
    let (url, _) = app.vendors.n8n("luna", "key");
    app.connect_n8n(&tenant, &url, "key").await;
    let live = schemas(&user, "n8n").await;
    assert_eq!(live["source"], "live");
    assert_eq!(names(&live), ["execution", "node", "tag", "workflow"]);
    let waiting = table(&live, "execution")["columns"]
        .as_array()
        .unwrap()
        .iter()
        .find(|column| column["name"] == "waitTill");
    assert_eq!(waiting, Some(&json!({ "name": "waitTill", "type": "date-time", "nullable": true })));
    assert_eq!(
        live["relationships"],
        json!([
            { "table": "execution", "column": "workflowId", "references_table": "workflow", "references_column": "id" },
            { "table": "workflow", "column": "nodes", "references_table": "node", "references_column": null },
            { "table": "workflow", "column": "tags", "references_table": "tag", "references_column": null },
        ])
    );
}

#[tokio::test]
async fn odoos_models_are_its_tables_and_many2one_fields_their_relationships() {
    let app = App::start().await;
    for (slug, release) in [("new", odoo::Release::Nineteen), ("old", odoo::Release::Seventeen)] {
        let (tenant, user) = newcomer(&app, slug).await;
        let played = odoo::Sandbox::new(release, "odoo-key-7f");
        let url = app.vendors.play(&format!("odoo-{slug}"), played.router());
        let credential = json!({ "api_key": "odoo-key-7f", "database": odoo::DATABASE, "login": odoo::LOGIN });
        app.operator()
            .for_tenant(&tenant.id)
            .put("/api/v1/connections/odoo", json!({ "url": url, "credential": credential }))
            .await
            .assert_status(200);
        let shown = schemas(&user, "odoo").await;
        assert_eq!(shown["source"], "live");
        let found = names(&shown);
        assert!(found.contains(&"res.partner") && found.contains(&"crm.lead"), "{found:?}");
        assert!(!found.contains(&"sale.order"));
        assert!(shown["note"].as_str().unwrap().contains("sale.order"), "{}", shown["note"]);
        let lead = table(&shown, "crm.lead")["columns"].to_string();
        for column in [
            r#"{"name":"id","nullable":false,"type":"integer"}"#,
            r#"{"name":"name","nullable":false,"type":"char"}"#,
            r#"{"name":"partner_id","nullable":true,"type":"many2one"}"#,
        ] {
            assert!(lead.contains(column), "{lead}");
        }
        let partner = table(&shown, "res.partner")["columns"].to_string();
        for left_out in ["opportunity_ids", "commercial_company_name"] {
            assert!(!partner.contains(left_out), "{left_out} is not kept there");
        }
        let related = json!({ "table": "crm.lead", "column": "partner_id", "references_table": "res.partner", "references_column": "id" });
        assert!(shown["relationships"].as_array().unwrap().contains(&related));
        assert_eq!(played.writes(), 0);
        let asked = played.asked().len();
        schemas(&user, "odoo").await;
        assert_eq!(played.asked().len(), asked, "what was described is used again");
    }
}

#[tokio::test]
async fn odoos_tables_are_a_failure_where_its_key_is_refused_or_it_is_not_well() {
    let app = App::start().await;
    let (tenant, user) = newcomer(&app, "luna").await;
    let played = odoo::Sandbox::new(odoo::Release::Nineteen, "odoo-key-7f");
    let url = app.vendors.play("odoo", played.router());
    let connect = async |key: &str| {
        let credential = json!({ "api_key": key, "database": odoo::DATABASE });
        let operator = app.operator().for_tenant(&tenant.id);
        let connection = json!({ "url": url, "credential": credential });
        operator.put("/api/v1/connections/odoo", connection).await.assert_status(200);
    };
    connect("another").await;
    user.get("/api/v1/docs/schemas/odoo")
        .await
        .assert_problem(502, "credential_refused");
    connect("odoo-key-7f").await;
    played.set_fault(Fault::Status(500));
    user.get("/api/v1/docs/schemas/odoo").await.assert_problem(503, "backend_down");
    assert_eq!(apis(&user, "smartermcp").await["source"], "live");
}

#[tokio::test]
async fn a_database_that_is_not_connected_says_how_to_connect_it() {
    let app = App::start().await;
    let (_, user) = newcomer(&app, "luna").await;
    for database in ["supabase", "odoo"] {
        let refused = user.get(&format!("/api/v1/docs/schemas/{database}")).await;
        refused.assert_problem(409, "not_connected");
        assert!(
            refused.json["detail"]
                .as_str()
                .unwrap()
                .contains(&format!("PUT /api/v1/connections/{database}"))
        );
        let said = user.call("docs_schemas", json!({ "database": database })).await;
        assert!(said.tool_error().contains("not connected"));
    }
}

// What holds for all of it.

#[tokio::test]
async fn a_backend_that_is_switched_off_is_not_asked_and_the_others_are() {
    let app = App::start().await;
    let project = Project::new(SECRET);
    let (tenant, user) = with_project(&app, "luna", &project, json!({ "api_key": SECRET })).await;
    let (url, _) = app.vendors.n8n("luna", "key");
    app.connect_n8n(&tenant, &url, "key").await;
    app.operator()
        .post("/api/v1/switches", json!({ "backend": "supabase", "reason": "moving house" }))
        .await
        .assert_status(201);
    for path in ["/api/v1/docs/schemas/supabase", "/api/v1/docs/apis/supabase"] {
        let refused = user.get(path).await;
        refused.assert_problem(503, "switched_off");
        assert!(refused.text.contains("moving house"));
    }
    assert!(project.asked().is_empty());
    assert_eq!(apis(&user, "n8n").await["source"], "live");
    services(&user, "supabase").await;
}

#[tokio::test]
async fn health_shows_how_the_backend_did_that_was_asked_and_no_other() {
    let app = App::start().await;
    let project = Project::new(SECRET);
    let (_, user) = with_project(&app, "luna", &project, json!({ "api_key": SECRET })).await;
    let health = async || app.nobody().get("/health").await.json["services"].clone();
    assert_eq!(health().await["supabase"], "unknown");
    schemas(&user, "supabase").await;
    apis(&user, "docker").await;
    let well = health().await;
    assert_eq!(
        (&well["supabase"], &well["docker"], &well["n8n"]),
        (&json!("healthy"), &json!("unknown"), &json!("unknown"))
    );
    app.clock.advance(std::time::Duration::from_secs(600));
    project.faults().set(Fault::Status(500));
    user.get("/api/v1/docs/apis/supabase").await.assert_status(503);
    assert_eq!(health().await["supabase"], "down");
}
