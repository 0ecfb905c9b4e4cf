//! Tests of the configuration and of the files that it names: what is accepted and what is refused,
//! what each level inherits, and what happens after a change.
//!
//! | module | what |
//! | --- | --- |
//! | `directive_errors`, `key_file_errors`, `provider_errors`, `forgotten_keys` | `nginx -t` |
//! | `inheritance` | directives at every level |
//! | `file_changes`, `key_file_variables`, `reload` | what changes while nginx runs |
//! | `odd_files`, `shared_files`, `seeds` | odd files, shared files, examples that users paste |
//! | `nginx_conf` | the folder `nginx-conf/` and the guides |
//! | `nginx_plus`, `second_module` | names of NGINX Plus, and other modules in the same nginx |

mod directive_errors;
mod file_changes;
mod forgotten_keys;
mod inheritance;
mod key_file_errors;
mod key_file_variables;
mod nginx_conf;
mod nginx_plus;
mod odd_files;
mod provider_errors;
mod reload;
mod second_module;
mod seeds;
mod shared_files;
