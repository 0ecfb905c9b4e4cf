//! A request made from its parts.

use token::Reject;
use token::credential::Found;
use token::link::{
    Carrier, FormatSettings, Given, HashSettings, Hashed, LinkFormat as _, LinkRequest, OrderError,
    Piece, Place,
};

use super::{judge, secret, with};

#[test]
fn the_first_place_that_holds_something_counts() {
    let places = [Place::Argument("a"), Place::Argument("b"), Place::Cookie("c")];
    let of = |query: &'static str, cookie: &'static str| {
        let given = Given {
            query: query.as_bytes(),
            cookies: vec![cookie.as_bytes()],
            places: &places,
            ..Given::new("/")
        };
        let text = match given.text().unwrap().unwrap() {
            Found::Absent => "-".to_owned(),
            Found::Unusable => "?".to_owned(),
            Found::One(text) => String::from_utf8(text.to_vec()).unwrap(),
        };
        (text, given.carrier())
    };
    for (query, cookie, text, carrier) in [
        ("", "", "-", Carrier::Other),
        ("x=1", "x=2", "-", Carrier::Other),
        ("a=1&b=2", "c=3", "1", Carrier::Query),
        ("b=2", "c=3", "2", Carrier::Query),
        ("a=&b=2", "c=3", "2", Carrier::Query),
        ("a=&b", "c=3", "3", Carrier::Other),
        ("a=1&a=2&b=2", "c=3", "?", Carrier::Query),
    ] {
        assert_eq!(of(query, cookie), (text.to_owned(), carrier), "{query} {cookie}");
    }
}

#[test]
fn a_source_comes_before_all_places_and_without_either_there_is_no_text() {
    let places = [Place::Argument("a")];
    let given = Given {
        query: b"a=1&st=2&e=3",
        headers: vec![(b"X-Link", b"Bearer 4"), (b"Two", b"5"), (b"two", b"6"), (b"x_y", b"7")],
        places: &places,
        source: Some((b"0", Carrier::Query)),
        ..Given::new("/")
    };
    assert_eq!(given.text(), Ok(Some(Found::One(b"0"))));
    assert_eq!(given.carrier(), Carrier::Query);
    let empty = Given { source: Some((b"", Carrier::Other)), ..given.clone() };
    assert_eq!(empty.text(), Ok(Some(Found::Absent)));
    assert_eq!(Given::new("/").text(), Ok(None));

    let pair = given.pair().unwrap();
    assert_eq!((pair.signature, pair.time), (Found::One(b"2"), Found::One(b"3")));
    assert_eq!(given.header(b"x-link"), Found::One(b"Bearer 4"));
    assert_eq!(given.header(b"two"), Found::Unusable);
    assert_eq!(given.header(b"x-y"), Found::Unusable);
    assert_eq!(given.header(b"three"), Found::Absent);
    assert!(given.expression(b"", b"").is_err());
}

#[test]
fn a_hash_over_a_text_is_made_and_judged() {
    let settings = HashSettings { valid: Some(60), holds_secret: true, ..HashSettings::MD5 };
    let secrets = [secret("s", None), secret("old", None)];
    let format = FormatSettings { secrets: &secrets, ..FormatSettings::default() };
    let hashed = Hashed::new(settings, &format).unwrap();
    let pieces = [Piece::Time, Piece::Text(b"/a "), Piece::Secret];
    let given = Given { expression: &pieces, ..Given::new("/a") };
    let expression = given.expression(b"17", b"s");
    assert_eq!(expression.as_deref(), Ok(&b"17/a s"[..]));

    let (signature, time) = hashed.values(&given, 1_700_000_000).unwrap();
    assert_eq!(time, "1700000000");
    assert_eq!(Some(&*signature), Hashed::md5().sign(b"1700000000/a s").as_deref());
    let query = format!("st={signature}&e={time}");
    let asked = Given { query: query.as_bytes(), ..given.clone() };
    assert_eq!(judge(&hashed, &asked, 1_700_000_060).unwrap().expires, Some(1_700_000_060));
    assert_eq!(judge(&hashed, &asked, 1_700_000_061), with(Reject::Expired));
    let names: Vec<_> = hashed.parts(&asked).into_iter().map(|part| part.name).collect();
    assert_eq!(names, ["signature".into(), "time".into()]);
    for (request, time) in [(&given, 17), (&Given::new("/a"), 1_700_000_000)] {
        assert!(matches!(hashed.values(request, time), Err(OrderError::Invalid(_))), "{time}");
    }
}
