//! Tools that only tests have: slow ones, ones that panic, ones that speak to a vendor under a short time limit.

use std::time::Duration;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use smartermcp::{
    auth::Scope,
    backends::{self, Backend, Session, client::Client},
    error::Result,
    tool::{Catalogue, Category, Route, Tool, tool},
};

/// The gateway's own tools, and those of this file.
pub fn catalogue() -> Catalogue {
    let mut tools = backends::tools();
    tools.extend([
        tool::<Dawdle>(),
        tool::<Panic>(),
        tool::<PanicWhileWriting>(),
        tool::<CountUp>(),
        tool::<HastyRead>(),
        tool::<HastyWrite>(),
    ]);
    Catalogue::new(tools)
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
}

fn said(text: impl Into<String>) -> Said {
    Said { said: text.into() }
}

/// Do nothing for a while, and say so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Dawdle {
    /// For how long.
    millis: u64,
}

impl Tool for Dawdle {
    const NAME: &'static str = "test_dawdle";
    const TITLE: &'static str = "Dawdle";
    const ROUTE: Route = Route::get("/test/dawdle");
    const SCOPE: Scope = Scope::ReadWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = ();
    type Output = Said;

    async fn call(self, _: &()) -> Result<Said> {
        tokio::time::sleep(Duration::from_millis(self.millis)).await;
        Ok(said("at last"))
    }
}

/// Panic.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Panic {}

impl Tool for Panic {
    const NAME: &'static str = "test_panic";
    const TITLE: &'static str = "Panic";
    const ROUTE: Route = Route::get("/test/panic");
    const SCOPE: Scope = Scope::ReadWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = ();
    type Output = Said;

    async fn call(self, _: &()) -> Result<Said> {
        panic!("the secret reason of a read");
    }
}

/// Panic in the middle of a write.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PanicWhileWriting {}

impl Tool for PanicWhileWriting {
    const NAME: &'static str = "test_panic_write";
    const TITLE: &'static str = "Panic while writing";
    const ROUTE: Route = Route::post("/test/panic");
    const SCOPE: Scope = Scope::WriteWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = ();
    type Output = Said;

    async fn call(self, _: &()) -> Result<Said> {
        tokio::task::yield_now().await;
        panic!("the secret reason of a write");
    }
}

/// Say how far it is, step by step.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CountUp {
    /// How far.
    to: u32,
}

struct Speaker(Session);

impl Backend for Speaker {
    const KIND: Option<&'static str> = None;

    async fn open(session: Session) -> Result<Self> {
        Ok(Self(session))
    }
}

impl Tool for CountUp {
    const NAME: &'static str = "test_count_up";
    const TITLE: &'static str = "Count up";
    const ROUTE: Route = Route::get("/test/count-up");
    const SCOPE: Scope = Scope::ReadWorkflows;
    const CATEGORY: Category = Category::Workflows;
    type Backend = Speaker;
    type Output = Said;

    async fn call(self, speaker: &Speaker) -> Result<Said> {
        for step in 1..=self.to {
            speaker
                .0
                .notifier
                .progress(f64::from(step), Some(f64::from(self.to)), format!("step {step}"));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(said("counted"))
    }
}

/// A tenant's n8n, without its credential.
struct Vendor(Client);

impl Backend for Vendor {
    const KIND: Option<&'static str> = Some("n8n");

    async fn open(session: Session) -> Result<Self> {
        let connection = session.connection("n8n").await?;
        Ok(Self(Client::open(connection, session).await?))
    }
}

/// Read from the vendor within 300 ms.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HastyRead {}

impl Tool for HastyRead {
    const NAME: &'static str = "test_hasty_read";
    const TITLE: &'static str = "Hasty read";
    const ROUTE: Route = Route::get("/test/hasty");
    const SCOPE: Scope = Scope::ReadWorkflows;
    const CATEGORY: Category = Category::Workflows;
    const TIME_LIMIT: Duration = Duration::from_millis(300);
    type Backend = Vendor;
    type Output = Said;

    async fn call(self, vendor: &Vendor) -> Result<Said> {
        let reply = vendor.0.get("/healthz").send().await?;
        Ok(said(reply.status.as_str()))
    }
}

/// Run the workflow behind the webhook `backup` within 300 ms.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HastyWrite {}

impl Tool for HastyWrite {
    const NAME: &'static str = "test_hasty_write";
    const TITLE: &'static str = "Hasty write";
    const ROUTE: Route = Route::post("/test/hasty");
    const SCOPE: Scope = Scope::WriteWorkflows;
    const CATEGORY: Category = Category::Workflows;
    const TIME_LIMIT: Duration = Duration::from_millis(300);
    type Backend = Vendor;
    type Output = Said;

    async fn call(self, vendor: &Vendor) -> Result<Said> {
        let request = vendor.0.write(Method::POST, "/webhook/backup").json(&serde_json::json!({}))?;
        Ok(said(request.send().await?.status.as_str()))
    }
}
