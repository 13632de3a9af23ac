//! `studyhall seed`: people, lists, rooms and posts from JSON files.

use std::path::PathBuf;

use clap::Args;

use crate::app::App;
use crate::config::Config;
use crate::domain::seed::seed as seed_world;

/// What to seed from.
#[derive(Args)]
pub struct SeedArgs {
    /// A directory with people.json, lists.json, rooms.json and, if you like, feed.json; without it the demo world of the program
    #[arg(long)]
    from: Option<PathBuf>,
}

/// Makes the world once; running it again changes nothing.
pub async fn seed(config: &Config, args: SeedArgs) -> anyhow::Result<()> {
    let app = App::build(config).await?;
    let report = seed_world(&app.state, args.from.as_deref()).await?;
    println!("{} people made, {} commands run, {} refused", report.people, report.commands, report.refused);
    for username in &report.taken {
        println!("{username} belongs to somebody else; nothing was made for them");
    }
    Ok(())
}
