//! Lists, a page at a time. A page begins after a key, never at a number of rows, so that rows that come and go in between
//! are neither skipped nor shown twice.

use crate::{StoreError, sql::Row};

/// Which part of a list is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The place the previous page ended ([`List::next`]); `None` begins at the start.
    pub after: Option<String>,
    /// How many items at most; 1 to [`Page::MAX`].
    pub limit: u32,
}

impl Page {
    /// Most items a page may have.
    pub const MAX: u32 = 500;

    /// The first page, at most `limit` items.
    #[must_use]
    pub const fn first(limit: u32) -> Self {
        Self { after: None, limit }
    }

    /// How many rows to ask the database for: one more than wanted tells whether there is a next page.
    pub(crate) fn rows(&self) -> i64 {
        i64::from(self.limit.clamp(1, Self::MAX)) + 1
    }

    /// The cursor of a list that is ordered by a sequence number.
    pub(crate) fn after_number(&self) -> Result<Option<i64>, StoreError> {
        let Some(text) = &self.after else { return Ok(None) };
        text.parse().map(Some).map_err(|_| StoreError::BadCursor { cursor: text.chars().take(80).collect() })
    }

    /// The page that the database's `rows` are, [`Self::rows`] of them at most; `key` tells where an item is in the list.
    pub(crate) fn list<T>(
        &self,
        rows: &[Row],
        read: impl FnMut(&Row) -> Result<T, StoreError>,
        key: impl Fn(&T) -> String,
    ) -> Result<List<T>, StoreError> {
        let mut items = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let limit = self.limit.clamp(1, Self::MAX) as usize;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = more.then(|| items.last().map(&key)).flatten();
        Ok(List { items, next })
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::first(100)
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// Where the next page begins ([`Page::after`]); `None` at the end.
    pub next: Option<String>,
}
