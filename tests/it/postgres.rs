//! A PostgreSQL of the test's own that is started again, or goes without a word.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::json;
use smartermcp::config::{Database, Secret};

use crate::{
    app::App,
    cli::Folder,
    daemons::{self, Postgres, until},
};

const LIST: &str = "/api/v1/workflows";
const TRIGGER: &str = "/api/v1/workflows/wf_backup_db/trigger";

async fn over(postgres: &Postgres) -> App {
    let url = Secret::new(postgres.database("gateway").await);
    App::with(|config| config.database = Database::Postgres { url, connections: 5 }).await
}

async fn database_is(app: &App, word: &str) {
    until("/health tells how the database does", Duration::from_secs(60))
        .holds(|| async { app.nobody().get("/health").await.json["database"] == word })
        .await;
}

#[tokio::test]
async fn after_a_restart_of_the_database_no_call_meets_a_dead_connection() {
    if !daemons::installed("initdb") {
        return;
    }
    let folder = Folder::new();
    let mut postgres = Postgres::start(&folder.0).await;
    let app = over(&postgres).await;
    let (_, user, n8n) = app.business("luna").await;
    // So that every connection of the pool has been in use.
    let write = |number: usize| {
        let user = user.with_key(&format!("key-{number}"));
        async move { user.post(TRIGGER, json!({})).await }
    };
    for reply in join_all((0..5).map(write)).await {
        reply.assert_status(200);
    }
    for round in 1..=2 {
        if round == 1 {
            postgres.stop().await;
        } else {
            postgres.kill().await;
        }
        database_is(&app, "disconnected").await;
        let refused = write(100).await;
        refused.assert_problem(503, "database_away");
        assert_eq!(refused.json["retryable"], true, "{}", refused.text);
        postgres.start_again().await;
        database_is(&app, "connected").await;
        app.clock.advance(Duration::from_mins(1));
        for reply in join_all((round * 10..round * 10 + 5).map(write)).await {
            reply.assert_status(200);
        }
        for reply in join_all((0..5).map(write)).await {
            reply.assert_status(200);
            assert_eq!(reply.header("idempotent-replayed"), "true");
        }
    }
    assert_eq!(n8n.runs(), 15);
}

#[tokio::test]
async fn a_database_that_goes_without_a_word_holds_no_call_for_ever() {
    if !daemons::installed("initdb") {
        return;
    }
    let folder = Folder::new();
    let postgres = Postgres::start(&folder.0).await;
    let app = over(&postgres).await;
    let (tenant, user, n8n) = app.business("luna").await;
    let stranger = app.user(&tenant, &["read:workflows"]).await;
    user.with_key("before").post(TRIGGER, json!({})).await.assert_status(200);
    user.get(LIST).await.assert_status(200);

    let paused = postgres.pause();
    // These have begun before anybody can know: a write, and a token that is in no memory.
    let began = Instant::now();
    let (write, read) = (user.with_key("cut"), stranger.clone());
    let held = tokio::spawn(async move { tokio::join!(write.post(TRIGGER, json!({})), read.get(LIST)) });
    database_is(&app, "disconnected").await;
    user.get(LIST).await.assert_status(200);
    let asked = Instant::now();
    let refused = user.with_key("while").post(TRIGGER, json!({})).await;
    refused.assert_problem(503, "database_away");
    assert!(asked.elapsed() < Duration::from_secs(1), "who comes later does not wait");
    let (write, read) = tokio::time::timeout(Duration::from_secs(60), held)
        .await
        .expect("no call is held for ever")
        .unwrap();
    println!("calls that had begun were refused after {:?}", began.elapsed());
    write.assert_problem(503, "database_away");
    read.assert_problem(503, "database_away");

    drop(paused);
    database_is(&app, "connected").await;
    for key in ["cut", "while"] {
        until("the key is free again", Duration::from_secs(60))
            .holds(|| async { user.with_key(key).post(TRIGGER, json!({})).await.status == 200 })
            .await;
    }
    stranger.get(LIST).await.assert_status(200);
    assert_eq!(n8n.runs(), 3);
}
