//! The enum of API keys.

use super::super::versions::Versions;
use super::MARK;

/// An API as Kafka defines it.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) name: String,
    /// The versions whose messages are generated; none for what only KRaft controllers speak and for what is retired.
    pub(crate) versions: Versions,
    pub(crate) flexible: Versions,
}

pub(crate) fn emit(apis: &[Api]) -> String {
    let each = |row: &dyn Fn(&Api) -> String| apis.iter().map(row).collect::<String>();
    let count = apis.len();
    format!(
        "{MARK}//! Kafka's API keys.

        use std::ops::RangeInclusive;

        /// An API of Kafka's, by the names and numbers of its protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {{ {variants} }}

        impl ApiKey {{
            /// Every key, in ascending order.
            pub const ALL: [Self; {count}] = [ {all} ];

            /// The key with this number, if Kafka has one.
            pub const fn from_code(code: i16) -> Option<Self> {{
                Some(match code {{ {from_code} _ => return None, }})
            }}

            pub const fn code(self) -> i16 {{
                self as i16
            }}

            /// The name that Kafka's tools print.
            pub const fn name(self) -> &'static str {{
                match self {{ {names} }}
            }}

            /// The versions that this crate reads and writes: all of Kafka's stable ones, or `None` for what only
            /// KRaft controllers speak and for what is retired.
            pub const fn versions(self) -> Option<RangeInclusive<i16>> {{
                Some(match self {{ {versions} _ => return None, }})
            }}

            /// First version with compact lengths and tagged fields (KIP-482), where there is one.
            pub const fn flexible_from(self) -> Option<i16> {{
                Some(match self {{ {flexible} _ => return None, }})
            }}
        }}\n",
        variants = each(&|api| format!("{} = {},", api.name, api.key)),
        all = each(&|api| format!("Self::{},", api.name)),
        from_code = each(&|api| format!("{} => Self::{},", api.key, api.name)),
        names = each(&|api| format!("Self::{0} => \"{0}\",", api.name)),
        versions = each(&|api| match api.versions {
            none if none.is_empty() => String::new(),
            Versions { low, high } => format!("Self::{} => {low}..={high},", api.name),
        }),
        flexible = each(&|api| match api.flexible {
            none if none.is_empty() => String::new(),
            Versions { low, .. } => format!("Self::{} => {low},", api.name),
        }),
    )
}
