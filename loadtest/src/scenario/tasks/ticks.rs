//! Ticks in a closed loop, and pgbench in turns with them.

use anyhow::Result;
use serde_json::{Value, json};

use super::TasksArgs;
use super::pgbench::Pgbench;
use crate::Common;
use crate::scenario::closed::{self, Crowd, Next, Stretch, since};
use crate::scenario::record::{Record, family_cpu_seconds};
use crate::setup::Api;

/// Seconds of load before every stretch but the first.
const WARMUP_AGAIN: f64 = 0.3;

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &TasksArgs) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(common).await?;
    api.sweep(&accounts).await?;
    let tasks = api.tasks(&accounts, args.clients).await?;
    let clients = tasks.iter().enumerate().map(|(index, task)| {
        let id = task.id;
        let next: Next = Box::new(move |op, odd| ("task.update", json!({"id": id, "is_completed": odd, "op": op})));
        (&accounts[index % accounts.len()], next)
    });
    let crowd = Crowd::connect(&api, clients.collect()).await?;
    let ok = measure(common, args, &crowd).await?;
    api.sweep(&accounts).await?;
    Ok(ok)
}

async fn measure(common: &Common, args: &TasksArgs, crowd: &Crowd) -> Result<bool> {
    let people = args.clients.min(common.pool);
    let parameters: [(&str, Value); 4] = [
        ("clients", args.clients.into()),
        ("people", people.into()),
        ("seconds", args.seconds.into()),
        ("windows", args.windows.into()),
    ];
    let pgbench = args.pgbench.as_deref().map(|database| Pgbench::new(database, args.clients)).transpose()?;
    let mut floor = Record::new("tasks", "pgbench", &parameters);
    let mut record = Record::new("tasks", "studyhall", &parameters);
    for round in 0..args.windows.max(1) {
        let warmup = if round == 0 { args.warmup } else { WARMUP_AGAIN };
        let stretch = Stretch { warmup, seconds: args.seconds, postgres_pid: args.postgres_pid };
        // Back and forth: what drifts favours nobody.
        if round % 2 == 0 {
            beside(pgbench.as_ref(), args, &mut floor)?;
            closed::window(common, crowd, stretch, &mut record).await?;
        } else {
            closed::window(common, crowd, stretch, &mut record).await?;
            beside(pgbench.as_ref(), args, &mut floor)?;
        }
    }
    crowd.close(&mut record);
    if pgbench.is_some() {
        floor.print("command", "commands");
    }
    Ok(record.print("command", "commands"))
}

/// One stretch of pgbench, if there is one.
fn beside(pgbench: Option<&Pgbench>, args: &TasksArgs, floor: &mut Record) -> Result<()> {
    let Some(pgbench) = pgbench else { return Ok(()) };
    let before = args.postgres_pid.and_then(family_cpu_seconds);
    let (window, latency) = pgbench.window(args.seconds)?;
    floor.window(window, &latency);
    floor.postgres(since(before, args.postgres_pid));
    Ok(())
}
