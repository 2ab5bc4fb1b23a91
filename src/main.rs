//! The `tidemill` program.

use std::process::ExitCode;

/// librdkafka allocates each message in one thread, and it is freed in another. The system's allocator takes a lock for that,
/// which the two contend for. mimalloc does not; its feature `override` makes it the allocator of C libraries, too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tidemill::run::main()
}
