//! Rows of URIs.

use super::*;

fn normal(uri: &str) -> Result<String, UriError> {
    RequestUri::new(uri.as_bytes(), &[]).map(|uri| uri.as_str().to_owned())
}

#[test]
fn one_spelling_of_each_uri() {
    for (uri, same) in [
        // RFC 3986 section 6.2.2.
        ("eXAMPLE://a/./b/../b/%63/%7bfoo%7d", "example://a/b/c/%7Bfoo%7D"),
        ("HTTP://www.EXAMPLE.com/", "http://www.example.com/"),
        // Section 6.2.3.
        ("http://example.com", "http://example.com/"),
        ("http://example.com:/", "http://example.com/"),
        ("http://example.com:80/", "http://example.com/"),
        ("https://example.com:443", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("http://example.com:0080/", "http://example.com/"),
        ("http://example.com:8080?a", "http://example.com:8080/?a"),
        ("rtmp://example.com:80/a", "rtmp://example.com:80/a"),
        ("http://[2001:DB8::0001]:80/", "http://[2001:db8::0001]/"),
        ("http://h/%7e%41%2D%5f%2e/%C3%a9", "http://h/~A-_./%C3%A9"),
        ("http://h/%2f%3A%40%3d%26?%2F%3f", "http://h/%2F%3A%40%3D%26?%2F%3F"),
        ("http://h/a:b@c!$&'()*+,;=-._~/?/?:@", "http://h/a:b@c!$&'()*+,;=-._~/?/?:@"),
        (
            "http://h/a b\"<>\\^`{|}[]\u{e9}?[]",
            "http://h/a%20b%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D%C3%A9?%5B%5D",
        ),
        ("http://h/%2e%2E/a", "http://h/a"),
        ("http://h/a/%2e%2e/b", "http://h/b"),
        ("http://h/a/.%2E", "http://h/"),
        ("http://h/a/b/.", "http://h/a/b/"),
        ("http://h/a/b/..", "http://h/a/"),
        ("http://h/../../a", "http://h/a"),
        ("http://h/...", "http://h/..."),
        ("http://h/a?x=../..&y=%2e%2e/", "http://h/a?x=../..&y=../"),
        ("http://h/a//b/", "http://h/a//b/"),
        ("http://h//", "http://h//"),
        ("http://h/?", "http://h/?"),
        ("http://h/a;b=c/;d", "http://h/a;b=c/;d"),
        ("http://h/a%3Bb", "http://h/a%3Bb"),
        ("http://h/%252e%252e/", "http://h/%252e%252e/"),
    ] {
        assert_eq!(normal(uri).as_deref(), Ok(same), "{uri}");
        assert_eq!(normal(same).as_deref(), Ok(same), "{same}");
    }
}

#[test]
fn what_could_be_another_uri_is_refused() {
    use UriError::{Ambiguous, Authority, Escape, Fragment, NotAbsolute, Nul, TooLong};
    for (uri, why) in [
        ("", NotAbsolute),
        ("/a", NotAbsolute),
        ("//h/a", NotAbsolute),
        ("http:/a", NotAbsolute),
        ("1http://h/", NotAbsolute),
        ("ht tp://h/", NotAbsolute),
        ("http:///a", Authority),
        ("http://:80/a", Authority),
        ("http://user@h/", Authority),
        ("http://user:x@h/", Authority),
        ("http://h:x/", Authority),
        ("http://h:-1/", Authority),
        ("http://h:+80/", Authority),
        ("http://h:65536/", Authority),
        ("http://h:80:80/", Authority),
        ("http://[::1/", Authority),
        ("http://[::1]80/", Authority),
        ("http://[x]/", Authority),
        ("http://[::1%25eth0]/", Authority),
        ("http://h%2Fx/", Authority),
        ("http://h\\x/", Authority),
        ("http://\u{e9}/", Authority),
        ("http://h/a#b", Fragment),
        ("http://h/%", Escape),
        ("http://h/%4", Escape),
        ("http://h/%zz", Escape),
        ("http://h/%+4", Escape),
        ("http://h/?%", Escape),
        ("http://h/a%00", Nul),
        ("http://h/a\0b", Nul),
        ("http://h/pub//../secret", Ambiguous),
        ("http://h/pub/..%2fsecret", Ambiguous),
        ("http://h/pub/%2E%2E%2Fsecret", Ambiguous),
        ("http://h/pub%2fx/../secret", Ambiguous),
        ("http://h/pub%2f..", Ambiguous),
        ("http://h/pub%2f./x", Ambiguous),
        ("http://h/pub/..;/secret", Ambiguous),
        ("http://h/pub/..;x=1/secret", Ambiguous),
        ("http://h/pub/.;/secret", Ambiguous),
        ("http://h/pub/..%3b/secret", Ambiguous),
        ("http://h/pub/..\\secret", Ambiguous),
        ("http://h/pub/..%5Csecret", Ambiguous),
    ] {
        assert_eq!(normal(uri), Err(why), "{uri:?}");
    }
    let of_len = |len: usize| format!("http://h/{}", "a".repeat(len - 9));
    assert!(normal(&of_len(MAX_URI_LEN)).is_ok());
    assert_eq!(normal(&of_len(MAX_URI_LEN + 1)), Err(TooLong));
}

#[test]
fn a_server_may_decode_and_merge_slashes() {
    let served = |uri: &str| {
        let uri = RequestUri::new(uri.as_bytes(), &[]).unwrap();
        uri.as_served().map(str::to_owned)
    };
    for same in ["http://h/", "http://h/a/b?c//d%2F", "http://h/a%5Cb"] {
        assert_eq!(served(same), None, "{same}");
    }
    for (uri, as_served) in [
        ("http://h//", "http://h/"),
        ("http://h/a//b?c", "http://h/a/b?c"),
        ("http://h/a%2fb", "http://h/a/b"),
        ("http://h/a/%2F/b//?", "http://h/a/b/?"),
    ] {
        assert_eq!(served(uri).as_deref(), Some(as_served), "{uri}");
    }
}

#[test]
fn a_token_goes_with_its_name_and_one_delimiter() {
    let cut = |uri: &str, carrier| {
        let cut = RequestUri::new(uri.as_bytes(), &[carrier]);
        cut.map(|uri| uri.as_str().to_owned())
    };
    let token = "e30.e30.AA";
    // The rows of RFC 9246 section 2.1.15: T is the token.
    for (uri, without) in [
        ("http://h/a?P=T", "http://h/a"),
        ("http://h/a?P=T&x=1", "http://h/a?x=1"),
        ("http://h/a?x=1&P=T", "http://h/a?x=1"),
        ("http://h/a?x=1&P=T&y", "http://h/a?x=1&y"),
        ("http://h/a?&P=T", "http://h/a?"),
        ("http://h?P=T", "http://h/"),
        ("http://h/a", "http://h/a"),
        ("http://h/a?P=Tx", "http://h/a?P=Tx"),
    ] {
        let (uri, without) = (uri.replace('T', token), without.replace('T', token));
        let by_token = cut(&uri, Carrier::Token(token.as_bytes()));
        assert_eq!(by_token.as_deref(), Ok(&*without), "{uri}");
        if !uri.contains("AAx") {
            let by_name = cut(&uri, Carrier::Argument(b"P"));
            assert_eq!(by_name.as_deref(), Ok(&*without), "{uri}");
        }
    }
    for (uri, without) in [
        ("http://h/a?x=1;P=T;y", "http://h/a?x=1;y"),
        ("http://h/a;P=T/b", "http://h/a/b"),
        ("http://h/P=T/b", "http://h/b"),
        ("http://h/P=T;v=1/b", "http://h/v=1/b"),
        ("http://h/a;P=T", "http://h/a"),
        ("http://h/a;P=T?x", "http://h/a?x"),
        ("http://h/t/T/b", "http://h/t/b"),
        ("http://h/P=T", "http://h/"),
        ("http://h/P=T?x", "http://h/?x"),
        // What only begins or ends like it stays.
        ("http://h/a?P=xT", "http://h/a?P=xT"),
        ("http://h/a?P=Tx&P=T", "http://h/a?P=Tx"),
        // One of two goes: the other one is part of what must be covered.
        ("http://h/a?P=T&P=T", "http://h/a?P=T"),
        // It is no segment that dots remove, and leaves none behind.
        ("http://h/secret/T/../x", "http://h/secret/x"),
        ("http://h/secret/P=T/../x", "http://h/secret/x"),
    ] {
        let (uri, without) = (uri.replace('T', token), without.replace('T', token));
        let by_token = cut(&uri, Carrier::Token(token.as_bytes()));
        assert_eq!(by_token.as_deref(), Ok(&*without), "{uri}");
    }
    for uri in ["http://h/a/..!P=T/b", "http://h/a/.!T", "http://h/T!../b"] {
        let dots = cut(&uri.replace('T', token), Carrier::Token(token.as_bytes()));
        assert_eq!(dots, Err(UriError::Ambiguous), "{uri}");
    }
    // An argument in a spelling that programs read in different ways is none that may go.
    for uri in ["http://h/a?P=1&P=2", "http://h/a?P=1&p=2", "http://h/a?%50=1", "http://h/a?P=1;x"]
    {
        let same = cut(uri, Carrier::Argument(b"P")).unwrap();
        assert_eq!(same, normal(uri).unwrap(), "{uri}");
    }
    // Only the argument: its value may stand elsewhere, too.
    let path = cut("http://h/a/secret?P=secret", Carrier::Argument(b"P"));
    assert_eq!(path.as_deref(), Ok("http://h/a/secret"));
    for (odd, same) in [("", true), ("a", true), ("/", true), ("b", false)] {
        let uri = "http://h/x/b?h";
        let cut = cut(uri, Carrier::Token(odd.as_bytes()));
        assert_eq!(cut.as_deref() == Ok(uri), same, "{odd}");
    }
}

#[test]
fn the_first_segments_are_those_of_the_client() {
    let of = |uri: &str, depth| {
        let uri = RequestUri::new(uri.as_bytes(), &[Carrier::Token(b"T")]).unwrap();
        uri.first_segments(depth).map(str::to_owned)
    };
    for (uri, depth, path) in [
        ("http://h/a/b/c", 0, "/"),
        ("http://h/a/b/c", 1, "/a"),
        ("http://h/a/b/c?x/y", 2, "/a/b"),
        ("http://h/a/b/c", 3, "/a/b/c"),
        ("http://h/a/b/", 3, "/a/b/"),
        ("http://h", 0, "/"),
        ("http://h", 1, "/"),
        ("http://h/", 1, "/"),
        ("http://h/%7e/%c3%a9/x", 2, "/%7e/%c3%a9"),
        ("http://h/x/../%7e/%c3/x", 2, "/~/%C3"),
        ("http://h/a;P=T/b/c", 2, "/a/b"),
        ("http://h/a/b;x", 1, "/a"),
        ("http://h/\u{e9}/b", 1, "/%C3%A9"),
    ] {
        assert_eq!(of(uri, depth).as_deref(), Some(path), "{uri} {depth}");
    }
    for (uri, depth) in
        [("http://h/a/b", 3), ("http://h/", 2), ("http://h/a", u64::MAX), ("http://h/a;b/c", 1)]
    {
        assert_eq!(of(uri, depth), None, "{uri} {depth}");
    }
}
