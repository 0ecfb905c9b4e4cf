//! The page in a browser: what a person sees of it.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use headless_chrome::protocol::cdp::{Emulation, Page};
use headless_chrome::{Browser, LaunchOptionsBuilder, Tab};
use module_tests::{Behaviour, Jwt, Nginx, P256, Provider, SECRET, SERVE, until};
use serde_json::{Value, json};

use crate::{STATUS, token, until_counted};

/// A browser; none, with a printed note, where there is none (NGX_TEST_CHROMIUM).
fn browser() -> Result<Option<Browser>> {
    let Some(path) = env::var_os("NGX_TEST_CHROMIUM").filter(|path| !path.is_empty()) else {
        println!("not run: there is no Chromium (NGX_TEST_CHROMIUM)");
        return Ok(None);
    };
    let options = LaunchOptionsBuilder::default()
        .path(Some(PathBuf::from(path)))
        .sandbox(false)
        .window_size(Some((1200, 1000)))
        .idle_browser_timeout(Duration::from_secs(120))
        .args(vec![OsStr::new("--hide-scrollbars"), OsStr::new("--no-first-run")])
        .build()?;
    Ok(Some(Browser::new(options)?))
}

/// What a script gives.
fn ask(tab: &Tab, script: &str) -> Result<Value> {
    let result = tab.evaluate(script, false)?;
    result.value.with_context(|| format!("{script} gives nothing"))
}

/// Shows the page in a colour scheme, so wide.
fn show(tab: &Tab, url: &str, scheme: &str, width: u32) -> Result<()> {
    tab.call_method(Emulation::SetEmulatedMedia {
        media: None,
        features: Some(vec![Emulation::MediaFeature {
            name: "prefers-color-scheme".to_owned(),
            value: scheme.to_owned(),
        }]),
    })?;
    tab.call_method(Emulation::SetDeviceMetricsOverride {
        width,
        height: 1_000,
        device_scale_factor: 1.0,
        mobile: width < 600,
        scale: None,
        screen_width: None,
        screen_height: None,
        position_x: None,
        position_y: None,
        dont_set_visible_size: None,
        screen_orientation: None,
        viewport: None,
        display_feature: None,
        device_posture: None,
    })?;
    tab.navigate_to(url)?.wait_until_navigated()?;
    Ok(())
}

/// Stores a picture of the page for the documents, if NGX_TEST_PICTURES names a folder.
fn picture(tab: &Tab, name: &str) -> Result<()> {
    let Some(folder) = env::var_os("NGX_TEST_PICTURES") else { return Ok(()) };
    // The folder of the test says nothing to the reader.
    let rename = "const main = document.querySelector('main'); \
                  main.innerHTML = main.innerHTML.replace(/\\/tmp\\/nta-\\w+/g, '/etc/nginx')";
    tab.evaluate(rename, false)?;
    let whole =
        tab.capture_screenshot(Page::CaptureScreenshotFormatOption::Png, None, None, true)?;
    Ok(fs::write(PathBuf::from(folder).join(name), whole)?)
}

/// The brightness of a colour such as `rgb(18, 22, 28)`, from 0 to 255.
fn brightness(colour: &Value) -> Result<f64> {
    let text = colour.as_str().context("no colour")?;
    let inner = text.split(['(', ')']).nth(1).with_context(|| text.to_owned())?;
    let parts: Vec<f64> =
        inner.split(',').take(3).filter_map(|it| it.trim().parse().ok()).collect();
    ensure!(parts.len() == 3, "{text}");
    Ok(0.299 * parts[0] + 0.587 * parts[1] + 0.114 * parts[2])
}

/// A port that is free now.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[test]
fn a_person_sees_counts_reasons_and_trouble_in_light_and_dark_and_on_a_phone() -> Result<()> {
    let Some(browser) = browser()? else { return Ok(()) };
    let tab = browser.new_tab()?;
    let provider = Provider::start(Behaviour::Keys(P256.jwks("login-1")?))?;
    let port = free_port()?;
    let nginx = Nginx::builder()
        .http("server_names_hash_bucket_size 128;")
        .server(format!(
            "listen 127.0.0.1:{port};
            {STATUS}
            location = /_jwks {{ {} }}
            location = /_partner {{ return 503; }}
            location /api/ {{
                jwt_kids {{ k1 {SECRET}; }}
                jwt_claim roles any admin editor error=none;
                {SERVE}
            }}
            location /account {{ jwks_request /_jwks; {SERVE} }}
            location /partner {{ jwks_request /_partner; {SERVE} }}
            location ~ ^/a-very-long-location-name-that-no-phone-can-show-in-one-line/[0-9]+/ {{
                secure_token_secret s; {SERVE}
            }}
            location /list {{ jwt_kids {{ k1 {SECRET}; }} jwt_revoked jti list.txt check=1m; {SERVE} }}",
            provider.pass()
        ))
        .file("list.txt", "a\nb\nc\n")
        .expect_log("there are no keys")
        .start()?;
    fill(&nginx)?;
    let url = format!("http://127.0.0.1:{port}/status");
    let text = |selector: &str| {
        ask(&tab, &format!("document.querySelector({selector:?})?.innerText ?? ''"))
            .map(|it| it.as_str().unwrap_or_default().to_owned())
    };

    show(&tab, &url, "light", 1_200)?;
    assert_eq!(text("#recent-requests")?, "100");
    assert_eq!(text("#recent-refused")?, "30");
    assert_eq!(text("#sources-state")?, "1 source down");
    let trouble = text("#trouble")?;
    ensure!(trouble.contains("/_partner") && trouble.contains("status 503"), "{trouble}");
    // The most frequent reason comes first, with the longest bar.
    let reasons = text("#reasons")?;
    let words: Vec<_> = reasons.split_whitespace().collect();
    assert_eq!(words, ["missing", "15", "bad_signature", "10", "malformed", "5"]);
    let widths = ask(
        &tab,
        "JSON.stringify([...document.querySelectorAll('#reasons .refused')].map(it => Math.round(it.getBoundingClientRect().width)))",
    )?;
    let widths: Vec<u32> = serde_json::from_str(widths.as_str().unwrap_or_default())?;
    ensure!(widths.len() == 3 && widths[0] > widths[1] && widths[1] > widths[2], "{widths:?}");
    let first = text("#checks tbody tr")?;
    ensure!(first.contains("/api/") && first.contains("missing 15"), "{first}");
    ensure!(first.contains("tried rules 20"), "{first}");
    let chart = ask(&tab, "document.querySelectorAll('.chart .refused').length")?;
    ensure!(chart.as_u64().is_some_and(|bars| bars >= 1), "{chart}");
    // The source in trouble is the first one, and the style is in force.
    ensure!(text("#sources tbody tr")?.contains("/_partner"));
    let ground = "getComputedStyle(document.body).backgroundColor";
    let ink = "getComputedStyle(document.body).color";
    let light = (brightness(&ask(&tab, ground)?)?, brightness(&ask(&tab, ink)?)?);
    picture(&tab, "status-light.png")?;

    show(&tab, &url, "dark", 1_200)?;
    let dark = (brightness(&ask(&tab, ground)?)?, brightness(&ask(&tab, ink)?)?);
    ensure!(light.0 > 200.0 && light.1 < 80.0, "light: {light:?}");
    ensure!(dark.0 < 60.0 && dark.1 > 180.0, "dark: {dark:?}");
    picture(&tab, "status-dark.png")?;

    show(&tab, &url, "light", 360)?;
    let width = ask(&tab, "document.documentElement.scrollWidth")?;
    assert_eq!(width, 360, "a phone has to scroll sideways");
    let small = ask(
        &tab,
        "Math.min(...[...document.querySelectorAll('main *')].filter(it => it.childElementCount === 0 && it.innerText).map(it => parseFloat(getComputedStyle(it).fontSize)))",
    )?;
    ensure!(small.as_f64().is_some_and(|size| size >= 11.0), "the smallest text has {small} px");
    assert_eq!(text("#recent-refused")?, "30");
    picture(&tab, "status-phone.png")?;

    refreshes_itself(&tab, &nginx, &url)?;
    drop(browser);
    nginx.finish()
}

/// 100 requests in the last minutes, 30 of them refused.
fn fill(nginx: &Nginx) -> Result<()> {
    let (admin, user) =
        (token(&json!({ "roles": ["admin"] }))?, token(&json!({ "roles": ["user"] }))?);
    let login = Jwt::live().kid("login-1").sign("ES256", &P256)?;
    let forged = Jwt::live().kid("k1").hs("HS256", "another secret that is long enough for it")?;
    for (target, token, count) in [
        ("/api/", Some(&admin), 40),
        ("/api/", Some(&user), 20),
        ("/account", Some(&login), 10),
        ("/api/", None, 15),
        ("/api/", Some(&forged), 10),
        ("/api/", Some(&"a.b".to_owned()), 5),
    ] {
        for _ in 0..count {
            let request = nginx.request().target(target);
            match token {
                Some(token) => request.bearer(token).send()?,
                None => request.send()?,
            };
        }
    }
    nginx.wait_log(|line| line.contains("there are no keys"))?;
    let refused = json!({ "missing": 15, "bad_signature": 10, "malformed": 5 });
    until_counted(nginx, "/api/", "jwt", &json!({ "passed": 60, "tried": 20, "refused": refused }))
}

/// The page shows what has come since, keeps what is unfolded, and says when nginx does not answer.
fn refreshes_itself(tab: &Arc<Tab>, nginx: &Nginx, url: &str) -> Result<()> {
    show(tab, url, "light", 1_200)?;
    let open =
        "document.querySelector('details summary').click(); document.querySelector('details').open";
    assert_eq!(ask(tab, open)?, true);
    let id = ask(tab, "document.querySelector('details').id")?;
    assert_eq!(nginx.get("/api/")?.status, 401);
    let has = |script: &str, wanted: Value| {
        until("the page to change", || Ok((ask(tab, script)? == wanted).then_some(())))
            .map_err(|error| anyhow!("{script} is not {wanted}: {error:#}"))
    };
    has("document.querySelector('#recent-refused').innerText", json!("31"))?;
    let still = format!("document.querySelector('#{}').open", id.as_str().unwrap_or_default());
    assert_eq!(ask(tab, &still)?, true);
    let offline = "getComputedStyle(document.querySelector('.offline')).display !== 'none'";
    assert_eq!(ask(tab, offline)?, false);
    nginx.stop()?;
    has(offline, json!(true))
}
