//! The decision: asks the checks in force, and combines their opinions.

use crate::check::{NoVerdict, Opinion, Status};
use crate::context::Judged;
use crate::location::{LocationConf, MainConf};
use crate::nginx::Request;

/// The opinions of the checks on a request, and the decision that follows.
pub(crate) struct Said {
    pub(crate) decision: Decision,
    pub(crate) token: Opinion,
    /// Abstains if the token decides alone.
    pub(crate) link: Opinion,
}

/// The decision on a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// No check has a say.
    Decline,
    Pass,
    /// The refusal of this check is the answer.
    Refuse(Who),
    /// The decision needs keys that are being fetched.
    Wait,
}

/// One of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Token,
    Link,
}

/// Asks the checks in force; `None` if there are none. With `satisfy all` both must pass, and the token
/// is asked first; with `satisfy any` one of the two is enough.
pub(crate) fn ask(
    request: Request<'_>,
    location: &LocationConf,
    main: &MainConf,
) -> Option<Result<Said, NoVerdict>> {
    let (jwt, link) = (location.jwt.check(), location.link.check());
    if jwt.is_none() && link.is_none() {
        return None;
    }
    let Some(judged) = Judged::begin(request) else { return Some(Err(NoVerdict::Value)) };
    let (case, token_case) = (judged.case(), judged.token_case(main));
    let any = request.satisfies_any();
    let ask = || {
        case.is_sound()?;
        case.begin_access();
        let token = jwt.map_or(Ok(Opinion::Abstains), |check| token_case.decide(check))?;
        let link = match link {
            Some(check) if !token_decides(any, &token) => judged.link_case().decide(check)?,
            _ => Opinion::Abstains,
        };
        Ok(Said { decision: combine(any, &token, &link), token, link })
    };
    let said = ask();
    match said.as_ref().map(|said| said.decision) {
        Ok(Decision::Pass) => judged.note_renewal(token_case, location),
        Ok(Decision::Refuse(_)) | Err(_) => judged.forget_renewal(),
        Ok(Decision::Decline | Decision::Wait) => {}
    }
    let waits = said.as_ref().is_ok_and(|said| said.decision == Decision::Wait);
    if token_case.settle(waits).is_none() {
        return Some(Err(NoVerdict::Value));
    }
    Some(said)
}

/// Whether the decision is the same, whatever the link check says.
fn token_decides(any: bool, token: &Opinion) -> bool {
    match token {
        Opinion::Passes(_) => any,
        Opinion::Refuses(_) | Opinion::Waits => !any,
        Opinion::Abstains | Opinion::Absent | Opinion::LetsThrough(_) => false,
    }
}

/// The decision as a function of the opinions alone. `any`: one check that passes is enough.
fn combine(any: bool, token: &Opinion, link: &Opinion) -> Decision {
    use Opinion::{Absent, Abstains, LetsThrough, Passes, Refuses, Waits};
    match (token, link) {
        // One pass is enough, or the other check has no say.
        (Passes(_), _) | (_, Passes(_)) if any => Decision::Pass,
        (Passes(_), Passes(_) | Abstains | Absent | LetsThrough(_))
        | (Abstains | Absent | LetsThrough(_), Passes(_)) => Decision::Pass,
        // With `satisfy all` the token comes first.
        (Refuses(_), _) if !any => Decision::Refuse(Who::Token),
        (Waits, _) | (_, Waits) => Decision::Wait,
        // An expired link was valid once: that tells the client more than a missing token.
        (Refuses(_), Refuses(link)) if link.status == Status::GONE => Decision::Refuse(Who::Link),
        (Refuses(_), _) => Decision::Refuse(Who::Token),
        (_, Refuses(_)) => Decision::Refuse(Who::Link),
        (Abstains | Absent | LetsThrough(_), Abstains | Absent | LetsThrough(_)) => {
            Decision::Decline
        }
    }
}

#[cfg(test)]
mod tests {
    use token::Reject;

    use super::{Decision, Who, combine, token_decides};
    use crate::check::{Opinion, Refusal, Status};

    fn refuses(status: Status) -> Opinion {
        let reason = Reject::Malformed;
        let refusal = Refusal { what: "", reason, why: Box::new(""), status, challenge: None };
        Opinion::Refuses(Box::new(refusal))
    }

    /// An opinion by its letter: `-` abstains, `a` finds nothing, `p` passes, `w` waits, `l` lets
    /// through; a refusal by its status.
    fn opinion(said: &str) -> Opinion {
        match said {
            "-" => Opinion::Abstains,
            "a" => Opinion::Absent,
            "p" => Opinion::Passes(Vec::new()),
            "w" => Opinion::Waits,
            "l" => match refuses(Status::UNAUTHORIZED) {
                Opinion::Refuses(refusal) => Opinion::LetsThrough(refusal),
                other => other,
            },
            status => refuses(Status(status.parse().unwrap_or_default())),
        }
    }

    /// The decision on two opinions, in the same letters.
    fn decided(any: bool, token: &str, link: &str) -> String {
        let said = match combine(any, &opinion(token), &opinion(link)) {
            Decision::Decline => "-",
            Decision::Pass => "p",
            Decision::Wait => "w",
            Decision::Refuse(Who::Token) => token,
            Decision::Refuse(Who::Link) => link,
        };
        said.to_owned()
    }

    const TOKEN: [&str; 8] = ["-", "a", "p", "w", "l", "401", "403", "503"];
    const LINK: [&str; 5] = ["-", "p", "w", "403", "410"];

    // A line for each of TOKEN, a column for each of LINK.
    const ALL: [[&str; 5]; 8] = [
        ["-", "p", "w", "403", "410"],
        ["-", "p", "w", "403", "410"],
        ["p", "p", "w", "403", "410"],
        ["w", "w", "w", "w", "w"],
        ["-", "p", "w", "403", "410"],
        ["401", "401", "401", "401", "401"],
        ["403", "403", "403", "403", "403"],
        ["503", "503", "503", "503", "503"],
    ];
    const ANY: [[&str; 5]; 8] = [
        ["-", "p", "w", "403", "410"],
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
                for (link, expected) in LINK.into_iter().zip(line) {
                    let found = decided(any, token, link);
                    assert_eq!(found, expected, "any: {any}, token: {token}, link: {link}");
                }
            }
        }
    }

    #[test]
    fn the_link_is_not_asked_only_where_it_cannot_matter() {
        for any in [false, true] {
            for token in TOKEN {
                let decisions = LINK.map(|link| decided(any, token, link));
                let same = decisions.iter().all(|one| *one == decisions[0]);
                let said = token_decides(any, &opinion(token));
                assert_eq!(said, same, "any: {any}, token: {token}");
            }
        }
    }
}
