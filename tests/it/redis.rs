//! Limits in a real Redis of the test's own: the script's arithmetic, Redis gone silent, Sentinel, Cluster and TLS.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use futures::future::join_all;
use smartermcp::{
    config::RedisServers,
    limits::{gcra::Rate, redis},
};
use tokio::process::Command;

use crate::{
    app::{App, OPERATOR, User},
    cli::{Folder, Process},
    daemons::{self, Paused, Redis, free_port, until},
    servers,
};

const LIST: &str = "/api/v1/workflows";

/// Calls one after the other; how many passed. The others were refused by the general cell.
async fn passed(user: &User, calls: usize) -> usize {
    let mut passed = 0;
    for _ in 0..calls {
        let reply = user.get(LIST).await;
        if reply.status == 200 {
            passed += 1;
        } else {
            reply.assert_problem(429, "rate_limited");
        }
    }
    passed
}

/// What a rate of 100 a minute has earned since, among so many that share it.
fn earned(since: Instant, sharing: u128) -> usize {
    usize::try_from(since.elapsed().as_millis() / (600 * sharing)).unwrap()
}

async fn redis_is(app: &App, word: &str) {
    until("/health tells how Redis does", Duration::from_secs(20))
        .holds(|| async { app.nobody().get("/health").await.json["redis"] == word })
        .await;
}

/// A gateway whose limits are in this Redis.
async fn over(url: &str) -> App {
    let servers = RedisServers::parse(url).unwrap();
    let app = App::with(|config| config.redis = Some(servers)).await;
    redis_is(&app, "connected").await;
    app
}

// The script.

/// Random numbers that a seed repeats (xorshift).
struct Dice(u64);

impl Dice {
    fn from(&mut self, least: u64, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        least + self.0 % (most - least + 1)
    }

    fn rate(&mut self) -> Rate {
        let period = [1, 7, 60, 3600][self.from(0, 3) as usize];
        let (counts, bursts) = ([5, 100, 6000][self.from(0, 2) as usize], [1, 20, 500][self.from(0, 2) as usize]);
        let (count, burst) = (self.from(1, counts), self.from(1, bursts));
        Rate::new(count as u32, period, burst as u32)
    }
}

/// One trace of charges of several cells; false when Redis did not answer in time, so that nobody knows what it did.
async fn one_trace(cells: &redis::Redis, dice: &mut Dice, name: &str) -> bool {
    let rates: Vec<_> = (0..dice.from(1, 5)).map(|_| dice.rate()).collect();
    let charges: Vec<_> = rates
        .iter()
        .enumerate()
        .map(|(index, rate)| (format!("smcp:{{{name}}}:{index}"), *rate))
        .collect();
    let mut tats = vec![0; rates.len()];
    let (mut ahead, mut before) = (0, 0);
    for step in 0..60 {
        let interval = rates[dice.from(0, rates.len() as u64 - 1) as usize].interval_us().cast_unsigned();
        let advance = match dice.from(0, 4) {
            0 | 1 => 0,
            2 => dice.from(0, interval),
            3 => interval,
            _ => dice.from(0, interval * 30),
        };
        ahead += advance.cast_signed();
        let Some((now, charged)) = cells.charge(&charges, ahead).await else {
            return false;
        };
        assert!(now > before, "Redis' clock goes on");
        before = now;
        // The same in Rust, at Redis' now.
        let mut looked_at = 0;
        for (index, rate) in rates.iter().enumerate() {
            looked_at += 1;
            let told = charged
                .get(index)
                .unwrap_or_else(|| panic!("{rates:?}, step {step}: cell {index} is missing"));
            match rate.admit(tats[index], now) {
                Ok(tat) => {
                    tats[index] = tat;
                    assert_eq!((told.tat, told.wait_us), (tat, None), "{rate:?}, step {step}");
                }
                Err(wait) => {
                    assert_eq!((told.tat, told.wait_us), (tats[index], Some(wait)), "{rate:?}, step {step}");
                    break;
                }
            }
        }
        assert_eq!(charged.len(), looked_at, "the first that refuses stops");
    }
    true
}

#[tokio::test]
async fn the_script_computes_what_the_process_computes_on_any_trace() {
    if !daemons::installed("redis-server") {
        return;
    }
    let folder = Folder::new();
    let server = Redis::forgetful(&folder.0).await;
    let cells = redis::Redis::new(RedisServers::parse(&server.url()).unwrap());
    let seed = (uuid::Uuid::new_v4().as_u128() as u64) | 1;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let (mut whole, mut given_up) = (0, 0);
    while whole < 40 {
        if !cells.is_here() {
            cells.open().await;
        }
        if one_trace(&cells, &mut dice, &format!("{whole}-{given_up}")).await {
            whole += 1;
        } else {
            given_up += 1;
            assert!(given_up < 40, "Redis does not answer within {:?}", redis::WAIT);
        }
    }
}

// Silence.

#[tokio::test]
async fn while_redis_is_silent_calls_are_counted_here_and_go_on_and_it_comes_back_by_itself() {
    if !daemons::installed("redis-server") {
        return;
    }
    let folder = Folder::new();
    let server = Redis::forgetful(&folder.0).await;
    let app = over(&server.url()).await;
    let (_, user, _) = app.business("luna").await;
    let began = Instant::now();
    let before = passed(&user, 30).await;
    assert!((20..=20 + earned(began, 1)).contains(&before), "{before} passed");

    let paused = Paused::process(server.pid());
    // Fresh cells, though Redis holds empty ones: the limit is one more burst at most.
    let began = Instant::now();
    user.get(LIST).await.assert_status(200);
    let first = began.elapsed();
    let again = Instant::now();
    let alone = 1 + passed(&user, 29).await;
    let others = again.elapsed() / 29;
    println!("the first call in the silence took {first:?}, each of the others {others:?}");
    assert!(first >= redis::WAIT, "the first one waits for Redis");
    assert!(others < redis::WAIT, "the others do not");
    assert!((20..=20 + earned(began, 1)).contains(&alone), "{alone} passed");
    let health = app.nobody().get("/health").await;
    assert_eq!(
        (health.status.as_u16(), &health.json["status"], &health.json["redis"]),
        (200, &"degraded".into(), &"disconnected".into())
    );
    app.nobody().get("/health/ready").await.assert_status(200);

    drop(paused);
    redis_is(&app, "connected").await;
    assert_eq!(app.nobody().get("/health").await.json["status"], "healthy");
    // A Redis that comes and goes gives no burst each time.
    let paused = Paused::process(server.pid());
    let twice = alone + passed(&user, 30).await;
    assert!(twice <= 20 + earned(began, 1), "{twice} passed in two silences");
    drop(paused);
    redis_is(&app, "connected").await;
    let keys = server.ask(&["dbsize"]).await;
    app.clock.advance(Duration::from_mins(1));
    user.get(LIST).await.assert_status(200);
    println!("back, with {} keys", keys.trim());
}

#[tokio::test]
async fn a_gateway_starts_without_its_redis_and_finds_it_later() {
    if !daemons::installed("redis-server") {
        return;
    }
    let folder = Folder::new();
    let port = free_port();
    let servers = RedisServers::parse(&format!("redis://127.0.0.1:{port}")).unwrap();
    let app = App::with(|config| config.redis = Some(servers)).await;
    let (_, user, _) = app.business("luna").await;
    user.get(LIST).await.assert_status(200);
    assert_eq!(app.nobody().get("/health").await.json["redis"], "disconnected");
    let mut server = Redis::with(&folder.0, port, &["--save", ""]).await;
    redis_is(&app, "connected").await;
    user.get(LIST).await.assert_status(200);
    assert_ne!(server.ask(&["dbsize"]).await.trim(), "0", "now it is counted there");
    // A restart forgets the script too.
    server.kill().await;
    server.start_again().await;
    redis_is(&app, "connected").await;
    user.get(LIST).await.assert_status(200);
}

#[tokio::test]
async fn while_redis_is_silent_each_replica_gives_a_burst_and_its_share_of_the_rate() {
    if !servers::needed() {
        return;
    }
    let folder = Folder::new();
    let server = Redis::forgetful(&folder.0).await;
    let first = over(&server.url()).await;
    let second = first.replica().await;
    redis_is(&second, "connected").await;
    let (_, user, _) = first.business("luna").await;
    let users = [user.clone(), second.user_of(&user.token)];
    // Until each of them has seen the other.
    until("both count two replicas", Duration::from_secs(20))
        .holds(|| async {
            let count = |app: &App| app.state.limits.replicas();
            count(&first) == 2 && count(&second) == 2
        })
        .await;
    let paused = Paused::process(server.pid());
    let began = Instant::now();
    for user in &users {
        let passed = passed(user, 30).await;
        assert!((20..=20 + earned(began, 2)).contains(&passed), "{passed} passed");
    }
    // Six seconds: ten calls at the whole rate, five at a half. Not more, or each would believe the other dead.
    first.clock.advance(Duration::from_secs(6));
    for user in &users {
        let passed = passed(user, 30).await;
        assert!((5..=6 + earned(began, 2)).contains(&passed), "{passed} passed");
    }
    drop(paused);
}

// The other forms.

#[tokio::test]
async fn limits_are_counted_at_the_master_that_a_sentinel_names_and_at_the_next_one() {
    if !daemons::installed("redis-server") {
        return;
    }
    let folder = Folder::new();
    let mut master = Redis::forgetful(&folder.0.join("master")).await;
    let port = free_port();
    let follows = ["--replicaof", "127.0.0.1", &master.port.to_string(), "--save", ""];
    let replica = Redis::with(&folder.0.join("replica"), port, &follows).await;
    let conf = folder.0.join("sentinel.conf");
    let told = format!(
        "sentinel monitor mymaster 127.0.0.1 {} 1\nsentinel down-after-milliseconds mymaster 1000\nsentinel failover-timeout mymaster 5000\n",
        master.port
    );
    std::fs::write(&conf, told).unwrap();
    let sentinel = Redis::with(&folder.0.join("sentinel"), free_port(), &[conf.to_str().unwrap(), "--sentinel"]).await;
    let app = over(&format!("redis+sentinel://127.0.0.1:{}/mymaster", sentinel.port)).await;
    let (_, user, _) = app.business("luna").await;
    let began = Instant::now();
    let all = passed(&user, 30).await;
    assert!((20..=20 + earned(began, 1)).contains(&all), "{all} passed");
    assert_ne!(master.ask(&["dbsize"]).await.trim(), "0");

    // The sentinel must know the replica before it can make it the master.
    until("the sentinel knows the replica", Duration::from_secs(30))
        .holds(|| async {
            sentinel
                .ask(&["sentinel", "replicas", "mymaster"])
                .await
                .contains(&port.to_string())
        })
        .await;
    master.kill().await;
    until("the replica is the master", Duration::from_secs(60))
        .holds(|| async { replica.ask(&["role"]).await.starts_with("master") })
        .await;
    // Whoever calls first finds that the old one has gone.
    user.get(LIST).await;
    redis_is(&app, "connected").await;
    let (_, user, _) = app.business("sol").await;
    let began = Instant::now();
    let all = passed(&user, 30).await;
    assert!((20..=20 + earned(began, 1)).contains(&all), "{all} passed at the next master");
    assert_ne!(replica.ask(&["dbsize"]).await.trim(), "0");
}

#[tokio::test]
async fn limits_are_counted_over_a_cluster_of_three_masters() {
    if !daemons::installed("redis-server") {
        return;
    }
    let folder = Folder::new();
    let nodes = join_all((0..3).map(|number| {
        let folder = folder.0.join(format!("node-{number}"));
        async move {
            let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--save", ""];
            Redis::with(&folder, free_port(), &arguments).await
        }
    }))
    .await;
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let words: Vec<_> = addresses.iter().map(String::as_str).collect();
    let joined = Command::new(daemons::program("redis-cli").unwrap())
        .args(["--cluster", "create"])
        .args(&words)
        .arg("--cluster-yes")
        .output();
    let joined = tokio::time::timeout(Duration::from_secs(40), joined).await.unwrap().unwrap();
    assert!(joined.status.success(), "{}", String::from_utf8_lossy(&joined.stdout));
    for node in &nodes {
        until("the cluster is ready", Duration::from_secs(30))
            .holds(|| async { node.ask(&["cluster", "info"]).await.contains("cluster_state:ok") })
            .await;
    }
    let app = over(&format!("redis+cluster://{}", words[..2].join(","))).await;
    for name in ["luna", "sol", "nube", "mar", "rio", "cielo"] {
        let (_, user, _) = app.business(name).await;
        let began = Instant::now();
        let all = passed(&user, 25).await;
        assert!((20..=20 + earned(began, 1)).contains(&all), "{name}: {all} passed");
    }
    let mut holding = 0;
    for node in &nodes {
        holding += usize::from(node.ask(&["dbsize"]).await.trim() != "0");
    }
    assert!(holding >= 2, "six tenants lie at {holding} of three masters");
    assert_eq!(app.nobody().get("/health").await.json["redis"], "connected");
}

/// A certificate authority of the test's own, and a certificate of `localhost` by it.
async fn certificates(folder: &Path) {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.pem -subj '/CN=a CA of the tests' 2>/dev/null && \
        openssl req -newkey rsa:2048 -nodes -keyout redis.key -out redis.csr -subj /CN=localhost 2>/dev/null && \
        printf 'subjectAltName=DNS:localhost' > names && \
        openssl x509 -req -in redis.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out redis.pem 2>/dev/null";
    let made = Command::new("bash")
        .args(["-c", script])
        .current_dir(folder)
        .status()
        .await
        .unwrap();
    assert!(made.success());
}

#[tokio::test]
async fn a_redis_behind_tls_is_trusted_by_the_authority_that_the_operator_names_and_by_no_other() {
    if !daemons::installed("redis-server") || !daemons::installed("openssl") {
        return;
    }
    let folder = Folder::new();
    certificates(&folder.0).await;
    let at = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let tls = free_port();
    let arguments = [
        "--tls-port",
        &tls.to_string(),
        "--tls-cert-file",
        &at("redis.pem"),
        "--tls-key-file",
        &at("redis.key"),
        "--tls-ca-cert-file",
        &at("ca.pem"),
        "--tls-auth-clients",
        "no",
        "--save",
        "",
    ]
    .map(str::to_owned);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let _server = Redis::with(&folder.0.join("redis"), free_port(), &arguments).await;
    let url = format!("rediss://localhost:{tls}");
    let ca = at("ca.pem");
    for (trusted, word) in [(Some(ca.as_str()), "connected"), (None, "disconnected")] {
        let own = Folder::new();
        let mut settings = vec![("SMARTERMCP_ADMIN_TOKEN", OPERATOR), ("REDIS_URL", url.as_str())];
        settings.extend(trusted.map(|path| ("SSL_CERT_FILE", path)));
        let gateway = Process::serve_with(&own.0, &settings).await;
        let health = gateway.user("").get("/health").await;
        assert_eq!(health.json["redis"], word, "{}\n{}", health.text, gateway.log());
        gateway.stop().await;
    }
}
