//! Odoo: contacts, opportunities, the pipeline and what is written there, from a played Odoo 19 and a played Odoo 17.

use std::path::Path;

use futures::{StreamExt as _, stream};
use serde_json::{Value, json};
use smartermcp::sandbox::{
    odoo::{COMPANY, DATABASE, Fault, LOGIN, Release, Sandbox},
    shop,
};

use crate::{
    app::{App, Reply, Tenant, User},
    conformance,
};

const CONTACTS: &str = "/api/v1/crm/contacts";
const SEARCH: &str = "/api/v1/crm/contacts/search";
const OPPORTUNITIES: &str = "/api/v1/crm/opportunities";
const PIPELINE: &str = "/api/v1/crm/pipeline";
const RECORDS: &str = "/api/v1/crm/records";
const KEY: &str = "odoo-key-5f1c";
const BOTH: [Release; 2] = [Release::Seventeen, Release::Nineteen];

/// All that a connection can hold.
fn credential(key: &str, login: &str, company: u64) -> Value {
    json!({ "api_key": key, "database": DATABASE, "login": login, "company_id": company })
}

async fn connect(app: &App, tenant: &Tenant, url: &str, credential: &Value) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator
        .put("/api/v1/connections/odoo", json!({ "url": url, "credential": credential }))
        .await
}

async fn tested(app: &App, tenant: &Tenant) -> Reply {
    let operator = app.operator().for_tenant(&tenant.id);
    operator.post("/api/v1/connections/odoo/test", json!({})).await
}

async fn writer(app: &App, tenant: &Tenant) -> User {
    let wide = json!({ "limits": { "general": { "per_minute": 10_000, "per_hour": 100_000, "burst": 1000 }, "categories": { "crm": { "per_minute": 10_000 } } } });
    app.user_with(tenant, &["write:crm"], wide).await
}

/// A tenant with the shop's Odoo, and a user who may write to it.
async fn shop_of(app: &App, slug: &str, release: Release) -> (Tenant, User, Sandbox) {
    let tenant = app.tenant(slug).await;
    let odoo = Sandbox::new(release, KEY);
    let url = app.vendors.play(&format!("odoo-{slug}"), odoo.router());
    connect(app, &tenant, &url, &credential(KEY, LOGIN, COMPANY))
        .await
        .assert_status(200);
    let user = writer(app, &tenant).await;
    (tenant, user, odoo)
}

fn url_of(app: &App, slug: &str) -> String {
    format!("http://odoo-{slug}.vendors.test:{}", app.vendors.address().port())
}

fn ids(reply: &Reply, list: &str) -> Vec<u64> {
    reply.assert_status(200);
    reply.json[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_u64().unwrap())
        .collect()
}

fn said(reply: &Reply) -> &str {
    reply.json["detail"].as_str().unwrap()
}

/// A query's value.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[tokio::test]
async fn each_tool_answers_the_same_on_both_doors_and_from_both_odoos() {
    let app = App::start().await;
    let mut answers: Vec<Vec<Value>> = Vec::new();
    for release in BOTH {
        let (_, user, _) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        let mut of_release = Vec::new();
        for (tool, path, arguments) in [
            ("crm_contacts_list", CONTACTS.to_owned(), json!({})),
            ("crm_contacts_search", format!("{SEARCH}?query=rosa"), json!({ "query": "rosa" })),
            ("crm_opportunities_list", OPPORTUNITIES.to_owned(), json!({})),
            ("crm_pipeline_status", PIPELINE.to_owned(), json!({})),
        ] {
            let rest = user.get(&path).await;
            rest.assert_status(200);
            assert_eq!(user.call(tool, arguments.clone()).await.content(), &rest.json, "{tool}");
            assert_eq!(user.call_modern(tool, arguments).await.content(), &rest.json, "{tool}");
            of_release.push(rest.json);
        }
        answers.push(of_release);
    }
    assert_eq!(answers[0], answers[1], "what an Odoo speaks does not show");
}

#[tokio::test]
async fn contacts_are_told_with_their_company_and_tags_and_null_where_odoo_says_false() {
    let app = App::start().await;
    let (_, user, _) = shop_of(&app, "luna", Release::Nineteen).await;
    let listed = user.get(&format!("{CONTACTS}?limit=200")).await;
    assert_eq!(ids(&listed, "contacts"), [3, 11, 12, 13, 14, 15, 16, 17, 18]);
    let of = |id: u64| {
        listed.json["contacts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|contact| contact["id"] == id)
            .unwrap()
    };
    assert_eq!(
        of(12),
        &json!({ "id": 12, "name": "Rosa Huenchur", "email": "rosa.huenchur@hotelcallecalle.cl", "phone": "+56 9 8123 4567",
            "company": "Hotel Calle-Calle SpA", "tags": ["mayorista", "tortas"] })
    );
    assert_eq!(
        of(15),
        &json!({ "id": 15, "name": "Pedro Antilef", "email": null, "phone": "963214578", "company": null, "tags": [] })
    );
}

#[tokio::test]
async fn contacts_are_picked_by_country_type_company_and_tag_in_a_query_and_in_arguments() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        odoo.add(
            "res.partner",
            &json!({ "id": 90, "name": "Bodega", "type": "delivery", "parent_id": 11, "company_id": COMPANY }),
        );
        odoo.add(
            "res.partner",
            &json!({ "id": 91, "name": "Cerrada", "active": false, "company_id": COMPANY, "customer_rank": 1 }),
        );
        let cases: [(Value, &[u64]); 10] = [
            (json!({ "country": "AR" }), &[18]),
            (json!({ "country": "ar" }), &[18]),
            (json!({ "type": "customer" }), &[11, 12, 15, 16, 17]),
            (json!({ "type": "vendor" }), &[14]),
            (json!({ "type": "lead" }), &[13, 18]),
            (json!({ "type": "company" }), &[11, 14, 16]),
            (json!({ "company": "calle-calle" }), &[11, 12]),
            (json!({ "tag": "MAYORISTA" }), &[11, 12, 16]),
            (
                json!({ "country": "CL", "type": "customer", "company": "Río", "tag": "café" }),
                &[16],
            ),
            (json!({ "tag": "may_rista" }), &[]),
        ];
        for (filter, expected) in cases {
            let brackets: Vec<_> = filter
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| format!("filter[{key}]={}", encoded(value.as_str().unwrap())))
                .collect();
            let by_key = user.get(&format!("{CONTACTS}?{}", brackets.join("&"))).await;
            assert_eq!(ids(&by_key, "contacts"), expected, "{release:?} {filter}");
            let as_json = user.get(&format!("{CONTACTS}?filter={}", encoded(&filter.to_string()))).await;
            assert_eq!(as_json.json, by_key.json, "{filter}");
            let mcp = user.call("crm_contacts_list", json!({ "filter": filter })).await;
            assert_eq!(mcp.content(), &by_key.json, "{filter}");
        }
    }
}

#[tokio::test]
async fn a_filter_of_another_form_is_refused_and_says_what_is_taken() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    for (query, field) in [
        ("filter[city]=Valdivia", "filter"),
        ("filter[type]=friend", "filter.type"),
        ("filter[country]=Chile", "filter.country"),
        ("filter[tag]=", "filter.tag"),
        ("filter=country", "filter"),
        ("filter=[]", "filter"),
        ("filter[parent_id.name]=x", "filter"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
        ("domain=[]", "domain"),
    ] {
        let refused = user.get(&format!("{CONTACTS}?{query}")).await;
        refused.assert_problem(422, "invalid_input");
        assert!(said(&refused).starts_with(field), "{query}: {}", refused.text);
    }
    let refused = user.call("crm_contacts_list", json!({ "filter": { "type": "friend" } })).await;
    assert!(refused.tool_error().contains("\"vendor\""), "{}", refused.text);
    assert_eq!(odoo.requests(), 0, "Odoo is not asked");
}

#[tokio::test]
async fn pages_follow_one_another_until_all_was_listed_once() {
    let app = App::start().await;
    let (_, user, _) = shop_of(&app, "luna", Release::Seventeen).await;
    for (path, list, all) in [
        (
            format!("{CONTACTS}?filter[country]=CL"),
            "contacts",
            vec![11, 12, 13, 14, 15, 16, 17],
        ),
        (format!("{SEARCH}?query=.cl"), "contacts", vec![11, 12, 14, 16, 17]),
        (
            format!("{OPPORTUNITIES}?stage=all"),
            "opportunities",
            vec![31, 32, 33, 34, 35, 36, 37],
        ),
    ] {
        for limit in [1, 2, 3] {
            let mut seen = Vec::new();
            let mut cursor = String::new();
            loop {
                let page = user.get(&format!("{path}&limit={limit}{cursor}")).await;
                let found = ids(&page, list);
                assert!(!found.is_empty() && found.len() <= limit, "{path}");
                seen.extend(found);
                match page.json["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, all, "{path} by {limit}");
        }
    }
    let next = async |path: &str| user.get(path).await.json["next_cursor"].as_str().unwrap().to_owned();
    let contacts = next(&format!("{CONTACTS}?filter[country]=CL&limit=2")).await;
    let searched = next(&format!("{SEARCH}?query=.cl&limit=2")).await;
    let opportunities = next(&format!("{OPPORTUNITIES}?limit=2")).await;
    let without_filter = user.get(&format!("{CONTACTS}?limit=2&cursor={contacts}")).await;
    assert_eq!(ids(&without_filter, "contacts"), [13, 14], "the cursor keeps the filter");
    for elsewhere in [
        format!("{CONTACTS}?filter[country]=AR&cursor={contacts}"),
        format!("{CONTACTS}?cursor={searched}"),
        format!("{SEARCH}?query=rosa&cursor={searched}"),
        format!("{OPPORTUNITIES}?cursor={contacts}"),
        format!("{OPPORTUNITIES}?stage=won&cursor={opportunities}"),
    ] {
        let refused = user.get(&elsewhere).await;
        refused.assert_problem(422, "invalid_input");
        assert!(said(&refused).starts_with("cursor"), "{}", refused.text);
    }
}

#[tokio::test]
async fn a_contact_is_found_by_name_email_and_every_spelling_of_phone_and_rut() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        if release == Release::Seventeen {
            odoo.add(
                "res.partner",
                &json!({ "id": 80, "name": "Con celular", "mobile": "9 7777 8888", "company_id": COMPANY }),
            );
        }
        let cases: [(&str, &[u64]); 20] = [
            ("rosa", &[12]),
            ("HUENCHUR", &[12]),
            ("Oyarzún", &[17]),
            ("john@example.com", &[13]),
            ("@cafeyriocruces", &[16, 17]),
            ("+56 9 8123 4567", &[12]),
            ("+56981234567", &[12]),
            ("56981234567", &[12]),
            ("981234567", &[12]),
            ("9 8123-4567", &[12]),
            ("+56 63 221 9876", &[16]),
            ("632219876", &[16]),
            ("+56 9 6321 4578", &[15]),
            ("76.086.428-5", &[11]),
            ("76086428-5", &[11]),
            ("760864285", &[11]),
            ("9876543-3", &[15]),
            ("9.876.543-3", &[15]),
            ("76.086.428-6", &[]),
            ("nobody", &[]),
        ];
        for (query, expected) in cases {
            let found = user.get(&format!("{SEARCH}?query={}", encoded(query))).await;
            assert_eq!(ids(&found, "contacts"), expected, "{release:?} {query}");
        }
        let mobile = user.get(&format!("{SEARCH}?query=977778888")).await;
        let expected: &[u64] = if release == Release::Seventeen { &[80] } else { &[] };
        assert_eq!(ids(&mobile, "contacts"), expected, "a mobile, where there is such a field");
    }
}

#[tokio::test]
async fn wildcards_and_brackets_in_a_query_stand_for_themselves() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    odoo.add(
        "res.partner",
        &json!({ "id": 70, "name": r"100% \ _trigo_", "company_id": COMPANY }),
    );
    for (query, expected) in [
        ("%", vec![70]),
        ("_trigo_", vec![70]),
        (r"\", vec![70]),
        ("R_sa", vec![]),
        ("'] | [", vec![]),
        ("rosa\", \"=\", 1]", vec![]),
    ] {
        let found = user.get(&format!("{SEARCH}?query={}", encoded(query))).await;
        assert_eq!(ids(&found, "contacts"), expected, "{query}");
    }
    for wrong in ["query=", "query=%20", "", "query=x&filter[country]=CL"] {
        user.get(&format!("{SEARCH}?{wrong}")).await.assert_problem(422, "invalid_input");
    }
}

#[tokio::test]
async fn opportunities_have_the_contracts_stages_whatever_odoo_calls_them() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        odoo.add("crm.stage", &json!({ "id": 6, "sequence": 5, "name": "Degustación" }));
        odoo.add(
            "crm.lead",
            &json!({ "id": 38, "name": "Prueba de panes", "stage_id": 6, "expected_revenue": 90_000.5, "probability": 50, "company_id": COMPANY }),
        );
        odoo.add(
            "crm.lead",
            &json!({ "id": 39, "name": "Sin calificar", "type": "lead", "stage_id": 1, "company_id": COMPANY }),
        );
        odoo.add(
            "crm.lead",
            &json!({ "id": 40, "name": "Guardada", "active": false, "probability": 40, "stage_id": 1, "company_id": COMPANY }),
        );
        let listed = user.get(OPPORTUNITIES).await;
        let stages: Vec<_> = listed.json["opportunities"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["id"].as_u64().unwrap(), one["stage"].as_str().unwrap()))
            .collect();
        assert_eq!(
            stages,
            [
                (31, "negotiation"),
                (32, "new"),
                (33, "qualified"),
                (34, "proposal"),
                (35, "negotiation"),
                (36, "won"),
                (37, "lost"),
                (38, "Degustación"),
            ],
            "{release:?}"
        );
        assert_eq!(
            listed.json["opportunities"][0],
            json!({ "id": 31, "name": "Pan diario para el hotel, temporada alta", "contact": { "id": 12, "name": "Rosa Huenchur" },
                "stage": "negotiation", "expected_revenue": 4_800_000.0, "probability": 70.0 })
        );
        assert_eq!(listed.json["opportunities"][7]["contact"], Value::Null);
        for (stage, expected) in [
            ("all", vec![31, 32, 33, 34, 35, 36, 37, 38]),
            ("new", vec![32]),
            ("qualified", vec![33]),
            ("proposal", vec![34]),
            ("negotiation", vec![31, 35]),
            ("won", vec![36]),
            ("lost", vec![37]),
        ] {
            let picked = user.get(&format!("{OPPORTUNITIES}?stage={stage}")).await;
            assert_eq!(ids(&picked, "opportunities"), expected, "{stage}");
            assert_eq!(
                user.call("crm_opportunities_list", json!({ "stage": stage })).await.content(),
                &picked.json
            );
        }
        for wrong in ["stage=Degustación", "stage=proposition", "stage=", "order=id"] {
            user.get(&format!("{OPPORTUNITIES}?{wrong}"))
                .await
                .assert_problem(422, "invalid_input");
        }
    }
}

#[tokio::test]
async fn a_stage_that_odoo_does_not_have_is_named_and_not_an_error() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let odoo = Sandbox::new(Release::Nineteen, KEY);
    odoo.add(
        "crm.stage",
        &json!({ "id": 5, "sequence": 4, "name": { "en_US": "Tasting", "es_CL": "Degustación" } }),
    );
    let url = app.vendors.play("odoo-luna", odoo.router());
    connect(&app, &tenant, &url, &credential(KEY, LOGIN, COMPANY))
        .await
        .assert_status(200);
    let user = writer(&app, &tenant).await;
    let none = user.get(&format!("{OPPORTUNITIES}?stage=negotiation")).await;
    assert_eq!(ids(&none, "opportunities"), [0; 0]);
    assert_eq!(none.json["unavailable"][0]["name"], "negotiation");
    assert!(
        none.json["unavailable"][0]["reason"].as_str().unwrap().contains("'Degustación'"),
        "{}",
        none.text
    );
    let some = user.get(&format!("{OPPORTUNITIES}?stage=won")).await;
    assert!(some.json.get("unavailable").is_none(), "{}", some.text);
}

#[tokio::test]
async fn the_pipeline_is_counted_by_stage_and_lost_ones_only_in_the_conversion_rate() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        let pipeline = user.get(PIPELINE).await;
        pipeline.assert_status(200);
        assert_eq!(
            pipeline.json,
            json!({
                "total_opportunities": 6,
                "total_value": 10_130_000.0,
                "by_stage": [
                    { "stage": "new", "count": 1, "value": 180_000.0 },
                    { "stage": "qualified", "count": 1, "value": 1_250_000.0 },
                    { "stage": "proposal", "count": 1, "value": 960_000.0 },
                    { "stage": "negotiation", "count": 2, "value": 7_200_000.0 },
                    { "stage": "won", "count": 1, "value": 540_000.0 },
                ],
                "conversion_rate": 50.0,
            }),
            "{release:?}"
        );
        odoo.add(
            "crm.lead",
            &json!({ "id": 50, "name": "Perdida", "active": false, "probability": 0, "stage_id": 2, "company_id": COMPANY }),
        );
        odoo.add(
            "crm.lead",
            &json!({ "id": 51, "name": "Guardada", "active": false, "probability": 30, "stage_id": 2, "company_id": COMPANY }),
        );
        odoo.add(
            "crm.lead",
            &json!({ "id": 52, "name": "Sin etapa", "expected_revenue": 5, "company_id": COMPANY }),
        );
        let later = user.get(PIPELINE).await;
        assert_eq!(later.json["conversion_rate"], 33.33);
        assert_eq!(later.json["total_opportunities"], 7);
        assert_eq!(later.json["by_stage"][5], json!({ "stage": null, "count": 1, "value": 5.0 }));
    }
}

#[tokio::test]
async fn a_pipeline_in_which_nothing_is_decided_has_no_conversion_rate() {
    let app = App::start().await;
    let tenant = app.tenant("sol").await;
    let odoo = Sandbox::new(Release::Nineteen, KEY);
    let company = odoo.add_company("Ferretería Sol");
    odoo.add_user("sol@example.cl", "key-of-sol", &[company]);
    let url = app.vendors.play("odoo-sol", odoo.router());
    connect(&app, &tenant, &url, &credential("key-of-sol", "sol@example.cl", company))
        .await
        .assert_status(200);
    let pipeline = writer(&app, &tenant).await.get(PIPELINE).await;
    pipeline.assert_status(200);
    assert_eq!(
        (&pipeline.json["total_opportunities"], &pipeline.json["total_value"]),
        (&json!(0), &json!(0.0))
    );
    assert_eq!(pipeline.json["conversion_rate"], Value::Null);
    assert_eq!(pipeline.json["unavailable"][0]["name"], "conversion_rate");
}

#[tokio::test]
async fn a_contact_is_created_and_changed_in_one_write_with_tags_found_or_made() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        let tags = odoo.count("res.partner.category");
        let body = json!({ "kind": "contact", "fields": { "name": " Nahuel Paillán ", "email": "nahuel@example.cl", "phone": "+56 9 4444 5555",
            "company": "hotel calle-calle spa", "tags": ["MAYORISTA", "ferias", "Ferias", "mar"] } });
        let made = user.post(RECORDS, body).await;
        made.assert_status(200);
        let id = made.json["id"].as_u64().unwrap();
        assert_eq!((&made.json["kind"], &made.json["created"]), (&json!("contact"), &json!(true)));
        assert_eq!(
            made.json["record"],
            json!({ "id": id, "name": "Nahuel Paillán", "email": "nahuel@example.cl", "phone": "+56 9 4444 5555",
                "company": "Hotel Calle-Calle SpA", "tags": ["mayorista", "ferias", "mar"] })
        );
        assert_eq!(
            (odoo.writes(), odoo.count("res.partner.category")),
            (1, tags + 2),
            "one call, and only what is new"
        );
        assert_eq!(odoo.record("res.partner", id).unwrap()["company_id"], COMPANY);

        let arguments = json!({ "kind": "contact", "id": id, "fields": { "email": "", "company": "Nadie Ltda.", "tags": ["mar"] } });
        let changed = user.call("crm_records_upsert", arguments).await;
        assert_eq!(
            changed.content(),
            &json!({ "id": id, "kind": "contact", "created": false, "record": { "id": id, "name": "Nahuel Paillán", "email": null,
                "phone": "+56 9 4444 5555", "company": "Nadie Ltda.", "tags": ["mar"] } })
        );
        assert_eq!(odoo.writes(), 2);
        let found = user.get(&format!("{SEARCH}?query=944445555")).await;
        assert_eq!(found.json["contacts"][0], changed.content()["record"], "as the lists show it");
        let none = user
            .call_modern(
                "crm_records_upsert",
                json!({ "kind": "contact", "id": id, "fields": { "tags": [], "company": "" } }),
            )
            .await;
        assert_eq!(
            (&none.content()["record"]["tags"], &none.content()["record"]["company"]),
            (&json!([]), &Value::Null)
        );
    }
}

#[tokio::test]
async fn an_opportunity_is_created_and_moved_by_stages_in_our_words_or_odoos() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        let made = user
            .post(RECORDS, json!({ "kind": "opportunity", "fields": { "name": "Pan para la feria", "contact_id": 12, "stage": "proposal", "expected_revenue": 250_000 } }))
            .await;
        made.assert_status(200);
        let id = made.json["id"].as_u64().unwrap();
        assert_eq!(made.json["created"], true);
        assert_eq!(
            made.json["record"],
            json!({ "id": id, "name": "Pan para la feria", "contact": { "id": 12, "name": "Rosa Huenchur" }, "stage": "proposal",
                "expected_revenue": 250_000.0, "probability": 45.0 })
        );
        let stored = odoo.record("crm.lead", id).unwrap();
        assert_eq!((&stored["type"], &stored["company_id"]), (&json!("opportunity"), &json!(COMPANY)));
        for (given, shown) in [
            ("Negociación", "negotiation"),
            ("NEGOCIACION", "negotiation"),
            ("lost", "lost"),
            ("qualified", "qualified"),
            ("Perdido", "lost"),
            ("Ganado", "won"),
            ("new", "new"),
            ("Proposition", "proposal"),
        ] {
            let moved = user
                .post(RECORDS, json!({ "kind": "opportunity", "id": id, "fields": { "stage": given } }))
                .await;
            moved.assert_status(200);
            assert_eq!(moved.json["record"]["stage"], shown, "{given}");
            assert_eq!(moved.json["record"]["expected_revenue"], 250_000.0, "what is left out stays");
        }
        let lost = user
            .post(RECORDS, json!({ "kind": "opportunity", "id": 36, "fields": { "stage": "lost" } }))
            .await;
        lost.assert_problem(422, "invalid_input");
        assert!(said(&lost).contains("No puede perder"), "Odoo's own words: {}", lost.text);
    }
}

#[tokio::test]
async fn a_stage_that_may_mean_several_is_refused_with_their_names() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    odoo.add("crm.stage", &json!({ "id": 8, "sequence": 71, "name": "Pagado", "is_won": true }));
    let upsert = async |stage: &str| {
        user.post(RECORDS, json!({ "kind": "opportunity", "id": 32, "fields": { "stage": stage } }))
            .await
    };
    let several = upsert("won").await;
    several.assert_problem(422, "invalid_input");
    assert!(said(&several).contains("'Ganado' or 'Pagado'"), "{}", several.text);
    let none = upsert("Cotizado").await;
    none.assert_problem(422, "invalid_input");
    assert!(
        said(&none).contains("'Nuevo', 'Calificado', 'Propuesta', 'Negociación', 'Ganado', 'Pagado'"),
        "{}",
        none.text
    );
    assert_eq!(odoo.writes(), 0);
    let exact = upsert("pagado").await;
    exact.assert_status(200);
    assert_eq!(exact.json["record"]["stage"], "won");
}

#[tokio::test]
async fn what_cannot_be_written_is_refused_before_odoo_is_asked_to() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    odoo.add(
        "res.partner",
        &json!({ "id": 60, "name": "Gemela", "is_company": true, "company_id": COMPANY }),
    );
    odoo.add(
        "res.partner",
        &json!({ "id": 61, "name": "GEMELA", "is_company": true, "company_id": COMPANY }),
    );
    for (body, status, field) in [
        (json!({}), 422, "kind"),
        (json!({ "kind": "contact", "fields": {} }), 422, "fields.name"),
        (json!({ "kind": "contact", "id": 12, "fields": {} }), 422, "fields"),
        (json!({ "kind": "contact", "fields": { "name": "  " } }), 422, "fields.name"),
        (
            json!({ "kind": "contact", "fields": { "name": "x", "email": "no address" } }),
            422,
            "fields.email",
        ),
        (
            json!({ "kind": "contact", "fields": { "name": "x", "stage": "won" } }),
            422,
            "fields.stage",
        ),
        (
            json!({ "kind": "contact", "fields": { "name": "x", "tags": [""] } }),
            422,
            "fields.tags",
        ),
        (
            json!({ "kind": "contact", "fields": { "name": "x", "tags": ["x".repeat(65)] } }),
            422,
            "fields.tags",
        ),
        (
            json!({ "kind": "contact", "fields": { "name": "x", "company": "gemela" } }),
            422,
            "fields.company",
        ),
        (
            json!({ "kind": "contact", "fields": { "name": "x", "company_id": 2 } }),
            422,
            "fields.company_id",
        ),
        (
            json!({ "kind": "opportunity", "fields": { "name": "x", "phone": "1" } }),
            422,
            "fields.phone",
        ),
        (json!({ "kind": "opportunity", "fields": { "stage": "new" } }), 422, "fields.name"),
        (
            json!({ "kind": "opportunity", "fields": { "name": "x", "expected_revenue": -1 } }),
            422,
            "fields.expected_revenue",
        ),
        (
            json!({ "kind": "opportunity", "fields": { "name": "x", "contact_id": 999 } }),
            404,
            "fields.contact_id",
        ),
        (json!({ "kind": "opportunity", "id": 999, "fields": { "name": "x" } }), 404, "id"),
        (json!({ "kind": "contact", "id": 31, "fields": { "name": "x" } }), 404, "id"),
        (json!({ "kind": "contact", "id": 0, "fields": { "name": "x" } }), 422, "id"),
        (json!({ "kind": "invoice", "fields": { "name": "x" } }), 422, "kind"),
    ] {
        let refused = user.post(RECORDS, body.clone()).await;
        refused.assert_problem(status, if status == 404 { "not_found" } else { "invalid_input" });
        assert!(said(&refused).starts_with(field), "{body}: {}", refused.text);
    }
    assert_eq!(odoo.writes(), 0);
    let reader = app.user(&app.tenant("sol").await, &["read:crm"]).await;
    reader
        .post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } }))
        .await
        .assert_status(403);
}

#[tokio::test]
async fn a_key_creates_a_record_once() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    let once = user.with_key("order-7");
    let body = json!({ "kind": "contact", "fields": { "name": "Una vez" } });
    let first = once.post(RECORDS, body.clone()).await;
    let again = once.post(RECORDS, body).await;
    assert_eq!(first.json, again.json);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(odoo.writes(), 1);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_not_repeated_and_says_so() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        // So that the write is the next request.
        user.get(PIPELINE).await.assert_status(200);
        user.get(CONTACTS).await.assert_status(200);
        let before = odoo.requests();
        odoo.set_fault(Fault::CutOff);
        let lost = user
            .with_key("k")
            .post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } }))
            .await;
        lost.assert_problem(503, "backend_down");
        assert!(said(&lost).contains("look before you try again"), "{}", lost.text);
        assert_eq!(lost.json["retryable"], false);
        assert_eq!(odoo.requests() - before, 1, "{release:?}: sent once");
        odoo.set_fault(Fault::None);
        let replayed = user
            .with_key("k")
            .post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } }))
            .await;
        replayed.assert_problem(503, "backend_down");
        assert_eq!(odoo.writes(), 0, "the key keeps what came of it");
    }
}

#[tokio::test]
async fn what_was_written_and_cannot_be_read_back_is_named_and_not_to_be_repeated() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    user.get(CONTACTS).await.assert_status(200);
    // The user of the key works for the company no more, from the moment of the write on.
    odoo.after_next_write(Fault::Status(403));
    let done = user
        .post(RECORDS, json!({ "kind": "contact", "fields": { "name": "Queda" } }))
        .await;
    assert_eq!(done.json["code"], "partly_done", "{}", done.text);
    assert_eq!(done.json["retryable"], false);
    assert!(said(&done).contains("was saved as 20"), "{}", done.text);
    assert_eq!(odoo.record("res.partner", 20).unwrap()["name"], "Queda");
}

/// Two tenants on one database, each with a company and a user of its own.
async fn neighbours(app: &App, release: Release) -> ([(Tenant, User); 2], Sandbox, u64) {
    let odoo = Sandbox::new(release, KEY);
    let sol = odoo.add_company("Ferretería Sol");
    odoo.add_user("sol@example.cl", "key-of-sol", &[sol]);
    let of_sol = json!({ "id": 200, "name": "Rosa del Sol", "phone": "+56 9 8123 4567", "vat": "12.345.678-5", "company_id": sol, "customer_rank": 1 });
    odoo.add("res.partner", &of_sol);
    odoo.add("crm.lead", &json!({ "id": 300, "name": "Clavos", "partner_id": 200, "stage_id": 1, "expected_revenue": 7, "probability": 10, "company_id": sol }));
    odoo.add("crm.team", &json!({ "id": 1, "name": "Ventas Sol", "company_id": sol }));
    let team = if release == Release::Nineteen {
        json!({ "team_ids": [1] })
    } else {
        json!({ "team_id": 1 })
    };
    let mut stage = json!({ "id": 9, "sequence": 9, "name": "Cotización de clavos" });
    stage.as_object_mut().unwrap().extend(team.as_object().unwrap().clone());
    odoo.add("crm.stage", &stage);
    let url = app.vendors.play("odoo-shared", odoo.router());
    let mut pair = Vec::new();
    for (slug, key, login, company) in [("luna", KEY, LOGIN, COMPANY), ("sol", "key-of-sol", "sol@example.cl", sol)] {
        let tenant = app.tenant(slug).await;
        connect(app, &tenant, &url, &credential(key, login, company))
            .await
            .assert_status(200);
        let user = writer(app, &tenant).await;
        pair.push((tenant, user));
    }
    (pair.try_into().unwrap_or_else(|_| panic!("two")), odoo, sol)
}

#[tokio::test]
async fn two_companies_of_one_odoo_never_see_or_change_each_others_records() {
    for release in BOTH {
        let app = App::start().await;
        let ([(_, luna), (_, sol)], odoo, _) = neighbours(&app, release).await;
        let own = ids(&luna.get(CONTACTS).await, "contacts");
        assert!(!own.contains(&200) && own.contains(&12), "{own:?}");
        assert_eq!(ids(&sol.get(CONTACTS).await, "contacts"), [200]);
        for query in ["Rosa", "981234567", "12.345.678-5"] {
            let path = format!("{SEARCH}?query={query}");
            assert_eq!(ids(&luna.get(&path).await, "contacts"), [12], "{query}");
            assert_eq!(ids(&sol.get(&path).await, "contacts"), [200], "{query}");
        }
        assert_eq!(ids(&sol.get(OPPORTUNITIES).await, "opportunities"), [300]);
        assert!(!luna.get(OPPORTUNITIES).await.text.contains("Clavos"));
        let (of_luna, of_sol) = (luna.get(PIPELINE).await, sol.get(PIPELINE).await);
        assert_eq!(
            (&of_luna.json["total_opportunities"], &of_sol.json["total_opportunities"]),
            (&json!(6), &json!(1))
        );
        assert!(
            !of_luna.text.contains("clavos") && of_sol.text.contains("clavos"),
            "stages of another company's team are not told"
        );
        let writes = odoo.writes();
        for (user, contact, opportunity) in [(&luna, 200, 300), (&sol, 12, 31)] {
            for (body, field) in [
                (json!({ "kind": "contact", "id": contact, "fields": { "name": "tomado" } }), "id"),
                (
                    json!({ "kind": "opportunity", "id": opportunity, "fields": { "stage": "won" } }),
                    "id",
                ),
                (
                    json!({ "kind": "opportunity", "fields": { "name": "x", "contact_id": contact } }),
                    "fields.contact_id",
                ),
            ] {
                let rest = user.post(RECORDS, body.clone()).await;
                rest.assert_problem(404, "not_found");
                assert!(said(&rest).starts_with(field), "{}", rest.text);
                assert!(!user.call("crm_records_upsert", body).await.tool_error().contains("Rosa"));
            }
        }
        let other_stage = luna
            .post(
                RECORDS,
                json!({ "kind": "opportunity", "id": 32, "fields": { "stage": "Cotización de clavos" } }),
            )
            .await;
        other_stage.assert_problem(422, "invalid_input");
        assert!(!said(&other_stage).contains("'Cotización de clavos',"), "{}", other_stage.text);
        assert_eq!(odoo.writes(), writes);
    }
}

#[tokio::test]
async fn a_company_of_the_connection_bounds_a_user_who_may_see_more() {
    let app = App::start().await;
    let ([(luna, user), _], odoo, sol) = neighbours(&app, Release::Nineteen).await;
    odoo.add_user("todo@example.cl", "key-of-all", &[COMPANY, sol]);
    connect(
        &app,
        &luna,
        &url_of(&app, "shared"),
        &credential("key-of-all", "todo@example.cl", COMPANY),
    )
    .await
    .assert_status(200);
    for path in [CONTACTS, OPPORTUNITIES, PIPELINE, &format!("{SEARCH}?query=rosa")] {
        let answered = user.get(path).await;
        answered.assert_status(200);
        assert!(
            !answered.text.contains("Sol") && !answered.text.contains("lavos"),
            "{}",
            answered.text
        );
    }
    user.post(RECORDS, json!({ "kind": "contact", "id": 200, "fields": { "name": "x" } }))
        .await
        .assert_status(404);
    let made = user
        .post(RECORDS, json!({ "kind": "contact", "fields": { "name": "Nueva" } }))
        .await;
    assert_eq!(
        odoo.record("res.partner", made.json["id"].as_u64().unwrap()).unwrap()["company_id"],
        COMPANY
    );
    for asked in odoo.asked().iter().filter(|asked| asked.method != "context_get") {
        assert_eq!(asked.context["allowed_company_ids"], json!([COMPANY]), "{asked:?}");
        let told = asked.arguments.to_string();
        let bounded = matches!(asked.model.as_str(), "res.partner" | "crm.lead") && asked.arguments.get("domain").is_some();
        assert!(!bounded || told.contains("company_id"), "{asked:?}");
    }
    connect(&app, &luna, &url_of(&app, "shared"), &json!({ "api_key": "key-of-all" }))
        .await
        .assert_status(200);
    assert!(
        ids(&user.get(CONTACTS).await, "contacts").contains(&200),
        "without a company, all that the user may see"
    );
}

#[tokio::test]
async fn what_belongs_to_no_company_is_no_tenants_of_a_shared_database() {
    let app = App::start().await;
    let ([(_, luna), (_, sol)], odoo, _) = neighbours(&app, Release::Nineteen).await;
    odoo.add("res.partner", &json!({ "id": 210, "name": "Proveedor común" }));
    odoo.add(
        "crm.lead",
        &json!({ "id": 310, "name": "De todos", "partner_id": 200, "stage_id": 1 }),
    );
    for user in [&luna, &sol] {
        let shared = user.get(OPPORTUNITIES).await;
        assert!(!ids(&shared, "opportunities").contains(&310), "{}", shared.text);
        let listed = user.get(&format!("{CONTACTS}?limit=200")).await;
        assert!(!ids(&listed, "contacts").contains(&210));
        let change = json!({ "kind": "contact", "id": 210, "fields": { "email": "x@example.cl" } });
        user.post("/api/v1/crm/records", change).await.assert_problem(404, "not_found");
        for other in ["Ferretería Sol", shop::NAME, LOGIN, "sol@example.cl"] {
            assert!(!listed.text.contains(other), "{other}: {}", listed.text);
        }
    }
}

#[tokio::test]
async fn the_test_of_a_connection_says_what_works_or_which_part_is_wrong() {
    let app = App::start().await;
    for release in BOTH {
        let slug = format!("shop-{release:?}").to_lowercase();
        let (tenant, _, odoo) = shop_of(&app, &slug, release).await;
        let good = tested(&app, &tenant).await;
        good.assert_status(200);
        let (version, by) = if release == Release::Nineteen {
            ("19.0", "JSON-2")
        } else {
            ("17.0", "JSON-RPC")
        };
        assert_eq!(good.json["version"], version);
        assert!(
            good.json["detail"]
                .as_str()
                .unwrap()
                .contains(&format!("{by} for the company 'Panadería Luna'")),
            "{}",
            good.text
        );
        let other_company = odoo.add_company("Ferretería Sol");
        let with = |name: &str, value: Value| {
            let mut changed = credential(KEY, LOGIN, COMPANY);
            changed[name] = value;
            changed
        };
        for (wrong, code, words) in [
            (with("api_key", json!("other")), "credential_refused", "credential"),
            (
                with("database", json!("sol")),
                if release == Release::Nineteen {
                    "backend_refused"
                } else {
                    "credential_refused"
                },
                "database",
            ),
            (with("company_id", json!(other_company)), "permission_missing", "company_id"),
            (with("company_id", json!(77)), "permission_missing", "company_id"),
        ] {
            connect(&app, &tenant, &url_of(&app, &slug), &wrong).await.assert_status(200);
            let refused = tested(&app, &tenant).await;
            refused.assert_problem(502, code);
            assert!(said(&refused).contains(words), "{wrong}: {}", refused.text);
        }
        connect(&app, &tenant, &url_of(&app, &slug), &credential(KEY, LOGIN, COMPANY))
            .await
            .assert_status(200);
        odoo.set_read_only();
        let reads = tested(&app, &tenant).await;
        reads.assert_status(200);
        assert!(
            reads.json["detail"]
                .as_str()
                .unwrap()
                .contains("may not write contacts and opportunities"),
            "{}",
            reads.text
        );
        let refused = app
            .user(&tenant, &["write:crm"])
            .await
            .post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } }))
            .await;
        refused.assert_problem(502, "credential_refused");
        assert!(said(&refused).contains("restringidos"), "{}", refused.text);
        odoo.set_fault(Fault::Html);
        let elsewhere = tested(&app, &tenant).await;
        elsewhere.assert_problem(502, "backend_refused");
        assert!(said(&elsewhere).contains("url"), "{}", elsewhere.text);
    }
}

#[tokio::test]
async fn before_19_login_and_database_are_needed_and_since_then_neither_is() {
    let app = App::start().await;
    let (seventeen, _, _) = shop_of(&app, "old", Release::Seventeen).await;
    let (nineteen, user, _) = shop_of(&app, "new", Release::Nineteen).await;
    let key = json!({ "api_key": KEY });
    connect(&app, &seventeen, &url_of(&app, "old"), &key).await.assert_status(200);
    let refused = tested(&app, &seventeen).await;
    refused.assert_problem(502, "credential_refused");
    assert!(
        said(&refused).contains("older than 19") && said(&refused).contains("login"),
        "{}",
        refused.text
    );
    connect(&app, &nineteen, &url_of(&app, "new"), &key).await.assert_status(200);
    let good = tested(&app, &nineteen).await;
    good.assert_status(200);
    assert!(good.json["detail"].as_str().unwrap().contains("every company"), "{}", good.text);
    user.get(PIPELINE).await.assert_status(200);
}

#[tokio::test]
async fn a_credential_that_odoo_could_not_take_is_refused_when_it_is_set() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    for (credential, field) in [
        (json!({}), "credential.api_key"),
        (json!({ "api_key": "" }), "credential.api_key"),
        (json!({ "api_key": "secret 9" }), "credential.api_key"),
        (json!({ "api_key": "secret-9\n" }), "credential.api_key"),
        (json!({ "api_key": "secret-9", "database": "" }), "credential.database"),
        (json!({ "api_key": "secret-9", "database": "a\nb" }), "credential.database"),
        (json!({ "api_key": "secret-9", "login": "" }), "credential.login"),
        (json!({ "api_key": "secret-9", "company_id": 0 }), "credential.company_id"),
        (json!({ "api_key": "secret-9", "company_id": "1" }), "credential"),
        (json!({ "api_key": "secret-9", "password": "x" }), "credential.password"),
    ] {
        let refused = connect(&app, &tenant, "http://odoo.vendors.test", &credential).await;
        refused.assert_problem(422, "invalid_input");
        assert!(said(&refused).starts_with(field), "{credential}: {}", refused.text);
        assert!(!refused.text.contains("secret"), "{}", refused.text);
    }
}

#[tokio::test]
async fn the_key_is_sent_as_each_protocol_has_it_and_neither_key_nor_trace_is_shown() {
    let app = App::start().await;
    for release in BOTH {
        let slug = format!("shop-{release:?}").to_lowercase();
        let (tenant, user, odoo) = shop_of(&app, &slug, release).await;
        user.get(PIPELINE).await.assert_status(200);
        let headers = odoo.last_request_headers();
        let bearer = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
        match release {
            Release::Nineteen => {
                assert_eq!(bearer.as_deref(), Some("Bearer odoo-key-5f1c"));
                assert_eq!(headers["x-odoo-database"], DATABASE);
            }
            Release::Seventeen => assert_eq!(bearer, None),
        }
        // Odoo's own failure: a field that is gone, as after an update.
        odoo.drop_field("phone");
        let failed = user.get(CONTACTS).await;
        failed.assert_status(200);
        odoo.set_read_only();
        let operator = app.operator().for_tenant(&tenant.id);
        let shown = [
            user.post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } })).await,
            operator.get("/api/v1/connections").await,
            operator.get("/api/v1/audit").await,
        ];
        for answer in shown {
            assert!(
                !answer.text.contains("key-5f1c") && !answer.text.contains("Traceback") && !answer.text.contains("secret-path"),
                "{}",
                answer.text
            );
        }
    }
}

#[tokio::test]
async fn version_user_and_fields_are_asked_for_once() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        user.get(CONTACTS).await.assert_status(200);
        let first = odoo.requests();
        user.get(CONTACTS).await.assert_status(200);
        assert_eq!(odoo.requests() - first, 2, "{release:?}: the contacts, and the names of their tags");
    }
}

#[tokio::test]
async fn a_field_that_an_update_took_away_fails_one_call() {
    let app = App::start().await;
    for release in BOTH {
        let (_, user, odoo) = shop_of(&app, &format!("shop-{release:?}").to_lowercase(), release).await;
        user.get(CONTACTS).await.assert_status(200);
        odoo.drop_field("email");
        let failed = user.get(CONTACTS).await;
        failed.assert_problem(502, "backend_refused");
        assert!(said(&failed).contains("Invalid field 'email'"), "{}", failed.text);
        let after = user.get(CONTACTS).await;
        after.assert_status(200);
        assert_eq!(after.json["contacts"][1]["email"], Value::Null);
    }
}

#[tokio::test]
async fn a_user_who_has_another_number_now_is_looked_up_once_more() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Seventeen).await;
    user.get(PIPELINE).await.assert_status(200);
    odoo.renumber_users();
    user.get(PIPELINE).await.assert_status(200);
    odoo.renumber_users();
    let made = user.post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } })).await;
    made.assert_status(200);
    assert_eq!(odoo.writes(), 1);
    odoo.revoke_keys();
    user.get(PIPELINE).await.assert_problem(502, "credential_refused");
}

#[tokio::test]
async fn a_type_that_this_odoo_does_not_know_says_which_app_it_lacks() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    odoo.drop_field("customer_rank");
    let refused = user.get(&format!("{CONTACTS}?filter[type]=customer")).await;
    refused.assert_problem(502, "backend_refused");
    assert!(said(&refused).contains("Invoicing"), "{}", refused.text);
    let leads = user.get(&format!("{CONTACTS}?filter[type]=lead")).await;
    assert_eq!(ids(&leads, "contacts"), [11, 12, 13, 15, 16, 17, 18], "who has an opportunity");
}

#[tokio::test]
async fn every_fault_of_an_odoo_is_a_failure_of_each_tool_on_both_doors() {
    let app = App::start().await;
    let app = &app;
    let cases = [
        (Fault::Status(401), 502, "credential_refused", "credential"),
        (Fault::Status(403), 502, "credential_refused", "credential"),
        (Fault::Status(404), 502, "backend_refused", "url"),
        (Fault::Status(429), 503, "backend_down", "asked too often"),
        (Fault::Status(500), 503, "backend_down", "currently unavailable"),
        (Fault::Status(502), 503, "backend_down", "currently unavailable"),
        (Fault::Status(503), 503, "backend_down", "currently unavailable"),
        (Fault::Html, 502, "backend_refused", "url"),
        (Fault::NotJson, 502, "backend_refused", "API"),
        (Fault::LyingLength, 502, "backend_refused", "larger than"),
        (Fault::CutOff, 503, "backend_down", "cut off"),
        (
            Fault::RedirectTo("http://169.254.169.254/".to_owned()),
            502,
            "backend_refused",
            "redirect",
        ),
    ];
    let calls = [
        ("crm_contacts_list", json!({})),
        ("crm_contacts_search", json!({ "query": "rosa" })),
        ("crm_opportunities_list", json!({ "stage": "new" })),
        ("crm_pipeline_status", json!({})),
        (
            "crm_records_upsert",
            json!({ "kind": "opportunity", "id": 32, "fields": { "stage": "won" } }),
        ),
    ];
    let calls = &calls;
    let all = cases
        .into_iter()
        .enumerate()
        .flat_map(|(index, case)| BOTH.map(|release| (index, case.clone(), release)))
        .map(|(index, (fault, status, code, words), release)| async move {
            let slug = format!("t{index}-{release:?}").to_lowercase();
            let (tenant, user, odoo) = shop_of(app, &slug, release).await;
            let anew = async || {
                connect(app, &tenant, &url_of(app, &slug), &credential(KEY, LOGIN, COMPANY))
                    .await
                    .assert_status(200)
                    .status
            };
            odoo.set_fault(fault.clone());
            for (tool, arguments) in calls {
                // With many failures the breaker opens: each look is at a connection that has just been made.
                anew().await;
                let rest = user.post(&format!("/api/v1/tools/{tool}"), arguments.clone()).await;
                let found = (rest.status.as_u16(), rest.json["code"].as_str());
                assert_eq!(found, (status, Some(code)), "{release:?} {tool} at {fault:?}: {}", rest.text);
                assert!(said(&rest).contains(words), "{tool} at {fault:?}: {}", rest.text);
            }
            anew().await;
            let mcp = user.call("crm_contacts_list", json!({})).await;
            assert!(mcp.tool_error().contains(words), "{fault:?}: {}", mcp.text);
            // And where version, user and fields are known.
            anew().await;
            odoo.set_fault(Fault::None);
            user.get(PIPELINE).await.assert_status(200);
            odoo.set_fault(fault.clone());
            let (tool, arguments) = &calls[4];
            let warm = user.call(tool, arguments.clone()).await;
            assert!(warm.tool_error().contains(words), "{release:?} {tool} at {fault:?}: {}", warm.text);
            assert_eq!(odoo.writes(), 0, "{fault:?}");
        });
    // A few at a time: all of them on one thread would wait for the five connections to PostgreSQL.
    stream::iter(all).buffer_unordered(6).collect::<()>().await;
}

#[tokio::test]
async fn a_backend_that_fails_for_a_moment_is_asked_again_for_reads_alone() {
    let app = App::start().await;
    let (_, user, odoo) = shop_of(&app, "luna", Release::Nineteen).await;
    user.get(CONTACTS).await.assert_status(200);
    odoo.set_fault(Fault::FailTimes { status: 503, times: 1 });
    user.get(CONTACTS).await.assert_status(200);
    odoo.set_fault(Fault::FailTimes { status: 503, times: 1 });
    user.post(RECORDS, json!({ "kind": "contact", "fields": { "name": "x" } }))
        .await
        .assert_problem(503, "backend_down");
    assert_eq!(odoo.writes(), 0);
}

#[tokio::test]
async fn without_a_connection_each_tool_says_how_to_connect() {
    let app = App::start().await;
    let tenant = app.tenant("luna").await;
    let user = writer(&app, &tenant).await;
    for (tool, arguments) in [
        ("crm_contacts_list", json!({})),
        ("crm_contacts_search", json!({ "query": "x" })),
        ("crm_opportunities_list", json!({})),
        ("crm_pipeline_status", json!({})),
        ("crm_records_upsert", json!({ "kind": "contact", "fields": { "name": "x" } })),
    ] {
        let refused = user.post(&format!("/api/v1/tools/{tool}"), arguments).await;
        refused.assert_problem(409, "not_connected");
        assert!(said(&refused).contains("connections/odoo"), "{}", refused.text);
    }
}

/// Odoo's own client library against the played one: what it understands, the gateway was not alone in understanding.
#[tokio::test]
async fn odoos_own_client_works_with_the_played_odoo_by_both_protocols() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/.venv/bin/python");
    for (release, protocol, fields) in [
        (Release::Nineteen, "json2", json!(["name", "team_ids"])),
        (Release::Nineteen, "jsonrpc", json!(["name", "team_ids"])),
        (Release::Seventeen, "jsonrpc", json!(["name", "team_id"])),
    ] {
        let odoo = Sandbox::new(release, KEY);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let router = odoo.router();
        let serving = tokio::spawn(async move { axum::serve(listener, router).await });
        let settings = [
            ("ODOO_HOST", "127.0.0.1"),
            ("ODOO_PORT", &port),
            ("ODOO_DATABASE", DATABASE),
            ("ODOO_LOGIN", LOGIN),
            ("ODOO_KEY", KEY),
        ];
        let outcome = conformance::script(python.to_str().unwrap(), &["odoo_client.py", protocol], &settings).await;
        serving.abort();
        assert_eq!(outcome["language"], "es_CL");
        assert_eq!(outcome["rosa"][0]["parent_id"], json!([11, "Hotel Calle-Calle SpA"]));
        let id = outcome["created"][0].as_u64().unwrap();
        assert_eq!(outcome["written"], true);
        assert_eq!(outcome["read"]["phone"], "+56 9 1111 2222", "{outcome}");
        assert_eq!(outcome["read"]["email"], false);
        assert_eq!(odoo.record("res.partner", id).unwrap()["phone"], "+56 9 1111 2222");
        assert_eq!((&outcome["count"], &outcome["chileans"]), (&json!(6), &json!(7)));
        assert_eq!(outcome["fields"], fields);
        assert!(outcome["refused"].as_str().unwrap().contains("Invalid field"), "{outcome}");
    }
}
