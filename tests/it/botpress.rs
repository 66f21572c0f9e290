//! Botpress: bots, their conversations, analytics and deployment, from a played one.

use axum::{Json, Router};
use http::StatusCode;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use smartermcp::sandbox::botpress::{Bot, Botpress, Conversation, Fault};

use crate::{
    app::{App, Reply, Tenant, User},
    conformance::script,
};

const BOTS: &str = "/api/v1/bots";
const TOKEN: &str = "bp_pat_7f-of-the-shop";
const WORKSPACE: &str = "wkspace_luna";
const NEWEST: &str = "ver_01KA7Z3N5X8Q4W7M2K9T6R1V0B";

async fn connect(app: &App, tenant: &Tenant, url: &str, token: &str, workspace: &str) -> Reply {
    let body = json!({
        "url": url,
        "credential": { "token": token, "workspace_id": workspace },
        "settings": { "aliases": { "main": "bot_abc123", "theirs": "bot_sol" } },
    });
    app.operator()
        .for_tenant(&tenant.id)
        .put("/api/v1/connections/botpress", body)
        .await
}

async fn test(app: &App, tenant: &Tenant) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator.post("/api/v1/connections/botpress/test", json!({})).await
}

async fn botmaster(app: &App, tenant: &Tenant) -> User {
    let wide = json!({ "limits": { "general": { "per_minute": 10_000, "per_hour": 100_000, "burst": 1000 }, "categories": { "bots": { "per_minute": 1_000_000 } } } });
    app.user_with(tenant, &["read:bots", "write:bots"], wide).await
}

/// A tenant with the shop's workspace on a played Botpress, a user who may work on bots, and the Botpress.
async fn botted(app: &App) -> (Tenant, User, Botpress) {
    // A zone whose days all have 24 hours, as the played ones have.
    let tenant = app.tenant_with("luna", json!({ "time_zone": "UTC" })).await;
    let played = Botpress::new().with_token(TOKEN, &[WORKSPACE]).with_shop(WORKSPACE);
    let url = app.vendors.play("botpress", played.router());
    connect(app, &tenant, &url, TOKEN, WORKSPACE).await.assert_status(200);
    let user = botmaster(app, &tenant).await;
    (tenant, user, played)
}

fn ids<'a>(answer: &'a Reply, list: &str, id: &str) -> Vec<&'a str> {
    answer.assert_status(200);
    let list = answer.json[list].as_array().unwrap();
    list.iter().map(|item| item[id].as_str().unwrap()).collect()
}

fn missing(answer: &Value) -> Vec<&str> {
    let list = answer["unavailable"].as_array().unwrap();
    list.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn bots_are_the_same_on_both_doors() {
    let app = App::start().await;
    let (_, user, _) = botted(&app).await;
    let rest = user.get(BOTS).await;
    rest.assert_status(200);
    assert_eq!(
        rest.json["bots"],
        json!([
            {
                "id": "bot_abc123", "name": "Asistente de Panadería Luna", "status": "active", "channels": ["webchat", "whatsapp"],
                "conversations_count": null,
            },
            { "id": "bot_def456", "name": "Borrador para Navidad", "status": "inactive", "channels": [], "conversations_count": null },
        ])
    );
    assert_eq!(missing(&rest.json), ["conversations_count"]);
    assert!(rest.json.get("next_cursor").is_none());
    assert_eq!(user.call("bots_list", json!({})).await.content(), &rest.json);
    assert_eq!(user.call_modern("bots_list", json!({})).await.content(), &rest.json);
    assert!(!rest.text.contains("secret-of-the-bot"));
}

#[tokio::test]
async fn a_long_list_of_bots_goes_on_where_it_ended() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    for number in 0..128 {
        played.add_bot(Bot::new(&format!("bot_{number:03}"), WORKSPACE, "Otro"));
    }
    for limit in [33, 120, 200] {
        let mut found = Vec::new();
        let mut path = format!("{BOTS}?limit={limit}");
        loop {
            let page = user.get(&path).await;
            let on_page = ids(&page, "bots", "id");
            assert!(on_page.len() <= limit);
            found.extend(on_page.into_iter().map(str::to_owned));
            let Some(cursor) = page.json["next_cursor"].as_str() else { break };
            path = format!("{BOTS}?limit={limit}&cursor={cursor}");
        }
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 130, "{limit}");
    }
    // A request for each bot: of a long page, the first are asked about.
    let long = user.get(&format!("{BOTS}?limit=200")).await;
    assert_eq!(missing(&long.json), ["channels", "conversations_count"]);
    assert_eq!(
        (&long.json["bots"][49]["channels"], &long.json["bots"][50]["channels"]),
        (&json!([]), &Value::Null)
    );
    // Botpress gives at most 100 on a page.
    assert!(!played.asked().iter().any(|line| line.contains("pageSize=120")));
}

#[tokio::test]
async fn conversations_of_a_bot_are_found_by_its_id_and_by_its_alias() {
    let app = App::start().await;
    let (_, user, _) = botted(&app).await;
    let rest = user.get(&format!("{BOTS}/main/conversations")).await;
    rest.assert_status(200);
    let mut first = rest.json["conversations"][0].clone();
    let at: Timestamp = first["started_at"].as_str().unwrap().parse().unwrap();
    assert!(at < Timestamp::now());
    first.as_object_mut().unwrap().remove("started_at");
    assert_eq!(
        first,
        json!({ "conversation_id": "conv_rosa1", "user_id": "user_12", "channel": "whatsapp", "messages_count": 4 })
    );
    assert_eq!(
        ids(&rest, "conversations", "conversation_id"),
        ["conv_rosa1", "conv_john1", "conv_pedro1"]
    );
    assert_eq!(rest.json["unavailable"], json!([]));
    assert_eq!(user.get(&format!("{BOTS}/bot_abc123/conversations")).await.json, rest.json);
    let arguments = json!({ "bot_id": "main" });
    assert_eq!(user.call("bots_conversations", arguments.clone()).await.content(), &rest.json);
    assert_eq!(user.call_modern("bots_conversations", arguments).await.content(), &rest.json);
    let none = user.get(&format!("{BOTS}/bot_def456/conversations")).await;
    assert_eq!((&none.json["conversations"], &none.json["unavailable"]), (&json!([]), &json!([])));
}

#[tokio::test]
async fn a_long_list_of_conversations_goes_on_and_says_whose_user_is_not_known() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    let mut bot = Bot::new("bot_busy", WORKSPACE, "Ocupado");
    for number in 0..150_i64 {
        bot.conversations.push(Conversation {
            id: format!("conv_{number:03}"),
            user: format!("user_{number:03}"),
            integration: "webchat".to_owned(),
            messages: vec![(true, "hola".to_owned()), (false, "hola".to_owned())],
            updated_at: Timestamp::now() - SignedDuration::from_mins(number),
        });
    }
    played.add_bot(bot);
    let path = format!("{BOTS}/bot_busy/conversations");
    let whole = user.get(&format!("{path}?limit=200")).await;
    assert_eq!(ids(&whole, "conversations", "conversation_id").len(), 150);
    // One look at the latest 100 messages tells of 50 conversations.
    assert_eq!(missing(&whole.json), ["user_id"]);
    assert_eq!(whole.json["conversations"][49]["user_id"], "user_049");
    assert_eq!(whole.json["conversations"][50]["user_id"], Value::Null);

    let mut found = Vec::new();
    let mut page = user.get(&format!("{path}?limit=40")).await;
    loop {
        // On each page of 40 the users are known, also far from the latest.
        assert_eq!(page.json["unavailable"], json!([]), "{}", page.text);
        for conversation in page.json["conversations"].as_array().unwrap() {
            let id = conversation["conversation_id"].as_str().unwrap();
            assert_eq!(conversation["user_id"], id.replace("conv", "user"));
            found.push(id.to_owned());
        }
        let Some(cursor) = page.json["next_cursor"].as_str() else { break };
        user.get(&format!("{BOTS}/main/conversations?cursor={cursor}"))
            .await
            .assert_problem(422, "invalid_input");
        page = user.get(&format!("{path}?limit=40&cursor={cursor}")).await;
    }
    found.dedup();
    assert_eq!(found.len(), 150);
}

#[tokio::test]
async fn a_week_of_a_bot_is_the_same_on_both_doors() {
    let app = App::start().await;
    let (_, user, _) = botted(&app).await;
    let rest = user.get(&format!("{BOTS}/main/analytics")).await;
    rest.assert_status(200);
    assert_eq!(
        rest.json,
        json!({
            "total_conversations": 77, "total_messages": 693, "avg_conversation_length": 9.0, "completion_rate": 78.0,
            "top_intents": [{ "name": "pedido", "count": 31 }, { "name": "horario", "count": 27 }, { "name": "precio", "count": 19 }],
            "unavailable": [],
        })
    );
    let arguments = json!({ "bot_id": "main", "period": "week" });
    assert_eq!(user.call("bots_analytics", arguments.clone()).await.content(), &rest.json);
    assert_eq!(user.call_modern("bots_analytics", arguments).await.content(), &rest.json);
    let today = user.get(&format!("{BOTS}/main/analytics?period=today")).await;
    assert_eq!(
        (&today.json["total_conversations"], &today.json["completion_rate"]),
        (&json!(12), &json!(75.0))
    );
    let month = user.get(&format!("{BOTS}/main/analytics?period=month")).await;
    assert!(month.json["total_conversations"].as_u64().unwrap() > 300);
}

#[tokio::test]
async fn what_a_bot_does_not_track_is_null_and_named() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    let mut bot = Bot::new("bot_plain", WORKSPACE, "Sin eventos");
    bot.busy = true;
    played.add_bot(bot);
    let plain = user.get(&format!("{BOTS}/bot_plain/analytics")).await;
    plain.assert_status(200);
    assert_eq!(missing(&plain.json), ["completion_rate", "top_intents"]);
    assert_eq!(
        (&plain.json["completion_rate"], &plain.json["top_intents"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(plain.json["total_conversations"], 77);
    let draft = user.get(&format!("{BOTS}/bot_def456/analytics")).await;
    assert_eq!(missing(&draft.json), ["avg_conversation_length", "completion_rate", "top_intents"]);
}

#[tokio::test]
async fn analytics_begin_at_midnight_of_the_tenants_time_zone() {
    let app = App::start().await;
    let tenant = app.tenant_with("kiwi", json!({ "time_zone": "Pacific/Auckland" })).await;
    let played = Botpress::new().with_token(TOKEN, &[WORKSPACE]).with_shop(WORKSPACE);
    let url = app.vendors.play("botpress-kiwi", played.router());
    connect(&app, &tenant, &url, TOKEN, WORKSPACE).await.assert_status(200);
    let user = botmaster(&app, &tenant).await;
    user.get(&format!("{BOTS}/main/analytics?period=today")).await.assert_status(200);
    let asked = played.asked().into_iter().rfind(|line| line.contains("/analytics?")).unwrap();
    let start = asked
        .split("startDate=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap()
        .replace("%3A", ":");
    let zone = TimeZone::get("Pacific/Auckland").unwrap();
    let begin = start.parse::<Timestamp>().unwrap().to_zoned(zone.clone());
    assert_eq!((begin.hour(), begin.minute()), (0, 0), "{asked}");
    assert_eq!(begin.date(), Timestamp::now().to_zoned(zone).date());
}

#[tokio::test]
async fn without_anything_to_configure_the_newest_version_is_deployed() {
    let app = App::start().await;
    let (tenant, user, played) = botted(&app).await;
    let before = Timestamp::now();
    let deployed = user.post(&format!("{BOTS}/main/deploy"), json!({})).await;
    deployed.assert_status(200);
    assert_eq!(played.bot("bot_abc123").unwrap().live.as_deref(), Some(NEWEST));
    assert_eq!(
        (&deployed.json["bot_id"], &deployed.json["status"]),
        (&json!("bot_abc123"), &json!("active"))
    );
    let at: Timestamp = deployed.json["updated_at"].as_str().unwrap().parse().unwrap();
    assert!(at >= before - SignedDuration::from_secs(1), "{at}");
    assert_eq!(deployed.json["unavailable"], json!([]));
    assert_eq!(played.writes(), 1);
    assert!(!deployed.text.contains("secret-of-the-bot"));
    for mcp in [
        user.call("bots_deploy", json!({ "bot_id": "main" })).await,
        user.call_modern("bots_deploy", json!({ "bot_id": "bot_abc123" })).await,
    ] {
        assert_eq!(mcp.content()["status"], "active");
    }
    assert_eq!(played.writes(), 3);
    assert_eq!(app.audited(&tenant, "bots_deploy").await.len(), 3);
    let draft = user.post(&format!("{BOTS}/bot_def456/deploy"), json!({})).await;
    draft.assert_problem(409, "conflict");
    assert!(draft.json["detail"].as_str().unwrap().contains("no saved version"));
    assert_eq!(played.writes(), 3);
}

#[tokio::test]
async fn of_versions_whose_age_cannot_be_told_none_is_deployed() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    let mut bot = Bot::new("bot_old", WORKSPACE, "Viejo");
    bot.versions = vec![("v1".to_owned(), "uno".to_owned()), ("v2".to_owned(), "dos".to_owned())];
    played.add_bot(bot);
    let refused = user.post(&format!("{BOTS}/bot_old/deploy"), json!({})).await;
    refused.assert_problem(409, "conflict");
    assert!(refused.json["detail"].as_str().unwrap().contains("Botpress Studio"));
    assert_eq!(played.writes(), 0);
}

#[tokio::test]
async fn configuration_and_activity_are_set_by_one_request() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    let path = format!("{BOTS}/main/deploy");
    let changed = user
        .post(&path, json!({ "configuration": { "saludo": "Buenas tardes" }, "active": false }))
        .await;
    changed.assert_status(200);
    assert_eq!(changed.json["status"], "inactive");
    let bot = played.bot("bot_abc123").unwrap();
    assert!(bot.blocked);
    assert_eq!(Value::Object(bot.configuration), json!({ "saludo": "Buenas tardes" }));
    assert_eq!(played.writes(), 1);
    assert!(!played.asked().iter().any(|line| line.contains("/versions")), "nothing is deployed");

    let back = user.call("bots_deploy", json!({ "bot_id": "main", "active": true })).await;
    assert_eq!(back.content()["status"], "active");
    let bot = played.bot("bot_abc123").unwrap();
    assert!(!bot.blocked);
    assert_eq!(
        Value::Object(bot.configuration),
        json!({ "saludo": "Buenas tardes" }),
        "it was left as it was"
    );

    let wrong = user.post(&path, json!({ "configuration": { "saludo": 7 } })).await;
    wrong.assert_problem(422, "invalid_input");
    assert!(wrong.json["detail"].as_str().unwrap().contains("must be string"), "{}", wrong.text);
    assert_eq!(played.writes(), 2);
}

#[tokio::test]
async fn a_write_whose_answer_was_lost_is_an_unknown_outcome_and_is_not_repeated() {
    let app = App::start().await;
    let (tenant, user, played) = botted(&app).await;
    let path = format!("{BOTS}/main/deploy");
    for (fault, key) in [(Fault::CutOff, "cut"), (Fault::Status(500), "500"), (Fault::Status(502), "502")] {
        played.set_fault(Fault::None);
        // Which bots there are is then known for a minute: the write is the first that is sent.
        user.get(&format!("{BOTS}/main/conversations")).await.assert_status(200);
        let before = played.requests();
        played.set_fault(fault.clone());
        let lost = user.with_key(key).post(&path, json!({ "active": false })).await;
        lost.assert_problem(503, "backend_down");
        assert_eq!(lost.json["retryable"], false, "{fault:?}: {}", lost.text);
        assert_eq!(played.requests() - before, 1, "{fault:?}");
        // The same key again tells the same, and asks nothing.
        user.with_key(key)
            .post(&path, json!({ "active": false }))
            .await
            .assert_problem(503, "backend_down");
        assert_eq!(played.requests() - before, 1, "{fault:?}");
    }
    assert_eq!(played.writes(), 0);
    assert_eq!(
        app.audited(&tenant, "bots_deploy")
            .await
            .iter()
            .filter(|entry| entry["status"] == 503)
            .count(),
        6
    );
}

#[tokio::test]
async fn another_workspaces_bot_is_not_found_though_the_token_may_see_it() {
    let app = App::start().await;
    // One person's token, a member of both workspaces.
    let played = Botpress::new()
        .with_token("bp_pat_shared", &[WORKSPACE, "wkspace_sol"])
        .with_shop(WORKSPACE);
    let mut of_sol = Bot::new("bot_sol", "wkspace_sol", "Sol");
    of_sol.versions = vec![("v1".to_owned(), "uno".to_owned())];
    played.add_bot(of_sol);
    let url = app.vendors.play("botpress", played.router());
    let mut users = Vec::new();
    for (slug, workspace) in [("luna", WORKSPACE), ("sol", "wkspace_sol")] {
        let tenant = app.tenant(slug).await;
        connect(&app, &tenant, &url, "bp_pat_shared", workspace).await.assert_status(200);
        users.push(botmaster(&app, &tenant).await);
    }
    let [luna, sol] = users.as_slice() else { unreachable!() };
    assert_eq!(ids(&luna.get(BOTS).await, "bots", "id"), ["bot_abc123", "bot_def456"]);
    assert_eq!(ids(&sol.get(BOTS).await, "bots", "id"), ["bot_sol"]);
    sol.get(&format!("{BOTS}/bot_sol/conversations")).await.assert_status(200);
    for (user, other) in [
        (luna, "bot_sol"),
        (luna, "theirs"),
        (sol, "bot_abc123"),
        (sol, "main"),
        (sol, "..%2F..%2Fworkspaces"),
    ] {
        let before = played.asked().len();
        for answer in [
            user.get(&format!("{BOTS}/{other}/conversations")).await,
            user.get(&format!("{BOTS}/{other}/analytics")).await,
            user.post(&format!("{BOTS}/{other}/deploy"), json!({})).await,
            user.post(&format!("{BOTS}/{other}/deploy"), json!({ "active": false })).await,
        ] {
            answer.assert_problem(404, "not_found");
        }
        let refused = user.call("bots_deploy", json!({ "bot_id": other.replace("%2F", "/") })).await;
        assert!(refused.tool_error().contains("bots_list"), "{}", refused.text);
        for line in &played.asked()[before..] {
            assert!(line.starts_with("GET /v1/admin/bots?"), "only the own list was looked at: {line}");
        }
    }
    assert_eq!(played.writes(), 0);
    assert!(!played.bot("bot_sol").unwrap().blocked);
}

#[tokio::test]
async fn a_bot_that_was_made_just_now_is_found() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    user.get(&format!("{BOTS}/main/conversations")).await.assert_status(200);
    user.get(&format!("{BOTS}/bot_new/conversations"))
        .await
        .assert_problem(404, "not_found");
    played.add_bot(Bot::new("bot_new", WORKSPACE, "Nuevo"));
    user.get(&format!("{BOTS}/bot_new/conversations")).await.assert_status(200);
}

#[tokio::test]
async fn a_test_of_the_connection_says_which_part_is_wrong() {
    let app = App::start().await;
    let (tenant, _, played) = botted(&app).await;
    let url = app.vendors.play("botpress", played.router());
    let tested = test(&app, &tenant).await;
    tested.assert_status(200);
    assert!(tested.json["detail"].as_str().unwrap().contains("workspace's bots"));

    connect(&app, &tenant, &url, "bp_pat_wrong-7f", WORKSPACE).await.assert_status(200);
    let wrong = test(&app, &tenant).await;
    wrong.assert_problem(502, "credential_refused");
    assert!(
        wrong.json["detail"].as_str().unwrap().contains("refuses the token"),
        "{}",
        wrong.text
    );
    assert!(!wrong.text.contains("wrong-7f"));

    connect(&app, &tenant, &url, TOKEN, "wkspace_other").await.assert_status(200);
    let elsewhere = test(&app, &tenant).await;
    elsewhere.assert_problem(502, "permission_missing");
    assert!(
        elsewhere.json["detail"].as_str().unwrap().contains("workspace_id"),
        "{}",
        elsewhere.text
    );

    connect(&app, &tenant, &url, TOKEN, WORKSPACE).await.assert_status(200);
    played.set_fault(Fault::Html);
    test(&app, &tenant).await.assert_problem(502, "backend_refused");
    let other = app
        .vendors
        .play("no-botpress", Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "no") }));
    connect(&app, &tenant, &other, TOKEN, WORKSPACE).await.assert_status(200);
    let other = test(&app, &tenant).await;
    other.assert_problem(502, "backend_refused");
    assert!(
        other.json["detail"].as_str().unwrap().contains("https://api.botpress.cloud"),
        "{}",
        other.text
    );
}

#[tokio::test]
async fn a_credential_that_botpress_could_not_take_is_refused_when_it_is_set() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let url = app.vendors.play("botpress", Botpress::new().router());
    for (token, workspace, field) in [
        ("", WORKSPACE, "credential.token"),
        ("secret-9 x", WORKSPACE, "credential.token"),
        ("secret-9\n", WORKSPACE, "credential.token"),
        // A bot's own key may not list bots.
        ("bp_bak_secret-9", WORKSPACE, "credential.token"),
        ("secret-9", "", "credential.workspace_id"),
        ("secret-9", "wkspace/../x", "credential.workspace_id"),
        ("secret-9", "a b", "credential.workspace_id"),
    ] {
        let refused = connect(&app, &tenant, &url, token, workspace).await;
        refused.assert_problem(422, "invalid_input");
        assert!(refused.json["detail"].as_str().unwrap().starts_with(field), "{}", refused.text);
        assert!(!refused.text.contains("secret-9"), "{}", refused.text);
    }
}

#[tokio::test]
async fn every_fault_of_botpress_is_a_failure_of_every_tool_on_both_doors() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    for (fault, status, code) in [
        (Fault::Status(401), 502, "credential_refused"),
        (Fault::Status(403), 502, "credential_refused"),
        (Fault::Status(500), 503, "backend_down"),
        (Fault::Html, 502, "backend_refused"),
        (Fault::NotJson, 502, "backend_refused"),
    ] {
        played.set_fault(fault.clone());
        for (path, tool, arguments) in [
            (BOTS.to_owned(), "bots_list", json!({})),
            (
                format!("{BOTS}/main/conversations"),
                "bots_conversations",
                json!({ "bot_id": "main" }),
            ),
            (format!("{BOTS}/main/analytics"), "bots_analytics", json!({ "bot_id": "main" })),
        ] {
            let rest = user.get(&path).await;
            rest.assert_problem(status, code);
            let mcp = user.call(tool, arguments).await;
            assert_eq!(mcp.tool_error(), rest.json["detail"], "{tool} {fault:?}");
            assert!(!mcp.text.contains("7f-of"), "{}", mcp.text);
        }
        let rest = user.post(&format!("{BOTS}/main/deploy"), json!({})).await;
        rest.assert_problem(status, code);
        assert!(!user.call("bots_deploy", json!({ "bot_id": "main" })).await.tool_error().is_empty());
    }
    assert_eq!(played.writes(), 0);
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_a_429_is_a_failure() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    played.set_fault(Fault::CutOff);
    user.get(BOTS).await.assert_problem(503, "backend_down");
    played.set_fault(Fault::Status(429));
    let often = user.get(BOTS).await;
    often.assert_problem(503, "backend_down");
    assert_eq!(often.header("retry-after"), "1");
    played.set_fault(Fault::FailTimes { status: 503, times: 2 });
    user.get(BOTS).await.assert_status(200);
}

#[tokio::test]
async fn what_the_plan_does_not_allow_is_told_in_botpress_words_and_is_no_fault_of_the_credential() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let body = json!({ "id": "err_1", "code": 403, "type": "QuotaExceeded", "message": "Your plan allows 1 bot" });
    let url = app.vendors.play(
        "botpress",
        Router::new().fallback(move || async move { (StatusCode::FORBIDDEN, Json(body)) }),
    );
    connect(&app, &tenant, &url, TOKEN, WORKSPACE).await.assert_status(200);
    let user = botmaster(&app, &tenant).await;
    let refused = user.get(BOTS).await;
    refused.assert_problem(502, "backend_refused");
    assert!(
        refused.json["detail"].as_str().unwrap().contains("Your plan allows 1 bot"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn a_deployment_is_told_even_if_botpress_does_not_say_how_the_bot_stands_then() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let url = app.vendors.play(
        "botpress",
        Router::new().fallback(|request: axum::extract::Request| async move {
            match (request.method().as_str(), request.uri().path()) {
                ("GET", "/v1/admin/bots") => Ok(Json(json!({ "bots": [{ "id": "bot_abc123" }], "meta": {} }))),
                ("GET", "/v1/admin/bots/bot_abc123/versions") => Ok(Json(json!({ "versions": [{ "id": "v1", "name": "uno" }] }))),
                ("POST", "/v1/admin/bots/bot_abc123/versions/deploy") => Ok(Json(json!({}))),
                _ => Err((StatusCode::INTERNAL_SERVER_ERROR, "no")),
            }
        }),
    );
    connect(&app, &tenant, &url, TOKEN, WORKSPACE).await.assert_status(200);
    let user = botmaster(&app, &tenant).await;
    let deployed = user.post(&format!("{BOTS}/main/deploy"), json!({})).await;
    deployed.assert_status(200);
    assert_eq!(
        (&deployed.json["status"], &deployed.json["updated_at"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(missing(&deployed.json), ["status", "updated_at"]);
    assert!(
        deployed.json["unavailable"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("'uno' was deployed")
    );
    // A bot whose page fails is listed, and its channels are not told.
    let listed = user.get(BOTS).await;
    assert_eq!(listed.json["bots"][0]["channels"], Value::Null);
    assert_eq!(missing(&listed.json), ["channels", "conversations_count"]);
    // A list that is none is no empty success.
    user.get(&format!("{BOTS}/main/conversations"))
        .await
        .assert_problem(503, "backend_down");
}

#[tokio::test]
async fn wrong_input_is_refused_before_botpress_is_asked() {
    let app = App::start().await;
    let (_, user, played) = botted(&app).await;
    let long = "x".repeat(201);
    for path in [
        format!("{BOTS}?limit=0"),
        format!("{BOTS}?limit=201"),
        format!("{BOTS}?cursor=nonsense"),
        format!("{BOTS}?status=active"),
        format!("{BOTS}/main/conversations?limit=0"),
        format!("{BOTS}/{long}/conversations"),
        format!("{BOTS}/main/analytics?period=year"),
    ] {
        user.get(&path).await.assert_problem(422, "invalid_input");
    }
    for body in [
        json!({ "active": "no" }),
        json!({ "configuration": "Hola" }),
        json!({ "configuration": [] }),
        json!({ "version": "ver_1" }),
    ] {
        user.post(&format!("{BOTS}/main/deploy"), body)
            .await
            .assert_problem(422, "invalid_input");
    }
    assert_eq!(played.asked(), Vec::<String>::new());
    let tenant = app.tenant("sol").await;
    let reader = app.user(&tenant, &["read:bots"]).await;
    reader.get(BOTS).await.assert_problem(409, "not_connected");
    reader
        .post(&format!("{BOTS}/main/deploy"), json!({}))
        .await
        .assert_problem(403, "insufficient_scope");
}

#[tokio::test]
async fn the_played_one_is_as_botpress_own_client_takes_it() {
    let app = App::start().await;
    let (_, _, played) = botted(&app).await;
    played.add_bot(Bot::new("bot_sol", "wkspace_sol", "Sol"));
    let url = app.vendors.play("botpress-client", played.router());
    let host = url.strip_prefix("http://").unwrap();
    let said = script(
        "node",
        &["botpress.mjs"],
        &[
            ("BP_API_URL", &format!("http://{}", app.vendors.address())),
            ("BP_TOKEN", TOKEN),
            ("BP_WORKSPACE_ID", WORKSPACE),
            ("BOTPRESS_HOST", host),
            ("BOTPRESS_BOT", "bot_abc123"),
            ("BOTPRESS_OTHER", "bot_sol"),
        ],
    )
    .await;
    assert_eq!(said["account"], "user_owner");
    assert_eq!(
        said["bots"],
        json!([{ "id": "bot_abc123", "deployed": true }, { "id": "bot_def456", "deployed": false }])
    );
    assert_eq!(said["integrations"], json!(["webchat", "whatsapp"]));
    assert_eq!(
        said["conversations"][0],
        json!({ "id": "conv_rosa1", "integration": "whatsapp", "messageCount": 4 })
    );
    assert_eq!(said["directions"], json!(["outgoing", "incoming", "outgoing", "incoming"]));
    assert_eq!((&said["sessions"], &said["completed"]), (&json!(77), &json!(0.78)));
    assert_eq!(said["deployed"], json!({}));
    assert_eq!(said["configuration"], json!({ "saludo": "Buenas" }));
    assert_eq!(said["wrong_token"], json!({ "code": 401, "type": "Unauthorized" }));
    assert_eq!(said["wrong_workspace"], json!({ "code": 403, "type": "Forbidden" }));
    assert_eq!(said["other_bot"], json!({ "code": 404, "type": "ResourceNotFound" }));
    assert_eq!(said["wrong_version"], json!({ "code": 404, "type": "ResourceNotFound" }));
    assert_eq!(said["wrong_page"], json!({ "code": 400, "type": "InvalidQuery" }));
    assert_eq!(said["wrong_change"], json!({ "code": 400, "type": "InvalidPayload" }));
    assert_eq!(played.writes(), 2);
    assert!(played.bot("bot_abc123").unwrap().blocked);
}
