//! Channel names: `user:<id>`, `profile:<id>`, `workspace:<id>`.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A channel. Its text form is the only spelling that is accepted: lower case, hyphenated UUID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Channel {
    /// Everything private of one person; only that person subscribes.
    User(Uuid),
    /// The public activity of one person.
    Profile(Uuid),
    /// One immerse-mode room.
    Workspace(Uuid),
}

impl Channel {
    /// The id behind the colon.
    pub fn id(&self) -> Uuid {
        match self {
            Channel::User(id) | Channel::Profile(id) | Channel::Workspace(id) => *id,
        }
    }

    /// The word before the colon.
    pub fn kind(&self) -> &'static str {
        match self {
            Channel::User(_) => "user",
            Channel::Profile(_) => "profile",
            Channel::Workspace(_) => "workspace",
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind(), self.id().as_hyphenated())
    }
}

/// The text is not a channel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownChannel;

impl fmt::Display for UnknownChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a channel is user:<id>, profile:<id> or workspace:<id>")
    }
}

impl std::error::Error for UnknownChannel {}

impl FromStr for Channel {
    type Err = UnknownChannel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (kind, id) = text.split_once(':').ok_or(UnknownChannel)?;
        // One spelling per channel: upper case, braces and urn: would be second names of one thing.
        let canonical = id.len() == 36 && !id.bytes().any(|b| b.is_ascii_uppercase());
        let id = Uuid::try_parse(id).map_err(|_| UnknownChannel)?;
        match kind {
            _ if !canonical => Err(UnknownChannel),
            "user" => Ok(Channel::User(id)),
            "profile" => Ok(Channel::Profile(id)),
            "workspace" => Ok(Channel::Workspace(id)),
            _ => Err(UnknownChannel),
        }
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Channel {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Channel".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a channel.",
            "type": "string",
            "pattern": "^(user|profile|workspace):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_per_channel() {
        let name = "workspace:0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
        assert_eq!(name.parse::<Channel>().unwrap().to_string(), name);
        for other in [
            "workspace:0190A1B2-C3D4-7E5F-8A9B-0C1D2E3F4A5B",
            "workspace:0190a1b2c3d47e5f8a9b0c1d2e3f4a5b",
            "workspace:{0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b}",
            "workspace:urn:uuid:0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "room:0190a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b",
            "workspace:",
            "workspace",
            "",
            "../",
        ] {
            assert_eq!(other.parse::<Channel>(), Err(UnknownChannel), "{other}");
        }
    }
}
