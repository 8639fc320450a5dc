//! Which addresses of 127.0.0.0/8 are this platform's: a pair of /16 networks that no other platform of the machine uses,
//! whoever started it. A claim is a bound socket that nobody speaks to, so the kernel ends it with the process, however
//! that ends. Where 127.0.0.1 is the only loopback address there is nothing to claim.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};

/// Pairs of networks: 127.64 and 127.65 to 127.252 and 127.253.
const PAIRS: u8 = 95;
/// Second byte of the first pair; below are the addresses that people use by hand.
const FIRST: u8 = 64;
/// The port of the claim, at the last address of the pods' network, which no pod gets.
const PORT: u16 = 64_127;

/// Two networks, this platform's own as long as the value lives.
#[derive(Debug)]
pub(crate) struct Claim {
    /// First address of the /16 of Services.
    pub(crate) services: Ipv4Addr,
    /// First address of the /16 of pods.
    pub(crate) pods: Ipv4Addr,
    _held: Option<UdpSocket>,
}

impl Claim {
    /// Takes the pair that `preferred` (any number) stands for, or the next one that is free.
    pub(crate) fn take(preferred: u64) -> Self {
        let preferred = u8::try_from(preferred % u64::from(PAIRS)).unwrap_or(0);
        for offset in 0..PAIRS {
            let claim = Self::of((preferred + offset) % PAIRS);
            let [first, second, ..] = claim.pods.octets();
            match UdpSocket::bind((Ipv4Addr::new(first, second, 255, 255), PORT)) {
                Ok(held) => return Self { _held: Some(held), ..claim },
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(_) => break,
            }
        }
        // No such addresses, or 95 platforms: sharing is then all there is.
        Self::of(preferred)
    }

    fn of(pair: u8) -> Self {
        let network = |second: u8| Ipv4Addr::new(127, second, 0, 0);
        Self { services: network(FIRST + 2 * pair), pods: network(FIRST + 2 * pair + 1), _held: None }
    }
}

/// Whether a platform may have given this address to one of its Services.
pub(crate) fn is_ours_or_anothers(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 127 && (FIRST..FIRST + 2 * PAIRS).contains(&second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn who_comes_second_gets_other_networks_and_who_has_gone_leaves_them() {
        // Not the pairs that tests which start platforms begin with.
        let first = Claim::take(94);
        let second = Claim::take(94);
        assert_ne!((first.services, first.pods), (second.services, second.pods));
        assert!(second._held.is_some());
        let services = first.services;
        drop(first);
        assert_eq!(Claim::take(94 + u64::from(PAIRS)).services, services);
    }

    #[test]
    fn every_pair_lies_in_the_range_of_platforms() {
        for pair in 0..PAIRS {
            let claim = Claim::of(pair);
            assert!(is_ours_or_anothers(claim.services) && is_ours_or_anothers(claim.pods));
        }
        assert!(!is_ours_or_anothers(Ipv4Addr::LOCALHOST));
    }
}
