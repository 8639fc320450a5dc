//! Addresses of pods: on Linux each has its own out of a /16 of 127.0.0.0/8, all of which reach this machine, so that the
//! same port in two pods does not collide. Elsewhere only 127.0.0.1 exists.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use crate::object::{self, text};

/// Addresses in the range of pods.
const ADDRESSES: u32 = 1 << 16;

/// Which pod has which address. Owned by the runner's task.
#[derive(Debug)]
pub(super) struct Addresses {
    network: Ipv4Addr,
    by_uid: HashMap<String, Ipv4Addr>,
    /// Offset of the address given out last: a freed one is not reused at once, while clients still hold it.
    last: u32,
}

impl Addresses {
    pub(super) fn new(network: Ipv4Addr) -> Self {
        Self { network, by_uid: HashMap::new(), last: 0 }
    }

    /// The address of `pod`: the one it had, if that is free.
    pub(super) fn assign(&mut self, pod: &Value) -> Ipv4Addr {
        if cfg!(not(target_os = "linux")) || pod.pointer("/spec/hostNetwork") == Some(&Value::Bool(true)) {
            return Ipv4Addr::LOCALHOST;
        }
        let uid = object::uid(pod);
        if let Some(address) = self.by_uid.get(uid) {
            return *address;
        }
        let had = text(pod, "/status/podIP")
            .parse()
            .ok()
            .filter(|address| self.is_inside(*address) && !self.is_taken(*address));
        let address = had.unwrap_or_else(|| self.next());
        self.by_uid.insert(uid.to_owned(), address);
        address
    }

    /// The pod is gone.
    pub(super) fn release(&mut self, uid: &str) {
        self.by_uid.remove(uid);
    }

    fn is_inside(&self, address: Ipv4Addr) -> bool {
        (u32::from(self.network) + 1..u32::from(self.network) + ADDRESSES - 1).contains(&u32::from(address))
    }

    fn is_taken(&self, address: Ipv4Addr) -> bool {
        self.by_uid.values().any(|taken| *taken == address)
    }

    fn next(&mut self) -> Ipv4Addr {
        for _ in 0..ADDRESSES {
            self.last = self.last % (ADDRESSES - 2) + 1;
            let address = Ipv4Addr::from(u32::from(self.network) + self.last);
            if !self.is_taken(address) {
                return address;
            }
        }
        // 65,534 pods on one machine: sharing is the least of their troubles.
        Ipv4Addr::LOCALHOST
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn pods_keep_their_addresses_and_do_not_share_them() {
        let mut addresses = Addresses::new(Ipv4Addr::new(127, 97, 0, 0));
        let pod = |uid: &str, ip: &str| json!({ "metadata": { "uid": uid }, "status": { "podIP": ip } });
        let first = addresses.assign(&pod("a", ""));
        assert_eq!(first, Ipv4Addr::new(127, 97, 0, 1));
        assert_eq!(addresses.assign(&pod("a", "")), first);
        assert_eq!(addresses.assign(&pod("b", "127.97.0.9")), Ipv4Addr::new(127, 97, 0, 9));
        assert_ne!(addresses.assign(&pod("c", "127.97.0.9")), Ipv4Addr::new(127, 97, 0, 9));
        assert_eq!(addresses.assign(&pod("d", "10.0.0.1")).octets()[..2], [127, 97]);
        addresses.release("a");
        assert_ne!(addresses.assign(&pod("e", "")), first, "a freed address rests");
        let on_host = json!({ "metadata": { "uid": "f" }, "spec": { "hostNetwork": true } });
        assert_eq!(addresses.assign(&on_host), Ipv4Addr::LOCALHOST);
    }
}
