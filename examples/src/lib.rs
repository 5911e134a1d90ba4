//! What the examples share: the application that they protect.

pub mod orders;
