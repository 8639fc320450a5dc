//! Which connection serves which partitions. Called by the loads once they know the leaders.

use crate::error::BenchError;

/// What one connection does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The leader of all these partitions, `host:port`.
    pub(crate) address: String,
    pub(crate) partitions: Vec<i32>,
}

/// Deals partitions, given with their leaders' addresses, to connections. Each connection talks to one leader; with fewer
/// partitions than connections, several connections share one.
pub(crate) fn assign(leaders: &[(i32, String)], connections: usize) -> Result<Vec<Assignment>, BenchError> {
    let mut addresses: Vec<&String> = leaders.iter().map(|(_, address)| address).collect();
    addresses.sort();
    addresses.dedup();
    if connections < addresses.len() {
        let (leaders, least) = (addresses.len(), addresses.len());
        let words = format!("the partitions have {leaders} leaders: this takes at least {least} connections");
        return Err(BenchError::Impossible(words));
    }
    let mut assignments = Vec::with_capacity(connections);
    for number in 0..connections {
        let address = addresses[number % addresses.len()];
        let led: Vec<i32> =
            leaders.iter().filter(|(_, leader)| leader == address).map(|(partition, _)| *partition).collect();
        // This is the `rank`-th of the `share` connections to this leader.
        let rank = number / addresses.len();
        let share = (connections - number % addresses.len()).div_ceil(addresses.len());
        let partitions = if led.len() <= share {
            vec![led[rank % led.len()]]
        } else {
            led.into_iter().skip(rank).step_by(share).collect()
        };
        assignments.push(Assignment { address: address.clone(), partitions });
    }
    Ok(assignments)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dealt(leaders: &[&str], connections: usize) -> Vec<(String, Vec<i32>)> {
        let leaders: Vec<(i32, String)> = (0..).zip(leaders.iter().map(|&leader| leader.to_owned())).collect();
        let assigned = assign(&leaders, connections).unwrap();
        assigned.into_iter().map(|one| (one.address, one.partitions)).collect()
    }

    fn on(address: &str, partitions: &[i32]) -> (String, Vec<i32>) {
        (address.to_owned(), partitions.to_vec())
    }

    #[test]
    fn partitions_are_dealt_in_turn() {
        assert_eq!(dealt(&["a"; 5], 2), [on("a", &[0, 2, 4]), on("a", &[1, 3])]);
        assert_eq!(dealt(&["a"; 3], 1), [on("a", &[0, 1, 2])]);
    }

    #[test]
    fn connections_share_partitions_when_there_are_more_of_them() {
        assert_eq!(dealt(&["a"], 3), [on("a", &[0]), on("a", &[0]), on("a", &[0])]);
        assert_eq!(dealt(&["a"; 2], 3), [on("a", &[0]), on("a", &[1]), on("a", &[0])]);
    }

    #[test]
    fn each_connection_talks_to_one_leader() {
        let three = dealt(&["a", "b", "a", "b"], 3);
        assert_eq!(three, [on("a", &[0]), on("b", &[1, 3]), on("a", &[2])]);
        let error = assign(&[(0, "a".into()), (1, "b".into())], 1).unwrap_err();
        assert!(error.to_string().contains("at least 2 connections"));
    }
}
