//! Resource usage of processes, from `/proc`.

use pvt_local_engines::process::ProcessIdentity;
use std::fs;
use std::time::Duration;

/// The unit of CPU times in `/proc`: hundredths of a second on every Linux that this runs on.
const TICK: Duration = Duration::from_millis(10);

/// Fields of user and system time.
const OWN: usize = 2;
/// The same, and those of children that were waited for.
const OWN_AND_ENDED_CHILDREN: usize = 4;

/// CPU time of a process and its descendants, ended ones that were waited for included.
pub(super) fn cpu(process: ProcessIdentity) -> Duration {
    let ticks: u32 = process.tree().into_iter().filter_map(|member| ticks(member.pid, OWN_AND_ENDED_CHILDREN)).sum();
    TICK * ticks
}

/// CPU time of a process without its children.
pub(super) fn cpu_alone(process: ProcessIdentity) -> Duration {
    TICK * ticks(process.pid, OWN).unwrap_or_default()
}

/// The first fields of `/proc/<pid>/stat` from number 14 on, counted after the program's name, which may hold anything.
fn ticks(pid: i32, fields: usize) -> Option<u32> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields = line.get(line.rfind(')')? + 1..)?.split_whitespace().skip(11).take(fields);
    fields.map(|field| field.parse::<u32>().ok()).sum()
}

/// Peak resident memory of a process, in MiB.
pub(super) fn peak_rss_mib(process: ProcessIdentity) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid)).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(f64::from(kib) / 1_024.0)
}

#[cfg(test)]
mod tests {
    use super::{cpu, peak_rss_mib};
    use pvt_local_engines::process::ProcessIdentity;

    #[test]
    fn own_process_uses_cpu_and_memory() {
        let this = ProcessIdentity::current().unwrap();
        assert!(peak_rss_mib(this).unwrap() > 1.0);
        let before = cpu(this);
        let begun = std::time::Instant::now();
        while cpu(this) == before {
            assert!(begun.elapsed() < std::time::Duration::from_secs(5));
        }
    }
}
