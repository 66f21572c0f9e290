//! Which saved question a few words mean: by counting the words that they share, in Spanish and in English, with nothing learned and
//! nothing guessed, so that the same words always mean the same question.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    client::Metabase,
    collections::{Item, Position},
};
use crate::error::Result;

/// For how long the list is known: a question that was just saved is found by words after that, and by its number at once.
const FRESH: Duration = Duration::from_mins(1);
/// How many questions are looked at.
const MOST: usize = 2000;
const PAGE: usize = 200;
/// How many pages are read for them; one may end early.
const PAGES_MAX: usize = 15;
/// How many names a refusal tells.
const CLOSEST: usize = 5;

/// The tenant's saved questions.
#[derive(Debug)]
pub(super) struct Questions(Vec<Known>);

#[derive(Debug)]
struct Known {
    id: u64,
    name: String,
    folded: String,
    words: BTreeSet<String>,
    /// Those of its description.
    more: BTreeSet<String>,
}

/// What the words meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The number of the question.
    One(u64),
    /// None well enough; the names of those that come nearest.
    None(Vec<String>),
}

impl Metabase {
    /// The tenant's saved questions, the first two thousand.
    pub(super) async fn questions(&self) -> Result<Arc<Questions>> {
        const LEARNED: &str = "questions";
        let connection = self.http.connection();
        if let Some(known) = connection.recall(LEARNED, FRESH) {
            return Ok(known);
        }
        let mut items = Vec::new();
        let mut next = Some(Position::default());
        for _ in 0..PAGES_MAX {
            let Some(from) = next.filter(|_| items.len() < MOST) else { break };
            let (page, after) = self.items(&["card", "dataset"], from, PAGE).await?;
            items.extend(page);
            next = after;
        }
        items.truncate(MOST);
        if next.is_some() {
            tracing::info!(
                tenant_id = %connection.tenant_id,
                questions = items.len(),
                "a tenant's Metabase has more saved questions than are looked at"
            );
        }
        let questions = Arc::new(Questions::new(items));
        connection.learn(LEARNED, Arc::clone(&questions));
        Ok(questions)
    }
}

impl Questions {
    fn new(items: Vec<Item>) -> Self {
        let mut known: Vec<_> = items
            .into_iter()
            .map(|item| Known {
                id: item.id,
                folded: folded(item.name.trim()),
                words: words(&item.name),
                more: words(item.description.as_deref().unwrap_or_default()),
                name: item.name,
            })
            .collect();
        known.sort_by_key(|question| question.id);
        Self(known)
    }

    /// The question of this name; else the one that shares most words, if it is most of the query's and half of the name's. Of equals, the
    /// one that was saved first.
    pub(super) fn find(&self, query: &str) -> Found {
        let name = folded(query.trim());
        if let Some(question) = self.0.iter().find(|question| question.folded == name) {
            return Found::One(question.id);
        }
        let asked = words(query);
        let mut ranked: Vec<_> = self
            .0
            .iter()
            .map(|question| (question.likeness(&asked), question))
            .filter(|(likeness, _)| likeness.shared > 0)
            .collect();
        ranked.sort_by_key(|(likeness, question)| (std::cmp::Reverse(likeness.score), question.id));
        match ranked.iter().find(|(likeness, _)| likeness.is_close) {
            Some((_, question)) => Found::One(question.id),
            None => Found::None(ranked.iter().take(CLOSEST).map(|(_, question)| question.name.clone()).collect()),
        }
    }
}

struct Likeness {
    shared: usize,
    /// In thousandths.
    score: usize,
    is_close: bool,
}

impl Known {
    fn likeness(&self, asked: &BTreeSet<String>) -> Likeness {
        let shared = asked.intersection(&self.words).count();
        let described = asked
            .iter()
            .filter(|word| !self.words.contains(*word) && self.more.contains(*word))
            .count();
        // A word of the description counts half.
        let of_query = if asked.is_empty() {
            0
        } else {
            (1000 * shared + 500 * described) / asked.len()
        };
        let of_name = if self.words.is_empty() {
            0
        } else {
            1000 * shared / self.words.len()
        };
        Likeness {
            shared,
            score: (3 * of_query + 2 * of_name) / 5,
            is_close: of_query >= 600 && of_name >= 500,
        }
    }
}

/// The words that carry meaning, each in one form for all its spellings.
fn words(text: &str) -> BTreeSet<String> {
    folded(text)
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty() && !EMPTY.contains(word))
        .map(|word| match NUMBERS.iter().find(|(_, names)| names.contains(&word)) {
            Some((digits, _)) => (*digits).to_owned(),
            None => {
                let stem = stem(word);
                let same = SAME.iter().find(|group| group.contains(&stem));
                same.and_then(|group| group.first()).copied().unwrap_or(stem).to_owned()
            }
        })
        .collect()
}

/// Lower case, without the accents of Spanish and its neighbours.
fn folded(text: &str) -> String {
    text.chars()
        .flat_map(char::to_lowercase)
        .map(|letter| match letter {
            'á' | 'à' | 'â' | 'ä' | 'ã' => 'a',
            'é' | 'è' | 'ê' | 'ë' => 'e',
            'í' | 'ì' | 'î' | 'ï' => 'i',
            'ó' | 'ò' | 'ô' | 'ö' | 'õ' => 'o',
            'ú' | 'ù' | 'û' | 'ü' => 'u',
            'ñ' => 'n',
            'ç' => 'c',
            other => other,
        })
        .collect()
}

/// Without the ending of the plural and the gender: `clientes` and `cliente` are `client`.
fn stem(word: &str) -> &str {
    let word = match word.strip_suffix('s') {
        Some(rest) if rest.chars().count() >= 3 => rest,
        _ => word,
    };
    match word.strip_suffix(['a', 'e', 'o']) {
        Some(rest) if rest.chars().count() >= 3 => rest,
        _ => word,
    }
}

/// Words that say nothing of what is asked.
const EMPTY: &[&str] = &[
    "a",
    "al",
    "como",
    "con",
    "cual",
    "cuales",
    "cuando",
    "cuanta",
    "cuantas",
    "cuanto",
    "cuantos",
    "dame",
    "de",
    "del",
    "dime",
    "el",
    "en",
    "entre",
    "es",
    "esa",
    "ese",
    "esta",
    "estas",
    "este",
    "estos",
    "fue",
    "fueron",
    "ha",
    "han",
    "hay",
    "hemos",
    "la",
    "las",
    "le",
    "lo",
    "los",
    "me",
    "mi",
    "mis",
    "muestra",
    "muestrame",
    "nos",
    "nuestra",
    "nuestro",
    "o",
    "para",
    "por",
    "que",
    "quiero",
    "reporte",
    "se",
    "segun",
    "ser",
    "sobre",
    "son",
    "su",
    "sus",
    "tu",
    "u",
    "un",
    "una",
    "unas",
    "unos",
    "ver",
    "y", // Spanish
    "an",
    "and",
    "are",
    "as",
    "at",
    "be",
    "by",
    "did",
    "do",
    "does",
    "for",
    "from",
    "get",
    "give",
    "how",
    "i",
    "in",
    "is",
    "list",
    "many",
    "much",
    "my",
    "of",
    "on",
    "or",
    "our",
    "per",
    "please",
    "report",
    "show",
    "that",
    "the",
    "these",
    "this",
    "those",
    "to",
    "us",
    "was",
    "we",
    "were",
    "what",
    "which",
    "who",
    "with", // English
];

const NUMBERS: &[(&str, &[&str])] = &[
    ("2", &["dos", "two"]),
    ("3", &["tres", "three"]),
    ("5", &["cinco", "five"]),
    ("10", &["diez", "ten"]),
    ("20", &["veinte", "twenty"]),
    ("50", &["cincuenta", "fifty"]),
    ("100", &["cien", "hundred"]),
];

/// Stems that mean one thing in a shop.
const SAME: &[&[&str]] = &[
    &["ingres", "vent", "sal", "revenu", "incom", "facturacion", "turnover"],
    &["client", "customer", "comprador", "buyer"],
    &["pedid", "orden", "order", "compr", "purchas"],
    &["product", "articul", "item"],
    &["factur", "invoic"],
    &["pag", "payment", "paid"],
    &["devolucion", "reembols", "refund"],
    &["inventari", "stock", "inventory"],
    &["mes", "mensual", "month", "monthly", "mtd"],
    &["seman", "semanal", "week", "weekly"],
    &["dia", "diari", "day", "daily"],
    &["hoy", "today"],
    &["ano", "anual", "year", "yearly", "annual"],
    &["mejor", "top", "best", "principal", "mayor", "largest"],
    &["ultim", "last", "latest", "recient", "recent"],
    &["pendient", "pending", "open", "abiert"],
    &["tas", "rat", "porcentaj", "percentag"],
    &["promedi", "averag", "mean"],
    &["ciudad", "city"],
    &["pais", "country"],
];

#[cfg(test)]
mod tests {
    use super::*;

    fn questions() -> Questions {
        let item = |id, name: &str, description: Option<&str>| Item {
            id,
            name: name.to_owned(),
            description: description.map(str::to_owned),
        };
        Questions::new(vec![
            item(9, "Pedidos pendientes", None),
            item(4, "Diez mejores clientes por ingresos del mes", None),
            item(5, "Ventas por producto", Some("Ingresos de cada artículo, en pesos chilenos")),
            item(6, "Tasa de conversión", None),
            item(7, "Pedidos pendientes", None),
        ])
    }

    #[test]
    fn words_mean_the_same_question_in_spanish_in_english_and_without_accents() {
        for (query, expected) in [
            ("DIEZ MEJORES CLIENTES POR INGRESOS DEL MES", 4),
            ("¿Cuáles son los 10 mejores clientes de este mes?", 4),
            ("top ten customers by revenue this month", 4),
            ("ventas por cada producto", 5),
            ("sales by product", 5),
            ("ingresos por artículo", 5),
            ("tasa de conversion", 6),
            ("conversion rate", 6),
            // Of two alike, the first.
            ("pedidos pendientes", 7),
            ("pending orders", 7),
        ] {
            assert_eq!(questions().find(query), Found::One(expected), "{query}");
        }
    }

    #[test]
    fn words_of_another_thing_mean_no_question() {
        for query in [
            "ingresos del mes",
            "¿qué tiempo hará mañana?",
            "clientes",
            "drop table",
            "",
            "??",
            "cada",
        ] {
            assert!(
                matches!(questions().find(query), Found::None(_)),
                "{query}: {:?}",
                questions().find(query)
            );
        }
        let Found::None(closest) = questions().find("clientes de Osorno sin ventas") else {
            panic!("no question is of Osorno")
        };
        assert_eq!(closest, ["Diez mejores clientes por ingresos del mes", "Ventas por producto"]);
    }
}
