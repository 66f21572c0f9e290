//! The services that the templates know: how people name them, which node of n8n speaks to them, and what it needs.
//!
//! Types and versions are those of n8n 2.41 (`nodes.txt` holds them all). A service without a node of its own is spoken to by HTTP.

use serde_json::{Value, json};

/// A service that a workflow can have a step for.
#[derive(Debug)]
pub(super) struct Service {
    /// As it is given in `services`.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What people call it, in small letters without accents.
    pub(super) names: &'static [&'static str],
    pub(super) kind: Kind,
    /// The node's type, without `n8n-nodes-base.`, and its version.
    pub(super) node: (&'static str, f64),
    /// The kind of credential that the tenant has to choose; `None` where none is needed.
    pub(super) credential: Option<&'static str>,
}

/// What a service is for, which decides what a step does with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Rows of a database that SQL is spoken to.
    Sql,
    /// Records that are listed and made: a CRM, a shop, a table.
    Records,
    /// Files are put there.
    Storage,
    /// Messages go there.
    Messages,
    /// Figures are read there.
    Figures,
    /// Any address.
    Http,
}

/// What a step does with its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    Read,
    Write,
}

pub(super) const SERVICES: &[Service] = &[
    service(
        "postgresql",
        "PostgreSQL",
        &["postgresql", "postgres", "postgre", "psql"],
        Kind::Sql,
        ("postgres", 2.6),
        Some("Postgres"),
    ),
    service("mysql", "MySQL", &["mysql", "mariadb"], Kind::Sql, ("mySql", 2.5), Some("MySQL")),
    service(
        "supabase",
        "Supabase",
        &["supabase"],
        Kind::Records,
        ("supabase", 1.0),
        Some("Supabase API"),
    ),
    service(
        "mongodb",
        "MongoDB",
        &["mongodb", "mongo"],
        Kind::Records,
        ("mongoDb", 1.2),
        Some("MongoDB"),
    ),
    service(
        "odoo",
        "Odoo",
        &["odoo", "crm", "erp"],
        Kind::Records,
        ("odoo", 1.0),
        Some("Odoo API"),
    ),
    service("hubspot", "HubSpot", &["hubspot"], Kind::Records, ("hubspot", 2.1), Some("HubSpot")),
    service(
        "shopify",
        "Shopify",
        &["shopify"],
        Kind::Records,
        ("shopify", 1.0),
        Some("Shopify Access Token"),
    ),
    service("stripe", "Stripe", &["stripe"], Kind::Records, ("stripe", 1.0), Some("Stripe API")),
    service(
        "google-sheets",
        "Google Sheets",
        &[
            "google sheets",
            "google-sheets",
            "google sheet",
            "sheets",
            "spreadsheet",
            "planilla*",
            "hoja de calculo",
            "googlesheets",
        ],
        Kind::Records,
        ("googleSheets", 4.5),
        Some("Google Sheets"),
    ),
    service("notion", "Notion", &["notion"], Kind::Records, ("notion", 2.2), Some("Notion API")),
    service(
        "airtable",
        "Airtable",
        &["airtable"],
        Kind::Records,
        ("airtable", 2.1),
        Some("Airtable"),
    ),
    service(
        "metabase",
        "Metabase",
        &["metabase"],
        Kind::Figures,
        ("metabase", 1.0),
        Some("Metabase API"),
    ),
    service(
        "aws-s3",
        "AWS S3",
        &["aws-s3", "aws s3", "amazon s3", "s3", "aws", "bucket"],
        Kind::Storage,
        ("awsS3", 2.0),
        Some("AWS"),
    ),
    service(
        "google-drive",
        "Google Drive",
        &["google drive", "google-drive", "gdrive"],
        Kind::Storage,
        ("googleDrive", 3.0),
        Some("Google Drive"),
    ),
    service("ftp", "FTP", &["ftp", "sftp"], Kind::Storage, ("ftp", 1.0), Some("FTP or SFTP")),
    service("slack", "Slack", &["slack"], Kind::Messages, ("slack", 2.3), Some("Slack API")),
    service(
        "email",
        "E-mail",
        &["email", "emails", "e-mail", "mail", "correo", "correos", "smtp"],
        Kind::Messages,
        ("emailSend", 2.1),
        Some("SMTP"),
    ),
    service(
        "whatsapp",
        "WhatsApp",
        &["whatsapp", "wsp", "whats"],
        Kind::Messages,
        ("whatsApp", 1.0),
        Some("WhatsApp API"),
    ),
    service(
        "telegram",
        "Telegram",
        &["telegram"],
        Kind::Messages,
        ("telegram", 1.2),
        Some("Telegram API"),
    ),
    service(
        "discord",
        "Discord",
        &["discord"],
        Kind::Messages,
        ("discord", 2.0),
        Some("Discord"),
    ),
    service(
        "mattermost",
        "Mattermost",
        &["mattermost"],
        Kind::Messages,
        ("mattermost", 1.0),
        Some("Mattermost API"),
    ),
    service(
        "chatwoot",
        "Chatwoot",
        &["chatwoot"],
        Kind::Messages,
        ("httpRequest", 4.2),
        Some("Header Auth (api_access_token)"),
    ),
    service(
        "botpress",
        "Botpress",
        &["botpress"],
        Kind::Messages,
        ("httpRequest", 4.2),
        Some("Header Auth (Authorization)"),
    ),
    service("http", "HTTP", &["http*", "endpoint"], Kind::Http, ("httpRequest", 4.2), None),
];

const fn service(
    id: &'static str,
    title: &'static str,
    names: &'static [&'static str],
    kind: Kind,
    node: (&'static str, f64),
    credential: Option<&'static str>,
) -> Service {
    Service {
        id,
        title,
        names,
        kind,
        node,
        credential,
    }
}

/// The parameters of a step, and what in them the tenant has to fill in.
pub(super) fn parameters(service: &Service, does: Does) -> (Value, &'static [&'static str]) {
    match (service.id, does) {
        ("shopify", Does::Read) => (
            json!({ "authentication": "accessToken", "resource": "order", "operation": "getAll", "limit": 50, "options": {} }),
            &[],
        ),
        ("shopify", Does::Write) => (
            json!({ "authentication": "accessToken", "resource": "order", "operation": "create" }),
            &["the order's fields"],
        ),
        ("stripe", _) => (json!({ "resource": "charge", "operation": "getAll", "limit": 50 }), &[]),
        ("odoo", Does::Read) => (
            json!({ "resource": "opportunity", "operation": "getAll", "limit": 50, "options": {} }),
            &[],
        ),
        ("odoo", Does::Write) => (
            json!({ "resource": "contact", "operation": "create", "contactName": "={{ $json.body?.name ?? $json.name ?? 'New contact' }}", "additionalFields": {} }),
            &["the contact's fields"],
        ),
        ("hubspot", Does::Read) => (
            json!({ "authentication": "appToken", "resource": "contact", "operation": "getAll", "limit": 50 }),
            &[],
        ),
        ("hubspot", Does::Write) => (
            json!({ "authentication": "appToken", "resource": "contact", "operation": "upsert", "email": "={{ $json.body?.email ?? $json.email }}", "additionalFields": {} }),
            &["the contact's fields"],
        ),
        ("supabase", Does::Read) => (
            json!({ "resource": "row", "operation": "getAll", "tableId": "", "limit": 50 }),
            &["the table"],
        ),
        ("supabase", Does::Write) => (
            json!({ "resource": "row", "operation": "create", "tableId": "", "dataToSend": "autoMapInputData" }),
            &["the table"],
        ),
        ("mongodb", Does::Read) => (
            json!({ "operation": "find", "collection": "", "query": "{}", "options": { "limit": 50 } }),
            &["the collection"],
        ),
        ("mongodb", Does::Write) => (
            json!({ "operation": "insert", "collection": "", "fields": "" }),
            &["the collection", "the fields"],
        ),
        ("google-sheets", Does::Read) => (
            json!({ "resource": "sheet", "operation": "read", "documentId": chosen(), "sheetName": chosen(), "options": {} }),
            &["the document", "the sheet"],
        ),
        ("google-sheets", Does::Write) => (
            json!({
                "resource": "sheet", "operation": "append", "documentId": chosen(), "sheetName": chosen(),
                "columns": { "mappingMode": "autoMapInputData", "value": {}, "matchingColumns": [], "schema": [] }, "options": {},
            }),
            &["the document", "the sheet"],
        ),
        ("notion", Does::Read) => (
            json!({ "resource": "databasePage", "operation": "getAll", "databaseId": chosen(), "limit": 50, "options": {} }),
            &["the database"],
        ),
        ("notion", Does::Write) => (
            json!({ "resource": "databasePage", "operation": "create", "databaseId": chosen(), "title": "={{ $json.subject }}", "options": {} }),
            &["the database"],
        ),
        ("airtable", Does::Read) => (
            json!({ "resource": "record", "operation": "search", "base": chosen(), "table": chosen(), "options": {} }),
            &["the base", "the table"],
        ),
        ("airtable", Does::Write) => (
            json!({
                "resource": "record", "operation": "create", "base": chosen(), "table": chosen(),
                "columns": { "mappingMode": "autoMapInputData", "value": {}, "matchingColumns": [], "schema": [] }, "options": {},
            }),
            &["the base", "the table"],
        ),
        ("metabase", _) => (
            json!({ "resource": "questions", "operation": "resultData", "questionId": "", "format": "json" }),
            &["the question's number"],
        ),
        ("postgresql" | "mysql", Does::Read) => (
            json!({ "operation": "executeQuery", "query": "SELECT now() AS read_at", "options": {} }),
            &["the query"],
        ),
        ("postgresql", Does::Write) => (
            json!({
                "operation": "insert", "schema": { "__rl": true, "mode": "name", "value": "public" }, "table": { "__rl": true, "mode": "name", "value": "" },
                "columns": { "mappingMode": "autoMapInputData", "value": {}, "matchingColumns": [], "schema": [] }, "options": {},
            }),
            &["the table"],
        ),
        ("mysql", Does::Write) => (
            json!({ "operation": "insert", "table": { "__rl": true, "mode": "name", "value": "" }, "dataMode": "autoMapInputData", "options": {} }),
            &["the table"],
        ),
        ("aws-s3", Does::Read) => (
            json!({ "resource": "file", "operation": "download", "bucketName": "", "fileKey": "" }),
            &["the bucket", "the file"],
        ),
        ("aws-s3", Does::Write) => (
            json!({
                "resource": "file", "operation": "upload", "bucketName": "", "binaryData": true, "binaryPropertyName": "data",
                "fileName": "={{ $('Prepare').first().json.file_name }}", "additionalFields": {}, "tagsUi": {},
            }),
            &["the bucket"],
        ),
        ("google-drive", Does::Read) => (
            json!({ "resource": "file", "operation": "download", "fileId": chosen(), "options": {} }),
            &["the file"],
        ),
        ("google-drive", Does::Write) => (
            json!({
                "resource": "file", "operation": "upload", "inputDataFieldName": "data", "name": "={{ $('Prepare').first().json.file_name }}",
                "driveId": { "__rl": true, "mode": "list", "value": "My Drive" }, "folderId": { "__rl": true, "mode": "list", "value": "root" }, "options": {},
            }),
            &[],
        ),
        ("ftp", Does::Read) => (json!({ "protocol": "sftp", "operation": "download", "path": "" }), &["the path"]),
        ("ftp", Does::Write) => (
            json!({ "protocol": "sftp", "operation": "upload", "path": "=/{{ $('Prepare').first().json.file_name }}", "binaryData": true, "binaryPropertyName": "data" }),
            &["the path"],
        ),
        ("slack", _) => (
            json!({
                "resource": "message", "operation": "post", "select": "channel",
                "channelId": { "__rl": true, "mode": "name", "value": "#general" }, "messageType": "text", "text": MESSAGE, "otherOptions": {},
            }),
            &["the channel (#general unless changed)"],
        ),
        ("email", _) => (
            json!({
                "resource": "email", "operation": "send", "fromEmail": "", "toEmail": "", "subject": "={{ $('Prepare').first().json.subject }}",
                "emailFormat": "text", "text": MESSAGE, "options": {},
            }),
            &["the sender", "the recipient"],
        ),
        ("whatsapp", _) => (
            json!({ "resource": "message", "operation": "send", "phoneNumberId": "", "recipientPhoneNumber": "", "messageType": "text", "textBody": MESSAGE }),
            &["the number that sends", "the recipient"],
        ),
        ("telegram", _) => (
            json!({ "resource": "message", "operation": "sendMessage", "chatId": "", "text": MESSAGE, "additionalFields": {} }),
            &["the chat"],
        ),
        ("discord", _) => (
            json!({ "authentication": "webhook", "operation": "sendLegacy", "content": MESSAGE, "options": {} }),
            &[],
        ),
        ("mattermost", _) => (
            json!({ "resource": "message", "operation": "post", "channelId": "", "message": MESSAGE }),
            &["the channel"],
        ),
        ("chatwoot", _) => (
            with_header_auth(
                "https://chatwoot.example.com/api/v1/accounts/1/conversations/1/messages",
                json!({ "content": MESSAGE }),
            ),
            &["the address, the account's and the conversation's number"],
        ),
        ("botpress", _) => (
            with_header_auth(
                "https://api.botpress.cloud/v1/chat/messages",
                json!({ "type": "text", "payload": { "type": "text", "text": MESSAGE } }),
            ),
            &["the bot's id (x-bot-id) and the conversation's"],
        ),
        _ => (
            json!({ "method": "GET", "url": "https://example.com/", "options": {} }),
            &["the address"],
        ),
    }
}

/// What messages say: the run, and what came in.
const MESSAGE: &str = "={{ $('Prepare').first().json.subject }}";

/// A thing that is chosen from a list in n8n.
fn chosen() -> Value {
    json!({ "__rl": true, "mode": "list", "value": "" })
}

fn with_header_auth(url: &str, body: Value) -> Value {
    let fields: Vec<_> = body
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    json!({
        "method": "POST", "url": url, "authentication": "genericCredentialType", "genericAuthType": "httpHeaderAuth", "sendBody": true,
        "bodyParameters": { "parameters": fields }, "options": {},
    })
}
