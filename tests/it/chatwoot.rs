//! Chatwoot: support conversations, agents and metrics, from a played one.

use axum::{Json, Router};
use http::StatusCode;
use jiff::{Timestamp, tz::TimeZone};
use serde_json::{Value, json};
use smartermcp::sandbox::chatwoot::{Agent, Chatwoot, Conversation, Fault};

use crate::{
    app::{App, Reply, Tenant, User},
    conformance::script,
};

const LIST: &str = "/api/v1/support/conversations";
const SEARCH: &str = "/api/v1/support/conversations/search";
const AGENTS: &str = "/api/v1/support/agents";
const METRICS: &str = "/api/v1/support/metrics";
const TOKEN: &str = "token-7f-of-an-administrator";

async fn connect(app: &App, tenant: &Tenant, url: &str, credential: Value) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator
        .put("/api/v1/connections/chatwoot", json!({ "url": url, "credential": credential }))
        .await
}

async fn test(app: &App, tenant: &Tenant) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator.post("/api/v1/connections/chatwoot/test", json!({})).await
}

async fn reader(app: &App, tenant: &Tenant) -> User {
    let wide = json!({ "limits": { "general": { "per_minute": 10_000, "per_hour": 100_000, "burst": 1000 }, "categories": { "support": { "per_minute": 1_000_000 } } } });
    app.user_with(tenant, &["read:support"], wide).await
}

/// A tenant with the shop's account on a played Chatwoot, a user who may read support, and the Chatwoot.
async fn supported(app: &App, played: Chatwoot) -> (Tenant, User, Chatwoot) {
    // A zone whose days all have 24 hours, as the played ones have.
    supported_as(app, "luna", played).await
}

async fn supported_as(app: &App, slug: &str, played: Chatwoot) -> (Tenant, User, Chatwoot) {
    let tenant = app.tenant_with(slug, json!({ "time_zone": "UTC" })).await;
    let played = played.with_shop(3).with_token(TOKEN, &[(3, true)]);
    let url = app.vendors.play(&format!("chatwoot-{slug}"), played.router());
    connect(app, &tenant, &url, json!({ "access_token": TOKEN, "account_id": 3 }))
        .await
        .assert_status(200);
    let user = reader(app, &tenant).await;
    (tenant, user, played)
}

fn ids(answer: &Reply) -> Vec<&str> {
    answer.assert_status(200);
    let list = answer.json["conversations"].as_array().unwrap();
    list.iter().map(|conversation| conversation["id"].as_str().unwrap()).collect()
}

fn missing(answer: &Value) -> Vec<&str> {
    let list = answer["unavailable"].as_array().unwrap();
    list.iter().map(|item| item["name"].as_str().unwrap()).collect()
}

/// So many open conversations of the account, each with this text, after those of the shop.
fn fill(played: &Chatwoot, account: u64, many: u64, text: &str) {
    for number in 0..many {
        played.add_conversation(
            account,
            Conversation {
                id: 1000 + number,
                contact: format!("Cliente {number}"),
                status: "open".to_owned(),
                messages: vec![(true, text.to_owned()), (true, format!("{text} otra vez"))],
                last_activity: 1_700_000_000 - i64::try_from(number).unwrap(),
                ..Conversation::default()
            },
        );
    }
}

#[tokio::test]
async fn what_waits_for_an_answer_is_the_same_on_both_doors() {
    let app = App::start().await;
    let (_, user, _) = supported(&app, Chatwoot::new()).await;
    let rest = user.get(LIST).await;
    assert_eq!(ids(&rest), ["101", "102"]);
    let first = &rest.json["conversations"][0];
    let at: Timestamp = first["last_activity_at"].as_str().unwrap().parse().unwrap();
    assert!(Timestamp::now().as_second() - at.as_second() < 3600, "{first}");
    let mut rosa = first.clone();
    rosa.as_object_mut().unwrap().remove("last_activity_at");
    assert_eq!(
        rosa,
        json!({
            "id": "101", "contact": "Rosa Huenchur", "status": "open", "assignee": "Camila Soto",
            "last_message": "Perfecto. ¿Y el precio para la temporada alta?", "unread_count": 1,
        })
    );
    assert_eq!(rest.json["conversations"][1]["assignee"], Value::Null);
    assert!(rest.json.get("next_cursor").is_none());
    assert_eq!(user.call("support_conversations_list", json!({})).await.content(), &rest.json);
    assert_eq!(
        user.call_modern("support_conversations_list", json!({})).await.content(),
        &rest.json
    );
}

#[tokio::test]
async fn each_status_lists_its_own() {
    let app = App::start().await;
    let (_, user, _) = supported(&app, Chatwoot::new()).await;
    for (status, expected) in [
        ("all", vec!["101", "102", "103", "104", "105"]),
        ("open", vec!["101", "102"]),
        ("pending", vec!["103"]),
        ("resolved", vec!["104"]),
        ("snoozed", vec!["105"]),
    ] {
        assert_eq!(ids(&user.get(&format!("{LIST}?status={status}")).await), expected, "{status}");
    }
}

#[tokio::test]
async fn an_agent_is_found_by_name_part_email_and_id() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    for called in ["Camila Soto", "camila soto", "SOTO", "camila@panaderialuna.cl", "1"] {
        let arguments = json!({ "assignee": called, "status": "all" });
        let found = user.call("support_conversations_list", arguments).await;
        let found = found.content()["conversations"].as_array().unwrap().clone();
        let found: Vec<_> = found.iter().map(|conversation| &conversation["id"]).collect();
        assert_eq!(found, ["101", "104"], "{called}");
    }
    assert_eq!(ids(&user.get(&format!("{LIST}?assignee=diego&status=snoozed")).await), ["105"]);
    assert!(ids(&user.get(&format!("{LIST}?assignee=Ana%20Lonc%C3%B3n")).await).is_empty());

    played.add_agent(
        3,
        Agent {
            id: 8,
            name: "Camila Rojas".to_owned(),
            email: "camila.rojas@panaderialuna.cl".to_owned(),
            availability: "offline".to_owned(),
        },
    );
    let several = user.get(&format!("{LIST}?assignee=camila")).await;
    several.assert_problem(409, "ambiguous_name");
    let said = several.json["detail"].as_str().unwrap();
    assert!(said.contains("Camila Soto (1)") && said.contains("Camila Rojas (8)"), "{said}");
    for nobody in ["Pedro", "77", "%20"] {
        let nobody = user.get(&format!("{LIST}?assignee={nobody}")).await;
        nobody.assert_problem(404, "not_found");
        assert!(
            nobody.json["detail"].as_str().unwrap().contains("Diego Vera (2)"),
            "{}",
            nobody.text
        );
    }
}

#[tokio::test]
async fn pages_of_any_length_hold_every_conversation_once() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    fill(&played, 3, 60, "hola");
    for (limit, pages) in [(1, 62), (7, 9), (25, 3), (40, 2), (62, 1), (200, 1)] {
        let mut found: Vec<String> = Vec::new();
        let mut path = format!("{LIST}?limit={limit}");
        let mut read = 0;
        loop {
            let page = user.get(&path).await;
            read += 1;
            let on_page = ids(&page);
            assert!(on_page.len() <= limit, "{limit}");
            found.extend(on_page.into_iter().map(str::to_owned));
            let Some(cursor) = page.json["next_cursor"].as_str() else { break };
            path = format!("{LIST}?limit={limit}&cursor={cursor}");
        }
        assert_eq!((found.len(), read), (62, pages), "{limit}");
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 62, "{limit}");
    }
}

#[tokio::test]
async fn what_moves_up_because_others_were_resolved_is_not_passed_over() {
    let app = App::start().await;
    for resolved in [10, 20, 30] {
        let (_, user, played) = supported_as(&app, &format!("t{resolved}"), Chatwoot::new()).await;
        fill(&played, 3, 60, "hola");
        let first = user.get(&format!("{LIST}?limit=30")).await;
        let shown: Vec<u64> = ids(&first).into_iter().map(|id| id.parse().unwrap()).collect();
        for id in &shown[..resolved] {
            played.set_status(3, *id, "resolved");
        }
        let cursor = first.json["next_cursor"].as_str().unwrap();
        let second = user.get(&format!("{LIST}?limit=200&cursor={cursor}")).await;
        let mut rest: Vec<u64> = ids(&second).into_iter().map(|id| id.parse().unwrap()).collect();
        rest.sort_unstable();
        // 62 were open; 28 of the filled ones are the first page's, after the shop's two.
        assert_eq!(rest, (1028..1060).collect::<Vec<_>>(), "{resolved}");
        assert!(second.json.get("next_cursor").is_none());
    }
}

#[tokio::test]
async fn a_cursor_holds_its_filters_and_takes_no_others() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    fill(&played, 3, 3, "hola");
    let first = user.get(&format!("{LIST}?assignee=Camila&status=all&limit=1")).await;
    assert_eq!(ids(&first), ["101"]);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    assert_eq!(ids(&user.get(&format!("{LIST}?cursor={cursor}")).await), ["104"]);
    assert_eq!(
        ids(&user.get(&format!("{LIST}?assignee=Camila&status=all&cursor={cursor}")).await),
        ["104"]
    );
    for other in ["status=open", "assignee=Diego", "assignee=camila"] {
        user.get(&format!("{LIST}?{other}&cursor={cursor}"))
            .await
            .assert_problem(422, "invalid_input");
    }
    user.get(&format!("{SEARCH}?query=hola&cursor={cursor}"))
        .await
        .assert_problem(422, "invalid_input");
}

#[tokio::test]
async fn a_search_finds_what_was_said_and_who_said_it_each_conversation_once() {
    let app = App::start().await;
    let (_, user, _) = supported(&app, Chatwoot::new()).await;
    for (query, expected) in [
        ("refund%20request", vec!["102"]),
        ("REFUND", vec!["102"]),
        // By her name, and because an agent greeted her by it.
        ("rosa", vec!["101"]),
        ("john%40example.com", vec!["102"]),
        ("8123%204567", vec!["101"]),
        ("%2B56%209%208123-4567", vec!["101"]),
        // In messages of conversations that are closed, too.
        ("20%3A00", vec!["104"]),
        ("nada%20de%20eso", vec![]),
    ] {
        let found = user.get(&format!("{SEARCH}?query={query}")).await;
        assert_eq!(ids(&found), expected, "{query}");
        assert_eq!(found.json["unavailable"], json!([]));
    }
    let rest = user.get(&format!("{SEARCH}?query=refund%20request")).await;
    assert_eq!(rest.json["conversations"][0]["contact"], "John Smith");
    assert_eq!(rest.json["conversations"][0]["unread_count"], 2);
    let arguments = json!({ "query": "refund request" });
    assert_eq!(
        user.call("support_conversations_search", arguments.clone()).await.content(),
        &rest.json
    );
    assert_eq!(
        user.call_modern("support_conversations_search", arguments).await.content(),
        &rest.json
    );
}

#[tokio::test]
async fn a_search_goes_on_where_it_ended_and_shows_each_conversation_once() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    // Each is found by two messages; the searches have 15 results on a page.
    fill(&played, 3, 40, "kuchen de murta");
    for limit in [7, 30, 100] {
        let mut found: Vec<String> = Vec::new();
        let mut path = format!("{SEARCH}?query=murta&limit={limit}");
        loop {
            let page = user.get(&path).await;
            found.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(cursor) = page.json["next_cursor"].as_str() else { break };
            path = format!("{SEARCH}?query=murta&limit={limit}&cursor={cursor}");
        }
        let mut once = found.clone();
        once.sort();
        once.dedup();
        assert_eq!((found.len(), once.len()), (40, 40), "{limit}");
    }
    let first = user.get(&format!("{SEARCH}?query=murta&limit=7")).await;
    let cursor = first.json["next_cursor"].as_str().unwrap();
    user.get(&format!("{SEARCH}?query=pan&cursor={cursor}"))
        .await
        .assert_problem(422, "invalid_input");
}

#[tokio::test]
async fn a_chatwoot_without_search_looks_through_messages_and_says_so() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new().without_search()).await;
    let found = user.get(&format!("{SEARCH}?query=a%20las%2020%3A00")).await;
    assert_eq!(ids(&found), ["104"]);
    assert_eq!(missing(&found.json), ["contacts"]);
    assert!(ids(&user.get(&format!("{SEARCH}?query=huenchur")).await).is_empty());
    fill(&played, 3, 40, "kuchen de murta");
    let first = user.get(&format!("{SEARCH}?query=murta&limit=30")).await;
    assert_eq!(ids(&first).len(), 30);
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = user.get(&format!("{SEARCH}?query=murta&limit=30&cursor={cursor}")).await;
    assert_eq!(ids(&second).len(), 10);
    assert!(second.json.get("next_cursor").is_none());
}

#[tokio::test]
async fn a_search_that_fails_in_its_middle_does_not_begin_again_in_another_order() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    fill(&played, 3, 40, "kuchen de murta");
    let first = user.get(&format!("{SEARCH}?query=murta&limit=30")).await;
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let _ = played.without_search();
    let refused = user.get(&format!("{SEARCH}?query=murta&limit=30&cursor={cursor}")).await;
    refused.assert_problem(503, "backend_down");
    assert!(
        refused.json["detail"].as_str().unwrap().contains("pass the same cursor again"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn a_sign_at_which_the_index_of_messages_fails_is_looked_for_all_the_same() {
    let app = App::start().await;
    let (_, user, _) = supported(&app, Chatwoot::new().with_indexed_search()).await;
    let found = user.get(&format!("{SEARCH}?query=20%3A00")).await;
    assert_eq!(ids(&found), ["104"]);
    assert_eq!(missing(&found.json), ["contacts"]);
    assert_eq!(missing(&user.get(&format!("{SEARCH}?query=refund")).await.json), Vec::<&str>::new());
}

#[tokio::test]
async fn agents_are_shown_with_what_they_have_to_do() {
    let app = App::start().await;
    let (_, user, _) = supported(&app, Chatwoot::new()).await;
    let rest = user.get(AGENTS).await;
    rest.assert_status(200);
    assert_eq!(
        rest.json,
        json!({
            "agents": [
                { "agent_id": "1", "name": "Camila Soto", "status": "online", "active_conversations": 1 },
                { "agent_id": "2", "name": "Diego Vera", "status": "busy", "active_conversations": 0 },
                { "agent_id": "3", "name": "Ana Loncón", "status": "offline", "active_conversations": 0 },
            ],
            "unavailable": [],
        })
    );
    assert_eq!(user.call("support_agents_status", json!({})).await.content(), &rest.json);
    assert_eq!(user.call_modern("support_agents_status", json!({})).await.content(), &rest.json);
    let first = user.get(&format!("{AGENTS}?limit=2")).await;
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = user.get(&format!("{AGENTS}?limit=2&cursor={cursor}")).await;
    assert_eq!(second.json["agents"].as_array().unwrap().len(), 1);
    assert_eq!(second.json["agents"][0]["agent_id"], "3");
    assert!(second.json.get("next_cursor").is_none());
}

#[tokio::test]
async fn a_week_of_support_is_the_same_on_both_doors() {
    let app = App::start().await;
    let (_, user, _) = supported(&app, Chatwoot::new()).await;
    let rest = user.get(&format!("{METRICS}?period=week")).await;
    rest.assert_status(200);
    assert_eq!(
        rest.json,
        json!({
            "total_conversations": 53, "resolved_conversations": 35, "avg_first_response_time": 240.0,
            // 2.4 h.
            "avg_resolution_time": 8640.0, "satisfaction_score": 4.2, "unavailable": [],
        })
    );
    let arguments = json!({ "period": "week" });
    assert_eq!(user.call("support_metrics", arguments.clone()).await.content(), &rest.json);
    assert_eq!(user.call_modern("support_metrics", arguments).await.content(), &rest.json);
    let today = user.get(METRICS).await;
    assert_eq!(
        (&today.json["total_conversations"], &today.json["satisfaction_score"]),
        (&json!(9), &json!(4.5))
    );
    let month = user.get(&format!("{METRICS}?period=month")).await;
    assert_eq!(month.json["resolved_conversations"], 150);
}

#[tokio::test]
async fn a_period_begins_at_midnight_of_the_tenants_time_zone() {
    let app = App::start().await;
    let tenant = app.tenant_with("kiwi", json!({ "time_zone": "Pacific/Auckland" })).await;
    let played = Chatwoot::new().with_shop(3).with_token(TOKEN, &[(3, true)]);
    let url = app.vendors.play("chatwoot-kiwi", played.router());
    connect(&app, &tenant, &url, json!({ "access_token": TOKEN, "account_id": 3 }))
        .await
        .assert_status(200);
    let user = reader(&app, &tenant).await;
    for period in ["today", "week", "month"] {
        user.get(&format!("{METRICS}?period={period}")).await.assert_status(200);
    }
    let zone = TimeZone::get("Pacific/Auckland").unwrap();
    let asked = played.asked();
    let since: Vec<_> = asked
        .iter()
        .filter(|line| line.contains("/reports/summary"))
        .map(|line| parameter(line, "since"))
        .collect();
    assert_eq!(since.len(), 3);
    let begins: Vec<_> = since
        .iter()
        .map(|since| Timestamp::from_second(*since).unwrap().to_zoned(zone.clone()))
        .collect();
    for begin in &begins {
        assert_eq!((begin.hour(), begin.minute(), begin.second()), (0, 0, 0), "{begin}");
    }
    let days = |from: usize| (begins[0].date() - begins[from].date()).get_days();
    assert_eq!((days(1), days(2)), (6, 29));
    let until = asked
        .iter()
        .rfind(|line| line.contains("/reports/summary"))
        .map(|line| parameter(line, "until"))
        .unwrap();
    assert!((app.clock.millis() / 1000 - until).abs() < 60);
}

fn parameter(line: &str, name: &str) -> i64 {
    let (_, query) = line.split_once('?').unwrap();
    let pair = query.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    pair.unwrap().parse().unwrap()
}

#[tokio::test]
async fn figures_of_an_account_where_nothing_happened_are_null_and_named() {
    let app = App::start().await;
    let tenant = app.tenant("nuevo").await;
    let played = Chatwoot::new().with_account(9).with_token(TOKEN, &[(9, true)]);
    let url = app.vendors.play("chatwoot-nuevo", played.router());
    connect(&app, &tenant, &url, json!({ "access_token": TOKEN, "account_id": 9 }))
        .await
        .assert_status(200);
    let user = reader(&app, &tenant).await;
    let metrics = user.get(METRICS).await;
    metrics.assert_status(200);
    assert_eq!(metrics.json["total_conversations"], 0);
    let nulls = ["avg_first_response_time", "avg_resolution_time", "satisfaction_score"];
    assert_eq!(missing(&metrics.json), nulls);
    for name in nulls {
        assert_eq!(metrics.json[name], Value::Null, "{name}");
    }
    assert!(ids(&user.get(LIST).await).is_empty());
    assert!(ids(&user.get(&format!("{SEARCH}?query=hola")).await).is_empty());
    assert_eq!(user.get(AGENTS).await.json["agents"], json!([]));
}

#[tokio::test]
async fn a_token_without_an_administrators_rights_says_so() {
    let app = App::start().await;
    let (tenant, user, played) = supported(&app, Chatwoot::new()).await;
    let _ = played.with_token("token-of-an-agent", &[(3, false)]);
    let url = app.operator().for_tenant(&tenant.id).get("/api/v1/connections/chatwoot").await.json["url"].clone();
    let credential = json!({ "access_token": "token-of-an-agent", "account_id": 3 });
    connect(&app, &tenant, url.as_str().unwrap(), credential).await.assert_status(200);
    let refused = user.get(METRICS).await;
    refused.assert_problem(502, "permission_missing");
    assert!(
        refused.json["detail"].as_str().unwrap().contains("administrator"),
        "{}",
        refused.text
    );
    assert!(user.call("support_metrics", json!({})).await.tool_error().contains("administrator"));
    // What needs no such rights is told.
    assert_eq!(ids(&user.get(LIST).await), ["101", "102"]);
    let agents = user.get(AGENTS).await;
    assert_eq!(missing(&agents.json), ["active_conversations"]);
    assert!(agents.json["unavailable"][0]["reason"].as_str().unwrap().contains("administrators"));
    assert_eq!(
        (
            &agents.json["agents"][0]["status"],
            &agents.json["agents"][0]["active_conversations"]
        ),
        (&json!("online"), &Value::Null)
    );
    let tested = test(&app, &tenant).await;
    tested.assert_status(200);
    assert!(
        tested.json["detail"].as_str().unwrap().contains("may not read its reports"),
        "{}",
        tested.text
    );
}

#[tokio::test]
async fn a_test_of_the_connection_says_which_part_is_wrong() {
    let app = App::start().await;
    let (tenant, _, played) = supported(&app, Chatwoot::new()).await;
    let url = app.vendors.play("chatwoot", played.router());
    let tested = test(&app, &tenant).await;
    tested.assert_status(200);
    assert_eq!(tested.json["version"], "4.7.0");
    assert!(tested.json["detail"].as_str().unwrap().contains("may read its reports"));

    connect(&app, &tenant, &url, json!({ "access_token": "wrong-7f", "account_id": 3 }))
        .await
        .assert_status(200);
    let wrong = test(&app, &tenant).await;
    wrong.assert_problem(502, "credential_refused");
    let said = wrong.json["detail"].as_str().unwrap();
    assert!(said.contains("access token") && said.contains("underscores"), "{said}");
    assert!(!wrong.text.contains("wrong-7f"), "{}", wrong.text);

    connect(&app, &tenant, &url, json!({ "access_token": TOKEN, "account_id": 4 }))
        .await
        .assert_status(200);
    let elsewhere = test(&app, &tenant).await;
    elsewhere.assert_problem(502, "permission_missing");
    assert!(elsewhere.json["detail"].as_str().unwrap().contains("no member of account 4"));

    played.set_fault(Fault::Html);
    let page = test(&app, &tenant).await;
    page.assert_problem(502, "backend_refused");
    assert!(page.json["detail"].as_str().unwrap().contains("url"));
    let other = app
        .vendors
        .play("no-chatwoot", Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "no") }));
    connect(&app, &tenant, &other, json!({ "access_token": TOKEN, "account_id": 3 }))
        .await
        .assert_status(200);
    let other = test(&app, &tenant).await;
    other.assert_problem(502, "backend_refused");
    assert!(other.json["detail"].as_str().unwrap().contains("without /api/v1"), "{}", other.text);
}

#[tokio::test]
async fn an_account_that_is_not_there_is_the_connections_fault_not_the_callers() {
    let app = App::start().await;
    let (tenant, user, played) = supported(&app, Chatwoot::new()).await;
    let url = app.vendors.play("chatwoot", played.router());
    connect(&app, &tenant, &url, json!({ "access_token": TOKEN, "account_id": 77 }))
        .await
        .assert_status(200);
    for path in [
        LIST.to_owned(),
        format!("{SEARCH}?query=hola"),
        AGENTS.to_owned(),
        METRICS.to_owned(),
    ] {
        let refused = user.get(&path).await;
        refused.assert_problem(502, "backend_refused");
        assert!(
            refused.json["detail"].as_str().unwrap().contains("no account 77"),
            "{}",
            refused.text
        );
    }
}

#[tokio::test]
async fn a_credential_that_chatwoot_could_not_take_is_refused_when_it_is_set() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let url = app.vendors.play("chatwoot", Chatwoot::new().router());
    for (credential, field) in [
        (json!({ "access_token": "", "account_id": 3 }), "credential.access_token"),
        (json!({ "access_token": "secret-9 x", "account_id": 3 }), "credential.access_token"),
        (json!({ "access_token": "secret-9\n", "account_id": 3 }), "credential.access_token"),
        (
            json!({ "access_token": "x".repeat(257), "account_id": 3 }),
            "credential.access_token",
        ),
        (json!({ "access_token": "secret-9", "account_id": 0 }), "credential.account_id"),
        (json!({ "access_token": "secret-9" }), "credential.account_id"),
        (json!({ "access_token": "secret-9", "account_id": -1 }), "credential"),
        (json!({ "access_token": "secret-9", "account_id": "3/../4" }), "credential"),
        (
            json!({ "access_token": "secret-9", "account_id": 3, "inbox": 1 }),
            "credential.inbox",
        ),
    ] {
        let refused = connect(&app, &tenant, &url, credential.clone()).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.json["detail"].as_str().unwrap().starts_with(field),
            "{credential}: {}",
            refused.text
        );
        assert!(!refused.text.contains("secret-9"), "{}", refused.text);
    }
}

#[tokio::test]
async fn no_secret_of_chatwoot_is_in_any_answer() {
    let app = App::start().await;
    let (tenant, user, _) = supported(&app, Chatwoot::new()).await;
    for answer in [
        user.get(LIST).await,
        user.get(AGENTS).await,
        user.get(METRICS).await,
        test(&app, &tenant).await,
        app.operator().for_tenant(&tenant.id).get("/api/v1/connections/chatwoot").await,
    ] {
        answer.assert_status(200);
        for secret in ["-7f-", "told-again", "secret-of-the-profile"] {
            assert!(!answer.text.contains(secret), "{}", answer.text);
        }
    }
}

#[tokio::test]
async fn two_tenants_on_one_instance_see_their_own_account_alone() {
    let app = App::start().await;
    // One person's token is good for both accounts: the connection's account decides.
    let played = Chatwoot::new()
        .with_shop(3)
        .with_account(4)
        .with_token("shared", &[(3, true), (4, true)]);
    played.add_agent(
        4,
        Agent {
            id: 41,
            name: "Sol Reyes".to_owned(),
            email: "sol@sol.cl".to_owned(),
            availability: "online".to_owned(),
        },
    );
    fill(&played, 4, 1, "solo de sol");
    let url = app.vendors.play("chatwoot", played.router());
    let mut users = Vec::new();
    for (slug, account) in [("luna", 3), ("sol", 4)] {
        let tenant = app.tenant(slug).await;
        connect(&app, &tenant, &url, json!({ "access_token": "shared", "account_id": account }))
            .await
            .assert_status(200);
        users.push(reader(&app, &tenant).await);
    }
    let [luna, sol] = users.as_slice() else { unreachable!() };
    assert_eq!(ids(&luna.get(LIST).await), ["101", "102"]);
    assert_eq!(ids(&sol.get(LIST).await), ["1000"]);
    assert!(ids(&luna.get(&format!("{SEARCH}?query=solo%20de%20sol")).await).is_empty());
    assert!(ids(&sol.get(&format!("{SEARCH}?query=refund")).await).is_empty());
    for (user, others) in [(luna, "41"), (luna, "sol@sol.cl"), (sol, "1"), (sol, "Camila")] {
        let refused = user.get(&format!("{LIST}?assignee={others}")).await;
        refused.assert_problem(404, "not_found");
    }
    assert_eq!(sol.get(AGENTS).await.json["agents"][0]["agent_id"], "41");
    assert_eq!(luna.get(AGENTS).await.json["agents"].as_array().unwrap().len(), 3);
    assert_eq!(sol.get(METRICS).await.json["total_conversations"], 0);
    // A cursor is its tenant's.
    let cursor = luna.get(&format!("{LIST}?limit=1")).await.json["next_cursor"].clone();
    sol.get(&format!("{LIST}?cursor={}", cursor.as_str().unwrap()))
        .await
        .assert_problem(422, "invalid_input");
    let (mut of_luna, mut of_sol) = (0, 0);
    for line in played.asked() {
        of_luna += usize::from(line.contains("/accounts/3/"));
        of_sol += usize::from(line.contains("/accounts/4/"));
    }
    assert_eq!(of_luna + of_sol, played.asked().len(), "every request is bounded to an account");
}

#[tokio::test]
async fn every_fault_of_a_chatwoot_is_a_failure_of_every_tool_on_both_doors() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    for (fault, status, code) in [
        (Fault::Status(401), 502, "credential_refused"),
        (Fault::Status(403), 502, "credential_refused"),
        (Fault::Status(500), 503, "backend_down"),
        (Fault::Html, 502, "backend_refused"),
        (Fault::NotJson, 502, "backend_refused"),
        (Fault::RedirectTo("https://elsewhere.test/".to_owned()), 502, "backend_refused"),
    ] {
        played.set_fault(fault.clone());
        for (path, tool, arguments) in [
            (LIST.to_owned(), "support_conversations_list", json!({})),
            (
                format!("{SEARCH}?query=hola"),
                "support_conversations_search",
                json!({ "query": "hola" }),
            ),
            (AGENTS.to_owned(), "support_agents_status", json!({})),
            (METRICS.to_owned(), "support_metrics", json!({})),
        ] {
            let rest = user.get(&path).await;
            rest.assert_problem(status, code);
            let mcp = user.call(tool, arguments).await;
            assert_eq!(mcp.tool_error(), rest.json["detail"], "{tool} {fault:?}");
            assert!(!mcp.text.contains("-7f-"), "{}", mcp.text);
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_cut_off_or_too_long_or_a_429_is_a_failure() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    played.set_fault(Fault::CutOff);
    user.get(LIST).await.assert_problem(503, "backend_down");
    // Asked again within the call, and at last told to come back later.
    played.set_fault(Fault::Status(429));
    let often = user.get(LIST).await;
    often.assert_problem(503, "backend_down");
    assert_eq!(often.header("retry-after"), "1");
    played.set_fault(Fault::Huge(11 * 1024 * 1024));
    user.get(LIST).await.assert_problem(502, "backend_refused");
    played.set_fault(Fault::None);
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn a_filter_that_is_sent_by_post_is_asked_again_like_any_read() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    played.set_fault(Fault::FailTimes { status: 503, times: 2 });
    let found = user.get(&format!("{LIST}?assignee=1")).await;
    assert_eq!(ids(&found), ["101"]);
    let cursor = user.get(&format!("{LIST}?assignee=1&status=all&limit=1")).await;
    let cursor = cursor.json["next_cursor"].as_str().unwrap();
    // With a cursor the filter is the first that is asked.
    played.set_fault(Fault::FailTimes { status: 503, times: 2 });
    assert_eq!(ids(&user.get(&format!("{LIST}?cursor={cursor}")).await), ["104"]);
}

#[tokio::test]
async fn an_answer_of_another_form_is_no_empty_success() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let url = app
        .vendors
        .play("chatwoot", Router::new().fallback(|| async { Json(json!({ "data": {} })) }));
    connect(&app, &tenant, &url, json!({ "access_token": TOKEN, "account_id": 3 }))
        .await
        .assert_status(200);
    let user = reader(&app, &tenant).await;
    for path in [LIST.to_owned(), format!("{SEARCH}?query=hola"), AGENTS.to_owned()] {
        user.get(&path).await.assert_problem(502, "backend_refused");
    }
}

#[tokio::test]
async fn wrong_input_is_refused_before_chatwoot_is_asked() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    let long = "x".repeat(201);
    for path in [
        format!("{LIST}?status=closed"),
        format!("{LIST}?limit=0"),
        format!("{LIST}?limit=201"),
        format!("{LIST}?assignee="),
        format!("{LIST}?assignee={long}"),
        format!("{LIST}?cursor=nonsense"),
        format!("{LIST}?inbox=1"),
        SEARCH.to_owned(),
        format!("{SEARCH}?query=x"),
        format!("{SEARCH}?query=%20%20%20"),
        format!("{SEARCH}?query={long}"),
        format!("{AGENTS}?limit=0"),
        format!("{METRICS}?period=year"),
    ] {
        user.get(&path).await.assert_problem(422, "invalid_input");
    }
    assert_eq!(played.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_tool_whose_chatwoot_is_not_connected_says_how_to_connect_it() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = reader(&app, &tenant).await;
    for path in [LIST, AGENTS, METRICS] {
        let refused = user.get(path).await;
        refused.assert_problem(409, "not_connected");
        assert!(refused.json["detail"].as_str().unwrap().contains("connections/chatwoot"));
    }
}

#[tokio::test]
async fn long_and_strange_texts_of_customers_are_cut_and_on_one_line() {
    let app = App::start().await;
    let (_, user, played) = supported(&app, Chatwoot::new()).await;
    played.add_conversation(
        3,
        Conversation {
            id: 7000,
            contact: " ".to_owned(),
            phone: Some("+56912345678".to_owned()),
            status: "open".to_owned(),
            messages: vec![(true, format!("uno\ndos\u{7}{}", "ñ".repeat(5000)))],
            last_activity: 4_000_000_000,
            ..Conversation::default()
        },
    );
    let listed = user.get(&format!("{LIST}?limit=1")).await;
    let first = &listed.json["conversations"][0];
    let said = first["last_message"].as_str().unwrap();
    assert!(said.starts_with("uno dos ñ") && said.chars().count() == 301, "{said}");
    assert_eq!(first["contact"], "+56912345678");
}

#[tokio::test]
async fn the_played_one_is_as_a_published_client_of_chatwoot_takes_it() {
    let app = App::start().await;
    let (_, _, played) = supported(&app, Chatwoot::new()).await;
    let url = app.vendors.play("chatwoot-client", played.router());
    let host = url.strip_prefix("http://").unwrap();
    let said = script(
        "node",
        &["chatwoot.mjs"],
        &[
            ("CHATWOOT_URL", &format!("http://{}", app.vendors.address())),
            ("CHATWOOT_HOST", host),
            ("CHATWOOT_TOKEN", TOKEN),
            ("CHATWOOT_ACCOUNT", "3"),
        ],
    )
    .await;
    assert_eq!(said["accounts"], json!([{ "id": 3, "role": "administrator" }]));
    assert_eq!(
        said["open"][0],
        json!({ "id": 101, "status": "open", "contact": "Rosa Huenchur", "unread_count": 1 })
    );
    assert_eq!(
        (&said["counted"], &said["filtered"], &said["one"]),
        (&json!(5), &json!([103]), &json!(101))
    );
    assert_eq!(
        said["agents"][1],
        json!({ "id": 2, "name": "Diego Vera", "availability_status": "busy" })
    );
    assert_eq!(said["resolution"], 8640);
    assert_eq!(said["live"], json!({ "open": 2, "unattended": 2, "unassigned": 1 }));
    assert_eq!(said["loads"][0], json!({ "id": 1, "open": 1 }));
    assert_eq!(
        said["wrong_token"],
        json!({ "status": 401, "body": { "error": "Invalid Access Token" } })
    );
    assert_eq!(said["other_account"]["status"], 404);
    assert_eq!(said["wrong_filter"]["status"], 422);
}
