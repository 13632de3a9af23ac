//! Checks of what people send, beyond its shape: lengths, ranges, characters that no store takes.
//!
//! Lengths count Unicode scalar values (`char`s), as PostgreSQL's `varchar(n)` does.

use serde_json::Value;
use uuid::Uuid;

/// What is wrong with one field, in words for the person who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name; nested ones with dots.
    pub field: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl FieldError {
    /// An error of `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

/// Payloads that check themselves before anything is done with them.
pub trait Check {
    /// The first field that cannot be taken. Ids and the like can always be.
    fn check(&self) -> Result<(), FieldError> {
        Ok(())
    }
}

/// Long-form text (`TEXT` columns), in characters.
pub const LONG_TEXT_MAX: usize = 10_000;
/// A free JSON object (`settings`, `data`), in bytes of its compact form.
pub const SETTINGS_BYTES_MAX: usize = 16 * 1024;
/// The largest absolute grid coordinate.
pub const GRID_MAX: i32 = 100_000;
/// The largest width or height of a widget, in grid units.
pub const GRID_SIZE_MAX: i32 = 1_000;

/// Text that may be empty but not longer than `max` characters.
pub fn text(field: &str, value: &str, max: usize) -> Result<(), FieldError> {
    let length = value.chars().count();
    if length > max {
        return Err(FieldError::new(field, format!("has {length} characters; at most {max} are allowed")));
    }
    Ok(())
}

/// Text with at least one character that is not white space.
pub fn name(field: &str, value: &str, max: usize) -> Result<(), FieldError> {
    if value.trim().is_empty() {
        return Err(FieldError::new(field, "must not be empty"));
    }
    text(field, value, max)
}

/// Text that may be absent.
pub fn optional_text(field: &str, value: Option<&str>, max: usize) -> Result<(), FieldError> {
    value.map_or(Ok(()), |value| text(field, value, max))
}

/// A number within `min..=max`.
pub fn range(field: &str, value: i32, min: i32, max: i32) -> Result<(), FieldError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(FieldError::new(field, format!("is {value}; it must be between {min} and {max}")))
}

/// A free JSON object of bounded size.
pub fn object(field: &str, value: &Value) -> Result<(), FieldError> {
    if !value.is_object() {
        return Err(FieldError::new(field, "must be a JSON object"));
    }
    let bytes = value.to_string().len();
    if bytes > SETTINGS_BYTES_MAX {
        return Err(FieldError::new(field, format!("takes {bytes} bytes; at most {SETTINGS_BYTES_MAX} are allowed")));
    }
    Ok(())
}

/// Settings may nest this deep. Readers give up at some depth, serde_json at 128, and what wraps the settings counts.
pub const SETTINGS_DEPTH_MAX: usize = 32;

/// The free JSON object `settings`, if there is one.
pub fn settings(value: Option<&Value>) -> Result<(), FieldError> {
    free_object("settings", value)
}

/// A free JSON object that may be absent, neither too large nor too deep.
pub fn free_object(field: &str, value: Option<&Value>) -> Result<(), FieldError> {
    fn depth(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
            Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
            _ => 0,
        }
    }
    let Some(value) = value else { return Ok(()) };
    if depth(value) > SETTINGS_DEPTH_MAX {
        return Err(FieldError::new(field, format!("is nested deeper than {SETTINGS_DEPTH_MAX} levels")));
    }
    object(field, value)
}

/// Finds a NUL character anywhere in `value`: PostgreSQL cannot store it, so it is refused by name.
pub fn no_nul(value: &Value) -> Result<(), FieldError> {
    fn walk(path: &str, value: &Value) -> Result<(), FieldError> {
        let nul = || FieldError::new(path, "contains the NUL character, which cannot be stored");
        match value {
            Value::String(text) if text.contains('\0') => Err(nul()),
            Value::Array(items) => items.iter().try_for_each(|item| walk(path, item)),
            Value::Object(map) => map.iter().try_for_each(|(key, item)| {
                if key.contains('\0') {
                    return Err(nul());
                }
                let inner = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(&inner, item)
            }),
            _ => Ok(()),
        }
    }
    walk("", value)
}

/// An absolute `http` or `https` address without user info or control characters.
pub fn web_address(field: &str, value: &str) -> Result<(), FieldError> {
    let refuse = || Err(FieldError::new(field, "must be an absolute http or https address"));
    text(field, value, 2_000)?;
    let lower = value.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) else {
        return refuse();
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let plain = !value.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    if host.is_empty() || host.contains('@') || !plain {
        return refuse();
    }
    Ok(())
}

/// Where what is in a file of ours is found, around its id.
const CONTENT: (&str, &str) = ("/api/v1/attachments/", "/content");

/// Where an image or the like is: a [`web_address`], or what is in a file that was uploaded here
/// (`/api/v1/attachments/<id>/content`). Who may see that is up to what the file belongs to.
pub fn file_address(field: &str, value: &str) -> Result<(), FieldError> {
    let Some(id) = value.strip_prefix(CONTENT.0).and_then(|rest| rest.strip_suffix(CONTENT.1)) else {
        return web_address(field, value);
    };
    match Uuid::try_parse(id) {
        Ok(uuid) if uuid.to_string() == id => Ok(()),
        _ => Err(FieldError::new(field, "does not name a file; /api/v1/attachments/<id>/content would")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nul_is_found_with_its_path() {
        let error = no_nul(&json!({"settings": {"deep": ["ok", "a\u{0}b"]}})).unwrap_err();
        assert_eq!(error.field, "settings.deep");
        assert!(no_nul(&json!({"a\u{0}": 1})).is_err());
        assert!(no_nul(&json!({"a": ["b", 1, null]})).is_ok());
    }

    #[test]
    fn web_addresses() {
        for good in ["https://example.org/a?b#c", "http://localhost:8080", "HTTPS://EXAMPLE.org"] {
            assert!(web_address("url", good).is_ok(), "{good}");
        }
        for bad in [
            "javascript:alert(1)",
            "JaVa\tScript:x",
            "data:text/html,x",
            "//host/x",
            "http:\\\\host",
            "https://u:p@host",
            "https://",
            "https://a b",
            "",
        ] {
            assert!(web_address("url", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_of_files() {
        let id = "0192f0c1-2345-7abc-8def-0123456789ab";
        let of = |id: &str| file_address("image_url", &format!("/api/v1/attachments/{id}/content"));
        assert!(of(id).is_ok() && file_address("image_url", "https://example.org/a").is_ok());
        for bad in ["", "x", "../me", &id.to_uppercase(), &format!("{id}/.."), &format!("{{{id}}}"), "\u{0}"] {
            assert!(of(bad).is_err(), "{bad}");
        }
        for bad in
            [format!("/api/v1/attachments/{id}"), "/etc/passwd".into(), format!("/api/v1/attachments/{id}/content?x")]
        {
            assert!(file_address("image_url", &bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lengths_count_characters_not_bytes() {
        assert!(text("name", &"日".repeat(50), 50).is_ok());
        assert!(text("name", &"日".repeat(51), 50).is_err());
        assert!(name("name", " \n\t", 50).is_err());
    }
}
