//! Generated tokens, and policies for them.

use proptest::prelude::*;
use token::Algorithm;

use crate::keys::{any_algorithm, pair};
use crate::model::{AUDIENCE, ISSUER, NOW, Padding, Parts, TYP, Wanted};

pub(crate) fn space() -> impl Strategy<Value = &'static str> {
    prop_oneof![6 => Just(""), 1 => Just(" "), 1 => Just("\r\n\t")]
}

/// A value of any kind as text.
pub(crate) fn any_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"\"".to_owned()),
        Just(r#""a\u0000\n\ud83d\ude00é""#.to_owned()),
        Just("1e3".to_owned()),
        Just("-0".to_owned()),
        Just("18446744073709551616".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec((name(&["a", "b", r"\u0061", "c"]), inner), 0..4)
                .prop_map(|members| object(&members, "")),
        ]
    })
}

pub(crate) fn name(of: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    proptest::sample::select(of.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>())
}

pub(crate) fn object(members: &[(String, String)], space: &str) -> String {
    let members: Vec<_> =
        members.iter().map(|(name, value)| format!("{name}{space}:{space}{value}")).collect();
    format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
}

pub(crate) fn quoted(texts: &[&str]) -> impl Strategy<Value = String> + use<> {
    let texts: Vec<_> = texts.iter().map(|text| serde_json::json!(text).to_string()).collect();
    proptest::sample::select(texts)
}

/// Deeply nested arrays, around the limit.
pub(crate) fn nested() -> impl Strategy<Value = String> {
    (28_usize..36).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth)))
}

/// A header: mostly one that could be right, sometimes with members that are not.
pub(crate) fn header(algorithm: Algorithm) -> impl Strategy<Value = String> {
    let right = format!("\"{algorithm}\"");
    let alg = prop_oneof![
        30 => Just(right),
        2 => any_algorithm().prop_map(|other| format!("\"{other}\"")),
        1 => quoted(&["none", "None", "hs256", "ES256K", "RS1", ""]),
        1 => any_value(),
    ];
    let kid = prop_oneof![
        20 => quoted(&[pair(algorithm).kid]),
        2 => quoted(&["hmac", "rsa", "p256", "ed25519", "nobody", "", "p256\0"]),
        1 => any_value(),
        1 => Just("7".to_owned()),
    ];
    let typ = prop_oneof![
        12 => quoted(&[TYP]),
        2 => quoted(&["JWT"]),
        1 => any_value(),
    ];
    let other = (
        name(&[
            "jku",
            "jwk",
            "x5c",
            "x5u",
            "x5t",
            "b64",
            "crit",
            "cty",
            "foo",
            r"\u0061lg",
            "alg",
            "enc",
        ]),
        prop_oneof![
            4 => Just("true".to_owned()),
            4 => quoted(&["https://attacker.example/keys", "AAAAAAAAAAAAAAAAAAAAAAAAAAA"]),
            1 => any_value(),
            1 => nested(),
        ],
    );
    let some = |name: &str, value: BoxedStrategy<String>, weight: f64| {
        let name = format!("\"{name}\"");
        proptest::option::weighted(weight, value.prop_map(move |value| (name.clone(), value)))
    };
    let members = (
        some("alg", alg.boxed(), 0.98),
        some("kid", kid.boxed(), 0.6),
        some("typ", typ.boxed(), 0.8),
        proptest::option::weighted(0.2, other),
    );
    (members, space(), any::<bool>()).prop_map(|((alg, kid, typ, other), space, reverse)| {
        let mut members: Vec<_> = [alg, kid, typ, other].into_iter().flatten().collect();
        if reverse {
            members.reverse();
        }
        object(&members, space)
    })
}

pub(crate) fn time() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (NOW - 200..NOW + 200).prop_map(|n| n.to_string()),
        2 => (NOW - 3..NOW + 3).prop_map(|n| format!("{n}.5")),
        1 => proptest::sample::select(
            ["0", "-1", "9223372036854775807", "18446744073709551615", "1e300", "-1e300", "0.5",
             "-9223372036854775808", "18446744073709551616", "1.8e9", "180000000000e-2"]
                .map(str::to_owned).to_vec(),
        ),
        1 => any_value(),
    ]
}

pub(crate) fn payload() -> impl Strategy<Value = String> {
    let some = |name: &str, weight: f64, value: BoxedStrategy<String>| {
        let name = format!("\"{name}\"");
        proptest::option::weighted(weight, value.prop_map(move |value| (name.clone(), value)))
    };
    let audience = prop_oneof![
        4 => quoted(&[AUDIENCE]),
        2 => Just(format!(r#"["other","{AUDIENCE}"]"#)),
        1 => quoted(&["other", ""]),
        1 => Just(format!(r#"["{AUDIENCE}",1]"#)),
        1 => any_value(),
    ];
    let issuer = prop_oneof![8 => quoted(&[ISSUER]), 1 => quoted(&["x"]), 1 => any_value()];
    let future = prop_oneof![
        8 => (NOW + 1..NOW + 500).prop_map(|n| n.to_string()),
        4 => time(),
    ];
    let past = prop_oneof![8 => (NOW - 500..NOW).prop_map(|n| n.to_string()), 4 => time()];
    let other = (
        name(&["sub", "jti", "roles", "exp", r"\u0065xp", "iss", "a", "b", "c"]),
        prop_oneof![6 => quoted(&["x"]), 2 => any_value(), 1 => nested()],
    );
    let members = (
        some("exp", 0.85, future.boxed()),
        some("nbf", 0.4, past.clone().boxed()),
        some("iat", 0.5, past.boxed()),
        some("iss", 0.9, issuer.boxed()),
        some("aud", 0.9, audience.boxed()),
        proptest::collection::vec(other, 0..3),
    );
    let object = (members, space(), any::<bool>())
        .prop_map(|((exp, nbf, iat, iss, aud, others), space, reverse)| {
            let mut members: Vec<_> = [exp, nbf, iat, iss, aud].into_iter().flatten().collect();
            members.extend(others);
            if reverse {
                members.reverse();
            }
            object(&members, space)
        })
        .boxed();
    prop_oneof![
        30 => object.clone(),
        1 => any_value(),
        1 => object.prop_map(|text| text + "x"),
        1 => quoted(&["Payload"]),
    ]
}

pub(crate) fn wanted() -> impl Strategy<Value = Wanted> {
    let lifetime = proptest::option::weighted(0.2, 1_i64..1_000);
    let algorithms =
        proptest::option::weighted(0.2, proptest::collection::vec(any_algorithm(), 1..12));
    let sometimes = proptest::bool::weighted;
    (
        prop_oneof![Just(0), 0_i64..300],
        (sometimes(0.3), sometimes(0.3), sometimes(0.3), sometimes(0.3), sometimes(0.5)),
        lifetime,
        algorithms,
    )
        .prop_map(
            |(leeway, (issuer, audience, typ, require_exp, padding), max_lifetime, algorithms)| {
                Wanted {
                    leeway,
                    padding,
                    issuer,
                    audience,
                    typ,
                    require_exp,
                    max_lifetime,
                    algorithms,
                }
            },
        )
}

pub(crate) fn parts() -> impl Strategy<Value = Parts> {
    any_algorithm().prop_flat_map(|algorithm| {
        let padding = prop_oneof![
            12 => Just(Padding::None),
            1 => Just(Padding::Right),
            1 => Just(Padding::Wrong),
        ];
        (header(algorithm), payload(), padding).prop_map(move |(header, payload, padding)| Parts {
            header,
            payload,
            signed_with: algorithm,
            padding,
        })
    })
}
