//! Pages of lists. A cursor says after which row the next page begins, in a form that nobody needs to read.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Rows on a page unless asked for otherwise.
pub const LIMIT_DEFAULT: u32 = 50;
/// Rows on a page at most.
pub const LIMIT_MAX: u32 = 100;

/// `?cursor=…&limit=…`; flatten it into a query with more fields.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Paging {
    /// The `next_cursor` of the page before.
    #[serde(default)]
    pub cursor: Option<String>,
    /// As text: a flattened number would be refused.
    #[serde(default)]
    pub limit: Option<String>,
}

impl Paging {
    /// Rows wanted, between 1 and [`LIMIT_MAX`]; 400 for what is not a number.
    pub fn limit(&self) -> Result<u32> {
        self.limit_within(LIMIT_DEFAULT, LIMIT_MAX)
    }

    /// As [`Paging::limit`] with other bounds.
    pub fn limit_within(&self, default: u32, max: u32) -> Result<u32> {
        let Some(text) = &self.limit else {
            return Ok(default.min(max));
        };
        let wanted: i64 = text.parse().map_err(|_| Error::bad_request("bad_limit", "limit must be a whole number"))?;
        // In range after the clamp.
        Ok(wanted.clamp(1, i64::from(max)) as u32)
    }

    /// The row after which to go on; 400 `bad_cursor` for what is not one of ours.
    pub fn after<K: DeserializeOwned>(&self) -> Result<Option<K>> {
        self.cursor.as_deref().map(decode).transpose()
    }
}

/// A cursor for `key`, the columns that the list is ordered by.
pub fn encode<K: Serialize>(key: &K) -> Result<String> {
    Ok(URL_SAFE_NO_PAD.encode(serde_json::to_vec(key).map_err(Error::internal)?))
}

/// The columns out of a cursor; 400 `bad_cursor` for anything else.
pub fn decode<K: DeserializeOwned>(cursor: &str) -> Result<K> {
    let bad = || Error::bad_request("bad_cursor", "cursor must be the next_cursor of an earlier page");
    let bytes = URL_SAFE_NO_PAD.decode(cursor).map_err(|_| bad())?;
    // A NUL can only have been put there by hand, and no column takes it.
    let value: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| bad())?;
    studyhall_protocol::check::no_nul(&value).map_err(|_| bad())?;
    serde_json::from_value(value).map_err(|_| bad())
}

/// Cuts rows that were fetched with `limit + 1` to a page, and makes the cursor of the next one.
pub fn cut<T, K: Serialize>(rows: &mut Vec<T>, limit: u32, key: impl Fn(&T) -> K) -> Result<Option<String>> {
    let limit = limit as usize;
    if rows.len() <= limit {
        return Ok(None);
    }
    rows.truncate(limit);
    rows.last().map(|row| encode(&key(row))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let key = ("aiko".to_owned(), 7_u32);
        assert_eq!(decode::<(String, u32)>(&encode(&key).unwrap()).unwrap(), key);
        for bad in ["", "%", "AAAA", &encode(&"one").unwrap(), &encode(&("a\0", 1)).unwrap()] {
            assert_eq!(decode::<(String, u32)>(bad).unwrap_err().code(), "bad_cursor", "{bad}");
        }
    }

    #[test]
    fn limits_are_clamped() {
        let limit = |text: &str| Paging { cursor: None, limit: Some(text.into()) }.limit();
        assert_eq!(Paging::default().limit().unwrap(), 50);
        assert_eq!((limit("0").unwrap(), limit("-5").unwrap(), limit("1000").unwrap()), (1, 1, 100));
        assert_eq!(limit("ten").unwrap_err().code(), "bad_limit");
        assert_eq!(limit("1e3").unwrap_err().code(), "bad_limit");
    }

    #[test]
    fn a_row_too_many_is_the_next_page() {
        let mut rows = vec![1, 2, 3];
        let next = cut(&mut rows, 2, |row| *row).unwrap().unwrap();
        assert_eq!((rows, decode::<i32>(&next).unwrap()), (vec![1, 2], 2));
        assert_eq!(cut(&mut vec![1, 2], 2, |row| *row).unwrap(), None);
    }
}
