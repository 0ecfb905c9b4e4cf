//! The report in Prometheus's text format (version 0.0.4).

use std::fmt::{Display, Write as _};

use super::report::{CheckReport, Report, SourceReport};

/// The media type.
pub(super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The report as text.
pub(super) fn write(report: &Report) -> String {
    let mut text = Text::default();
    let build = [("version", report.version), ("nginx", report.nginx)];
    text.family("build_info", "gauge", "The versions of the module and of nginx.");
    text.sample("build_info", &build, &[], 1);
    let help = "When the counters began: with nginx, not with a reload.";
    text.one("start_time_seconds", "gauge", help, report.started);
    let help = "When the configuration in force was loaded.";
    text.one("config_load_time_seconds", "gauge", help, report.loaded);
    let help = "How often the configuration was loaded again.";
    text.one("config_reloads_total", "counter", help, report.reloads);
    let help = "Workers that are alive and have judged a request.";
    text.one("workers", "gauge", help, report.workers);
    checks(&mut text, &report.checks);
    trials(&mut text, report);
    caches(&mut text, report);
    sources(&mut text, &report.sources);
    text.0
}

fn checks(text: &mut Text, checks: &[CheckReport]) {
    let help = "Requests that a check has judged, by what became of them for its sake: passed, absent \
                (optional, and no credential), refused, let_through (permissive, or satisfy any), failed \
                (no verdict, 500).";
    text.family("requests_total", "counter", help);
    for check in checks {
        let total = &check.total;
        for (outcome, count) in [
            ("passed", total.passed),
            ("absent", total.absent),
            ("refused", total.refusals()),
            ("let_through", total.lenient()),
            ("failed", total.failed),
        ] {
            text.sample("requests_total", &labels(check), &[("outcome", outcome)], count);
        }
    }
    let help = "Refusals by their reason; enforced=\"no\" for those that were let through. A reason that \
                has not occurred is left out, except no_keys.";
    text.family("refusals_total", "counter", help);
    for check in checks {
        let total = &check.total;
        for (by_reason, enforced) in [(&total.refused, "yes"), (&total.let_through, "no")] {
            for (reason, count) in by_reason {
                let more = [("reason", *reason), ("enforced", enforced)];
                text.sample("refusals_total", &labels(check), &more, count);
            }
        }
        // Its first one is an outage already, and a rate begins with the second sample of a series.
        if check.check == "jwt" && !total.refused.contains_key("no_keys") {
            let more = [("reason", "no_keys"), ("enforced", "yes")];
            text.sample("refusals_total", &labels(check), &more, 0);
        }
    }
    let help = "Requests that have passed, but that a rule with error=none would have refused.";
    text.family("tried_refusals_total", "counter", help);
    for check in checks.iter().filter(|check| check.check == "jwt") {
        text.sample("tried_refusals_total", &labels(check), &[], check.total.tried);
    }
}

fn labels(check: &CheckReport) -> [(&'static str, &str); 3] {
    [("server", &check.server), ("location", &check.location), ("check", check.check)]
}

fn trials(text: &mut Text, report: &Report) {
    let help = "Results of the rules with error=none, for requests that have passed all others.";
    text.family("rule_trials_total", "counter", help);
    for trial in &report.trials {
        for (result, count) in [("holds", trial.holds), ("would_refuse", trial.would_refuse)] {
            let labels = [("rule", &*trial.rule), ("result", result)];
            text.sample("rule_trials_total", &labels, &[], count);
        }
    }
}

fn caches(text: &mut Text, report: &Report) {
    let cache = &report.cache;
    let help = "Tokens whose signature need not be verified, since the worker's cache knew them.";
    text.one("cache_hits_total", "counter", help, cache.hits);
    let help = "Tokens that the worker's cache did not know, or that other keys had verified.";
    text.one("cache_misses_total", "counter", help, cache.misses);
    let help = "Signatures that need not be verified, since another worker had done it, or this one before.";
    text.one("cache_shared_hits_total", "counter", help, cache.shared_hits);
    let help = "Tokens that have made room for others in a worker's cache.";
    text.one("cache_evictions_total", "counter", help, cache.evictions);
    let help = "Tokens in the caches of all workers.";
    text.one("cache_entries", "gauge", help, cache.entries);
    let help = "Memory that the caches of all workers use.";
    text.one("cache_bytes", "gauge", help, cache.bytes);
    let help = "Signatures that were verified, wrong ones included.";
    text.family("signatures_verified_total", "counter", help);
    for (algorithm, count) in &report.signatures {
        text.sample("signatures_verified_total", &[("algorithm", algorithm)], &[], count);
    }
    let help = "Tokens that were signed: members of answers (jwt_sign) and variables (jwt_mint).";
    text.family("tokens_signed_total", "counter", help);
    for (algorithm, count) in &report.signed {
        text.sample("tokens_signed_total", &[("algorithm", algorithm)], &[], count);
    }
    let help = "Tokens that were let through although a list was not there (missing=pass).";
    text.one("tokens_unchecked_total", "counter", help, report.unchecked);
}

/// A family of which each source may have a sample: name, kind, help, value.
type OfSource = (&'static str, &'static str, &'static str, fn(&SourceReport) -> Option<i64>);

const SOURCES: [OfSource; 7] = [
    (
        "source_up",
        "gauge",
        "1 if the last attempt to read the source has succeeded; keys are fetched only when requests need them.",
        |source| Some(i64::from(matches!(source.state, "ok" | "expired"))),
    ),
    (
        "source_entries",
        "gauge",
        "Keys or values that are in force; left out if that depends on requests.",
        |source| i64::try_from(source.entries?).ok(),
    ),
    (
        "source_last_success_timestamp_seconds",
        "gauge",
        "When the source was last good; left out if it never was.",
        |source| source.last_good,
    ),
    (
        "source_last_failure_timestamp_seconds",
        "gauge",
        "When the source last failed; left out if it never has.",
        |source| source.last_failure,
    ),
    ("source_failures_total", "counter", "Failed attempts to read the source.", |source| {
        i64::try_from(source.failures).ok()
    }),
    (
        "source_expiry_timestamp_seconds",
        "gauge",
        "When fetched keys will no longer be used, or since when they are not, if no refresh succeeds.",
        |source| source.expires,
    ),
    (
        "source_refresh_timestamp_seconds",
        "gauge",
        "When the next use reads the source again.",
        |source| source.next_refresh,
    ),
];

fn sources(text: &mut Text, sources: &[SourceReport]) {
    for (name, kind, help, value) in SOURCES {
        text.family(name, kind, help);
        for source in sources {
            let Some(value) = value(source) else { continue };
            let labels = [
                ("kind", source.kind),
                ("source", &source.name),
                ("server", &source.server),
                ("directive", &source.directive),
                ("position", &source.position),
            ];
            text.sample(name, &labels, &[], value);
        }
    }
}

/// The text that is written. All names begin with `ngx_token_auth_`.
#[derive(Default)]
struct Text(String);

/// Names and values of labels.
type Labels<'l> = &'l [(&'static str, &'l str)];

// Writing to a string cannot fail.
impl Text {
    /// The lines that begin a family of samples. `help` must be one line without backslashes.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP ngx_token_auth_{name} {help}");
        let _ = writeln!(self.0, "# TYPE ngx_token_auth_{name} {kind}");
    }

    /// A family of one sample without labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], &[], value);
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, more: Labels<'_>, value: impl Display) {
        let _ = write!(self.0, "ngx_token_auth_{name}");
        let mut before = '{';
        for (name, value) in labels.iter().chain(more) {
            let _ = write!(self.0, "{before}{name}=\"");
            self.label(value);
            self.0.push('"');
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    /// A label's value: any text, with `\`, `"` and line feed escaped.
    fn label(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                char => self.0.push(char),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Text;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.sample("x", &[("a", "b\\c\"d\ne\r"), ("f", "")], &[], 1);
        text.sample("y", &[], &[], 2);
        let expected = "ngx_token_auth_x{a=\"b\\\\c\\\"d\\ne\r\",f=\"\"} 1\nngx_token_auth_y 2\n";
        assert_eq!(text.0, expected);
    }
}
