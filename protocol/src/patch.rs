//! Partial updates: an absent field keeps its value, `null` clears it.

use serde::{Deserialize, Deserializer};

/// A field of a patch that can be left alone (`None`), cleared (`Some(None)`) or set (`Some(Some)`).
pub type Clearable<T> = Option<Option<T>>;

/// Reads a present field, `null` included, as `Some`; use with `#[serde(default)]`.
pub fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads a field that may be left out but not be `null`.
pub fn not_null<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    T::deserialize(deserializer).map(Some)
}
