//! The `studyhall` program.

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use clap::Parser;
use studyhall::config::{Config, LogFormat};
use tracing_subscriber::EnvFilter;

fn main() {
    let cli = studyhall::cli::Cli::parse();
    if let Err(error) = log(cli.config()) {
        eprintln!("studyhall: {error:#}");
        std::process::exit(2);
    }
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

/// The log goes to standard error; standard output is for what was asked for.
fn log(config: &Config) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&config.log)
        .with_context(|| format!("STUDYHALL_LOG: {:?} is no filter such as info,studyhall::live=debug", config.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(stderr).with_ansi(stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
