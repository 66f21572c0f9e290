//! What can go wrong, once for the whole gateway: every failure is an [`Error`] of a [`Kind`], and every table over `Kind` is here.
//!
//! An error has two messages. [`Error::message`] is for the caller and says what he can do; [`Error::source`] is for our log.
//! The second half never reaches a caller, neither half ever holds a secret, and an error is logged once, where it is rendered.

use std::{borrow::Cow, fmt};

use http::StatusCode;

pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// The closed list of what can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The request cannot be read: not JSON, not UTF-8, cut off.
    Malformed,
    /// The body is larger than the gateway takes.
    TooLarge,
    /// The request was read, and a value in it is wrong.
    InvalidInput,
    Unauthenticated,
    Forbidden,
    /// Not there, or another tenant's: the caller cannot tell which.
    NotFound,
    MethodNotAllowed,
    Conflict,
    RateLimited,
    QuotaSpent,
    /// The tenant has not connected the backend that the tool needs.
    NotConnected,
    /// The backend answered, and the answer is a refusal or nonsense.
    BackendRefused,
    /// The backend cannot be reached, or says that it is not well.
    BackendDown,
    /// The gateway itself cannot take the call now: too many in flight, switched off, or its database is away.
    Unavailable,
    Timeout,
    Internal,
}

impl Kind {
    pub const ALL: [Kind; 16] = [
        Kind::Malformed,
        Kind::TooLarge,
        Kind::InvalidInput,
        Kind::Unauthenticated,
        Kind::Forbidden,
        Kind::NotFound,
        Kind::MethodNotAllowed,
        Kind::Conflict,
        Kind::RateLimited,
        Kind::QuotaSpent,
        Kind::NotConnected,
        Kind::BackendRefused,
        Kind::BackendDown,
        Kind::Unavailable,
        Kind::Timeout,
        Kind::Internal,
    ];

    /// The HTTP status that REST answers with; also the `status` label of `mcp_requests_total` on both doors.
    pub const fn status(self) -> StatusCode {
        match self {
            Kind::Malformed => StatusCode::BAD_REQUEST,
            Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
            Kind::Forbidden => StatusCode::FORBIDDEN,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Kind::Conflict | Kind::NotConnected => StatusCode::CONFLICT,
            Kind::RateLimited | Kind::QuotaSpent => StatusCode::TOO_MANY_REQUESTS,
            Kind::BackendRefused => StatusCode::BAD_GATEWAY,
            Kind::BackendDown | Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The machine-readable `code` of a problem, and the `error_type` label of `mcp_errors_total`.
    pub const fn code(self) -> &'static str {
        match self {
            Kind::Malformed => "malformed",
            Kind::TooLarge => "too_large",
            Kind::InvalidInput => "invalid_input",
            Kind::Unauthenticated => "unauthenticated",
            Kind::Forbidden => "forbidden",
            Kind::NotFound => "not_found",
            Kind::MethodNotAllowed => "method_not_allowed",
            Kind::Conflict => "conflict",
            Kind::RateLimited => "rate_limited",
            Kind::QuotaSpent => "quota_spent",
            Kind::NotConnected => "not_connected",
            Kind::BackendRefused => "backend_refused",
            Kind::BackendDown => "backend_down",
            Kind::Unavailable => "unavailable",
            Kind::Timeout => "timeout",
            Kind::Internal => "internal",
        }
    }

    /// The short human title of a problem (RFC 9457 §3.1.3).
    pub const fn title(self) -> &'static str {
        match self {
            Kind::Malformed => "The request cannot be read",
            Kind::TooLarge => "The request is too large",
            Kind::InvalidInput => "A value in the request is wrong",
            Kind::Unauthenticated => "Unauthorized",
            Kind::Forbidden => "Not allowed",
            Kind::NotFound => "Not found",
            Kind::MethodNotAllowed => "Method not allowed",
            Kind::Conflict => "Conflict",
            Kind::RateLimited => "Rate limit exceeded",
            Kind::QuotaSpent => "Quota spent",
            Kind::NotConnected => "Backend not connected",
            Kind::BackendRefused => "The backend refused",
            Kind::BackendDown => "The backend is unavailable",
            Kind::Unavailable => "Temporarily unavailable",
            Kind::Timeout => "Time limit exceeded",
            Kind::Internal => "Internal error",
        }
    }

    /// Whether the same call may succeed later without any change to it.
    pub const fn retryable(self) -> bool {
        match self {
            Kind::RateLimited | Kind::BackendDown | Kind::Unavailable | Kind::Timeout => true,
            Kind::Malformed
            | Kind::TooLarge
            | Kind::InvalidInput
            | Kind::Unauthenticated
            | Kind::Forbidden
            | Kind::NotFound
            | Kind::MethodNotAllowed
            | Kind::Conflict
            | Kind::QuotaSpent
            | Kind::NotConnected
            | Kind::BackendRefused
            | Kind::Internal => false,
        }
    }
}

/// A failure: its kind, what the caller is told, and what only the log is told.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    code: Option<Cow<'static, str>>,
    message: Cow<'static, str>,
    source: Option<Source>,
    retry_after: Option<u64>,
    scope: Option<&'static str>,
    once: bool,
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: None,
            message: message.into(),
            source: None,
            retry_after: None,
            scope: None,
            once: false,
        }))
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::InvalidInput, message)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub fn conflict(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub fn unavailable(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    /// Our fault: the caller learns only that, the log learns why.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(
            Kind::Internal,
            "The gateway failed at this call; the operator finds the reason in the log under the request id.",
        )
        .because(source)
    }

    /// An HTTP client could not be made: mostly of a machine that knows no certificate authority.
    pub fn no_client(source: reqwest::Error) -> Self {
        // rustls-platform-verifier's word, which has no type of its own to match.
        if chain(&source).contains("No CA certificates") {
            return Self::unavailable(
                "This machine has no certificate authorities, so that no https address can be trusted. \
                 What would be right: install the package ca-certificates, or name a bundle in SSL_CERT_FILE",
            )
            .because(source);
        }
        Self::internal(source)
    }

    /// What the log should say beside the caller's message. Never a secret.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// A code narrower than the kind's own, where a program would act on the difference.
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.0.code = Some(Cow::Borrowed(code));
        self
    }

    /// A code that was stored: the error is one that was answered before.
    #[must_use]
    pub fn coded_as(mut self, code: String) -> Self {
        self.0.code = Some(Cow::Owned(code));
        self
    }

    /// How many seconds to wait before the next attempt.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after = Some(seconds.max(1));
        self
    }

    /// The scope that the caller lacks, for the challenge of RFC 6750 §3.1.
    #[must_use]
    pub fn lacking(mut self, scope: &'static str) -> Self {
        self.0.scope = Some(scope);
        self
    }

    /// Something may have been done already: the same call again could do it twice.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.0.once = true;
        self
    }

    /// The same failure, for one who was only lent it.
    #[must_use]
    pub fn repeated(&self) -> Self {
        let Inner {
            kind,
            code,
            message,
            source: _,
            retry_after,
            scope,
            once,
        } = &*self.0;
        let cause = self.cause();
        Self(Box::new(Inner {
            kind: *kind,
            code: code.clone(),
            message: message.clone(),
            source: (!cause.is_empty()).then(|| cause.into()),
            retry_after: *retry_after,
            scope: *scope,
            once: *once,
        }))
    }

    /// Whether the same call may succeed later, and does no harm if it is made again.
    pub fn retryable(&self) -> bool {
        self.kind().retryable() && !self.0.once
    }

    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    pub fn code(&self) -> &str {
        self.0.code.as_deref().unwrap_or(self.0.kind.code())
    }

    /// The code as a label of metrics and audit: one of those written in this program.
    pub fn label(&self) -> &'static str {
        match &self.0.code {
            Some(Cow::Borrowed(code)) => code,
            _ => self.0.kind.code(),
        }
    }

    /// For the caller.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// For the log.
    pub fn source(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.0.source.as_deref()
    }

    /// For the log, in one line.
    pub fn cause(&self) -> String {
        self.source().map(|source| chain(source)).unwrap_or_default()
    }

    pub fn retry_after_secs(&self) -> Option<u64> {
        self.0.retry_after
    }

    pub fn lacking_scope(&self) -> Option<&'static str> {
        self.0.scope
    }

    /// Writes the error to the log, once: where it is rendered. The line of the call says the rest.
    pub fn log(&self, request_id: &str) {
        let source = self.cause();
        match self.kind() {
            Kind::Internal => tracing::error!(request_id, code = self.code(), source, "{}", self.message()),
            Kind::Unavailable if !source.is_empty() => tracing::warn!(request_id, code = self.code(), source, "{}", self.message()),
            Kind::BackendDown | Kind::BackendRefused | Kind::Timeout if !source.is_empty() => {
                tracing::info!(request_id, code = self.code(), source, "a backend failed");
            }
            _ => {}
        }
    }
}

/// An error and its causes in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        next = cause.source();
    }
    line
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("source", &self.cause())
            .finish_non_exhaustive()
    }
}

impl From<sqlx::Error> for Error {
    /// A database that is away is a refusal that may be tried again; anything else it says is our fault.
    fn from(error: sqlx::Error) -> Self {
        let away = match &error {
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
            // SQLite answers these when its file is locked, full or gone; PostgreSQL when it starts, stops, is out of connections, has
            // become a standby, or took a statement back that waited too long or for a deadlock.
            // SQLite's extended codes hold the primary one in their lowest byte; PostgreSQL's have five characters.
            sqlx::Error::Database(database) => match database.code().as_deref() {
                Some(
                    "57P01" | "57P02" | "57P03" | "57014" | "53100" | "53300" | "08006" | "08001" | "25006" | "25P03" | "40001" | "40P01"
                    | "55P03",
                ) => true,
                Some(code) if code.len() < 5 => code
                    .parse::<u32>()
                    .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14)),
                _ => false,
            },
            _ => false,
        };
        if away {
            Error::unavailable("The gateway's database cannot be reached right now; nothing was done. Try again shortly.")
                .coded("database_away")
                .retry_after(1)
                .because(error)
        } else {
            Error::internal(error)
        }
    }
}
