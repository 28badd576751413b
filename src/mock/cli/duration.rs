//! Parses durations on the command line.

/// Parses `90`, `90s`, `15m`, `1h` or `2d`. Returns seconds.
pub(super) fn parse(text: &str) -> Result<u64, String> {
    let unit = text.chars().last().filter(|last| !last.is_ascii_digit());
    let (number, seconds) = match unit {
        None => (text, 1),
        Some('s') => (text.trim_end_matches('s'), 1),
        Some('m') => (text.trim_end_matches('m'), 60),
        Some('h') => (text.trim_end_matches('h'), 3600),
        Some('d') => (text.trim_end_matches('d'), 24 * 3600),
        Some(_) => ("", 1),
    };
    let number: Option<u64> = number.parse().ok();
    number
        .and_then(|number| number.checked_mul(seconds))
        .ok_or_else(|| {
            "a duration must be a whole number with the unit `s`, `m`, `h` or `d`, such as `90s`"
                .to_owned()
        })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn durations_are_parsed() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("15m", 900),
            ("1h", 3600),
            ("2d", 172_800),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for text in [
            "",
            "h",
            "1w",
            "-1s",
            "1.5h",
            "1hh1",
            "99999999999999999999d",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
