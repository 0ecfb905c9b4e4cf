//! What becomes of a request: the answer, the checks of it together, and what other parts of nginx make
//! of their results. Links, too, are here.
//!
//! | module | what |
//! | --- | --- |
//! | `decisions`, `failures` | status, log and variables of each verdict; failures never pass |
//! | `secure_token`, `single_arguments` | signed links, and arguments that are there once |
//! | `satisfy`, `satisfy_matrix` | tokens and links beside addresses, passwords and `auth_request` |
//! | `variables`, `lazy_variables`, `two_reads` | when variables are evaluated, and to what |
//! | `switch_variables`, `captures` | `map` as a condition, and what it must leave alone |
//! | `redirects`, `subrequests`, `what_upstreams_get` | where a request goes inside nginx |
//! | `interleaved` | thousands of them at once |

mod captures;
mod decisions;
mod failures;
mod interleaved;
mod lazy_variables;
mod redirects;
mod satisfy;
mod satisfy_matrix;
mod secure_token;
mod single_arguments;
mod subrequests;
mod switch_variables;
mod two_reads;
mod variables;
mod what_upstreams_get;
