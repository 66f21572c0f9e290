//! Stats: what the tenant's running containers take of their host, as the Engine measures it over about a second.
//!
//! Surprising: `docker stats` shows percent of one processor, and counts file cache that the kernel would give back as memory in
//! use; here it is percent of all processors, without that cache. A container that has just ended answers zeros.

use futures::{StreamExt as _, stream};
use serde::Deserialize;

use super::client::Docker;
use crate::{
    backends::{Backend as _, Session},
    error::{Error, Kind, Result},
};

/// How many containers are measured in one call, and how many at once: each takes the Engine one to two seconds.
const MEASURED_MAX: usize = 64;
const AT_ONCE: usize = 32;

/// What the tenant's containers take of their host, in percent of all its processors and of its memory.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// `None` where a running container's is not told.
    pub cpu: Option<f64>,
    /// `None` where a running container's memory is not told: not every kernel counts it.
    pub memory: Option<f64>,
}

/// `GET /containers/{id}/stats`: only what is needed is read.
#[derive(Deserialize)]
struct Stats {
    #[serde(default)]
    cpu_stats: Cpu,
    #[serde(default)]
    precpu_stats: Cpu,
    #[serde(default)]
    memory_stats: Memory,
}

/// Counters in nanoseconds.
#[derive(Default, Deserialize)]
struct Cpu {
    #[serde(default)]
    cpu_usage: CpuUsage,
    #[serde(default)]
    system_cpu_usage: Option<u64>,
}

#[derive(Default, Deserialize)]
struct CpuUsage {
    #[serde(default)]
    total_usage: u64,
}

/// Bytes.
#[derive(Default, Deserialize)]
struct Memory {
    #[serde(default)]
    usage: Option<u64>,
    #[serde(default)]
    stats: Option<Cache>,
}

/// File cache that was not used lately, by its names in version 2 and 1 of the kernel's control groups.
#[derive(Default, Deserialize)]
struct Cache {
    #[serde(default)]
    inactive_file: Option<u64>,
    #[serde(default)]
    total_inactive_file: Option<u64>,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default, rename = "MemTotal")]
    memory: u64,
}

/// What the tenant's running containers take of the host, now.
///
/// # Errors
/// [`Kind::NotConnected`] where the tenant has no Docker; [`Kind::BackendRefused`] where it tells no stats, or there are more running
/// containers than are measured; and what [`Docker`] says.
pub async fn load(session: Session) -> Result<Load> {
    let docker = Docker::open(session).await?;
    let mut running = docker.containers().await?;
    running.retain(super::client::Listed::is_running);
    if running.len() > MEASURED_MAX {
        return Err(Error::new(
            Kind::BackendRefused,
            format!("More than {MEASURED_MAX} containers run, too many to measure in one call; connect prometheus"),
        ));
    }
    let info: Info = docker.read("/info", &[]).await?;
    if info.memory == 0 {
        return Err(Error::new(
            Kind::BackendRefused,
            "'docker' does not say how much memory its host has",
        ));
    }
    let measured = stream::iter(running).map(|container| {
        let docker = &docker;
        async move { measure(docker, &container.id).await }
    });
    let measured: Vec<Result<Option<Stats>>> = measured.buffer_unordered(AT_ONCE).collect().await;
    let mut load = Load {
        cpu: Some(0.0),
        memory: Some(0.0),
    };
    for stats in measured {
        // Gone between the list and the look: it takes nothing any more.
        let Some(stats) = stats? else { continue };
        load.cpu = load.cpu.zip(stats.cpu()).map(|(sum, used)| sum + used);
        load.memory = load
            .memory
            .zip(stats.memory())
            .map(|(sum, used)| sum + used / float(info.memory) * 100.0);
    }
    Ok(load)
}

async fn measure(docker: &Docker, id: &str) -> Result<Option<Stats>> {
    match docker.read(&format!("/containers/{id}/stats"), &[("stream", "false")]).await {
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        measured => measured.map(Some),
    }
}

impl Stats {
    /// Percent of all processors between the two looks. A container that ends while it is measured has no counters at all.
    fn cpu(&self) -> Option<f64> {
        let (Some(now), Some(before)) = (self.cpu_stats.system_cpu_usage, self.precpu_stats.system_cpu_usage) else {
            return self.memory_stats.usage.is_none().then_some(0.0);
        };
        let used = self
            .cpu_stats
            .cpu_usage
            .total_usage
            .saturating_sub(self.precpu_stats.cpu_usage.total_usage);
        Some(match now.saturating_sub(before) {
            0 => 0.0,
            passed => float(used) / float(passed) * 100.0,
        })
    }

    /// Bytes that the kernel would not give back unasked. Where it does not count them, a running container is said to take 0 or
    /// nothing is said; a container that ends while it is measured has no counters at all.
    fn memory(&self) -> Option<f64> {
        let Some(usage) = self.memory_stats.usage.filter(|usage| *usage > 0) else {
            return self.cpu_stats.system_cpu_usage.is_none().then_some(0.0);
        };
        let cache = self.memory_stats.stats.as_ref();
        let cache = cache.and_then(|cache| cache.inactive_file.or(cache.total_inactive_file));
        Some(float(usage.saturating_sub(cache.unwrap_or_default())))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share in percent needs no more than 52 bits")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(json: &str) -> Stats {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn cpu_is_a_share_of_all_processors_and_memory_is_without_what_the_kernel_would_give_back() {
        let of = |cache: &str| {
            stats(&format!(
                r#"{{"cpu_stats":{{"cpu_usage":{{"total_usage":30}},"system_cpu_usage":500}},
                "precpu_stats":{{"cpu_usage":{{"total_usage":10}},"system_cpu_usage":400}},
                "memory_stats":{{"usage":1000,"stats":{{"{cache}":200}}}}}}"#
            ))
        };
        for cache in ["inactive_file", "total_inactive_file"] {
            let stats = of(cache);
            assert_eq!((stats.cpu(), stats.memory()), (Some(20.0), Some(800.0)), "{cache}");
        }
    }

    #[test]
    fn what_is_not_counted_is_not_zero_and_what_has_ended_is() {
        let running = stats(r#"{"cpu_stats":{"system_cpu_usage":500},"precpu_stats":{"system_cpu_usage":400},"memory_stats":{}}"#);
        assert_eq!((running.cpu(), running.memory()), (Some(0.0), None));
        let zero = stats(r#"{"cpu_stats":{"system_cpu_usage":500},"precpu_stats":{"system_cpu_usage":400},"memory_stats":{"usage":0}}"#);
        assert_eq!(zero.memory(), None);
        let ended = stats(r#"{"cpu_stats":{},"precpu_stats":{},"memory_stats":{}}"#);
        assert_eq!((ended.cpu(), ended.memory()), (Some(0.0), Some(0.0)));
    }
}
