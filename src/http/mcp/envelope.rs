//! The envelope: a JSON-RPC request, parsed once and borrowed from its bytes, and the revision that it is served by.
//!
//! Which error is which follows 2026-07-28, Streamable HTTP (Server Validation) and Versioning, and JSON-RPC 2.0 §5.1.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

pub const PARSE_ERROR: i32 = -32700;
pub const INVALID_REQUEST: i32 = -32600;
pub const INVALID_PARAMS: i32 = -32602;
const HEADER_MISMATCH: i32 = -32020;
const UNSUPPORTED_VERSION: i32 = -32022;

/// The stateless revision, where every request says what it is.
pub const MODERN: &str = "2026-07-28";
/// The revisions with a handshake, newest first. What is advertised to all: these and [`MODERN`].
pub const LEGACY: [&str; 3] = ["2025-11-25", "2025-06-18", "2025-03-26"];

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

/// How a request is served: decided for each anew, never per connection or token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    Legacy,
    Modern,
}

/// A fault of the protocol, answered as a JSON-RPC error.
#[derive(Debug)]
pub struct Fault {
    pub status: StatusCode,
    pub code: i32,
    pub message: Cow<'static, str>,
    pub data: Option<Value>,
}

impl Fault {
    pub fn new(status: StatusCode, code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            data: None,
        }
    }

    fn bad(code: i32, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }
}

/// A request. Everything in it points into the body.
#[derive(Debug)]
pub struct Envelope<'a> {
    pub id: &'a RawValue,
    pub method: Cow<'a, str>,
    params: Option<&'a RawValue>,
    meta: Option<Meta<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

/// `null` as it is written: an id of null is wrong, where none at all makes a notification.
fn even_null<'de: 'a, 'a, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// What a request says of itself in `params._meta`.
#[derive(Debug, Default, Deserialize)]
pub struct Meta<'a> {
    #[serde(borrow, default, rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/clientCapabilities")]
    client_capabilities: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "io.modelcontextprotocol/logLevel")]
    pub log_level: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "progressToken")]
    pub progress_token: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub traceparent: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub tracestate: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "cl.smarterbot/idempotencyKey")]
    pub idempotency_key: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WithMeta<'a> {
    #[serde(borrow, default, rename = "_meta")]
    meta: Option<&'a RawValue>,
}

/// The parameters of `tools/call`.
#[derive(Debug, Deserialize)]
pub struct ToolCall<'a> {
    #[serde(borrow)]
    pub name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
}

impl<'a> Envelope<'a> {
    /// Reads a request; `None` for a notification.
    pub fn parse(body: &'a [u8]) -> Result<Option<Self>, Fault> {
        let text = std::str::from_utf8(body).map_err(|_| Fault::bad(PARSE_ERROR, "Parse error: the body is no UTF-8"))?;
        let first = text.trim_start().as_bytes().first().copied();
        if first == Some(b'[') && serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok() {
            return Err(Fault::bad(
                INVALID_REQUEST,
                "Invalid request: batches are not part of the protocol since 2025-06-18; send one request at a time",
            ));
        }
        let message: Message<'a> = match serde_json::from_str(text) {
            Ok(message) => message,
            Err(error) if error.is_data() => return Err(Fault::bad(INVALID_REQUEST, format!("Invalid request: {error}"))),
            Err(error) => return Err(Fault::bad(PARSE_ERROR, format!("Parse error: {error}"))),
        };
        if message.jsonrpc.as_deref() != Some("2.0") {
            return Err(Fault::bad(INVALID_REQUEST, "Invalid request: jsonrpc must be \"2.0\""));
        }
        let Some(method) = message.method else {
            return Err(Fault::bad(
                INVALID_REQUEST,
                "Invalid request: there is no method, and this server sends no requests that could be answered",
            ));
        };
        let Some(id) = message.id else { return Ok(None) };
        if !id
            .get()
            .starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit())
        {
            return Err(Fault::bad(INVALID_REQUEST, "Invalid request: id must be a string or a number"));
        }
        let meta = match message.params {
            None => None,
            Some(params) => {
                let with_meta: WithMeta<'a> = serde_json::from_str(params.get())
                    .map_err(|_| Fault::new(StatusCode::OK, INVALID_PARAMS, "Invalid params: must be an object"))?;
                with_meta
                    .meta
                    .map(|meta| serde_json::from_str(meta.get()))
                    .transpose()
                    .map_err(|_| Fault::bad(INVALID_PARAMS, "Invalid params: _meta must be an object"))?
            }
        };
        Ok(Some(Self {
            id,
            method,
            params: message.params,
            meta,
        }))
    }

    pub fn meta(&self) -> Option<&Meta<'a>> {
        self.meta.as_ref()
    }

    /// The parameters, which are an object where there are any.
    pub fn params(&self) -> Option<&'a RawValue> {
        self.params
    }

    /// The parameters, as those of `tools/call`.
    pub fn tool_call(&self) -> Result<ToolCall<'a>, Fault> {
        let invalid = |message: String| Fault::new(StatusCode::OK, INVALID_PARAMS, message);
        let params = self.params.ok_or_else(|| invalid("Invalid params: name is missing".to_owned()))?;
        let call: ToolCall<'a> = serde_json::from_str(params.get()).map_err(|error| invalid(format!("Invalid params: {error}")))?;
        if call
            .arguments
            .is_some_and(|arguments| !arguments.get().starts_with('{') && arguments.get() != "null")
        {
            return Err(invalid("Invalid params: arguments must be an object".to_owned()));
        }
        Ok(call)
    }

    /// The revision that this request is served by, and whether its headers agree with its body.
    pub fn era(&self, headers: &HeaderMap) -> Result<Era, Fault> {
        let header = headers.get(PROTOCOL_VERSION).map(|value| value.to_str().unwrap_or("?").trim());
        let said = self.meta.as_ref().and_then(|meta| meta.protocol_version);
        let Some(said) = said else {
            return match header {
                None | Some("2024-11-05") => Ok(Era::Legacy),
                Some(version) if LEGACY.contains(&version) => Ok(Era::Legacy),
                Some(MODERN) => Err(Fault::bad(
                    INVALID_PARAMS,
                    "Invalid params: _meta is missing or has malformed required fields: io.modelcontextprotocol/protocolVersion",
                )),
                Some(version) => Err(unsupported(version)),
            };
        };
        let version: Cow<'_, str> = serde_json::from_str(said.get()).map_err(|_| {
            Fault::bad(
                INVALID_PARAMS,
                "Invalid params: io.modelcontextprotocol/protocolVersion must be a string",
            )
        })?;
        if header != Some(&*version) {
            return Err(mismatch("MCP-Protocol-Version"));
        }
        if version != MODERN {
            return if LEGACY.contains(&&*version) {
                Ok(Era::Legacy)
            } else {
                Err(unsupported(&version))
            };
        }
        let capable = self
            .meta
            .as_ref()
            .and_then(|meta| meta.client_capabilities)
            .is_some_and(|value| value.get().starts_with('{'));
        if !capable {
            return Err(Fault::bad(
                INVALID_PARAMS,
                "Invalid params: _meta is missing or has malformed required fields: io.modelcontextprotocol/clientCapabilities",
            ));
        }
        if named(headers, &MCP_METHOD).as_deref() != Some(&*self.method) {
            return Err(mismatch("Mcp-Method"));
        }
        Ok(Era::Modern)
    }
}

/// Whether `Mcp-Name` names the tool that the body does.
pub fn check_name(headers: &HeaderMap, name: &str) -> Result<(), Fault> {
    if named(headers, &MCP_NAME).as_deref() == Some(name) {
        Ok(())
    } else {
        Err(mismatch("Mcp-Name"))
    }
}

/// The one value of a header, decoded where it is written as `=?base64?…?=`.
fn named(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?.trim();
    if values.next().is_some() {
        return None;
    }
    match value.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => String::from_utf8(STANDARD.decode(encoded).ok()?).ok(),
        None => Some(value.to_owned()),
    }
}

fn mismatch(header: &str) -> Fault {
    Fault::bad(
        HEADER_MISMATCH,
        format!("Header mismatch: {header} is missing or differs from the body"),
    )
}

fn unsupported(version: &str) -> Fault {
    let requested: String = version.chars().take(64).collect();
    let supported: Vec<_> = [MODERN].into_iter().chain(LEGACY).collect();
    let mut fault = Fault::bad(UNSUPPORTED_VERSION, format!("Unsupported protocol version: {requested}"));
    fault.data = Some(json!({ "supported": supported, "requested": requested }));
    fault
}
