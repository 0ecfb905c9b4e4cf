//! nginx's own directives: each must see the captures that it would see without the module, and
//! must write exactly as many bytes as it has measured.

use anyhow::Result;
use module_tests::{Jwt, Nginx, SECRET, SERVE, nginx_leaves_out};

/// `$by_uri` has more captures than the location or the `rewrite`, and longer ones.
const BY_URI: &str = r#"map "$uri?$args" $by_uri { volatile; default on; "~^/((.)(.)(.)(.*))$" on; }
    map "$uri?$args" $no_token { volatile; default ""; "~^/((.)(.)(.)(.*))$" ""; }
    map "" $first { volatile; default $1; }
    log_format echo "$first-$jwt_status-$first"; access_log logs/echo.log echo;"#;

fn token() -> Result<String> {
    Jwt::live().kid("k1").hs("HS256", SECRET)
}

#[test]
fn a_value_that_nginx_puts_together_has_one_length() -> Result<()> {
    let kids = format!("jwt_kids {{ k1 {SECRET}; }}");
    let nginx = Nginx::builder()
        .http(BY_URI)
        .server(format!(
            "{kids} jwt $by_uri;
            location ~ ^/return/(.)(x*)/ {{ return 200 \"$1-$jwt_status-$2-$1\"; }}
            location ~ ^/status-first/(.)(x*)/ {{ return 200 \"$jwt_status-$1-$2\"; }}
            location ~ ^/claim/(.)(x*)/ {{ return 200 \"$1$jwt_claim_sub$1$jwt_header_kid\"; }}
            location ~ ^/set/(.)(x*)/ {{ set $both \"$1-$jwt_status-$2\"; return 200 \"$both\"; }}
            location ~ ^/source/(.)(x*)/ {{ jwt on; jwt_token $no_token bearer;
                return 200 \"$1-$jwt_status-$2-$1\"; }}
            location ~ ^/redirect/(.)(x*)/ {{ return 302 http://h/$1/$jwt_status/$2; }}
            location /a {{ rewrite ^/(.) /y/$1$jwt_status last; }}
            location /b {{ rewrite ^/(.)(.) /y/$2$1$jwt_status$2 last; }}
            location /y {{ return 200 $uri; }}
            location /c {{ if ($uri ~ ^/(.)(x*)/) {{ return 200 \"$1-$jwt_status-$2\"; }} }}"
        ))
        .start()?;
    let long = "x".repeat(3000);
    for (path, bare, good) in [
        (format!("/return/a{long}/"), format!("a-missing-{long}-a"), format!("a-ok-{long}-a")),
        ("/return/a/".into(), "a-missing--a".into(), "a-ok--a".into()),
        (format!("/status-first/a{long}/"), format!("missing-a-{long}"), format!("ok-a-{long}")),
        ("/claim/a/".into(), "aa".into(), "aaliceak1".into()),
        (format!("/claim/a{long}/"), "aa".into(), "aaliceak1".into()),
        (format!("/set/a{long}/"), format!("a-missing-{long}"), format!("a-ok-{long}")),
        (format!("/source/a{long}/"), format!("a-missing-{long}-a"), format!("a-ok-{long}-a")),
        ("/source/a/".into(), "a-missing--a".into(), "a-ok--a".into()),
        (format!("/a{long}"), "/y/amissing".into(), "/y/aok".into()),
        ("/a".into(), "/y/amissing".into(), "/y/aok".into()),
        (format!("/b{long}"), "/y/xbmissingx".into(), "/y/xbokx".into()),
        (format!("/c{long}/"), format!("c-missing-{long}"), format!("c-ok-{long}")),
        // Here the query is longer than the path.
        (format!("/return/a/?{long}"), "a-missing--a".into(), "a-ok--a".into()),
    ] {
        let told = path.get(..12).unwrap_or(&path);
        assert_eq!(nginx.get(&path)?.text(), bare, "{told}");
        assert_eq!(nginx.bearer(&path, &token()?)?.text(), good, "{told}");
    }
    let to = nginx.bearer(format!("/redirect/a{long}/"), &token()?)?;
    assert_eq!(to.header("Location"), Some(format!("http://h/a/ok/{long}").as_str()));
    nginx.finish()
}

#[test]
fn what_comes_after_the_access_phase_has_the_captures_of_the_location() -> Result<()> {
    let check = format!("jwt $by_uri; jwt_token $no_token bearer; jwt_kids {{ k1 {SECRET}; }}");
    let proxied = !nginx_leaves_out("proxy")?;
    let proxy = if proxied {
        format!(
            "location ~ ^/proxy/(.)(x*)$ {{ {check} proxy_set_header X-One \"$1|$jwt_status|$2\";
                proxy_pass http://unix:up.sock:/up/$1/$2; }}"
        )
    } else {
        String::new()
    };
    let nginx = Nginx::builder()
        .http(format!(
            "{BY_URI} server {{ listen unix:up.sock; location / {{
                return 200 \"$request_uri $http_x_one\"; }} }}"
        ))
        .server(format!(
            "location ~ ^/alias/(.)(x*)$ {{ {check} alias html/$1.txt; }}
            location ~ ^/try/(.)(x*)$ {{ {check} try_files /$2/$1 /$1.txt =404; }}
            location ~ ^/header/(.)(x*)$ {{ {check} add_header X-Echo \"$1-$jwt_status-$2\"; {SERVE} }}
            location ~ ^/error/(.)(x*)$ {{ {check} error_page 404 =200 /$1.txt; root none; }}
            {proxy}"
        ))
        .html("a.txt", "the letter")
        .start()?;
    for long in ["", "x", &"x".repeat(3000)] {
        for place in ["alias", "try", "error"] {
            let response = nginx.bearer(format!("/{place}/a{long}"), &token()?)?;
            assert_eq!((response.status, response.text().as_ref()), (200, "the letter"), "{place}");
        }
        let response = nginx.bearer(format!("/header/a{long}"), &token()?)?;
        assert_eq!(response.header("X-Echo"), Some(format!("a-ok-{long}").as_str()));
        if proxied {
            let response = nginx.bearer(format!("/proxy/a{long}"), &token()?)?;
            assert_eq!(response.text(), format!("/up/a/{long} a|ok|{long}"));
        }
    }
    nginx.stop()?;
    let log = nginx.read("logs/echo.log");
    let expected = "a-ok-a\n".repeat(if proxied { 15 } else { 12 });
    assert_eq!(log.replace("-off-\n", ""), expected);
    nginx.finish()
}

#[test]
fn a_subrequest_has_the_captures_of_its_own_location() -> Result<()> {
    if nginx_leaves_out("ssi")? {
        println!("left out: this nginx has no ssi");
        return Ok(());
    }
    let nginx = Nginx::builder()
        .http(BY_URI)
        .server(format!(
            "jwt_kids {{ k1 {SECRET}; }} jwt $by_uri; jwt_token $no_token bearer;
            location = /page.shtml {{ ssi on; ssi_types *; }}
            location ~ ^/part/(\\w)(x*)/ {{ jwt_claim sub = alice;
                return 200 \"[$1-$jwt_status-$2-$jwt_claim_sub-$1]\"; }}"
        ))
        .html(
            "page.shtml",
            "<!--# include virtual=\"/part/a/\" --><!--# include virtual=\"/part/bxxx/\" -->",
        )
        .start()?;
    let page = nginx.bearer("/page.shtml", &token()?)?;
    assert_eq!(page.text(), "[a-ok--alice-a][b-ok-xxx-alice-b]");
    nginx.finish()
}
