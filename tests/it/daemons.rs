//! Processes that a test starts for itself, stops short, kills and starts again on the same port and data: Redis and PostgreSQL.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::process::{Child, Command};

/// A port that nobody listens on, below those that the kernel gives to outgoing connections: a process that is started again
/// finds it free.
pub fn free_port() -> u16 {
    loop {
        let port = 12_000 + (uuid::Uuid::new_v4().as_u128() % 20_000) as u16;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Sends a signal to one process, by its id.
pub fn signal(name: &str, pid: u32) {
    // It may have gone already.
    let _ = std::process::Command::new("kill")
        .args([name, &pid.to_string()])
        .stderr(Stdio::null())
        .status();
}

/// Asks until something holds, for at most so long.
#[track_caller]
pub fn until(what: &str, within: Duration) -> Until<'_> {
    Until { what, within }
}

pub struct Until<'a> {
    what: &'a str,
    within: Duration,
}

impl Until<'_> {
    pub async fn holds<F: Future<Output = bool>>(self, mut look: impl FnMut() -> F) {
        let asking = async {
            while !look().await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let held = tokio::time::timeout(self.within, asking).await;
        assert!(held.is_ok(), "not within {:?}: {}", self.within, self.what);
    }
}

/// A program, where the package that brings it is installed.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    // Debian keeps a folder for each version of PostgreSQL.
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|found| found.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    versions.sort();
    folders.extend(versions.into_iter().rev());
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether a program is there; a test without it says so and ends.
pub fn installed(name: &str) -> bool {
    let there = program(name).is_some();
    if !there {
        println!("skipped: {name} is not installed (scripts/prepare-tests.sh installs it)");
    }
    there
}

/// A redis-server of this test's own.
pub struct Redis {
    pub port: u16,
    folder: PathBuf,
    arguments: Vec<String>,
    child: Child,
}

impl Redis {
    /// In memory alone.
    pub async fn forgetful(folder: &Path) -> Self {
        Self::with(folder, free_port(), &["--save", "", "--appendonly", "no"]).await
    }

    pub async fn with(folder: &Path, port: u16, arguments: &[&str]) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        let child = Self::spawn(folder, port, &arguments);
        let redis = Self {
            port,
            folder: folder.to_owned(),
            arguments,
            child,
        };
        redis.wait().await;
        redis
    }

    fn spawn(folder: &Path, port: u16, arguments: &[String]) -> Child {
        Command::new(program("redis-server").expect("redis-server is installed"))
            .args(arguments)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn wait(&self) {
        until("redis-server answers", Duration::from_secs(20))
            .holds(|| async { self.ask(&["ping"]).await.contains("PONG") })
            .await;
    }

    /// What redis-cli prints.
    pub async fn ask(&self, words: &[&str]) -> String {
        redis_cli(&["-p", &self.port.to_string()], words).await
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// On the same port and data.
    pub async fn start_again(&mut self) {
        self.child = Self::spawn(&self.folder, self.port, &self.arguments);
        self.wait().await;
    }
}

/// What redis-cli prints, within five seconds.
pub async fn redis_cli(options: &[&str], words: &[&str]) -> String {
    let asking = Command::new(program("redis-cli").expect("redis-cli is installed"))
        .args(options)
        .args(words)
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(Duration::from_secs(5), asking).await {
        Ok(output) => String::from_utf8_lossy(&output.unwrap().stdout).into_owned(),
        Err(_) => String::new(),
    }
}

/// A PostgreSQL of this test's own, whose data outlives a kill.
pub struct Postgres {
    pub port: u16,
    folder: PathBuf,
    child: Child,
    /// PostgreSQL refuses to run as root.
    as_nobody: Option<(u32, u32)>,
}

pub const ROLE_PASSWORD: &str = "a-password-of-the-tests";

impl Postgres {
    pub async fn start(folder: &Path) -> Self {
        use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
        std::fs::create_dir_all(folder).unwrap();
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        let data = folder.join("postgres");
        std::fs::create_dir(&data).unwrap();
        let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
        let as_nobody = root.then(|| {
            let nobody = std::fs::read_to_string("/etc/passwd").unwrap();
            let line = nobody
                .lines()
                .find(|line| line.starts_with("nobody:"))
                .expect("there is a user nobody");
            let mut parts = line.split(':').skip(2).map(|part| part.parse().unwrap());
            (parts.next().unwrap(), parts.next().unwrap())
        });
        if let Some((user, group)) = as_nobody {
            std::os::unix::fs::chown(&data, Some(user), Some(group)).unwrap();
        }
        let mut initdb = Self::command("initdb", &data, as_nobody);
        initdb.args(["-U", "postgres", "--auth=trust", "--no-instructions", "-E", "UTF8", "--locale=C"]);
        let made = initdb.arg("-D").arg(data.join("data")).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = free_port();
        let child = Self::spawn(&data, port, as_nobody);
        let postgres = Self {
            port,
            folder: data,
            child,
            as_nobody,
        };
        postgres.wait(Duration::from_secs(30)).await;
        postgres
    }

    fn command(name: &str, folder: &Path, as_nobody: Option<(u32, u32)>) -> Command {
        let mut command = Command::new(program(name).unwrap_or_else(|| panic!("{name} is installed")));
        command
            .current_dir(folder)
            .env("HOME", folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some((user, group)) = as_nobody {
            command.uid(user).gid(group);
        }
        command
    }

    fn spawn(folder: &Path, port: u16, as_nobody: Option<(u32, u32)>) -> Child {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(folder.join("log"))
            .unwrap();
        // As it ships: what it has said to be committed is on the disk.
        Self::command("postgres", folder, as_nobody)
            .arg("-D")
            .arg(folder.join("data"))
            .args(["-c", "listen_addresses=127.0.0.1", "-c", &format!("port={port}")])
            .args(["-c", &format!("unix_socket_directories={}", folder.display())])
            .args(["-c", "max_connections=120"])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    async fn wait(&self, within: Duration) {
        until("PostgreSQL answers", within)
            .holds(|| async { self.try_sql("select 1").await.is_ok() })
            .await;
    }

    async fn try_sql(&self, statements: &str) -> Result<(), sqlx::Error> {
        use sqlx::Connection as _;
        let connecting = sqlx::PgConnection::connect(&self.admin_url("postgres")).await;
        let mut connection = connecting?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()))
            .execute(&mut connection)
            .await?;
        connection.close().await
    }

    /// Makes the gateway's role and a database that it owns; answers the URL for the gateway.
    pub async fn database(&self, name: &str) -> String {
        let role = format!("create role smartermcp login password '{ROLE_PASSWORD}'");
        self.try_sql(&role).await.unwrap();
        self.try_sql(&format!("create database {name} owner smartermcp")).await.unwrap();
        format!("postgres://smartermcp:{ROLE_PASSWORD}@127.0.0.1:{}/{name}", self.port)
    }

    /// As a superuser, whom row-level security does not bind.
    pub fn admin_url(&self, name: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    /// The postmaster and whom it has started.
    fn pids(&self) -> Vec<u32> {
        let Some(postmaster) = self.child.id() else { return Vec::new() };
        let path = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(path).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        std::iter::once(postmaster).chain(children).collect()
    }

    /// All of it at once, as when the machine's power goes, but for the disk's.
    pub async fn kill(&mut self) {
        for pid in self.pids() {
            signal("-KILL", pid);
        }
        self.child.wait().await.unwrap();
    }

    /// As an operator who does not wait: SIGINT, "fast".
    pub async fn stop(&mut self) {
        signal("-INT", self.child.id().expect("it runs"));
        let gone = tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await;
        gone.expect("PostgreSQL stops").unwrap();
    }

    /// On the same port and data.
    pub async fn start_again(&mut self) {
        for _ in 0..50 {
            self.child = Self::spawn(&self.folder, self.port, self.as_nobody);
            // It refuses while those whom the last one started are still there.
            let ended = tokio::time::timeout(Duration::from_millis(300), self.child.wait()).await;
            if ended.is_err() {
                return self.wait(Duration::from_secs(60)).await;
            }
        }
        panic!("PostgreSQL does not start again: see {}", self.folder.join("log").display());
    }

    /// Stops all of it short, without a word to its clients.
    pub fn pause(&self) -> Paused {
        let pids = self.pids();
        pids.iter().for_each(|pid| signal("-STOP", *pid));
        Paused(pids)
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        for pid in self.pids() {
            signal("-KILL", pid);
        }
    }
}

/// Processes that are stopped short, until this is dropped.
pub struct Paused(Vec<u32>);

impl Paused {
    pub fn process(pid: u32) -> Self {
        signal("-STOP", pid);
        Self(vec![pid])
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        self.0.iter().for_each(|pid| signal("-CONT", *pid));
    }
}
