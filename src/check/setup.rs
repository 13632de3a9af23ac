//! People and rooms of our own to begin with, and tidying up after them.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use rand::RngExt;
use serde_json::json;
use studyhall_protocol::accounts::SignedIn;
use studyhall_protocol::dashboard::Dashboard;
use studyhall_protocol::rest::RowRef;
use studyhall_protocol::state::{ProfileState, UserState};
use studyhall_protocol::tasks::{NewTask, NewTaskList};
use studyhall_protocol::workspaces::MemberRef;
use studyhall_protocol::{Channel, Command};
use uuid::Uuid;

use super::api::{Api, Sent};
use super::shared::{Attempt, Errand, Shared, Somebody};
use super::state::State;
use super::world;

/// Rooms of a run.
const ROOMS: usize = 3;

/// What was there before the logs began, by channel.
pub type Bases = HashMap<Channel, (u64, State)>;

/// Every address must answer.
pub async fn reach(api: &Api) -> Result<()> {
    for number in 0..api.count() {
        if !api.is_ready(number).await {
            let url = api.url(number);
            bail!(
                "{url} is not ready: GET {url}/readyz must answer 200 before a run can begin. Is the address right, and \
                 does the server run?"
            );
        }
    }
    Ok(())
}

/// Signs people up under names that nobody has.
pub async fn sign_up(api: &Api, count: usize) -> Result<(String, Vec<Somebody>)> {
    let run = format!("check-{:08x}", rand::random::<u32>());
    let mut people = Vec::new();
    for number in 0..count {
        let username = format!("{run}-{number}");
        let password = format!("{:032x}", rand::rng().random::<u128>());
        let body = json!({"username": username, "password": password});
        let mut tries = 0;
        let signed_in: SignedIn = loop {
            match api.post_open(number % api.count(), "/accounts", &body).await {
                Ok(signed_in) => break signed_in,
                Err(failed) if failed.status == 429 => bail!(throttled(people.len(), count, &failed.title)),
                Err(failed) if failed.is_temporary() && tries < 10 => {
                    tries += 1;
                    tokio::time::sleep(failed.wait()).await;
                }
                Err(failed) => return Err(failed).with_context(|| format!("signing {username} up")),
            }
        };
        people.push(Somebody { id: signed_in.user.user.id, token: signed_in.token });
    }
    Ok((run, people))
}

fn throttled(done: usize, count: usize, why: &str) -> String {
    format!(
        "sign-ups are throttled: {done} of {count} people could be signed up ({why}). Wait, take fewer with --people, or start \
         the servers with STUDYHALL_SIGN_UPS_PER_HOUR=0 for as long as you check"
    )
}

/// What everybody's channels hold before anything happens.
pub async fn bases(shared: &Shared) -> Result<Bases> {
    let mut bases = Bases::new();
    for (number, person) in shared.people.iter().enumerate() {
        let page: Dashboard = shared.api.insist(number, &person.token, "/dashboard").await?;
        let at =
            |channel: Channel| page.positions.iter().find(|position| position.channel == channel).map(|at| at.offset);
        let (user, profile) = (Channel::User(person.id), Channel::Profile(person.id));
        let (user_at, profile_at) = (at(user).unwrap_or_default(), at(profile).unwrap_or_default());
        let public = ProfileState { user: Some(page.me.user.clone()), ..ProfileState::default() };
        bases.insert(profile, (profile_at, State::Profile(Box::new(public))));
        bases.insert(user, (user_at, State::User(Box::new(UserState::from(page)))));
    }
    Ok(bases)
}

/// Rooms with everybody in them, a list and a task for each. These commands are part of the history too.
pub async fn furnish(shared: &Arc<Shared>) -> Result<()> {
    let count = shared.people.len();
    for owner in 0..ROOMS.min(count) {
        insist(shared, owner, world::new_room(format!("Checking {owner}"))).await?;
    }
    let rooms: Vec<(Uuid, usize)> = shared.world.lock().rooms.iter().map(|room| (room.id, room.owner)).collect();
    for (workspace_id, owner) in rooms {
        for person in (0..count).filter(|person| *person != owner) {
            let user_id = shared.people[person].id;
            insist(shared, owner, Command::MemberAdd(MemberRef { workspace_id, user_id })).await?;
        }
    }
    for person in 0..count {
        insist(shared, person, Command::TaskListCreate(NewTaskList { name: "Checking".into(), description: None }))
            .await?;
        let list = shared.world.lock().lists.iter().find(|(owner, _)| *owner == person).map(|(_, id)| *id);
        let list_id = list.context("a list that was made is not known")?;
        insist(shared, person, Command::TaskCreate(NewTask { list_id, description: "Begin".into(), due_at: None }))
            .await?;
    }
    Ok(())
}

/// Has it done; what the run cannot begin without.
async fn insist(shared: &Arc<Shared>, person: usize, command: Command) -> Result<()> {
    let errand = Errand { op: Uuid::new_v4(), person, command };
    shared.invoke(&errand, None);
    let mut tries = 0;
    loop {
        let sent = shared.api.command(person, &shared.people[person].token, errand.op, &errand.command).await;
        match sent {
            Sent::Unknown(_) | Sent::TooMany(_) if tries < 20 => {
                tries += 1;
                let seconds = if let Sent::TooMany(seconds) = sent { seconds.min(5) } else { 1 };
                tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
            }
            Sent::Done(_) => {
                shared.answered(errand, sent, (person % shared.api.count(), None), Attempt::First);
                return Ok(());
            }
            Sent::Unknown(why) | Sent::Refused(why) => {
                return Err(anyhow!("{} was not done: {why}", errand.command.name()).context("preparing the run"));
            }
            Sent::TooMany(_) => return Err(anyhow!("too many requests").context("preparing the run")),
        }
    }
}

/// Deletes rooms, lists and posts, and signs everybody out; whether that works does not change the verdict. How many things
/// could not be deleted.
pub async fn tidy(shared: &Shared) -> usize {
    let things: Vec<(usize, Command)> = {
        let world = shared.world.lock();
        let rooms = world.rooms.iter().map(|room| (room.owner, Command::WorkspaceDelete(RowRef { id: room.id })));
        let lists = world.lists.iter().map(|(owner, id)| (*owner, Command::TaskListDelete(RowRef { id: *id })));
        let posts = world.posts.iter().map(|(author, id)| (*author, Command::PostDelete(RowRef { id: *id })));
        rooms.chain(lists).chain(posts).collect()
    };
    let (mut left, all) = (0, things.len());
    for (number, (person, command)) in things.into_iter().enumerate() {
        let (token, op) = (&shared.people[person].token, Uuid::new_v4());
        let mut sent = shared.api.command(number, token, op, &command).await;
        if let Sent::TooMany(_) | Sent::Unknown(_) = sent {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
            sent = shared.api.command(number + 1, token, op, &command).await;
        }
        // What is gone already, with its room or by somebody's command, is fine.
        left += usize::from(matches!(sent, Sent::TooMany(_) | Sent::Unknown(_)));
        if left >= 5 {
            // Nobody is there any more.
            return all - number + left - 1;
        }
    }
    for (number, person) in shared.people.iter().enumerate() {
        shared.api.sign_out(number, &person.token).await;
    }
    left
}
