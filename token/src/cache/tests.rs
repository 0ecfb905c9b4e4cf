use super::*;
use crate::alg::Algorithm;
use crate::base64url::encode;
use crate::claims::Claims;
use crate::content::Form;
use crate::header::Header;
use crate::json::Document;

const NOW: i64 = 1_000;

fn content(exp: i64) -> Rc<Content> {
    let (header, _) = Header::parse(encode(r#"{"alg":"HS256"}"#).as_bytes()).unwrap();
    of_header(exp, &header)
}

fn of_header(exp: i64, header: &Header) -> Rc<Content> {
    of_payload(format!(r#"{{"exp":{exp}}}"#), header)
}

fn of_payload(payload: String, header: &Header) -> Rc<Content> {
    let payload = Document::parse(payload.into_bytes()).unwrap();
    let (form, claims) = (Form::Signed(Algorithm::HS256), Claims::read(&payload).unwrap());
    Rc::new(Content { header: header.clone(), payload, form, claims, padded: false })
}

fn proof(set: u64, since: i64) -> Proof {
    Proof { sets: [set].into_iter().collect(), key: KeyIndex { set: 0, key: 0 }, since }
}

/// A full cache with the tokens 0 to 9, of which token 5 expires first.
fn full() -> Cache {
    let one = Cache::new(1 << 20).unwrap();
    let empty = one.used();
    one.remember(&[0], &content(NOW), proof(0, NOW), NOW);
    let index = 16 * size_of::<Slot>();
    let cache = Cache::new(10 * (one.used() - empty) + index).unwrap();
    for token in 0..10 {
        let exp = NOW + if token == 5 { 50 } else { 100 + i64::from(token) };
        cache.remember(&[token], &content(exp), proof(0, NOW), NOW);
    }
    let limit = cache.store.borrow().limit;
    assert_eq!((cache.len(), cache.used()), (10, limit));
    cache
}

#[test]
fn what_it_does_is_counted() {
    let cache = full();
    let known = cache.find(&[3]).unwrap();
    assert_eq!(cache.proof(&known, [0].into_iter(), NOW), Some(KeyIndex { set: 0, key: 0 }));
    assert_eq!(cache.proof(&known, [1].into_iter(), NOW), None);
    assert!(cache.find(b"n").is_none());
    cache.remember(b"n", &content(NOW + 100), proof(0, NOW), NOW);
    assert_eq!(cache.counts(), CacheCounts { hits: 1, misses: 1, evictions: 1 });
}

fn missing(cache: &Cache) -> Vec<u8> {
    (0..10).filter(|token| cache.find(&[*token]).is_none()).collect()
}

#[test]
fn the_one_not_used_for_longest_makes_room() {
    let cache = full();
    cache.find(&[0]).unwrap();
    cache.remember(&[2], &content(NOW + 100), proof(0, NOW), NOW);
    cache.remember(b"n", &content(NOW + 100), proof(0, NOW), NOW);
    assert_eq!(missing(&cache), [1]);
}

#[test]
fn what_has_expired_makes_room_first() {
    let cache = full();
    cache.find(&[5]).unwrap();
    cache.remember(b"n", &content(NOW + 500), proof(0, NOW + 50), NOW + 50);
    assert_eq!(missing(&cache), [5]);
    cache.remember(b"m", &content(NOW + 500), proof(0, NOW + 102), NOW + 102);
    assert_eq!(missing(&cache), [0, 5]);
}

#[test]
fn a_proof_counts_for_the_same_sets_and_not_before_it_was_found() {
    let cache = Cache::new(1 << 20).unwrap();
    cache.remember(&[3], &content(NOW + 100), proof(0, NOW), NOW);
    let known = cache.find(&[3]).unwrap();
    let holds = |sets: &[u64], now| cache.proof(&known, sets.iter().copied(), now).is_some();
    assert!(holds(&[0], NOW) && holds(&[0], NOW + 1) && !holds(&[0], NOW - 1));
    assert!(!holds(&[1], NOW) && !holds(&[], NOW) && !holds(&[0, 0], NOW));
    let one = cache.used();
    for set in 1..20 {
        cache.remember(&[3], &known.content, proof(set, NOW), NOW);
    }
    assert!(holds(&[19], NOW) && holds(&[12], NOW) && !holds(&[11], NOW));
    assert!(cache.len() == 1 && cache.used() > one);
}

/// Every entry is counted, and a header that several have once.
#[test]
fn what_is_used_is_given_back_whatever_tokens_share() {
    let header = |kid: &str| {
        let text = encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
        Header::parse(text.as_bytes()).unwrap().0
    };
    let (a, b) = (header("a"), header("b"));
    let cache = Cache::new(1 << 20).unwrap();
    let costs = [(1, &a), (2, &a), (3, &b), (4, &a), (5, &b)].map(|(token, header)| {
        let before = cache.used();
        // Long enough to cost more than the least that is counted.
        cache.remember(&[token; 600], &of_header(NOW + 100, header), proof(0, NOW), NOW);
        cache.used() - before
    });
    let [own, more, ..] = costs;
    assert_eq!(own - more, a.bytes(BLOCK));
    assert_eq!(costs, [own, more, own, more, more]);
    // Some more proofs, of several sets too.
    let empty = cache.used() - costs.iter().sum::<usize>();
    let sets = [vec![1], vec![1, 2, 3], vec![], vec![7, 8], vec![1, 2, 3]];
    for (token, sets) in (1..).zip(sets) {
        let proof = Proof { sets: sets.into_iter().collect(), ..proof(0, NOW) };
        cache.remember(&[token; 600], &of_header(NOW + 100, &a), proof, NOW);
    }
    assert!(cache.used() > empty + costs.iter().sum::<usize>());
    let mut store = cache.store.borrow_mut();
    for slot in (0..5).rev() {
        assert!(store.take(slot).is_some());
    }
    assert_eq!(store.used, empty);
    assert!(!a.is_kept() && !b.is_kept());
}

#[test]
fn another_content_of_the_same_bytes_takes_the_place_of_the_first() {
    let cache = Cache::new(1 << 20).unwrap();
    cache.remember(&[3], &content(NOW + 100), proof(0, NOW), NOW);
    // The same text again is the same content.
    cache.remember(&[3], &content(NOW + 100), proof(1, NOW), NOW);
    let holds = |set: u64| {
        let known = cache.find(&[3]).unwrap();
        cache.proof(&known, [set].into_iter(), NOW).is_some()
    };
    assert!(holds(0) && holds(1));
    cache.remember(&[3], &content(NOW + 200), proof(2, NOW), NOW);
    assert!(holds(2) && !holds(0) && !holds(1));
    assert_eq!(cache.find(&[3]).unwrap().content.expires(), Some(NOW + 200));
    assert_eq!(cache.len(), 1);
}

#[test]
fn nothing_is_known_of_a_token_that_has_made_room() {
    let cache = full();
    let known = cache.find(&[3]).unwrap();
    for token in 100..110 {
        cache.remember(&[token], &content(NOW + 100), proof(0, NOW), NOW);
    }
    assert!(cache.proof(&known, [0].into_iter(), NOW).is_none());
    assert_eq!(missing(&cache).len(), 10);
}

#[test]
fn each_cache_has_a_seed_of_its_own() {
    let seed = || Cache::new(0).unwrap().store.borrow().key;
    assert_ne!(seed(), seed());
    let (a, b) = seed();
    assert_ne!(a, b);
}

/// A token that comes again and again is compared as a whole, as long as no others do.
#[test]
fn a_token_that_comes_often_is_kept_whole() {
    let cache = Cache::new(128 * 1024).unwrap();
    let (header, _) = Header::parse(encode(r#"{"alg":"HS256"}"#).as_bytes()).unwrap();
    let content = |number: u8| {
        let (exp, long) = (NOW + 100 + i64::from(number), "x".repeat(400));
        of_payload(format!(r#"{{"exp":{exp},"x":"{long}"}}"#), &header)
    };
    let token = |number: u8| {
        let content = content(number);
        let payload = encode(content.payload.text());
        [content.header.encoded(), payload.as_bytes(), &[b'a'; 43]].join(&b"."[..])
    };
    let (empty, tokens) = (cache.used(), (0..200).map(token).collect::<Vec<_>>());
    for (number, token) in (0..).zip(&tokens[..100]) {
        cache.remember(token, &content(number), proof(0, NOW), NOW).unwrap();
    }
    let used = cache.used();
    let whole = || {
        let store = cache.store.borrow();
        let all = (0..).map_while(|slot| store.entries.get(slot)?.as_ref());
        let costs: usize = all.clone().map(Entry::cost).sum();
        assert_eq!(costs + header.bytes(BLOCK), store.used - empty);
        all.filter(|entry| entry.identity.is_whole()).count()
    };
    assert_eq!(whole(), 0);
    for (often, wanted) in [(0, 1), (7, 2), (0, 2)] {
        for _ in 0..64 {
            assert_eq!(cache.find(&tokens[often]).unwrap().slot as usize, often);
        }
        assert_eq!(whole(), wanted);
    }
    // Every byte of it counts.
    for at in 0..tokens[0].len() {
        let mut other = tokens[0].clone();
        other[at] ^= 1;
        assert!(cache.find(&other).is_none());
    }
    // With a second proof its slot may be another one: it has to come often again.
    cache.remember(&tokens[7], &content(7), proof(1, NOW), NOW).unwrap();
    assert_eq!(whole(), 1);
    // Others come often now: 16 of the 256 for which there are slots are kept whole.
    for token in &tokens[20..60] {
        (0..64).for_each(|_| drop(cache.find(token).unwrap()));
    }
    assert_eq!(whole(), 16);
    assert!(cache.used() > used);
    // Some of them make room, and a full cache has little for more bytes of a token.
    for (number, token) in (100..).zip(&tokens[100..]) {
        cache.remember(token, &content(number), proof(0, NOW), NOW).unwrap();
        (0..64).for_each(|_| drop(cache.find(token).unwrap()));
        assert!(cache.used() <= 128 * 1024 && whole() <= 16);
    }
    assert!(cache.counts().evictions > 0);
}
