//! A measurement: what the producer makes and the consumer reads, `{"data":0.24972073091495883}`.

use serde::{Deserialize, Serialize};

/// One reading of the lab's imaginary sensor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    /// In [0, 1), with full double precision.
    pub(crate) data: f64,
}

impl Measurement {
    /// A fresh reading.
    pub(crate) fn random() -> Self {
        Self { data: fastrand::f64() }
    }

    /// The reading in a record's value.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// As it travels and as it is logged.
    pub(crate) fn json(self) -> String {
        serde_json::to_string(&self).expect("a structure of one finite number")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_measurement_keeps_its_precision() {
        let json = r#"{"data":0.24972073091495883}"#;
        assert_eq!(Measurement::parse(json.as_bytes()).unwrap().json(), json);
    }

    #[test]
    fn random_measurements_are_in_range_and_differ() {
        let first = Measurement::random();
        assert!((0.0..1.0).contains(&first.data));
        assert!((0..100).any(|_| Measurement::random() != first));
    }

    #[test]
    fn what_is_no_measurement_is_an_error() {
        for text in ["", "null", "{}", r#"{"data":"warm"}"#, r#"{"data":NaN}"#, "\u{0}"] {
            assert!(Measurement::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
