//! Which members become tokens, and what else of an answer changes.

use anyhow::{Context as _, Result};
use module_tests::{Behaviour, Nginx, P256, Provider, SECRET, now};
use serde_json::{Value, json};

use super::{KEY, api, claims, logged, login, login_builder, section, signed, text};

#[test]
fn members_become_tokens_that_the_published_keys_verify() -> Result<()> {
    let (_provider, nginx) = login(
        r#"{"access_token":{"sub":"alice","roles":["a","b"]},"refresh_token":{"sub":"alice","exp":4102444800},"expires_in":900}"#,
    )?;
    let answer = signed(&nginx)?;
    assert_eq!(answer["expires_in"], 900);
    for member in ["access_token", "refresh_token"] {
        let token = text(&answer, member)?;
        assert_eq!(section(token, 0)?, r#"{"alg":"ES256","typ":"JWT","kid":"one"}"#);
        assert_eq!(api(&nginx, token)?.verdict(), (200, "ok"), "{member}");
    }
    let access = claims(text(&answer, "access_token")?)?;
    let refresh = claims(text(&answer, "refresh_token")?)?;
    let issued = access["iat"].as_i64().context("iat")?;
    assert!((now() - issued).abs() < 5, "{access}");
    assert_eq!(access["exp"].as_i64(), Some(issued + 900), "15 minutes");
    assert_eq!(refresh["exp"], 4_102_444_800_i64, "its own exp stays");
    assert_eq!(access["roles"], json!(["a", "b"]));
    let ids = [&access, &refresh].map(|claims| claims["jti"].as_str().unwrap_or_default());
    assert!(ids.iter().all(|id| id.len() == 22) && ids[0] != ids[1], "{ids:?}");
    let again = claims(text(&signed(&nginx)?, "access_token")?)?;
    assert_ne!(again["jti"], access["jti"]);
    nginx.finish()
}

#[test]
fn other_members_keep_their_bytes_and_numbers_their_digits() -> Result<()> {
    let before = "\r\n{ \"a\" : 1.10 ,\t\"n\":18446744073709551617, \"t\":\"\\u00e9\\/\", \"b\":[ 1E+2 , {} ],\n \"access_token\" :  ";
    let after = " , \"z\":-0.0, \"access_token2\": {\"sub\":\"x\"} }\n\n";
    let inner = "{ \"id\":9007199254740993.0, \"big\":18446744073709551617,\n\"f\":1.10, \"s\":\"a\\u0062\" }";
    let (_provider, nginx) = login(&format!("{before}{inner}{after}"))?;
    let answer = nginx.get("/login")?;
    assert_eq!(answer.status, 200);
    let text = answer.text().into_owned();
    let token = text
        .strip_prefix(before)
        .and_then(|rest| rest.strip_suffix(after))
        .with_context(|| format!("other bytes: {text:?}"))?;
    let token = token.strip_prefix('"').and_then(|it| it.strip_suffix('"')).context("no text")?;
    let payload = section(token, 1)?;
    let digits = r#"{"id":9007199254740993.0,"big":18446744073709551617,"f":1.10,"s":"ab","iat":"#;
    assert!(payload.starts_with(digits), "{payload}");
    assert_eq!(answer.header("Content-Length"), Some(&*text.len().to_string()));
    assert_eq!(api(&nginx, token)?.verdict(), (200, "ok"));
    nginx.finish()
}

#[test]
fn claims_are_set_where_the_answer_does_not_say_them() -> Result<()> {
    let answer = r#"{"access_token":{"iss":"own","iat":1000,"jti":"j","nbf":null},"refresh_token":{"jti":null}}"#;
    let provider = Provider::start(Behaviour::Keys(answer.into()))?;
    let more = "jwt_sign access_token refresh_token;
        jwt_sign_claim iss https://login.example.com/;
        jwt_sign_claim aud '[\"a\",\"b\"]' json;
        jwt_sign_claim host $host; jwt_sign_claim none $arg_none; jwt_sign_claim n $arg_n json;
        jwt_sign_lifetime 1h;";
    let nginx = login_builder(&provider, more).start()?;
    let answer = nginx.get("/login?n=1.50")?;
    let answer: Value = serde_json::from_slice(&answer.body)?;
    let access = section(text(&answer, "access_token")?, 1)?;
    let exp = claims(text(&answer, "access_token")?)?["exp"].as_i64().context("exp")?;
    assert!((exp - now() - 3600).abs() < 5);
    assert_eq!(
        access,
        format!(
            r#"{{"iss":"own","iat":1000,"jti":"j","nbf":null,"aud":["a","b"],"host":"localhost","n":1.50,"exp":{exp}}}"#
        )
    );
    let refresh = claims(text(&answer, "refresh_token")?)?;
    assert_eq!(refresh["iss"], "https://login.example.com/");
    assert_eq!(refresh["jti"].as_str().map(str::len), Some(22));
    // What is no JSON is not signed.
    let bad = nginx.get("/login?n=x")?;
    assert_eq!(bad.status, 502);
    logged(&nginx, "claim \"n\" is no JSON")?;
    nginx.finish()
}

#[test]
fn only_answers_of_2xx_are_touched() -> Result<()> {
    let body = r#"{"access_token":{"sub":"alice"}}"#;
    let provider = Provider::start(Behaviour::Keys(body.into()))?;
    let nginx = login_builder(&provider, "jwt_sign access_token;").start()?;
    for status in [200, 201, 202, 203, 299] {
        provider.set(Behaviour::Status(status, body.into()));
        let answer = nginx.get("/login")?;
        assert_eq!(answer.status, status);
        assert!(answer.text().starts_with(r#"{"access_token":"ey"#), "{}", answer.text());
    }
    for status in [300, 400, 401, 403, 404, 422, 500, 503] {
        for body in [body, "no JSON", ""] {
            provider.set(Behaviour::Status(status, body.into()));
            let answer = nginx.get("/login")?;
            assert_eq!((answer.status, &*answer.text()), (status, body));
        }
    }
    for status in [204, 205] {
        provider.set(Behaviour::Raw(
            format!("HTTP/1.1 {status} Nothing\r\nContent-Length: 0\r\n\r\n").into_bytes(),
        ));
        let answer = nginx.get("/login")?;
        assert_eq!((answer.status, answer.body.len()), (status, 0));
    }
    nginx.finish()
}

#[test]
fn an_answer_without_the_members_passes() -> Result<()> {
    for body in ["{}", r#"{"error":"locked","access":{"a":1}}"#, "{ }\n"] {
        let (_provider, nginx) = login(body)?;
        let answer = nginx.get("/login")?;
        assert_eq!((answer.status, &*answer.text()), (200, body));
        nginx.finish()?;
    }
    Ok(())
}

#[test]
fn what_tells_of_the_old_body_is_gone() -> Result<()> {
    let body = r#"{"access_token":{"sub":"alice"}}"#;
    let provider = Provider::start(Behaviour::Headers(
        vec![
            ("Content-Type", "application/json".into()),
            ("ETag", "\"of-the-claims\"".into()),
            ("Last-Modified", "Mon, 28 Sep 1970 06:00:00 GMT".into()),
            ("Accept-Ranges", "bytes".into()),
            ("X-Other", "stays".into()),
        ],
        body.into(),
    ))?;
    let nginx = login_builder(&provider, "jwt_sign access_token;").start()?;
    let request = nginx.request().target("/login");
    for request in [request.clone(), request.clone().header("If-None-Match", "\"another\"")] {
        let answer = request.send()?;
        assert_eq!(answer.status, 200);
        for name in ["ETag", "Last-Modified", "Accept-Ranges"] {
            assert_eq!(answer.header(name), None, "{name}");
        }
        assert_eq!(answer.header("X-Other"), Some("stays"));
        assert_eq!(answer.header("Content-Type"), Some("application/json"));
        assert_eq!(answer.header("Content-Length"), Some(&*answer.body.len().to_string()));
    }
    nginx.finish()
}

#[test]
fn directives_are_inherited_and_jwt_sign_off_ends_it() -> Result<()> {
    let body = r#"{"token":{"sub":"alice"}}"#;
    let provider = Provider::start(Behaviour::Keys(body.into()))?;
    let pass = provider.pass();
    let nginx = Nginx::builder()
        .file(KEY, P256.private)
        .file(
            "jwk.json",
            format!(r#"{{"kty":"oct","kid":"two","k":"{}"}}"#, module_tests::base64url(SECRET)),
        )
        .http(format!("jwt_sign_key {KEY} kid=one; jwt_sign token; jwt_sign_claim iss http;"))
        .server(format!(
            "jwt_sign_lifetime 30s;
            location = /all {{ {pass} }}
            location = /off {{ jwt_sign off; {pass} }}
            location = /key {{ jwt_sign_key jwk.json; {pass} }}
            location = /claim {{ jwt_sign_claim aud x; {pass} }}
            location = /if {{ if ($arg_a) {{ jwt_sign off; }} {pass} }}
            location /nest {{ jwt_sign_lifetime 60s; location /nest/inner {{ {pass} }} }}"
        ))
        .start()?;
    let token = |target: &str| -> Result<String> {
        let answer = nginx.get(target)?;
        Ok(text(&serde_json::from_slice(&answer.body)?, "token")?.to_owned())
    };
    let lives = |token: &str| -> Result<i64> {
        let claims = claims(token)?;
        Ok(claims["exp"].as_i64().unwrap_or(0) - claims["iat"].as_i64().unwrap_or(0))
    };
    let all = token("/all")?;
    assert_eq!((claims(&all)?["iss"].as_str(), lives(&all)?), (Some("http"), 30));
    assert_eq!(nginx.get("/off")?.text(), body);
    assert_eq!(section(&token("/key")?, 0)?, r#"{"alg":"HS256","typ":"JWT","kid":"two"}"#);
    let own = claims(&token("/claim")?)?;
    assert_eq!((&own["iss"], &own["aud"]), (&Value::Null, &json!("x")));
    assert!(token("/if")?.starts_with("ey"));
    assert_eq!(nginx.get("/if?a=1")?.text(), body);
    assert_eq!(lives(&token("/nest/inner")?)?, 60);
    nginx.finish()
}

#[test]
fn full_is_the_flattened_serialization_as_a_text() -> Result<()> {
    let provider = Provider::start(Behaviour::Keys(r#"{"t":{"sub":"alice"}}"#.into()))?;
    let nginx = login_builder(&provider, "jwt_sign t full;").start()?;
    let answer = signed(&nginx)?;
    let token: Value = serde_json::from_str(text(&answer, "t")?)?;
    let part = |name| text(&token, name);
    let compact = format!("{}.{}.{}", part("protected")?, part("payload")?, part("signature")?);
    assert_eq!(api(&nginx, &compact)?.verdict(), (200, "ok"));
    assert_eq!(token.as_object().map(serde_json::Map::len), Some(3));
    nginx.finish()
}

#[test]
fn without_claims_only_the_times_and_an_id_are_signed() -> Result<()> {
    let (_provider, nginx) = login(r#"{"access_token":{}}"#)?;
    let claims = claims(text(&signed(&nginx)?, "access_token")?)?;
    let names: Vec<_> = claims.as_object().context("claims")?.keys().map(String::as_str).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    nginx.finish()
}
