//! Skills of Botpress, out of a description: what customers say (intents), what is asked of them (slots), and what the bot does.
//!
//! Botpress Cloud has no format in which a skill is uploaded; what comes out is a description that a bot's `configuration` can hold
//! (`bots_deploy`), or that somebody builds in the studio.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Draft, Source, TIME_LIMIT as MODEL_TIME_LIMIT, draft,
    words::{Words, line, slug},
};
use crate::{
    auth::Scope,
    backends::{Session, llm::Llm},
    error::{Error, Result},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<GenerateSkill>()]
}

/// Generate a skill for a Botpress bot from a description in words, Spanish or English: intents with what people say in both languages, slots, and actions.
///
/// The tenant's language model writes it where one is connected (`source` is `llm`); else templates do, which know order status, opening hours, prices, refunds,
/// appointments, deliveries, complaints and handing over to a person. It is not deployed: `bots_deploy` takes `skill_json` as a bot's configuration, or somebody builds it in the studio.
/// Example: `{"description": "Answer questions on opening hours and order status, and hand over to a person"}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GenerateSkill {
    /// What the bot is to be able to do, e.g. `Consultar el estado de un pedido y derivar a una persona`.
    #[schemars(length(min = 3, max = 4000))]
    description: String,
}

/// A skill.
#[derive(Serialize, JsonSchema)]
struct Generated {
    /// The skill as a whole: `name`, `description`, `languages`, `intents`, `slots`, `actions` and `flow`.
    skill_json: Value,
    /// What people may want of it.
    intents: Vec<Intent>,
    /// What the bot does.
    actions: Vec<Action>,
    /// What wrote it: `llm` or `template`.
    source: Source,
    /// What somebody has to add, and why a template made it where one did.
    explanation: String,
}

/// Something that people want.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Intent {
    /// Its name, e.g. `order_status`.
    name: String,
    /// What people say when they want it, by language.
    utterances: Utterances,
    /// What has to be known for it, by the names of `slots`.
    #[serde(default)]
    slots: Vec<String>,
    /// The actions that answer it, by their names.
    actions: Vec<String>,
}

/// What people say.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Utterances {
    /// In Spanish.
    es: Vec<String>,
    /// In English.
    en: Vec<String>,
}

/// Something that the bot does.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Action {
    /// Its name, e.g. `look_up_order`.
    name: String,
    /// What it does, in a sentence.
    description: String,
    /// What it needs, by the names of `slots`.
    #[serde(default)]
    input: Vec<String>,
}

/// Something that is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Slot {
    name: String,
    /// `text`, `number`, `date`, `time`, `email` or `phone`.
    #[serde(rename = "type")]
    kind: String,
    /// How the bot asks for it.
    prompt: Prompt,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Prompt {
    es: String,
    en: String,
}

impl Tool for GenerateSkill {
    const NAME: &'static str = "generate_botpress_skill";
    const TITLE: &'static str = "Generate a Botpress skill";
    const ROUTE: Route = Route::post("/generate/botpress-skill").reads();
    const SCOPE: Scope = Scope::WriteBots;
    const CATEGORY: Category = Category::CodeGeneration;
    const TIME_LIMIT: std::time::Duration = MODEL_TIME_LIMIT;
    type Backend = (Session, Result<Llm>);
    type Output = Generated;

    async fn call(self, backend: &Self::Backend) -> Result<Generated> {
        if self.description.trim().is_empty() {
            return Err(Error::invalid("description: say in words what the bot is to be able to do"));
        }
        let (skill, source, explanation) = match draft(backend, SYSTEM, &self.description, checked).await {
            Draft::Written(skill) => (skill, Source::Llm, String::new()),
            Draft::Unwritten(why) => {
                let (skill, unknown) = template(&self.description);
                let unknown = if unknown {
                    "Nothing in the description is known to the templates, so that it is one intent of its own: give it what people say. "
                } else {
                    ""
                };
                (skill, Source::Template, format!("{unknown}{why} "))
            }
        };
        let name = slug(&line(&self.description, 60), 40);
        let flow: Vec<_> = skill
            .intents
            .iter()
            .map(|intent| json!({ "on": intent.name, "ask": intent.slots, "do": intent.actions }))
            .collect();
        Ok(Generated {
            skill_json: json!({
                "name": name, "description": line(&self.description, 500), "languages": ["es", "en"],
                "intents": skill.intents, "slots": skill.slots, "actions": skill.actions, "flow": flow,
            }),
            intents: skill.intents,
            actions: skill.actions,
            source,
            explanation: format!(
                "{explanation}Actions are described and not programmed: somebody connects each with the system that answers it."
            ),
        })
    }
}

/// What a skill is made of.
#[derive(Debug, Deserialize)]
struct Skill {
    intents: Vec<Intent>,
    #[serde(default)]
    slots: Vec<Slot>,
    actions: Vec<Action>,
}

const SYSTEM: &str = r#"You write skills for a Botpress bot of a Chilean business. Answer with one JSON object and nothing else:
{"intents": [{"name": "order_status", "utterances": {"es": ["…"], "en": ["…"]}, "slots": ["order_number"], "actions": ["look_up_order"]}],
 "slots": [{"name": "order_number", "type": "text", "prompt": {"es": "…", "en": "…"}}],
 "actions": [{"name": "look_up_order", "description": "…", "input": ["order_number"]}]}
Rules: 1 to 20 intents, each with 3 to 12 utterances in es and in en; names are small letters, digits and _; slot types are text, number, date, time, email, phone;
every slot and action that an intent names exists, and every action's input is a slot; no secrets, no addresses of systems, no code."#;

/// The most of anything in a skill, and the longest text.
const MOST: usize = 40;
const TEXT_MAX: usize = 300;
const SLOT_KINDS: [&str; 6] = ["text", "number", "date", "time", "email", "phone"];

fn checked(answer: Value) -> Result<Skill, Vec<String>> {
    let skill: Skill =
        serde_json::from_value(answer).map_err(|_| vec!["intents, slots and actions must have the form that was shown".to_owned()])?;
    let complaints = complaints(&skill);
    if complaints.is_empty() { Ok(skill) } else { Err(complaints) }
}

fn complaints(skill: &Skill) -> Vec<String> {
    let mut found = Vec::new();
    let named = |name: &str| {
        (1..=60).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    let said = |text: &str| !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
    if skill.intents.is_empty() || skill.actions.is_empty() {
        found.push("there must be an intent and an action".to_owned());
    }
    if [skill.intents.len(), skill.slots.len(), skill.actions.len()]
        .iter()
        .any(|count| *count > MOST)
    {
        return vec![format!("there must be at most {MOST} intents, slots and actions")];
    }
    let names = skill.intents.iter().map(|intent| &intent.name);
    let names: Vec<_> = names
        .chain(skill.slots.iter().map(|slot| &slot.name))
        .chain(skill.actions.iter().map(|action| &action.name))
        .collect();
    if !names.iter().all(|name| named(name)) {
        found.push("names must be 1 to 60 small letters, digits and _".to_owned());
    }
    let apart = |names: Vec<&String>| names.iter().collect::<std::collections::HashSet<_>>().len() == names.len();
    if !apart(skill.intents.iter().map(|intent| &intent.name).collect())
        || !apart(skill.actions.iter().map(|action| &action.name).collect())
    {
        found.push("no two intents and no two actions may have the same name".to_owned());
    }
    for intent in &skill.intents {
        let utterances = [&intent.utterances.es, &intent.utterances.en];
        if utterances
            .iter()
            .any(|texts| texts.is_empty() || texts.len() > MOST || !texts.iter().all(|text| said(text)))
        {
            found.push(format!(
                "{}: utterances must be 1 to {MOST} texts in es and in en",
                line(&intent.name, 60)
            ));
        }
        if let Some(missing) = intent.slots.iter().find(|name| !skill.slots.iter().any(|slot| slot.name == **name)) {
            found.push(format!("{}: there is no slot '{}'", line(&intent.name, 60), line(missing, 60)));
        }
        let missing = intent
            .actions
            .iter()
            .find(|name| !skill.actions.iter().any(|action| action.name == **name));
        if let Some(missing) = missing {
            found.push(format!("{}: there is no action '{}'", line(&intent.name, 60), line(missing, 60)));
        }
        if intent.actions.is_empty() {
            found.push(format!("{}: it has no action", line(&intent.name, 60)));
        }
    }
    for slot in &skill.slots {
        if !SLOT_KINDS.contains(&slot.kind.as_str()) || !said(&slot.prompt.es) || !said(&slot.prompt.en) {
            found.push(format!(
                "{}: type must be one of {}, prompt a text in es and en",
                line(&slot.name, 60),
                SLOT_KINDS.join(", ")
            ));
        }
    }
    for action in &skill.actions {
        if !said(&action.description) || action.input.iter().any(|name| !skill.slots.iter().any(|slot| slot.name == *name)) {
            found.push(format!(
                "{}: it needs a description, and inputs that are slots",
                line(&action.name, 60)
            ));
        }
    }
    found.truncate(12);
    found
}

/// A subject that the templates know.
struct Subject {
    name: &'static str,
    /// What a description calls it.
    words: &'static [&'static str],
    es: &'static [&'static str],
    en: &'static [&'static str],
    slots: &'static [&'static str],
    action: (&'static str, &'static str),
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "order_status",
        words: &[
            "order status",
            "status of*",
            "estado del pedido",
            "estado de pedido*",
            "estado de un pedido",
            "estado de su pedido",
            "pedido*",
            "order",
            "orders",
            "tracking",
            "seguimiento",
            "compra*",
        ],
        es: &[
            "¿Dónde está mi pedido?",
            "Quiero saber el estado de mi pedido",
            "¿Cuándo llega mi compra?",
            "Seguimiento del pedido {order_number}",
        ],
        en: &[
            "Where is my order?",
            "What is the status of my order?",
            "When will my purchase arrive?",
            "Track order {order_number}",
        ],
        slots: &["order_number"],
        action: ("look_up_order", "Looks up the order and tells its status and the day of delivery."),
    },
    Subject {
        name: "opening_hours",
        words: &[
            "opening hours",
            "hours",
            "horario*",
            "open",
            "abierto*",
            "abren",
            "atencion",
            "schedule",
        ],
        es: &[
            "¿A qué hora abren?",
            "¿Cuál es el horario de atención?",
            "¿Están abiertos hoy?",
            "¿Atienden los domingos?",
        ],
        en: &[
            "When do you open?",
            "What are your opening hours?",
            "Are you open today?",
            "Are you open on Sundays?",
        ],
        slots: &[],
        action: ("tell_opening_hours", "Tells the opening hours, and whether it is open now."),
    },
    Subject {
        name: "price",
        words: &["price*", "precio*", "cost*", "cuesta*", "vale", "cotiz*", "quote*", "tarifa*"],
        es: &[
            "¿Cuánto cuesta {product}?",
            "Precio de {product}",
            "¿Qué valor tiene?",
            "Quiero una cotización",
        ],
        en: &[
            "How much is {product}?",
            "Price of {product}",
            "What does it cost?",
            "I would like a quote",
        ],
        slots: &["product"],
        action: (
            "look_up_price",
            "Looks up the product and tells its price and whether it is in stock.",
        ),
    },
    Subject {
        name: "refund",
        words: &[
            "refund*",
            "reembolso*",
            "devolu*",
            "devolver",
            "return",
            "returns",
            "reintegr*",
            "money back",
        ],
        es: &[
            "Quiero devolver mi compra",
            "¿Cómo pido un reembolso?",
            "Devolución del pedido {order_number}",
            "Quiero que me devuelvan la plata",
        ],
        en: &[
            "I want to return my purchase",
            "How do I get a refund?",
            "Refund order {order_number}",
            "I want my money back",
        ],
        slots: &["order_number", "reason"],
        action: ("request_refund", "Opens a request for a refund, which a person decides."),
    },
    Subject {
        name: "appointment",
        words: &[
            "appointment*",
            "cita*",
            "reserva*",
            "agend*",
            "hora medica",
            "booking*",
            "book",
            "turno*",
            "reserv*",
        ],
        es: &[
            "Quiero agendar una hora",
            "Reservar para el {date}",
            "¿Tienen hora disponible?",
            "Necesito cambiar mi cita",
        ],
        en: &[
            "I want to book an appointment",
            "Book for {date}",
            "Do you have a free slot?",
            "I need to move my appointment",
        ],
        slots: &["name", "date", "time"],
        action: (
            "book_appointment",
            "Books the appointment where the time is free, and offers others where it is not.",
        ),
    },
    Subject {
        name: "delivery",
        words: &["deliver*", "shipping", "despacho*", "envio*", "reparto*", "domicilio"],
        es: &[
            "¿Hacen despacho a domicilio?",
            "¿Cuánto cuesta el envío a {address}?",
            "¿Llegan a mi comuna?",
            "¿En cuántos días llega?",
        ],
        en: &[
            "Do you deliver?",
            "How much is shipping to {address}?",
            "Do you deliver to my area?",
            "How many days does delivery take?",
        ],
        slots: &["address"],
        action: (
            "tell_delivery",
            "Tells whether, when and for how much it is delivered to the address.",
        ),
    },
    Subject {
        name: "complaint",
        words: &["complain*", "reclamo*", "queja*", "problem*", "issue*"],
        es: &[
            "Quiero hacer un reclamo",
            "Tengo un problema con mi compra",
            "Llegó en mal estado",
            "No estoy conforme",
        ],
        en: &[
            "I want to make a complaint",
            "I have a problem with my purchase",
            "It arrived damaged",
            "I am not satisfied",
        ],
        slots: &["order_number", "reason"],
        action: ("open_complaint", "Opens a ticket with what happened, and tells its number."),
    },
    Subject {
        name: "human_handover",
        words: &[
            "human*",
            "person",
            "persona*",
            "agent*",
            "handover",
            "hand over",
            "hand-over",
            "ejecutiv*",
            "deriv*",
            "escal*",
            "operador*",
            "support team",
        ],
        es: &[
            "Quiero hablar con una persona",
            "Pásame con un ejecutivo",
            "Necesito ayuda de alguien",
            "Hablar con un humano",
        ],
        en: &[
            "I want to talk to a person",
            "Connect me to an agent",
            "I need help from somebody",
            "Talk to a human",
        ],
        slots: &[],
        action: ("hand_over", "Hands the conversation over to a person, with what was said so far."),
    },
];

fn slot(name: &str) -> Slot {
    let (kind, es, en) = match name {
        "order_number" => ("text", "¿Cuál es el número de tu pedido?", "What is your order number?"),
        "product" => ("text", "¿Qué producto te interesa?", "Which product is it about?"),
        "reason" => ("text", "¿Qué pasó?", "What happened?"),
        "name" => ("text", "¿A nombre de quién?", "In whose name?"),
        "date" => ("date", "¿Para qué día?", "For which day?"),
        "time" => ("time", "¿A qué hora?", "At what time?"),
        "address" => ("text", "¿Cuál es la dirección?", "What is the address?"),
        _ => ("text", "¿Me puedes contar más?", "Can you tell me more?"),
    };
    Slot {
        name: name.to_owned(),
        kind: kind.to_owned(),
        prompt: Prompt {
            es: es.to_owned(),
            en: en.to_owned(),
        },
    }
}

/// A skill out of the words of a description, and whether none of them was known.
fn template(description: &str) -> (Skill, bool) {
    let words = Words::of(description);
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut skill = Skill {
        intents: Vec::new(),
        slots: Vec::new(),
        actions: Vec::new(),
    };
    for subject in SUBJECTS.iter().filter(|subject| words.has(subject.words)) {
        let (action, what) = subject.action;
        skill.intents.push(Intent {
            name: subject.name.to_owned(),
            utterances: Utterances {
                es: texts(subject.es),
                en: texts(subject.en),
            },
            slots: texts(subject.slots),
            actions: vec![action.to_owned()],
        });
        skill.actions.push(Action {
            name: action.to_owned(),
            description: what.to_owned(),
            input: texts(subject.slots),
        });
        for name in subject.slots {
            if !skill.slots.iter().any(|known| known.name == *name) {
                skill.slots.push(slot(name));
            }
        }
    }
    let unknown = skill.intents.is_empty();
    if unknown {
        let name = slug(&line(description, 40), 40).replace('-', "_");
        let said = line(description, TEXT_MAX);
        skill.intents.push(Intent {
            name: name.clone(),
            utterances: Utterances {
                es: vec![said.clone()],
                en: vec![said.clone()],
            },
            slots: vec!["details".to_owned()],
            actions: vec![format!("do_{name}")],
        });
        skill.slots.push(slot("details"));
        skill.actions.push(Action {
            name: format!("do_{name}"),
            description: said,
            input: vec!["details".to_owned()],
        });
    }
    (skill, unknown)
}

#[cfg(test)]
mod tests {
    use super::{complaints, template};

    #[test]
    fn descriptions_become_the_intents_that_they_name() {
        for (text, wanted) in [
            (
                "Consultar el estado de un pedido y derivar a una persona",
                &["order_status", "human_handover"][..],
            ),
            ("Answer questions on opening hours and prices", &["opening_hours", "price"]),
            ("Agendar horas y recibir reclamos", &["appointment", "complaint"]),
            ("refunds", &["refund"]),
            ("Bailar la cueca", &["bailar_la_cueca"]),
        ] {
            let (skill, _) = template(text);
            let intents: Vec<_> = skill.intents.iter().map(|intent| intent.name.as_str()).collect();
            assert_eq!(intents, wanted, "{text}");
            assert_eq!(complaints(&skill), [] as [&str; 0], "{text}");
        }
    }
}
