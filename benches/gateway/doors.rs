//! Doors: the same call as each protocol era and REST spell it.

use std::net::SocketAddr;

use crate::load::Template;

/// A way to make the call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// MCP 2025-11-25, without a session.
    Legacy,
    /// MCP 2026-07-28: every request describes itself.
    Modern,
    Rest,
}

/// A client of either era says that it takes both.
const ACCEPT: &str = "Accept: application/json, text/event-stream";

impl Door {
    pub const ALL: [Door; 3] = [Door::Legacy, Door::Modern, Door::Rest];

    pub const fn name(self) -> &'static str {
        match self {
            Door::Legacy => "MCP 2025-11-25",
            Door::Modern => "MCP 2026-07-28",
            Door::Rest => "REST",
        }
    }

    /// `workflows_status` of execution 1.
    pub fn template(self, to: SocketAddr) -> Template {
        match self {
            Door::Legacy => {
                let body = concat!(
                    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","#,
                    r#""params":{"name":"workflows_status","arguments":{"execution_id":"1"}}}"#
                );
                Template::new("POST", "/mcp", to, &[ACCEPT, "MCP-Protocol-Version: 2025-11-25"], body)
            }
            Door::Modern => {
                let lines = [
                    ACCEPT,
                    "MCP-Protocol-Version: 2026-07-28",
                    "Mcp-Method: tools/call",
                    "Mcp-Name: workflows_status",
                ];
                let body = concat!(
                    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","#,
                    r#""params":{"name":"workflows_status","arguments":{"execution_id":"1"},"_meta":{"#,
                    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
                );
                Template::new("POST", "/mcp", to, &lines, body)
            }
            Door::Rest => Template::new("GET", "/api/v1/workflows/executions/1", to, &["Accept: application/json"], ""),
        }
    }

    /// `tools/list`, of the two doors that have it.
    pub fn list_template(self, to: SocketAddr) -> Template {
        match self {
            Door::Modern => {
                let lines = [ACCEPT, "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"];
                let body = concat!(
                    r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"#,
                    r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#
                );
                Template::new("POST", "/mcp", to, &lines, body)
            }
            Door::Legacy | Door::Rest => {
                let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}"#;
                Template::new("POST", "/mcp", to, &[ACCEPT, "MCP-Protocol-Version: 2025-11-25"], body)
            }
        }
    }
}
