//! The header of an encrypted token (RFC 7516 section 4).

use super::algorithm::{ContentEncryption, KeyManagement, Mode};
use crate::base64url;
use crate::header;
use crate::json::Value;
use crate::refusal::Why;
use crate::reject::Reject;

/// The header of an encrypted token, whose form is right: what its algorithm needs is there.
pub(super) struct Header<'d> {
    pub(super) management: KeyManagement,
    pub(super) encryption: ContentEncryption,
    header: &'d header::Header,
}

impl<'d> Header<'d> {
    /// Reads the header. What is said of a key or an algorithm is looked at only once it is used.
    pub(super) fn read(header: &'d header::Header) -> Result<Self, Why> {
        let (mut alg, mut enc) = (None, None);
        for (name, value) in header.root().members().into_iter().flatten() {
            let text = || value.as_str().ok_or_else(|| Why::wrong_type(name, value));
            match name {
                "alg" => alg = Some(text()?),
                "enc" => enc = Some(text()?),
                // A text that is inflated may be a thousand times as long, and its length tells of its
                // content (RFC 8725 section 3.6).
                "zip" => return Err(Why::malformed("zip: a compressed content is not accepted")),
                // RFC 7516 section 4.1.13: no extension is supported.
                "crit" => {
                    return Err(Why::malformed("crit asks for extensions; none is supported"));
                }
                "p2c" | "p2s" => {
                    return Err(Why::malformed(format!("{name}: passwords are not accepted")));
                }
                _ => {}
            }
        }
        let alg = alg.ok_or_else(|| Why::malformed("the header has no alg"))?;
        let enc = enc.ok_or_else(|| Why::malformed("the header has no enc"))?;
        let unknown = |what| Why::new(Reject::BadAlgorithm, what);
        let management = KeyManagement::from_name(alg)
            .ok_or_else(|| unknown("alg is no key management algorithm that is accepted here"))?;
        let encryption = ContentEncryption::from_name(enc)
            .ok_or_else(|| unknown("enc is no content encryption algorithm known here"))?;
        let header = Self { management, encryption, header };
        header.check_parameters()?;
        Ok(header)
    }

    /// Whether the parameters of the algorithm are there, in their form (RFC 7518 sections 4.6.1 and 4.7.1).
    fn check_parameters(&self) -> Result<(), Why> {
        let missing = |name| move || Why::malformed(format!("the header has no {name}"));
        match self.management.mode() {
            Mode::Agree(_) => {
                let epk = self.get("epk").ok_or_else(missing("epk"))?;
                if !epk.is_object() {
                    return Err(Why::wrong_type("epk", epk));
                }
                for name in ["apu", "apv"] {
                    self.get(name).map_or(Ok(()), |value| encoded(name, value).map(drop))?;
                }
                Ok(())
            }
            Mode::GcmWrap(_) => ["iv", "tag"].into_iter().try_for_each(|name| {
                encoded(name, self.get(name).ok_or_else(missing(name))?).map(drop)
            }),
            Mode::Oaep(_) | Mode::Wrap(_) | Mode::Direct => Ok(()),
        }
    }

    fn get(&self, name: &str) -> Option<Value<'d>> {
        self.header.root().get(name)
    }

    /// The name of the key.
    pub(super) fn kid(&self) -> Option<&'d str> {
        self.header.kid()
    }

    /// The other side's public key.
    pub(super) fn epk(&self) -> Option<Value<'d>> {
        self.get("epk")
    }

    /// A member that is base64url, decoded; empty if it is not there.
    pub(super) fn decoded(&self, name: &str) -> Vec<u8> {
        let value = self.get(name).and_then(Value::as_str).unwrap_or_default();
        base64url::decode(value.as_bytes()).unwrap_or_default()
    }
}

fn encoded(name: &str, value: Value<'_>) -> Result<Vec<u8>, Why> {
    let text = value.as_str().ok_or_else(|| Why::wrong_type(name, value))?;
    base64url::decode(text.as_bytes())
        .ok_or_else(|| Why::malformed(format!("{name} is not base64url")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(members: &str) -> Result<(), Why> {
        let encoded = base64url::encode(format!("{{{members}}}"));
        let header = header::Header::parse_encrypted(encoded.as_bytes());
        let header = header.map_err(|refusal| Why::new(refusal.reason, refusal.detail))?;
        Header::read(&header).map(drop)
    }

    #[test]
    fn what_cannot_be_honoured_is_malformed() {
        assert_eq!(read(r#""alg":"dir","enc":"A128GCM","cty":"JWT","jku":"https://x""#), Ok(()));
        for (bad, why) in [
            (r#""enc":"A128GCM""#, "the header has no alg"),
            (r#""alg":"dir""#, "the header has no enc"),
            (r#""alg":7,"enc":"A128GCM""#, "alg is a number"),
            (r#""alg":"dir","enc":null"#, "enc is null"),
            (r#""alg":"dir","enc":"A128GCM","kid":[]"#, "kid is an array"),
            (
                r#""alg":"dir","enc":"A128GCM","zip":"DEF""#,
                "zip: a compressed content is not accepted",
            ),
            (
                r#""alg":"dir","enc":"A128GCM","crit":["exp"]"#,
                "crit asks for extensions; none is supported",
            ),
            (r#""alg":"dir","enc":"A128GCM","p2c":1"#, "p2c: passwords are not accepted"),
            (r#""alg":"ECDH-ES","enc":"A128GCM""#, "the header has no epk"),
            (r#""alg":"ECDH-ES","enc":"A128GCM","epk":"x""#, "epk is a string"),
            (r#""alg":"ECDH-ES","enc":"A128GCM","epk":{},"apu":"*""#, "apu is not base64url"),
            (r#""alg":"ECDH-ES","enc":"A128GCM","epk":{},"apv":1"#, "apv is a number"),
            (r#""alg":"A128GCMKW","enc":"A128GCM","iv":"AA""#, "the header has no tag"),
            (r#""alg":"A128GCMKW","enc":"A128GCM","iv":[],"tag":"AA""#, "iv is an array"),
        ] {
            assert_eq!(read(bad), Err(Why::malformed(why)), "{bad}");
        }
    }

    #[test]
    fn algorithms_that_are_not_accepted_are_said() {
        for bad in ["RSA1_5", "PBES2-HS256+A128KW", "none", "HS256", ""] {
            let why = read(&format!(r#""alg":"{bad}","enc":"A128GCM""#)).unwrap_err();
            assert_eq!(why.reason, Reject::BadAlgorithm, "{bad}");
        }
        let why = read(r#""alg":"dir","enc":"C20P""#).unwrap_err();
        assert_eq!(why.reason, Reject::BadAlgorithm);
    }
}
