//! Kafka's own deserializers by their Java class names, as far as their values have a text.

use std::str::FromStr;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deserializer {
    /// The bytes as they are; strings too, because a terminal takes UTF-8.
    Bytes,
    Short,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Uuid,
}

/// The bytes are not what the deserializer reads; the sentence is Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NotDeserialized(String);

impl FromStr for Deserializer {
    type Err = String;

    fn from_str(class: &str) -> Result<Self, String> {
        match class.strip_prefix("org.apache.kafka.common.serialization.") {
            Some("StringDeserializer" | "ByteArrayDeserializer" | "ByteBufferDeserializer") => Ok(Self::Bytes),
            Some("BytesDeserializer") => Ok(Self::Bytes),
            Some("ShortDeserializer") => Ok(Self::Short),
            Some("IntegerDeserializer") => Ok(Self::Integer),
            Some("LongDeserializer") => Ok(Self::Long),
            Some("FloatDeserializer") => Ok(Self::Float),
            Some("DoubleDeserializer") => Ok(Self::Double),
            Some("BooleanDeserializer") => Ok(Self::Boolean),
            Some("UUIDDeserializer") => Ok(Self::Uuid),
            _ => Err(format!("{class} is not one of the deserializers in org.apache.kafka.common.serialization")),
        }
    }
}

impl Deserializer {
    /// The text of a value, as Java's `toString` gives it.
    pub(super) fn text(self, bytes: &[u8]) -> Result<Vec<u8>, NotDeserialized> {
        let text = match self {
            Self::Bytes => return Ok(bytes.to_vec()),
            Self::Short => i16::from_be_bytes(exactly(bytes, "ShortDeserializer")?).to_string(),
            Self::Integer => i32::from_be_bytes(exactly(bytes, "IntegerDeserializer")?).to_string(),
            Self::Long => i64::from_be_bytes(exactly(bytes, "LongDeserializer")?).to_string(),
            Self::Float => java_float(&format!("{:e}", f32::from_be_bytes(exactly(bytes, "FloatDeserializer")?))),
            Self::Double => java_float(&format!("{:e}", f64::from_be_bytes(exactly(bytes, "DoubleDeserializer")?))),
            Self::Boolean => match exactly(bytes, "BooleanDeserializer")? {
                [0] => "false".to_owned(),
                [1] => "true".to_owned(),
                [other] => {
                    return Err(NotDeserialized(format!("Unexpected byte received by BooleanDeserializer: {other}")));
                }
            },
            Self::Uuid => return Ok(bytes.to_ascii_lowercase()),
        };
        Ok(text.into_bytes())
    }
}

fn exactly<const N: usize>(bytes: &[u8], name: &str) -> Result<[u8; N], NotDeserialized> {
    bytes.try_into().map_err(|_| NotDeserialized(format!("Size of data received by {name} is not {N}")))
}

/// Java's text of a number that Rust wrote as `digits`e`exponent`: plain between 10⁻³ and 10⁷, else with an `E`.
fn java_float(scientific: &str) -> String {
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return match scientific {
            "inf" => "Infinity".to_owned(),
            "-inf" => "-Infinity".to_owned(),
            other => other.to_owned(),
        };
    };
    let exponent: i32 = exponent.parse().expect("Rust writes a number behind the e");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let digits = digits.replace('.', "");
    let is_zero = digits.bytes().all(|digit| digit == b'0');
    if !(is_zero || (-3..7).contains(&exponent)) {
        let rest = if digits.len() > 1 { &digits[1..] } else { "0" };
        return format!("{sign}{}.{rest}E{exponent}", &digits[..1]);
    }
    if exponent < 0 {
        return format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1));
    }
    let whole = exponent.unsigned_abs() as usize + 1;
    let padded = format!("{digits:0<whole$}");
    let fraction = if padded.len() > whole { &padded[whole..] } else { "0" };
    format!("{sign}{}.{fraction}", &padded[..whole])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_in_java() {
        for (number, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (123_456.789, "123456.789"),
            (9_999_999.0, "9999999.0"),
            (10_000_000.0, "1.0E7"),
            (1.5e300, "1.5E300"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            let bytes = f64::to_be_bytes(number);
            assert_eq!(String::from_utf8(Deserializer::Double.text(&bytes).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn a_wrong_length_is_told_in_kafkas_words() {
        let error = Deserializer::Integer.text(b"null!").unwrap_err();
        assert_eq!(error.to_string(), "Size of data received by IntegerDeserializer is not 4");
    }

    #[test]
    fn only_kafkas_own_are_known() {
        assert_eq!("org.apache.kafka.common.serialization.UUIDDeserializer".parse(), Ok(Deserializer::Uuid));
        assert!("com.example.Avro".parse::<Deserializer>().is_err());
    }
}
