//! Answers that several callers share: whoever comes second waits for the first one's, and tries itself where that failed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::OnceCell;

/// An answer, once there is one.
pub(crate) type Cell<V> = Arc<OnceCell<V>>;

/// The newest answers by question, up to a number of them.
#[derive(Debug)]
pub(crate) struct Shared<K, V> {
    recent: Mutex<VecDeque<(K, Cell<V>)>>,
    most: usize,
}

impl<K: PartialEq, V> Shared<K, V> {
    pub(crate) const fn new(most: usize) -> Self {
        Self { recent: Mutex::new(VecDeque::new()), most }
    }

    /// Forgets all answers.
    pub(crate) fn clear(&self) {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The cell of a question.
    pub(crate) fn cell(&self, key: K) -> Cell<V> {
        self.cell_like(key, |known, key| known == key)
    }

    /// The cell of a question, or of one before whose answer serves as well.
    pub(crate) fn cell_like(&self, key: K, serves: impl Fn(&K, &K) -> bool) -> Cell<V> {
        // A panicked holder leaves at worst a cell that is not filled yet.
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, cell)) = recent.iter().find(|(known, _)| serves(known, &key)) {
            return Arc::clone(cell);
        }
        if recent.len() >= self.most {
            recent.pop_front();
        }
        let cell = Cell::default();
        recent.push_back((key, Arc::clone(&cell)));
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_shared_and_a_failure_is_not() {
        let shared = Shared::<u8, u8>::new(2);
        assert_eq!(shared.cell(1).get_or_try_init(|| async { Err(()) }).await, Err(()));
        assert_eq!(shared.cell(1).get_or_try_init(|| async { Ok::<_, ()>(7) }).await, Ok(&7));
        assert_eq!(shared.cell(1).get_or_try_init(|| async { Ok::<_, ()>(8) }).await, Ok(&7));
        assert_eq!(shared.cell_like(2, |known, key| known + 1 == *key).get(), Some(&7));
        // The oldest makes room.
        (5..=6).for_each(|key| drop(shared.cell(key)));
        assert_eq!(shared.cell(1).get(), None);
    }
}
