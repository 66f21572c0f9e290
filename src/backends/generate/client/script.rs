//! TypeScript and JavaScript: one file that needs nothing but `fetch`.

use std::fmt::Write as _;

use super::{
    BYTES_MAX, File,
    api::{Api, Field, Form, Operation, Piece, Place, RESERVED, Type, capital},
    literal,
};

pub(super) fn files(api: &Api, typed: bool) -> Vec<File> {
    let mut code = String::new();
    let _ = writeln!(
        code,
        "/* {}: a client that was generated from the API's OpenAPI document. It needs fetch and nothing else. */\n",
        api.title
    );
    if typed {
        for named in &api.types {
            if code.len() > BYTES_MAX {
                break;
            }
            match &named.kind {
                Type::Object(fields) => {
                    let _ = writeln!(code, "export interface {} {}\n", named.name, object(api, fields, 0));
                }
                kind => {
                    let _ = writeln!(code, "export type {} = {};\n", named.name, kind_of(api, kind, 0));
                }
            }
        }
        code.push_str(&options(api));
    }
    code.push_str(&head(api, typed));
    for operation in &api.operations {
        if code.len() > BYTES_MAX {
            break;
        }
        method(&mut code, api, operation, typed);
    }
    code.push_str(if typed { TAIL_TYPED } else { TAIL });
    let path = if typed { "client.ts" } else { "client.mjs" };
    vec![File {
        path: path.to_owned(),
        content: code,
    }]
}

fn options(api: &Api) -> String {
    let mut code = "export interface ClientOptions {\n".to_owned();
    let known = if api.base.is_some() { "?" } else { "" };
    let _ = writeln!(code, "  /** Where the API is. */\n  baseUrl{known}: string;");
    if api.bearer {
        code.push_str("  /** Sent as a bearer token. */\n  token?: string;\n");
    }
    if api.basic {
        code.push_str("  username?: string;\n  password?: string;\n");
    }
    if api.key.is_some() {
        code.push_str("  apiKey?: string;\n");
    }
    code.push_str("  /** Sent with every request. */\n  headers?: Record<string, string>;\n  /** How long a request may take, in milliseconds; 30000 unless said. */\n  timeout?: number;\n}\n\n");
    code
}

fn head(api: &Api, typed: bool) -> String {
    let t = |with: &'static str| if typed { with } else { "" };
    let mut code = String::new();
    let _ = write!(
        code,
        "/** An answer that is no success. */\nexport class ApiError extends Error {{\n{}  constructor(status{}, body{}) {{\n    super(`HTTP ${{status}}`);\n    this.status = status;\n    this.body = body;\n  }}\n}}\n\n",
        t("  readonly status: number;\n  readonly body: unknown;\n"),
        t(": number"),
        t(": unknown"),
    );
    let base = api.base.as_deref().unwrap_or_default();
    let _ = writeln!(
        code,
        "const BASE_URL = {};\nconst BASE_PATH = {};\n",
        literal(base),
        literal(&api.base_path)
    );
    let _ = write!(
        code,
        "/** A part of a path: never empty, and never one that leads elsewhere. */\nfunction segment(value{}){} {{\n  const text = String(value);\n  if (text === '' || text === '.' || text === '..') throw new Error('a path parameter must not be empty, . or ..');\n  return encodeURIComponent(text);\n}}\n\n",
        t(": unknown"),
        t(": string"),
    );
    let default = if api.base.is_some() { " = {}" } else { "" };
    let _ = write!(
        code,
        "export class Client {{\n  #base{};\n  #headers{};\n  #query{};\n  #timeout{};\n\n  constructor(options{}{default}) {{\n    const base = options.baseUrl ?? BASE_URL;\n    if (!base) throw new Error('baseUrl: say where the API is');\n    this.#base = base.replace(/\\/+$/, '') + BASE_PATH;\n    this.#headers = {{ ...options.headers }};\n    this.#query = [];\n    this.#timeout = options.timeout ?? 30000;\n",
        t(": string"),
        t(": Record<string, string>"),
        t(": Array<[string, unknown]>"),
        t(": number"),
        t(": ClientOptions"),
    );
    if api.bearer {
        code.push_str("    if (options.token) this.#headers['authorization'] = `Bearer ${options.token}`;\n");
    }
    if api.basic {
        code.push_str(
            "    if (options.username !== undefined) {\n      const pair = new TextEncoder().encode(`${options.username}:${options.password ?? ''}`);\n      this.#headers['authorization'] = `Basic ${btoa(String.fromCharCode(...pair))}`;\n    }\n",
        );
    }
    if let Some(key) = &api.key {
        let name = literal(&key.name);
        let _ = match key.in_query {
            true => writeln!(code, "    if (options.apiKey) this.#query.push([{name}, options.apiKey]);"),
            false => writeln!(code, "    if (options.apiKey) this.#headers[{name}] = options.apiKey;"),
        };
    }
    code.push_str("  }\n");
    code
}

fn method(code: &mut String, api: &Api, operation: &Operation, typed: bool) {
    let mut name = operation.name.first().cloned().unwrap_or_default();
    for word in operation.name.iter().skip(1) {
        name.push_str(&capital(word));
    }
    if RESERVED.contains(&name.as_str()) {
        name.push('_');
    }
    let used = |index: usize| {
        let parameter = &operation.parameters[index];
        parameter.place != Place::Path
            || operation
                .path
                .iter()
                .any(|piece| matches!(piece, Piece::Parameter(place) if *place == index))
    };
    let parameters: Vec<_> = (0..operation.parameters.len())
        .filter(|index| used(*index))
        .map(|index| &operation.parameters[index])
        .collect();
    let required = parameters.iter().any(|parameter| parameter.required) || operation.body.as_ref().is_some_and(|body| body.required);
    let takes = !parameters.is_empty() || operation.body.is_some();
    code.push('\n');
    if !operation.remark.is_empty() {
        let _ = writeln!(code, "  /** {} */", operation.remark);
    }
    let mut arguments = String::new();
    if takes {
        arguments.push_str("args");
        if typed {
            let mut fields = Vec::new();
            for parameter in &parameters {
                let optional = if parameter.required { "" } else { "?" };
                fields.push(format!("{}{optional}: {}", parameter.name, kind_of(api, &parameter.kind, 2)));
            }
            if let Some(body) = &operation.body {
                let optional = if body.required { "" } else { "?" };
                let kind = match body.form {
                    Form::Raw(_) => "BodyInit".to_owned(),
                    Form::Json | Form::UrlEncoded => kind_of(api, &body.kind, 2),
                };
                fields.push(format!("body{optional}: {kind}"));
            }
            let _ = write!(arguments, ": {{ {} }}", fields.join("; "));
        }
        if !required {
            arguments.push_str(" = {}");
        }
    }
    let answer = match &operation.answer {
        _ if !typed => String::new(),
        Some(kind) => format!(": Promise<{}>", kind_of(api, kind, 1)),
        None => ": Promise<void>".to_owned(),
    };
    let path = path(operation);
    let pairs = |place: Place| {
        let pairs: Vec<_> = parameters
            .iter()
            .filter(|parameter| parameter.place == place)
            .map(|parameter| format!("[{}, args.{}]", literal(&parameter.wire), parameter.name))
            .collect();
        format!("[{}]", pairs.join(", "))
    };
    let body = match &operation.body {
        None => String::new(),
        Some(body) => match &body.form {
            Form::Json => ", args.body, 'json'".to_owned(),
            Form::UrlEncoded => ", args.body, 'form'".to_owned(),
            // fetch says the type of what has a boundary of its own.
            Form::Raw(media) if media.starts_with("multipart/") => ", args.body, ''".to_owned(),
            Form::Raw(media) => format!(", args.body, {}", literal(media)),
        },
    };
    let _ = write!(
        code,
        "  {name}({arguments}){answer} {{\n    return this.#send({}, {path}, {}, {}{body});\n  }}\n",
        literal(operation.method),
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
            Piece::Parameter(place) => Some(format!("segment(args.{})", operation.parameters[*place].name)),
        })
        .collect();
    if parts.is_empty() { "''".to_owned() } else { parts.join(" + ") }
}

fn object(api: &Api, fields: &[Field], depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    let mut code = "{\n".to_owned();
    for field in fields {
        let optional = if field.required { "" } else { "?" };
        let _ = writeln!(
            code,
            "{indent}{}{optional}: {};",
            literal(&field.wire),
            kind_of(api, &field.kind, depth + 1)
        );
    }
    let _ = write!(code, "{}}}", "  ".repeat(depth));
    code
}

fn kind_of(api: &Api, kind: &Type, depth: usize) -> String {
    match kind {
        Type::Anything => "any".to_owned(),
        Type::Text => "string".to_owned(),
        Type::Number => "number".to_owned(),
        Type::Truth => "boolean".to_owned(),
        Type::Literals(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| literal(text)).collect();
            texts.join(" | ")
        }
        Type::List(kind) => format!("({})[]", kind_of(api, kind, depth)),
        // Not a Record: this form may lead back to the type that it is in.
        Type::Map(kind) => format!("{{ [key: string]: {} }}", kind_of(api, kind, depth)),
        Type::Object(fields) => object(api, fields, depth),
        Type::Union(kinds) => {
            let kinds: Vec<_> = kinds.iter().map(|kind| kind_of(api, kind, depth)).collect();
            format!("({})", kinds.join(" | "))
        }
        Type::OrNull(kind) => format!("({} | null)", kind_of(api, kind, depth)),
        Type::Named(place) => api.types[*place].name.clone(),
    }
}

const TAIL_TYPED: &str = "
  async #send(
    method: string,
    path: string,
    query: Array<[string, unknown]>,
    headers: Array<[string, unknown]>,
    body?: unknown,
    form?: string,
  ): Promise<any> {
    const url = new URL(this.#base + path);
    for (const [name, value] of [...query, ...this.#query]) {
      for (const each of Array.isArray(value) ? value : [value]) {
        if (each !== undefined && each !== null) url.searchParams.append(name, typeof each === 'object' ? JSON.stringify(each) : String(each));
      }
    }
    const sent: Record<string, string> = { accept: 'application/json', ...this.#headers };
    for (const [name, value] of headers) {
      if (value !== undefined && value !== null) sent[name] = String(value);
    }
    let payload: any = undefined;
    if (body !== undefined) {
      if (form === 'json') {
        sent['content-type'] = 'application/json';
        payload = JSON.stringify(body);
      } else if (form === 'form') {
        payload = new URLSearchParams(Object.entries(body as Record<string, unknown>).map(([name, value]) => [name, String(value)]));
      } else {
        if (form) sent['content-type'] = form;
        payload = body;
      }
    }
    const response = await fetch(url, { method, headers: sent, body: payload, redirect: 'error', signal: AbortSignal.timeout(this.#timeout) });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    const answer = isJson && text !== '' ? JSON.parse(text) : text === '' ? undefined : text;
    if (!response.ok) throw new ApiError(response.status, answer);
    return answer;
  }
}
";

const TAIL: &str = "
  async #send(method, path, query, headers, body, form) {
    const url = new URL(this.#base + path);
    for (const [name, value] of [...query, ...this.#query]) {
      for (const each of Array.isArray(value) ? value : [value]) {
        if (each !== undefined && each !== null) url.searchParams.append(name, typeof each === 'object' ? JSON.stringify(each) : String(each));
      }
    }
    const sent = { accept: 'application/json', ...this.#headers };
    for (const [name, value] of headers) {
      if (value !== undefined && value !== null) sent[name] = String(value);
    }
    let payload = undefined;
    if (body !== undefined) {
      if (form === 'json') {
        sent['content-type'] = 'application/json';
        payload = JSON.stringify(body);
      } else if (form === 'form') {
        payload = new URLSearchParams(Object.entries(body).map(([name, value]) => [name, String(value)]));
      } else {
        if (form) sent['content-type'] = form;
        payload = body;
      }
    }
    const response = await fetch(url, { method, headers: sent, body: payload, redirect: 'error', signal: AbortSignal.timeout(this.#timeout) });
    const text = await response.text();
    const isJson = (response.headers.get('content-type') ?? '').includes('json');
    const answer = isJson && text !== '' ? JSON.parse(text) : text === '' ? undefined : text;
    if (!response.ok) throw new ApiError(response.status, answer);
    return answer;
  }
}
";
