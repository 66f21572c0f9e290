//! Processes: the children under test, ended with their guard, and what Linux says of their CPU time and memory.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    rc::Rc,
    time::{Duration, Instant},
};

use crate::Result;

/// `sysconf(_SC_CLK_TCK)`: 100 on every Linux that this runs on.
const TICKS_PER_SECOND: f64 = 100.0;
const END_LIMIT: Duration = Duration::from_secs(10);

/// A child process. Dropping it kills it.
pub struct Process {
    child: Child,
    /// The highest memory mark so far, in KiB, kept when the kernel's own mark is reset.
    highest_kib: u64,
}

impl Process {
    /// Starts this very program again, as the named peer, and waits for the port that it prints.
    pub fn peer(arguments: &[&str]) -> Result<(Self, SocketAddr)> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("peer").args(arguments).stdout(Stdio::piped());
        let mut process = Self::start(command)?;
        let stdout = process.child.stdout.take().ok_or("a peer has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        let port: u16 = line
            .trim()
            .parse()
            .map_err(|_| format!("the peer {arguments:?} ended before it listened"))?;
        Ok((process, loopback(port)))
    }

    /// Starts a command. Its stdin is a pipe of ours, so that a peer sees even our sudden death.
    pub fn start(mut command: Command) -> Result<Self> {
        let child = command
            .stdin(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
        Ok(Self { child, highest_kib: 0 })
    }

    /// Asks the process to end, and waits for that; after ten seconds, kills it.
    pub async fn end(&mut self) -> Result<()> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        let end = Instant::now() + END_LIMIT;
        while self.child.try_wait()?.is_none() {
            if Instant::now() >= end {
                self.child.kill()?;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Refuses a process that has ended.
    pub fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("it ended with {status}").into()),
        }
    }

    /// CPU time so far, user and system, of all its threads.
    pub fn cpu_seconds(&self) -> Result<f64> {
        cpu_seconds(&self.child.id().to_string())
    }

    /// Forgets the kernel's memory mark, so that the next one is of what comes now. Where the kernel does not allow it, the
    /// mark stays that of the whole life.
    pub fn reset_peak(&mut self) -> Result<()> {
        self.peak_kib()?;
        let _ = fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5");
        Ok(())
    }

    /// The most resident memory since the last reset.
    pub fn peak_kib(&mut self) -> Result<u64> {
        let peak = self.status("VmHWM:")?;
        self.highest_kib = self.highest_kib.max(peak);
        Ok(peak)
    }

    /// The most resident memory in the whole life.
    pub fn highest_kib(&mut self) -> Result<u64> {
        self.peak_kib()?;
        Ok(self.highest_kib)
    }

    /// Resident memory now.
    pub fn resident_kib(&self) -> Result<u64> {
        self.status("VmRSS:")
    }

    fn status(&self, field: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(field)?.split_whitespace().next()?.parse().ok());
        value.ok_or_else(|| format!("/proc has no {field} for this process: it ended").into())
    }
}

/// Processes whose CPU time and memory count together, e.g. replicas. One may be in several groups.
#[derive(Clone)]
pub struct Group(pub Vec<Rc<RefCell<Process>>>);

impl Group {
    pub fn of(process: Process) -> Self {
        Self(vec![Rc::new(RefCell::new(process))])
    }

    pub async fn end(self) -> Result<()> {
        for process in self.0 {
            // Taken out, so that nothing is borrowed while it is waited for.
            let ended = Process {
                child: Command::new("true").spawn()?,
                highest_kib: 0,
            };
            process.replace(ended).end().await?;
        }
        Ok(())
    }

    pub fn cpu_seconds(&self) -> Result<f64> {
        self.0.iter().map(|process| process.borrow().cpu_seconds()).sum()
    }

    pub fn reset_peak(&self) -> Result<()> {
        self.0.iter().try_for_each(|process| process.borrow_mut().reset_peak())
    }

    pub fn peak_kib(&self) -> Result<u64> {
        self.0.iter().map(|process| process.borrow_mut().peak_kib()).sum()
    }

    pub fn highest_kib(&self) -> Result<u64> {
        self.0.iter().map(|process| process.borrow_mut().highest_kib()).sum()
    }

    pub fn resident_kib(&self) -> Result<u64> {
        self.0.iter().map(|process| process.borrow().resident_kib()).sum()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, named by its id or `self`.
pub fn cpu_seconds(process: &str) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The command's name stands in parentheses and may hold anything; utime and stime are the 12th and 13th field after it.
    let (_, after) = stat.rsplit_once(')').ok_or("/proc/…/stat has no name")?;
    let ticks: Option<f64> = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().ok())
        .sum();
    Ok(ticks.ok_or("/proc/…/stat has no times")? / TICKS_PER_SECOND)
}

/// CPU time that all programs of this machine have had so far.
pub fn machine_cpu_seconds() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat")?;
    // The first line is the sum of all cores: user, nice and system come first.
    let ticks: Option<f64> = stat.split_whitespace().skip(1).take(3).map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks.ok_or("/proc/stat has no times")? / TICKS_PER_SECOND)
}

/// A port of this machine only.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// An address that nobody listens on at the moment.
pub fn free_address() -> Result<SocketAddr> {
    Ok(std::net::TcpListener::bind(loopback(0))?.local_addr()?)
}

/// A directory for this run, removed with its guard.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("smartermcp-bench-{}", std::process::id()));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self(path))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Polls until something answers, at most `limit`.
pub async fn until<F: Future<Output = bool>>(limit: Duration, process: &mut Process, what: &str, mut ask: impl FnMut() -> F) -> Result<()> {
    let end = tokio::time::Instant::now() + limit;
    while !matches!(tokio::time::timeout_at(end, ask()).await, Ok(true)) {
        process.check_alive().map_err(|error| format!("{what}: {error}"))?;
        if tokio::time::Instant::now() >= end {
            return Err(format!("{what}: no answer within {} s", limit.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
