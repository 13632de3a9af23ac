//! Plots as small SVG files, readable on light and on dark pages and on a telephone.

mod axis;
mod bars;
mod lines;

use std::fmt::Write;

use super::results::{FLOOR, FLOOR_MERGED, STUDYHALL};
use super::text::escaped;

pub use self::axis::Axis;
pub use self::bars::{Bar, bars};
pub use self::lines::{Line, lines};

/// Of every plot, in its own units; pages scale it. Narrow, so that its text stays legible on a telephone.
const WIDTH: f64 = 560.0;
/// At all sides.
const EDGE: f64 = 16.0;
/// From one line of text to the next.
const TEXT: f64 = 19.0;
/// About the width of a letter.
const LETTER: f64 = 7.0;
/// Of one in a title.
const TITLE_LETTER: f64 = 9.5;

/// A background of its own, because an image does not know for certain what page it is on.
const STYLE: &str = "\
.sh-page{fill:#ffffff;stroke:#d0d7de}.sh-text{fill:#1f2328}.sh-soft{fill:#59636e}.sh-grid{stroke:#e4e8ec}\
.sh-mark{stroke:#1f2328}\
.sh-0{--c:#1f5fd0}.sh-1{--c:#6b7280}.sh-2{--c:#a3a9b3}.sh-3{--c:#d97706}.sh-4{--c:#0f8a5f}.sh-5{--c:#b03a9c}\
.sh-6{--c:#b91c1c}.sh-7{--c:#0e7490}\
.sh-fill{fill:var(--c)}.sh-line{stroke:var(--c);fill:none;stroke-linejoin:round}\
@media(prefers-color-scheme:dark){\
.sh-page{fill:#151b23;stroke:#3d444d}.sh-text{fill:#f0f6fc}.sh-soft{fill:#9198a1}.sh-grid{stroke:#2a313a}\
.sh-mark{stroke:#f0f6fc}\
.sh-0{--c:#6ea8fe}.sh-1{--c:#9ca3af}.sh-2{--c:#6b7280}.sh-3{--c:#fbbf24}.sh-4{--c:#34d399}.sh-5{--c:#f0abfc}\
.sh-6{--c:#f87171}.sh-7{--c:#22d3ee}}";

/// What a plot says about itself.
#[derive(Debug, Clone)]
pub struct Caption {
    /// What is shown.
    pub title: String,
    /// In which unit, under which load; may be empty.
    pub subtitle: String,
}

/// The colour of a target: the same in every plot.
fn colour(target: &str) -> usize {
    let known = [STUDYHALL, FLOOR, FLOOR_MERGED, "bun", "nchan", "ws"];
    let found = known.iter().position(|name| *name == target);
    found.unwrap_or_else(|| if target.starts_with("pgbench") { 1 } else { 7 })
}

/// An SVG under construction.
struct Canvas {
    body: String,
    /// Where the next thing may begin.
    top: f64,
}

impl Canvas {
    /// With the caption at its top.
    fn new(caption: &Caption) -> Self {
        let mut canvas = Self { body: String::new(), top: EDGE + 16.0 };
        for line in wrapped(&caption.title, ((WIDTH - 2.0 * EDGE) / TITLE_LETTER) as usize) {
            canvas.text("sh-text", EDGE, canvas.top, "start", &line, " font-size=\"16\" font-weight=\"600\"");
            canvas.top += TEXT;
        }
        for line in wrapped(&caption.subtitle, ((WIDTH - 2.0 * EDGE) / LETTER) as usize) {
            canvas.text("sh-soft", EDGE, canvas.top, "start", &line, "");
            canvas.top += TEXT;
        }
        canvas
    }

    fn text(&mut self, class: &str, x: f64, y: f64, anchor: &str, text: &str, more: &str) {
        let text = escaped(text);
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\"{more}>{text}</text>"
        ));
    }

    fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.put(format_args!("<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"));
    }

    /// Writing to a string cannot fail.
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.body, "{element}");
    }

    /// The whole file; `height` without the lower edge.
    fn finish(self, caption: &Caption, height: f64) -> String {
        let (title, body, height) = (escaped(&caption.title), self.body, height + EDGE);
        let (inner_width, inner_height) = (WIDTH - 1.0, height - 1.0);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
             height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\" font-size=\"13\" \
             font-family=\"system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif\">\n<style>{STYLE}</style>\n\
             <rect class=\"sh-page\" x=\"0.5\" y=\"0.5\" width=\"{inner_width}\" height=\"{inner_height:.0}\" rx=\"8\"/>\n\
             {body}</svg>\n"
        )
    }
}

/// Lines of at most so many letters, broken between words.
fn wrapped(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + word.chars().count() < letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
pub mod tests {
    /// Whether every element is closed in its order, every attribute is quoted and nothing is unescaped.
    pub fn well_formed(svg: &str) -> Result<(), String> {
        let mut open: Vec<&str> = Vec::new();
        let mut rest = svg.trim();
        while let Some(start) = rest.find('<') {
            let (text, tag) = rest.split_at(start);
            let bare = text
                .split('&')
                .skip(1)
                .any(|entity| !["amp;", "lt;", "gt;", "quot;"].iter().any(|known| entity.starts_with(known)));
            if text.contains('>') || bare {
                return Err(format!("unescaped text: {text}"));
            }
            let (tag, after) = tag[1..].split_once('>').ok_or("a tag without end")?;
            rest = after;
            if let Some(name) = tag.strip_prefix('/') {
                if open.pop() != Some(name) {
                    return Err(format!("</{name}> closes nothing"));
                }
                continue;
            }
            let closed = tag.ends_with('/');
            let tag = tag.trim_end_matches('/');
            let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
            let quoted: Vec<&str> = attributes.split('"').collect();
            let named = quoted.iter().step_by(2).all(|part| part.trim().is_empty() || part.ends_with('='));
            if quoted.len().is_multiple_of(2)
                || !named
                || quoted.iter().any(|part| part.contains("NaN") || part.contains("inf"))
            {
                return Err(format!("attributes of {tag}"));
            }
            if !closed {
                open.push(name);
            }
        }
        if open.is_empty() && rest.is_empty() { Ok(()) } else { Err(format!("not closed: {open:?} {rest}")) }
    }

    #[test]
    fn what_is_not_well_formed_is_found_out() {
        assert_eq!(well_formed("<svg a=\"1\"><b/>&lt;</svg>"), Ok(()));
        for wrong in
            ["<svg>", "<svg></b></svg>", "<svg a=1></svg>", "<svg>a & b</svg>", "<svg x=\"NaN\"/>", "<svg></svg>>"]
        {
            assert!(well_formed(wrong).is_err(), "{wrong}");
        }
    }
}
