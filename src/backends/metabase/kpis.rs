//! KPIs: figures that a tenant has mapped to saved questions, each told by itself.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{StreamExt as _, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};
use tokio::time::Instant;

use super::client::{Answer, Metabase};
use crate::{
    auth::Scope,
    backends::{Connected as _, figures::Unavailable},
    clock::rfc3339,
    error::{Error, Kind, Result},
    store::{self, Reach, kpis::Row},
    tool::{Category, Definition, Route, Tool, tool},
};

pub(super) fn tools() -> Vec<Definition> {
    vec![tool::<GetKpis>()]
}

/// How many questions are asked at once.
const AT_ONCE: usize = 4;
/// When what is not answered counts as late, so that the rest can be told within the tool's 30 s.
const PART: Duration = Duration::from_secs(26);
/// For how long the map is known: a change forgets it together with the connection.
const FRESH: Duration = Duration::from_mins(5);
/// More than a tenant may map.
const MOST: i64 = 1000;

/// How a KPI is mapped.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kpi {
    /// The saved question that answers it.
    pub card_id: u64,
    /// The column of its answer.
    pub column: Option<String>,
    pub unit: Option<String>,
    /// As Metabase takes them.
    #[serde(default)]
    pub parameters: Vec<Map<String, Value>>,
}

impl Kpi {
    pub fn stored(row: &Row) -> Result<Self> {
        serde_json::from_str(&row.settings).map_err(Error::internal)
    }
}

/// Tell the tenant's key figures, such as the month's revenue or the conversion rate, as they stand now.
///
/// Example: `{"kpis": ["revenue_mtd", "conversion_rate"]}`; without names it tells all that the tenant has. An administrator maps a name to a saved question of Metabase with `kpis_set`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct GetKpis {
    /// Which ones, e.g. `["revenue_mtd"]`; all of them unless said.
    #[schemars(length(max = 50))]
    kpis: Option<Vec<String>>,
}

/// Key figures.
#[derive(Serialize, JsonSchema)]
struct Kpis {
    /// The figure of each name; null where it could not be told.
    #[schemars(with = "BTreeMap<String, Option<f64>>")]
    kpis: BTreeMap<String, Option<Number>>,
    /// Of each name what its figure means.
    details: BTreeMap<String, Detail>,
    /// The names whose figure is null, and why.
    unavailable: Vec<Unavailable>,
}

#[derive(Serialize, JsonSchema)]
struct Detail {
    /// What it is counted in, where the tenant has said it.
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<String>,
    /// When the figure was so (RFC 3339); null where it could not be told.
    as_of: Option<String>,
}

impl Tool for GetKpis {
    const NAME: &'static str = "analytics_kpis";
    const TITLE: &'static str = "Show key figures";
    const ROUTE: Route = Route::get("/analytics/kpis");
    const SCOPE: Scope = Scope::ReadAnalytics;
    const CATEGORY: Category = Category::Analytics;
    type Backend = Metabase;
    type Output = Kpis;

    async fn call(self, metabase: &Metabase) -> Result<Kpis> {
        let mapped = mapped(metabase).await?;
        let asked: BTreeMap<String, Kpi> = match &self.kpis {
            None => BTreeMap::clone(&mapped),
            Some(names) => named(&mapped, names)?,
        };
        let until = Instant::now() + PART;
        let told: Vec<_> = stream::iter(asked)
            .map(|(name, kpi)| async move {
                let figure = tokio::time::timeout_at(until, figure(metabase, &kpi))
                    .await
                    .unwrap_or_else(|_| Err(Error::new(Kind::Timeout, format!("'{}' did not answer in time", Metabase::NAME))));
                (name, kpi, figure)
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        // In part is told; as a whole it is a failure.
        if !told.is_empty() && told.iter().all(|(_, _, figure)| figure.is_err()) {
            let first = told.into_iter().min_by(|(a, ..), (b, ..)| a.cmp(b));
            return Err(first
                .and_then(|(_, _, figure)| figure.err())
                .unwrap_or_else(|| Error::internal("no first of some")));
        }
        let session = metabase.http.session();
        let now = rfc3339(session.state.clock.millis());
        let mut kpis = Kpis {
            kpis: BTreeMap::new(),
            details: BTreeMap::new(),
            unavailable: Vec::new(),
        };
        for (name, kpi, figure) in told {
            let (value, as_of) = match figure {
                Ok((value, kept_since)) => (Some(value), Some(kept_since.unwrap_or_else(|| now.clone()))),
                Err(error) => {
                    kpis.unavailable
                        .push(Unavailable::failed(name.clone(), &error, &session.request_id));
                    (None, None)
                }
            };
            kpis.kpis.insert(name.clone(), value);
            kpis.details.insert(name, Detail { unit: kpi.unit, as_of });
        }
        kpis.unavailable.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(kpis)
    }
}

/// The tenant's map.
async fn mapped(metabase: &Metabase) -> Result<Arc<BTreeMap<String, Kpi>>> {
    const LEARNED: &str = "kpis";
    let connection = metabase.http.connection();
    if let Some(known) = connection.recall(LEARNED, FRESH) {
        return Ok(known);
    }
    let tenant = connection.tenant_id;
    let mut tx = metabase.http.session().state.store.read(Reach::Tenant(tenant)).await?;
    let rows = store::kpis::list(&mut tx, tenant, "", MOST).await?;
    drop(tx);
    let mapped: BTreeMap<_, _> = rows
        .into_iter()
        .map(|row| Ok((row.name.clone(), Kpi::stored(&row)?)))
        .collect::<Result<_>>()?;
    let mapped = Arc::new(mapped);
    connection.learn(LEARNED, Arc::clone(&mapped));
    Ok(mapped)
}

fn named(mapped: &BTreeMap<String, Kpi>, names: &[String]) -> Result<BTreeMap<String, Kpi>> {
    let mut asked = BTreeMap::new();
    for name in names {
        let Some(kpi) = mapped.get(name) else {
            let quoted: String = name.chars().take(64).collect();
            let known: Vec<_> = mapped.keys().map(String::as_str).collect();
            return Err(Error::invalid(if known.is_empty() {
                format!(
                    "kpis: there is no '{quoted}', and none at all yet; an administrator maps one with PUT /api/v1/analytics/kpis/{{name}}, or the tool kpis_set"
                )
            } else {
                format!("kpis: there is no '{quoted}'; known are {}", known.join(", "))
            }));
        };
        asked.insert(name.clone(), kpi.clone());
    }
    Ok(asked)
}

/// The figure, and since when it is kept, where Metabase says so.
async fn figure(metabase: &Metabase, kpi: &Kpi) -> Result<(Number, Option<String>)> {
    let question = metabase.question(kpi.card_id).await?;
    let answer = metabase.run_question(question.id, &kpi.parameters).await?;
    let value = value(&answer, kpi.column.as_deref())?;
    Ok((value, answer.kept_since))
}

/// The one number of an answer of one row.
fn value(answer: &Answer, column: Option<&str>) -> Result<Number> {
    let wrong = |why: String| Error::new(Kind::BackendRefused, why).coded("no_figure");
    let row = match answer.rows.as_slice() {
        [row] => row,
        [] => return Err(wrong("The saved question answers no row".to_owned())),
        rows => {
            return Err(wrong(format!(
                "The saved question answers {} rows, where a KPI needs one",
                rows.len()
            )));
        }
    };
    let named: Vec<_> = match column {
        Some(column) => {
            let same = |text: &str| text.eq_ignore_ascii_case(column);
            let index = answer.columns.iter().position(|known| same(&known.name) || same(&known.label));
            let index = index.ok_or_else(|| wrong(format!("The saved question has no column '{column}'")))?;
            row.get(index).into_iter().collect()
        }
        None => row.iter().collect(),
    };
    let numbers: Vec<_> = named.iter().filter_map(|value| read_number(value)).collect();
    match numbers.as_slice() {
        [number] => Ok(number.clone()),
        [] => Err(wrong("The saved question answers no number".to_owned())),
        _ => Err(wrong(
            "The saved question answers several numbers; an administrator names the column with kpis_set".to_owned(),
        )),
    }
}

/// Large and exact numbers come as text.
fn read_number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::String(text) => {
            let text = text.trim();
            let whole = text.parse::<i64>().ok().map(Number::from);
            // Not by f64's own words, `inf` and `nan` among them.
            whole.or_else(|| {
                let digits = text.starts_with(|first: char| first.is_ascii_digit() || first == '-');
                digits.then(|| text.parse().ok().and_then(Number::from_f64)).flatten()
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backends::metabase::client::Column;

    fn answer(columns: &[&str], rows: Value) -> Answer {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            label: name.to_uppercase(),
        };
        Answer {
            columns: columns.iter().map(column).collect(),
            rows: serde_json::from_value(rows).unwrap(),
            kept_since: None,
        }
    }

    #[test]
    fn a_figure_is_the_only_number_of_the_only_row_or_the_named_column() {
        for (columns, rows, column, expected) in [
            (&["sum"][..], json!([[45780]]), None, Some("45780")),
            (&["sum"], json!([["45780.50"]]), None, Some("45780.5")),
            (&["day", "sum"], json!([["2026-11-21", 3.2]]), None, Some("3.2")),
            (&["a", "b"], json!([[1, 2]]), None, None),
            (&["a", "b"], json!([[1, 2]]), Some("b"), Some("2")),
            (&["a", "b"], json!([[1, 2]]), Some("A"), Some("1")),
            (&["a", "b"], json!([[1, 2]]), Some("c"), None),
            (&["a"], json!([]), None, None),
            (&["a"], json!([[1], [2]]), None, None),
            (&["a"], json!([[null]]), None, None),
            (&["a"], json!([["nan"]]), None, None),
            (&["a"], json!([["many"]]), None, None),
        ] {
            let told = value(&answer(columns, rows.clone()), column).ok().map(|number| number.to_string());
            assert_eq!(told.as_deref(), expected, "{rows} {column:?}");
        }
    }
}
