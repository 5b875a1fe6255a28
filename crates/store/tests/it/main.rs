//! The store's contract, on SQLite and on PostgreSQL.
