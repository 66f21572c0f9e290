//! The systems of the played shop, all of them, and how a tenant connects them: what the demo and the tests of all tools start with.

use serde_json::{Value, json};

use super::{
    Vendors,
    botpress::Botpress,
    chatwoot::Chatwoot,
    docker::{Docker, Image},
    metabase, n8n, odoo,
    prometheus::Prometheus,
    shop, supabase,
};

/// The account, workspace and company that are the shop's, where others could have one on the same instance.
const ACCOUNT: u64 = 1;
const WORKSPACE: &str = "wkspace_luna";

/// One tenant's systems.
#[derive(Clone)]
pub struct Systems {
    pub n8n: n8n::Sandbox,
    pub odoo: odoo::Sandbox,
    pub chatwoot: Chatwoot,
    pub botpress: Botpress,
    pub metabase: metabase::Sandbox,
    pub supabase: supabase::Project,
    pub docker: Docker,
    pub prometheus: Prometheus,
    /// The bodies of `PUT /connections/{backend}`, by backend.
    pub connections: Vec<(&'static str, Value)>,
}

impl Systems {
    /// Plays all of a tenant's systems under host names of its own, with keys of its own.
    pub fn play(vendors: &Vendors, tenant_id: &str, slug: &str) -> Self {
        let key = |backend: &str| format!("{backend}-key-of-{slug}");
        let supabase_key = format!("sb_secret_{slug}");
        let mut systems = Self {
            n8n: n8n::Sandbox::new(&key("n8n")).with_mcp_token(&key("n8n-mcp")),
            odoo: odoo::Sandbox::new(odoo::Release::Nineteen, &key("odoo")),
            chatwoot: Chatwoot::new().with_shop(ACCOUNT).with_token(&key("chatwoot"), &[(ACCOUNT, true)]),
            botpress: Botpress::new().with_token(&key("botpress"), &[WORKSPACE]).with_shop(WORKSPACE),
            metabase: metabase::Sandbox::new(&key("metabase")),
            supabase: supabase::Project::new(&supabase_key),
            docker: docker_of(tenant_id),
            prometheus: Prometheus::default(),
            connections: Vec::new(),
        };
        systems.n8n.demo_workflows();
        systems.n8n.add_workflow(order_workflow());
        let carried_over = systems.n8n.run(ORDER_WORKFLOW).unwrap_or_default();
        let parts = [
            (
                "n8n",
                systems.n8n.router(),
                json!({ "api_key": key("n8n"), "mcp_token": key("n8n-mcp") }),
                json!({ "exec_abc123": carried_over }),
            ),
            (
                "odoo",
                systems.odoo.router(),
                json!({ "api_key": key("odoo"), "database": odoo::DATABASE, "company_id": odoo::COMPANY }),
                json!({}),
            ),
            (
                "chatwoot",
                systems.chatwoot.router(),
                json!({ "access_token": key("chatwoot"), "account_id": ACCOUNT }),
                json!({}),
            ),
            (
                "botpress",
                systems.botpress.router(),
                json!({ "token": key("botpress"), "workspace_id": WORKSPACE }),
                json!({ shop::BOT_ALIAS: shop::BOT }),
            ),
            ("metabase", systems.metabase.router(), json!({ "api_key": key("metabase") }), json!({})),
            ("supabase", systems.supabase.router(), json!({ "api_key": supabase_key }), json!({})),
            ("docker", systems.docker.router(), json!({}), json!({})),
            ("prometheus", systems.prometheus.router(), json!({}), json!({})),
        ];
        for (backend, router, credential, aliases) in parts {
            let url = vendors.play(&format!("{backend}.{slug}"), router);
            let settings = json!({ "aliases": aliases });
            systems
                .connections
                .push((backend, json!({ "url": url, "credential": credential, "settings": settings })));
        }
        systems
    }

    /// The bodies of `PUT /analytics/kpis/{name}`, by name.
    pub fn kpis() -> impl Iterator<Item = (&'static str, Value)> {
        shop::KPIS
            .into_iter()
            .map(|(name, _, unit, card)| (name, json!({ "card_id": card, "unit": unit })))
    }
}

const ORDER_WORKFLOW: &str = "wf_orders_to_odoo";

/// It carries the shop's orders over to Odoo, and has run.
fn order_workflow() -> Value {
    json!({
        "id": ORDER_WORKFLOW, "name": "Pedidos a Odoo", "active": true, "tags": ["orders"],
        "settings": { "executionOrder": "v1", "timezone": "America/Santiago" },
        "nodes": [
            { "name": "Webhook", "type": "n8n-nodes-base.webhook", "parameters": { "path": "pedidos", "httpMethod": "POST", "responseMode": "lastNode" } },
            { "name": "A Odoo", "type": "n8n-nodes-base.set", "parameters": { "output": shop::carried_over() } },
        ],
        "connections": { "Webhook": { "main": [[{ "node": "A Odoo", "type": "main", "index": 0 }]] } },
    })
}

/// The containers of the shop's services: its n8n has a worker that is not well until it is restarted.
fn docker_of(tenant_id: &str) -> Docker {
    let docker = Docker::default();
    let run = |service: &str, kind: &str, name: &str, well: Option<bool>| {
        let image = format!("registry.example.cl/{service}");
        let tag = format!("{image}:1.0");
        let mut made = Image::new(&format!("{name:0<64}"));
        if well.is_some() {
            made = made.well(true);
        }
        docker.engine().registry.insert(format!("{image}:latest"), made.clone());
        docker.run(tenant_id, name, (&tag, made), |container| {
            container.label("smarteros.service", service);
            container.label("smarteros.type", kind);
            container.says(0, &format!("{service} listo"));
            container.says(1, "GET / 200");
            if well == Some(false) {
                container.health = Some("unhealthy");
            }
        });
    };
    run("tienda", "frontend", "luna-tienda", Some(true));
    run("n8n", "backend", "luna-n8n", Some(true));
    run("n8n", "backend", "luna-n8n-worker", Some(false));
    run("odoo", "backend", "luna-odoo", Some(true));
    run("postgres", "infrastructure", "luna-postgres", None);
    docker
}
