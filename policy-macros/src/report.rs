//! Errors of one expansion, collected so that all are shown at once.
//!
//! In: messages with their places. Out: `compile_error!`s. Absent: a way to lose them: in our tests a sink that is dropped
//! unread panics.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;

/// Collects errors until [`Sink::finish`].
#[derive(Debug, Default)]
pub(crate) struct Sink {
    errors: Vec<syn::Error>,
    #[cfg(test)]
    read: bool,
}

impl Sink {
    /// Adds an error at one place.
    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.errors.push(syn::Error::new(span, message));
    }

    /// Adds an error under all of `tokens`.
    pub(crate) fn under(&mut self, tokens: impl ToTokens, message: impl std::fmt::Display) {
        self.errors.push(syn::Error::new_spanned(tokens, message));
    }

    /// Adds an error that was made elsewhere.
    pub(crate) fn add(&mut self, error: syn::Error) {
        self.errors.push(error);
    }

    /// Takes the value, or keeps the error.
    pub(crate) fn take<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Whether nothing is wrong so far.
    pub(crate) const fn is_clean(&self) -> bool {
        self.errors.is_empty()
    }

    /// Returns the errors as items; empty when there are none.
    pub(crate) fn finish(self) -> TokenStream {
        #[cfg(test)]
        let this = {
            let mut this = self;
            this.read = true;
            this
        };
        #[cfg(not(test))]
        let this = self;
        let mut seen: Vec<String> = Vec::new();
        let mut out = TokenStream::new();
        for error in &this.errors {
            // The same mistake found on two ways is said once.
            let key = format!("{:?} {error}", error.span());
            if !seen.contains(&key) {
                seen.push(key);
                out.extend(error.to_compile_error());
            }
        }
        out
    }
}

#[cfg(test)]
impl Drop for Sink {
    fn drop(&mut self) {
        assert!(self.read || self.errors.is_empty() || std::thread::panicking(), "errors were dropped unread");
    }
}
