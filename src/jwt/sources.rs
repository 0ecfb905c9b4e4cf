//! Where a token is looked for (`jwt_token`).

use std::borrow::Cow;
use std::rc::Rc;

use token::Reject;
use token::credential::{self, Found, is_token};

use crate::check::{NoVerdict, Source};
use crate::nginx::{ComplexValue, ConfError, Request, Result, Setting};

/// A place where a token is looked for.
#[derive(PartialEq)]
pub(super) enum TokenSource {
    /// The `Authorization` header with this scheme.
    Scheme(Box<[u8]>),
    /// The password of the `Authorization` header with the scheme `Basic`.
    Basic,
    /// What follows this word in a header.
    AfterWord { name: Box<[u8]>, word: Box<[u8]> },
    /// A place that is found by its name.
    Named(Source),
}

/// The sources that one `jwt_token` names, in their order.
pub(super) type Sources = Rc<[Rc<TokenSource>]>;

/// A source as a check uses it.
pub(super) struct AskedSource {
    pub(super) source: Rc<TokenSource>,
    /// The numbers of the providers whose tokens are looked for here; `None` for all.
    pub(super) providers: Option<Vec<usize>>,
}

/// A token that was found, or why it is refused; `None` if there is none.
type Candidate<'r> = Option<Result<Cow<'r, [u8]>, Reject>>;

/// The default: the `Authorization` header with the scheme `Bearer`.
pub(super) fn bearer() -> Sources {
    Rc::new([Rc::new(TokenSource::Scheme(b"Bearer".as_slice().into()))])
}

/// One source for tokens of all providers, with variables (`auth_jwt ... token=`).
pub(super) fn value(value: ComplexValue) -> Sources {
    Rc::new([Rc::new(TokenSource::Named(Source::Value(value)))])
}

/// Reads the arguments of `jwt_token`.
pub(super) fn read(setting: &Setting<'_>) -> Result<Sources> {
    let mut sources = Vec::new();
    for word in setting.values() {
        match word.strip_prefix(b"prefix=") {
            Some(scheme) => prefix(sources.last_mut(), scheme)?,
            None => sources.push(TokenSource::read(setting, word)?),
        }
    }
    Ok(sources.into_iter().map(Rc::new).collect())
}

/// `prefix=`, which belongs to the source before it.
fn prefix(source: Option<&mut TokenSource>, word: &[u8]) -> Result {
    if !is_token(word) {
        return Err(ConfError::value(word, "must be a word, such as prefix=Token"));
    }
    let misplaced = || {
        ConfError::mistake(
            "has \"prefix=\" where no \"bearer\" or \"header:NAME\" stands before it",
        )
    };
    match source.ok_or_else(misplaced)? {
        TokenSource::Scheme(scheme) if &**scheme == b"Bearer" => *scheme = word.into(),
        source => {
            let TokenSource::Named(Source::Header(name)) = source else { return Err(misplaced()) };
            *source = TokenSource::AfterWord { name: core::mem::take(name), word: word.into() };
        }
    }
    Ok(())
}

impl TokenSource {
    fn read(setting: &Setting<'_>, word: &[u8]) -> Result<Self> {
        match word {
            b"bearer" => Ok(Self::Scheme(b"Bearer".as_slice().into())),
            b"basic" => Ok(Self::Basic),
            _ => Source::read(setting, word)?.map(Self::Named).ok_or_else(|| {
                ConfError::value(
                    word,
                    "must be bearer, basic, header:NAME, cookie:NAME, arg:NAME, or hold a variable",
                )
            }),
        }
    }

    /// The token in this place.
    pub(super) fn find<'r>(&'r self, request: Request<'r>) -> Result<Candidate<'r>, NoVerdict> {
        let lines = || request.header_values(b"authorization");
        Ok(candidate(match self {
            Self::Scheme(scheme) => credential::of_scheme(lines(), scheme),
            Self::Basic => return Ok(password(credential::basic(lines()))),
            Self::AfterWord { name, word } => {
                credential::header(request.header_lines(name), name, Some(word))
            }
            Self::Named(source) => source.find(request)?,
        }))
    }
}

fn candidate(found: Found<'_>) -> Candidate<'_> {
    match found {
        Found::Absent => None,
        Found::Unusable => Some(Err(Reject::Malformed)),
        Found::One(token) => Some(Ok(Cow::Borrowed(token))),
    }
}

fn password(found: Found<'_>) -> Candidate<'_> {
    let text = match candidate(found)? {
        Ok(text) => text,
        Err(reject) => return Some(Err(reject)),
    };
    match credential::password(&text) {
        None => Some(Err(Reject::Malformed)),
        Some(password) => (!password.is_empty()).then_some(Ok(Cow::Owned(password))),
    }
}

/// The sources of a check whose providers have none of their own.
pub(super) fn for_all(sources: &Sources) -> Rc<[AskedSource]> {
    let asked = |source: &Rc<_>| AskedSource { source: Rc::clone(source), providers: None };
    sources.iter().map(asked).collect()
}

/// The sources of a check with several providers: those of the providers in their order, by number, then
/// the location's, which are for the providers without. A source that several of them name stands where it
/// is named first.
pub(super) fn for_each(own: &[Option<Sources>], location: &Sources) -> Rc<[AskedSource]> {
    if own.iter().all(Option::is_none) {
        return for_all(location);
    }
    let named =
        own.iter().enumerate().filter_map(|(number, sources)| Some((sources.as_ref()?, number)));
    let others = own.iter().enumerate().filter(|(_, sources)| sources.is_none());
    let others = others.map(|(number, _)| (location, number));
    let mut asked: Vec<AskedSource> = Vec::new();
    for (sources, number) in named.chain(others) {
        for source in sources.iter() {
            match asked.iter_mut().find(|one| one.source == *source) {
                Some(one) => one.providers.get_or_insert_default().push(number),
                None => asked
                    .push(AskedSource { source: Rc::clone(source), providers: Some(vec![number]) }),
            }
        }
    }
    asked.into()
}

/// The query without the arguments that are sources; `None` if it has none of them.
pub(super) fn without_tokens<'s>(
    query: &[u8],
    sources: impl Iterator<Item = &'s AskedSource> + Clone,
) -> Option<Vec<u8>> {
    let names = sources.filter_map(|one| match &*one.source {
        TokenSource::Named(Source::Arg(name)) => Some(&**name),
        _ => None,
    });
    credential::without_arguments(query, names)
}
