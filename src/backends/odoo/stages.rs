//! Stages of the pipeline: the words of our contract, and what an Odoo calls its own.
//!
//! A tenant names its stages as it likes and in its language. A stage has a word of ours where its name, in the user's language or as
//! it was first written, is one that we know; else it keeps the name that Odoo has for it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    client::{Odoo, STAGE},
    domain::Domain,
    row::Row,
};
use crate::error::Result;

/// How long they are remembered.
const REMEMBERED: Duration = Duration::from_mins(1);
/// The most that are looked at.
const MOST: u64 = 200;

/// A stage in the words of our contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Word {
    New,
    Qualified,
    Proposal,
    Negotiation,
    Won,
    Lost,
}

impl Word {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Word::New => "new",
            Word::Qualified => "qualified",
            Word::Proposal => "proposal",
            Word::Negotiation => "negotiation",
            Word::Won => "won",
            Word::Lost => "lost",
        }
    }

    /// The word for a name, in English as Odoo ships it or in Spanish, whatever its case and accents.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match plain(name).as_str() {
            "new" | "nuevo" | "nueva" | "nuevos" | "nuevas" => Word::New,
            "qualified" | "calificado" | "calificada" | "calificados" | "cualificado" | "cualificada" => Word::Qualified,
            "proposal" | "proposition" | "propuesta" | "proposicion" | "propuesta enviada" => Word::Proposal,
            "negotiation" | "negociacion" | "en negociacion" => Word::Negotiation,
            "won" | "ganado" | "ganada" | "ganados" | "ganadas" => Word::Won,
            "lost" | "perdido" | "perdida" | "perdidos" | "perdidas" => Word::Lost,
            _ => return None,
        })
    }
}

/// A stage of the tenant's pipeline.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) id: u64,
    /// As Odoo calls it, in the language of our user.
    pub(super) name: String,
    pub(super) word: Option<Word>,
}

impl Stage {
    /// What callers see.
    pub(super) fn shown(&self) -> &str {
        match self.word {
            Some(word) => word.name(),
            None => &self.name,
        }
    }
}

/// The stages of the tenant's pipeline, in their order.
#[derive(Debug)]
pub(super) struct Stages(Vec<Stage>);

impl Stages {
    /// Those that teams of the tenant's company work with, and those of every team.
    pub(super) async fn of(odoo: &Odoo) -> Result<Arc<Self>> {
        const NAME: &str = "stages";
        if let Some(stages) = odoo.http.connection().recall::<Self>(NAME, REMEMBERED) {
            return Ok(stages);
        }
        let fields = odoo.fields(STAGE).await?;
        let team = if fields.has("team_ids") { "team_ids" } else { "team_id" };
        let domain = match odoo.company() {
            Some(company) if fields.has(team) => Domain::any([
                Domain::of(team, "=", false),
                Domain::of(&format!("{team}.company_id"), "in", json!([company, false])),
            ]),
            _ => Domain::default(),
        };
        let wanted = fields.of(&["name", "is_won"]);
        let arguments = json!({ "domain": domain, "fields": wanted, "order": "sequence, id", "limit": MOST });
        let mut first_written = arguments.clone();
        first_written["context"] = json!({ "lang": "en_US" });
        let (shown, written) = tokio::try_join!(
            odoo.read::<Vec<Row>>(STAGE, "search_read", arguments),
            odoo.read::<Vec<Row>>(STAGE, "search_read", first_written),
        )?;
        let most = usize::try_from(MOST).unwrap_or(usize::MAX);
        let written = written.into_iter().take(most);
        let written: HashMap<u64, String> = written.filter_map(|row| Some((row.id(), row.text("name")?))).collect();
        let stages = shown.into_iter().take(most).map(|row| {
            let name = row.text("name").unwrap_or_default();
            let original = written.get(&row.id()).cloned();
            let word = match row.flag("is_won") {
                true => Some(Word::Won),
                false => Word::of(&name).or_else(|| Word::of(&original?)),
            };
            Stage { id: row.id(), name, word }
        });
        let stages = Arc::new(Self(stages.collect()));
        odoo.http.connection().learn(NAME, Arc::clone(&stages));
        Ok(stages)
    }

    pub(super) fn all(&self) -> &[Stage] {
        &self.0
    }

    pub(super) fn find(&self, id: u64) -> Option<&Stage> {
        self.0.iter().find(|stage| stage.id == id)
    }

    /// The stages that one of our words stands for.
    pub(super) fn meant_by(&self, word: Word) -> Vec<u64> {
        self.0
            .iter()
            .filter(|stage| stage.word == Some(word))
            .map(|stage| stage.id)
            .collect()
    }

    /// Those that a caller may mean by a name: the one that Odoo calls so, else those of our word.
    pub(super) fn named(&self, name: &str) -> Vec<&Stage> {
        let wanted = plain(name);
        let called: Vec<_> = self.0.iter().filter(|stage| plain(&stage.name) == wanted).collect();
        match Word::of(name) {
            Some(word) if called.is_empty() => self.0.iter().filter(|stage| stage.word == Some(word)).collect(),
            _ => called,
        }
    }

    /// What Odoo calls them, for an error that offers them.
    pub(super) fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|stage| format!("'{}'", stage.name)).collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    }
}

/// A name without case, accents and outer space.
fn plain(name: &str) -> String {
    name.trim()
        .to_lowercase()
        .chars()
        .map(|letter| match letter {
            'á' => 'a',
            'é' => 'e',
            'í' => 'i',
            'ó' => 'o',
            'ú' | 'ü' => 'u',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odoos_own_names_have_our_words_in_english_and_spanish() {
        for (name, word) in [
            ("New", Word::New),
            ("Nueva", Word::New),
            ("Calificado", Word::Qualified),
            ("Proposition", Word::Proposal),
            ("Propuesta", Word::Proposal),
            (" NEGOCIACIÓN ", Word::Negotiation),
            ("Ganado", Word::Won),
            ("Perdido", Word::Lost),
        ] {
            assert_eq!(Word::of(name), Some(word), "{name}");
        }
        for word in [Word::New, Word::Qualified, Word::Proposal, Word::Negotiation, Word::Won, Word::Lost] {
            assert_eq!(Word::of(word.name()), Some(word));
        }
        assert_eq!(Word::of("Degustación"), None);
    }
}
