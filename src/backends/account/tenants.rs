//! Tenants: made, changed, suspended and deleted by the operator; seen by their own administrators.

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment, page};
use crate::{
    auth::{self, Scope},
    error::{Error, Result},
    id::TenantId,
    store::{self, changes},
    tenant::{self, Status, Tenant},
    tool::{Category, Definition, Route, Tool, output::Done, page::LIMIT_DEFAULT, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![
        tool::<CreateTenant>(),
        tool::<ListTenants>(),
        tool::<GetTenant>(),
        tool::<UpdateTenant>(),
        tool::<DeleteTenant>(),
    ]
}

/// A tenant.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: TenantId,
    slug: String,
    name: String,
    rut: Option<String>,
    plan: String,
    region: String,
    status: Status,
    time_zone: String,
    locale: String,
    /// Private networks where its backends may live.
    backend_allow: Vec<String>,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    updated_at: i64,
}

impl From<Tenant> for Shown {
    fn from(tenant: Tenant) -> Self {
        Self {
            id: tenant.id,
            slug: tenant.slug,
            name: tenant.name,
            rut: tenant.rut,
            plan: tenant.plan,
            region: tenant.region,
            status: tenant.status,
            time_zone: tenant.time_zone,
            locale: tenant.locale,
            backend_allow: tenant.backend_allow.iter().map(IpNet::to_string).collect(),
            created_at: tenant.created_at,
            updated_at: tenant.updated_at,
        }
    }
}

/// Create a tenant. Only the operator may.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CreateTenant {
    /// The business's name, e.g. `Panadería Luna`.
    #[schemars(length(min = 1, max = 200))]
    name: String,
    /// Its short name in paths and labels: lower-case letters, digits, hyphens, e.g. `panaderia-luna`.
    #[schemars(length(min = 1, max = 63))]
    slug: String,
    /// demo, starter, business or enterprise; business unless said.
    plan: Option<String>,
    /// Where its data lives; `cl` unless said.
    #[schemars(length(min = 1, max = 40))]
    region: Option<String>,
    /// Its Chilean tax id, e.g. `76.192.083-9`.
    rut: Option<String>,
    /// IANA time zone, by whose months its quotas count; America/Santiago unless said.
    time_zone: Option<String>,
    /// Language and country; es-CL unless said.
    #[schemars(length(min = 2, max = 35))]
    locale: Option<String>,
    /// Private networks, in CIDR notation, where its backends may live, e.g. `["10.8.0.0/24"]`.
    #[schemars(length(max = 50))]
    backend_allow: Option<Vec<String>>,
}

impl Tool for CreateTenant {
    const NAME: &'static str = "tenants_create";
    const TITLE: &'static str = "Create a tenant";
    const ROUTE: Route = Route::post("/tenants").created();
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        account.need_operator("create tenants")?;
        tenant::checked_slug(&self.slug)?;
        let now = account.now();
        let mut tx = account.write().await?;
        let made = Tenant {
            id: TenantId::random(),
            slug: self.slug,
            name: self.name,
            rut: self.rut.as_deref().map(tenant::normal_rut).transpose()?,
            plan: checked_plan(&mut tx, self.plan.unwrap_or_else(|| tenant::DEFAULT_PLAN.to_owned())).await?,
            region: self.region.unwrap_or_else(|| tenant::DEFAULT_REGION.to_owned()),
            status: Status::Active,
            time_zone: checked_zone(self.time_zone.unwrap_or_else(|| tenant::DEFAULT_TIME_ZONE.to_owned()))?,
            locale: self.locale.unwrap_or_else(|| tenant::DEFAULT_LOCALE.to_owned()),
            backend_allow: networks(&self.backend_allow.unwrap_or_default())?,
            created_at: now,
            updated_at: now,
        };
        store::tenants::insert(&mut tx, &made).await?;
        account.commit(tx, changes::Kind::Tenant, made.id.to_string()).await?;
        Ok(made.into())
    }
}

/// List tenants: all of them for the operator, its own for a tenant's administrator.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListTenants {
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Tenants, by id.
#[derive(Serialize, JsonSchema)]
struct Tenants {
    tenants: Vec<Shown>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

impl Tool for ListTenants {
    const NAME: &'static str = "tenants_list";
    const TITLE: &'static str = "List tenants";
    const ROUTE: Route = Route::get("/tenants");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Tenants;

    async fn call(self, account: &Account) -> Result<Tenants> {
        if let Some(own) = account.session.caller.tenant() {
            return Ok(Tenants {
                tenants: vec![own.tenant.clone().into()],
                next_cursor: None,
            });
        }
        let limit = self.limit.unwrap_or(LIMIT_DEFAULT);
        let after = account.session.open_cursor(self.cursor.as_deref())?;
        let mut tx = account.read().await?;
        let rows = store::tenants::list_all(&mut tx, after.as_deref(), i64::from(limit) + 1).await?;
        let (rows, next) = page(rows, limit, |tenant| tenant.id.to_string());
        Ok(Tenants {
            tenants: rows.into_iter().map(Shown::from).collect(),
            next_cursor: next.map(|position| account.session.seal_cursor(&position)),
        })
    }
}

/// Show a tenant.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetTenant {
    /// The tenant's id or slug.
    id: String,
}

impl Tool for GetTenant {
    const NAME: &'static str = "tenants_get";
    const TITLE: &'static str = "Show a tenant";
    const ROUTE: Route = Route::get("/tenants/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let known = account.tenant(Some(&self.id)).await?;
        Ok(known.tenant.clone().into())
    }
}

/// Change a tenant. Its administrators may change name, RUT, time zone and locale; the rest is the operator's.
///
/// `{"status": "suspended"}` refuses every token of the tenant within a second; `{"status": "active"}` lets them in again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpdateTenant {
    /// The tenant's id or slug.
    id: String,
    /// A new name.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// A new RUT, e.g. `76.192.083-9`.
    rut: Option<String>,
    /// A new IANA time zone.
    time_zone: Option<String>,
    /// A new locale, e.g. `es-CL`.
    #[schemars(length(min = 2, max = 35))]
    locale: Option<String>,
    /// A new plan: demo, starter, business or enterprise.
    plan: Option<String>,
    /// A new region.
    #[schemars(length(min = 1, max = 40))]
    region: Option<String>,
    /// active or suspended.
    status: Option<Settable>,
    /// Private networks, in CIDR notation, where its backends may live; replaces the list.
    #[schemars(length(max = 50))]
    backend_allow: Option<Vec<String>>,
}

/// What a status can be set to.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Settable {
    Active,
    Suspended,
}

impl Tool for UpdateTenant {
    const NAME: &'static str = "tenants_update";
    const TITLE: &'static str = "Change a tenant";
    const ROUTE: Route = Route::patch("/tenants/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        if self.plan.is_some() || self.region.is_some() || self.status.is_some() || self.backend_allow.is_some() {
            account.need_operator("set plan, region, status and backend_allow")?;
        }
        let id = account.tenant(Some(&self.id)).await?.tenant.id;
        let mut tx = account.write().await?;
        let mut changed = store::tenants::find(&mut tx, id).await?.ok_or_else(|| auth::no_tenant(&self.id))?;
        if let Some(name) = self.name {
            changed.name = name;
        }
        if let Some(rut) = &self.rut {
            changed.rut = Some(tenant::normal_rut(rut)?);
        }
        if let Some(time_zone) = self.time_zone {
            changed.time_zone = checked_zone(time_zone)?;
        }
        if let Some(locale) = self.locale {
            changed.locale = locale;
        }
        if let Some(plan) = self.plan {
            changed.plan = checked_plan(&mut tx, plan).await?;
        }
        if let Some(region) = self.region {
            changed.region = region;
        }
        if let Some(status) = self.status {
            changed.status = match status {
                Settable::Active => Status::Active,
                Settable::Suspended => Status::Suspended,
            };
        }
        if let Some(allow) = &self.backend_allow {
            changed.backend_allow = networks(allow)?;
        }
        changed.updated_at = account.now();
        store::tenants::update(&mut tx, &changed).await?;
        account.commit(tx, changes::Kind::Tenant, id.to_string()).await?;
        Ok(changed.into())
    }
}

/// Delete a tenant: its tokens are revoked and its connections removed, for good. Only the operator may.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteTenant {
    /// The tenant's id or slug.
    id: String,
}

impl Tool for DeleteTenant {
    const NAME: &'static str = "tenants_delete";
    const TITLE: &'static str = "Delete a tenant";
    const ROUTE: Route = Route::delete("/tenants/{id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        account.need_operator("delete tenants")?;
        let known = account.tenant(Some(&self.id)).await?;
        if known.tenant.slug == tenant::DEFAULT_SLUG {
            return Err(Error::conflict("The default tenant stays: the operator's tokens fall to it").coded("default_tenant"));
        }
        let mut tx = account.write().await?;
        let mut gone = Vec::new();
        for row in store::connections::list(&mut tx, known.tenant.id).await? {
            gone.extend(account.state().secrets.let_go(&mut tx, &row).await?);
        }
        store::tenants::delete(&mut tx, known.tenant.id, account.now()).await?;
        account.commit(tx, changes::Kind::Tenant, known.tenant.id.to_string()).await?;
        account.destroy(gone).await;
        Ok(Done::YES)
    }
}

async fn checked_plan(tx: &mut store::Tx, plan: String) -> Result<String> {
    let plans = store::plans::names(tx).await?;
    if plans.contains(&plan) {
        Ok(plan)
    } else {
        Err(Error::invalid(format!("plan: '{plan}' is none; there are {}", plans.join(", "))))
    }
}

fn checked_zone(name: String) -> Result<String> {
    tenant::checked_time_zone(&name)?;
    Ok(name)
}

fn networks(texts: &[String]) -> Result<Vec<IpNet>> {
    texts
        .iter()
        .map(|text| {
            text.parse::<IpNet>()
                .map_err(|_| Error::invalid(format!("backend_allow: '{text}' is no network; write it like 10.8.0.0/24")))
        })
        .collect()
}
