//! Numbers as people read them.

/// Three significant digits, thousands grouped: `0.0532`, `1.15`, `38.1`, `412`, `450,000`.
pub fn number(value: f64) -> String {
    let digits = match value.abs() {
        size if size >= 99.95 || size == 0.0 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.995 => 2,
        size if size >= 0.0995 => 3,
        _ => 4,
    };
    match digits {
        0 => grouped(value),
        1 | 2 => format!("{value:.digits$}"),
        _ => format!("{value:.digits$}").trim_end_matches('0').into(),
    }
}

/// As somebody chose it: `1.15`, `20`, `300,000`.
pub fn plain(value: f64) -> String {
    if value.fract() == 0.0 { grouped(value) } else { value.to_string() }
}

/// A whole number with its thousands grouped.
pub fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 && digits != "0" { format!("-{text}") } else { text }
}

/// Short, for the ticks of an axis: `0.5`, `20`, `400k`, `2M`.
pub fn short(value: f64) -> String {
    let (value, unit) = match value.abs() {
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{value:.3}");
    format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
}

/// `45 s`, `2 min 5 s`.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    if whole < 60 { format!("{whole} s") } else { format!("{} min {} s", whole / 60, whole % 60) }
}

/// For XML and HTML, in text and in attributes.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits() {
        let said: Vec<_> =
            [0.0, 0.05, 0.05321, 0.5321, 1.149, 9.996, 38.12, 99.96, 412.4, 449_999.6, -1234.0].map(number).into();
        assert_eq!(said, ["0", "0.05", "0.0532", "0.532", "1.15", "10.0", "38.1", "100", "412", "450,000", "-1,234"]);
    }

    #[test]
    fn ticks_are_short() {
        let said: Vec<_> = [0.0, 0.5, 20.0, 1_000.0, 400_000.0, 2_000_000.0, 2_500_000.0].map(short).into();
        assert_eq!(said, ["0", "0.5", "20", "1000", "400k", "2M", "2.5M"]);
    }
}
