//! Opening either database, and transactions.

use crate::{
    MasterKey, StoreError, migrate, settings,
    sql::{Db, args, database_error},
};
use secrecy::{ExposeSecret, SecretString};
use sqlx::{
    Connection, PgConnection, Postgres, Sqlite, Transaction,
    postgres::{PgConnectOptions, PgPool, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};
use std::{
    fmt,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// How long a statement waits for a connection before it gives up as busy.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the first connection to PostgreSQL may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long SQLite waits for another process, such as a backup, to let go of the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections that read while one writes (SQLite).
const SQLITE_READERS: u32 = 4;
/// Connections to PostgreSQL of one replica.
const POSTGRES_CONNECTIONS: u32 = 16;
/// Setting whose only purpose is to tell a wrong master key at start.
const KEY_CHECK: &str = "master-key-check";

/// The plane's memory. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(crate) pools: Pools,
    pub(crate) key: Arc<MasterKey>,
}

#[derive(Clone)]
pub(crate) enum Pools {
    /// One connection writes, so a write never meets another halfway; the others read what was last committed.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// Several steps that happen together or not at all. Dropped without [`Tx::commit`], nothing has happened.
///
/// SQLite has one writer: whoever holds a transaction must not write through the [`Store`] until it is over.
pub struct Tx {
    pub(crate) inner: TxInner,
    pub(crate) key: Arc<MasterKey>,
}

pub(crate) enum TxInner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

impl Store {
    /// Opens the database, makes it where there is none (SQLite, mode 0600), and brings its tables up to date.
    ///
    /// `location` is `postgres://…`, `sqlite:PATH`, or a path.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Migrate`], or [`StoreError::WrongKey`] when the database belongs to another key.
    pub async fn open(location: &SecretString, key: MasterKey) -> Result<Self, StoreError> {
        let text = location.expose_secret();
        let pools = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            open_postgres(text).await?
        } else {
            let path = text.strip_prefix("sqlite:").map_or(text, |rest| rest.strip_prefix("//").unwrap_or(rest));
            open_sqlite(Path::new(path)).await?
        };
        let store = Self { pools, key: Arc::new(key) };
        store.check_key().await?;
        Ok(store)
    }

    /// Opens a SQLite file; as [`Self::open`] does.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_file(path: &Path, key: MasterKey) -> Result<Self, StoreError> {
        let store = Self { pools: open_sqlite(path).await?, key: Arc::new(key) };
        store.check_key().await?;
        Ok(store)
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when no connection became free in time.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        let inner = match &self.pools {
            // IMMEDIATE takes the write lock at once, so that a later step cannot fail because another process wrote first.
            Pools::Sqlite { writer, .. } => {
                TxInner::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await.map_err(database_error)?)
            }
            Pools::Postgres(pool) => TxInner::Postgres(pool.begin().await.map_err(database_error)?),
        };
        Ok(Tx { inner, key: Arc::clone(&self.key) })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// What the database said.
    pub async fn ping(&self) -> Result<(), StoreError> {
        Db::from(self).read("counters", "SELECT value FROM counters WHERE name = $1", args!["events"]).await.map(|_| ())
    }

    /// Closes every connection; what runs is waited for.
    pub async fn close(&self) {
        match &self.pools {
            Pools::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Pools::Postgres(pool) => pool.close().await,
        }
    }

    async fn check_key(&self) -> Result<(), StoreError> {
        if settings::get(self, KEY_CHECK).await?.is_none() {
            settings::set_if_absent(self, KEY_CHECK, &SecretString::from("ferrogate")).await?;
        }
        Ok(())
    }
}

impl Tx {
    /// Makes all steps happen.
    ///
    /// # Errors
    /// What the database said; then none of the steps happened, unless the connection was lost on the answer.
    pub async fn commit(self) -> Result<(), StoreError> {
        match self.inner {
            TxInner::Sqlite(tx) => tx.commit().await,
            TxInner::Postgres(tx) => tx.commit().await,
        }
        .map_err(database_error)
    }

    /// Undoes all steps.
    ///
    /// # Errors
    /// What the database said; the steps are undone all the same.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self.inner {
            TxInner::Sqlite(tx) => tx.rollback().await,
            TxInner::Postgres(tx) => tx.rollback().await,
        }
        .map_err(database_error)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.pools {
            Pools::Sqlite { .. } => "Store(SQLite)",
            Pools::Postgres(_) => "Store(PostgreSQL)",
        })
    }
}

impl fmt::Debug for Tx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.inner {
            TxInner::Sqlite(_) => "Tx(SQLite)",
            TxInner::Postgres(_) => "Tx(PostgreSQL)",
        })
    }
}

async fn open_sqlite(path: &Path) -> Result<Pools, StoreError> {
    let location = path.display().to_string();
    let open = |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Open { location: location.clone(), cause };
    make_private(path.to_owned()).map_err(|error| open(Box::new(error)))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode this loses at most the last commits on a power cut, never the database; FULL loses none.
        .synchronous(SqliteSynchronous::Full)
        .optimize_on_close(true, None);
    let pool = || {
        SqlitePoolOptions::new()
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
    };
    let writer = pool()
        .max_connections(1)
        .min_connections(1)
        .connect_with(options.clone())
        .await
        .map_err(|error| open(Box::new(error)))?;
    migrate::sqlite()
        .run(&writer)
        .await
        .map_err(|error| StoreError::Migrate { location: location.clone(), cause: Box::new(error) })?;
    let readers = pool()
        .max_connections(SQLITE_READERS)
        .connect_with(options.pragma("query_only", "ON"))
        .await
        .map_err(|error| open(Box::new(error)))?;
    Ok(Pools::Sqlite { writer, readers })
}

/// The file holds password hashes and sealed secrets: only its owner may read it. SQLite gives its side files the same mode.
fn make_private(path: PathBuf) -> std::io::Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

async fn open_postgres(url: &str) -> Result<Pools, StoreError> {
    let wrong = |cause: sqlx::Error| StoreError::Open { location: "postgres://…".to_owned(), cause: Box::new(cause) };
    let options = PgConnectOptions::from_str(url).map_err(wrong)?.application_name("ferrogate");
    let location = format!(
        "postgres://{}:{}/{}",
        options.get_host(),
        options.get_port(),
        options.get_database().unwrap_or_default()
    );
    let open = |cause: Box<dyn std::error::Error + Send + Sync>| StoreError::Open { location: location.clone(), cause };
    // The pool would retry a refused connection until its deadline; whoever starts a plane wants to know at once.
    let first = PgConnection::connect_with(&options);
    let first = tokio::time::timeout(CONNECT_TIMEOUT, first).await.map_err(|late| open(Box::new(late)))?;
    first.map_err(|error| open(Box::new(error)))?.close().await.map_err(|error| open(Box::new(error)))?;
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(options)
        .await
        .map_err(|error| open(Box::new(error)))?;
    migrate::postgres().run(&pool).await.map_err(|error| StoreError::Migrate { location, cause: Box::new(error) })?;
    Ok(Pools::Postgres(pool))
}
