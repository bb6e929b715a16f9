//! The algebra of read-sets and write-sets, and the index that matches them.
#![forbid(unsafe_code)]
