//! The decision: asks the checks in force, and combines their opinions.

use crate::check::{NoVerdict, Opinion, Refusal, Status};
use crate::context::Context;
use crate::location::{LocationConf, MainConf};
use crate::nginx::Request;

/// The opinions of the checks on a request.
pub(crate) struct Opinions {
    pub(crate) token: Opinion,
    /// `None` if the token decides alone.
    pub(crate) link: Option<Opinion>,
}

/// The decision on a request.
pub(crate) enum Decision<'o> {
    /// No check has a say.
    Decline,
    Pass,
    Refuse(&'o Refusal),
    /// The decision needs keys that are being fetched.
    Wait,
}

/// Asks the checks in force; `None` if there are none. With `satisfy all` both must pass, and the token
/// is asked first; with `satisfy any` one of the two is enough.
pub(crate) fn ask(
    request: Request<'_>,
    location: &LocationConf,
    main: &MainConf,
) -> Option<Result<Opinions, NoVerdict>> {
    let (jwt, link) = (location.jwt.check(), location.link.check());
    if jwt.is_none() && link.is_none() {
        return None;
    }
    let Some(context) = request.context::<Context>() else { return Some(Err(NoVerdict::Value)) };
    let case = context.case(request);
    let token_case = context.token_case(request, main);
    let any = request.satisfies_any();
    let ask = || {
        case.is_sound()?;
        case.begin_access();
        let token = jwt.map_or(Ok(Opinion::Abstains), |check| token_case.decide(check))?;
        let link = match link {
            _ if token_decides(any, &token) => None,
            None => Some(Opinion::Abstains),
            Some(check) => Some(context.link_case(request).decide(check)?),
        };
        Ok(Opinions { token, link })
    };
    let mut asked = ask();
    let waits = asked.as_ref().is_ok_and(|said| matches!(said.decide(any), Decision::Wait));
    if token_case.settle(waits).is_none() {
        asked = Err(NoVerdict::Value);
    }
    Some(asked)
}

/// Whether the decision is the same, whatever the link check says.
fn token_decides(any: bool, token: &Opinion) -> bool {
    match token {
        Opinion::Passes => any,
        Opinion::Refuses(_) | Opinion::Waits => !any,
        Opinion::Abstains | Opinion::LetsThrough(_) => false,
    }
}

impl Opinions {
    /// The decision that follows from the opinions. `any`: one check that passes is enough.
    pub(crate) fn decide(&self, any: bool) -> Decision<'_> {
        combine(any, &self.token, self.link.as_ref().unwrap_or(&Opinion::Abstains))
    }
}

/// The decision as a function of the opinions alone.
fn combine<'o>(any: bool, token: &'o Opinion, link: &'o Opinion) -> Decision<'o> {
    use Opinion::{Abstains, LetsThrough, Passes, Refuses, Waits};
    match (token, link) {
        // One pass is enough, or the other check has no say.
        (Passes, _) | (_, Passes) if any => Decision::Pass,
        (Passes, Passes | Abstains | LetsThrough(_)) | (Abstains | LetsThrough(_), Passes) => {
            Decision::Pass
        }
        // With `satisfy all` the token comes first.
        (Refuses(token), _) if !any => Decision::Refuse(token),
        (Waits, _) | (_, Waits) => Decision::Wait,
        // An expired link was valid once: that tells the client more than a missing token.
        (Refuses(_), Refuses(link)) if link.status == Status::GONE => Decision::Refuse(link),
        (Refuses(refusal), _) | (_, Refuses(refusal)) => Decision::Refuse(refusal),
        (Abstains | LetsThrough(_), Abstains | LetsThrough(_)) => Decision::Decline,
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, combine, token_decides};
    use crate::check::{Opinion, Refusal, Status};

    fn refuses(status: Status) -> Opinion {
        Opinion::Refuses(Refusal { what: "", why: Box::new(""), status, challenge: None })
    }

    /// An opinion by its letter: `-` abstains, `p` passes, `w` waits, `l` lets through; a refusal by
    /// its status.
    fn opinion(said: &str) -> Opinion {
        match said {
            "-" => Opinion::Abstains,
            "p" => Opinion::Passes,
            "w" => Opinion::Waits,
            "l" => match refuses(Status::UNAUTHORIZED) {
                Opinion::Refuses(refusal) => Opinion::LetsThrough(refusal),
                other => other,
            },
            status => refuses(Status(status.parse().unwrap_or_default())),
        }
    }

    fn told(decision: &Decision<'_>) -> String {
        match decision {
            Decision::Decline => "-".to_owned(),
            Decision::Pass => "p".to_owned(),
            Decision::Wait => "w".to_owned(),
            Decision::Refuse(refusal) => refusal.status.0.to_string(),
        }
    }

    const TOKEN: [&str; 7] = ["-", "p", "w", "l", "401", "403", "503"];
    const LINK: [&str; 5] = ["-", "p", "w", "403", "410"];

    // A line for each of TOKEN, a column for each of LINK.
    const ALL: [[&str; 5]; 7] = [
        ["-", "p", "w", "403", "410"],
        ["p", "p", "w", "403", "410"],
        ["w", "w", "w", "w", "w"],
        ["-", "p", "w", "403", "410"],
        ["401", "401", "401", "401", "401"],
        ["403", "403", "403", "403", "403"],
        ["503", "503", "503", "503", "503"],
    ];
    const ANY: [[&str; 5]; 7] = [
        ["-", "p", "w", "403", "410"],
        ["p", "p", "p", "p", "p"],
        ["w", "p", "w", "w", "w"],
        ["-", "p", "w", "403", "410"],
        ["401", "p", "w", "401", "410"],
        ["403", "p", "w", "403", "410"],
        ["503", "p", "w", "503", "410"],
    ];

    #[test]
    fn every_pair_of_opinions_is_decided_as_the_table_says() {
        for (any, table) in [(false, ALL), (true, ANY)] {
            for (token, line) in TOKEN.into_iter().zip(table) {
                for (link, decided) in LINK.into_iter().zip(line) {
                    let (said, other) = (opinion(token), opinion(link));
                    let found = told(&combine(any, &said, &other));
                    assert_eq!(found, decided, "any: {any}, token: {token}, link: {link}");
                }
            }
        }
    }

    #[test]
    fn the_link_is_not_asked_only_where_it_cannot_matter() {
        for any in [false, true] {
            for token in TOKEN {
                let said = opinion(token);
                let decisions = LINK.map(|link| told(&combine(any, &said, &opinion(link))));
                let same = decisions.iter().all(|one| *one == decisions[0]);
                assert_eq!(token_decides(any, &said), same, "any: {any}, token: {token}");
            }
        }
    }
}
