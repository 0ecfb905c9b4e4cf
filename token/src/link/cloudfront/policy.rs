//! Custom policies ("Create a policy statement for a signed URL that uses a custom policy").

use std::net::IpAddr;
use std::rc::Rc;

use ipnet::IpNet;

use super::super::address;
use super::super::cover;
use super::super::fields::unix_time;
use super::super::format::{Denied, Granted};
use super::super::part::{Meaning, Part};
use super::text::uncanned;
use crate::json::{Document, Value};
use crate::reject::Reject;

/// How many question marks of a Resource are tried as the one before the query.
const MOST_QUERIES: usize = 8;

/// What a custom policy says.
#[derive(Debug)]
pub(super) struct Policy {
    /// What it is for, with wildcards.
    resource: Rc<[u8]>,
    /// `DateGreaterThan`: the first second in which it is valid.
    starts: Option<i64>,
    /// `DateLessThan`: the first second in which it is not valid any more.
    ends: i64,
    /// `IpAddress`, unless that is any address.
    network: Option<IpNet>,
}

/// The URL of a request.
#[derive(Clone, Copy)]
pub(super) struct Url<'u> {
    /// With its path decoded and normalised.
    pub(super) address: &'u [u8],
    /// With the same path as the client has sent it, if it is known.
    pub(super) sent: Option<&'u [u8]>,
    /// The query that it has without the link.
    pub(super) query: &'u [u8],
}

impl Policy {
    /// Reads a policy whose signature has held. It must have what the guide describes and nothing else: who reads
    /// over a condition grants what the signer did not.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(text: Vec<u8>) -> Result<Self, &'static str> {
        Self::plain(&text).map_or_else(|| Self::parse(text), Ok)
    }

    /// What most signers write, a Resource and an end without white space: read faster than by [`Policy::parse`],
    /// with the same result. `None` for all other policies.
    fn plain(text: &[u8]) -> Option<Self> {
        let (resource, ends) = uncanned(text)?;
        let resource = text.get(resource).filter(|url| !url.is_empty() && url.is_ascii())?;
        let ends = unix_time(ends)?;
        Some(Self { resource: resource.into(), starts: None, ends, network: None })
    }

    fn parse(text: Vec<u8>) -> Result<Self, &'static str> {
        let document = Document::parse(text).map_err(|_| "its policy is not JSON")?;
        let [statements] = members(document.root(), ["Statement"], "an unknown member")?;
        let mut statements =
            statements.and_then(Value::items).ok_or("its policy has no list of statements")?;
        let (Some(statement), None) = (statements.next(), statements.next()) else {
            return Err("its policy has not exactly one statement");
        };
        let [resource, condition] =
            members(statement, ["Resource", "Condition"], "an unknown member of the statement")?;
        let resource = resource.and_then(Value::as_str).filter(|resource| !resource.is_empty());
        let resource = resource.ok_or("its policy names no Resource")?;
        // It is shown by a variable, which may become a header.
        if resource.chars().any(char::is_control) {
            return Err("its Resource holds a control character");
        }
        let condition = condition.ok_or("its policy has no Condition")?;
        let names = ["DateLessThan", "DateGreaterThan", "IpAddress"];
        let [ends, starts, network] = members(condition, names, "an unknown condition")?;
        let ends = time(ends.ok_or("its policy has no DateLessThan")?)?;
        let starts = starts.map(time).transpose()?;
        let network = network.map(network_of).transpose()?.flatten();
        Ok(Self { resource: resource.as_bytes().into(), starts, ends, network })
    }

    /// Whether the policy allows this request.
    ///
    /// # Errors
    /// It is not valid now, it is for another address, or it does not cover the URL.
    pub(super) fn judge(
        &self,
        url: Url<'_>,
        client: impl FnOnce() -> Option<IpAddr>,
        now: i64,
    ) -> Result<Granted, Denied> {
        let granted = Granted {
            expires: Some(self.ends.saturating_sub(1)),
            acl: Some(Rc::clone(&self.resource)),
            ..Granted::default()
        };
        if self.starts.is_some_and(|starts| now < starts) {
            return Err(granted.but(Reject::NotYetValid, "before its DateGreaterThan"));
        }
        let granted = granted.unless_expired(now)?;
        let is_in = |network| client().is_some_and(|client| cover::has(network, client));
        if !self.network.is_none_or(is_in) {
            return Err(granted.but(Reject::BadAddress, "its IpAddress is another"));
        }
        match self.covers(url) {
            true => Ok(granted),
            false => Err(granted.but(Reject::NotCovered, "its Resource is another")),
        }
    }

    /// Whether the Resource covers this URL.
    ///
    /// It does if it is that URL, with the path encoded, decoded, or as it was sent. Otherwise `*` and `?` are wildcards, and the
    /// URL is that with the path encoded in its one normal form; the path must be settled
    /// ([`address::is_settled`]). Without a query the whole Resource must match it.
    /// With one there are two ways. Either the Resource ends with `*` and matches the URL without the query: then
    /// it covers any query. Or it has a `?` before which it matches the URL without the query, and after which it
    /// matches the query. So no wildcard of a path matches into a query, where a client writes what it likes:
    /// `https://host/*.jpg` does not cover `/secret?.jpg`.
    pub(super) fn covers(&self, Url { address, sent, query }: Url<'_>) -> bool {
        let resource = &*self.resource;
        let is_it = |url: &[u8]| match resource.strip_prefix(url) {
            Some([]) => query.is_empty(),
            Some([b'?', rest @ ..]) => !query.is_empty() && rest == query,
            _ => false,
        };
        let mut spellings = address::spellings(address);
        let url = spellings.next().unwrap_or_default();
        if is_it(&url) || spellings.any(|url| is_it(&url)) || sent.is_some_and(is_it) {
            return true;
        }
        if !address::is_settled(address::split_origin(address).1) {
            return false;
        }
        if query.is_empty() || resource.ends_with(b"*") {
            if cover::matches(resource, &url) {
                return true;
            }
            if query.is_empty() {
                return false;
            }
        }
        let marks = resource.iter().enumerate().filter(|(_, byte)| **byte == b'?');
        marks.take(MOST_QUERIES).any(|(at, _)| match resource.split_at_checked(at) {
            Some((before, [_, after @ ..])) => {
                cover::matches(before, &url) && cover::matches(after, query)
            }
            _ => false,
        })
    }
}

impl Policy {
    /// What it says, and what that means for this request.
    pub(super) fn parts(&self, url: Url<'_>, client: Option<IpAddr>) -> Vec<Part> {
        let covers = if self.covers(url) { "covers it" } else { "does not cover it" };
        let part = |name: &str, text: &[u8], meaning| Part::new(name.as_bytes(), text, meaning);
        let time = |name, before, time: i64| {
            part(name, time.to_string().as_bytes(), Meaning::Time(before, time))
        };
        let mut parts = vec![
            part("Resource", &self.resource, Meaning::words(covers)),
            time("DateLessThan", "before ", self.ends),
        ];
        parts.extend(self.starts.map(|starts| time("DateGreaterThan", "valid from ", starts)));
        parts.extend(self.network.map(|network| {
            let words = match client {
                None => "for these client addresses only",
                Some(client) if cover::has(network, client) => "has the client's address",
                Some(_) => "does not have the client's address",
            };
            part("IpAddress", network.to_string().as_bytes(), Meaning::words(words))
        }));
        parts
    }
}

/// The values of the members of an object, which has no others.
fn members<'d, const COUNT: usize>(
    object: Value<'d>,
    names: [&str; COUNT],
    unknown: &'static str,
) -> Result<[Option<Value<'d>>; COUNT], &'static str> {
    let mut members = object.members().ok_or("a part of its policy is not an object")?;
    match members.any(|(name, _)| !names.contains(&name)) {
        true => Err(unknown),
        false => Ok(names.map(|name| object.get(name))),
    }
}

fn time(condition: Value<'_>) -> Result<i64, &'static str> {
    let [time] = members(condition, ["AWS:EpochTime"], "an unknown form of a date")?;
    let time = time.and_then(Value::as_number);
    let time = time.and_then(|number| unix_time(number.as_str().as_bytes()));
    time.ok_or("a date of its policy is no time")
}

/// The network of a condition; `None` if it is any address, of either family, as `0.0.0.0/0` is meant in the guide.
fn network_of(condition: Value<'_>) -> Result<Option<IpNet>, &'static str> {
    let [network] = members(condition, ["AWS:SourceIp"], "an unknown form of an address")?;
    let network = network.and_then(Value::as_str).and_then(|it| cover::network(it.as_bytes()));
    let network = network.ok_or("an address of its policy is none")?;
    Ok((network.prefix_len() > 0).then_some(network))
}

#[cfg(test)]
mod tests {
    use super::*;

    impl PartialEq for Policy {
        fn eq(&self, other: &Self) -> bool {
            let what = |it: &Self| (it.resource.to_vec(), it.starts, it.ends, it.network);
            what(self) == what(other)
        }
    }

    fn read(text: &str) -> Result<Policy, &'static str> {
        Policy::read(text.as_bytes().to_vec())
    }

    fn url<'u>(address: &'u str, query: &'u str) -> Url<'u> {
        Url { address: address.as_bytes(), sent: None, query: query.as_bytes() }
    }

    fn of_resource(resource: &str) -> Policy {
        Policy { resource: resource.as_bytes().into(), starts: None, ends: 9, network: None }
    }

    #[test]
    fn a_policy_is_what_the_guide_describes_and_nothing_else() {
        let good = r#"{"Statement":[{"Resource":"http://h/*","Condition":{"DateLessThan":{"AWS:EpochTime":9},"DateGreaterThan":{"AWS:EpochTime":7},"IpAddress":{"AWS:SourceIp":"192.0.2.0/24"}}}]}"#;
        let policy = read(good).unwrap();
        assert_eq!(
            (&*policy.resource, policy.starts, policy.ends),
            (&b"http://h/*"[..], Some(7), 9)
        );
        assert_eq!(policy.network, "192.0.2.0/24".parse().ok());
        // White space and order do not count, nor does how JSON writes a slash.
        let same = good.replace("http://h/*", "http:\\/\\/h\\/*").replace(':', " :\n ");
        assert_eq!(
            read(&same.replace("http :\n ", "http:").replace("AWS :\n ", "AWS:")),
            Ok(policy)
        );
        for (part, other) in [
            ("\"Statement\"", "\"statement\""),
            ("{\"Statement\"", "{\"Version\":\"1\",\"Statement\""),
            ("}]}", "},{}]}"),
            ("}]}", "}],\"Statement\":[]}"),
            ("[{", "[[{"),
            ("\"Resource\":\"http://h/*\",", ""),
            ("http://h/*", ""),
            ("\"http://h/*\"", "[\"http://h/*\"]"),
            ("\"http://h/*\"", "7"),
            ("\"Resource\"", "\"Resource\":\"*\",\"Resource\""),
            ("\"Resource\"", "\"Resource\":\"*\",\"Res\\u006furce\""),
            ("\"Resource\"", "\"Effect\":\"Deny\",\"Resource\""),
            ("DateLessThan", "DateLessThen"),
            ("DateGreaterThan", "DateGreaterThen"),
            ("IpAddress", "NotIpAddress"),
            ("SourceIp", "SourceIP"),
            ("\"DateLessThan\":{\"AWS:EpochTime\":9},", ""),
            (":9}", ":\"9\"}"),
            (":9}", ":9.0}"),
            (":9}", ":9e0}"),
            (":9}", ":-9}"),
            (":9}", ":null}"),
            (":9}", ":10000000000}"),
            (":9}", ":9,\"AWS:EpochTime\":8}"),
            (":9}", ":9,\"a\":8}"),
            ("{\"AWS:EpochTime\":9}", "9"),
            ("192.0.2.0/24", "192.0.2.0/33"),
            ("192.0.2.0/24", ""),
            ("\"192.0.2.0/24\"", "[\"192.0.2.0/24\"]"),
            ("}]}", "}]}x"),
        ] {
            assert!(good.contains(part), "{part}");
            let bad = good.replacen(part, other, 1);
            assert!(read(&bad).is_err(), "{bad}");
        }
        for bad in ["", "[]", "{}", "7", "{\"Statement\":[]}", "\u{feff}{}", "{\"Statement\":{}}"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Policy::read(b"{\"Statement\":\"\xff\"}".to_vec()).is_err());
    }

    /// Whatever is changed in it, if the fast way reads it, it reads what the other one does.
    #[test]
    fn a_plain_policy_is_read_as_any_other() {
        let good = br#"{"Statement":[{"Resource":"http://h/a*?b","Condition":{"DateLessThan":{"AWS:EpochTime":1800000000}}}]}"#;
        let policy = Policy::read(good.to_vec()).unwrap();
        assert_eq!((&*policy.resource, policy.ends), (&b"http://h/a*?b"[..], 1_800_000_000));
        let same = |text: &[u8]| {
            let is_plain = Policy::plain(text).is_some();
            if is_plain {
                assert_eq!(Policy::read(text.to_vec()), Policy::parse(text.to_vec()), "{text:?}");
            }
            is_plain
        };
        assert!(same(good));
        let mut read = 0;
        for at in 0..good.len() {
            for byte in 0..=u8::MAX {
                let mut text = good.to_vec();
                text[at] = byte;
                read += u32::from(same(&text));
                text.insert(at, good[at]);
                read += u32::from(same(&text));
            }
            let mut text = good.to_vec();
            text.remove(at);
            same(&text);
            same(&good[at..]);
            same(&good[..at]);
        }
        assert!(read > 1_000, "{read}");
    }

    #[test]
    fn an_address_of_length_zero_is_any_and_ipv4_may_be_within_ipv6() {
        let judge = |network: &str, client: &str| {
            let condition = format!(
                "{{\"Statement\":[{{\"Resource\":\"*\",\"Condition\":{{\"DateLessThan\":\
                 {{\"AWS:EpochTime\":9}},\"IpAddress\":{{\"AWS:SourceIp\":\"{network}\"}}}}}}]}}"
            );
            match read(&condition).unwrap().judge(url("http://h/", ""), || client.parse().ok(), 0) {
                Ok(_) => true,
                Err(Denied::Refused(refused)) => {
                    assert_eq!(refused.reject, Reject::BadAddress);
                    false
                }
                Err(Denied::Unavailable) => panic!(),
            }
        };
        for any in ["0.0.0.0/0", "::/0"] {
            for client in ["1.2.3.4", "2001:db8::1", "unix:"] {
                assert!(judge(any, client), "{any} {client}");
            }
        }
        for (network, client, is_in) in [
            ("192.0.2.0/24", "192.0.2.7", true),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("192.0.2.0/24", "192.0.3.7", false),
            ("192.0.2.0/24", "unix:", false),
            ("2001:db8::/32", "2001:db8::1", true),
            ("2001:db8::/32", "192.0.2.7", false),
        ] {
            assert_eq!(judge(network, client), is_in, "{network} {client}");
        }
    }

    #[test]
    fn a_resource_covers_what_it_says_and_nothing_else() {
        for (resource, address, query) in [
            ("http://h/a", "http://h/a", ""),
            ("http://h/a?b=1", "http://h/a", "b=1"),
            ("http://h/a?b=?", "http://h/a", "b=1"),
            ("http://h/a*?b=1*", "http://h/abc", "b=1&c"),
            ("http://h/a%20b", "http://h/a b", ""),
            ("http://h/a b", "http://h/a b", ""),
            ("http://h/*", "http://h/a/b", ""),
            ("http://h/*", "http://h/a/b", "c=d"),
            ("http*://h/*", "https://h/a", ""),
            ("*", "https://h/a", "b"),
            ("*/a.?pg", "https://h/x/a.jpg", ""),
            ("http://h/?/x?b=1", "http://h/a/x", "b=1"),
            ("http://h/*.jpg*", "http://h/a.jpg", "v=3"),
            ("http://h/a%2*", "http://h/a b", ""),
            // Who signs it means it.
            ("http://h/a/..%252fb", "http://h/a/..%2fb", ""),
        ] {
            let covers = of_resource(resource).covers(url(address, query));
            assert!(covers, "{resource} {address} {query}");
        }
        for (resource, address, query) in [
            ("http://h/a", "http://h/a", "b=1"),
            ("http://h/a?b=1", "http://h/a", ""),
            ("http://h/a?b=1", "http://h/a", "b=2"),
            ("http://h/a", "https://h/a", ""),
            ("http://h/a", "http://H/a", ""),
            ("http://h/a", "http://h/ab", ""),
            ("/a", "http://h/a", ""),
            ("h/a", "http://h/a", ""),
            // A wildcard of the path stays in the path.
            ("http://h/*.jpg", "http://h/secret", ".jpg"),
            ("http://h/*.jpg", "http://h/secret", "/a.jpg"),
            ("http://h/*a?b=1", "http://h/secret", "a?b=1"),
            ("http://h/public/*", "http://h/secret", "/public/"),
            ("http://h/*.jpg*", "http://h/secret", ".jpg"),
            // It is compared with the one normal form, which these are not.
            ("http://h/public/../*", "http://h/secret", ""),
            ("http://h/%70ublic/*", "http://h/public/a", ""),
            ("http://h/a%2fb*", "http://h/a/b", ""),
            ("http://h//a*", "http://h/a", ""),
            ("http://h/%c3%a9*", "http://h/\u{e9}", ""),
            ("http://h/\u{e9}*", "http://h/\u{e9}", ""),
            // What another program takes for another path.
            ("http://h/public/*", "http://h/public/%2e%2e/secret", ""),
            ("http://h/public/*", "http://h/public/..;/secret", ""),
            ("http://h/public/*", "http://h/public/..\\secret", ""),
            ("http://h/*", "http://h/a\0", ""),
            // As it is, this would be read as another URL.
            ("http://h/a%41", "http://h/a%41", ""),
            ("http://h/a?b", "http://h/a?b", ""),
        ] {
            let covers = of_resource(resource).covers(url(address, query));
            assert!(!covers, "{resource} {address} {query}");
        }
    }
}
