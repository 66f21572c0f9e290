//! agentgateway, where `AG_BIN` names its program: a proxy in front of the bare rmcp server, with no policy.
//!
//! Not tried on a machine that has it: the configuration follows its documentation of 2026.

use std::{net::SocketAddr, path::Path, process::Command, time::Duration};

use crate::{
    Result,
    doors::Door,
    load::ask,
    process::{Process, free_address, until},
};

const START_LIMIT: Duration = Duration::from_secs(15);

/// Starts it in front of an MCP server, and waits until a call comes through.
pub async fn start(program: &Path, directory: &Path, upstream: SocketAddr) -> Result<(Process, SocketAddr)> {
    let address = free_address()?;
    let file = directory.join("agentgateway.yaml");
    let config = format!(
        concat!(
            "config:\n  adminAddr: 127.0.0.1:0\n  statsAddr: 127.0.0.1:0\n  readinessAddr: 127.0.0.1:0\n",
            "mcp:\n  port: {port}\n  statefulMode: stateless\n  targets:\n  - name: bench\n    mcp:\n      host: http://{upstream}/mcp\n"
        ),
        port = address.port(),
        upstream = upstream,
    );
    std::fs::write(&file, config)?;
    let log = std::fs::File::create(directory.join("agentgateway.log"))?;
    let mut command = Command::new(program);
    command
        .arg("-f")
        .arg(&file)
        .env("RUST_LOG", "error")
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut process = Process::start(command)?;
    until(START_LIMIT, &mut process, "agentgateway", || answers(address)).await?;
    Ok((process, address))
}

#[expect(clippy::redundant_closure_for_method_calls, reason = "the method itself is bound to one lifetime")]
async fn answers(address: SocketAddr) -> bool {
    let mut request = Vec::new();
    Door::Modern.template(address).render("none", &mut request);
    ask(address, &request, |answer| answer.is_right()).await.unwrap_or(false)
}
