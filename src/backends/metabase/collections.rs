//! The tenant's part of a Metabase: its collection with those below it, what lies in them, and whether a question does.

use serde::{Deserialize, Serialize};

use super::client::{Metabase, not_metabase, number, said};
use crate::{
    backends::client::shortened,
    error::{Error, Kind, Result},
};

/// How many collections a tenant's part may have.
const COLLECTIONS_MAX: usize = 500;
/// How many requests one page of a list may cost; a page that ends earlier says where the next begins.
const REQUESTS_MAX: usize = 40;

/// Where a list of items stands: before so many items of a collection. They are walked by number, so that a page is not moved by
/// a name that changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// 0 is the root, which is no collection to Metabase.
    pub(super) collection: u64,
    pub(super) offset: usize,
}

/// A dashboard or a saved question, as a list shows it: name and description are cut, for lists of them are kept.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) description: Option<String>,
}

/// A saved question, found to be the tenant's.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) id: u64,
    pub(super) name: String,
}

/// A collection with those below it.
#[derive(Deserialize)]
struct Node {
    #[serde(default, deserialize_with = "number")]
    id: Option<u64>,
    #[serde(default)]
    archived: Option<bool>,
    r#type: Option<String>,
    #[serde(default)]
    children: Vec<Node>,
}

#[derive(Deserialize)]
struct Page {
    data: Vec<RawItem>,
    total: Option<usize>,
}

#[derive(Deserialize)]
struct RawItem {
    id: u64,
    name: String,
    description: Option<String>,
    model: Option<String>,
    #[serde(default)]
    archived: Option<bool>,
}

impl Metabase {
    /// Up to so many items of these models in the tenant's collections, from a position on, and where the rest begins.
    pub(super) async fn items(&self, models: &[&str], from: Position, most: usize) -> Result<(Vec<Item>, Option<Position>)> {
        let collections = self.collections().await?;
        let mut found: Vec<(Position, Item)> = Vec::new();
        let mut requests = 0;
        for collection in collections.into_iter().filter(|collection| *collection >= from.collection) {
            let mut offset = if collection == from.collection { from.offset } else { 0 };
            loop {
                // One more than asked for says whether there is more.
                let wanted = most + 1 - found.len();
                if wanted == 0 {
                    let next = found.pop().map(|(position, _)| position);
                    return Ok((found.into_iter().map(|(_, item)| item).collect(), next));
                }
                if requests == REQUESTS_MAX {
                    let items = found.into_iter().map(|(_, item)| item).collect();
                    return Ok((items, Some(Position { collection, offset })));
                }
                requests += 1;
                let page = self.page(collection, models, offset, wanted).await?;
                let came = page.data.len().min(wanted);
                for (index, raw) in page.data.into_iter().take(wanted).enumerate() {
                    let position = Position {
                        collection,
                        offset: offset + index,
                    };
                    if let Some(item) = raw.read(models) {
                        found.push((position, item));
                    }
                }
                offset += came;
                if came == 0 || page.total.map_or(came < wanted, |total| offset >= total) {
                    break;
                }
            }
        }
        let next = (found.len() > most).then(|| found.pop().map(|(position, _)| position)).flatten();
        Ok((found.into_iter().map(|(_, item)| item).collect(), next))
    }

    async fn page(&self, collection: u64, models: &[&str], offset: usize, limit: usize) -> Result<Page> {
        let (offset, limit) = (offset.to_string(), limit.to_string());
        let mut query = vec![
            ("limit", limit.as_str()),
            ("offset", &offset),
            ("sort_column", "name"),
            ("sort_direction", "asc"),
            // Since 0.53 a question may be kept in a dashboard, and is then shown by this alone.
            ("show_dashboard_questions", "true"),
        ];
        query.extend(models.iter().map(|model| ("models", *model)));
        let path = match collection {
            0 => "/api/collection/root/items".to_owned(),
            id => format!("/api/collection/{id}/items"),
        };
        self.read(&path, &query).await
    }

    /// The numbers of the tenant's collections, ascending; 0 stands for the root.
    async fn collections(&self) -> Result<Vec<u64>> {
        let roots: Vec<Node> = self
            .read(
                "/api/collection/tree",
                &[("exclude-archived", "true"), ("exclude-other-user-collections", "true")],
            )
            .await?;
        let mut numbers = Vec::new();
        match self.credential.collection_id {
            None => {
                numbers.push(0);
                for node in &roots {
                    node.collect(&mut numbers);
                }
            }
            Some(id) => roots
                .iter()
                .find_map(|node| node.find(id))
                .ok_or_else(|| {
                    Error::new(
                        Kind::BackendRefused,
                        format!("'metabase' does not show collection {id} to this API key; give its group the permission, or correct the connection's collection_id"),
                    )
                    .coded("permission_missing")
                })?
                .collect(&mut numbers),
        }
        if numbers.len() > COLLECTIONS_MAX {
            return Err(Error::new(
                Kind::BackendRefused,
                format!(
                    "'metabase' shows more than {COLLECTIONS_MAX} collections to this API key; set the connection's collection_id to this tenant's"
                ),
            ));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// A saved question by its number, if it is in the tenant's collection or below.
    ///
    /// # Errors
    /// Not found, wherever else it may be.
    pub(super) async fn question(&self, id: u64) -> Result<Question> {
        #[derive(Deserialize)]
        struct Raw {
            id: u64,
            name: String,
            #[serde(default)]
            archived: Option<bool>,
            #[serde(default, deserialize_with = "number")]
            collection_id: Option<u64>,
            collection: Option<Place>,
        }
        /// Where it lies: `location` names all collections above, `/10/12/`.
        #[derive(Deserialize)]
        struct Place {
            location: Option<String>,
        }
        let reply = self.send(self.http.get(&format!("/api/card/{id}"))).await?;
        // What the key may not see is answered with 403.
        if matches!(reply.status.as_u16(), 400 | 403 | 404) {
            return Err(no_question(id));
        }
        let raw: Raw = reply.json(said)?;
        if raw.id != id {
            return Err(not_metabase("another question than the one that was asked for"));
        }
        let inside = self.credential.collection_id.is_none_or(|own| {
            let above = raw
                .collection
                .as_ref()
                .and_then(|place| place.location.as_deref())
                .unwrap_or_default();
            raw.collection_id == Some(own) || above.split('/').any(|part| part.parse() == Ok(own))
        });
        if !inside || raw.archived == Some(true) {
            return Err(no_question(id));
        }
        Ok(Question {
            id,
            name: shortened(&raw.name),
        })
    }
}

fn no_question(id: u64) -> Error {
    Error::not_found(format!("This tenant's Metabase has no saved question {id}"))
}

impl Node {
    fn is_there(&self) -> bool {
        self.archived != Some(true) && self.r#type.as_deref() != Some("trash")
    }

    fn find(&self, id: u64) -> Option<&Node> {
        if !self.is_there() {
            return None;
        }
        if self.id == Some(id) {
            return Some(self);
        }
        self.children.iter().find_map(|child| child.find(id))
    }

    fn collect(&self, numbers: &mut Vec<u64>) {
        if !self.is_there() {
            return;
        }
        numbers.extend(self.id);
        for child in &self.children {
            child.collect(numbers);
        }
    }
}

impl RawItem {
    fn read(self, models: &[&str]) -> Option<Item> {
        let wanted = self.model.as_deref().is_none_or(|model| models.contains(&model));
        (wanted && self.archived != Some(true)).then_some(Item {
            id: self.id,
            name: shortened(&self.name),
            description: self.description.filter(|text| !text.trim().is_empty()).map(|text| shortened(&text)),
        })
    }
}
