//! What links cover, for all formats: wildcards and prefixes are compared with the normalised path only.

use anyhow::Result;
use module_tests::{Nginx, RSA, SERVE, now};

use super::made::{AKAMAI, GOOGLE, akamai, bunny, cloudfront, google_prefix, policy};

/// Request targets, and whether a link to all that is below `/public/` covers them. What nginx itself refuses is
/// covered by none.
const TARGETS: [(&str, bool); 22] = [
    ("/public/a", true),
    ("/public/", true),
    ("/public/a/b/c", true),
    ("/public/./a", true),
    ("/public/x/../a", true),
    ("/private/../public/a", true),
    ("//public/a", true),
    ("/public//a", true),
    ("/%70ublic/a", true),
    ("/public%2fa", true),
    ("/public%2Fa", true),
    ("/public/a;b", true),
    ("/public", false),
    ("/Public/a", false),
    ("/public/../private", false),
    ("/public/%2e%2e/private", false),
    ("/public/%2E%2e/private", false),
    ("/public%2f..%2fprivate", false),
    ("/public;/a", false),
    ("/publicity/a", false),
    ("/private/public/a", false),
    ("/public/%00/../../private", false),
];

/// Asks for each target with the arguments of a link, and says which ones go wrong.
fn wrong(nginx: &Nginx, format: &str, arguments: &str) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (target, covered) in TARGETS {
        let answer = nginx.get(format!("{target}?{arguments}"))?;
        // 400 is nginx's own answer to a NUL.
        let good = match answer.status {
            200 => covered,
            403 => !covered && answer.link_verdict().1 == "not_covered",
            400 => !covered,
            _ => false,
        };
        if !good {
            wrong.push(format!("{format} {target}: {:?}", answer.link_verdict()));
        }
    }
    Ok(wrong)
}

#[test]
fn no_format_covers_more_than_it_says() -> Result<()> {
    let e = now() + 60;
    let secret = |secret: &str| format!("secure_token_secret {secret};");
    let keys = "secure_token_keys rsa.pem;".to_owned();
    let token_path = "token_path=/public/";
    for (format, keys, arguments) in [
        (
            "akamai",
            secret(AKAMAI.0),
            format!("hdnts={}", akamai(&format!("exp={e}~acl=/public/*"), "")?),
        ),
        (
            "bunny",
            secret("SecurityKey"),
            format!("{}&token_path=%2Fpublic%2F", bunny("SecurityKey", "/public/", e, token_path)?),
        ),
        ("cloudfront", keys, cloudfront(&policy("http://localhost/public/*", e, ""), None)?),
        ("google", secret(GOOGLE.0), google_prefix("http://localhost/public/", e)?),
    ] {
        let nginx = Nginx::builder()
            .file("rsa.pem", RSA.public)
            .server(format!("location / {{ secure_token_format {format}; {keys} {SERVE} }}"))
            .start()?;
        let wrong = wrong(&nginx, format, &arguments)?;
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        nginx.finish()?;
    }
    Ok(())
}
