//! Opportunities: the sales under way, and the pipeline in figures.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    client::{LEAD, Odoo},
    contacts,
    domain::Domain,
    protocol::Protocol,
    row::Row,
    stages::{Stages, Word},
};
use crate::{
    auth::Scope,
    backends::figures::Unavailable,
    error::{Error, Kind, Result},
    tool::{Category, Definition, Route, Tool, page, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<ListOpportunities>(), tool::<PipelineStatus>()]
}

/// List the opportunities of the tenant's Odoo, oldest first: each with its contact, its stage and what it may bring in.
///
/// Stages are told in these words where Odoo's own name is one of them, in English or Spanish; else as Odoo calls them. A lost
/// opportunity is an archived one with a probability of 0.
/// Example: `{"stage": "negotiation"}` lists what is being negotiated.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListOpportunities {
    /// The stage, e.g. `negotiation`; all unless said, which are the lost ones too.
    #[serde(default)]
    stage: Asked,
    /// How many at most; 100 unless said.
    #[schemars(range(min = 1, max = 200))]
    limit: Option<u32>,
    /// `next_cursor` of the page before; leave it out for the first page.
    cursor: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Asked {
    #[default]
    All,
    New,
    Qualified,
    Proposal,
    Negotiation,
    Won,
    Lost,
}

impl Asked {
    const fn word(self) -> Option<Word> {
        match self {
            Asked::All => None,
            Asked::New => Some(Word::New),
            Asked::Qualified => Some(Word::Qualified),
            Asked::Proposal => Some(Word::Proposal),
            Asked::Negotiation => Some(Word::Negotiation),
            Asked::Won => Some(Word::Won),
            Asked::Lost => Some(Word::Lost),
        }
    }
}

/// Opportunities, by id.
#[derive(Serialize, JsonSchema)]
struct Opportunities {
    opportunities: Vec<Opportunity>,
    /// Pass it as `cursor` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// The stage that was asked for, where the tenant's Odoo has none of that name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<Unavailable>,
}

/// A sale that is under way, won or lost.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Opportunity {
    id: u64,
    name: String,
    contact: Option<Person>,
    /// new, qualified, proposal, negotiation, won, lost, or what Odoo calls a stage that is none of these.
    stage: Option<String>,
    /// In the company's currency.
    expected_revenue: Option<f64>,
    /// In per cent.
    probability: Option<f64>,
}

/// Whom an opportunity is with.
#[derive(Debug, Serialize, JsonSchema)]
struct Person {
    id: u64,
    name: String,
}

/// Show the pipeline of the tenant's Odoo in figures: how many opportunities there are in each stage, and what they may bring in.
///
/// Lost opportunities are archived and not in the pipeline; they count in `conversion_rate`, which is the share of the won ones among
/// those that are decided.
/// Example: `{}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct PipelineStatus {}

/// The pipeline, without what was lost.
#[derive(Serialize, JsonSchema)]
struct Pipeline {
    total_opportunities: u64,
    /// The sum of what they may bring in, in the company's currency; the won ones among them.
    total_value: f64,
    /// In the order of the pipeline; stages without an opportunity too.
    by_stage: Vec<InStage>,
    /// Won opportunities in per cent of those won or lost, ever; null where none is decided.
    conversion_rate: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unavailable: Vec<Unavailable>,
}

/// What is in one stage.
#[derive(Serialize, JsonSchema)]
struct InStage {
    /// new, qualified, proposal, negotiation, won, or what Odoo calls a stage that is none of these; null for what has no stage.
    stage: Option<String>,
    count: u64,
    value: f64,
}

#[derive(Serialize, Deserialize)]
struct Position {
    after: u64,
    stage: Asked,
}

impl Tool for ListOpportunities {
    const NAME: &'static str = "crm_opportunities_list";
    const TITLE: &'static str = "List opportunities";
    const ROUTE: Route = Route::get("/crm/opportunities");
    const SCOPE: Scope = Scope::ReadCrm;
    const CATEGORY: Category = Category::Crm;
    type Backend = Odoo;
    type Output = Opportunities;

    async fn call(self, odoo: &Odoo) -> Result<Opportunities> {
        let session = odoo.http.session();
        let mut stage = self.stage;
        let mut later = Domain::default();
        if let Some(text) = session.open_cursor(self.cursor.as_deref())? {
            let position: Position = serde_json::from_str(&text).map_err(Error::internal)?;
            if stage != Asked::All && stage != position.stage {
                return Err(Error::invalid(
                    "cursor: it belongs to a list of another stage; repeat that, or leave it out",
                ));
            }
            stage = position.stage;
            later = Domain::of("id", ">", position.after);
        }
        let stages = Stages::of(odoo).await?;
        let in_stage = match stage.word() {
            None => in_pipeline_or_lost(),
            Some(Word::Lost) => Domain::any([lost(), standing(stages.meant_by(Word::Lost))]),
            Some(word) => {
                let ids = stages.meant_by(word);
                if ids.is_empty() {
                    return Ok(Opportunities {
                        opportunities: Vec::new(),
                        next_cursor: None,
                        unavailable: vec![Unavailable::new(
                            word.name(),
                            format!("The tenant's Odoo has no stage of that name; it has {}", stages.names()),
                        )],
                    });
                }
                standing(ids)
            }
        };
        let limit = self.limit.unwrap_or(page::LIMIT_DEFAULT);
        let mut rows = rows(odoo, Domain::all([in_stage, later]), limit + 1).await?;
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next_cursor = match rows.last() {
            Some(last) if more => {
                let after = last.id();
                let position = serde_json::to_string(&Position { after, stage }).map_err(Error::internal)?;
                Some(session.seal_cursor(&position))
            }
            _ => None,
        };
        Ok(Opportunities {
            opportunities: told(odoo, &rows, &stages).await?,
            next_cursor,
            unavailable: Vec::new(),
        })
    }
}

impl Tool for PipelineStatus {
    const NAME: &'static str = "crm_pipeline_status";
    const TITLE: &'static str = "Show the pipeline";
    const ROUTE: Route = Route::get("/crm/pipeline");
    const SCOPE: Scope = Scope::ReadCrm;
    const CATEGORY: Category = Category::Crm;
    type Backend = Odoo;
    type Output = Pipeline;

    async fn call(self, odoo: &Odoo) -> Result<Pipeline> {
        let (stages, groups) = tokio::try_join!(Stages::of(odoo), groups(odoo))?;
        let mut by_stage: Vec<InStage> = Vec::new();
        let mut add = |stage: Option<String>, count: u64, value: f64| match by_stage.iter_mut().find(|known| known.stage == stage) {
            Some(known) => {
                known.count += count;
                known.value += value;
            }
            None => by_stage.push(InStage { stage, count, value }),
        };
        for stage in stages.all() {
            add(Some(stage.shown().to_owned()), 0, 0.0);
        }
        let mut lost = 0;
        for group in &groups {
            if group.active {
                add(shown(group.stage.as_ref(), &stages), group.count, group.value);
            } else {
                lost += group.count;
            }
        }
        // A tenant may keep what it lost in a stage of that name, too.
        let counted: BTreeMap<&str, u64> = by_stage.iter().filter_map(|of| Some((of.stage.as_deref()?, of.count))).collect();
        let of = |word: Word| counted.get(word.name()).copied().unwrap_or_default();
        let (won, lost) = (of(Word::Won), lost + of(Word::Lost));
        let conversion_rate = share(won, won + lost);
        let unavailable = match conversion_rate {
            Some(_) => Vec::new(),
            None => vec![Unavailable::new("conversion_rate", "No opportunity has been won or lost yet")],
        };
        Ok(Pipeline {
            total_opportunities: by_stage.iter().map(|of| of.count).sum(),
            total_value: by_stage.iter().map(|of| of.value).sum(),
            by_stage,
            conversion_rate,
            unavailable,
        })
    }
}

/// One opportunity of the tenant's, by its number; a lost one too.
pub(super) async fn find(odoo: &Odoo, id: u64) -> Result<Option<Opportunity>> {
    let stages = Stages::of(odoo).await?;
    let rows = rows(odoo, Domain::of("id", "=", id), 1).await?;
    Ok(told(odoo, &rows, &stages).await?.pop())
}

/// Opportunities of the tenant's, oldest first, the archived ones too.
async fn rows(odoo: &Odoo, wanted: Domain, limit: u32) -> Result<Vec<Row>> {
    let fields = odoo.fields(LEAD).await?;
    let arguments = json!({
        "domain": Domain::all([odoo.bound(), opportunity(), wanted]),
        "fields": fields.of(&["name", "partner_id", "stage_id", "expected_revenue", "probability", "active"]),
        "order": "id",
        "limit": limit,
        "context": { "active_test": false },
    });
    odoo.read(LEAD, "search_read", arguments).await
}

/// How many there are, and what they may bring in.
struct Group {
    stage: Option<(u64, String)>,
    active: bool,
    count: u64,
    value: f64,
}

/// The most groups that a pipeline has: two for each stage, and some.
const GROUPS_MAX: usize = 1000;

/// Opportunities by stage, in the pipeline and lost. The method for it was renamed with JSON-2, and so were its columns.
async fn groups(odoo: &Odoo) -> Result<Vec<Group>> {
    let domain = Domain::all([odoo.bound(), opportunity(), in_pipeline_or_lost()]);
    let by = ["stage_id", "active"];
    let context = json!({ "active_test": false });
    let (method, arguments, value): (_, Value, _) = match odoo.version().await?.protocol {
        Protocol::Json2 => (
            "formatted_read_group",
            json!({ "domain": domain, "groupby": by, "aggregates": ["__count", "expected_revenue:sum"], "context": context }),
            "expected_revenue:sum",
        ),
        Protocol::JsonRpc => (
            "read_group",
            json!({ "domain": domain, "fields": ["expected_revenue:sum"], "groupby": by, "lazy": false, "context": context }),
            "expected_revenue",
        ),
    };
    let rows: Vec<Row> = odoo.read(LEAD, method, arguments).await?;
    if rows.len() > GROUPS_MAX {
        return Err(Error::new(
            Kind::BackendRefused,
            format!("'odoo' tells of more than {GROUPS_MAX} groups of opportunities, where it has a few stages"),
        ));
    }
    let group = |row: Row| Group {
        stage: row.related("stage_id"),
        active: row.flag("active"),
        count: row.count("__count").unwrap_or_default(),
        value: row.number(value).unwrap_or_default(),
    };
    Ok(rows.into_iter().map(group).collect())
}

/// With the names of whom they are with: what Odoo tells beside a contact's number is its company's name, too.
async fn told(odoo: &Odoo, rows: &[Row], stages: &Stages) -> Result<Vec<Opportunity>> {
    let with = |row: &Row| row.related("partner_id").map(|(id, _)| id);
    let mut ids: Vec<u64> = rows.iter().filter_map(with).collect();
    ids.sort_unstable();
    ids.dedup();
    let names = contacts::names(odoo, ids).await?;
    let opportunity = |row: &Row| Opportunity {
        id: row.id(),
        name: row.text("name").unwrap_or_default(),
        contact: with(row).and_then(|id| {
            let name = names.get(&id)?.clone();
            Some(Person { id, name })
        }),
        stage: match row.flag("active") {
            true => shown(row.related("stage_id").as_ref(), stages),
            false => Some(Word::Lost.name().to_owned()),
        },
        expected_revenue: row.number("expected_revenue"),
        probability: row.number("probability"),
    };
    Ok(rows.iter().map(opportunity).collect())
}

/// A share in per cent, with two decimals; none of nothing.
fn share(part: u64, whole: u64) -> Option<f64> {
    let exact = |number: u64| u32::try_from(number).map_or(f64::from(u32::MAX), f64::from);
    (whole > 0).then(|| (exact(part) / exact(whole) * 10_000.0).round() / 100.0)
}

fn shown(stage: Option<&(u64, String)>, stages: &Stages) -> Option<String> {
    let (id, label) = stage?;
    Some(stages.find(*id).map_or(label.as_str(), |stage| stage.shown()).to_owned())
}

/// A lead that nobody has qualified is none yet.
fn opportunity() -> Domain {
    Domain::of("type", "=", "opportunity")
}

fn standing(stages: Vec<u64>) -> Domain {
    Domain::all([Domain::of("active", "=", true), Domain::of("stage_id", "in", stages)])
}

/// As Odoo's own "Lost" does it.
fn lost() -> Domain {
    Domain::all([Domain::of("active", "=", false), Domain::of("probability", "=", 0)])
}

/// All but what was archived for another reason.
fn in_pipeline_or_lost() -> Domain {
    Domain::any([Domain::of("active", "=", true), Domain::of("probability", "=", 0)])
}
