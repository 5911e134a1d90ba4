use crate::cedar::CedarSchema;
use crate::diagnostic::Diagnostics;
use crate::ir::eval::Env;
use crate::policy::Policy;
pub struct Loaded {
    pub policy: Policy,
    pub cedar: cedar_policy::Policy,
    pub not_lowered: Option<String>,
}
impl Loaded {
    pub fn text(&self) -> std::sync::Arc<str> {
        "".into()
    }
}
pub fn load(_t: &str, _f: &str, _s: &CedarSchema) -> Result<Vec<Loaded>, Diagnostics> {
    Ok(vec![])
}
#[derive(Debug)]
pub struct Fallback;
impl Fallback {
    pub fn new(_l: &Loaded) -> Self {
        Self
    }
    pub fn satisfied(&self, _e: &Env<'_>) -> Result<bool, String> {
        Err("".into())
    }
}
pub mod baseline {
    pub const SYSTEM: &str = "";
    pub const ORGANIZATION: &str = "";
}
