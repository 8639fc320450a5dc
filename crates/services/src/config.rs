//! MicroProfile-style configuration: one property, several spellings, a profile that overrides.
//!
//! A property `a.b-c` is looked up as `a.b-c` (a key of a ConfigMap), as `a_b_c` and as `A_B_C`; in the profile `dev`
//! first as `%dev.a.b-c`, `_dev_a_b_c` and `_DEV_A_B_C`. An empty value counts as not set.

use std::collections::BTreeMap;

/// The environment as a source of properties.
#[derive(Clone, Debug, Default)]
pub struct Config {
    variables: BTreeMap<String, String>,
    profile: String,
}

impl Config {
    /// Properties from variables, usually those of the process.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut config = Self { variables: variables.into_iter().collect(), profile: String::new() };
        config.profile = config.get("quarkus.profile").unwrap_or("prod").to_owned();
        config
    }

    /// The variables of this process. Those that are not UTF-8 are left out: no property of ours has such a value.
    pub fn from_env() -> Self {
        let variables = std::env::vars_os();
        Self::new(variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))))
    }

    /// `QUARKUS_PROFILE`; `prod` when not set.
    pub fn profile(&self) -> &str {
        &self.profile
    }

    /// The value of a property, if it is set.
    pub fn get(&self, property: &str) -> Option<&str> {
        let in_profile = (!self.profile.is_empty()).then(|| self.spelled(&format!("%{}.{property}", self.profile)));
        in_profile.flatten().or_else(|| self.spelled(property))
    }

    fn spelled(&self, property: &str) -> Option<&str> {
        let underscored: String =
            property.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect();
        let capitals = underscored.to_ascii_uppercase();
        let mut values = [property, &underscored, &capitals].into_iter().filter_map(|name| self.variables.get(name));
        values.find(|value| !value.is_empty()).map(String::as_str)
    }

    /// Properties written out as `prefix` and a name, with the prefix cut off: the keys of a ConfigMap. Names in capitals
    /// are not among them, because `A_B` does not say whether it is `a.b` or `a-b`.
    pub(crate) fn with_prefix(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.variables.iter().filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(variables: &[(&str, &str)]) -> Config {
        Config::new(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn a_property_is_found_under_each_of_its_spellings() {
        for name in ["application.data-producer.url", "application_data_producer_url", "APPLICATION_DATA_PRODUCER_URL"]
        {
            assert_eq!(config(&[(name, "here")]).get("application.data-producer.url"), Some("here"), "{name}");
        }
        assert_eq!(config(&[("application.data.producer.url", "here")]).get("application.data-producer.url"), None);
    }

    #[test]
    fn the_exact_spelling_wins_and_empty_values_do_not_count() {
        let both = config(&[("A_B", "capitals"), ("a.b", "exact")]);
        assert_eq!(both.get("a.b"), Some("exact"));
        assert_eq!(config(&[("A_B", "capitals"), ("a.b", "")]).get("a.b"), Some("capitals"));
    }

    #[test]
    fn the_profile_overrides() {
        let dev = config(&[("QUARKUS_PROFILE", "dev"), ("a.b", "all"), ("%dev.a.b", "dev"), ("_DEV_C_D", "dev")]);
        assert_eq!((dev.profile(), dev.get("a.b"), dev.get("c.d")), ("dev", Some("dev"), Some("dev")));
        let prod = config(&[("a.b", "all"), ("%dev.a.b", "dev")]);
        assert_eq!((prod.profile(), prod.get("a.b")), ("prod", Some("all")));
    }
}
