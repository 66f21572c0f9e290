//! n8n's own MCP server (`{url}/mcp-server/http`): the way to start a workflow that has no webhook.
//!
//! It is stateless, answers as a stream of server-sent events, and reports refusals as an HTTP 200 whose structured content
//! says `error`.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{N8n, said, secret_header};
use crate::{
    backends::client::{Reply, shortened},
    error::{Error, Kind, Result},
};

/// How long after publishing n8n may still say that nothing is published.
const SETTLING: Duration = Duration::from_millis(250);
const TRIES: u32 = 6;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Executed {
    execution_id: Option<Value>,
    status: Option<String>,
    error: Option<String>,
}

impl N8n {
    /// Starts a workflow and answers the execution's id. `webhook`: the webhook node to start it by, and its input.
    pub(super) async fn execute(&self, workflow: &str, webhook: Option<(&str, &Value)>) -> Result<String> {
        let mut arguments = json!({ "workflowId": workflow, "executionMode": "production" });
        if let Some((node, input)) = webhook {
            arguments["triggerNodeName"] = Value::from(node);
            arguments["inputs"] = json!({ "webhookData": { "method": "POST", "body": input, "headers": {}, "query": {} } });
        }
        let mut tries = 0;
        loop {
            let answer = self.mcp(json!({ "name": "execute_workflow", "arguments": arguments })).await?;
            let content = &answer["structuredContent"];
            let executed: Executed = serde_json::from_value(content.clone()).map_err(|_| {
                let words = answer["content"][0]["text"].as_str().unwrap_or("no result");
                refused(words)
            })?;
            match (executed.execution_id, executed.status.as_deref()) {
                (Some(Value::String(id)), status) if status != Some("error") => return Ok(id),
                (Some(Value::Number(id)), status) if status != Some("error") => return Ok(id.to_string()),
                _ => {
                    let words = executed.error.unwrap_or_default();
                    tries += 1;
                    if words.contains("no published") && tries < TRIES {
                        tokio::time::sleep(SETTLING).await;
                        continue;
                    }
                    self.http.session().unreach();
                    return Err(refused(&words));
                }
            }
        }
    }

    /// Whether the token is taken.
    pub(super) async fn test_mcp(&self) -> Result<()> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} });
        let reply = self.send(&request).await?;
        if matches!(reply.status.as_u16(), 401 | 403) {
            return Err(
                Error::new(Kind::BackendRefused, "The API key works, and n8n's MCP server refuses mcp_token").coded("credential_refused"),
            );
        }
        message(reply).map(drop)
    }

    async fn mcp(&self, params: Value) -> Result<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let mut message = message(self.send(&request).await?)?;
        if let Some(words) = message["error"]["message"].as_str() {
            return Err(refused(words));
        }
        Ok(message["result"].take())
    }

    async fn send(&self, request: &Value) -> Result<Reply> {
        let token = self.credential.mcp_token.as_deref().unwrap_or_default();
        self.http
            .write(Method::POST, "/mcp-server/http")
            .header(header::AUTHORIZATION, secret_header(&format!("Bearer {token}"))?)
            .header(header::ACCEPT, HeaderValue::from_static("application/json, text/event-stream"))
            .json(request)?
            .send()
            .await
    }
}

fn refused(words: &str) -> Error {
    Error::conflict(format!("n8n does not start this workflow: {}", shortened(words))).coded("not_triggerable")
}

/// The JSON-RPC message of an answer, framed as an event or plain.
fn message(reply: Reply) -> Result<Value> {
    if !reply.status.is_success() {
        return Err(reply.refusal(said));
    }
    let body = String::from_utf8_lossy(&reply.body);
    let data = body.lines().find_map(|line| line.strip_prefix("data:")).unwrap_or(&body);
    serde_json::from_str(data.trim())
        .map_err(|error| Error::new(Kind::BackendRefused, "n8n's MCP server did not answer as MCP has it").because(error))
}
