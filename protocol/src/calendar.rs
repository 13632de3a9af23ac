//! The calendar planner and its reminders (`calendar_events`, `calendar_event_reminders` of the schema).

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::check::{self, Check, FieldError, LONG_TEXT_MAX};
use crate::patch::{Clearable, not_null, present};

/// The longest `title`, in characters.
const TITLE_MAX: usize = 160;

/// Something that stands in a cell of the calendar.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CalendarEvent {
    /// Never changes.
    pub id: Uuid,
    /// The owner.
    pub user_id: Uuid,
    /// The cell: a day as its owner sees it.
    pub event_date: NaiveDate,
    /// At most 160 characters.
    pub title: Option<String>,
    /// Long-form. Never empty together with `title`.
    pub notes: Option<String>,
    /// When it begins.
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends: not before it begins, and never without a begin.
    pub ends_at: Option<DateTime<Utc>>,
    /// How it was made.
    pub source: CalendarSource,
    /// Days are ordered by this, then by `created_at` and `id`.
    pub order_index: i32,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// How an event of the calendar was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CalendarSource {
    /// Typed into the cell.
    Quick,
    /// By the form.
    #[default]
    Modal,
    /// From another calendar; not by a client.
    Import,
}

impl CalendarSource {
    /// The word in the database and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            CalendarSource::Quick => "quick",
            CalendarSource::Modal => "modal",
            CalendarSource::Import => "import",
        }
    }
}

/// `calendar_event.create`: it goes to the end of its day. Quick add needs no more than a date, a title or notes, and
/// `"source": "quick"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCalendarEvent {
    /// Between the years 1 and 9999.
    pub event_date: NaiveDate,
    /// At most 160 characters; it or `notes` says something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Long-form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
    /// When it begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<DateTime<Utc>>,
    /// When it ends; needs `starts_at` and must not lie before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<DateTime<Utc>>,
    /// `quick` or `modal`; absent: `modal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CalendarSource>,
}

/// `calendar_event.update`: absent keeps, `null` clears. Another `event_date` puts it at the end of that day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarEventPatch {
    /// Which event of mine.
    pub id: Uuid,
    /// Between the years 1 and 9999.
    #[serde(default, deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "NaiveDate")]
    pub event_date: Option<NaiveDate>,
    /// At most 160 characters; it or `notes` says something.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub title: Clearable<String>,
    /// Long-form.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub notes: Clearable<String>,
    /// When it begins.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub starts_at: Clearable<DateTime<Utc>>,
    /// When it ends; needs a begin and must not lie before it.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub ends_at: Clearable<DateTime<Utc>>,
}

/// `calendar_event.move`: to another place in its day, or into another day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CalendarEventMove {
    /// Which event of mine.
    pub id: Uuid,
    /// The day to go to; absent: the one that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_date: Option<NaiveDate>,
    /// The event of that day to stand behind; absent or `null`: first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_id: Option<Uuid>,
}

/// A time at which the server reminds of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reminder {
    /// Never changes.
    pub id: Uuid,
    /// The event of the calendar.
    pub event_id: Uuid,
    /// Whom to remind: the owner of the event.
    pub user_id: Uuid,
    /// When. It does not move with the event.
    pub remind_at: DateTime<Utc>,
    /// How: `live`.
    pub delivery: String,
    /// When that was done; null until then.
    pub sent_at: Option<DateTime<Utc>>,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
    /// Set by the database.
    pub updated_at: DateTime<Utc>,
}

/// `reminder.create`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReminder {
    /// An event of mine.
    pub event_id: Uuid,
    /// When to remind; at most a day ago, which is at once.
    pub remind_at: DateTime<Utc>,
}

impl CalendarEventPatch {
    /// The event as it would be, its place left alone.
    pub fn on(&self, event: &CalendarEvent) -> CalendarEvent {
        let patch = self.clone();
        CalendarEvent {
            event_date: patch.event_date.unwrap_or(event.event_date),
            title: patch.title.unwrap_or_else(|| event.title.clone()),
            notes: patch.notes.unwrap_or_else(|| event.notes.clone()),
            starts_at: patch.starts_at.unwrap_or(event.starts_at),
            ends_at: patch.ends_at.unwrap_or(event.ends_at),
            ..event.clone()
        }
    }
}

const YEARS: &str = "must be between the years 1 and 9999";

/// Years that PostgreSQL, JavaScript and RFC 3339 all write the same way.
fn instant(field: &str, value: Option<DateTime<Utc>>) -> Result<(), FieldError> {
    match value {
        Some(value) if !(1..=9999).contains(&value.year()) => Err(FieldError::new(field, YEARS)),
        _ => Ok(()),
    }
}

/// The same of a day.
pub fn day(field: &str, value: Option<NaiveDate>) -> Result<(), FieldError> {
    match value {
        Some(value) if !(1..=9999).contains(&value.year()) => Err(FieldError::new(field, YEARS)),
        _ => Ok(()),
    }
}

/// An event says something, and does not end before it begins.
pub fn whole(
    title: Option<&str>,
    notes: Option<&str>,
    starts_at: Option<DateTime<Utc>>,
    ends_at: Option<DateTime<Utc>>,
) -> Result<(), FieldError> {
    let says = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    if !says(title) && !says(notes) {
        return Err(FieldError::new("title", "must not be empty when notes are"));
    }
    match (starts_at, ends_at) {
        (None, Some(_)) => Err(FieldError::new("ends_at", "needs starts_at")),
        (Some(starts_at), Some(ends_at)) if ends_at < starts_at => {
            Err(FieldError::new("ends_at", "must not lie before starts_at"))
        }
        _ => Ok(()),
    }
}

impl Check for NewCalendarEvent {
    fn check(&self) -> Result<(), FieldError> {
        day("event_date", Some(self.event_date))?;
        check::optional_text("title", self.title.as_deref(), TITLE_MAX)?;
        check::optional_text("notes", self.notes.as_deref(), LONG_TEXT_MAX)?;
        instant("starts_at", self.starts_at)?;
        instant("ends_at", self.ends_at)?;
        whole(self.title.as_deref(), self.notes.as_deref(), self.starts_at, self.ends_at)?;
        if self.source == Some(CalendarSource::Import) {
            return Err(FieldError::new("source", "must be quick or modal"));
        }
        Ok(())
    }
}

impl Check for CalendarEventPatch {
    /// What it comes to together with what is there already is for whoever knows that.
    fn check(&self) -> Result<(), FieldError> {
        fn inner(field: &Clearable<String>) -> Option<&str> {
            field.as_ref().and_then(Option::as_deref)
        }
        day("event_date", self.event_date)?;
        check::optional_text("title", inner(&self.title), TITLE_MAX)?;
        check::optional_text("notes", inner(&self.notes), LONG_TEXT_MAX)?;
        instant("starts_at", self.starts_at.flatten())?;
        instant("ends_at", self.ends_at.flatten())
    }
}

impl Check for CalendarEventMove {
    fn check(&self) -> Result<(), FieldError> {
        day("event_date", self.event_date)
    }
}

impl Check for NewReminder {
    fn check(&self) -> Result<(), FieldError> {
        instant("remind_at", Some(self.remind_at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn wrong(event: Value) -> Option<String> {
        let event: NewCalendarEvent = serde_json::from_value(event).unwrap();
        event.check().err().map(|error| error.field)
    }

    #[test]
    fn what_an_event_has_to_be() {
        let day = "2026-11-24";
        assert_eq!(wrong(json!({"event_date": day, "title": "Exam", "source": "quick"})), None);
        assert_eq!(wrong(json!({"event_date": day, "notes": "bring a pen"})), None);
        assert_eq!(wrong(json!({"event_date": "0001-01-01", "title": "a"})), None);
        assert_eq!(wrong(json!({"event_date": "+10000-01-01", "title": "a"})), Some("event_date".into()));
        assert_eq!(wrong(json!({"event_date": "0000-12-31", "title": "a"})), Some("event_date".into()));
        assert_eq!(wrong(json!({"event_date": day, "title": " \u{3000}"})), Some("title".into()));
        assert_eq!(wrong(json!({"event_date": day})), Some("title".into()));
        assert_eq!(wrong(json!({"event_date": day, "title": "日".repeat(161)})), Some("title".into()));
        assert_eq!(wrong(json!({"event_date": day, "title": "a", "source": "import"})), Some("source".into()));
        let (early, late) = ("2026-11-24T08:00:00Z", "2026-11-24T09:00:00Z");
        assert_eq!(wrong(json!({"event_date": day, "title": "a", "ends_at": late})), Some("ends_at".into()));
        let times =
            |starts_at, ends_at| json!({"event_date": day, "title": "a", "starts_at": starts_at, "ends_at": ends_at});
        assert_eq!(wrong(times(late, early)), Some("ends_at".into()));
        assert_eq!(wrong(times(early, early)), None);
        assert_eq!(wrong(times(early, late)), None);
    }
}
