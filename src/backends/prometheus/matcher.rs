//! Which series of a Prometheus are the tenant's: labels and the values that they must have.

use std::{collections::BTreeMap, fmt::Write as _};

use schemars::JsonSchema;
use serde::Deserialize;

use crate::error::{Error, Result};

/// Every query carries the matcher up to three times, in an address.
const LABELS_MAX: usize = 5;
const NAME_MAX: usize = 64;
const VALUE_MAX: usize = 128;

/// Labels and the values that they must have.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Matcher(BTreeMap<String, String>);

impl Matcher {
    /// # Errors
    /// Names the label that Prometheus would not take, or whose value would match what has no such label at all.
    pub(super) fn check(&self) -> Result<()> {
        if self.0.len() > LABELS_MAX {
            return Err(Error::invalid(format!("credential.matcher: takes at most {LABELS_MAX} labels")));
        }
        for (name, value) in &self.0 {
            if !is_label(name) {
                let quoted: String = name.chars().take(NAME_MAX).collect();
                return Err(Error::invalid(format!(
                    "credential.matcher: '{quoted}' is no label; letters, digits and _ make one, no digit first and not __, at most {NAME_MAX}"
                )));
            }
            if value.is_empty() || value.len() > VALUE_MAX || value.chars().any(char::is_control) {
                return Err(Error::invalid(format!(
                    "credential.matcher.{name}: must be 1 to {VALUE_MAX} bytes without control characters"
                )));
            }
        }
        Ok(())
    }

    /// A selector of a metric's series with these labels and our own conditions, e.g. `up{instance="vps1:9100"}`.
    pub(super) fn select(&self, metric: &str, conditions: &str) -> String {
        let mut selector = format!("{metric}{{{conditions}");
        for (name, value) in &self.0 {
            if !selector.ends_with('{') {
                selector.push(',');
            }
            let _ = write!(selector, "{name}=\"{}\"", value.replace('\\', r"\\").replace('"', "\\\""));
        }
        selector.push('}');
        selector
    }
}

/// A label's name as Prometheus has it (`[a-zA-Z_][a-zA-Z0-9_]*`); those that begin with `__` are its own.
fn is_label(name: &str) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !name.starts_with("__")
        && !name.starts_with(|letter: char| letter.is_ascii_digit())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(&str, &str)]) -> Matcher {
        Matcher(
            labels
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    #[test]
    fn a_selector_holds_our_conditions_and_the_matcher() {
        assert_eq!(of(&[]).select("up", ""), "up{}");
        assert_eq!(of(&[]).select("up", r#"job="node""#), r#"up{job="node"}"#);
        assert_eq!(of(&[("a", "1"), ("b", "2")]).select("up", ""), r#"up{a="1",b="2"}"#);
        assert_eq!(of(&[("a", "1")]).select("up", r#"job="node""#), r#"up{job="node",a="1"}"#);
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let hostile = of(&[("instance", r#"x"} or up{a="\"#)]);
        assert!(hostile.check().is_ok());
        assert_eq!(hostile.select("up", ""), r#"up{instance="x\"} or up{a=\"\\"}"#);
    }

    #[test]
    fn what_is_no_label_or_no_value_is_refused() {
        for (name, value) in [
            ("", "x"),
            ("9lives", "x"),
            ("a-b", "x"),
            ("a b", "x"),
            ("a=\"1\",b", "x"),
            ("__name__", "up"),
            ("ñ", "x"),
            ("instance", ""),
            ("instance", "a\nb"),
            ("instance", &"x".repeat(129)),
            (&"x".repeat(65), "x"),
        ] {
            assert!(of(&[(name, value)]).check().is_err(), "{name}={value}");
        }
        let many = [("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1"), ("f", "1")];
        assert!(of(&many).check().is_err() && of(&many[..5]).check().is_ok());
    }
}
