//! A record as Odoo tells it, and what its values mean: `false` is nothing, `[id, label]` a record of another model.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest text of a field that is passed on, in characters.
const TEXT_MAX: usize = 1000;

/// One record, or one group of them.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Row(Map<String, Value>);

impl Row {
    /// Its number. Odoo's are never 0, which stands for none here.
    pub(super) fn id(&self) -> u64 {
        self.0.get("id").and_then(Value::as_u64).unwrap_or_default()
    }

    /// A text that is not empty.
    pub(super) fn text(&self, field: &str) -> Option<String> {
        let text = self.0.get(field)?.as_str()?.trim();
        (!text.is_empty()).then(|| shortened(text))
    }

    pub(super) fn number(&self, field: &str) -> Option<f64> {
        self.0.get(field)?.as_f64()
    }

    pub(super) fn count(&self, field: &str) -> Option<u64> {
        self.0.get(field)?.as_u64()
    }

    /// Whether a flag is set; an absent one is not.
    pub(super) fn flag(&self, field: &str) -> bool {
        self.0.get(field) == Some(&Value::Bool(true))
    }

    /// Another record that this one names, and how it is called.
    pub(super) fn related(&self, field: &str) -> Option<(u64, String)> {
        match self.0.get(field)?.as_array()?.as_slice() {
            [id, label] => Some((id.as_u64()?, shortened(label.as_str().unwrap_or_default()))),
            _ => None,
        }
    }

    /// The numbers of several others.
    pub(super) fn ids(&self, field: &str) -> Vec<u64> {
        let list = self.0.get(field).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_u64).collect()
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
