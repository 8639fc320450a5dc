//! The words in which the tables of configs are written.

use super::{ConfigKey, DefaultValue, Effect, Importance, Synonym, Unit, Update, Valid, ValueType};

macro_rules! constructors {
    ($($name:ident: $value_type:ident),*) => {$(
        pub(super) const fn $name(
            name: &'static str,
            default: DefaultValue,
            valid: Valid,
            importance: Importance,
            update: Update,
            effect: Effect,
        ) -> ConfigKey {
            let value_type = ValueType::$value_type;
            ConfigKey {
                name, value_type, default, valid, importance, update, effect,
                synonyms: &[], internal: false, documentation: "",
            }
        }
    )*};
}

constructors! {
    boolean: Boolean, string: String, int: Int, short: Short, long: Long, double: Double, list: List, class: Class,
    password: Password
}

impl ConfigKey {
    pub(super) const fn doc(self, documentation: &'static str) -> Self {
        Self { documentation, ..self }
    }

    pub(super) const fn internal(self) -> Self {
        Self { internal: true, ..self }
    }

    pub(super) const fn synonyms(self, synonyms: &'static [Synonym]) -> Self {
        Self { synonyms, ..self }
    }
}

pub(super) const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Same }
}

pub(super) const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Minutes }
}

pub(super) const fn hours(name: &'static str) -> Synonym {
    Synonym { name, unit: Unit::Hours }
}
