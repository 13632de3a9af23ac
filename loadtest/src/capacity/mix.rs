//! What people do: a small JSON file under `loadtest/mixes/`.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// Something that people do again and again, on a schedule of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Go, and come back: connect, subscribe, load.
    Visit,
    /// `GET /dashboard`, besides those of a visit.
    Dashboard,
    /// `GET /feed`, besides those of a visit.
    Feed,
    /// Tick a task.
    Task,
    /// Like a post, or like it no longer.
    Like,
    /// Say something about a post.
    Comment,
    /// Post something.
    Post,
    /// Say what one is doing.
    Status,
    /// `GET /workspaces/{id}`, besides those of a visit; of people in rooms.
    RoomLoad,
    /// Drag a widget and drop it; of people in rooms.
    Gesture,
    /// Move a pointer: values, not strokes; of people in rooms.
    Pointer,
    /// Tell the others something that is not kept; of people in rooms.
    Broadcast,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 12] = [
        Kind::Visit,
        Kind::Dashboard,
        Kind::Feed,
        Kind::Task,
        Kind::Like,
        Kind::Comment,
        Kind::Post,
        Kind::Status,
        Kind::RoomLoad,
        Kind::Gesture,
        Kind::Pointer,
        Kind::Broadcast,
    ];

    /// Only people in rooms do it.
    pub fn in_rooms(self) -> bool {
        matches!(self, Kind::RoomLoad | Kind::Gesture | Kind::Pointer | Kind::Broadcast)
    }
}

/// A mix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// Of the file, for people.
    pub name: String,
    /// What it stands for.
    #[serde(default)]
    pub about: String,
    /// Profiles that an open tab is subscribed to.
    pub profiles: usize,
    /// Of those, people who are online; on average an event of a profile reaches as many.
    pub profiles_online: usize,
    /// Who is in a room.
    pub rooms: Rooms,
    /// What is loaded over REST when somebody comes.
    #[serde(default)]
    pub loads: Loads,
    /// How a widget is dragged.
    #[serde(default)]
    pub gesture: Gesture,
    /// How often a person does it in an hour; what only people in rooms do, is counted by person in a room.
    pub per_hour: BTreeMap<Kind, f64>,
    /// How a day goes, for `simulate`.
    #[serde(default)]
    pub day: Day,
}

/// Who is in a room.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rooms {
    /// Of the people online, 0 to 1.
    pub share: f64,
    /// People in each room.
    pub size: usize,
}

/// REST requests of somebody who comes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Loads {
    /// `GET /dashboard`
    pub dashboard: f64,
    /// `GET /feed`
    pub feed: f64,
    /// `GET /workspaces/{id}`, of people in rooms.
    pub room: f64,
}

impl Default for Loads {
    fn default() -> Self {
        Self { dashboard: 1.0, feed: 1.0, room: 1.0 }
    }
}

/// How a widget is dragged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gesture {
    /// From pointer down to pointer up.
    pub seconds: f64,
    /// Values a second meanwhile.
    pub per_second: f64,
}

impl Default for Gesture {
    fn default() -> Self {
        Self { seconds: 1.5, per_second: 20.0 }
    }
}

impl Gesture {
    /// Values of one gesture.
    pub fn values(&self) -> f64 {
        (self.seconds * self.per_second).round().max(1.0)
    }
}

/// How a day goes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Day {
    /// People online by hour, relative to each other; the highest is the number that is asked about.
    pub curve: Vec<f64>,
    /// Spread of the sessions' length: sigma of a log-normal distribution. The mean follows from the visits per hour.
    pub session_sigma: f64,
    /// Spread of what people do from minute to minute: sigma of a log-normal factor that forgets with `memory_minutes`.
    pub activity_sigma: f64,
    /// How long such a factor lasts.
    pub memory_minutes: f64,
    /// Times a day when a part of the people does more.
    pub bursts: f64,
    /// How much more, at the most.
    pub burst_factor: f64,
    /// How long.
    pub burst_minutes: f64,
    /// The hour at which a node dies.
    pub node_dies_at: f64,
    /// Over how many seconds its people come back.
    pub reconnect_seconds: f64,
}

impl Default for Day {
    fn default() -> Self {
        Self {
            curve: vec![
                0.35, 0.22, 0.14, 0.10, 0.09, 0.11, 0.18, 0.30, 0.42, 0.50, 0.56, 0.60, 0.58, 0.60, 0.66, 0.72, 0.78,
                0.84, 0.90, 0.96, 1.0, 0.94, 0.78, 0.55,
            ],
            session_sigma: 1.0,
            activity_sigma: 0.15,
            memory_minutes: 10.0,
            bursts: 4.0,
            burst_factor: 1.6,
            burst_minutes: 5.0,
            node_dies_at: 20.5,
            reconnect_seconds: 5.0,
        }
    }
}

impl Mix {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no mix", path.display()))
    }

    /// Reads and checks a mix.
    pub fn parse(text: &str) -> Result<Self> {
        let mix: Self = serde_json::from_str(text)?;
        mix.check()?;
        Ok(mix)
    }

    /// How often a person does it in an hour.
    pub fn rate(&self, kind: Kind) -> f64 {
        self.per_hour.get(&kind).copied().unwrap_or_default()
    }

    /// Mean length of a session, in seconds; infinite when nobody goes.
    pub fn session_seconds(&self) -> f64 {
        3_600.0 / self.rate(Kind::Visit)
    }

    fn check(&self) -> Result<()> {
        if let Some((kind, rate)) = self.per_hour.iter().find(|(_, rate)| !rate.is_finite() || **rate < 0.0) {
            bail!("per_hour.{}: {rate} is no rate", name(kind));
        }
        if !(0.0..=1.0).contains(&self.rooms.share) {
            bail!("rooms.share: {} is not between 0 and 1", self.rooms.share);
        }
        if self.rooms.size == 0 {
            bail!("rooms.size: a room has at least one person");
        }
        if self.profiles_online > self.profiles {
            bail!("profiles_online: {} of {} profiles cannot be online", self.profiles_online, self.profiles);
        }
        // A connection may have 512 channels; its own and a room are two.
        if self.profiles > 510 {
            bail!("profiles: a connection has 512 channels at most, and needs two of them");
        }
        let positive = [
            ("gesture.seconds", self.gesture.seconds),
            ("gesture.per_second", self.gesture.per_second),
            ("day.memory_minutes", self.day.memory_minutes),
            ("day.burst_minutes", self.day.burst_minutes),
            ("day.burst_factor", self.day.burst_factor),
            ("day.reconnect_seconds", self.day.reconnect_seconds),
        ];
        if let Some((name, value)) = positive.into_iter().find(|(_, value)| !value.is_finite() || *value <= 0.0) {
            bail!("{name}: {value} is not above 0");
        }
        let sound = |value: &f64| value.is_finite() && *value >= 0.0;
        if self.day.curve.len() != 24 || !self.day.curve.iter().all(sound) || self.day.curve.iter().sum::<f64>() == 0.0
        {
            bail!("day.curve: 24 numbers, not below 0 and not all 0");
        }
        Ok(())
    }
}

/// The word in files.
pub fn name(of: &impl Serialize) -> String {
    serde_json::to_value(of).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = r#"{"name": "small", "profiles": 2, "profiles_online": 1,
        "rooms": {"share": 0.5, "size": 4}, "per_hour": {"task": 6, "gesture": 30}}"#;

    fn error(text: &str) -> String {
        format!("{:#}", Mix::parse(text).unwrap_err())
    }

    #[test]
    fn what_is_absent_has_a_default() {
        let mix = Mix::parse(SMALL).unwrap();
        assert_eq!((mix.rate(Kind::Task), mix.rate(Kind::Like)), (6.0, 0.0));
        assert_eq!(mix.gesture.values(), 30.0);
        assert!(mix.session_seconds().is_infinite());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(error(&SMALL.replace("\"task\"", "\"tusk\"")).contains("unknown variant `tusk`"));
        assert!(error(&SMALL.replace("\"size\"", "\"seats\"")).contains("unknown field `seats`"));
        assert!(error(&SMALL.replace("0.5", "1.5")).contains("rooms.share"));
        assert!(error(&SMALL.replace("\"size\": 4", "\"size\": 0")).contains("rooms.size"));
        assert!(error(&SMALL.replace("\"task\": 6", "\"task\": -6")).contains("per_hour.task"));
        assert!(error(&SMALL.replace("\"profiles_online\": 1", "\"profiles_online\": 3")).contains("profiles_online"));
        assert!(error(&SMALL.replace("\"name\": \"small\",", "")).contains("missing field `name`"));
        let curve = SMALL.replace("\"name\"", "\"day\": {\"curve\": [1, 2]}, \"name\"");
        assert!(error(&curve).contains("day.curve"));
    }

    #[test]
    fn every_mix_of_the_house_can_be_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("mixes");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        assert!(files.len() >= 3);
        for file in files {
            Mix::read(&file).unwrap();
        }
    }
}
