//! The enum of API keys.

use anyhow::{Result, ensure};

use super::super::versions::Versions;
use super::head;

/// An API as Kafka defines it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: String,
    /// The versions whose messages are generated; none for what only KRaft controllers speak and for what is retired.
    pub(crate) versions: Versions,
    pub(crate) flexible: Versions,
}

/// The enum, and a table with one row per key: keys count up from zero without a gap.
pub(crate) fn emit(apis: &[Api]) -> Result<String> {
    for (index, api) in apis.iter().enumerate() {
        ensure!(usize::try_from(api.key) == Ok(index), "API keys have a gap before {} ({})", api.name, api.key);
    }
    let variants: String = apis.iter().map(|api| format!("{} = {},", api.name, api.key)).collect();
    let rows: String = apis.iter().map(row).collect();
    Ok(format!(
        "{head}use std::ops::RangeInclusive;

        /// An API of Kafka's, by the names and numbers of its protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {{ {variants} }}

        #[derive(Debug)]
        struct Row {{
            key: ApiKey,
            name: &'static str,
            versions: Option<RangeInclusive<i16>>,
            flexible_from: Option<i16>,
        }}

        /// By key: they count up from zero without a gap.
        static ROWS: [Row; {count}] = [ {rows} ];

        impl ApiKey {{
            /// Every key, in ascending order.
            pub fn all() -> impl Iterator<Item = Self> {{
                ROWS.iter().map(|row| row.key)
            }}

            /// The key with this number, if Kafka has one.
            pub fn from_code(code: i16) -> Option<Self> {{
                let row = ROWS.get(usize::try_from(code).ok()?)?;
                Some(row.key)
            }}

            pub const fn code(self) -> i16 {{
                self as i16
            }}

            fn row(self) -> &'static Row {{
                &ROWS[self as usize]
            }}

            /// The name that Kafka's tools print.
            pub fn name(self) -> &'static str {{
                self.row().name
            }}

            /// The versions that this crate reads and writes: all of Kafka's stable ones, or `None` for what only
            /// KRaft controllers speak and for what is retired.
            pub fn versions(self) -> Option<RangeInclusive<i16>> {{
                self.row().versions.clone()
            }}

            /// First version with compact lengths and tagged fields (KIP-482), where there is one.
            pub fn flexible_from(self) -> Option<i16> {{
                self.row().flexible_from
            }}
        }}\n",
        head = head("Kafka's API keys."),
        count = apis.len(),
    ))
}

fn row(api: &Api) -> String {
    let versions = match api.versions {
        none if none.is_empty() => "None".to_owned(),
        Versions { low, high } => format!("Some({low}..={high})"),
    };
    let flexible_from = match api.flexible {
        none if none.is_empty() => "None".to_owned(),
        Versions { low, .. } => format!("Some({low})"),
    };
    let name = &api.name;
    format!("Row {{ key: ApiKey::{name}, name: \"{name}\", versions: {versions}, flexible_from: {flexible_from} }},")
}
