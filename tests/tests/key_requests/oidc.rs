//! A real OpenID Connect server issues ID tokens by the authorization code flow, and nginx checks
//! them with the keys that the server publishes. `./build.sh test` installs the server and sets
//! `NGX_TEST_OIDC` to its path.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use module_tests::{Nginx, SERVE, until};
use serde_json::Value;

/// The server listens on a port of 127.0.0.1 and makes a new key when it starts.
struct Idp {
    program: PathBuf,
    port: u16,
    child: Child,
}

impl Idp {
    /// Returns `None` and prints a note when the server is not installed.
    fn start() -> Result<Option<Self>> {
        let program = PathBuf::from(std::env::var_os("NGX_TEST_OIDC").unwrap_or_default());
        if program.as_os_str().is_empty() {
            println!("not run: NGX_TEST_OIDC names no OpenID Connect server");
            return Ok(None);
        }
        // The port is free until the server starts, unless another program happens to take it.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let child = spawn(&program, port)?;
        Ok(Some(Self { program, port, child }))
    }

    fn stop(&mut self) -> Result<()> {
        self.child.kill().context("stopping the server")?;
        self.child.wait().context("waiting for the server")?;
        Ok(())
    }

    /// Starts the server again, which gives it another key.
    fn come_back(&mut self) -> Result<()> {
        self.child = spawn(&self.program, self.port)?;
        Ok(())
    }

    fn issuer(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// `/idp/` leads to the server itself; `/app` and the others require its tokens.
    fn nginx(&self) -> Result<Nginx> {
        let issuer = self.issuer();
        let fetch = "jwks_request /_jwks valid=1s;";
        let wants = format!("{fetch} jwt_issuer {issuer};");
        Nginx::start(format!(
            "location /idp/ {{ proxy_pass {issuer}/; proxy_redirect off; }}
            location = /_jwks {{ internal; proxy_pass {issuer}/jwks; }}
            location /app {{ {wants} jwt_audience app; {SERVE} }}
            location /billing {{ {wants} jwt_audience billing; {SERVE} }}
            location /admin {{ {wants} jwt_audience app; jwt_claim role = admin; {SERVE} }}
            location /root {{ {wants} jwt_audience app; jwt_claim role = root; {SERVE} }}
            location /elsewhere {{ {fetch} jwt_issuer https://idp.example; {SERVE} }}"
        ))
    }
}

impl Drop for Idp {
    fn drop(&mut self) {
        // An error is fine here: the server may have stopped already.
        let _ = self.stop();
    }
}

fn spawn(program: &PathBuf, port: u16) -> Result<Child> {
    Command::new(program)
        .args(["--host", "127.0.0.1", "--port", &port.to_string()])
        .args(["--user-claims", r#"{"sub": "alice", "role": "admin"}"#])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("starting {}", program.display()))
}

fn until_up(nginx: &Nginx) -> Result<()> {
    until("the server", || Ok((nginx.get("/idp/jwks")?.status == 200).then_some(())))
}

fn get_json(nginx: &Nginx, target: &str) -> Result<Value> {
    let response = nginx.get(target)?;
    ensure!(response.status == 200, "{target}: {}: {}", response.status, response.text());
    Ok(serde_json::from_slice(&response.body)?)
}

/// Gets an ID token of alice for `client`, a client of the server.
fn issue(nginx: &Nginx, client: &str) -> Result<String> {
    const FORM: &str = "application/x-www-form-urlencoded";
    let callback = "https://app.example/callback";
    let login = nginx
        .request()
        .method("POST")
        .target(format!(
            "/idp/oauth2/authorize?response_type=code&client_id={client}&scope=openid+profile\
             &state=s&redirect_uri={callback}"
        ))
        .header("Content-Type", FORM)
        .body("sub=alice")
        .send()?;
    let location = login.header("Location").with_context(|| format!("no code: {login:?}"))?;
    let code = location.split(['?', '&']).find_map(|part| part.strip_prefix("code="));
    let code = code.with_context(|| format!("no code in {location}"))?;
    let granted = nginx
        .request()
        .method("POST")
        .target("/idp/oauth2/token")
        .header("Content-Type", FORM)
        .body(format!(
            "grant_type=authorization_code&code={code}&redirect_uri={callback}\
             &client_id={client}&client_secret=secret"
        ))
        .send()?;
    let granted: Value = serde_json::from_slice(&granted.body)
        .with_context(|| format!("no token: {}", granted.text()))?;
    let token = granted.get("id_token").and_then(Value::as_str);
    Ok(token.with_context(|| format!("no ID token: {granted}"))?.to_owned())
}

/// nginx was there before the server, so its first fetch was in vain, and the next comes a second later.
fn until_keys(nginx: &Nginx, token: &str) -> Result<()> {
    until("keys", || Ok((nginx.bearer("/app", token)?.verdict() == (200, "ok")).then_some(())))
}

#[test]
fn tokens_that_a_server_issues_pass_where_they_should() -> Result<()> {
    let Some(idp) = Idp::start()? else { return Ok(()) };
    let nginx = idp.nginx()?;
    until_up(&nginx)?;
    // An administrator copies the address for `/_jwks` from this document.
    let discovery = get_json(&nginx, "/idp/.well-known/openid-configuration")?;
    assert_eq!(discovery["issuer"], Value::from(idp.issuer()));
    assert_eq!(discovery["jwks_uri"], Value::from(format!("{}/jwks", idp.issuer())));
    let (app, billing) = (issue(&nginx, "app")?, issue(&nginx, "billing")?);
    until_keys(&nginx, &app)?;
    for _ in 0..2 {
        for (target, token, verdict) in [
            ("/app", &app, (200, "ok")),
            ("/billing", &billing, (200, "ok")),
            ("/app", &billing, (401, "bad_audience")),
            ("/billing", &app, (401, "bad_audience")),
            ("/admin", &app, (200, "ok")),
            ("/root", &app, (403, "denied")),
            ("/elsewhere", &app, (401, "bad_issuer")),
        ] {
            assert_eq!(nginx.bearer(target, token)?.verdict(), verdict, "{target}");
        }
    }
    let signed = app.rsplit_once('.').context("a token")?.0;
    let forged = format!("{signed}.{}", billing.rsplit_once('.').context("a token")?.1);
    assert_eq!(nginx.bearer("/app", &forged)?.verdict(), (401, "bad_signature"));
    assert_eq!(nginx.get("/app")?.verdict(), (401, "missing"));
    nginx.assert_no_secret(&[&app, &billing])?;
    nginx.finish()
}

#[test]
fn a_server_may_be_away_and_come_back_with_another_key() -> Result<()> {
    let Some(mut idp) = Idp::start()? else { return Ok(()) };
    let nginx = idp.nginx()?;
    until_up(&nginx)?;
    let old = issue(&nginx, "app")?;
    until_keys(&nginx, &old)?;
    idp.stop()?;
    // The server is away for longer than `valid`, but its keys still verify tokens.
    until("a refresh in vain", || {
        ensure!(nginx.bearer("/app", &old)?.verdict() == (200, "ok"), "while it was away");
        let told = |line: &str| line.contains("[error]") && line.contains("/_jwks");
        Ok(nginx.error_log().lines().any(told).then_some(()))
    })?;
    idp.come_back()?;
    until_up(&nginx)?;
    let new = issue(&nginx, "app")?;
    // nginx fetches the new key without a reload when the old keys expire.
    until("the new key", || match nginx.bearer("/app", &new)?.status {
        200 => Ok(Some(())),
        401 => Ok(None),
        status => bail!("{status}"),
    })?;
    assert_eq!(nginx.bearer("/app", &old)?.status, 401);
    assert_eq!(nginx.bearer("/app", &new)?.verdict(), (200, "ok"));
    nginx.finish()
}
