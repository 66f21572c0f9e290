//! An API as a client needs it, read out of an `OpenAPI` 3.x or Swagger 2 document.
//!
//! A document is the word of whoever serves it. Whatever in it is no more than a name or a text becomes one here: names are letters,
//! digits and `_`, one for each thing; everything is bounded in number and depth; a `$ref` is followed within the document alone, and
//! never in a circle.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use url::Url;

use super::BYTES_MAX;
use crate::error::{Error, Kind, Result};

/// The most operations and types that a client has.
pub(super) const OPERATIONS_MAX: usize = 400;
const TYPES_MAX: usize = 1500;
/// How many schemas are read, counted each time that one is.
const SCHEMAS_MAX: usize = 60_000;
/// How deep types nest before they become anything.
const DEPTH_MAX: usize = 6;
const FIELDS_MAX: usize = 150;
const PARAMETERS_MAX: usize = 50;
const CHOICES_MAX: usize = 30;
/// How many references may lead to the next.
const HOPS_MAX: usize = 8;
/// The longest name and the longest remark, in letters.
const NAME_MAX: usize = 60;
const REMARK_MAX: usize = 200;
/// The longest text that is taken over to be sent: a path, a parameter's name.
const WIRE_MAX: usize = 300;
/// The longest reference that is followed.
const REFERENCE_MAX: usize = 1000;
/// How many bytes of choices and of names of fields are taken over, all in all, counted each time that a schema is read: parts of
/// many objects are read for each.
const TEXTS_MAX: usize = 2 * BYTES_MAX;

#[derive(Debug)]
pub(super) struct Api {
    pub(super) title: String,
    /// Where it is, where the document says so.
    pub(super) base: Option<String>,
    /// What stands before every path, where the document says only that.
    pub(super) base_path: String,
    pub(super) key: Option<Key>,
    pub(super) bearer: bool,
    pub(super) basic: bool,
    pub(super) operations: Vec<Operation>,
    pub(super) types: Vec<Named>,
    /// How many operations the document has beyond those.
    pub(super) left_out: usize,
}

/// An API key, and where it goes.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) in_query: bool,
}

#[derive(Debug)]
pub(super) struct Operation {
    /// The words of its name; every operation has others.
    pub(super) name: Vec<String>,
    pub(super) method: &'static str,
    pub(super) path: Vec<Piece>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Option<Body>,
    pub(super) answer: Option<Type>,
    pub(super) remark: String,
}

#[derive(Debug)]
pub(super) enum Piece {
    Text(String),
    /// The parameter of this place in the list.
    Parameter(usize),
}

#[derive(Debug)]
pub(super) struct Parameter {
    /// As it is sent.
    pub(super) wire: String,
    /// As the client calls it: safe in every language, and no other's of its operation.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) required: bool,
    pub(super) kind: Type,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Query,
    Header,
}

#[derive(Debug)]
pub(super) struct Body {
    pub(super) kind: Type,
    pub(super) required: bool,
    pub(super) form: Form,
}

#[derive(Debug)]
pub(super) enum Form {
    Json,
    UrlEncoded,
    /// Bytes of this media type, as the caller has them.
    Raw(String),
}

/// A type that has a name.
#[derive(Debug)]
pub(super) struct Named {
    /// In the form `LikeThis`; every type has another.
    pub(super) name: String,
    pub(super) kind: Type,
}

#[derive(Clone, Debug)]
pub(super) enum Type {
    Anything,
    Text,
    Number,
    Truth,
    Literals(Vec<String>),
    List(Box<Type>),
    Map(Box<Type>),
    Object(Vec<Field>),
    Union(Vec<Type>),
    OrNull(Box<Type>),
    /// The named type of this place.
    Named(usize),
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) wire: String,
    pub(super) required: bool,
    pub(super) kind: Type,
}

/// Reads a document.
///
/// # Errors
/// When it is none of `OpenAPI`, or has no operation.
pub(super) fn read(document: &Value, name: &str) -> Result<Api> {
    if !(document["openapi"].is_string() || document["swagger"].is_string()) {
        return Err(refused("the document of the service is none of OpenAPI"));
    }
    let mut reader = Reader {
        document,
        types: Vec::new(),
        places: HashMap::new(),
        names: HashSet::new(),
        waiting: Vec::new(),
        left: SCHEMAS_MAX,
        texts_left: TEXTS_MAX,
    };
    let mut operations = Vec::new();
    let mut left_out = 0;
    let mut taken = HashSet::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        let item = reader.resolved(item);
        for method in ["get", "put", "post", "delete", "patch", "head", "options"] {
            let operation = &item[method];
            if !operation.is_object() {
                continue;
            }
            if operations.len() == OPERATIONS_MAX || path.len() > WIRE_MAX {
                left_out += 1;
                continue;
            }
            operations.push(reader.operation(method, path, item, operation, &mut taken));
        }
    }
    if operations.is_empty() {
        return Err(refused("the document of the service has no operations"));
    }
    reader.finish();
    let (base, base_path) = base(document);
    let (key, bearer, basic) = reader.security();
    let title = remark(document["info"]["title"].as_str().unwrap_or(name));
    Ok(Api {
        title: if title.is_empty() { remark(name) } else { title },
        base,
        base_path,
        key,
        bearer,
        basic,
        operations,
        types: reader.types,
        left_out,
    })
}

fn refused(what: &str) -> Error {
    Error::new(
        Kind::BackendRefused,
        format!("service_id: {what}, so that no client can be made of it"),
    )
}

struct Reader<'a> {
    document: &'a Value,
    types: Vec<Named>,
    /// Where the type of a reference is.
    places: HashMap<&'a str, usize>,
    names: HashSet<String>,
    /// Types that were named and not read yet.
    waiting: Vec<(usize, &'a Value)>,
    /// How many more schemas are read: a short document may refer to itself without end.
    left: usize,
    /// How many more bytes of texts.
    texts_left: usize,
}

static NULL: Value = Value::Null;

impl<'a> Reader<'a> {
    fn operation(&mut self, method: &str, path: &str, item: &'a Value, operation: &'a Value, taken: &mut HashSet<String>) -> Operation {
        let method = match method {
            "put" => "PUT",
            "post" => "POST",
            "delete" => "DELETE",
            "patch" => "PATCH",
            "head" => "HEAD",
            "options" => "OPTIONS",
            _ => "GET",
        };
        let mut name = words(operation["operationId"].as_str().unwrap_or_default());
        if name.is_empty() {
            name = words(&format!("{} {path}", method.to_lowercase()));
        }
        let name = unique_words(name, taken);
        let mut parameters: Vec<Parameter> = Vec::new();
        let mut names = HashSet::from(["body".to_owned(), "args".to_owned(), "self".to_owned()]);
        let mut body = None;
        let mut fields = Vec::new();
        let mut file = false;
        let given = [&operation["parameters"], &item["parameters"]];
        for given in given.into_iter().filter_map(Value::as_array).flatten().take(PARAMETERS_MAX) {
            let given = self.resolved(given);
            let wire = given["name"].as_str().unwrap_or_default();
            let place = match given["in"].as_str() {
                Some("path") => Place::Path,
                Some("query") => Place::Query,
                Some("header") if is_token(wire) => Place::Header,
                Some("body") => {
                    body = Some(Body {
                        kind: self.kind(&given["schema"], 0),
                        required: given["required"] == true,
                        form: Form::Json,
                    });
                    continue;
                }
                Some("formData") if wire.len() <= WIRE_MAX => {
                    file |= given["type"] == "file";
                    fields.push(Field {
                        wire: wire.to_owned(),
                        required: given["required"] == true,
                        kind: self.kind(given, 1),
                    });
                    continue;
                }
                _ => continue,
            };
            // What the client says itself is no parameter.
            let ours = ["accept", "authorization", "content-type"];
            let known = parameters.iter().any(|known| known.wire == wire && known.place == place);
            if wire.is_empty() || wire.len() > WIRE_MAX || known || (place == Place::Header && ours.contains(&wire.to_lowercase().as_str()))
            {
                continue;
            }
            let schema = if given["schema"].is_object() { &given["schema"] } else { given };
            parameters.push(Parameter {
                name: unique(argument(wire), &mut names),
                required: place == Place::Path || given["required"] == true,
                kind: self.kind(schema, 1),
                wire: wire.to_owned(),
                place,
            });
        }
        if !fields.is_empty() {
            body = Some(Body {
                kind: Type::Object(fields),
                required: true,
                form: if file {
                    Form::Raw("multipart/form-data".to_owned())
                } else {
                    Form::UrlEncoded
                },
            });
        }
        let path = pieces(path, &mut parameters, &mut names);
        Operation {
            name,
            method,
            path,
            // fetch sends none with these.
            body: body
                .or_else(|| self.body(&operation["requestBody"]))
                .filter(|_| !matches!(method, "GET" | "HEAD")),
            answer: self.answer(&operation["responses"]),
            remark: remark(
                operation["summary"]
                    .as_str()
                    .or_else(|| operation["description"].as_str())
                    .unwrap_or_default(),
            ),
            parameters,
        }
    }

    fn body(&mut self, body: &'a Value) -> Option<Body> {
        let body = self.resolved(body);
        let content = body["content"].as_object()?;
        let required = body["required"] == true;
        let of = |wanted: fn(&str) -> bool| content.iter().take(CHOICES_MAX).find(|(media, _)| wanted(media));
        if let Some((_, media)) = of(is_json) {
            return Some(Body {
                kind: self.kind(&media["schema"], 0),
                required,
                form: Form::Json,
            });
        }
        if let Some((_, media)) = of(|media| media.starts_with("application/x-www-form-urlencoded")) {
            return Some(Body {
                kind: self.kind(&media["schema"], 0),
                required,
                form: Form::UrlEncoded,
            });
        }
        let media = content.keys().take(CHOICES_MAX).find(|media| is_media_type(media))?;
        Some(Body {
            kind: Type::Anything,
            required,
            form: Form::Raw(media.clone()),
        })
    }

    fn answer(&mut self, responses: &'a Value) -> Option<Type> {
        let responses = responses.as_object()?;
        let found = ["200", "201", "202", "203", "2XX", "default"]
            .into_iter()
            .find_map(|status| responses.get(status))?;
        let response = self.resolved(found);
        if response["schema"].is_object() {
            return Some(self.kind(&response["schema"], 0));
        }
        let content = response["content"].as_object()?.iter().take(CHOICES_MAX);
        let (media, content) = content.max_by_key(|(media, _)| is_json(media))?;
        match is_json(media) {
            true => Some(self.kind(&content["schema"], 0)),
            false => Some(Type::Text),
        }
    }

    /// What a reference within the document leads to; the value itself where it is none.
    fn resolved(&self, mut value: &'a Value) -> &'a Value {
        for _ in 0..HOPS_MAX {
            match value.get("$ref").and_then(Value::as_str) {
                Some(reference) => value = self.lookup(reference).unwrap_or(&NULL),
                None => return value,
            }
        }
        &NULL
    }

    fn lookup(&self, reference: &str) -> Option<&'a Value> {
        self.document
            .pointer(reference.strip_prefix('#').filter(|path| path.len() <= REFERENCE_MAX)?)
    }

    /// Takes so many bytes of what is left for texts; false where there are not so many.
    fn take(&mut self, bytes: usize) -> bool {
        let left = self.texts_left.checked_sub(bytes);
        self.texts_left = left.unwrap_or(0);
        left.is_some()
    }

    fn kind(&mut self, schema: &'a Value, depth: usize) -> Type {
        if depth > DEPTH_MAX || !schema.is_object() || self.left == 0 {
            return Type::Anything;
        }
        self.left -= 1;
        if let Some(reference) = schema["$ref"].as_str() {
            return self.named(reference);
        }
        let kind = self.plain(schema, depth);
        if schema["nullable"] == true {
            Type::OrNull(Box::new(kind))
        } else {
            kind
        }
    }

    fn plain(&mut self, schema: &'a Value, depth: usize) -> Type {
        let choices = match (&schema["const"], &schema["enum"]) {
            (only @ Value::String(_), _) => std::slice::from_ref(only),
            (_, Value::Array(values)) if values.len() <= CHOICES_MAX => values.as_slice(),
            _ => &[],
        };
        let texts = choices.iter().map(|choice| choice.as_str().filter(|text| text.len() <= WIRE_MAX));
        if let Some(texts) = texts.collect::<Option<Vec<_>>>().filter(|texts| !texts.is_empty())
            && self.take(texts.iter().map(|text| size_of::<String>() + text.len()).sum())
        {
            return Type::Literals(texts.into_iter().map(str::to_owned).collect());
        }
        if let Some(parts) = schema["allOf"].as_array() {
            return match parts.as_slice() {
                [only] if !schema["properties"].is_object() => self.kind(only, depth + 1),
                _ => {
                    let mut fields = Vec::new();
                    self.gather(schema, depth, &mut Vec::new(), &mut fields);
                    if fields.is_empty() { Type::Anything } else { Type::Object(fields) }
                }
            };
        }
        for choice in ["oneOf", "anyOf"] {
            if let Some(choices) = schema[choice].as_array().filter(|choices| !choices.is_empty()) {
                if choices.len() > CHOICES_MAX {
                    return Type::Anything;
                }
                return Type::Union(choices.iter().map(|choice| self.kind(choice, depth + 1)).collect());
            }
        }
        let (name, or_null) = match &schema["type"] {
            Value::Array(names) => {
                let names = &names[..names.len().min(CHOICES_MAX)];
                let mut real = names.iter().filter_map(Value::as_str).filter(|name| *name != "null");
                let first = real.next();
                let several = real.next().is_some();
                (if several { None } else { first }, names.iter().any(|name| name == "null"))
            }
            name => (name.as_str(), false),
        };
        let kind = match name {
            Some("string") => Type::Text,
            Some("integer" | "number") => Type::Number,
            Some("boolean") => Type::Truth,
            Some("array") => Type::List(Box::new(self.kind(&schema["items"], depth + 1))),
            Some("object") | None if schema["properties"].as_object().is_some_and(|fields| !fields.is_empty()) => {
                let mut fields = Vec::new();
                self.gather(schema, depth, &mut Vec::new(), &mut fields);
                Type::Object(fields)
            }
            Some("object") => Type::Map(Box::new(self.kind(&schema["additionalProperties"], depth + 1))),
            _ => Type::Anything,
        };
        if or_null { Type::OrNull(Box::new(kind)) } else { kind }
    }

    /// The fields of an object and of all that it is made of.
    fn gather(&mut self, schema: &'a Value, depth: usize, seen: &mut Vec<&'a Value>, fields: &mut Vec<Field>) {
        if seen.len() > CHOICES_MAX || self.left == 0 || seen.iter().any(|seen| std::ptr::eq(*seen, schema)) {
            return;
        }
        self.left -= 1;
        seen.push(schema);
        let required: HashSet<_> = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .take(4 * FIELDS_MAX)
            .filter_map(Value::as_str)
            .collect();
        self.left = self.left.saturating_sub(required.len());
        for (wire, kind) in schema["properties"].as_object().into_iter().flatten() {
            if fields.len() == FIELDS_MAX || self.left == 0 {
                return;
            }
            // What is looked at in vain counts too.
            if wire.len() > WIRE_MAX || fields.iter().any(|known| known.wire == *wire) {
                self.left -= 1;
                continue;
            }
            if !self.take(wire.len()) {
                return;
            }
            fields.push(Field {
                required: required.contains(wire.as_str()),
                kind: self.kind(kind, depth + 1),
                wire: wire.clone(),
            });
        }
        for part in schema["allOf"].as_array().into_iter().flatten().take(CHOICES_MAX) {
            let part = self.resolved(part);
            self.gather(part, depth, seen, fields);
        }
    }

    /// The named type that a reference leads to: read later, so that it may lead back.
    fn named(&mut self, reference: &'a str) -> Type {
        let Some(schema) = self.lookup(reference) else {
            return Type::Anything;
        };
        if let Some(place) = self.places.get(reference) {
            return Type::Named(*place);
        }
        if self.types.len() == TYPES_MAX {
            return Type::Anything;
        }
        let last = reference.rsplit('/').next().unwrap_or_default();
        let mut name: String = words(last).iter().map(|word| capital(word)).collect();
        if name.is_empty() || OURS.contains(&name.as_str()) {
            name.push_str("Model");
        }
        let place = self.types.len();
        self.types.push(Named {
            name: unique(name, &mut self.names),
            kind: Type::Anything,
        });
        self.places.insert(reference, place);
        self.waiting.push((place, schema));
        Type::Named(place)
    }

    /// Reads what was only named so far, and cuts names that stand for nothing but themselves.
    fn finish(&mut self) {
        while let Some((place, schema)) = self.waiting.pop() {
            let kind = self.kind(schema, 0);
            self.types[place].kind = kind;
        }
        for place in 0..self.types.len() {
            if self.stands_for_itself(place) {
                self.types[place].kind = Type::Anything;
            }
        }
    }

    fn stands_for_itself(&self, place: usize) -> bool {
        let mut seen = HashSet::new();
        let mut ahead = vec![&self.types[place].kind];
        while let Some(kind) = ahead.pop() {
            match kind {
                Type::Named(next) if *next == place => return true,
                Type::Named(next) if seen.insert(*next) => ahead.push(&self.types[*next].kind),
                Type::Union(kinds) => ahead.extend(kinds),
                Type::OrNull(kind) => ahead.push(kind),
                _ => {}
            }
        }
        false
    }

    fn security(&self) -> (Option<Key>, bool, bool) {
        let schemes = [
            &self.document["components"]["securitySchemes"],
            &self.document["securityDefinitions"],
        ];
        let (mut key, mut bearer, mut basic) = (None, false, false);
        for scheme in schemes
            .into_iter()
            .filter_map(Value::as_object)
            .flat_map(|schemes| schemes.values())
        {
            let scheme = self.resolved(scheme);
            let name = scheme["name"].as_str().unwrap_or_default();
            match (scheme["type"].as_str(), scheme["in"].as_str()) {
                (Some("apiKey"), Some("header")) if key.is_none() && is_token(name) => {
                    key = Some(Key {
                        name: name.to_owned(),
                        in_query: false,
                    });
                }
                (Some("apiKey"), Some("query")) if key.is_none() && !name.is_empty() && name.len() <= WIRE_MAX => {
                    key = Some(Key {
                        name: name.to_owned(),
                        in_query: true,
                    });
                }
                (Some("basic"), _) => basic = true,
                (Some("http"), _) => match scheme["scheme"].as_str().map(str::to_ascii_lowercase).as_deref() {
                    Some("basic") => basic = true,
                    _ => bearer = true,
                },
                (Some("oauth2" | "openIdConnect"), _) => bearer = true,
                _ => {}
            }
        }
        (key, bearer, basic)
    }
}

/// Where the API is: an address, or what stands before its paths.
fn base(document: &Value) -> (Option<String>, String) {
    let server = &document["servers"][0];
    let text = match server["url"].as_str() {
        Some(url) => {
            let mut url = url.to_owned();
            for (name, variable) in server["variables"].as_object().into_iter().flatten().take(PARAMETERS_MAX) {
                let default = variable["default"].as_str().unwrap_or_default();
                // Each may hold the next, and each many times: what has become too long stays so.
                if url.len().max(default.len()) > WIRE_MAX {
                    return (None, String::new());
                }
                url = url.replace(&format!("{{{name}}}"), default);
            }
            url
        }
        None => {
            let path = document["basePath"].as_str().unwrap_or_default();
            let scheme = if document["schemes"]
                .as_array()
                .is_some_and(|schemes| !schemes.iter().any(|scheme| scheme == "https"))
            {
                "http"
            } else {
                "https"
            };
            match document["host"].as_str() {
                Some(host) => format!("{scheme}://{host}{path}"),
                None => path.to_owned(),
            }
        }
    };
    if text.len() > WIRE_MAX {
        return (None, String::new());
    }
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.password().is_none() => {
            (Some(url.as_str().trim_end_matches('/').to_owned()), String::new())
        }
        _ if text.starts_with('/') && !text.starts_with("//") => (None, text.trim_end_matches('/').to_owned()),
        _ => (None, String::new()),
    }
}

/// A path in its pieces. What it names in braces and does not declare is a parameter all the same.
fn pieces(path: &str, parameters: &mut Vec<Parameter>, names: &mut HashSet<String>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut text = String::new();
    if !path.starts_with('/') {
        text.push('/');
    }
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((wire, after)) = after.split_once('}') else { break };
        text.push_str(before);
        pieces.push(Piece::Text(std::mem::take(&mut text)));
        let known = parameters.iter().position(|known| known.place == Place::Path && known.wire == wire);
        let place = known.unwrap_or_else(|| {
            parameters.push(Parameter {
                wire: wire.to_owned(),
                name: unique(argument(wire), names),
                place: Place::Path,
                required: true,
                kind: Type::Text,
            });
            parameters.len() - 1
        });
        pieces.push(Piece::Parameter(place));
        rest = after;
    }
    text.push_str(rest);
    pieces.push(Piece::Text(text));
    // Declared, and not in the path: there is nowhere to put it.
    for (place, parameter) in parameters.iter_mut().enumerate() {
        let used = pieces.iter().any(|piece| matches!(piece, Piece::Parameter(used) if *used == place));
        if parameter.place == Place::Path && !used {
            parameter.required = false;
        }
    }
    pieces
}

fn is_json(media: &str) -> bool {
    let kind = media.split(';').next().unwrap_or_default().trim();
    kind == "application/json" || kind.ends_with("+json") || kind == "*/*"
}

fn is_media_type(text: &str) -> bool {
    text.len() <= 100
        && text.contains('/')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/+-.*_".contains(&byte))
        && !text.contains('*')
}

/// What a header may be called (RFC 9110 §5.6.2), without what would have to be escaped.
fn is_token(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// The words of a name: small letters and digits.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut fresh = true;
    let mut before_small = false;
    for letter in text.chars().take(4 * NAME_MAX) {
        if !letter.is_ascii_alphanumeric() {
            fresh = true;
            continue;
        }
        if fresh || (letter.is_ascii_uppercase() && before_small) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(letter.to_ascii_lowercase());
        }
        fresh = false;
        before_small = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    let mut length = 0;
    words.retain(|word| {
        length += word.len();
        length <= NAME_MAX
    });
    // No name begins with a digit.
    if words
        .first()
        .is_some_and(|word| word.starts_with(|letter: char| letter.is_ascii_digit()))
    {
        words.insert(0, "n".to_owned());
    }
    words
}

fn unique_words(mut name: Vec<String>, taken: &mut HashSet<String>) -> Vec<String> {
    if name.is_empty() {
        name.push("operation".to_owned());
    }
    let plain = name.concat();
    if taken.insert(plain.clone()) {
        return name;
    }
    for number in 2.. {
        if taken.insert(format!("{plain}{number}")) {
            name.push(number.to_string());
            break;
        }
    }
    name
}

fn unique(name: String, taken: &mut HashSet<String>) -> String {
    let mut free = name.clone();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}{number}");
        number += 1;
    }
    free
}

/// The name of an argument: as it is sent, where that is safe in every language.
fn argument(wire: &str) -> String {
    let mut name = words(wire).join("_");
    if wire.len() <= NAME_MAX
        && wire.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && wire.starts_with(|letter: char| letter.is_ascii_alphabetic())
    {
        wire.clone_into(&mut name);
    }
    if name.is_empty() {
        name.push_str("value");
    }
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    name
}

pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    match letters.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + letters.as_str(),
        None => String::new(),
    }
}

/// A text for a comment: on one line, without what ends a comment or is a tag of one.
fn remark(text: &str) -> String {
    let plain: String = text.chars().take(4 * REMARK_MAX).collect();
    crate::backends::generate::words::line(&plain, REMARK_MAX)
        .replace('@', "(at)")
        .replace("*/", "* /")
        .replace("/*", "/ *")
        .trim_end_matches('*')
        .to_owned()
}

/// Words that are taken in one of the languages, or by the client itself.
pub(super) const RESERVED: &[&str] = &[
    "abstract",
    "and",
    "any",
    "arguments",
    "as",
    "assert",
    "async",
    "await",
    "bool",
    "boolean",
    "break",
    "case",
    "catch",
    "class",
    "const",
    "constructor",
    "continue",
    "debugger",
    "declare",
    "def",
    "default",
    "del",
    "delete",
    "do",
    "elif",
    "else",
    "enum",
    "eval",
    "except",
    "export",
    "extends",
    "false",
    "False",
    "finally",
    "float",
    "for",
    "from",
    "function",
    "get",
    "global",
    "if",
    "implements",
    "import",
    "in",
    "instanceof",
    "int",
    "interface",
    "is",
    "lambda",
    "let",
    "list",
    "match",
    "module",
    "name",
    "namespace",
    "new",
    "none",
    "None",
    "nonlocal",
    "not",
    "null",
    "number",
    "object",
    "of",
    "or",
    "package",
    "pass",
    "print",
    "private",
    "prototype",
    "protected",
    "public",
    "raise",
    "request",
    "require",
    "return",
    "self",
    "set",
    "static",
    "str",
    "string",
    "super",
    "switch",
    "symbol",
    "then",
    "this",
    "throw",
    "true",
    "True",
    "try",
    "type",
    "typeof",
    "undefined",
    "unknown",
    "var",
    "void",
    "while",
    "with",
    "yield",
];

/// Names of types that are the language's or the client's own.
const OURS: &[&str] = &[
    "Any",
    "ApiError",
    "Array",
    "Blob",
    "BodyInit",
    "Boolean",
    "Client",
    "ClientOptions",
    "Date",
    "Dict",
    "Error",
    "Exception",
    "False",
    "Function",
    "Headers",
    "List",
    "Literal",
    "Map",
    "None",
    "Number",
    "Object",
    "Optional",
    "Promise",
    "Record",
    "Request",
    "Response",
    "Set",
    "String",
    "Symbol",
    "True",
    "TypedDict",
    "Union",
    "Url",
    "URL",
    "ValueError",
];
