//! Queries: the text of a URL read as the types that a tool's schema names.

use serde_json::{Map, Number, Value};

/// What a parameter takes, as far as a query can say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    Text,
    Integer,
    Number,
    Boolean,
    /// Given by repeating the name, or separated by commas.
    List,
    /// Given as JSON, or as `name[key]=value`.
    Object,
}

impl Shape {
    /// Reads the shape from a property's schema.
    pub fn of(schema: &Value) -> Self {
        let of_name = |name: &str| match name {
            "integer" => Some(Shape::Integer),
            "number" => Some(Shape::Number),
            "boolean" => Some(Shape::Boolean),
            "array" => Some(Shape::List),
            "object" => Some(Shape::Object),
            "string" => Some(Shape::Text),
            _ => None,
        };
        let own = match schema.get("type") {
            Some(Value::String(name)) => of_name(name),
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).find_map(of_name),
            _ => None,
        };
        own.or_else(|| {
            let either = schema.get("anyOf").or_else(|| schema.get("oneOf"))?.as_array()?;
            either
                .iter()
                .find(|option| option.get("type") != Some(&Value::from("null")))
                .map(Shape::of)
        })
        .unwrap_or(Shape::Text)
    }
}

/// Reads pairs of a query into an object of the parameters' shapes. What does not fit stays text, for the schema to refuse.
pub fn read<'a>(shape: impl Fn(&str) -> Option<Shape>, pairs: impl Iterator<Item = (String, String)> + 'a) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, text) in pairs {
        if let Some((name, key)) = name.strip_suffix(']').and_then(|name| name.split_once('['))
            && let Some(shape) = shape(name)
        {
            match shape {
                Shape::List => push(&mut object, name, &text),
                _ => {
                    if let Value::Object(inner) = object.entry(name).or_insert_with(|| Value::Object(Map::new())) {
                        inner.insert(key.to_owned(), Value::String(text));
                    }
                }
            }
            continue;
        }
        match shape(&name).unwrap_or(Shape::Text) {
            Shape::List => text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .for_each(|item| push(&mut object, &name, item)),
            Shape::Object => {
                object.insert(name, serde_json::from_str(&text).unwrap_or(Value::String(text)));
            }
            shape => {
                let value = scalar(shape, text);
                match object.get_mut(&name) {
                    // Said twice and differently (a path and a query may): for the schema to refuse.
                    Some(given) if *given != value => *given = Value::Array(vec![given.take(), value]),
                    _ => {
                        object.insert(name, value);
                    }
                }
            }
        }
    }
    object
}

fn push(object: &mut Map<String, Value>, name: &str, item: &str) {
    if let Value::Array(items) = object.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
        items.push(Value::from(item));
    }
}

fn scalar(shape: Shape, text: String) -> Value {
    let read = match shape {
        Shape::Integer => text.parse::<i64>().ok().map(Value::from),
        Shape::Number => text.parse::<f64>().ok().and_then(Number::from_f64).map(Value::from),
        Shape::Boolean => text.parse::<bool>().ok().map(Value::from),
        Shape::Text | Shape::List | Shape::Object => None,
    };
    read.unwrap_or(Value::String(text))
}
