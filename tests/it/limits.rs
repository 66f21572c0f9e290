//! Limits: how many calls, how fast, and what the plan allows in a month.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::{Value, json};

use crate::app::{App, BUSINESS, Reply, User};

/// A limit that no test reaches.
const MOST: u32 = 1_000_000;

fn wide() -> Value {
    json!({ "limits": { "general": { "per_minute": MOST, "per_hour": MOST, "burst": MOST } } })
}

async fn list(user: &User) -> Reply {
    user.get("/api/v1/workflows").await
}

async fn trigger(user: &User) -> Reply {
    user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await
}

#[track_caller]
fn assert_limited(reply: &Reply, category: &str) {
    reply.assert_problem(429, "rate_limited");
    let sentence = format!("Rate limit exceeded for category '{category}'");
    assert!(reply.json["detail"].as_str().unwrap().starts_with(&sentence), "{}", reply.text);
    let seconds: u64 = reply.header("retry-after").parse().unwrap();
    assert!(seconds >= 1);
    assert_eq!(reply.json["retry_after"], seconds);
}

/// The cell that `RateLimit` reports: its name, r and t.
#[track_caller]
fn standing(reply: &Reply) -> (String, u32, u64) {
    let text = reply.header("ratelimit");
    let parse = || {
        let (name, numbers) = text.strip_prefix('"')?.split_once("\";r=")?;
        let (left, full) = numbers.split_once(";t=")?;
        Some((name.to_owned(), left.parse().ok()?, full.parse().ok()?))
    };
    parse().unwrap_or_else(|| panic!("{text:?} is no RateLimit: {}", reply.text))
}

/// Calls one after the other until one is refused; how many passed, and how many the rate allows in the time that it took.
async fn until_refused<F: Future<Output = Reply>>(burst: u32, per_minute: u32, call: impl Fn() -> F) -> Reply {
    let began = Instant::now();
    for passed in 0.. {
        let reply = call().await;
        if reply.status == 429 {
            let earned = began.elapsed().as_secs_f64() * f64::from(per_minute) / 60.0;
            assert!(passed >= burst, "refused after {passed}");
            assert!(f64::from(passed) <= f64::from(burst) + earned + 1.0, "{passed} passed at once");
            return reply;
        }
        reply.assert_status(200);
        assert!(passed < 2000, "it never ends");
    }
    unreachable!()
}

// Rates.

#[tokio::test]
async fn a_burst_of_twenty_passes_and_then_the_general_cell_refuses() {
    let app = App::start().await;
    let (tenant, user, _) = app.business("luna").await;
    let refused = until_refused(20, 100, || list(&user)).await;
    assert_limited(&refused, "general");
    assert_eq!(refused.header("retry-after"), "1");
    assert!(
        refused.json["detail"].as_str().unwrap().len() > "Rate limit exceeded for category 'general'".len(),
        "and what to do"
    );
    let (cell, left, _) = standing(&refused);
    assert_eq!((cell.as_str(), left), ("general", 0));
    // Another token of the tenant has its own.
    list(&app.user(&tenant, BUSINESS).await).await.assert_status(200);
    app.clock.advance(Duration::from_secs(60));
    list(&user).await.assert_status(200);
}

#[tokio::test]
async fn a_limited_call_is_a_tool_result_in_mcp_that_says_how_long_to_wait() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let user = app
        .user_with(
            &tenant,
            BUSINESS,
            json!({ "limits": { "general": { "per_minute": 6, "burst": 2 } } }),
        )
        .await;
    list(&user).await.assert_status(200);
    user.call("workflows_list", json!({})).await.content();
    for refused in [
        user.call("workflows_list", json!({})).await,
        user.call_modern("workflows_list", json!({})).await,
    ] {
        assert!(
            refused.tool_error().starts_with("Rate limit exceeded for category 'general'"),
            "{}",
            refused.text
        );
        let meta = &refused.json["result"]["_meta"];
        let wait = meta["cl.smarterbot/retryAfter"].as_u64().unwrap();
        assert!((1..=10).contains(&wait), "{wait}");
        assert_eq!(meta["cl.smarterbot/error"]["code"], "rate_limited");
        assert_eq!(refused.header("retry-after"), wait.to_string());
        assert_eq!(standing(&refused).1, 0);
    }
}

#[tokio::test]
async fn a_cell_admits_again_exactly_when_it_said() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let user = app
        .user_with(
            &tenant,
            BUSINESS,
            json!({ "limits": { "general": { "per_minute": 1, "burst": 3 } } }),
        )
        .await;
    for left in [2, 1, 0] {
        assert_eq!(standing(list(&user).await.assert_status(200)).1, left);
    }
    let refused = list(&user).await;
    assert_limited(&refused, "general");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((55..=60).contains(&wait), "{wait}");
    // The time to be full again is that of all three.
    let full = standing(&refused).2;
    assert!((170..=180).contains(&full), "{full}");
    app.clock.advance(Duration::from_secs(wait - 10));
    assert_limited(&list(&user).await, "general");
    app.clock.advance(Duration::from_secs(10));
    list(&user).await.assert_status(200);
    assert_limited(&list(&user).await, "general");
    app.clock.advance(Duration::from_secs(180));
    for _ in 0..3 {
        list(&user).await.assert_status(200);
    }
    assert_limited(&list(&user).await, "general");
}

#[tokio::test]
async fn headers_list_the_cells_and_the_one_with_the_least_left() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let reply = trigger(&user).await;
    reply.assert_status(200);
    let policy: Vec<_> = reply.header("ratelimit-policy").split(", ").map(str::to_owned).collect();
    for cell in [
        "\"general\";q=100;w=60",
        "\"hour\";q=5000;w=3600",
        "\"tenant\";q=1000;w=60",
        "\"workflows\";q=30;w=60",
    ] {
        assert!(policy.contains(&cell.to_owned()), "{policy:?}");
    }
    assert_eq!(policy.len(), 4, "{policy:?}");
    let (cell, left, full) = standing(&reply);
    assert!(["general", "workflows"].contains(&cell.as_str()), "{cell}");
    assert_eq!(left, 19);
    assert!((1..=2).contains(&full), "{full}");

    let mcp = user.call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" })).await;
    assert!(mcp.header("ratelimit-policy").contains("\"workflows\";q=30;w=60"));
    assert!(standing(&mcp).1 <= 19);
    let protocol = user.mcp("tools/list", json!({})).await;
    assert_eq!(protocol.header("ratelimit-policy"), "\"protocol\";q=300;w=60");
    assert_eq!(standing(&protocol).0, "protocol");
}

#[tokio::test]
async fn of_the_workflows_only_trigger_and_create_count() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let mut limits = wide();
    limits["limits"]["categories"] = json!({ "workflows": { "per_minute": 2 } });
    let user = app.user_with(&tenant, BUSINESS, limits).await;
    for _ in 0..5 {
        list(&user).await.assert_status(200);
    }
    for _ in 0..2 {
        trigger(&user).await.assert_status(200);
    }
    let refused = trigger(&user).await;
    assert_limited(&refused, "workflows");
    let (cell, left, _) = standing(&refused);
    assert_eq!((cell.as_str(), left), ("workflows", 0));
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((20..=30).contains(&wait), "{wait}");
    list(&user).await.assert_status(200);
    let created = json!({ "name": "New", "workflow_json": { "nodes": [], "connections": {} } });
    assert_limited(&user.post("/api/v1/workflows", created).await, "workflows");
    app.clock.advance(Duration::from_secs(wait));
    trigger(&user).await.assert_status(200);
    assert_limited(&trigger(&user).await, "workflows");
}

#[tokio::test]
async fn thirty_triggers_a_minute_with_a_burst_of_twenty() {
    let app = App::start().await;
    let (tenant, _, n8n) = app.business("luna").await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    let refused = until_refused(20, 30, || trigger(&user)).await;
    assert_limited(&refused, "workflows");
    assert!(n8n.runs() >= 20);
    assert!((1..=2).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
}

#[tokio::test]
async fn earlier_cells_stay_charged_when_a_later_one_refuses() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let limits = json!({ "limits": { "general": { "per_minute": 1, "burst": 10 }, "categories": { "workflows": { "per_minute": 1 } } } });
    let user = app.user_with(&tenant, BUSINESS, limits).await;
    trigger(&user).await.assert_status(200);
    for _ in 0..3 {
        assert_limited(&trigger(&user).await, "workflows");
    }
    let (cell, left, _) = standing(list(&user).await.assert_status(200));
    assert_eq!((cell.as_str(), left), ("general", 5));
}

#[tokio::test]
async fn a_denied_or_invalid_call_charges_general_and_hour_only() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let limits = json!({ "limits": { "general": { "per_minute": 1, "burst": 7 }, "categories": { "workflows": { "per_minute": 1 } } } });
    let user = app.user_with(&tenant, BUSINESS, limits).await;
    let invalid = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({ "moon": 1 })).await;
    assert_eq!(standing(invalid.assert_status(422)).1, 6);
    user.call("workflows_trigger", json!({})).await.tool_error();
    let denied = user.get("/auth/token").await;
    assert_eq!(standing(denied.assert_status(403)).1, 4);
    user.call("tokens_list", json!({})).await.assert_status(403);
    user.post("/api/v1/tools/no_such_tool", json!({})).await.assert_status(404);
    // The category is as full as before.
    trigger(&user).await.assert_status(200);
    // When general is spent too, that is the answer.
    user.get("/auth/token").await.assert_status(403);
    assert_limited(&user.get("/auth/token").await, "general");
    assert_limited(&user.post("/api/v1/workflows/x/trigger", json!({ "moon": 1 })).await, "general");
}

#[tokio::test]
async fn an_hour_has_a_cell_of_its_own() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let limits = json!({ "limits": { "general": { "per_minute": 1000, "per_hour": 2, "burst": 1000 } } });
    let user = app.user_with(&tenant, BUSINESS, limits).await;
    for _ in 0..2 {
        list(&user).await.assert_status(200);
    }
    let refused = list(&user).await;
    assert_limited(&refused, "hour");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1790..=1800).contains(&wait), "{wait}");
}

#[tokio::test]
async fn protocol_methods_share_a_cell_of_sixty_at_once() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let began = Instant::now();
    let replies = join_all((0..120).map(|index| {
        let user = user.clone();
        async move {
            match index % 3 {
                0 => user.mcp("tools/list", json!({})).await,
                1 => user.mcp("ping", json!({})).await,
                _ => user.get("/api/v1/whoami").await,
            }
        }
    }))
    .await;
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    let earned = began.elapsed().as_secs_f64() * 5.0;
    assert!(
        passed >= 60 && (passed as f64) <= 61.0 + earned,
        "{passed} in {:?}",
        began.elapsed()
    );
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        refused.assert_status(429);
        assert!(refused.header("retry-after").parse::<u64>().unwrap() >= 1);
        assert!(
            refused.text.contains("Rate limit exceeded for category 'protocol'"),
            "{}",
            refused.text
        );
        assert_eq!(standing(refused).0, "protocol");
    }
    // Calls have their own cells.
    list(&user).await.assert_status(200);
}

#[tokio::test]
async fn the_operator_is_not_limited() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    for _ in 0..5 {
        let replies = join_all((0..40).map(|index| {
            let operator = app.operator().for_tenant(&tenant.id);
            async move {
                match index % 2 {
                    0 => operator.get("/api/v1/usage").await,
                    _ => operator.mcp("tools/list", json!({})).await,
                }
            }
        }))
        .await;
        for reply in &replies {
            reply.assert_status(200);
            assert_eq!(reply.header("ratelimit"), "");
        }
    }
}

#[tokio::test]
async fn the_tokens_of_a_tenant_share_its_cell() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let other = app.tenant("sol").await;
    let one = app.user_with(&tenant, &["admin:tenants"], wide()).await;
    let two = app.user_with(&tenant, &["admin:tenants"], wide()).await;
    let third = app.user_with(&other, &["admin:tenants"], wide()).await;
    let began = Instant::now();
    let (mut passed, mut refused) = ([0_u32; 2], None);
    while refused.is_none() {
        let replies = join_all((0..20).map(|index| {
            let user = if index % 2 == 0 { one.clone() } else { two.clone() };
            async move { (index % 2, user.get("/api/v1/usage").await) }
        }))
        .await;
        for (which, reply) in replies {
            match reply.status.as_u16() {
                200 => passed[which] += 1,
                _ => refused = Some(reply),
            }
        }
        assert!(passed[0] + passed[1] < 2000);
    }
    let earned = began.elapsed().as_secs_f64() * 1000.0 / 60.0;
    let both = f64::from(passed[0] + passed[1]);
    assert!(both >= 200.0 && both <= 201.0 + earned, "{passed:?} in {:?}", began.elapsed());
    let refused = refused.unwrap();
    assert_limited(&refused, "tenant");
    assert_eq!(standing(&refused).0, "tenant");
    third.get("/api/v1/usage").await.assert_status(200);
}

// Limits given at issuance.

#[tokio::test]
async fn only_the_operator_gives_more_than_the_usual_limits() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let admin = app.user_with(&tenant, &["admin:tenants", "write:workflows"], wide()).await;
    for (limits, field) in [
        (json!({ "general": { "per_minute": 101 } }), "limits.general.per_minute"),
        (json!({ "general": { "per_hour": 5001 } }), "limits.general.per_hour"),
        (json!({ "general": { "burst": 21 } }), "limits.general.burst"),
        (
            json!({ "categories": { "workflows": { "per_minute": 31 } } }),
            "limits.categories.workflows.per_minute",
        ),
        (
            json!({ "categories": { "code_generation": { "per_minute": 1, "per_hour": 101 } } }),
            "limits.categories.code_generation.per_hour",
        ),
        (json!({ "categories": { "account": { "per_minute": 1 } } }), "limits.categories"),
    ] {
        let body = json!({ "name": "x", "scopes": ["read:workflows"], "limits": limits });
        let refused = admin.post("/auth/token", body.clone()).await;
        refused.assert_problem(422, "invalid_input");
        assert!(
            refused.json["detail"].as_str().unwrap().contains(field),
            "{field}: {}",
            refused.text
        );
        if !field.ends_with("categories") {
            app.operator().post("/auth/token", body).await.assert_status(201);
        }
    }
    let less = json!({ "general": { "per_minute": 50, "per_hour": 100, "burst": 5 }, "categories": { "workflows": { "per_minute": 30, "per_hour": 60 } } });
    let issued = admin
        .post("/auth/token", json!({ "name": "x", "scopes": ["read:workflows"], "limits": less }))
        .await;
    issued.assert_status(201);
    let who = app.user_of(issued.json["api_token"].as_str().unwrap()).get("/api/v1/whoami").await;
    assert_eq!(who.json["limits"]["general"], json!({ "limit": 50, "per_secs": 60, "burst": 5 }));
    assert_eq!(who.json["limits"]["hour"]["limit"], 100);
    assert_eq!(who.json["limits"]["categories_hour"]["workflows"]["limit"], 60);
    for wrong in [
        json!({ "general": { "per_minute": 0 } }),
        json!({ "general": { "per_minute": 2_000_000 } }),
        json!({ "general": { "per_minute": -1 } }),
        json!({ "general": { "per_second": 1 } }),
        json!({ "categories": { "workflows": {} } }),
        json!("none"),
    ] {
        app.operator()
            .post("/auth/token", json!({ "name": "x", "scopes": ["read:workflows"], "limits": wrong }))
            .await
            .assert_problem(422, "invalid_input");
    }
}

#[tokio::test]
async fn a_rotated_token_keeps_its_limits() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let issued = app
        .issue(
            &tenant,
            &["read:workflows"],
            json!({ "limits": { "general": { "per_minute": 7 } } }),
        )
        .await;
    let path = format!("/auth/token/{}/rotate", issued["id"].as_str().unwrap());
    let rotated = app.operator().post(&path, json!({})).await;
    let who = app.user_of(rotated.json["api_token"].as_str().unwrap()).get("/api/v1/whoami").await;
    assert_eq!(who.json["limits"]["general"]["limit"], 7);
}

// Plans.

async fn left(user: &User, meter: &str) -> Value {
    let who = user.get("/api/v1/whoami").await;
    let meters = who.json["plan"]["meters"].as_array().unwrap().clone();
    meters.into_iter().find(|shown| shown["meter"] == meter).unwrap()["left"].clone()
}

#[track_caller]
fn assert_spent(reply: &Reply, month_ends_at: i64, now: i64) {
    reply.assert_problem(429, "quota_spent");
    let wait: i64 = reply.header("retry-after").parse().unwrap();
    let expected = (month_ends_at - now) / 1000;
    assert!((expected - 5..=expected + 5).contains(&wait), "{wait}, not {expected}");
    assert_eq!(reply.json["retryable"], false);
}

async fn month_end(user: &User) -> i64 {
    let who = user.get("/api/v1/whoami").await;
    let end: jiff::Timestamp = who.json["plan"]["month_ends_at"].as_str().unwrap().parse().unwrap();
    end.as_millisecond()
}

#[tokio::test]
async fn a_demo_plan_has_ten_executions_a_month_and_they_outlive_a_restart() {
    let app = App::start().await;
    let (tenant, _, n8n) = app.business_with("luna", json!({ "plan": "demo" })).await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    let end = month_end(&user).await;
    for done in 1..=10 {
        trigger(&user).await.assert_status(200);
        assert_eq!(left(&user, "workflows").await, 10 - done);
    }
    assert_spent(&trigger(&user).await, end, app.clock.millis());
    let mcp = user.call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" })).await;
    assert!(mcp.tool_error().contains("demo"), "{}", mcp.text);
    assert_eq!(mcp.json["result"]["_meta"]["cl.smarterbot/error"]["code"], "quota_spent");
    assert!(mcp.json["result"]["_meta"]["cl.smarterbot/retryAfter"].as_u64().unwrap() >= 1);
    list(&user).await.assert_status(200);
    assert_eq!(n8n.runs(), 10);

    let token = user.token.clone();
    let folder = app.stop().await;
    let app = App::in_folder(folder, |_| {}, smartermcp::backends::catalogue()).await;
    let user = app.user_of(&token);
    assert_spent(&trigger(&user).await, end, app.clock.millis());
    assert_eq!(left(&user, "workflows").await, 0);

    // A larger plan, or the next month, opens again.
    let (url, n8n) = app.vendors.n8n("luna", "key-of-luna");
    app.connect_n8n(&tenant, &url, "key-of-luna").await;
    app.operator()
        .patch("/api/v1/tenants/luna", json!({ "plan": "starter" }))
        .await
        .assert_status(200);
    trigger(&user).await.assert_status(200);
    app.operator()
        .patch("/api/v1/tenants/luna", json!({ "plan": "demo" }))
        .await
        .assert_status(200);
    trigger(&user).await.assert_problem(429, "quota_spent");
    app.clock
        .advance(Duration::from_millis(u64::try_from(end - app.clock.millis()).unwrap()) + Duration::from_secs(1));
    trigger(&user).await.assert_status(200);
    assert_eq!(left(&user, "workflows").await, 9);
    assert_eq!(n8n.runs(), 2);
}

#[tokio::test]
async fn a_call_that_reached_no_backend_gives_its_unit_back() {
    let app = App::start().await;
    let (tenant, _, n8n) = app.business_with("luna", json!({ "plan": "demo" })).await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    for _ in 0..9 {
        trigger(&user).await.assert_status(200);
    }
    assert_eq!(left(&user, "workflows").await, 1);
    // The last unit, for a workflow that is not there, and again: each time it comes back.
    for _ in 0..3 {
        user.post("/api/v1/workflows/wf_nowhere/trigger", json!({}))
            .await
            .assert_problem(404, "not_found");
        assert_eq!(left(&user, "workflows").await, 1);
    }
    trigger(&user).await.assert_status(200);
    assert_eq!(left(&user, "workflows").await, 0);
    trigger(&user).await.assert_problem(429, "quota_spent");
    assert_eq!(n8n.runs(), 10);
}

#[tokio::test]
async fn a_replay_is_not_charged_to_the_plan() {
    let app = App::start().await;
    let (tenant, ..) = app.business_with("luna", json!({ "plan": "demo" })).await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    let keyed = user.with_key("once");
    for _ in 0..4 {
        trigger(&keyed).await.assert_status(200);
    }
    assert_eq!(left(&user, "workflows").await, 9);
}

#[tokio::test]
async fn the_last_unit_is_given_once_to_callers_at_the_same_time() {
    let app = App::start().await;
    app.sql("update plans set workflows = 3 where name = 'demo'").await;
    let (tenant, _, n8n) = app.business_with("luna", json!({ "plan": "demo" })).await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    let replies = join_all((0..12).map(|_| trigger(&user))).await;
    let passed = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!((passed, n8n.runs()), (3, 3));
    for refused in replies.iter().filter(|reply| reply.status != 200) {
        refused.assert_problem(429, "quota_spent");
    }
}

#[tokio::test]
async fn when_the_api_calls_are_spent_the_account_can_still_be_managed() {
    let app = App::start().await;
    app.sql("update plans set api_calls = 3 where name = 'demo'").await;
    let (tenant, user, _) = app.business_with("luna", json!({ "plan": "demo" })).await;
    let leaked = app.issue(&tenant, BUSINESS, json!({})).await;
    let admin = app.user(&tenant, &["admin:tenants"]).await;
    let end = month_end(&user).await;
    for _ in 0..3 {
        list(&user).await.assert_status(200);
    }
    assert_spent(&list(&user).await, end, app.clock.millis());
    user.call("workflows_list", json!({})).await.tool_error();
    // An invalid call says what is wrong with it first, and listing tools is no API call.
    user.get("/api/v1/workflows?moon=1").await.assert_status(422);
    assert!(user.tools().await.contains(&"workflows_list".to_owned()));
    admin.get("/auth/token").await.assert_status(200);
    admin
        .delete(&format!("/auth/token/{}", leaked["id"].as_str().unwrap()))
        .await
        .assert_status(204);
    assert_eq!(left(&admin, "api_calls").await, 0);
}

// What outlasts, and what is in flight.

#[tokio::test]
async fn a_change_of_the_tenant_fills_no_cell() {
    let app = App::start().await;
    let (tenant, ..) = app.business("luna").await;
    let admin = app.user(&tenant, &["admin:tenants"]).await;
    let user = app
        .user_with(
            &tenant,
            BUSINESS,
            json!({ "limits": { "general": { "per_minute": 1, "burst": 1 } } }),
        )
        .await;
    list(&user).await.assert_status(200);
    assert_limited(&list(&user).await, "general");
    admin
        .patch("/api/v1/tenants/luna", json!({ "name": "Luna SpA" }))
        .await
        .assert_status(200);
    assert_limited(&list(&user).await, "general");
}

/// A vendor that answers only when it is let, and how many lists it was asked for.
fn held_back(app: &App) -> (String, Arc<AtomicUsize>, tokio::sync::watch::Sender<bool>) {
    let (let_go, held) = tokio::sync::watch::channel(false);
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let router = axum::Router::new().fallback(move |request: axum::extract::Request| {
        if request.uri().path() == "/api/v1/workflows" {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let mut held = held.clone();
        async move {
            let _ = held.wait_for(|open| *open).await;
            axum::Json(json!({ "data": [], "nextCursor": null }))
        }
    });
    (app.vendors.play("held-back", router), asked, let_go)
}

#[tokio::test]
async fn twenty_calls_of_a_connection_are_in_flight_and_one_more_waits_a_second() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let (url, asked, let_go) = held_back(&app);
    app.connect_n8n(&tenant, &url, "k").await;
    let (_, other, _) = app.business("sol").await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    let_go.send(true).unwrap();
    list(&user).await.assert_status(200);
    let_go.send(false).unwrap();
    asked.store(0, Ordering::SeqCst);
    let held = join_all((0..20).map(|_| {
        let user = user.clone();
        tokio::spawn(async move { list(&user).await })
    }));
    for _ in 0..500 {
        if asked.load(Ordering::SeqCst) == 20 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 20, "each of the twenty has its place");

    let began = Instant::now();
    let refused = join_all((0..4).map(|_| list(&user))).await;
    let waited = began.elapsed();
    for reply in &refused {
        reply.assert_problem(503, "too_many_in_flight");
        assert_eq!(reply.header("retry-after"), "1");
    }
    assert!(
        waited >= Duration::from_millis(990) && waited < Duration::from_millis(2900),
        "{waited:?}"
    );
    list(&other).await.assert_status(200);

    // One more that waits gets the place that becomes free.
    let waiting = {
        let user = user.clone();
        tokio::spawn(async move { list(&user).await })
    };
    let_go.send(true).unwrap();
    for reply in held.await {
        reply.unwrap().assert_status(200);
    }
    waiting.await.unwrap().assert_status(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_find_a_connection_cold_share_its_places() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let (url, asked, let_go) = held_back(&app);
    app.connect_n8n(&tenant, &url, "k").await;
    let user = app.user_with(&tenant, BUSINESS, wide()).await;
    user.get("/api/v1/whoami").await.assert_status(200);
    let mut calls: futures::stream::FuturesUnordered<_> = (0..24)
        .map(|_| {
            let user = user.clone();
            tokio::spawn(async move { list(&user).await })
        })
        .collect();
    for _ in 0..4 {
        let first = tokio::time::timeout(Duration::from_secs(10), futures::StreamExt::next(&mut calls)).await;
        let reply = first.expect("four are refused while the others are held back").unwrap().unwrap();
        reply.assert_problem(503, "too_many_in_flight");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 20);
    let_go.send(true).unwrap();
    while let Some(reply) = futures::StreamExt::next(&mut calls).await {
        reply.unwrap().assert_status(200);
    }
}
