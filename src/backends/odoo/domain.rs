//! Search domains: Odoo's conditions in Polish notation. Built here alone, so that no caller's text becomes anything but a value.

use serde::Serialize;
use serde_json::{Value, json};

/// A condition on the records of a model; an empty one holds for all.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Domain(Vec<Value>);

impl Domain {
    /// One field compared with a value. The field's name is ours.
    pub(super) fn of(field: &str, operator: &str, value: impl Into<Value>) -> Self {
        Self(vec![json!([field, operator, value.into()])])
    }

    /// What holds when all of these do.
    pub(super) fn all(domains: impl IntoIterator<Item = Domain>) -> Self {
        Self::joined("&", domains)
    }

    /// What holds when one of these does. There must be one.
    pub(super) fn any(domains: impl IntoIterator<Item = Domain>) -> Self {
        Self::joined("|", domains)
    }

    fn joined(operator: &str, domains: impl IntoIterator<Item = Domain>) -> Self {
        let domains: Vec<_> = domains.into_iter().filter(|domain| !domain.0.is_empty()).collect();
        let mut joined: Vec<Value> = domains.iter().skip(1).map(|_| Value::from(operator)).collect();
        joined.extend(domains.into_iter().flat_map(|domain| domain.0));
        Self(joined)
    }
}

/// A text as it stands, for an operator that takes `%` and `_` as wildcards.
pub(super) fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_joined_in_polish_notation() {
        let one = |name| Domain::of(name, "=", 1);
        let joined = Domain::all([one("a"), Domain::any([one("b"), one("c"), one("d")]), Domain::default()]);
        assert_eq!(
            serde_json::to_value(joined).unwrap(),
            json!(["&", ["a", "=", 1], "|", "|", ["b", "=", 1], ["c", "=", 1], ["d", "=", 1]])
        );
        assert_eq!(serde_json::to_value(Domain::all([])).unwrap(), json!([]));
    }

    #[test]
    fn wildcards_in_a_text_stand_for_themselves() {
        assert_eq!(literal(r"50%_\"), r"50\%\_\\");
    }
}
