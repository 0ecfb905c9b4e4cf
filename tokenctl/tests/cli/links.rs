//! Links of every format: what `url` makes, `inspect` accepts and explains.

use serde_json::{Value, json};

use crate::{failed, printed, tokenctl};

const AKAMAI: [&str; 3] =
    ["--format=akamai", "--secret=77704f5541417a7a73666236", "--at=1591841414"];
const BUNNY: [&str; 3] = ["--format=bunny", "--secret=SecurityKey", "--at=1598024587"];

/// Inspects a link that must be refused.
pub(crate) fn refused(words: &[&str]) -> String {
    let call = tokenctl(&[&["inspect"], words].concat());
    assert_eq!((call.status, call.err.as_str()), (1, ""), "{words:?}: {}", call.out);
    call.out
}

pub(crate) fn accepted(words: &[&str]) -> String {
    let said = printed(&[&["inspect"], words].concat());
    assert!(said.contains("Link (the signature holds)"), "{words:?}: {said}");
    assert!(said.ends_with("Verdict: ok"), "{words:?}: {said}");
    said
}

/// How to make and to inspect links: what both need, what only makes one, what only the request has.
const WAYS: [(&[&str], &[&str], &[&str]); 14] = [
    (&["--format=plain", "--secret=s"], &[], &[]),
    (&["--format=plain", "--secret=6b", "--secret-encoding=hex", "--value=x y"], &[], &[]),
    (&["--format=akamai", "--secret=1234"], &[], &[]),
    (&["--format=akamai", "--secret=1234", "--alg=hmac-sha1"], &["--covers=/a/*!/c?"], &[]),
    (&["--format=akamai", "--secret=wrong-hex", "--encoding=text"], &["--starts=-5s"], &[]),
    (
        &["--format=akamai,salt=s", "--secret=1234"],
        &["--id=a b", "--data=~,;=%é", "--address=192.0.2.7"],
        &["--address=::ffff:192.0.2.7"],
    ),
    (&["--format=akamai", "--option=salt=a,b", "--secret=1234"], &[], &[]),
    (&["--format=bunny", "--secret=k"], &[], &[]),
    (&["--format=bunny", "--secret=k"], &["--covers=/a"], &[]),
    (
        &["--format=bunny,address=required", "--secret=k"],
        &["--address=2001:db8::1"],
        &["--address=2001:db8::2"],
    ),
    (&["--hash=md5", "--text=$secure_token_expires$uri secret"], &[], &[]),
    (
        &[
            "--hash=sha256",
            "--text=$secure_token_key${uri}$secure_token_expires",
            "--secret=6b6b",
            "--secret-encoding=hex",
            "--encoding=hex",
            "--time=hex",
        ],
        &[],
        &[],
    ),
    (
        &[
            "--hash=hmac-sha1",
            "--text=$uri$secure_token_expires",
            "--secret=k",
            "--encoding=base64",
            "--sig-arg=sig",
            "--expires-arg=ts",
        ],
        &[],
        &[],
    ),
    (
        &[
            "--hash=sha512",
            "--text=$secure_token_time-$uri-$secure_token_key",
            "--secret=k",
            "--valid=1h",
            "--time=+08:00:YYYYMMDDHHMM",
        ],
        &[],
        &[],
    ),
];

#[test]
fn every_link_that_is_made_holds() {
    for (both, making, asking) in WAYS {
        for link in ["/a/b.m3u8", "/a/b%20c?x=1&y", "https://H.example:8443/a//v/../x?q#t=10"] {
            let signed = printed(&[&["url"], both, making, &[link]].concat());
            assert!(signed.starts_with(link.split('#').next().unwrap()), "{signed}");
            accepted(&[&[&*signed], both, asking].concat());
            // What is signed with --value does not depend on the path.
            if !both.iter().any(|word| word.starts_with("--value")) {
                let other = signed.replacen("/a/", "/b/", 1);
                let said = refused(&[&[&*other], both, asking].concat());
                let verdict = said.contains("bad_signature\n") || said.contains("not_covered\n");
                assert!(verdict, "{other}: {said}");
            }
        }
    }
}

#[test]
fn a_cookie_stands_for_the_link() {
    let [format, secret, _] = AKAMAI;
    let words = ["url", format, secret, "--covers=/a,b/*", "--cookie", "/a,b/c"];
    let line = printed(&words);
    assert!(line.starts_with("Cookie: hdntl=exp=") && !line.contains([',', ';']), "{line}");
    let said = accepted(&["/a,b/d", format, secret, "--cookie", &line]);
    assert!(said.contains("  found in  cookie hdntl\n"), "{said}");
    let bare = format!("a=b; {}", &line["Cookie: ".len()..]);
    accepted(&["/a,b/d", format, secret, "--cookie", &bare]);
    let text = &line["Cookie: hdntl=".len()..];
    accepted(&["/a,b/d", format, secret, "--token", text]);
    let json: Value = serde_json::from_str(&printed(&[&words[..], &["--json"]].concat())).unwrap();
    assert!(json["cookies"]["hdntl"].as_str().unwrap().starts_with("exp="), "{json}");
    for (words, part) in [
        (&["url", "--secret=s", "--cookie", "/a"][..], "this format has no cookies"),
        (&["url", "--hash=md5", "--text=$secure_token_expires", "--cookie", "/a"], "no cookies"),
    ] {
        assert!(failed(words).contains(part), "{words:?}");
    }
}

/// The vectors of the vendors, and what is said of them.
#[test]
fn published_links_are_explained() {
    let early = "exp=1591841414~acl=%2F%2A~hmac=\
                 ea20f092942d08829ecb30e330ba1c78d768515df5efc383ee9ad335149d1a7d";
    let encoded = early.replace('%', "%25").replace('~', "%7E");
    for token in [early, &encoded] {
        let said = accepted(&[&[&*format!("/a?hdnts={token}")], &AKAMAI[..]].concat());
        for part in [
            "  must cover  /a\n",
            "  found in  argument hdnts\n",
            "  exp  1591841414  2020-06-11T02:10:14Z, now\n",
            "  acl  %2F%2A  (/* covers it)\n",
            "  (hmac-sha256 over the fields before it)\n",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    let secret = "--secret=77704f5541417a7a73666236";
    let several = "/a?hdnts=exp=1893456000~acl=/live/*!/vod/?.m3u8~hmac=\
                   33dafaa2ed5161cef7634650a7cfcb49bf78b7deea9ff62ef142aa8e394ec7e2";
    let of = |link: &str| {
        vec![link.to_owned(), AKAMAI[0].to_owned(), secret.to_owned(), "--at=1893456000".to_owned()]
    };
    let words = |link: &str| of(link);
    let call = |link: &str| {
        let words = words(link);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        tokenctl(&[&["inspect"], &words[..]].concat())
    };
    let said = call(several);
    let part = "(/live/* does not cover it, /vod/?.m3u8 does not cover it)";
    assert!(said.status == 1 && said.out.contains(part), "{said:?}");
    assert!(
        said.out.contains(
            "Verdict: not_covered\n  In nginx's log: not_covered: acl does not match it\n"
        )
    );
    let said = call(&several.replace("/a?", "/vod/a.m3u8?"));
    assert!(said.status == 0 && said.out.contains("/vod/?.m3u8 covers it"), "{said:?}");
    let of_url = "/vod/a.m3u8?hdnts=exp=1893456000~hmac=\
                  407c785ea2eeeba8b4790a372f1cc3edb04cbdba1369c5fe630b3e951123dfbe";
    let said = call(of_url);
    assert!(
        said.status == 0 && said.out.contains(", and the path, as there is no acl"),
        "{said:?}"
    );
    let window = "/hls/a?hdnts=st=1528033089~exp=1528036689~acl=/hls/*~hmac=\
                  75aa31dd3ddb3a5c64baf27879818f8b5d8223331fe6fe246df21ebf79a0b94c";
    let words = [window, "--format=akamai", "--secret=1234"];
    let said = refused(&[&words[..], &["--at=1528033079"]].concat());
    assert!(said.contains("valid from 2018-06-03T13:38:09Z, in 10s"), "{said}");
    assert!(said.contains("Verdict: not_yet_valid\n"), "{said}");
    let said = refused(&[&words[..], &["--at=1528036699"]].concat());
    assert!(said.contains("Verdict: expired\n  In nginx's log: expired 10s ago\n"), "{said}");

    let bunny = "/abc/f?token=HS256-uVZvT3SbEoVKYJyDJgbcsDmSFf73cv-uNUVaJiKWpbQ&token_path=%2Fabc\
                 &expires=1598024587";
    let said = accepted(&[&[bunny], &BUNNY[..]].concat());
    for part in [
        "  token_path  /abc  (covers it)\n",
        "  expires  1598024587  2020-08-21T15:43:07Z, now\n",
        "(hmac-sha256)\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let bound = "/bcdn_token=HS256-1-X01Z6A9xAo1_ds1XFf9y8gAIzk_JpmoevOx7EtgMQhY&limit=5000\
                 &expires=1598024587/abc/";
    let said = accepted(&[&[bound, "--address=1.2.3.4"], &BUNNY[..]].concat());
    assert!(said.contains("  limit  5000  (is signed with it)\n"), "{said}");
    let said = refused(&[&[bound], &BUNNY[..]].concat());
    assert!(said.contains("Verdict: bad_address\n") && said.contains("--address."), "{said}");
    let countries = "/300kb.jpg?token=HS256-i5s3Uv7mnrFfN5nznwU2BxhILpnipYeE18TapV0WNFM\
                     &token_countries=CA%2CUS&expires=1598024587";
    let said = refused(&[&[countries], &BUNNY[..]].concat());
    assert!(said.contains("  token_countries  CA,US  (nobody here checks countries"), "{said}");
    assert!(said.contains("not_covered: it names countries: nobody checks them"), "{said}");

    // Alibaba's scheme C, whose values are a part of the path, given here as arguments.
    let alibaba = "/test.flv?sig=a37fa50a5fb8f71214b1e7c95ec7a1bd&time=55CE8100";
    let said = accepted(&[
        alibaba,
        "--hash=md5",
        "--text=$secure_token_key$uri$secure_token_time",
        "--secret=aliyuncdnexp1234",
        "--encoding=hex",
        "--time=hex",
        "--valid=30m",
        "--sig-arg=sig",
        "--expires-arg=time",
        "--at=1439596900",
    ]);
    for part in ["  $uri  /test.flv\n", "  (md5)\n", "  time  55CE8100  made 2015-08-15T00:00:00Z,"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    let nginx = "/s/link?st=_e4Nc3iduzkWRm01TBBNYw&e=2147483647";
    let text = "--text=$secure_token_expires${uri}127.0.0.1 secret";
    accepted(&[nginx, "--hash=md5", text]);
}

#[test]
fn refusals_are_told_in_the_words_of_the_log() {
    let twice = "/a?hdnts=exp=1~exp=2~acl=/*~hmac=00";
    let [format, secret, _] = AKAMAI;
    for (link, part, sentence) in [
        (twice, "exp  1  stands more than once", "malformed: a field stands twice"),
        ("/a?hdnts=exp=1~b=2~hmac=00", "(is no field of", "malformed: it has a field that is not"),
        ("/a?hdnts=exp=01~hmac=00", "(is no time", "malformed: a time is none"),
        ("/a?hdnts=ip=x~exp=1~hmac=00", "(is not one address)", "malformed: ip is not one address"),
        ("/a?hdnts=x&hdnts=y", "found in  argument hdnts", "malformed\n"),
        ("/a", "It is looked for in argument hdnts, argument hdnea", "missing\n"),
    ] {
        for words in [&[link, format, secret][..], &[link, format]] {
            let said = refused(words);
            assert!(said.contains(part), "{link}: {said}");
            assert!(said.contains(&format!("In nginx's log: {sentence}")), "{link}: {said}");
        }
    }
    let json: Value = serde_json::from_str(&refused(&[twice, format, secret, "--json"])).unwrap();
    assert_eq!(json["verdict"], "malformed");
    assert_eq!(json["reason"], "malformed: a field stands twice");
    assert_eq!((&json["signature_holds"], &json["value"]), (&json!(false), &json!("/a")));
    assert_eq!(
        json["parts"][3],
        json!({ "name": "hmac", "text": "00",
        "meaning": "is neither hmac-sha256 (64 digits) nor hmac-sha1 (40 digits)" })
    );
}

#[test]
fn without_a_secret_a_link_is_shown_and_without_a_format_its_kind_is_told() {
    let [format, secret, _] = AKAMAI;
    let signed = printed(&["url", format, secret, "--address=192.0.2.7", "/a"]);
    let said = printed(&["inspect", &signed, format]);
    assert!(said.contains("Link (NOT VERIFIED: no secret or key was given)"), "{said}");
    assert!(said.contains("  ip  192.0.2.7  (for this client address only)\n"), "{said}");
    assert!(said.contains("Verdict: none"), "{said}");
    let said = refused(&[&signed, "--secret=x"]);
    assert!(said.contains("Verdict: missing\n"), "{said}");
    assert!(said.contains("links of akamai have (argument hdnts): try --format akamai."), "{said}");
    let said = refused(&["/a", "--secret=x", "--cookie=hdntl=exp=1"]);
    assert!(said.contains("links of akamai have (cookie hdntl)"), "{said}");
    let said = refused(&["/a?token=x&expires=1", "--secret=x"]);
    assert!(said.contains("links of bunny have (argument token, argument expires)"), "{said}");
    // Somebody else's address.
    let said = refused(&[&signed, format, secret, "--address=192.0.2.8"]);
    assert!(said.contains("(is not the client's address)"), "{said}");
    assert!(said.contains("Verdict: bad_address\n"), "{said}");
    // What vouches for links that are only shown is no secret.
    let zeros = "--secret=00000000000000000000000000000000";
    let made = printed(&["url", format, zeros, "/a"]);
    let said = printed(&["inspect", &made, format]);
    assert!(said.contains("NOT VERIFIED") && said.contains("Verdict: none"), "{said}");
}

#[test]
fn a_secret_that_is_read_in_another_way_is_told() {
    let made = printed(&["url", "--format=akamai", "--encoding=text", "--secret=1234", "/a"]);
    let said = refused(&[&made, "--format=akamai", "--secret=1234"]);
    assert!(said.contains("right if the secret is read as text: --secret-encoding text"), "{said}");
    let plain = printed(&["url", "--encoding=base64", "--secret=c2VjcmV0", "/a"]);
    let said = refused(&[&plain, "--secret=c2VjcmV0"]);
    assert!(said.contains("encoding=base64 in secure_token_secret"), "{said}");
    let said = refused(&[&plain, "--secret=other"]);
    assert!(!said.contains("is right if"), "{said}");
}

#[test]
fn json_of_a_link_that_is_made() {
    let words =
        ["url", "--secret=mysecret", "--alg=md5", "--expires=1470055000", "--json", "/my/uri"];
    let json: Value = serde_json::from_str(&printed(&words)).unwrap();
    assert_eq!(
        json,
        json!({
            "link": "/my/uri?st=m6WCATfRgS_5lcyChCPgrw&e=1470055000",
            "arguments": { "st": "m6WCATfRgS_5lcyChCPgrw", "e": "1470055000" },
            "time": 1_470_055_000,
        })
    );
}

#[test]
fn mistakes_name_the_option() {
    let hash = |more: &[&'static str]| [&["url", "--secret=s3cret"], more, &["/a"]].concat();
    for (words, part) in [
        (
            hash(&["--format=akami"]),
            "--format: want one of plain, akamai, bunny, cloudfront, google",
        ),
        (
            hash(&["--format=akamai"]),
            "--secret: the secret is not in hex: say how it is written, \
            with --encoding",
        ),
        (hash(&["--format=akamai,salt"]), "an option is written NAME=VALUE"),
        (hash(&["--format=bunny,salt=x"]), "--format: this format has no option \"salt\""),
        (hash(&["--encoding=hex2"]), "--encoding: want text, hex"),
        (hash(&["--encoding=hex", "--secret-encoding=hex"]), "give one"),
        (hash(&["--id=x"]), "--id: links of this format hold no id; leave it out"),
        (hash(&["--covers=/x"]), "--covers: links of this format hold no covers"),
        (hash(&["--format=bunny,address=required"]), "--address: address is missing"),
        (hash(&["--format=bunny", "--covers=/b"]), "is no prefix of its own path"),
        (hash(&["--hash=md5"]), "--text"),
        (hash(&["--hash=md4", "--text=x"]), "--hash: want one of md5, sha1"),
        (hash(&["--hash=md5", "--text=$uri"]), "--text: must hold $secure_token_expires"),
        (hash(&["--hash=md5", "--text=$secure_token_time"]), "give --valid"),
        (hash(&["--hash=md5", "--text=$secure_token_expires$arg_x"]), "$arg_x: only $uri"),
        (hash(&["--hash=md5", "--text=$secure_token_expires", "--time=x"]), "--time: want unix"),
        (hash(&["--hash=md5", "--text=$secure_token_expires", "--encoding=text"]), "of a hash"),
        (
            hash(&["--hash=hmac-md5", "--text=$secure_token_expires$secure_token_key"]),
            "leave $secure_token_key out",
        ),
        (hash(&["--hash=md5", "--text=$secure_token_expires", "--id=x"]), "--id: links of this"),
        (hash(&["--hash=md5", "--text=$secure_token_time", "--valid=0"]), "at least a second"),
        (hash(&["--format=plain", "--origin=cdn.example"]), "--origin: want scheme and host"),
        (vec!["url", "--hash=hmac-md5", "--text=$secure_token_expires", "/a"], "what signs?"),
        (vec!["url", "--format=akamai", "/a"], "what signs?"),
        (vec!["url", "--key=/nowhere", "/a"], "/nowhere"),
        (hash(&["--format=cloudfront"]), "--key: has no private key"),
        (hash(&["--format=google", "--encoding=text"]), "--secret: has no name for KeyName"),
        (hash(&["--format=google", "--encoding=text", "--kid=k", "--cookie"]), "--covers"),
        (
            hash(&["--format=google", "--alg=ed25519", "--encoding=text", "--kid=k"]),
            "--alg: links are",
        ),
        (
            vec!["url", "--format=akamai", "--secret=12", "/a?hdnts=x"],
            "hdnts would stand more than once",
        ),
        (vec!["inspect", "/a", "--secret=s", "--alg=x"], "--alg of a link: want one of md5"),
        (vec!["inspect", "/a", "--secret=s", "--header=x"], "--header: want NAME: VALUE"),
        (vec!["inspect", "/a", "--secret=s", "--address=x"], "invalid"),
    ] {
        let said = failed(&words);
        assert!(said.contains(part) && !said.contains("s3cret"), "{words:?}: {said}");
    }
}
