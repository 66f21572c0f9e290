//! The fixed catalogue: every query that the gateway sends to a Prometheus, on metrics of node exporter 1.x.
//!
//! `max by` folds what several scrapes tell of one thing (two replicas, two jobs) into one, before anything is added up.

use super::matcher::Matcher;

/// What lives in memory, and what only shows other filesystems.
const NO_DISK: &str = r#"fstype!~"tmpfs|ramfs|devtmpfs|overlay|squashfs|iso9660|autofs|nsfs|rootfs|fuse.lxcfs""#;
/// What is inside the host, between its containers.
const NO_NETWORK: &str = r#"device!~"lo|veth.*|docker.*|br-.*|virbr.*|cni.*|cali.*|flannel.*""#;

/// What `infra_metrics` can show over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Cpu,
    Memory,
    Disk,
    NetworkIn,
    NetworkOut,
}

impl Measure {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Measure::Cpu => "cpu",
            Measure::Memory => "memory",
            Measure::Disk => "disk",
            Measure::NetworkIn => "network_in",
            Measure::NetworkOut => "network_out",
        }
    }

    pub(super) const fn is_percent(self) -> bool {
        match self {
            Measure::Cpu | Measure::Memory | Measure::Disk => true,
            Measure::NetworkIn | Measure::NetworkOut => false,
        }
    }

    pub(super) const fn unit(self) -> &'static str {
        if self.is_percent() { "percent" } else { "bytes_per_second" }
    }

    /// The query, one series for each host (and mountpoint). Rates are over `window` seconds, so that no step skips over a peak.
    pub(super) fn over_time(self, matcher: &Matcher, window: i64) -> String {
        let traffic = |metric| {
            let selector = matcher.select(metric, NO_NETWORK);
            format!("sum by (instance) (max by (instance, device) (rate({selector}[{window}s])))")
        };
        match self {
            Measure::Cpu => {
                let idle = matcher.select("node_cpu_seconds_total", r#"mode="idle""#);
                format!("100 * (1 - avg by (instance) (rate({idle}[{window}s])))")
            }
            Measure::Memory => memory(matcher, |selector| format!("max by (instance) ({selector})")),
            Measure::Disk => disk(matcher, |selector| format!("max by (instance, mountpoint) ({selector})")),
            Measure::NetworkIn => traffic("node_network_receive_bytes_total"),
            Measure::NetworkOut => traffic("node_network_transmit_bytes_total"),
        }
    }
}

/// What `infra_status` shows of now, over all the tenant's hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Figure {
    /// 1 when every host's exporter answers, 0 when one does not.
    Up,
    Cpu,
    Memory,
    Disk,
}

impl Figure {
    pub(super) const ALL: [Figure; 4] = [Figure::Up, Figure::Cpu, Figure::Memory, Figure::Disk];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Figure::Up => "vps_status",
            Figure::Cpu => "cpu_usage",
            Figure::Memory => "memory_usage",
            Figure::Disk => "disk_usage",
        }
    }

    pub(super) fn now(self, matcher: &Matcher) -> String {
        match self {
            Figure::Up => {
                // A matcher may also hold exporters that are no host's. The hosts are those that have told of themselves this week;
                // where nobody has, whatever is scraped must do.
                let up = matcher.select("up", "");
                let hosts = matcher.select("node_uname_info", "");
                format!("min({up} and on (instance) present_over_time({hosts}[7d])) or max({up})")
            }
            Figure::Cpu => {
                let idle = matcher.select("node_cpu_seconds_total", r#"mode="idle""#);
                // A host that is gone has a rate for five minutes more: only those that still tell count.
                format!("100 * (1 - avg(rate({idle}[5m]) and {idle}))")
            }
            Figure::Memory => memory(matcher, |selector| format!("sum(max by (instance) ({selector}))")),
            // A device may be mounted in several places.
            Figure::Disk => disk(matcher, |selector| format!("sum(max by (instance, device) ({selector}))")),
        }
    }
}

/// How many hosts tell of themselves now.
pub(super) fn hosts(matcher: &Matcher) -> String {
    format!("count(count by (instance) ({}))", matcher.select("node_uname_info", ""))
}

/// What programs have of the memory, in percent; what only caches files counts as free.
fn memory(matcher: &Matcher, folded: impl Fn(String) -> String) -> String {
    let [free, whole] = ["node_memory_MemAvailable_bytes", "node_memory_MemTotal_bytes"].map(|metric| folded(matcher.select(metric, "")));
    format!("100 * (1 - {free} / {whole})")
}

/// How full disks are, in percent, as `df` has it: what is reserved for root counts neither as used nor as available.
fn disk(matcher: &Matcher, folded: impl Fn(String) -> String) -> String {
    let [size, free, available] = ["size", "free", "avail"].map(|what| {
        let metric = format!("node_filesystem_{what}_bytes");
        folded(matcher.select(&metric, NO_DISK))
    });
    format!("100 * ({size} - {free}) / ({size} - {free} + {available})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_selector_of_every_query_carries_the_matcher() {
        let matcher: Matcher = serde_json::from_str(r#"{"tenant": "luna"}"#).unwrap();
        let measures = [
            Measure::Cpu,
            Measure::Memory,
            Measure::Disk,
            Measure::NetworkIn,
            Measure::NetworkOut,
        ];
        let queries = measures
            .map(|measure| measure.over_time(&matcher, 300))
            .into_iter()
            .chain(Figure::ALL.map(|figure| figure.now(&matcher)))
            .chain([hosts(&matcher)]);
        for query in queries {
            let selectors = query.matches('{').count();
            assert!(selectors > 0, "{query}");
            assert_eq!(query.matches(r#"tenant="luna"}"#).count(), selectors, "{query}");
            let metrics = query.matches("node_").count() + query.matches("up{").count();
            assert_eq!(metrics, selectors, "no metric without a selector: {query}");
            assert_eq!(query.matches('(').count(), query.matches(')').count(), "{query}");
        }
    }
}
