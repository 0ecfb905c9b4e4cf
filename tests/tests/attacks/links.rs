//! Signed URLs: every changed URL gets 403; only an expired one with a good signature gets 410.

use anyhow::Result;
use module_tests::{
    Nginx, Request, SECRET, SERVE, base64url, hmac, link, link_hmac, link_md5, md5, now,
};

use crate::{Case, Want, withstand};

fn start() -> Result<Nginx> {
    Nginx::start(format!(
        "secure_token_secret {SECRET};
        location / {{ {SERVE} }}
        location /md5 {{ secure_token_algorithm md5; {SERVE} }}
        location /hmac {{ secure_token_algorithm hmac-sha256; {SERVE} }}"
    ))
}

/// The wanted status: 200 for `ok`, 410 for `expired`, otherwise 403.
fn want(word: &'static str) -> Want {
    match word {
        "ok" => Want::Link(200, word),
        "expired" => Want::Link(410, word),
        _ => Want::Link(403, word),
    }
}

/// Makes a case of each target in a table.
fn cases(nginx: &Nginx, table: impl IntoIterator<Item = (String, &'static str)>) -> Vec<Case> {
    let case = |(target, word): (String, _)| {
        Case::new(target.clone(), nginx.request().target(target), want(word))
    };
    table.into_iter().map(case).collect()
}

#[test]
fn digits_do_not_move_between_path_and_expiry() -> Result<()> {
    let nginx = start()?;
    let (e, past) = (now() + 300, now() - 300);
    let st = |path: &str, e: i64| link_md5(SECRET, path, e);
    let digits = e.to_string();
    let mut table = vec![
        (format!("/video/12?st={}&e={e}", st("/video/12", e)), "ok"),
        (format!("/video/12?st={}&e={past}", st("/video/12", past)), "expired"),
    ];
    // MD5 covers path and expiry without a separator, so every split has the same digest.
    let all = format!("/video/12{digits}");
    for cut in 1..all.len() {
        let (path, e) = all.split_at(cut);
        if e.len() != 10 {
            table.push((format!("{path}?st={}&e={e}", st("/video/12", now() + 300)), "malformed"));
        }
    }
    // Attempts to revive an expired link: its digits move to the path, and later ones follow.
    for (path, e) in [
        (format!("/video/12{past}"), digits.clone()),
        (format!("/video/12{}", &past.to_string()[..1]), format!("{}9", &past.to_string()[1..])),
        ("/video/1".to_owned(), format!("2{}", &past.to_string()[..9])),
    ] {
        table.push((format!("{path}?st={}&e={e}", st("/video/12", past)), "bad_signature"));
    }
    // The HMAC covers a separator between path and expiry, so no digit can move.
    let mac = link_hmac(SECRET, "/video/12", e)?;
    table.push((format!("/video/12?st={mac}&e={e}"), "ok"));
    table.push((format!("/video/1?st={mac}&e=2{e}"), "malformed"));
    table.push((format!("/video/1?st={mac}&e=2{}", &digits[..9]), "bad_signature"));
    table.push((format!("/video/12%0a?st={mac}&e={e}"), "bad_signature"));
    withstand(&nginx, cases(&nginx, table))?;
    nginx.finish()
}

#[test]
fn an_expiry_is_ten_digits_and_nothing_else() -> Result<()> {
    let nginx = start()?;
    let mut table = Vec::new();
    let e = (now() + 300).to_string();
    let texts = [
        "0",
        "9",
        "999999999",
        "0999999999",
        "0000000001",
        "01790000000",
        "17900000000",
        "179000000000000000",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999999999999",
        "999999999999999999999999999999",
        "+1790000000",
        "+179000000",
        "-1790000000",
        "-179000000",
        "-1",
        "1790000000.0",
        "179000000.",
        "1.79000000",
        "1.79e9",
        "1790000e+3",
        "1e10",
        "0x6ab1318000",
        "0x6ab13180",
        "1790000O00",
        "179000000a",
        "a790000000",
        "abcdefghij",
        "Infinity",
        "NaN",
        "null",
        "never",
        "true",
        "1790_000_00",
        "1,790,000,",
        "%201790000000",
        "1790000000%20",
        "1790000000%00",
        "1790000000%0a",
        "%0a179000000",
        "1790000000%0d%0a",
        "%31790000000",
        "17900000%30%30",
        "1790000000+",
        "+",
        "%2b179000000",
        "1790000000,1",
        "1790000000;",
        "1790000000/",
        "1790000000%26",
        "1790000000#",
        "%D9%A1%D9%A7%D9%A9%D9%A0%D9%A0",
        "\u{661}\u{667}\u{669}",
        "179000000\u{660}",
        "%EF%BC%91790000000",
    ];
    for text in texts {
        // The signature is right for the expiry as written, so only the expiry is wrong.
        for path in ["/a", "/md5", "/hmac"] {
            for st in [link_md5(SECRET, path, text), link_hmac(SECRET, path, text)?] {
                // Targets with `#` are dropped below: nginx cuts off a fragment.
                table.push((format!("{path}?st={st}&e={text}"), "malformed"));
            }
        }
    }
    table.retain(|(target, _)| !target.contains('#'));
    for query in [
        "",
        "&",
        "e=",
        "st=",
        "e=@",
        "st=#",
        "st=&e=@",
        "st=#&e=",
        "st=&e=",
        "e=&st=",
        "ST=#&E=@",
        "St=#&e=@",
        "st=#&E=@",
        "st[]=#&e[]=@",
        "st=#;e=@",
        "st=#,e=@",
        "s%74=#&e=@",
        "st=#&%65=@",
        "st=#&ee=@",
        "xst=#&e=@",
        "st:#&e:@",
        "st&e",
        "st=#&e",
        "st&e=@",
        "st%3D#&e=@",
        "%3Fst=#&e=@",
    ] {
        let st = link_md5(SECRET, "/a", &e);
        let target = format!("/a?{}", query.replace('#', &st).replace('@', &e));
        // An empty argument is present, but it is neither a signature nor a time.
        let present = |name: &str| {
            query
                .split('&')
                .any(|pair| pair.strip_prefix(name).is_some_and(|rest| rest.starts_with('=')))
        };
        // An argument that some program would read as `st` or `e` makes the link ambiguous.
        let others = ["ST=", "St=", "E=", "st[]", "s%74", "%65=", "%3Fst", ";"];
        let is_other = others.iter().any(|other| query.contains(other));
        let is_there = present("st") && present("e");
        table.push((target, if is_there || is_other { "malformed" } else { "missing" }));
    }
    withstand(&nginx, cases(&nginx, table))?;
    nginx.finish()
}

#[test]
fn arguments_given_twice_are_refused_and_others_change_nothing() -> Result<()> {
    let nginx = start()?;
    let (e, past) = (now() + 300, now() - 300);
    let (st, other) = (link_md5(SECRET, "/a", e), link_md5("wrong", "/a", e));
    let expired = link_md5(SECRET, "/a", past);
    let mut table = Vec::new();
    for query in [
        format!("st={st}&st={st}&e={e}"),
        format!("st={st}&e={e}&e={e}"),
        format!("st={st}&e={e}&st={st}&e={e}"),
        format!("st={st}&e={e}&st={other}"),
        format!("st={other}&e={e}&st={st}"),
        format!("st={expired}&e={past}&e={e}"),
        format!("st={expired}&e={e}&e={past}"),
        format!("e={past}&st={expired}&st={st}&e={e}"),
        format!("st={st}&e={e}&st="),
        format!("st={st}&e={e}&e="),
        format!("st=&st={st}&e={e}"),
        format!("e=&st={st}&e={e}"),
        format!("st={st}&e={e}&&&e={e}"),
        format!("st={st}&e={e}&E={e}"),
        format!("ST={st}&st={st}&e={e}"),
        format!("st={st}&e={e};e={past}"),
        format!("st={st}&e={e}&%65={past}"),
        format!("st={st}&e={e}&st[]={other}"),
    ] {
        table.push((format!("/a?{query}"), "malformed"));
    }
    for query in [
        format!("e={e}&st={st}"),
        format!("a=1&st={st}&e={e}"),
        format!("st={st}&e={e}&a=1&b[]=2&c"),
        format!("&&st={st}&&e={e}&&"),
        format!("xst=1&st={st}&ste=2&e={e}&ee=3&s=4"),
        format!("st={st}&e={e}&a=%00%0d%0a"),
        format!("st={st}&e={e}?st=x&e=y").replace("?st=x&e=y", "&q=?st=x"),
    ] {
        table.push((format!("/a?{query}"), "ok"));
    }
    for query in [
        format!("st={expired}&e={e}"),
        format!("st={st}&e={past}"),
        format!("st={other}&e={e}"),
        format!("st={other}&e={past}"),
        format!("st={}&e={e}", link_md5(SECRET, "/b", e)),
        format!("st={}&e={e}", link_md5(SECRET, "", e)),
        format!("st={}&e={e}", link_md5("", "/a", e)),
        format!("st={}&e={e}", base64url([0; 16])),
        format!("st={}&e={e}", base64url([0; 32])),
        format!("st={}&e={e}", link_hmac("", "/a", e)?),
    ] {
        table.push((format!("/a?{query}"), "bad_signature"));
    }
    withstand(&nginx, cases(&nginx, table))?;
    nginx.finish()
}

#[test]
fn the_two_forms_are_not_confused_and_signatures_have_one_spelling() -> Result<()> {
    let nginx = start()?;
    let e = now() + 300;
    let mut table = Vec::new();
    for path in ["/a", "/md5", "/hmac"] {
        let (md, mac) = (link_md5(SECRET, path, e), link_hmac(SECRET, path, e)?);
        let on = |st: &str| format!("{path}?st={st}&e={e}");
        table.push((on(&md), if path == "/hmac" { "malformed" } else { "ok" }));
        table.push((on(&mac), if path == "/md5" { "malformed" } else { "ok" }));
        let text = format!("{path}{e}");
        let tag = |text: &str| hmac("HS256", SECRET.as_bytes(), text.as_bytes());
        for (st, long) in [
            // Digests over the text of the other form, or cut or extended to the other length.
            (link_md5(SECRET, &format!("{path}\n"), e), false),
            (base64url(&tag(&format!("{path}\n{e}"))?[..16]), false),
            (base64url(tag(&text)?), true),
            (base64url([md5(format!("{SECRET}{text}")), [0; 16]].concat()), true),
            (
                base64url(
                    [md5(format!("{SECRET}{text}")), md5(format!("{SECRET}{text}"))].concat(),
                ),
                true,
            ),
            (base64url(hmac("HS256", b"", text.as_bytes())?), true),
        ] {
            let pinned = (path == "/md5" && long) || (path == "/hmac" && !long);
            table.push((on(&st), if pinned { "malformed" } else { "bad_signature" }));
        }
        for st in [
            String::new(),
            "A".to_owned(),
            md[..21].to_owned(),
            format!("{md}A"),
            format!("{md}AA"),
            format!("{md}{md}"),
            mac[..42].to_owned(),
            mac[..22].to_owned(),
            format!("{mac}A"),
            format!("{mac}{mac}"),
            format!("{md}="),
            format!("{md}=="),
            format!("{md}%3D%3D"),
            format!("{mac}="),
            format!("%20{md}"),
            format!("{md}%20"),
            format!("+{md}"),
            format!("{md}%00"),
            format!("{md}%0a"),
            format!("{md}."),
            format!("\"{md}\""),
            format!("{}+", &md[..21]),
            format!("{}/", &md[..21]),
            format!("{}%2D", &md[..21]),
            format!("%{:02x}{}", md.as_bytes()[0], &md[1..]),
            md.bytes().map(|byte| format!("%{byte:02X}")).collect(),
            md5(format!("{SECRET}{text}")).iter().map(|byte| format!("{byte:02x}")).collect(),
            "A".repeat(5000),
        ] {
            // An HMAC cut to 22 characters may be well-formed as an MD5, so it is left out.
            let cut = st == mac[..22];
            if !cut {
                table.push((on(&st), "malformed"));
            }
        }
        // The same digests with other unused bits in the last character.
        for st in [&md, &mac] {
            let last = st.as_bytes()[st.len() - 1];
            let next = char::from(if last == b'9' { b'A' } else { last + 1 });
            table.push((on(&format!("{}{next}", &st[..st.len() - 1])), "malformed"));
        }
    }
    withstand(&nginx, cases(&nginx, table))?;
    nginx.finish()
}

#[test]
fn the_path_is_signed_as_it_is_served() -> Result<()> {
    let nginx = start()?;
    let e = now() + 300;
    let mut table = Vec::new();
    for (signed, target, word) in [
        ("/a/b", "/a%2fb", "ok"),
        ("/a/b", "/a/./b", "ok"),
        ("/a/b", "/x/../a/b", "ok"),
        ("/a/b", "//a///b", "ok"),
        ("/a/b", "/%61/%62", "ok"),
        ("/a b", "/a%20b", "ok"),
        ("/a%2fb", "/a%252fb", "ok"),
        ("/a\u{e9}", "/a%c3%a9", "ok"),
        ("/a?b", "/a%3fb", "ok"),
        ("/a/b", "/a/b/", "bad_signature"),
        ("/a/b", "/a/b/c", "bad_signature"),
        ("/a/b", "/a/b/../c", "bad_signature"),
        ("/a/b", "/a/B", "bad_signature"),
        ("/a/b", "/a/b%20", "bad_signature"),
        ("/a/b", "/a/b%2f", "bad_signature"),
        ("/a/b", "/a/b;x", "bad_signature"),
        ("/a/b", "/a/b%3fx", "bad_signature"),
        ("/a/b", "/a/b%23x", "bad_signature"),
        ("/a/b", "/a%5cb", "bad_signature"),
        ("/a/b", "/a%252fb", "bad_signature"),
        ("/a/b", "/a/b%c0%80", "bad_signature"),
        ("/a%2fb", "/a%2fb", "bad_signature"),
        ("/a/../b", "/a/../b", "bad_signature"),
        ("//a", "//a", "bad_signature"),
        ("/%61", "/%61", "bad_signature"),
        ("/a\u{e9}", "/a%e9", "bad_signature"),
        ("a/b", "/a/b", "bad_signature"),
        ("http://localhost/a/b", "/a/b", "bad_signature"),
    ] {
        table.push((format!("{target}?st={}&e={e}", link_md5(SECRET, signed, e)), word));
        table.push((format!("{target}?st={}&e={e}", link_hmac(SECRET, signed, e)?), word));
    }
    let mut cases = cases(&nginx, table);
    for (signed, target) in
        [("/a\0", "/a%00"), ("/a", "/a%00"), ("/a", "/a%00.jpg"), ("/a", "/../a")]
    {
        let request =
            nginx.request().target(format!("{target}?st={}&e={e}", link_md5(SECRET, signed, e)));
        cases.push(Case::new(target, request, Want::Nginx(400)));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

#[test]
fn gone_is_only_said_of_a_good_signature() -> Result<()> {
    let nginx = start()?;
    let mut table = Vec::new();
    for past in [1_000_000_000, 1_470_055_000, now() - 3600, now() - 2] {
        table.push((link(SECRET, "/a", past), "expired"));
        table.push((format!("/a?st={}&e={past}", link_hmac(SECRET, "/a", past)?), "expired"));
        table.push((link("wrong", "/a", past), "bad_signature"));
        table
            .push((format!("/a?st={}&e={past}", link_hmac("wrong", "/a", past)?), "bad_signature"));
        table.push((link(SECRET, "/a", past).replace("/a?", "/b?"), "bad_signature"));
        table.push((format!("/a?st=AAAA&e={past}"), "malformed"));
        table.push((format!("/a?e={past}"), "missing"));
    }
    for future in [now() + 60, 4_102_444_800, 9_999_999_999] {
        table.push((link(SECRET, "/a", future), "ok"));
    }
    let mut cases = cases(&nginx, table);
    for method in ["HEAD", "POST", "OPTIONS", "DELETE", "PROPFIND"] {
        let ask = |target: String| -> Request { nginx.request().method(method).target(target) };
        let refused = |e| Case::new(method, ask(link("wrong", "/a", e)), want("bad_signature"));
        cases.push(refused(now() + 300));
        cases.push(refused(now() - 300));
        cases.push(Case::new(method, ask(link(SECRET, "/a", now() - 300)), want("expired")));
    }
    withstand(&nginx, cases)?;
    nginx.finish()
}

/// One block of MD5 (RFC 1321 section 3.4), so that the test can continue from a digest.
fn md5_block(state: [u32; 4], block: &[u8]) -> [u32; 4] {
    const SHIFTS: [[u32; 4]; 4] =
        [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let word = |at: usize| u32::from_le_bytes(block[4 * at..4 * at + 4].try_into().unwrap());
    let [mut a, mut b, mut c, mut d] = state;
    for i in 0..64 {
        let (mix, at) = match i / 16 {
            0 => ((b & c) | (!b & d), i),
            1 => ((d & b) | (!d & c), (5 * i + 1) % 16),
            2 => (b ^ c ^ d, (3 * i + 5) % 16),
            _ => (c ^ (b | !d), 7 * i % 16),
        };
        let sine = ((i + 1) as f64).sin().abs() * 4_294_967_296.0;
        let sum = a.wrapping_add(mix).wrapping_add(sine as u32).wrapping_add(word(at));
        (a, d, c, b) = (d, c, b, b.wrapping_add(sum.rotate_left(SHIFTS[i / 16][i % 4])));
    }
    let add = |i: usize, value: u32| state[i].wrapping_add(value);
    [add(0, a), add(1, b), add(2, c), add(3, d)]
}

/// The padding that MD5 adds to a message of this length.
fn md5_padding(length: usize) -> Vec<u8> {
    let zeros = (119 - length % 64) % 64;
    [&[0x80][..], &vec![0; zeros], &(8 * length as u64).to_le_bytes()].concat()
}

#[test]
fn a_length_extension_of_md5_has_nowhere_to_go() -> Result<()> {
    let nginx = start()?;
    let (past, e) = (now() - 300, now() + 300);
    let known = md5(format!("{SECRET}/a{past}"));
    // An attacker needs only the digest and the length of the signed text with its secret.
    let padding = md5_padding(SECRET.len() + "/a".len() + 10);
    let suffix = format!("/x{e}");
    let state = [0, 4, 8, 12].map(|at| u32::from_le_bytes(known[at..at + 4].try_into().unwrap()));
    let total = SECRET.len() + "/a".len() + 10 + padding.len() + suffix.len();
    let last = [suffix.as_bytes(), &md5_padding(total)].concat();
    let forged: Vec<u8> =
        last.chunks(64).fold(state, md5_block).iter().flat_map(|word| word.to_le_bytes()).collect();
    let path = [format!("/a{past}").as_bytes(), &padding, b"/x"].concat();
    let whole = [SECRET.as_bytes(), &path, e.to_string().as_bytes()].concat();
    assert_eq!(forged, md5(whole), "the extension is not one");

    let st = base64url(&forged);
    let escaped: String = path.iter().map(|byte| format!("%{byte:02x}")).collect();
    let shown: String = padding.iter().map(|byte| format!("%{byte:02x}")).collect();
    let mut cases = cases(
        &nginx,
        [
            // With the padding after the expiry, `e` is one long argument.
            (format!("/a?st={st}&e={past}{shown}/x{e}"), "malformed"),
            (format!("/a?st={st}&e={past}{shown}"), "malformed"),
            (format!("/a?st={st}&e={e}"), "bad_signature"),
            (format!("/a{past}/x?st={st}&e={e}"), "bad_signature"),
        ],
    );
    // With the padding in the path, nginx refuses the request, because the padding has a NUL.
    let target = escaped.replacen("%2f", "/", 1);
    let request = nginx.request().target(format!("{target}?st={st}&e={e}"));
    cases.push(Case::new("in the path, escaped", request, Want::Nginx(400)));
    let raw = [&path[..], format!("?st={st}&e={e}").as_bytes()].concat();
    cases.push(Case::new("in the path, raw", nginx.request().target(raw), Want::Nginx(400)));
    withstand(&nginx, cases)?;
    nginx.finish()
}
