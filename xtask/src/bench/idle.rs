//! Rows about a broker that does nothing: how it starts, and what it holds then and after everything else.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    contestant::Contestant,
    figures::{self, Measured},
    measure,
};

const IDLE_TIME: Duration = Duration::from_secs(5);

/// Starts the broker and stops it again.
pub(super) fn start(broker: &mut Contestant) -> Result<Measured> {
    let took = broker.start()?;
    broker.rest()?;
    let (resident, _) = measure::resident(broker.pid()?)?;
    let mut measured = vec![(figures::START, took), (figures::IDLE_MEMORY, mebibytes(resident))];
    measured.extend(idling(broker)?);
    broker.stop()?;
    Ok(measured)
}

pub(super) fn memory(broker: &Contestant) -> Result<Measured> {
    let (now, most) = measure::resident(broker.pid()?)?;
    let mut measured = vec![(figures::LOADED_MEMORY, mebibytes(now)), (figures::MOST_MEMORY, mebibytes(most))];
    measured.extend(idling(broker)?);
    Ok(measured)
}

fn idling(broker: &Contestant) -> Result<Measured> {
    let pid = broker.pid()?;
    let (cpu, switches, from) = (measure::broker_cpu(pid)?, measure::switches(pid)?, Instant::now());
    while from.elapsed() < IDLE_TIME {
        std::thread::park_timeout(IDLE_TIME.saturating_sub(from.elapsed()));
    }
    let seconds = from.elapsed().as_secs_f64();
    let switched = (measure::switches(pid)?.saturating_sub(switches)) as f64;
    let cpu = measure::broker_cpu(pid)? - cpu;
    Ok(vec![(figures::WAKEUPS, switched / seconds), (figures::IDLE_CPU, 100.0 * cpu / seconds)])
}

pub(super) fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
