//! What is saved in the played Metabase: the shop's collection with its questions, those of another tenant, and the tables below.

use serde_json::{Map, Value, json};

use super::Ran;
use crate::sandbox::shop;

/// The shop's collection.
pub const LUNA: u64 = 10;
/// That of another tenant of the same instance.
pub const SOL: u64 = 20;
/// The shop's database.
pub const LUNA_DATABASE: u64 = 2;
const SOL_DATABASE: u64 = 3;

#[derive(Debug)]
pub(super) struct Collection {
    pub(super) id: u64,
    pub(super) name: &'static str,
    /// The collections above, `/` at the top.
    pub(super) location: &'static str,
    pub(super) kind: Option<&'static str>,
}

/// 100 begins like 10, and has nothing to do with it.
pub(super) const COLLECTIONS: [Collection; 7] = [
    Collection {
        id: LUNA,
        name: shop::NAME,
        location: "/",
        kind: None,
    },
    Collection {
        id: 12,
        name: "Ventas",
        location: "/10/",
        kind: None,
    },
    Collection {
        id: 14,
        name: "Tienda",
        location: "/10/12/",
        kind: None,
    },
    Collection {
        id: SOL,
        name: "Café Sol",
        location: "/",
        kind: None,
    },
    Collection {
        id: 21,
        name: "Ventas",
        location: "/20/",
        kind: None,
    },
    Collection {
        id: 100,
        name: "Otra empresa",
        location: "/",
        kind: None,
    },
    Collection {
        id: 99,
        name: "Trash",
        location: "/",
        kind: Some("trash"),
    },
];

#[derive(Debug)]
pub(super) struct Dashboard {
    pub(super) id: u64,
    pub(super) name: &'static str,
    pub(super) description: Option<&'static str>,
    /// 0: in none.
    pub(super) collection: u64,
}

pub(super) const DASHBOARDS: [Dashboard; 6] = [
    Dashboard {
        id: 51,
        name: "El mes de la panadería",
        description: Some("Ingresos, conversión y pedidos"),
        collection: LUNA,
    },
    Dashboard {
        id: 52,
        name: "Ventas por semana",
        description: None,
        collection: 12,
    },
    Dashboard {
        id: 53,
        name: "Pedidos de la tienda",
        description: None,
        collection: 14,
    },
    Dashboard {
        id: 61,
        name: "El mes del café",
        description: None,
        collection: SOL,
    },
    Dashboard {
        id: 71,
        name: "Toda la instancia",
        description: None,
        collection: 0,
    },
    Dashboard {
        id: 81,
        name: "Tirado",
        description: None,
        collection: 99,
    },
];

/// A saved question.
#[derive(Clone, Debug, Default)]
pub struct Card {
    pub id: u64,
    pub name: String,
    pub description: Option<String>,
    /// 0: in none.
    pub collection: u64,
    pub archived: bool,
    /// A model, which Metabase lists as a dataset.
    pub is_model: bool,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// What the database says in the place of an answer.
    pub failure: Option<String>,
    /// Since when the answer is kept.
    pub kept_since: Option<String>,
}

impl Card {
    pub(super) fn answer(&self) -> Ran {
        match &self.failure {
            Some(words) => Err(words.clone()),
            None => Ok((self.columns.clone(), self.rows.clone())),
        }
    }
}

pub(super) fn cards() -> Vec<Card> {
    let card = |id, name: &str, collection, columns: &[&str], rows: Vec<Vec<Value>>| Card {
        id,
        name: name.to_owned(),
        collection,
        columns: columns.iter().map(|column| (*column).to_owned()).collect(),
        rows,
        ..Card::default()
    };
    let figure =
        |name: &str, column: &str, (_, value, _, id): (&str, f64, &str, u64)| card(id, name, LUNA, &[column], vec![vec![number(value)]]);
    let [revenue, conversion, orders] = shop::KPIS;
    let mut products = card(6, "Ventas por producto", 14, &["Producto", "Ingresos"], by_product());
    products.description = Some("Ingresos de cada artículo, en pesos chilenos".to_owned());
    let mut states = card(7, "Pedidos por estado", 12, &["Estado", "Pedidos"], by_state());
    states.is_model = true;
    let mut past = card(8, "Ingresos del año pasado", LUNA, &["sum"], vec![vec![json!(1)]]);
    past.archived = true;
    vec![
        figure("Ingresos del mes en dólares", "sum", revenue),
        figure("Tasa de conversión", "tasa", conversion),
        figure("Pedidos de hoy", "count", orders),
        card(
            4,
            "Diez mejores clientes por ingresos del mes",
            12,
            &["Cliente", "Ingresos"],
            best_customers(),
        ),
        card(5, "Pedidos pendientes", 12, &["Pedido", "Cliente", "Producto", "Total"], pending()),
        products,
        states,
        past,
        card(101, "Ingresos del mes", SOL, &["sum"], vec![vec![json!(990)]]),
        card(102, "Clientes del café", 21, &["Cliente"], vec![vec![json!("Solo del café")]]),
        card(201, "Ingresos de otra empresa", 100, &["sum"], vec![vec![json!(7)]]),
        card(301, "Resumen de la instancia", 0, &["sum"], vec![vec![json!(8)]]),
    ]
}

fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "the shop's figures are small")]
    if value.fract() == 0.0 { json!(value as i64) } else { json!(value) }
}

fn customer(id: u64) -> &'static str {
    shop::contact(id).map_or("", |contact| contact.name)
}

fn best_customers() -> Vec<Vec<Value>> {
    let mut sums = std::collections::BTreeMap::<u64, u64>::new();
    for order in shop::ORDERS.iter().filter(|order| order.status == "paid") {
        *sums.entry(order.contact).or_default() += order.total;
    }
    let mut sums: Vec<_> = sums.into_iter().collect();
    sums.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
    sums.into_iter()
        .take(10)
        .map(|(contact, total)| vec![json!(customer(contact)), json!(total)])
        .collect()
}

fn pending() -> Vec<Vec<Value>> {
    let pending = shop::ORDERS.iter().filter(|order| order.status == "pending");
    pending
        .map(|order| {
            vec![
                json!(order.id),
                json!(customer(order.contact)),
                json!(order.product),
                json!(order.total),
            ]
        })
        .collect()
}

fn by_product() -> Vec<Vec<Value>> {
    let paid = shop::ORDERS.iter().filter(|order| order.status == "paid");
    paid.map(|order| vec![json!(order.product), json!(order.total)]).collect()
}

fn by_state() -> Vec<Vec<Value>> {
    ["paid", "pending", "refunded"]
        .into_iter()
        .map(|state| {
            vec![
                json!(state),
                json!(shop::ORDERS.iter().filter(|order| order.status == state).count()),
            ]
        })
        .collect()
}

/// Whether a key sees a database: with the collection of its tenant.
pub(super) fn shows_database(id: Option<u64>, shows: impl Fn(u64) -> bool) -> bool {
    match id {
        Some(LUNA_DATABASE) => shows(LUNA),
        Some(SOL_DATABASE) => shows(SOL),
        _ => false,
    }
}

pub(super) fn database_name(id: u64) -> &'static str {
    if id == LUNA_DATABASE { "Tienda Luna" } else { "Tienda Sol" }
}

pub(super) fn metadata(id: u64, description: &str) -> Value {
    let mut next = 0;
    let mut table = |table_id: u64, name: &str, description: Option<&str>, hidden: bool, fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, kind)| {
                next += 1;
                json!({
                    "id": next, "table_id": table_id, "name": name, "display_name": name, "description": null, "database_type": kind,
                    "base_type": if *kind == "text" { "type/Text" } else { "type/Integer" }, "semantic_type": null, "fk_target_field_id": null,
                    "visibility_type": if *name == "clave" { "sensitive" } else { "normal" }, "active": true,
                })
            })
            .collect();
        json!({
            "id": table_id, "name": name, "display_name": name, "description": description, "schema": "public", "db_id": id, "entity_type": null,
            "visibility_type": hidden.then_some("hidden"), "active": true, "fields": fields,
        })
    };
    json!({
        "id": id, "name": database_name(id), "engine": "postgres", "is_saved_questions": false,
        "tables": [
            table(1, "pedidos", Some(description), false, &[("id", "int8"), ("cliente", "int8"), ("producto", "text"), ("estado", "text"), ("total", "int8")]),
            table(2, "clientes", None, false, &[("id", "int8"), ("nombre", "text"), ("ciudad", "text"), ("clave", "text")]),
            table(3, "sesiones", None, true, &[("token", "text")]),
        ],
    })
}

/// Answers SQL of a known shape; anything else fails as an unknown relation does in PostgreSQL.
pub(super) fn run(sql: &str) -> Ran {
    let folded = sql.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let (body, limit) = match folded.rsplit_once(" limit ") {
        Some((body, limit)) => (body, limit.parse().unwrap_or(usize::MAX)),
        None => (folded.as_str(), usize::MAX),
    };
    let named = |columns: &[&str], mut rows: Vec<Vec<Value>>| {
        rows.truncate(limit);
        Ok((columns.iter().map(|column| (*column).to_owned()).collect(), rows))
    };
    match body {
        "select ciudad, count(*) as clientes from clientes group by ciudad order by clientes desc, ciudad" => {
            let mut cities = Map::new();
            for contact in shop::CONTACTS {
                let count = cities.get(contact.city).and_then(Value::as_u64).unwrap_or_default();
                cities.insert(contact.city.to_owned(), json!(count + 1));
            }
            let mut rows: Vec<_> = cities.into_iter().map(|(city, count)| vec![json!(city), count]).collect();
            rows.sort_by_key(|row| std::cmp::Reverse(row[1].as_u64()));
            named(&["ciudad", "clientes"], rows)
        }
        "select estado, count(*) as pedidos from pedidos group by estado order by estado" => named(&["estado", "pedidos"], by_state()),
        "select id, total from pedidos order by total desc" => {
            let mut rows: Vec<_> = shop::ORDERS.iter().map(|order| vec![json!(order.id), json!(order.total)]).collect();
            rows.sort_by_key(|row| std::cmp::Reverse(row[1].as_u64()));
            named(&["id", "total"], rows)
        }
        _ => Err("ERROR: relation is not known to the played Metabase\n  Position: 15".to_owned()),
    }
}
