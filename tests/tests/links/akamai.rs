//! `secure_token_format akamai`.

use anyhow::Result;
use module_tests::{Nginx, SERVE, now};

use super::made::{AKAMAI, akamai};

fn start(more: &str) -> Result<Nginx> {
    let key = AKAMAI.0;
    Nginx::start(format!(
        "location / {{ secure_token_format akamai; secure_token_secret {key}; {more} {SERVE} }}"
    ))
}

#[test]
fn published_tokens_have_expired_and_no_more() -> Result<()> {
    let nginx = start("")?;
    let token = "exp=1591841414~acl=%2F%2A~hmac=\
                 ea20f092942d08829ecb30e330ba1c78d768515df5efc383ee9ad335149d1a7d";
    for carrier in ["hdnts", "hdnea", "__token__"] {
        assert_eq!(
            nginx.get(format!("/a?{carrier}={token}"))?.link_verdict(),
            (410, "expired"),
            "{carrier}"
        );
    }
    for cookie in ["hdntl", "__hdnea__"] {
        let ask =
            nginx.request().target("/a").header("Cookie", format!("{cookie}={token}")).send()?;
        assert_eq!(ask.link_verdict(), (410, "expired"), "{cookie}");
    }
    let forged = token.replace("exp=1", "exp=2");
    assert_eq!(nginx.get(format!("/a?hdnts={forged}"))?.link_verdict(), (403, "bad_signature"));
    assert_eq!(nginx.get("/a")?.link_verdict(), (403, "missing"));
    assert_eq!(
        nginx.get(format!("/a?hdnts={token}&hdnts={token}"))?.link_verdict(),
        (403, "malformed")
    );
    nginx.assert_no_secret(&[AKAMAI.0, "ea20f092942d0882"])?;
    nginx.finish()
}

#[test]
fn each_field_counts() -> Result<()> {
    let nginx = start("set_real_ip_from unix:; real_ip_header X-Real;")?;
    let e = now() + 60;
    let later = now() + 30;
    for (fields, verdict) in [
        (format!("exp={e}~acl=/live/*"), (200, "ok")),
        (format!("st={}~exp={e}~acl=/live/*", now() - 5), (200, "ok")),
        (format!("st={later}~exp={e}~acl=/live/*"), (403, "not_yet_valid")),
        (format!("ip=192.0.2.7~exp={e}~acl=/live/*"), (200, "ok")),
        (format!("ip=192.0.2.8~exp={e}~acl=/live/*"), (403, "bad_address")),
        (format!("exp={e}~acl=/vod/*"), (403, "not_covered")),
        (format!("exp={e}~acl=/vod/*!/live/?.ts"), (200, "ok")),
        (format!("exp={e}~acl=/live/?"), (403, "not_covered")),
        (format!("exp={}~acl=/vod/*", now() - 1), (410, "expired")),
        (format!("acl=/live/*~exp={e}~id=7~data=x"), (200, "ok")),
        ("acl=/live/*".to_owned(), (403, "malformed")),
        (format!("exp={e}~exp={e}~acl=/live/*"), (403, "malformed")),
        (format!("exp={e}~acl=/live/*~more=1"), (403, "malformed")),
        (format!("exp={e}~acl="), (403, "malformed")),
    ] {
        let target = format!("/live/a.ts?hdnts={}", akamai(&fields, "")?);
        let found = nginx.request().target(target).header("X-Real", "192.0.2.7").send()?;
        assert_eq!(found.link_verdict(), verdict, "{fields}");
    }
    nginx.finish()
}

#[test]
fn a_token_for_one_path_and_with_salt() -> Result<()> {
    let key = AKAMAI.0;
    let nginx = Nginx::start(format!(
        "secure_token_secret {key};
        location / {{ secure_token_format akamai; {SERVE} }}
        location /salt/ {{ secure_token_format akamai salt=pepper; {SERVE} }}"
    ))?;
    let fields = format!("exp={}", now() + 60);
    let ask = |path: &str, unseen: &str| -> Result<(u16, String)> {
        let found = nginx.get(format!("{path}?hdnts={}", akamai(&fields, unseen)?))?;
        let (status, word) = found.link_verdict();
        Ok((status, word.to_owned()))
    };
    let good = (200, "ok".to_owned());
    let bad = (403, "bad_signature".to_owned());
    assert_eq!(ask("/vod/a.m3u8", "~url=/vod/a.m3u8")?, good);
    assert_eq!(ask("/vod/a%20b", "~url=/vod/a b")?, good);
    assert_eq!(ask("/vod/a%20b", "~url=/vod/a%20b")?, good);
    assert_eq!(ask("/vod/a%20b", "~url=%2fvod%2fa+b")?, good);
    assert_eq!(ask("/vod/b.m3u8", "~url=/vod/a.m3u8")?, bad);
    assert_eq!(ask("/salt/a", "~url=/salt/a~salt=pepper")?, good);
    assert_eq!(ask("/salt/a", "~url=/salt/a")?, bad);
    assert_eq!(ask("/vod/a", "~url=/vod/a~salt=pepper")?, bad);
    nginx.finish()
}

#[test]
fn clients_may_encode_what_was_signed_plain() -> Result<()> {
    let nginx = start("")?;
    let token = akamai(&format!("exp={}~acl=/live/*", now() + 60), "")?;
    let encoded = token.replace('~', "%7E").replace('/', "%2f").replace('*', "%2A");
    assert_eq!(nginx.get(format!("/live/a?hdnts={encoded}"))?.link_verdict(), (200, "ok"));
    let twice = encoded.replace('%', "%25");
    assert_eq!(nginx.get(format!("/live/a?hdnts={twice}"))?.link_verdict(), (403, "malformed"));
    // A cookie is not encoded by anybody.
    let cookie = nginx.request().target("/live/a").header("Cookie", format!("hdntl={encoded}"));
    assert_eq!(cookie.send()?.link_verdict().0, 403);
    nginx.finish()
}

#[test]
fn a_token_in_the_path_and_from_configured_places() -> Result<()> {
    let key = AKAMAI.0;
    let nginx = Nginx::start(format!(
        "secure_token_format akamai;
        secure_token_secret {key};
        location ~ ^/t/(?<tok>[^/]+)(?<rest>/.*)$ {{
            secure_token_source $tok; secure_token_value $rest;
            add_header X-Said \"$secure_token_acl|$secure_token_id|$secure_token_data|$secure_token_args\";
            {SERVE}
        }}
        location /named/ {{ secure_token_source header:X-Token arg:t cookie:c; {SERVE} }}"
    ))?;
    let e = now() + 60;
    let token = akamai(&format!("exp={e}~acl=%2Flive%2F%2A"), "")?;
    let star = akamai(&format!("exp={e}~acl=*~id=42~data=x"), "")?;
    let found = nginx.get(format!("/t/{star}/live/a?b=1&hdnts=2"))?;
    assert_eq!((found.status, found.header("X-Said")), (200, Some("*|42|x|b=1&hdnts=2")));
    for name in ["X-Token", "X-Other"] {
        let found = nginx.request().target("/named/?hdnts=x").header(name, &token).send()?;
        let verdict = if name == "X-Token" { (403, "not_covered") } else { (403, "missing") };
        assert_eq!(found.link_verdict(), verdict, "{name}");
    }
    let named = akamai(&format!("exp={e}~acl=/named/*"), "")?;
    assert_eq!(nginx.get(format!("/named/?t={named}"))?.link_verdict(), (200, "ok"));
    let cookie = nginx.request().target("/named/").header("Cookie", format!("c={named}")).send()?;
    assert_eq!(cookie.link_verdict(), (200, "ok"));
    // The first place that holds something counts.
    let both =
        nginx.request().target("/named/?t=x").header("Cookie", format!("c={named}")).send()?;
    assert_eq!(both.link_verdict(), (403, "malformed"));
    nginx.finish()
}

#[test]
fn a_long_token_is_refused_at_once() -> Result<()> {
    let nginx = start("")?;
    let e = now() + 60;
    for (len, verdict) in [(3000, (200, "ok")), (4100, (403, "malformed"))] {
        let token = akamai(&format!("exp={e}~acl=/*~data={}", "x".repeat(len)), "")?;
        assert_eq!(nginx.get(format!("/a?hdnts={token}"))?.link_verdict(), verdict, "{len}");
    }
    nginx.finish()
}
