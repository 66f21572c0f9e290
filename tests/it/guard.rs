//! A tenant's URL leads to the public internet or to where the operator allowed, whatever names, numbers and name servers say.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, extract::Request, middleware};
use http::HeaderValue;
use serde_json::json;
use smartermcp::{
    backends,
    config::{Config, Dns},
    sandbox::n8n::Sandbox,
};
use tokio::net::TcpListener;

use crate::app::{App, Reply, Tenant, User};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Stands for an address of the public internet: allowed by the operator, and one where a test can listen.
const PUBLIC: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(93, 184, 216, 34));
const METADATA: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));

/// What every name leads to at the moment.
#[derive(Clone)]
struct Names(Arc<Mutex<Vec<IpAddr>>>);

impl Names {
    fn new(addresses: &[IpAddr]) -> Self {
        Self(Arc::new(Mutex::new(addresses.to_vec())))
    }

    fn lead_to(&self, addresses: &[IpAddr]) {
        *self.0.lock().unwrap() = addresses.to_vec();
    }

    fn dns(&self) -> Dns {
        let names = self.clone();
        Dns::Table(Arc::new(move |_| names.0.lock().unwrap().clone()))
    }
}

/// A gateway that allows these networks to all tenants.
async fn gateway(allow: &'static [&'static str], names: &Names) -> App {
    let dns = names.dns();
    App::with(|config: &mut Config| {
        config.network.allow = allow.iter().map(|network| network.parse().unwrap()).collect();
        config.network.dns = dns;
    })
    .await
}

/// Serves this on an address, and counts the connections.
async fn serve(address: SocketAddr, router: Router) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(address).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let requests = router.layer(middleware::from_fn(move |request: Request, next: middleware::Next| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            let mut response = next.run(request).await;
            // So that each request needs a connection of its own, and a name to be looked up.
            response.headers_mut().insert("connection", HeaderValue::from_static("close"));
            response
        }
    }));
    tokio::spawn(async move { axum::serve(listener, requests).await });
    (port, connections)
}

async fn put(user: &User, url: &str) -> Reply {
    user.put("/api/v1/connections/n8n", json!({ "url": url, "credential": { "api_key": "key" } }))
        .await
}

async fn admin(app: &App, tenant: &Tenant) -> User {
    app.tireless(tenant, &["admin:tenants", "write:workflows"]).await
}

fn n8n(key: &str) -> Sandbox {
    let sandbox = Sandbox::new(key);
    sandbox.demo_workflows();
    sandbox
}

#[tokio::test]
async fn a_name_that_is_public_first_and_this_machine_next_is_never_connected_to() {
    let names = Names::new(&[PUBLIC]);
    let app = gateway(&["127.0.0.2/32"], &names).await;
    let tenant = app.tenant("luna").await;
    let user = admin(&app, &tenant).await;
    let sandbox = n8n("key");
    let (port, asked) = serve(SocketAddr::new(PUBLIC, 0), sandbox.router()).await;
    let (_, inside) = serve(SocketAddr::new(HERE, port), sandbox.router()).await;
    put(&user, &format!("http://rebind.example:{port}")).await.assert_status(200);
    user.get("/api/v1/workflows").await.assert_status(200);
    let before = asked.load(Ordering::Relaxed);
    assert!(before > 0);

    for next in [
        &[HERE][..],
        &[METADATA],
        &["::1".parse().unwrap()],
        &["::ffff:127.0.0.1".parse().unwrap()],
    ] {
        names.lead_to(next);
        let read = user.get("/api/v1/workflows").await;
        read.assert_problem(502, "address_refused");
        let write = user.call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" })).await;
        assert!(write.tool_error().contains("not allowed"), "{}", write.text);
        let test = user.post("/api/v1/connections/n8n/test", json!({})).await;
        test.assert_problem(502, "address_refused");
    }
    assert_eq!(inside.load(Ordering::Relaxed), 0, "the machine itself was never reached");
    assert_eq!(asked.load(Ordering::Relaxed), before);

    // Of several addresses only the one that is allowed is connected to.
    names.lead_to(&[HERE, PUBLIC]);
    user.get("/api/v1/workflows").await.assert_status(200);
    assert_eq!(inside.load(Ordering::Relaxed), 0);
    names.lead_to(&[]);
    assert!(user.get("/api/v1/workflows").await.status.is_server_error());
    assert_eq!(sandbox.runs(), 0);
}

#[tokio::test]
async fn an_address_inside_is_refused_when_a_connection_is_stored_however_it_is_written() {
    let names = Names::new(&[HERE]);
    let app = gateway(&[], &names).await;
    let tenant = app.tenant("luna").await;
    let user = admin(&app, &tenant).await;
    let operator = app.operator().for_tenant(&tenant.id);
    for url in [
        "http://127.0.0.1",
        "http://127.0.0.1:5678/n8n",
        "http://127.1",
        "http://localhost",
        "http://localhost.",
        "http://[::1]",
        "http://[::ffff:127.0.0.1]",
        "http://[::ffff:a9fe:a9fe]",
        "http://[fe80::1]",
        "http://[fd00:ec2::254]",
        "http://[64:ff9b::7f00:1]",
        "http://169.254.169.254",
        "http://169.254.169.254/latest/meta-data",
        "http://0x7f.1",
        "http://0x7f000001",
        "http://2130706433",
        "http://0177.0.0.1",
        "http://0.0.0.0",
        "http://0",
        "http://10.0.0.1",
        "http://172.16.3.4",
        "http://192.168.1.1",
        "http://100.64.0.1",
        "http://１２７.０.０.１",
        "https://n8n.internal.example",
    ] {
        for who in [&user, &operator] {
            let refused = put(who, url).await;
            assert_eq!(
                (refused.status.as_u16(), refused.json["code"].as_str()),
                (422, Some("address_refused")),
                "{url}: {}",
                refused.text
            );
            assert!(refused.json["detail"].as_str().unwrap().starts_with("url: "), "{}", refused.text);
        }
    }
    names.lead_to(&[ELSEWHERE, METADATA]);
    put(&user, "https://two-faced.example").await.assert_problem(422, "address_refused");
    names.lead_to(&[ELSEWHERE]);
    for url in [
        "ftp://n8n.example.cl",
        "file:///etc/passwd",
        "gopher://n8n.example.cl",
        "unix:/var/run/docker.sock",
        "javascript:alert(1)",
        "n8n.example.cl",
        "//n8n.example.cl",
        "http://",
        "",
        "http://user:geheim@n8n.example.cl",
        "http://user@n8n.example.cl",
        "http://user:geheim@",
        "http://user:geheim@n8n.example.cl:99999",
        "ftp://user:geheim@n8n.example.cl",
        "https://n8n.example.cl/?a=b",
        "https://n8n.example.cl/#a",
    ] {
        let refused = put(&user, url).await;
        assert_eq!(refused.status, 422, "{url}: {}", refused.text);
        assert!(refused.json["detail"].as_str().unwrap().contains("url"), "{}", refused.text);
        assert!(!refused.text.contains("geheim"), "a password is not said back: {}", refused.text);
    }
    user.get("/api/v1/connections/n8n").await.assert_status(404);
    // A public one is taken, without a look at it.
    for url in ["https://n8n.example.cl", "http://93.184.216.34:5678", "https://n8n.example.cl/base"] {
        assert_eq!(put(&user, url).await.assert_status(200).json["url"], url);
    }
}

#[tokio::test]
async fn a_private_network_is_allowed_to_the_tenant_that_the_operator_named_and_to_no_other() {
    let names = Names::new(&[HERE]);
    let app = gateway(&[], &names).await;
    let (luna, sol) = (app.tenant("luna").await, app.tenant("sol").await);
    let (of_luna, of_sol) = (admin(&app, &luna).await, admin(&app, &sol).await);
    let (url, _) = app.vendors.n8n("luna", "key");
    put(&of_luna, &url).await.assert_problem(422, "address_refused");

    // A tenant's administrator cannot open the way himself, by no door.
    let wish = json!({ "backend_allow": ["127.0.0.0/8"] });
    for (user, tenant) in [(&of_luna, &luna), (&of_sol, &luna), (&of_sol, &sol)] {
        let refused = user.patch(&format!("/api/v1/tenants/{}", tenant.id), wish.clone()).await;
        assert!([403, 404].contains(&refused.status.as_u16()), "{}", refused.text);
    }
    let by_mcp = of_luna
        .call("tenants_update", json!({ "id": luna.id, "backend_allow": ["127.0.0.0/8"] }))
        .await;
    assert!(by_mcp.json["result"]["isError"] == true || by_mcp.status == 403, "{}", by_mcp.text);
    let with_settings = json!({ "url": url, "credential": { "api_key": "key" }, "settings": { "backend_allow": ["127.0.0.0/8"] } });
    assert_eq!(of_luna.put("/api/v1/connections/n8n", with_settings).await.status, 422);
    put(&of_luna, &url).await.assert_problem(422, "address_refused");

    let changed = app.operator().patch(&format!("/api/v1/tenants/{}", luna.id), wish).await;
    assert_eq!(changed.assert_status(200).json["backend_allow"], json!(["127.0.0.0/8"]));
    put(&of_luna, &url).await.assert_status(200);
    of_luna.get("/api/v1/workflows").await.assert_status(200);
    put(&of_sol, &url).await.assert_problem(422, "address_refused");
    let wrong = app
        .operator()
        .patch(&format!("/api/v1/tenants/{}", luna.id), json!({ "backend_allow": ["everything"] }))
        .await;
    wrong.assert_problem(422, "invalid_input");
}

#[tokio::test]
async fn a_tenant_does_not_ride_on_the_open_connection_of_one_that_may_go_further() {
    let names = Names::new(&[HERE]);
    let app = gateway(&[], &names).await;
    let (luna, sol) = (app.tenant("luna").await, app.tenant("sol").await);
    let (of_luna, of_sol) = (admin(&app, &luna).await, admin(&app, &sol).await);
    let allowed = json!({ "backend_allow": ["127.0.0.1/32"] });
    app.operator()
        .patch(&format!("/api/v1/tenants/{}", luna.id), allowed)
        .await
        .assert_status(200);
    // Both name the same host, which was somewhere else when the second named it. Its connections are kept open here.
    let (url, sandbox) = app.vendors.n8n("shared", "key");
    put(&of_luna, &url).await.assert_status(200);
    names.lead_to(&[ELSEWHERE]);
    put(&of_sol, &url).await.assert_status(200);
    names.lead_to(&[HERE]);
    for _ in 0..3 {
        of_luna.get("/api/v1/workflows").await.assert_status(200);
        of_sol.get("/api/v1/workflows").await.assert_problem(502, "address_refused");
        let refused = of_sol.call("workflows_trigger", json!({ "workflow_id": "wf_backup_db" })).await;
        assert!(refused.tool_error().contains("not allowed"), "{}", refused.text);
    }
    assert_eq!(sandbox.runs(), 0);
}

#[tokio::test]
async fn a_narrowed_allow_list_holds_from_the_next_call_on() {
    let names = Names::new(&[HERE]);
    let app = gateway(&[], &names).await;
    let tenant = app.tenant("luna").await;
    let user = admin(&app, &tenant).await;
    let allow = async |networks: &[&str]| {
        let changed = app
            .operator()
            .patch(&format!("/api/v1/tenants/{}", tenant.id), json!({ "backend_allow": networks }))
            .await;
        changed.assert_status(200);
    };
    allow(&["127.0.0.1/32"]).await;
    let (by_name, _) = app.vendors.n8n("luna", "key");
    let (port, _) = serve(SocketAddr::new(HERE, 0), n8n("key").router()).await;
    for url in [by_name, format!("http://127.0.0.1:{port}")] {
        allow(&["127.0.0.1/32"]).await;
        put(&user, &url).await.assert_status(200);
        user.get("/api/v1/workflows").await.assert_status(200);
        allow(&["10.0.0.0/8"]).await;
        user.get("/api/v1/workflows").await.assert_problem(502, "address_refused");
    }
}

#[tokio::test]
async fn a_network_that_the_operator_no_longer_allows_is_refused_after_a_restart() {
    let app = App::start().await;
    let (_, user, _) = app.business("luna").await;
    user.get("/api/v1/workflows").await.assert_status(200);
    let token = user.token.clone();
    let folder = app.stop().await;
    let app = App::in_folder(folder, |config| config.network.allow.clear(), backends::catalogue()).await;
    app.user_of(&token)
        .get("/api/v1/workflows")
        .await
        .assert_problem(502, "address_refused");
}
