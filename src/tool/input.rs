//! Input: arguments read from either door, and checked against the published schema with messages that say what is right.

use std::collections::BTreeMap;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};

use super::form::{self, Shape};
use crate::error::{Error, Result};

/// A tool's published input schema, ready to check with.
pub struct InputSchema {
    schema: Value,
    shapes: BTreeMap<String, Shape>,
    validator: Validator,
}

/// The most objects and lists that are read at once: each costs hundreds of bytes in memory, and eight on the wire.
pub const CONTAINERS_MAX: usize = 50_000;

/// Objects and lists in a text of JSON, those in strings included.
pub fn containers(raw: &[u8]) -> usize {
    raw.iter().filter(|byte| matches!(byte, b'{' | b'[')).count()
}

/// How many wrong fields are named at once.
const NAMED_AT_ONCE: usize = 5;

impl InputSchema {
    pub(super) fn new(name: &str, schema: Value) -> Self {
        let validator = jsonschema::draft202012::options()
            .should_validate_formats(false)
            .build(&schema)
            .unwrap_or_else(|error| panic!("the input schema of {name} is wrong: {error}"));
        let shapes = schema["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(property, schema)| (property.clone(), Shape::of(schema)))
            .collect();
        Self { schema, shapes, validator }
    }

    pub fn schema(&self) -> &Value {
        &self.schema
    }

    pub fn has(&self, parameter: &str) -> bool {
        self.shapes.contains_key(parameter)
    }

    /// The schema of one parameter.
    pub fn parameter(&self, name: &str) -> &Value {
        &self.schema["properties"][name]
    }

    pub fn is_required(&self, name: &str) -> bool {
        self.schema["required"]
            .as_array()
            .is_some_and(|required| required.iter().any(|item| item == name))
    }

    /// The parameters, in the order of their names.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.shapes.keys().map(String::as_str)
    }

    /// Reads the pairs of a query.
    pub fn read_query(&self, pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
        form::read(|name| self.shapes.get(name).copied(), pairs)
    }

    /// Checks arguments.
    ///
    /// # Errors
    /// One message that names each wrong field (up to five) and what it takes.
    pub fn check(&self, arguments: &Value) -> Result<()> {
        if self.validator.is_valid(arguments) {
            return Ok(());
        }
        let mut said = Vec::new();
        for error in self.validator.iter_errors(arguments).take(NAMED_AT_ONCE) {
            said.push(self.say(&error));
        }
        Err(Error::invalid(said.join("; ")))
    }

    fn say(&self, error: &ValidationError<'_>) -> String {
        let place = place(error.instance_path().as_str());
        let at = |field: &str| match place.as_str() {
            "" => field.to_owned(),
            parent => format!("{parent}.{field}"),
        };
        let field = if place.is_empty() { "arguments" } else { &place };
        // A secret is not quoted back: the message goes into transcripts and logs of the client.
        let top = error.instance_path().as_str().split('/').nth(1).unwrap_or_default();
        let secret = self.parameter(top)["writeOnly"] == true;
        let given = || match secret {
            true => "what was given".to_owned(),
            false => shortened(error.instance()),
        };
        match error.kind() {
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                let what = self.parameter(name)["description"]
                    .as_str()
                    .map(|text| format!(": {text}"))
                    .unwrap_or_default();
                format!("{}: is missing{what}", at(name))
            }
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known: Vec<_> = self.parameters().collect();
                let unknown: Vec<_> = unexpected.iter().map(|name| at(name)).collect();
                let takes = match (place.is_empty(), known.is_empty()) {
                    (true, true) => "; this tool takes no parameters".to_owned(),
                    (true, false) => format!("; known are {}", known.join(", ")),
                    (false, _) => String::new(),
                };
                format!("{}: unknown{takes}", unknown.join(", "))
            }
            ValidationErrorKind::Enum { options } => {
                let options: Vec<_> = options.as_array().into_iter().flatten().map(Value::to_string).collect();
                format!("{field}: must be one of {}, not {}", options.join(", "), given())
            }
            ValidationErrorKind::Type { kind } => {
                let kind = match kind {
                    jsonschema::error::TypeKind::Single(kind) => kind.to_string(),
                    jsonschema::error::TypeKind::Multiple(kinds) => {
                        kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
                    }
                };
                format!("{field}: must be of type {kind}, not {}", given())
            }
            ValidationErrorKind::Minimum { limit } => format!("{field}: must be at least {limit}, not {}", given()),
            ValidationErrorKind::Maximum { limit } => format!("{field}: must be at most {limit}, not {}", given()),
            ValidationErrorKind::MinLength { limit } => format!("{field}: must have at least {limit} characters"),
            ValidationErrorKind::MaxLength { limit } => format!("{field}: must have at most {limit} characters"),
            ValidationErrorKind::Pattern { pattern } => format!("{field}: must match {pattern}"),
            ValidationErrorKind::PropertyNames { error } => format!("{field}: {}", self.say(error)),
            ValidationErrorKind::AnyOf { .. } | ValidationErrorKind::OneOfNotValid { .. } => {
                format!("{field}: does not take {}", given())
            }
            _ => format!("{field}: is not as the schema has it"),
        }
    }
}

/// A JSON pointer as people write it: `fields.tags[0]`.
fn place(pointer: &str) -> String {
    let mut place = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) && !part.is_empty() {
            place.push('[');
            place.push_str(part);
            place.push(']');
        } else {
            if !place.is_empty() {
                place.push('.');
            }
            place.push_str(&part.replace("~1", "/").replace("~0", "~"));
        }
    }
    place
}

/// A wrong value as it was given, cut where it is long.
fn shortened(value: &Value) -> String {
    const MOST: usize = 60;
    let text = value.to_string();
    match text.char_indices().nth(MOST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
