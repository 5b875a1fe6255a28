//! Tests of the lab from outside.

mod replay;
