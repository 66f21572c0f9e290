//! The official conformance suite and the real clients against a gateway whose catalogue has the suite's fixture tools beside
//! its own: they run through the same dispatch. Needs the npm and PyPI packages that `make test` installs.

use std::{path::Path, process::Stdio, time::Duration};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use smartermcp::{
    auth::Scope,
    backends::{self, Backend, Session},
    error::Result,
    tool::{Catalogue, Category, Content, Definition, Route, Tool, tool},
};

use crate::app::App;

/// A fixture talks to nobody; it only needs to say how far it is.
struct Fixture(Session);

impl Backend for Fixture {
    const KIND: Option<&'static str> = None;

    async fn open(session: Session) -> Result<Self> {
        Ok(Self(session))
    }
}

/// The smallest PNG, and a WAV of no samples.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
const WAV: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

macro_rules! fixture {
    ($(#[$doc:meta])* $name:ident, $tool:literal, logs: $logs:literal, |$session:ident| $answer:expr) => {
        $(#[$doc])*
        #[derive(Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        struct $name {}

        impl Tool for $name {
            const NAME: &'static str = $tool;
            const TITLE: &'static str = $tool;
            const ROUTE: Route = Route::post(concat!("/fixtures/", $tool)).reads();
            const SCOPE: Scope = Scope::ReadServices;
            const CATEGORY: Category = Category::Services;
            const LOGS: bool = $logs;
            type Backend = Fixture;
            type Output = Content;

            async fn call(self, fixture: &Fixture) -> Result<Content> {
                let $session = &fixture.0;
                let _ = $session;
                Ok(Content { blocks: $answer, is_error: $tool == "test_error_handling" })
            }
        }
    };
}

fn text(text: &str) -> Value {
    json!({ "type": "text", "text": text })
}

fixture!(
    /// Answers a text.
    SimpleText, "test_simple_text", logs: false, |session| vec![text("This is a simple text response for testing.")]
);
fixture!(
    /// Answers an image.
    Image, "test_image_content", logs: false, |session| vec![json!({ "type": "image", "data": PNG, "mimeType": "image/png" })]
);
fixture!(
    /// Answers a sound.
    Audio, "test_audio_content", logs: false, |session| vec![json!({ "type": "audio", "data": WAV, "mimeType": "audio/wav" })]
);
fixture!(
    /// Answers an embedded resource.
    EmbeddedResource, "test_embedded_resource", logs: false, |session| vec![json!({
        "type": "resource",
        "resource": { "uri": "test://embedded-resource", "mimeType": "text/plain", "text": "This is an embedded resource content." },
    })]
);
fixture!(
    /// Answers content of several kinds.
    MixedContent, "test_multiple_content_types", logs: false, |session| vec![
        text("Multiple content types test:"),
        json!({ "type": "image", "data": PNG, "mimeType": "image/png" }),
        json!({
            "type": "resource",
            "resource": { "uri": "test://mixed-content-resource", "mimeType": "application/json", "text": "{\"test\":\"data\"}" },
        }),
    ]
);
fixture!(
    /// Fails, as a result that is an error.
    Failing, "test_error_handling", logs: false, |session| vec![text("This tool intentionally returns an error for testing")]
);
fixture!(
    /// Says how far it is.
    WithProgress, "test_tool_with_progress", logs: false, |session| {
        for progress in [0.0, 50.0, 100.0] {
            session.notifier.progress(progress, Some(100.0), format!("{progress} of 100"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        vec![text("done")]
    }
);
fixture!(
    /// Sends log messages.
    WithLogging, "test_tool_with_logging", logs: true, |session| {
        for message in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            session.notifier.log("info", json!(message));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        vec![text("done")]
    }
);
fixture!(
    /// Answers at once, without asking the client for anything.
    Streaming, "test_streaming_elicitation", logs: false, |session| vec![text("nothing was asked")]
);
fixture!(
    /// Sends a log message to those who asked for some.
    Logging, "test_logging_tool", logs: true, |session| {
        session.notifier.log("info", json!("called"));
        vec![text("done")]
    }
);

fn fixtures() -> Vec<Definition> {
    vec![
        tool::<SimpleText>(),
        tool::<Image>(),
        tool::<Audio>(),
        tool::<EmbeddedResource>(),
        tool::<MixedContent>(),
        tool::<Failing>(),
        tool::<WithProgress>(),
        tool::<WithLogging>(),
        tool::<Streaming>(),
        tool::<Logging>(),
    ]
}

/// Runs a script of `tests/clients` with these settings, and answers the last line that it printed.
pub async fn script(program: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Value {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients");
    assert!(
        folder.join("node_modules").is_dir() && folder.join(".venv").is_dir(),
        "the packages of tests/clients are not installed; `make test` installs them, and so does `make clients`"
    );
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .current_dir(&folder)
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the script starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?} failed\n{out}\n{err}");
    println!("{program} {arguments:?}: {}", out.lines().last().unwrap_or_default());
    serde_json::from_str(out.lines().last().unwrap_or_default()).expect("the last line is JSON")
}

/// The suite sends fifty calls in two seconds: wider limits than a person's.
fn wide() -> Value {
    json!({ "limits": {
        "general": { "per_minute": 100_000, "per_hour": 100_000, "burst": 1000 },
        "categories": { "services": { "per_minute": 100_000 } },
    } })
}

async fn conforms(revision: &str) {
    let catalogue = Catalogue::new(backends::tools().into_iter().chain(fixtures()).collect());
    let app = App::with_catalogue(|_| {}, catalogue).await;
    let tenant = app.tenant("suite").await;
    let user = app.user_with(&tenant, &["read:services"], wide()).await;
    let url = format!("{}/mcp", app.base());
    let outcome = script(
        "node",
        &["conformance.mjs", revision],
        &[("MCP_URL", &url), ("MCP_TOKEN", &user.token)],
    )
    .await;
    assert_eq!(outcome["exit"], 0, "{outcome}");
}

#[tokio::test]
async fn suite_of_2025_11_25_passes_but_for_what_is_not_offered() {
    conforms("2025-11-25").await;
}

#[tokio::test]
async fn suite_of_2026_07_28_passes_but_for_what_is_not_offered() {
    conforms("2026-07-28").await;
}

/// Lists and calls with a real client.
async fn client(program: &str, arguments: &[&str]) {
    let app = App::start().await;
    let (_, user, n8n) = app.business("luna").await;
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/.venv/bin/python");
    let program = if program == "python" { python.to_str().unwrap() } else { program };
    let said = script(
        program,
        arguments,
        &[
            ("MCP_URL", &format!("{}/mcp", app.base())),
            ("MCP_TOKEN", &user.token),
            ("MCP_TOOL", "workflows_trigger"),
            (
                "MCP_ARGUMENTS",
                r#"{"workflow_id":"wf_backup_db","input_data":{"database":"smarteros"}}"#,
            ),
        ],
    )
    .await;
    let listed = user.get("/api/v1/tools").await.json;
    let names: Vec<_> = listed["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
    assert!(names.contains(&&json!("workflows_trigger")), "{listed}");
    assert_eq!(said["tools"], json!(names), "what REST lists to the same token");
    assert_eq!(said["is_error"], false, "{said}");
    assert_eq!(said["result"]["status"], "completed", "{said}");
    assert_eq!(n8n.executions_of("wf_backup_db"), 1);
}

#[tokio::test]
async fn client_mcp_remote_with_a_header() {
    client("node", &["mcp_remote.mjs", "legacy"]).await;
    client("node", &["mcp_remote.mjs", "auto"]).await;
}

#[tokio::test]
async fn client_inspector_in_both_eras() {
    client("node", &["inspector.mjs", "legacy"]).await;
    client("node", &["inspector.mjs", "modern"]).await;
}

#[tokio::test]
async fn client_typescript_in_both_eras() {
    client("node", &["typescript.mjs", "legacy"]).await;
    client("node", &["typescript.mjs", "modern"]).await;
}

#[tokio::test]
async fn client_python_in_both_eras() {
    client("python", &["python_client.py", "legacy"]).await;
    client("python", &["python_client.py", "auto"]).await;
}
