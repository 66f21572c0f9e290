//! KPIs: which saved question of the tenant's Metabase answers each of its figures.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Account, moment, page};
use crate::{
    auth::Scope,
    backends::{
        Connected as _,
        metabase::{Kpi, Metabase},
    },
    error::{Error, Result},
    id::TenantId,
    store::{self, changes},
    tool::{Category, Definition, Route, Tool, output::Done, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListKpis>(), tool::<SetKpi>(), tool::<DeleteKpi>()]
}

/// How many KPIs a tenant may map: `analytics_kpis` asks for all of them at once.
const MOST: i64 = 50;
/// The longest parameters of one, in bytes of JSON.
const PARAMETERS_MAX: usize = 8 * 1024;

/// A KPI, as it is mapped.
#[derive(Serialize, JsonSchema)]
struct Shown {
    name: String,
    tenant_id: TenantId,
    card_id: u64,
    column: Option<String>,
    unit: Option<String>,
    parameters: Vec<Map<String, Value>>,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    updated_at: i64,
}

impl Shown {
    fn of(row: store::kpis::Row) -> Result<Self> {
        let kpi = Kpi::stored(&row)?;
        Ok(Self {
            name: row.name,
            tenant_id: row.tenant_id,
            card_id: kpi.card_id,
            column: kpi.column,
            unit: kpi.unit,
            parameters: kpi.parameters,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// List how a tenant's KPIs are mapped: which saved question of its Metabase answers each. Their values are told by `analytics_kpis`.
///
/// Example: `{"limit": 20}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListKpis {
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

/// Mapped KPIs, by name.
#[derive(Serialize, JsonSchema)]
struct Kpis {
    kpis: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListKpis {
    const NAME: &'static str = "kpis_list";
    const TITLE: &'static str = "List mapped KPIs";
    const ROUTE: Route = Route::get("/analytics/kpis/settings");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Kpis;

    async fn call(self, account: &Account) -> Result<Kpis> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let after = account.session.open_cursor(self.cursor.as_deref())?.unwrap_or_default();
        let mut tx = account.read().await?;
        let rows = store::kpis::list(&mut tx, tenant, &after, i64::from(limit) + 1).await?;
        let (rows, next) = page(rows, limit, |row| row.name.clone());
        Ok(Kpis {
            kpis: rows.into_iter().map(Shown::of).collect::<Result<_>>()?,
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
        })
    }
}

/// Map a KPI of a tenant to a saved question of its Metabase, or change it: it replaces what was mapped under this name.
///
/// The question must answer one row. Whether it exists is seen when `analytics_kpis` asks it.
/// Example: `{"name": "revenue_mtd", "card_id": 1, "unit": "CLP"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetKpi {
    /// The name that the KPI is asked for by, e.g. `revenue_mtd`.
    #[schemars(regex(pattern = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"))]
    name: String,
    /// The saved question's number, as in the address of its page (`/question/1-…`), e.g. `1`.
    #[schemars(range(min = 1))]
    card_id: u64,
    /// The column of its answer that holds the figure, e.g. `total`; the only number in the row unless said.
    #[schemars(length(min = 1, max = 200))]
    column: Option<String>,
    /// What the figure is counted in, e.g. `CLP` or `%`.
    #[schemars(length(min = 1, max = 32))]
    unit: Option<String>,
    /// What the question is to be asked with, as Metabase's API takes it, e.g. `[{"type": "category", "target": ["variable", ["template-tag", "tienda"]], "value": "Valdivia"}]`.
    #[serde(default)]
    #[schemars(length(max = 20))]
    parameters: Vec<Map<String, Value>>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for SetKpi {
    const NAME: &'static str = "kpis_set";
    const TITLE: &'static str = "Map a KPI";
    const ROUTE: Route = Route::put("/analytics/kpis/{name}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let tenant_id = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        if serde_json::to_vec(&self.parameters).map_err(Error::internal)?.len() > PARAMETERS_MAX {
            return Err(Error::invalid(format!(
                "parameters: must be at most {PARAMETERS_MAX} bytes of JSON"
            )));
        }
        let kpi = Kpi {
            card_id: self.card_id,
            column: self.column,
            unit: self.unit,
            parameters: self.parameters,
        };
        let now = account.now();
        let mut tx = account.write().await?;
        let there = store::kpis::find(&mut tx, tenant_id, &self.name).await?;
        if there.is_none() && store::kpis::count(&mut tx, tenant_id).await? >= MOST {
            return Err(Error::conflict(format!(
                "This tenant has mapped {MOST} KPIs, and there is no room for more"
            )));
        }
        let row = store::kpis::Row {
            tenant_id,
            name: self.name,
            settings: serde_json::to_string(&kpi).map_err(Error::internal)?,
            created_at: there.map_or(now, |row| row.created_at),
            updated_at: now,
        };
        store::kpis::put(&mut tx, &row).await?;
        commit(account, tx, tenant_id).await?;
        Shown::of(row)
    }
}

/// Take a KPI of a tenant off the map. The saved question stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteKpi {
    /// The KPI, e.g. `revenue_mtd`.
    name: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for DeleteKpi {
    const NAME: &'static str = "kpis_delete";
    const TITLE: &'static str = "Take a KPI off the map";
    const ROUTE: Route = Route::delete("/analytics/kpis/{name}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let mut tx = account.write().await?;
        if !store::kpis::remove(&mut tx, tenant, &self.name).await? {
            return Err(Error::not_found("name: this tenant has mapped no such KPI"));
        }
        commit(account, tx, tenant).await?;
        Ok(Done::YES)
    }
}

/// The map is kept with the tenant's Metabase connection, and forgotten with it.
async fn commit(account: &Account, tx: store::Tx, tenant: TenantId) -> Result<()> {
    account
        .commit(tx, changes::Kind::Connection, format!("{tenant}/{}", Metabase::NAME))
        .await
}
