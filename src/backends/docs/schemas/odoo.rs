//! Odoo's models, as each describes itself (`fields_get`): those that a business works with, of the apps that are installed.
//!
//! Which models there are, Odoo tells only to administrators (`ir.model`), so that a list of ours is asked for, one by one: it
//! describes any to any user. One whose app is not installed is refused, and named in the note.

use futures::{StreamExt as _, stream};
use serde_json::{Map, Value, json};

use super::{COLUMNS_MAX, Column, Relationship, Schema, Table};
use crate::{backends::odoo::Odoo, error::Result};

/// The first is in every Odoo.
const MODELS: [&str; 24] = [
    "res.partner",
    "account.move",
    "account.move.line",
    "account.payment",
    "calendar.event",
    "crm.lead",
    "crm.lost.reason",
    "crm.stage",
    "crm.tag",
    "crm.team",
    "hr.employee",
    "product.category",
    "product.product",
    "product.template",
    "project.project",
    "project.task",
    "purchase.order",
    "purchase.order.line",
    "res.company",
    "res.country",
    "res.partner.category",
    "sale.order",
    "sale.order.line",
    "stock.picking",
];
/// How many are asked for at once.
const AT_ONCE: usize = 4;
/// The longest description of a model, in bytes: the long ones of a real Odoo have some 100 KB.
const DESCRIPTION_MAX: usize = 2 * 1024 * 1024;
const NOTE: &str = "Odoo's models are its tables, and what it keeps of each are the columns; what is computed is left out. A model is read and written by its name.";

pub(super) async fn schema(odoo: Odoo) -> Result<Schema> {
    let odoo = &odoo.at_most(DESCRIPTION_MAX);
    let mut schema = Schema::default();
    // Where this one is refused, the connection is not right.
    schema.add_model(MODELS[0], fields(odoo, MODELS[0]).await?);
    let others: Vec<_> = MODELS.into_iter().skip(1).map(|model| named(odoo, model)).collect();
    let mut missing = Vec::new();
    let mut answers = stream::iter(others).buffered(AT_ONCE);
    while let Some((model, found)) = answers.next().await {
        match found {
            Ok(found) => schema.add_model(model, found),
            Err(error) if error.code() == Odoo::NO_SUCH_MODEL => missing.push(model),
            Err(error) => return Err(error),
        }
    }
    schema.note = Some(match missing.as_slice() {
        [] => NOTE.to_owned(),
        missing => format!("{NOTE} Not there, because their apps are not installed: {}.", missing.join(", ")),
    });
    Ok(schema)
}

async fn named(odoo: &Odoo, model: &'static str) -> (&'static str, Result<Map<String, Value>>) {
    (model, fields(odoo, model).await)
}

async fn fields(odoo: &Odoo, model: &str) -> Result<Map<String, Value>> {
    let arguments = json!({ "attributes": ["type", "required", "relation", "store"] });
    odoo.read(model, "fields_get", arguments).await
}

impl Schema {
    fn add_model(&mut self, model: &str, fields: Map<String, Value>) {
        let mut columns = Vec::new();
        for (name, field) in fields.into_iter().take(COLUMNS_MAX + 1) {
            let kind = field["type"].as_str().unwrap_or("unknown");
            // The other end of a many2one: nothing is kept here.
            if field["store"] == false || kind == "one2many" {
                continue;
            }
            if let Some(relation) = field["relation"].as_str() {
                self.relate(Relationship {
                    table: model.to_owned(),
                    column: name.clone(),
                    references_table: relation.to_owned(),
                    references_column: Some("id".to_owned()),
                });
            }
            columns.push(Column {
                r#type: kind.to_owned(),
                nullable: name != "id" && field["required"] != true,
                name,
            });
        }
        self.tables.push(Table {
            name: model.to_owned(),
            columns,
        });
    }
}
