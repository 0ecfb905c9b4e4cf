//! The order of the source code: imports go in one direction only, and unsafe code is in one room
//! (docs/architecture.md). The documents are true to it (`documents`).
//!
//! A module here is a file. Every path that begins with `crate`, `super` or a child of the file is
//! an import, except in test modules. So a file that re-exports from its children is above them.

mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use syn::visit::{self, Visit};

/// The rooms of the module, from the bottom up. Each room uses only rooms of the lines before it;
/// rooms in the same line do not use each other.
const ROOMS: [&[&str]; 12] = [
    &["nginx"],
    &["live"],
    &["check"],
    &["revoke"],
    &["issue", "jwt", "link", "playlist"],
    &["status"],
    &["location"],
    &["context"],
    &["access"],
    &["renewed"],
    &["answer", "rewritten"],
    &["variables"],
];

/// The modules above all rooms; the empty name is the crate root.
const TABLES: [&str; 2] = ["directives", ""];

/// The names on the path to a module; empty for the root.
type Module = Vec<String>;

/// Each module of a crate, with the other modules that it imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            rust_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

/// The module that a file holds; `lib.rs` and `main.rs` are the root.
fn module_of(file: &Path, sources: &Path) -> Result<Module> {
    let path = file.strip_prefix(sources)?.with_extension("");
    let names = path.iter().map(|name| name.to_string_lossy().into_owned());
    Ok(names.filter(|name| !matches!(&**name, "lib" | "main" | "mod")).collect())
}

fn imports(sources: &Path) -> Result<Imports> {
    let mut files = Vec::new();
    rust_files(sources, &mut files)?;
    let known =
        files.iter().map(|file| module_of(file, sources)).collect::<Result<BTreeSet<_>>>()?;
    let mut all = Imports::new();
    for file in &files {
        let text = fs::read_to_string(file)?;
        let parsed = syn::parse_file(&text).with_context(|| file.display().to_string())?;
        let module = module_of(file, sources)?;
        let mut paths = Paths { found: Vec::new() };
        paths.visit_file(&parsed);
        let found = paths.found.iter().filter_map(|path| resolve(path, &module, &known));
        all.insert(module.clone(), found.filter(|one| *one != module).collect());
    }
    Ok(all)
}

/// The module that a path leads to: the longest beginning of the path that names a module.
fn resolve(path: &[String], from: &Module, known: &BTreeSet<Module>) -> Option<Module> {
    let mut whole = Vec::new();
    let mut names = path.iter().peekable();
    match names.peek()?.as_str() {
        "crate" => drop(names.next()),
        "super" => whole.clone_from(from),
        // The path begins with a child module, which this file declares.
        child if known.contains(&[&from[..], &[child.to_owned()]].concat()) => {
            whole.clone_from(from);
        }
        _ => return None,
    }
    for name in names {
        match name.as_str() {
            "super" => drop(whole.pop()),
            "self" => {}
            name => whole.push(name.to_owned()),
        }
    }
    while !known.contains(&whole) {
        whole.pop()?;
    }
    Some(whole)
}

/// Collects all paths in a file.
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn of_use(&mut self, tree: &syn::UseTree, before: &[String]) {
        let with = |name: &syn::Ident| [before, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(path) => self.of_use(&path.tree, &with(&path.ident)),
            syn::UseTree::Name(name) => self.found.push(with(&name.ident)),
            syn::UseTree::Rename(name) => self.found.push(with(&name.ident)),
            syn::UseTree::Glob(_) => self.found.push(before.to_vec()),
            syn::UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.of_use(tree, before));
            }
        }
    }

    /// `syn` does not parse the input of a macro, so this finds `crate::a::b` in its tokens.
    fn of_tokens(&mut self, tokens: proc_macro2::TokenStream) {
        use proc_macro2::TokenTree;
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(name) if path.is_empty() => {
                    if name == "crate" || name == "super" {
                        path.push(name.to_string());
                    }
                }
                TokenTree::Ident(name) => path.push(name.to_string()),
                TokenTree::Punct(colon) if colon.as_char() == ':' => {}
                TokenTree::Group(group) => {
                    self.of_tokens(group.stream());
                    self.found.extend((path.len() > 1).then(|| std::mem::take(&mut path)));
                    path.clear();
                }
                _ => {
                    self.found.extend((path.len() > 1).then(|| std::mem::take(&mut path)));
                    path.clear();
                }
            }
        }
        self.found.extend((path.len() > 1).then_some(path));
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|one| {
        one.path().is_ident("cfg")
            && one.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"))
    })
}

impl Visit<'_> for Paths {
    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    /// `pub(super)` is a path, but not an import.
    fn visit_visibility(&mut self, _: &syn::Visibility) {}

    fn visit_item_use(&mut self, item: &syn::ItemUse) {
        self.of_use(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &syn::Path) {
        self.found.push(path.segments.iter().map(|part| part.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, one: &syn::Macro) {
        self.of_tokens(one.tokens.clone());
        visit::visit_macro(self, one);
    }
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "the root".to_owned() } else { module.join("::") }
}

/// Finds a ring of imports: removes each module that imports none of the modules left, again and
/// again. If some modules remain, there is a ring.
fn ring(mut imports: Imports) -> Option<String> {
    loop {
        let left: BTreeSet<Module> = imports.keys().cloned().collect();
        let before = imports.len();
        imports.retain(|_, to| to.iter().any(|one| left.contains(one)));
        if imports.is_empty() {
            return None;
        }
        if imports.len() == before {
            let lines = imports.iter().map(|(from, to)| {
                let to: Vec<_> = to.iter().filter(|one| left.contains(*one)).map(shown).collect();
                format!("{} imports {}", shown(from), to.join(", "))
            });
            return Some(lines.collect::<Vec<_>>().join("\n"));
        }
    }
}

#[test]
fn no_crate_has_a_ring_of_imports() -> Result<()> {
    for sources in ["src", "token/src", "tokenctl/src"] {
        let imports = imports(&root().join(sources))?;
        ensure!(imports.len() > 5, "{sources}: only {} files", imports.len());
        if let Some(ring) = ring(imports) {
            anyhow::bail!("{sources}: these files import each other:\n{ring}");
        }
    }
    Ok(())
}

#[test]
fn each_room_of_the_module_uses_only_those_below_it() -> Result<()> {
    let floor = |module: &Module| {
        let room = module.first().map_or("", String::as_str);
        let floor = ROOMS.iter().position(|rooms| rooms.contains(&room));
        floor
            .or(TABLES.contains(&room).then_some(ROOMS.len()))
            .map(|floor| (floor, room.to_owned()))
    };
    let mut wrong = Vec::new();
    for (from, to) in imports(&root().join("src"))? {
        let (own, room) =
            floor(&from).with_context(|| format!("which room is {}?", shown(&from)))?;
        for other in to {
            let (floor, other_room) = floor(&other).context("a room")?;
            if other_room != room && floor >= own && own < ROOMS.len() {
                wrong.push(format!("{} imports {}", shown(&from), shown(&other)));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// Records whether a file contains unsafe code.
#[derive(Default)]
struct Unsafe(bool);

impl Visit<'_> for Unsafe {
    fn visit_expr_unsafe(&mut self, _: &syn::ExprUnsafe) {
        self.0 = true;
    }

    fn visit_signature(&mut self, signature: &syn::Signature) {
        self.0 |= matches!(signature.safety, syn::Safety::Unsafe(_));
        visit::visit_signature(self, signature);
    }

    fn visit_item_impl(&mut self, item: &syn::ItemImpl) {
        self.0 |= item.unsafety.is_some();
        visit::visit_item_impl(self, item);
    }

    fn visit_attribute(&mut self, attribute: &syn::Attribute) {
        self.0 |= attribute.path().is_ident("unsafe");
    }
}

#[test]
fn unsafe_code_is_at_the_boundary_only() -> Result<()> {
    let sources = root().join("src");
    let mut files = Vec::new();
    rust_files(&sources, &mut files)?;
    let mut at_the_boundary = 0;
    for file in files {
        let mut found = Unsafe::default();
        found.visit_file(&syn::parse_file(&fs::read_to_string(&file)?)?);
        let is_boundary = module_of(&file, &sources)?.first().is_some_and(|room| room == "nginx");
        ensure!(is_boundary || !found.0, "{} has unsafe code", file.display());
        at_the_boundary += usize::from(found.0);
    }
    ensure!(at_the_boundary > 5, "no unsafe code was found at all");
    Ok(())
}

#[test]
fn a_ring_is_found() {
    let to = |names: &[&str]| names.iter().map(|name| vec![(*name).to_owned()]).collect();
    let imports: Imports =
        [("a", to(&["b"])), ("b", to(&["c"])), ("c", to(&["b"])), ("d", to(&[]))]
            .map(|(name, to)| (vec![name.to_owned()], to))
            .into();
    let ring = ring(imports).unwrap_or_default();
    assert_eq!(ring, "a imports b\nb imports c\nc imports b");
}

/// The words of a page that name a test: `attacks::kids::NAME` in `tests/tests/attacks/kids.rs`,
/// `token::rfc::NAME` in `token/tests/rfc.rs`.
fn tests_named(page: &str) -> Vec<(&str, &str, &str)> {
    page.split('`')
        .filter_map(|word| {
            let [folder, file, name] = word.split("::").collect::<Vec<_>>()[..] else {
                return None;
            };
            Some((folder, file, name))
        })
        .collect()
}

#[test]
fn tests_that_a_page_names_exist() -> Result<()> {
    let page = fs::read_to_string(root().join("docs/rfc8725.md"))?;
    let named = tests_named(&page);
    ensure!(named.len() > 30, "only {} tests are named", named.len());
    let mut missing = Vec::new();
    for (folder, file, name) in named {
        if name == "NAME" {
            continue;
        }
        let path = match folder {
            "token" => root().join("token/tests"),
            folder => root().join("tests/tests").join(folder),
        };
        let text = fs::read_to_string(path.join(file).with_extension("rs")).unwrap_or_default();
        if !text.contains(&format!("fn {name}(")) {
            missing.push(format!("{folder}::{file}::{name}"));
        }
    }
    ensure!(missing.is_empty(), "docs/rfc8725.md: no such test: {}", missing.join(", "));
    Ok(())
}
