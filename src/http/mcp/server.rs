//! The methods besides `tools/call` and `tools/list`: initialize, discover and ping, on rmcp's wire.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CacheScope, CompleteRequestParams, CompleteResult, DiscoverResult, Implementation, InitializeRequestParams, InitializeResult,
        ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, PaginatedRequestParams, ProtocolVersion, ServerCapabilities,
        ServerConfig, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager},
};
use serde_json::{Map, Value};

use super::super::listing;
use crate::{state::State, tool::Definition};

/// How long a client may keep what it was told, in milliseconds.
const DISCOVER_TTL_MS: u64 = 300_000;
const INSTRUCTIONS: &str = "SmarterMCP reaches the business services of one tenant: workflows, CRM, support, bots, analytics, containers. \
The list of tools holds what this token may use. A failed call says in its text what to change. \
A write may carry _meta[\"cl.smarterbot/idempotencyKey\"], so that repeating it does not do it twice.";

static INFO: LazyLock<Implementation> = LazyLock::new(|| {
    let mut info = Implementation::new("smartermcp", env!("CARGO_PKG_VERSION"));
    info.title = Some("SmarterMCP".to_owned());
    info
});
static INFO_JSON: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(&*INFO).unwrap_or_default());
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// Who answers, for the `_meta` of every result.
pub fn info_json() -> &'static Value {
    &INFO_JSON
}

/// A tool as `tools/list` shows it.
pub fn tool(definition: &Definition) -> Tool {
    let object = |value: &Value| Arc::new(value.as_object().cloned().unwrap_or_default());
    let mut tool = Tool::new(definition.name, definition.description.clone(), object(definition.input.schema()));
    tool.title = Some(definition.title.to_owned());
    tool.output_schema = definition.output_schema.as_ref().map(object);
    tool.annotations = serde_json::from_value(listing::annotations(definition)).ok();
    tool
}

/// The service for one request: stateless, JSON answers. Host, Origin and size were checked before.
pub fn service(state: &Arc<State>) -> StreamableHttpService<Server, NeverSessionManager> {
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let state = Arc::clone(state);
    StreamableHttpService::new(
        move || Ok(Server { state: Arc::clone(&state) }),
        Arc::new(NeverSessionManager::default()),
        config,
    )
}

#[derive(Clone)]
pub struct Server {
    state: Arc<State>,
}

impl Server {
    fn capabilities(&self) -> ServerCapabilities {
        let mut capabilities = ServerCapabilities::default();
        // No listChanged: without a session there is no stream to push on.
        capabilities.tools = Some(rmcp::model::ToolsCapability::default());
        if self.state.catalogue.logs() {
            capabilities.logging = Some(Map::new());
        }
        capabilities
    }
}

/// A method of a capability that is not offered.
fn no_method<T>(method: &'static str) -> Result<T, ErrorData> {
    Err(ErrorData::new(rmcp::model::ErrorCode::METHOD_NOT_FOUND, method, None))
}

type Context = RequestContext<RoleServer>;

#[expect(deprecated, reason = "logging is deprecated since 2026-07-28, and 2025 clients have it")]
type SetLevel = rmcp::model::SetLevelRequestParams;

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut config = ServerConfig::new(self.capabilities()).with_instructions(INSTRUCTIONS);
        config.server_info = INFO.clone();
        config
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        const SUPPORTED: &[ProtocolVersion] = &[
            ProtocolVersion::V_2025_03_26,
            ProtocolVersion::V_2025_06_18,
            ProtocolVersion::V_2025_11_25,
            ProtocolVersion::V_2026_07_28,
        ];
        Cow::Borrowed(SUPPORTED)
    }

    async fn initialize(&self, request: InitializeRequestParams, context: Context) -> Result<InitializeResult, ErrorData> {
        context.peer.set_peer_info(request.clone());
        self.negotiate_initialize(&request)
    }

    async fn discover(&self, _: Context) -> Result<DiscoverResult, ErrorData> {
        let mut result = DiscoverResult::from_server_info(self.supported_protocol_versions().into_owned(), self.get_info());
        result.ttl_ms = DISCOVER_TTL_MS;
        result.cache_scope = CacheScope::Private;
        Ok(result)
    }

    async fn set_level(&self, _: SetLevel, _: Context) -> Result<(), ErrorData> {
        if self.state.catalogue.logs() {
            Ok(())
        } else {
            no_method("logging/setLevel")
        }
    }

    // rmcp answers these with empty lists unless told otherwise; a capability that is not offered has no methods.

    async fn complete(&self, _: CompleteRequestParams, _: Context) -> Result<CompleteResult, ErrorData> {
        no_method("completion/complete")
    }

    async fn list_prompts(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListPromptsResult, ErrorData> {
        no_method("prompts/list")
    }

    async fn list_resources(&self, _: Option<PaginatedRequestParams>, _: Context) -> Result<ListResourcesResult, ErrorData> {
        no_method("resources/list")
    }

    async fn list_resource_templates(
        &self,
        _: Option<PaginatedRequestParams>,
        _: Context,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        no_method("resources/templates/list")
    }
}
