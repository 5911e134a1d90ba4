//! What the examples share: the applications that they protect.

pub mod orders;
pub mod own_queries;
pub mod photos;
#[cfg(feature = "sea-orm")]
pub mod sea_orm_queries;
