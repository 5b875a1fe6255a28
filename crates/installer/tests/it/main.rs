//! The installer as a whole.
