//! Clients of APIs: TypeScript, JavaScript or Python out of a service's `OpenAPI` document, the same each time, by no model.
//!
//! The document is somebody else's word. What is taken from it is a name (letters, digits, `_`), a literal (written as JSON is, which
//! all three languages read alike) or a remark that cannot leave its comment: none of it becomes code.

mod api;
mod python;
mod script;

use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    auth::Scope,
    backends::{Connected as _, Session, docs, n8n::N8n},
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<GenerateClient>()]
}

/// The largest client. What is longer is not written to its end, and refused.
const BYTES_MAX: usize = 2 * 1024 * 1024;

/// Generate a client for a service's API, from its `OpenAPI` document: one file that needs no dependency, with a method for each operation.
///
/// It works for `smartermcp` (this gateway), for connected backends that show such a document (`n8n`, `supabase`, `metabase`), and for the tenant's own
/// services, as `services_list` names them, that serve one below their url. TypeScript and JavaScript use fetch, Python urllib; credentials are given to
/// the client when it is made. Example: `{"service_id": "smartermcp", "language": "python"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GenerateClient {
    /// The service, e.g. `n8n`, `supabase`, `smartermcp`, or one of the tenant's own such as `tienda`.
    #[schemars(length(min = 1, max = 128))]
    service_id: String,
    /// The language; `typescript` unless said.
    language: Option<Language>,
}

/// What a client is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Language {
    #[default]
    Typescript,
    Python,
    Javascript,
}

/// The client.
#[derive(Serialize, JsonSchema)]
struct Client {
    language: Language,
    files: Vec<File>,
    /// How many operations it has.
    operations: usize,
    /// How many operations of the document it does not have, because there are too many; absent for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<usize>,
}

/// A file of the client.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct File {
    /// Where it belongs, e.g. `client.ts`.
    pub(super) path: String,
    pub(super) content: String,
}

impl Tool for GenerateClient {
    const NAME: &'static str = "generate_api_client";
    const TITLE: &'static str = "Generate an API client";
    const ROUTE: Route = Route::post("/generate/api-client").reads();
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::CodeGeneration;
    type Backend = Opened;
    type Output = Client;

    async fn call(self, Opened(session): &Opened) -> Result<Client> {
        let id = &self.service_id;
        let mut document = docs::openapi_of(session, id).await?.ok_or_else(|| {
            Error::not_found(format!(
                "service_id: '{id}' shows no OpenAPI document. These may: smartermcp, the connected ones of n8n, supabase and metabase, and services of services_list that serve /openapi.json below their url"
            ))
        })?;
        if let Some(at) = connected_at(session, id).await {
            based_at(&mut document, &at);
        }
        let language = self.language.unwrap_or_default();
        let api = api::read(&document, id)?;
        let files = written(&api, language)?;
        Ok(Client {
            language,
            files,
            operations: api.operations.len(),
            left_out: Some(api.left_out).filter(|left_out| *left_out > 0),
        })
    }
}

/// The call itself: which backend it needs is only said by the call.
struct Opened(Session);

impl crate::backends::Backend for Opened {
    const KIND: Option<&'static str> = None;
    const OUTSIDE: bool = true;

    async fn open(session: Session) -> Result<Self> {
        Ok(Self(session))
    }
}

/// The address of a backend whose document says only where it is below that, as the tenant has connected it.
async fn connected_at(session: &Session, id: &str) -> Option<Url> {
    let kind = [N8n::NAME, "metabase"].into_iter().find(|kind| *kind == id)?;
    Some(session.connection(kind).await.ok()?.url.clone())
}

/// Says where a backend is in its document, where that says it only in part.
fn based_at(document: &mut Value, at: &Url) {
    let base = at.as_str().trim_end_matches('/');
    let given = document.pointer("/servers/0/url").and_then(Value::as_str);
    let url = match given {
        Some(path) if path.starts_with('/') => format!("{base}{path}"),
        Some(_) => return,
        None => base.to_owned(),
    };
    document["servers"] = serde_json::json!([{ "url": url }]);
}

/// A client for an API that a document describes.
///
/// # Errors
/// When the document is none of `OpenAPI`, has no operations, or the client would be too large.
#[cfg(test)]
pub(super) fn from_openapi(document: &Value, language: Language, name: &str) -> Result<Vec<File>> {
    written(&api::read(document, name)?, language)
}

fn written(api: &api::Api, language: Language) -> Result<Vec<File>> {
    let files = match language {
        Language::Typescript => script::files(api, true),
        Language::Javascript => script::files(api, false),
        Language::Python => python::files(api),
    };
    if files.iter().map(|file| file.content.len()).sum::<usize>() > BYTES_MAX {
        return Err(Error::new(
            Kind::BackendRefused,
            "service_id: the document of the service is too large for a client",
        ));
    }
    Ok(files)
}

/// A text as all three languages write it: JSON's form, with what would turn a line about, or end it, written as escapes.
fn literal(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    for letter in serde_json::to_string(text).unwrap_or_default().chars() {
        match letter {
            '\u{7f}'..='\u{a0}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => {
                let _ = write!(literal, "\\u{:04x}", u32::from(letter));
            }
            letter => literal.push(letter),
        }
    }
    literal
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Language, from_openapi};

    fn all(document: &Value) -> Vec<String> {
        [Language::Typescript, Language::Javascript, Language::Python]
            .into_iter()
            .map(|language| from_openapi(document, language, "svc").unwrap().remove(0).content)
            .collect()
    }

    #[test]
    fn both_kinds_of_document_give_the_same_operations() {
        let three = json!({
            "openapi": "3.1.0", "info": { "title": "Tienda" }, "servers": [{ "url": "https://tienda.cl/api" }],
            "paths": { "/orders/{id}": { "get": {
                "operationId": "get_order", "parameters": [{ "name": "id", "in": "path", "schema": { "type": "integer" } }],
                "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Order" } } } } },
            } } },
            "components": { "schemas": { "Order": { "type": "object", "properties": { "total": { "type": ["number", "null"] } } } } },
        });
        let two = json!({
            "swagger": "2.0", "info": { "title": "Tienda" }, "host": "tienda.cl", "basePath": "/api", "schemes": ["https"],
            "paths": { "/orders/{id}": { "get": {
                "operationId": "get_order", "parameters": [{ "name": "id", "in": "path", "type": "integer" }],
                "responses": { "200": { "schema": { "$ref": "#/definitions/Order" } } },
            } } },
            "definitions": { "Order": { "type": "object", "properties": { "total": { "type": ["number", "null"] } } } },
        });
        for (three, two) in all(&three).into_iter().zip(all(&two)) {
            assert_eq!(three, two);
        }
        let typescript = &all(&three)[0];
        assert!(
            typescript.contains("getOrder(args: { id: number }): Promise<Order>"),
            "{typescript}"
        );
        assert!(typescript.contains("\"total\"?: (number | null);"), "{typescript}");
        let python = &all(&three)[2];
        assert!(python.contains("def get_order(self, *, id: float) -> \"Order\":"), "{python}");
    }

    #[test]
    fn what_a_document_says_never_becomes_code() {
        let hostile = "x */ process.exit(1) // \"\"\" ' \n\r\u{2028}import os; os.system('id') `${1}` \\ @ts-nocheck";
        let document = json!({
            "openapi": "3.0.0", "info": { "title": hostile }, "servers": [{ "url": "https://x.cl/'); evil(" }],
            "paths": { format!("/a/{hostile}/{{{hostile}}}"): { "post": {
                "operationId": hostile, "summary": hostile, "description": hostile,
                "parameters": [{ "name": hostile, "in": "query", "schema": { "enum": [hostile] } }, { "name": hostile, "in": "header" }],
                "requestBody": { "content": { "application/json": { "schema": { "type": "object", "properties": { hostile: { "const": hostile } } } } } },
            } } },
            "components": { "securitySchemes": { "k": { "type": "apiKey", "in": "header", "name": hostile } } },
        });
        for code in all(&document) {
            for line in code
                .lines()
                .filter(|line| line.contains("process.exit") || line.contains("os.system"))
            {
                let line = line.trim_start();
                let quoted = line.contains("\\\"\\\"\\\"") && line.contains("\\n");
                let remark = line.starts_with("/*") && line.ends_with("*/") && line.matches("*/").count() == 1;
                let text = line.starts_with('"') && (line.ends_with('"') || line.ends_with(','));
                assert!(quoted || remark || text, "{line}");
            }
            assert!(!code.contains('\u{2028}') && !code.contains("@ts-nocheck */"));
        }
    }

    #[test]
    fn references_in_a_circle_and_nests_without_end_are_harmless() {
        let mut deep = json!({ "type": "string" });
        for _ in 0..100 {
            deep = json!({ "type": "array", "items": deep });
        }
        let wide: Vec<_> = (0..30).map(|_| json!({ "$ref": "#/components/schemas/Wide" })).collect();
        let document = json!({
            "openapi": "3.0.0", "info": {},
            "paths": { "/a": {
                "get": { "operationId": "same", "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } } } },
                "put": { "operationId": "same", "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Wide" } } } } } },
                "post": { "operationId": "delete", "responses": { "200": { "$ref": "#/paths/~1a/post/responses/200" } } },
            } },
            "components": { "schemas": {
                "A": { "$ref": "#/components/schemas/B" }, "B": { "anyOf": [{ "$ref": "#/components/schemas/A" }, { "type": "string" }] },
                "Wide": { "allOf": wide, "properties": { "deep": deep } },
            } },
        });
        let codes = all(&document);
        assert!(
            codes[0].contains("  same()") && codes[0].contains("  same2()") && codes[0].contains("  delete_()"),
            "{}",
            codes[0]
        );
        assert!(codes[0].contains("export type A = ") && codes[0].len() < 20_000);
    }

    #[test]
    fn an_address_that_grows_out_of_its_variables_is_left_away() {
        let chain: serde_json::Map<_, _> = (0..26u8)
            .map(|index| {
                let (name, next) = (char::from(b'a' + index), char::from(b'b' + index));
                (name.to_string(), json!({ "default": format!("{{{next}}}").repeat(90) }))
            })
            .collect();
        for server in [
            json!({ "url": "{a}".repeat(90_000), "variables": { "a": { "default": "x".repeat(600_000) } } }),
            json!({ "url": "https://x.cl/{a}", "variables": { "a": { "default": "x".repeat(600_000) } } }),
            json!({ "url": "https://x.cl/{a}", "variables": chain }),
        ] {
            let document = json!({ "openapi": "3.0.0", "servers": [server], "paths": { "/a": { "get": {} } } });
            let code = from_openapi(&document, Language::Javascript, "svc").unwrap().remove(0).content;
            assert!(code.contains("const BASE_URL = \"\";") && code.len() < 20_000);
        }
        let document = json!({
            "openapi": "3.0.0", "servers": [{ "url": "https://{host}/{v}", "variables": { "host": { "default": "x.cl" }, "v": { "default": "v1" } } }],
            "paths": { "/a": { "get": {} } },
        });
        assert!(all(&document)[0].contains("const BASE_URL = \"https://x.cl/v1\";"));
    }

    #[test]
    fn what_many_objects_are_made_of_is_read_within_bounds() {
        // Each of the objects has all choices of each of its parts.
        let choices: Vec<_> = (0..30).map(|index| format!("{index:0300}")).collect();
        let parts: serde_json::Map<_, _> = (0..25)
            .map(|index| {
                (
                    format!("p{index}"),
                    json!({ "required": vec!["r"; 1000], "properties": { format!("f{index}"): { "enum": choices } } }),
                )
            })
            .collect();
        let references: Vec<_> = (0..25)
            .map(|index| json!({ "$ref": format!("#/components/schemas/p{index}") }))
            .collect();
        let fields: serde_json::Map<_, _> = (0..150)
            .map(|index| (format!("o{index}"), json!({ "allOf": references })))
            .collect();
        let mut document = json!({
            "openapi": "3.0.0", "paths": { "/a": { "post": {
                "requestBody": { "content": { "application/json": { "schema": { "properties": fields } } } },
            } } },
            "components": { "schemas": parts },
        });
        let api = super::api::read(&document, "svc").unwrap();
        // Without a bound it would be 34 MB.
        assert!(format!("{:?}", api.operations).len() < 4 * super::BYTES_MAX);
        let refused = from_openapi(&document, Language::Typescript, "svc").unwrap_err();
        assert!(refused.message().contains("too large for a client"), "{}", refused.message());
        assert!(from_openapi(&document, Language::Javascript, "svc").is_ok(), "it has no types");

        // A form of Swagger, of a parameter whose name is no name.
        document["swagger"] = "2.0".into();
        document["parameters"] = json!({ "long": { "in": "formData", "name": "n".repeat(500_000), "type": "string" } });
        document["paths"] = (0..100)
            .map(|index| {
                (
                    format!("/{index}"),
                    json!({ "post": { "parameters": vec![json!({ "$ref": "#/parameters/long" }); 50] } }),
                )
            })
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert!(all(&document).iter().all(|code| code.len() < 100_000));
    }

    #[test]
    fn a_client_that_is_too_large_is_not_written_to_its_end() {
        let parameters: Vec<_> = (0..50)
            .map(|index| json!({ "name": format!("{index:03}{}", "\u{1}".repeat(297)), "in": "query" }))
            .collect();
        let item = json!({ "parameters": parameters, "get": {} });
        let paths: serde_json::Map<_, _> = (0..400).map(|index| (format!("/{index}"), item.clone())).collect();
        let api = super::api::read(&json!({ "openapi": "3.0.0", "paths": paths }), "svc").unwrap();
        assert_eq!(api.operations.len(), 400);
        for files in [
            super::script::files(&api, true),
            super::script::files(&api, false),
            super::python::files(&api),
        ] {
            let length = files[0].content.len();
            assert!((super::BYTES_MAX..super::BYTES_MAX + 200_000).contains(&length), "{length}");
        }
        assert!(super::written(&api, Language::Python).is_err());
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for document in [
            json!({}),
            json!([]),
            json!({ "openapi": "3.0.0" }),
            json!({ "openapi": "3.0.0", "paths": { "/a": {} } }),
        ] {
            assert!(from_openapi(&document, Language::Python, "svc").is_err());
        }
    }
}
