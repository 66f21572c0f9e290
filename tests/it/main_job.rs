//! The main job: an agent's `tools/call` and a REST request trigger a workflow, for one tenant and not for another.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn a_workflow_is_triggered_through_both_doors_and_both_eras() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;

    let rest = user
        .post("/api/v1/workflows/wf_backup_db/trigger", json!({ "input_data": { "n": 1 } }))
        .await;
    rest.assert_status(200);
    let legacy = user
        .call(
            "workflows_trigger",
            json!({ "workflow_id": "Backup database", "input_data": { "n": 2 } }),
        )
        .await;
    let modern = user
        .call_modern("workflows_trigger", json!({ "workflow_id": "wf_backup_db" }))
        .await;
    assert_eq!(n8n.executions_of("wf_backup_db"), 3);

    let ids = [&rest.json, legacy.content(), modern.content()].map(|result| result["execution_id"].as_str().unwrap().to_owned());
    for (index, id) in ids.iter().enumerate() {
        let status = user.get(&format!("/api/v1/workflows/executions/{id}")).await;
        status.assert_status(200);
        assert_eq!(status.json["status"], "completed");
        if index < 2 {
            assert_eq!(
                status.json["output"]["input"]["n"],
                index + 1,
                "each trigger found its own execution"
            );
        }
    }
}

#[tokio::test]
async fn another_tenant_reaches_neither_the_workflow_nor_the_execution() {
    let app = App::start().await;
    let (luna, user, n8n) = app.business("luna").await;
    let (_, other, others_n8n) = app.business("sol").await;
    let started = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
    let id = started.json["execution_id"].as_str().unwrap().to_owned();

    other
        .get(&format!("/api/v1/workflows/executions/{id}"))
        .await
        .assert_problem(404, "not_found");
    other
        .for_tenant(&luna.id)
        .get("/api/v1/workflows")
        .await
        .assert_problem(404, "tenant_not_found");
    assert_eq!((n8n.runs(), others_n8n.runs()), (1, 0));
}

#[tokio::test]
async fn a_warm_read_needs_no_database_and_a_write_without_one_is_refused() {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);

    app.state.store.close().await;
    user.get("/api/v1/workflows").await.assert_status(200);
    user.call("workflows_list", json!({})).await.content();
    let write = user.post("/api/v1/workflows/wf_backup_db/trigger", json!({})).await;
    write.assert_problem(503, "database_away");
    assert_eq!(n8n.runs(), 0, "a write without its audit entry does not happen");
}
