//! The elements of an MPD, and what relative URLs in them are relative to.

use std::ops::Range;

use crate::playlist::site::Reach;

/// The number of an element, in the order in which elements begin.
pub(super) type Number = u32;

/// An element.
#[derive(Clone, Copy)]
struct Scope {
    parent: Number,
    /// Where its `BaseURL`s lead; `None` if it has none.
    base: Option<Reach>,
    /// Whether it is replaced by what a link (`xlink:href`) leads to.
    is_linked: bool,
}

/// A URL that may lead to the request's host.
pub(super) struct Url {
    /// Where its value is, within quotes or between tags.
    pub(super) value: Range<usize>,
    pub(super) is_template: bool,
    pub(super) needs: Needs,
}

/// Under which condition a URL leads to the request's host.
#[derive(Clone, Copy)]
pub(super) enum Needs {
    /// It names the host.
    Nothing,
    /// It is relative to the bases around this element.
    Around(Number),
    /// It is relative to the document, or to the bases of this element.
    Document(Number),
    /// It is used within this element by all that is in it.
    Within(Number),
}

/// What is known of a document.
#[derive(Default)]
pub(super) struct Document {
    scopes: Vec<Scope>,
    urls: Vec<(Url, bool)>,
    /// Whether the document has a `Location` elsewhere, which some players take for its URL.
    pub(super) has_moved: bool,
    /// Whether the values of all `Representation`s that are put into templates are plain.
    pub(super) has_odd_values: bool,
    /// Whether URLs that change the document later lead elsewhere; and those that may.
    is_steered: bool,
    steering: Vec<Needs>,
    /// What was found when all was read: which elements have only bases of the request's host, with those
    /// around them, and which have only such elements in them.
    own: Vec<bool>,
    all_own: Vec<bool>,
}

impl Document {
    /// Adds an element; `None` if there are too many.
    pub(super) fn begin(&mut self, parent: Number) -> Option<Number> {
        let number = Number::try_from(self.scopes.len()).ok()?;
        self.scopes.push(Scope { parent, base: None, is_linked: false });
        Some(number)
    }

    /// Notes a `BaseURL` of an element.
    pub(super) fn add_base(&mut self, number: Number, reach: Reach) {
        if let Some(scope) = self.scopes.get_mut(number as usize) {
            scope.base = Some(match (scope.base, reach) {
                (Some(Reach::Elsewhere), _) | (_, Reach::Elsewhere) => Reach::Elsewhere,
                (None | Some(Reach::Own), Reach::Own) => Reach::Own,
                _ => Reach::Relative,
            });
        }
    }

    /// Notes that an element is replaced.
    pub(super) fn link(&mut self, number: Number) {
        if let Some(scope) = self.scopes.get_mut(number as usize) {
            scope.is_linked = true;
        }
    }

    /// Notes a URL that leads to `reach`, and the values that it takes from a `Representation`.
    pub(super) fn add_url(&mut self, reach: Reach, by_representation: bool, mut url: Url) {
        match reach {
            Reach::Own => url.needs = Needs::Nothing,
            Reach::Relative => {}
            Reach::Itself | Reach::Elsewhere => return,
        }
        self.urls.push((url, by_representation));
    }

    /// Notes a URL from which players get changes of the document.
    pub(super) fn add_steering(&mut self, reach: Reach, needs: Needs) {
        match reach {
            Reach::Own => {}
            Reach::Relative => self.steering.push(needs),
            Reach::Itself | Reach::Elsewhere => self.is_steered = true,
        }
    }

    /// To be called when all has been read.
    pub(super) fn complete(&mut self) {
        let mut own: Vec<bool> = Vec::with_capacity(self.scopes.len());
        for scope in &self.scopes {
            // The parent comes before; that of the root is itself.
            let around = own.get(scope.parent as usize).copied().unwrap_or(!self.has_moved);
            own.push(
                !scope.is_linked
                    && match scope.base {
                        None | Some(Reach::Relative | Reach::Itself) => around,
                        Some(Reach::Own) => true,
                        Some(Reach::Elsewhere) => false,
                    },
            );
        }
        let mut all_own = own.clone();
        for (number, scope) in self.scopes.iter().enumerate().rev() {
            if all_own.get(number) == Some(&false)
                && let Some(parent) = all_own.get_mut(scope.parent as usize)
            {
                *parent = false;
            }
        }
        (self.own, self.all_own) = (own, all_own);
    }

    /// Whether another host may change the document.
    pub(super) fn is_steered(&self) -> bool {
        self.is_steered || !self.steering.iter().all(|needs| self.holds(*needs))
    }

    /// The URLs that lead to the request's host, in their order.
    pub(super) fn urls(&self) -> impl Iterator<Item = &Url> {
        let leads = |(url, by_representation): &&(Url, bool)| {
            self.holds(url.needs) && !(*by_representation && self.has_odd_values)
        };
        self.urls.iter().filter(leads).map(|(url, _)| url)
    }

    fn holds(&self, needs: Needs) -> bool {
        let is_own = |number: Number| self.own.get(number as usize) == Some(&true);
        match needs {
            Needs::Nothing => true,
            Needs::Around(number) => match self.scopes.get(number as usize) {
                Some(scope) if scope.parent != number => is_own(scope.parent),
                _ => !self.has_moved,
            },
            Needs::Document(number) => !self.has_moved && is_own(number),
            Needs::Within(number) => self.all_own.get(number as usize) == Some(&true),
        }
    }
}
