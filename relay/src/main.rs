//! The `pg-live` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pg_live_relay::cli::main()
}
