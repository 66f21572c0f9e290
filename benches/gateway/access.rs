//! Access tokens: what it costs to verify one that was never seen, and what a call with one costs beside a call with an API token.
//!
//! This program opens the gateway's own database and keys beside it, as a replica would, and issues access tokens for the tenants
//! of the run. What verifying costs is measured here, by the function that both doors call; what a call costs, at the gateway.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};
use smartermcp::{
    auth::{
        self, Scope,
        jwt::{self, Access},
    },
    backends,
    clock::Clock,
    config::Config,
    id::{TenantId, TokenId},
    state::State,
};

use crate::{
    Result,
    doors::Door,
    gateway::Gateway,
    load::{Connection, Load},
    process::{Group, cpu_seconds},
};

/// Of how many tokens: fewer than the gateway keeps warm.
const TOKENS: usize = 10_000;
const ROUNDS: usize = 3;
/// Where a call is measured.
const CONNECTIONS: usize = 16;
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What was measured, in microseconds of CPU.
pub struct AccessTokens {
    /// Of how many tokens.
    pub tokens: usize,
    /// To authenticate one that was never seen, one that is warm, and an API token that is warm.
    pub unseen_us: f64,
    pub warm_us: f64,
    pub api_token_us: f64,
    /// Of which the signature of the first.
    pub signature_us: f64,
    /// A whole call with either, both warm: medians.
    pub call_us: f64,
    pub api_token_call_us: f64,
}

pub async fn measure(
    gateway: &Gateway,
    process: &Group,
    directory: &Path,
    tokens: &Arc<[String]>,
    measured: Duration,
) -> Result<AccessTokens> {
    let config = Config::embedded(directory.join("data"));
    let state = State::open(config, backends::catalogue(), Clock::default(), gateway.address)
        .await
        .map_err(said)?;
    let tokens: Arc<[String]> = tokens.iter().take(TOKENS).cloned().collect();
    let api_tokens = headers_of(&tokens)?;
    let mut issued = Vec::with_capacity(tokens.len());
    for headers in &api_tokens {
        let caller = auth::authenticate(&state, headers, HERE).await.map_err(said)?;
        issued.push(issue(&state, caller.tenant_id().ok_or("a token without a tenant")?)?);
    }
    let issued: Arc<[String]> = issued.into();
    let headers = headers_of(&issued)?;
    let signature_us = verified(&state, &issued)?;
    let unseen_us = authenticated(&state, &headers).await?;
    let warm_us = authenticated(&state, &headers).await?;
    let api_token_us = authenticated(&state, &api_tokens).await?;
    state.close(tokio::time::Instant::now()).await;

    let template = Door::Legacy.template(gateway.address);
    let mut connection = Connection::open(gateway.address).await?;
    let mut request = Vec::new();
    for token in issued.iter() {
        template.render(token, &mut request);
        let answer = connection.exchange(&request).await?;
        if !answer.is_right() {
            return Err(format!("an access token's first call: {}", answer.summary()).into());
        }
    }
    let (mut with_access, mut with_api_tokens) = (Vec::new(), Vec::new());
    let mut first_token = 0;
    for _ in 0..ROUNDS {
        let mut sent = 0;
        for (tokens, into) in [(&tokens, &mut with_api_tokens), (&issued, &mut with_access)] {
            let load = Load {
                to: &[gateway.address],
                template: &template,
                tokens,
                connections: CONNECTIONS,
                first_token,
                warm_up: measured.min(Duration::from_secs(1)),
                measured,
            };
            let cell = load.run(process).await?;
            if let Some(first) = cell.first_wrong {
                return Err(format!("calls with access tokens beside API tokens: {first}").into());
            }
            sent = cell.sent.max(sent);
            // Seconds of a thousand calls: milliseconds of one.
            into.push(cell.cpu_per_1000 * 1000.0);
            gateway.cut_log()?;
        }
        first_token += sent;
    }
    Ok(AccessTokens {
        tokens: issued.len(),
        unseen_us,
        warm_us,
        api_token_us,
        signature_us,
        call_us: middle(with_access),
        api_token_call_us: middle(with_api_tokens),
    })
}

/// Microseconds of CPU to verify each signature and do nothing else.
fn verified(state: &State, all: &[String]) -> Result<f64> {
    let kid = jwt::Jws::parse(&all[0])
        .and_then(|jws| jws.kid().map(str::to_owned))
        .ok_or("no kid")?;
    let (began, before) = (Instant::now(), cpu_seconds("self")?);
    for token in all {
        let (message, signature) = token.rsplit_once('.').ok_or("no JWT")?;
        if state.keys.verify(&kid, message, signature, state.clock.millis()) != Some(true) {
            return Err("a signature of ours does not hold".into());
        }
    }
    per_piece(began, before, all.len())
}

/// Microseconds of CPU to authenticate each of these once.
async fn authenticated(state: &State, all: &[HeaderMap]) -> Result<f64> {
    let (began, before) = (Instant::now(), cpu_seconds("self")?);
    for headers in all {
        auth::authenticate(state, headers, HERE).await.map_err(said)?;
    }
    per_piece(began, before, all.len())
}

/// Never more than the time that it took.
fn per_piece(began: Instant, before: f64, pieces: usize) -> Result<f64> {
    let (cpu, elapsed) = (cpu_seconds("self")? - before, began.elapsed().as_secs_f64());
    // CPU time comes in hundredths of a second: of what is shorter, the time that it took says more.
    let seconds = if cpu < 0.1 { elapsed } else { cpu };
    Ok(seconds / pieces as f64 * 1e6)
}

/// An access token of a grant of its own, as the API tokens of this run are: for workflows.
fn issue(state: &State, tenant: TenantId) -> Result<String> {
    let grant = TokenId::random();
    let access = Access {
        grant,
        tenant,
        client_id: "https://bench.example.com/client.json".to_owned(),
        client_name: "Bench".to_owned(),
        granted_by: format!("token/{grant}"),
        scopes: [Scope::WriteWorkflows].into_iter().collect(),
        agent: None,
        limits: None,
        until: i64::MAX,
        cells: grant,
        resource: state.base_url.clone(),
    };
    jwt::issue(state, &access).map(|(token, _)| token).map_err(said)
}

fn headers_of(tokens: &[String]) -> Result<Vec<HeaderMap>> {
    let of = |token: &String| {
        Ok(HeaderMap::from_iter([(
            AUTHORIZATION,
            HeaderValue::try_from(format!("Bearer {token}"))?,
        )]))
    };
    tokens.iter().map(of).collect()
}

fn said(error: smartermcp::error::Error) -> crate::Error {
    format!("{} {}", error.message(), error.cause()).into()
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
