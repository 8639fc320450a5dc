//! Names that clients and the coordinator give: groups, members, instances. Cheap to clone, because timers, appends
//! and indexes each hold them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as it travels.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// Whether the client left it out.
            pub fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                Self(name.into())
            }
        }

        impl From<String> for $name {
            fn from(name: String) -> Self {
                Self(name.into())
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name! {
    /// `group.id`.
    GroupId
}

name! {
    /// What the coordinator calls a member: client id or instance id, a hyphen, a uuid. Empty where a client has none yet.
    MemberId
}

name! {
    /// `group.instance.id`: the name that a static member keeps over restarts (KIP-345).
    InstanceId
}
