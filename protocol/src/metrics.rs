//! How far somebody has come (`progress_metrics` of the schema).

use chrono::{DateTime, NaiveDate, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::assignments::day;
use crate::check::{self, Check, FieldError};
use crate::patch::{Clearable, present};

/// The largest value.
pub const METRIC_MAX: i32 = 1_000_000;

/// What was reached on a day. There is one for each scope and day.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProgressMetric {
    /// Never changes.
    pub id: Uuid,
    /// Whose.
    pub user_id: Uuid,
    /// `day`, `week`, `month`, `year`, or what a front-end adds; at most 16 characters.
    pub scope: String,
    /// 0 to 1,000,000.
    pub value: i32,
    /// What there is to reach.
    pub target_value: Option<i32>,
    /// The day.
    pub captured_at: NaiveDate,
    /// Set by the database.
    pub created_at: DateTime<Utc>,
}

/// `progress_metric.record`: the one of that scope and day is made or replaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MetricRecord {
    /// At most 16 characters.
    pub scope: String,
    /// 0 to 1,000,000.
    pub value: i32,
    /// 1 to 1,000,000; absent keeps what that day has, 100 if it is new; `null`: nothing to reach.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub target_value: Clearable<i32>,
    /// The day; absent: today, where I am.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub captured_at: Option<NaiveDate>,
}

/// A metric that is gone, and what is the newest of its scope now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricGone {
    /// The row that is gone.
    pub id: Uuid,
    /// Its scope.
    pub scope: String,
    /// The newest one that is left; `null` when that was the last.
    pub latest: Option<ProgressMetric>,
}

impl Check for MetricRecord {
    fn check(&self) -> Result<(), FieldError> {
        check::name("scope", &self.scope, 16)?;
        check::range("value", self.value, 0, METRIC_MAX)?;
        self.target_value.flatten().map_or(Ok(()), |value| check::range("target_value", value, 1, METRIC_MAX))?;
        day("captured_at", self.captured_at)
    }
}
