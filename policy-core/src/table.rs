//! Where the records of an entity are stored: the one vocabulary of what generates, reads, writes and filters rows.
//!
//! In: const data that `#[derive(Entity)]` leaves behind ([`TableDecl`]). Out: [`Table`], checked, with the kind of every
//! column; [`Operation`], what can be done with rows. Absent: SQL, and any connection.
//!
//! A kind has exactly one form in each database, so that a filter can be exact. Whatever writes rows writes them so, and
//! whatever reads them refuses a value that is not so:
//!
//! | kind | PostgreSQL | SQLite | within JSON, in both |
//! | --- | --- | --- | --- |
//! | Bool | `BOOLEAN` | `BOOLEAN`: integer 0 or 1 | `true`, `false` |
//! | Long | `BIGINT` | `BIGINT`: integer | number, whole |
//! | Decimal | `NUMERIC(19, 4)` | `BIGINT`: ten-thousandths ([`crate::value::Decimal::scaled`]) | number, whole: ten-thousandths |
//! | Text | `TEXT`, without U+0000 | `TEXT`, without U+0000, collation BINARY | string |
//! | Uuid | `UUID` | `TEXT`, canonical ([`crate::value::uuid_text`]) | string, canonical |
//! | Enum | `TEXT` | `TEXT` | string |
//! | Datetime | `TIMESTAMPTZ` | `BIGINT`: microseconds since 1970, floored | number, whole: microseconds |
//! | Ip | `INET`, one address, never IPv4-mapped | `BLOB`: 16 bytes, IPv4 mapped (`::ffff:a.b.c.d`) | string: those bytes as 32 lower-case hex digits |
//! | Set of a scalar | array of the above; NULL elements do not count | `TEXT`: JSON array; `null` elements do not count | array |
//! | Set of anything else | `JSONB`: array | `TEXT`: JSON array | array |
//! | Record | `JSONB`: object | `TEXT`: JSON object | object; an absent attribute is missing or `null` |
//!
//! What may be absent is a column that may be NULL. The keys of a record are the names that rules use (serde's).
//!
//! ```
//! use policy_core::table::{Dialect, Operation, column_type};
//! use policy_core::kind::Kind;
//!
//! assert_eq!(column_type(&Kind::Decimal, Dialect::Postgres), "NUMERIC(19, 4)");
//! assert_eq!(column_type(&Kind::Set(Kind::Text.into()), Dialect::Sqlite), "TEXT");
//! assert_eq!(Operation::FindAll.id(), "findAll");
//! ```

use std::fmt;
use std::sync::Arc;

use crate::decl::EntityDecl;
use crate::kind::{Described, Field, Kind, RecordType};

/// A database whose SQL is spoken.
///
/// ```
/// use policy_core::kind::Kind;
/// use policy_core::table::{Dialect, column_type};
/// assert_eq!((column_type(&Kind::Ip, Dialect::Postgres), column_type(&Kind::Ip, Dialect::Sqlite)), ("INET".into(), "BLOB".into()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every dialect")]
pub enum Dialect {
    /// SQLite 3.38 or newer.
    Sqlite,
    /// PostgreSQL 14 or newer.
    Postgres,
}

/// An entity's table, as an annotation declares it. Nothing in it is checked yet.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl, TenantDecl};
/// # fn photo() -> EntityDecl {
/// #     let text = |name, rust_name| field(name, rust_name, Described::required(Kind::Text), false);
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", [text("id", "id"), text("ownerId", "owner_id")]) }
/// # }
/// # const COLUMNS: &[ColumnDecl] = &[ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "ownerId", column: "owner_id" }];
/// const TABLE: TableDecl = TableDecl { entity: photo, name: "app.photos", id: "id", tenant: None, columns: COLUMNS };
/// let table = Table::new(&TABLE).unwrap();
/// assert_eq!((table.schema.as_deref(), &*table.name), (Some("app"), "photos"));
/// ```
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct TableDecl {
    /// The entity, with the kinds of its attributes.
    pub entity: fn() -> EntityDecl,
    /// The table's name; `schema.table` names the schema too.
    pub name: &'static str,
    /// The attribute that is the id, as rules spell it.
    pub id: &'static str,
    /// What keeps tenants apart, if anything does.
    pub tenant: Option<TenantDecl>,
    /// The columns: one for each attribute.
    pub columns: &'static [ColumnDecl],
}

/// The column of an attribute.
///
/// ```
/// use policy_core::table::ColumnDecl;
/// const OWNER: ColumnDecl = ColumnDecl { attribute: "ownerId", column: "owner_id" };
/// assert_ne!(OWNER.attribute, OWNER.column);
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct ColumnDecl {
    /// The attribute, as rules spell it (`ownerId`). A nested record is one attribute, and one column.
    pub attribute: &'static str,
    /// The column's name (`owner_id`).
    pub column: &'static str,
}

/// An attribute whose reading or writing has a rule of its own, beside those of its entity's operations.
///
/// ```
/// use policy_core::table::FieldDecl;
/// let salary = FieldDecl { attribute: "salary", read: Some("Person.salary.read"), write: None };
/// assert!(salary.write.is_none());
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct FieldDecl {
    /// The attribute, as rules spell it.
    pub attribute: &'static str,
    /// The id of the action of reading it, in the entity's namespace.
    pub read: Option<&'static str>,
    /// The id of the action of changing it.
    pub write: Option<&'static str>,
}

/// What keeps the rows of tenants apart.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl, TenantDecl};
/// # fn photo() -> EntityDecl {
/// #     let text = |name, rust_name| field(name, rust_name, Described::required(Kind::Text), false);
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", [text("id", "id"), text("ownerId", "owner_id")]) }
/// # }
/// # const COLUMNS: &[ColumnDecl] = &[ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "ownerId", column: "owner_id" }];
/// let tenant = Some(TenantDecl { attribute: "ownerId", participant: "tenant" });
/// let table = Table::new(&TableDecl { entity: photo, name: "photos", id: "id", tenant, columns: COLUMNS }).unwrap();
/// assert_eq!(table.tenant.unwrap().column, 1);
/// ```
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it, of the same version by the façade")]
pub struct TenantDecl {
    /// The entity's attribute, of kind Text.
    pub attribute: &'static str,
    /// The participant's attribute that it equals: `tenant`, `organization`, or one of its own. Without it nothing is read.
    pub participant: &'static str,
}

/// What can be done with the rows of an entity.
///
/// ```
/// use policy_core::table::Operation;
/// assert_eq!((Operation::FindById.id(), Operation::FindById.group()), ("findById", "allRead"));
/// assert_eq!(Operation::ALL.len(), 12);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "every back end must decide about every operation")]
pub enum Operation {
    /// Writes one row, new or not.
    Save,
    /// Writes several.
    BulkSave,
    /// Reads the row of an id.
    FindById,
    /// Reads the rows of several ids.
    FindByIds,
    /// Reads all rows, in pages.
    FindAll,
    /// Reads the rows that a query matches.
    Search,
    /// Counts all rows.
    Count,
    /// Counts those that a query matches.
    CountByQuery,
    /// Changes one row.
    Update,
    /// Changes several.
    BulkUpdate,
    /// Deletes the row of an id.
    DeleteById,
    /// Deletes the rows that a query matches.
    DeleteByQuery,
}

impl Operation {
    /// Every operation, in the order of their groups.
    pub const ALL: [Self; 12] = [
        Self::Save,
        Self::BulkSave,
        Self::FindById,
        Self::FindByIds,
        Self::FindAll,
        Self::Search,
        Self::Count,
        Self::CountByQuery,
        Self::Update,
        Self::BulkUpdate,
        Self::DeleteById,
        Self::DeleteByQuery,
    ];

    /// As actions name it: `findAll` in `Photo.findAll`.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Save => "save",
            Self::BulkSave => "bulkSave",
            Self::FindById => "findById",
            Self::FindByIds => "findByIds",
            Self::FindAll => "findAll",
            Self::Search => "search",
            Self::Count => "count",
            Self::CountByQuery => "countByQuery",
            Self::Update => "update",
            Self::BulkUpdate => "bulkUpdate",
            Self::DeleteById => "deleteById",
            Self::DeleteByQuery => "deleteByQuery",
        }
    }

    /// The group whose rules hold for it too: `allRead`.
    pub const fn group(self) -> &'static str {
        match self {
            Self::Save | Self::BulkSave => "allCreate",
            Self::FindById | Self::FindByIds | Self::FindAll | Self::Search | Self::Count | Self::CountByQuery => {
                "allRead"
            }
            Self::Update | Self::BulkUpdate => "allUpdate",
            Self::DeleteById | Self::DeleteByQuery => "allDelete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// Why a declared table cannot be one.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl, TenantDecl};
/// # fn photo() -> EntityDecl {
/// #     let text = |name, rust_name| field(name, rust_name, Described::required(Kind::Text), false);
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", [text("id", "id"), text("ownerId", "owner_id")]) }
/// # }
/// # const COLUMNS: &[ColumnDecl] = &[ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "ownerId", column: "owner_id" }];
/// let missing = TableDecl { entity: photo, name: "photos", id: "number", tenant: None, columns: COLUMNS };
/// assert!(!Table::new(&missing).unwrap_err().to_string().is_empty());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the table of `{entity}`: {why}")]
pub struct TableError {
    entity: Arc<str>,
    why: String,
}

/// A table whose declaration holds together.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl, TenantDecl};
/// # fn photo() -> EntityDecl {
/// #     let text = |name, rust_name| field(name, rust_name, Described::required(Kind::Text), false);
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", [text("id", "id"), text("ownerId", "owner_id")]) }
/// # }
/// # const COLUMNS: &[ColumnDecl] = &[ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "ownerId", column: "owner_id" }];
/// let table = Table::new(&TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: COLUMNS }).unwrap();
/// assert_eq!(&*table.column("ownerId").unwrap().name, "owner_id");
/// assert_eq!(&*table.id_column().unwrap().name, "id");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// The entity's type, without its namespace.
    pub entity: Arc<str>,
    /// The schema, if one is named.
    pub schema: Option<Arc<str>>,
    /// The table.
    pub name: Arc<str>,
    /// The place of the id among the columns.
    pub id: usize,
    /// What keeps tenants apart.
    pub tenant: Option<Tenant>,
    /// In the order of the entity's attributes: a column has the index of its attribute's slot.
    pub columns: Vec<Column>,
}

/// One column.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl, TenantDecl};
/// # fn photo() -> EntityDecl {
/// #     let text = |name, rust_name| field(name, rust_name, Described::required(Kind::Text), false);
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", [text("id", "id"), text("ownerId", "owner_id")]) }
/// # }
/// # const COLUMNS: &[ColumnDecl] = &[ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "ownerId", column: "owner_id" }];
/// let table = Table::new(&TableDecl { entity: photo, name: "photos", id: "id", tenant: None, columns: COLUMNS }).unwrap();
/// assert_eq!(&*table.columns[1].rust_name, "owner_id");
/// assert!(!table.columns[1].secret);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Column {
    /// The attribute, as rules spell it.
    pub attribute: Arc<str>,
    /// The field, as Rust spells it.
    pub rust_name: Arc<str>,
    /// The column's name.
    pub name: Arc<str>,
    /// What it holds, and whether it may be NULL.
    pub ty: Described,
    /// Whether no log, explanation or audit record may show it.
    pub secret: bool,
}

/// What keeps the rows of tenants apart.
///
/// ```
/// # use policy_core::contract::{field, record};
/// # use policy_core::decl::EntityDecl;
/// # use policy_core::kind::{Described, Kind};
/// # use policy_core::table::{ColumnDecl, Table, TableDecl, TenantDecl};
/// # fn photo() -> EntityDecl {
/// #     let text = |name, rust_name| field(name, rust_name, Described::required(Kind::Text), false);
/// #     EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", [text("id", "id"), text("ownerId", "owner_id")]) }
/// # }
/// # const COLUMNS: &[ColumnDecl] = &[ColumnDecl { attribute: "id", column: "id" }, ColumnDecl { attribute: "ownerId", column: "owner_id" }];
/// let tenant = Some(TenantDecl { attribute: "ownerId", participant: "organization" });
/// let table = Table::new(&TableDecl { entity: photo, name: "photos", id: "id", tenant, columns: COLUMNS }).unwrap();
/// assert_eq!(&*table.tenant.unwrap().participant, "organization");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tenant {
    /// The place of the column.
    pub column: usize,
    /// The participant's attribute that it equals.
    pub participant: Arc<str>,
}

impl Table {
    /// Checks a declaration.
    ///
    /// # Errors
    /// An attribute without a column or a column without an attribute, two columns of one name (case does not count), an id
    /// that is no scalar or may be absent, a tenant that is no Text.
    pub fn new(declared: &TableDecl) -> Result<Self, TableError> {
        let entity = (declared.entity)();
        let wrong = |why: String| TableError { entity: entity.name.into(), why };
        let Kind::Record(record) = &entity.attributes.kind else {
            return Err(wrong("the entity is no record".to_owned()));
        };
        let columns = columns(declared, record).map_err(wrong)?;
        let place = |attribute: &str| columns.iter().position(|c| *c.attribute == *attribute);
        let id = place(declared.id).ok_or_else(|| wrong(format!("the id `{}` is no attribute", declared.id)))?;
        let fit = |at: usize, test: &dyn Fn(&Described) -> bool| columns.get(at).is_some_and(|c| test(&c.ty));
        if !fit(id, &is_id) {
            return Err(wrong(format!(
                "the id `{}` is not a Text, Long, Uuid or Enum that is always there",
                declared.id
            )));
        }
        let tenant = match &declared.tenant {
            None => None,
            Some(TenantDecl { attribute, participant }) => match place(attribute) {
                Some(column) if fit(column, &|ty| ty.kind == Kind::Text) => {
                    Some(Tenant { column, participant: (*participant).into() })
                }
                Some(_) => return Err(wrong(format!("the tenant `{attribute}` is no Text"))),
                None => return Err(wrong(format!("the tenant `{attribute}` is no attribute"))),
            },
        };
        let (schema, name) = match declared.name.split_once('.') {
            Some((schema, name)) => (Some(Arc::from(schema)), name),
            None => (None, declared.name),
        };
        if name.is_empty() || schema.as_deref() == Some("") {
            return Err(wrong(format!("`{}` names no table", declared.name)));
        }
        Ok(Self { entity: entity.name.into(), schema, name: name.into(), id, tenant, columns })
    }

    /// The table of an entity of which nothing is known but its kind: a column for each attribute, no tenant. Its id is the
    /// attribute `id`, or where that cannot be one, a text of its own. `None` for what is no record.
    ///
    /// ```
    /// # use policy_core::contract::{field, record};
    /// # use policy_core::kind::{Described, Kind};
    /// # use policy_core::table::Table;
    /// let photo = record("Photo", [field("size", "size", Described::required(Kind::Long), false)]);
    /// let table = Table::of_kind("com::example::Photo", &photo.kind).unwrap();
    /// assert_eq!((table.columns.len(), table.id), (2, 1));
    /// ```
    pub fn of_kind(entity: &str, kind: &Kind) -> Option<Self> {
        let Kind::Record(record) = kind else { return None };
        let column = |Field { name, rust_name, ty, secret }: &Field| Column {
            attribute: name.clone(),
            rust_name: rust_name.clone(),
            name: name.clone(),
            ty: ty.clone(),
            secret: *secret,
        };
        let mut columns: Vec<Column> = record.fields.iter().map(column).collect();
        let id = columns.iter().position(|c| *c.attribute == *"id" && is_id(&c.ty)).unwrap_or(columns.len());
        if id == columns.len() {
            let ty = Described::required(Kind::Text);
            let [attribute, rust_name, name] = [(); 3].map(|()| Arc::from("id"));
            columns.push(Column { attribute, rust_name, name, ty, secret: false });
        }
        Some(Self { entity: entity.into(), schema: None, name: entity.into(), id, tenant: None, columns })
    }

    /// The column of an attribute.
    pub fn column(&self, attribute: &str) -> Option<&Column> {
        self.columns.iter().find(|c| *c.attribute == *attribute)
    }

    /// The column of the id.
    pub fn id_column(&self) -> Option<&Column> {
        self.columns.get(self.id)
    }
}

const fn is_id(ty: &Described) -> bool {
    !ty.optional && matches!(ty.kind, Kind::Text | Kind::Long | Kind::Uuid | Kind::Enum(_))
}

fn columns(declared: &TableDecl, record: &RecordType) -> Result<Vec<Column>, String> {
    let mut out: Vec<Column> = Vec::with_capacity(record.fields.len());
    for Field { name, rust_name, ty, secret } in &record.fields {
        let mut of_it = declared.columns.iter().filter(|c| *c.attribute == **name);
        let Some(ColumnDecl { column, .. }) = of_it.next() else {
            return Err(format!("`{name}` has no column"));
        };
        if of_it.next().is_some() {
            return Err(format!("`{name}` has two columns"));
        }
        if column.is_empty() || out.iter().any(|c| c.name.eq_ignore_ascii_case(column)) {
            return Err(format!("`{column}` is the column of two attributes, or no name"));
        }
        out.push(Column {
            attribute: name.clone(),
            rust_name: rust_name.clone(),
            name: (*column).into(),
            ty: ty.clone(),
            secret: *secret,
        });
    }
    match declared.columns.iter().find(|c| record.field(c.attribute).is_none()) {
        Some(lone) => Err(format!("the column `{}` is of no attribute", lone.column)),
        None => Ok(out),
    }
}

/// The type of the column that holds a kind, as `CREATE TABLE` writes it.
///
/// ```
/// use policy_core::kind::Kind;
/// use policy_core::table::{Dialect, column_type};
/// assert_eq!(column_type(&Kind::Set(Kind::Long.into()), Dialect::Postgres), "BIGINT[]");
/// ```
pub fn column_type(kind: &Kind, dialect: Dialect) -> String {
    match (kind, dialect) {
        (Kind::Bool, _) => "BOOLEAN".to_owned(),
        (Kind::Long, _) | (Kind::Decimal | Kind::Datetime, Dialect::Sqlite) => "BIGINT".to_owned(),
        (Kind::Decimal, Dialect::Postgres) => "NUMERIC(19, 4)".to_owned(),
        (Kind::Text | Kind::Enum(_), _) | (Kind::Uuid | Kind::Set(_) | Kind::Record(_), Dialect::Sqlite) => {
            "TEXT".to_owned()
        }
        (Kind::Uuid, Dialect::Postgres) => "UUID".to_owned(),
        (Kind::Datetime, Dialect::Postgres) => "TIMESTAMPTZ".to_owned(),
        (Kind::Ip, Dialect::Sqlite) => "BLOB".to_owned(),
        (Kind::Ip, Dialect::Postgres) => "INET".to_owned(),
        (Kind::Set(item), Dialect::Postgres) if item.is_scalar() => format!("{}[]", column_type(item, dialect)),
        (Kind::Set(_) | Kind::Record(_), Dialect::Postgres) => "JSONB".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{field, optional, record};

    fn photo() -> EntityDecl {
        let fields = [
            field("id", "id", Described::required(Kind::Text), false),
            field("ownerId", "owner_id", Described::required(Kind::Text), false),
            field("size", "size", optional(Described::required(Kind::Long)), false),
        ];
        EntityDecl { namespace: "com.example", name: "Photo", attributes: record("Photo", fields) }
    }

    const fn column(attribute: &'static str, column: &'static str) -> ColumnDecl {
        ColumnDecl { attribute, column }
    }

    const ID: ColumnDecl = column("id", "id");
    const OWNER: ColumnDecl = column("ownerId", "owner_id");
    const SIZE: ColumnDecl = column("size", "size");
    const EXTRA: ColumnDecl = column("other", "other");
    const TWICE: ColumnDecl = column("size", "OWNER_ID");

    fn made(name: &'static str, id: &'static str, columns: &'static [ColumnDecl]) -> Result<Table, String> {
        let tenant = Some(TenantDecl { attribute: "ownerId", participant: "tenant" });
        Table::new(&TableDecl { entity: photo, name, id, tenant, columns }).map_err(|e| e.to_string())
    }

    #[test]
    fn a_table_has_a_column_for_each_attribute() {
        let table = made("app.photos", "id", &[SIZE, OWNER, ID]).unwrap();
        assert_eq!((table.schema.as_deref(), &*table.name, table.id), (Some("app"), "photos", 0));
        assert_eq!(table.columns.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["id", "owner_id", "size"]);
        assert_eq!(table.tenant.as_ref().map(|t| t.column), Some(1));
        assert!(table.column("size").is_some_and(|c| c.ty.optional));
        for (name, id, columns, why) in [
            ("photos", "id", &[ID, OWNER][..], "`size` has no column"),
            ("photos", "id", &[ID, OWNER, SIZE, EXTRA], "the column `other` is of no attribute"),
            ("photos", "id", &[ID, OWNER, TWICE], "`OWNER_ID` is the column of two attributes, or no name"),
            ("photos", "id", &[ID, OWNER, SIZE, SIZE], "`size` has two columns"),
            (
                "photos",
                "size",
                &[ID, OWNER, SIZE],
                "the id `size` is not a Text, Long, Uuid or Enum that is always there",
            ),
            ("photos", "no", &[ID, OWNER, SIZE], "the id `no` is no attribute"),
            (".photos", "id", &[ID, OWNER, SIZE], "`.photos` names no table"),
        ] {
            assert_eq!(made(name, id, columns), Err(format!("the table of `Photo`: {why}")));
        }
    }

    #[test]
    fn operations_have_the_ids_of_their_actions() {
        let ids: std::collections::BTreeSet<_> = Operation::ALL.iter().map(|o| o.id()).collect();
        assert_eq!(ids.len(), 12);
        assert_eq!(Operation::CountByQuery.group(), "allRead");
        assert_eq!(Operation::BulkUpdate.to_string(), "bulkUpdate");
    }
}
