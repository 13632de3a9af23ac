//! `studyhall crowd`: people for a load test.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use crate::config::Config;
use crate::db::Db;
use crate::domain::seed::{Wanted, make_crowd};

/// Who comes.
#[derive(Args)]
pub struct CrowdArgs {
    /// How many people
    #[arg(long, default_value_t = 10_000)]
    people: usize,
    /// People in each room; 0 for no rooms
    #[arg(long, default_value_t = 4)]
    room: usize,
    /// How many others each person follows and is followed by; an even number
    #[arg(long, default_value_t = 10)]
    follows: usize,
    /// Where to write who they are and their tokens, for `studyhall-loadtest storm --crowd`
    #[arg(long)]
    out: PathBuf,
}

/// Makes a crowd in the database of DATABASE_URL, one that will be thrown away.
pub async fn crowd(config: &Config, args: CrowdArgs) -> anyhow::Result<()> {
    let url = config.database_url.as_deref().context("set DATABASE_URL to the database")?;
    let db = Db::connect(url, 2).await?;
    db.migrate().await?;
    let wanted = Wanted { people: args.people, room: args.room, follows: args.follows / 2 };
    let crowd = make_crowd(&db, wanted).await?;
    std::fs::write(&args.out, serde_json::to_vec(&crowd)?).with_context(|| args.out.display().to_string())?;
    println!("{} people; their tokens are in {}", crowd.len(), args.out.display());
    Ok(())
}
