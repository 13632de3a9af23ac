//! One readable line for each thing that happens.

use std::cell::Cell;
use std::io::Write;

use chrono::Local;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use studyhall_protocol::Channel;
use studyhall_protocol::client::{Info, Pub, Said};
use uuid::Uuid;

use super::state::Watched;

/// Wider names are cut.
const CHANNEL_WIDTH: usize = 20;
/// Longer texts are cut.
const TEXT_MAX: usize = 48;

/// Where the lines go.
pub struct Screen {
    colors: bool,
    /// Pushes are printed as they came, and notes go to stderr.
    pub json: bool,
    gone: Cell<bool>,
}

#[derive(Clone, Copy)]
enum Color {
    Dim = 2,
    Green = 32,
    Yellow = 33,
    Blue = 34,
    Cyan = 36,
}

/// The `data` of a subscribe reply.
#[derive(Deserialize)]
struct Slots<'a> {
    #[serde(borrow, default)]
    people: Vec<Info<'a>>,
    #[serde(borrow, default)]
    slots: Vec<Said<'a>>,
}

impl Screen {
    /// On stdout.
    pub fn new(colors: bool, json: bool) -> Self {
        Self { colors, json, gone: Cell::new(false) }
    }

    /// Something about the connection.
    pub fn note(&self, text: &str) {
        if self.json {
            eprintln!("{text}");
            return;
        }
        self.print(&format!("{}  {}", self.time(), self.paint(Color::Yellow, &format!("-- {text}"))));
    }

    /// A line as it came.
    pub fn raw(&self, line: &str) {
        self.print(line);
    }

    /// Who is there and what is under way, at the beginning.
    pub fn slots(&self, watched: &Watched, channel: Channel, data: &RawValue) {
        let Ok(slots) = serde_json::from_str::<Slots<'_>>(data.get()) else {
            return;
        };
        if !slots.people.is_empty() {
            let names: Vec<String> = slots.people.iter().map(|info| name(watched, info)).collect();
            self.line(watched, channel, "", Color::Green, "here", &names.join(", "));
        }
        for said in &slots.slots {
            self.said(watched, channel, None, said);
        }
    }

    /// Somebody came or went.
    pub fn came(&self, watched: &Watched, channel: Channel, info: &Info<'_>, came: bool) {
        let what = if came { "came" } else { "went" };
        if !self.json {
            self.line(watched, channel, &name(watched, info), Color::Green, what, "");
        }
    }

    /// An event, a slot value or a broadcast.
    pub fn publication(&self, watched: &Watched, channel: Channel, publication: &Pub<'_>) {
        if self.json {
            return;
        }
        match publication.read() {
            Some(said) if said.kind == "slots" => {
                if let Some(data) = said.data {
                    self.slots(watched, channel, data);
                }
            }
            Some(said) => self.said(watched, channel, publication.offset, &said),
            None => self.line(watched, channel, "", Color::Dim, "emptied", &number(publication.offset)),
        }
    }

    fn said(&self, watched: &Watched, channel: Channel, offset: Option<u64>, said: &Said<'_>) {
        let who = match said.actor {
            Some(actor) if watched.is_me(actor) => "I".into(),
            Some(actor) => watched.person(actor),
            None => String::new(),
        };
        let data = said.data.and_then(|data| serde_json::from_str(data.get()).ok()).unwrap_or(Value::Null);
        let mut detail = match said.key.as_deref() {
            // Presence is of the one who is there; once is enough.
            Some(key) if said.actor.is_some_and(|actor| actor.to_string() == key) => String::new(),
            Some(key) => key.parse().map_or_else(|_| key.to_owned(), |id: Uuid| watched.thing(id)),
            None => String::new(),
        };
        if !detail.is_empty() {
            detail.push(' ');
        }
        detail.push_str(&describe(&data));
        let color = if offset.is_some() { Color::Cyan } else { Color::Dim };
        self.line(watched, channel, &who, color, &said.kind, &format!("{detail}{}", number(offset)));
    }

    fn line(&self, watched: &Watched, channel: Channel, who: &str, color: Color, what: &str, detail: &str) {
        let channel: String = watched.name(channel).chars().take(CHANNEL_WIDTH).collect();
        let channel = self.paint(Color::Blue, &format!("{channel:CHANNEL_WIDTH$}"));
        self.print(&format!(
            "{}  {channel}  {who:12} {}  {detail}",
            self.time(),
            self.paint(color, &format!("{what:20}"))
        ));
    }

    fn time(&self) -> String {
        self.paint(Color::Dim, &Local::now().format("%H:%M:%S%.3f").to_string())
    }

    fn paint(&self, color: Color, text: &str) -> String {
        if self.colors { format!("\x1b[{}m{text}\x1b[0m", color as u8) } else { text.to_owned() }
    }

    fn print(&self, line: &str) {
        // Into a pipe as well, line by line.
        let mut out = std::io::stdout().lock();
        if writeln!(out, "{}", line.trim_end()).and_then(|()| out.flush()).is_err() {
            self.gone.set(true);
        }
    }

    /// Nobody reads the output any more.
    pub fn is_gone(&self) -> bool {
        self.gone.get()
    }
}

fn number(offset: Option<u64>) -> String {
    offset.map(|offset| format!("  #{offset}")).unwrap_or_default()
}

/// The name that the room shows, or the one that we know.
fn name(watched: &Watched, info: &Info<'_>) -> String {
    #[derive(Deserialize)]
    struct Shown {
        username: String,
    }
    let shown = info.conn_info.and_then(|shown| serde_json::from_str::<Shown>(shown.get()).ok());
    shown.map_or_else(|| watched.person(info.user), |shown| shown.username)
}

/// What the payload is about, in a few words; no table, so that new events need nothing here.
fn describe(data: &Value) -> String {
    let Some(fields) = data.as_object() else {
        return String::new();
    };
    // `widget.moved` and `task.moved` wrap what moved.
    let inner = fields.get("widget").or_else(|| fields.get("task")).and_then(Value::as_object).unwrap_or(fields);
    let mut words = Vec::new();
    let titles = ["title", "name", "description", "text", "content", "body", "full_name", "username", "emoji"];
    if let Some(title) = titles.iter().find_map(|field| inner.get(*field)?.as_str()) {
        let cut: String = title.chars().take(TEXT_MAX).collect();
        words.push(format!("“{cut}”"));
    } else if let Some(kind) = inner.get("type").and_then(Value::as_str) {
        words.push(kind.to_owned());
    }
    if let Some(true) = inner.get("is_completed").and_then(Value::as_bool) {
        words.push("done".into());
    }
    let counts = inner.get("posts").and_then(Value::as_array).into_iter().flatten();
    words.extend(counts.filter_map(|post| Some(format!("likes: {}", post.get("like_count")?))));
    for (x, y) in [("grid_x", "grid_y"), ("x", "y")] {
        if let (Some(x), Some(y)) = (inner.get(x).and_then(Value::as_f64), inner.get(y).and_then(Value::as_f64)) {
            words.push(format!("({x:.2}, {y:.2})").replace(".00", ""));
        }
    }
    for field in ["role", "reason", "status", "activity"] {
        if let Some(word) = inner.get(field).and_then(Value::as_str) {
            words.push(word.to_owned());
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_line_says() {
        let moved = json!({"widget": {"type": "clock", "title": "Focus", "grid_x": 3, "grid_y": 4}, "drag_id": null});
        assert_eq!(describe(&moved), "“Focus” (3, 4)");
        assert_eq!(describe(&json!({"drag_id": "x", "grid_x": 3.25, "grid_y": 4.0})), "(3.25, 4)");
        assert_eq!(describe(&json!({"description": "Read", "is_completed": true})), "“Read” done");
        assert_eq!(describe(&json!({"posts": [{"post_id": "p", "like_count": 7}]})), "likes: 7");
        assert_eq!(describe(&json!({"status": "idle", "activity": "Reading"})), "idle Reading");
        assert_eq!(describe(&Value::Null), "");
    }
}
