//! Three gateways over one PostgreSQL and one Redis: what one of them knows that another needs, the other knows.
//!
//! Only where the run was given servers (`scripts/with-servers.sh`).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures::future::join_all;
use serde_json::{Value, json};
use smartermcp::{
    backends,
    clock::Clock,
    config::{Config, Database, MasterKeySource, Secret, decode_key},
    sandbox::n8n::Fault,
    serve::Server,
};
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::{
    app::{App, BUSINESS, Reply, Tenant, User},
    cli::Folder,
    daemons::until,
    servers,
};

/// The interface says a second; a machine that compiles beside gets another.
const SOON: Duration = Duration::from_secs(2);
/// Epoch milliseconds far ahead.
const LATER: i64 = 9_000_000_000_000;
const TRIGGER: &str = "/api/v1/workflows/wf_backup_db/trigger";

/// Three gateways over one database, of which the first may be stopped by its test.
async fn three() -> [App; 3] {
    let first = App::start().await;
    let (second, third) = tokio::join!(first.replica(), first.replica());
    [first, second, third]
}

/// The same user at each replica.
fn everywhere(apps: &[App], user: &User) -> Vec<User> {
    apps.iter().map(|app| app.user_of(&user.token)).collect()
}

/// Waits until every one of these users is answered so, and prints how long the slowest took.
async fn all_are_answered(what: &str, users: &[User], path: &str, so: impl Fn(&Reply) -> bool + Copy) {
    let began = Instant::now();
    for user in users {
        until(what, SOON).holds(|| async { so(&user.get(path).await) }).await;
    }
    println!("{what}: {} ms", began.elapsed().as_millis());
}

fn ok(reply: &Reply) -> bool {
    reply.status == 200
}

// Changes.

#[tokio::test]
async fn a_token_revoked_at_one_replica_is_refused_by_the_others_within_a_second() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (luna, _, _) = apps[0].business("luna").await;
    let issued = apps[0].issue(&luna, BUSINESS, json!({})).await;
    let users = everywhere(&apps, &apps[0].user_of(issued["api_token"].as_str().unwrap()));
    all_are_answered("a new token is taken", &users, "/api/v1/workflows", ok).await;
    let id = issued["id"].as_str().unwrap();
    apps[0].operator().delete(&format!("/auth/token/{id}")).await.assert_status(204);
    users[0].get("/api/v1/workflows").await.assert_status(401);
    all_are_answered("a revoked token is refused", &users[1..], "/api/v1/workflows", |reply| {
        reply.status == 401
    })
    .await;
}

#[tokio::test]
async fn a_tenant_suspended_at_one_replica_is_refused_by_the_others_and_let_in_again() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (luna, user, _) = apps[0].business("luna").await;
    let users = everywhere(&apps, &user);
    all_are_answered("its token is taken", &users, "/api/v1/workflows", ok).await;
    let path = format!("/api/v1/tenants/{}", luna.id);
    let suspended = apps[1].operator().patch(&path, json!({ "status": "suspended" })).await;
    suspended.assert_status(200);
    users[1].get("/api/v1/workflows").await.assert_status(404);
    all_are_answered("a suspended tenant is refused", &users, "/api/v1/workflows", |reply| {
        reply.status == 404
    })
    .await;
    apps[2]
        .operator()
        .patch(&path, json!({ "status": "active" }))
        .await
        .assert_status(200);
    all_are_answered("an active one is let in", &users, "/api/v1/workflows", ok).await;
}

#[tokio::test]
async fn what_is_switched_off_at_one_replica_is_off_at_the_others() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (_, user, _) = apps[0].business("luna").await;
    let users = everywhere(&apps, &user);
    all_are_answered("it is on", &users, "/api/v1/workflows", ok).await;
    let switch = json!({ "tool": "workflows_list", "reason": "the replicas are being tried" });
    let made = apps[0].operator().post("/api/v1/switches", switch).await;
    let id = made.assert_status(201).json["id"].as_str().unwrap();
    users[0].get("/api/v1/workflows").await.assert_problem(503, "switched_off");
    all_are_answered("it is off", &users, "/api/v1/workflows", |reply| {
        reply.json["code"] == "switched_off"
    })
    .await;
    let gone = apps[1].operator().delete(&format!("/api/v1/switches/{id}")).await;
    assert!(gone.status.is_success(), "{}", gone.text);
    all_are_answered("it is on again", &users, "/api/v1/workflows", ok).await;
}

#[tokio::test]
async fn a_connection_changed_at_one_replica_is_changed_at_the_others() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (luna, user, _) = apps[0].business("luna").await;
    let users = everywhere(&apps, &user);
    all_are_answered("the first n8n answers", &users, "/api/v1/workflows", ok).await;
    let (url, second) = apps[0].vendors.n8n("second", "key-of-the-second");
    second.add_workflow(json!({ "id": "wf_moved", "name": "Moved", "active": true, "nodes": [] }));
    apps[0].connect_n8n(&luna, &url, "key-of-the-second").await;
    all_are_answered("the second n8n answers", &users, "/api/v1/workflows", |reply| {
        ok(reply) && reply.text.contains("wf_moved")
    })
    .await;
    apps[2].operator().for_tenant(&luna.id).delete("/api/v1/connections/n8n").await;
    all_are_answered("no n8n is connected", &users, "/api/v1/workflows", |reply| {
        reply.json["code"] == "not_connected"
    })
    .await;
}

// Idempotency.

fn is_replay(reply: &Reply) -> bool {
    reply.header("idempotent-replayed") == "true"
}

#[tokio::test]
async fn the_same_key_at_every_replica_at_once_runs_once() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (_, user, n8n) = apps[0].business("luna").await;
    n8n.set_fault(Fault::SlowAfterRun(Duration::from_millis(300)));
    let users = everywhere(&apps, &user);
    let calls = (0..9).map(|index| {
        let user = users[index % 3].with_key("at-once");
        async move { user.post(TRIGGER, json!({ "input_data": { "n": 1 } })).await }
    });
    let replies = join_all(calls).await;
    for reply in &replies {
        assert_eq!(reply.assert_status(200).text, replies[0].text, "byte for byte");
    }
    assert_eq!(replies.iter().filter(|reply| is_replay(reply)).count(), 8);
    assert_eq!(n8n.runs(), 1);
}

#[tokio::test]
async fn a_key_is_replayed_and_its_conflicts_told_by_replicas_that_did_not_run_it() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (_, user, n8n) = apps[0].business("luna").await;
    let users = everywhere(&apps, &user);
    let first = users[0].with_key("key").post(TRIGGER, json!({})).await;
    first.assert_status(200);
    for user in &users[1..] {
        let again = user.with_key("key").post(TRIGGER, json!({})).await;
        assert_eq!(again.assert_status(200).text, first.text);
        assert!(is_replay(&again));
        let other = user.with_key("key").post(TRIGGER, json!({ "input_data": { "n": 1 } })).await;
        other.assert_problem(409, "idempotency_key_reused");
    }
    assert_eq!(n8n.runs(), 1);
}

#[tokio::test]
async fn a_key_outlives_the_replica_that_ran_it() {
    if !servers::needed() {
        return;
    }
    let [first, second, _third] = three().await;
    let (_, user, n8n) = first.business("luna").await;
    let ran = user.with_key("key").post(TRIGGER, json!({})).await;
    ran.assert_status(200);
    let folder = first.stop().await;
    let again = second.user_of(&user.token).with_key("key").post(TRIGGER, json!({})).await;
    // The played vendors went with the first: an answer can only be the one that was kept.
    assert_eq!(again.assert_status(200).text, ran.text);
    assert!(is_replay(&again));
    assert_eq!(n8n.runs(), 1);
    std::fs::remove_dir_all(folder).unwrap();
}

// Quotas.

/// Calls at all replicas in turn, together; answers how many passed. The others must be refused for this reason.
async fn passed(users: &[User], calls: usize, code: &str, call: impl AsyncFn(&User) -> Reply) -> usize {
    let replies = join_all((0..calls).map(|index| call(&users[index % users.len()]))).await;
    let refused = replies.iter().filter(|reply| reply.status != 200);
    refused.for_each(|reply| {
        reply.assert_problem(429, code);
    });
    replies.iter().filter(|reply| reply.status == 200).count()
}

/// The tenant's month, as usage is stored under it.
fn month(app: &App) -> String {
    let now = jiff::Timestamp::from_millisecond(app.clock.millis()).unwrap();
    now.in_tz("America/Santiago").unwrap().strftime("%Y-%m").to_string()
}

/// What others would have used, stored as they would store it.
async fn spend(app: &App, tenant: &Tenant, meter: &str, count: i64) {
    let mut connection = servers::past_the_gateway(app.folder()).await;
    let statement = format!(
        "insert into usage (tenant_id, month, meter, count) values ('{}', '{}', '{meter}', {count}) \
         on conflict (tenant_id, month, meter) do update set count = excluded.count",
        tenant.id,
        month(app)
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement))
        .execute(&mut connection)
        .await
        .unwrap();
}

#[tokio::test]
async fn the_last_execution_of_a_plan_is_given_once_whichever_replica_is_asked() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (tenant, _, n8n) = apps[0].business_with("luna", json!({ "plan": "demo" })).await;
    let users = everywhere(&apps, &apps[0].tireless(&tenant, BUSINESS).await);
    let passed = passed(&users, 18, "quota_spent", async |user| user.post(TRIGGER, json!({})).await).await;
    assert_eq!((passed, n8n.runs()), (10, 10), "the plan 'demo' holds ten");
}

#[tokio::test]
async fn the_last_api_call_of_a_plan_is_given_once_whichever_replica_is_asked() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let tenant = apps[0].tenant_with("luna", json!({ "plan": "starter" })).await;
    spend(&apps[0], &tenant, "api_calls", 9_990).await;
    let (url, _) = apps[0].vendors.n8n("luna", "k");
    apps[0].connect_n8n(&tenant, &url, "k").await;
    let users = everywhere(&apps, &apps[0].tireless(&tenant, BUSINESS).await);
    let passed = passed(&users, 30, "quota_spent", async |user| user.get("/api/v1/workflows").await).await;
    assert_eq!(passed, 10);
}

#[tokio::test]
async fn a_replica_that_was_idle_gives_no_call_that_another_has_given() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (tenant, _, _) = apps[0].business_with("luna", json!({ "plan": "starter" })).await;
    let users = everywhere(&apps, &apps[0].tireless(&tenant, BUSINESS).await);
    // Each has the counter in memory, at next to nothing.
    for user in &users {
        user.get("/api/v1/workflows").await.assert_status(200);
    }
    for app in &apps {
        app.state.limits.usage.flush(&app.state.store, app.clock.millis()).await.unwrap();
    }
    // Ten minutes go by in which others spend nearly all.
    spend(&apps[0], &tenant, "api_calls", 9_995).await;
    apps[0].clock.advance(Duration::from_mins(10));
    all_beat_twice(&apps[0]).await;
    let passed = passed(&users, 30, "quota_spent", async |user| user.get("/api/v1/workflows").await).await;
    assert_eq!(passed, 5);
}

/// Waits until each replica has seen the beats of the others by the clock as it stands.
async fn all_beat_twice(app: &App) {
    for _ in 0..2 {
        let since = app.clock.millis();
        until("three replicas are seen", Duration::from_secs(30))
            .holds(|| async {
                let mut connection = servers::past_the_gateway(app.folder()).await;
                let statement = "select count(*) from instances where seen_at > $1";
                let seen: i64 = sqlx::query_scalar(statement).bind(since).fetch_one(&mut connection).await.unwrap();
                seen == 3
            })
            .await;
    }
}

// Limits.

#[tokio::test]
async fn a_tokens_limit_is_one_for_all_replicas() {
    if !servers::needed() {
        return;
    }
    let apps = three().await;
    let (_, user, _) = apps[0].business("luna").await;
    let users = everywhere(&apps, &user);
    for app in &apps {
        assert!(!app.state.limits.redis_is_away());
    }
    let began = Instant::now();
    let list = async |user: &User| user.get("/api/v1/workflows").await;
    // 100 a minute, 20 at once: what the time that the calls took has earned comes on top.
    let earned = |began: Instant| usize::try_from(began.elapsed().as_millis() / 600).unwrap();
    let mut all = passed(&users, 40, "rate_limited", list).await;
    let most = 20 + earned(began);
    assert!((20..=most).contains(&all), "{all} passed, at most {most}");
    for _ in 0..3 {
        // One interval later, one more, wherever.
        apps[0].clock.advance(Duration::from_millis(600));
        all += passed(&users, 9, "rate_limited", list).await;
    }
    let most = 23 + earned(began);
    assert!((23..=most).contains(&all), "{all} passed, at most {most}");
}

// Starting.

/// Settings of a gateway with a folder of its own over the database of another folder.
async fn settings(own: &Folder, database: &Folder) -> Config {
    let mut config = Config::embedded(&own.0);
    config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    config.shutdown = Duration::from_secs(5);
    servers::put_on(&mut config, &database.0).await;
    config
}

async fn start(config: Config) -> Result<Server, String> {
    let started = Server::start(config, backends::catalogue(), Clock::default()).await;
    started.map_err(|error| error.message().to_owned())
}

#[tokio::test]
async fn replicas_that_start_at_the_same_instant_on_an_empty_database_make_one_installation() {
    if !servers::needed() {
        return;
    }
    let folders = [Folder::new(), Folder::new(), Folder::new()];
    let mut configs = Vec::new();
    for folder in &folders {
        let mut config = settings(folder, &folders[0]).await;
        config.master_key = MasterKeySource::Given(decode_key(&"5a".repeat(32)).unwrap());
        configs.push(config);
    }
    let started = join_all(configs.into_iter().map(|config| tokio::spawn(start(config)))).await;
    let servers: Vec<_> = started.into_iter().map(|server| server.unwrap().unwrap()).collect();
    let tokens: Vec<_> = servers.iter().filter_map(|server| server.new_operator_token.as_ref()).collect();
    assert_eq!(tokens.len(), 1, "one of them tells the operator's token");
    for server in &servers {
        let operator = User::at(&format!("http://{}", server.address), tokens[0]);
        let tenants = operator.get("/api/v1/tenants").await;
        assert_eq!(
            tenants.assert_status(200).json["tenants"].as_array().unwrap().len(),
            1,
            "{}",
            tenants.text
        );
    }
    let mut connection = servers::past_the_gateway(&folders[0].0).await;
    for (table, rows) in [("tenants", 1), ("tokens", 1), ("instances", 3), ("meta where name = 'hash_key'", 1)] {
        let count = format!("select count(*) from {table}");
        let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(count))
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, rows, "{table}");
    }
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_replica_with_another_key_refuses_to_start() {
    if !servers::needed() {
        return;
    }
    let (one, two) = (Folder::new(), Folder::new());
    let first = start(settings(&one, &one).await).await.unwrap();
    let refused = start(settings(&two, &one).await).await.err().unwrap();
    assert!(refused.contains("Put that key back"), "{refused}");
    let mut config = settings(&two, &one).await;
    config.master_key = MasterKeySource::Given(decode_key(&"5a".repeat(32)).unwrap());
    let refused = start(config).await.err().unwrap();
    assert!(refused.contains("Start with that key"), "{refused}");
    first.stop().await;
}

#[tokio::test]
async fn a_schema_that_is_newer_than_the_binary_refuses_the_start_with_a_sentence() {
    if !servers::needed() {
        return;
    }
    let folder = Folder::new();
    start(settings(&folder, &folder).await).await.unwrap().stop().await;
    let mut connection = servers::past_the_gateway(&folder.0).await;
    let newer =
        "insert into _sqlx_migrations (version, description, success, checksum, execution_time) values (9001, 'later', true, '\\x00', 1)";
    sqlx::query(newer).execute(&mut connection).await.unwrap();
    let refused = start(settings(&folder, &folder).await).await.err().unwrap();
    assert!(
        refused.contains("schema 9001, which is newer than this binary: start the newer version"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_role_whom_row_level_security_does_not_bind_is_refused() {
    if !servers::needed() {
        return;
    }
    let folder = Folder::new();
    let mut config = settings(&folder, &folder).await;
    let Database::Postgres { url, .. } = &mut config.database else {
        unreachable!()
    };
    let name = url.expose().rsplit_once('/').unwrap().1.to_owned();
    *url = Secret::new(format!("{}/{name}", servers::admin_url().unwrap()));
    let refused = start(config).await.err().unwrap();
    assert!(
        refused.contains("'postgres', a superuser") && refused.contains("create role smartermcp"),
        "{refused}"
    );
}

// Row-level security, past the code.

/// Tables whose rows are a tenant's, with the column that says whose.
async fn tables_of_tenants(connection: &mut PgConnection) -> Vec<(String, String)> {
    let rows = sqlx::query(
        "select table_name::text as name, column_name::text as whose from information_schema.columns \
         where table_schema = 'public' and (column_name = 'tenant_id' or (table_name = 'tenants' and column_name = 'id')) order by 1",
    )
    .fetch_all(connection)
    .await
    .unwrap();
    rows.iter().map(|row| (row.get("name"), row.get("whose"))).collect()
}

async fn count(connection: &mut PgConnection, of: &str) -> i64 {
    let statement = format!("select count(*) from {of}");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
        .fetch_one(connection)
        .await
        .unwrap()
}

/// Runs a statement and undoes it: how many rows it touched, or PostgreSQL's code.
async fn tried(connection: &mut PgConnection, statement: String) -> Result<u64, String> {
    let mut tx = connection.begin().await.unwrap();
    let done = sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut *tx).await;
    tx.rollback().await.unwrap();
    done.map(|done| done.rows_affected())
        .map_err(|error| error.as_database_error().unwrap().code().unwrap().into_owned())
}

#[tokio::test]
async fn the_database_itself_keeps_tenants_apart_also_from_the_owner_of_the_tables() {
    if !servers::needed() {
        return;
    }
    let app = App::start().await;
    let mut ids = Vec::new();
    for name in ["luna", "sol"] {
        let (tenant, user, _) = app.business(name).await;
        user.with_key("key").post(TRIGGER, json!({})).await.assert_status(200);
        let switch = json!({ "tenant_id": tenant.id, "tool": "workflows_create", "reason": "to have a row" });
        app.operator().post("/api/v1/switches", switch).await.assert_status(201);
        let mut connection = servers::past_the_gateway(app.folder()).await;
        // What only a backend or a browser would bring, past the gateway.
        let id = &tenant.id;
        let rows = format!(
            "insert into services (tenant_id, id, name, kind, settings, created_at, updated_at) values ('{id}', 'svc', 'S', 'n8n', '{{}}', 1, 1); \
             insert into members (tenant_id, id, email, scopes, created_at, created_by) values ('{id}', 'm', 'ana@luna.cl', 'read:crm', 1, 'x'); \
             insert into grants (tenant_id, id, client_id, client_name, resource, scopes, granted_by, created_at, expires_at) \
             values ('{id}', 'g', 'c', 'C', 'r', 'read:crm', 'member/m', 1, {LATER}); \
             insert into authorization_codes (hash, tenant_id, request, expires_at) values ('code of {id}', '{id}', '{{}}', {LATER}); \
             insert into refresh_tokens (hash, tenant_id, grant_id, created_at, expires_at) values ('token of {id}', '{id}', 'g', 1, {LATER})"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut connection).await.unwrap();
        app.operator()
            .for_tenant(&tenant.id)
            .put("/api/v1/analytics/kpis/revenue_mtd", json!({ "card_id": 1 }))
            .await
            .assert_status(200);
        ids.push(tenant.id);
    }
    app.state.audit.flush().await;
    app.state.limits.usage.flush(&app.state.store, app.clock.millis()).await.unwrap();

    let url = servers::database_of(app.folder()).await.unwrap();
    let mut role = PgConnection::connect(&url).await.unwrap();
    let owned = "pg_tables where schemaname = 'public' and tableowner <> current_user";
    assert_eq!(count(&mut role, owned).await, 0, "the gateway's role owns every table");
    let tables = tables_of_tenants(&mut role).await;
    assert!(tables.len() >= 8, "{tables:?}");
    for (table, _) in &tables {
        let forced = format!("pg_class where oid = '{table}'::regclass and relrowsecurity and relforcerowsecurity");
        assert_eq!(count(&mut role, &forced).await, 1, "{table}");
        assert_eq!(count(&mut role, table).await, 0, "{table}: who says nothing sees nothing");
    }
    let (luna, sol) = (&ids[0], &ids[1]);
    sqlx::raw_sql("set app.operator = 'on'").execute(&mut role).await.unwrap();
    for (table, whose) in &tables {
        for id in &ids {
            assert!(
                count(&mut role, &format!("{table} where {whose} = '{id}'")).await > 0,
                "{table} holds rows of both"
            );
        }
    }
    sqlx::raw_sql("set app.operator = ''").execute(&mut role).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!("set app.tenant = '{luna}'")))
        .execute(&mut role)
        .await
        .unwrap();
    for (table, whose) in &tables {
        let all = count(&mut role, table).await;
        let own = count(&mut role, &format!("{table} where {whose} = '{luna}'")).await;
        assert_eq!(all, own, "{table}");
        // What the operator has switched off is for him alone to see.
        assert_eq!(own > 0, table != "switches", "{table}");
        for statement in [
            format!("update {table} set {whose} = {whose} where {whose} = '{sol}'"),
            format!("delete from {table} where {whose} = '{sol}'"),
        ] {
            assert_eq!(tried(&mut role, statement.clone()).await, Ok(0), "{statement}");
        }
        if own > 0 {
            // A row of his own cannot be made another's.
            let given = format!("update {table} set {whose} = '{sol}' where {whose} = '{luna}'");
            assert_eq!(tried(&mut role, given).await, Err("42501".to_owned()), "{table}");
        }
        let row: Value = json!({ (whose.as_str()): sol });
        let inserted = format!("insert into {table} select * from json_populate_record(null::{table}, '{row}')");
        assert_eq!(tried(&mut role, inserted).await, Err("42501".to_owned()), "{table}");
    }
}
