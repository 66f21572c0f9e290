//! The third parties, played inside this process: for `smartermcp demo`, and as the vendors that tests play against.
//!
//! One HTTP server plays them all, dispatched by `Host`; each answers as its vendor's documents, or a real one, say, and at its
//! worst where it is told to (`faults.rs`). None of them is real, and everything that speaks of them says so. What they tell hangs
//! together: they are the systems of one shop (`shop.rs`).

pub mod botpress;
pub mod chatwoot;
pub mod docker;
pub mod faults;
pub mod llm;
pub mod metabase;
pub mod n8n;
pub mod odoo;
pub mod prometheus;
pub mod shop;
pub mod supabase;
mod systems;

pub use self::systems::Systems;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};
use tokio::{net::TcpListener, task::JoinHandle};
use tower::ServiceExt as _;

/// Under which the played vendors have their names; RFC 6761 §6.2 keeps it from the real world.
const DOMAIN: &str = "vendors.test";

/// Whether this name is a played vendor's.
pub fn plays(name: &str) -> bool {
    name.strip_suffix(DOMAIN).is_some_and(|before| before.ends_with('.'))
}

/// The server that plays the vendors. Clones share it; it ends with the last of them.
#[derive(Clone, Debug)]
pub struct Vendors {
    address: SocketAddr,
    hosts: Hosts,
    requests: Requests,
    _serving: Arc<Serving>,
}

type Hosts = Arc<RwLock<HashMap<String, Router>>>;
/// How often each host was asked.
type Requests = Arc<Mutex<HashMap<String, usize>>>;

#[derive(Debug)]
struct Serving(JoinHandle<()>);

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Vendors {
    /// Starts it on a free port of loopback.
    ///
    /// # Errors
    /// When there is no port to be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let hosts = Hosts::default();
        let requests = Requests::default();
        let (known, counted) = (Arc::clone(&hosts), Arc::clone(&requests));
        let router = Router::new().fallback(move |request: Request| answer(Arc::clone(&known), Arc::clone(&counted), request));
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the played vendors have ended");
            }
        });
        Ok(Self {
            address,
            hosts,
            requests,
            _serving: Arc::new(Serving(serving)),
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests came to the hosts below this name, e.g. to all of a tenant's systems.
    pub fn requests_below(&self, name: &str) -> usize {
        let below = format!(".{name}.{DOMAIN}");
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .iter()
            .filter(|(host, _)| host.ends_with(&below))
            .map(|(_, count)| count)
            .sum()
    }

    /// Plays a host by a router, and answers its URL. The name resolves only by a table (`config::Dns`).
    pub fn play(&self, host: &str, router: Router) -> String {
        let name = format!("{host}.{DOMAIN}");
        let url = format!("http://{name}:{}", self.address.port());
        self.hosts.write().unwrap_or_else(PoisonError::into_inner).insert(name, router);
        url
    }
}

async fn answer(known: Hosts, requests: Requests, request: Request) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    *requests
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(name.to_owned())
        .or_default() += 1;
    let vendor = known.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
    match vendor {
        Some(vendor) => vendor.oneshot(request).await.into_response(),
        None => (StatusCode::MISDIRECTED_REQUEST, "nobody plays this host").into_response(),
    }
}
