//! URIs that tokens cover (RFC 9246).

use serde_json::json;
use token::cdni::covers;
use token::json::Document;
use token::{Carrier, RequestUri};

use crate::parts;

/// A container, a URI and a token in it. What is covered is covered in its one spelling, too; a pattern
/// covers whole URIs only; and what is left of a URI is the same when it is read again.
pub fn cdni(input: &[u8]) {
    let [container, uri, token] = parts(input);
    let carriers = [Carrier::Argument(b"URISigningPackage"), Carrier::Token(token)];
    let container = String::from_utf8_lossy(container);
    let payload = |container: &str| {
        let text = json!({ "cdniuc": container }).to_string();
        Document::parse(text.into_bytes()).unwrap()
    };
    let Ok(read) = RequestUri::new(uri, &carriers) else {
        assert!(covers(&payload(&container), uri, &carriers).is_err());
        return;
    };
    let text = read.as_str();
    let again = RequestUri::new(text.as_bytes(), &[]).unwrap();
    assert_eq!(again.as_str(), text);
    assert!(!read.path().split('/').any(|part| matches!(part, "." | "..")), "{text}");
    let said = covers(&payload(&container), uri, &carriers);
    let in_one_spelling = covers(&payload(&container), text.as_bytes(), &[]);
    let verdict = |said: &Result<(RequestUri, bool), String>| match said {
        Ok((uri, covered)) => Ok((uri.as_str().to_owned(), *covered)),
        Err(why) => Err(why.clone()),
    };
    assert_eq!(verdict(&said), verdict(&in_one_spelling));

    let Some(pattern) = container.strip_prefix("regex:") else { return };
    // A pattern with a sign more behind covers nothing that it covers without.
    let Ok((_, covered)) = said else { return };
    let longer = covers(&payload(&format!("regex:({pattern})%")), uri, &carriers);
    assert!(!matches!(longer, Ok((_, true))), "{pattern} {text}");
    if covered && read.as_served().is_none() {
        let both = covers(&payload(&format!("regex:({pattern})()")), uri, &carriers);
        assert!(matches!(both, Ok((_, true)) | Err(_)), "{pattern} {text}");
    }
}
