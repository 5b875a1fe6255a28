//! The tables' history: the same numbers for both databases, forward only.

use sqlx::{
    SqlSafeStr,
    migrate::{Migration, MigrationType, Migrator},
};

/// Number, title, SQLite's text, PostgreSQL's text.
const MIGRATIONS: &[(i64, &str, &str, &str)] = &[(
    1,
    "initial",
    include_str!("../migrations/sqlite/0001_initial.sql"),
    include_str!("../migrations/postgres/0001_initial.sql"),
)];

pub(crate) fn sqlite() -> Migrator {
    migrator(|(_, _, sqlite, _)| sqlite)
}

pub(crate) fn postgres() -> Migrator {
    migrator(|(_, _, _, postgres)| postgres)
}

fn migrator(text: impl Fn(&'static (i64, &'static str, &'static str, &'static str)) -> &'static str) -> Migrator {
    let migrations = MIGRATIONS.iter().map(|migration| {
        let sql = text(migration).into_sql_str();
        Migration::new(migration.0, migration.1.into(), MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_databases_get_the_same_tables() {
        for (number, title, sqlite, postgres) in MIGRATIONS {
            assert_eq!(sqlite.replace("BLOB", "BYTEA"), *postgres, "migration {number} {title}");
        }
    }
}
