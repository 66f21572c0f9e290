//! The catalogue: every tool of the gateway, in the order of their names.

use std::{collections::HashMap, sync::Arc};

use super::Definition;

#[derive(Debug)]
pub struct Catalogue {
    tools: Vec<Arc<Definition>>,
    by_name: HashMap<&'static str, Arc<Definition>>,
}

impl Catalogue {
    /// # Panics
    /// At start, when two tools share a name or a route, or a route names a parameter that the tool does not have.
    pub fn new(definitions: Vec<Definition>) -> Self {
        let mut tools: Vec<_> = definitions.into_iter().map(Arc::new).collect();
        tools.sort_by_key(|tool| tool.name);
        let mut by_name = HashMap::new();
        let mut routes = HashMap::new();
        for tool in &tools {
            let plain = tool.name.len() <= 64 && tool.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            assert!(plain, "the name {} is not fit for every model's API", tool.name);
            assert!(
                by_name.insert(tool.name, Arc::clone(tool)).is_none(),
                "two tools are called {}",
                tool.name
            );
            let route = (tool.route.method.clone(), tool.route.path);
            if let Some(other) = routes.insert(route, tool.name) {
                panic!("{} and {other} share a route", tool.name);
            }
            for parameter in tool.route.parameters() {
                assert!(
                    tool.input.has(parameter),
                    "the route of {} names {parameter}, which is no parameter",
                    tool.name
                );
            }
        }
        Self { tools, by_name }
    }

    /// All tools, sorted by name.
    pub fn all(&self) -> &[Arc<Definition>] {
        &self.tools
    }

    /// Whether any tool sends log messages: then the server says that it does.
    pub fn logs(&self) -> bool {
        self.tools.iter().any(|tool| tool.logs)
    }

    pub fn find(&self, name: &str) -> Option<&Arc<Definition>> {
        self.by_name.get(name)
    }
}
