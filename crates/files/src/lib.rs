//! Files that only their owner may read, and digests of files: one way to write the first, one way to write down the second.

mod digest;
mod private;

pub use digest::{from_hex, hex, sha256, sha256_of};
pub use private::{create_private, write_private};
