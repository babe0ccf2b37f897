//! Several machines at a time, and their results in order.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::channel,
    },
    thread,
};

/// Machines at a time, for two processors.
pub const BUSY: usize = 2;
/// The same for machines that wait most of the time.
pub const WAITING: usize = 4;

/// Runs every job, `workers` of them at a time, and gives each result to `take` in the order of the jobs, as soon
/// as it and those before it are there.
pub fn in_order<Job: Sync, Outcome: Send>(
    workers: usize,
    jobs: &[Job],
    run: impl Fn(&Job) -> Outcome + Sync,
    mut take: impl FnMut(&Job, Outcome),
) {
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    thread::scope(|scope| {
        for _ in 0..workers {
            let sender = sender.clone();
            scope.spawn(|| {
                let sender = sender;
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(job) = jobs.get(index) else { break };
                    if sender.send((index, run(job))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut early = BTreeMap::new();
        let mut wanted = 0;
        for (index, outcome) in results {
            early.insert(index, outcome);
            while let Some(outcome) = early.remove(&wanted) {
                if let Some(job) = jobs.get(wanted) {
                    take(job, outcome);
                }
                wanted += 1;
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn results_come_once_and_in_order() {
        let jobs: Vec<u64> = (0..20).collect();
        let mut seen = Vec::new();
        in_order(
            3,
            &jobs,
            |job| {
                // The later ones are done first.
                std::thread::sleep(std::time::Duration::from_millis(20 - job));
                job * 2
            },
            |job, outcome| seen.push((*job, outcome)),
        );
        let expected: Vec<(u64, u64)> = (0..20).map(|job| (job, job * 2)).collect();
        assert_eq!(seen, expected);
    }
}
