//! nginx's logs, and the lines in them that fail every test.

/// A line that contains one of these fails the test.
const PROBLEMS: [&str; 15] = [
    "[alert]",
    "[emerg]",
    "panicked at",
    "exited on signal",
    "exited with fatal code",
    "signal 11",
    "ERROR: AddressSanitizer",
    "ERROR: LeakSanitizer",
    "WARNING: ThreadSanitizer",
    "runtime error:",
    "Invalid read of size",
    "Invalid write of size",
    "uninitialised value",
    "Invalid free()",
    "definitely lost: ",
];

/// The lines of a log that fail a test: alerts, emergencies, panics, deaths by a signal, and the
/// reports of sanitizers and valgrind; without those that contain one of the fragments in
/// `expected`.
#[must_use]
pub fn problems(log: &str, expected: &[String]) -> Vec<String> {
    log.lines()
        .filter(|line| PROBLEMS.iter().any(|fragment| line.contains(fragment)))
        .filter(|line| !line.contains("definitely lost: 0 bytes"))
        .filter(|line| !expected.iter().any(|fragment| line.contains(fragment.as_str())))
        .map(str::to_owned)
        .collect()
}

/// The process ids in lines like `… [notice] 7#7: start worker process 8`.
pub(crate) fn started_workers(log: &str) -> Vec<u32> {
    log.lines()
        .filter_map(|line| line.rsplit_once("start worker process ")?.1.trim().parse().ok())
        .collect()
}

/// The process ids of workers that stopped accepting, from `… [notice] 8#8: gracefully shutting
/// down`, and of those that were killed, from `… [alert] 7#7: worker process 8 exited on signal 9`.
pub(crate) fn leaving_workers(log: &str) -> Vec<u32> {
    let leaving = |line: &str| {
        if let Some((_, told)) = line.split_once("worker process ")
            && let Some((pid, _)) = told.split_once(" exited on signal ")
        {
            return pid.parse().ok();
        }
        let leaves = line.ends_with(": gracefully shutting down") || line.ends_with(": exiting");
        let (_, told) = line.split_once("[notice] ").filter(|_| leaves)?;
        told.split_once('#')?.0.parse().ok()
    };
    log.lines().filter_map(leaving).collect()
}

#[cfg(test)]
mod tests {
    use super::{leaving_workers, problems, started_workers};

    #[test]
    fn an_alert_is_a_problem_unless_it_was_expected() {
        let log = "x [info] fine\nx [alert] 1#1: worker process 2 exited on signal 11\n";
        assert_eq!(problems(log, &[]).len(), 1);
        assert!(problems(log, &["process 2".to_owned()]).is_empty());
        assert!(problems("==1== definitely lost: 0 bytes in 0 blocks", &[]).is_empty());
    }

    #[test]
    fn workers_are_known_by_their_life_in_the_log() {
        let log =
            "d [notice] 7#7: start worker process 8\nd [notice] 8#8: gracefully shutting down\n";
        assert_eq!(started_workers(log), [8]);
        assert_eq!(leaving_workers(log), [8]);
        let log = "d [alert] 7#7: worker process 9 exited on signal 9\n";
        assert_eq!(leaving_workers(log), [9]);
    }
}
