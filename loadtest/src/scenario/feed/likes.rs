//! One hot post: everybody likes it and likes it no longer, each command by another person.

use anyhow::Result;
use serde_json::{Value, json};

use super::FeedArgs;
use crate::Common;
use crate::scenario::closed::{self, Crowd, Next, Stretch};
use crate::scenario::record::Record;
use crate::setup::Api;

/// Runs the scenario; `false` when a promise was broken.
pub async fn run(common: &Common, args: &FeedArgs) -> Result<bool> {
    let api = Api::new(&common.url)?;
    let accounts = api.accounts(common).await?;
    let post = api.post(&accounts[0]).await?;
    let clients = accounts.iter().map(|account| {
        let next: Next = Box::new(move |op, odd| {
            let method = if odd { "post.like" } else { "post.unlike" };
            (method, json!({"post_id": post, "op": op}))
        });
        (account, next)
    });
    let crowd = Crowd::connect(&api, clients.collect()).await?;
    let parameters: [(&str, Value); 3] =
        [("people", accounts.len().into()), ("seconds", args.seconds.into()), ("windows", args.windows.into())];
    let mut record = Record::new("feed:likes", "studyhall", &parameters);
    for _ in 0..args.windows.max(1) {
        let stretch = Stretch { warmup: args.warmup, seconds: args.seconds, postgres_pid: args.postgres_pid };
        closed::window(common, &crowd, stretch, &mut record).await?;
    }
    let liked = crowd.clients.iter().filter(|client| client.odd()).count() as u64;
    let told = api.like_count(&accounts[0], post).await?;
    record.count("miscounted", told.abs_diff(liked), true);
    crowd.close(&mut record);
    let ok = record.print("like", "likes");
    api.remove_post(&accounts[0], post).await?;
    Ok(ok)
}
