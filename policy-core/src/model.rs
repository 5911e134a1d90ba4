//! Which types and actions exist: what Cedar's schema is made from, and what rules are checked against.
//!
//! In: declarations, resolved. Out: [`Model`]. Absent: Cedar's own schema.

use std::sync::Arc;

use crate::kind::{Described, Field};
use crate::name::ActionName;

/// Types and actions.
///
/// ```
/// use policy_core::cedar;
/// use policy_core::model::{EntityModel, Model};
/// let photo = EntityModel { name: "com::example::Photo".into(), parents: vec![], attributes: vec![] };
/// let text = cedar::schema_text(&Model { entities: vec![photo], ..Model::default() }).unwrap();
/// assert!(text.contains("entity Photo"), "{text}");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct Model {
    /// Entity types.
    pub entities: Vec<EntityModel>,
    /// Actions.
    pub actions: Vec<ActionModel>,
    /// Attributes of `context` beside the built-in ones and `args`, all optional, the same for every action.
    pub context: Vec<Field>,
}

impl Model {
    /// The same types and actions without the attributes and arguments that applications declare: what System rules read.
    #[must_use]
    pub fn platform_only(&self) -> Self {
        let mut out = Self { context: Vec::new(), ..self.clone() };
        out.entities.iter_mut().for_each(|entity| entity.attributes.clear());
        out.actions.iter_mut().for_each(|action| action.params.clear());
        out
    }
}

/// An entity type.
///
/// ```
/// use policy_core::model::{EntityModel, Model};
/// let photo = EntityModel { name: "com::example::Photo".into(), parents: vec!["Platform::Application".into()], attributes: vec![] };
/// assert_eq!(Model { entities: vec![photo.clone()], ..Model::default() }.platform_only().entities, [photo]);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct EntityModel {
    /// As Cedar writes it: `com::example::Photo`.
    pub name: Arc<str>,
    /// The types it can be a member of, as Cedar writes them.
    pub parents: Vec<Arc<str>>,
    /// Its attributes.
    pub attributes: Vec<Field>,
}

/// An action.
///
/// ```
/// use policy_core::ActionName;
/// use policy_core::model::ActionModel;
/// let place = ActionModel {
///     name: ActionName::new("com.example", "Orders.place"),
///     groups: vec!["Orders".into()],
///     principals: vec!["Platform::Participant".into()],
///     resource: "com::example::Orders".into(),
///     params: vec![],
/// };
/// assert_eq!(place.name.group(), Some("Orders"));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "plain data")]
pub struct ActionModel {
    /// Its name.
    pub name: ActionName,
    /// The groups it belongs to, by id in the same namespace: `OrderService`, `Photo.allRead`.
    pub groups: Vec<Arc<str>>,
    /// The principal types that may ask, as Cedar writes them.
    pub principals: Vec<Arc<str>>,
    /// The resource type, as Cedar writes it.
    pub resource: Arc<str>,
    /// The arguments that can be read, in the order of [`crate::ir::Root::Arg`]; `None` holds the place of one that cannot.
    pub params: Vec<(Arc<str>, Option<Described>)>,
}
