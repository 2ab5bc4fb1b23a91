//! The allocator of the program, and of benchmarks.
//!
//! librdkafka allocates each message in one thread, and it is freed in another. The system's allocator takes a lock for that,
//! which the two contend for. mimalloc does not; its feature `override` makes it the allocator of C libraries, too.

use std::ffi::c_long;
use std::thread;
use std::time::Duration;

use libmimalloc_sys::{mi_collect, mi_option_set_default, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The number of mimalloc's option for the time after which a thread that frees memory returns it to the system, in ms. The
/// crate has no name for it.
const PURGE_DELAY: mi_option_t = 15;

/// A delay longer than any pause between two returns: 24 days, the largest that fits an int of C.
const NEVER: c_long = i32::MAX as c_long;

/// The time between two returns of free memory.
const INTERVAL: Duration = Duration::from_secs(10);

/// Returns free memory to the system in a thread of its own, every 10 seconds.
///
/// By default, the threads that free it do: a worker whose windows close at once would stand still for tens of milliseconds.
/// `MIMALLOC_PURGE_DELAY` in the environment brings that back.
pub fn return_free_memory() {
    // SAFETY: an option may be set while no other thread sets one. It is called once, by the first thread.
    unsafe { mi_option_set_default(PURGE_DELAY, NEVER) };
    let returning = thread::Builder::new().name("allocator".to_owned()).spawn(|| {
        loop {
            thread::sleep(INTERVAL);
            // SAFETY: it may be called by any thread, and moves no memory that is in use.
            unsafe { mi_collect(true) };
        }
    });
    // Without the thread, memory that is freed is kept for later.
    drop(returning);
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_option_is_the_one_whose_default_is_a_second() {
        // SAFETY: an option may be read at any time.
        assert_eq!(unsafe { libmimalloc_sys::mi_option_get(super::PURGE_DELAY) }, 1000);
    }
}
