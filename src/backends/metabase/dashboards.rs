//! Dashboards: the pages on which a tenant's questions are put together.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{client::Metabase, collections::Position};
use crate::{
    auth::Scope,
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListDashboards>()]
}

/// List the tenant's dashboards in Metabase, with the address at which people open each.
///
/// Example: `{"limit": 20}`. For a figure use `analytics_kpis`, for the rows behind a question `analytics_reports`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListDashboards {
    /// How many at most, e.g. `20`; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Dashboards, collection by collection, by name.
#[derive(Serialize, JsonSchema)]
struct Dashboards {
    dashboards: Vec<Dashboard>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(Serialize, JsonSchema)]
struct Dashboard {
    id: String,
    name: String,
    url: String,
    description: Option<String>,
}

impl Tool for ListDashboards {
    const NAME: &'static str = "analytics_dashboards";
    const TITLE: &'static str = "List dashboards";
    const ROUTE: Route = Route::get("/analytics/dashboards");
    const SCOPE: Scope = Scope::ReadAnalytics;
    const CATEGORY: Category = Category::Analytics;
    type Backend = Metabase;
    type Output = Dashboards;

    async fn call(self, metabase: &Metabase) -> Result<Dashboards> {
        let session = metabase.http.session();
        let from: Position = match session.open_cursor(self.cursor.as_deref())? {
            Some(text) => serde_json::from_str(&text).map_err(Error::internal)?,
            None => Position::default(),
        };
        let most = self.limit.unwrap_or(LIMIT_DEFAULT) as usize;
        let (items, next) = metabase.items(&["dashboard"], from, most).await?;
        let base = metabase.http.connection().url.as_str().trim_end_matches('/');
        Ok(Dashboards {
            dashboards: items
                .into_iter()
                .map(|item| Dashboard {
                    url: format!("{base}/dashboard/{}", item.id),
                    id: item.id.to_string(),
                    name: item.name,
                    description: item.description,
                })
                .collect(),
            next_cursor: next
                .map(|position| serde_json::to_string(&position).map_err(Error::internal))
                .transpose()?
                .map(|position| session.seal_cursor(&position)),
        })
    }
}
