//! Where a value lies along an axis, and what is written beside it.

use super::super::text::short;

/// Between the smallest and the largest value, from which on an axis is logarithmic.
const LOG_FROM: f64 = 20.0;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Linear,
    Log,
    /// Each step right is a tenth of what was left to 1: percentiles.
    Nines,
}

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    /// What is counted, with its unit.
    pub title: String,
    kind: Kind,
    low: f64,
    high: f64,
    /// Values and what to write at them.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// From 0 to a round number that is at least `high`.
    pub fn linear(title: impl Into<String>, high: f64) -> Self {
        let high = if high > 0.0 { high } else { 1.0 };
        let step = round_step(high / 5.0);
        let steps = (high / step - 1e-9).ceil();
        let ticks = (0..=steps as u32).map(|index| f64::from(index) * step).map(|value| (value, short(value)));
        Self { title: title.into(), kind: Kind::Linear, low: 0.0, high: steps * step, ticks: ticks.collect() }
    }

    /// Exactly from 0 to `high`, for times.
    pub fn time(title: impl Into<String>, high: f64) -> Self {
        let mut axis = Self::linear(title, high);
        axis.ticks.retain(|(value, _)| *value <= high);
        Self { high, ..axis }
    }

    /// Each step is the same factor. Both bounds are above 0.
    pub fn log(title: impl Into<String>, low: f64, high: f64) -> Self {
        let few = high / low < 300.0;
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let values: Vec<f64> =
            decades.flat_map(|decade| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(decade))).collect();
        let round = |value: &&f64| few || (value.log10() - value.log10().round()).abs() < 1e-9;
        let from = values.iter().rev().find(|value| **value <= low).copied().unwrap_or(low);
        let to = values.iter().find(|value| **value >= high).copied().unwrap_or(high);
        let ticks = values.iter().filter(round).filter(|value| (from..=to).contains(*value));
        let ticks = ticks.map(|value| (*value, short(*value))).collect();
        Self { title: title.into(), kind: Kind::Log, low: from, high: to, ticks }
    }

    /// Linear from 0, or logarithmic when the values lie far apart.
    pub fn fitting(title: impl Into<String>, values: impl Iterator<Item = f64> + Clone) -> Self {
        let high = values.clone().fold(0.0, f64::max);
        let low = values.filter(|value| *value > 0.0).fold(f64::INFINITY, f64::min);
        if low.is_finite() && high / low > LOG_FROM { Self::log(title, low, high) } else { Self::linear(title, high) }
    }

    /// Shares from 0 on: 90 %, 99 %, 99.9 % … at equal distances, up to `high`, which is below 1.
    pub fn nines(title: impl Into<String>, high: f64) -> Self {
        let high = high.clamp(0.9, 0.999_999_9);
        let nines = [0.5, 0.9, 0.99, 0.999, 0.999_9, 0.999_99, 0.999_999];
        let ticks = std::iter::once((0.0, "0".into()));
        let ticks = ticks.chain(nines.into_iter().filter(|share| *share <= high + 1e-9).map(|share| {
            let percent = format!("{:.4}", share * 100.0);
            (share, format!("{} %", percent.trim_end_matches('0').trim_end_matches('.')))
        }));
        Self { title: title.into(), kind: Kind::Nines, low: 0.0, high, ticks: ticks.collect() }
    }

    /// 0 at the beginning, 1 at the end; what lies outside is put at the nearer end.
    pub fn place(&self, value: f64) -> f64 {
        let along = |value: f64| match self.kind {
            Kind::Linear => value,
            Kind::Log => value.max(self.low).log10(),
            Kind::Nines => -(1.0 - value.min(self.high)).log10(),
        };
        let (low, high) = (along(self.low), along(self.high));
        ((along(value) - low) / (high - low)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power).into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(&Axis::linear("", 8.3)), ["0", "2", "4", "6", "8", "10"]);
        assert_eq!(ticks(&Axis::linear("", 450_000.0)), ["0", "100k", "200k", "300k", "400k", "500k"]);
        assert_eq!(ticks(&Axis::linear("", 0.0)).first(), Some(&"0"));
        assert_eq!(ticks(&Axis::log("", 0.04, 30.0)), ["0.1", "1", "10"]);
        assert_eq!(ticks(&Axis::log("", 3.0, 70.0)), ["2", "5", "10", "20", "50", "100"]);
        assert_eq!(ticks(&Axis::nines("", 0.999)), ["0", "50 %", "90 %", "99 %", "99.9 %"]);
    }

    #[test]
    fn values_lie_where_they_belong() {
        let nines = Axis::nines("", 0.999);
        for (share, place) in [(0.0, 0.0), (0.9, 1.0 / 3.0), (0.99, 2.0 / 3.0), (0.999, 1.0), (1.0, 1.0)] {
            assert!((nines.place(share) - place).abs() < 1e-9, "{share}");
        }
        let log = Axis::log("", 1.0, 100.0);
        assert!((log.place(10.0) - 0.5).abs() < 1e-9 && log.place(0.0) == 0.0 && log.place(1e9) == 1.0);
        assert_eq!(Axis::linear("", 10.0).place(2.5), 0.25);
    }

    #[test]
    fn far_apart_means_logarithmic() {
        assert_eq!(Axis::fitting("", [1.0, 5.0].into_iter()).kind, Kind::Linear);
        assert_eq!(Axis::fitting("", [0.0, 0.1, 50.0].into_iter()).kind, Kind::Log);
        assert_eq!(Axis::fitting("", std::iter::empty()).kind, Kind::Linear);
    }
}
