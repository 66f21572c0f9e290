//! Schemas: what schemars derives, in the shape that MCP and OpenAPI 3.1 both take (JSON Schema 2020-12, self-contained).

use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::{Map, Value};

/// A tool's input schema, and the description that was taken out of it.
pub struct Described {
    pub schema: Value,
    pub description: String,
}

/// # Panics
/// When the type is no documented object, or one of its fields is not documented.
pub fn of<T: JsonSchema>(name: &str) -> Described {
    let mut schema = plain::<T>();
    let object = schema.as_object_mut().expect("a derived schema is an object");
    assert_eq!(
        object.get("type").and_then(Value::as_str),
        Some("object"),
        "the input of {name} is no object"
    );
    let Some(Value::String(description)) = object.remove("description") else {
        panic!("the tool {name} has no doc comment");
    };
    object.insert("additionalProperties".to_owned(), Value::Bool(false));
    let properties = object.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    for (property, schema) in properties.as_object().into_iter().flatten() {
        assert!(
            schema.get("description").is_some(),
            "the parameter {property} of {name} has no doc comment"
        );
    }
    Described { schema, description }
}

/// The schema of what is read: a type's own, without what only Rust cares for.
pub fn plain<T: JsonSchema>() -> Value {
    made::<T>(SchemaSettings::draft2020_12())
}

/// The schema of what is written: a field that may be left out is not required.
pub fn written<T: JsonSchema>() -> Value {
    made::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn made<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let settings = settings.with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    tidy(&mut schema);
    if let Some(object) = schema.as_object_mut() {
        object.remove("$schema");
    }
    schema
}

/// Takes away titles (names of Rust types) and formats that no validator knows (`uint32`).
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if object.get("title").is_some_and(Value::is_string) {
                object.remove("title");
            }
            if let Some(Value::String(format)) = object.get("format")
                && !matches!(format.as_str(), "date-time" | "date" | "uri" | "email" | "uuid")
            {
                object.remove("format");
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        _ => {}
    }
}
