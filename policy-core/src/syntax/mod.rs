//! The language's one grammar: text or tokens to tree, and back.
pub mod ast;
