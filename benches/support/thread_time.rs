//! What is measured where other programs run as well.

use std::time::Duration;

/// The time that this thread has had on a processor; where nobody tells, the time of day.
pub(crate) fn thread_time() -> Duration {
    #[cfg(target_os = "linux")]
    return rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime)
        .try_into()
        .unwrap();
    #[cfg(not(target_os = "linux"))]
    return std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
}
