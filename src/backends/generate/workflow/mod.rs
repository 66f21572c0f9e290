//! Workflows of n8n, out of a description: what `workflows_create` takes and `workflows_trigger` can start.
//!
//! n8n refuses to publish a workflow while a node that is enabled lacks its credential, and no workflow brings credentials along. Steps
//! that need one are therefore disabled: n8n passes their items on, the workflow runs from start to end, and both the explanation and
//! the run's own output say which steps did nothing. Every workflow has a webhook, because nothing else can be triggered from outside;
//! its path cannot be guessed, because it asks for no credential.

mod check;
mod schedule;
mod services;
mod template;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Draft, Source, TIME_LIMIT as MODEL_TIME_LIMIT, draft, words::line};
use crate::{
    auth::Scope,
    backends::{Session, llm::Llm},
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<GenerateWorkflow>()]
}

/// Generate an n8n workflow from a description in words, Spanish or English. It is not created: hand `workflow_json` to `workflows_create`.
///
/// The tenant's language model writes it where one is connected (`source` is `llm`, and the answer was checked); else templates do, which know schedules
/// ("daily at 2am", "todos los lunes a las 9:30"), events, forms, and the common services. Every workflow has a webhook, so that `workflows_trigger` can run it.
/// Steps that need a credential are disabled until somebody chooses one in n8n: `explanation` names them.
/// Example: `{"description": "Backup smarteros database daily at 2am", "services": ["postgresql", "aws-s3"]}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GenerateWorkflow {
    /// What the workflow is to do, and when, e.g. `Backup smarteros database daily at 2am`.
    #[schemars(length(min = 3, max = 4000))]
    description: String,
    /// The services that it is to use, e.g. `["postgresql", "aws-s3"]`; those that the description names are found without it.
    #[schemars(length(max = 20), inner(length(min = 1, max = 60)))]
    services: Option<Vec<String>>,
}

/// A workflow that n8n takes.
#[derive(Serialize, JsonSchema)]
struct Generated {
    /// `name`, `nodes`, `connections` and `settings`: what `workflows_create` takes as its `workflow_json`.
    workflow_json: Value,
    /// What it does and when, which steps do nothing until a credential is chosen, and what was assumed.
    explanation: String,
    /// What wrote it: `llm` or `template`.
    source: Source,
}

impl Tool for GenerateWorkflow {
    const NAME: &'static str = "generate_n8n_workflow";
    const TITLE: &'static str = "Generate an n8n workflow";
    const ROUTE: Route = Route::post("/generate/n8n-workflow").reads();
    const SCOPE: Scope = Scope::WriteWorkflows;
    const CATEGORY: Category = Category::CodeGeneration;
    const TIME_LIMIT: std::time::Duration = MODEL_TIME_LIMIT;
    type Backend = (Session, Result<Llm>);
    type Output = Generated;

    async fn call(self, backend: &Self::Backend) -> Result<Generated> {
        let services = self.services.unwrap_or_default();
        if self.description.trim().is_empty() {
            return Err(Error::invalid("description: say in words what the workflow is to do"));
        }
        let time_zone = &backend.0.tenant()?.tenant.time_zone;
        let task = format!(
            "{}\n\nServices to use: {}\nTime zone: {time_zone}",
            self.description,
            if services.is_empty() {
                "those that the description names".to_owned()
            } else {
                services.join(", ")
            },
        );
        let written = draft(backend, SYSTEM, &task, checked).await;
        let (workflow_json, explanation, source) = match written {
            Draft::Written((workflow, explanation)) => {
                let (workflow, notes) = finished(workflow, time_zone);
                (workflow, format!("{explanation} {notes}"), Source::Llm)
            }
            Draft::Unwritten(why) => {
                let made = template::workflow(&self.description, &services, time_zone);
                (made.workflow, format!("{} {why}", made.explanation), Source::Template)
            }
        };
        // What the gateway itself made is held to the same.
        if let Some(complaint) = check::complaints(&workflow_json).into_iter().next() {
            return Err(Error::internal(format!(
                "a generated workflow does not pass the check: {complaint}"
            )));
        }
        Ok(Generated {
            workflow_json,
            explanation: explanation.trim().to_owned(),
            source,
        })
    }
}

const SYSTEM: &str = r#"You write workflows for n8n 2.41. Answer with one JSON object and nothing else: {"workflow": {"name", "nodes", "connections", "settings"}, "explanation": "…"}.
Rules:
- workflow holds name, nodes, connections and settings, and nothing else. settings is {"executionOrder": "v1"}.
- Each node holds id, name, type, typeVersion, position ([x, y]) and parameters, and no credentials: these are chosen in n8n by people. No secrets anywhere.
- Node types are n8n's own, with the prefix "n8n-nodes-base.": webhook 2, scheduleTrigger 1.2 (parameters {"rule": {"interval": [{"field": "cronExpression", "expression": "0 2 * * *"}]}}, cron of five fields), formTrigger 2.2, set 3.4, if 2.2, switch 3.2, filter 2.2, merge 3, code 2, httpRequest 4.2, splitInBatches 3, aggregate 1, convertToFile 1.1, postgres 2.6, mySql 2.5, supabase 1, mongoDb 1.2, odoo 1, hubspot 2.1, shopify 1, googleSheets 4.5, googleDrive 3, awsS3 2, slack 2.3, emailSend 2.1, gmail 2.1, whatsApp 1, telegram 1.2, discord 2, metabase 1, notion 2.2, airtable 2.1, stickyNote 1, noOp 1. Others of n8n-nodes-base are taken too; executeCommand, ssh and those that read or write files of the machine are not.
- There is a webhook node (httpMethod POST, a fixed path, responseMode onReceived) beside any schedule, leading to the same first step. Events of other systems arrive by that webhook.
- connections name nodes by their names: {"Webhook": {"main": [[{"node": "Prepare", "type": "main", "index": 0}]]}}. Names are unique.
- The explanation is a few plain sentences in the language of the task: what it does and when, and what a person must still fill in."#;

/// The workflow and explanation of a model's answer.
fn checked(mut answer: Value) -> Result<(Value, String), Vec<String>> {
    const EXPLANATION_MAX: usize = 2000;
    let workflow = answer["workflow"].take();
    if !workflow.is_object() {
        return Err(vec!["the answer must hold 'workflow' and 'explanation'".to_owned()]);
    }
    let explanation = line(answer["explanation"].as_str().unwrap_or_default(), EXPLANATION_MAX);
    let complaints = check::complaints(&workflow);
    if complaints.is_empty() {
        Ok((workflow, explanation))
    } else {
        Err(complaints)
    }
}

/// Makes sure of what no model is relied on for: that the workflow can be published and triggered. Answers what was done, too.
fn finished(mut workflow: Value, time_zone: &str) -> (Value, String) {
    let name = workflow["name"].as_str().unwrap_or_default().to_owned();
    let mut waiting = Vec::new();
    let mut webhook = false;
    let mut trigger = None;
    for node in workflow["nodes"].as_array_mut().into_iter().flatten() {
        if check::is_trigger(node) && trigger.is_none() {
            trigger = Some((node["name"].clone(), node["position"].clone()));
        }
        if check::needs_credential(node) {
            node["disabled"] = true.into();
            waiting.push(node["name"].as_str().unwrap_or_default().to_owned());
        } else if node["type"] == "n8n-nodes-base.webhook" && node["disabled"] != true {
            let path = node["parameters"]["path"].as_str().unwrap_or_default().trim_matches('/').to_owned();
            node["parameters"]["path"] = unguessable(&path).into();
            webhook |= node["parameters"]["httpMethod"] == "POST";
        }
    }
    if let (false, Some((trigger, position))) = (webhook, trigger) {
        let taken = |name: &str| workflow["nodes"].as_array().into_iter().flatten().any(|node| node["name"] == name);
        let mut entry = "Webhook entry".to_owned();
        while taken(&entry) {
            entry.push('+');
        }
        let targets = workflow["connections"][trigger.as_str().unwrap_or_default()].clone();
        let below = position[1].as_f64().unwrap_or_default() + 200.0;
        let node = template::webhook(&entry, &name, json!([position[0], below]));
        if let Some(nodes) = workflow["nodes"].as_array_mut() {
            nodes.push(node);
        }
        if targets.is_object() {
            workflow["connections"][entry] = targets;
        }
    }
    if workflow["settings"]["timezone"].is_null() {
        workflow["settings"]["timezone"] = time_zone.into();
    }
    let waiting = match waiting.as_slice() {
        [] => String::new(),
        waiting => format!(
            "These steps are disabled and do nothing until you choose a credential for each in n8n and enable it: {}.",
            waiting.join(", ")
        ),
    };
    (workflow, format!("{waiting} {PATHS}"))
}

/// What is told of the webhook in each explanation.
const PATHS: &str =
    "workflows_trigger starts it by its webhook, whose path cannot be guessed and asks for no credential: keep it to yourself.";

/// A path that nobody guesses, and that no other workflow listens on.
fn unguessable(path: &str) -> String {
    format!("{}-{}", super::words::slug(path, 60), Uuid::new_v4().simple())
}
