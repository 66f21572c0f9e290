//! Records: contacts and opportunities, created and changed.
//!
//! What is written is one call of Odoo, and so one transaction, tags that are made for it included. Everything that it needs is looked
//! up before, and that the record is the tenant's.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    client::{LEAD, Odoo, PARTNER, TAG},
    contacts::{self, Contact},
    domain::{Domain, literal},
    opportunities::{self, Opportunity},
    row::Row,
    stages::{Stages, Word},
};
use crate::{
    auth::Scope,
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<UpsertRecord>()]
}

/// Create a contact or an opportunity in the tenant's Odoo, or change one: with `id` that record is changed, and only in the fields
/// that are given; without it a new one is made.
///
/// Search first (`crm_contacts_search`), so that nobody is there twice. Examples: `{"kind": "contact", "fields": {"name": "Rosa Huenchur",
/// "phone": "+56 9 8123 4567", "tags": ["mayorista"]}}` makes a contact;
/// `{"kind": "opportunity", "id": 32, "fields": {"stage": "negotiation", "expected_revenue": 210000}}` moves an opportunity on.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct UpsertRecord {
    /// What it is: contact or opportunity.
    kind: Kind,
    /// The record to change, e.g. 12, as the lists name it; leave it out to make a new one.
    #[schemars(range(min = 1))]
    id: Option<u64>,
    /// What is to be written, e.g. `{"name": "Rosa Huenchur", "tags": ["mayorista"]}`. A contact takes `name`, `email`, `phone`, `company` and `tags`; an opportunity `name`, `contact_id`, `stage` and `expected_revenue`. What is left out stays as it is; an empty text takes a value away.
    fields: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Contact,
    Opportunity,
}

/// What can be written of a record.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Fields {
    /// The name of the contact, or what the opportunity is about; needed for a new record, e.g. `Torta de matrimonio`.
    #[schemars(length(min = 1, max = 200))]
    name: Option<String>,
    /// The contact's e-mail address, e.g. `rosa@example.cl`.
    #[schemars(length(max = 254))]
    email: Option<String>,
    /// The contact's phone number, e.g. `+56 9 8123 4567`.
    #[schemars(length(max = 64))]
    phone: Option<String>,
    /// The company that the contact works for, e.g. `Hotel Calle-Calle SpA`: a contact that is a company and is called so, else the name alone is kept.
    #[schemars(length(max = 200))]
    company: Option<String>,
    /// All tags that the contact is to carry, e.g. `["mayorista"]`; those that do not exist are made.
    #[schemars(length(max = 20))]
    tags: Option<Vec<String>>,
    /// Whom the opportunity is with: the `id` of a contact, e.g. 12.
    #[schemars(range(min = 1))]
    contact_id: Option<u64>,
    /// The opportunity's stage: new, qualified, proposal, negotiation, won, lost, or a stage's name in Odoo, e.g. `negotiation`.
    #[schemars(length(min = 1, max = 100))]
    stage: Option<String>,
    /// What the opportunity may bring in, in the company's currency, e.g. 180000.
    #[schemars(range(min = 0, max = 1_000_000_000_000_000_i64))]
    expected_revenue: Option<f64>,
}

/// The record, as it is now.
#[derive(Serialize, JsonSchema)]
struct Upserted {
    id: u64,
    kind: Kind,
    /// Whether it was made by this call.
    created: bool,
    /// As `crm_contacts_list` or `crm_opportunities_list` shows it.
    record: Record,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
enum Record {
    Contact(Contact),
    Opportunity(Opportunity),
}

impl Kind {
    const fn model(self) -> &'static str {
        match self {
            Kind::Contact => PARTNER,
            Kind::Opportunity => LEAD,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Kind::Contact => "contact",
            Kind::Opportunity => "opportunity",
        }
    }

    const fn list(self) -> &'static str {
        match self {
            Kind::Contact => "crm_contacts_list",
            Kind::Opportunity => "crm_opportunities_list",
        }
    }

    async fn find(self, odoo: &Odoo, id: u64) -> Result<Option<Record>> {
        Ok(match self {
            Kind::Contact => contacts::find(odoo, id).await?.map(Record::Contact),
            Kind::Opportunity => opportunities::find(odoo, id).await?.map(Record::Opportunity),
        })
    }
}

impl Tool for UpsertRecord {
    const NAME: &'static str = "crm_records_upsert";
    const TITLE: &'static str = "Create or change a contact or an opportunity";
    const ROUTE: Route = Route::post("/crm/records");
    const SCOPE: Scope = Scope::WriteCrm;
    const CATEGORY: Category = Category::Crm;
    type Backend = Odoo;
    type Output = Upserted;

    async fn call(self, odoo: &Odoo) -> Result<Upserted> {
        let Self { kind, id, fields } = self;
        fields.check(kind, id.is_some())?;
        if let Some(id) = id
            && kind.find(odoo, id).await?.is_none()
        {
            return Err(Error::not_found(format!(
                "id: Odoo has no {} {id} for this tenant; {} names them",
                kind.name(),
                kind.list()
            )));
        }
        let mut values = match kind {
            Kind::Contact => fields.of_contact(odoo).await?,
            Kind::Opportunity => fields.of_opportunity(odoo).await?,
        };
        let written = match id {
            Some(id) => {
                odoo.write(kind.model(), id, values).await?;
                id
            }
            None => {
                if let Some(company) = odoo.company() {
                    values.insert("company_id".to_owned(), company.into());
                }
                if kind == Kind::Opportunity {
                    values.insert("type".to_owned(), "opportunity".into());
                }
                odoo.create(kind.model(), values).await?
            }
        };
        // It is done, whatever comes now: the call must not look as if it could be made again.
        let read_back = kind
            .find(odoo, written)
            .await
            .and_then(|record| record.ok_or_else(|| Error::not_found("Odoo does not show it to this tenant any more")));
        let record = read_back.map_err(|error| {
            Error::new(
                error.kind(),
                format!(
                    "The {} was saved as {written}, and reading it back failed: {}",
                    kind.name(),
                    error.message()
                ),
            )
            .coded("partly_done")
            .once()
        })?;
        Ok(Upserted {
            id: written,
            kind,
            created: id.is_none(),
            record,
        })
    }
}

impl Fields {
    fn check(&self, kind: Kind, exists: bool) -> Result<()> {
        let of_contact = [
            ("email", self.email.is_some()),
            ("phone", self.phone.is_some()),
            ("company", self.company.is_some()),
            ("tags", self.tags.is_some()),
        ];
        let of_opportunity = [
            ("contact_id", self.contact_id.is_some()),
            ("stage", self.stage.is_some()),
            ("expected_revenue", self.expected_revenue.is_some()),
        ];
        let (own, foreign): (&[_], &[_]) = match kind {
            Kind::Contact => (&of_contact, &of_opportunity),
            Kind::Opportunity => (&of_opportunity, &of_contact),
        };
        if let Some((field, _)) = foreign.iter().find(|(_, given)| *given) {
            let takes: Vec<_> = own.iter().map(|(field, _)| *field).collect();
            return Err(Error::invalid(format!(
                "fields.{field}: is nothing of a {}, which takes name, {}",
                kind.name(),
                takes.join(", ")
            )));
        }
        match &self.name {
            Some(name) if name.trim().is_empty() => return Err(Error::invalid("fields.name: must not be empty")),
            None if !exists => {
                return Err(Error::invalid(format!(
                    "fields.name: is missing, and a new {} needs one",
                    kind.name()
                )));
            }
            None if !own.iter().any(|(_, given)| *given) => return Err(Error::invalid("fields: say what is to be changed")),
            _ => {}
        }
        if let Some(email) = &self.email
            && !email.trim().is_empty()
            && (!email.contains('@') || email.trim().contains(char::is_whitespace))
        {
            return Err(Error::invalid(format!("fields.email: '{email}' is no e-mail address")));
        }
        for tag in self.tags.iter().flatten() {
            if !(1..=64).contains(&tag.trim().chars().count()) {
                return Err(Error::invalid("fields.tags: each must have 1 to 64 characters"));
            }
        }
        Ok(())
    }

    async fn of_contact(self, odoo: &Odoo) -> Result<Map<String, Value>> {
        let mut values = Map::new();
        for (field, text) in [("name", self.name), ("email", self.email), ("phone", self.phone)] {
            if let Some(text) = text {
                values.insert(field.to_owned(), or_false(&text));
            }
        }
        if let Some(company) = &self.company {
            // One or the other: Odoo shows the company that is linked before the name that is kept.
            let called = match company.trim() {
                "" => Vec::new(),
                name => contacts::companies(odoo, name).await?,
            };
            let (linked, name) = match called.as_slice() {
                [] => (Value::Bool(false), or_false(company)),
                [one] => (json!(one), Value::Bool(false)),
                several => {
                    let ids: Vec<_> = several.iter().map(u64::to_string).collect();
                    return Err(Error::invalid(format!(
                        "fields.company: several companies are called '{}' ({}, …); give them different names in Odoo",
                        company.trim(),
                        ids.join(", ")
                    )));
                }
            };
            values.insert("parent_id".to_owned(), linked);
            values.insert("company_name".to_owned(), name);
        }
        if let Some(tags) = &self.tags {
            values.insert("category_id".to_owned(), tag_commands(odoo, tags).await?);
        }
        Ok(values)
    }

    async fn of_opportunity(self, odoo: &Odoo) -> Result<Map<String, Value>> {
        let mut values = Map::new();
        if let Some(name) = &self.name {
            values.insert("name".to_owned(), or_false(name));
        }
        if let Some(contact) = self.contact_id {
            if contacts::find(odoo, contact).await?.is_none() {
                return Err(Error::not_found(format!(
                    "fields.contact_id: Odoo has no contact {contact} for this tenant; crm_contacts_search finds them"
                )));
            }
            values.insert("partner_id".to_owned(), contact.into());
        }
        if let Some(revenue) = self.expected_revenue {
            values.insert("expected_revenue".to_owned(), revenue.into());
        }
        if let Some(stage) = &self.stage {
            values.extend(stage_values(odoo, stage).await?);
        }
        Ok(values)
    }
}

/// What moves an opportunity to a stage. A lost one is archived, and comes back with any other stage.
async fn stage_values(odoo: &Odoo, name: &str) -> Result<Map<String, Value>> {
    let stages = Stages::of(odoo).await?;
    let values = match (stages.named(name).as_slice(), Word::of(name)) {
        ([one], _) => json!({ "stage_id": one.id, "active": true }),
        ([], Some(Word::Lost)) => json!({ "active": false, "probability": 0, "automated_probability": 0 }),
        ([], _) => {
            return Err(Error::invalid(format!(
                "fields.stage: the tenant's Odoo has no stage '{name}'; it has {}, and lost",
                stages.names()
            )));
        }
        (several, _) => {
            let names: Vec<_> = several.iter().map(|stage| format!("'{}'", stage.name)).collect();
            return Err(Error::invalid(format!(
                "fields.stage: '{name}' may mean {}; give one of these names",
                names.join(" or ")
            )));
        }
    };
    match values {
        Value::Object(values) => Ok(values),
        _ => Err(Error::internal("values that are no object")),
    }
}

/// The commands that leave a contact with exactly these tags: those that there are, and then those that are made with the record.
async fn tag_commands(odoo: &Odoo, tags: &[String]) -> Result<Value> {
    let mut wanted: Vec<&str> = Vec::new();
    for tag in tags.iter().map(|tag| tag.trim()) {
        if !wanted.iter().any(|known| known.to_lowercase() == tag.to_lowercase()) {
            wanted.push(tag);
        }
    }
    let mut known: HashMap<String, u64> = HashMap::new();
    if !wanted.is_empty() {
        let called = wanted.iter().map(|tag| Domain::of("name", "=ilike", literal(tag)));
        let arguments = json!({ "domain": Domain::any(called), "fields": ["name"], "order": "id desc", "limit": 200 });
        let found: Vec<Row> = odoo.read(TAG, "search_read", arguments).await?;
        // Of two that are called alike, the older one.
        known.extend(found.iter().filter_map(|row| Some((row.text("name")?.to_lowercase(), row.id()))));
    }
    let (there, new): (Vec<&str>, Vec<&str>) = wanted.iter().partition(|tag| known.contains_key(&tag.to_lowercase()));
    let ids: Vec<u64> = there.iter().filter_map(|tag| known.get(&tag.to_lowercase()).copied()).collect();
    let mut commands = vec![json!([6, 0, ids])];
    commands.extend(new.iter().map(|tag| json!([0, 0, { "name": tag }])));
    Ok(Value::Array(commands))
}

/// A text as Odoo has it: `false` where it is empty.
fn or_false(text: &str) -> Value {
    match text.trim() {
        "" => Value::Bool(false),
        text => text.into(),
    }
}
