//! Contacts: who the tenant knows, listed and searched.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    chile,
    client::{Fields, Odoo, PARTNER, TAG},
    domain::{Domain, literal},
    row::Row,
};
use crate::{
    auth::Scope,
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, page, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListContacts>(), tool::<SearchContacts>()]
}

/// The most tags of one contact that are told.
const TAGS_MAX: usize = 50;

/// List the contacts of the tenant's Odoo, oldest first: people and companies with their e-mail, phone and tags.
///
/// To find somebody by name, e-mail, phone or RUT, use `crm_contacts_search`.
/// Example: `{"filter": {"country": "CL", "type": "customer", "tag": "mayorista"}, "limit": 20}` lists Chilean customers with that tag.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListContacts {
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// Only contacts to which all of this applies, e.g. `{"country": "CL", "type": "customer"}`. In a URL, as `filter[country]=CL&filter[type]=customer` or as JSON.
    #[serde(default)]
    filter: Filter,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// What contacts can be picked by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filter {
    /// The country as ISO 3166-1 has it, two letters, e.g. `CL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 2), regex(pattern = "^[A-Za-z]{2}$"))]
    country: Option<String>,
    /// customer: has been invoiced or sold to; lead: has an opportunity and is no customer yet; vendor: sells to the tenant; company: is a company, not a person.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    of_type: Option<Type>,
    /// The company that they are or work for, or a part of its name, e.g. `Hotel Calle-Calle`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    company: Option<String>,
    /// A tag that they carry, e.g. `mayorista`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    tag: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Type {
    Customer,
    Lead,
    Vendor,
    Company,
}

/// Search the contacts of the tenant's Odoo by name, e-mail, phone or RUT, and answer who fits.
///
/// Phone and RUT are found in every Chilean spelling: `+56 9 8123 4567` and `981234567`, `76.086.428-5` and `760864285`.
/// Example: `{"query": "john@example.com"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SearchContacts {
    /// A part of the name or e-mail, a phone number or a RUT, e.g. `Rosa`, `john@example.com`, `+56 9 8123 4567` or `12.345.678-5`.
    #[schemars(length(min = 1, max = 200))]
    query: String,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

/// Contacts, by id.
#[derive(Serialize, JsonSchema)]
struct Contacts {
    contacts: Vec<Contact>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// A person or a company.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Contact {
    id: u64,
    name: String,
    email: Option<String>,
    phone: Option<String>,
    /// The name of the company that the contact works for.
    company: Option<String>,
    tags: Vec<String>,
}

/// Where a page ends, and of what list.
#[derive(Serialize, Deserialize)]
struct Position<T> {
    after: u64,
    of: T,
}

impl Tool for ListContacts {
    const NAME: &'static str = "crm_contacts_list";
    const TITLE: &'static str = "List contacts";
    const ROUTE: Route = Route::get("/crm/contacts");
    const SCOPE: Scope = Scope::ReadCrm;
    const CATEGORY: Category = Category::Crm;
    type Backend = Odoo;
    type Output = Contacts;

    async fn call(self, odoo: &Odoo) -> Result<Contacts> {
        let position: Option<Position<Filter>> = opened(odoo, self.cursor.as_deref())?;
        let (filter, after) = match position {
            None => (self.filter, None),
            Some(position) if self.filter == Filter::default() || self.filter == position.of => (position.of, Some(position.after)),
            Some(_) => {
                return Err(Error::invalid(
                    "cursor: it belongs to a list with another filter; repeat that, or leave it out",
                ));
            }
        };
        let fields = odoo.fields(PARTNER).await?;
        let wanted = filter.domain(&fields, odoo.company())?;
        page(odoo, &fields, wanted, after, self.limit, filter).await
    }
}

impl Tool for SearchContacts {
    const NAME: &'static str = "crm_contacts_search";
    const TITLE: &'static str = "Search contacts";
    const ROUTE: Route = Route::get("/crm/contacts/search");
    const SCOPE: Scope = Scope::ReadCrm;
    const CATEGORY: Category = Category::Crm;
    type Backend = Odoo;
    type Output = Contacts;

    async fn call(self, odoo: &Odoo) -> Result<Contacts> {
        let query = self.query.trim();
        if query.is_empty() {
            return Err(Error::invalid(
                "query: must not be empty; say a name, an e-mail, a phone number or a RUT",
            ));
        }
        let position: Option<Position<String>> = opened(odoo, self.cursor.as_deref())?;
        if position.as_ref().is_some_and(|position| position.of != query) {
            return Err(Error::invalid(
                "cursor: it belongs to a search for something else; repeat that query",
            ));
        }
        let fields = odoo.fields(PARTNER).await?;
        let wanted = found_by(query, &fields);
        let after = position.map(|position| position.after);
        page(odoo, &fields, wanted, after, self.limit, query.to_owned()).await
    }
}

impl Filter {
    fn domain(&self, fields: &Fields, company: Option<u64>) -> Result<Domain> {
        let mut all = Vec::new();
        if let Some(country) = &self.country {
            all.push(Domain::of("country_id.code", "=", country.to_ascii_uppercase()));
        }
        if let Some(of_type) = self.of_type {
            all.push(of_type.domain(fields, company)?);
        }
        if let Some(name) = &self.company {
            all.push(Domain::of("commercial_company_name", "ilike", literal(name.trim())));
        }
        if let Some(tag) = &self.tag {
            all.push(Domain::of("category_id.name", "=ilike", literal(tag.trim())));
        }
        Ok(Domain::all(all))
    }
}

impl Type {
    fn domain(self, fields: &Fields, company: Option<u64>) -> Result<Domain> {
        let needs = |field: &str, word: &str, app: &str| match fields.has(field) {
            true => Ok(()),
            false => Err(Error::new(
                Kind::BackendRefused,
                format!("filter.type: this Odoo does not say who is a {word}; it would with its app {app}"),
            )),
        };
        match self {
            Type::Company => Ok(Domain::of("is_company", "=", true)),
            Type::Customer => needs("customer_rank", "customer", "Invoicing").map(|()| Domain::of("customer_rank", ">", 0)),
            Type::Vendor => needs("supplier_rank", "vendor", "Invoicing").map(|()| Domain::of("supplier_rank", ">", 0)),
            Type::Lead => {
                needs("opportunity_ids", "lead", "CRM")?;
                let interested = match company {
                    Some(company) => Domain::of("opportunity_ids.company_id", "=", company),
                    None => Domain::of("opportunity_ids", "!=", false),
                };
                let no_customer = match fields.has("customer_rank") {
                    true => Domain::of("customer_rank", "=", 0),
                    false => Domain::default(),
                };
                Ok(Domain::all([interested, no_customer]))
            }
        }
    }
}

/// Who is found by a query: by a part of a text, and by every spelling of a number.
fn found_by(query: &str, fields: &Fields) -> Domain {
    let mut any = Vec::new();
    for field in fields.of(&["name", "email", "phone", "mobile", "vat"]) {
        any.push(Domain::of(field, "ilike", literal(query)));
    }
    if let Some(pattern) = chile::phone_pattern(query) {
        for field in fields.of(&["phone", "mobile"]) {
            any.push(Domain::of(field, "=ilike", pattern.as_str()));
        }
    }
    if let Some(pattern) = chile::rut_pattern(query)
        && fields.has("vat")
    {
        any.push(Domain::of("vat", "=ilike", pattern));
    }
    Domain::any(any)
}

/// One contact of the tenant's, by its number.
pub(super) async fn find(odoo: &Odoo, id: u64) -> Result<Option<Contact>> {
    let fields = odoo.fields(PARTNER).await?;
    let rows = rows(odoo, &fields, Domain::of("id", "=", id), 1).await?;
    Ok(told(odoo, rows).await?.pop())
}

/// Companies among the tenant's contacts that are called exactly so, whatever the case: at most two, which is one too many.
pub(super) async fn companies(odoo: &Odoo, name: &str) -> Result<Vec<u64>> {
    let fields = odoo.fields(PARTNER).await?;
    let called = Domain::all([Domain::of("is_company", "=", true), Domain::of("name", "=ilike", literal(name))]);
    Ok(rows(odoo, &fields, called, 2).await?.iter().map(Row::id).collect())
}

/// The names of contacts by their numbers, archived ones too. One of another company is not among them.
pub(super) async fn names(odoo: &Odoo, ids: Vec<u64>) -> Result<HashMap<u64, String>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let domain = Domain::all([Domain::of("id", "in", ids), odoo.bound()]);
    let arguments = json!({ "domain": domain, "fields": ["name"], "context": { "active_test": false } });
    let rows: Vec<Row> = odoo.read(PARTNER, "search_read", arguments).await?;
    Ok(rows.into_iter().filter_map(|row| Some((row.id(), row.text("name")?))).collect())
}

async fn page<T: Serialize>(
    odoo: &Odoo,
    fields: &Fields,
    wanted: Domain,
    after: Option<u64>,
    limit: Option<u32>,
    of: T,
) -> Result<Contacts> {
    let limit = limit.unwrap_or(page::LIMIT_DEFAULT);
    let later = after.map_or_else(Domain::default, |after| Domain::of("id", ">", after));
    let mut rows = rows(odoo, fields, Domain::all([wanted, later]), limit + 1).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = match rows.last() {
        Some(last) if more => {
            let position = serde_json::to_string(&Position { after: last.id(), of }).map_err(Error::internal)?;
            Some(odoo.http.session().seal_cursor(&position))
        }
        _ => None,
    };
    Ok(Contacts {
        contacts: told(odoo, rows).await?,
        next_cursor,
    })
}

/// Contacts of the tenant's, oldest first: no addresses for invoices and deliveries, which Odoo keeps in the same place.
async fn rows(odoo: &Odoo, fields: &Fields, wanted: Domain, limit: u32) -> Result<Vec<Row>> {
    let domain = Domain::all([
        odoo.bound(),
        Domain::of("active", "=", true),
        Domain::of("type", "=", "contact"),
        wanted,
    ]);
    let arguments = json!({
        "domain": domain,
        "fields": fields.of(&["name", "email", "phone", "mobile", "is_company", "parent_id", "company_name", "category_id"]),
        "order": "id",
        "limit": limit,
        // Who has only a lost opportunity is a lead too, and a lost one is archived.
        "context": { "active_test": false },
    });
    odoo.read(PARTNER, "search_read", arguments).await
}

/// With the names of their tags, which Odoo tells apart.
async fn told(odoo: &Odoo, rows: Vec<Row>) -> Result<Vec<Contact>> {
    let mut ids: Vec<u64> = rows
        .iter()
        .flat_map(|row| row.ids("category_id").into_iter().take(TAGS_MAX))
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut names = HashMap::new();
    if !ids.is_empty() {
        let arguments = json!({ "domain": Domain::of("id", "in", ids), "fields": ["name"] });
        let tags: Vec<Row> = odoo.read(TAG, "search_read", arguments).await?;
        names.extend(tags.into_iter().filter_map(|tag| Some((tag.id(), tag.text("name")?))));
    }
    let contact = |row: Row| Contact {
        id: row.id(),
        name: row.text("name").unwrap_or_default(),
        email: row.text("email"),
        phone: row.text("phone").or_else(|| row.text("mobile")),
        company: match row.related("parent_id") {
            Some((_, label)) => Some(label),
            None => row.text("company_name"),
        },
        tags: row
            .ids("category_id")
            .iter()
            .take(TAGS_MAX)
            .filter_map(|id| names.get(id).cloned())
            .collect(),
    };
    Ok(rows.into_iter().map(contact).collect())
}

fn opened<T: serde::de::DeserializeOwned>(odoo: &Odoo, cursor: Option<&str>) -> Result<Option<Position<T>>> {
    let text = odoo.http.session().open_cursor(cursor)?;
    text.map(|text| serde_json::from_str(&text).map_err(Error::internal)).transpose()
}
