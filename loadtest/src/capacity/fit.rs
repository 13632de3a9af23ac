//! Least squares with costs that are not below zero.

/// One measurement: how much of each driver there was, and what it came to.
#[derive(Debug, Clone)]
pub struct Row {
    /// By driver; the same length in all rows.
    pub amounts: Vec<f64>,
    /// What was measured.
    pub total: f64,
}

/// Rounds over all costs; it has long settled then.
const ROUNDS: usize = 20_000;
/// Of the largest total: smaller ones do not weigh more than this one would.
const SMALLEST: f64 = 0.02;

/// What one unit of each driver costs, so that the relative errors of the totals are small. Only those with `may` can
/// cost something; a driver that no row has costs nothing.
///
/// Coordinate descent: each cost in turn is set to its best value while the others stand. The sum of squares is convex,
/// so this ends at its minimum.
pub fn fit(rows: &[Row], may: &[bool]) -> Vec<f64> {
    let largest = rows.iter().map(|row| row.total).fold(0.0, f64::max);
    let weights: Vec<f64> =
        rows.iter().map(|row| 1.0 / row.total.max(largest * SMALLEST).max(f64::MIN_POSITIVE)).collect();
    let mut costs = vec![0.0; may.len()];
    let mut left: Vec<f64> = rows.iter().map(|row| row.total).collect();
    for _ in 0..ROUNDS {
        let mut moved = 0.0_f64;
        for driver in (0..may.len()).filter(|driver| may[*driver]) {
            let (mut top, mut bottom) = (0.0, 0.0);
            for ((row, weight), left) in rows.iter().zip(&weights).zip(&left) {
                let amount = row.amounts[driver] * weight;
                top += amount * left * weight;
                bottom += amount * amount;
            }
            if bottom == 0.0 {
                continue;
            }
            let step = (costs[driver] + top / bottom).max(0.0) - costs[driver];
            costs[driver] += step;
            moved = moved.max(step.abs() * bottom.sqrt());
            for (row, left) in rows.iter().zip(&mut left) {
                *left -= step * row.amounts[driver];
            }
        }
        if moved < 1e-10 {
            break;
        }
    }
    costs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(amounts: &[f64], total: f64) -> Row {
        Row { amounts: amounts.to_vec(), total }
    }

    #[test]
    fn what_was_put_together_is_taken_apart() {
        let truth = [3.0, 40.0, 0.5];
        let amounts = [[1.0, 0.0, 0.0], [1.0, 10.0, 0.0], [1.0, 0.0, 90.0], [1.0, 5.0, 200.0], [1.0, 1.0, 1_000.0]];
        let rows: Vec<Row> =
            amounts.iter().map(|amounts| row(amounts, amounts.iter().zip(truth).map(|(a, b)| a * b).sum())).collect();
        for (found, truth) in fit(&rows, &[true; 3]).into_iter().zip(truth) {
            assert!((found / truth - 1.0).abs() < 1e-3, "{found} for {truth}");
        }
    }

    #[test]
    fn noise_is_averaged_and_nothing_costs_less_than_nothing() {
        let rows = [row(&[1.0, 0.0], 10.0), row(&[1.0, 8.0], 9.0), row(&[1.0, 0.0], 11.0)];
        let costs = fit(&rows, &[true, true]);
        assert!((9.0..=11.0).contains(&costs[0]));
        assert_eq!(costs[1], 0.0);
    }

    #[test]
    fn what_may_not_cost_does_not() {
        let rows = [row(&[1.0, 2.0], 10.0), row(&[1.0, 4.0], 20.0)];
        let costs = fit(&rows, &[false, true]);
        assert_eq!(costs[0], 0.0);
        assert!((costs[1] - 5.0).abs() < 1e-6);
    }
}
