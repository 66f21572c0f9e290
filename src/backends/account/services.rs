//! Services registered by hand: what a tenant wants its services to be called, and what they are known by.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Account, moment};
use crate::{
    auth::Scope,
    backends::{
        Connected as _,
        docker::{Docker, Registered, ServiceSettings, Type, is_repository},
        read_url,
    },
    error::{Error, Result},
    id::TenantId,
    store::{self, changes},
    tool::{Category, Definition, Route, Tool, output::Done, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<SetService>(), tool::<DeleteService>()]
}

/// How many services a tenant may register.
const MOST: i64 = 1000;

/// A registered service.
#[derive(Serialize, JsonSchema)]
struct Shown {
    id: String,
    tenant_id: TenantId,
    name: String,
    r#type: Type,
    url: Option<String>,
    health_url: Option<String>,
    container: Option<String>,
    image: Option<String>,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    created_at: i64,
    #[serde(serialize_with = "moment")]
    #[schemars(with = "String")]
    updated_at: i64,
}

/// Register a service of a tenant, or change one: it replaces what was registered under this id.
///
/// Without any registered, a tenant's services are its containers, grouped by the label `smarteros.service`. With the first one, the registry is the list: register all. Example: `{"service_id": "tienda", "type": "frontend", "url": "https://tienda.example.cl", "health_url": "https://tienda.example.cl/health"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SetService {
    /// The id that the service is called by, e.g. `tienda`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]{0,62}$"))]
    service_id: String,
    /// A name for people; the id unless said.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// The part of the business that it is.
    r#type: Type,
    /// Where people or programs find it.
    #[schemars(length(min = 1, max = 2000))]
    url: Option<String>,
    /// What is asked whether it is well, by GET; any answer below 400 says yes. It must be an address that backends may have.
    #[schemars(length(min = 1, max = 2000))]
    health_url: Option<String>,
    /// The name of its container, or the value of its containers' label `smarteros.service`; the id unless said.
    #[schemars(regex(pattern = r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$"))]
    container: Option<String>,
    /// The repository of its image, without a tag, e.g. `ghcr.io/smarteros/tienda`: what `services_deploy` pulls. The one that its containers run unless said; only the operator may say another.
    #[schemars(length(min = 1, max = 255))]
    image: Option<String>,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for SetService {
    const NAME: &'static str = "services_set";
    const TITLE: &'static str = "Register a service";
    const ROUTE: Route = Route::put("/services/{service_id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Shown;

    async fn call(self, account: &Account) -> Result<Shown> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?;
        if self.service_id == "health" {
            return Err(Error::invalid(
                "service_id: 'health' is taken by the path /services/health; choose another",
            ));
        }
        if let Some(url) = &self.url {
            let url = read_url("url", url)?;
            if !matches!(url.scheme(), "http" | "https") {
                return Err(Error::invalid("url: must begin with https:// or http://"));
            }
        }
        if let Some(url) = &self.health_url {
            let guard = account.state().connections.guard(&tenant.tenant);
            guard.check("health_url", &read_url("health_url", url)?).await?;
        }
        if let Some(image) = &self.image {
            if !is_repository(image) {
                return Err(Error::invalid(
                    "image: must be a repository without a tag, in lower case, e.g. ghcr.io/smarteros/tienda",
                ));
            }
            // It would run with what the old container was given (folders, privileges), on a machine that may be shared.
            account.need_operator("register another image for a service")?;
        }
        let settings = ServiceSettings {
            health_url: self.health_url,
            container: self.container,
            image: self.image,
        };
        let (tenant_id, now) = (tenant.tenant.id, account.now());
        let mut tx = account.write().await?;
        let there = store::services::find(&mut tx, tenant_id, &self.service_id).await?;
        if there.is_none() && store::services::count(&mut tx, tenant_id).await? >= MOST {
            return Err(Error::conflict(format!(
                "This tenant has registered {MOST} services, and there is no room for more"
            )));
        }
        let row = store::services::Row {
            tenant_id,
            name: self.name.unwrap_or_else(|| self.service_id.clone()),
            id: self.service_id,
            kind: self.r#type.name().to_owned(),
            url: self.url,
            settings: serde_json::to_string(&settings).map_err(Error::internal)?,
            created_at: there.map_or(now, |row| row.created_at),
            updated_at: now,
        };
        store::services::put(&mut tx, &row).await?;
        commit(account, tx, tenant_id).await?;
        let Registered {
            id,
            name,
            kind,
            url,
            settings,
        } = Registered::stored(&row)?;
        Ok(Shown {
            id,
            tenant_id,
            name,
            r#type: kind,
            url,
            health_url: settings.health_url,
            container: settings.container,
            image: settings.image,
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

/// Take a service out of the registry. Its containers stay as they are.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct DeleteService {
    /// The service, e.g. `tienda`.
    service_id: String,
    /// The tenant, by id or slug; the caller's own unless said.
    tenant_id: Option<String>,
}

impl Tool for DeleteService {
    const NAME: &'static str = "services_delete";
    const TITLE: &'static str = "Take a service out of the registry";
    const ROUTE: Route = Route::delete("/services/{service_id}");
    const SCOPE: Scope = Scope::AdminTenants;
    const CATEGORY: Category = Category::Account;
    type Backend = Account;
    type Output = Done;

    async fn call(self, account: &Account) -> Result<Done> {
        let tenant = account.tenant(self.tenant_id.as_deref()).await?.tenant.id;
        let mut tx = account.write().await?;
        if !store::services::remove(&mut tx, tenant, &self.service_id).await? {
            return Err(Error::not_found("service_id: this tenant has registered no such service"));
        }
        commit(account, tx, tenant).await?;
        Ok(Done::YES)
    }
}

/// The registry is kept with the tenant's Docker connection, and forgotten with it.
async fn commit(account: &Account, tx: store::Tx, tenant: TenantId) -> Result<()> {
    account
        .commit(tx, changes::Kind::Connection, format!("{tenant}/{}", Docker::NAME))
        .await
}
