//! The shop whose systems are played: Panadería Luna in Valdivia, told once, so that what its systems say of it hangs together.
//!
//! Rosa Huenchur writes to the shop (Chatwoot), is its customer and has an opportunity in its pipeline (Odoo), spoke to its bot
//! (Botpress), and paid the order that the order workflow carried over (n8n, Supabase), which is in the month's revenue (Metabase).

use serde_json::{Value, json};

/// The tenant's slug and name.
pub const SLUG: &str = "panaderia-luna";
pub const NAME: &str = "Panadería Luna";

/// Somebody whom the shop knows.
#[derive(Clone, Copy, Debug)]
pub struct Contact {
    /// Her number in Odoo and in Chatwoot; the customer's id in the shop's own database.
    pub id: u64,
    pub name: &'static str,
    pub email: Option<&'static str>,
    pub phone: Option<&'static str>,
    /// RUT, with its check digit.
    pub rut: Option<&'static str>,
    /// The number of the company that she works for.
    pub company: Option<u64>,
    pub is_company: bool,
    pub city: &'static str,
    /// ISO 3166-1 alpha-2.
    pub country: &'static str,
    pub tags: &'static [&'static str],
    pub kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Customer,
    Vendor,
    Lead,
}

pub const CONTACTS: [Contact; 8] = [
    Contact {
        id: 11,
        name: "Hotel Calle-Calle SpA",
        email: Some("compras@hotelcallecalle.cl"),
        phone: Some("+56 63 221 3300"),
        rut: Some("76.086.428-5"),
        company: None,
        is_company: true,
        city: "Valdivia",
        country: "CL",
        tags: &["mayorista"],
        kind: Kind::Customer,
    },
    Contact {
        id: 12,
        name: "Rosa Huenchur",
        email: Some("rosa.huenchur@hotelcallecalle.cl"),
        phone: Some("+56 9 8123 4567"),
        rut: Some("12.345.678-5"),
        company: Some(11),
        is_company: false,
        city: "Valdivia",
        country: "CL",
        tags: &["mayorista", "tortas"],
        kind: Kind::Customer,
    },
    Contact {
        id: 13,
        name: "John Smith",
        email: Some("john@example.com"),
        phone: Some("+56 9 7654 3210"),
        rut: None,
        company: None,
        is_company: false,
        city: "Valdivia",
        country: "CL",
        tags: &["web"],
        kind: Kind::Lead,
    },
    Contact {
        id: 14,
        name: "Molinos del Sur Ltda.",
        email: Some("ventas@molinosdelsur.cl"),
        phone: Some("+56 64 233 1200"),
        rut: Some("77.123.456-9"),
        company: None,
        is_company: true,
        city: "Osorno",
        country: "CL",
        tags: &["harina"],
        kind: Kind::Vendor,
    },
    Contact {
        id: 15,
        name: "Pedro Antilef",
        email: None,
        phone: Some("963214578"),
        rut: Some("9.876.543-3"),
        company: None,
        is_company: false,
        city: "Corral",
        country: "CL",
        tags: &[],
        kind: Kind::Customer,
    },
    Contact {
        id: 16,
        name: "Café Río Cruces",
        email: Some("hola@cafeyriocruces.cl"),
        phone: Some("+56632219876"),
        rut: Some("76.543.210-3"),
        company: None,
        is_company: true,
        city: "Valdivia",
        country: "CL",
        tags: &["mayorista", "café"],
        kind: Kind::Customer,
    },
    Contact {
        id: 17,
        name: "Marta Oyarzún",
        email: Some("marta@cafeyriocruces.cl"),
        phone: Some("+56 9 5555 1212"),
        rut: Some("15.789.012-3"),
        company: Some(16),
        is_company: false,
        city: "Valdivia",
        country: "CL",
        tags: &[],
        kind: Kind::Customer,
    },
    Contact {
        id: 18,
        name: "Lucía Benítez",
        email: Some("lucia.benitez@example.com.ar"),
        phone: Some("+54 294 442 1188"),
        rut: None,
        company: None,
        is_company: false,
        city: "Bariloche",
        country: "AR",
        tags: &["web"],
        kind: Kind::Lead,
    },
];

/// A sale that is under way, won or lost.
#[derive(Clone, Copy, Debug)]
pub struct Opportunity {
    pub id: u64,
    pub name: &'static str,
    pub contact: u64,
    pub stage: Stage,
    /// Chilean pesos.
    pub expected_revenue: f64,
    /// Per cent.
    pub probability: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    New,
    Qualified,
    Proposition,
    Negotiation,
    Won,
    /// Archived with probability 0, as Odoo has it.
    Lost,
}

pub const OPPORTUNITIES: [Opportunity; 7] = [
    Opportunity {
        id: 31,
        name: "Pan diario para el hotel, temporada alta",
        contact: 12,
        stage: Stage::Negotiation,
        expected_revenue: 4_800_000.0,
        probability: 70.0,
    },
    Opportunity {
        id: 32,
        name: "Torta de matrimonio",
        contact: 13,
        stage: Stage::New,
        expected_revenue: 180_000.0,
        probability: 10.0,
    },
    Opportunity {
        id: 33,
        name: "Medialunas para el café",
        contact: 17,
        stage: Stage::Qualified,
        expected_revenue: 1_250_000.0,
        probability: 30.0,
    },
    Opportunity {
        id: 34,
        name: "Kuchen para la Semana Valdiviana",
        contact: 15,
        stage: Stage::Proposition,
        expected_revenue: 960_000.0,
        probability: 45.0,
    },
    Opportunity {
        id: 35,
        name: "Desayunos de empresa",
        contact: 11,
        stage: Stage::Negotiation,
        expected_revenue: 2_400_000.0,
        probability: 60.0,
    },
    Opportunity {
        id: 36,
        name: "Cóctel de aniversario",
        contact: 16,
        stage: Stage::Won,
        expected_revenue: 540_000.0,
        probability: 100.0,
    },
    Opportunity {
        id: 37,
        name: "Envíos a Bariloche",
        contact: 18,
        stage: Stage::Lost,
        expected_revenue: 700_000.0,
        probability: 0.0,
    },
];

/// Somebody who answers the shop's customers.
#[derive(Clone, Copy, Debug)]
pub struct Agent {
    pub id: u64,
    pub name: &'static str,
    pub email: &'static str,
    /// online, busy or offline.
    pub availability: &'static str,
}

pub const AGENTS: [Agent; 3] = [
    Agent {
        id: 1,
        name: "Camila Soto",
        email: "camila@panaderialuna.cl",
        availability: "online",
    },
    Agent {
        id: 2,
        name: "Diego Vera",
        email: "diego@panaderialuna.cl",
        availability: "busy",
    },
    Agent {
        id: 3,
        name: "Ana Loncón",
        email: "ana@panaderialuna.cl",
        availability: "offline",
    },
];

/// A conversation of a contact with the shop; the newest message last.
#[derive(Clone, Copy, Debug)]
pub struct Conversation {
    pub id: u64,
    pub contact: u64,
    /// open, pending, resolved or snoozed.
    pub status: &'static str,
    pub assignee: Option<u64>,
    pub unread: u64,
    /// Who speaks (true: the contact), and what is said.
    pub messages: &'static [(bool, &'static str)],
}

pub const CONVERSATIONS: [Conversation; 5] = [
    Conversation {
        id: 101,
        contact: 12,
        status: "open",
        assignee: Some(1),
        unread: 1,
        messages: &[
            (true, "Buenos días, ¿el pan de mañana puede llegar a las 6:30?"),
            (false, "Hola Rosa, sí, lo dejamos agendado."),
            (true, "Perfecto. ¿Y el precio para la temporada alta?"),
        ],
    },
    Conversation {
        id: 102,
        contact: 13,
        status: "open",
        assignee: None,
        unread: 2,
        messages: &[
            (true, "Hi, my order 5003 never arrived."),
            (true, "This is a refund request: please give me my money back."),
        ],
    },
    Conversation {
        id: 103,
        contact: 17,
        status: "pending",
        assignee: Some(2),
        unread: 0,
        messages: &[
            (true, "Necesitamos 40 medialunas para el sábado."),
            (false, "Les confirmamos hoy por la tarde."),
        ],
    },
    Conversation {
        id: 104,
        contact: 15,
        status: "resolved",
        assignee: Some(1),
        unread: 0,
        messages: &[(true, "¿A qué hora cierran hoy?"), (false, "A las 20:00, don Pedro.")],
    },
    Conversation {
        id: 105,
        contact: 16,
        status: "snoozed",
        assignee: Some(2),
        unread: 0,
        messages: &[(true, "Les escribo en diciembre por el cóctel."), (false, "Quedamos atentos.")],
    },
];

/// An order of the shop, as its own database has it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub id: u64,
    pub contact: u64,
    /// Chilean pesos.
    pub total: u64,
    /// paid, pending or refunded.
    pub status: &'static str,
    pub product: &'static str,
}

pub const ORDERS: [Order; 5] = [
    Order {
        id: 5001,
        contact: 12,
        total: 186_000,
        status: "paid",
        product: "Marraqueta, 120 kg",
    },
    Order {
        id: 5002,
        contact: 17,
        total: 64_000,
        status: "paid",
        product: "Medialunas, 80",
    },
    Order {
        id: 5003,
        contact: 13,
        total: 32_000,
        status: "refunded",
        product: "Torta mil hojas",
    },
    Order {
        id: 5004,
        contact: 16,
        total: 540_000,
        status: "paid",
        product: "Cóctel de aniversario",
    },
    Order {
        id: 5005,
        contact: 15,
        total: 18_500,
        status: "pending",
        product: "Kuchen de murta, 2",
    },
];

/// What the shop measures: the name, the value, its unit, and the saved question of Metabase that answers it.
pub const KPIS: [(&str, f64, &str, u64); 3] = [
    ("revenue_mtd", 45_780.0, "USD", 1),
    ("conversion_rate", 3.2, "%", 2),
    ("orders_today", 17.0, "orders", 3),
];

/// The shop's bot.
pub const BOT: &str = "bot_abc123";
/// What its tenant calls it.
pub const BOT_ALIAS: &str = "main";

/// What a contact is called, by number.
pub fn contact(id: u64) -> Option<&'static Contact> {
    CONTACTS.iter().find(|contact| contact.id == id)
}

/// The order workflow's outcome, as n8n keeps it.
pub fn carried_over() -> Value {
    json!({ "orders": ORDERS.iter().map(|order| json!({ "id": order.id, "total": order.total })).collect::<Vec<_>>() })
}

/// One day of the shop's support.
#[derive(Clone, Copy, Debug)]
pub struct SupportDay {
    pub conversations: u64,
    pub resolved: u64,
    /// Seconds, on average.
    pub first_response: u64,
    /// Seconds, on average.
    pub resolution: u64,
    /// How often customers gave 1, 2, 3, 4 and 5.
    pub ratings: [u64; 5],
}

/// The last seven days of the support, today first; those before were the same. Over the week customers gave 4.2 of 5, and it took
/// 2.4 h to resolve what they wrote about.
pub const SUPPORT_WEEK: [SupportDay; 7] = [
    support_day(9, 7_200, [0, 0, 0, 1, 1]),
    support_day(7, 10_080, [0, 0, 0, 0, 1]),
    support_day(6, 8_640, [0, 1, 0, 0, 0]),
    support_day(8, 6_840, [0, 0, 0, 1, 1]),
    support_day(5, 10_440, [0, 0, 1, 0, 0]),
    support_day(11, 7_920, [0, 0, 0, 0, 1]),
    support_day(7, 9_360, [0, 0, 0, 1, 1]),
];

const fn support_day(conversations: u64, resolution: u64, ratings: [u64; 5]) -> SupportDay {
    SupportDay {
        conversations,
        resolved: 5,
        first_response: 240,
        resolution,
        ratings,
    }
}

/// What the shop's bot is called, and the versions of it that were saved: id and name, the newest not first.
pub const BOT_NAME: &str = "Asistente de Panadería Luna";
pub const BOT_VERSIONS: [(&str, &str); 3] = [
    ("ver_01JC3N5X8Q4W7M2K9T6R1V0BCD", "Pedidos por WhatsApp"),
    ("ver_01KA7Z3N5X8Q4W7M2K9T6R1V0B", "Horario de verano"),
    ("ver_01J2N5X8Q4W7M2K9T6R1V0BCDE", "Primera versión"),
];
/// Its integrations, and whether they are enabled.
pub const BOT_INTEGRATIONS: [(&str, bool); 3] = [("webchat", true), ("whatsapp", true), ("telegram", false)];
/// A second bot, which was never deployed: id and name.
pub const BOT_DRAFT: (&str, &str) = ("bot_def456", "Borrador para Navidad");

/// A conversation of somebody with the shop's bot; the newest message last.
#[derive(Clone, Copy, Debug)]
pub struct BotConversation {
    pub id: &'static str,
    pub contact: u64,
    /// webchat or whatsapp.
    pub integration: &'static str,
    /// Who speaks (true: the contact), and what is said.
    pub messages: &'static [(bool, &'static str)],
}

/// The latest first.
pub const BOT_CONVERSATIONS: [BotConversation; 3] = [
    BotConversation {
        id: "conv_rosa1",
        contact: 12,
        integration: "whatsapp",
        messages: &[
            (true, "Hola, ¿tienen pan de molde integral?"),
            (false, "¡Hola, Rosa! Sí, todos los días desde las 7:00. ¿Quiere encargarlo?"),
            (true, "Sí, 10 para mañana."),
            (false, "Listo: 10 panes de molde integral para mañana."),
        ],
    },
    BotConversation {
        id: "conv_john1",
        contact: 13,
        integration: "webchat",
        messages: &[
            (true, "Where is my order 5003?"),
            (false, "I am passing you on to Camila, who can look at it."),
        ],
    },
    BotConversation {
        id: "conv_pedro1",
        contact: 15,
        integration: "webchat",
        messages: &[
            (true, "¿A qué hora abren el domingo?"),
            (false, "El domingo abrimos de 8:00 a 14:00."),
            (true, "Gracias"),
        ],
    },
];

/// One day of the shop's bot.
#[derive(Clone, Copy, Debug)]
pub struct BotDay {
    pub sessions: u64,
    pub user_messages: u64,
    pub bot_messages: u64,
    /// Tasks that were begun, and those of them that were completed.
    pub started: u64,
    pub completed: u64,
    /// How often somebody asked for the opening hours, a price, an order.
    pub intents: [u64; 3],
}

/// What the bot calls those intents.
pub const BOT_INTENTS: [&str; 3] = ["horario", "precio", "pedido"];

/// The last seven days of the bot, today first; those before were the same. Over the week it completed 78 % of its tasks.
pub const BOT_WEEK: [BotDay; 7] = [
    bot_day(12, 8, 6, [4, 3, 5]),
    bot_day(10, 7, 6, [3, 3, 4]),
    bot_day(11, 7, 5, [5, 2, 4]),
    bot_day(9, 7, 6, [2, 3, 4]),
    bot_day(13, 7, 5, [6, 2, 5]),
    bot_day(14, 7, 6, [4, 4, 6]),
    bot_day(8, 7, 5, [3, 2, 3]),
];

const fn bot_day(sessions: u64, started: u64, completed: u64, intents: [u64; 3]) -> BotDay {
    BotDay {
        sessions,
        user_messages: 4 * sessions,
        bot_messages: 5 * sessions,
        started,
        completed,
        intents,
    }
}
