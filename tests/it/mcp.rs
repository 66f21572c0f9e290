//! The MCP door: the wire of every revision, what is refused and how, streams, and what a result is made of.

use std::time::{Duration, Instant};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::future::{join, join_all, join3};
use http::Method;
use serde_json::{Value, json};

use crate::{
    app::{App, BUSINESS, Reply, User},
    vendors::tools,
};

const JSON: (&str, &str) = ("content-type", "application/json");
const BOTH: (&str, &str) = ("accept", "application/json, text/event-stream");
const LEGACY: [&str; 3] = ["2025-03-26", "2025-06-18", "2025-11-25"];
const MODERN: &str = "2026-07-28";
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

async fn reader(app: &App) -> User {
    let tenant = app.tenant("luna").await;
    app.tireless(&tenant, BUSINESS).await
}

async fn post(user: &User, headers: &[(&str, &str)], body: &str) -> Reply {
    user.raw(Method::POST, "/mcp", headers, body.to_owned()).await
}

fn request(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params })
}

/// A request of a 2026-07-28 client, whose headers are left to the test.
fn modern(method: &str, mut params: Value) -> String {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!(MODERN);
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    request(method, params).to_string()
}

#[track_caller]
fn assert_refused(reply: &Reply, status: u16, code: i64) {
    reply.assert_status(status).assert_rpc_error(code);
    assert!(reply.header("content-type").starts_with("application/json"), "{:?}", reply.headers);
    assert_eq!(reply.json["jsonrpc"], "2.0");
    assert!(!reply.json["error"]["message"].as_str().unwrap().is_empty());
}

fn names(listed: &Reply) -> Vec<&str> {
    let tools = listed.json["result"]["tools"].as_array().expect("a list of tools");
    tools.iter().map(|tool| tool["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn initialize_echoes_each_legacy_revision_and_answers_any_other_with_the_newest_of_them() {
    let app = App::start().await;
    let user = reader(&app).await;
    let hello = |version: &str| {
        request(
            "initialize",
            json!({ "protocolVersion": version, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } }),
        )
        .to_string()
    };
    for version in LEGACY {
        let answered = post(&user, &[JSON, BOTH], &hello(version)).await;
        let result = &answered.assert_status(200).json["result"];
        assert_eq!(result["protocolVersion"], version);
        assert_eq!(result["serverInfo"]["name"], "smartermcp");
        assert!(result["capabilities"]["tools"].is_object());
        assert!(result["capabilities"]["tools"]["listChanged"] != true, "nobody could be told");
        for absent in ["resources", "prompts", "completions", "logging"] {
            assert!(result["capabilities"][absent].is_null(), "{absent} is not offered");
        }
        assert!(!result["instructions"].as_str().unwrap().is_empty());
        assert_eq!(answered.header("mcp-session-id"), "", "there are no sessions");
    }
    for version in ["2024-11-05", "1999-01-01", MODERN, "2030-01-01", "nonsense"] {
        let answered = post(&user, &[JSON, BOTH], &hello(version)).await;
        assert_eq!(
            answered.assert_status(200).json["result"]["protocolVersion"],
            "2025-11-25",
            "{version}"
        );
    }
}

#[tokio::test]
async fn discover_names_every_revision_and_is_private() {
    let app = App::start().await;
    let user = reader(&app).await;
    let answered = user.mcp_modern("server/discover", json!({})).await;
    let result = &answered.assert_status(200).json["result"];
    let mut versions: Vec<_> = result["supportedVersions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version.as_str().unwrap())
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, ["2025-03-26", "2025-06-18", "2025-11-25", MODERN]);
    assert!(result["capabilities"]["tools"].is_object());
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["cacheScope"], "private");
    assert!(result["ttlMs"].as_u64().unwrap() > 0);
    assert_eq!(result["_meta"][SERVER_INFO]["name"], "smartermcp");
    assert!(result["serverInfo"].is_null(), "it belongs into _meta");
}

#[tokio::test]
async fn the_list_of_tools_holds_what_the_token_may_call_sorted_on_one_page_in_both_eras() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let writer = app.user(&tenant, &["write:workflows"]).await;
    let reader = app.user(&tenant, &["read:workflows"]).await;
    let stranger = app.user(&tenant, &["read:crm"]).await;
    for listed in [
        writer.mcp("tools/list", json!({})).await,
        writer.mcp_modern("tools/list", json!({})).await,
    ] {
        listed.assert_status(200);
        let expected = ["workflows_create", "workflows_list", "workflows_status", "workflows_trigger"];
        let found: Vec<_> = names(&listed).into_iter().filter(|name| name.starts_with("workflows_")).collect();
        assert_eq!(found, expected);
        assert!(names(&listed).is_sorted());
        assert!(listed.json["result"]["nextCursor"].is_null());
        assert_eq!(listed.json["result"]["_meta"][SERVER_INFO]["name"], "smartermcp");
        for tool in listed.json["result"]["tools"].as_array().unwrap() {
            let name = tool["name"].as_str().unwrap();
            assert_eq!(tool["inputSchema"]["type"], "object", "{name}");
            assert_eq!(tool["inputSchema"]["additionalProperties"], false, "{name}");
            assert_eq!(tool["outputSchema"]["type"], "object", "{name}");
            assert!(tool["description"].as_str().is_some_and(|text| text.len() > 20), "{name}");
            let reads = ["generate_n8n_workflow", "workflows_list", "workflows_status"].contains(&name);
            assert_eq!(tool["annotations"]["readOnlyHint"], reads, "{name}");
            assert_eq!(tool["annotations"]["destructiveHint"], false, "{name}");
            assert_eq!(tool["annotations"]["openWorldHint"], true, "{name}");
        }
    }
    let modern = reader.mcp_modern("tools/list", json!({})).await;
    let only_reads: Vec<_> = names(&modern).into_iter().filter(|name| name.starts_with("workflows_")).collect();
    assert_eq!(only_reads, ["workflows_list", "workflows_status"]);
    assert_eq!(modern.json["result"]["cacheScope"], "private");
    assert_eq!(modern.json["result"]["resultType"], "complete");
    assert!(modern.json["result"]["ttlMs"].is_u64());
    assert!(
        !names(&stranger.mcp("tools/list", json!({})).await)
            .iter()
            .any(|name| name.starts_with("workflows_"))
    );
}

#[tokio::test]
async fn both_paths_speak_mcp() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let call = request("tools/call", json!({ "name": "workflows_list", "arguments": {} })).to_string();
    for path in ["/mcp", "/"] {
        let answered = user.raw(Method::POST, path, &[JSON, BOTH], call.clone()).await;
        assert_eq!(answered.content()["workflows"].as_array().unwrap().len(), 4, "{path}");
        assert_eq!(answered.json["id"], 7);
        let listed = user
            .raw(Method::POST, path, &[JSON, BOTH], request("tools/list", json!({})).to_string())
            .await;
        assert!(!names(&listed).is_empty(), "{path}");
    }
}

#[tokio::test]
async fn ping_is_answered_in_the_legacy_era_alone() {
    let app = App::start().await;
    let user = reader(&app).await;
    for version in LEGACY {
        let answered = post(
            &user,
            &[JSON, BOTH, ("mcp-protocol-version", version)],
            r#"{"jsonrpc":"2.0","id":"a","method":"ping"}"#,
        )
        .await;
        assert!(answered.assert_status(200).json["result"].is_object());
        assert_eq!(answered.json["id"], "a", "an id may be text");
    }
    let answered = user.mcp_modern("ping", json!({})).await;
    assert_refused(&answered, 404, -32601);
}

#[tokio::test]
async fn a_notification_is_accepted_without_a_body() {
    let app = App::start().await;
    let user = reader(&app).await;
    let told = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "method": method, "params": params }).to_string();
    let initialized = told("notifications/initialized", json!({}));
    let cancelled = told("notifications/cancelled", json!({ "requestId": 1 }));
    for (headers, body) in [
        (vec![JSON, BOTH], &initialized),
        (vec![JSON, BOTH, ("mcp-protocol-version", "2025-11-25")], &cancelled),
        (vec![JSON, BOTH, ("mcp-protocol-version", MODERN)], &cancelled),
    ] {
        let answered = post(&user, &headers, body).await;
        answered.assert_status(202);
        assert_eq!(answered.text, "");
    }
    // Nor is a tool called by one.
    let (_, owner, n8n) = app.business("sol").await;
    let sneaky = told(
        "tools/call",
        json!({ "name": "workflows_trigger", "arguments": { "workflow_id": "wf_backup_db" } }),
    );
    post(&owner, &[JSON, BOTH], &sneaky).await;
    assert_eq!(n8n.runs(), 0);
}

#[tokio::test]
async fn there_is_nothing_to_get_or_to_delete() {
    let app = App::start().await;
    let user = reader(&app).await;
    for path in ["/mcp", "/"] {
        for method in [Method::GET, Method::DELETE, Method::PUT, Method::PATCH] {
            let answered = user.raw(method.clone(), path, &[("accept", "text/event-stream")], "").await;
            answered.assert_status(405);
            assert!(answered.header("allow").contains("POST"), "{method} {path}: {:?}", answered.headers);
        }
    }
}

#[tokio::test]
async fn what_is_no_json_rpc_request_is_refused_with_its_code() {
    let app = App::start().await;
    let user = reader(&app).await;
    let cases: &[(&str, i64)] = &[
        ("", -32700),
        ("{", -32700),
        ("hello", -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"} trailing"#, -32700),
        (r#"{"jsonrpc":"2.0","id":1,"method":"pi"#, -32700),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, -32600),
        ("[]", -32600),
        ("[[[]]]", -32600),
        ("1", -32600),
        ("null", -32600),
        (r#""ping""#, -32600),
        ("{}", -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
        (r#"{"id":1,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":5}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"result":{}}"#, -32600),
        // Which of two would be meant, nobody can say.
        (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#, -32600),
    ];
    let mut wrong = Vec::new();
    for (body, code) in cases {
        let answered = post(&user, &[JSON, BOTH], body).await;
        if answered.status != 400 || answered.json["error"]["code"] != *code {
            wrong.push(format!("{body}: {} {}, not 400 {code}", answered.status, answered.text));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let batch = post(&user, &[JSON, BOTH], "[{},{}]").await;
    assert!(batch.json["error"]["message"].as_str().unwrap().contains("batch"), "{}", batch.text);
    let not_text = user
        .raw(
            Method::POST,
            "/mcp",
            &[JSON, BOTH],
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\xfe\"}".to_vec(),
        )
        .await;
    assert_refused(&not_text, 400, -32700);
}

#[tokio::test]
async fn a_tool_call_whose_parameters_are_malformed_is_an_error_of_the_protocol() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    for params in [
        json!({}),
        json!({ "name": 5 }),
        json!({ "name": null, "arguments": {} }),
        json!({ "name": "workflows_list", "arguments": [] }),
        json!({ "name": "workflows_list", "arguments": "active" }),
        json!({ "name": "workflows_list", "arguments": 1 }),
        json!({ "name": "no_such_tool", "arguments": {} }),
        json!({ "name": "", "arguments": {} }),
    ] {
        let answered = user.mcp("tools/call", params.clone()).await;
        assert_eq!(
            (answered.status.as_u16(), &answered.json["error"]["code"]),
            (200, &json!(-32602)),
            "{params}: {}",
            answered.text
        );
        assert_eq!(answered.json["id"], 1);
    }
    let without_params = post(&user, &[JSON, BOTH], r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#).await;
    assert_refused(&without_params, 200, -32602);
    let twice = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"workflows_list","name":"workflows_trigger","arguments":{"workflow_id":"wf_backup_db"}}}"#;
    assert_refused(&post(&user, &[JSON, BOTH], twice).await, 200, -32602);
    let unknown = user.call_modern("no_such_tool", json!({})).await;
    assert_refused(&unknown, 200, -32602);
    assert!(unknown.json["error"]["message"].as_str().unwrap().contains("no_such_tool"));
    assert_eq!(n8n.runs(), 0);
}

#[tokio::test]
async fn an_unknown_revision_is_refused_with_those_that_are_spoken() {
    let app = App::start().await;
    let user = reader(&app).await;
    let plain = request("tools/list", json!({})).to_string();
    for version in ["1999-01-01", "2030-01-01", "nonsense"] {
        let answered = post(&user, &[JSON, BOTH, ("mcp-protocol-version", version)], &plain).await;
        assert_refused(&answered, 400, -32022);
        assert_eq!(answered.json["error"]["data"]["requested"], version);
        let mut supported: Vec<_> = answered.json["error"]["data"]["supported"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| version.as_str().unwrap())
            .collect();
        supported.sort_unstable();
        assert_eq!(supported, ["2025-03-26", "2025-06-18", "2025-11-25", MODERN]);
        assert_eq!(answered.json["id"], 7);
    }
    let body = modern("tools/list", json!({})).replace(MODERN, "2030-01-01");
    let answered = post(
        &user,
        &[JSON, BOTH, ("mcp-protocol-version", "2030-01-01"), ("mcp-method", "tools/list")],
        &body,
    )
    .await;
    assert_refused(&answered, 400, -32022);
}

#[tokio::test]
async fn headers_that_disagree_with_the_body_are_refused() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let version = ("mcp-protocol-version", MODERN);
    let list = modern("tools/list", json!({}));
    let call = modern(
        "tools/call",
        json!({ "name": "workflows_trigger", "arguments": { "workflow_id": "wf_backup_db" } }),
    );
    let method = ("mcp-method", "tools/call");
    let cases: &[(&str, &[(&str, &str)])] = &[
        // The version: missing, and another.
        (&list, &[("mcp-method", "tools/list")]),
        (&list, &[("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/list")]),
        // The method: missing, another, in another case, twice.
        (&list, &[version]),
        (&list, &[version, ("mcp-method", "tools/call")]),
        (&list, &[version, ("mcp-method", "Tools/List")]),
        (&list, &[version, ("mcp-method", "tools/list"), ("mcp-method", "tools/list")]),
        // The name: missing, another, in broken base64, twice.
        (&call, &[version, method]),
        (&call, &[version, method, ("mcp-name", "workflows_list")]),
        (&call, &[version, method, ("mcp-name", "=?base64?%%%?=")]),
        (&call, &[version, method, ("mcp-name", "=?base64?d29ya2Zsb3dzX2xpc3Q=?=")]),
        (
            &call,
            &[version, method, ("mcp-name", "workflows_trigger"), ("mcp-name", "workflows_list")],
        ),
    ];
    for (body, headers) in cases {
        let headers: Vec<_> = [JSON, BOTH].into_iter().chain(headers.iter().copied()).collect();
        let answered = post(&user, &headers, body).await;
        assert_eq!(
            (answered.status.as_u16(), &answered.json["error"]["code"]),
            (400, &json!(-32020)),
            "{headers:?}: {}",
            answered.text
        );
        assert_eq!(answered.json["id"], 7);
    }
    assert_eq!(n8n.runs(), 0, "nothing was done");

    let encoded = format!("=?base64?{}?=", STANDARD.encode("workflows_trigger"));
    let accepted = post(&user, &[JSON, BOTH, version, method, ("mcp-name", &encoded)], &call).await;
    assert_eq!(accepted.content()["status"], "completed");
    let padded = post(&user, &[JSON, BOTH, version, ("mcp-method", "  tools/list ")], &list).await;
    padded.assert_status(200);
    assert_eq!(n8n.runs(), 1);
}

#[tokio::test]
async fn a_modern_request_must_say_version_and_capabilities_in_its_meta() {
    let app = App::start().await;
    let user = reader(&app).await;
    let headers = [JSON, BOTH, ("mcp-protocol-version", MODERN), ("mcp-method", "tools/list")];
    let version = json!({ "io.modelcontextprotocol/protocolVersion": MODERN });
    let wrong_capabilities = json!({ "io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": [] });
    for params in [
        json!({}),
        json!({ "_meta": {} }),
        json!({ "_meta": version }),
        json!({ "_meta": wrong_capabilities }),
        json!({ "_meta": 5 }),
    ] {
        let answered = post(&user, &headers, &request("tools/list", params.clone()).to_string()).await;
        assert_eq!(
            (answered.status.as_u16(), &answered.json["error"]["code"]),
            (400, &json!(-32602)),
            "{params}: {}",
            answered.text
        );
    }
    let without_params = post(&user, &headers, r#"{"jsonrpc":"2.0","id":7,"method":"tools/list"}"#).await;
    assert_refused(&without_params, 400, -32602);
}

#[tokio::test]
async fn a_method_that_is_not_offered_is_unknown_in_both_eras() {
    let app = App::start().await;
    let user = reader(&app).await;
    for method in [
        "no/such",
        "resources/list",
        "resources/templates/list",
        "prompts/list",
        "completion/complete",
        "logging/setLevel",
        "tasks/list",
        "constructor",
    ] {
        let params = match method {
            "completion/complete" => json!({ "ref": { "type": "ref/prompt", "name": "x" }, "argument": { "name": "a", "value": "b" } }),
            "logging/setLevel" => json!({ "level": "info" }),
            _ => json!({}),
        };
        let legacy = user.mcp(method, params.clone()).await;
        assert_eq!(
            (legacy.status.as_u16(), &legacy.json["error"]["code"]),
            (200, &json!(-32601)),
            "{method}: {}",
            legacy.text
        );
        let modern = user.mcp_modern(method, params).await;
        assert_eq!(
            (modern.status.as_u16(), &modern.json["error"]["code"]),
            (404, &json!(-32601)),
            "{method}: {}",
            modern.text
        );
        assert_eq!(modern.json["id"], 1, "{method}");
    }
}

#[tokio::test]
async fn a_client_that_takes_json_somehow_is_served_and_one_that_does_not_is_told() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let list = request("tools/list", json!({})).to_string();
    let call = request("tools/call", json!({ "name": "workflows_list", "arguments": {} })).to_string();
    for accept in [
        None,
        Some("*/*"),
        Some("application/json"),
        Some("application/*"),
        Some("text/html, */*;q=0.1"),
    ] {
        for body in [&list, &call] {
            let headers: Vec<_> = [JSON].into_iter().chain(accept.map(|accept| ("accept", accept))).collect();
            let answered = post(&user, &headers, body).await;
            assert!(answered.assert_status(200).json["result"].is_object(), "{accept:?}");
            assert_eq!(answered.header("content-type"), "application/json");
        }
    }
    for accept in ["text/html", "image/png", "application/json;q=0"] {
        let answered = post(&user, &[JSON, ("accept", accept)], &call).await;
        assert_eq!(answered.status, 406, "{accept}: {}", answered.text);
        assert!(answered.json["error"]["message"].as_str().unwrap().contains("application/json"));
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""] {
        let answered = post(&user, &[("content-type", kind), BOTH], &call).await;
        assert_eq!(answered.status, 415, "{kind}: {}", answered.text);
        assert!(answered.json["error"]["message"].as_str().unwrap().contains("application/json"));
    }
    let charset = post(&user, &[("content-type", "Application/JSON; charset=utf-8"), BOTH], &call).await;
    charset.content();
}

#[tokio::test]
async fn only_browsers_of_known_sites_and_hosts_that_are_ours_are_let_in() {
    let app = App::with(|config| config.public_url = Some("https://mcp.example.cl".parse().unwrap())).await;
    let user = reader(&app).await;
    let list = request("tools/list", json!({})).to_string();
    for path in ["/mcp", "/"] {
        for (name, value, status) in [
            ("origin", "https://evil.example", 403),
            ("origin", "http://mcp.example.cl.evil.example", 403),
            ("origin", "http://mcp.example.cl", 403),
            ("origin", "null", 403),
            ("origin", "file://", 403),
            ("origin", "https://mcp.example.cl", 200),
            ("origin", "http://localhost:6274", 200),
            ("origin", "http://127.0.0.1:3000", 200),
            ("origin", "http://[::1]:3000", 200),
            ("host", "evil.example", 403),
            ("host", "127.0.0.1.evil.example", 403),
            ("host", "mcp.example.cl", 200),
            ("host", "localhost:8080", 200),
        ] {
            let answered = user.raw(Method::POST, path, &[JSON, BOTH, (name, value)], list.clone()).await;
            assert_eq!(answered.status, status, "{name}: {value} at {path}: {}", answered.text);
            if status == 403 {
                assert!(answered.json["error"]["message"].is_string(), "{}", answered.text);
            }
        }
    }
}

/// A value inside so many arrays.
fn nested(depth: usize) -> String {
    format!("{}{}", "[".repeat(depth), "]".repeat(depth))
}

#[tokio::test]
async fn json_nested_ten_thousand_deep_is_refused_and_the_gateway_goes_on() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let deep = nested(10_000);
    let objects = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    for body in [&deep, &objects, &"[".repeat(10_000), &r#"{"a":"#.repeat(10_000)] {
        let answered = post(&user, &[JSON, BOTH], body).await;
        answered.assert_status(400);
        assert!(
            [-32700, -32600].contains(&answered.json["error"]["code"].as_i64().unwrap()),
            "{}",
            answered.text
        );
    }
    for inside in [&deep, &objects] {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"workflows_trigger","arguments":{{"workflow_id":"wf_backup_db","input_data":{{"x":{inside}}}}}}}}}"#
        );
        let answered = post(&user, &[JSON, BOTH], &body).await;
        assert!(answered.tool_error().contains("nested"), "{}", answered.text);
        let rest = format!(r#"{{"input_data":{{"x":{inside}}}}}"#);
        let answered = user
            .raw(Method::POST, "/api/v1/workflows/wf_backup_db/trigger", &[JSON], rest)
            .await;
        answered.assert_problem(422, "invalid_input");
        assert!(answered.json["detail"].as_str().unwrap().contains("nested"), "{}", answered.text);
    }
    // Where only rmcp looks, and where nobody does.
    for params in [
        format!(r#"{{"x":{deep}}}"#),
        format!(r#"{{"_meta":{{"x":{deep}}}}}"#),
        format!(r#"{{"_meta":{{"progressToken":{deep}}}}}"#),
    ] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{params}}}"#);
        let answered = post(&user, &[JSON, BOTH], &body).await;
        assert!(
            [200, 400].contains(&answered.status.as_u16()),
            "{} {}",
            answered.status,
            answered.text
        );
        assert!(answered.json.is_object(), "{}", answered.text);
    }
    assert_eq!(n8n.runs(), 0);
    user.call("workflows_list", json!({})).await.content();
}

#[tokio::test]
async fn a_body_of_five_megabytes_is_refused_on_both_doors_and_the_client_hears_it() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let filler = "x".repeat(5 * 1024 * 1024);
    let mcp = request(
        "tools/call",
        json!({ "name": "workflows_trigger", "arguments": { "workflow_id": "wf_backup_db", "input_data": { "x": filler } } }),
    )
    .to_string();
    let rest = json!({ "input_data": { "x": filler } }).to_string();
    let chunked = |text: &str| {
        let chunks: Vec<_> = text
            .as_bytes()
            .chunks(64 * 1024)
            .map(|chunk| Ok::<_, std::io::Error>(chunk.to_vec()))
            .collect();
        reqwest::Body::wrap_stream(futures::stream::iter(chunks))
    };
    let path = "/api/v1/workflows/wf_backup_db/trigger";
    for _ in 0..3 {
        let answered = user.raw(Method::POST, "/mcp", &[JSON, BOTH], mcp.clone()).await;
        answered.assert_status(413);
        assert!(
            answered.json["error"]["message"].as_str().unwrap().contains("4 MiB"),
            "{}",
            answered.text
        );
        user.raw(Method::POST, path, &[JSON], rest.clone())
            .await
            .assert_problem(413, "too_large");
        // Without a length said before.
        user.raw(Method::POST, "/mcp", &[JSON, BOTH], chunked(&mcp))
            .await
            .assert_status(413);
        user.raw(Method::POST, path, &[JSON], chunked(&rest))
            .await
            .assert_problem(413, "too_large");
    }
    assert_eq!(n8n.runs(), 0);
}

#[tokio::test]
async fn a_slow_call_begins_a_stream_after_ten_seconds_and_ends_with_the_result() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let user = reader(&app).await;
    let slow = json!({ "name": "test_dawdle", "arguments": { "millis": 11_000 } });
    let (legacy, modern) = (request("tools/call", slow.clone()).to_string(), modern("tools/call", slow));
    let modern_headers = [
        JSON,
        BOTH,
        ("mcp-protocol-version", MODERN),
        ("mcp-method", "tools/call"),
        ("mcp-name", "test_dawdle"),
    ];
    let streamed = async |headers: &[(&str, &str)], body: &str| {
        let begun = Instant::now();
        let mut response = user.begin(Method::POST, "/mcp", headers, body.to_owned()).await.unwrap();
        let silence = begun.elapsed();
        assert!(
            (Duration::from_secs(9)..Duration::from_millis(10_900)).contains(&silence),
            "{silence:?}"
        );
        assert_eq!(response.status(), 200);
        assert!(
            response.headers()["content-type"]
                .to_str()
                .unwrap()
                .starts_with("text/event-stream")
        );
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let mut text = String::new();
        while let Some(chunk) = response.chunk().await.unwrap() {
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
        assert!(text.starts_with(':'), "a comment first: {text}");
        let data: Vec<Value> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| serde_json::from_str(data).unwrap())
            .collect();
        assert_eq!(data.len(), 1, "{text}");
        assert_eq!(data[0]["id"], 7);
        assert_eq!(data[0]["result"]["structuredContent"]["said"], "at last");
    };
    let patient = async {
        let answered = post(&user, &[JSON, ("accept", "application/json")], &legacy).await;
        assert_eq!(
            answered.header("content-type"),
            "application/json",
            "it said that it takes no stream"
        );
        assert_eq!(answered.content()["said"], "at last");
    };
    join3(streamed(&[JSON, BOTH], &legacy), streamed(&modern_headers, &modern), patient).await;
}

#[tokio::test]
async fn progress_is_told_in_order_before_the_result_and_only_to_who_asked() {
    let app = App::with_catalogue(|_| {}, tools::catalogue()).await;
    let user = reader(&app).await;
    for token in [json!("abc"), json!(17)] {
        let params = json!({ "name": "test_count_up", "arguments": { "to": 5 }, "_meta": { "progressToken": token } });
        for answered in [
            user.mcp("tools/call", params.clone()).await,
            user.mcp_modern("tools/call", params.clone()).await,
        ] {
            answered.assert_status(200);
            assert!(
                answered.header("content-type").starts_with("text/event-stream"),
                "{:?}",
                answered.headers
            );
            let mut messages = answered.messages();
            let last = messages.pop().unwrap();
            assert_eq!(last["result"]["structuredContent"]["said"], "counted");
            assert_eq!(last["id"], 1);
            assert_eq!(messages.len(), 5, "{}", answered.text);
            for (index, note) in messages.iter().enumerate() {
                assert_eq!(note["method"], "notifications/progress");
                assert!(note.get("id").is_none(), "a notification has none");
                assert_eq!(note["params"]["progressToken"], token);
                assert_eq!(note["params"]["progress"].as_f64().unwrap(), (index + 1) as f64);
                assert_eq!(note["params"]["total"].as_f64().unwrap(), 5.0);
            }
        }
    }
    let unasked = user.call("test_count_up", json!({ "to": 5 })).await;
    assert_eq!(unasked.header("content-type"), "application/json");
    assert_eq!(unasked.content()["said"], "counted");
    let params = json!({ "name": "test_count_up", "arguments": { "to": 2 }, "_meta": { "progressToken": 1 } });
    let plain = post(
        &user,
        &[JSON, ("accept", "application/json")],
        &request("tools/call", params).to_string(),
    )
    .await;
    assert_eq!(
        plain.content()["said"],
        "counted",
        "a client that takes no stream gets the result alone"
    );
}

#[tokio::test]
async fn every_workflow_tool_answers_as_its_output_schema_says_and_its_text_is_the_same_json() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let failing = n8n.add_workflow(json!({
        "name": "Failing", "active": true,
        "nodes": [
            { "name": "Hook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "failing", "httpMethod": "POST", "responseMode": "lastNode" } },
            { "name": "Break", "type": "n8n-nodes-base.set", "parameters": { "fail": true } },
        ],
        "connections": { "Hook": { "main": [[{ "node": "Break", "type": "main", "index": 0 }]] } },
    }));
    let listed = user.mcp("tools/list", json!({})).await;
    let schema_of = |name: &str| {
        let tools = listed.json["result"]["tools"].as_array().unwrap();
        let tool = tools.iter().find(|tool| tool["name"] == name).unwrap();
        jsonschema::validator_for(&tool["outputSchema"]).expect("a schema that compiles")
    };
    let check = |tool: &str, reply: &Reply| {
        let content = reply.content();
        let wrong: Vec<_> = schema_of(tool).iter_errors(content).map(|error| error.to_string()).collect();
        assert!(wrong.is_empty(), "{tool}: {wrong:?} in {content}");
        let text = reply.json["result"]["content"][0]["text"].as_str().unwrap();
        assert_eq!(serde_json::from_str::<Value>(text).unwrap(), *content, "{tool}");
        assert_eq!(reply.json["result"]["content"][0]["type"], "text");
        content.clone()
    };
    let mut ids = Vec::new();
    for workflow in ["wf_backup_db", "wf_ask_approval", "wf_daily_sales", &failing] {
        let triggered = check(
            "workflows_trigger",
            &user.call("workflows_trigger", json!({ "workflow_id": workflow })).await,
        );
        ids.push(triggered["execution_id"].as_str().unwrap().to_owned());
    }
    for id in ids {
        check(
            "workflows_status",
            &user.call("workflows_status", json!({ "execution_id": id })).await,
        );
        check(
            "workflows_status",
            &user.call_modern("workflows_status", json!({ "execution_id": id })).await,
        );
    }
    check("workflows_list", &user.call("workflows_list", json!({})).await);
    check("workflows_list", &user.call("workflows_list", json!({ "limit": 1 })).await);
    check(
        "workflows_list",
        &user.call_modern("workflows_list", json!({ "tags": ["nobody has this"] })).await,
    );
    let made = json!({ "name": "Made", "activate": false, "workflow_json": { "nodes": [], "connections": {} } });
    check("workflows_create", &user.call("workflows_create", made).await);
    let modern = user.call_modern("workflows_list", json!({})).await;
    assert_eq!(modern.json["result"]["resultType"], "complete");
    assert_eq!(modern.json["result"]["_meta"][SERVER_INFO]["name"], "smartermcp");
}

#[tokio::test]
async fn a_wrong_argument_is_a_tool_error_that_names_the_field_and_what_is_right() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    for (tool, arguments, words) in [
        ("workflows_status", json!({}), &["execution_id", "missing", "1042"][..]),
        ("workflows_status", json!({ "execution_id": 5 }), &["execution_id", "string"]),
        ("workflows_list", json!({ "limit": 201 }), &["limit", "at most 200", "201"]),
        ("workflows_list", json!({ "limit": 0 }), &["limit", "at least 1"]),
        ("workflows_list", json!({ "limit": "three" }), &["limit", "integer"]),
        ("workflows_list", json!({ "active": "yes" }), &["active", "boolean", "yes"]),
        ("workflows_list", json!({ "tags": "a" }), &["tags", "array"]),
        ("workflows_list", json!({ "tags": [1] }), &["tags[0]", "string"]),
        (
            "workflows_list",
            json!({ "colour": "blue" }),
            &["colour", "active", "cursor", "limit", "tags"],
        ),
        ("workflows_list", json!({ "cursor": "made up" }), &["cursor", "next_cursor"]),
        ("workflows_trigger", json!({ "workflow_id": "" }), &["workflow_id", "at least 1"]),
        (
            "workflows_trigger",
            json!({ "workflow_id": "a", "input_data": [] }),
            &["input_data", "object"],
        ),
        ("workflows_list", json!({ "limit": 999, "active": 1 }), &["limit", "active"]),
    ] {
        for answered in [
            user.call(tool, arguments.clone()).await,
            user.call_modern(tool, arguments.clone()).await,
        ] {
            let text = answered.tool_error();
            for word in words {
                assert!(text.contains(word), "{tool} {arguments}: {word:?} is not in {text:?}");
            }
            assert_eq!(
                answered.json["result"]["_meta"]["cl.smarterbot/error"]["code"], "invalid_input",
                "{}",
                answered.text
            );
            assert!(answered.json["result"]["structuredContent"].is_null());
        }
        // Twice thirteen refusals within a second are more than one token's burst.
        app.clock.advance(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn the_list_of_tools_has_no_second_page() {
    let app = App::start().await;
    let user = reader(&app).await;
    for answered in [
        user.mcp("tools/list", json!({ "cursor": "abc" })).await,
        user.mcp_modern("tools/list", json!({ "cursor": "abc" })).await,
    ] {
        assert_refused(&answered, 200, -32602);
        assert!(answered.json["error"]["message"].as_str().unwrap().contains("cursor"));
    }
}

#[tokio::test]
async fn protocol_methods_beyond_their_limit_are_refused_with_429_and_come_back() {
    let app = App::start().await;
    let user = reader(&app).await;
    let (lists, pings) = join(
        join_all((0..50).map(|_| user.mcp("tools/list", json!({})))),
        join_all((0..50).map(|_| user.mcp("ping", json!({})))),
    )
    .await;
    let refused: Vec<_> = lists.iter().chain(&pings).filter(|reply| reply.status == 429).collect();
    assert!(
        !refused.is_empty() && refused.len() <= 40,
        "a hundred at once, sixty admitted: {}",
        refused.len()
    );
    for reply in refused {
        assert_eq!(reply.json["id"], 1, "{}", reply.text);
        assert!(
            reply.json["error"]["message"]
                .as_str()
                .unwrap()
                .starts_with("Rate limit exceeded for category '"),
            "{}",
            reply.text
        );
        assert!(reply.header("retry-after").parse::<u64>().unwrap() >= 1);
    }
    app.clock.advance(Duration::from_secs(30));
    user.mcp("tools/list", json!({})).await.assert_status(200);
}

#[tokio::test]
async fn without_a_token_nothing_is_told_not_even_what_is_wrong_with_the_body() {
    let app = App::start().await;
    for (path, body) in [
        ("/mcp", "{"),
        ("/", "[]"),
        ("/mcp", r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#),
    ] {
        let answered = app.nobody().raw(Method::POST, path, &[JSON, BOTH], body).await;
        answered.assert_status(401);
        assert!(answered.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(
            answered.json["error"]["message"], "Unauthorized - Invalid or expired API token",
            "{}",
            answered.text
        );
    }
}

#[tokio::test]
async fn the_id_of_a_request_comes_back_exactly_as_it_was_sent() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    for id in ["0", "-1", "9007199254740993", "\"\"", "\"a b\"", r#""q\"\\\u00e9 é""#] {
        for (method, params) in [
            ("tools/call", r#"{"name":"workflows_list","arguments":{"limit":1}}"#),
            ("tools/call", r#"{"name":"workflows_list","arguments":{"limit":0}}"#),
            ("tools/call", r#"{"name":"no_such_tool"}"#),
            ("tools/list", "{}"),
            ("no/such", "{}"),
        ] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
            let answered = post(&user, &[JSON, BOTH], &body).await;
            let sent: Value = serde_json::from_str(id).unwrap();
            assert_eq!(answered.json["id"], sent, "{body}: {}", answered.text);
            app.clock.advance(Duration::from_secs(1));
        }
    }
    let long = "x".repeat(100_000);
    let unknown = user.call(&long, json!({})).await;
    unknown.assert_rpc_error(-32602);
    assert!(unknown.text.len() < 1000, "what was sent is not said back at length");
}
