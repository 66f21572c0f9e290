//! The command line: serve, demo, and what the operator does at the console of the machine.
//!
//! Console commands call the same tools as the doors do, through dispatch, as the operator: whoever can read the database and
//! its key is the operator.

use std::{
    io::{Read as _, Write as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use crate::{
    auth::Caller,
    backends::{self, Notifier, account::tokens::issue_operators},
    clock::Clock,
    config::{Config, Database, Endpoint, MasterKeySource, Settings},
    demo,
    dispatch::{self, Call, Door, Input},
    doctor::{self, Verdict},
    error::{Error, Result},
    http::openapi_document,
    id,
    secrets::{self, Home, KeyKept, Secrets, Vault},
    serve::{self, Server},
    state::State,
    stdio,
    store::{self, Reach, Store, changes},
    telemetry,
    tool::Rendered,
};

/// The multi-tenant MCP gateway of SmarterOS.
#[derive(Parser)]
#[command(name = "smartermcp", version, about, max_term_width = 100)]
struct Cli {
    /// A TOML file with settings, under the same names as the environment's, which wins.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the gateway. Settings: `SMARTERMCP_LISTEN`, `SMARTERMCP_DATA_DIR`, `SMARTERMCP_PUBLIC_URL` and others; see docs/operating.md.
    Serve,
    /// Try the gateway: a tenant, a token and a sandbox n8n inside this process; nothing is kept.
    Demo {
        /// Where to listen; 127.0.0.1:8080 or a free port unless said.
        #[arg(long, env = "SMARTERMCP_LISTEN")]
        listen: Option<SocketAddr>,
    },
    /// Be an MCP server over standard input and output, for a host that cannot sign in: a bridge to the gateway at `SMARTERMCP_ENDPOINT`,
    /// as the token of `SMARTERMCP_API_TOKEN`. Reads no other setting.
    Stdio {
        /// The gateway's address; `SMARTERMCP_ENDPOINT`, or `https://mcp.smarterbot.cl`, unless said.
        #[arg(long, value_name = "URL")]
        endpoint: Option<String>,
    },
    /// Bring the database's schema up to date. `serve` does it too.
    Migrate,
    /// Write the OpenAPI document to standard output.
    Openapi,
    /// Look at each configured part, and say what is wrong and what to do. Changes nothing.
    Doctor {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Ask the gateway of these settings, on this machine, whether it takes calls: exit code 0 or 1. For a container's health check.
    Health,
    /// Write a copy of the embedded database to a file, checked; a gateway may go on serving. The master key is not in it.
    Backup {
        /// The file to write.
        file: PathBuf,
        /// Replace the file if it is there.
        #[arg(long)]
        force: bool,
    },
    /// Put a backup into the place of the embedded database, which is kept aside. The gateway must be stopped.
    Restore {
        /// What `backup` wrote.
        file: PathBuf,
    },
    /// Issue, list, revoke and rotate tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Create, list, suspend, resume and delete tenants.
    #[command(subcommand)]
    Tenant(TenantCommand),
    /// Set, test, list and remove a tenant's connections to its backends.
    #[command(subcommand)]
    Connection(ConnectionCommand),
    /// Switch tools, backends or tenants off and on.
    #[command(subcommand)]
    Switch(SwitchCommand),
    /// Manage the master key, and where credentials are kept.
    #[command(subcommand)]
    Secrets(SecretsCommand),
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Issue a token. It is printed once.
    Create(CreateToken),
    /// List tokens, without the tokens themselves.
    List {
        /// Only of this tenant, by id or slug.
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Revoke a token.
    Revoke {
        /// The token's id.
        id: String,
    },
    /// Replace a token by a new one; the old one lives on for the overlap.
    Rotate {
        /// The token's id.
        id: String,
        /// For how many seconds the old token still works; 3600 unless said.
        #[arg(long)]
        overlap_secs: Option<u32>,
    },
}

#[derive(Args)]
struct CreateToken {
    /// What the token is for.
    #[arg(long, default_value = "console")]
    name: String,
    /// Scopes, separated by commas, e.g. read:workflows,write:workflows.
    #[arg(long, value_delimiter = ',', required_unless_present = "operator")]
    scopes: Vec<String>,
    /// The tenant, by id or slug; `default` unless said.
    #[arg(long)]
    tenant: Option<String>,
    /// When it ends, as RFC 3339; in 365 days unless said.
    #[arg(long)]
    expires_at: Option<String>,
    /// codex, gemini or copilot.
    #[arg(long)]
    agent: Option<String>,
    /// A token of the operator, in place of one that was lost. Those issued before are revoked.
    #[arg(long, conflicts_with_all = ["scopes", "tenant", "agent", "expires_at"])]
    operator: bool,
}

#[derive(Subcommand)]
enum TenantCommand {
    /// Create a tenant.
    Create {
        #[arg(long)]
        name: String,
        #[arg(long)]
        slug: String,
        /// demo, starter, business or enterprise.
        #[arg(long)]
        plan: Option<String>,
        #[arg(long)]
        region: Option<String>,
        #[arg(long)]
        rut: Option<String>,
        #[arg(long)]
        time_zone: Option<String>,
        /// Private networks where its backends may live, separated by commas.
        #[arg(long, value_delimiter = ',')]
        backend_allow: Vec<String>,
    },
    /// List tenants.
    List,
    /// Refuse every token of a tenant.
    Suspend {
        /// The tenant, by id or slug.
        tenant: String,
    },
    /// Let a suspended tenant in again.
    Resume {
        /// The tenant, by id or slug.
        tenant: String,
    },
    /// Delete a tenant, for good.
    Delete {
        /// The tenant, by id or slug.
        tenant: String,
    },
}

#[derive(Subcommand)]
enum ConnectionCommand {
    /// Connect a tenant to a backend.
    Set {
        #[arg(long)]
        tenant: String,
        #[arg(long)]
        backend: String,
        #[arg(long)]
        url: String,
        /// A file with the credential as JSON, or `-` for standard input: an argument would be seen in the list of processes.
        #[arg(long, value_name = "FILE")]
        credential: String,
    },
    /// Ask a connected backend whether address and credential work.
    Test {
        #[arg(long)]
        tenant: String,
        #[arg(long)]
        backend: String,
    },
    /// List a tenant's connections.
    List {
        #[arg(long)]
        tenant: String,
    },
    /// Remove a connection.
    Remove {
        #[arg(long)]
        tenant: String,
        #[arg(long)]
        backend: String,
    },
}

#[derive(Subcommand)]
enum SwitchCommand {
    /// Switch off a tool, a backend, a tenant, or what several of them name together.
    Off {
        #[arg(long)]
        tenant: Option<String>,
        #[arg(long)]
        backend: Option<String>,
        #[arg(long)]
        tool: Option<String>,
        /// What callers are told.
        #[arg(long)]
        reason: String,
    },
    /// Switch something on again.
    On {
        /// The switch's id.
        id: String,
    },
    /// List what is switched off.
    List,
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Seal everything anew under a fresh master key.
    RotateKey,
    /// Wrap the database's key by the newest version of Vault's Transit key; nothing is sealed anew.
    Rewrap,
    /// Move every tenant's credentials, and the key of the database, into Vault, or back into the database, sealed. A gateway may
    /// go on serving.
    Move {
        /// Where to.
        #[arg(long)]
        to: To,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum To {
    /// The Vault at `VAULT_ADDR`.
    Vault,
    /// The database.
    Sealed,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let _logs = telemetry::init_logs();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("The runtime cannot start: {error}")),
    };
    match runtime.block_on(run(cli)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&explained(&error)),
    }
}

async fn run(cli: Cli) -> Result<()> {
    if let Command::Openapi = cli.command {
        return say(&openapi_document(&backends::catalogue(), "https://mcp.smarterbot.cl"));
    }
    if let Command::Demo { listen } = cli.command {
        return demo::run(listen).await;
    }
    if let Command::Stdio { endpoint } = cli.command {
        let endpoint = Endpoint::read(endpoint).map_err(|problem| Error::invalid(problem.to_string()))?;
        return stdio::run(endpoint).await;
    }
    if let Command::Doctor { json } = cli.command {
        return doctor(cli.config.as_deref(), json).await;
    }
    let settings = Settings::read(cli.config.as_deref()).map_err(|problem| Error::invalid(problem.to_string()))?;
    let config = Config::load(&settings).map_err(|problem| Error::invalid(problem.to_string()))?;
    match cli.command {
        Command::Serve => return serve(config).await,
        Command::Health => return ready(&config).await,
        Command::Secrets(command) => return secrets_command(config, command).await,
        Command::Backup { file, force } => return backup(&config, &file, force).await,
        Command::Restore { file } => return restore(&config, &file).await,
        _ => {}
    }
    serve::install_crypto();
    serve::make_folder(&config.data_dir)?;
    let listen = config.listen;
    let state = State::open(config, backends::catalogue(), Clock::default(), listen).await?;
    let done = at_console(&state, cli.command).await;
    state.close(tokio::time::Instant::now() + state.config.shutdown).await;
    done
}

async fn serve(config: Config) -> Result<()> {
    // Before anybody can call: a stop that comes during the start is not lost.
    let asked_to_stop = serve::asked_to_stop();
    let server = Server::start(config, backends::catalogue(), Clock::default()).await?;
    if let Some(token) = &server.new_operator_token {
        say(&format!(
            "The operator's token, shown this once (set SMARTERMCP_ADMIN_TOKEN to choose your own):\n{}\n",
            token.as_str()
        ))?;
    }
    asked_to_stop.await;
    server.stop().await;
    Ok(())
}

/// Asks for `/health/ready`, within the time that a health check has.
async fn ready(config: &Config) -> Result<()> {
    const TIME_LIMIT: Duration = Duration::from_secs(2);
    if config.listen.port() == 0 {
        return Err(Error::invalid(
            "SMARTERMCP_LISTEN takes a free port at each start, and nobody here knows which; name one",
        ));
    }
    serve::install_crypto();
    let at = crate::config::reached_at(config.listen);
    let http = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        // It speaks no TLS, and the machine may have no certificates that it could load.
        .tls_certs_only([])
        .timeout(TIME_LIMIT)
        .build()
        .map_err(Error::internal)?;
    let asked = http.get(format!("http://{at}/health/ready")).send().await;
    match asked {
        Ok(answer) if answer.status().is_success() => say(&format!("The gateway on {at} takes calls.\n")),
        Ok(answer) => Err(Error::unavailable(format!(
            "What listens on {at} answers {} at /health/ready: a gateway takes no calls while its database is away or it is stopping",
            answer.status().as_u16()
        ))),
        Err(error) => Err(Error::unavailable(format!("No gateway answers on {at}")).because(error.without_url())),
    }
}

/// The Vault of the settings, logged in.
async fn open_vault(config: &Config) -> Result<Option<Arc<Vault>>> {
    let Some(server) = &config.vault else { return Ok(None) };
    serve::install_crypto();
    let vault = Arc::new(Vault::new(server.clone(), Clock::default())?);
    vault.open().await?;
    Ok(Some(vault))
}

async fn secrets_command(config: Config, command: SecretsCommand) -> Result<()> {
    let vault = open_vault(&config).await?;
    let store = Store::open(&config.database, &config.data_dir).await?;
    let done = match command {
        SecretsCommand::RotateKey => rotate(&config, vault.as_deref(), &store).await,
        SecretsCommand::Rewrap => rewrap(vault.as_deref(), &store).await,
        SecretsCommand::Move { to } => move_secrets(&config, vault, &store, to).await,
    };
    store.close().await;
    done
}

async fn rotate(config: &Config, vault: Option<&Vault>, store: &Store) -> Result<()> {
    let rotated = secrets::rotate_key(&config.master_key, vault, store).await?;
    say_rotated(&rotated)?;
    match rotated.kept {
        KeyKept::File => say("A gateway that runs takes the new key by itself. Back the key file up.\n"),
        KeyKept::Given(Some(key)) => say(&format!(
            "The new key, shown this once. Start every gateway again with it:\nSMARTERMCP_MASTER_KEY={}\n",
            key.as_str()
        )),
        KeyKept::Given(None) | KeyKept::Transit => {
            say("It is in the database, wrapped by Vault's Transit key. A gateway that runs takes it by itself.\n")
        }
    }
}

fn say_rotated(rotated: &secrets::Rotated) -> Result<()> {
    let secrets::Rotated { connections, outcomes, .. } = rotated;
    say(&format!(
        "{connections} credentials and {outcomes} kept outcomes are sealed under a new master key.\n"
    ))
}

async fn rewrap(vault: Option<&Vault>, store: &Store) -> Result<()> {
    let (before, now) = secrets::rewrap(vault, store).await?;
    let shown = |version: Option<u64>| version.map_or_else(|| "unknown".to_owned(), |version| version.to_string());
    say(&format!(
        "The database's key was wrapped by version {} of Transit's key, and is by version {}. The key itself is the same.\n",
        shown(before),
        shown(now)
    ))
}

async fn move_secrets(config: &Config, vault: Option<Arc<Vault>>, store: &Store, to: To) -> Result<()> {
    let Some(vault) = vault else {
        return Err(Error::invalid(
            "VAULT_ADDR is not set: say which Vault, and how to log in there (VAULT_TOKEN, or VAULT_ROLE_ID with a secret id)",
        ));
    };
    if !vault.is_here() {
        return Err(Error::unavailable(
            "Vault is away or sealed: nothing was moved. Run this again when it answers",
        ));
    }
    let secrets = Secrets::open(config.master_key.clone(), Some(vault), store).await?;
    let home = match to {
        To::Vault => Home::Vault,
        To::Sealed => Home::Sealed,
    };
    let moved = secrets::move_to(home, &config.master_key, &secrets, store, Clock::default().millis()).await?;
    let place = match home {
        Home::Vault => "in Vault",
        Home::Sealed => "sealed in the database",
    };
    say(&format!(
        "{} credentials were moved and are {place}; {} were there already.\n",
        moved.moved, moved.there_already
    ))?;
    for (connection, why) in &moved.left {
        say(&format!("Left as it was: {connection}: {why}\n"))?;
    }
    if !moved.left.is_empty() {
        return Err(Error::unavailable(format!(
            "{} credentials could not be moved, and the database's key stays where it is. Connect these anew or remove them, and run this again",
            moved.left.len()
        )));
    }
    let Some(rotated) = moved.key else {
        return say("The database's key was there already.\n");
    };
    say_rotated(&rotated)?;
    say(match rotated.kept {
        KeyKept::Transit => {
            "It is in the database, wrapped by Vault's Transit key: every gateway on it needs VAULT_ADDR from now on. The key before it opens backups made before; keep it as long as those.\n"
        }
        KeyKept::File => {
            "It is in the key file: back that up. Unset VAULT_ADDR and start every gateway again, so that new credentials are sealed too.\n"
        }
        KeyKept::Given(_) => {
            "It is the one in SMARTERMCP_MASTER_KEY. Unset VAULT_ADDR and start every gateway again, so that new credentials are sealed too.\n"
        }
    })
}

async fn doctor(file: Option<&Path>, json: bool) -> Result<()> {
    serve::install_crypto();
    let findings = doctor::examine(file).await;
    say(&match json {
        true => format!("{:#}\n", doctor::json(&findings)),
        false => doctor::text(&findings),
    })?;
    match findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count() {
        0 => Ok(()),
        failed => Err(Error::unavailable(format!("{failed} of {} checks failed", findings.len()))),
    }
}

/// PostgreSQL has tools of its own, and everything of it is there.
fn embedded_only(config: &Config) -> Result<()> {
    match config.database {
        Database::Embedded => Ok(()),
        Database::Postgres { .. } => Err(Error::invalid(
            "DATABASE_URL is set, so the state is in PostgreSQL: back it up with pg_dump and restore it with pg_restore, as docs/operating.md says under Backups",
        )),
    }
}

async fn backup(config: &Config, file: &Path, force: bool) -> Result<()> {
    embedded_only(config)?;
    let asked_to_stop = serve::asked_to_stop();
    let facts = tokio::select! {
        written = store::backup::backup(&config.data_dir, file, force) => written?,
        // Dropped in the middle, it removes what it had written.
        () = asked_to_stop => return Err(Error::unavailable("Stopped; no backup was written")),
    };
    if facts.key_is_wrapped {
        return say(&format!(
            "{}: {}, checked.\nIts master key {} is in it, wrapped by Vault's Transit key, and nothing opens without that Vault. Credentials in Vault are not in it: back Vault up too, and keep the versions that this backup names.\n",
            file.display(),
            held(&facts),
            facts.key_id,
        ));
    }
    let key = match &config.master_key {
        MasterKeySource::Given(_) => "the one in SMARTERMCP_MASTER_KEY".to_owned(),
        MasterKeySource::File(path) => path.display().to_string(),
    };
    say(&format!(
        "{}: {}, checked.\nThe master key {} is not in it, and nothing opens without it: {key}. Keep a copy of that key in another place than the backup; together they open every credential.\n",
        file.display(),
        held(&facts),
        facts.key_id,
    ))
}

async fn restore(config: &Config, file: &Path) -> Result<()> {
    embedded_only(config)?;
    serve::make_folder(&config.data_dir)?;
    let _lock = serve::lock(&config.data_dir)?;
    let vault = open_vault(config).await?;
    let restored = store::backup::restore(
        &config.data_dir,
        file,
        &config.master_key,
        vault.as_deref(),
        Clock::default().millis(),
    )
    .await?;
    say(&format!("Restored {}: {}.\n", file.display(), held(&restored.facts)))?;
    if let Some(aside) = &restored.aside {
        say(&format!(
            "The database that was here is kept as {}, with the audit entries and the usage since the backup. Remove it when you no longer need it.\n",
            aside.display()
        ))?;
    }
    if restored.cut_off > 0 {
        say(&format!(
            "{} calls with an idempotency key had not ended when the backup was made; their keys answer outcome_unknown.\n",
            restored.cut_off
        ))?;
    }
    if !restored.valid_again.is_empty() {
        say(&format!(
            "{} tokens were revoked after the backup and work again; revoke them anew with `smartermcp token revoke ID`:\n{}\n",
            restored.valid_again.len(),
            restored.valid_again.join("\n")
        ))?;
    }
    say("Idempotency keys that were used after the backup are forgotten: a client that repeats such a call runs it again.\n")
}

fn held(facts: &store::backup::Facts) -> String {
    format!(
        "{} bytes, schema {}, {} tenants, {} tokens, {} connections",
        facts.bytes, facts.schema, facts.tenants, facts.tokens, facts.connections
    )
}

async fn at_console(state: &Arc<State>, command: Command) -> Result<()> {
    serve::first_start_tenant(state).await?;
    let (tool, input) = match command {
        Command::Migrate => return say("The database's schema is up to date.\n"),
        Command::Token(TokenCommand::Create(create)) if create.operator => return replace_operators(state).await,
        Command::Token(command) => token(command),
        Command::Tenant(command) => tenant(command),
        Command::Connection(command) => connection(command)?,
        Command::Switch(command) => switch(command),
        Command::Serve
        | Command::Demo { .. }
        | Command::Stdio { .. }
        | Command::Openapi
        | Command::Doctor { .. }
        | Command::Health
        | Command::Secrets(_)
        | Command::Backup { .. }
        | Command::Restore { .. } => {
            return Err(Error::internal("a command of its own reached the console"));
        }
    };
    let answer = console(state, Caller::console(None), tool, input).await?;
    say(&format!("{answer:#}\n"))
}

fn token(command: TokenCommand) -> (&'static str, Value) {
    match command {
        TokenCommand::Create(create) => (
            "tokens_create",
            given(json!({
                "name": create.name, "scopes": create.scopes, "tenant_id": create.tenant, "expires_at": create.expires_at, "agent": create.agent,
            })),
        ),
        TokenCommand::List { tenant } => ("tokens_list", given(json!({ "tenant_id": tenant, "limit": 200 }))),
        TokenCommand::Revoke { id } => ("tokens_revoke", json!({ "id": id })),
        TokenCommand::Rotate { id, overlap_secs } => ("tokens_rotate", given(json!({ "id": id, "overlap_secs": overlap_secs }))),
    }
}

fn tenant(command: TenantCommand) -> (&'static str, Value) {
    match command {
        TenantCommand::Create {
            name,
            slug,
            plan,
            region,
            rut,
            time_zone,
            backend_allow,
        } => (
            "tenants_create",
            given(json!({
                "name": name, "slug": slug, "plan": plan, "region": region, "rut": rut, "time_zone": time_zone, "backend_allow": backend_allow,
            })),
        ),
        TenantCommand::List => ("tenants_list", json!({ "limit": 200 })),
        TenantCommand::Suspend { tenant } => ("tenants_update", json!({ "id": tenant, "status": "suspended" })),
        TenantCommand::Resume { tenant } => ("tenants_update", json!({ "id": tenant, "status": "active" })),
        TenantCommand::Delete { tenant } => ("tenants_delete", json!({ "id": tenant })),
    }
}

fn connection(command: ConnectionCommand) -> Result<(&'static str, Value)> {
    Ok(match command {
        ConnectionCommand::Set {
            tenant,
            backend,
            url,
            credential,
        } => {
            let credential: Value = serde_json::from_str(&read(&credential)?).map_err(|_| Error::invalid("--credential: is no JSON"))?;
            (
                "connections_set",
                json!({ "tenant_id": tenant, "backend": backend, "url": url, "credential": credential }),
            )
        }
        ConnectionCommand::Test { tenant, backend } => ("connections_test", json!({ "tenant_id": tenant, "backend": backend })),
        ConnectionCommand::List { tenant } => ("connections_list", json!({ "tenant_id": tenant })),
        ConnectionCommand::Remove { tenant, backend } => ("connections_remove", json!({ "tenant_id": tenant, "backend": backend })),
    })
}

fn switch(command: SwitchCommand) -> (&'static str, Value) {
    match command {
        SwitchCommand::Off {
            tenant,
            backend,
            tool,
            reason,
        } => (
            "switches_create",
            given(json!({ "tenant_id": tenant, "backend": backend, "tool": tool, "reason": reason })),
        ),
        SwitchCommand::On { id } => ("switches_remove", json!({ "id": id })),
        SwitchCommand::List => ("switches_list", json!({})),
    }
}

/// Calls a tool as the operator at the console.
///
/// # Errors
/// As the tool fails.
pub async fn console(state: &Arc<State>, caller: Caller, tool: &str, input: Value) -> Result<Value> {
    let call = Call {
        caller,
        tool: tool.to_owned(),
        input: Input::Json(input.to_string().into()),
        key: Ok(None),
        door: Door::Console,
        trace: None,
        request_id: id::ordered().to_string().into(),
        notifier: Notifier::default(),
    };
    match dispatch::call(state, call).await.outcome? {
        Rendered::Object(object) => serde_json::from_str(object.get()).map_err(Error::internal),
        Rendered::Content(content) => Ok(Value::Array(content.blocks)),
    }
}

/// Issues a token of the operator and revokes those that were stored before.
async fn replace_operators(state: &State) -> Result<()> {
    let now = state.clock.millis();
    let mut tx = state.store.write(Reach::Operator).await?;
    let revoked = store::tokens::revoke_operators(&mut tx, now).await?;
    for id in &revoked {
        changes::record(&mut tx, changes::Kind::Token, &id.to_string(), now).await?;
    }
    let token = issue_operators(&mut tx, now, "console").await?;
    tx.commit().await?;
    say(&format!("{}\n", token.as_str()))?;
    if state.config.admin_token.is_some() {
        return say("SMARTERMCP_ADMIN_TOKEN is set too, and goes on working: change it if it was lost.\n");
    }
    Ok(())
}

/// Leaves out what was not given.
fn given(input: Value) -> Value {
    match input {
        Value::Object(object) => Value::Object(object.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>()),
        other => other,
    }
}

fn read(file: &str) -> Result<zeroize::Zeroizing<String>> {
    let mut text = zeroize::Zeroizing::new(String::new());
    let done = match file {
        "-" => std::io::stdin().read_to_string(&mut text),
        path => std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    done.map_err(|error| Error::invalid(format!("--credential: '{file}' cannot be read ({error})")))?;
    Ok(text)
}

fn say(text: &str) -> Result<()> {
    let mut out = std::io::stdout();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Error::internal)
}

/// Both halves of an error: at the console, the operator reads it.
fn explained(error: &Error) -> String {
    match error.source() {
        Some(_) => format!("{} ({})", error.message(), error.cause()),
        None => error.message().to_owned(),
    }
}

fn fail(message: &str) -> ExitCode {
    // A closed terminal is no reason for another failure.
    let _ = writeln!(std::io::stderr(), "smartermcp: {message}");
    ExitCode::FAILURE
}
