//! An API's document as it is kept and answered: no larger than a caller can take, and saying so where something was left out.

use serde_json::{Map, Value, value::RawValue};

use crate::error::{Error, Result};

/// The longest document that is answered, in bytes of JSON.
pub(super) const LONGEST: usize = 1024 * 1024;

/// An `OpenAPI` document (2.0 or 3.x) that fits.
#[derive(Clone, Debug)]
pub(super) struct Document {
    pub(super) text: Box<RawValue>,
    /// What was left out so that it fits; `None` where it is whole.
    pub(super) left_out: Option<&'static str>,
}

impl Document {
    /// Leaves out as much as it takes: first words, then the forms of answers, then whole paths.
    pub(super) fn of(mut document: Value) -> Result<Self> {
        let mut left_out = None;
        for (what, leave_out) in STEPS {
            if length(&document)? <= LONGEST {
                break;
            }
            leave_out(&mut document);
            left_out = Some(*what);
        }
        Ok(Self {
            text: serde_json::value::to_raw_value(&document).map_err(Error::internal)?,
            left_out,
        })
    }

    /// Whether more than words was left out: what is there is not all that a call needs.
    pub(super) fn lacks_forms(&self) -> bool {
        self.left_out.is_some_and(|what| what != WORDS)
    }

    pub(super) fn value(&self) -> Result<Value> {
        serde_json::from_str(self.text.get()).map_err(Error::internal)
    }
}

const WORDS: &str = "descriptions, examples and extensions";

type Step = (&'static str, fn(&mut Value));

const STEPS: &[Step] = &[
    (WORDS, |document| leave_words_out(document, false)),
    (
        "descriptions, examples, extensions and the forms of bodies and answers",
        leave_forms_out,
    ),
    (
        "descriptions, examples, extensions, the forms of bodies and answers, and the last paths",
        leave_paths_out,
    ),
];

fn length(document: &Value) -> Result<usize> {
    /// Counts, and keeps nothing.
    struct Count(usize);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    serde_json::to_writer(&mut count, document).map_err(Error::internal)?;
    Ok(count.0)
}

/// Objects whose keys are names of somebody's choice: a property may be called `description`.
const NAMED: [&str; 14] = [
    "properties",
    "patternProperties",
    "definitions",
    "$defs",
    "schemas",
    "paths",
    "parameters",
    "responses",
    "headers",
    "callbacks",
    "links",
    "requestBodies",
    "securitySchemes",
    "securityDefinitions",
];

fn leave_words_out(value: &mut Value, named: bool) {
    match value {
        Value::Object(object) => {
            if !named {
                object.retain(|key, _| {
                    !matches!(key.as_str(), "description" | "example" | "examples" | "externalDocs") && !key.starts_with("x-")
                });
            }
            for (key, value) in object {
                leave_words_out(value, !named && NAMED.contains(&key.as_str()) && value.is_object());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_words_out(item, false)),
        _ => {}
    }
}

/// What is left of an operation: its name, its summary, and its parameters but for a body of Swagger.
fn leave_forms_out(document: &mut Value) {
    let Some(object) = document.as_object_mut() else { return };
    object.remove("definitions");
    object.remove("components");
    for operations in object
        .get_mut("paths")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        for operation in operations.as_object_mut().into_iter().flat_map(Map::values_mut) {
            if let Some(operation) = operation.as_object_mut() {
                operation.retain(|key, _| matches!(key.as_str(), "operationId" | "summary" | "parameters" | "tags"));
                if let Some(parameters) = operation.get_mut("parameters").and_then(Value::as_array_mut) {
                    parameters.retain(|parameter| parameter["$ref"].is_null() && parameter["in"] != "body");
                }
            }
        }
    }
}

fn leave_paths_out(document: &mut Value) {
    let Some(object) = document.as_object_mut() else { return };
    object.retain(|key, _| {
        matches!(
            key.as_str(),
            "openapi" | "swagger" | "info" | "servers" | "host" | "basePath" | "schemes" | "paths"
        )
    });
    if let Some(paths) = object.get_mut("paths").and_then(Value::as_object_mut) {
        let mut room = LONGEST / 2;
        paths.retain(|path, operations| {
            let needed = path.len() + length(operations).unwrap_or(LONGEST);
            let fits = needed <= room;
            room = if fits { room - needed } else { 0 };
            fits
        });
    }
    // What stands beside the paths is short, unless somebody wants it not to be.
    if length(document).unwrap_or(LONGEST) > LONGEST {
        *document = Value::Object(Map::new());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with_path(name: &str, description: &str) -> Value {
        json!({
            "openapi": "3.0.0", "info": { "title": "T", "version": "1", "description": "d" },
            "paths": { name: { "get": {
                "operationId": "read", "description": description, "x-note": "n",
                "parameters": [{ "name": "description", "in": "query", "schema": { "type": "string", "example": "e" } }],
                "responses": { "200": { "description": "fine" } },
            } } },
            "components": { "schemas": { "thing": { "properties": { "description": { "type": "string", "description": "d" }, "x-y": true } } } },
        })
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let document = with_path("/a", "short");
        let kept = Document::of(document.clone()).unwrap();
        assert_eq!((kept.value().unwrap(), kept.left_out), (document, None));
    }

    #[test]
    fn words_go_first_and_properties_that_are_called_like_them_stay() {
        let kept = Document::of(with_path("/a", &"d".repeat(LONGEST))).unwrap();
        let document = kept.value().unwrap();
        assert_eq!(kept.left_out, Some("descriptions, examples and extensions"));
        assert_eq!(
            document["components"]["schemas"]["thing"]["properties"],
            json!({ "description": { "type": "string" }, "x-y": true })
        );
        let operation = &document["paths"]["/a"]["get"];
        assert_eq!(
            operation["parameters"],
            json!([{ "name": "description", "in": "query", "schema": { "type": "string" } }])
        );
        assert_eq!(operation["responses"], json!({ "200": {} }));
        assert!(operation["x-note"].is_null());
    }

    #[test]
    fn forms_go_next_and_then_paths() {
        let mut document = with_path("/a", "");
        document["components"]["schemas"]["long"] = json!({ "enum": ["e".repeat(LONGEST)] });
        let kept = Document::of(document).unwrap();
        assert!(kept.left_out.unwrap().ends_with("answers"));
        assert_eq!(kept.value().unwrap()["paths"]["/a"]["get"]["operationId"], "read");
        let mut document = with_path("/a", "");
        document["paths"]["/b"] = json!({ "get": { "summary": "s".repeat(LONGEST) } });
        let kept = Document::of(document).unwrap();
        assert!(kept.left_out.unwrap().ends_with("last paths"));
        assert_eq!(kept.value().unwrap()["paths"].as_object().unwrap().len(), 1);
        assert!(kept.text.get().len() < LONGEST);
        let kept = Document::of(json!({ "openapi": "3.0.0", "info": { "title": "t".repeat(LONGEST) } })).unwrap();
        assert!(kept.text.get() == "{}", "whatever stands beside the paths");
    }
}
