//! The command line.
fn main() -> std::process::ExitCode {
    netloom_cli::main()
}
