//! The store that an endpoint answers from: that of its own process, or what a run has written to Redis.

use std::sync::Arc;

use super::redis::{FetchError, RemoteStore};
use super::{LookupTable, Online, RequestLookups, StoreTimes, Taps};

/// An online store.
#[derive(Debug)]
pub enum OnlineStore {
    InProcess(Arc<Online>),
    Remote(RemoteStore),
}

impl From<Arc<Online>> for OnlineStore {
    fn from(online: Arc<Online>) -> Self {
        OnlineStore::InProcess(online)
    }
}

impl OnlineStore {
    /// Returns the vectors of a feature group.
    pub fn group(&self, name: &str) -> Option<LookupTable> {
        match self {
            OnlineStore::InProcess(online) => online.group(name).cloned().map(LookupTable::InProcess),
            OnlineStore::Remote(remote) => remote.table(name).cloned(),
        }
    }

    /// Returns the rows of a table.
    pub fn table(&self, name: &str) -> Option<LookupTable> {
        match self {
            OnlineStore::InProcess(online) => online.table(name).cloned().map(LookupTable::InProcess),
            OnlineStore::Remote(remote) => remote.table(name).cloned(),
        }
    }

    /// Returns the times now, as far as they are known.
    pub fn times(&self) -> StoreTimes {
        match self {
            OnlineStore::InProcess(online) => online.times(),
            OnlineStore::Remote(remote) => remote.times(),
        }
    }

    /// Returns the times that the answer to a request is as of, to be taken before anything is looked up.
    pub fn times_for(&self, lookups: &RequestLookups) -> StoreTimes {
        match self {
            OnlineStore::InProcess(online) => online.times(),
            OnlineStore::Remote(remote) => lookups.times(remote.times()),
        }
    }

    /// Fetches what a request lacks.
    ///
    /// # Errors
    /// If it cannot be fetched.
    pub async fn fetch(&self, lookups: &RequestLookups) -> Result<(), FetchError> {
        match self {
            OnlineStore::InProcess(_) => Ok(()),
            OnlineStore::Remote(remote) => remote.fetch(lookups).await,
        }
    }

    /// Returns the taps of the streams from which the store is filled; `None` if it is filled elsewhere.
    pub fn taps(&self) -> Option<&Taps> {
        match self {
            OnlineStore::InProcess(online) => online.taps(),
            OnlineStore::Remote(_) => None,
        }
    }
}
