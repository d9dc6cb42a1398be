use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// A value that is made when it is first needed, by one caller while the others wait, and made anew once it is of no use.
#[derive(Debug)]
pub(crate) struct Renewed<T> {
    current: Mutex<Arc<OnceCell<T>>>,
}

impl<T: Clone> Renewed<T> {
    pub(crate) fn new() -> Self {
        Self { current: Mutex::default() }
    }

    pub(crate) async fn get<E>(
        &self,
        usable: impl Fn(&T) -> bool,
        make: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.discard(|value| !usable(value));
        let cell = self.cell();
        cell.get_or_try_init(|| make).await.cloned()
    }

    pub(crate) fn peek(&self) -> Option<T> {
        self.cell().get().cloned()
    }

    pub(crate) fn discard(&self, which: impl Fn(&T) -> bool) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.get().is_some_and(which) {
            *current = Arc::default();
        }
    }

    fn cell(&self) -> Arc<OnceCell<T>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn callers_at_once_share_one_value_until_it_is_of_no_use() {
        let made = AtomicU32::new(0);
        let renewed = Renewed::new();
        let get = |worst: u32| {
            let make = async {
                tokio::task::yield_now().await;
                Ok::<_, ()>(made.fetch_add(1, Ordering::SeqCst) + 1)
            };
            renewed.get(move |value| *value > worst, make)
        };
        assert_eq!(tokio::join!(get(0), get(0)), (Ok(1), Ok(1)));
        assert_eq!(get(0).await, Ok(1), "still good");
        assert_eq!(get(1).await, Ok(2), "the first is of no use any more");
        assert_eq!(renewed.peek(), Some(2));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let renewed = Renewed::new();
        assert_eq!(renewed.get(|_| true, async { Err("down") }).await, Err::<u32, _>("down"));
        assert_eq!(renewed.get(|_| true, async { Ok::<_, ()>(5) }).await, Ok(5));
    }
}
