//! The methods that a CRM's clients call.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{Asked, Failure, Record, State, User, domain::Looking, models::Kind};

/// Who calls what, over the state.
struct Run<'a> {
    user: &'a User,
    asked: &'a Asked,
    /// The companies that the call is for.
    companies: Vec<u64>,
}

pub(super) fn run(state: &mut State, user: &User, asked: &Asked) -> Result<Value, Failure> {
    let companies = match asked.context["allowed_company_ids"].as_array() {
        None => user.companies.clone(),
        Some(list) if list.is_empty() => user.companies.clone(),
        Some(list) => {
            let wanted: Vec<u64> = list.iter().filter_map(Value::as_u64).collect();
            if wanted.len() != list.len() || !wanted.iter().all(|id| user.companies.contains(id)) {
                return Err(Failure::access("Access to unauthorized or invalid companies."));
            }
            wanted
        }
    };
    let run = Run { user, asked, companies };
    match asked.method.as_str() {
        "context_get" => Ok(json!({ "lang": "es_CL", "tz": "America/Santiago", "uid": user.id })),
        "fields_get" => Ok(run.fields_get(state)),
        "has_access" | "check_access_rights" => Ok(json!(asked.arguments["operation"] == "read" || !user.read_only)),
        "search" => Ok(json!(
            run.search(state)?.iter().map(|record| record["id"].clone()).collect::<Vec<_>>()
        )),
        "search_count" => Ok(json!(run.search(state)?.len())),
        "search_read" => run.told(state, &run.search(state)?),
        "read" => run.read(state),
        "read_group" | "formatted_read_group" => run.grouped(state),
        "create" => run.create(state),
        "write" => run.write(state),
        other => Err(Failure::new(
            "builtins.AttributeError",
            format!("The method '{other}' does not exist"),
        )),
    }
}

impl Run<'_> {
    fn model(&self) -> &str {
        &self.asked.model
    }

    fn argument(&self, name: &str) -> &Value {
        &self.asked.arguments[name]
    }

    fn looking<'s>(&self, state: &'s State) -> Looking<'s> {
        Looking {
            state,
            archived_too: self.asked.context["active_test"] == false,
        }
    }

    fn fields_get(&self, state: &State) -> Value {
        let wanted = self.argument("allfields").as_array();
        let fields = state.schema.fields(self.model()).unwrap_or_default();
        let fields = fields
            .into_iter()
            .filter(|(name, _)| wanted.is_none_or(|wanted| wanted.is_empty() || wanted.contains(&json!(name))))
            .map(|(name, kind)| {
                // Only a contact may be without a name.
                let required = name == "name" && self.model() != "res.partner";
                let mut field = json!({ "type": kind.name(), "required": required, "store": kind != Kind::Company });
                if let Kind::Many2one(model) | Kind::Many2many(model) | Kind::One2many(model, _) = kind {
                    field["relation"] = model.into();
                }
                (name.to_owned(), field)
            });
        Value::Object(fields.collect())
    }

    /// What the user may see: Odoo's record rules of several companies.
    fn visible(&self, model: &str, record: &Record) -> bool {
        let of_company = match record.get("company_id").and_then(Value::as_u64) {
            None => true,
            Some(company) => self.companies.contains(&company),
        };
        match model {
            "res.partner" => of_company || record["partner_share"] == false,
            "crm.lead" | "crm.team" => of_company,
            "res.company" => record["id"].as_u64().is_some_and(|id| self.companies.contains(&id)),
            _ => true,
        }
    }

    fn search<'s>(&self, state: &'s State) -> Result<Vec<&'s Record>, Failure> {
        let everything = json!([]);
        let domain = match self.argument("domain") {
            Value::Null => &everything,
            domain => domain,
        };
        let looking = self.looking(state);
        // A domain that speaks of `active` means it.
        let tests_active = !looking.archived_too && !domain.to_string().contains("\"active\"");
        let mut found = Vec::new();
        for record in state.tables.get(self.model()).into_iter().flatten().map(|(_, record)| record) {
            if (!tests_active || record.get("active") != Some(&json!(false)))
                && self.visible(self.model(), record)
                && looking.holds(self.model(), record, domain)?
            {
                found.push(record);
            }
        }
        let order = self.argument("order").as_str().unwrap_or(match self.model() {
            "crm.stage" => "sequence",
            _ => "id",
        });
        for part in order.split(',').rev() {
            let (field, backwards) = match part.trim().split_once(' ') {
                Some((field, direction)) => (field, direction.eq_ignore_ascii_case("desc")),
                None => (part.trim(), false),
            };
            let key = |record: &Record| record.get(field).and_then(Value::as_i64).unwrap_or_default();
            found.sort_by_key(|record| if backwards { -key(record) } else { key(record) });
        }
        let number = |name: &str| self.argument(name).as_u64().and_then(|number| usize::try_from(number).ok());
        let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(found.into_iter().skip(number("offset").unwrap_or_default()).take(limit).collect())
    }

    fn read(&self, state: &State) -> Result<Value, Failure> {
        let mut found = Vec::new();
        for id in &self.asked.ids {
            let record = state.tables.get(self.model()).and_then(|table| table.get(id));
            // What is not there is left out.
            let Some(record) = record else { continue };
            if !self.visible(self.model(), record) {
                return Err(self.restricted("read"));
            }
            found.push(record);
        }
        self.told(state, &found)
    }

    /// Records with the fields that were asked for; all of them, where none were.
    fn told(&self, state: &State, records: &[&Record]) -> Result<Value, Failure> {
        let known = state.schema.fields(self.model()).unwrap_or_default();
        let wanted = self.argument("fields").as_array().filter(|wanted| !wanted.is_empty());
        let mut fields = vec![("id", Kind::Integer)];
        match wanted {
            None => fields = known,
            Some(wanted) => {
                for name in wanted.iter().filter_map(Value::as_str).filter(|name| *name != "id") {
                    let field = known.iter().find(|(field, _)| *field == name);
                    fields.push(*field.ok_or_else(|| Failure::value(format!("Invalid field '{name}' on '{}'", self.model())))?);
                }
            }
        }
        let looking = self.looking(state);
        let row = |record: &&Record| {
            let values = fields
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), self.value(looking, *kind, record, name)));
            Value::Object(values.collect())
        };
        Ok(Value::Array(records.iter().map(row).collect()))
    }

    fn value(&self, looking: Looking<'_>, kind: Kind, record: &Record, field: &str) -> Value {
        match kind {
            Kind::Many2one(other) => match record[field].as_u64() {
                None => json!(false),
                Some(id) => json!([id, self.label(looking, other, id)]),
            },
            Kind::Many2many(_) | Kind::One2many(..) => json!(looking.related(kind, record, field)),
            Kind::Translated => self.translated(&record[field]),
            _ => looking.value(kind, record, field),
        }
    }

    fn label(&self, looking: Looking<'_>, model: &str, id: u64) -> Value {
        let Some(record) = looking.state.tables.get(model).and_then(|table| table.get(&id)) else {
            return json!(false);
        };
        // A person is called after her company, too.
        if model == "res.partner" && record["is_company"] == false {
            let company = looking.value(Kind::Company, record, "commercial_company_name");
            if let (Some(company), Some(name)) = (company.as_str(), record["name"].as_str()) {
                return json!(format!("{company}, {name}"));
            }
        }
        self.translated(&record["name"])
    }

    /// In the language of the context, which is English where it names none.
    fn translated(&self, text: &Value) -> Value {
        let language = self.asked.context["lang"].as_str().unwrap_or("en_US");
        match text {
            Value::Object(languages) => languages
                .get(language)
                .or_else(|| languages.get("en_US"))
                .cloned()
                .unwrap_or_default(),
            plain => plain.clone(),
        }
    }

    /// Both methods of groups: the newer one takes its sums as `aggregates`, and names its columns as they are asked for.
    fn grouped(&self, state: &State) -> Result<Value, Failure> {
        let newer = self.asked.method == "formatted_read_group";
        let looking = self.looking(state);
        let records = self.search(state)?;
        let by: Vec<(&str, Kind)> = self
            .argument("groupby")
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(|field| {
                let kind = state.schema.kind(self.model(), field);
                kind.map(|kind| (field, kind))
                    .ok_or_else(|| Failure::value(format!("Invalid field '{field}'")))
            })
            .collect::<Result<_, _>>()?;
        let mut groups: Vec<(Vec<Value>, Vec<&Record>)> = Vec::new();
        for record in records {
            let key: Vec<Value> = by.iter().map(|(field, kind)| self.value(looking, *kind, record, field)).collect();
            match groups.iter_mut().find(|(known, _)| *known == key) {
                Some((_, members)) => members.push(record),
                None => groups.push((key, vec![record])),
            }
        }
        let sums = if newer { "aggregates" } else { "fields" };
        let sums: Vec<&str> = self
            .argument(sums)
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let rows = groups.into_iter().map(|(key, members)| {
            let mut row: Map<String, Value> = by.iter().map(|(field, _)| (*field).to_owned()).zip(key).collect();
            for sum in &sums {
                let Some((field, "sum")) = sum.split_once(':') else { continue };
                let total: f64 = members.iter().filter_map(|record| record[field].as_f64()).sum();
                row.insert(if newer { *sum } else { field }.to_owned(), json!(total));
            }
            row.insert("__count".to_owned(), json!(members.len()));
            row.insert(if newer { "__extra_domain" } else { "__domain" }.to_owned(), json!([]));
            Value::Object(row)
        });
        Ok(Value::Array(rows.collect()))
    }

    fn create(&self, state: &mut State) -> Result<Value, Failure> {
        let given = self.argument("vals_list");
        let list = match given {
            Value::Array(list) => list.clone(),
            one => vec![one.clone()],
        };
        self.may_change()?;
        let mut ids = Vec::new();
        for values in &list {
            let values = self.checked(state, values)?;
            if !matches!(values.get("name"), Some(Value::String(_))) {
                let message = format!(
                    "The operation cannot be completed: Missing required value for the field 'Name' (name).\nModel: '{0}' ({0})",
                    self.model()
                );
                return Err(Failure::new("odoo.exceptions.ValidationError", message));
            }
            self.in_company(&values)?;
            let values = self.commands(state, values, &Record::new());
            let mut values = Value::Object(values);
            if self.model() == "crm.lead" && values["stage_id"].is_null() {
                values["stage_id"] = json!(1);
            }
            if self.model() == "crm.lead" && values["probability"].is_null() {
                values["probability"] = likely(state, &values["stage_id"]);
            }
            ids.push(state.add(self.model(), &values));
        }
        state.writes += 1;
        Ok(match given {
            Value::Array(_) => json!(ids),
            _ => json!(ids[0]),
        })
    }

    fn write(&self, state: &mut State) -> Result<Value, Failure> {
        self.may_change()?;
        let values = self.checked(state, self.argument("vals"))?;
        self.in_company(&values)?;
        for id in &self.asked.ids {
            let Some(record) = state.tables.get(self.model()).and_then(|table| table.get(id)) else {
                let message = format!(
                    "Record does not exist or has been deleted.\n(Record: {}({id},), User: {})",
                    self.model(),
                    self.user.id
                );
                return Err(Failure::new("odoo.exceptions.MissingError", message));
            };
            if !self.visible(self.model(), record) {
                return Err(self.restricted("write"));
            }
            let before = record.clone();
            let mut values = self.commands(state, values.clone(), &before);
            if self.model() == "crm.lead" {
                let won = |stage: &Value| is_won(state, stage);
                if values.get("active") == Some(&json!(false)) && won(values.get("stage_id").unwrap_or(&before["stage_id"])) {
                    let message = "No puede perder un lead que se encuentra en la etapa \"Ganado\", primero muévalo a otra etapa.";
                    return Err(Failure::new("odoo.exceptions.UserError", message));
                }
                if let Some(stage) = values
                    .get("stage_id")
                    .filter(|stage| **stage != before["stage_id"] || before["active"] == false)
                {
                    let probability = likely(state, stage);
                    if probability == 100.0 {
                        values.insert("active".to_owned(), json!(true));
                    }
                    values.entry("probability").or_insert(probability);
                }
            }
            if let Some(record) = state.tables.get_mut(self.model()).and_then(|table| table.get_mut(id)) {
                record.extend(values);
            }
        }
        state.writes += 1;
        Ok(json!(true))
    }

    fn may_change(&self) -> Result<(), Failure> {
        match self.user.read_only {
            false => Ok(()),
            true => Err(self.restricted("write")),
        }
    }

    /// Values whose fields there are, and whose form Odoo takes.
    fn checked(&self, state: &State, values: &Value) -> Result<Record, Failure> {
        let values = values.as_object().ok_or_else(|| Failure::value("values that are no dict"))?;
        for (name, value) in values {
            let kind = state
                .schema
                .kind(self.model(), name)
                .ok_or_else(|| Failure::value(format!("Invalid field '{name}' in '{}'", self.model())))?;
            let fits = match kind {
                Kind::Float => value.is_number(),
                Kind::Integer => value.is_i64(),
                Kind::Boolean => value.is_boolean(),
                Kind::Many2one(_) => value.is_u64() || value == &json!(false),
                Kind::Many2many(_) => value.is_array(),
                Kind::Char | Kind::Translated | Kind::Selection => value.is_string() || value == &json!(false),
                Kind::One2many(..) | Kind::Company => false,
            };
            if !fits {
                return Err(Failure::value(format!("could not convert {value} for {name}")));
            }
        }
        Ok(values.clone())
    }

    fn in_company(&self, values: &Record) -> Result<(), Failure> {
        match values.get("company_id").and_then(Value::as_u64) {
            Some(company) if !self.companies.contains(&company) => Err(self.restricted("create")),
            _ => Ok(()),
        }
    }

    /// Carries out the commands for fields of several records: set, create, link, and unlink all.
    fn commands(&self, state: &mut State, mut values: Record, before: &Record) -> Record {
        let names: Vec<String> = values.keys().cloned().collect();
        for name in names {
            let Some(Kind::Many2many(other)) = state.schema.kind(self.model(), &name) else {
                continue;
            };
            let mut ids: BTreeSet<u64> = before
                .get(&name)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_u64)
                .collect();
            for command in values[&name].as_array().cloned().unwrap_or_default() {
                match (command[0].as_u64(), command[1].as_u64()) {
                    (Some(0), _) => {
                        ids.insert(state.add(other, &command[2]));
                    }
                    (Some(4), Some(id)) => {
                        ids.insert(id);
                    }
                    (Some(5), _) => ids.clear(),
                    (Some(6), _) => {
                        ids = command[2].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
                    }
                    _ => {}
                }
            }
            values.insert(name, json!(ids));
        }
        values
    }

    fn restricted(&self, operation: &str) -> Failure {
        Failure::access(format!(
            "Estos registros están restringidos.\n\n{} (id={}) no tiene acceso '{operation}' a:\n- {}",
            self.user.login,
            self.user.id,
            self.model()
        ))
    }
}

fn is_won(state: &State, stage: &Value) -> bool {
    let stage = stage.as_u64().and_then(|id| state.tables.get("crm.stage")?.get(&id));
    stage.is_some_and(|stage| stage["is_won"] == true)
}

/// How likely an opportunity in a stage is, in per cent. A real one computes it from what became of others.
fn likely(state: &State, stage: &Value) -> Value {
    if is_won(state, stage) {
        return json!(100.0);
    }
    json!(match stage.as_u64() {
        Some(1) => 10.0,
        Some(2) => 30.0,
        Some(3) => 45.0,
        _ => 60.0,
    })
}
