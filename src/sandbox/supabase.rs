//! A played Supabase: the Data API's description of the shop's tables, and the gateway before it that looks at keys.
//!
//! The description is made as `PostgREST` makes it (`PostgREST/Response/OpenAPI.hs`, 12 to 14): a definition for each table and view
//! of one schema, keys in notes. The refusals of keys are those that were seen at hosted projects in 2026, and of Kong's `acl` for
//! those that people host themselves. No row is served: nothing here asks for one.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    extract::{Request, State as Shared},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use super::faults::Faults;

/// The version that the played `PostgREST` says it is.
const VERSION: &str = "14.5";
/// A key that every project has, for what is public.
pub const PUBLISHABLE: &str = "sb_publishable_7hD2kqfY1mZb0sX4vN8c_pT3wQ9aL";
/// How many requests are remembered.
const ASKED_MAX: usize = 1000;

/// A project. Clones share it.
#[derive(Clone, Debug)]
pub struct Project(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: String,
    stands: Stands,
    schemas: Vec<(&'static str, &'static [Table])>,
    asked: Mutex<Vec<Asked>>,
    faults: Faults,
}

/// What stands before the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// Supabase's own gateway.
    Hosted,
    /// Kong, where somebody runs Supabase himself.
    SelfHosted,
    /// Nothing: a `PostgREST` that stands alone, at the root.
    Alone,
    /// The same, which does not describe its tables (`openapi-mode = disabled`).
    Silent,
    /// Supabase's own gateway, before a schema that the key's role may not use.
    Denied,
}

/// A request that came, whatever was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    pub path: String,
    pub api_key: Option<String>,
    pub authorization: Option<String>,
    pub accept: Option<String>,
    pub profile: Option<String>,
}

/// A table or view, as the description has it.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    pub name: &'static str,
    pub comment: Option<&'static str>,
    pub columns: &'static [Column],
    /// A view takes no rows here.
    pub is_view: bool,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    name: &'static str,
    /// As `PostgreSQL` calls it.
    kind: &'static str,
    nullable: bool,
    is_key: bool,
    references: Option<(&'static str, &'static str)>,
    default: Option<&'static str>,
    comment: Option<&'static str>,
}

/// A column that is never null.
pub const fn column(name: &'static str, kind: &'static str) -> Column {
    Column {
        name,
        kind,
        nullable: false,
        is_key: false,
        references: None,
        default: None,
        comment: None,
    }
}

impl Column {
    #[must_use]
    pub const fn null(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Part of the primary key.
    #[must_use]
    pub const fn key(mut self) -> Self {
        self.is_key = true;
        self
    }

    #[must_use]
    pub const fn of(mut self, table: &'static str, column: &'static str) -> Self {
        self.references = Some((table, column));
        self
    }

    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    #[must_use]
    pub const fn says(mut self, comment: &'static str) -> Self {
        self.comment = Some(comment);
        self
    }
}

const TIME: &str = "timestamp with time zone";

/// The tables of the shop (`shop.rs`): its customers are Odoo's contacts, its orders those that the order workflow carries over.
pub const SHOP: &[Table] = &[
    Table {
        name: "customers",
        comment: Some("Clientes de la panadería; el id es el del contacto en Odoo"),
        columns: &[
            column("id", "bigint").key(),
            column("name", "text"),
            column("email", "text").null(),
            column("phone", "text").null(),
            column("rut", "character varying").null().says("RUT con dígito verificador"),
            column("company_id", "bigint")
                .null()
                .of("customers", "id")
                .says("Empresa en la que trabaja"),
            column("city", "text"),
            column("country", "character").or("'CL'::bpchar"),
            column("tags", "text[]"),
            column("created_at", TIME).or("now()"),
        ],
        is_view: false,
    },
    Table {
        name: "order_items",
        comment: None,
        columns: &[
            column("order_id", "bigint").key().of("orders", "id"),
            column("product_id", "bigint").key().of("products", "id"),
            column("quantity", "numeric"),
            column("price", "numeric").says("Pesos chilenos por unidad, sin IVA"),
        ],
        is_view: false,
    },
    Table {
        name: "orders",
        comment: Some("Pedidos de la tienda\nEl flujo wf_sync_orders los trae cada hora."),
        columns: &[
            column("id", "bigint").key(),
            column("customer_id", "bigint").of("customers", "id"),
            column("total", "numeric").says("Pesos chilenos"),
            column("status", "text").or("'pending'::text").says("paid, pending o refunded"),
            column("paid_at", TIME).null(),
            column("details", "jsonb").null(),
            column("created_at", TIME).or("now()"),
        ],
        is_view: false,
    },
    Table {
        name: "products",
        comment: None,
        columns: &[
            column("id", "bigint").key(),
            column("name", "text"),
            column("unit", "text").or("'kg'::text"),
            column("price", "numeric"),
            column("active", "boolean").or("true"),
        ],
        is_view: false,
    },
    Table {
        name: "sales_by_day",
        comment: Some("Ventas pagadas por día"),
        columns: &[
            column("day", "date").null(),
            column("orders", "bigint").null(),
            column("total", "numeric").null(),
        ],
        is_view: true,
    },
];

/// A legacy key of this role: a JWT, whose signature nobody here looks at.
pub fn legacy_key(role: &str) -> String {
    let part = |claims: Value| URL_SAFE_NO_PAD.encode(claims.to_string());
    let header = part(json!({ "alg": "HS256", "typ": "JWT" }));
    let claims = part(json!({ "iss": "supabase", "ref": "panaderialuna", "role": role, "exp": 2_000_000_000 }));
    format!("{header}.{claims}.c2lnbmF0dXJl")
}

impl Project {
    /// The shop's own project, whose key that may see everything is this one: `sb_secret_…` or a legacy one.
    pub fn new(key: &str) -> Self {
        Self::standing(Stands::Hosted, key, vec![("public", SHOP)])
    }

    /// One that exposes these schemas, the first unless a request says which.
    pub fn standing(stands: Stands, key: &str, schemas: Vec<(&'static str, &'static [Table])>) -> Self {
        Self(Arc::new(Inner {
            key: key.to_owned(),
            stands,
            schemas,
            asked: Mutex::default(),
            faults: Faults::default(),
        }))
    }

    /// What goes wrong before it is asked at all.
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What it was asked, oldest first: only what was let in by the faults.
    pub fn asked(&self) -> Vec<Asked> {
        self.0.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything below the project's address.
    pub fn router(&self) -> Router {
        let whole = Router::new().fallback(answer).with_state(self.clone());
        self.0.faults.before(whole)
    }

    fn remember(&self, path: &str, headers: &HeaderMap) {
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let mut asked = self.0.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < ASKED_MAX {
            asked.push(Asked {
                path: path.to_owned(),
                api_key: said("apikey"),
                authorization: said("authorization"),
                accept: said("accept"),
                profile: said("accept-profile"),
            });
        }
    }

    /// The key, and then the bearer, which `PostgREST` reads.
    fn refused(&self, headers: &HeaderMap) -> Option<Response> {
        let given = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = given("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match self.0.stands {
            Stands::Alone | Stands::Silent => match bearer {
                None => Some(problem(401, "PGRST302", "Anonymous access is disabled", None)),
                Some(token) if token != self.0.key => Some(problem(401, "PGRST301", "No suitable key or wrong key type", None)),
                Some(_) => None,
            },
            Stands::Hosted | Stands::Denied | Stands::SelfHosted => {
                let by_kong = self.0.stands == Stands::SelfHosted;
                let key = given("apikey");
                let (status, message, hint) = match key {
                    Some(key) if key == self.0.key => {
                        // Only a JWT goes as a bearer.
                        return bearer.filter(|token| *token != key || key.starts_with("sb_")).map(|token| {
                            let parts = token.split('.').count();
                            problem(401, "PGRST301", &format!("Expected 3 parts in JWT; got {parts}"), None)
                        });
                    }
                    None => (
                        401,
                        "No API key found in request",
                        Some("No `apikey` request header or url param was found."),
                    ),
                    Some(key) if by_kong && (key == PUBLISHABLE || key == legacy_key("anon")) => {
                        (403, "You cannot consume this service", None)
                    }
                    Some(_) if by_kong => (401, "Unauthorized", None),
                    Some(PUBLISHABLE) => (
                        401,
                        "Secret API key required",
                        Some("Only secret API keys can be used for this endpoint."),
                    ),
                    Some(key) if key == legacy_key("anon") => (
                        401,
                        "Invalid API key",
                        Some("Only the `service_role` API key can be used for this endpoint."),
                    ),
                    Some(_) => (
                        401,
                        "Invalid API key",
                        Some("Double check your Supabase `anon` or `service_role` API key."),
                    ),
                };
                let mut body = json!({ "message": message });
                if let Some(hint) = hint {
                    body["hint"] = hint.into();
                }
                Some((StatusCode::from_u16(status).unwrap_or_default(), Json(body)).into_response())
            }
        }
    }
}

async fn answer(Shared(project): Shared<Project>, request: Request) -> Response {
    let (path, headers) = (request.uri().path(), request.headers());
    project.remember(path, headers);
    let alone = matches!(project.0.stands, Stands::Alone | Stands::Silent);
    if path != if alone { "/" } else { "/rest/v1/" } {
        return match alone {
            true => problem(404, "PGRST125", "Invalid path specified in request URL", None),
            false => (StatusCode::NOT_FOUND, Json(json!({ "error": "requested path is invalid" }))).into_response(),
        };
    }
    if let Some(refused) = project.refused(headers) {
        return refused;
    }
    if project.0.stands == Stands::Silent {
        return problem(404, "PGRST126", "Root endpoint metadata is disabled", None);
    }
    let profile = headers.get("accept-profile").and_then(|value| value.to_str().ok());
    let schema = match profile {
        None => project.0.schemas.first(),
        Some(name) => project.0.schemas.iter().find(|(schema, _)| *schema == name),
    };
    let Some((name, tables)) = schema else {
        let exposed: Vec<_> = project.0.schemas.iter().map(|(schema, _)| *schema).collect();
        let hint = format!("Only the following schemas are exposed: {}", exposed.join(", "));
        return problem(
            406,
            "PGRST106",
            &format!("Invalid schema: {}", profile.unwrap_or_default()),
            Some(&hint),
        );
    };
    if project.0.stands == Stands::Denied {
        return problem(403, "42501", &format!("permission denied for schema {name}"), None);
    }
    let form = HeaderValue::from_static("application/openapi+json; charset=utf-8");
    ([(header::CONTENT_TYPE, form)], description(name, tables).to_string()).into_response()
}

/// `PostgREST`'s form of a refusal.
fn problem(status: u16, code: &str, message: &str, hint: Option<&str>) -> Response {
    let body = json!({ "code": code, "details": null, "hint": hint, "message": message });
    (StatusCode::from_u16(status).unwrap_or_default(), Json(body)).into_response()
}

/// The description of a schema's tables.
pub fn description(schema: &str, tables: &[Table]) -> Value {
    let (mut definitions, mut parameters) = (Map::new(), shared_parameters());
    let mut paths = Map::new();
    paths.insert(
        "/".to_owned(),
        json!({ "get": {
            "tags": ["Introspection"], "summary": "OpenAPI description (this document)",
            "produces": ["application/openapi+json", "application/json"], "responses": { "200": { "description": "OK" } },
        } }),
    );
    for table in tables {
        definitions.insert(table.name.to_owned(), definition(table));
        paths.insert(format!("/{}", table.name), path(table));
        parameters.insert(
            format!("body.{}", table.name),
            json!({
                "name": table.name, "description": table.name, "required": false, "in": "body",
                "schema": { "$ref": format!("#/definitions/{}", table.name) },
            }),
        );
        for column in table.columns {
            let mut parameter = json!({ "name": column.name, "required": false, "in": "query", "type": "string" });
            if let Some(comment) = column.comment {
                parameter["description"] = comment.into();
            }
            parameters.insert(format!("rowFilter.{}.{}", table.name, column.name), parameter);
        }
    }
    json!({
        "swagger": "2.0",
        "info": { "title": format!("standard {schema} schema"), "description": "", "version": VERSION },
        "host": "0.0.0.0:3000", "basePath": "/", "schemes": ["http"],
        "consumes": ["application/json", "application/vnd.pgrst.object+json", "text/csv"],
        "produces": ["application/json", "application/vnd.pgrst.object+json", "text/csv"],
        "externalDocs": { "description": "PostgREST Documentation", "url": "https://postgrest.org/en/v14/references/api.html" },
        "definitions": definitions, "parameters": parameters, "paths": paths,
    })
}

fn definition(table: &Table) -> Value {
    let mut properties = Map::new();
    for column in table.columns {
        properties.insert(column.name.to_owned(), property(column));
    }
    let required: Vec<_> = table
        .columns
        .iter()
        .filter(|column| !column.nullable)
        .map(|column| column.name)
        .collect();
    let mut definition = json!({ "type": "object", "properties": properties });
    if !required.is_empty() {
        definition["required"] = required.into();
    }
    if let Some(comment) = table.comment {
        definition["description"] = comment.into();
    }
    definition
}

fn property(column: &Column) -> Value {
    let mut property = json!({ "format": column.kind });
    if let Some(kind) = swagger_type(column.kind) {
        property["type"] = kind.into();
    }
    if let Some(item) = column.kind.strip_suffix("[]").and_then(swagger_type) {
        property["items"] = json!({ "type": item });
    }
    let mut notes = vec!["Note:".to_owned()];
    if column.is_key {
        notes.push("This is a Primary Key.<pk/>".to_owned());
    }
    if let Some((table, of)) = column.references {
        notes.push(format!(
            "This is a Foreign Key to `{table}.{of}`.<fk table='{table}' column='{of}'/>"
        ));
    }
    let notes = (notes.len() > 1).then(|| notes.join("\n"));
    let description = [column.comment.map(str::to_owned), notes];
    let description: Vec<String> = description.into_iter().flatten().collect();
    if !description.is_empty() {
        property["description"] = description.join("\n\n").into();
    }
    // A default of a text is quoted; any other is told where it is JSON by itself, so that `now()` of a number is not.
    let default = column.default.and_then(|default| match swagger_type(column.kind) {
        Some("string") => Some(match default.strip_suffix(&format!("::{}", column.kind)) {
            Some(literal) => literal.trim_matches('\'').into(),
            None => default.into(),
        }),
        _ => serde_json::from_str(default).ok(),
    });
    if let Some(default) = default {
        property["default"] = default;
    }
    property
}

fn swagger_type(kind: &str) -> Option<&'static str> {
    match kind {
        "json" | "jsonb" => None,
        "boolean" => Some("boolean"),
        "smallint" | "integer" | "bigint" => Some("integer"),
        "numeric" | "real" | "double precision" => Some("number"),
        _ if kind.ends_with("[]") => Some("array"),
        _ => Some("string"),
    }
}

fn path(table: &Table) -> Value {
    let refer = |name: String| json!({ "$ref": format!("#/parameters/{name}") });
    let filters = || {
        table
            .columns
            .iter()
            .map(|column| refer(format!("rowFilter.{}.{}", table.name, column.name)))
    };
    let with = |first: Vec<String>, last: &[&str]| -> Value {
        let last = last.iter().map(|name| refer((*name).to_owned()));
        first.into_iter().map(refer).chain(last).collect()
    };
    let operation = |parameters: Value, status: &str, said: Value| {
        let mut operation = json!({ "tags": [table.name], "parameters": parameters, "responses": { status: said } });
        if let Some(comment) = table.comment {
            let (summary, rest) = comment.split_once('\n').unwrap_or((comment, ""));
            operation["summary"] = summary.into();
            if !rest.is_empty() {
                operation["description"] = rest.into();
            }
        }
        operation
    };
    let body = format!("body.{}", table.name);
    let mut reading: Vec<Value> = filters().collect();
    reading.extend(["select", "order", "range", "rangeUnit", "offset", "limit", "preferCount"].map(|name| refer(name.to_owned())));
    let rows = json!({ "description": "OK", "schema": { "type": "array", "items": { "$ref": format!("#/definitions/{}", table.name) } } });
    let mut path = json!({ "get": operation(reading.into(), "200", rows) });
    path["get"]["responses"]["206"] = json!({ "description": "Partial Content" });
    if !table.is_view {
        let filtered = |more: Vec<Value>| -> Value { filters().chain(more).collect() };
        path["post"] = operation(
            with(vec![body.clone()], &["select", "preferPost"]),
            "201",
            json!({ "description": "Created" }),
        );
        let none = json!({ "description": "No Content" });
        let prefer = refer("preferReturn".to_owned());
        path["patch"] = operation(filtered(vec![refer(body), prefer.clone()]), "204", none.clone());
        path["delete"] = operation(filtered(vec![prefer]), "204", none);
    }
    path
}

/// What every table's operations take.
fn shared_parameters() -> Map<String, Value> {
    let mut parameters = Map::new();
    let prefer: [(&str, &[&str]); 4] = [
        ("preferParams", &[]),
        ("preferReturn", &["return=representation", "return=minimal", "return=none"]),
        ("preferCount", &["count=none"]),
        (
            "preferPost",
            &[
                "return=representation",
                "return=minimal",
                "return=none",
                "resolution=ignore-duplicates",
                "resolution=merge-duplicates",
            ],
        ),
    ];
    for (name, values) in prefer {
        let mut parameter = json!({ "name": "Prefer", "description": "Preference", "required": false, "in": "header", "type": "string" });
        if !values.is_empty() {
            parameter["enum"] = json!(values);
        }
        parameters.insert(name.to_owned(), parameter);
    }
    let plain = [
        ("select", "select", "query", "Filtering Columns"),
        ("on_conflict", "on_conflict", "query", "On Conflict"),
        ("order", "order", "query", "Ordering"),
        ("range", "Range", "header", "Limiting and Pagination"),
        ("rangeUnit", "Range-Unit", "header", "Limiting and Pagination"),
        ("offset", "offset", "query", "Limiting and Pagination"),
        ("limit", "limit", "query", "Limiting and Pagination"),
    ];
    for (key, name, place, description) in plain {
        parameters.insert(
            key.to_owned(),
            json!({ "name": name, "description": description, "required": false, "in": place, "type": "string" }),
        );
    }
    parameters["rangeUnit"]["default"] = "items".into();
    parameters
}
