//! Pages that show the state of channels: rows and positions of one snapshot.

use serde::Serialize;
use sqlx::types::Json;
use studyhall_protocol::Position;
use studyhall_protocol::rest::Page;

use crate::error::Result;
use crate::http::cursor;

/// What a statement for a page reads: one row more than the page has, and where the channels stand.
#[derive(Debug)]
pub struct Rows<T> {
    /// In the order of the list.
    pub items: Json<Vec<T>>,
    /// Of the channels whose state the page shows.
    pub positions: Json<Vec<Position>>,
}

impl<T> Rows<T> {
    /// Cuts the rows to the page. `key` has the columns that the list is ordered by.
    pub fn into_page<K: Serialize>(self, limit: u32, key: impl Fn(&T) -> K) -> Result<Page<T>> {
        let mut items = self.items.0;
        let next_cursor = cursor::cut(&mut items, limit, key)?;
        Ok(Page { items, next_cursor, positions: self.positions.0 })
    }
}
