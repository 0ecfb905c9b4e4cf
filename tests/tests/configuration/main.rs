//! What stands in the configuration and the files that it names: what is accepted and what is refused,
//! which level inherits what, and what happens when any of it changes.
//!
//! | module | what |
//! | --- | --- |
//! | `directive_errors`, `key_file_errors`, `provider_errors`, `forgotten_keys` | what `nginx -t` says |
//! | `inheritance` | directives at every level |
//! | `file_changes`, `key_file_variables`, `reload` | what changes while nginx runs |
//! | `odd_files`, `shared_files`, `seeds` | files of every kind and size, and as users have them |
//! | `nginx_conf` | the folder `nginx-conf/` and the guides |
//! | `nginx_plus`, `second_module` | names of NGINX Plus, and modules beside this one |

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
