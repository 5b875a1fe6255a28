//! What can go wrong, in words for the one who has to act.

use ferrogate_model::{Explain, Fault, Retry};

/// Anything the database library said; kept opaque so that only this crate names it.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error("cannot open the database {location}")]
    Open {
        /// File or address, without a password.
        location: String,
        /// What the database or the system said.
        #[source]
        cause: Cause,
    },
    /// The tables cannot be brought to this version's shape.
    #[error("cannot bring the tables of the database {location} up to date")]
    Migrate {
        /// File or address, without a password.
        location: String,
        /// What the database said.
        #[source]
        cause: Cause,
    },
    /// The master key file cannot be read, made or trusted.
    #[error("the master key file {path} is not usable: {problem}")]
    KeyFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The database was sealed with another master key.
    #[error(
        "the database was sealed with master key {sealed_with}, and the key file holds {available}: it is the key of another plane"
    )]
    WrongKey {
        /// Id of the key that the row needs.
        sealed_with: String,
        /// Ids of the keys at hand.
        available: String,
    },
    /// A sealed value is not what we wrote there.
    #[error("the sealed value in {table}.{column} of row `{row}` was changed or moved since it was written")]
    Tampered {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key.
        row: String,
    },
    /// A stored value cannot be read as what it should be.
    #[error("{table}.{column} of row `{row}` does not hold what it should: {problem}")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// The row's key, where known.
        row: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The name or key is taken.
    #[error("{what} `{name}` exists already")]
    Conflict {
        /// The kind of thing, such as `cluster`.
        what: &'static str,
        /// The name asked for.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} `{id}`")]
    NotFound {
        /// The kind of thing, such as `cluster`.
        what: &'static str,
        /// What was asked for.
        id: String,
    },
    /// Somebody else changed it meanwhile.
    #[error("{what} `{id}` was changed by somebody else meanwhile: expected {expected}")]
    Changed {
        /// The kind of thing, such as `cluster`.
        what: &'static str,
        /// Which one.
        id: String,
        /// What the change was based on, such as `generation 3` or `state Running`.
        expected: String,
    },
    /// The states' rules do not allow the change.
    #[error("{what} `{id}` cannot become {to} while it is {from}")]
    NotAllowed {
        /// The kind of thing, such as `cluster`.
        what: &'static str,
        /// Which one.
        id: String,
        /// State it has.
        from: String,
        /// State asked for.
        to: String,
    },
    /// A place in a list that this list never gave out.
    #[error("`{cursor}` is not a place in this list")]
    BadCursor {
        /// The text as given, shortened.
        cursor: String,
    },
    /// Other work holds the database for too long.
    #[error("the database is busy")]
    Busy(#[source] Cause),
    /// The database failed in another way.
    #[error("the database failed")]
    Database(#[source] Cause),
}

impl Explain for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "database_not_opened",
            Self::Migrate { .. } => "database_not_migrated",
            Self::KeyFile { .. } => "master_key_unusable",
            Self::WrongKey { .. } => "master_key_wrong",
            Self::Tampered { .. } => "sealed_value_tampered",
            Self::Corrupt { .. } => "stored_value_corrupt",
            Self::Conflict { .. } => "name_taken",
            Self::NotFound { .. } => "not_found",
            Self::Changed { .. } => "changed_meanwhile",
            Self::NotAllowed { .. } => "state_not_allowed",
            Self::BadCursor { .. } => "bad_cursor",
            Self::Busy(_) => "database_busy",
            Self::Database(_) => "database_failed",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Conflict { .. }
            | Self::NotFound { .. }
            | Self::Changed { .. }
            | Self::NotAllowed { .. }
            | Self::BadCursor { .. } => Fault::Caller,
            Self::Open { .. }
            | Self::Migrate { .. }
            | Self::KeyFile { .. }
            | Self::WrongKey { .. }
            | Self::Tampered { .. }
            | Self::Corrupt { .. }
            | Self::Busy(_)
            | Self::Database(_) => Fault::Plane,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            Self::Changed { .. } | Self::Database(_) => Retry::AfterLooking,
            Self::Busy(_) => Retry::Later,
            Self::Open { .. }
            | Self::Migrate { .. }
            | Self::KeyFile { .. }
            | Self::WrongKey { .. }
            | Self::Tampered { .. }
            | Self::Corrupt { .. }
            | Self::Conflict { .. }
            | Self::NotFound { .. }
            | Self::NotAllowed { .. }
            | Self::BadCursor { .. } => Retry::No,
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Open { .. } => {
                "check that the path or address is right and that the plane may read and write it".into()
            }
            Self::Migrate { .. } => {
                "a database of a newer plane cannot be opened by an older one: start the newer one, or restore a backup"
                    .into()
            }
            Self::KeyFile { .. } => "restore the plane's own key file, mode 0600".into(),
            Self::WrongKey { .. } => "restore the key file that belongs to this database".into(),
            Self::Tampered { .. } => "restore the database from a backup, or enter the secret again".into(),
            Self::Corrupt { .. } => "restore the database from a backup and report this".into(),
            Self::Conflict { what, .. } => format!("choose another name for the {what}, or delete the existing one"),
            Self::Changed { .. } => "read it again and repeat the change if it is still wanted".into(),
            Self::BadCursor { .. } => "begin at the first page again".into(),
            Self::Busy(_) => "try again in a few seconds".into(),
            Self::NotFound { .. } | Self::NotAllowed { .. } | Self::Database(_) => return None,
        })
    }
}
