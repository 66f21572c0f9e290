//! The SDKs: what is generated is what the generator writes, and both work against the real gateway with its sandbox, as the owner's
//! document and their READMEs use them, and as a wheel and a tarball that are installed where nothing else is.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::{Value, json};
use smartermcp::sandbox::Systems;

use crate::{
    app::{App, OPERATOR, Tenant, User},
    cli::Folder,
    servers, tools,
};

/// A path in the repository.
fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The interpreter with everything that the Python SDK and its tests need.
fn interpreter() -> PathBuf {
    let python = at("tests/clients/.venv/bin/python");
    assert!(
        python.exists(),
        "the packages of tests/clients are not installed; `make clients` installs them"
    );
    python
}

/// Runs a program with nothing of this process' settings for the SDKs; answers what it printed. It must succeed.
async fn run(program: impl AsRef<Path>, arguments: &[&str], folder: &str, settings: &[(&str, &str)]) -> String {
    let mut command = tokio::process::Command::new(program.as_ref());
    for name in ["SMARTERMCP_API_TOKEN", "SMARTERMCP_TENANT_ID", "SMARTERMCP_ENDPOINT", "PYTHONPATH"] {
        command.env_remove(name);
    }
    let output = command
        .args(arguments)
        .current_dir(at(folder))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap_or_else(|error| panic!("{} does not start: {error}", program.as_ref().display()));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success(),
        "{} {arguments:?} failed\n{out}\n{err}",
        program.as_ref().display()
    );
    out.into_owned()
}

/// The n-th block of code of a README.
fn block(readme: &str, language: &str, index: usize) -> String {
    let text = std::fs::read_to_string(at(readme)).unwrap();
    let fence = format!("```{language}\n");
    let block = text.split(&fence).nth(index + 1).expect("the README has the block");
    block.split("```").next().unwrap().to_owned()
}

/// The owner's example with the two literals that stand for a caller's own.
fn owners_example(readme: &str, language: &str, tenant: &Tenant, user: &User) -> String {
    let example = block(readme, language, 1);
    let told = example
        .replace("smcp_xxxxxxxxxxxxx", &user.token)
        .replace("tenant-uuid-here", &tenant.id);
    assert!(told.contains(&user.token) && told.contains(&tenant.id), "{told}");
    told
}

/// What the owner's example prints, of either SDK; the execution is one that n8n has.
async fn is_what_the_sandbox_has(printed: &str, user: &User, systems: &Systems) {
    let services = user.get("/api/v1/services?filter=backend").await.json;
    let services = services["services"].as_array().unwrap();
    assert!(!services.is_empty());
    let mut expected: Vec<_> = services
        .iter()
        .map(|service| format!("{}: {}", service["name"].as_str().unwrap(), service["status"].as_str().unwrap()))
        .collect();
    let execution = printed
        .lines()
        .find_map(|line| line.strip_prefix("Execution ID: "))
        .expect("an execution is told");
    let shown = user.get(&format!("/api/v1/workflows/executions/{execution}")).await;
    assert_eq!(shown.assert_status(200).json["workflow_id"], "wf_backup_db");
    assert_eq!(systems.n8n.executions_of("wf_backup_db"), 1);
    expected.push(format!("Execution ID: {execution}"));
    expected.push("Revenue MTD: $45780".to_owned());
    expected.push("Conversion Rate: 3.2%".to_owned());
    expected.push("John Smith - john@example.com".to_owned());
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

/// Whether this is the second run of the suite: what is checked, packed and installed was tested by the first.
fn is_second_run() -> bool {
    if servers::given() {
        println!("skipped: what is checked, packed and installed is the same on every database");
    }
    servers::given()
}

#[tokio::test]
async fn generated_code_is_what_the_generator_writes_of_the_document() {
    println!("{}", run("python3", &["sdk/generate", "--check"], ".", &[]).await);
}

// Python

#[tokio::test]
async fn the_owners_python_example_prints_what_the_sandbox_has() {
    let app = App::start().await;
    let (tenant, user, systems) = tools::with_systems(&app, "luna").await;
    let example = owners_example("sdk/python/README.md", "python", &tenant, &user);
    let settings = [("SMARTERMCP_ENDPOINT", &*app.base()), ("PYTHONPATH", "sdk/python/src")];
    let printed = run(interpreter(), &["-c", &example], ".", &settings).await;
    is_what_the_sandbox_has(&printed, &user, &systems).await;
}

#[tokio::test]
async fn the_python_sdk_does_what_it_says_against_the_gateway() {
    let app = App::start().await;
    let (tenant, user, systems) = tools::with_systems(&app, "luna").await;
    let (other, _, _) = tools::with_systems(&app, "sol").await;
    let reader = app.user(&other, &["read:workflows"]).await;
    let slow = json!({ "limits": { "general": { "per_minute": 60, "burst": 1 } } });
    let slow = app.user_with(&tenant, &["read:bots"], slow).await;
    systems.n8n.add_workflow(json!({
        "id": "wf_cut", "name": "wf_cut", "active": true,
        "nodes": [{ "name": "Webhook", "type": "n8n-nodes-base.webhook",
            "parameters": { "path": "cut", "httpMethod": "POST", "responseMode": "lastNode" } }],
        "connections": {},
    }));
    systems.docker.engine().named("luna-postgres").log_later = vec!["after".to_owned(), "later".to_owned()];
    let world = json!({
        "tenant": tenant.id, "token": user.token,
        "other_tenant": other.id, "other_token": reader.token,
        "slow_token": slow.token, "operator": OPERATOR,
        "calls": tools::calls(),
    })
    .to_string();
    let settings = [
        ("SMARTERMCP_ENDPOINT", &*app.base()),
        ("PYTHONPATH", "src:tests"),
        ("SDK_WORLD", &world),
    ];
    let told = run(interpreter(), &["-m", "pytest", "--durations=5"], "sdk/python", &settings).await;
    println!("{told}");
    assert!(told.contains(" passed") && !told.contains("skipped"), "{told}");
    // Cut before, after and within the answer, and given up and repeated by hand: four calls, and each was done once.
    assert_eq!(systems.n8n.executions_of("wf_cut"), 4);
}

#[tokio::test]
async fn mypy_and_pyright_find_nothing_in_the_python_sdk_when_they_are_strict() {
    if is_second_run() {
        return;
    }
    let python = interpreter();
    let pyright = at("tests/clients/node_modules/.bin/pyright");
    let with = ["--pythonpath", python.to_str().unwrap()];
    let (mypy, pyright) = tokio::join!(
        run(&python, &["-m", "mypy"], "sdk/python", &[]),
        run(&pyright, &with, "sdk/python", &[]),
    );
    println!("{mypy}{pyright}");
}

#[tokio::test]
async fn the_wheel_is_built_and_works_where_nothing_else_is_installed() {
    if is_second_run() {
        return;
    }
    let app = App::start().await;
    let (_, user, _) = tools::with_systems(&app, "luna").await;
    let folder = Folder::new();
    let there = |path: &str| folder.0.join(path).to_str().unwrap().to_owned();
    let python = interpreter();
    // A source distribution first, and the wheel from that: both are whole.
    let built = run(
        &python,
        &["-m", "build", "--no-isolation", "--outdir", &there("dist"), "sdk/python"],
        ".",
        &[],
    )
    .await;
    println!("{}", built.lines().last().unwrap_or_default());
    let wheel = std::fs::read_dir(there("dist"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension().is_some_and(|end| end == "whl"))
        .expect("a wheel");
    println!("the wheel has {} bytes", wheel.metadata().unwrap().len());
    run(&python, &["-m", "venv", "--without-pip", &there("venv")], ".", &[]).await;
    // What it needs was fetched by `make clients`: nothing is fetched by a test.
    let own = there("venv/bin/python");
    let install = [
        "-m",
        "pip",
        "--python",
        &own,
        "install",
        "--quiet",
        "--no-index",
        "--find-links",
        "tests/clients/.wheels",
        wheel.to_str().unwrap(),
    ];
    run(&python, &install, ".", &[]).await;
    let lines = block("sdk/python/README.md", "python", 0).replace("smcp_xxxxxxxxxxxxx", &user.token);
    let where_from =
        "import importlib.resources as r, smartermcp; assert (r.files(smartermcp) / 'py.typed').is_file(); print(smartermcp.__file__)";
    let endpoint = app.base();
    let settings = [("SMARTERMCP_ENDPOINT", &*endpoint)];
    let printed = run(&own, &["-c", &format!("{lines}\n{where_from}")], ".", &settings).await;
    let listed = user.get("/api/v1/workflows").await.json;
    let names: Vec<_> = listed["workflows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|workflow| workflow["name"].as_str().unwrap())
        .collect();
    let mut printed = printed.lines();
    assert_eq!(
        printed.next().unwrap().replace('\'', "\""),
        serde_json::to_string(&names).unwrap().replace("\",\"", "\", \"")
    );
    assert!(printed.next().unwrap().starts_with(&there("venv")), "it is the installed one");
}

// TypeScript

/// Compiles the TypeScript SDK into its `dist`, for one test at a time, and answers the compiler.
async fn compiled() -> PathBuf {
    let compiler = at("sdk/typescript/node_modules/.bin/tsc");
    assert!(
        compiler.exists(),
        "the packages of sdk/typescript are not installed; `make clients` installs them"
    );
    let lock = std::fs::File::create(at("sdk/typescript/node_modules/.lock")).unwrap();
    lock.lock().unwrap();
    run(&compiler, &[], "sdk/typescript", &[]).await;
    compiler
}

#[tokio::test]
async fn the_owners_typescript_example_prints_what_the_sandbox_has_from_the_tarball_in_an_empty_folder() {
    if is_second_run() {
        return;
    }
    let app = App::start().await;
    let (tenant, user, systems) = tools::with_systems(&app, "luna").await;
    let compiler = compiled().await;
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let empty = path("");
    let pack = ["pack", "--ignore-scripts", "--silent", "--pack-destination", &empty];
    let tarball = path(run("npm", &pack, "sdk/typescript", &[]).await.trim());
    println!("the tarball has {} bytes", std::fs::metadata(&tarball).unwrap().len());
    std::fs::write(path("package.json"), r#"{ "private": true, "type": "module" }"#).unwrap();
    let install = ["install", "--offline", "--no-audit", "--no-fund", "--silent", &tarball];
    run("npm", &install, &empty, &[]).await;
    let installed = std::fs::read_to_string(path("node_modules/@smartercl/mcp-client/package.json")).unwrap();
    let installed: Value = serde_json::from_str(&installed).unwrap();
    assert_eq!(installed["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(installed.get("dependencies"), None);

    // The strictest compiler, and nothing of Node's.
    std::fs::write(
        path("example.ts"),
        owners_example("sdk/typescript/README.md", "typescript", &tenant, &user),
    )
    .unwrap();
    std::fs::write(path("three_lines.ts"), block("sdk/typescript/README.md", "typescript", 0)).unwrap();
    std::fs::copy(at("sdk/typescript/test/consumer.ts"), path("consumer.ts")).unwrap();
    let options = json!({
        "compilerOptions": {
            "target": "ES2022", "module": "NodeNext", "strict": true, "exactOptionalPropertyTypes": true, "noUncheckedIndexedAccess": true,
            "types": [], "outDir": "out",
        },
        "files": ["example.ts", "three_lines.ts", "consumer.ts"],
    });
    std::fs::write(path("tsconfig.json"), options.to_string()).unwrap();
    run(&compiler, &[], &empty, &[]).await;

    let endpoint = app.base();
    let settings = [("SMARTERMCP_ENDPOINT", &*endpoint)];
    let printed = run("node", &["out/example.js"], &empty, &settings).await;
    is_what_the_sandbox_has(&printed, &user, &systems).await;
    let settings = [settings[0], ("SMARTERMCP_API_TOKEN", &user.token)];
    let three = run("node", &["out/three_lines.js"], &empty, &settings).await;
    assert!(printed.starts_with(&three) && !three.is_empty(), "{three}");
}

#[tokio::test]
async fn the_typescript_sdk_does_what_it_says_against_the_gateway() {
    let app = App::start().await;
    let (tenant, user, systems) = tools::with_systems(&app, "luna").await;
    let slow = json!({ "limits": { "general": { "per_minute": 60, "burst": 1 } } });
    let slow = app.user_with(&tenant, &["read:services"], slow).await;
    let admin = app.user(&tenant, &["admin:tenants"]).await;
    systems.docker.engine().named("luna-postgres").log_later = vec!["after".to_owned(), "later".to_owned()];
    compiled().await;
    let endpoint = app.base();
    let settings = [
        ("SMARTERMCP_ENDPOINT", &*endpoint),
        ("SMARTERMCP_API_TOKEN", &user.token),
        ("SDK_SLOW_TOKEN", &slow.token),
        ("SDK_ADMIN_TOKEN", &admin.token),
    ];
    let node = [
        "--experimental-vm-modules",
        "--no-warnings",
        "--test",
        "--test-reporter=spec",
        "test/client.test.mjs",
        "test/played.test.mjs",
        "test/web.test.mjs",
    ];
    println!("{}", run("node", &node, "sdk/typescript", &settings).await);
    // Of all tools, with keys of its own, cut off twice, and too late and asked for again: four calls, and each was done once.
    assert_eq!(systems.n8n.executions_of("wf_backup_db"), 4);
}

// npm

#[tokio::test]
async fn the_npm_launcher_starts_the_binary_of_its_platform_and_says_what_to_do_where_that_is_missing() {
    if is_second_run() {
        return;
    }
    let folder = Folder::new();
    let path = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let (binary, packages) = (path("smartermcp"), path("npm"));
    // Without what a debugger reads, which is most of it and would only be packed for minutes.
    run("strip", &["-o", &binary, env!("CARGO_BIN_EXE_smartermcp")], ".", &[]).await;
    println!("{}", run(at("scripts/npm-packages.sh"), &[&binary, &packages], ".", &[]).await);
    let here = match std::env::consts::ARCH {
        "aarch64" => "linux-arm64",
        _ => "linux-x64",
    };
    for platform in ["darwin-arm64", "darwin-x64", "linux-arm64", "linux-x64", "win32-x64"] {
        let package = std::fs::read_to_string(path(&format!("npm/mcp-server-{platform}/package.json"))).unwrap();
        let package: Value = serde_json::from_str(&package).unwrap();
        assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(
            package["private"] == true,
            platform != here,
            "only what has a binary may be published: {package}"
        );
    }

    let platform = format!("./mcp-server-{here}");
    let tarballs = run("npm", &["pack", "--silent", "./mcp-server", &platform], &packages, &[]).await;
    let tarballs: Vec<_> = tarballs.lines().map(|name| format!("./{name}")).collect();
    for name in &tarballs {
        println!(
            "{name} has {} bytes",
            std::fs::metadata(path(&format!("npm/{name}"))).unwrap().len()
        );
    }
    let prefix = path("prefix");
    let mut install = vec![
        "install",
        "--global",
        "--offline",
        "--no-audit",
        "--no-fund",
        "--silent",
        "--prefix",
        &prefix,
    ];
    install.extend(tarballs.iter().map(String::as_str));
    run("npm", &install, &packages, &[]).await;
    let launcher = path("prefix/bin/smartermcp");
    let version = concat!("smartermcp ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(run(&launcher, &["--version"], ".", &[]).await, version);
    let started = async |argument: &str| tokio::process::Command::new(&launcher).arg(argument).output().await.unwrap();
    assert_eq!(started("nonsense").await.status.code(), Some(2), "the binary's own status");

    std::fs::remove_dir_all(path(&format!("prefix/lib/node_modules/@smartercl/mcp-server-{here}"))).unwrap();
    let missing = started("--version").await;
    let said = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        said.contains(&format!("the package @smartercl/mcp-server-{here} ")) && said.contains("npm install -g --include=optional"),
        "{said}"
    );
}
