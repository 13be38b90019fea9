//! Process identities and signals. A process is identified by pid *and* start time, so that a recycled pid is never
//! mistaken for it; signals are sent through a pidfd, so that the check and the signal concern the same process.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// Interval at which a wait checks whether processes have ended.
const POLL: Duration = Duration::from_millis(20);

/// A process that cannot be confused with a later one of the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// The process id.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    pub start_ticks: u64,
}

/// The used fields of `/proc/<pid>/stat`.
struct Stat {
    state: char,
    parent: i32,
    threads: u32,
    start_ticks: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The program's name is in parentheses and may itself contain blanks and parentheses, so fields are counted after
    /// the last one.
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.get(line.rfind(')')? + 1..)?.split_whitespace().collect();
        let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
        Some(Self {
            state: fields.first()?.chars().next()?,
            parent: fields.get(1)?.parse().ok()?,
            threads: number(17).and_then(|threads| u32::try_from(threads).ok())?,
            start_ticks: number(19)?,
        })
    }

    /// A killed process is a zombie once its first thread has ended. While other threads remain, it holds its ports and
    /// locks.
    fn has_ended(&self) -> bool {
        self.state == 'X' || (self.state == 'Z' && self.threads <= 1)
    }
}

impl ProcessIdentity {
    /// The process that has this pid now, even if it has ended and was not reaped yet.
    pub fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks })
    }

    /// This process.
    pub fn current() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Whether it runs or holds resources (a zombie does not).
    pub fn is_alive(self) -> bool {
        Stat::read(self.pid).is_some_and(|stat| stat.start_ticks == self.start_ticks && !stat.has_ended())
    }

    /// Sends a signal; true when the process received it.
    pub fn signal(self, signal: Signal) -> bool {
        let Some(pid) = Pid::from_raw(self.pid) else { return false };
        let Ok(descriptor) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
        self.is_alive() && pidfd_send_signal(descriptor, signal).is_ok()
    }

    /// The process and its present descendants, itself first.
    pub fn tree(self) -> Vec<Self> {
        let Ok(entries) = fs::read_dir("/proc") else { return vec![self] };
        let all: Vec<(i32, Stat)> = entries
            .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .filter_map(|pid| Some((pid, Stat::read(pid)?)))
            .collect();
        let mut found = vec![self];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(
                all.iter()
                    .filter(|(_, stat)| stat.parent == parent.pid)
                    .map(|(pid, stat)| Self { pid: *pid, start_ticks: stat.start_ticks }),
            );
            next += 1;
        }
        found
    }
}

/// Waits until none of them runs; returns the first that still does at the time limit.
pub async fn first_alive_after(processes: &[ProcessIdentity], limit: Duration) -> Option<ProcessIdentity> {
    let deadline = Instant::now() + limit;
    loop {
        let alive = processes.iter().copied().find(|process| process.is_alive());
        if alive.is_none() || Instant::now() >= deadline {
            return alive;
        }
        tokio::time::sleep(POLL).await;
    }
}

/// As [`first_alive_after`], for a destructor, which cannot await.
pub fn block_until_gone(processes: &[ProcessIdentity], limit: Duration) {
    let deadline = Instant::now() + limit;
    while processes.iter().any(|process| process.is_alive()) && Instant::now() < deadline {
        std::thread::sleep(POLL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_stat_name_with_parentheses_is_parsed() {
        let line = "42 (tmux: a) b (c)) S 7 42 42 0 -1 4194560 1 0 0 0 1 2 0 0 20 0 1 0 98765 1 2";
        let stat = Stat::parse(line).unwrap();
        assert_eq!((stat.state, stat.parent, stat.threads, stat.start_ticks), ('S', 7, 1, 98765));
    }

    #[test]
    fn zombie_with_threads_is_still_alive() {
        let ended = |state, threads| Stat { state, parent: 1, threads, start_ticks: 1 }.has_ended();
        assert!(!ended('Z', 2));
        assert!(ended('Z', 1));
        assert!(ended('X', 1));
        assert!(!ended('S', 1));
    }

    #[test]
    fn recycled_pid_is_another_process() {
        let current = ProcessIdentity::current().unwrap();
        assert!(current.is_alive());
        let earlier = ProcessIdentity { start_ticks: current.start_ticks - 1, ..current };
        assert!(!earlier.is_alive());
        assert!(!earlier.signal(Signal::KILL));
    }
}
