//! The models: which fields each has in which release, and the shop's records.

use serde_json::{Value, json};

use super::{COMPANY, Record, Release, State};
use crate::sandbox::shop;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Char,
    /// A text in several languages: stored by language, told in one.
    Translated,
    Boolean,
    Integer,
    Float,
    Selection,
    Many2one(&'static str),
    Many2many(&'static str),
    /// The records of another model that name this one in a field.
    One2many(&'static str, &'static str),
    /// Made out of others when it is asked for.
    Company,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Char | Kind::Translated | Kind::Company => "char",
            Kind::Boolean => "boolean",
            Kind::Integer => "integer",
            Kind::Float => "float",
            Kind::Selection => "selection",
            Kind::Many2one(_) => "many2one",
            Kind::Many2many(_) => "many2many",
            Kind::One2many(..) => "one2many",
        }
    }
}

const PARTNER: &[(&str, Kind)] = &[
    ("id", Kind::Integer),
    ("name", Kind::Char),
    ("email", Kind::Char),
    ("phone", Kind::Char),
    ("vat", Kind::Char),
    ("city", Kind::Char),
    ("type", Kind::Selection),
    ("is_company", Kind::Boolean),
    ("active", Kind::Boolean),
    ("partner_share", Kind::Boolean),
    ("parent_id", Kind::Many2one("res.partner")),
    ("company_name", Kind::Char),
    ("commercial_company_name", Kind::Company),
    ("country_id", Kind::Many2one("res.country")),
    ("company_id", Kind::Many2one("res.company")),
    ("category_id", Kind::Many2many("res.partner.category")),
    ("customer_rank", Kind::Integer),
    ("supplier_rank", Kind::Integer),
    ("opportunity_ids", Kind::One2many("crm.lead", "partner_id")),
    ("ref_company_ids", Kind::One2many("res.company", "partner_id")),
];
const LEAD: &[(&str, Kind)] = &[
    ("id", Kind::Integer),
    ("name", Kind::Char),
    ("type", Kind::Selection),
    ("active", Kind::Boolean),
    ("partner_id", Kind::Many2one("res.partner")),
    ("stage_id", Kind::Many2one("crm.stage")),
    ("company_id", Kind::Many2one("res.company")),
    ("expected_revenue", Kind::Float),
    ("probability", Kind::Float),
    ("automated_probability", Kind::Float),
];
const NAMED: &[(&str, Kind)] = &[("id", Kind::Integer), ("name", Kind::Char)];
const COUNTRY: &[(&str, Kind)] = &[("id", Kind::Integer), ("name", Kind::Char), ("code", Kind::Char)];
const OF_COMPANY: &[(&str, Kind)] = &[
    ("id", Kind::Integer),
    ("name", Kind::Char),
    ("partner_id", Kind::Many2one("res.partner")),
];
const TEAM: &[(&str, Kind)] = &[
    ("id", Kind::Integer),
    ("name", Kind::Char),
    ("company_id", Kind::Many2one("res.company")),
];
const STAGE: &[(&str, Kind)] = &[
    ("id", Kind::Integer),
    ("name", Kind::Translated),
    ("sequence", Kind::Integer),
    ("fold", Kind::Boolean),
    ("is_won", Kind::Boolean),
];
/// What one release has and the other has not.
const MOBILE: (&str, Kind) = ("mobile", Kind::Char);
const ONE_TEAM: (&str, Kind) = ("team_id", Kind::Many2one("crm.team"));
const SEVERAL_TEAMS: (&str, Kind) = ("team_ids", Kind::Many2many("crm.team"));

/// Which fields there are.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    pub(super) release: Release,
    /// Fields that an update took away.
    pub(super) gone: Vec<String>,
}

impl Schema {
    /// The fields of a model, if there is such a model.
    pub(super) fn fields(&self, model: &str) -> Option<Vec<(&'static str, Kind)>> {
        let mut fields = shipped(self.release, model)?;
        fields.retain(|(name, _)| !self.gone.iter().any(|gone| gone == name));
        Some(fields)
    }

    pub(super) fn kind(&self, model: &str, field: &str) -> Option<Kind> {
        self.fields(model)?
            .into_iter()
            .find(|(name, _)| *name == field)
            .map(|(_, kind)| kind)
    }
}

fn shipped(release: Release, model: &str) -> Option<Vec<(&'static str, Kind)>> {
    let (common, own): (&[_], &[_]) = match (model, release) {
        ("res.partner", Release::Seventeen) => (PARTNER, &[MOBILE]),
        ("res.partner", Release::Nineteen) => (PARTNER, &[]),
        ("crm.lead", _) => (LEAD, &[]),
        ("crm.stage", Release::Seventeen) => (STAGE, &[ONE_TEAM]),
        ("crm.stage", Release::Nineteen) => (STAGE, &[SEVERAL_TEAMS]),
        ("crm.team", _) => (TEAM, &[]),
        ("res.company", _) => (OF_COMPANY, &[]),
        ("res.country", _) => (COUNTRY, &[]),
        ("res.partner.category" | "res.users", _) => (NAMED, &[]),
        _ => return None,
    };
    Some([common, own].concat())
}

impl State {
    /// Stores a record with the defaults of its model.
    pub(super) fn add(&mut self, model: &str, values: &Value) -> u64 {
        const MODELS: [&str; 7] = [
            "res.partner",
            "crm.lead",
            "crm.stage",
            "crm.team",
            "res.company",
            "res.country",
            "res.partner.category",
        ];
        let model = MODELS.into_iter().find(|known| *known == model).expect("a model that has records");
        let mut record: Record = shipped(self.schema.release, model)
            .into_iter()
            .flatten()
            .map(|(name, kind)| {
                let default = match (name, kind) {
                    ("active" | "partner_share", _) => json!(true),
                    ("type", _) if model == "crm.lead" => json!("opportunity"),
                    ("type", _) => json!("contact"),
                    (_, Kind::Integer | Kind::Float) => json!(0),
                    (_, Kind::Many2many(_)) => json!([]),
                    _ => json!(false),
                };
                (name.to_owned(), default)
            })
            .collect();
        for (name, value) in values.as_object().into_iter().flatten() {
            record.insert(name.clone(), value.clone());
        }
        let table = self.tables.entry(model).or_default();
        let next = table.keys().next_back().map_or(1, |last| last + 1);
        let id = values["id"].as_u64().unwrap_or(next);
        record.insert("id".to_owned(), json!(id));
        table.insert(id, record);
        id
    }
}

/// The shop's records.
pub(super) fn furnish(state: &mut State) {
    let mut add = |model: &str, values: Value| state.add(model, &values);
    for (id, name, code) in [(10, "Argentina", "AR"), (46, "Chile", "CL")] {
        add("res.country", json!({ "id": id, "name": name, "code": code }));
    }
    add("res.partner", json!({ "id": 1, "name": shop::NAME, "is_company": true }));
    add(
        "res.partner",
        json!({ "id": 3, "name": "Administrator", "partner_share": false, "company_id": COMPANY }),
    );
    add("res.company", json!({ "id": COMPANY, "name": shop::NAME, "partner_id": 1 }));
    for (id, sequence, english, spanish, is_won) in [
        (1, 1, "New", "Nuevo", false),
        (2, 2, "Qualified", "Calificado", false),
        (3, 3, "Proposition", "Propuesta", false),
        (4, 70, "Won", "Ganado", true),
        // Made by the shop, in its own language alone.
        (5, 4, "Negociación", "Negociación", false),
    ] {
        let name = json!({ "en_US": english, "es_CL": spanish });
        add(
            "crm.stage",
            json!({ "id": id, "sequence": sequence, "name": name, "is_won": is_won }),
        );
    }
    let mut tags: Vec<&str> = Vec::new();
    for tag in shop::CONTACTS.iter().flat_map(|contact| contact.tags) {
        if !tags.contains(tag) {
            tags.push(tag);
            add("res.partner.category", json!({ "id": tags.len(), "name": tag }));
        }
    }
    for contact in &shop::CONTACTS {
        let of_tags: Vec<_> = contact
            .tags
            .iter()
            .filter_map(|tag| tags.iter().position(|known| known == tag).map(|index| index + 1))
            .collect();
        let rank = |kind: shop::Kind| u8::from(contact.kind == kind);
        add(
            "res.partner",
            json!({
                "id": contact.id,
                "name": contact.name,
                "email": contact.email.map_or(json!(false), Value::from),
                "phone": contact.phone.map_or(json!(false), Value::from),
                "vat": contact.rut.map_or(json!(false), Value::from),
                "city": contact.city,
                "country_id": if contact.country == "AR" { 10 } else { 46 },
                "is_company": contact.is_company,
                "parent_id": contact.company.map_or(json!(false), Value::from),
                "category_id": of_tags,
                "company_id": COMPANY,
                "customer_rank": rank(shop::Kind::Customer),
                "supplier_rank": rank(shop::Kind::Vendor),
            }),
        );
    }
    for opportunity in &shop::OPPORTUNITIES {
        let stage = match opportunity.stage {
            shop::Stage::New | shop::Stage::Lost => 1,
            shop::Stage::Qualified => 2,
            shop::Stage::Proposition => 3,
            shop::Stage::Negotiation => 5,
            shop::Stage::Won => 4,
        };
        add(
            "crm.lead",
            json!({
                "id": opportunity.id,
                "name": opportunity.name,
                "partner_id": opportunity.contact,
                "stage_id": stage,
                "expected_revenue": opportunity.expected_revenue,
                "probability": opportunity.probability,
                "active": opportunity.stage != shop::Stage::Lost,
                "company_id": COMPANY,
            }),
        );
    }
}
