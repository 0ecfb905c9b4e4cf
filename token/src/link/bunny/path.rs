//! Links in the path: `/bcdn_token=T&expires=N&token_path=%2Fdirectory/directory/file`.
//!
//! A server sees this path decoded and normalised: nothing tells the slashes of `token_path` from those of the
//! file's path any more, and where two came together, one is left. So, where `token_path` is the last argument,
//! each place is tried at which it could end: the signature says which of them is right.

/// What the path of a link begins with.
const START: &[u8] = b"/bcdn_token=";

/// The most places at which `token_path` is tried to end.
const MOST: usize = 16;

/// Arguments, names and values.
pub(super) type Pairs<'p> = Vec<(&'p [u8], &'p [u8])>;

/// Whether the path holds a link.
pub(super) fn has_link(path: &[u8]) -> bool {
    path.starts_with(START)
}

/// Takes the arguments off a path, decoded and normalised: them, and the path of the file, in every way in which
/// they may be meant. Only the value of `token_path` may hold a slash.
pub(super) fn read(path: &[u8]) -> Result<Vec<(Pairs<'_>, &[u8])>, &'static str> {
    const ENDLESS: &str = "no path follows the arguments";
    let mut rest = path.get(1..).unwrap_or_default();
    let mut pairs = Pairs::new();
    loop {
        let (name, after) = split(rest, b"=").ok_or(ENDLESS)?;
        if name.iter().any(|byte| matches!(byte, b'/' | b'&')) {
            return Err("an argument in the path has no value");
        }
        let name = if name == b"bcdn_token" { b"token" } else { name };
        let is_path = name == b"token_path";
        let ends: &[u8] = if is_path { b"&" } else { b"&/" };
        let Some((value, next)) = split(after, ends) else {
            return if is_path { Ok(last(&pairs, after)) } else { Err(ENDLESS) };
        };
        pairs.push((name, value));
        let file = after.get(value.len()..).unwrap_or_default();
        if file.starts_with(b"/") {
            return Ok(vec![(pairs, file)]);
        }
        rest = next;
    }
}

/// What is before the first of these bytes, and what is after it.
fn split<'p>(text: &'p [u8], ends: &[u8]) -> Option<(&'p [u8], &'p [u8])> {
    let at = text.iter().position(|byte| ends.contains(byte))?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The ways to divide a text into `token_path` and a path that it covers, the shortest `token_path` first.
fn last<'p>(pairs: &Pairs<'p>, text: &'p [u8]) -> Vec<(Pairs<'p>, &'p [u8])> {
    let slashes = (1..=text.len() / 2).filter(|at| text.get(*at) == Some(&b'/'));
    let between = slashes.flat_map(|at| {
        let file = text.get(at..).unwrap_or_default();
        // Of `//` between them one may be left.
        [text.get(..at), text.get(..=at)].map(|token_path| (token_path.unwrap_or_default(), file))
    });
    let ways = between.filter(|(token_path, file)| begins(file, token_path));
    let root = text.starts_with(b"/").then_some((&b"/"[..], text));
    let ways = root.into_iter().chain(ways).take(MOST);
    let with = |token_path| pairs.iter().copied().chain([(&b"token_path"[..], token_path)]);
    ways.map(|(token_path, file)| (with(token_path).collect(), file)).collect()
}

/// Whether a path begins with another one that ends where a segment does.
pub(super) fn begins(path: &[u8], with: &[u8]) -> bool {
    let rest = path.strip_prefix(with);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || with.ends_with(b"/"))
}
