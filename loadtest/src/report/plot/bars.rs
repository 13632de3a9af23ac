//! A bar for each target, with a whisker from the lowest to the highest window.

use super::super::stats::Spread;
use super::{Axis, Canvas, Caption, EDGE, LETTER, WIDTH, colour};

const BAR: f64 = 18.0;
const STEP: f64 = 30.0;

/// One target.
#[derive(Debug, Clone)]
pub struct Bar {
    /// Its name.
    pub target: String,
    /// What it came to.
    pub value: Spread,
    /// What is written beside the bar.
    pub note: String,
}

/// A plot of them all, in the given order.
pub fn bars(caption: &Caption, bars: &[Bar]) -> String {
    let mut canvas = Canvas::new(caption);
    let letters = |text: fn(&Bar) -> &str| bars.iter().map(|bar| text(bar).chars().count()).max().unwrap_or(0) as f64;
    let left = EDGE + letters(|bar| &bar.target) * LETTER + 10.0;
    let right = WIDTH - EDGE - letters(|bar| &bar.note) * LETTER - 14.0;
    let axis = Axis::linear("", bars.iter().map(|bar| bar.value.high).fold(0.0, f64::max));
    let across = |value: f64| left + axis.place(value) * (right - left);
    let (top, bottom) = (canvas.top, canvas.top + STEP * bars.len() as f64);
    // Every second tick is enough where there is little room.
    let every = if right - left < 300.0 { 2 } else { 1 };
    for (value, text) in axis.ticks.iter().step_by(every) {
        canvas.line("sh-grid", (across(*value), top), (across(*value), bottom));
        canvas.text("sh-soft", across(*value), bottom + 16.0, "middle", text, "");
    }
    for (index, bar) in bars.iter().enumerate() {
        let y = top + STEP * index as f64 + (STEP - BAR) / 2.0;
        let middle = y + BAR / 2.0;
        let weight = if index == 0 { " font-weight=\"600\"" } else { "" };
        canvas.text("sh-text", left - 10.0, middle + 4.5, "end", &bar.target, weight);
        let (colour, width) = (colour(&bar.target), across(bar.value.median) - left);
        canvas.put(format_args!(
            "<rect class=\"sh-fill sh-{colour}\" x=\"{left:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\"/>"
        ));
        if bar.value.high > bar.value.low {
            let (low, high) = (across(bar.value.low), across(bar.value.high));
            canvas.line("sh-mark", (low, middle), (high, middle));
            canvas.line("sh-mark", (low, middle - 4.0), (low, middle + 4.0));
            canvas.line("sh-mark", (high, middle - 4.0), (high, middle + 4.0));
        }
        canvas.text("sh-text", right + 8.0, middle + 4.5, "start", &bar.note, weight);
    }
    canvas.finish(caption, bottom + 20.0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::well_formed;
    use super::*;

    fn plot(values: &[(&str, f64, f64, f64)]) -> String {
        let bars: Vec<Bar> = values
            .iter()
            .map(|(target, low, median, high)| Bar {
                target: (*target).into(),
                value: Spread::of([*low, *median, *high]).unwrap(),
                note: format!("{median} < & >"),
            })
            .collect();
        super::bars(&Caption { title: "CPU & \"more\"".into(), subtitle: "a < b".into() }, &bars)
    }

    #[test]
    fn bars_are_as_long_as_their_values() {
        let svg = plot(&[("studyhall", 4.0, 4.0, 4.0), ("floor", 2.0, 2.0, 2.0)]);
        assert_eq!(well_formed(&svg), Ok(()));
        let widths: Vec<f64> = svg
            .lines()
            .filter(|line| line.starts_with("<rect class=\"sh-fill"))
            .map(|line| line.split("width=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap())
            .collect();
        assert!((widths[0] - 2.0 * widths[1]).abs() < 0.2, "{widths:?}");
        assert!(!svg.contains("sh-mark\" x1"), "no whisker without a spread");
    }

    #[test]
    fn a_spread_has_a_whisker_and_nothing_is_no_error() {
        assert_eq!(plot(&[("bun", 1.0, 2.0, 3.0)]).matches("sh-mark\" x1").count(), 3);
        assert_eq!(well_formed(&plot(&[])), Ok(()));
        assert_eq!(well_formed(&plot(&[("x", 0.0, 0.0, 0.0)])), Ok(()));
    }
}
