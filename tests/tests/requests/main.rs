//! How nginx answers a request: the verdict of each check, several checks together, and how other
//! parts of nginx use the verdicts. Signed links are here, too.
//!
//! | module | what |
//! | --- | --- |
//! | `decisions`, `failures` | status, log and variables of each verdict; failures never pass |
//! | `secure_token`, `single_arguments` | signed links, and arguments that must occur once |
//! | `satisfy`, `satisfy_matrix` | tokens and links with addresses, passwords and `auth_request` |
//! | `variables`, `lazy_variables`, `two_reads` | when variables are evaluated, and their values |
//! | `switch_variables`, `captures` | `map` as a switch, and captures that it must not change |
//! | `redirects`, `subrequests`, `what_upstreams_get` | where a request goes inside nginx |
//! | `interleaved` | thousands of requests at once |

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
