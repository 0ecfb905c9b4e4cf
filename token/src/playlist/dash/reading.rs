//! Reads an MPD, and finds its URLs.

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::attributes::Attribute;
use quick_xml::events::{BytesDecl, BytesStart, Event};

use super::scopes::{Document, Needs, Number, Url};
use super::template;
use super::value::Value;
use crate::playlist::site::{Reach, Site};
use crate::playlist::unforwarded::Unforwarded;

/// How deep elements may be nested. An MPD has less than ten levels.
const MAX_DEPTH: usize = 64;

/// What an element of an MPD means for its URLs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Element {
    /// It has `BaseURL`s, and what is in it uses its templates.
    Level,
    Representation,
    BaseUrl,
    Location,
    /// `PatchLocation` or `ContentSteering`.
    Steering,
    /// With URLs in attributes, and which ones.
    Template,
    SegmentUrl,
    Source,
    Other,
}

/// A document that is being read.
pub(super) struct Reading<'d> {
    text: &'d str,
    site: &'d Site<'d>,
    open: Vec<Open>,
    document: Document,
}

/// An element that has begun.
struct Open {
    element: Element,
    number: Number,
    /// The level that it belongs to.
    level: Number,
    /// Where its content begins.
    content: usize,
    /// Whether there is anything but text in it.
    is_mixed: bool,
}

impl Element {
    /// ffmpeg ignores the case of names, and nobody knows all prefixes.
    fn named(name: &str) -> Self {
        const NAMES: [(&str, Element); 14] = [
            ("MPD", Element::Level),
            ("Period", Element::Level),
            ("AdaptationSet", Element::Level),
            ("Representation", Element::Representation),
            ("BaseURL", Element::BaseUrl),
            ("Location", Element::Location),
            ("PatchLocation", Element::Steering),
            ("ContentSteering", Element::Steering),
            ("SegmentTemplate", Element::Template),
            ("SegmentURL", Element::SegmentUrl),
            ("Initialization", Element::Source),
            ("RepresentationIndex", Element::Source),
            ("BitstreamSwitching", Element::Source),
            ("SubRepresentation", Element::Level),
        ];
        let found = NAMES.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
        found.map_or(Self::Other, |(_, element)| *element)
    }

    fn is_level(self) -> bool {
        matches!(self, Self::Level | Self::Representation)
    }

    /// The names of its attributes with URLs.
    fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Template => &["media", "index", "initialization", "bitstreamSwitching"],
            Self::SegmentUrl => &["media", "index"],
            Self::Source => &["sourceURL"],
            _ => &[],
        }
    }
}

impl<'d> Reading<'d> {
    /// Reads a document.
    pub(super) fn of(text: &'d str, site: &'d Site<'d>) -> Result<Self, Unforwarded> {
        let mut reading = Self { text, site, open: Vec::new(), document: Document::default() };
        reading.read().ok_or(Unforwarded::NotRead)?;
        reading.document.complete();
        Ok(reading)
    }

    pub(super) fn document(self) -> Document {
        self.document
    }

    fn read(&mut self) -> Option<()> {
        let mut reader = Reader::from_str(self.text);
        reader.config_mut().enable_all_checks(true);
        let (mut before, mut had_root) = (0, false);
        loop {
            let event = reader.read_event().ok()?;
            let after = usize::try_from(reader.buffer_position()).ok()?;
            if self.open.is_empty() && matches!(event, Event::Start(_) | Event::Empty(_)) {
                let is_root = matches!(&event, Event::Start(tag) if has_name(tag, "MPD"));
                if !is_root || std::mem::replace(&mut had_root, true) {
                    return None;
                }
            }
            match event {
                Event::Start(tag) => self.start(&tag, after)?,
                Event::Empty(tag) => {
                    self.start(&tag, after)?;
                    self.end(after);
                }
                Event::End(_) => self.end(before),
                Event::Text(_) | Event::GeneralRef(_) => {}
                Event::CData(_) | Event::Comment(_) | Event::PI(_) => {
                    let markup = self.text.get(before..after)?;
                    is_same_for_all(markup.get(1..markup.len().checked_sub(1)?)?)?;
                    self.is_mixed();
                }
                Event::Decl(declaration) => is_utf8(&declaration)?,
                // It may define entities, and default values of attributes.
                Event::DocType(_) => return None,
                Event::Eof => return (had_root && self.open.is_empty()).then_some(()),
            }
            before = after;
        }
    }

    /// The element around what is being read has more than text in it.
    fn is_mixed(&mut self) {
        if let Some(open) = self.open.last_mut() {
            open.is_mixed = true;
        }
    }

    fn start(&mut self, tag: &BytesStart<'_>, content: usize) -> Option<()> {
        if self.open.len() >= MAX_DEPTH {
            return None;
        }
        self.is_mixed();
        let element = Element::named(tag.local_name().as_ref());
        let (parent, level) = self.open.last().map_or((0, 0), |open| (open.number, open.level));
        let number = self.document.begin(parent)?;
        for attribute in tag.attributes() {
            self.attribute(element, number, level, &attribute.ok()?)?;
        }
        let level = if element.is_level() { number } else { level };
        self.open.push(Open { element, number, level, content, is_mixed: false });
        Some(())
    }

    fn attribute(
        &mut self,
        element: Element,
        number: Number,
        level: Number,
        attribute: &Attribute<'_>,
    ) -> Option<()> {
        let name: &str = attribute.key.as_ref();
        let value = self.range_of(&attribute.value)?;
        is_same_for_all(self.text.get(value.clone())?)?;
        // Some players take no other character for the beginning of a name, and nobody for certain reads this one.
        if !name.starts_with(|first: char| first.is_ascii_alphabetic()) || name == "xml:base" {
            return None;
        }
        let url = |is_template, needs| Url { value: value.clone(), is_template, needs };
        if element == Element::Steering && name.eq_ignore_ascii_case("proxyServerURL") {
            // It is asked with the whole URL of the steering.
            let reach = self.reach(&value);
            self.document.add_steering(reach, Needs::Document(number));
        } else if attribute.key.local_name().as_ref() == "href" {
            let reach = self.reach(&value);
            self.document.link(number);
            self.document.add_url(reach, false, url(false, Needs::Around(number)));
        } else if element == Element::Representation && ["id", "bandwidth"].contains(&name) {
            let text = self.text.get(value.clone()).unwrap_or_default();
            self.document.has_odd_values |=
                Value::read(text).is_none_or(|value| !template::is_plain(value.whole()));
        } else if element.attributes().contains(&name) {
            let needs = Needs::Within(level);
            if element == Element::Template {
                let text = self.text.get(value.clone()).and_then(Value::read)?;
                let found = template::reach(text.whole(), self.site);
                self.document.add_url(found.reach, found.by_representation, url(true, needs));
            } else {
                let reach = self.reach(&value);
                self.document.add_url(reach, false, url(false, needs));
            }
        }
        Some(())
    }

    fn end(&mut self, end: usize) {
        let Some(open) = self.open.pop() else { return };
        let Some((parent, level)) = self.open.last().map(|open| (open.number, open.level)) else {
            return;
        };
        let value = open.content..end.max(open.content);
        let reach = if open.is_mixed { Reach::Elsewhere } else { self.reach(&value) };
        let needs = match open.element {
            Element::BaseUrl => {
                // Below an element that is not known here, it may count for the level around that.
                self.document.add_base(level, reach);
                Needs::Around(parent)
            }
            Element::Location => {
                self.document.has_moved |= reach == Reach::Elsewhere;
                Needs::Document(parent)
            }
            Element::Steering => {
                self.document.add_steering(reach, Needs::Document(parent));
                Needs::Document(parent)
            }
            _ => return,
        };
        self.document.add_url(reach, false, Url { value, is_template: false, needs });
    }

    /// Where the value in this range leads.
    fn reach(&self, value: &Range<usize>) -> Reach {
        let value = self.text.get(value.clone()).and_then(Value::read);
        value.map_or(Reach::Elsewhere, |value| self.site.reach(value.whole().as_bytes()))
    }

    /// Where a part of the document is.
    fn range_of(&self, part: &str) -> Option<Range<usize>> {
        let start = part.as_ptr().addr().checked_sub(self.text.as_ptr().addr())?;
        let range = start..start.checked_add(part.len())?;
        (self.text.get(range.clone()) == Some(part)).then_some(range)
    }
}

/// Refuses what makes simple readers see other elements than there are: they take the next `<` or `>` for markup,
/// also in a comment or a value.
fn is_same_for_all(text: &str) -> Option<()> {
    (!text.contains(['<', '>'])).then_some(())
}

fn has_name(tag: &BytesStart<'_>, name: &str) -> bool {
    tag.local_name().as_ref() == name
}

/// Whether a document is declared to be in UTF-8, or not to be in anything.
fn is_utf8(declaration: &BytesDecl<'_>) -> Option<()> {
    match declaration.encoding() {
        None => Some(()),
        Some(name) => name.ok()?.eq_ignore_ascii_case("utf-8").then_some(()),
    }
}
