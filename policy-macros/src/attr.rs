//! The grammar of our attributes.
//!
//! In: the tokens between an attribute's parentheses. Out: [`PolicyAttr`], [`PublishAttr`], [`MethodAttr`], each value with
//! its origin. Absent: whether an option suits the item it stands on; `validate` knows.

use policy_core::name::nearest;
use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use syn::meta::ParseNestedMeta;
use syn::{Attribute, LitStr, Meta, Path, Type};

use crate::report::Sink;
use crate::tokens::{RuleSource, assigned, split_commas};

/// The attribute that guards.
pub(crate) const POLICY: &str = "abac_policy";
/// The attribute that makes a service callable by name.
pub(crate) const PUBLISH: &str = "publish";
/// The attribute of a parameter that is the caller's context.
pub(crate) const CONTEXT: &str = "context";
/// The attribute of a parameter that a mirror reads.
pub(crate) const ATTRIBUTES: &str = "attributes";

const OPTIONS: [&str; 10] =
    ["action", "was", "callers", "tier", "organization", "audit", "resource", "participant", "crate", "authenticated"];

/// A tier as an option names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TierName {
    System,
    Organization,
    Application,
}

/// The contents of one `#[abac_policy(..)]`.
#[derive(Clone, Default)]
pub(crate) struct PolicyAttr {
    /// The rule, if there is one.
    pub(crate) rule: Option<RuleSource>,
    /// On an entity: rules of operations and groups, by name.
    pub(crate) operations: Vec<(Ident, RuleSource)>,
    /// Everything else.
    pub(crate) options: Options,
}

/// The options of `#[abac_policy(..)]`.
#[derive(Clone, Default)]
pub(crate) struct Options {
    /// `action = "Orders.place"`: the action's stable id.
    pub(crate) action: Option<LitStr>,
    /// `was = ["Orders.old"]`: former ids, which rules go on matching.
    pub(crate) was: Vec<LitStr>,
    /// `callers(application, organization)`: whose participants may call.
    pub(crate) callers: Option<(Span, Vec<TierName>)>,
    /// `tier = organization`: whose service it is.
    pub(crate) tier: Option<(Span, TierName)>,
    /// `organization = id`: the parameter that names the organization, for callers of the System tier.
    pub(crate) organization: Option<Ident>,
    /// `audit = required`: runs only with an audit record that was written before.
    pub(crate) audit: Option<Span>,
    /// `resource = photo`: the parameter that the call is about.
    pub(crate) resource: Option<Ident>,
    /// `participant = Staff`: the type that declares the application's own participant attributes.
    pub(crate) participant: Option<Type>,
    /// `crate = path`: where the façade is.
    pub(crate) krate: Option<Path>,
    /// `authenticated`: no rule of its own; any participant whom the upper tiers let through.
    pub(crate) authenticated: Option<Span>,
}

impl Options {
    /// Whether anything is said.
    pub(crate) const fn any(&self) -> bool {
        let Self { action, was, callers, tier, organization, audit, resource, participant, krate, authenticated } =
            self;
        action.is_some()
            || !was.is_empty()
            || callers.is_some()
            || tier.is_some()
            || organization.is_some()
            || audit.is_some()
            || resource.is_some()
            || participant.is_some()
            || krate.is_some()
            || authenticated.is_some()
    }

    /// Adds the options of another attribute on the same item; a second value for one option is an error.
    pub(crate) fn merge(&mut self, other: Self, sink: &mut Sink) {
        fn one<T>(mine: &mut Option<T>, other: Option<T>, name: &str, span: impl Fn(&T) -> Span, sink: &mut Sink) {
            match other {
                Some(second) if mine.is_some() => sink.at(span(&second), format!("option `{name}` is given twice")),
                Some(first) => *mine = Some(first),
                None => {}
            }
        }
        one(&mut self.action, other.action, "action", LitStr::span, sink);
        self.was.extend(other.was);
        one(&mut self.callers, other.callers, "callers", |(span, _)| *span, sink);
        one(&mut self.tier, other.tier, "tier", |(span, _)| *span, sink);
        one(&mut self.organization, other.organization, "organization", Ident::span, sink);
        one(&mut self.audit, other.audit, "audit", |span| *span, sink);
        one(&mut self.resource, other.resource, "resource", Ident::span, sink);
        one(&mut self.participant, other.participant, "participant", syn::spanned::Spanned::span, sink);
        self.krate = self.krate.take().or(other.krate);
        self.authenticated = self.authenticated.or(other.authenticated);
    }
}

impl PolicyAttr {
    /// Reads what stands between the parentheses; `at` is the attribute, `operations` whether names of operations are known
    /// here, as on an entity.
    pub(crate) fn parse(stream: TokenStream, at: Span, operations: Option<&[&str]>, sink: &mut Sink) -> Self {
        let mut out = Self::default();
        if stream.is_empty() {
            sink.at(
                at,
                "the attribute is empty, and so says nothing about who may call\nhelp: write a rule, such as `#[abac_policy(participant.roles contains \"admin\")]`, or `#[abac_policy(authenticated)]` for every participant whom the upper tiers let through",
            );
            return out;
        }
        for (n, part) in split_commas(stream).into_iter().enumerate() {
            match Part::of(&part) {
                Part::Option(name) => out.option(name, &part, operations, sink),
                Part::Rule if n > 0 || out.rule.is_some() => {
                    let under: TokenStream = part.iter().cloned().collect();
                    let message = if part.is_empty() {
                        "a comma too many"
                    } else {
                        "the rule comes first and ends at the comma; options follow it, as in `#[abac_policy(<rule>, action = \"Orders.place\")]`\nhelp: conditions are joined by `and`; two `#[abac_policy]` attributes mean `and`, too"
                    };
                    if part.is_empty() { sink.at(at, message) } else { sink.under(under, message) }
                }
                Part::Rule => out.rule = Some(rule(&part, at)),
            }
        }
        out
    }

    fn option(&mut self, name: &Ident, part: &[TokenTree], operations: Option<&[&str]>, sink: &mut Sink) {
        let text = name.to_string();
        if operations.is_some_and(|known| known.contains(&text.as_str())) {
            self.operation(name, part, sink);
            return;
        }
        let options = &mut self.options;
        match (text.as_str(), part) {
            ("authenticated", [_]) => options.authenticated = Some(name.span()),
            ("callers", [_, TokenTree::Group(group)]) => {
                let tiers = split_commas(group.stream());
                let tiers: Vec<TierName> = tiers.iter().filter_map(|part| tier(part, name.span(), sink)).collect();
                if tiers.is_empty() {
                    sink.at(
                        name.span(),
                        "`callers` names the tiers whose participants may call: `callers(application)`",
                    );
                }
                options.callers = Some((name.span(), tiers));
            }
            (known, _) if OPTIONS.contains(&known) => match assigned(part) {
                Some((_, _, value)) => options.set(known, name, value, sink),
                None => sink.at(name.span(), format!("option `{known}` is written {}", usage(known))),
            },
            _ => unknown(name, &text, operations.unwrap_or_default(), sink),
        }
    }

    fn operation(&mut self, name: &Ident, part: &[TokenTree], sink: &mut Sink) {
        let source = match (assigned(part), part) {
            (Some((_, _, value)), _) => Some(rule(value, name.span())),
            (None, [_, TokenTree::Group(group)]) => {
                Some(rule(&group.stream().into_iter().collect::<Vec<_>>(), group.span_close()))
            }
            (None, _) => None,
        };
        match source {
            Some(source) => self.operations.push((name.clone(), source)),
            None => sink.at(name.span(), format!("the rule of `{name}` is written `{name}(..)` or `{name} = \"..\"`")),
        }
    }
}

impl Options {
    fn set(&mut self, known: &str, name: &Ident, value: &[TokenTree], sink: &mut Sink) {
        let stream: TokenStream = value.iter().cloned().collect();
        let refused = |sink: &mut Sink| {
            let message = format!("option `{known}` is written {}", usage(known));
            if stream.is_empty() { sink.at(name.span(), message) } else { sink.under(stream.clone(), message) }
        };
        match known {
            "action" => match syn::parse2::<LitStr>(stream.clone()) {
                Ok(id) if is_action_id(&id.value()) => self.action = Some(id),
                Ok(id) => sink.at(
                    id.span(),
                    format!("`{}` is not an action's id: names of letters, digits and `_`, joined by dots", id.value()),
                ),
                Err(_) => refused(sink),
            },
            "was" => match value {
                [TokenTree::Group(list)] if list.delimiter() == Delimiter::Bracket => {
                    for former in split_commas(list.stream()) {
                        match syn::parse2::<LitStr>(former.into_iter().collect()) {
                            Ok(former) => self.was.push(former),
                            Err(error) => sink.add(error),
                        }
                    }
                }
                _ => refused(sink),
            },
            "tier" => self.tier = tier(value, name.span(), sink).map(|tier| (name.span(), tier)),
            "audit" => match value {
                [TokenTree::Ident(word)] if word == "required" => self.audit = Some(name.span()),
                _ => refused(sink),
            },
            "resource" => match value {
                [TokenTree::Ident(parameter)] => self.resource = Some(parameter.clone()),
                _ => refused(sink),
            },
            "organization" => match value {
                [TokenTree::Ident(parameter)] => self.organization = Some(parameter.clone()),
                _ => refused(sink),
            },
            "participant" => match syn::parse2::<Type>(stream.clone()) {
                Ok(ty) => self.participant = Some(ty),
                Err(_) => refused(sink),
            },
            "crate" => match path(stream.clone()) {
                Some(path) => self.krate = Some(path),
                None => refused(sink),
            },
            _ => refused(sink),
        }
    }
}

/// What a part between commas is.
enum Part<'a> {
    Option(&'a Ident),
    Rule,
}

impl<'a> Part<'a> {
    fn of(part: &'a [TokenTree]) -> Self {
        let name = match part {
            [TokenTree::Ident(name), TokenTree::Group(group), ..]
                if group.delimiter() == Delimiter::Parenthesis && !name.to_string().eq_ignore_ascii_case("not") =>
            {
                Some(name)
            }
            [TokenTree::Ident(name)] if name == "authenticated" => Some(name),
            _ => assigned(part).map(|(name, ..)| name),
        };
        name.map_or(Self::Rule, Self::Option)
    }
}

fn rule(part: &[TokenTree], at: Span) -> RuleSource {
    let stream: TokenStream = part.iter().cloned().collect();
    // A literal that a `macro_rules!` passed on stands in an invisible group.
    if let Ok(literal) = syn::parse2::<LitStr>(stream.clone()) {
        return RuleSource::Text(literal);
    }
    RuleSource::Tokens(stream, at)
}

fn unknown(name: &Ident, text: &str, operations: &[&str], sink: &mut Sink) {
    let known = OPTIONS.iter().chain(operations).copied();
    let offer = match nearest(text, known.clone()) {
        Some(near) => format!("help: write `{near}`"),
        None => format!("help: the options are {}; to compare write `==`", listed(known)),
    };
    sink.at(name.span(), format!("unknown option `{text}`\n{offer}"));
}

/// Lists names in backticks: `a`, `b` and `c`.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((only, _)) => only.clone(),
        None => String::new(),
    }
}

fn usage(option: &str) -> &'static str {
    match option {
        "action" => "`action = \"Orders.place\"`",
        "was" => "`was = [\"Orders.old\"]`",
        "callers" => "`callers(application, organization)`",
        "tier" => "`tier = organization`",
        "organization" => "`organization = parameter`",
        "audit" => "`audit = required`",
        "resource" => "`resource = parameter`",
        "participant" => "`participant = Type`",
        "crate" => "`crate = path`",
        _ => "`authenticated`",
    }
}

fn tier(part: &[TokenTree], at: Span, sink: &mut Sink) -> Option<TierName> {
    let [TokenTree::Ident(word)] = part else {
        sink.at(at, "a tier is `system`, `organization` or `application`");
        return None;
    };
    match word.to_string().to_lowercase().as_str() {
        "system" => Some(TierName::System),
        "organization" => Some(TierName::Organization),
        "application" => Some(TierName::Application),
        other => {
            let near = nearest(other, ["system", "organization", "application"]);
            let offer = near.map(|near| format!("\nhelp: write `{near}`")).unwrap_or_default();
            sink.at(
                word.span(),
                format!("unknown tier `{word}`: a tier is `system`, `organization` or `application`{offer}"),
            );
            None
        }
    }
}

/// Reads `a::b`, also from a string.
fn path(stream: TokenStream) -> Option<Path> {
    match syn::parse2::<LitStr>(stream.clone()) {
        Ok(text) => text.parse_with(Path::parse_mod_style).ok(),
        Err(_) => syn::parse::Parser::parse2(Path::parse_mod_style, stream).ok(),
    }
}

fn is_action_id(text: &str) -> bool {
    text.split('.').all(is_name)
}

/// Whether a text is a name of letters, digits and `_`.
pub(crate) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `= a::b` or `= "a::b"`.
pub(crate) fn mod_path(meta: &ParseNestedMeta<'_>) -> syn::Result<Path> {
    let value = meta.value()?;
    if value.peek(LitStr) {
        value.parse::<LitStr>()?.parse_with(Path::parse_mod_style)
    } else {
        Path::parse_mod_style(value)
    }
}

/// Whether an attribute's last name is `name`: `#[abac_policy]`, `#[policy_runtime::abac_policy]`.
pub(crate) fn is_ours(attribute: &Attribute, name: &str) -> bool {
    attribute.path().segments.last().is_some_and(|segment| segment.ident == name)
}

/// The tokens between an attribute's parentheses; `None` for `#[name = value]`, which is an error.
pub(crate) fn arguments(attribute: &Attribute, sink: &mut Sink) -> Option<TokenStream> {
    match &attribute.meta {
        Meta::Path(_) => Some(TokenStream::new()),
        Meta::List(list) => Some(list.tokens.clone()),
        Meta::NameValue(_) => {
            sink.under(attribute, "the contents of this attribute stand in parentheses");
            None
        }
    }
}

/// Where an attribute is, for errors about the whole of it.
pub(crate) fn place(attribute: &Attribute) -> Span {
    attribute.path().segments.last().map_or_else(Span::call_site, |segment| segment.ident.span())
}

/// The contents of `#[publish(..)]` on an impl or a trait.
#[derive(Default)]
pub(crate) struct PublishAttr {
    /// `"com.example"`
    pub(crate) namespace: Option<LitStr>,
    /// `impl`: the implementation of a published trait.
    pub(crate) implementation: Option<Span>,
    /// `version = "1.2.3"`
    pub(crate) version: Option<LitStr>,
    /// `name = "OrderService"`: the service's name, if not the type's.
    pub(crate) name: Option<LitStr>,
    /// `crate = path`: where the façade is.
    pub(crate) krate: Option<Path>,
}

impl PublishAttr {
    /// Reads what stands between the parentheses.
    pub(crate) fn parse(stream: TokenStream, sink: &mut Sink) -> Self {
        let mut out = Self::default();
        for part in split_commas(stream) {
            let under: TokenStream = part.iter().cloned().collect();
            match (part.as_slice(), assigned(&part)) {
                ([TokenTree::Ident(word)], _) if word == "impl" => out.implementation = Some(word.span()),
                ([TokenTree::Literal(_)], _) => match syn::parse2::<LitStr>(under) {
                    Ok(text) if out.namespace.is_some() => sink.at(text.span(), "the namespace is given twice"),
                    Ok(text) if is_action_id(&text.value()) => out.namespace = Some(text),
                    Ok(text) => sink.at(
                        text.span(),
                        format!("`{}` is not a namespace: names of letters, digits and `_`, joined by dots, such as `com.example`", text.value()),
                    ),
                    Err(error) => sink.add(error),
                },
                (_, Some((name, _, value))) => out.set(name, value.iter().cloned().collect(), sink),
                ([TokenTree::Ident(name), ..], None) => {
                    unknown_among(name, &["version", "name", "crate", "impl"], sink);
                }
                _ => sink.under(under, "the namespace is a string: `#[publish(\"com.example\")]`"),
            }
        }
        out
    }

    fn set(&mut self, name: &Ident, value: TokenStream, sink: &mut Sink) {
        match name.to_string().as_str() {
            "version" => self.version = sink.take(syn::parse2(value)),
            "name" => self.name = sink.take(syn::parse2(value)).filter(|name| named_well(name, sink)),
            "crate" => match path(value) {
                Some(path) => self.krate = Some(path),
                None => sink.at(name.span(), "option `crate` is written `crate = path`"),
            },
            _ => unknown_among(name, &["version", "name", "crate", "impl"], sink),
        }
    }
}

fn named_well(name: &LitStr, sink: &mut Sink) -> bool {
    let well = is_name(&name.value());
    if !well {
        sink.at(name.span(), format!("`{}` is not a name of letters, digits and `_`", name.value()));
    }
    well
}

/// Says that an option is unknown, and which there are.
pub(crate) fn unknown_among(name: &Ident, known: &[&str], sink: &mut Sink) {
    let text = name.to_string();
    let offer = match nearest(&text, known.iter().copied()) {
        Some(near) => format!("help: write `{near}`"),
        None => format!("help: the options are {}", listed(known.iter().copied())),
    };
    sink.at(name.span(), format!("unknown option `{text}`\n{offer}"));
}

/// The contents of `#[publish(..)]` on a method.
#[derive(Default)]
pub(crate) struct MethodAttr {
    /// `skip`: not callable by name.
    pub(crate) skip: Option<Span>,
    /// `reason = ".."`: why not.
    pub(crate) reason: Option<LitStr>,
    /// `name = ".."`: its name on the wire.
    pub(crate) name: Option<LitStr>,
}

impl MethodAttr {
    /// Takes the attributes off a method and reads them.
    pub(crate) fn take(attrs: &mut Vec<Attribute>, sink: &mut Sink) -> Self {
        let (ours, others) = std::mem::take(attrs).into_iter().partition(|attribute| is_ours(attribute, PUBLISH));
        *attrs = others;
        let mut out = Self::default();
        let ours: Vec<Attribute> = ours;
        for attribute in &ours {
            for part in split_commas(arguments(attribute, sink).unwrap_or_default()) {
                match (part.as_slice(), assigned(&part)) {
                    ([TokenTree::Ident(word)], _) if word == "skip" => out.skip = Some(word.span()),
                    (_, Some((name, _, value))) => {
                        let value: TokenStream = value.iter().cloned().collect();
                        match name.to_string().as_str() {
                            "reason" => out.reason = sink.take(syn::parse2(value)),
                            "name" => out.name = sink.take(syn::parse2(value)).filter(|name| named_well(name, sink)),
                            _ => unknown_among(name, &["skip", "reason", "name"], sink),
                        }
                    }
                    ([TokenTree::Ident(name), ..], None) => unknown_among(name, &["skip", "reason", "name"], sink),
                    _ => sink.under(
                        attribute,
                        "on a method it is `#[publish(name = \"..\")]` or `#[publish(skip, reason = \"..\")]`",
                    ),
                }
            }
        }
        if let Some(skip) = out.skip
            && out.reason.as_ref().is_none_or(|reason| reason.value().trim().is_empty())
        {
            sink.at(skip, "a skipped method says why: `#[publish(skip, reason = \"only used by the scheduler\")]`");
        }
        out
    }
}
