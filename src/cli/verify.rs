//! `studyhall verify`: does what is kept twice agree?

use std::sync::Arc;

use anyhow::bail;
use clap::Args;

use crate::config::Config;
use crate::db::{Db, Perform, Writer};
use crate::domain;
use crate::domain::verify::{Difference, Place, differences, repair};

/// What to do about what is found.
#[derive(Args)]
pub struct VerifyArgs {
    /// Count again what differs, and tell open tabs; people may go on meanwhile
    #[arg(long)]
    repair: bool,
}

/// Prints what differs; an error when something does, or still does after the repair.
pub async fn verify(config: &Config, args: VerifyArgs) -> anyhow::Result<()> {
    let url = config.database_url.as_deref().ok_or_else(|| anyhow::anyhow!("set DATABASE_URL to the database"))?;
    let db = Db::connect(url, 2).await?;
    let mut found = differences(&db).await?;
    print(&found);
    if args.repair && !found.is_empty() {
        let repaired = repair_all(&db, &found).await?;
        println!("{repaired} repaired");
        found = differences(&db).await?;
        print(&found);
    }
    if found.is_empty() {
        println!("everything agrees");
        return Ok(());
    }
    if found.iter().all(|difference| matches!(difference.place, Place::Log(_))) {
        bail!("{} numbers of logs differ; what is missing in a log is nowhere else: see to the backup", found.len());
    }
    bail!("{} numbers differ; `studyhall verify --repair` counts again", found.len())
}

/// How many posts and people were wrong and are right now.
async fn repair_all(db: &Db, found: &[Difference]) -> anyhow::Result<usize> {
    // Nodes that serve find the events in the log, as they do those of each other.
    let perform: Perform = Arc::new(|tx, command| Box::pin(domain::perform(tx, command)));
    let writer = Writer::new(db.clone(), 1, perform, Arc::new(|_| {}));
    let mut places: Vec<Place> = found.iter().map(|difference| difference.place).collect();
    places.dedup();
    let mut repaired = 0;
    for place in places {
        repaired += usize::from(repair(&writer, place).await?);
    }
    Ok(repaired)
}

fn print(found: &[Difference]) {
    for difference in found {
        println!("{difference}");
    }
}
