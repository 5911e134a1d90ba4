//! The one table of stable codes: what a refused or failed call is called on every transport.
//!
//! In: nothing. Out: [`Code`]. Absent: details, which only logs and audit have.

use std::fmt;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident = $code:literal, $status:literal, $class:literal, retry $retry:literal, $text:literal, $help:literal;)*) => {
        /// What a refused or failed call is called. The texts and numbers of a code never change their meaning.
        ///
        /// | code | HTTP | `exceptionClass` | retry | text | what to do |
        /// | --- | --- | --- | --- | --- | --- |
        $(#[doc = concat!("| `", $code, "` | ", $status, " | `", $class, "` | ", $retry, " | ", $text, " | ", $help, " |")])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The stable word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code),* }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status),* }
            }

            /// The simple name of the exception that Kinotic's clients rebuild.
            pub const fn exception_class(self) -> &'static str {
                match self { $(Self::$variant => $class),* }
            }

            /// Whether the same call can succeed later without a change.
            pub const fn retry(self) -> bool {
                match self { $(Self::$variant => $retry),* }
            }

            /// What the caller is told, in a sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Reads the stable word.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.as_str() == word)
            }

            /// The most general code of an exception, by its simple or full name.
            pub fn of_exception(class: &str) -> Option<Self> {
                let name = class.rsplit('.').next().unwrap_or(class);
                Self::ALL.iter().copied().find(|code| code.exception_class() == name)
            }

            /// What the caller can do.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$variant => $help),* }
            }
        }
    };
}

codes! {
    /// A policy says no.
    AccessDenied = "ACCESS_DENIED", 403, "AuthorizationException", retry false, "access denied", "ask an administrator, with the decision id";
    /// A second factor would lift the denial.
    StepUpRequired = "STEP_UP_REQUIRED", 401, "AuthorizationException", retry false, "a second factor is needed", "sign in again with a second factor";
    /// A rule needs each row itself, and only a condition was asked for.
    NotFilterable = "NOT_FILTERABLE", 500, "AuthorizationException", retry false, "a rule cannot become a condition", "read the rows through a repository, or change the rule that the log names";
    /// There is no caller.
    NoContext = "NO_CONTEXT", 500, "AuthorizationException", retry false, "no security context", "run the call in SecurityContext::scope, or behind the gateway or the tower layer";
    /// The credentials are missing or wrong.
    Unauthenticated = "UNAUTHENTICATED", 401, "AuthenticationException", retry false, "authentication failed", "sign in again";
    /// Sign-in is refused by the application's own hook.
    SignInRefused = "SIGN_IN_REFUSED", 403, "AuthenticationException", retry false, "sign-in refused", "ask an administrator";
    /// The action is not in the registry.
    UnknownAction = "UNKNOWN_ACTION", 500, "AuthorizationException", retry false, "the action is not registered", "start the program with the policies of its annotations";
    /// No service of this name.
    UnknownService = "UNKNOWN_SERVICE", 404, "RpcMissingServiceException", retry false, "no such service", "check the service's name";
    /// No method of this name.
    UnknownMethod = "UNKNOWN_METHOD", 404, "RpcMissingMethodException", retry false, "no such method", "check the method's name";
    /// The arguments are not what the method takes.
    BadArguments = "BAD_ARGUMENTS", 400, "IllegalArgumentException", retry false, "the arguments do not fit", "send what the method declares";
    /// A value cannot be held by its kind.
    UnusableValue = "UNUSABLE_VALUE", 400, "IllegalArgumentException", retry false, "a value is out of range", "send a value in range";
    /// The method failed with an error of its own.
    Failed = "FAILED", 500, "RpcInvocationException", retry false, "the call failed", "see the message";
    /// The policies are older than their bound.
    StalePolicy = "STALE_POLICY", 503, "AuthorizationException", retry true, "policies cannot be confirmed", "try again later";
    /// The audit record that must be there cannot be written.
    AuditUnavailable = "AUDIT_UNAVAILABLE", 503, "AuthorizationException", retry true, "the audit record cannot be written", "try again later";
    /// Cedar, which decides too, does not say the same.
    Disagreement = "ENGINES_DISAGREE", 500, "AuthorizationException", retry false, "access denied", "report the id";
    /// Too many calls.
    RateLimited = "RATE_LIMITED", 429, "RateLimitException", retry true, "too many requests", "wait as told, then try again";
    /// Something of ours failed.
    Internal = "INTERNAL", 500, "RpcInvocationException", retry true, "internal error", "report the id";
    /// The connection ended before the answer came.
    ConnectionLost = "CONNECTION_LOST", 503, "RpcInvocationException", retry true, "the connection was lost", "connect again";
    /// The answer did not come in time.
    Timeout = "TIMEOUT", 504, "RpcInvocationException", retry true, "no answer in time", "try again later";
    /// There is no such record, for this caller.
    NotFound = "NOT_FOUND", 404, "IllegalArgumentException", retry false, "no such record", "check the id";
    /// The query, the order or the page is none.
    BadQuery = "BAD_QUERY", 400, "IllegalArgumentException", retry false, "the query cannot be understood", "see the message";
    /// The cursor belongs to something else.
    BadCursor = "BAD_CURSOR", 400, "IllegalArgumentException", retry false, "the cursor is not one of this query", "start again from the first page";
    /// What is stored stands against it.
    Conflict = "CONFLICT", 409, "IllegalArgumentException", retry true, "what is stored stands against it", "read again, then decide";
    /// A stored value cannot be read.
    StoredValue = "STORED_VALUE", 500, "RpcInvocationException", retry false, "a stored value cannot be read", "report it";
    /// Rules would have to look at too many rows.
    TooManyRows = "TOO_MANY_ROWS", 422, "IllegalArgumentException", retry false, "too many rows to look at", "narrow the query";
    /// The database is gone.
    StoreUnavailable = "STORE_UNAVAILABLE", 503, "RpcInvocationException", retry true, "the database cannot be asked", "try again later";
}

impl Code {
    /// What a 401 with this code challenges a client with: a second factor asks it to sign in again with one (RFC 9470, section 3).
    ///
    /// ```
    /// use policy_runtime::Code;
    /// assert!(Code::StepUpRequired.challenge().contains("insufficient_user_authentication"));
    /// assert_eq!(Code::Unauthenticated.challenge(), "Bearer");
    /// ```
    pub const fn challenge(self) -> &'static str {
        if matches!(self, Self::StepUpRequired) {
            "Bearer error=\"insufficient_user_authentication\", \
             error_description=\"a second factor is needed\", acr_values=\"mfa\""
        } else {
            "Bearer"
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_unique_and_statuses_are_errors() {
        let words: std::collections::HashSet<_> = Code::ALL.iter().map(|c| c.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        assert!(Code::ALL.iter().all(|c| (400..600).contains(&c.status())));
        assert!(Code::ALL.iter().all(|c| Code::parse(c.as_str()) == Some(*c)));
        assert_eq!(Code::parse("access denied"), None);
    }

    #[test]
    fn exceptions_are_read_by_either_name() {
        let full = "org.kinotic.core.api.exceptions.RpcMissingServiceException";
        assert_eq!(Code::of_exception(full), Some(Code::UnknownService));
        assert_eq!(Code::of_exception("AuthorizationException"), Some(Code::AccessDenied));
        assert_eq!(Code::of_exception("RpcInvocationException"), Some(Code::Failed));
        assert_eq!(Code::of_exception("java.lang.NullPointerException"), None);
    }
}
