use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::{Made, failed, openssl_key, printed, tokenctl, with_input};

/// A time that the tests judge at.
const NOW: &str = "1700000000";

fn mint(more: &[&str]) -> String {
    let words = ["jwt", "--secret=s", "--exp=1700000060"].iter().chain(more);
    printed(&words.collect::<Vec<_>>())
}

/// Inspects at [`NOW`]; the verdict must be a refusal.
fn refused(token: &str, more: &[&str]) -> String {
    let words = [&["inspect", token, "--at", NOW], more].concat();
    let call = tokenctl(&words);
    assert_eq!((call.status, call.err.as_str()), (1, ""), "{}", call.out);
    call.out
}

#[test]
fn without_a_key_it_is_shown_and_marked_as_unverified() {
    let token = mint(&["--claim=name=Zoë \u{202e}x\u{9b}", "--iat=1699990000", "--nbf=1700000010"]);
    let said = printed(&["inspect", &token, "--at", NOW]);
    for part in [
        "Payload (NOT VERIFIED: no key was given)",
        "\"name\": \"Zoë \\u{202e}x\\u009b\"",
        "iat  2023-11-14T19:26:40Z  2h 46m ago",
        "nbf  2023-11-14T22:13:30Z  not valid yet, in 10s",
        "exp  2023-11-14T22:14:20Z  expires in 1m",
        "Verdict: none",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let piped = with_input(&["inspect", "-", "--at", NOW], format!("Bearer {token}\n").as_bytes());
    assert_eq!((piped.status, piped.out.trim_end()), (0, said.as_str()));
    let late = printed(&["inspect", &token, "--at", "2023-11-15T01:14:20Z"]);
    assert!(late.contains("expired 3h ago"), "{late}");
}

#[test]
fn numbers_are_shown_to_the_last_digit() {
    let payload = r#"{"id":12345678901234567890123,"big":1e300,"part":0.1000,"list":[[],{},[1]]}"#;
    let parts = [r#"{"alg":"HS256"}"#, payload].map(token::base64url::encode);
    let said =
        with_input(&["inspect", "-"], format!("{}.{}.xx", parts[0], parts[1]).as_bytes()).out;
    let shown = [
        "  \"id\": 12345678901234567890123,",
        "  \"big\": 1e300,",
        "  \"part\": 0.1000,",
        "  \"list\": [\n    [],\n    {},\n    [\n      1\n    ]\n  ]\n}",
    ];
    assert!(said.contains(&shown.join("\n")), "{said}");
}

#[test]
fn a_good_token_passes_whoever_signed_it() {
    let said = printed(&["inspect", &mint(&[]), "--secret=s", "--at", NOW]);
    assert!(said.contains("Payload (the signature holds)") && said.ends_with("Verdict: ok"));
    let claims = json!({"iss": "me", "aud": ["a", "b"], "exp": 4_000_000_000_u64});
    for (name, algorithm) in [
        ("rsa2048", Algorithm::RS512),
        ("rsa2048", Algorithm::PS256),
        ("p256", Algorithm::ES256),
        ("p384", Algorithm::ES384),
        ("ed25519", Algorithm::EdDSA),
    ] {
        let pem = std::fs::read(openssl_key(&format!("{name}.pem"))).unwrap();
        let key = match name {
            "rsa2048" => EncodingKey::from_rsa_pem(&pem),
            "ed25519" => EncodingKey::from_ed_pem(&pem),
            _ => EncodingKey::from_ec_pem(&pem),
        };
        let header = Header { kid: Some("k".to_owned()), ..Header::new(algorithm) };
        let token = encode(&header, &claims, &key.unwrap()).unwrap();
        let keys = format!("{}:k", openssl_key(&format!("{name}.pub.pem")));
        let words = [
            "inspect",
            &token,
            "--keys",
            &keys,
            "--issuer=me",
            "--audience=b",
            "--typ=jwt",
            "--require-exp",
        ];
        assert!(printed(&words).ends_with("Verdict: ok"), "{algorithm:?}");
    }
}

#[test]
fn every_verdict_and_its_reason() {
    let s = "--secret=s";
    for (token, more, verdict, part) in [
        (
            mint(&["--claim=exp=1699989200"]),
            vec![s],
            "expired",
            "exp is 2023-11-14T19:13:20Z, 3h ago.",
        ),
        (mint(&["--nbf=1700000005"]), vec![s], "not_yet_valid", "in 5s."),
        (mint(&[]), vec!["--secret=t"], "bad_signature", "changed after it was signed"),
        (mint(&["--alg=HS512"]), vec![s, "--alg=HS256,HS384"], "bad_algorithm", "HS256, HS384."),
        (mint(&["--header=alg=none"]), vec![s], "bad_algorithm", "unsecured"),
        (mint(&["--header=alg=XS1"]), vec![s], "bad_algorithm", "\"XS1\" is not known here"),
        (mint(&["--iss=a/"]), vec![s, "--issuer=a"], "bad_issuer", "case, spaces and slashes"),
        (mint(&[]), vec![s, "--issuer=a"], "bad_issuer", "It has no iss; accepted: \"a\"."),
        (mint(&["--aud=x", "--aud=y"]), vec![s, "--audience=a"], "bad_audience", r#"["x","y"]"#),
        (mint(&["--typ=JWT"]), vec![s, "--typ=at+jwt"], "bad_type", "typ is \"JWT\""),
        (mint(&["--claim=exp=4000000000"]), vec![s, "--max-lifetime=1d"], "bad_lifetime", "72y"),
        (mint(&["--header=crit=[\"b64\"]"]), vec![s], "malformed", "crit asks"),
        (String::new(), vec![s], "missing", "The token is missing."),
        ("hello".to_owned(), vec![s], "malformed", "separated by dots"),
        ("a.b".to_owned(), vec![], "malformed", "2 sections"),
    ] {
        let said = refused(&token, &more);
        assert!(said.contains(&format!("Verdict: {verdict}\n")), "{more:?}: {said}");
        assert!(said.contains(part), "{verdict}: {said}");
    }
    let forever = printed(&["jwt", s, "--exp=none"]);
    let said = refused(&forever, &[s, "--require-exp"]);
    assert!(said.contains("Verdict: bad_lifetime") && said.contains("no exp"), "{said}");
}

#[test]
fn an_unknown_key_is_set_beside_the_known_ones() {
    let made = Made::new("ES256", &["--kid", "Main"]);
    let token = printed(&["jwt", "--key", &made.name("pem"), "--kid", "main", "--exp=1700000060"]);
    let said = refused(&token, &["--keys", &made.name("jwks.json")]);
    assert!(said.contains("Verdict: unknown_key\n"), "{said}");
    assert!(said.contains("The token names kid \"main\"; the keys are \"Main\"."), "{said}");
    assert!(said.contains("compared byte for byte"), "{said}");
    // A token signed with a public key's text as secret is never verified with that key.
    let public = made.text("pub.pem");
    let header = Header { kid: Some("Main".to_owned()), ..Header::new(Algorithm::HS256) };
    let claims = json!({ "exp": 1_700_000_060 });
    let token = encode(&header, &claims, &EncodingKey::from_secret(public.as_bytes())).unwrap();
    let said = refused(&token, &["--keys", &made.name("jwks.json")]);
    assert!(said.contains("alg is HS256; the key \"Main\" is for ES256."), "{said}");
}

#[test]
fn the_usual_mistakes_with_secrets_are_told() {
    for (how, part) in [
        (vec!["--secret=c2VjcmV0+w==", "--secret-encoding=base64"], "encoding=base64 in jwt_kids"),
        (vec!["--secret=c2VjcmV0+w==\n"], "line break at the end"),
        (vec!["--secret=  c2VjcmV0+w=="], "changed after it was signed"),
    ] {
        let words = ["jwt", "--exp=1700000060"].iter().chain(&how).collect::<Vec<_>>();
        let said = refused(&printed(&words), &["--secret=c2VjcmV0+w=="]);
        assert!(said.contains("Verdict: bad_signature\n") && said.contains(part), "{said}");
    }
    let said = refused(&printed(&["jwt", "--secret=x", "--exp=1700000060"]), &["--secret=x "]);
    assert!(said.contains("without the white space"), "{said}");
}

#[test]
fn keys_by_kid_files_and_their_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("args.json");
    std::fs::write(&file, r#"[{"kids": {"a": "s"}}]"#).unwrap();
    let file = file.display().to_string();
    let call = tokenctl(&["inspect", &mint(&["--kid=a"]), "--kids", &file, "--at", NOW]);
    assert_eq!(call.status, 0, "{}", call.out);
    assert!(call.out.ends_with("Verdict: ok\n"));
    assert!(call.err.contains("warning:") && call.err.contains("shorter than"), "{}", call.err);
}

#[test]
fn mistakes_are_named() {
    let token = mint(&[]);
    let rsa1024 = openssl_key("rsa1024.pub.pem");
    for (words, part) in [
        (vec!["inspect", &token, "--keys", "/nowhere.json"], "/nowhere.json"),
        (vec!["inspect", &token, "--keys", &rsa1024], "1024 bits"),
        (vec!["inspect", &token, "--issuer", "x"], "rules are judged after the signature"),
        (vec!["inspect", &token, "--secret=s", "--alg=none"], "one of HS256"),
        (vec!["inspect", &token, "--secret=s", "--leeway=-1s"], "cannot be negative"),
    ] {
        let said = failed(&words);
        assert!(said.contains(part), "{words:?}: {said}");
    }
}

#[test]
fn rules_and_lists_are_applied_as_in_a_location() {
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("revoked.txt");
    std::fs::write(&list, "# lost\nstolen\n").unwrap();
    let list = format!("jti:{}", list.display());
    let token = mint(&["--claim=roles=[\"user\"]", "--jti=a", "--claim=name=a b"]);
    let good = ["--secret=s", "--claim=roles any user admin", "--claim=name = 'a b'", "--revoked"];
    let words = [&["inspect", &token, "--at", NOW][..], &good, &[&list]].concat();
    assert!(printed(&words).ends_with("Verdict: ok"));
    let said = refused(&token, &["--secret=s", "--claim=roles any admin"]);
    let want = "The rule \"roles any admin\" does not hold: roles is [\"user\"].";
    assert!(said.contains("Verdict: denied") && said.contains(want), "{said}");
    let said = refused(&mint(&["--jti=stolen"]), &["--secret=s", "--revoked", &list]);
    assert!(said.contains("Verdict: revoked"), "{said}");
    assert!(said.contains(&format!("A value of it is in the list {list}.")), "{said}");
    let dated = dir.path().join("dated.txt");
    std::fs::write(&dated, "a before=1700000000\nb until=2023-11-14T22:13:20Z\n").unwrap();
    let dated = format!("jti:{}", dated.display());
    let judge = |jti: &str, iat: &str, at: &str| {
        let token = mint(&[jti, iat]);
        let call = tokenctl(&["inspect", &token, "--secret=s", "--at", at, "--revoked", &dated]);
        (call.status, call.out.contains("Verdict: revoked"))
    };
    assert_eq!(judge("--jti=a", "--claim=iat=1699999999", NOW), (1, true));
    assert_eq!(judge("--jti=a", "--claim=iat=1700000000", NOW), (0, false));
    assert_eq!(judge("--jti=b", "--claim=iat=1", "1699999999"), (1, true));
    assert_eq!(judge("--jti=b", "--claim=iat=1", NOW), (0, false));
    // What comes before the rules is told first.
    let said = refused(&token, &["--secret=other", "--claim=roles any admin"]);
    assert!(said.contains("Verdict: bad_signature") && !said.contains("The rule"), "{said}");
    for (option, part) in [
        ("--claim=roles", "--claim: roles: want a claim, an operator"),
        ("--revoked=jti", "--revoked: want a claim and a file"),
        ("--revoked=jti:/nowhere.txt", "/nowhere.txt"),
        ("--keys=https://login.example.com/jwks", "--keys: nothing is fetched here"),
    ] {
        let said = failed(&["inspect", &token, "--secret=s", option]);
        assert!(said.contains(part), "{option}: {said}");
    }
    // A claim may be a URL itself.
    let role = mint(&["--claim=https://h/role=stolen"]);
    let of_role = list.replace("jti:", "https://h/role:");
    let said = refused(&role, &["--secret=s", "--revoked", &of_role]);
    assert!(said.contains("Verdict: revoked"), "{said}");
    let said = failed(&["inspect", &role, "--secret=s", "--revoked=jti:https://h/revoked.txt"]);
    assert!(said.contains("--revoked: nothing is fetched here"), "{said}");
    // An empty second list would let the token pass.
    for words in [
        &["inspect", &token, "--secret=s", "--revoked=jti:-", "--revoked=sub:-"][..],
        &["inspect", &token, "--secret-file=-", "--revoked=jti:-"],
        &["inspect", "-", "--secret=s", "--revoked=jti:-"],
    ] {
        let call = with_input(words, format!("{token}\n").as_bytes());
        assert_eq!((call.status, call.out.as_str()), (2, ""), "{words:?}");
        assert!(call.err.contains("standard input holds one thing only"), "{}", call.err);
    }
    assert!(failed(&["inspect", &token, "--claim=a exists"]).contains("after the signature"));
}

#[test]
fn json_is_for_programs() {
    let read = |words: &[&str]| -> serde_json::Value {
        let call = tokenctl(words);
        assert_eq!(call.out.matches('\n').count(), 1, "{}", call.out);
        serde_json::from_str(&call.out).unwrap()
    };
    let token = mint(&["--sub=a\u{202e}b"]);
    let late = ["inspect", &token, "--secret=s", "--json", "--at", "1700000070"];
    assert_eq!(tokenctl(&late).status, 1);
    assert_eq!(
        read(&late),
        json!({
            "verdict": "expired", "reason": "expired 10s ago", "signature_holds": true,
            "header": { "alg": "HS256", "typ": "JWT" },
            "payload": { "sub": "a\u{202e}b", "exp": 1_700_000_060 },
            "why": ["exp is 2023-11-14T22:14:20Z, 10s ago."],
        })
    );
    let good = read(&["inspect", &token, "--secret=s", "--json", "--at", NOW]);
    assert_eq!((&good["verdict"], &good["reason"]), (&json!("ok"), &json!(null)));
    let shown = read(&["inspect", &token, "--json"]);
    assert_eq!((&shown["verdict"], &shown["signature_holds"]), (&json!(null), &json!(false)));
    let broken = read(&["inspect", "a.b", "--json"]);
    assert_eq!((&broken["verdict"], &broken["header"]), (&json!("malformed"), &json!(null)));
    for option in ["--format=akamai", "--cookie=a=b", "--address=::1", "--value=x", "--kid=k"] {
        assert!(failed(&["inspect", &token, option]).contains("this is a token"), "{option}");
    }
}

#[test]
fn the_status_list_of_a_token_is_named() {
    let of = |status: &str| {
        let claim = format!("status={status}");
        let token = printed(&["jwt", "--secret=s", "--claim", &claim]);
        tokenctl(&["inspect", &token, "--secret=s"]).out
    };
    let said = of(r#"{"status_list":{"uri":"https://a.example/1","idx":7}}"#);
    let want = "Status\n  index 7 in the status list https://a.example/1, which is not looked up here\n\nVerdict";
    assert!(said.contains(want), "{said}");
    let said = of(r#"{"status_list":{"uri":"https://a.example/1","idx":"7"}}"#);
    assert!(said.contains("Status\n  bad_status: status.status_list.idx is a string\n"), "{said}");
    assert!(!of("{}").contains("Status"));
}

#[test]
fn a_uri_is_judged_as_uri_signing_does() {
    let token = mint(&[r"--claim=cdniuc=regex:https://cdn\.example/film/[0-9]+\.ts"]);
    let given = |uri: &str| [String::from("--secret=s"), format!("--uri={uri}")];
    let with_token = format!("https://cdn.example/film/1.ts?URISigningPackage={token}");
    for uri in ["HTTPS://cdn.example:443/film/%31.ts", &with_token] {
        let [secret, uri] = given(uri);
        let said = printed(&["inspect", &token, "--at", NOW, &secret, &uri]);
        assert!(said.contains("URI\n  covered, as https://cdn.example/film/1.ts\n"), "{said}");
        assert!(said.ends_with("Verdict: ok"), "{said}");
    }
    let [secret, uri] = given("http://cdn.example/film/1.ts");
    let said = refused(&token, &[&secret, &uri]);
    assert!(
        said.contains("not covered: it is compared as http://cdn.example/film/1.ts\n"),
        "{said}"
    );
    assert!(
        said.contains("Verdict: not_covered\n  The token does not cover this address.\n"),
        "{said}"
    );
    // What else the RFC wants is judged, too; and without a key it is only shown.
    let other = mint(&["--sub=alice", "--claim=cdniuc=regex:.*"]);
    let said = refused(&other, &["--secret=s", "--uri=http://h/"]);
    assert!(said.contains("denied: sub is not supported together with jwt_uri_signing"), "{said}");
    let said = printed(&["inspect", &other, "--at", NOW, "--uri=http://h/.."]);
    assert!(said.contains("URI\n  covered, as http://h/\n"), "{said}");
    let said = printed(&["inspect", &mint(&[]), "--at", NOW, "--uri=http://h/"]);
    assert!(said.contains("URI\n  not covered: cdniuc is missing\n"), "{said}");
    let link = tokenctl(&["inspect", "/a?st=x&e=1", "--secret=s", "--uri=http://h/"]);
    assert_eq!(
        link.status,
        2,
        "{}",
        failed(&["inspect", "/a?st=x&e=1", "--secret=s", "--uri=http://h/"])
    );
}
