//! The `studyhall` program.

use std::io::{IsTerminal, stderr};

use anyhow::Context;
use clap::Parser;
use studyhall::config::{Config, LogFormat};
use tokio::runtime::{Builder, Runtime};
use tracing_subscriber::EnvFilter;

fn main() {
    let cli = studyhall::cli::Cli::parse();
    if let Err(error) = log(cli.config()) {
        eprintln!("studyhall: {error:#}");
        std::process::exit(2);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = match runtime(cores) {
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

/// On one core one thread: a second one gains nothing there, and the kernel takes a socket faster from a process that
/// shares its files with no other thread.
fn runtime(cores: usize) -> std::io::Result<Runtime> {
    let mut builder = if cores == 1 { Builder::new_current_thread() } else { Builder::new_multi_thread() };
    builder.enable_all().build()
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

#[cfg(test)]
mod tests {
    use tokio::runtime::RuntimeFlavor;

    #[test]
    fn one_core_needs_one_thread() {
        let flavor = |cores| super::runtime(cores).unwrap().handle().runtime_flavor();
        assert_eq!(flavor(1), RuntimeFlavor::CurrentThread);
        assert_eq!(flavor(2), RuntimeFlavor::MultiThread);
    }
}
