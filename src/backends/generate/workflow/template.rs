//! The templates: a workflow out of the words of a description, without a language model. The same words make the same workflow, but
//! for the path of its webhook.

use std::fmt::Write as _;

use serde_json::{Value, json};
use url::Url;

use super::{
    PATHS,
    schedule::{self, Found, Schedule},
    services::{Does, Kind, SERVICES, Service, parameters},
    unguessable,
};
use crate::backends::generate::words::{Words, line, slug};

/// What the templates made.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) workflow: Value,
    pub(super) explanation: String,
}

/// What the workflow is for, by the first verb that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Backup,
    Sync,
    Report,
    Notify,
    Create,
    Read,
}

const VERBS: &[(Purpose, &[&str])] = &[
    (Purpose::Backup, &["backup*", "back up", "respald*", "copia de seguridad", "dump"]),
    (
        Purpose::Sync,
        &[
            "sync*",
            "synchroni*",
            "sincroni*",
            "replic*",
            "copy",
            "copies",
            "copiar",
            "copia",
            "mirror",
        ],
    ),
    (
        Purpose::Report,
        &["report*", "resum*", "summar*", "informe*", "informar", "kpi*", "dashboard"],
    ),
    (
        Purpose::Notify,
        &[
            "notif*",
            "avis*",
            "alert*",
            "send*",
            "envi*",
            "mand*",
            "tell",
            "message",
            "remind*",
            "recuerd*",
            "recordat*",
        ],
    ),
    (
        Purpose::Create,
        &[
            "create*",
            "crea*",
            "add",
            "adds",
            "agreg*",
            "anad*",
            "insert*",
            "guard*",
            "save*",
            "store*",
            "registr*",
            "update*",
            "actualiz*",
            "upsert*",
            "write*",
        ],
    ),
    (
        Purpose::Read,
        &[
            "read", "reads", "get", "fetch*", "list*", "lee", "leer", "obten*", "trae*", "export*", "consult*", "check*",
        ],
    ),
];

/// What begins a sentence on an event.
const EVENTS: &[&str] = &[
    "when",
    "whenever",
    "cuando",
    "each time",
    "every time",
    "cada vez",
    "on new",
    "on every",
    "al recibir",
    "al llegar",
    "al crear*",
    "upon",
    "if a",
    "if an",
    "si llega",
    "incoming",
    "entrante",
    "webhook",
    "por cada",
    "for each new",
    "for every new",
];
const FORMS: &[&str] = &["form", "formulario", "forms", "formularios"];

/// A step of the workflow.
struct Step {
    name: String,
    kind: &'static str,
    version: f64,
    parameters: Value,
    /// The kind of credential that the tenant has to choose.
    credential: Option<&'static str>,
    /// What else has to be filled in.
    fill_in: Vec<&'static str>,
    /// Whether it waits for the tenant.
    disabled: bool,
}

/// The most steps that services become.
const SERVICES_MAX: usize = 12;

pub(super) fn workflow(description: &str, services: &[String], time_zone: &str) -> Made {
    let words = Words::of(description);
    let name = match line(description, 80) {
        name if name.trim_start_matches('=').trim().is_empty() => "Workflow".to_owned(),
        // n8n takes a text that begins with this for an expression.
        name => name.trim_start_matches('=').trim().to_owned(),
    };
    let when = schedule::find(&words);
    let event = words.find(EVENTS);
    let by_form = words.has(FORMS);
    let mentioned = mentioned(&words);
    // Where an event begins it, the service that it comes from is no step, unless it was asked for by name.
    let from = event.filter(|_| !matches!(when, Found::Schedule(_))).and_then(|event| {
        let after = mentioned.iter().find(|(place, _)| *place > event).or_else(|| mentioned.first());
        after.map(|(_, service)| *service).filter(|service| service.id != "http")
    });
    let purpose = verbs(&words).first().map(|(_, purpose)| *purpose);
    let steps = steps(description, &words, &mentioned, services, from, purpose);

    let mut nodes = Vec::new();
    let mut connections = json!({});
    let mut triggers = Vec::new();
    if let Found::Schedule(Schedule { crons, .. }) = &when {
        let rules: Vec<_> = crons
            .iter()
            .map(|cron| json!({ "field": "cronExpression", "expression": cron }))
            .collect();
        triggers.push(("Schedule", "scheduleTrigger", 1.2, json!({ "rule": { "interval": rules } })));
    } else if by_form {
        triggers.push(("Form", "formTrigger", 2.2, form(&name)));
    } else if event.is_none() {
        triggers.push(("Manual", "manualTrigger", 1.0, json!({})));
    }
    for (index, (trigger, kind, version, parameters)) in triggers.iter().enumerate() {
        nodes.push(node(trigger, kind, *version, [0, 200 * index], parameters));
    }
    nodes.push(webhook("Webhook", &name, json!([0, 200 * triggers.len()])));
    nodes.push(node("Prepare", "set", 3.4, [220, 0], &prepare(&name, &words)));
    for trigger in triggers.iter().map(|(trigger, ..)| *trigger).chain(["Webhook"]) {
        connections[trigger] = json!({ "main": [[{ "node": "Prepare", "type": "main", "index": 0 }]] });
    }
    let mut before = "Prepare".to_owned();
    for (index, step) in steps.iter().enumerate() {
        let mut node = node(&step.name, step.kind, step.version, [440 + 220 * index, 0], &step.parameters);
        if step.disabled {
            node["disabled"] = true.into();
            node["notes"] = step.to_do().into();
            node["notesInFlow"] = true.into();
        }
        nodes.push(node);
        connections[&before] = json!({ "main": [[{ "node": step.name, "type": "main", "index": 0 }]] });
        before.clone_from(&step.name);
    }
    let mut last = node("Summary", "set", 3.4, [440 + 220 * steps.len(), 0], &summary(&name, &steps));
    last["executeOnce"] = true.into();
    nodes.push(last);
    connections[&before] = json!({ "main": [[{ "node": "Summary", "type": "main", "index": 0 }]] });
    if steps.iter().any(|step| step.disabled) {
        nodes.push(note(&steps));
    }
    Made {
        workflow: json!({
            "name": name, "nodes": nodes, "connections": connections,
            "settings": { "executionOrder": "v1", "timezone": time_zone },
        }),
        explanation: explanation(
            &when,
            from,
            by_form && !matches!(when, Found::Schedule(_)),
            event.is_some(),
            time_zone,
            &steps,
            purpose,
        ),
    }
}

/// The services that the description names, each once, with the place of its first name.
fn mentioned(words: &Words) -> Vec<(usize, &'static Service)> {
    let mut found: Vec<_> = SERVICES
        .iter()
        .filter_map(|service| words.find(service.names).map(|place| (place, service)))
        .collect();
    found.sort_by_key(|(place, _)| *place);
    found
}

fn verbs(words: &Words) -> Vec<(usize, Purpose)> {
    (0..words.len())
        .filter_map(|place| {
            let verb = VERBS.iter().find(|(_, verbs)| verbs.iter().any(|verb| words.is_at(place, verb)));
            verb.map(|(purpose, _)| (place, *purpose))
        })
        .collect()
}

fn steps(
    description: &str,
    words: &Words,
    mentioned: &[(usize, &'static Service)],
    given: &[String],
    from: Option<&'static Service>,
    purpose: Option<Purpose>,
) -> Vec<Step> {
    let mut chosen: Vec<(Option<usize>, &'static Service)> = Vec::new();
    let mut strangers = Vec::new();
    for (place, service) in mentioned {
        if from.is_none_or(|from| from.id != service.id) {
            chosen.push((Some(*place), service));
        }
    }
    for given in given {
        let given_words = Words::of(given);
        let known = SERVICES
            .iter()
            .find(|service| service.id == slug(given, 60) || given_words.has(service.names));
        match known {
            Some(service) if chosen.iter().any(|(_, known)| known.id == service.id) || from.is_some_and(|from| from.id == service.id) => {}
            Some(service) => chosen.push((None, service)),
            // It becomes the name of a node, which stands in an expression.
            None => strangers.push(line(
                &given.replace(|letter: char| !letter.is_alphanumeric() && !"-_. ".contains(letter), ""),
                40,
            )),
        }
    }
    chosen.truncate(SERVICES_MAX);
    let verbs = verbs(words);
    let mut read = Vec::new();
    let mut write = Vec::new();
    let mut tell = Vec::new();
    let mut stored = Vec::new();
    for (index, (place, service)) in chosen.iter().enumerate() {
        let verb = place.and_then(|place| verbs.iter().rev().find(|(verb, _)| *verb < place).map(|(_, verb)| *verb));
        let does = match (service.kind, verb.or(purpose)) {
            (Kind::Messages, _) => {
                tell.push(step(service, Does::Write, "send"));
                continue;
            }
            (Kind::Storage, Some(Purpose::Read)) if index == 0 => Does::Read,
            (Kind::Storage, _) => {
                stored.push(step(service, Does::Write, "upload"));
                continue;
            }
            (Kind::Figures, _) => Does::Read,
            (Kind::Http, _) => {
                read.push(call(description));
                continue;
            }
            (Kind::Sql, Some(Purpose::Backup)) => {
                read.extend(backup(service));
                continue;
            }
            (_, Some(Purpose::Create)) => Does::Write,
            // The first is where it comes from, the others where it goes to; after an event, all are where it goes to.
            (_, Some(Purpose::Sync)) if index > 0 || from.is_some() => Does::Write,
            (_, None) if from.is_some() => Does::Write,
            (_, _) => Does::Read,
        };
        match does {
            Does::Read => read.push(step(service, does, "read")),
            Does::Write => write.push(step(service, does, "write")),
        }
    }
    for stranger in strangers.iter().filter(|name| !name.is_empty()).take(SERVICES_MAX) {
        let mut other = call("");
        other.name = format!("{stranger}: call");
        read.push(other);
    }
    // A file is made once, for all that store it.
    let file = (!stored.is_empty()).then(file);
    let mut steps: Vec<Step> = read.into_iter().chain(write).chain(file).chain(stored).chain(tell).collect();
    let mut names =
        std::collections::HashSet::from(["Schedule", "Form", "Manual", "Webhook", "Prepare", "Summary", "Read me"].map(str::to_owned));
    for (index, step) in steps.iter_mut().enumerate() {
        if !names.insert(step.name.clone()) {
            step.name = format!("{} ({})", step.name, index + 1);
            names.insert(step.name.clone());
        }
    }
    steps
}

fn step(service: &'static Service, does: Does, verb: &str) -> Step {
    let (parameters, fill_in) = parameters(service, does);
    Step {
        name: format!("{}: {verb}", service.title),
        kind: service.node.0,
        version: service.node.1,
        parameters,
        credential: service.credential,
        fill_in: fill_in.to_vec(),
        disabled: service.credential.is_some(),
    }
}

/// All tables of a database, and their rows: as far as SQL goes.
fn backup(service: &'static Service) -> Vec<Step> {
    let tables = match service.id {
        "mysql" => {
            "SELECT CONCAT('SELECT ', QUOTE(table_name), ' AS table_name, t.* FROM `', REPLACE(table_name, '`', '``'), '` t') AS query FROM information_schema.tables WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
        }
        _ => {
            "SELECT format('SELECT %L AS table_name, coalesce(json_agg(t), ''[]''::json) AS rows FROM %I.%I t', table_schema || '.' || table_name, table_schema, table_name) AS query FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY table_schema, table_name"
        }
    };
    let query = |name: &str, query: &str| {
        let mut step = step(service, Does::Read, name);
        step.parameters = json!({ "operation": "executeQuery", "query": query, "options": {} });
        step.fill_in = Vec::new();
        step
    };
    vec![query("list tables", tables), query("read rows", "={{ $json.query }}")]
}

/// What was read, as one file of JSON.
fn file() -> Step {
    Step {
        name: "To JSON file".to_owned(),
        kind: "convertToFile",
        version: 1.1,
        parameters: json!({
            "operation": "toJson", "mode": "once", "binaryPropertyName": "data",
            "options": { "format": true, "fileName": "={{ $('Prepare').first().json.file_name }}" },
        }),
        credential: None,
        fill_in: Vec::new(),
        disabled: false,
    }
}

/// A call of an address: the first one that the description holds, or one that has to be filled in.
fn call(description: &str) -> Step {
    let given = description
        .split_whitespace()
        .map(|word| word.trim_matches(|letter: char| matches!(letter, ',' | '.' | ';' | ')' | '(' | '"' | '\'' | '<' | '>')))
        .filter(|word| word.starts_with("https://") || word.starts_with("http://"))
        .filter_map(|word| Url::parse(word).ok())
        // Not one with a password in it, nor one that n8n would take for an expression.
        .find(|url| url.username().is_empty() && url.password().is_none() && !url.as_str().contains(['{', '}']));
    let url = given.as_ref().map_or("https://example.com/", Url::as_str);
    Step {
        name: "HTTP: call".to_owned(),
        kind: "httpRequest",
        version: 4.2,
        parameters: json!({ "method": "GET", "url": url, "options": { "timeout": 30000 } }),
        credential: None,
        fill_in: if given.is_some() {
            Vec::new()
        } else {
            vec!["the address", "a credential, if it asks for one"]
        },
        disabled: given.is_none(),
    }
}

impl Step {
    /// What the tenant has to do before it does anything.
    fn to_do(&self) -> String {
        let mut parts = Vec::new();
        if let Some(credential) = self.credential {
            parts.push(format!("choose a credential ({credential})"));
        }
        if !self.fill_in.is_empty() {
            parts.push(format!("fill in {}", self.fill_in.join(", ")));
        }
        parts.push("enable it".to_owned());
        parts.join(", ")
    }
}

/// A webhook that takes what it is sent and answers at once.
pub(super) fn webhook(name: &str, workflow: &str, position: Value) -> Value {
    let path = unguessable(&slug(workflow, 40));
    let mut node = node(
        name,
        "webhook",
        2.0,
        [0, 0],
        &json!({ "httpMethod": "POST", "path": path, "responseMode": "onReceived", "options": {} }),
    );
    node["position"] = position;
    node
}

fn node(name: &str, kind: &str, version: f64, position: [usize; 2], parameters: &Value) -> Value {
    // n8n writes whole versions without a point.
    let version: Value = serde_json::from_str(&version.to_string()).unwrap_or_default();
    json!({
        "id": slug(name, 60), "name": name, "type": format!("n8n-nodes-base.{kind}"), "typeVersion": version,
        "position": position, "parameters": parameters,
    })
}

fn form(name: &str) -> Value {
    json!({
        "formTitle": name, "formDescription": "",
        "formFields": { "values": [
            { "fieldLabel": "name", "requiredField": true }, { "fieldLabel": "email", "fieldType": "email" },
            { "fieldLabel": "message", "fieldType": "textarea" },
        ] },
        "options": {},
    })
}

fn assignment(name: &str, kind: &str, value: &str) -> Value {
    json!({ "id": name, "name": name, "type": kind, "value": value })
}

fn prepare(name: &str, words: &Words) -> Value {
    let mut assignments = vec![
        assignment("subject", "string", name),
        assignment("run_at", "string", "={{ $now.toISO() }}"),
        assignment(
            "file_name",
            "string",
            &format!("={{{{ '{}-' + $now.toFormat('yyyy-LL-dd-HHmm') + '.json' }}}}", slug(name, 40)),
        ),
        assignment("input", "object", "={{ $json.body ?? $json }}"),
    ];
    if let Some(database) = database(words) {
        assignments.push(assignment("database", "string", &database));
    }
    json!({ "assignments": { "assignments": assignments }, "options": {} })
}

/// "the smarteros database", "la base de datos smarteros".
fn database(words: &Words) -> Option<String> {
    const NO_NAMES: &[&str] = &[
        "the",
        "our",
        "my",
        "la",
        "nuestra",
        "mi",
        "una",
        "a",
        "de",
        "del",
        "diariamente",
        "todos",
        "cada",
        "daily",
        "every",
        "en",
        "in",
        "to",
        "a",
        "backup",
        "full",
        "entire",
        "whole",
    ];
    let named = |word: &str| {
        (word.len() > 1 && !NO_NAMES.contains(&word) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
            .then(|| word.to_owned())
    };
    if let Some(place) = words.find(&["base de datos"]) {
        let next = if words.get(place + 3) == "de" { place + 4 } else { place + 3 };
        return named(words.get(next));
    }
    let place = words.find(&["database", "db"])?;
    named(words.get(place.checked_sub(1)?))
}

/// The run's own account of itself: which steps did nothing is looked up when it runs. n8n counts a step that is disabled as executed, so
/// that what went in is compared with what came out.
fn summary(name: &str, steps: &[Step]) -> Value {
    let before = ["Prepare"].into_iter().chain(steps.iter().map(|step| step.name.as_str()));
    let waiting: Vec<_> = steps
        .iter()
        .zip(before)
        .filter(|(step, _)| step.disabled)
        .map(|(step, before)| [step.name.as_str(), before])
        .collect();
    let mut assignments = vec![
        assignment("workflow", "string", name),
        assignment("finished_at", "string", "={{ $now.toISO() }}"),
    ];
    if !waiting.is_empty() {
        // A JSON list is one of JavaScript, too, and no name holds a brace.
        let list = serde_json::to_string(&waiting).unwrap_or_default();
        let same = "JSON.stringify($(step).first()?.json) === JSON.stringify($(before).first()?.json)";
        let found = format!("={{{{ {list}.filter(([step, before]) => {same}).map(([step]) => step) }}}}");
        assignments.push(assignment(PASSED_ON, "array", &found));
    }
    json!({ "assignments": { "assignments": assignments }, "options": {} })
}

/// Where a run's output names the steps that did nothing.
const PASSED_ON: &str = "steps_that_only_passed_on";

fn note(steps: &[Step]) -> Value {
    let mut content = "## Before it does its work\n".to_owned();
    for step in steps.iter().filter(|step| step.disabled) {
        let _ = writeln!(content, "- **{}**: {}", step.name, step.to_do());
    }
    content.push_str("\nA step that is disabled passes on what it gets. The output of a run names those that did nothing.");
    let mut node = node(
        "Read me",
        "stickyNote",
        1.0,
        [440, 0],
        &json!({ "content": content, "width": 460, "height": 260 }),
    );
    node["position"] = json!([440, -320]);
    node
}

fn explanation(
    when: &Found,
    from: Option<&'static Service>,
    by_form: bool,
    event: bool,
    time_zone: &str,
    steps: &[Step],
    purpose: Option<Purpose>,
) -> String {
    let mut text = String::new();
    match when {
        Found::Schedule(Schedule { crons, assumed }) => {
            let _ = write!(text, "Runs by itself at `{}` (cron, {time_zone})", crons.join("`, `"));
            if let Some(assumed) = assumed {
                let _ = write!(text, "; {assumed} was assumed, because the description does not say");
            }
            text.push_str(", and when its webhook is called.");
        }
        Found::NotUnderstood | Found::None if by_form => text.push_str("Runs when its form is sent, and when its webhook is called."),
        Found::NotUnderstood | Found::None => match from {
            Some(service) => {
                let _ = write!(
                    text,
                    "Runs when its webhook is called: set the webhook's address in {} for the event that is meant.",
                    service.title
                );
            }
            None if event => text.push_str("Runs when its webhook is called."),
            None => text.push_str("Runs when it is started by hand, or its webhook is called."),
        },
    }
    if *when == Found::NotUnderstood {
        text.push_str(
            " The schedule in the description is none that one cron can say, so there is none: add it in n8n, or say it differently.",
        );
    }
    let names: Vec<_> = ["Prepare"]
        .into_iter()
        .chain(steps.iter().map(|step| step.name.as_str()))
        .chain(["Summary"])
        .collect();
    let _ = write!(text, " Steps: {}.", names.join(" → "));
    let waiting: Vec<_> = steps.iter().filter(|step| step.disabled).collect();
    if !waiting.is_empty() {
        text.push_str(" These steps are disabled and do nothing until you complete them in n8n, although runs end well: ");
        let each: Vec<_> = waiting.iter().map(|step| format!("{} ({})", step.name, step.to_do())).collect();
        let _ = write!(
            text,
            "{}. Each run's output names them under steps_that_did_nothing.",
            each.join("; ")
        );
    }
    if steps.is_empty() {
        text.push_str(" No service was recognised in the description, so that nothing is done between these: name them in `services`.");
    }
    if purpose == Some(Purpose::Backup) && steps.iter().any(|step| step.name.ends_with("read rows")) {
        text.push_str(" The copy holds the tables' rows as JSON; it is no replacement for a dump by the database's own tools.");
    }
    let _ = write!(text, " {PATHS}");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::{SERVICES, workflow};
    use crate::backends::generate::workflow::check;

    fn types(workflow: &Value) -> Vec<&str> {
        let nodes = workflow["nodes"].as_array().unwrap();
        nodes
            .iter()
            .map(|node| node["type"].as_str().unwrap().trim_start_matches("n8n-nodes-base."))
            .filter(|kind| *kind != "stickyNote")
            .collect()
    }

    #[test]
    fn descriptions_become_the_nodes_that_they_name() {
        for (text, services, wanted) in [
            (
                "Backup smarteros database daily at 2am",
                &["postgresql", "aws-s3"][..],
                &[
                    "scheduleTrigger",
                    "webhook",
                    "set",
                    "postgres",
                    "postgres",
                    "convertToFile",
                    "awsS3",
                    "set",
                ][..],
            ),
            (
                "Cuando llegue un pedido de Shopify, crear el cliente en Odoo y avisar por WhatsApp",
                &[],
                &["webhook", "set", "odoo", "whatsApp", "set"],
            ),
            (
                "Sincronizar clientes de Odoo con Google Sheets cada 15 minutos",
                &[],
                &["scheduleTrigger", "webhook", "set", "odoo", "googleSheets", "set"],
            ),
            (
                "Every Monday at 9:30 send a report from Metabase to Slack and by email",
                &[],
                &["scheduleTrigger", "webhook", "set", "metabase", "slack", "emailSend", "set"],
            ),
            (
                "Un formulario de contacto que guarde en Supabase",
                &["supabase"],
                &["formTrigger", "webhook", "set", "supabase", "set"],
            ),
            ("Notify Telegram", &[], &["manualTrigger", "webhook", "set", "telegram", "set"]),
            (
                "Check https://example.org/health every 5 minutes and alert Slack",
                &[],
                &["scheduleTrigger", "webhook", "set", "httpRequest", "slack", "set"],
            ),
            (
                "Do something with our ledger",
                &["acme-ledger"],
                &["manualTrigger", "webhook", "set", "httpRequest", "set"],
            ),
        ] {
            let services: Vec<_> = services.iter().map(|name| (*name).to_owned()).collect();
            let made = workflow(text, &services, "America/Santiago");
            assert_eq!(types(&made.workflow), wanted, "{text}");
            assert_eq!(check::complaints(&made.workflow), [] as [&str; 0], "{text}");
        }
    }

    #[test]
    fn every_node_of_the_templates_is_one_of_n8n() {
        for service in SERVICES {
            let made = workflow("x", &[service.id.to_owned()], "UTC");
            assert_eq!(check::complaints(&made.workflow), [] as [&str; 0], "{}", service.id);
            for node in made.workflow["nodes"].as_array().unwrap() {
                let enabled = node["disabled"] != true;
                assert!(!enabled || !check::needs_credential(node), "{}: {node}", service.id);
            }
        }
    }

    #[test]
    fn hostile_words_stay_words() {
        for text in [
            "={{ $env.SECRET }} daily at 2am",
            "daily at 2am'}}; }) => { process.exit() } \"\\ `${1}`",
            "Backup \u{0} \u{202e} daily",
            "=====",
        ] {
            let made = workflow(text, &["x\" ] }} ={{ $env".to_owned(), "a'b\\".to_owned()], "UTC");
            assert_eq!(check::complaints(&made.workflow), [] as [&str; 0], "{text}");
            let name = made.workflow["name"].as_str().unwrap();
            assert!(!name.starts_with('='), "{name}");
            for node in made.workflow["nodes"].as_array().unwrap() {
                for value in node["parameters"]["assignments"]["assignments"].as_array().into_iter().flatten() {
                    let value = value["value"].as_str().unwrap();
                    assert!(!(value.starts_with('=') && value.contains("process.exit")), "{value}");
                }
            }
        }
    }
}
