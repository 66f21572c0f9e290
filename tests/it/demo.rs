//! The README's first command: the demo prints lines, and each of them answers.

use std::{
    process::Stdio,
    time::{Duration, Instant},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

#[tokio::test]
async fn every_line_that_the_demo_prints_for_curl_answers_within_ten_seconds_of_its_start() {
    let started = Instant::now();
    let mut demo = Command::new(env!("CARGO_BIN_EXE_smartermcp"))
        .arg("demo")
        .env("SMARTERMCP_LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let last = line.starts_with("Stop with");
        printed.push(line);
        if last {
            break;
        }
    }
    let curls: Vec<_> = printed.iter().filter(|line| line.starts_with("  curl ")).collect();
    assert_eq!(curls.len(), 7, "{printed:#?}");
    for line in curls {
        let output = Command::new("bash")
            .args(["-c", &format!("{line} --silent --show-error --fail")])
            .output()
            .await
            .unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{line}\n{out}\n{err}");
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{line}\n{out}"));
        assert_ne!(answer["result"]["isError"], true, "{line}\n{out}");
        if line.contains("/analytics/kpis") {
            assert_eq!(answer["kpis"]["revenue_mtd"], 45_780, "{out}");
        }
    }
    assert!(started.elapsed() < Duration::from_secs(10));

    // What stands between the other lines is JSON that a host takes as it is.
    let text = printed.join("\n");
    for title in ["Claude Desktop: claude_desktop_config.json\n", "Cline: MCP settings\n"] {
        let (_, rest) = text.split_once(title).unwrap();
        let block: Value = serde_json::Deserializer::from_str(rest).into_iter().next().unwrap().unwrap();
        assert!(block["mcpServers"]["smartermcp"].is_object(), "{block}");
    }
    Command::new("kill")
        .args(["-TERM", &demo.id().unwrap().to_string()])
        .status()
        .await
        .unwrap();
    assert!(demo.wait().await.unwrap().success(), "the demo stops when it is asked to");
}
