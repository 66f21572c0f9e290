//! The demo: the gateway with a tenant, a token and the tenant's systems played inside this process, and the lines to paste.

use std::{net::SocketAddr, path::PathBuf};

use serde_json::{Value, json};
use tokio::net::TcpListener;
use zeroize::Zeroizing;

use crate::{
    auth::{Caller, Scope, token},
    backends,
    cli::console,
    clock::Clock,
    config::{Config, Dns, Secret},
    error::{Error, Result},
    sandbox::{Systems, Vendors, shop},
    serve::{self, Server},
};

/// Runs the demo until it is asked to stop, and leaves nothing behind.
pub async fn run(listen: Option<SocketAddr>) -> Result<()> {
    // Before anything is there to be left behind.
    let asked_to_stop = serve::asked_to_stop();
    let folder = Folder::new()?;
    let mut config = Config::embedded(&folder.0);
    config.listen = free(listen, config.listen).await;
    config.network.allow = vec!["127.0.0.1/32".parse().map_err(Error::internal)?];
    config.network.dns = Dns::Sandbox;
    let operator_token = token::generate();
    config.admin_token = Some(Secret::new(operator_token.as_str()));

    let server = Server::start(config, backends::catalogue(), Clock::default()).await?;
    let business: Vec<_> = Scope::ALL
        .into_iter()
        .filter(|scope| *scope != Scope::AdminTenants)
        .map(Scope::name)
        .collect();
    let call = async |tool: &str, input: Value| console(&server.state, Caller::console(None), tool, input).await;
    let made = call("tenants_create", json!({ "name": shop::NAME, "slug": shop::SLUG })).await?;
    let vendors = Vendors::start().await.map_err(Error::internal)?;
    let systems = Systems::play(&vendors, made["id"].as_str().unwrap_or_default(), shop::SLUG);
    for (backend, connection) in &systems.connections {
        let mut connection = connection.clone();
        connection["tenant_id"] = shop::SLUG.into();
        connection["backend"] = (*backend).into();
        call("connections_set", connection).await?;
    }
    for (name, mut kpi) in Systems::kpis() {
        kpi["tenant_id"] = shop::SLUG.into();
        kpi["name"] = name.into();
        call("kpis_set", kpi).await?;
    }
    let issued = call(
        "tokens_create",
        json!({ "tenant_id": shop::SLUG, "name": "demo", "scopes": business }),
    )
    .await?;
    let token = Zeroizing::new(issued["api_token"].as_str().unwrap_or_default().to_owned());

    let base = format!("http://{}", server.address);
    let names: Vec<_> = systems.connections.iter().map(|(backend, _)| *backend).collect();
    say(&lines(&base, &token, &operator_token, &names.join(", ")));
    asked_to_stop.await;
    say("Stopping; nothing of the demo is kept.\n");
    server.stop().await;
    drop((vendors, systems));
    Ok(())
}

/// The address that was asked for, else the usual one, else a free one: a demo should not fail over a port.
async fn free(asked: Option<SocketAddr>, usual: SocketAddr) -> SocketAddr {
    match asked {
        Some(address) => address,
        None if TcpListener::bind(usual).await.is_ok() => usual,
        None => SocketAddr::from(([127, 0, 0, 1], 0)),
    }
}

#[expect(clippy::print_stdout, reason = "the demo speaks to whoever started it")]
fn say(text: &str) {
    use std::io::Write as _;
    print!("{text}");
    // A closed terminal is no reason to fail.
    let _ = std::io::stdout().flush();
}

fn lines(base: &str, token: &str, operator: &str, systems: &str) -> String {
    let claude = json!({
        "mcpServers": { "smartermcp": {
            "command": "npx",
            "args": ["-y", "mcp-remote@0.15.1", format!("{base}/mcp"), "--transport", "http-only", "--header", "Authorization:${AUTH_HEADER}"],
            "env": { "AUTH_HEADER": format!("Bearer {token}") },
        } },
    });
    let cline = json!({
        "mcpServers": { "smartermcp": {
            "type": "streamableHttp",
            "url": format!("{base}/mcp"),
            "headers": { "Authorization": format!("Bearer {token}") },
        } },
    });
    format!(
        r#"
SmarterMCP demo: {base}
  The tenant '{}' has a shop in Valdivia, whose {systems} are played inside this process (none of them is real).
  Token of the tenant:   {token}
  Token of the operator: {operator}

curl (REST): list workflows, trigger one, ask how it went; figures, a customer, the bot
  curl {base}/api/v1/workflows -H "Authorization: Bearer {token}"
  curl -X POST {base}/api/v1/workflows/wf_backup_db/trigger -H "Authorization: Bearer {token}" -d '{{"input_data":{{"database":"smarteros"}}}}'
  curl {base}/api/v1/workflows/executions/exec_abc123 -H "Authorization: Bearer {token}"
  curl {base}/api/v1/analytics/kpis -H "Authorization: Bearer {token}"
  curl "{base}/api/v1/crm/contacts/search?query=john@example.com" -H "Authorization: Bearer {token}"
  curl {base}/api/v1/bots/main/analytics -H "Authorization: Bearer {token}"

curl (MCP)
  curl {base}/mcp -H "Authorization: Bearer {token}" -H "Content-Type: application/json" -d '{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"workflows_list","arguments":{{"active":true}}}}}}'

Claude Desktop: claude_desktop_config.json
{claude:#}

Cline: MCP settings
{cline:#}

MCP Inspector
  npx -y @modelcontextprotocol/inspector@2.12.0 --cli --server-url {base}/mcp --transport http --header "Authorization: Bearer {token}" --method tools/list

In a browser: {base}/ (how to connect), {base}/docs (the REST interface), {base}/health
Stop with Ctrl-C.

"#,
        shop::SLUG
    )
}

/// A folder of its own, gone when the demo ends.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("smartermcp-demo-{}", crate::id::ordered()));
        serve::make_folder(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "the demo's folder could not be removed");
        }
    }
}
