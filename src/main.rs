//! The `studyhall` program.

use clap::Parser;
use tracing_subscriber::EnvFilter;

fn main() {
    let cli = studyhall::cli::Cli::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("studyhall: cannot start its threads: {error}");
            std::process::exit(1);
        }
    };
    if let Err(error) = runtime.block_on(cli.run()) {
        eprintln!("studyhall: {error:#}");
        std::process::exit(1);
    }
}
