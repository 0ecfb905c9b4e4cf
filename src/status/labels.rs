//! Which checks and rules are counted, and by what names they are shown.

use std::cell::RefCell;

use super::tally::Tally;
use crate::jwt::TriedRule;
use crate::live::Rows;
use crate::nginx::{Level, SharedMemory};

/// What a row counts.
#[derive(Clone)]
pub(super) enum Label {
    /// A check in a location of a server.
    Check { server: String, location: String, check: &'static str },
    /// A rule that is only tried, by its file and line.
    Rule(String),
}

/// The rows of a location's checks; `None` for a check that is not in force, and if nothing is counted.
#[derive(Clone, Copy, Default)]
pub(crate) struct CheckRows {
    pub(crate) token: Option<usize>,
    pub(crate) link: Option<usize>,
}

/// All that is counted, by the number of its row.
#[derive(Default)]
pub(super) struct Labels {
    labels: RefCell<Vec<Label>>,
    pub(super) tallies: Rows<Tally>,
    /// The rows of the rules.
    rules: RefCell<Vec<usize>>,
}

impl Labels {
    /// The row of a check of `level`. Levels with the same server and location share it.
    pub(super) fn check(&self, level: &Level<'_>, check: &'static str) -> usize {
        let (server, location) = (level.server_label(), level.location_label());
        let name = format!("{check}\0{server}\0{location}");
        self.add(&name, Label::Check { server, location, check })
    }

    fn add(&self, name: &str, label: Label) -> usize {
        let row = self.tallies.add(name.as_bytes());
        let mut labels = self.labels.borrow_mut();
        if row == labels.len() {
            labels.push(label);
        }
        row
    }

    /// Declares the memory, and the rows of the rules that are only tried.
    pub(super) fn declare(&self, rules: &[TriedRule], memory: &SharedMemory<'_>) -> Option<()> {
        let row = |TriedRule { name, text, .. }: &TriedRule| {
            self.add(&format!("rule\0{name}\0{text}"), Label::Rule(name.to_string()))
        };
        self.rules.replace(rules.iter().map(row).collect());
        self.tallies.declare(memory)
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.labels.borrow().len()
    }

    /// Whether a row counts a check: those of the rules come after these.
    pub(super) fn is_check(&self, row: usize) -> bool {
        self.rules.borrow().first().is_none_or(|first| row < *first)
    }

    /// The row of the rule with this number among those that are tried.
    pub(super) fn rule(&self, number: usize) -> Option<usize> {
        self.rules.borrow().get(number).copied()
    }

    /// All labels with their tallies.
    pub(super) fn read(&self) -> Vec<(Label, Tally)> {
        let labels = self.labels.borrow();
        let tally = |(row, label): (usize, &Label)| Some((label.clone(), self.tallies.get(row)?));
        labels.iter().enumerate().filter_map(tally).collect()
    }
}
