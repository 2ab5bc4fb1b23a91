//! The `tidemill` program.

use std::process::ExitCode;

mod allocator;

fn main() -> ExitCode {
    allocator::return_free_memory();
    tidemill::run::main()
}
