//! Sign-in with what a member has: the applications of today, and a real browser (Debian's Chromium) at the gateway's pages.

use serde_json::{Value, json};
use smartermcp::{
    backends,
    config::{OpenId, Secret},
};

use crate::{
    app::{App, BUSINESS},
    cli::Folder,
    conformance::script,
    servers,
};

#[tokio::test]
async fn owners_command_line_ends_with_the_tools_after_one_consent_and_needs_none_after_a_restart() {
    let app = App::start().await;
    let (tenant, user, _) = app.business("luna").await;
    let (base, address) = (app.base(), app.address);
    let remembers = Folder::new();
    let settings = [
        ("MCP_URL", &*base),
        ("MCP_TOKEN", &*user.token),
        ("MCP_TENANT", &*tenant.id),
        ("MCP_CONFIG", remembers.0.to_str().unwrap()),
        ("MCP_TOOL", "workflows_list"),
    ];
    let first = script("node", &["sign_in.mjs"], &settings).await;
    let page = first["page"].as_str().expect("a browser was opened");
    for said in ["MCP CLI Proxy", "localhost:", "luna", "any program on this device"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    assert_eq!(first["tools"], json!(user.tools().await), "all that the token may");
    assert_eq!(
        (&first["is_error"], first["result"]["workflows"].as_array().map(Vec::len)),
        (&json!(false), Some(4))
    );

    let vendors = app.vendors.clone();
    let folder = app.stop().await;
    let app = App::in_folder(folder, |config| config.listen = address, backends::catalogue()).await;
    let again = script("node", &["sign_in.mjs"], &settings).await;
    assert_eq!(again["page"], Value::Null, "nobody is asked again");
    assert_eq!(again["tools"], first["tools"]);
    assert_eq!(again["is_error"], false, "{again}");
    drop((app, vendors));
}

#[tokio::test]
async fn authorization_server_passes_the_official_suite() {
    // What it looks at is in no database.
    if servers::given() {
        return;
    }
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let settings = [("MCP_URL", &*app.base()), ("MCP_TOKEN", &*user.token)];
    let outcome = script("node", &["authorization.mjs"], &settings).await;
    assert!(outcome["asked"].as_str().unwrap().contains("MCP conformance suite"), "{outcome}");
    assert_eq!((&outcome["exit"], &outcome["scenarios"]), (&json!(0), &json!(2)), "{outcome}");
    assert_eq!(
        (&outcome["passed"], &outcome["failed"], &outcome["skipped"]),
        (&json!(3), &json!(0), &json!(0))
    );
}

#[tokio::test]
async fn member_signs_in_at_a_real_openid_provider() {
    // The port is the provider's, once it is started.
    let promised = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let issuer = format!("http://{}", promised.local_addr().unwrap());
    let secret = "a-secret-of-the-tests-0123456789";
    let app = App::with(|config| {
        config.openid = Some(OpenId {
            issuer: issuer.clone(),
            client_id: "smartermcp".to_owned(),
            client_secret: Some(Secret::new(secret)),
            name: "the provider of the tests".to_owned(),
        });
    })
    .await;
    let tenant = app.tenant("luna").await;
    let invited = json!({ "email": "ana@luna.cl", "scopes": ["read:crm", "read:support"] });
    let operator = app.operator().for_tenant(&tenant.id);
    operator.post("/api/v1/members", invited).await.assert_status(201);
    let crm = app.user(&tenant, &["read:crm"]).await.tools().await;
    drop(promised);
    let settings = [
        ("MCP_URL", &*app.base()),
        ("OPENID_ISSUER", &*issuer),
        ("OPENID_CLIENT_ID", "smartermcp"),
        ("OPENID_CLIENT_SECRET", secret),
        ("MEMBER", "ana@luna.cl"),
    ];
    let said = script("node", &["openid.mjs"], &settings).await;
    assert!(said["asked"].as_str().unwrap().contains("An application"), "{said}");
    assert_eq!(said["scope"], "read:crm", "what is asked, as far as she was invited to it");
    assert_eq!((&said["iss"], &said["state"]), (&json!(app.base()), &json!("a state")));
    assert_eq!(said["tools"], json!(crm));
    let members = operator.get("/api/v1/members").await;
    assert_eq!(members.json["members"][0]["status"], "joined", "{}", members.text);
}

#[tokio::test]
async fn browser_arrives_where_the_applications_redirect_uri_sends_it_on_to() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    let settings = [("MCP_URL", &*app.base()), ("MCP_TOKEN", &*user.token)];
    let said = script("node", &["onward.mjs"], &settings).await;
    let expected = json!({ "Allow": ["code", "iss"], "Refuse": ["error", "error_description", "iss"] });
    assert_eq!(said["arrived"], expected);
}

#[tokio::test]
async fn pages_keep_nobody_from_using_them() {
    if servers::given() {
        return;
    }
    let app = App::start().await;
    let made = json!({ "name": "Tienda Luna", "slug": "luna" });
    let tenant = app.operator().post("/api/v1/tenants", made).await.json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let tenant = crate::app::Tenant {
        id: tenant,
        slug: "luna".to_owned(),
    };
    let user = app.user_with(&tenant, BUSINESS, json!({ "name": "Administración" })).await;
    // `scripts/screenshots.sh` takes them.
    let pictures = std::env::var_os("TEST_PICTURES").unwrap_or_default().into_string().unwrap();
    let settings = [("MCP_URL", &*app.base()), ("MCP_TOKEN", &*user.token), ("PICTURES", &pictures)];
    let said = script("node", &["pages.mjs"], &settings).await;
    assert_eq!(said["looked"].as_array().unwrap().len(), 30, "{said}");
    assert_eq!(said["found"], json!([]));
}
