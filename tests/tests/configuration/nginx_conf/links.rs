//! The tests of the configurations for signed links.

use anyhow::Result;
use hmac::{Hmac, KeyInit as _, Mac as _};
use module_tests::{base64url, hex, hmac, md5, now};
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::{ready, to_port_80};

const KEY: &str = "the secret";

pub(super) fn hmac_sha1(key: &[u8], text: &str) -> Result<Vec<u8>> {
    let mac = Hmac::<Sha1>::new_from_slice(key)?.chain_update(text);
    Ok(mac.finalize().into_bytes().to_vec())
}

/// A link of each scheme, as its vendor makes it, in the order of the configuration.
fn links(time: i64, until: i64) -> Result<Vec<String>> {
    let address = "unix:";
    // 2026-11-26T12:00:00Z and the like, at UTC+8, in minutes.
    let minutes = minutes_at_8(time);
    let file = |name: &str| format!("/{name}/a.mp4");
    let (a, b, c, d) = (file("alibaba-a"), file("alibaba-b"), file("alibaba-c"), file("tencent-d"));
    let (fastly, keycdn, gcore) = (file("fastly"), file("keycdn"), file("gcore"));
    let (secure, bunny) = (file("hmac-secure-link"), file("bunny-old"));
    // base64: iqFPeN2u+Z0Lm5IrsKaOFKRqEU5Gw8ePtaEkHZWuD24=
    let fastly_key = [
        0x8a, 0xa1, 0x4f, 0x78, 0xdd, 0xae, 0xf9, 0x9d, 0x0b, 0x9b, 0x92, 0x2b, 0xb0, 0xa6, 0x8e,
        0x14, 0xa4, 0x6a, 0x11, 0x4e, 0x46, 0xc3, 0xc7, 0x8f, 0xb5, 0xa1, 0x24, 0x1d, 0x95, 0xae,
        0x0f, 0x6e,
    ];
    Ok(vec![
        format!("{a}?auth_key={time}-r4nd-7-{}", hex(md5(format!("{a}-{time}-r4nd-7-{KEY}")))),
        format!("/{minutes}/{}{b}", hex(md5(format!("{KEY}{minutes}{b}")))),
        format!("/{}/{time:x}{c}", hex(md5(format!("{KEY}{c}{time:x}")))),
        format!("{d}?sign={}&t={time}", hex(md5(format!("{KEY}{d}{time}")))),
        format!(
            "{fastly}?token={until}_{}",
            hex(hmac_sha1(&fastly_key, &format!("{fastly}{until}"))?)
        ),
        format!(
            "{keycdn}?token={}&expire={until}",
            base64url(md5(format!("{keycdn}{KEY}{until}")))
        ),
        format!(
            "{gcore}?md5={}&expires={until}",
            base64url(md5(format!("{until}{gcore}{address} {KEY}")))
        ),
        format!(
            "{secure}?st={}&ts={time}&e=3600",
            base64url(hmac("HS256", KEY.as_bytes(), format!("{secure}|{time}|3600").as_bytes())?)
        ),
        format!(
            "/wowza/film/a.m3u8?wowzatokenendtime={until}&wowzatokenhash={}=",
            base64url(Sha256::digest(format!(
                "wowza/film?{address}&{KEY}&wowzatokenendtime={until}"
            )))
        ),
        format!(
            "/flussonic/index.m3u8?token={}-s4lt-{until}-{time}",
            hex(Sha1::digest(format!("flussonic{address}{time}{until}{KEY}s4lt")))
        ),
        format!(
            "{bunny}?token={}&expires={until}",
            base64url(Sha256::digest(format!("{KEY}{bunny}{until}")))
        ),
    ])
}

/// `YYYYMMDDHHMM` at UTC+8, by nobody's library: the days of Howard Hinnant's `civil_from_days`.
fn minutes_at_8(time: i64) -> String {
    let time = time + 8 * 3600;
    let (days, seconds) = (time.div_euclid(86_400) + 719_468, time.rem_euclid(86_400));
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (date, month) = (of_year - (153 * shifted + 2) / 5 + 1, (shifted + 2) % 12 + 1);
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}{month:02}{date:02}{:02}{:02}", seconds / 3600, seconds % 3600 / 60)
}

pub(crate) fn expressions() -> Result<()> {
    assert_eq!(minutes_at_8(1_439_596_800), "201508150800");
    let files: Vec<String> = links(0, 0)?
        .iter()
        .map(|link| {
            let path = link.split('?').next().unwrap_or_default();
            // What the links with their signature in the path lead to.
            let at = path.find("/alibaba-").unwrap_or(0);
            path[at + 1..].to_owned()
        })
        .collect();
    let documents: Vec<&str> = files.iter().map(String::as_str).collect();
    let nginx = ready("links-expressions.conf", &documents)?.start()?;
    let fresh = links(now() - 60, now() + 600)?;
    let old = links(now() - 7200, now() - 7200)?;
    for (fresh, old) in fresh.iter().zip(&old) {
        let ask = |link: &str| anyhow::Ok(to_port_80(&nginx, link).send()?.status);
        assert_eq!(ask(fresh)?, 200, "{fresh}: {}", nginx.error_log());
        assert_eq!(ask(old)?, 410, "{old}");
        let other =
            fresh.replace("a.mp4", "b.mp4").replace("/film/", "/movie/").replace("s4lt", "salt");
        assert_eq!(ask(&other)?, 403, "{other}");
    }
    nginx.finish()
}
