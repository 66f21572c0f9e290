//! Beside the rows: what a list of all tools costs, and what slow backends of some tenants do to the fast one of others.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{
    Result,
    doors::Door,
    gateway::Gateway,
    load::{Connection, Load, Template},
    process::{Group, Process},
};

/// How often each era's list is asked for. A token may list 60 times at once.
const LISTS: usize = 2500;
const LISTERS: usize = 100;
/// What a tenant's whole business may hold.
const SCOPES: [&str; 6] = [
    "write:services",
    "write:workflows",
    "read:analytics",
    "write:crm",
    "read:support",
    "write:bots",
];
/// Of whom 200 calls wait for backends that take two seconds. A tenant may make 1 000 calls a minute.
const SLOW_TENANTS: usize = 10;
const SLOW_CALLS: usize = 200;
/// The call of each slow backend, and what its connection holds.
const SLOW: [(&str, &str, &str); 3] = [
    ("chatwoot", "/api/v1/support/agents", r#"{"access_token":"k","account_id":1}"#),
    ("metabase", "/api/v1/analytics/dashboards", r#"{"api_key":"mb_k"}"#),
    ("botpress", "/api/v1/bots", r#"{"token":"bp_pat_k","workspace_id":"ws"}"#),
];
/// What a list has once for each tool.
const SCHEMA: &[u8] = br#""inputSchema""#;
/// How many connections call the fast backend.
const FAST: usize = 8;
const ROUNDS: usize = 3;

/// What was measured.
pub struct Beside {
    pub tools: usize,
    /// The era's name, and microseconds of CPU for one list.
    pub lists: Vec<(&'static str, f64)>,
    /// The fast backend's p99 alone and beside the slow ones: medians, in milliseconds.
    pub alone_ms: f64,
    pub beside_ms: f64,
    /// Calls that the slow backends answered meanwhile.
    pub slow_calls: usize,
}

/// Measures both on the filled gateway.
pub async fn measure(gateway: &Gateway, process: &Group, tokens: &Arc<[String]>, measured: Duration) -> Result<Beside> {
    let (tools, lists) = lists(gateway, process).await?;
    let mut backends = Vec::new();
    for (name, ..) in SLOW {
        backends.push(Process::peer(&["slow", name])?);
    }
    let slow = slow_calls(gateway, &backends.iter().map(|(_, address)| *address).collect::<Vec<_>>()).await?;
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    let mut first_token = 0;
    let mut fast = async |into: &mut Vec<f64>| {
        let load = Load {
            to: &[gateway.address],
            template: &Door::Rest.template(gateway.address),
            tokens,
            connections: FAST,
            first_token,
            warm_up: measured.min(Duration::from_secs(1)),
            measured,
        };
        let cell = load.run(process).await?;
        first_token += cell.sent;
        if let Some(first) = cell.first_wrong {
            return Err(format!("beside slow backends: {first}").into());
        }
        into.push(cell.p99_ms);
        gateway.cut_log()
    };
    let answered = Rc::new(Cell::new(0));
    for _ in 0..ROUNDS {
        fast(&mut alone).await?;
        let stop = Rc::new(Cell::new(false));
        let waiting = slow.iter().map(|request| wait(gateway.address, request, &stop, &answered));
        let measured = async {
            let measured = fast(&mut beside).await;
            stop.set(true);
            measured
        };
        let (waited, measured) = tokio::join!(futures::future::try_join_all(waiting), measured);
        measured?;
        waited?;
    }
    Ok(Beside {
        tools,
        lists,
        alone_ms: middle(alone),
        beside_ms: middle(beside),
        slow_calls: answered.get(),
    })
}

/// How many tools there are, and what a list of them costs in each era.
async fn lists(gateway: &Gateway, process: &Group) -> Result<(usize, Vec<(&'static str, f64)>)> {
    let tenant = gateway.tenant("bench-lists").await?;
    let mut tokens = Vec::new();
    for _ in 0..LISTERS {
        tokens.push(gateway.token(&tenant, &SCOPES, &json!({})).await?);
    }
    let (mut tools, mut costs) = (0, Vec::new());
    for door in [Door::Legacy, Door::Modern] {
        let template = door.list_template(gateway.address);
        let mut connection = Connection::open(gateway.address).await?;
        let mut request = Vec::new();
        let mut before = 0.0;
        for index in 0..LISTS + LISTERS {
            // The first list of each token is its warm-up.
            if index == LISTERS {
                before = process.cpu_seconds()?;
            }
            template.render(&tokens[index % LISTERS], &mut request);
            let answer = connection.exchange(&request).await?;
            let listed = |body: &[u8]| body.windows(SCHEMA.len()).filter(|window| *window == SCHEMA).count();
            if index == 0 {
                tools = listed(answer.body);
            }
            if answer.status != 200 || tools == 0 {
                return Err(answer.summary().into());
            }
        }
        costs.push((door.name(), (process.cpu_seconds()? - before) / LISTS as f64 * 1e6));
    }
    Ok((tools, costs))
}

/// The requests of tenants whose backends are slow, so many as are to wait at once.
async fn slow_calls(gateway: &Gateway, backends: &[SocketAddr]) -> Result<Vec<Vec<u8>>> {
    let most = json!({ "general": { "per_minute": 100_000, "per_hour": 1_000_000, "burst": 1000 },
        "categories": { "support": { "per_minute": 100_000 }, "analytics": { "per_minute": 100_000 }, "bots": { "per_minute": 100_000 } } });
    let mut requests = Vec::new();
    for index in 0..SLOW_TENANTS {
        let tenant = gateway.tenant(&format!("bench-slow-{index}")).await?;
        for ((name, _, credential), address) in SLOW.iter().zip(backends) {
            let credential: serde_json::Value = serde_json::from_str(credential)?;
            gateway
                .connect(
                    &tenant,
                    name,
                    &json!({ "url": format!("http://{address}"), "credential": credential }),
                )
                .await?;
        }
        let token = gateway.token(&tenant, &SCOPES, &json!({ "limits": most })).await?;
        for call in 0..SLOW_CALLS / SLOW_TENANTS {
            let (_, path, _) = SLOW[call % SLOW.len()];
            let mut request = Vec::new();
            Template::new("GET", path, gateway.address, &[], "").render(&token, &mut request);
            requests.push(request);
        }
    }
    Ok(requests)
}

/// One caller of a slow backend, until it is told to stop.
async fn wait(to: SocketAddr, request: &[u8], stop: &Cell<bool>, answered: &Cell<usize>) -> Result<()> {
    let mut connection = Connection::open(to).await?;
    while !stop.get() {
        let began = Instant::now();
        let answer = connection.exchange(request).await?;
        if answer.status != 200 || began.elapsed() < Duration::from_secs(2) {
            return Err(format!("a slow backend's call: {}", answer.summary()).into());
        }
        answered.set(answered.get() + 1);
    }
    Ok(())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
