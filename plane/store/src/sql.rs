//! The same statement on either database: values in, rows out. The only file, with `database.rs`, that knows there are two.

use crate::{
    Store, StoreError, Tx,
    database::{Pools, TxInner},
    hash::SecretHash,
};
use ferrogate_model::{
    AccountId, ClusterId, EnrolmentId, EventId, GatewayId, Name, NodeId, OperationId, OrphanId, PairingCodeId,
    SessionId, SystemId, TenantId, Timestamp, TokenId, UserId,
    state::{ClusterState, GatewayHealth, GatewayState, MachineState, OperationState, Severity},
};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::{ColumnIndex, Decode, Postgres, Row as _, Sqlite, Type, postgres::PgRow, sqlite::SqliteRow};
use std::{fmt::Display, str::FromStr};

/// Where a statement runs: on its own, or as a step of a transaction. Functions take `impl Into<Db>`, so `&store` and
/// `&mut tx` are both good.
#[derive(Debug)]
pub enum Db<'a> {
    /// By itself.
    Store(&'a Store),
    /// As one step of several that happen together or not at all.
    Tx(&'a mut Tx),
}

impl<'a> From<&'a Store> for Db<'a> {
    fn from(store: &'a Store) -> Self {
        Self::Store(store)
    }
}

impl<'a> From<&'a mut Tx> for Db<'a> {
    fn from(tx: &'a mut Tx) -> Self {
        Self::Tx(tx)
    }
}

/// A statement's parameter.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(bool),
    Bytes(Option<Vec<u8>>),
}

/// The parameters of a statement, in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use args;

/// Binds the parameters and runs `$method` on whichever executor it is.
macro_rules! run {
    ($database:ty, $executor:expr, $sql:expr, $args:expr, $method:ident) => {{
        let mut query = sqlx::query::<$database>($sql);
        for value in $args {
            query = match value {
                Value::Text(text) => query.bind(text),
                Value::Int(int) => query.bind(int),
                Value::Bool(bool) => query.bind(bool),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        query.$method($executor).await.map_err(database_error)
    }};
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Read,
    Write,
}

impl Db<'_> {
    /// What reads only.
    pub(crate) async fn read(
        &mut self,
        table: &'static str,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(Access::Read, table, sql, args).await
    }

    /// What changes something and returns rows.
    pub(crate) async fn write(
        &mut self,
        table: &'static str,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows(Access::Write, table, sql, args).await
    }

    /// At most one row.
    pub(crate) async fn read_one<T>(
        &mut self,
        table: &'static str,
        sql: &'static str,
        args: Vec<Value>,
        from: impl FnOnce(&Row) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        self.read(table, sql, args).await?.first().map(from).transpose()
    }

    /// What changes something; returns how many rows it changed.
    pub(crate) async fn execute(&mut self, sql: &'static str, args: Vec<Value>) -> Result<u64, StoreError> {
        Ok(match self {
            Self::Store(store) => match &store.pools {
                Pools::Sqlite { writer, .. } => run!(Sqlite, writer, sql, args, execute)?.rows_affected(),
                Pools::Postgres(pool) => run!(Postgres, pool, sql, args, execute)?.rows_affected(),
            },
            Self::Tx(tx) => match &mut tx.inner {
                TxInner::Sqlite(tx) => run!(Sqlite, &mut **tx, sql, args, execute)?.rows_affected(),
                TxInner::Postgres(tx) => run!(Postgres, &mut **tx, sql, args, execute)?.rows_affected(),
            },
        })
    }

    async fn rows(
        &mut self,
        access: Access,
        table: &'static str,
        sql: &'static str,
        args: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let wrap_sqlite =
            |rows: Vec<SqliteRow>| rows.into_iter().map(|row| Row { table, inner: RowInner::Sqlite(row) });
        let wrap_postgres =
            |rows: Vec<PgRow>| rows.into_iter().map(|row| Row { table, inner: RowInner::Postgres(row) });
        Ok(match self {
            Self::Store(store) => match &store.pools {
                Pools::Sqlite { writer, readers } => {
                    let pool = if access == Access::Read { readers } else { writer };
                    wrap_sqlite(run!(Sqlite, pool, sql, args, fetch_all)?).collect()
                }
                Pools::Postgres(pool) => wrap_postgres(run!(Postgres, pool, sql, args, fetch_all)?).collect(),
            },
            Self::Tx(tx) => match &mut tx.inner {
                TxInner::Sqlite(tx) => wrap_sqlite(run!(Sqlite, &mut **tx, sql, args, fetch_all)?).collect(),
                TxInner::Postgres(tx) => wrap_postgres(run!(Postgres, &mut **tx, sql, args, fetch_all)?).collect(),
            },
        })
    }

    /// The keys that seal.
    pub(crate) fn key(&self) -> &crate::MasterKey {
        match self {
            Self::Store(store) => &store.key,
            Self::Tx(tx) => &tx.key,
        }
    }
}

/// Sorts what the library says into what a caller can do about it.
pub(crate) fn database_error(error: sqlx::Error) -> StoreError {
    let busy = match &error {
        sqlx::Error::PoolTimedOut => true,
        // PostgreSQL: serialization failure, deadlock, lock not available; SQLite: busy (primary code 5) and its kin.
        sqlx::Error::Database(database) => database
            .code()
            .is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01" | "55P03" | "5" | "261" | "517" | "773")),
        _ => false,
    };
    if busy { StoreError::Busy(Box::new(error)) } else { StoreError::Database(Box::new(error)) }
}

/// Turns a broken uniqueness into the error that names the thing.
pub(crate) trait OnConflict<T> {
    fn conflict(self, what: &'static str, name: impl Display) -> Result<T, StoreError>;
}

impl<T> OnConflict<T> for Result<T, StoreError> {
    fn conflict(self, what: &'static str, name: impl Display) -> Self {
        self.map_err(|error| {
            let unique = match &error {
                StoreError::Database(cause) => cause
                    .downcast_ref::<sqlx::Error>()
                    .and_then(sqlx::Error::as_database_error)
                    .is_some_and(|database| database.is_unique_violation()),
                _ => false,
            };
            if unique { StoreError::Conflict { what, name: name.to_string() } } else { error }
        })
    }
}

/// Turns "no row was changed" into the error that names the thing.
pub(crate) fn found(rows: u64, what: &'static str, id: impl Display) -> Result<(), StoreError> {
    if rows == 0 { Err(StoreError::NotFound { what, id: id.to_string() }) } else { Ok(()) }
}

/// A row of either database.
pub(crate) struct Row {
    table: &'static str,
    inner: RowInner,
}

enum RowInner {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

impl Row {
    fn get<'r, T>(&'r self, column: &'static str) -> Result<T, StoreError>
    where
        T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>,
        &'static str: ColumnIndex<SqliteRow> + ColumnIndex<PgRow>,
    {
        match &self.inner {
            RowInner::Sqlite(row) => row.try_get(column),
            RowInner::Postgres(row) => row.try_get(column),
        }
        .map_err(|error| self.corrupt(column, error))
    }

    fn corrupt(&self, column: &'static str, problem: impl Display) -> StoreError {
        let id = match &self.inner {
            RowInner::Sqlite(row) => row.try_get::<String, _>("id").ok(),
            RowInner::Postgres(row) => row.try_get::<String, _>("id").ok(),
        };
        let row = id.unwrap_or_else(|| "?".to_owned());
        StoreError::Corrupt { table: self.table, column, row, problem: problem.to_string() }
    }

    pub(crate) fn text(&self, column: &'static str) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(crate) fn opt_text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    pub(crate) fn int(&self, column: &'static str) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(crate) fn small(&self, column: &'static str) -> Result<u32, StoreError> {
        u32::try_from(self.int(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn bool(&self, column: &'static str) -> Result<bool, StoreError> {
        self.get(column)
    }

    pub(crate) fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        self.get(column)
    }

    pub(crate) fn opt_bytes(&self, column: &'static str) -> Result<Option<Vec<u8>>, StoreError> {
        self.get(column)
    }

    pub(crate) fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Timestamp::from_millisecond(self.int(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn opt_time(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        let int: Option<i64> = self.get(column)?;
        int.map(Timestamp::from_millisecond).transpose().map_err(|error| self.corrupt(column, error))
    }

    /// An id, a name or a state, from its text form.
    pub(crate) fn parse<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn opt_parse<T: FromStr<Err: Display>>(&self, column: &'static str) -> Result<Option<T>, StoreError> {
        self.opt_text(column)?.map(|text| text.parse()).transpose().map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|error| self.corrupt(column, error))
    }

    pub(crate) fn hash(&self, column: &'static str) -> Result<SecretHash, StoreError> {
        Ok(SecretHash::from_stored(self.text(column)?))
    }
}

/// A value as JSON text.
pub(crate) fn json(value: &impl Serialize) -> Value {
    Value::Text(Some(serde_json::to_string(value).expect("records serialise: their maps have text keys")))
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Some(text.to_owned()))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Some(text))
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(Some(text.clone()))
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        Self::Text(text)
    }
}

impl From<&Option<String>> for Value {
    fn from(text: &Option<String>) -> Self {
        Self::Text(text.clone())
    }
}

impl From<i64> for Value {
    fn from(int: i64) -> Self {
        Self::Int(Some(int))
    }
}

impl From<Option<i64>> for Value {
    fn from(int: Option<i64>) -> Self {
        Self::Int(int)
    }
}

impl From<u32> for Value {
    fn from(int: u32) -> Self {
        Self::Int(Some(int.into()))
    }
}

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Some(bytes))
    }
}

impl From<Option<Vec<u8>>> for Value {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<Timestamp> for Value {
    fn from(time: Timestamp) -> Self {
        Self::Int(Some(time.as_millisecond()))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(time: Option<Timestamp>) -> Self {
        Self::Int(time.map(Timestamp::as_millisecond))
    }
}

impl From<&SecretHash> for Value {
    fn from(hash: &SecretHash) -> Self {
        hash.as_str().into()
    }
}

macro_rules! texts {
    ($($type:ty),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::Text(Some(value.to_string()))
            }
        }

        impl From<&$type> for Value {
            fn from(value: &$type) -> Self {
                Self::Text(Some(value.to_string()))
            }
        }

        impl From<Option<$type>> for Value {
            fn from(value: Option<$type>) -> Self {
                Self::Text(value.map(|value| value.to_string()))
            }
        }
    )*};
}

texts! {
    AccountId, ClusterId, EnrolmentId, EventId, GatewayId, NodeId, OperationId, OrphanId, PairingCodeId, SessionId, TenantId, TokenId,
    UserId, SystemId, Name, ClusterState, GatewayHealth, GatewayState, MachineState, OperationState, Severity,
}
