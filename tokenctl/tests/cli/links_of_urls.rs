//! Links of the formats that sign whole URLs, most of them with key pairs.

use crate::links::{accepted, refused};
use crate::{failed, openssl_key, printed, tokenctl};

/// With key pairs or a named secret: how to make links, and how to inspect them.
fn ways_of_urls() -> Vec<(Vec<String>, Vec<String>)> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let pair = |format: &str, name: &str| {
        let (private, public) = (format!("{name}.pem"), format!("{name}.pub.pem"));
        let format = format!("--format={format}");
        let private = ["--key", &openssl_key(&private), "--kid=k-1"];
        let public = format!("{}:k-1", openssl_key(&public));
        let public = [&*format, "--keys", &public];
        (words(&[&[&*format], &private[..]].concat()), words(&public))
    };
    let secret = words(&["--format=google", "--secret=nZtRohdNF9m3cKM24IcK4w==", "--kid=my-key"]);
    vec![pair("cloudfront", "rsa2048"), pair("google", "ed25519"), (secret.clone(), secret)]
}

#[test]
fn links_of_whole_urls_hold_for_their_host_only() {
    for (making, asking) in ways_of_urls() {
        let with = |words: &[&str], more: &[String]| -> Vec<String> {
            let words = words.iter().map(|word| (*word).to_owned());
            words.chain(more.iter().cloned()).collect()
        };
        for link in ["https://H.example:8443/a//v/../x?q=1", "http://h.example/a%20b"] {
            let signed = printed(&with(&["url", link], &making));
            let said = printed(&with(&["inspect", &signed], &asking));
            assert!(said.ends_with("Verdict: ok"), "{said}");
            assert!(said.contains("  must cover  http"), "{said}");
            let other = signed.replacen("xample", "xampel", 1);
            let call = tokenctl(&with(&["inspect", &other], &asking));
            assert!(call.status == 1 && call.out.contains("bad_signature\n"), "{}", call.out);
        }
        let origin = "--origin=https://cdn.example";
        let signed = printed(&with(&["url", "/a", origin], &making));
        assert!(signed.starts_with("/a?"), "{signed}");
        let said = printed(&with(&["inspect", &signed, origin], &asking));
        assert!(said.ends_with("Verdict: ok"), "{said}");
        let said = failed(&with(&["inspect", &signed], &asking));
        assert!(said.contains("--origin https://HOST"), "{said}");
        let said = failed(&with(&["url", "/a"], &making));
        assert!(said.contains("give a whole URL, or --origin https://HOST"), "{said}");

        let covers = ["url", "https://h/v/a", "--covers=https://h/v/"];
        let covers = match &*making[0] {
            "--format=cloudfront" => [covers[0], covers[1], "--covers=https://h/v/*"],
            _ => covers,
        };
        let signed = printed(&with(&covers, &making));
        let said = printed(&with(&["inspect", &signed.replace("/v/a", "/v/b")], &asking));
        assert!(said.contains(" it)\n") || said.contains("(covers it)"), "{said}");
        let call = tokenctl(&with(&["inspect", &signed.replace("/v/a", "/w/b")], &asking));
        assert!(call.out.contains("Verdict: not_covered\n"), "{}", call.out);
        assert!(call.out.contains("does not cover it)"), "{}", call.out);
        // The same as cookies.
        let line = printed(&with(&[&covers[..], &["--cookie"]].concat(), &making));
        assert!(line.starts_with("Cookie: C") || line.starts_with("Cookie: Edge"), "{line}");
        let said = printed(&with(&["inspect", "https://h/v/b", "--cookie", &line], &asking));
        assert!(said.ends_with("Verdict: ok"), "{said}");
        assert!(!said.contains("no secret"), "{said}");
        // Without keys it is only shown.
        let shown = printed(&["inspect", &signed, &making[0]]);
        assert!(shown.contains("NOT VERIFIED: no secret or key was given"), "{shown}");
    }
}

#[test]
fn a_policy_is_taken_apart() {
    let ways = ways_of_urls();
    let (making, asking) = &ways[0];
    let mut words: Vec<&str> = vec!["url", "https://h/a", "--starts=1700000000"];
    words.extend(["--expires=1700003600", "--address=192.0.2.0/24"]);
    words.extend(making.iter().map(String::as_str));
    let signed = printed(&words);
    for (client, status, words) in [
        ("--address=192.0.2.7", 0, "has the client's address"),
        ("--address=192.0.3.7", 1, "does not have the client's address"),
    ] {
        let mut asked = vec!["inspect", &signed, "--at=1700000000", client];
        asked.extend(asking.iter().map(String::as_str));
        let call = tokenctl(&asked);
        assert_eq!(call.status, status, "{}", call.out);
        for part in [
            "  Resource  https://h/a  (covers it)\n",
            "  DateLessThan  1700003601  before 2023-11-14T23:13:21Z, in 1h\n",
            "  DateGreaterThan  1700000000  valid from 2023-11-14T22:13:20Z, now\n",
            &format!("  IpAddress  192.0.2.0/24  ({words})\n"),
            "  Key-Pair-Id  k-1  (the name of the key)\n",
            "(rsa-sha256)\n",
        ] {
            assert!(call.out.contains(part), "{part}: {}", call.out);
        }
    }
}

#[test]
fn published_links_of_whole_urls_are_explained() {
    let google = ["--format=google", "--secret=nZtRohdNF9m3cKM24IcK4w==", "--kid=my-key"];
    for link in [
        "http://35.186.234.33/index.html?Expires=1549751401&KeyName=my-key\
         &Signature=CRFqQnVfFyiUyR63OQf-HRUpIwc=",
        "http://www.example.com/some/path?some=query&another=param&Expires=1549751401\
         &KeyName=my-key&Signature=9Q9TCxSju8-W5nUkk5CuTrun2_o=",
    ] {
        let said = accepted(&[&[link, "--at=1549751401"], &google[..]].concat());
        assert!(said.contains("  Expires  1549751401  2019-02-09T22:30:01Z, now\n"), "{said}");
        assert!(said.contains("(hmac-sha1)\n"), "{said}");
    }
    let secret = "--secret=g_SlMILiIWKqsC6Z2L7gy0sReDOqtSrJrE7CXNr5Nl8=";
    let token = "URLPrefix=aHR0cDovLzEwLjIwLjMwLjQwLw~Expires=1663070400~hmac=\
                 409722313cf6d987da44bb360e60dccc3d79764520fc5e3b57654e1d4d2c862e";
    let link = format!("http://10.20.30.40/a?edge-cache-token={token}");
    let said = accepted(&[&link, "--format=google", secret, "--at=1663070400"]);
    for part in [
        "(http://10.20.30.40/ covers it)\n",
        "  found in  argument edge-cache-token\n",
        "(hmac-sha256)\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let all = "PathGlobs=/*~Starts=1663027200~Expires=1663070400~SessionID=test-id~Data=test-data\
               ~Headers=Foo,BAZ~IPRanges=MjAzLjAuMTEzLjAvMjQsMjAwMTpkYjg6NGE3ZjphNzMyLzY0~hmac=\
               dda9c3d6f3b2e867a09fbb76209ea138dd81f8512210f970d1e92f90927bef4b";
    let words = ["https://h/a", "--format=google", secret, "--at=1663070400", "--token", all];
    let headers = ["--header=Foo: bar", "--header=baz: quux"];
    let said = accepted(&[&words[..], &headers, &["--address=203.0.113.9"]].concat());
    for part in [
        "  PathGlobs  /*  (/* covers it)\n",
        "  Starts  1663027200  valid from 2022-09-13T00:00:00Z, 12h ago\n",
        "(the client is in 203.0.113.0/24)\n",
        "  SessionID  test-id  (whom or what it names)\n",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let said = refused(&[&words[..], &headers].concat());
    assert!(said.contains("In nginx's log: bad_address"), "{said}");
    let said = refused(&words);
    assert!(said.contains("bad_signature: a header that it names is missing"), "{said}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("public.pem").display().to_string();
    std::fs::write(&file, AWS_KEY).unwrap();
    let link = format!("http://example.com/hi?Expires=1451606400&Signature={AWS}&Key-Pair-Id=X");
    let words = [&*link, "--format=cloudfront", "--keys", &file];
    let said = accepted(&[&words[..], &["--at=1451606399"]].concat());
    assert!(said.contains("  Expires  1451606400  before 2016-01-01T00:00:00Z, in 1s\n"), "{said}");
    assert!(said.contains("(rsa-sha1)\n"), "{said}");
    let said = refused(&[&words[..], &["--at=1451606400", "--alg=rsa-sha256"]].concat());
    assert!(said.contains("malformed: its hash algorithm is not accepted\n"), "{said}");
}

/// The test key of aws/aws-cli, tests/functional/cloudfront/test_sign.py, and the signature there of a canned policy.
const AWS_KEY: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAu6o2+Jc8UINw2P/w2l7A
1xXu3emQEZQ9diA3bmog8r9Dg+65fZgAqmuNWPqBivv7j3DGnLUdt8uCIr7PYUbK
7wDa6n7U3ryOWtO2ZTc3StiJVcqTsokZ0qxGFtDRafjBuydXtcxh52vVTcHqH33n
ubyyZIzuhTwfmrIOnUXnLwbMrBBPbg/8mlgQooyo1XbrN1eO4XMs+UgQ9Mqc7KRJ
RinUJ+KYuCnM8f/nN4RjYdjTcghkxCPEHCeSt2luywWyYmfguWCBS2Mu1q0250wK
yNazlgiiTJtAuuSeweb4NKPOJL9XhR6Ce6UuU4WYlli8gvQh3FAV3N3C1Rxo20k2
8QIDAQAB
-----END PUBLIC KEY-----
";
const AWS: &str = "UiEmtMsInU-gXoa1O7-bTRJmZ~ocphB0ONMxyEHs2r8Y9dwzeB~DkbgzPMX3jbdbwIwVX3f4VcY4HBLdPSkbF~\
                   D6KbUlxPw1ju8mlXeu2C436XxZdrJrrJaiEDaTpKslXpn9ngaCzVfCVPfkC3a0NBWBySi5ezCG2yzb0c-djNgI1\
                   wkogwtmtZuOxAoKF1sRTyFX9ZitUiUIl~65nkJ94s~GGwxzTf1kMi7Wdm~9rFrJpx0O7nJEBy5O578s2UHrejt\
                   wyedUR5BqXTkgu~A51NcjAN9LErATV7SVBYicoZ76AOfB-TKay7g6-MWCK6-T-4Q5x6XH4yzII3JpbCmVwA__";
