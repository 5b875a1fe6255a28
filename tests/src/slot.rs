//! One heavy thing at a time: this computer has few CPUs, and two sites that boot at once are both late. Whoever waits
//! with the smaller number comes first, so that what was begun is ended before more is begun.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::oneshot;

/// The one slot.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slot(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    taken: bool,
    number: u64,
    waiting: BTreeMap<(usize, u64), oneshot::Sender<SlotGuard>>,
}

/// Has the slot until it is dropped.
#[derive(Debug)]
pub(crate) struct SlotGuard(Slot);

impl Slot {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the slot.
    pub(crate) async fn take(&self, rank: usize) -> SlotGuard {
        let guard = {
            let mut state = self.state();
            if !state.taken {
                state.taken = true;
                return SlotGuard(self.clone());
            }
            state.number += 1;
            let (sender, guard) = oneshot::channel();
            let key = (rank, state.number);
            state.waiting.insert(key, sender);
            guard
        };
        match guard.await {
            Ok(guard) => guard,
            // The sender is dropped only with the slot itself, which this call holds.
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for SlotGuard {
    fn drop(&mut self) {
        let next = {
            let mut state = self.0.state();
            let next = state.waiting.pop_first();
            state.taken = next.is_some();
            next
        };
        if let Some((_, sender)) = next {
            // Whoever gave up waiting hands the slot on: it is dropped here, outside the lock.
            drop(sender.send(SlotGuard(self.0.clone())));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::{FutureExt, poll};
    use std::pin::pin;

    #[tokio::test]
    async fn the_smaller_number_comes_first() {
        let slot = Slot::default();
        let first = slot.take(1).await;
        let (mut third, mut second) = (pin!(slot.take(3)), pin!(slot.take(2)));
        assert!(poll!(&mut third).is_pending() && poll!(&mut second).is_pending());
        drop(first);
        let guard = second.now_or_never().expect("the second has the slot");
        assert!(poll!(&mut third).is_pending());
        drop(guard);
        assert!(third.now_or_never().is_some());
    }

    #[tokio::test]
    async fn whoever_gives_up_waiting_does_not_keep_the_slot() {
        let slot = Slot::default();
        let first = slot.take(1).await;
        {
            let mut gone = pin!(slot.take(2));
            assert!(poll!(&mut gone).is_pending());
        }
        drop(first);
        assert!(slot.take(3).now_or_never().is_some());
    }
}
