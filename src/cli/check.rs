//! `studyhall check`: holds a running deployment against its promises. See docs/checking.md.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;

use crate::check::faults::{Faults, NoFaults, Plan};
use crate::check::run::{self, Settings};
use crate::check::selftest;

/// What `studyhall check` can be told.
#[derive(Args)]
pub struct CheckArgs {
    /// Where the nodes are, separated by commas; plain http only.
    #[arg(long, value_delimiter = ',', default_value = "http://127.0.0.1:8080")]
    url: Vec<String>,
    /// A plan of faults, a JSON file; without one nothing breaks but the clients' own connections.
    #[arg(long, value_name = "PLAN")]
    faults: Option<PathBuf>,
    /// How long clients work.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// What is done, and when, follows from this; a new one unless told otherwise.
    #[arg(long)]
    seed: Option<u64>,
    /// How many people to sign up; a third of them has a second device. A node lets 20 sign up an hour by default.
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(2..=1_000))]
    people: u64,
    /// Commands a second and device, on average.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Acknowledged commands below which a run proves nothing; five a second unless told otherwise.
    #[arg(long, value_name = "COUNT")]
    min_acks: Option<usize>,
    /// Leave the rooms, lists and posts of the run where they are.
    #[arg(long)]
    keep: bool,
    /// Write everything that was seen to this file, a JSON object a line.
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// Ask no server; break made-up histories in every way and see that each is noticed.
    #[arg(long, conflicts_with_all = ["url", "faults"])]
    self_test: bool,
}

/// Exits with 1 when a rule was broken and with 2 when nothing can be said.
pub async fn check(args: CheckArgs) -> Result<()> {
    let clean = match checked(args).await {
        Ok(clean) => clean,
        Err(error) => {
            eprintln!("studyhall check: {error:#}");
            std::process::exit(2);
        }
    };
    if !clean {
        std::process::exit(1);
    }
    Ok(())
}

async fn checked(args: CheckArgs) -> Result<bool> {
    let seed = args.seed.unwrap_or_else(run::any_seed);
    if args.self_test {
        let table = selftest::run(seed);
        println!("{table}");
        return Ok(table.is_clean());
    }
    let faults: Arc<dyn Faults> = match &args.faults {
        None => Arc::new(NoFaults),
        Some(path) => {
            let of_plan = || format!("--faults {}", path.display());
            let text = std::fs::read_to_string(path).with_context(of_plan)?;
            Arc::new(Plan::read(&text).with_context(of_plan)?)
        }
    };
    let settings = Settings {
        urls: args.url,
        seconds: args.seconds,
        seed,
        people: usize::try_from(args.people)?,
        rate: args.rate.clamp(0.1, 200.0),
        keep: args.keep,
        history: args.history,
        acks: args.min_acks,
    };
    let report = run::run(&settings, faults, &|line| eprintln!("{line}")).await?;
    println!("{report}");
    let mut again =
        format!("again:   studyhall check --url {} --seconds {}", settings.urls.join(","), settings.seconds);
    again += &format!(" --seed {seed} --people {} --rate {}", settings.people, settings.rate);
    if let Some(path) = &args.faults {
        again += &format!(" --faults {}", path.display());
    }
    println!("{again}");
    Ok(report.findings.is_clean())
}
