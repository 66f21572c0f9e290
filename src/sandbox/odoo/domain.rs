//! Domains: conditions in Polish notation, held against records.

use serde_json::{Value, json};

use super::{Failure, Record, State, models::Kind};

/// How deep a path may go, and how many terms a domain may have.
const DEPTH_MAX: usize = 4;
const TERMS_MAX: usize = 1000;

/// The records of one model, as a domain looks at them.
#[derive(Clone, Copy)]
pub(super) struct Looking<'a> {
    pub(super) state: &'a State,
    /// Whether archived records of other models count.
    pub(super) archived_too: bool,
}

impl Looking<'_> {
    /// Whether a record is one that the domain describes.
    pub(super) fn holds(self, model: &str, record: &Record, domain: &Value) -> Result<bool, Failure> {
        let terms = domain.as_array().ok_or_else(|| Failure::value("Domain() is no list"))?;
        if terms.len() > TERMS_MAX {
            return Err(Failure::value("Domain() is too long"));
        }
        let mut rest = terms.as_slice();
        let mut all = true;
        // Terms beside each other are joined by "&".
        while !rest.is_empty() {
            all &= self.term(model, record, &mut rest, 0)?;
        }
        Ok(all)
    }

    fn term(self, model: &str, record: &Record, rest: &mut &[Value], depth: usize) -> Result<bool, Failure> {
        let Some((first, others)) = rest.split_first() else {
            return Err(Failure::value("Domain() is incomplete"));
        };
        if depth > TERMS_MAX / 2 {
            return Err(Failure::value("Domain() is too deep"));
        }
        *rest = others;
        match first {
            Value::String(operator) => match operator.as_str() {
                "!" => Ok(!self.term(model, record, rest, depth + 1)?),
                "&" | "|" => {
                    let (a, b) = (
                        self.term(model, record, rest, depth + 1)?,
                        self.term(model, record, rest, depth + 1)?,
                    );
                    Ok(if operator == "&" { a && b } else { a || b })
                }
                other => Err(Failure::value(format!("Domain() invalid operator {other}"))),
            },
            Value::Array(leaf) => match leaf.as_slice() {
                [Value::String(path), Value::String(operator), value] => {
                    let path: Vec<&str> = path.split('.').collect();
                    self.leaf(model, record, &path, operator, value)
                }
                _ => Err(Failure::value(format!("Domain() invalid item {first}"))),
            },
            _ => Err(Failure::value(format!("Domain() invalid item {first}"))),
        }
    }

    fn leaf(self, model: &str, record: &Record, path: &[&str], operator: &str, value: &Value) -> Result<bool, Failure> {
        let (field, further) = path.split_first().ok_or_else(|| Failure::value("an empty path"))?;
        let kind = self.state.schema.kind(model, field).ok_or_else(|| {
            let condition = format!("('{}', '{operator}', {value})", path.join("."));
            Failure::value(format!("Invalid field {model}.{field} in condition {condition}"))
        })?;
        if further.len() >= DEPTH_MAX {
            return Err(Failure::value("the path is too long"));
        }
        let (other, ids) = match kind {
            Kind::Many2one(other) => (other, record[*field].as_u64().into_iter().collect()),
            Kind::Many2many(other) | Kind::One2many(other, _) => (other, self.related(kind, record, field)),
            _ if further.is_empty() => return compared(&self.value(kind, record, field), operator, value),
            _ => return Err(Failure::value(format!("{model}.{field} is no relation"))),
        };
        if further.is_empty() {
            return of_relation(&ids, operator, value);
        }
        let empty = Record::new();
        let mut any = false;
        for id in &ids {
            let there = self.state.tables.get(other).and_then(|table| table.get(id)).unwrap_or(&empty);
            any |= self.leaf(other, there, further, operator, value)?;
        }
        // Nothing at the other end is nothing, which `false` means.
        if ids.is_empty() && matches!(kind, Kind::Many2one(_)) {
            any = match operator {
                "=" => value == &json!(false),
                "in" => value.as_array().is_some_and(|list| list.contains(&json!(false))),
                _ => false,
            };
        }
        Ok(any)
    }

    /// The numbers of the records that a field of several leads to.
    pub(super) fn related(self, kind: Kind, record: &Record, field: &str) -> Vec<u64> {
        match kind {
            Kind::One2many(other, inverse) => {
                let Some(own) = record.get("id") else { return Vec::new() };
                let table = self.state.tables.get(other).into_iter().flatten();
                table
                    .filter(|(_, there)| there.get(inverse) == Some(own))
                    .filter(|(_, there)| self.archived_too || there.get("active") != Some(&json!(false)))
                    .map(|(id, _)| *id)
                    .collect()
            }
            _ => {
                let list = record.get(field).and_then(Value::as_array);
                list.into_iter().flatten().filter_map(Value::as_u64).collect()
            }
        }
    }

    /// A field's own value; of a company's name, the one that is made out of others.
    pub(super) fn value(self, kind: Kind, record: &Record, field: &str) -> Value {
        match kind {
            Kind::Company => {
                let own = |record: &Record, name: &str| record.get(name).cloned().unwrap_or(json!(false));
                if own(record, "is_company") == true {
                    return own(record, "name");
                }
                let parent = record.get("parent_id").and_then(Value::as_u64);
                let parent = parent.and_then(|id| self.state.tables.get("res.partner")?.get(&id));
                parent.map_or_else(|| own(record, "company_name"), |parent| own(parent, "name"))
            }
            _ => record.get(field).cloned().unwrap_or(json!(false)),
        }
    }
}

fn compared(own: &Value, operator: &str, value: &Value) -> Result<bool, Failure> {
    // A text in several languages is compared in each.
    if let Value::Object(languages) = own {
        let mut any = false;
        for text in languages.values() {
            any |= compared(text, operator, value)?;
        }
        return Ok(any);
    }
    let text = own.as_str().unwrap_or_default();
    let same = |value: &Value| own == value || own.as_f64().is_some_and(|own| value.as_f64() == Some(own));
    let pattern = || value.as_str().unwrap_or_default();
    let inside = || format!("%{}%", pattern());
    let lower = |text: &str| text.to_lowercase();
    Ok(match operator {
        "=" => same(value),
        "!=" => !same(value),
        "in" => value.as_array().is_some_and(|list| list.iter().any(same)),
        "not in" => value.as_array().is_none_or(|list| !list.iter().any(same)),
        ">" | "<" | ">=" | "<=" => {
            let (own, value) = (own.as_f64().unwrap_or_default(), value.as_f64().unwrap_or_default());
            match operator {
                ">" => own > value,
                "<" => own < value,
                ">=" => own >= value,
                _ => own <= value,
            }
        }
        "=like" => own.is_string() && like(pattern(), text),
        "=ilike" => own.is_string() && like(&lower(pattern()), &lower(text)),
        "like" => own.is_string() && like(&inside(), text),
        "ilike" => own.is_string() && like(&lower(&inside()), &lower(text)),
        "not ilike" => !(own.is_string() && like(&lower(&inside()), &lower(text))),
        other => return Err(Failure::value(format!("Invalid operator '{other}' in domain term"))),
    })
}

/// A relation compared with numbers of records, or with `false` for none.
fn of_relation(ids: &[u64], operator: &str, value: &Value) -> Result<bool, Failure> {
    let is = |wanted: &Value| match wanted.as_u64() {
        Some(id) => ids.contains(&id),
        None => wanted == &json!(false) && ids.is_empty(),
    };
    let list = || value.as_array().map_or(&[][..], Vec::as_slice);
    Ok(match operator {
        "=" => is(value),
        "!=" => !is(value),
        "in" => list().iter().any(is),
        "not in" => !list().iter().any(is),
        other => return Err(Failure::value(format!("Invalid operator '{other}' in domain term"))),
    })
}

/// PostgreSQL's LIKE: `%` is any text, `_` any letter, `\` takes the next as it stands.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Where the pattern could be after each letter: no pattern takes more than its length times the text's.
    let mut places = vec![false; pattern.len() + 1];
    places[0] = true;
    spread(&pattern, &mut places);
    for letter in text {
        let mut next = vec![false; pattern.len() + 1];
        for (place, _) in places.iter().enumerate().filter(|(_, reached)| **reached) {
            match pattern.get(place) {
                Some('%') => next[place] = true,
                Some('_') => next[place + 1] = true,
                Some('\\') if pattern.get(place + 1) == Some(&letter) => next[place + 2] = true,
                Some('\\') | None => {}
                Some(own) if *own == letter => next[place + 1] = true,
                Some(_) => {}
            }
        }
        spread(&pattern, &mut next);
        places = next;
    }
    places[pattern.len()]
}

/// A `%` may also be nothing.
fn spread(pattern: &[char], places: &mut [bool]) {
    for place in 0..pattern.len() {
        if places[place] && pattern[place] == '%' {
            places[place + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::odoo::{Release, Sandbox};

    fn found(domain: Value) -> Vec<u64> {
        let sandbox = Sandbox::new(Release::Nineteen, "key");
        let state = sandbox.state();
        let looking = Looking {
            state: &state,
            archived_too: false,
        };
        let partners = state.tables["res.partner"].iter();
        partners
            .filter(|(id, record)| **id >= 11 && **id < 19 && looking.holds("res.partner", record, &domain).unwrap())
            .map(|(id, _)| *id)
            .collect()
    }

    #[test]
    fn domains_mean_what_odoo_means_by_them() {
        let cases: [(Value, &[u64]); 10] = [
            (json!([]), &[11, 12, 13, 14, 15, 16, 17, 18]),
            (json!([["is_company", "=", true], ["city", "=", "Valdivia"]]), &[11, 16]),
            (
                json!(["|", ["id", "=", 11], "&", ["id", ">", 16], ["email", "!=", false]]),
                &[11, 17, 18],
            ),
            (json!(["!", ["country_id.code", "=", "CL"]]), &[18]),
            (json!([["category_id.name", "=ilike", "MAYORISTA"]]), &[11, 12, 16]),
            (json!([["parent_id", "=", false], ["email", "=", false]]), &[15]),
            (json!([["commercial_company_name", "ilike", "calle-calle"]]), &[11, 12]),
            (json!([["opportunity_ids", "=", false]]), &[14, 18]),
            (json!([["company_id", "in", [2, false]]]), &[]),
            (json!([["phone", "=ilike", "%9%8%1%2%3%4%5%6%7%"]]), &[12]),
        ];
        for (domain, ids) in cases {
            assert_eq!(found(domain.clone()), ids, "{domain}");
        }
    }

    #[test]
    fn like_is_postgresqls() {
        for (pattern, text, fits) in [
            ("%", "", true),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            (r"100\%", "100%", true),
            (r"100\%", "1000", false),
            (r"%\_%", "a_b", true),
            ("%b%d", "abcd", true),
            ("%b%d", "abcde", false),
            ("%a%a%a%a%a%a%a%a%b", &"a".repeat(200), false),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
