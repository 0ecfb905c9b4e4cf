use crate::{failed, printed, tokenctl};

/// From the README of Azion's published generators.
const AZION: &str = "/my/uri?st=m6WCATfRgS_5lcyChCPgrw&e=1470055000";

#[test]
fn azions_published_link() {
    let words = ["url", "--secret=mysecret", "--alg=md5", "--expires=1470055000", "/my/uri"];
    assert_eq!(printed(&words), AZION);
    let refused = tokenctl(&["inspect", AZION, "--secret", "mysecret"]);
    assert_eq!(refused.status, 1);
    assert!(refused.out.contains("Verdict: expired\n"), "{}", refused.out);
    let good = printed(&["inspect", AZION, "--secret", "mysecret", "--at", "1470055000"]);
    assert!(good.contains("the signature holds") && good.ends_with("Verdict: ok"), "{good}");
}

#[test]
fn links_hold_in_both_algorithms_with_a_query_of_their_own() {
    for algorithm in ["md5", "hmac-sha256"] {
        for link in ["/a/b.mp4", "/a%20b/c?x=1&y", "https://h.example/v//w/../x.mp4?q#t=10"] {
            let signed = printed(&["url", "--secret=s", "--alg", algorithm, link]);
            assert!(signed.starts_with(link.split('#').next().unwrap()), "{signed}");
            let said = printed(&["inspect", &signed, "--secret=s", "--alg", algorithm]);
            assert!(said.ends_with("Verdict: ok"), "{said}");
        }
    }
    let bound = printed(&["url", "--secret=s", "--value=/a192.0.2.7", "--sig-arg=md5", "/a"]);
    assert!(bound.starts_with("/a?md5="), "{bound}");
    // 43 characters: hmac-sha256, the stronger one, unless told otherwise.
    assert_eq!(bound.split(&['=', '&']).nth(1).map(str::len), Some(43), "{bound}");
    let said = printed(&["inspect", &bound, "--secret=s", "--value=/a192.0.2.7", "--sig-arg=md5"]);
    assert!(said.ends_with("Verdict: ok"), "{said}");
}

#[test]
fn every_verdict() {
    let good = printed(&["url", "--secret=s", "--lifetime=1h", "/a"]);
    let past = printed(&["url", "--secret=s", "--lifetime=-1h", "/a"]);
    let (_, arguments) = good.split_once('?').unwrap();
    for (link, verdict, part) in [
        (past.as_str(), "expired", "1h ago"),
        ("/a", "missing", "must both be there"),
        ("/a?st=AAAAAAAAAAAAAAAAAAAAAA", "missing", "must both be there"),
        ("/a?st=x&e=1", "malformed", "22 characters"),
        ("/a?st=x&e=0470055000", "malformed", "must be ten digits"),
        (&format!("{good}&e=1470055000"), "malformed", "stands more than once"),
        (&format!("/b?{arguments}"), "bad_signature", "another path"),
    ] {
        let call = tokenctl(&["inspect", link, "--secret=s"]);
        assert_eq!((call.status, call.err.as_str()), (1, ""), "{link}");
        assert!(call.out.contains(&format!("Verdict: {verdict}\n")), "{link}: {}", call.out);
        assert!(call.out.contains(part), "{link}: {}", call.out);
    }
    let pinned = tokenctl(&["inspect", &good, "--secret=s", "--alg=md5"]);
    assert!(pinned.out.contains("Verdict: malformed\n"), "{}", pinned.out);
    let shown = printed(&["inspect", &good]);
    assert!(shown.contains("NOT VERIFIED: no secret or key was given"), "{shown}");
}

/// A browser drops the fragment, so the link is judged without it; the module refuses a request that
/// has a `#`.
#[test]
fn a_fragment_is_told() {
    let signed = printed(&["url", "--secret=s", "/a#t=10"]);
    let (link, _) = signed.split_once('#').unwrap();
    let (path, arguments) = link.split_once('?').unwrap();
    let hidden = format!("{path}#t=10?{arguments}");
    for (link, verdict) in [(&signed, "ok"), (&hidden, "missing")] {
        let said = tokenctl(&["inspect", link, "--secret=s"]).out;
        assert!(said.contains("  fragment  #t=10") && said.contains("with # in it is malformed"));
        assert!(said.contains(&format!("Verdict: {verdict}\n")), "{said}");
    }
    let plain = printed(&["inspect", link, "--secret=s"]);
    assert!(!plain.contains("fragment"), "{plain}");
}

#[test]
fn mistakes_are_named() {
    for (words, part) in [
        (vec!["url", "/a"], "what signs?"),
        (vec!["url", "--secret=s", "a"], "begins with /"),
        (vec!["url", "--secret=s", "/a b"], "percent-encoded"),
        (vec!["url", "--secret=s", "--expires=123", "/a"], "ten digits"),
        (vec!["url", "--secret=s", "/a?st=1"], "would stand more than once"),
        (vec!["url", "--secret=s", "--alg=sha1", "/a"], "one of md5, hmac-sha1, hmac-sha256"),
        (vec!["url", "--secret=s", "--alg=hmac-sha1", "/a"], "--alg: \"hmac-sha1\" is not of this"),
        (vec!["inspect", "/a?st=x&e=1", "--secret=s", "--issuer=x"], "this is a link"),
    ] {
        let said = failed(&words);
        assert!(said.contains(part), "{words:?}: {said}");
    }
}
