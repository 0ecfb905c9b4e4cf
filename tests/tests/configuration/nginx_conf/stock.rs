//! The configurations as they stand, in the folders that the packages of Debian and of nginx.org have.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use anyhow::{Context, Result};
use module_tests::{ENCRYPTION_SECRET, P256, RSA, checked_in, module, secret_jwk};
use serde_json::json;

use super::{DRIVERS, folder};

/// Where a package has its prefix; nginx.conf is in `etc/nginx` and the documents in
/// `usr/share/nginx/html` with both.
const PREFIXES: [(&str, &str); 2] = [("Debian", "usr/share/nginx"), ("nginx.org", "etc/nginx")];

/// A machine below `root`, with the files of `nginx-conf/` in /etc/nginx.
fn install(root: &Path, prefix: &str) -> Result<()> {
    for folder in ["etc/nginx", "usr/share/nginx/html", "var/cache", "var/log/nginx", "run"] {
        fs::create_dir_all(root.join(folder))?;
    }
    // Where another build of nginx has its logs; that of a package has them in /var/log/nginx.
    fs::create_dir_all(root.join(prefix).join("logs"))?;
    let modules = root.join(prefix).join("modules");
    fs::create_dir_all(&modules)?;
    symlink(module()?, modules.join("ngx_http_token_auth_module.so"))?;
    for entry in fs::read_dir(folder())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), root.join("etc/nginx").join(entry.file_name()))?;
        }
    }
    // What the comment at the head of demo.conf says to make.
    let demo = root.join("etc/nginx/demo");
    fs::create_dir_all(&demo)?;
    fs::copy(folder().join("demo/azion-args.json"), demo.join("azion-args.json"))?;
    fs::write(demo.join("keys.json"), RSA.jwks("demo")?)?;
    // And at the heads of those that sign.
    let keys = root.join("etc/nginx/keys");
    fs::create_dir_all(&keys)?;
    fs::write(keys.join("cloudfront.pub.pem"), RSA.public)?;
    let secret = secret_jwk(ENCRYPTION_SECRET, &json!({ "alg": "A256KW" })).to_string();
    for (key, text) in [
        (demo.join("login.pem"), P256.private),
        (keys.join("login.pem"), P256.private),
        (keys.join("edge.pem"), P256.private),
        (keys.join("cloudfront.pem"), RSA.private),
        (keys.join("secret.json"), &secret),
    ] {
        fs::write(&key, text)?;
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600))?;
    }
    Ok(())
}

#[test]
fn every_configuration_loads_in_the_prefixes_of_stock_packages() -> Result<()> {
    for (package, prefix) in PREFIXES {
        let root = tempfile::tempdir()?;
        install(root.path(), prefix)?;
        let place = root.path().to_string_lossy();
        for (name, _) in DRIVERS {
            let conf = root.path().join("etc/nginx").join(name);
            let text = fs::read_to_string(&conf)?;
            // These are the packages' folders, but this is not their machine.
            let mut text = text.clone();
            for absolute in ["/etc/nginx", "/usr/share/nginx", "/var/log/nginx", "/var/cache"] {
                text = text.replace(absolute, &format!("{place}{absolute}"));
            }
            fs::write(&conf, text)?;
            let checked = checked_in(&root.path().join(prefix), &conf)?;
            checked
                .accepted()
                .with_context(|| format!("{name}, in a prefix as {package} has it"))?;
        }
    }
    Ok(())
}
