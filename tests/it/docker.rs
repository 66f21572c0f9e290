//! The services and containers of tenants that share a Docker, which is played here (`src/sandbox/docker.rs`).

use std::{path::PathBuf, time::Duration};

use axum::Router;
use http::Method;
use serde_json::{Value, json};
use smartermcp::sandbox::docker::{Docker, Fault, Image};

use crate::app::{App, Tenant, User};

const SCOPES: &[&str] = &["write:services", "write:workflows"];

/// Two tenants whose connections lead to one Docker.
struct Shared {
    app: App,
    docker: Docker,
    luna: Tenant,
    user: User,
    sol: Tenant,
    other: User,
}

async fn connect(app: &App, tenant: &Tenant, credential: Value) {
    let url = format!("http://docker.vendors.test:{}", app.vendors.address().port());
    app.operator()
        .for_tenant(&tenant.id)
        .put("/api/v1/connections/docker", json!({ "url": url, "credential": credential }))
        .await
        .assert_status(200);
}

async fn shared() -> Shared {
    let app = App::start().await;
    let docker = Docker::default();
    app.vendors.play("docker", docker.router());
    let (luna, sol) = (app.tenant("luna").await, app.tenant("sol").await);
    for tenant in [&luna, &sol] {
        connect(&app, tenant, json!({})).await;
    }
    let (user, other) = (app.tireless(&luna, SCOPES).await, app.tireless(&sol, SCOPES).await);
    Shared {
        app,
        docker,
        luna,
        user,
        sol,
        other,
    }
}

/// A shop of luna's, version 1, well.
fn shop(shared: &Shared) -> String {
    let id = shared.docker.run_service(
        &shared.luna.id,
        "tienda",
        "tienda-1",
        ("registry.test/tienda:1", Image::new("one").well(true)),
    );
    shared
        .docker
        .engine()
        .registry
        .insert("registry.test/tienda:2".to_owned(), Image::new("two").well(true));
    id
}

async fn deploy(user: &User, version: &str) -> Value {
    let reply = user.post("/api/v1/services/tienda/deploy", json!({ "version": version })).await;
    reply.assert_status(200).json.clone()
}

fn ids(listed: &Value, list: &str, id: &str) -> Vec<String> {
    let items = listed[list].as_array().unwrap();
    items.iter().map(|item| item[id].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn containers_with_the_tenants_label_are_its_services_on_both_doors() {
    let shared = shared().await;
    shop(&shared);
    let docker = &shared.docker;
    docker.run_service(&shared.luna.id, "tienda", "tienda-2", ("registry.test/tienda:1", Image::new("one")));
    docker.run(&shared.luna.id, "web", ("nginx:1", Image::new("n")), |container| {
        container.label("smarteros.service", "web");
        container.label("smarteros.type", "frontend");
        container.label("smarteros.url", "https://luna.example.cl");
        (container.state, container.exit_code) = ("exited", 0);
    });
    docker.run(&shared.luna.id, "cron", ("cron:1", Image::new("c").exits()), |container| {
        container.label("smarteros.service", "cron");
    });
    docker.run(&shared.luna.id, "no-service", ("x:1", Image::new("x")), |_| {});
    docker.run_service(&shared.sol.id, "secret", "sols", ("y:1", Image::new("y")));
    let listed = shared.user.get("/api/v1/services").await;
    assert_eq!(
        listed.json["services"],
        json!([
            { "id": "cron", "name": "cron", "type": null, "status": "error", "url": null, "health": "down", "unavailable": ["type", "url"] },
            { "id": "tienda", "name": "tienda", "type": "backend", "status": "active", "url": null, "health": "healthy", "unavailable": ["url"] },
            { "id": "web", "name": "web", "type": "frontend", "status": "inactive", "url": "https://luna.example.cl", "health": "down" },
        ])
    );
    assert_eq!(shared.user.call("services_list", json!({})).await.content(), &listed.json);
    let ids_of = async |query: &str| {
        let listed = shared.user.get(&format!("/api/v1/services?{query}")).await;
        ids(&listed.assert_status(200).json, "services", "id")
    };
    assert_eq!(ids_of("filter=frontend").await, ["web"]);
    assert_eq!(ids_of("status=error").await, ["cron"]);
    assert_eq!(ids_of("filter=backend&status=inactive").await, [""; 0]);
    shared
        .user
        .get("/api/v1/services?filter=secret")
        .await
        .assert_problem(422, "invalid_input");
    assert_eq!(
        docker.engine().versions.iter().map(String::as_str).collect::<Vec<_>>(),
        ["1.41"],
        "what Docker offered is spoken"
    );
}

#[tokio::test]
async fn lists_come_in_pages_and_a_cursor_is_one_tenants_and_one_lists() {
    let shared = shared().await;
    for number in 0..5 {
        let name = format!("c{number}");
        shared.docker.run_service(&shared.luna.id, &name, &name, ("x:1", Image::new("x")));
    }
    for (path, list, id) in [
        ("/api/v1/services", "services", "id"),
        ("/api/v1/services/health", "services", "service_id"),
        ("/api/v1/containers", "containers", "name"),
    ] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = shared.user.get(&format!("{path}?limit=2{cursor}")).await;
            seen.extend(ids(&page.assert_status(200).json, list, id));
            match page.json["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["c0", "c1", "c2", "c3", "c4"], "{path}");
        shared.other.get(&format!("{path}?limit=2{cursor}")).await.assert_status(422);
    }
    shared.user.get("/api/v1/containers?limit=201").await.assert_status(422);
}

#[tokio::test]
async fn containers_are_listed_with_their_state_uptime_and_ports() {
    let shared = shared().await;
    let docker = &shared.docker;
    docker.run(&shared.luna.id, "web", ("nginx:1", Image::new("n").well(true)), |container| {
        container.started = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(3600);
        container.ports = json!([
            { "IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp" },
            { "PrivatePort": 443, "Type": "tcp" },
        ]);
    });
    docker.run(&shared.luna.id, "failed", ("x:1", Image::new("x").exits()), |_| {});
    docker.run(&shared.luna.id, "sick", ("x:2", Image::new("x2").well(false)), |_| {});
    docker.run(&shared.luna.id, "done", ("x:3", Image::new("x3")), |container| {
        container.state = "exited"
    });
    docker.run(&shared.luna.id, "loops", ("x:4", Image::new("x4")), |container| {
        container.state = "restarting"
    });
    let listed = shared.user.get("/api/v1/containers").await;
    let web = &listed.assert_status(200).json["containers"][4];
    let uptime = web["uptime"].as_u64().unwrap();
    assert!((3600..3700).contains(&uptime), "{web}");
    assert_eq!(web["ports"], json!(["0.0.0.0:8080->80/tcp", "443/tcp"]));
    assert_eq!(
        (&web["status"], &web["health"], &web["image"]),
        (&json!("running"), &json!("healthy"), &json!("nginx:1"))
    );
    let failed = &listed.json["containers"][1];
    assert_eq!((&failed["uptime"], &failed["unavailable"]), (&Value::Null, &json!(["uptime"])));
    for (filter, expected) in [
        ("running", vec!["sick", "web"]),
        ("stopped", vec!["done"]),
        ("error", vec!["failed", "loops", "sick"]),
        ("all", vec!["done", "failed", "loops", "sick", "web"]),
    ] {
        let listed = shared.user.get(&format!("/api/v1/containers?filter={filter}")).await;
        assert_eq!(ids(&listed.json, "containers", "name"), expected, "{filter}");
        let of_mcp = shared.user.call("containers_list", json!({ "filter": filter })).await;
        assert_eq!(of_mcp.content(), &listed.json);
    }
}

#[tokio::test]
async fn another_tenants_container_is_not_found_by_id_prefix_or_name_and_nothing_is_asked_of_it() {
    let shared = shared().await;
    let id = shop(&shared);
    for fault in [Fault::None, Fault::NoFilter] {
        shared.docker.fails(fault);
        for named in [id.as_str(), &id[..12], "tienda-1", "never-there"] {
            let refused = shared.other.post(&format!("/api/v1/containers/{named}/restart"), json!({})).await;
            refused.assert_problem(404, "not_found");
            let words = refused.json["detail"].as_str().unwrap().replace(named, "X");
            assert_eq!(words, "container_id: this tenant has no container 'X'; containers_list names them");
            assert!(
                shared
                    .other
                    .call("containers_restart", json!({ "container_id": named }))
                    .await
                    .tool_error()
                    .contains("no container")
            );
        }
        for (method, path) in [
            (Method::POST, "/api/v1/services/tienda/deploy"),
            (Method::POST, "/api/v1/services/tienda/restart"),
            (Method::GET, "/api/v1/services/tienda/logs"),
            (Method::GET, "/api/v1/services/health?service_id=tienda"),
        ] {
            let body = (method == Method::POST).then(|| "{}".to_owned());
            shared.other.send(method, path, body).await.assert_problem(404, "not_found");
        }
        assert_eq!(shared.other.get("/api/v1/containers").await.json["containers"], json!([]));
        assert_eq!(shared.other.get("/api/v1/services").await.json["services"], json!([]));
    }
    assert_eq!(shared.docker.writes(), [""; 0]);
    let calls = shared.docker.engine().calls.clone();
    assert!(!calls.iter().any(|call| call.contains(&id) || call.contains("tienda")), "{calls:?}");
}

#[tokio::test]
async fn a_slug_in_the_label_gives_nobody_anything() {
    let shared = shared().await;
    shared.docker.run_service("luna", "tienda", "tienda-1", ("x:1", Image::new("x")));
    assert_eq!(shared.user.get("/api/v1/containers").await.json["containers"], json!([]));
}

#[tokio::test]
async fn what_is_no_name_of_a_container_is_refused_before_docker_is_asked() {
    let shared = shared().await;
    for bad in ["../version", "a/b", "a?b", "", "-x", &"x".repeat(200)] {
        let refused = shared.user.call("containers_restart", json!({ "container_id": bad })).await;
        assert!(refused.tool_error().contains("container_id"), "{bad}");
    }
    assert_eq!(shared.docker.engine().calls, [""; 0]);
}

#[tokio::test]
async fn a_container_is_restarted_by_id_prefix_and_name() {
    let shared = shared().await;
    let id = shop(&shared);
    for named in [id.as_str(), &id[..12], "tienda-1"] {
        let restarted = shared.user.post(&format!("/api/v1/containers/{named}/restart"), json!({})).await;
        restarted.assert_status(200);
        assert_eq!(restarted.json["container_id"], id);
        assert_eq!(restarted.json["status"], "restarted");
    }
    let restarted = shared.user.call("containers_restart", json!({ "container_id": "tienda-1" })).await;
    assert_eq!(restarted.content()["status"], "restarted");
    assert_eq!(shared.docker.engine().named("tienda-1").restarts, 4);
}

#[tokio::test]
async fn a_container_that_does_not_come_up_again_is_a_failed_restart() {
    let shared = shared().await;
    shared.docker.run(&shared.luna.id, "shaky", ("x:1", Image::new("x")), |container| {
        container.image.exits = true
    });
    let restarted = shared.user.post("/api/v1/containers/shaky/restart", json!({})).await;
    assert_eq!(restarted.assert_status(200).json["status"], "failed");
    assert_eq!(restarted.json["error"], "it is exited (exit code 1)");
    shared.docker.fails(Fault::StartFails("shaky"));
    let restarted = shared.user.post("/api/v1/containers/shaky/restart", json!({})).await;
    assert_eq!(restarted.json["status"], "failed");
    assert!(restarted.json["error"].as_str().unwrap().contains("port is already allocated"));
}

#[tokio::test]
async fn a_service_is_restarted_whole_and_its_health_is_asked_at_once() {
    let shared = shared().await;
    shop(&shared);
    shared.docker.run_service(
        &shared.luna.id,
        "tienda",
        "tienda-2",
        ("registry.test/tienda:1", Image::new("one").well(true)),
    );
    let earlier = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(100);
    shared.docker.engine().named("tienda-1").started = earlier;
    let restarted = shared.user.post("/api/v1/services/tienda/restart", json!({})).await;
    assert_eq!(restarted.assert_status(200).json["new_status"], "running");
    assert!(restarted.json["previous_uptime"].as_u64().unwrap() < 100);
    let health = shared.user.get("/api/v1/services/health?service_id=tienda").await;
    assert_eq!(health.json["services"][0]["status"], "healthy");
    assert!(health.json["services"][0]["uptime"].as_u64().unwrap() < 50);
    assert_eq!(health.json["services"][0]["unavailable"], json!(["response_time"]));
    shared.docker.engine().named("tienda-2").image.gets_well = Some(false);
    let restarted = shared.user.call("services_restart", json!({ "service_id": "tienda" })).await;
    assert_eq!(restarted.content()["new_status"], "failed");
    assert_eq!(restarted.content()["error"], "tienda-2: its health check fails: cannot connect");
    let health = shared.user.call("services_health", json!({})).await;
    assert_eq!(health.content()["services"][0]["status"], "degraded");
    assert_eq!(
        health.content()["services"][0]["error"],
        "tienda-2: its health check fails: cannot connect"
    );
}

#[tokio::test]
async fn a_deployed_version_takes_the_old_ones_place() {
    let shared = shared().await;
    let old = shop(&shared);
    {
        let mut engine = shared.docker.engine();
        let container = engine.named("tienda-1");
        container.host_config = json!({ "NetworkMode": "luna", "Memory": 64_000_000, "Binds": ["/srv/luna:/data"] });
        container.networks = json!({ "luna": { "Aliases": ["tienda"] }, "shared": { "Aliases": null } });
        container.config.insert("Env".to_owned(), json!(["PATH=/bin", "KEY=own"]));
    }
    let deployed = deploy(&shared.user, "2").await;
    assert_eq!(
        (&deployed["status"], &deployed["unchanged"]),
        (&json!("deployed"), &json!(false)),
        "{deployed}"
    );
    assert_eq!((&deployed["service_id"], &deployed["version"]), (&json!("tienda"), &json!("2")));
    let logs = deployed["logs_url"].as_str().unwrap();
    assert_eq!(logs, format!("{}/api/v1/services/tienda/logs", shared.app.base()));
    let audited = shared.app.audited(&shared.luna, "services_deploy").await;
    assert_eq!(audited[0]["id"], deployed["deployment_id"]);
    assert_eq!(shared.docker.names(), [("tienda-1".to_owned(), "sha256:two".to_owned(), "running")]);
    let writes: Vec<_> = shared
        .docker
        .writes()
        .iter()
        .map(|call| call.replace(&old, "OLD").split("?t=").next().unwrap().to_owned())
        .collect();
    let new = shared.docker.engine().named("tienda-1").id.clone();
    let writes: Vec<_> = writes.iter().map(|call| call.replace(&new, "NEW")).collect();
    assert_eq!(
        writes,
        [
            "POST /images/create?fromImage=registry.test%2Ftienda&tag=2",
            "POST /containers/create?name=tienda-1-new",
            "POST /networks/shared/connect?",
            "POST /containers/OLD/stop",
            "POST /containers/OLD/rename?name=tienda-1-old",
            "POST /containers/NEW/rename?name=tienda-1",
            "POST /containers/NEW/start?",
            "DELETE /containers/OLD?force=1&v=0",
        ]
    );
    {
        let mut engine = shared.docker.engine();
        let container = engine.named("tienda-1");
        assert_eq!(container.host_config["Memory"], 64_000_000);
        assert_eq!(container.host_config["Binds"], json!(["/srv/luna:/data"]));
        assert_eq!(container.config["Env"], json!(["KEY=own", "PATH=/bin"]));
        assert_eq!(
            container.config["Healthcheck"]["Test"][2], "sha256:two",
            "the new image's own check"
        );
        assert_eq!(container.labelled("smarteros.tenant"), shared.luna.id);
        assert_eq!(container.labelled("smarteros.service"), "tienda");
        assert_eq!(container.labelled("smarteros.version"), "2");
    }
    // The same again is nothing to do, unless it is forced.
    let again = shared
        .user
        .call("services_deploy", json!({ "service_id": "tienda", "version": "2" }))
        .await;
    assert_eq!(
        (&again.content()["status"], &again.content()["unchanged"]),
        (&json!("deployed"), &json!(true))
    );
    assert_eq!(shared.docker.engine().named("tienda-1").id, new);
    let forced = json!({ "service_id": "tienda", "version": "2", "force": true });
    let forced = shared.user.call("services_deploy", forced).await;
    assert_eq!(
        (&forced.content()["status"], &forced.content()["unchanged"]),
        (&json!("deployed"), &json!(false))
    );
    assert_ne!(shared.docker.engine().named("tienda-1").id, new);
}

#[tokio::test]
async fn a_version_that_does_not_get_well_is_turned_back() {
    let shared = shared().await;
    let old = shop(&shared);
    for (version, image, why) in [
        (
            "sick",
            Image::new("sick").well(false),
            "tienda-1: its health check fails: cannot connect",
        ),
        ("dies", Image::new("dies").exits(), "tienda-1: it is exited (exit code 1)"),
    ] {
        shared
            .docker
            .engine()
            .registry
            .insert(format!("registry.test/tienda:{version}"), image);
        let failed = deploy(&shared.user, version).await;
        assert_eq!((&failed["status"], &failed["error"]), (&json!("failed"), &json!(why)), "{failed}");
        assert_eq!(shared.docker.names(), [("tienda-1".to_owned(), "sha256:one".to_owned(), "running")]);
        assert_eq!(shared.docker.engine().named("tienda-1").id, old);
    }
    let health = shared.user.get("/api/v1/services/health").await;
    assert_eq!(health.json["services"][0]["status"], "healthy");
}

#[tokio::test]
async fn of_several_containers_all_are_deployed_or_none() {
    let shared = shared().await;
    shop(&shared);
    shared.docker.run_service(
        &shared.luna.id,
        "tienda",
        "tienda-2",
        ("registry.test/tienda:1", Image::new("one").well(true)),
    );
    shared.docker.fails(Fault::StartFails("tienda-2"));
    let failed = deploy(&shared.user, "2").await;
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("port is already allocated"), "{failed}");
    let both = ["tienda-1", "tienda-2"].map(|name| (name.to_owned(), "sha256:one".to_owned(), "running"));
    assert_eq!(shared.docker.names(), both);
    assert_eq!(deploy(&shared.user, "2").await["status"], "deployed");
    let both = ["tienda-1", "tienda-2"].map(|name| (name.to_owned(), "sha256:two".to_owned(), "running"));
    assert_eq!(shared.docker.names(), both);
}

#[tokio::test]
async fn an_error_line_in_a_pull_that_answered_200_is_a_failed_deployment() {
    let shared = shared().await;
    shop(&shared);
    let before = shared.docker.names();
    shared.docker.fails(Fault::PullErrorLine);
    let failed = deploy(&shared.user, "9").await;
    assert_eq!(failed["status"], "failed");
    assert!(failed["error"].as_str().unwrap().contains("manifest unknown"), "{failed}");
    shared.docker.fails(Fault::None);
    let failed = deploy(&shared.user, "9").await;
    assert!(failed["error"].as_str().unwrap().contains("manifest unknown"), "{failed}");
    assert_eq!(shared.docker.names(), before);
    // What is here already may be deployed without the registry, and that is said.
    shared
        .docker
        .engine()
        .images
        .insert("registry.test/tienda:9".to_owned(), Image::new("nine").well(true));
    let deployed = deploy(&shared.user, "9").await;
    assert_eq!(deployed["status"], "deployed");
    assert!(
        deployed["note"].as_str().unwrap().contains("the one that is here was taken"),
        "{deployed}"
    );
}

#[tokio::test]
async fn a_deployment_that_died_in_the_middle_is_settled_by_the_next() {
    for (in_place, well, image) in [(false, true, "sha256:one"), (true, false, "sha256:one"), (true, true, "sha256:two")] {
        let shared = shared().await;
        let old = shop(&shared);
        let until = (jiff::Timestamp::now().as_millisecond() + 60_000).to_string();
        let new_name = if in_place { "tienda-1" } else { "tienda-1-new" };
        {
            let mut engine = shared.docker.engine();
            let container = engine.named("tienda-1");
            (container.state, container.health) = ("exited", None);
            if in_place {
                container.name = "tienda-1-old".to_owned();
            }
        }
        let two = Image::new("two").well(well);
        shared
            .docker
            .run(&shared.luna.id, new_name, ("registry.test/tienda:2", two), |container| {
                container.label("smarteros.service", "tienda");
                container.label("smarteros.replaces", &old);
                container.label("smarteros.name", "tienda-1");
                container.label("smarteros.was", "running");
                container.label("smarteros.until", &until);
            });
        let listed = shared.user.get("/api/v1/services").await;
        assert_eq!(listed.json["services"].as_array().unwrap().len(), 1);
        assert_eq!(listed.json["services"][0]["unfinished_deployment"], true);
        // Somebody may still be at it.
        let refused = shared.user.post("/api/v1/services/tienda/deploy", json!({ "version": "1" })).await;
        refused.assert_problem(409, "deployment_running");
        assert_eq!(shared.docker.engine().containers.len(), 2);
        shared.app.clock.advance(Duration::from_secs(120));
        // A version that is not to be had: what is seen afterwards is the settling alone.
        assert_eq!(deploy(&shared.user, "404").await["status"], "failed");
        assert_eq!(shared.docker.names(), [("tienda-1".to_owned(), image.to_owned(), "running")]);
        let listed = shared.user.get("/api/v1/services").await;
        assert_eq!(listed.json["services"][0].get("unfinished_deployment"), None);
    }
}

#[tokio::test]
async fn two_deployments_of_one_service_at_once_are_one_deployment() {
    let shared = shared().await;
    shop(&shared);
    // The name of the new container is the lock: here somebody on another replica has it.
    shared.docker.run(&shared.luna.id, "tienda-1-new", ("x:1", Image::new("x")), |_| {});
    let refused = shared.user.post("/api/v1/services/tienda/deploy", json!({ "version": "2" })).await;
    refused.assert_problem(409, "deployment_running");
    assert_eq!(shared.docker.engine().named("tienda-1").image.id, "sha256:one");
    assert_eq!(shared.docker.engine().named("tienda-1").state, "running");
}

#[tokio::test]
async fn what_can_not_be_turned_back_is_an_error_and_never_a_success() {
    let shared = shared().await;
    shop(&shared);
    shared.docker.fails(Fault::DownFrom("/rename"));
    let stuck = shared.user.post("/api/v1/services/tienda/deploy", json!({ "version": "2" })).await;
    stuck.assert_problem(502, "deployment_stuck");
    assert_eq!(stuck.json["retryable"], false);
    // When Docker is back, the next deployment puts things right first.
    shared.docker.fails(Fault::None);
    shared.app.clock.advance(Duration::from_secs(200));
    let deployed = deploy(&shared.user, "2").await;
    assert_eq!(deployed["status"], "deployed", "{deployed}");
    assert_eq!(shared.docker.names(), [("tienda-1".to_owned(), "sha256:two".to_owned(), "running")]);
}

#[tokio::test]
async fn an_old_container_that_cannot_be_removed_is_told() {
    let shared = shared().await;
    shop(&shared);
    shared.docker.fails(Fault::RemoveFails("tienda-1-old"));
    let deployed = deploy(&shared.user, "2").await;
    assert_eq!(deployed["status"], "deployed");
    assert!(
        deployed["note"].as_str().unwrap().contains("'tienda-1-old' could not be removed"),
        "{deployed}"
    );
}

#[tokio::test]
async fn a_caller_chooses_a_version_and_never_an_image() {
    let shared = shared().await;
    shop(&shared);
    for version in ["2@sha256:abc", "../evil", "a b", "x/y:1", ""] {
        let refused = shared
            .user
            .call("services_deploy", json!({ "service_id": "tienda", "version": version }))
            .await;
        assert!(refused.tool_error().contains("version"), "{version}");
    }
    assert_eq!(shared.docker.writes(), [""; 0]);
    shared.docker.engine().named("tienda-1").host_config = json!({ "AutoRemove": true });
    let refused = shared.user.post("/api/v1/services/tienda/deploy", json!({})).await;
    refused.assert_problem(409, "not_deployable");
}

#[tokio::test]
async fn a_login_goes_to_its_own_registry_only() {
    let shared = shared().await;
    shop(&shared);
    let login = json!({ "username": "luna", "password": "s3cret", "server": "registry.test" });
    connect(&shared.app, &shared.luna, json!({ "registry_auth": login })).await;
    deploy(&shared.user, "2").await;
    let elsewhere = json!({ "username": "luna", "password": "s3cret", "server": "ghcr.io" });
    connect(&shared.app, &shared.luna, json!({ "registry_auth": elsewhere })).await;
    deploy(&shared.user, "2").await;
    let logins = shared.docker.engine().logins.clone();
    use base64::{Engine as _, engine::general_purpose::URL_SAFE};
    let shown: Value = serde_json::from_slice(&URL_SAFE.decode(&logins[0]).unwrap()).unwrap();
    assert_eq!(
        shown,
        json!({ "username": "luna", "password": "s3cret", "serveraddress": "registry.test" })
    );
    assert_eq!(logins[1], "");
}

#[tokio::test]
async fn logs_are_the_last_lines_cleaned_and_say_when_there_are_more() {
    let shared = shared().await;
    shop(&shared);
    {
        let mut engine = shared.docker.engine();
        let container = engine.named("tienda-1");
        for second in 0..5 {
            container.says(second, &format!("\u{1b}[32mline {second}\u{1b}[0m"));
        }
    }
    let path = "/api/v1/services/tienda/logs";
    let logs = shared.user.get(&format!("{path}?lines=2")).await;
    assert_eq!(
        logs.assert_status(200).json,
        json!({ "service_id": "tienda", "lines": ["line 3", "line 4"], "truncated": true })
    );
    let all = shared.user.call("services_logs", json!({ "service_id": "tienda" })).await;
    assert_eq!(all.content()["lines"].as_array().unwrap().len(), 5);
    assert_eq!(all.content()["truncated"], false);
    shared
        .docker
        .engine()
        .named("tienda-1")
        .config
        .insert("Tty".to_owned(), json!(true));
    assert_eq!(
        shared.user.get(&format!("{path}?lines=2")).await.json["lines"],
        json!(["line 3", "line 4"])
    );
    shared.user.get(&format!("{path}?lines=0")).await.assert_status(422);
    shared.user.get(&format!("{path}?lines=5001")).await.assert_status(422);
}

#[tokio::test]
async fn lines_of_several_containers_are_in_the_order_of_time() {
    let shared = shared().await;
    shop(&shared);
    shared
        .docker
        .run_service(&shared.luna.id, "tienda", "tienda-2", ("registry.test/tienda:1", Image::new("one")));
    {
        let mut engine = shared.docker.engine();
        engine.named("tienda-1").says(1, "first");
        engine.named("tienda-2").says(2, "second");
        engine.named("tienda-1").says(3, "third");
    }
    let logs = shared.user.get("/api/v1/services/tienda/logs").await;
    assert_eq!(
        logs.json["lines"],
        json!(["tienda-1 | first", "tienda-2 | second", "tienda-1 | third"])
    );
}

#[tokio::test]
async fn huge_logs_are_cut_and_a_lying_frame_is_no_log() {
    let shared = shared().await;
    shop(&shared);
    {
        let mut engine = shared.docker.engine();
        let container = engine.named("tienda-1");
        for second in 0..50 {
            container.says(second, &"x".repeat(100_000));
        }
        container.says(51, "the last");
    }
    let logs = shared.user.get("/api/v1/services/tienda/logs?lines=5000").await;
    let lines = logs.assert_status(200).json["lines"].as_array().unwrap();
    assert_eq!(logs.json["truncated"], true);
    assert_eq!(
        (lines.last().unwrap(), lines[0].as_str().unwrap().len()),
        (&json!("the last"), 8192)
    );
    for fault in [Fault::LyingFrame, Fault::NoFrames, Fault::Html] {
        shared.docker.fails(fault);
        let refused = shared.user.get("/api/v1/services/tienda/logs?lines=1").await;
        refused.assert_problem(502, "backend_refused");
    }
}

#[tokio::test]
async fn followed_logs_are_events_in_rest_and_progress_in_mcp() {
    let shared = shared().await;
    shop(&shared);
    {
        let mut engine = shared.docker.engine();
        let container = engine.named("tienda-1");
        container.says(1, "before");
        container.log_later = vec!["after".to_owned(), "later".to_owned()];
    }
    let path = "/api/v1/services/tienda/logs?follow=true";
    let stream = shared.user.get(path).await;
    stream.assert_status(200);
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let events: Vec<_> = stream.text.split("\n\n").filter(|event| event.starts_with("event: ")).collect();
    assert_eq!(
        events,
        [
            "event: line\ndata: before",
            "event: line\ndata: after",
            "event: line\ndata: later",
            "event: end\ndata: {\"service_id\":\"tienda\",\"lines\":[\"before\",\"after\",\"later\"],\"truncated\":false}",
        ]
    );
    let by_name = shared
        .user
        .post("/api/v1/tools/services_logs", json!({ "service_id": "tienda", "follow": true }))
        .await;
    assert!(by_name.text.ends_with(&format!("{}\n\n", events[3])));
    // Who takes JSON only gets the lines at the end, as one answer.
    let whole = shared.user.with_header("accept", "application/json").get(path).await;
    assert_eq!(whole.json["lines"], json!(["before", "after", "later"]));
    // Without follow there is nothing to stream.
    assert_eq!(
        shared.user.get("/api/v1/services/tienda/logs").await.header("content-type"),
        "application/json"
    );
    // What fails before the first line has a status of its own.
    shared
        .user
        .get("/api/v1/services/none/logs?follow=true")
        .await
        .assert_problem(404, "not_found");

    let arguments = json!({ "service_id": "tienda", "follow": true });
    let params = json!({ "name": "services_logs", "arguments": arguments, "_meta": { "progressToken": "t" } });
    let told = shared.user.mcp("tools/call", params).await;
    let messages = told.messages();
    let lines: Vec<_> = messages
        .iter()
        .filter(|message| message["method"] == "notifications/progress")
        .map(|message| {
            (
                message["params"]["progress"].as_u64().unwrap(),
                message["params"]["message"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(lines, [(1, "before"), (2, "after"), (3, "later")]);
    assert_eq!(
        messages.last().unwrap()["result"]["structuredContent"]["lines"],
        json!(["before", "after", "later"])
    );
    let quiet = shared.user.call("services_logs", arguments).await;
    assert_eq!(quiet.content()["lines"], json!(["before", "after", "later"]));
}

#[tokio::test]
async fn a_stream_that_breaks_says_so_before_its_end() {
    let shared = shared().await;
    shop(&shared);
    shared.docker.engine().named("tienda-1").says(1, "before");
    shared.docker.fails(Fault::LyingFrame);
    let stream = shared.user.get("/api/v1/services/tienda/logs?follow=true").await;
    let events: Vec<_> = stream.text.split("\n\n").filter(|event| event.starts_with("event: ")).collect();
    assert_eq!(events[0], "event: line\ndata: before");
    let problem: Value = serde_json::from_str(events[1].strip_prefix("event: error\ndata: ").unwrap()).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&json!(502), &json!("backend_refused")));
    assert_eq!(events[2], "event: end\ndata: {}");
}

#[tokio::test]
async fn registered_services_are_the_list_and_their_own_answer_is_asked() {
    let shared = shared().await;
    shop(&shared);
    let admin = shared.app.user(&shared.luna, &["admin:tenants"]).await;
    let page = Router::new()
        .route("/up", axum::routing::get(|| async { "well" }))
        .route("/down", axum::routing::get(|| async { http::StatusCode::SERVICE_UNAVAILABLE }));
    let base = shared.app.vendors.play("pages", page);
    let register = async |id: &str, body: Value| admin.put(&format!("/api/v1/services/{id}"), body).await;
    let set = register(
        "shop",
        json!({ "name": "Tienda", "type": "frontend", "url": "https://luna.example.cl", "container": "tienda", "health_url": format!("{base}/up") }),
    )
    .await;
    assert_eq!(set.assert_status(200).json["container"], "tienda");
    register("blog", json!({ "type": "frontend", "health_url": format!("{base}/down") }))
        .await
        .assert_status(200);
    register("paper", json!({ "type": "infrastructure" })).await.assert_status(200);
    let listed = shared.user.get("/api/v1/services").await;
    assert_eq!(
        listed.assert_status(200).json["services"],
        json!([
            { "id": "blog", "name": "blog", "type": "frontend", "status": "error", "url": null, "health": "down", "unavailable": ["url"] },
            { "id": "paper", "name": "paper", "type": "infrastructure", "status": null, "url": null, "health": null, "unavailable": ["status", "url", "health"] },
            { "id": "shop", "name": "Tienda", "type": "frontend", "status": "active", "url": "https://luna.example.cl", "health": "healthy" },
        ])
    );
    let health = shared.user.get("/api/v1/services/health").await;
    let services = health.assert_status(200).json["services"].as_array().unwrap();
    assert_eq!(
        (&services[0]["status"], &services[0]["error"]),
        (&json!("down"), &json!("its health_url answers HTTP 503"))
    );
    assert_eq!(
        (&services[1]["status"], &services[1]["unavailable"]),
        (&Value::Null, &json!(["status", "uptime", "response_time"]))
    );
    assert_eq!(
        (&services[2]["status"], services[2]["response_time"].is_u64()),
        (&json!("healthy"), true)
    );
    register(
        "shop",
        json!({ "type": "frontend", "container": "tienda", "health_url": format!("{base}/down") }),
    )
    .await
    .assert_status(200);
    let health = shared.user.get("/api/v1/services/health?service_id=shop").await;
    assert_eq!(health.json["services"][0]["status"], "degraded");
    shared
        .user
        .post("/api/v1/services/paper/restart", json!({}))
        .await
        .assert_problem(409, "no_containers");
    // A registered service is deployed from the registered image, which the operator chose.
    let other = json!({ "type": "frontend", "container": "tienda-1", "image": "registry.test/other" });
    register("shop", other.clone()).await.assert_problem(403, "operator_only");
    let operator = shared.app.operator().for_tenant(&shared.luna.id);
    operator.put("/api/v1/services/shop", other).await.assert_status(200);
    shared
        .docker
        .engine()
        .registry
        .insert("registry.test/other:1".to_owned(), Image::new("other").well(true));
    let deployed = shared.user.post("/api/v1/services/shop/deploy", json!({ "version": "1" })).await;
    assert_eq!(deployed.assert_status(200).json["status"], "deployed", "{}", deployed.text);
    assert_eq!(
        shared.docker.names(),
        [("tienda-1".to_owned(), "sha256:other".to_owned(), "running")]
    );
    // The other tenant's registry is another one; and without any, the labels speak again.
    shared.other.get("/api/v1/services").await.assert_status(200);
    for id in ["blog", "paper", "shop"] {
        admin.delete(&format!("/api/v1/services/{id}")).await.assert_status(204);
    }
    admin.delete("/api/v1/services/shop").await.assert_problem(404, "not_found");
    assert_eq!(ids(&shared.user.get("/api/v1/services").await.json, "services", "id"), ["tienda"]);
}

#[tokio::test]
async fn a_registry_needs_no_docker_and_what_is_wrong_in_it_is_refused() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.tireless(&tenant, SCOPES).await;
    user.get("/api/v1/services").await.assert_problem(409, "not_connected");
    let admin = app.user(&tenant, &["admin:tenants"]).await;
    for (id, body, field) in [
        ("Tienda", json!({ "type": "backend" }), "service_id"),
        ("tienda", json!({}), "type"),
        ("tienda", json!({ "type": "database" }), "type"),
        (
            "tienda",
            json!({ "type": "backend", "health_url": "http://169.254.169.254/" }),
            "health_url",
        ),
        (
            "tienda",
            json!({ "type": "backend", "health_url": "file:///etc/passwd" }),
            "health_url",
        ),
        ("tienda", json!({ "type": "backend", "url": "javascript:x" }), "url"),
        ("tienda", json!({ "type": "backend", "image": "../x:1" }), "image"),
        ("tienda", json!({ "type": "backend", "container": "a/b" }), "container"),
    ] {
        let refused = admin.put(&format!("/api/v1/services/{id}"), body.clone()).await;
        refused.assert_status(422);
        assert!(refused.json["detail"].as_str().unwrap().contains(field), "{body}: {}", refused.text);
    }
    let set = admin
        .call("services_set", json!({ "service_id": "tienda", "type": "backend" }))
        .await;
    assert_eq!(set.content()["tenant_id"], tenant.id);
    assert_eq!(ids(&user.get("/api/v1/services").await.json, "services", "id"), ["tienda"]);
    user.post("/api/v1/services/tienda/restart", json!({}))
        .await
        .assert_problem(409, "not_connected");
    let other = app.tenant("sol").await;
    let elsewhere = json!({ "type": "backend", "tenant_id": other.id });
    admin.put("/api/v1/services/tienda", elsewhere).await.assert_status(404);
}

#[tokio::test]
async fn a_docker_that_is_not_well_is_an_error_on_every_tool() {
    let shared = shared().await;
    shop(&shared);
    for (fault, status, code) in [
        (Fault::Status(401), 502, "credential_refused"),
        (Fault::Html, 502, "backend_refused"),
        (Fault::Status(500), 503, "backend_down"),
    ] {
        // What was learned of the Docker is forgotten with its connection.
        connect(&shared.app, &shared.luna, json!({})).await;
        shared.docker.fails(fault);
        for (method, path) in [
            (Method::GET, "/api/v1/services"),
            (Method::GET, "/api/v1/services/health"),
            (Method::GET, "/api/v1/containers"),
            (Method::GET, "/api/v1/services/tienda/logs"),
            (Method::POST, "/api/v1/services/tienda/restart"),
            (Method::POST, "/api/v1/services/tienda/deploy"),
        ] {
            let body = (method == Method::POST).then(|| "{}".to_owned());
            shared.user.send(method, path, body).await.assert_problem(status, code);
        }
    }
}

#[tokio::test]
async fn a_docker_too_old_or_too_new_is_told_apart_by_the_test_of_its_connection() {
    let shared = shared().await;
    shop(&shared);
    let operator = shared.app.operator().for_tenant(&shared.luna.id);
    let test = async || operator.post("/api/v1/connections/docker/test", json!({})).await;
    let tested = test().await;
    assert_eq!(tested.assert_status(200).json["version"], "20.10.24");
    assert!(tested.json["detail"].as_str().unwrap().ends_with(": 1."), "{}", tested.text);
    for (api, words) in [(("1.24", "1.12"), "upgrade Docker"), (("1.99", "1.90"), "upgrade the gateway")] {
        shared.docker.engine().api = api;
        let refused = test().await;
        refused.assert_problem(502, "version_unsupported");
        assert!(refused.text.contains(words), "{}", refused.text);
    }
}

#[tokio::test]
async fn only_the_operator_connects_a_socket_and_nothing_goes_in_the_clear_to_another_machine() {
    let app = App::with(|config| config.network.allow.push("10.0.0.0/8".parse().unwrap())).await;
    let tenant = app.tenant("luna").await;
    let admin = app.user(&tenant, &["admin:tenants"]).await;
    let path = "/api/v1/connections/docker";
    let with = |url: &str| json!({ "url": url, "credential": {} });
    admin
        .put(path, with("unix:///var/run/docker.sock"))
        .await
        .assert_problem(403, "operator_only");
    let operator = app.operator().for_tenant(&tenant.id);
    let set = operator.put(path, with("unix:///var/run/docker.sock")).await;
    assert_eq!(set.assert_status(200).json["url"], "unix:///var/run/docker.sock");
    for (url, words) in [
        ("unix://var/run/docker.sock", "three slashes"),
        ("unix:///", "three slashes"),
        ("http://10.1.2.3:2375", "use https"),
        ("http://192.0.2.1:2375", "use https"),
        ("ftp://10.1.2.3", "url: must be like"),
        ("https://192.168.0.4:2376", "not a public address"),
        ("tcp://user:pw@10.1.2.3:2376", "user or password"),
    ] {
        let refused = operator.put(path, with(url)).await;
        refused.assert_status(422);
        assert!(refused.text.contains(words), "{url}: {}", refused.text);
    }
    let set = admin.put(path, with("tcp://10.1.2.3:2376")).await;
    assert_eq!(set.assert_status(200).json["url"], "https://10.1.2.3:2376");
    for (credential, words) in [
        (json!({ "ca": "none" }), "credential.ca"),
        (json!({ "client_cert": "c" }), "belong together"),
        (json!({ "client_cert": "c", "client_key": "s3cret" }), "in PEM"),
        (json!({ "password": "s3cret" }), "is no field"),
    ] {
        let refused = admin
            .put(path, json!({ "url": "https://10.1.2.3:2376", "credential": credential }))
            .await;
        refused.assert_status(422);
        assert!(refused.text.contains(words) && !refused.text.contains("s3cret"), "{}", refused.text);
    }
    let refused = operator
        .put(path, json!({ "url": "unix:///var/run/docker.sock", "credential": { "ca": "x" } }))
        .await;
    refused.assert_status(422);
}

/// A socket at which the played Docker is served.
struct Socket {
    path: PathBuf,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.serving.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

#[tokio::test]
async fn a_docker_is_reached_through_its_socket() {
    let shared = shared().await;
    shop(&shared);
    let path = std::env::temp_dir().join(format!("smartermcp-{}.sock", uuid::Uuid::new_v4()));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let router = shared.docker.router();
    let socket = Socket {
        serving: tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }),
        path,
    };
    let operator = shared.app.operator().for_tenant(&shared.luna.id);
    let body = json!({ "url": format!("unix://{}", socket.path.display()), "credential": {} });
    operator.put("/api/v1/connections/docker", body).await.assert_status(200);
    operator.post("/api/v1/connections/docker/test", json!({})).await.assert_status(200);
    assert_eq!(ids(&shared.user.get("/api/v1/services").await.json, "services", "id"), ["tienda"]);
    assert_eq!(deploy(&shared.user, "2").await["status"], "deployed");
    // It went: the error says which part is wrong.
    drop(socket);
    let gone = shared.user.get("/api/v1/containers").await;
    gone.assert_problem(503, "backend_down");
}
