//! Trying again: operations repeat while their error is one that time may mend, until `api_timeout`.

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Cluster;
use crate::Error;
use crate::backoff::backoff;

impl Cluster {
    /// Repeats `attempt` until it succeeds, fails for good, or the time is up. (Boxed futures, because those of async
    /// closures cannot be shown to be `Send`, and callers spawn these operations.)
    pub(crate) async fn retry<'a, T>(
        &self,
        what: &str,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, Error>>,
    ) -> Result<T, Error> {
        let timeout = self.settings.api_timeout;
        let deadline = Instant::now() + timeout;
        let mut failures = 0;
        loop {
            let error = match tokio::time::timeout_at(deadline, attempt()).await {
                Ok(Err(error)) if error.is_retriable() => error,
                Ok(result) => return result,
                Err(_) => return Err(Error::Timeout { what: what.to_owned(), after: timeout }),
            };
            failures += 1;
            self.pause(failures, deadline, what, error).await?;
        }
    }

    /// Waits before the next attempt; errors when that would be after the deadline.
    pub(crate) async fn pause(&self, failures: u32, deadline: Instant, what: &str, error: Error) -> Result<(), Error> {
        let wait = backoff(self.settings.retry_backoff, self.settings.retry_backoff_max, failures, failures.into());
        if Instant::now() + wait >= deadline {
            // A broker's own word tells more than that the time was up.
            let timeout = || Error::Timeout { what: format!("{what} ({error})"), after: self.settings.api_timeout };
            return Err(if error.code().is_some() { error } else { timeout() });
        }
        tracing::debug!("{what}: {error}; trying again in {} ms", wait.as_millis());
        tokio::time::sleep(wait).await;
        Ok(())
    }
}
