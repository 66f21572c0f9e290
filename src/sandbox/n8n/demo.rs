//! The workflows of `smartermcp demo`: one that works, one by the clock, one that is off, one that waits for a person.

use serde_json::{Value, json};

pub(super) fn workflows() -> [Value; 4] {
    [
        json!({
            "id": "wf_backup_db", "name": "Backup database", "active": true, "tags": ["backup", "automation"],
            "settings": {"executionOrder": "v1", "timezone": "America/Santiago"},
            "nodes": [
                webhook(&json!({"path": "backup", "httpMethod": "POST", "responseMode": "lastNode"})),
                node("Dump database", "n8n-nodes-base.executeCommand", &json!({"command": "pg_dump smarteros"})),
                node("Report", "n8n-nodes-base.set", &json!({})),
            ],
            "connections": chain(&["Webhook", "Dump database", "Report"]),
        }),
        json!({
            "id": "wf_daily_sales", "name": "Daily sales report", "active": true, "tags": ["reports"],
            "settings": {"executionOrder": "v1", "timezone": "America/Santiago", "availableInMCP": true},
            "nodes": [
                node("Schedule", "n8n-nodes-base.scheduleTrigger", &json!({"rule": {"interval": [{"triggerAtHour": 8}]}})),
                webhook(&json!({"path": "daily-sales", "httpMethod": "POST"})),
                node("Sum up", "n8n-nodes-base.set", &json!({})),
            ],
            "connections": {"Schedule": leads_to("Sum up"), "Webhook": leads_to("Sum up")},
        }),
        json!({
            "id": "wf_sync_orders", "name": "Sync orders", "active": false, "tags": ["automation", "orders"],
            "nodes": [
                webhook(&json!({"path": "sync-orders", "httpMethod": "POST"})),
                node("Send to Odoo", "n8n-nodes-base.set", &json!({})),
            ],
            "connections": chain(&["Webhook", "Send to Odoo"]),
        }),
        json!({
            "id": "wf_ask_approval", "name": "Ask for approval", "active": true, "tags": ["approval"],
            "nodes": [
                webhook(&json!({"path": "ask-approval", "httpMethod": "POST", "responseMode": "onReceived"})),
                node("Wait", "n8n-nodes-base.wait", &json!({"resume": "webhook"})),
                node("Pay", "n8n-nodes-base.set", &json!({})),
            ],
            "connections": chain(&["Webhook", "Wait", "Pay"]),
        }),
    ]
}

fn webhook(parameters: &Value) -> Value {
    node("Webhook", "n8n-nodes-base.webhook", parameters)
}

fn node(name: &str, kind: &str, parameters: &Value) -> Value {
    json!({"name": name, "type": kind, "parameters": parameters})
}

fn chain(names: &[&str]) -> Value {
    names
        .windows(2)
        .map(|pair| (pair[0].to_owned(), leads_to(pair[1])))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn leads_to(name: &str) -> Value {
    json!({"main": [[{"node": name, "type": "main", "index": 0}]]})
}
