//! The alert rules and the dashboard that come with the gateway: they speak of metrics that exist, and the operator's page speaks of
//! all of them.

use std::{collections::BTreeSet, path::Path};

use serde_json::Value;

use crate::app::App;

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The metrics of ours that a text names.
fn metrics(text: &str) -> BTreeSet<String> {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .filter(|word| word.starts_with("mcp_") || word.starts_with("smartermcp_"))
        .map(|word| word.trim_end_matches("_bucket").to_owned())
        .collect()
}

/// What a running gateway tells at `/metrics`.
async fn exported() -> BTreeSet<String> {
    let app = App::start().await;
    let told = app.nobody().get("/metrics").await.text;
    told.lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect()
}

/// Every text under one of these names, however deep.
fn texts<'a>(value: &'a Value, names: &[&str], found: &mut Vec<&'a str>) {
    match value {
        Value::Object(object) => {
            for (name, inside) in object {
                match inside {
                    Value::String(text) if names.contains(&name.as_str()) => found.push(text),
                    _ => texts(inside, names, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, names, found)),
        _ => {}
    }
}

#[tokio::test]
async fn the_dashboard_asks_for_each_exported_metric_and_no_other() {
    let dashboard: Value = serde_json::from_str(&file("deploy/grafana/dashboards/smartermcp.json")).unwrap();
    let mut queries = Vec::new();
    texts(&dashboard, &["expr", "query", "definition"], &mut queries);
    assert!(queries.len() > 20, "{queries:?}");
    assert_eq!(metrics(&queries.join("\n")), exported().await);
    // Where provisioning has it.
    let source = file("deploy/grafana/provisioning/datasources/prometheus.yml");
    let mut sources = Vec::new();
    texts(&dashboard, &["uid"], &mut sources);
    let known = |uid: &&str| *uid == "smartermcp-gateway" || source.contains(&format!("uid: {uid}"));
    assert!(sources.iter().all(known), "{sources:?}");
}

#[tokio::test]
async fn every_metric_of_the_alerts_is_exported_and_explained() {
    let exported = exported().await;
    let used = metrics(&file("deploy/prometheus/alerts.yml"));
    assert!(used.len() > 6, "{used:?}");
    let unknown: Vec<_> = used.difference(&exported).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not in {exported:?}");
    let page = file("docs/operating.md");
    for name in &exported {
        assert!(page.contains(&format!("`{name}")), "docs/operating.md does not explain {name}");
    }
}

#[test]
fn every_alert_is_explained_on_the_operators_page() {
    let rules = file("deploy/prometheus/alerts.yml");
    let page = file("docs/operating.md");
    let alerts: Vec<_> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 6);
    for alert in &alerts {
        assert!(
            page.contains(&format!("| `{alert}` |")),
            "docs/operating.md does not explain {alert}"
        );
    }
    assert_eq!(page.matches("| `SmarterMCP").count(), alerts.len(), "and of no other");
}
