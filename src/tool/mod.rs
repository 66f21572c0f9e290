//! What a tool is: its input struct, declared once, from which both doors, the OpenAPI document, the scope that it needs, the
//! limit that it counts against and its labels are derived.

mod catalogue;
mod form;
pub mod input;
pub mod output;
pub mod page;
mod schema;

use std::{pin::Pin, time::Duration};

use http::{Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    catalogue::Catalogue,
    output::{Content, Output, Rendered},
    schema::plain as schema_of,
};
use crate::{
    auth::Scope,
    backends::{Backend, Session},
    error::{Error, Result},
    limits::quota::Meter,
};

/// A tool. The implementing struct is its input: doc comments are what a model reads.
pub trait Tool: DeserializeOwned + JsonSchema + Send + 'static {
    /// The public name, written out, so that renaming the struct does not rename the tool.
    const NAME: &'static str;
    /// For people's lists of tools.
    const TITLE: &'static str;
    const ROUTE: Route;
    const SCOPE: Scope;
    const CATEGORY: Category;
    /// How long a call may take, all in all.
    const TIME_LIMIT: Duration = Duration::from_secs(30);
    /// What a call uses up of the plan, besides an API call.
    const METER: Option<Meter> = None;
    /// Whether the tool sends log messages beside its progress.
    const LOGS: bool = false;
    /// Whether the answer may come line by line ([`Notifier::open`](crate::backends::Notifier::open)): REST then answers
    /// `text/event-stream`.
    const STREAMS: bool = false;
    /// What the tool talks to, opened for the tenant that calls.
    type Backend: Backend;
    type Output: Output;

    fn call(self, backend: &Self::Backend) -> impl Future<Output = Result<Self::Output>> + Send;
}

/// What a call does to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    Read,
    Write,
    /// A write that takes something away, or stops something.
    Destroy,
}

impl Effect {
    pub const fn writes(self) -> bool {
        match self {
            Effect::Read => false,
            Effect::Write | Effect::Destroy => true,
        }
    }
}

/// Where a tool stands in REST, and what follows from it.
#[derive(Clone, Debug)]
pub struct Route {
    pub method: Method,
    /// From the root, with parameters in braces. See [`Route::get`].
    pub path: &'static str,
    effect: Effect,
    /// Whether doing it twice comes to the same as once.
    idempotent: bool,
    status: StatusCode,
}

/// Where every tool's route stands, but for those of tokens. See [`Route::full_path`].
pub const PREFIX: &str = "/api/v1";

impl Route {
    const fn new(method: Method, path: &'static str, effect: Effect, idempotent: bool, status: StatusCode) -> Self {
        Self {
            method,
            path,
            effect,
            idempotent,
            status,
        }
    }

    /// A read.
    pub const fn get(path: &'static str) -> Self {
        Self::new(Method::GET, path, Effect::Read, true, StatusCode::OK)
    }

    /// A write; [`Route::reads`] and [`Route::destroys`] say otherwise.
    pub const fn post(path: &'static str) -> Self {
        Self::new(Method::POST, path, Effect::Write, false, StatusCode::OK)
    }

    /// A write that may be repeated.
    pub const fn put(path: &'static str) -> Self {
        Self::new(Method::PUT, path, Effect::Write, true, StatusCode::OK)
    }

    pub const fn patch(path: &'static str) -> Self {
        Self::new(Method::PATCH, path, Effect::Write, true, StatusCode::OK)
    }

    /// Takes something away, and answers 204.
    pub const fn delete(path: &'static str) -> Self {
        Self::new(Method::DELETE, path, Effect::Destroy, true, StatusCode::NO_CONTENT)
    }

    /// A POST that changes nothing: its input is too large for a query.
    #[must_use]
    pub const fn reads(mut self) -> Self {
        self.effect = Effect::Read;
        self.idempotent = true;
        self
    }

    /// A write that stops or takes away.
    #[must_use]
    pub const fn destroys(mut self) -> Self {
        self.effect = Effect::Destroy;
        self
    }

    /// Answers 201.
    #[must_use]
    pub const fn created(mut self) -> Self {
        self.status = StatusCode::CREATED;
        self
    }

    pub const fn effect(&self) -> Effect {
        self.effect
    }

    pub const fn is_idempotent(&self) -> bool {
        self.idempotent
    }

    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The whole path: under `/api/v1`, but for the tokens, which the owner's document has at the root.
    pub fn full_path(&self) -> String {
        if self.path.starts_with("/auth/") {
            self.path.to_owned()
        } else {
            format!("{PREFIX}{}", self.path)
        }
    }

    /// The names in braces.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
    }
}

/// What a tool is about: the group that limits, agents and documentation go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    Services,
    Workflows,
    Analytics,
    Crm,
    Support,
    Bots,
    Infrastructure,
    Documentation,
    CodeGeneration,
    /// Tenants, tokens, connections, usage and audit.
    Account,
}

impl Category {
    pub const COUNT: usize = 10;
    pub const ALL: [Category; Category::COUNT] = [
        Category::Services,
        Category::Workflows,
        Category::Analytics,
        Category::Crm,
        Category::Support,
        Category::Bots,
        Category::Infrastructure,
        Category::Documentation,
        Category::CodeGeneration,
        Category::Account,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Category::Services => "services",
            Category::Workflows => "workflows",
            Category::Analytics => "analytics",
            Category::Crm => "crm",
            Category::Support => "support",
            Category::Bots => "bots",
            Category::Infrastructure => "infrastructure",
            Category::Documentation => "documentation",
            Category::CodeGeneration => "code_generation",
            Category::Account => "account",
        }
    }

    /// Calls per minute and token; `None`: no cell of its own.
    pub const fn per_minute(self) -> Option<u32> {
        match self {
            Category::Services | Category::Bots | Category::Documentation => Some(50),
            Category::Workflows => Some(30),
            Category::Analytics | Category::Infrastructure => Some(20),
            Category::Crm | Category::Support => Some(100),
            Category::CodeGeneration => Some(10),
            Category::Account => None,
        }
    }

    pub const fn per_hour(self) -> Option<u32> {
        match self {
            Category::CodeGeneration => Some(100),
            Category::Services
            | Category::Workflows
            | Category::Analytics
            | Category::Crm
            | Category::Support
            | Category::Bots
            | Category::Infrastructure
            | Category::Documentation
            | Category::Account => None,
        }
    }

    /// Whether a call of this effect counts against the category: of the workflows, only trigger and create do.
    pub const fn counts(self, effect: Effect) -> bool {
        match self {
            Category::Workflows => effect.writes(),
            Category::Account => false,
            Category::Services
            | Category::Analytics
            | Category::Crm
            | Category::Support
            | Category::Bots
            | Category::Infrastructure
            | Category::Documentation
            | Category::CodeGeneration => true,
        }
    }

    /// Whether a call counts as one of the plan's API calls. Managing the account does not: a tenant whose quota is spent
    /// must still be able to revoke a leaked token.
    pub const fn metered(self) -> bool {
        !matches!(self, Category::Account)
    }
}

type Answering = Pin<Box<dyn Future<Output = Result<Rendered>> + Send>>;

/// A declared tool, with everything derived from its declaration.
pub struct Definition {
    pub name: &'static str,
    pub title: &'static str,
    pub description: String,
    pub route: Route,
    pub scope: Scope,
    pub category: Category,
    pub time_limit: Duration,
    pub meter: Option<Meter>,
    pub logs: bool,
    pub streams: bool,
    /// The kind of connection that it needs, if any.
    pub backend: Option<&'static str>,
    /// Whether a call speaks to anything outside the gateway.
    pub outside: bool,
    pub input: input::InputSchema,
    pub output_schema: Option<Value>,
    run: fn(Value, Session) -> Answering,
}

impl Definition {
    /// Runs the tool on an input that was checked against its schema.
    pub fn run(&self, input: Value, session: Session) -> Answering {
        (self.run)(input, session)
    }
}

impl std::fmt::Debug for Definition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Definition").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Declares a tool.
///
/// # Panics
/// At start, when the declaration is wrong: no doc comment, an input that is no object, an undocumented parameter.
pub fn tool<T: Tool>() -> Definition {
    let schema::Described { schema, description } = schema::of::<T>(T::NAME);
    Definition {
        name: T::NAME,
        title: T::TITLE,
        description,
        route: T::ROUTE,
        scope: T::SCOPE,
        category: T::CATEGORY,
        time_limit: T::TIME_LIMIT,
        meter: match T::CATEGORY {
            Category::CodeGeneration => Some(Meter::CodeGenerations),
            _ => T::METER,
        },
        logs: T::LOGS,
        streams: T::STREAMS,
        backend: T::Backend::KIND,
        outside: T::Backend::OUTSIDE,
        input: input::InputSchema::new(T::NAME, schema),
        output_schema: <T::Output as Output>::schema(),
        run: |input, session| {
            Box::pin(async move {
                let input: T = serde_json::from_value(input).map_err(|error| Error::invalid(format!("arguments: {error}")))?;
                let backend = T::Backend::open(session).await?;
                input.call(&backend).await?.render()
            })
        },
    }
}
