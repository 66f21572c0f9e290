//! Python: one file that needs nothing but the standard library, from 3.8 on.

use std::fmt::Write as _;

use super::{
    BYTES_MAX, File,
    api::{Api, Form, Operation, Piece, Place, RESERVED, Type},
    literal,
};

pub(super) fn files(api: &Api) -> Vec<File> {
    let mut code = format!(
        "{}\n\nfrom __future__ import annotations\n\nimport base64\nimport json\nimport urllib.error\nimport urllib.parse\nimport urllib.request\nfrom typing import Any, Dict, List, Literal, Optional, TypedDict, Union\n\nBASE_URL = {}\nBASE_PATH = {}\n\n",
        literal(&format!(
            "{}: a client that was generated from the API's OpenAPI document.",
            api.title
        )),
        literal(api.base.as_deref().unwrap_or_default()),
        literal(&api.base_path),
    );
    for named in &api.types {
        if code.len() > BYTES_MAX {
            break;
        }
        let _ = match &named.kind {
            Type::Object(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|field| format!("    {}: {},\n", literal(&field.wire), kind_of(api, &field.kind)))
                    .collect();
                writeln!(
                    code,
                    "{0} = TypedDict(\"{0}\", {{\n{1}}}, total=False)",
                    named.name,
                    fields.concat()
                )
            }
            kind => writeln!(code, "{} = {}", named.name, kind_of(api, kind)),
        };
    }
    code.push_str(HEAD);
    code.push_str("    def __init__(self, *, base_url: str = BASE_URL");
    if api.bearer {
        code.push_str(", token: Optional[str] = None");
    }
    if api.basic {
        code.push_str(", username: Optional[str] = None, password: str = \"\"");
    }
    if api.key.is_some() {
        code.push_str(", api_key: Optional[str] = None");
    }
    code.push_str(", headers: Optional[Dict[str, str]] = None, timeout: float = 30.0) -> None:\n");
    code.push_str("        if not base_url:\n            raise ValueError(\"base_url: say where the API is\")\n");
    code.push_str("        self._base = base_url.rstrip(\"/\") + BASE_PATH\n        self._headers = dict(headers or {})\n        self._query = []  # type: List[Any]\n        self._timeout = timeout\n");
    if api.bearer {
        code.push_str("        if token:\n            self._headers[\"Authorization\"] = \"Bearer \" + token\n");
    }
    if api.basic {
        code.push_str("        if username is not None:\n            pair = base64.b64encode((username + \":\" + password).encode()).decode()\n            self._headers[\"Authorization\"] = \"Basic \" + pair\n");
    }
    if let Some(key) = &api.key {
        let name = literal(&key.name);
        let _ = match key.in_query {
            true => writeln!(code, "        if api_key:\n            self._query.append(({name}, api_key))"),
            false => writeln!(code, "        if api_key:\n            self._headers[{name}] = api_key"),
        };
    }
    for operation in &api.operations {
        if code.len() > BYTES_MAX {
            break;
        }
        method(&mut code, api, operation);
    }
    code.push_str(TAIL);
    vec![File {
        path: "client.py".to_owned(),
        content: code,
    }]
}

fn method(code: &mut String, api: &Api, operation: &Operation) {
    let mut name = operation.name.join("_");
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    let parameters: Vec<_> = operation
        .parameters
        .iter()
        .enumerate()
        .filter(|(index, parameter)| {
            parameter.place != Place::Path
                || operation
                    .path
                    .iter()
                    .any(|piece| matches!(piece, Piece::Parameter(place) if place == index))
        })
        .map(|(_, parameter)| parameter)
        .collect();
    let mut arguments = String::new();
    for parameter in &parameters {
        let kind = kind_of(api, &parameter.kind);
        let _ = match parameter.required {
            true => write!(arguments, ", {}: {kind}", parameter.name),
            false => write!(arguments, ", {}: Optional[{kind}] = None", parameter.name),
        };
    }
    let mut body = String::new();
    if let Some(given) = &operation.body {
        let kind = match given.form {
            Form::Raw(_) => "bytes".to_owned(),
            Form::Json | Form::UrlEncoded => kind_of(api, &given.kind),
        };
        let _ = match given.required {
            true => write!(arguments, ", body: {kind}"),
            false => write!(arguments, ", body: Optional[{kind}] = None"),
        };
        let _ = match &given.form {
            Form::Json => write!(body, ", body, \"json\""),
            Form::UrlEncoded => write!(body, ", body, \"form\""),
            Form::Raw(media) => write!(body, ", body, {}", literal(media)),
        };
    }
    if !arguments.is_empty() {
        arguments = format!(", *{arguments}");
    }
    let answer = match &operation.answer {
        Some(kind) => kind_of(api, kind),
        None => "None".to_owned(),
    };
    let pairs = |place: Place| {
        let pairs: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter.place == place)
            .map(|parameter| format!("({}, {})", literal(&parameter.wire), parameter.name))
            .collect();
        format!("[{}]", pairs.join(", "))
    };
    let _ = writeln!(code, "\n    def {name}(self{arguments}) -> {answer}:");
    if !operation.remark.is_empty() {
        let _ = writeln!(code, "        {}", literal(&operation.remark));
    }
    let _ = writeln!(
        code,
        "        return self._send({}, {}, {}, {}{body})",
        literal(operation.method),
        path(operation),
        pairs(Place::Query),
        pairs(Place::Header),
    );
}

fn path(operation: &Operation) -> String {
    let parts: Vec<_> = operation
        .path
        .iter()
        .filter_map(|piece| match piece {
            Piece::Text(text) if text.is_empty() => None,
            Piece::Text(text) => Some(literal(text)),
            Piece::Parameter(place) => Some(format!("_segment({})", operation.parameters[*place].name)),
        })
        .collect();
    if parts.is_empty() { "\"\"".to_owned() } else { parts.join(" + ") }
}

/// Names of types stand in quotes: they may come later, or lead back.
fn kind_of(api: &Api, kind: &Type) -> String {
    match kind {
        Type::Anything => "Any".to_owned(),
        Type::Text => "str".to_owned(),
        Type::Number => "float".to_owned(),
        Type::Truth => "bool".to_owned(),
        Type::Literals(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| literal(text)).collect();
            format!("Literal[{}]", texts.join(", "))
        }
        Type::List(kind) => format!("List[{}]", kind_of(api, kind)),
        Type::Map(kind) => format!("Dict[str, {}]", kind_of(api, kind)),
        Type::Object(_) => "Dict[str, Any]".to_owned(),
        Type::Union(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind_of(api, kind)).collect();
            format!("Union[{}]", kinds.join(", "))
        }
        Type::OrNull(kind) => format!("Optional[{}]", kind_of(api, kind)),
        Type::Named(place) => literal(&api.types[*place].name),
    }
}

const HEAD: &str = "

class ApiError(Exception):
    \"An answer that is no success.\"

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(\"HTTP %d\" % status)
        self.status = status
        self.body = body


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    \"A redirect would take the credentials elsewhere: it is an error.\"

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore
        return None


def _segment(value: Any) -> str:
    text = str(value)
    if text in (\"\", \".\", \"..\"):
        raise ValueError(\"a path parameter must not be empty, . or ..\")
    return urllib.parse.quote(text, safe=\"\")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return \"true\" if value else \"false\"
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


class Client:
";

const TAIL: &str = "
    def _send(self, method: str, path: str, query: List[Any], headers: List[Any], body: Any = None, form: str = \"\") -> Any:
        pairs = []
        for name, value in query + self._query:
            for each in value if isinstance(value, (list, tuple)) else [value]:
                if each is not None:
                    pairs.append((name, _text(each)))
        url = self._base + path + (\"?\" + urllib.parse.urlencode(pairs) if pairs else \"\")
        sent = {\"Accept\": \"application/json\"}
        sent.update(self._headers)
        for name, value in headers:
            if value is not None:
                sent[name] = _text(value)
        payload = None
        if body is not None:
            if form == \"json\":
                sent[\"Content-Type\"] = \"application/json\"
                payload = json.dumps(body).encode()
            elif form == \"form\":
                sent[\"Content-Type\"] = \"application/x-www-form-urlencoded\"
                payload = urllib.parse.urlencode({name: _text(value) for name, value in body.items()}).encode()
            else:
                sent.setdefault(\"Content-Type\", form)
                payload = body
        request = urllib.request.Request(url, data=payload, headers=sent, method=method)
        try:
            with urllib.request.build_opener(_NoRedirect).open(request, timeout=self._timeout) as response:
                return _answer(response)
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, _answer(error)) from None


def _answer(response: Any) -> Any:
    text = response.read().decode(\"utf-8\", \"replace\")
    if not text:
        return None
    if \"json\" in (response.headers.get(\"Content-Type\") or \"\"):
        return json.loads(text)
    return text
";
