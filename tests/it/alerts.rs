//! The alert rules that come with the gateway: they speak of metrics that exist, and the operator's page speaks of all of them.

use std::{collections::BTreeSet, path::Path};

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

#[tokio::test]
async fn every_metric_of_the_alerts_is_exported_and_explained() {
    let app = App::start().await;
    let exported: BTreeSet<_> = app
        .nobody()
        .get("/metrics")
        .await
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next().map(str::to_owned))
        .collect();
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
