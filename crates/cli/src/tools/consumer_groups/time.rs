//! Times as `--to-datetime` and `--by-duration` take them.

use jiff::{Span, Timestamp};

/// Milliseconds since 1970 of `YYYY-MM-DDThh:mm:ss.sss`, UTC unless an offset or Z stands behind it. Fails with a
/// sentence for the user.
pub(super) fn datetime_ms(text: &str) -> Result<i64, String> {
    let Some((_, time)) = text.split_once('T') else {
        return Err("Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".to_owned());
    };
    let has_zone = time.contains(['Z', '+', '-']);
    let text = if has_zone { text.to_owned() } else { format!("{text}Z") };
    text.parse::<Timestamp>()
        .map(Timestamp::as_millisecond)
        .map_err(|error| format!("Unparseable date: \"{text}\" ({error})"))
}

/// Milliseconds since 1970 of the moment that lies a duration such as `P1DT2H30M` before `now_ms`.
pub(super) fn before_ms(duration: &str, now_ms: i64) -> Result<i64, String> {
    let wrong = |_| "Text cannot be parsed to a Duration".to_owned();
    let span: Span = duration.parse().map_err(wrong)?;
    // As in Java, a day has 24 hours and there are no months in a duration.
    if span.get_years() != 0 || span.get_months() != 0 || span.get_weeks() != 0 {
        return Err("Text cannot be parsed to a Duration".to_owned());
    }
    let seconds = i64::from(span.get_days()) * 86_400
        + i64::from(span.get_hours()) * 3_600
        + span.get_minutes() * 60
        + span.get_seconds();
    Ok(now_ms - seconds * 1_000 - span.get_milliseconds())
}

/// Milliseconds since 1970 of this moment. A command line has no other clock than the machine's.
pub(super) fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_utc() {
        assert_eq!(datetime_ms("2026-11-23T02:36:14.778"), Ok(1_795_401_374_778));
        assert_eq!(datetime_ms("2026-11-23T02:36:14.778Z"), Ok(1_795_401_374_778));
        assert_eq!(datetime_ms("2026-11-23T03:36:14.778+01:00"), Ok(1_795_401_374_778));
        assert!(datetime_ms("2026-11-23").unwrap_err().contains("does not contain a 'T'"));
        assert!(datetime_ms("2026-13-23T00:00:00").is_err());
    }

    #[test]
    fn a_duration_goes_back_from_now() {
        assert_eq!(before_ms("P1DT2H3M4S", 100_000_000), Ok(100_000_000 - 93_784_000));
        assert_eq!(before_ms("PT0.5S", 1_000), Ok(500));
        assert!(before_ms("P1M", 0).is_err());
        assert!(before_ms("yesterday", 0).is_err());
    }
}
