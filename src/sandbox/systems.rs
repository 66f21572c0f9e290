//! The systems of the played shop, all of them, and how a tenant connects them: what the demo and the tests of all tools start with.

use serde_json::{Value, json};

use super::{
    Vendors,
    docker::{Docker, Image},
    n8n, prometheus, shop,
};

/// One tenant's systems.
#[derive(Clone)]
pub struct Systems {
    pub n8n: n8n::Sandbox,
    pub docker: Docker,
    pub prometheus: prometheus::Prometheus,
    /// The bodies of `PUT /connections/{backend}`, by backend.
    pub connections: Vec<(&'static str, Value)>,
}

impl Systems {
    /// Plays all of a tenant's systems under host names of its own.
    pub fn play(vendors: &Vendors, tenant_id: &str, slug: &str) -> Self {
        let mut connections = Vec::new();
        let mut connect = |backend: &'static str, router, credential: Value, aliases: Value| {
            let url = vendors.play(&format!("{backend}.{slug}"), router);
            let settings = json!({ "aliases": aliases });
            connections.push((backend, json!({ "url": url, "credential": credential, "settings": settings })));
        };

        let n8n = n8n::Sandbox::new(&format!("n8n-key-of-{slug}")).with_mcp_token("sandbox-mcp-token");
        n8n.demo_workflows();
        n8n.add_workflow(order_workflow());
        let carried = n8n.run(ORDER_WORKFLOW).unwrap_or_default();
        connect(
            "n8n",
            n8n.router(),
            json!({ "api_key": format!("n8n-key-of-{slug}"), "mcp_token": "sandbox-mcp-token" }),
            json!({ "exec_abc123": carried }),
        );

        let docker = docker_of(tenant_id);
        connect("docker", docker.router(), json!({}), json!({}));

        let prometheus = prometheus::Prometheus::default();
        connect("prometheus", prometheus.router(), json!({}), json!({}));

        Self {
            n8n,
            docker,
            prometheus,
            connections,
        }
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
