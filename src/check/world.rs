//! What the run has made so far, and what somebody could do next. It is learned from answers, so it is a little old:
//! some commands come too late and are refused, as they are in life.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde::Deserialize;
use serde_json::json;
use studyhall_protocol::Command;
use studyhall_protocol::accounts::ProfilePatch;
use studyhall_protocol::posts::{CommentPatch, NewComment, NewPost, PostPatch, PostRef};
use studyhall_protocol::rest::RowRef;
use studyhall_protocol::settings::SettingsPatch;
use studyhall_protocol::social::UserRef;
use studyhall_protocol::tasks::{NewTask, NewTaskList, TaskListPatch, TaskMove, TaskPatch};
use studyhall_protocol::widgets::{NewWidget, WidgetMove, WidgetPatch};
use studyhall_protocol::workspaces::{MemberRef, NewWorkspace, WorkspacePatch};
use uuid::Uuid;

/// Of each kind as many are kept; above it more are deleted than made.
const ENOUGH: usize = 25;

/// A room.
pub struct Room {
    /// Its id.
    pub id: Uuid,
    /// Who owns it.
    pub owner: usize,
    /// Who is in it, as far as we know.
    pub members: Vec<usize>,
    widgets: Vec<Uuid>,
}

/// Everything. People are numbers here.
#[derive(Default)]
pub struct World {
    /// Ids of the people.
    pub people: Vec<Uuid>,
    /// The rooms.
    pub rooms: Vec<Room>,
    /// Lists, by owner.
    pub lists: Vec<(usize, Uuid)>,
    tasks: Vec<(usize, Uuid)>,
    /// Posts, by author.
    pub posts: Vec<(usize, Uuid)>,
    comments: Vec<(usize, Uuid)>,
}

/// A generator that depends on the seed and on who uses it.
pub fn random(seed: u64, who: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ (who + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Text that no other command has, so that every change changes something.
fn text(random: &mut StdRng) -> String {
    let words = ["read", "日本語", "🧪 test", "näher", "\"quoted\" \\ back", "tab\there", "plain"];
    let word = words.choose(random).copied().unwrap_or_default();
    format!("{word} {:08x}", random.random::<u32>())
}

fn own(all: &[(usize, Uuid)], me: usize, random: &mut StdRng) -> Option<Uuid> {
    let mine: Vec<Uuid> = all.iter().filter(|(owner, _)| *owner == me).map(|(_, id)| *id).collect();
    mine.choose(random).copied()
}

impl World {
    /// Nothing but people.
    pub fn of(people: Vec<Uuid>) -> Self {
        Self { people, ..Self::default() }
    }

    /// Something that `me` could do.
    pub fn command(&self, random: &mut StdRng, me: usize) -> Command {
        let chosen = match random.random_range(0..100) {
            0..30 => self.about_tasks(random, me),
            30..65 => self.in_a_room(random, me),
            65..72 => self.about_members(random),
            72..90 => self.about_posts(random, me),
            _ => self.about_people(random, me),
        };
        chosen.unwrap_or_else(|| Command::TaskListCreate(NewTaskList { name: text(random), description: None }))
    }

    fn about_tasks(&self, random: &mut StdRng, me: usize) -> Option<Command> {
        let list = own(&self.lists, me, random)?;
        let task = own(&self.tasks, me, random);
        let many = self.tasks.iter().filter(|(owner, _)| *owner == me).count() > ENOUGH;
        Some(match (random.random_range(0..20), task) {
            (0, _) if self.lists.iter().filter(|(owner, _)| *owner == me).count() < 4 => {
                Command::TaskListCreate(NewTaskList { name: text(random), description: Some(text(random)) })
            }
            (1, _) if self.lists.iter().filter(|(owner, _)| *owner == me).count() > 2 => {
                Command::TaskListDelete(RowRef { id: list })
            }
            (0..3, _) => {
                let (name, description) = (Some(text(random)), random.random_bool(0.5).then_some(None));
                Command::TaskListUpdate(TaskListPatch { id: list, name, description })
            }
            (3..9, Some(id)) => {
                let (description, is_completed) = (Some(text(random)), Some(random.random_bool(0.5)));
                Command::TaskUpdate(TaskPatch { id, description, is_completed, due_at: None })
            }
            (9..12, Some(id)) => {
                let after_id = own(&self.tasks, me, random).filter(|after| *after != id && random.random_bool(0.3));
                Command::TaskMove(TaskMove { id, list_id: random.random_bool(0.3).then_some(list), after_id })
            }
            (choice, Some(id)) if choice < 14 || many => Command::TaskDelete(RowRef { id }),
            _ => Command::TaskCreate(NewTask { list_id: list, description: text(random), due_at: None }),
        })
    }

    fn in_a_room(&self, random: &mut StdRng, me: usize) -> Option<Command> {
        // Now and then a room where they are not: that has to be refused.
        let stray = random.random_bool(0.05);
        let rooms: Vec<&Room> = self.rooms.iter().filter(|room| stray || room.members.contains(&me)).collect();
        let room = rooms.choose(random)?;
        let widget = room.widgets.choose(random).copied();
        let (x, y) = (random.random_range(-900..900), random.random_range(-900..900));
        Some(match (random.random_range(0..20), widget) {
            (0, _) => Command::WorkspaceUpdate(WorkspacePatch {
                id: room.id,
                name: Some(text(random)),
                background_type: None,
                background_value: None,
                background_color: None,
                settings: None,
            }),
            (1..7, Some(id)) => {
                let settings = Some(json!({"text": text(random)}));
                Command::WidgetUpdate(WidgetPatch { id, title_key: None, title: Some(Some(text(random))), settings })
            }
            (7..14, Some(id)) => {
                Command::WidgetMove(WidgetMove { id, drag_id: None, grid_x: x, grid_y: y, grid_w: None, grid_h: None })
            }
            (choice, Some(id)) if choice < 16 || room.widgets.len() > ENOUGH => Command::WidgetDelete(RowRef { id }),
            _ => Command::WidgetCreate(NewWidget {
                workspace_id: room.id,
                r#type: "note".into(),
                title_key: None,
                title: Some(text(random)),
                grid_x: x,
                grid_y: y,
                grid_w: 2,
                grid_h: 1,
                settings: None,
            }),
        })
    }

    /// Letting somebody in or putting them out. By whom: see [`World::actor`].
    fn about_members(&self, random: &mut StdRng) -> Option<Command> {
        let room = self.rooms.choose(random)?;
        let person = random.random_range(0..self.people.len());
        let member = MemberRef { workspace_id: room.id, user_id: *self.people.get(person)? };
        // Most are in: a room with nobody in it shows nothing.
        let inside = room.members.contains(&person);
        let putting_out = if inside { random.random_bool(0.5) } else { random.random_bool(0.05) };
        Some(if putting_out { Command::MemberRemove(member) } else { Command::MemberAdd(member) })
    }

    fn about_posts(&self, random: &mut StdRng, me: usize) -> Option<Command> {
        let post = self.posts.choose(random).map(|(_, post_id)| PostRef { post_id: *post_id });
        let (mine, comment) = (own(&self.posts, me, random), own(&self.comments, me, random));
        let many = self.posts.iter().filter(|(author, _)| *author == me).count() > ENOUGH / 2;
        Some(match (random.random_range(0..20), post) {
            (0..6, Some(post)) => Command::PostLike(post),
            (6..8, Some(post)) => Command::PostUnlike(post),
            (8..12, Some(post)) if self.comments.len() < 10 * ENOUGH => {
                Command::CommentCreate(NewComment { post_id: post.post_id, body: text(random) })
            }
            (8..13, _) if comment.is_some() => Command::CommentDelete(RowRef { id: comment? }),
            (13..15, _) if comment.is_some() => {
                Command::CommentUpdate(CommentPatch { id: comment?, body: text(random) })
            }
            (15..17, _) if mine.is_some() => {
                let fields =
                    json!({"id": mine?, "content": text(random), "tags": [format!("t{}", random.random_range(0..9))]});
                Command::PostUpdate(serde_json::from_value::<PostPatch>(fields).ok()?)
            }
            (choice, _) if mine.is_some() && (choice == 17 || many) => Command::PostDelete(RowRef { id: mine? }),
            _ => Command::PostCreate(serde_json::from_value::<NewPost>(json!({"content": text(random)})).ok()?),
        })
    }

    fn about_people(&self, random: &mut StdRng, me: usize) -> Option<Command> {
        let other = (me + random.random_range(1..self.people.len().max(2))) % self.people.len();
        let whom = UserRef { user_id: *self.people.get(other)? };
        Some(match random.random_range(0..10) {
            0..4 => Command::UserFollow(whom),
            4..6 => Command::UserUnfollow(whom),
            6..8 => Command::ProfileUpdate(ProfilePatch { bio: Some(Some(text(random))), ..ProfilePatch::default() }),
            _ => {
                let fields = json!({"theme": format!("t{:x}", random.random::<u16>()), "data": {"seen": text(random)}});
                Command::SettingsUpdate(serde_json::from_value::<SettingsPatch>(fields).ok()?)
            }
        })
    }

    /// Who may send it: mostly whoever chose it, but members are the business of owners.
    pub fn actor(&self, command: &Command, me: usize) -> usize {
        match command {
            Command::MemberAdd(member) | Command::MemberRemove(member) => {
                self.rooms.iter().find(|room| room.id == member.workspace_id).map_or(me, |room| room.owner)
            }
            _ => me,
        }
    }

    /// A command was done; `data` is what it answered.
    pub fn learn(&mut self, me: usize, command: &Command, data: &str) {
        #[derive(Deserialize)]
        struct Made {
            id: Uuid,
        }
        let made = || serde_json::from_str::<Made>(data).ok().map(|made| made.id);
        let person = |world: &World, id: Uuid| world.people.iter().position(|person| *person == id);
        match command {
            Command::TaskListCreate(_) => self.lists.extend(made().map(|id| (me, id))),
            Command::TaskListDelete(gone) => self.lists.retain(|(_, id)| *id != gone.id),
            Command::TaskCreate(_) => self.tasks.extend(made().map(|id| (me, id))),
            Command::TaskDelete(gone) => self.tasks.retain(|(_, id)| *id != gone.id),
            Command::PostCreate(_) => self.posts.extend(made().map(|id| (me, id))),
            Command::PostDelete(gone) => self.posts.retain(|(_, id)| *id != gone.id),
            Command::CommentCreate(_) => self.comments.extend(made().map(|id| (me, id))),
            Command::CommentDelete(gone) => self.comments.retain(|(_, id)| *id != gone.id),
            Command::WorkspaceCreate(_) => {
                let room = made().map(|id| Room { id, owner: me, members: vec![me], widgets: Vec::new() });
                self.rooms.extend(room);
            }
            Command::WorkspaceDelete(gone) => self.rooms.retain(|room| room.id != gone.id),
            Command::MemberAdd(member) => {
                let person = person(self, member.user_id);
                self.room(member.workspace_id).into_iter().for_each(|room| room.members.extend(person));
            }
            Command::MemberRemove(member) => {
                let person = person(self, member.user_id);
                let room = self.room(member.workspace_id);
                room.into_iter().for_each(|room| room.members.retain(|member| Some(*member) != person));
            }
            Command::WidgetCreate(new) => {
                let widget = made();
                self.room(new.workspace_id).into_iter().for_each(|room| room.widgets.extend(widget));
            }
            Command::WidgetDelete(gone) => {
                self.rooms.iter_mut().for_each(|room| room.widgets.retain(|id| *id != gone.id));
            }
            _ => {}
        }
    }

    /// A command was refused because its object is gone: do not choose it again.
    pub fn forget(&mut self, command: &Command) {
        match command {
            Command::TaskUpdate(TaskPatch { id, .. })
            | Command::TaskMove(TaskMove { id, .. })
            | Command::TaskDelete(RowRef { id }) => self.tasks.retain(|(_, task)| task != id),
            Command::CommentUpdate(CommentPatch { id, .. }) | Command::CommentDelete(RowRef { id }) => {
                self.comments.retain(|(_, comment)| comment != id);
            }
            Command::PostLike(PostRef { post_id }) | Command::PostUnlike(PostRef { post_id }) => {
                self.posts.retain(|(_, post)| post != post_id);
            }
            _ => {}
        }
    }

    fn room(&mut self, id: Uuid) -> Option<&mut Room> {
        self.rooms.iter_mut().find(|room| room.id == id)
    }
}

/// A room to begin with.
pub fn new_room(name: String) -> Command {
    Command::WorkspaceCreate(NewWorkspace {
        name,
        background_type: None,
        background_value: None,
        background_color: None,
        settings: None,
    })
}
