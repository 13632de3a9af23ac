//! Rows of a person's own lists, and what a move does to them.

use std::collections::BTreeMap;

use uuid::Uuid;

use crate::order::{Moved, RowOrder};

/// A row that has a place in a list.
pub trait Ordered {
    /// Its place.
    fn order(&self) -> RowOrder;
    /// Gives it another.
    fn set_order(&mut self, order: &RowOrder);
}

macro_rules! ordered {
    ($row:ty) => {
        impl crate::ordered::Ordered for $row {
            fn order(&self) -> crate::order::RowOrder {
                crate::order::RowOrder { id: self.id, order_index: self.order_index, updated_at: self.updated_at }
            }

            fn set_order(&mut self, order: &crate::order::RowOrder) {
                self.order_index = order.order_index;
                self.updated_at = order.updated_at;
            }
        }
    };
}

pub(crate) use ordered;

impl<T: Ordered> Moved<T> {
    /// What was written, as the move of one row and the giving way of others; `None` when that row is not among them.
    pub fn of(written: Vec<T>, id: Uuid) -> Option<Self> {
        let (moved, others): (Vec<T>, Vec<T>) = written.into_iter().partition(|row| row.order().id == id);
        let mut reordered: Vec<RowOrder> = others.iter().map(Ordered::order).collect();
        reordered.sort_unstable_by_key(|order| (order.order_index, order.id));
        moved.into_iter().next().map(|moved| Moved { moved, reordered })
    }
}

impl<T: Ordered + Clone> Moved<T> {
    /// Does it to the rows that somebody has.
    pub fn apply(&self, rows: &mut BTreeMap<Uuid, T>) {
        rows.insert(self.moved.order().id, self.moved.clone());
        for order in &self.reordered {
            if let Some(row) = rows.get_mut(&order.id) {
                row.set_order(order);
            }
        }
    }
}
