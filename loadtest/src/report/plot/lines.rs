//! A line for each target.

use std::fmt::Write;

use super::super::results::{FLOOR, FLOOR_MERGED};
use super::{Axis, Canvas, Caption, EDGE, LETTER, TEXT, WIDTH, colour};

const HEIGHT: f64 = 210.0;
const LEFT: f64 = EDGE + 42.0;
const RIGHT: f64 = WIDTH - EDGE - 20.0;
/// Of the sample of a line in the legend.
const SAMPLE: f64 = 22.0;

/// One target.
#[derive(Debug, Clone)]
pub struct Line {
    /// Its name.
    pub target: String,
    /// From left to right.
    pub points: Vec<(f64, f64)>,
}

/// A plot of them all; the first is drawn last, above the others.
pub fn lines(caption: &Caption, x: &Axis, y: &Axis, lines: &[Line]) -> String {
    let mut canvas = Canvas::new(caption);
    legend(&mut canvas, lines);
    canvas.text("sh-soft", EDGE, canvas.top, "start", &y.title, "");
    let top = canvas.top + 10.0;
    let bottom = top + HEIGHT;
    let across = |value: f64| LEFT + x.place(value) * (RIGHT - LEFT);
    let up = |value: f64| bottom - y.place(value) * HEIGHT;
    for (value, text) in &y.ticks {
        canvas.line("sh-grid", (LEFT, up(*value)), (RIGHT, up(*value)));
        canvas.text("sh-soft", LEFT - 8.0, up(*value) + 4.5, "end", text, "");
    }
    for (value, text) in &x.ticks {
        canvas.line("sh-grid", (across(*value), top), (across(*value), bottom));
        canvas.text("sh-soft", across(*value), bottom + 18.0, "middle", text, "");
    }
    canvas.text("sh-soft", (LEFT + RIGHT) / 2.0, bottom + 18.0 + TEXT, "middle", &x.title, "");
    for (index, line) in lines.iter().enumerate().rev() {
        let (colour, dash) = (colour(&line.target), dash(&line.target));
        let width = if index == 0 { 2.5 } else { 1.5 };
        if let [(at, value)] = line.points[..] {
            let (cx, cy) = (across(at), up(value));
            canvas.put(format_args!("<circle class=\"sh-fill sh-{colour}\" cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\"/>"));
            continue;
        }
        let points = line.points.iter().fold(String::new(), |mut points, (at, value)| {
            let _ = write!(points, " {:.1},{:.1}", across(*at), up(*value));
            points
        });
        canvas.put(format_args!(
            "<polyline class=\"sh-line sh-{colour}\"{dash} stroke-width=\"{width}\" points=\"{}\"/>",
            points.trim_start()
        ));
    }
    canvas.finish(caption, bottom + 20.0 + TEXT)
}

/// The floors are no competitors: they are drawn as what one measures against.
fn dash(target: &str) -> &'static str {
    match target {
        FLOOR => " stroke-dasharray=\"7 4\"",
        FLOOR_MERGED => " stroke-dasharray=\"2 3\"",
        _ => "",
    }
}

fn legend(canvas: &mut Canvas, lines: &[Line]) {
    let mut x = EDGE;
    for line in lines {
        let width = SAMPLE + 6.0 + line.target.chars().count() as f64 * LETTER + 16.0;
        if x + width > WIDTH - EDGE && x > EDGE {
            x = EDGE;
            canvas.top += TEXT;
        }
        let (y, end) = (canvas.top - 4.5, x + SAMPLE);
        let (colour, dash) = (colour(&line.target), dash(&line.target));
        canvas.put(format_args!(
            "<path class=\"sh-line sh-{colour}\"{dash} stroke-width=\"2\" d=\"M{x:.1} {y:.1}H{end:.1}\"/>"
        ));
        canvas.text("sh-text", end + 6.0, canvas.top, "start", &line.target, "");
        x += width;
    }
    canvas.top += TEXT + 6.0;
}

#[cfg(test)]
mod tests {
    use super::super::tests::well_formed;
    use super::*;

    #[test]
    fn every_target_is_drawn_and_named() {
        let line = |target: &str| Line { target: target.into(), points: vec![(0.0, 1.0), (1.0, 2.0), (10.0, 4.0)] };
        let caption = Caption { title: "Latency".into(), subtitle: "500 rooms of 4".into() };
        let (x, y) = (Axis::time("seconds", 10.0), Axis::linear("ms", 4.0));
        let mut all: Vec<Line> =
            ["studyhall", "floor", "a<b", "a rather long name", "another long name"].map(line).into();
        all.push(Line { target: "alone".into(), points: vec![(3.0, 3.0)] });
        let svg = lines(&caption, &x, &y, &all);
        assert_eq!(well_formed(&svg), Ok(()));
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (5, 1));
        assert_eq!(svg.matches("stroke-dasharray").count(), 2, "the floor, there and in the legend");
        assert!(svg.contains(">a&lt;b</text>"));
        assert_eq!(well_formed(&lines(&caption, &x, &y, &[])), Ok(()));
    }
}
