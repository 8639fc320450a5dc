//! Ages as kubectl prints them: two units at most, fewer the longer it is.

use jiff::SignedDuration;

/// `45s`, `5m10s`, `3h20m`, `2d4h`, `400d`, `3y`.
pub(crate) fn human(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let pair = |large: i64, large_unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => pair(days, "d", hours % 24, "h"),
        () if days < 365 * 2 => format!("{days}d"),
        () if days < 365 * 8 => pair(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: i64, text: &str) {
        assert_eq!(human(SignedDuration::from_secs(seconds)), text);
    }

    #[test]
    fn ages_are_written_as_kubectl_writes_them() {
        check(0, "0s");
        check(119, "119s");
        check(120, "2m");
        check(310, "5m10s");
        check(600, "10m");
        check(3 * 3600, "3h");
        check(3 * 3600 + 20 * 60, "3h20m");
        check(9 * 3600 + 20 * 60, "9h");
        check(50 * 3600, "2d2h");
        check(400 * 86400, "400d");
        check(3 * 365 * 86400, "3y");
        check(9 * 365 * 86400 + 86400, "9y");
    }
}
