//! Connections and tokens: made when they are needed, and made anew once they may be why something failed.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

/// Keeps one thing for all callers, as long as it works.
#[derive(Debug)]
pub(super) struct Renewable<T>(Mutex<Option<Arc<T>>>);

/// The thing, for one attempt. It is let go of for all callers unless the attempt says that it worked, thus also where the
/// attempt was dropped while it waited: what fell silent may stay so.
#[derive(Debug)]
pub(super) struct Lease<'a, T> {
    from: &'a Renewable<T>,
    held: Arc<T>,
    is_new: bool,
    worked: bool,
}

impl<T> Renewable<T> {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// What there is, or what `make` makes, which nobody waits for.
    pub(super) fn lease<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<Lease<'_, T>, E> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = kept.is_none();
        let held = match &*kept {
            Some(held) => Arc::clone(held),
            None => Arc::clone(kept.insert(Arc::new(make()?))),
        };
        Ok(Lease { from: self, held, is_new, worked: false })
    }

    /// Lets go of it, unless somebody else brought another one meanwhile.
    pub(super) fn discard(&self, held: &Arc<T>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, held)) {
            *kept = None;
        }
    }
}

impl<T> Lease<'_, T> {
    /// Whether it was made for this attempt.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// Leaves it to others as well.
    pub(super) fn worked(mut self) -> Arc<T> {
        self.worked = true;
        Arc::clone(&self.held)
    }
}

impl<T> Deref for Lease<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held
    }
}

impl<T> Drop for Lease<'_, T> {
    fn drop(&mut self) {
        if !self.worked {
            self.from.discard(&self.held);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(from: &Renewable<u32>, value: u32) -> Lease<'_, u32> {
        from.lease(|| Ok::<_, ()>(value)).unwrap()
    }

    #[test]
    fn what_worked_is_kept_and_the_rest_is_made_anew() {
        let renewable = Renewable::new();
        let first = lease(&renewable, 1);
        assert_eq!((*first, first.is_new()), (1, true));
        first.worked();
        let again = lease(&renewable, 2);
        assert_eq!((*again, again.is_new()), (1, false));
        drop(again);
        assert_eq!(*lease(&renewable, 3), 3);
    }

    #[test]
    fn a_late_failure_does_not_take_its_successor_away() {
        let renewable = Renewable::new();
        let (one, late) = (lease(&renewable, 1), lease(&renewable, 2));
        drop(one);
        lease(&renewable, 3).worked();
        drop(late);
        assert_eq!(*lease(&renewable, 4), 3);
    }

    #[test]
    fn what_cannot_be_made_is_tried_again() {
        let renewable = Renewable::<u32>::new();
        assert_eq!(renewable.lease(|| Err("no")).unwrap_err(), "no");
        assert_eq!(*lease(&renewable, 1), 1);
    }
}
