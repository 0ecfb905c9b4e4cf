//! Akamai's tokens.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use token::Reject::{
    BadAddress, BadSignature, Expired, Malformed, Missing, NotCovered, NotYetValid,
};
use token::link::{Carrier, Encoding, Given, LinkAlgorithm, Order};

use super::{Judged, Made, is, judge, secret, text, with, without};

pub(crate) const KEY: &str = "77704f5541417a7a73666236";
pub(crate) const EXP: i64 = 1_893_456_000;

/// A token: `signed` and its HMAC. `unseen` is what is signed besides.
fn made(signed: &str, unseen: &str) -> String {
    let key = hex::decode(KEY).unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(&key).unwrap().chain_update([signed, unseen].concat());
    format!("{signed}~hmac={}", hex::encode(mac.finalize().into_bytes()))
}

/// Judges a token that does not come in the query.
fn judged(made: &Made, token: &str, value: &str, now: i64) -> Judged {
    let source = Some((token.as_bytes(), Carrier::Other));
    judge(&*made.format("akamai"), &Given { source, ..Given::new(value) }, now)
}

fn of(token: &str, value: &str) -> Judged {
    judged(&Made::with(&[KEY]), token, value, EXP)
}

fn passes(judged: Judged) -> bool {
    judged.is_ok()
}

#[test]
fn published_tokens_hold() {
    // Akamai's documentation (cloud-wrapper), nginx-vod-module's issue 1279, the readme of
    // nginx-akamai-token-validate-module, EdgeAuth-Token-Python; each was computed again.
    for (key, signed, hmac, exp, value, other) in [
        (
            KEY,
            "exp=1591841414~acl=%2F%2A",
            "ea20f092942d08829ecb30e330ba1c78d768515df5efc383ee9ad335149d1a7d",
            1_591_841_414,
            "/any/thing.ts",
            "",
        ),
        (
            "1234",
            "exp=1622136497~acl=/*",
            "ec70c1b6fb2b2baa4dd58e3a4bc1b8e333b63288fdc2d13c5a9b5037d1bba5ea",
            1_622_136_497,
            "/",
            "",
        ),
        (
            "1234",
            "st=1528033089~exp=1528036689~acl=/hls/*",
            "75aa31dd3ddb3a5c64baf27879818f8b5d8223331fe6fe246df21ebf79a0b94c",
            1_528_036_689,
            "/hls/a/b.m3u8",
            "/hlsa",
        ),
        (
            KEY,
            "exp=1893456000~acl=/live/*!/vod/?.m3u8",
            "33dafaa2ed5161cef7634650a7cfcb49bf78b7deea9ff62ef142aa8e394ec7e2",
            EXP,
            "/vod/a.m3u8",
            "/vod/ab.m3u8",
        ),
    ] {
        let made = Made::with(&["00", key]);
        let token = format!("{signed}~hmac={hmac}");
        let granted = judged(&made, &token, value, exp).unwrap();
        assert_eq!(granted.expires, Some(exp));
        assert_eq!(judged(&made, &token, value, exp + 1), with(Expired));
        assert_eq!(judged(&made, &token, other, exp), with(NotCovered));
        assert_eq!(judged(&Made::with(&["00"]), &token, value, exp), without(BadSignature));
    }
    let token =
        "exp=1893456000~hmac=407c785ea2eeeba8b4790a372f1cc3edb04cbdba1369c5fe630b3e951123dfbe";
    assert_eq!(of(token, "/vod/a.m3u8").unwrap().acl, None);
    assert_eq!(of(token, "/vod/b.m3u8"), without(BadSignature));
}

#[test]
fn tokens_are_found_where_akamai_puts_them() {
    let format = Made::with(&[KEY]).format("akamai");
    let token = made("exp=1893456000~acl=/*", "");
    for name in ["hdnts", "hdnea", "__token__"] {
        let query = format!("a=1&{name}={token}");
        let query = query.as_bytes();
        let request = Given { query, places: format.places(), ..Given::new("/") };
        assert!(passes(judge(&*format, &request, 0)), "{name}");
    }
    for name in ["hdntl", "__hdnea__"] {
        let line = format!("a=1; {name}={token}");
        let cookies = vec![line.as_bytes()];
        let request = Given { cookies, places: format.places(), ..Given::new("/") };
        assert!(passes(judge(&*format, &request, 0)), "{name}");
    }
    for (query, reject) in [
        (String::new(), Missing),
        ("hdnts=".to_owned(), Missing),
        (format!("hdnts={token}&hdnts={token}"), Malformed),
        (format!("hdnts=x&hdnea={token}"), Malformed),
        (format!("HDNTS={token}"), Malformed),
    ] {
        let request = Given { query: query.as_bytes(), places: format.places(), ..Given::new("/") };
        assert_eq!(judge(&*format, &request, 0), without(reject), "{query}");
    }
    assert_eq!(judge(&*format, &Given::new("/"), 0), without(Missing));
}

#[test]
fn only_the_query_is_decoded_and_only_once() {
    let format = Made::with(&[KEY]).format("akamai");
    let plain = made("exp=1893456000~acl=/*~data=a%2Cb", "");
    let encoded = plain.replace('%', "%25").replace('~', "%7E");
    let whole = plain.bytes().map(|byte| format!("%{byte:02x}")).collect::<String>();
    let twice = encoded.replace('%', "%25");
    for (token, in_query, elsewhere) in [
        (&plain, Ok(()), Ok(())),
        (&encoded, Ok(()), without(Malformed)),
        (&whole, Ok(()), without(Malformed)),
        (&twice, without(Malformed), without(Malformed)),
        // The signature is over the escape.
        (&plain.replace("%2C", ","), without(BadSignature), without(BadSignature)),
        (&plain.replace('~', "%7E"), without(BadSignature), without(Malformed)),
    ] {
        for (carrier, verdict) in [(Carrier::Query, in_query), (Carrier::Other, elsewhere)] {
            let request = Given { source: Some((token.as_bytes(), carrier)), ..Given::new("/") };
            let judged = judge(&*format, &request, EXP);
            if let Ok(granted) = &judged {
                assert_eq!(text(granted.data.as_deref()), Some("a%2Cb"));
            }
            assert_eq!(judged.map(drop), verdict, "{token} {carrier:?}");
        }
    }
    // What is refused after its signature has held is not read in another way.
    let expired = made("exp=1~acl=/*~data=%41", "");
    let request = Given { source: Some((expired.as_bytes(), Carrier::Query)), ..Given::new("/") };
    assert_eq!(judge(&*format, &request, EXP), with(Expired));
}

#[test]
fn a_url_is_signed_in_one_of_four_forms() {
    for (value, url) in [
        ("/a b/é.ts", "/a b/é.ts"),
        ("/a b/é.ts", "/a%20b/%C3%A9.ts"),
        ("/a b/é.ts", "%2fa+b%2f%c3%a9.ts"),
        ("/a b/é.ts", "%2fa%2520b%2f%25C3%25A9.ts"),
        ("/a_b-c.d~e", "%2fa_b-c.d~e"),
        ("https://h/a b", "https://h/a%20b"),
    ] {
        assert!(passes(of(&made("exp=1893456000", &format!("~url={url}")), value)), "{url}");
    }
    for (value, url) in [
        ("/a b/é.ts", "/a%20b/%c3%a9.ts"),
        ("/a b/é.ts", "/a+b/é.ts"),
        ("/a b/é.ts", "%2Fa+b%2F%C3%A9.ts"),
        ("/a", "/A"),
        ("/a", "/a?b"),
        ("/a", "a"),
        ("/a", "/*"),
        ("/a", ""),
    ] {
        let token = made("exp=1893456000", &format!("~url={url}"));
        assert_eq!(of(&token, value), without(BadSignature), "{url}");
    }
    // Without acl, a signature that covers no url.
    assert_eq!(of(&made("exp=1893456000", ""), "/a"), without(BadSignature));
    // What is signed as url is no acl, and cannot travel.
    let token = made("exp=1893456000~url=/a", "");
    assert_eq!(of(&token, "/a"), without(Malformed));
    let moved = made("exp=1893456000~acl=/*", "").replace("~acl=/*", "");
    assert_eq!(of(&moved, "/*"), without(BadSignature));
}

#[test]
fn each_field_is_there_once_at_most_and_has_a_value() {
    let fields = "ip=192.0.2.1~st=1~exp=1893456000~acl=/*~id=i~data=d";
    let client = Some("192.0.2.1".parse().unwrap());
    let of = |token: &str| {
        let source = Some((token.as_bytes(), Carrier::Other));
        let request = Given { source, client, ..Given::new("/") };
        judge(&*Made::with(&[KEY]).format("akamai"), &request, EXP)
    };
    let good = made(fields, "");
    let granted = of(&good).unwrap();
    assert_eq!((granted.expires, text(granted.acl.as_deref())), (Some(EXP), Some("/*")));
    assert_eq!(
        (text(granted.id.as_deref()), text(granted.data.as_deref())),
        (Some("i"), Some("d"))
    );

    let names = ["ip", "st", "exp", "acl", "id", "data"];
    let parts: Vec<_> = fields.split('~').collect();
    for (at, (part, name)) in parts.iter().zip(names).enumerate() {
        // All are signed, so that only the format refuses them.
        assert_eq!(of(&made(&format!("{fields}~{part}"), "")), without(Malformed), "{part}");
        for value in ["", "="] {
            let changed = fields.replace(part, &format!("{name}{value}"));
            assert_eq!(of(&made(&changed, "")), without(Malformed), "{changed}");
        }
        let mut others = parts.clone();
        others.remove(at);
        let unsigned = format!("{}~{}", others.join("~"), good.split_once("~hmac").unwrap().1);
        assert_eq!(
            of(&unsigned.replace("~=", "~hmac=")),
            without(match name {
                "exp" => Malformed,
                _ => BadSignature,
            })
        );
        let signed = of(&made(&others.join("~"), if name == "acl" { "~url=/" } else { "" }));
        assert_eq!(signed.is_ok(), name != "exp", "{name}");
        // Any order that was signed.
        others.push(part);
        assert!(passes(of(&made(&others.join("~"), ""))));
        assert_eq!(
            of(&good.replace(fields, &others.join("~"))),
            if at + 1 == parts.len() { of(&good) } else { without(BadSignature) }
        );
        let shouted = fields.replace(part, &part.replacen(name, &name.to_uppercase(), 1));
        assert_eq!(of(&made(&shouted, "")), without(Malformed), "{shouted}");
    }
    for (from, to) in [
        ("~hmac=", "~HMAC="),
        ("~hmac=", "~~hmac="),
        ("~hmac=", "~salt=s~hmac="),
        ("~hmac=", "~url=/~hmac="),
        ("~hmac=", "~x=1~hmac="),
        ("~hmac=", "~hmac=0~hmac="),
        ("ip=", "~ip="),
        ("ip=", " ip="),
        ("exp=1893456000", "exp=01893456000"),
        ("exp=1893456000", "exp=18934560000"),
        ("exp=1893456000", "exp=-1"),
        ("exp=1893456000", "exp=1893456000.0"),
        ("exp=1893456000", "exp=%31893456000"),
        ("st=1", "st=now"),
        ("ip=192.0.2.1", "ip=192.0.2.0/24"),
        ("ip=192.0.2.1", "ip=192.0.2.1,192.0.2.2"),
        ("ip=192.0.2.1", "ip=192.0.2.01"),
        ("acl=/*", "acl=/*!"),
        ("acl=/*", "acl=!/*"),
        ("acl=/*", "acl=/a!!/*"),
        ("id=i", "id=i\n"),
        ("id=i", "id=\0"),
    ] {
        let changed = good.replace(from, to);
        let signed = changed.rsplit_once("~hmac=").map_or(&*changed, |(signed, _)| signed);
        for token in [&changed, &made(signed, "")] {
            if !token.contains(to) {
                continue; // what is changed is not what is signed
            }
            assert_eq!(of(token), without(Malformed), "{token}");
        }
    }
    let end = good.len() - 64;
    for hmac in ["", "0", &good[end + 1..], &good[end + 2..], &good[end..].to_uppercase()] {
        assert_eq!(of(&format!("{}{hmac}", &good[..end])), without(Malformed), "{hmac}");
    }
    assert_eq!(of(&format!("{good}0")), without(Malformed));
    assert_eq!(of(&format!("{good}~")), without(Malformed));
    assert_eq!(of(&good.replace("~hmac=", "hmac=")), without(Malformed));
    assert_eq!(of(&format!("hmac={}", &good[end..])), without(Malformed));
    let sized = |len: usize| {
        let rest = made("exp=1893456000~acl=/*~data=", "").len();
        made(&format!("exp=1893456000~acl=/*~data={}", "d".repeat(len - rest)), "")
    };
    assert_eq!(sized(4096).len(), 4096);
    assert!(passes(of(&sized(4096))));
    assert_eq!(of(&sized(4097)), without(Malformed));
}

#[test]
fn times_and_addresses_are_looked_at_after_the_signature() {
    let made_of = |fields: &str| made(&format!("{fields}~acl=/a"), "");
    let made = Made::with(&[KEY]);
    let token = made_of("st=1000~exp=2000");
    for (now, verdict) in
        [(999, with(NotYetValid)), (1000, Ok(())), (2000, Ok(())), (2001, with(Expired))]
    {
        assert_eq!(is(&judged(&made, &token, "/a", now)), verdict, "{now}");
        let other = token.replace("st=1000", "st=0");
        assert_eq!(judged(&made, &other, "/a", now), without(BadSignature));
    }
    // The expiry comes first: what has expired will never be valid.
    assert_eq!(judged(&made, &made_of("st=3000~exp=2000"), "/a", 2500), with(Expired));

    for (ip, client, is_clients) in [
        ("192.0.2.1", Some("192.0.2.1"), true),
        ("192.0.2.1", Some("::ffff:192.0.2.1"), true),
        ("::ffff:192.0.2.1", Some("192.0.2.1"), true),
        ("2001:db8::1", Some("2001:db8::1"), true),
        ("2001:0DB8:0:0::1", Some("2001:db8::1"), true),
        ("2001%3adb8%3a%3a1", Some("2001:db8::1"), true),
        ("192.0.2.1", Some("192.0.2.2"), false),
        ("192.0.2.1", Some("::192.0.2.1"), false),
        ("2001:db8::1", Some("2001:db8::2"), false),
        ("0.0.0.0", Some("192.0.2.1"), false),
        ("192.0.2.1", None, false),
    ] {
        let token = made_of(&format!("ip={ip}~exp=2000"));
        let client = client.map(|it| it.parse().unwrap());
        let source = Some((token.as_bytes(), Carrier::Other));
        let request = Given { source, client, ..Given::new("/a") };
        let judged = judge(&*made.format("akamai"), &request, 0);
        assert_eq!(judged.map(drop), if is_clients { Ok(()) } else { Err((BadAddress, true)) });
    }
}

#[test]
fn normalisation_rules() {
    // nginx decodes a path and resolves its dots before an acl is compared with it, in its one encoded form.
    for (acl, covered, uncovered) in [
        (
            "/public/*",
            &["/public/", "/public/a", "/public//a", "/public/a/b;c", "/public/a b"][..],
            &[
                "/public",
                "/Public/a",
                "//public/a",
                "/private",
                "/x/public/a",
                // None of these comes from nginx, unless it was told to leave the path alone, or a client encodes
                // twice. What stands behind it may decode once more.
                "/public/../private",
                "/public/..",
                "/public/./../private",
                "/public/%2e%2e/private",
                "/public/%2E./private",
                "/public/..%2fprivate",
                "/public%2f..%2Fprivate",
                "/public/..;/private",
                "/public/..;a=b/private",
                "/public/%2e%2e;/private",
                "/public/..\\private",
                "/public\\..\\private",
                "/public/a\0",
                "/public/a%00",
            ][..],
        ),
        ("/*", &["/", "/a", "/a/b"], &["", "/a/../b"]),
        ("*", &["", "/", "/a"], &["/.."]),
        ("/a%20b", &["/a b"], &["/a%20b", "/a+b"]),
        ("/a b", &["/a b"], &["/a%20b"]),
        ("/%41%c3%a9", &["/Aé"], &["/aé", "/%41é"]),
        ("/a%2520b", &["/a%20b"], &["/a b"]),
        ("%2Fa%2A", &["/a", "/ab"], &["/", "/A"]),
        ("/a%21/b", &["/a", "/b"][..1], &["/a!/b"]),
        ("/a?b", &["/a/b", "/axb", "/a;b"], &["/ab", "/axxb", "/a?b"]),
        ("/a;b*", &["/a;b", "/a;bc"], &["/a", "/a;c"]),
        ("/a!/c/*!/d?", &["/a", "/c/d", "/dd"], &["/b", "/a/b", "/d", "/a!/c/d"]),
        ("https://h/*", &["https://h/a"], &["https://h:1/a", "/a", "http://h/a"]),
        ("/a/../b/*", &[], &["/b/c", "/a/../b/c"]),
    ] {
        let token = made(&format!("exp=1893456000~acl={acl}"), "");
        for path in covered {
            assert!(passes(of(&token, path)), "{acl} {path}");
        }
        for path in uncovered {
            assert_eq!(of(&token, path), with(NotCovered), "{acl} {path}");
        }
        // The signature is over the acl as it travels.
        for other in [acl.replace('/', "%2f"), acl.replace('*', "%2a"), acl.replace("%2", "%20")] {
            let changed = token.replace(acl, &other);
            if changed != token {
                assert_eq!(of(&changed, covered.first().unwrap_or(&"/")), without(BadSignature));
            }
        }
    }
    let shown = |acl: &str| {
        let granted = of(&made(&format!("exp=1893456000~acl={acl}"), ""), "/").unwrap();
        text(granted.acl.as_deref()).unwrap().to_owned()
    };
    assert_eq!(shown("%2f%2A!/a%20%0d%0Ab?c"), "/*!/a%20%0D%0Ab?c");
}

#[test]
fn algorithms_salt_and_secrets_are_as_configured() {
    let sha1 = "exp=1893456000~acl=/*~hmac=8f3daa9c0f2a5d5a8b2ffb8e7a2b44b0ab0cb8ae";
    let both = [LinkAlgorithm::HmacSha1, LinkAlgorithm::HmacSha256];
    let made_by = |accepted: &[LinkAlgorithm]| {
        let order = Order { path: "/a", expires: EXP, covers: Some("/*"), ..Order::default() };
        let made = Made::with(&[KEY]).accepting(accepted);
        made.signer("akamai").sign(&order).unwrap().remove(0).1
    };
    let with_sha1 = made_by(&both[..1]);
    assert_eq!(with_sha1.len(), sha1.len());
    assert_eq!(made_by(&both), made("exp=1893456000~acl=/*", ""));
    for (accepted, has_sha1, has_sha256) in [
        (&both[..0], false, true),
        (&both[..1], true, false),
        (&both[1..], false, true),
        (&both[..], true, true),
    ] {
        let made_with = Made::with(&[KEY]).accepting(accepted);
        for (token, accepts) in [(&with_sha1, has_sha1), (&made_by(&[]), has_sha256)] {
            let judged = judged(&made_with, token, "/a", EXP);
            assert_eq!(judged.map(drop), if accepts { Ok(()) } else { Err((Malformed, false)) });
        }
    }
    assert_eq!(of(sha1, "/a"), without(Malformed));

    let salted = Made::with(&[KEY]).option("salt", "s~x");
    for (signed, unseen) in [("exp=1893456000~acl=/*", ""), ("exp=1893456000", "~url=/a")] {
        let token = made(signed, &format!("{unseen}~salt=s~x"));
        assert!(passes(judged(&salted, &token, "/a", EXP)));
        assert_eq!(of(&token, "/a"), without(BadSignature));
        assert_eq!(judged(&salted, &made(signed, unseen), "/a", EXP), without(BadSignature));
    }

    let error = |made: Made| made.try_format("akamai").unwrap_err();
    let start = |text: &str| text.split(':').next().unwrap().to_owned();
    assert_eq!(start(&error(Made::with(&[]))), "secure_token_format");
    assert_eq!(start(&error(Made::with(&["abc"]))), "secure_token_secret");
    assert_eq!(start(&error(Made::with(&["wxyz"]))), "secure_token_secret");
    assert_eq!(
        start(&error(Made::with(&[KEY]).accepting(&[LinkAlgorithm::Md5]))),
        "secure_token_algorithm"
    );
    assert_eq!(start(&error(Made::with(&[KEY]).option("salt", ""))), "secure_token_format");
    assert_eq!(start(&error(Made::with(&[KEY]).option("pepper", "x"))), "secure_token_format");
    let mut plain = Made::with(&[]);
    plain.secrets.push(secret("wpOUAAzzsfb6", Some(Encoding::Text)));
    assert!(passes(judged(&plain, &made("exp=1893456000~acl=/*", ""), "/a", EXP)));
}
