//! RUT and telephone numbers as Chileans write them: one number has many spellings, in what is asked and in what is stored.
//!
//! Each becomes a pattern with `%` where a separator may stand, so that the database finds every spelling.

use crate::tenant::normal_rut;

/// The fewest digits that are taken for a telephone number, and the most (ITU-T E.164 §6).
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A pattern for how a RUT is stored, if this is one: `76.086.428-5`, `76086428-5`, `760864285`, `CL 76086428-5`, or without its
/// check digit. With one, nothing may follow it in what is stored: what stands before cannot make another RUT of the same digits.
pub(super) fn rut_pattern(text: &str) -> Option<String> {
    let text = text.trim();
    let text = match text.get(..2) {
        Some(country) if country.eq_ignore_ascii_case("CL") => &text[2..],
        _ => text,
    };
    let text = text.trim_start_matches(['0', ' ']);
    if let Ok(normal) = normal_rut(text) {
        let (number, check) = normal.split_once('-')?;
        return Some(format!("%{}%{check}", grouped(number)));
    }
    let separated = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b' '));
    let number = digits(text);
    (separated && (7..=8).contains(&number.len())).then(|| format!("%{}%", grouped(&number)))
}

/// A pattern for how a telephone number is stored, if this is one: `+56 9 8123 4567`, `56981234567`, `09 8123 4567`, `981234567`.
/// Without Chile's country code and the trunk's nought, which may be stored or not; another country's code stays.
pub(super) fn phone_pattern(text: &str) -> Option<String> {
    let text = text.trim();
    let dialled = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b' ' | b'-' | b'.' | b'(' | b')' | b'/'));
    let all = digits(text);
    if !dialled || !PHONE_DIGITS.contains(&all.len()) {
        return None;
    }
    // In Chile a number has nine digits; abroad is said by + or 00.
    let international = if text.starts_with('+') {
        Some(all.as_str())
    } else {
        all.strip_prefix("00")
    };
    let national = match international {
        Some(number) => number.strip_prefix("56").filter(|rest| rest.len() >= 8).unwrap_or(number),
        None if all.len() == 11 => all.strip_prefix("56").unwrap_or(&all),
        None if all.len() == 10 => all.strip_prefix('0').unwrap_or(&all),
        None => &all,
    };
    let mut pattern = String::from("%");
    for digit in national.chars() {
        pattern.push(digit);
        pattern.push('%');
    }
    Some(pattern)
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

/// Digits in threes from the right, where a dot may stand: `76%086%428`.
fn grouped(number: &str) -> String {
    let mut pattern = String::with_capacity(number.len() + 2);
    for (index, digit) in number.chars().enumerate() {
        if index > 0 && (number.len() - index).is_multiple_of(3) {
            pattern.push('%');
        }
        pattern.push(digit);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PostgreSQL's ILIKE, as far as `%` goes.
    fn matches(pattern: &str, text: &str) -> bool {
        let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
        let mut parts = pattern.split('%');
        let first = parts.next().unwrap();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let parts: Vec<_> = parts.collect();
        for (index, part) in parts.iter().enumerate() {
            if index == parts.len() - 1 {
                return rest.ends_with(part);
            }
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.is_empty()
    }

    #[test]
    fn a_rut_is_found_in_every_spelling() {
        let spellings = [
            "76.086.428-5",
            "76086428-5",
            "760864285",
            "CL760864285",
            "CL76.086.428-5",
            "76 086 428-5",
        ];
        for asked in spellings {
            let pattern = rut_pattern(asked).unwrap();
            for stored in spellings {
                assert!(matches(&pattern, stored), "{asked} does not find {stored} by {pattern}");
            }
            for other in ["76.086.429-3", "77.123.456-9", "", "760864285-1"] {
                assert!(!matches(&pattern, other), "{asked} finds {other}");
            }
        }
        assert!(
            matches(&rut_pattern("76086428").unwrap(), "76.086.428-5"),
            "without its check digit"
        );
        assert!(matches(&rut_pattern("10.000.013-k").unwrap(), "10000013-K"));
        assert!(matches(&rut_pattern("09.876.543-3").unwrap(), "9.876.543-3"));
        assert!(matches(&rut_pattern("9876543-3").unwrap(), "09.876.543-3"));
    }

    #[test]
    fn a_shorter_rut_is_not_found_in_a_longer_one_with_a_right_check_digit() {
        let pattern = rut_pattern("9.876.543-3").unwrap();
        for first in 1..=9 {
            for check in "0123456789K".chars() {
                let longer = format!("{first}9.876.543-{check}");
                if normal_rut(&longer).is_ok() {
                    assert!(!matches(&pattern, &longer), "{longer}");
                }
            }
        }
    }

    #[test]
    fn what_is_no_rut_has_no_pattern() {
        for text in ["Rosa", "76.086.428-4", "12", "", "CL", "ñandú", "rosa@example.cl", "123456789012"] {
            assert_eq!(rut_pattern(text), None, "{text}");
        }
    }

    #[test]
    fn a_telephone_number_is_found_in_every_spelling() {
        let spellings = [
            "+56 9 8123 4567",
            "+56981234567",
            "0056 9 8123 4567",
            "56981234567",
            "981234567",
            "9 8123 4567",
            "(09) 8123-4567",
            "9-8123-4567",
        ];
        for asked in spellings {
            let pattern = phone_pattern(asked).unwrap();
            for stored in spellings {
                assert!(matches(&pattern, stored), "{asked} does not find {stored} by {pattern}");
            }
            assert!(!matches(&pattern, "+56 9 7654 3210"), "{asked}");
        }
        assert!(matches(&phone_pattern("632213300").unwrap(), "+56 63 221 3300"));
        assert!(matches(&phone_pattern("2213300").unwrap(), "+56 63 221 3300"), "without the area");
        assert!(matches(&phone_pattern("8123 4567").unwrap(), "+56 9 8123 4567"), "as before 2013");
        assert!(matches(&phone_pattern("+54 294 442 1188").unwrap(), "+542944421188"));
    }

    #[test]
    fn what_is_no_telephone_number_has_no_pattern() {
        for text in ["Rosa", "123456", "+56", "", "1234567890123456", "98123456a", "76.086.428-K"] {
            assert_eq!(phone_pattern(text), None, "{text}");
        }
    }
}
