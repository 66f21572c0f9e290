//! When a workflow runs by itself, out of a description in Spanish or English: "daily at 2am", "cada 15 minutos", "el primero de cada mes".
//!
//! The result is text of cron with five fields, in the time zone of the workflow. What a cron cannot say (every 90 minutes, the last day
//! of the month) is no schedule here: the caller is told, instead of getting another one.

use crate::backends::generate::words::Words;

/// When it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schedule {
    /// One text of cron for each time of day.
    pub(super) crons: Vec<String>,
    /// What was not said and is assumed, in words.
    pub(super) assumed: Option<&'static str>,
}

/// What a description says of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Schedule(Schedule),
    /// It speaks of one that is none of those understood here.
    NotUnderstood,
    None,
}

const WEEKDAYS: [(&str, u8); 23] = [
    ("sunday", 0),
    ("sundays", 0),
    ("domingo", 0),
    ("domingos", 0),
    ("monday", 1),
    ("mondays", 1),
    ("lunes", 1),
    ("tuesday", 2),
    ("tuesdays", 2),
    ("martes", 2),
    ("wednesday", 3),
    ("wednesdays", 3),
    ("miercoles", 3),
    ("thursday", 4),
    ("thursdays", 4),
    ("jueves", 4),
    ("friday", 5),
    ("fridays", 5),
    ("viernes", 5),
    ("saturday", 6),
    ("saturdays", 6),
    ("sabado", 6),
    ("sabados", 6),
];

pub(super) fn find(words: &Words) -> Found {
    if let Some(cron) = written(words) {
        return one(cron, None);
    }
    if let Some(found) = interval(words) {
        return found;
    }
    let times = times(words);
    let (days, assumed_day) = match days(words) {
        Days::Fields(fields) => (fields, None),
        Days::NotUnderstood => return Found::NotUnderstood,
        // A time of day alone is one of each day.
        Days::None if times.iter().any(|time| time.sure) => ("* * *".to_owned(), Some("every day")),
        Days::None => return Found::None,
    };
    let (times, assumed_time) = if times.is_empty() {
        let (hour, words) = part_of_day(words);
        (vec![(hour, 0)], words)
    } else {
        (times.iter().map(|time| (time.hour, time.minute)).collect(), None)
    };
    Found::Schedule(Schedule {
        crons: crons(&times, &days),
        assumed: assumed_day.or(assumed_time),
    })
}

fn one(cron: String, assumed: Option<&'static str>) -> Found {
    Found::Schedule(Schedule {
        crons: vec![cron],
        assumed,
    })
}

/// Times that share their minutes are one text.
fn crons(times: &[(u8, u8)], days: &str) -> Vec<String> {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.dedup();
    let mut crons: Vec<(u8, Vec<String>)> = Vec::new();
    for (hour, minute) in times {
        match crons.iter_mut().find(|(known, _)| *known == minute) {
            Some((_, hours)) => hours.push(hour.to_string()),
            None => crons.push((minute, vec![hour.to_string()])),
        }
    }
    crons
        .into_iter()
        .map(|(minute, hours)| format!("{minute} {} {days}", hours.join(",")))
        .collect()
}

/// A cron that stands in the description as such.
fn written(words: &Words) -> Option<String> {
    (0..words.len()).find_map(|place| {
        let fields: Vec<_> = (place..place + 5).map(|place| words.get(place)).collect();
        let text = fields.join(" ");
        (text.contains('*') && is_cron(&text)).then_some(text)
    })
}

/// Whether n8n takes this as a cron of five fields: it starts what it cannot read without saying so.
pub(super) fn is_cron(text: &str) -> bool {
    const RANGES: [(u8, u8); 5] = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)];
    let fields: Vec<_> = text.split_whitespace().collect();
    // A first field of seconds may stand before them.
    let fields = match fields.as_slice() {
        [seconds, rest @ ..] if rest.len() == 5 && is_field(seconds, (0, 59)) => rest,
        fields => fields,
    };
    fields.len() == 5 && fields.iter().zip(RANGES).all(|(field, range)| is_field(field, range))
}

fn is_field(field: &str, (low, high): (u8, u8)) -> bool {
    let number = |text: &str| text.parse::<u8>().ok().filter(|number| (low..=high).contains(number));
    field.split(',').all(|part| {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (part, None),
        };
        let stepped = step.is_none_or(|step| step.parse::<u8>().is_ok_and(|step| step > 0 && step <= high));
        stepped
            && (range == "*"
                || match range.split_once('-') {
                    Some((from, to)) => matches!((number(from), number(to)), (Some(from), Some(to)) if from <= to),
                    None => number(range).is_some(),
                })
    })
}

/// "every 15 minutes", "cada 2 horas", "hourly".
fn interval(words: &Words) -> Option<Found> {
    if words.has(&["cada media hora", "every half hour", "every half an hour"]) {
        return Some(one("*/30 * * * *".to_owned(), None));
    }
    for place in 0..words.len() {
        if !matches!(words.get(place), "every" | "each" | "cada") {
            continue;
        }
        let (count, unit) = match number(words.get(place + 1)) {
            Some(count) => (count, words.get(place + 2)),
            None => (1, words.get(place + 1)),
        };
        let found = match unit.trim_end_matches('s') {
            "minute" | "minuto" | "min" => match count {
                1 => Some("* * * * *".to_owned()),
                2..=59 => Some(format!("*/{count} * * * *")),
                _ if count % 60 == 0 && count / 60 < 24 => Some(format!("0 */{} * * *", count / 60)),
                _ => None,
            },
            "hour" | "hora" | "hr" | "h" => match count {
                1 => Some("0 * * * *".to_owned()),
                2..=23 => Some(format!("0 */{count} * * *")),
                _ => None,
            },
            "week" | "semana" | "year" | "ano" if count > 1 => None,
            "second" | "segundo" => None,
            _ => continue,
        };
        return Some(found.map_or(Found::NotUnderstood, |cron| one(cron, None)));
    }
    words.has(&["hourly"]).then(|| one("0 * * * *".to_owned(), None))
}

enum Days {
    /// Day of the month, month, day of the week.
    Fields(String),
    NotUnderstood,
    None,
}

fn days(words: &Words) -> Days {
    let fields = |text: String| Days::Fields(text);
    if words.has(&[
        "ultimo dia",
        "last day",
        "end of month",
        "end of the month",
        "fin de mes",
        "fin de cada mes",
    ]) {
        return Days::NotUnderstood;
    }
    if words.has(&[
        "weekdays",
        "every weekday",
        "business days",
        "working days",
        "dias habiles",
        "dias laborales",
        "dias de semana",
        "lunes a viernes",
        "monday to friday",
        "monday through friday",
        "monday-friday",
    ]) {
        return fields("* * 1-5".to_owned());
    }
    if words.has(&["weekends", "every weekend", "fines de semana", "fin de semana"]) {
        return fields("* * 0,6".to_owned());
    }
    if let Some(days) = weekdays(words) {
        return fields(format!("* * {days}"));
    }
    if let Some(day) = day_of_month(words) {
        return fields(format!("{day} * *"));
    }
    for place in 0..words.len() {
        // "every 3 days"
        if matches!(words.get(place), "every" | "cada")
            && let Some(count) = number(words.get(place + 1))
            && let Some(unit) = Some(words.get(place + 2)).filter(|unit| matches!(*unit, "days" | "dias" | "months" | "meses"))
        {
            return match (unit, count) {
                ("days" | "dias", 1..=31) => fields(format!("*/{count} * *")),
                ("months" | "meses", 1..=12) => fields(format!("1 */{count} *")),
                _ => Days::NotUnderstood,
            };
        }
    }
    if words.has(&["every month", "each month", "monthly", "mensual*", "cada mes", "todos los meses"]) {
        return fields("1 * *".to_owned());
    }
    if words.has(&["every year", "yearly", "annually", "anual*", "cada ano", "todos los anos"]) {
        return fields("1 1 *".to_owned());
    }
    if words.has(&["every week", "weekly", "semanal*", "cada semana", "todas las semanas"]) {
        return fields("* * 1".to_owned());
    }
    if words.has(&[
        "daily",
        "every day",
        "each day",
        "everyday",
        "diario",
        "diaria",
        "diariamente",
        "todos los dias",
        "cada dia",
        "a diario",
        "nightly",
        "every night",
        "each night",
        "cada noche",
        "todas las noches",
        "every morning",
        "each morning",
        "cada manana",
        "todas las mananas",
        "every evening",
        "every afternoon",
        "cada tarde",
        "todas las tardes",
    ]) {
        return fields("* * *".to_owned());
    }
    Days::None
}

/// Days of the week that are said to come again: "every Monday", "los lunes y jueves", "Mondays".
fn weekdays(words: &Words) -> Option<String> {
    let day = |word: &str| WEEKDAYS.iter().find(|(name, _)| *name == word).map(|(_, day)| *day);
    let mut found = Vec::new();
    let mut again = false;
    for place in 0..words.len() {
        let Some(number) = day(words.get(place)) else { continue };
        let before = if place == 0 { "" } else { words.get(place - 1) };
        again |= matches!(before, "every" | "each" | "cada" | "los" | "on" | "todos") || words.get(place).ends_with("days");
        found.push(number);
    }
    if !again || found.is_empty() {
        return None;
    }
    // "martes a jueves"
    if let [from, to] = found[..]
        && from < to
        && (0..words.len()).any(|place| {
            day(words.get(place)) == Some(from)
                && matches!(words.get(place + 1), "to" | "through" | "until" | "a" | "al" | "hasta")
                && day(words.get(place + 2)) == Some(to)
        })
    {
        return Some(format!("{from}-{to}"));
    }
    found.sort_unstable();
    found.dedup();
    let days: Vec<_> = found.iter().map(u8::to_string).collect();
    Some(days.join(","))
}

/// "the 15th of each month", "el primero de cada mes", "el dia 5 de cada mes".
fn day_of_month(words: &Words) -> Option<u8> {
    let month = words.find(&["cada mes", "each month", "every month", "the month", "todos los meses", "del mes"])?;
    if words.has(&["primer dia", "primero de*", "first day", "first of", "1ro de*"]) {
        return Some(1);
    }
    let near = (month.saturating_sub(5)..month).rev();
    near.map(|place| words.get(place)).find_map(|word| {
        let digits = ["st", "nd", "rd", "th"]
            .iter()
            .find_map(|end| word.strip_suffix(end))
            .unwrap_or(word);
        digits.parse::<u8>().ok().filter(|day| (1..=28).contains(day))
    })
}

/// A time of day; `sure` where it cannot be anything else.
struct Time {
    hour: u8,
    minute: u8,
    sure: bool,
}

/// How many times of day are taken.
const TIMES_MAX: usize = 6;

fn times(words: &Words) -> Vec<Time> {
    let mut times = Vec::new();
    for place in 0..words.len() {
        let word = words.get(place);
        let before = if place == 0 { "" } else { words.get(place - 1) };
        let time = match word {
            "noon" | "mediodia" => Some(Time {
                hour: 12,
                minute: 0,
                sure: true,
            }),
            "midnight" | "medianoche" => Some(Time {
                hour: 0,
                minute: 0,
                sure: true,
            }),
            _ => time(words, place, before, times.last().is_some()),
        };
        if let Some(time) = time {
            times.push(time);
        }
        if times.len() == TIMES_MAX {
            break;
        }
    }
    times
}

fn time(words: &Words, place: usize, before: &str, after_another: bool) -> Option<Time> {
    let word = words.get(place);
    let digits = word.len()
        - word
            .trim_start_matches(|letter: char| letter.is_ascii_digit() || matches!(letter, ':' | '.'))
            .len();
    let (clock, end) = word.split_at(digits);
    let (hour, minute) = match clock.split_once([':', '.']) {
        Some((hour, minute)) if minute.len() == 2 => (hour.parse().ok()?, minute.parse().ok()?),
        Some(_) => return None,
        None => (clock.parse::<u8>().ok()?, 0u8),
    };
    if hour > 24 || minute > 59 {
        return None;
    }
    // What says which half of the day it is may stand beside it, or two words later: "a las 2 de la tarde".
    let next = words.get(place + 1);
    let half = match (end, next) {
        ("am" | "a.m" | "a", _) | ("", "am" | "a.m") => Some(false),
        ("pm" | "p.m" | "p", _) | ("", "pm" | "p.m") => Some(true),
        ("", _)
            if words.is_at(place + 1, "de la manana")
                || words.is_at(place + 1, "de la madrugada")
                || words.is_at(place + 1, "in the morning") =>
        {
            Some(false)
        }
        ("", _)
            if words.is_at(place + 1, "de la tarde")
                || words.is_at(place + 1, "de la noche")
                || words.is_at(place + 1, "in the afternoon")
                || words.is_at(place + 1, "in the evening") =>
        {
            Some(true)
        }
        _ => None,
    };
    let of_the_clock = matches!(end, "h" | "hs" | "hrs") || (end.is_empty() && matches!(next, "hrs" | "hs" | "h" | "horas" | "o'clock"));
    if !end.is_empty() && half.is_none() && !of_the_clock {
        return None;
    }
    let introduced = matches!(before, "at" | "las" | "la") || (after_another && matches!(before, "and" | "y" | "e"));
    let sure = half.is_some() || of_the_clock || (introduced && (clock.contains(':') || matches!(before, "las" | "la")));
    if !sure && !introduced {
        return None;
    }
    let hour = match (half, hour) {
        (Some(_), 13..) => hour,
        (Some(true), 12) => 12,
        (Some(true), hour) => hour + 12,
        (Some(false), 12) | (_, 24) => 0,
        (_, hour) => hour,
    };
    (hour < 24).then_some(Time { hour, minute, sure })
}

fn part_of_day(words: &Words) -> (u8, Option<&'static str>) {
    if words.has(&[
        "nightly",
        "every night",
        "each night",
        "cada noche",
        "todas las noches",
        "por la noche",
        "at night",
    ]) {
        (2, Some("at 02:00"))
    } else if words.has(&[
        "every evening",
        "every afternoon",
        "cada tarde",
        "todas las tardes",
        "por la tarde",
        "in the evening",
    ]) {
        (18, Some("at 18:00"))
    } else {
        (8, Some("at 08:00"))
    }
}

fn number(word: &str) -> Option<u32> {
    let named = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let llamados = ["un", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve", "diez"];
    let place = named
        .iter()
        .position(|name| *name == word)
        .or_else(|| llamados.iter().position(|name| *name == word));
    match (place, word) {
        (Some(place), _) => u32::try_from(place + 1).ok(),
        (None, "twelve" | "doce") => Some(12),
        (None, "fifteen" | "quince") => Some(15),
        (None, "twenty" | "veinte") => Some(20),
        (None, "thirty" | "treinta") => Some(30),
        (None, "una") => Some(1),
        _ => word.parse().ok().filter(|number| *number > 0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Found, find, is_cron};
    use crate::backends::generate::words::Words;

    #[test]
    fn schedules_are_read_in_both_languages() {
        for (text, wanted) in [
            ("Backup smarteros database daily at 2am", "0 2 * * *"),
            ("todos los días a las 2", "0 2 * * *"),
            ("Respaldar la base todos los días a las 2 de la tarde", "0 14 * * *"),
            ("cada 15 minutos sincroniza", "*/15 * * * *"),
            ("every 5 minutes", "*/5 * * * *"),
            ("cada quince minutos", "*/15 * * * *"),
            ("every 2 hours", "0 */2 * * *"),
            ("cada hora", "0 * * * *"),
            ("cada media hora", "*/30 * * * *"),
            ("hourly", "0 * * * *"),
            ("every Monday at 9:30", "30 9 * * 1"),
            ("todos los lunes a las 9:30", "30 9 * * 1"),
            ("los lunes y jueves a las 18:00 hrs", "0 18 * * 1,4"),
            ("Mondays and Fridays at 5pm", "0 17 * * 1,5"),
            ("cada sábado a las 10", "0 10 * * 6"),
            ("de lunes a viernes a las 8", "0 8 * * 1-5"),
            ("every weekday at 7:15am", "15 7 * * 1-5"),
            ("el primero de cada mes", "0 8 1 * *"),
            ("el día 15 de cada mes a las 6 de la mañana", "0 6 15 * *"),
            ("on the 15th of each month at noon", "0 12 15 * *"),
            ("first day of every month at 3 am", "0 3 1 * *"),
            ("reporte mensual", "0 8 1 * *"),
            ("weekly report", "0 8 * * 1"),
            ("reporte semanal los viernes a las 17:00", "0 17 * * 5"),
            ("every day at 9am and 5pm", "0 9,17 * * *"),
            ("nightly backup", "0 2 * * *"),
            ("every 3 days at 4am", "0 4 */3 * *"),
            ("a medianoche todos los días", "0 0 * * *"),
            ("at 12am every day", "0 0 * * *"),
            ("run on 30 3 * * 1-5 please", "30 3 * * 1-5"),
            ("cron: */10 8-18 * * 1,3,5", "*/10 8-18 * * 1,3,5"),
            ("send the report at 5pm", "0 17 * * *"),
            ("los martes a jueves a las 7", "0 7 * * 2-4"),
        ] {
            match find(&Words::of(text)) {
                Found::Schedule(schedule) => assert_eq!(schedule.crons, [wanted], "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn times_of_other_minutes_are_crons_of_their_own() {
        match find(&Words::of("todos los días a las 9:30 y 17:00")) {
            Found::Schedule(schedule) => assert_eq!(schedule.crons, ["30 9 * * *", "0 17 * * *"]),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_schedule_is_none() {
        for text in [
            "when a Shopify order arrives, notify Slack",
            "cuando llegue un mensaje de WhatsApp, crear el contacto en Odoo",
            "Create 3 contacts",
            "Black Friday campaign",
            "report of the 15 best customers",
            "version 2.5 of the API",
            "",
        ] {
            assert_eq!(find(&Words::of(text)), Found::None, "{text}");
        }
    }

    #[test]
    fn what_a_cron_cannot_say_is_not_replaced_by_another() {
        for text in [
            "every 90 minutes",
            "cada 2 semanas",
            "the last day of the month",
            "el último día de cada mes",
            "every 30 seconds",
        ] {
            assert_eq!(find(&Words::of(text)), Found::NotUnderstood, "{text}");
        }
    }

    #[test]
    fn crons_are_checked() {
        for right in ["* * * * *", "0 2 * * *", "*/15 8-18 1,15 * 1-5", "0 0 2 * * *"] {
            assert!(is_cron(right), "{right}");
        }
        for wrong in [
            "",
            "daily",
            "60 * * * *",
            "* 24 * * *",
            "* * 0 * *",
            "* * * 13 *",
            "*/0 * * * *",
            "5-1 * * * *",
            "* * * *",
            "* * * * * * *",
        ] {
            assert!(!is_cron(wrong), "{wrong}");
        }
    }
}
