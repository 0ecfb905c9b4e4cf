//! The list in its file, and tokens with ids that are in it and ids that are not.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::tokens::{SECRET, Signer, bearer, claims};

/// How many different tokens take turns.
const TURNS: usize = 20_000;
/// Ids from here on are in no list.
const UNLISTED: u64 = 1 << 40;
/// Ids from here on are added to a list.
const ADDED: u64 = 1 << 41;

/// How many ids a list has, and how long each is: with the ends of the lines, the largest two are as near
/// to 256 MiB as ids of that length come.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) ids: usize,
    pub(super) characters: usize,
}

impl Size {
    /// An id that looks like a UUID, or a part of one.
    fn id(self, number: u64) -> String {
        let [a, b] = [mixed(2 * number), mixed(2 * number + 1)];
        let mut id = format!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        );
        id.truncate(self.characters);
        id
    }

    /// The numbers of the listed ids that tokens have, spread over the list.
    fn asked(self) -> impl Iterator<Item = u64> {
        let count = self.ids.min(TURNS);
        (0..count).map(move |n| (n * self.ids / count) as u64)
    }
}

/// SplitMix64: ids have no order.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// The file of a list.
pub(super) struct List {
    size: Size,
    path: PathBuf,
    added: u64,
}

impl List {
    /// Writes the list. The ids that tokens ask for are found, but count no more (`until=`): such a token
    /// costs what a listed one costs, and the answer is the same as for one that is not listed.
    pub(super) fn write(size: Size, folder: &Path) -> Result<Self> {
        let path = folder.join("list");
        let mut file = BufWriter::with_capacity(1 << 20, File::create(&path)?);
        let mut asked = size.asked().peekable();
        for number in 0..size.ids as u64 {
            file.write_all(size.id(number).as_bytes())?;
            if asked.next_if_eq(&number).is_some() {
                file.write_all(b" until=1")?;
            }
            file.write_all(b"\n")?;
        }
        file.flush()?;
        Ok(Self { size, path, added: 0 })
    }

    pub(super) fn bytes(&self) -> Result<u64> {
        Ok(self.path.metadata()?.len())
    }

    /// Adds an id, and returns the header line of a token with it.
    pub(super) fn add(&mut self) -> Result<String> {
        let id = self.size.id(ADDED + self.added);
        self.added += 1;
        OpenOptions::new()
            .append(true)
            .open(&self.path)?
            .write_all(format!("{id}\n").as_bytes())?;
        header(0, &json!(id))
    }
}

/// Header lines of the tokens that take turns.
pub(super) struct Tokens {
    pub(super) unlisted: Vec<String>,
    /// Empty if the list is.
    pub(super) listed: Vec<String>,
    /// The claim of each has [`Tokens::MANY`] ids that are not listed.
    pub(super) many: Vec<String>,
}

impl Tokens {
    pub(super) const MANY: usize = 16;

    pub(super) fn new(size: Size) -> Result<Self> {
        let id = |number| size.id(UNLISTED + number);
        let turns = TURNS as u64;
        let many = |user: u64| (0..Self::MANY as u64).map(move |n| id(turns + n * turns + user));
        Ok(Self {
            unlisted: (0..turns).map(|n| header(n, &json!(id(n)))).collect::<Result<_>>()?,
            listed: size.asked().map(|n| header(n, &json!(size.id(n)))).collect::<Result<_>>()?,
            many: (0..turns)
                .map(|n| header(n, &many(n).map(Value::from).collect()))
                .collect::<Result<_>>()?,
        })
    }
}

fn header(user: u64, jti: &Value) -> Result<String> {
    let mut claims = claims(usize::try_from(user % TURNS as u64)?);
    *claims.get_mut("jti").context("claims without a jti")? = jti.clone();
    Ok(bearer(&Signer::secret("k", SECRET).token(&claims)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_its_ids_once_and_of_their_length() {
        let folder = tempfile::tempdir().unwrap();
        for (characters, long) in [(36, 44), (25, 33)] {
            let size = Size { ids: 40_000, characters };
            let mut list = List::write(size, folder.path()).unwrap();
            let text = std::fs::read_to_string(&list.path).unwrap();
            assert_eq!(text.lines().count(), size.ids);
            assert_eq!(text.lines().filter(|line| line.len() == long).count(), TURNS);
            assert!(
                text.lines().all(|line| matches!(line.len(), n if n == long || n == characters))
            );
            let different: std::collections::HashSet<_> = text.lines().collect();
            assert_eq!(different.len(), size.ids);
            let before = list.bytes().unwrap();
            list.add().unwrap();
            assert_eq!(list.bytes().unwrap(), before + characters as u64 + 1);
        }
        assert_eq!(Tokens::new(Size { ids: 0, characters: 36 }).unwrap().listed.len(), 0);
        assert_eq!(Tokens::new(Size { ids: 3, characters: 36 }).unwrap().listed.len(), 3);
    }
}
