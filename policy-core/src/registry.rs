//! What the program declares, found at link time.
//!
//! In: declarations that annotations left behind. Out: [`Registry`], in which every action has a number. Absent: decisions.

use std::sync::{Arc, LazyLock};

use crate::decl::{ActionDecl, ServiceDecl};
use crate::name::ActionName;
use crate::request::ActionId;

/// A guarded function of this program; submitted by generated code.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct RegisteredAction(pub &'static ActionDecl);

/// A published service of this program; submitted by generated code.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::exhaustive_structs, reason = "generated code makes it")]
pub struct RegisteredService(pub &'static ServiceDecl);

inventory::collect!(RegisteredAction);
inventory::collect!(RegisteredService);

/// All actions of a program, each with a dense number.
#[derive(Debug)]
pub struct Registry {
    actions: Vec<RegistryEntry>,
}

/// An action and the declarations that were joined into it.
#[derive(Debug)]
pub struct RegistryEntry {
    /// Its name.
    pub name: ActionName,
    /// At least one.
    pub declarations: Vec<&'static ActionDecl>,
}

static PROGRAM: LazyLock<Arc<Registry>> = LazyLock::new(|| {
    let found: Vec<_> = inventory::iter::<RegisteredAction>.into_iter().map(|r| r.0).collect();
    Arc::new(Registry::of(&found))
});

impl Registry {
    /// Everything that is linked into this program.
    pub fn program() -> Arc<Self> {
        PROGRAM.clone()
    }

    /// The given declarations.
    pub fn of(declarations: &[&'static ActionDecl]) -> Self {
        let mut actions: Vec<RegistryEntry> = Vec::new();
        for &declaration in declarations {
            let name = ActionName::new(declaration.namespace, declaration.id);
            match actions.iter_mut().find(|entry| entry.name == name) {
                Some(entry) => entry.declarations.push(declaration),
                None => actions.push(RegistryEntry { name, declarations: vec![declaration] }),
            }
        }
        actions.sort_by(|a, b| a.name.cmp(&b.name));
        Self { actions }
    }

    /// The number of the action that a declaration belongs to.
    pub fn id_of(&self, declaration: &ActionDecl) -> Option<ActionId> {
        let name = ActionName::new(declaration.namespace, declaration.id);
        let at = self.actions.binary_search_by(|entry| entry.name.cmp(&name)).ok()?;
        u32::try_from(at).ok().map(ActionId)
    }

    /// All actions, in order of their numbers.
    pub fn actions(&self) -> &[RegistryEntry] {
        &self.actions
    }
}
