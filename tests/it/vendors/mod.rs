//! One HTTP server that plays the third parties, dispatched by `Host`. None of them is real: n8n's part is the sandbox that the
//! demo uses too, written from what a real n8n 2.41 was seen to do.

pub mod docker;
pub mod prometheus;
pub mod tools;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, RwLock},
};

use axum::{Router, extract::Request, http::StatusCode, response::IntoResponse as _};
use smartermcp::backends::n8n::sandbox::Sandbox;
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceExt as _;

#[derive(Clone)]
pub struct Vendors {
    address: SocketAddr,
    hosts: Arc<RwLock<HashMap<String, Router>>>,
    _serving: Arc<Serving>,
}

struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Vendors {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let hosts: Arc<RwLock<HashMap<String, Router>>> = Arc::default();
        let known = Arc::clone(&hosts);
        let router = Router::new().fallback(move |request: Request| {
            let host = request
                .headers()
                .get("host")
                .and_then(|host| host.to_str().ok())
                .unwrap_or_default();
            let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
            let vendor = known.read().unwrap().get(name).cloned();
            async move {
                match vendor {
                    Some(vendor) => vendor.oneshot(request).await.into_response(),
                    None => (StatusCode::MISDIRECTED_REQUEST, "nobody plays this host").into_response(),
                }
            }
        });
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.unwrap();
        });
        Self {
            address,
            hosts,
            _serving: Arc::new(Serving(serving)),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Plays a host by a router, and answers its URL.
    pub fn play(&self, host: &str, router: Router) -> String {
        let name = format!("{host}.vendors.test");
        self.hosts.write().unwrap().insert(name.clone(), router);
        format!("http://{name}:{}", self.address.port())
    }

    /// A played n8n with the demo's workflows and this API key.
    pub fn n8n(&self, host: &str, api_key: &str) -> (String, Sandbox) {
        let sandbox = Sandbox::new(api_key).with_mcp_token("mcp-token");
        sandbox.demo_workflows();
        (self.play(&format!("n8n-{host}"), sandbox.router()), sandbox)
    }
}
