//! The middle of several measurements, and how far they lie apart.

/// Of several measurements of the same thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one; the mean of both when there are two.
    pub median: f64,
    /// The lowest.
    pub low: f64,
    /// The highest.
    pub high: f64,
    /// How many there were.
    pub count: usize,
}

impl Spread {
    /// `None` when there is nothing, or something that is no number.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        if values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        values.sort_by(f64::total_cmp);
        let (low, high, count) = (*values.first()?, *values.last()?, values.len());
        let median = (values[(count - 1) / 2] + values[count / 2]) / 2.0;
        Some(Self { median, low, high, count })
    }

    /// Of `both` of each pair: windows that took turns are compared one by one, so that what slows the machine for a
    /// while slows both. A window too many of either is left out.
    pub fn paired<T>(ours: &[T], theirs: &[T], both: impl Fn(&T, &T) -> Option<f64>) -> Option<Self> {
        let pairs: Option<Vec<f64>> = ours.iter().zip(theirs).map(|(ours, theirs)| both(ours, theirs)).collect();
        Self::of(pairs?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        let spread = Spread::of([3.0, 1.0, 100.0]).unwrap();
        assert_eq!(spread, Spread { median: 3.0, low: 1.0, high: 100.0, count: 3 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
        assert_eq!(Spread::of([]), None);
        assert_eq!(Spread::of([1.0, f64::NAN]), None);
    }

    #[test]
    fn pairs_are_compared_one_by_one() {
        // The machine was twice as slow in the second window: the ratio does not change.
        let ratio = |ours: &[f64], theirs: &[f64]| Spread::paired(ours, theirs, |ours, theirs| Some(ours / theirs));
        let spread = ratio(&[1.2, 2.4, 1.2], &[1.0, 2.0, 1.0, 5.0]).unwrap();
        assert_eq!((spread.low, spread.median, spread.high, spread.count), (1.2, 1.2, 1.2, 3));
        assert_eq!(ratio(&[], &[1.0]), None);
    }
}
