//! The third parties that tests play against: the server of the sandbox, and the vendors that only tests play. None of them is real.

pub mod issuer;
pub mod openid;
pub mod tools;
pub mod vault;

use std::ops::Deref;

use smartermcp::sandbox::{self, n8n::Sandbox};

#[derive(Clone)]
pub struct Vendors(sandbox::Vendors);

impl Deref for Vendors {
    type Target = sandbox::Vendors;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Vendors {
    pub async fn start() -> Self {
        Self(sandbox::Vendors::start().await.unwrap())
    }

    /// A played n8n with the demo's workflows and this API key.
    pub fn n8n(&self, host: &str, api_key: &str) -> (String, Sandbox) {
        let sandbox = Sandbox::new(api_key).with_mcp_token("mcp-token");
        sandbox.demo_workflows();
        (self.play(&format!("n8n-{host}"), sandbox.router()), sandbox)
    }
}
