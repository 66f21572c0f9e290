//! Services: what each is, what it runs on, where it is called, and calls that make use of it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Docs, Source, noted,
    pages::{self, Page},
};
use crate::{
    auth::Scope,
    backends::{
        Connected as _, Session,
        docker::{self, Described, Docker},
    },
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ServiceDocs>()]
}

/// Explain a service: what it is to the business, what it runs on, its endpoints, and examples of tool calls that use it. Use it to
/// learn what a backend can do, or how to connect it.
///
/// The services are the backends (`n8n`, `supabase`, `docker`, …), `smartermcp` itself, and the tenant's own as `services_list` names
/// them. What is said of the backends needs no connection. Example: `{"service_id": "n8n"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ServiceDocs {
    /// The service, e.g. `n8n`.
    #[schemars(length(min = 1, max = 128))]
    service_id: String,
}

/// What there is to know of a service.
#[derive(Serialize, JsonSchema)]
struct Shown {
    service_id: String,
    /// Null where nobody has described it.
    description: Option<String>,
    tech_stack: Vec<String>,
    api_endpoints: Vec<Endpoint>,
    examples: Vec<Example>,
    /// How a tenant connects it, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    connecting: Option<&'static str>,
    /// Limits, oddities and versions, in Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    good_to_know: Option<&'static str>,
    source: Source,
    /// What nobody says: these fields are null or empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<&'static str>,
}

/// A way in to a service.
#[derive(Clone, Serialize, JsonSchema)]
struct Endpoint {
    method: String,
    /// A path below the service's address, or a whole address.
    path: String,
    description: String,
}

/// A call of a tool.
#[derive(Clone, Serialize, JsonSchema)]
struct Example {
    description: String,
    tool: String,
    arguments: Value,
}

impl Tool for ServiceDocs {
    const NAME: &'static str = "docs_services";
    const TITLE: &'static str = "Documentation of a service";
    const ROUTE: Route = Route::get("/docs/services/{service_id}");
    const SCOPE: Scope = Scope::ReadServices;
    const CATEGORY: Category = Category::Documentation;
    type Backend = Docs;
    type Output = Shown;

    async fn call(self, docs: &Docs) -> Result<Shown> {
        match pages::find(&self.service_id) {
            Some(page) => Ok(Shown::of_page(page)),
            None => Ok(Shown::of_service(registered(&docs.session, &self.service_id).await?)),
        }
    }
}

impl Shown {
    fn of_page(page: &'static Page) -> Self {
        let endpoint = |endpoint: &pages::Endpoint| Endpoint {
            method: endpoint.method.clone(),
            path: endpoint.path.clone(),
            description: endpoint.description.clone(),
        };
        let example = |example: &pages::Example| Example {
            description: example.description.clone(),
            tool: example.tool.clone(),
            arguments: example.arguments.clone(),
        };
        Self {
            service_id: page.name.to_owned(),
            description: Some(page.description.clone()),
            tech_stack: page.stack.clone(),
            api_endpoints: page.endpoints.iter().map(endpoint).collect(),
            examples: page.examples.iter().map(example).collect(),
            connecting: Some(&page.connecting),
            good_to_know: Some(&page.good_to_know),
            source: Source::Kept,
            unavailable: Vec::new(),
        }
    }

    fn of_service(service: Described) -> Self {
        let api_endpoints = endpoints(&service);
        let examples = [
            ("Ask how it does.", "services_health"),
            ("Read its latest log lines.", "services_logs"),
            ("Look for the document of its API.", "docs_apis"),
        ];
        let id = &service.id;
        let (description, tech_stack) = (said(&service), service.stack.clone());
        let unavailable = [
            ("description", description.is_none()),
            ("tech_stack", tech_stack.is_empty()),
            ("api_endpoints", api_endpoints.is_empty()),
        ];
        Self {
            description,
            tech_stack,
            api_endpoints,
            examples: examples
                .map(|(description, tool)| Example {
                    description: description.to_owned(),
                    tool: tool.to_owned(),
                    arguments: json!({ "service_id": id }),
                })
                .into(),
            connecting: None,
            good_to_know: None,
            source: Source::Registry,
            unavailable: unavailable
                .into_iter()
                .filter_map(|(name, missing)| missing.then_some(name))
                .collect(),
            service_id: service.id,
        }
    }
}

/// What the tenant's registry and its containers' labels say of a service.
///
/// # Errors
/// [`Kind::NotFound`] when the tenant has no such service, and what Docker answers.
pub(super) async fn registered(session: &Session, id: &str) -> Result<Described> {
    match docker::described(session.clone(), id).await {
        // Without a Docker and without a registry there is no service at all.
        Err(error) if matches!(error.kind(), Kind::NotConnected | Kind::NotFound) => Err(unknown(id)),
        outcome => noted(session, Docker::NAME, outcome),
    }
}

pub(super) fn unknown(id: &str) -> Error {
    let quoted: String = id.chars().take(64).collect();
    let names: Vec<_> = pages::read().iter().map(|page| page.name).collect();
    Error::not_found(format!(
        "service_id: there is no service '{quoted}'; there are {}, and those of the tenant that services_list names",
        names.join(", ")
    ))
}

/// The name and description that somebody gave it, in one text.
fn said(service: &Described) -> Option<String> {
    let kind = service.kind.map(|kind| format!("Type: {}.", kind.name()));
    let name = (service.name != service.id).then(|| format!("{}.", service.name.trim_end_matches('.')));
    let described = service.description.is_some() || name.is_some();
    let documentation = service.documentation.as_ref().map(|place| format!("Documentation: {place}"));
    let source = service.source.as_ref().map(|place| format!("Source code: {place}"));
    let parts: Vec<String> = [name, service.description.clone(), kind, documentation, source]
        .into_iter()
        .flatten()
        .collect();
    (described || !parts.is_empty()).then(|| parts.join(" "))
}

fn endpoints(service: &Described) -> Vec<Endpoint> {
    let at = |url: &Option<String>, description: &str| {
        url.as_ref().map(|url| Endpoint {
            method: "GET".to_owned(),
            path: url.clone(),
            description: description.to_owned(),
        })
    };
    let places = [
        at(&service.url, "its address"),
        at(&service.health_url, "whether it is well: below 400 says yes"),
    ];
    places.into_iter().flatten().collect()
}

/// The same as a page, for `docs_apis`.
pub(super) fn markdown(service: &Described) -> String {
    use std::fmt::Write as _;
    let mut page = format!(
        "# {}\n\n{}\n",
        service.name,
        said(service).unwrap_or_else(|| "Nobody has described this service.".to_owned())
    );
    if !service.stack.is_empty() {
        page.push_str("\n## Stack\n\n");
        for item in &service.stack {
            let _ = writeln!(page, "- {item}");
        }
    }
    let endpoints = endpoints(service);
    if !endpoints.is_empty() {
        page.push_str("\n## Endpoints\n\n");
        for Endpoint { method, path, description } in endpoints {
            let _ = writeln!(page, "- `{method} {path}`: {description}");
        }
    }
    page
}
