//! `/install.sh` as a gateway serves it, run by `sh` against releases that `scripts/release.sh` made of this very build and a server on
//! loopback hands out. What is played is a `uname` of another machine, and a `curl` that only notes that it was called. And the other
//! ways to install name this version.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use axum::{Router, extract::State, http::Uri};
use tokio::{io::AsyncWriteExt as _, process::Command};

use crate::{app::App, cli::Folder};

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The script, and the gateway's address in it.
async fn served(public_url: &str) -> String {
    let url = public_url.parse().unwrap();
    let app = App::with(|config| config.public_url = Some(url)).await;
    // Open, like /health: whatever name it is called by, without a token.
    let reply = app.nobody().with_header("host", "another.example").get("/install.sh").await;
    reply.assert_status(200);
    assert_eq!(reply.header("content-type"), "text/x-shellscript; charset=utf-8");
    app.nobody().post("/install.sh", serde_json::json!({})).await.assert_status(405);
    reply.text
}

/// A folder, handed out over HTTP.
async fn handed_out(folder: &Path) -> String {
    async fn file(State(folder): State<PathBuf>, uri: Uri) -> Result<Vec<u8>, axum::http::StatusCode> {
        let name = uri.path().trim_start_matches('/');
        tokio::fs::read(folder.join(name))
            .await
            .map_err(|_| axum::http::StatusCode::NOT_FOUND)
    }
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(file).with_state(folder.to_owned());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

/// `sh` reads a script, for a user with this home.
async fn sh(script: &str, home: &Path, path: &str, settings: &[(&str, &str)]) -> Output {
    let mut child = Command::new("/bin/sh")
        .env_clear()
        .env("HOME", home)
        .env("PATH", path)
        .envs(settings.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // One that ended early does not read the rest.
    let _ = stdin.write_all(script.as_bytes()).await;
    drop(stdin);
    child.wait_with_output().await.unwrap()
}

fn path() -> String {
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()
}

/// Puts a program of a test's own into a folder.
fn played(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[tokio::test]
async fn the_script_installs_a_release_that_is_whole_and_nothing_else() {
    let releases = Folder::new();
    let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/release.sh"))
        .env("BINARY", env!("CARGO_BIN_EXE_smartermcp"))
        .env("OUT", &releases.0)
        .output()
        .await
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let archive = format!("smartermcp-{VERSION}-linux-{}.tar.gz", std::env::consts::ARCH);
    let url = handed_out(&releases.0).await;
    let script = served("https://mcp.example.cl").await;
    let run = async |home: &Path| sh(&script, home, &path(), &[("SMARTERMCP_RELEASES", &url)]).await;
    let refused = async |why: &str| {
        let home = Folder::new();
        let done = run(&home.0).await;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(is_empty(&home.0), "{why}");
    };

    let home = Folder::new();
    let done = run(&home.0).await;
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{done:?}");
    let binary = home.0.join(".local/bin/smartermcp");
    assert!(said.contains(&format!("installed {}", binary.display())), "{said}");
    assert!(said.contains("is not in PATH"), "{said}");
    let says = Command::new(&binary).arg("--version").output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&says.stdout), format!("smartermcp {VERSION}\n"));
    // Again, over the one that is there, and elsewhere.
    assert!(run(&home.0).await.status.success());
    let prefix = Folder::new();
    let below = prefix.0.join("opt");
    let settings = [("SMARTERMCP_RELEASES", url.as_str()), ("PREFIX", below.to_str().unwrap())];
    let elsewhere = Folder::new();
    assert!(sh(&script, &elsewhere.0, &path(), &settings).await.status.success());
    assert!(below.join("bin/smartermcp").exists() && is_empty(&elsewhere.0));

    // The archive breaks off.
    let whole = std::fs::read(releases.0.join(&archive)).unwrap();
    std::fs::write(releases.0.join(&archive), &whole[..whole.len() / 2]).unwrap();
    refused("it was changed, or broke off").await;
    std::fs::write(releases.0.join(&archive), &whole).unwrap();

    // The checksum is another archive's.
    let sums = std::fs::read_to_string(releases.0.join("SHA256SUMS")).unwrap();
    let wrong = format!("{}  {archive}\n", "0".repeat(64));
    std::fs::write(releases.0.join("SHA256SUMS"), wrong).unwrap();
    refused("it was changed, or broke off").await;

    // There is none for this platform, or what is there is no list.
    for text in ["", "<html>not found</html>", &format!("short  {archive}\n")] {
        std::fs::write(releases.0.join("SHA256SUMS"), text).unwrap();
        refused(&format!("names no {archive}")).await;
    }
    std::fs::remove_file(releases.0.join("SHA256SUMS")).unwrap();
    refused("SHA256SUMS cannot be downloaded").await;

    // A checksum that is right does not make another version this one.
    std::fs::write(releases.0.join("SHA256SUMS"), &sums).unwrap();
    let folder = Folder::new();
    let name = archive.trim_end_matches(".tar.gz");
    std::fs::create_dir(folder.0.join(name)).unwrap();
    played(&folder.0.join(name), "smartermcp", "#!/bin/sh\necho smartermcp 0.9.0\n");
    let packed = Command::new("tar")
        .arg("-C")
        .arg(&folder.0)
        .arg("-czf")
        .arg(releases.0.join(&archive))
        .arg(name)
        .status()
        .await
        .unwrap();
    assert!(packed.success());
    let summed = Command::new("sha256sum")
        .arg(&archive)
        .current_dir(&releases.0)
        .output()
        .await
        .unwrap();
    std::fs::write(releases.0.join("SHA256SUMS"), summed.stdout).unwrap();
    refused("says 'smartermcp 0.9.0'").await;
}

/// A PATH with a `curl` that leaves a mark, before the machine's own programs.
fn watched(folder: &Path) -> String {
    played(
        folder,
        "curl",
        &format!("#!/bin/sh\n: >'{}'\nexit 1\n", folder.join("called").display()),
    );
    format!("{}:{}", folder.display(), path())
}

#[tokio::test]
async fn of_a_script_that_broke_off_nothing_is_run() {
    let script = served("https://mcp.example.cl").await;
    assert!(script.is_ascii());
    let (programs, home) = (Folder::new(), Folder::new());
    let path = watched(&programs.0);
    // Up to the last letter but one of the last line, which calls it all.
    for end in (0..script.len() - 2).step_by(23).chain([script.len() - 2]) {
        sh(&script[..end], &home.0, &path, &[]).await;
        assert!(!programs.0.join("called").exists(), "cut after {end} bytes, it runs");
    }
    assert!(is_empty(&home.0));
    sh(&script, &home.0, &path, &[]).await;
    assert!(programs.0.join("called").exists(), "whole, it would have been seen");
}

#[tokio::test]
async fn an_unknown_machine_and_an_open_line_are_refused_before_anything_is_asked() {
    let script = served("https://mcp.example.cl").await;
    let (programs, home) = (Folder::new(), Folder::new());
    let path = watched(&programs.0);
    let refused = async |settings: &[(&str, &str)], why: &str| {
        let done = sh(&script, &home.0, &path, settings).await;
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{settings:?}: {said}");
        assert!(!programs.0.join("called").exists(), "{settings:?}");
    };
    for open in [
        "http://releases.example/smartermcp",
        "http://127.0.0.1.example/x",
        "http://127.0.0.1@releases.example/x",
        "http://localhost:80@releases.example/x",
        "http://127.0.0.1:8080x/",
        "http://127.0.0.1\\@releases.example/x",
    ] {
        refused(&[("SMARTERMCP_RELEASES", open)], "is not encrypted").await;
    }
    for none in ["ftp://releases.example", "file:///etc", "releases", "https://"] {
        refused(&[("SMARTERMCP_RELEASES", none)], "should be an https URL").await;
    }
    refused(&[("HOME", "")], "set PREFIX").await;
    for (system, machine) in [("Haiku", "x86_64"), ("Linux", "riscv64"), ("Darwin", "arm64")] {
        let said = format!("#!/bin/sh\ncase $1 in -s) echo {system} ;; -m) echo {machine} ;; esac\n");
        played(&programs.0, "uname", &said);
        refused(&[], &format!("there is no binary for {system} on {machine}")).await;
    }
    assert!(is_empty(&home.0));
}

#[test]
fn what_installs_the_image_names_this_version_and_no_other() {
    for (path, before) in [
        ("Dockerfile", "ARG VERSION="),
        ("deploy/compose/compose.yaml", "smartercl/mcp-server:"),
        ("deploy/compose/.env.example", "smartercl/mcp-server:"),
        ("docs/installing.md", "smartercl/mcp-server:"),
    ] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
        let after = text.split(before).skip(1);
        let versions: Vec<_> = after.map(|rest| rest.split([' ', '}', '\n']).next().unwrap()).collect();
        assert!(
            !versions.is_empty() && versions.iter().all(|version| *version == VERSION),
            "{path} names {versions:?}"
        );
    }
}

#[tokio::test]
async fn the_script_names_the_gateway_that_served_it_and_no_address_gets_out_of_its_quotes() {
    let script = served("https://mcp.example.cl").await;
    assert!(script.contains("curl -fsSL https://mcp.example.cl/install.sh | sh"), "{script}");
    assert!(script.contains("'https://mcp.example.cl/releases'") && script.contains(&format!("version='{VERSION}'")));
    assert!(!script.contains("{base_url}") && !script.contains("{version}"));
    let quoted = served("https://mcp.example.cl/it's'$(id)").await;
    assert!(quoted.contains("'https://mcp.example.cl/it%27s%27$(id)/releases'"), "{quoted}");
    assert!(
        sh(&format!("set -n\n{quoted}"), Path::new("/"), &path(), &[])
            .await
            .status
            .success()
    );
    // As it lies in the repository, it says where to take it from.
    let raw = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/install.sh")).unwrap();
    let done = sh(&raw, Path::new("/"), &path(), &[]).await;
    assert!(String::from_utf8_lossy(&done.stderr).contains("take it from a gateway"), "{done:?}");
}
