//! Counters of Linux for processes and the machine.

use std::time::Duration;

/// Sums clock ticks of 10 ms.
fn ticks<'a>(numbers: impl Iterator<Item = &'a str>) -> Duration {
    let ticks: u64 = numbers.map(|it| it.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Returns the processor time of a process and of its children that have exited.
pub(crate) fn time_of(process: u32) -> Duration {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
        return Duration::ZERO;
    };
    let (_, after_name) = stat.rsplit_once(')').unwrap();
    ticks(after_name.split_whitespace().skip(11).take(4))
}

/// Returns the processor time of a process and all its descendants.
pub(crate) fn time_of_tree(process: u32) -> Duration {
    let path = format!("/proc/{process}/task/{process}/children");
    let children = std::fs::read_to_string(path).unwrap_or_default();
    let below: Duration = children
        .split_whitespace()
        .map(|child| time_of_tree(child.parse().unwrap()))
        .sum();
    time_of(process) + below
}

/// Returns the resident memory of a process in KiB.
pub(crate) fn memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.unwrap().parse().unwrap()
}

/// Returns the busy time and the idle time (`idle` and `iowait`) of all cores.
pub(crate) fn busy_and_idle() -> (Duration, Duration) {
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let numbers = || stat.lines().next().unwrap().split_whitespace().skip(1);
    let idle = ticks(numbers().skip(3).take(2));
    (ticks(numbers().take(8)).saturating_sub(idle), idle)
}

/// Returns the load average of the last minute.
pub(crate) fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}
