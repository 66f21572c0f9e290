//! Which cells there are, how wide each is for a token, and their state in this process.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicI64, Ordering},
};

use http::HeaderValue;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::gcra::Rate;
use crate::{
    error::{Error, Result},
    tool::Category,
};

/// Every call of a whole tenant.
pub const TENANT: Rate = Rate::new(1000, 60, 200);
/// Protocol methods of one token: `tools/list`, `ping`, `server/discover`, whoami.
pub const PROTOCOL: Rate = Rate::new(300, 60, 60);
const GENERAL_PER_MINUTE: u32 = 100;
const GENERAL_BURST: u32 = 20;
const GENERAL_PER_HOUR: u32 = 5000;
const HOUR_BURST: u32 = 500;
const CATEGORY_BURST: u32 = 20;
const CATEGORY_HOUR_BURST: u32 = 10;
/// The widest limit that the operator may give: past it a number is a slip of the pen.
const WIDEST: u32 = 1_000_000;

/// One cell of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    General,
    Hour,
    /// Shared by the tenant's tokens.
    Tenant,
    CategoryHour(Category),
    CategoryMinute(Category),
    Protocol,
}

impl Cell {
    const COUNT: usize = 3 + 2 * Category::COUNT;

    /// Its place among a token's cells; the tenant's is none of them.
    const fn index(self) -> Option<usize> {
        match self {
            Cell::Tenant => None,
            Cell::General => Some(0),
            Cell::Hour => Some(1),
            Cell::Protocol => Some(2),
            Cell::CategoryHour(category) => Some(3 + category as usize),
            Cell::CategoryMinute(category) => Some(3 + Category::COUNT + category as usize),
        }
    }

    /// As in `Rate limit exceeded for category '…'`.
    pub const fn name(self) -> &'static str {
        match self {
            Cell::General => "general",
            Cell::Hour => "hour",
            Cell::Tenant => "tenant",
            Cell::Protocol => "protocol",
            Cell::CategoryHour(category) | Cell::CategoryMinute(category) => category.name(),
        }
    }
}

/// The state of a token's cells: a TAT each. A fresh one is full.
#[derive(Debug)]
pub struct Cells([AtomicI64; Cell::COUNT]);

impl Default for Cells {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicI64::new(0)))
    }
}

impl Cells {
    /// Charges a cell of the token, or the tenant's that stands beside.
    pub fn charge(&self, tenant: &AtomicI64, cell: Cell, rate: Rate, now: i64) -> Charged {
        charge(cell.index().map_or(tenant, |index| &self.0[index]), rate, now)
    }

    /// Whether every cell is full again, so that forgetting this state changes nothing.
    pub fn are_full(&self, now: i64) -> bool {
        self.0.iter().all(|tat| tat.load(Ordering::Relaxed) <= now)
    }
}

/// What charging a cell came to: its TAT now, and how long to wait if it refused.
#[derive(Clone, Copy, Debug)]
pub struct Charged {
    pub tat: i64,
    pub wait_us: Option<i64>,
}

/// Charges one cell, without a lock.
fn charge(cell: &AtomicI64, rate: Rate, now: i64) -> Charged {
    let mut tat = cell.load(Ordering::Relaxed);
    loop {
        match rate.admit(tat, now) {
            Err(wait_us) => {
                return Charged {
                    tat,
                    wait_us: Some(wait_us),
                };
            }
            Ok(next) => match cell.compare_exchange_weak(tat, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Charged { tat: next, wait_us: None },
                Err(seen) => tat = seen,
            },
        }
    }
}

/// Limits that a token was given at its issuance, in place of the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Custom {
    /// For every call of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub general: Option<General>,
    /// By category, e.g. `{"workflows": {"per_minute": 5}}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("propertyNames" = {
        "enum": ["services", "workflows", "analytics", "crm", "support", "bots", "infrastructure", "documentation", "code_generation"],
    }))]
    pub categories: BTreeMap<Category, PerCategory>,
}

/// The general limit of a token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct General {
    /// Calls per minute; 100 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_minute: Option<u32>,
    /// Calls per hour; 5000 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_hour: Option<u32>,
    /// Calls at once; 20 unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub burst: Option<u32>,
}

/// The limit of a token in one category.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerCategory {
    /// Calls per minute.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_minute: u32,
    /// Calls per hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_hour: Option<u32>,
}

impl Custom {
    /// Refuses what nobody may set, and what only the operator may.
    ///
    /// # Errors
    /// Names the field.
    pub fn check(&self, by_operator: bool) -> Result<()> {
        let ceiling = |field: &str, value: Option<u32>, default: u32| {
            let most = if by_operator { WIDEST } else { default };
            match value {
                Some(value) if value == 0 || value > most => Err(Error::invalid(format!(
                    "limits.{field}: must be from 1 to {most}{}",
                    if by_operator {
                        ""
                    } else {
                        "; only the operator may go above the usual limit"
                    }
                ))),
                _ => Ok(()),
            }
        };
        if let Some(general) = &self.general {
            ceiling("general.per_minute", general.per_minute, GENERAL_PER_MINUTE)?;
            ceiling("general.per_hour", general.per_hour, GENERAL_PER_HOUR)?;
            ceiling("general.burst", general.burst, GENERAL_BURST)?;
        }
        for (category, limit) in &self.categories {
            let name = category.name();
            let Some(default) = category.per_minute() else {
                return Err(Error::invalid(format!(
                    "limits.categories.{name}: this category has no limit of its own"
                )));
            };
            ceiling(&format!("categories.{name}.per_minute"), Some(limit.per_minute), default)?;
            ceiling(
                &format!("categories.{name}.per_hour"),
                limit.per_hour,
                category.per_hour().unwrap_or(GENERAL_PER_HOUR),
            )?;
        }
        Ok(())
    }
}

/// How wide each cell of a token is, and the `RateLimit-Policy` that says so, computed when the token is loaded.
#[derive(Debug)]
pub struct Rates {
    general: Rate,
    hour: Rate,
    minute: [Option<Rate>; Category::COUNT],
    category_hour: [Option<Rate>; Category::COUNT],
    policies: [HeaderValue; Category::COUNT],
    protocol_policy: HeaderValue,
}

impl Rates {
    pub fn new(custom: Option<&Custom>) -> Self {
        let none = Custom::default();
        let custom = custom.unwrap_or(&none);
        let general = custom.general.clone().unwrap_or_default();
        let per_minute = general.per_minute.unwrap_or(GENERAL_PER_MINUTE);
        let per_hour = general.per_hour.unwrap_or(GENERAL_PER_HOUR);
        let general = Rate::new(per_minute, 60, general.burst.unwrap_or(per_minute.min(GENERAL_BURST)));
        let hour = Rate::new(per_hour, 3600, per_hour.min(HOUR_BURST));
        let minute = Category::ALL.map(|category| {
            let per_minute = custom
                .categories
                .get(&category)
                .map(|limit| limit.per_minute)
                .or(category.per_minute())?;
            Some(Rate::new(per_minute, 60, per_minute.min(CATEGORY_BURST)))
        });
        let category_hour = Category::ALL.map(|category| {
            let own = custom.categories.get(&category).and_then(|limit| limit.per_hour);
            let per_hour = own.or(category.per_hour())?;
            Some(Rate::new(per_hour, 3600, per_hour.min(CATEGORY_HOUR_BURST)))
        });
        let policies = Category::ALL.map(|category| {
            policy(
                [("general", general), ("hour", hour), ("tenant", TENANT)]
                    .into_iter()
                    .chain(category_hour[category as usize].map(|rate| (category.name(), rate)))
                    .chain(minute[category as usize].map(|rate| (category.name(), rate))),
            )
        });
        Self {
            general,
            hour,
            minute,
            category_hour,
            policies,
            protocol_policy: policy([("protocol", PROTOCOL)].into_iter()),
        }
    }

    /// `None`: the token has no such cell.
    pub fn of(&self, cell: Cell) -> Option<Rate> {
        match cell {
            Cell::General => Some(self.general),
            Cell::Hour => Some(self.hour),
            Cell::Tenant => Some(TENANT),
            Cell::CategoryHour(category) => self.category_hour[category as usize],
            Cell::CategoryMinute(category) => self.minute[category as usize],
            Cell::Protocol => Some(PROTOCOL),
        }
    }

    /// As whoami shows them.
    pub fn shown(&self) -> serde_json::Value {
        let cell = |rate: Rate| serde_json::json!({ "limit": rate.count(), "per_secs": rate.period_secs(), "burst": rate.burst() });
        let by_category = |rates: &[Option<Rate>; Category::COUNT]| -> serde_json::Value {
            let cells = Category::ALL
                .into_iter()
                .filter_map(|category| Some((category.name().to_owned(), cell(rates[category as usize]?))));
            serde_json::Value::Object(cells.collect())
        };
        serde_json::json!({
            "general": cell(self.general),
            "hour": cell(self.hour),
            "tenant": cell(TENANT),
            "protocol": cell(PROTOCOL),
            "categories": by_category(&self.minute),
            "categories_hour": by_category(&self.category_hour),
        })
    }

    pub fn policy(&self, category: Category) -> HeaderValue {
        self.policies[category as usize].clone()
    }

    pub fn protocol_policy(&self) -> HeaderValue {
        self.protocol_policy.clone()
    }
}

/// A `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): `"general";q=100;w=60, …`.
fn policy<'a>(cells: impl Iterator<Item = (&'a str, Rate)>) -> HeaderValue {
    let text = cells
        .map(|(name, rate)| format!("\"{name}\";q={};w={}", rate.count(), rate.period_secs()))
        .collect::<Vec<_>>()
        .join(", ");
    HeaderValue::from_str(&text).expect("names and numbers are visible ASCII")
}
