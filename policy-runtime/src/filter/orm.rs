//! The condition on queries of `SeaORM` 2, whose conditions are those of `sea_query`.
//!
//! In: a query of an entity, a caller. Out: the query, narrowed. Absent: other entities that the query joins or loads; each needs
//! its own condition.

use policy_core::contract::Stored;
use policy_core::table::{Dialect, Operation};
use sea_orm::{ConnectionTrait, DbBackend, QueryFilter};

use super::{FilterError, authorized};
use crate::security::SecurityContext;

/// Queries of `SeaORM` that find, count, change or delete only what a caller may.
///
/// ```
/// use policy_core::contract::Stored;
/// use policy_runtime::SecurityContext;
/// use policy_runtime::filter::{FilterAuthorized as _, Operation};
/// use sea_orm::{DatabaseConnection, EntityTrait};
///
/// /// `visible::<photo::Entity, photo::Model>(&db, &cx)`
/// async fn visible<T: EntityTrait, E: Stored + 'static>(
///     db: &DatabaseConnection,
///     cx: &SecurityContext,
/// ) -> Result<Vec<T::Model>, Box<dyn std::error::Error>> {
///     Ok(T::find().authorized::<E>(cx, Operation::FindAll, db)?.all(db).await?)
/// }
/// ```
///
/// One struct can be the model and the entity of the policies:
///
/// ```text
/// #[derive(Clone, Debug, DeriveEntityModel, policy_runtime::Entity)]
/// #[sea_orm(table_name = "photos")]
/// #[entity(namespace = "com.example", name = "Photo", table = "photos")]
/// #[abac_policy(all_read(entity.owner_id == participant.id or entity.public))]
/// pub struct Model { .. }
/// ```
pub trait FilterAuthorized: QueryFilter {
    /// Narrows the query to the rows of `E` that the caller may reach with the operation.
    ///
    /// # Errors
    /// As [`authorized`], and [`FilterError::NotFilterable`] for a database other than SQLite and PostgreSQL.
    fn authorized<E: Stored + 'static>(
        self,
        cx: &SecurityContext,
        operation: Operation,
        db: &impl ConnectionTrait,
    ) -> Result<Self, FilterError> {
        let mine = authorized::<E>(cx, operation)?;
        let dialect = match db.get_database_backend() {
            DbBackend::Sqlite => Dialect::Sqlite,
            DbBackend::Postgres => Dialect::Postgres,
            other @ (DbBackend::MySql | _) => {
                let why = vec![format!("there are no conditions for {other:?}")];
                return Err(FilterError::NotFilterable { action: format!("{}.{operation}", E::NAME), why });
            }
        };
        Ok(self.filter(mine.condition(dialect)))
    }
}

impl<Q: QueryFilter> FilterAuthorized for Q {}
