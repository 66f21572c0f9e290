//! Prometheus: metrics over time and the status of the infrastructure, from a played one.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, extract::Request, response::IntoResponse as _};
use futures::{StreamExt as _, stream};
use http::StatusCode;
use serde_json::{Value, json};
use smartermcp::sandbox::prometheus::{Fault, Prometheus};

use crate::app::{App, Reply, Tenant, User};

const METRICS: &str = "/api/v1/infra/metrics";
const STATUS: &str = "/api/v1/infra/status";

async fn connect(app: &App, tenant: &Tenant, url: &str, credential: Value) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator
        .put("/api/v1/connections/prometheus", json!({ "url": url, "credential": credential }))
        .await
}

/// A tenant with a played Prometheus that knows its host by this matcher, and a user who may read services.
async fn watched(app: &App, slug: &str, credential: Value) -> (Tenant, User, Prometheus) {
    let tenant = app.tenant(slug).await;
    let played = Prometheus::default();
    let url = app.vendors.play(&format!("prometheus-{slug}"), played.router());
    connect(app, &tenant, &url, credential).await.assert_status(200);
    let wide = json!({ "limits": { "general": { "per_minute": 10_000, "per_hour": 100_000, "burst": 1000 }, "categories": { "infrastructure": { "per_minute": 10_000 } } } });
    let user = app.user_with(&tenant, &["read:services"], wide).await;
    (tenant, user, played)
}

/// Metric, labels and the values of all points, without their times.
fn flat(answer: &Value) -> Vec<(String, Value, Vec<f64>)> {
    let series = answer["series"].as_array().unwrap();
    series
        .iter()
        .map(|series| {
            let points = series["points"].as_array().unwrap();
            let values = points.iter().map(|point| point["value"].as_f64().unwrap()).collect();
            (series["metric"].as_str().unwrap().to_owned(), series["labels"].clone(), values)
        })
        .collect()
}

fn missing(answer: &Value) -> Vec<(&str, &str)> {
    let list = answer["unavailable"].as_array().unwrap();
    list.iter()
        .map(|item| (item["name"].as_str().unwrap(), item["reason"].as_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn an_hour_of_every_metric_is_the_same_on_both_doors() {
    let app = App::start().await;
    let (_, user, _) = watched(&app, "luna", json!({ "matcher": { "instance": "vps1:9100" } })).await;
    let rest = user.get(METRICS).await;
    rest.assert_status(200);
    let found = flat(&rest.json);
    let seen: Vec<_> = found
        .iter()
        .map(|(metric, labels, values)| (metric.as_str(), labels["mountpoint"].as_str(), values[0]))
        .collect();
    assert_eq!(
        seen,
        [
            ("cpu", None, 12.35),
            ("memory", None, 61.5),
            ("disk", Some("/"), 20.0),
            ("disk", Some("/var"), 80.0),
            ("network_in", None, 1500.25),
            ("network_out", None, 2500.75),
        ]
    );
    for (metric, labels, values) in &found {
        assert_eq!(values.len(), 240, "{metric}");
        assert_eq!(labels["instance"], "vps1:9100");
        assert!(labels.get("device").is_none(), "only what is needed is passed on");
    }
    let units: Vec<_> = rest.json["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| series["unit"].clone())
        .collect();
    assert_eq!(units[0], "percent");
    assert_eq!(units[5], "bytes_per_second");
    assert!(rest.json["series"][0]["points"][0]["t"].as_str().unwrap().ends_with('Z'));
    assert_eq!(rest.json["truncated"], false);
    assert_eq!((&rest.json["unavailable"], &rest.json["warnings"]), (&json!([]), &json!([])));
    for mcp in [
        user.call("infra_metrics", json!({})).await,
        user.call_modern("infra_metrics", json!({})).await,
    ] {
        assert_eq!(flat(mcp.content()), found);
    }
}

#[tokio::test]
async fn a_period_is_asked_for_in_at_most_300_steps_of_at_least_15_seconds_up_to_now() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    for (period, step, points) in [("1h", 15, 240), ("6h", 72, 300), ("24h", 288, 300), ("7d", 2016, 300)] {
        let answered = user.get(&format!("{METRICS}?metric=memory&period={period}")).await;
        answered.assert_status(200);
        assert_eq!(flat(&answered.json)[0].2.len(), points, "{period}");
        let asked = played.asked().pop().unwrap();
        assert_eq!((asked.path.as_str(), asked.step), ("/api/v1/query_range", Some(step)), "{period}");
        let now = app.clock.millis() / 1000;
        assert!((now - 5..=now).contains(&asked.end.unwrap()), "{period}");
    }
}

#[tokio::test]
async fn one_metric_asks_only_for_that_and_network_is_both_ways() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    for (metric, series, queries) in [("cpu", 1, 1), ("memory", 1, 1), ("disk", 2, 1), ("network", 2, 2), ("all", 6, 5)] {
        let before = played.asked().len();
        let answered = user.get(&format!("{METRICS}?metric={metric}")).await;
        answered.assert_status(200);
        assert_eq!(answered.json["series"].as_array().unwrap().len(), series, "{metric}");
        assert_eq!(played.asked().len() - before, queries, "{metric}");
    }
    for wrong in ["metric=load", "period=30d", "period=1w", "query=up", "metric=cpu&step=1", "metric="] {
        user.get(&format!("{METRICS}?{wrong}")).await.assert_problem(422, "invalid_input");
    }
    assert!(
        !user
            .call("infra_metrics", json!({ "metric": "up{}" }))
            .await
            .tool_error()
            .is_empty()
    );
}

#[tokio::test]
async fn the_matcher_is_in_every_selector_and_cannot_leave_its_quotes() {
    let app = App::start().await;
    let value = r#"x"} or up{a="\"#;
    let (_, user, played) = watched(&app, "luna", json!({ "matcher": { "instance": value, "tenant": "luna" } })).await;
    user.get(METRICS).await.assert_status(200);
    user.get(STATUS).await.assert_status(200);
    let asked = played.asked();
    assert_eq!(asked.len(), 9);
    for query in asked.into_iter().map(|asked| asked.query) {
        let matcher = r#"instance="x\"} or up{a=\"\\",tenant="luna"}"#;
        let selectors = query.matches(matcher).count();
        assert!(selectors > 0, "{query}");
        // Without the matchers there is no selector left that another tenant's series could come in by.
        let rest = query.replace(matcher, "");
        assert_eq!(rest.matches('{').count(), selectors, "{query}");
        assert!(!rest.contains('}'), "{query}");
    }
}

#[tokio::test]
async fn a_credential_is_sent_as_it_should_and_is_shown_nowhere() {
    let app = App::start().await;
    for (slug, credential, authorization, org) in [
        ("none", json!({}), None, None),
        (
            "basic",
            json!({ "auth": { "type": "basic", "username": "luna", "password": "pass-7f:ñ" } }),
            Some("Basic bHVuYTpwYXNzLTdmOsOx"),
            None,
        ),
        (
            "bearer",
            json!({ "auth": { "type": "bearer", "token": "tok-7f" }, "org_id": "luna-1" }),
            Some("Bearer tok-7f"),
            Some("luna-1"),
        ),
    ] {
        let (tenant, user, played) = watched(&app, slug, credential).await;
        let answers = [
            user.get(METRICS).await,
            user.get(STATUS).await,
            app.operator()
                .for_tenant(&tenant.id)
                .post("/api/v1/connections/prometheus/test", json!({}))
                .await,
            app.operator().for_tenant(&tenant.id).get("/api/v1/connections").await,
        ];
        for answer in &answers {
            answer.assert_status(200);
            assert!(!answer.text.contains("s-7f") && !answer.text.contains("k-7f"), "{}", answer.text);
        }
        for asked in played.asked() {
            assert_eq!(asked.authorization.as_deref(), authorization, "{slug}");
            assert_eq!(asked.org_id.as_deref(), org, "{slug}");
        }
        played.set_fault(Fault::Answer(401, r#"{"status":"error","error":"no"}"#));
        let refused = user.get(METRICS).await;
        refused.assert_problem(502, "credential_refused");
        assert!(!refused.text.contains("s-7f") && !refused.text.contains("k-7f"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_credential_that_prometheus_could_not_take_is_refused_when_it_is_set() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let url = app.vendors.play("prometheus", Prometheus::default().router());
    let long = "x".repeat(129);
    for (credential, field) in [
        (json!({ "matcher": { "a-b": "1" } }), "credential.matcher"),
        (json!({ "matcher": { "__name__": "up" } }), "credential.matcher"),
        (json!({ "matcher": { "": "up" } }), "credential.matcher"),
        (json!({ "matcher": { "tenant": "" } }), "credential.matcher.tenant"),
        (json!({ "matcher": { "tenant": "a\nb" } }), "credential.matcher.tenant"),
        (json!({ "matcher": { "tenant": long } }), "credential.matcher.tenant"),
        (
            json!({ "matcher": { "a": "1", "b": "1", "c": "1", "d": "1", "e": "1", "f": "1" } }),
            "credential.matcher",
        ),
        (json!({ "matcher": { "tenant": 7 } }), "credential"),
        (json!({ "matcher": ["tenant"] }), "credential"),
        (json!({ "org_id": "a|b" }), "credential.org_id"),
        (json!({ "org_id": "" }), "credential.org_id"),
        (
            json!({ "auth": { "type": "basic", "username": "a:b", "password": "secret-9" } }),
            "credential.auth.username",
        ),
        (
            json!({ "auth": { "type": "basic", "username": "a", "password": "secret-9\n" } }),
            "credential.auth.password",
        ),
        (
            json!({ "auth": { "type": "bearer", "token": "secret-9 x" } }),
            "credential.auth.token",
        ),
        (json!({ "auth": { "type": "digest" } }), "credential"),
        (json!({ "token": "secret-9" }), "credential.token"),
    ] {
        let refused = connect(&app, &tenant, &url, credential.clone()).await;
        refused.assert_problem(422, "invalid_input");
        let said = refused.json["detail"].as_str().unwrap();
        assert!(said.starts_with(field), "{credential}: {said}");
        assert!(!refused.text.contains("secret-9"), "{}", refused.text);
    }
    connect(&app, &tenant, &url, json!({ "matcher": { "inst_1": "vps1:9100" } }))
        .await
        .assert_status(200);
}

#[tokio::test]
async fn a_test_of_the_connection_says_which_part_is_wrong() {
    let app = App::start().await;
    let (tenant, _, played) = watched(&app, "luna", json!({ "matcher": { "tenant": "luna" } })).await;
    let operator = app.operator().for_tenant(&tenant.id);
    let test = async || operator.post("/api/v1/connections/prometheus/test", json!({})).await;
    let tested = test().await;
    tested.assert_status(200);
    assert_eq!(tested.json["version"], "2.42.0");
    assert!(tested.json["detail"].as_str().unwrap().contains("one host"), "{}", tested.text);
    played.set_fault(Fault::Empty);
    let nothing = test().await;
    nothing.assert_problem(502, "no_series");
    assert!(nothing.json["detail"].as_str().unwrap().contains("matcher"));
    played.set_fault(Fault::Answer(403, "no"));
    test().await.assert_problem(502, "credential_refused");
    played.set_fault(Fault::Answer(404, "404 page not found"));
    let elsewhere = test().await;
    elsewhere.assert_problem(502, "backend_refused");
    assert!(elsewhere.json["detail"].as_str().unwrap().contains("url"));
}

#[tokio::test]
async fn every_fault_of_a_prometheus_is_a_failure_of_both_tools_on_both_doors() {
    let app = App::start().await;
    let app = &app;
    let cases = [
        (
            Fault::Answer(200, r#"{"status":"error","errorType":"execution","error":"many-to-many matching"}"#),
            502,
            "backend_refused",
            "many-to-many matching",
        ),
        (
            Fault::Answer(200, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
            504,
            "timeout",
            "query timed out",
        ),
        (
            Fault::Answer(200, r#"{"status":"error","errorType":"internal","error":"storage is closed"}"#),
            503,
            "backend_down",
            "storage is closed",
        ),
        (
            Fault::Answer(200, r#"{"status":"error"}"#),
            502,
            "backend_refused",
            "does not say why",
        ),
        (
            Fault::Answer(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#),
            502,
            "backend_refused",
            "parse error",
        ),
        (
            Fault::Answer(422, r#"{"status":"error","errorType":"execution","error":"too many samples"}"#),
            502,
            "backend_refused",
            "too many samples",
        ),
        (
            Fault::Answer(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
            504,
            "timeout",
            "query timed out",
        ),
        (
            Fault::Answer(503, "Service Unavailable"),
            503,
            "backend_down",
            "currently unavailable",
        ),
        (Fault::Answer(500, "{}"), 503, "backend_down", "currently unavailable"),
        (Fault::Answer(429, "{}"), 503, "backend_down", "asked too often"),
        (Fault::Answer(401, "{}"), 502, "credential_refused", "credential"),
        (Fault::Answer(404, "404 page not found"), 502, "backend_refused", "url"),
        (Fault::Answer(400, "<html>Bad Request</html>"), 502, "backend_refused", "url"),
        (
            Fault::Answer(200, "<!doctype html><title>Grafana</title>"),
            502,
            "backend_refused",
            "url",
        ),
        (Fault::Answer(200, ""), 502, "backend_refused", "API"),
        (Fault::Answer(200, "[]"), 502, "backend_refused", "API"),
        (Fault::Answer(200, r#"{"status":"success"}"#), 502, "backend_refused", "API"),
        (
            Fault::Answer(200, r#"{"status":true,"data":{"resultType":"vector","result":[]}}"#),
            502,
            "backend_refused",
            "API",
        ),
        (
            Fault::Answer(200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}"#),
            502,
            "backend_refused",
            "API",
        ),
        (
            Fault::Answer(200, r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#),
            502,
            "backend_refused",
            "API",
        ),
        (Fault::Value("a lot"), 502, "backend_refused", "API"),
        (Fault::Value(""), 502, "backend_refused", "API"),
    ];
    let all = cases
        .into_iter()
        .enumerate()
        .map(|(index, (fault, status, code, words))| async move {
            let (tenant, user, played) = watched(app, &format!("t{index}"), json!({})).await;
            let url = format!("http://prometheus-t{index}.vendors.test:{}", app.vendors.address().port());
            played.set_fault(fault.clone());
            for (path, tool) in [
                (format!("{METRICS}?metric=cpu"), "infra_metrics"),
                (STATUS.to_owned(), "infra_status"),
            ] {
                let rest = user.get(&path).await;
                let (found, said) = (rest.status.as_u16(), rest.json["detail"].as_str().unwrap());
                // Four queries at once, each tried three times at a 503, open the breaker within the call.
                let rests = |said: &str| tool == "infra_status" && said == "Service 'prometheus' is currently unavailable";
                let right = (found, rest.json["code"].as_str()) == (status, Some(code)) && said.contains(words);
                assert!(right || rests(said), "{tool} at {fault:?}: {}", rest.text);
                // With many failures the breaker opens: the next look is at a connection that has just been made.
                connect(app, &tenant, &url, json!({})).await.assert_status(200);
                let arguments = if tool == "infra_metrics" {
                    json!({ "metric": "cpu" })
                } else {
                    json!({})
                };
                let mcp = user.call(tool, arguments).await;
                let said = mcp.tool_error();
                assert!(said.contains(words) || rests(said), "{tool} at {fault:?}: {said}");
                connect(app, &tenant, &url, json!({})).await.assert_status(200);
            }
        });
    stream::iter(all).buffer_unordered(6).collect::<()>().await;
}

#[tokio::test]
async fn values_that_are_no_numbers_are_left_out_and_a_metric_of_only_those_is_named() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    for value in ["NaN", "+Inf", "-Inf"] {
        played.set_fault(Fault::Value(value));
        let answered = user.get(METRICS).await;
        answered.assert_status(200);
        assert_eq!(answered.json["series"], json!([]), "{value}");
        let names: Vec<_> = missing(&answered.json).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["cpu", "memory", "disk", "network_in", "network_out"]);
        user.get(STATUS).await.assert_problem(502, "no_series");
    }
    played.set_fault(Fault::Answer(
        200,
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000000,"1.5"],[1700000015,"NaN"],[1700000030.5,"+Inf"],[1700000045,"1e1"]]}]}}"#,
    ));
    let answered = user.get(&format!("{METRICS}?metric=network")).await;
    answered.assert_status(200);
    assert_eq!(
        answered.json["series"][0]["points"],
        json!([{ "t": "2023-11-14T22:13:20Z", "value": 1.5 }, { "t": "2023-11-14T22:14:05Z", "value": 10.0 }])
    );
    assert_eq!(answered.json["series"][0]["labels"], json!({}));
}

#[tokio::test]
async fn too_many_series_and_points_are_cut_and_said_to_be() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    played.set_fault(Fault::Series(50));
    let answered = user.get(&format!("{METRICS}?metric=cpu")).await;
    answered.assert_status(200);
    let series = flat(&answered.json);
    assert_eq!((series.len(), &answered.json["truncated"]), (20, &json!(true)));
    assert_eq!(series[19].1["instance"], "vps00019:9100", "the first by name, each time");

    played.set_fault(Fault::Points(2000));
    let answered = user.get(&format!("{METRICS}?metric=cpu")).await;
    answered.assert_status(200);
    assert_eq!((flat(&answered.json)[0].2.len(), &answered.json["truncated"]), (300, &json!(true)));

    played.set_fault(Fault::Series(3000));
    let refused = user.get(&format!("{METRICS}?metric=cpu")).await;
    refused.assert_problem(502, "backend_refused");
    assert!(refused.json["detail"].as_str().unwrap().contains("larger than"), "{}", refused.text);
}

#[tokio::test]
async fn a_metric_that_fails_alone_is_named_and_the_others_are_answered() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    let refusal = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
    played.set_fault(Fault::On("node_filesystem_", 422, refusal));
    let metrics = user.get(METRICS).await;
    metrics.assert_status(200);
    assert_eq!(flat(&metrics.json).len(), 4);
    let lacks = missing(&metrics.json);
    assert_eq!((lacks.len(), lacks[0].0), (1, "disk"));
    assert!(lacks[0].1.contains("too many samples"));
    let status = user.get(STATUS).await;
    status.assert_status(200);
    assert_eq!(
        (&status.json["disk_usage"], &status.json["cpu_usage"]),
        (&Value::Null, &json!(12.35))
    );
    let (_, reason) = missing(&status.json).into_iter().find(|(name, _)| *name == "disk_usage").unwrap();
    assert!(reason.contains("too many samples"), "{reason}");
}

#[tokio::test]
async fn what_prometheus_says_against_its_own_answer_is_passed_on_once() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    played.warn("one store did not answer");
    for path in [METRICS, STATUS] {
        let answered = user.get(path).await;
        answered.assert_status(200);
        assert_eq!(answered.json["warnings"], json!(["one store did not answer"]), "{path}");
    }
}

#[tokio::test]
async fn the_status_tells_of_hosts_where_only_prometheus_is_connected() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    let rest = user.get(STATUS).await;
    rest.assert_status(200);
    assert_eq!(rest.json["vps_status"], "up");
    assert_eq!(rest.json["cpu_usage"], 12.35);
    assert_eq!(rest.json["memory_usage"], 61.5);
    assert_eq!(rest.json["disk_usage"], 40.1);
    assert_eq!((&rest.json["containers"], &rest.json["services"]), (&Value::Null, &Value::Null));
    let reason = "This tenant has not connected docker";
    assert_eq!(missing(&rest.json), [("containers", reason), ("services", reason)]);
    for mcp in [
        user.call("infra_status", json!({})).await,
        user.call_modern("infra_status", json!({})).await,
    ] {
        assert_eq!(mcp.content(), &rest.json);
    }
    played.set_up("0");
    assert_eq!(user.get(STATUS).await.json["vps_status"], "down");
}

/// Connects a played Docker with two containers of this tenant, one of them running, and one of somebody else's. Answers its switch:
/// while that is set, it is not well.
async fn connect_docker(app: &App, tenant: &Tenant) -> Arc<AtomicBool> {
    let unwell = Arc::new(AtomicBool::new(false));
    let (id, sick) = (tenant.id.clone(), Arc::clone(&unwell));
    let router = Router::new().fallback(move |request: Request| {
        let container = |digit: &str, tenant: &str, service: &str, state: &str, status: &str| {
            json!({
                "Id": digit.repeat(64), "Names": [format!("/{service}")], "Image": "played", "State": state, "Status": status,
                "Labels": { "smarteros.tenant": tenant, "smarteros.service": service },
            })
        };
        let answer = match (sick.load(Ordering::Relaxed), request.uri().path()) {
            (true, _) => (StatusCode::INTERNAL_SERVER_ERROR, "{}").into_response(),
            (false, "/version") => axum::Json(json!({ "Version": "27.0", "ApiVersion": "1.41", "MinAPIVersion": "1.24" })).into_response(),
            (false, "/v1.41/containers/json") => axum::Json(json!([
                container("a", &id, "web", "running", "Up 5 minutes (healthy)"),
                container("b", &id, "job", "exited", "Exited (1) 2 hours ago"),
                container("c", "somebody", "else", "running", "Up 5 minutes"),
            ]))
            .into_response(),
            (false, "/v1.41/info") => axum::Json(json!({ "NCPU": 4, "MemTotal": 8_000_000_000_u64 })).into_response(),
            (false, path) if path == format!("/v1.41/containers/{}/stats", "a".repeat(64)) => axum::Json(json!({
                "cpu_stats": { "cpu_usage": { "total_usage": 1_400_000_000_u64 }, "system_cpu_usage": 54_000_000_000_u64, "online_cpus": 4 },
                "precpu_stats": { "cpu_usage": { "total_usage": 1_000_000_000_u64 }, "system_cpu_usage": 50_000_000_000_u64 },
                "memory_stats": { "usage": 2_500_000_000_u64, "limit": 8_000_000_000_u64, "stats": { "inactive_file": 500_000_000_u64 } },
            }))
            .into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        };
        async move { answer }
    });
    let url = app.vendors.play(&format!("docker-{}", tenant.slug), router);
    app.operator()
        .for_tenant(&tenant.id)
        .put("/api/v1/connections/docker", json!({ "url": url, "credential": {} }))
        .await
        .assert_status(200);
    unwell
}

#[tokio::test]
async fn the_status_tells_of_hosts_containers_and_services_where_both_are_connected() {
    let app = App::start().await;
    let (tenant, user, _) = watched(&app, "luna", json!({})).await;
    connect_docker(&app, &tenant).await;
    let rest = user.get(STATUS).await;
    rest.assert_status(200);
    assert_eq!((&rest.json["vps_status"], &rest.json["memory_usage"]), (&json!("up"), &json!(61.5)));
    assert_eq!(rest.json["containers"], json!({ "running": 1, "total": 2 }));
    assert_eq!(rest.json["services"], json!({ "healthy": 1, "total": 2 }));
    assert_eq!(rest.json["unavailable"], json!([]));
    assert_eq!(rest.json["usage_of"], "hosts");
    assert_eq!(user.call("infra_status", json!({})).await.content(), &rest.json);
}

#[tokio::test]
async fn the_status_tells_of_containers_where_only_docker_is_connected() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, &["read:services"]).await;
    let unwell = connect_docker(&app, &tenant).await;
    let rest = user.get(STATUS).await;
    rest.assert_status(200);
    assert_eq!(rest.json["containers"], json!({ "running": 1, "total": 2 }));
    // The stopped one is not measured, and somebody else's is nobody's business.
    assert_eq!(
        (
            &rest.json["vps_status"],
            &rest.json["cpu_usage"],
            &rest.json["memory_usage"],
            &rest.json["usage_of"]
        ),
        (&json!("up"), &json!(10.0), &json!(25.0), &json!("containers"))
    );
    assert_eq!(missing(&rest.json), [("disk_usage", "Docker does not tell it; connect prometheus")]);
    assert_eq!(user.call("infra_status", json!({})).await.content(), &rest.json);
    // The only one that is connected fails: that is the answer, and not that the other is not connected.
    unwell.store(true, Ordering::Relaxed);
    user.get(STATUS).await.assert_problem(503, "backend_down");
}

#[tokio::test]
async fn one_backend_that_fails_or_is_switched_off_leaves_what_the_other_tells() {
    let app = App::start().await;
    let (tenant, user, played) = watched(&app, "luna", json!({})).await;
    let unwell = connect_docker(&app, &tenant).await;
    unwell.store(true, Ordering::Relaxed);
    let rest = user.get(STATUS).await;
    rest.assert_status(200);
    assert_eq!((&rest.json["vps_status"], &rest.json["containers"]), (&json!("up"), &Value::Null));
    let lacks = missing(&rest.json);
    assert_eq!((lacks.len(), lacks[0].0, lacks[1].0), (2, "containers", "services"));
    assert!(lacks[0].1.contains("'docker' is currently unavailable"), "{lacks:?}");

    unwell.store(false, Ordering::Relaxed);
    played.set_fault(Fault::Answer(401, "{}"));
    let rest = user.get(STATUS).await;
    rest.assert_status(200);
    assert_eq!(
        (&rest.json["vps_status"], &rest.json["containers"]["running"]),
        (&Value::Null, &json!(1))
    );
    assert!(missing(&rest.json)[0].1.contains("credential"), "{}", rest.text);

    played.set_fault(Fault::None);
    let switch = json!({ "backend": "docker", "reason": "the engine is being upgraded" });
    app.operator().post("/api/v1/switches", switch).await.assert_status(201);
    let rest = user.get(STATUS).await;
    rest.assert_status(200);
    assert_eq!((&rest.json["vps_status"], &rest.json["containers"]), (&json!("up"), &Value::Null));
    assert!(
        missing(&rest.json)[0]
            .1
            .contains("switched 'docker' off: the engine is being upgraded"),
        "{}",
        rest.text
    );
}

#[tokio::test]
async fn without_any_backend_the_status_is_a_failure_that_says_what_to_connect() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = app.user(&tenant, &["read:services"]).await;
    let rest = user.get(STATUS).await;
    rest.assert_problem(409, "not_connected");
    assert!(
        rest.json["detail"].as_str().unwrap().contains("prometheus nor docker"),
        "{}",
        rest.text
    );
    assert!(user.call("infra_status", json!({})).await.tool_error().contains("connections_set"));
    user.get(METRICS).await.assert_problem(409, "not_connected");
}

#[tokio::test]
async fn each_tenant_sees_its_own_prometheus_alone() {
    let app = App::start().await;
    let (_, luna, of_luna) = watched(&app, "luna", json!({})).await;
    let (_, sol, of_sol) = watched(&app, "sol", json!({})).await;
    of_sol.set_up("0");
    assert_eq!(luna.get(STATUS).await.json["vps_status"], "up");
    assert_eq!(of_sol.asked().len(), 0);
    assert_eq!(sol.get(STATUS).await.json["vps_status"], "down");
    assert_eq!(of_luna.asked().len(), 4);
    sol.for_tenant("luna").get(STATUS).await.assert_problem(404, "tenant_not_found");
}

#[tokio::test]
async fn a_prometheus_that_is_switched_off_is_not_asked() {
    let app = App::start().await;
    let (tenant, user, played) = watched(&app, "luna", json!({})).await;
    let switch = json!({ "backend": "prometheus", "tenant_id": tenant.id, "reason": "it is being moved" });
    app.operator().post("/api/v1/switches", switch).await.assert_status(201);
    for path in [METRICS, STATUS] {
        let refused = user.get(path).await;
        refused.assert_problem(503, "switched_off");
        assert!(
            refused.json["detail"].as_str().unwrap().contains("it is being moved"),
            "{}",
            refused.text
        );
    }
    assert_eq!(played.asked().len(), 0);
    // Its connection is managed all the same.
    app.operator()
        .for_tenant(&tenant.id)
        .post("/api/v1/connections/prometheus/test", json!({}))
        .await
        .assert_status(200);
}

#[tokio::test]
async fn health_counts_how_the_status_found_prometheus() {
    let app = App::start().await;
    let (_, user, played) = watched(&app, "luna", json!({})).await;
    let said = async || app.nobody().get("/health/services").await.text;
    assert!(said().await.contains(r#""prometheus":"unknown""#), "{}", said().await);
    user.get(STATUS).await.assert_status(200);
    assert!(said().await.contains(r#""prometheus":"healthy""#), "{}", said().await);
    played.set_fault(Fault::Answer(500, "{}"));
    user.get(STATUS).await.assert_problem(503, "backend_down");
    assert!(said().await.contains(r#""prometheus":"degraded""#), "{}", said().await);
}
