//! What the examples share: the applications that they protect.

pub mod orders;
pub mod photos;
