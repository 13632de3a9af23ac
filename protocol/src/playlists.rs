//! Playlists that front-ends embed (`study_playlists` of the schema).

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError};
use crate::ordered::ordered;
use crate::patch::not_null;

/// A playlist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StudyPlaylist {
    /// Never changes.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// At most 160 characters.
    pub title: String,
    /// `youtube`, `spotify`, `soundcloud`, `apple_music`, `vimeo`.
    pub provider: String,
    /// The page of that provider which is made for frames.
    pub embed_url: String,
    /// The list is ordered by this, then by `created_at` and `id`.
    pub order_index: i32,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

ordered!(StudyPlaylist);

/// `playlist.create`: it goes to the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewStudyPlaylist {
    /// At most 160 characters.
    pub title: String,
    /// `youtube`, `spotify`, `soundcloud`, `apple_music`, `vimeo`.
    pub provider: String,
    /// The page of that provider which is made for frames.
    pub embed_url: String,
}

/// `playlist.update`: absent keeps. Afterwards the address is one of the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StudyPlaylistPatch {
    /// Which playlist.
    pub id: Uuid,
    /// At most 160 characters.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub title: Option<String>,
    /// `youtube`, `spotify`, `soundcloud`, `apple_music`, `vimeo`.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub provider: Option<String>,
    /// The page of that provider which is made for frames.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "String")]
    pub embed_url: Option<String>,
}

/// What may be shown in a frame on everybody's page: these and no other.
const PROVIDERS: &[(&str, &[&str])] = &[
    ("youtube", &["https://www.youtube.com/embed/", "https://www.youtube-nocookie.com/embed/"]),
    ("spotify", &["https://open.spotify.com/embed/"]),
    ("soundcloud", &["https://w.soundcloud.com/player/"]),
    ("apple_music", &["https://embed.music.apple.com/"]),
    ("vimeo", &["https://player.vimeo.com/video/"]),
];

fn beginnings(provider: &str) -> Result<&'static [&'static str], FieldError> {
    let known = PROVIDERS.iter().find(|(name, _)| *name == provider);
    known.map(|(_, beginnings)| *beginnings).ok_or_else(|| {
        let names: Vec<&str> = PROVIDERS.iter().map(|(name, _)| *name).collect();
        FieldError::new("provider", format!("must be one of {}", names.join(", ")))
    })
}

/// Whether the address is one of the provider, for frames. What it begins with is compared to the letter: no port, no user
/// info, no other spelling of the host fits between the host and its slash.
pub fn embeds(provider: &str, embed_url: &str) -> Result<(), FieldError> {
    let beginnings = beginnings(provider)?;
    check::web_address("embed_url", embed_url)?;
    let rest = beginnings.iter().find_map(|beginning| embed_url.strip_prefix(beginning));
    if rest.is_some_and(|rest| !rest.is_empty() && !climbs(rest)) {
        return Ok(());
    }
    Err(FieldError::new("embed_url", format!("must begin with {} and go on", beginnings.join(" or "))))
}

/// Whether a browser would leave the folder that the address begins with.
fn climbs(rest: &str) -> bool {
    let path = rest.split(['?', '#']).next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    path.split('/').any(|part| matches!(part, "." | ".."))
}

impl Check for NewStudyPlaylist {
    fn check(&self) -> Result<(), FieldError> {
        check::name("title", &self.title, 160)?;
        embeds(&self.provider, &self.embed_url)
    }
}

impl Check for StudyPlaylistPatch {
    /// Of provider and address alone only what is wrong whatever the other is.
    fn check(&self) -> Result<(), FieldError> {
        self.title.as_deref().map_or(Ok(()), |title| check::name("title", title, 160))?;
        match (&self.provider, &self.embed_url) {
            (Some(provider), Some(embed_url)) => embeds(provider, embed_url),
            (Some(provider), None) => beginnings(provider).map(drop),
            (None, Some(embed_url)) => check::web_address("embed_url", embed_url),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_their_provider() {
        for (provider, good) in [
            ("youtube", "https://www.youtube.com/embed/jfKfPfyJRdk?start=1#t"),
            ("youtube", "https://www.youtube-nocookie.com/embed/videoseries?list=PL1"),
            ("spotify", "https://open.spotify.com/embed/playlist/37i9dQ"),
            ("soundcloud", "https://w.soundcloud.com/player/?url=https%3A//api.soundcloud.com/playlists/1"),
            ("apple_music", "https://embed.music.apple.com/us/playlist/x/pl.1"),
            ("vimeo", "https://player.vimeo.com/video/1"),
        ] {
            assert_eq!(embeds(provider, good), Ok(()), "{good}");
        }
    }

    #[test]
    fn nothing_else_gets_into_a_frame() {
        for bad in [
            "http://www.youtube.com/embed/x",
            "https://www.youtube.com/embed/",
            "https://www.youtube.com/watch?v=x",
            "https://youtube.com/embed/x",
            "https://www.youtube.com.evil.example/embed/x",
            "https://www.youtube.com@evil.example/embed/x",
            "https://user:pass@www.youtube.com/embed/x",
            "https://www.youtube.com:8443/embed/x",
            "https://www.youtube.com:443/embed/x",
            "https://www.youtube.com\\@evil.example/embed/x",
            "https://www.youtube.com/embed/x\\y",
            "https://www.youtube.com/embed/../redirect?q=https://evil.example",
            "https://www.youtube.com/embed/x/%2E%2e/../redirect",
            "https://www.youtube.com/embed/\t../x",
            "https://evil.example/?https://www.youtube.com/embed/x",
            "//www.youtube.com/embed/x",
            " https://www.youtube.com/embed/x",
            "https://www.ｙoutube.com/embed/x",
            "https://open.spotify.com/embed/x",
            "javascript:alert(1)",
            "",
        ] {
            assert_eq!(embeds("youtube", bad).unwrap_err().field, "embed_url", "{bad}");
        }
        assert_eq!(embeds("YouTube", "https://www.youtube.com/embed/x").unwrap_err().field, "provider");
    }
}
