//! Places in lists that people put in order.

use studyhall_protocol::check::FieldError;
use uuid::Uuid;

use crate::error::{Error, Result};

/// Between neighbours that were never squeezed: ten rows fit between two before a list is numbered anew.
pub const GAP: i32 = 1_024;

/// The indices to write so that the row `id` stands behind `after`, or first. `rows` is the whole list in its order; the
/// row may be new in it. Usually it is only the row's own; where its neighbours leave no room, the list is numbered anew.
/// Nothing when it stands there already.
///
/// Errors: 422 when `after` is the row itself, 409 `after_not_in_list`.
pub fn place(rows: &[(Uuid, i32)], id: Uuid, after: Option<Uuid>) -> Result<Vec<(Uuid, i32)>> {
    if after == Some(id) {
        return Err(Error::invalid(FieldError::new("after_id", "must be another row")));
    }
    let others: Vec<(Uuid, i32)> = rows.iter().copied().filter(|(other, _)| *other != id).collect();
    let at = match after {
        None => 0,
        Some(after) => 1 + others.iter().position(|(other, _)| *other == after).ok_or_else(after_not_in_list)?,
    };
    if rows.get(at).is_some_and(|(there, _)| *there == id) {
        return Ok(Vec::new());
    }
    let before = at.checked_sub(1).and_then(|at| others.get(at)).map(|(_, index)| *index);
    let behind = others.get(at).map(|(_, index)| *index);
    if let Some(index) = middle(before, behind) {
        return Ok(vec![(id, index)]);
    }
    let mut numbered: Vec<Uuid> = others.iter().map(|(other, _)| *other).collect();
    numbered.insert(at, id);
    let anew = numbered.into_iter().zip((1..).map(|number| number * GAP));
    Ok(anew.filter(|(row, index)| *row == id || !others.contains(&(*row, *index))).collect())
}

/// An index between two neighbours; `None` when there is no room.
pub fn middle(before: Option<i32>, behind: Option<i32>) -> Option<i32> {
    match (before, behind) {
        (None, None) => Some(GAP),
        (Some(before), None) => before.checked_add(GAP),
        (None, Some(behind)) => behind.checked_sub(GAP),
        (Some(before), Some(behind)) => {
            let middle = before.midpoint(behind);
            (before < middle && middle < behind).then_some(middle)
        }
    }
}

/// Somebody else has moved or deleted it meanwhile.
pub fn after_not_in_list() -> Error {
    Error::conflict("after_not_in_list", "the row to stand behind is not in that list any more").with_field("after_id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_between() {
        assert_eq!(middle(None, None), Some(1_024));
        assert_eq!(middle(Some(1_024), None), Some(2_048));
        assert_eq!(middle(None, Some(1_024)), Some(0));
        assert_eq!(middle(Some(1_024), Some(2_048)), Some(1_536));
        assert_eq!(middle(Some(-3), Some(-1)), Some(-2));
        assert_eq!(middle(Some(i32::MIN), Some(i32::MAX)), Some(0));
    }

    #[test]
    fn no_room() {
        assert_eq!(middle(Some(1), Some(2)), None);
        assert_eq!(middle(Some(-1), Some(0)), None);
        assert_eq!(middle(Some(7), Some(7)), None);
        assert_eq!(middle(Some(i32::MAX - 1), None), None);
        assert_eq!(middle(None, Some(i32::MIN + 5)), None);
    }

    #[test]
    fn rows_go_where_they_are_put() {
        let [a, b, c] = [1, 2, 3].map(Uuid::from_u128);
        let rows = [(a, 1_024), (b, 2_048), (c, 3_072)];
        let put = |rows: &[(Uuid, i32)], id, after| place(rows, id, after).map_err(|error| error.code());
        assert_eq!(put(&rows, c, Some(a)), Ok(vec![(c, 1_536)]));
        assert_eq!(put(&rows, c, None), Ok(vec![(c, 0)]));
        assert_eq!(put(&rows, a, Some(c)), Ok(vec![(a, 4_096)]));
        assert_eq!(put(&rows, b, Some(a)), Ok(vec![]));
        assert_eq!(put(&rows, a, None), Ok(vec![]));
        let new = Uuid::from_u128(4);
        assert_eq!(put(&rows, new, Some(b)), Ok(vec![(new, 2_560)]));
        assert_eq!(put(&[], new, None), Ok(vec![(new, 1_024)]));
        assert_eq!(put(&rows, a, Some(a)), Err("invalid_field"));
        assert_eq!(put(&rows, a, Some(new)), Err("after_not_in_list"));
        // No room: all are numbered anew, and those that keep their number are not written.
        let tight = [(a, 1_024), (b, 1_025), (c, 3_072)];
        assert_eq!(put(&tight, new, Some(a)), Ok(vec![(new, 2_048), (b, 3_072), (c, 4_096)]));
        assert_eq!(put(&tight, c, Some(a)), Ok(vec![(c, 2_048), (b, 3_072)]));
    }
}
