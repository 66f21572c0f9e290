//! Agents: the named users of a token, each of which sees a part of the catalogue only.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tool::{Category, Definition};

/// Who uses a token. A label of metrics and audit, and a narrower view of the tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Agent {
    /// The executor: services, workflows, infrastructure.
    Codex,
    /// The director: analytics, crm, support, bots.
    Gemini,
    /// The writer: documentation, `code_generation`, `workflows_create`.
    Copilot,
}

impl Agent {
    pub const ALL: [Agent; 3] = [Agent::Codex, Agent::Gemini, Agent::Copilot];

    pub const fn name(self) -> &'static str {
        match self {
            Agent::Codex => "codex",
            Agent::Gemini => "gemini",
            Agent::Copilot => "copilot",
        }
    }

    pub fn sees(self, tool: &Definition) -> bool {
        match self {
            Agent::Codex => matches!(tool.category, Category::Services | Category::Workflows | Category::Infrastructure),
            Agent::Gemini => matches!(
                tool.category,
                Category::Analytics | Category::Crm | Category::Support | Category::Bots
            ),
            Agent::Copilot => {
                matches!(tool.category, Category::Documentation | Category::CodeGeneration) || tool.name == "workflows_create"
            }
        }
    }
}

impl FromStr for Agent {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Agent::ALL.into_iter().find(|agent| agent.name() == text).ok_or(())
    }
}
