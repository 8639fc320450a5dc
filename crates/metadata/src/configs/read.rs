//! Reads configs by name as the types that their tables give them; a wrong name or type is a mistake in this crate.

use super::ConfigValue;

/// Reads through a function from a config's name to its value, `None` when it is unset.
pub(super) struct Read<F>(pub(super) F);

impl<F: Fn(&'static str) -> Option<ConfigValue>> Read<F> {
    fn value(&self, name: &'static str) -> ConfigValue {
        self.0(name).unwrap_or_else(|| panic!("{name} has a default"))
    }

    pub(super) fn boolean(&self, name: &'static str) -> bool {
        match self.value(name) {
            ConfigValue::Boolean(value) => value,
            other => unreachable!("{name} is a boolean, not {other:?}"),
        }
    }

    pub(super) fn long(&self, name: &'static str) -> i64 {
        match self.value(name) {
            ConfigValue::Number(number) => number,
            other => unreachable!("{name} is a number, not {other:?}"),
        }
    }

    pub(super) fn int(&self, name: &'static str) -> i32 {
        i32::try_from(self.long(name)).expect("an int was parsed as one")
    }

    pub(super) fn text(&self, name: &'static str) -> String {
        match self.value(name) {
            ConfigValue::Text(text) => text,
            other => unreachable!("{name} is text, not {other:?}"),
        }
    }

    pub(super) fn list(&self, name: &'static str) -> Vec<String> {
        self.list_if_set(name).unwrap_or_else(|| panic!("{name} has a default"))
    }

    pub(super) fn list_if_set(&self, name: &'static str) -> Option<Vec<String>> {
        match self.0(name) {
            None => None,
            Some(ConfigValue::List(items)) => Some(items),
            Some(other) => unreachable!("{name} is a list, not {other:?}"),
        }
    }
}
