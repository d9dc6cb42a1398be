//! Recurrence rules: `RRULE` (RFC 5545 §3.3.10) and the `RecurrenceRule` of JSCalendar.

use serde_json::{Value, json};

const WORDS: [(&str, &str); 3] = [("FREQ", "frequency"), ("WKST", "firstDayOfWeek"), ("RSCALE", "rscale")];
const NUMBERS: [(&str, &str); 2] = [("COUNT", "count"), ("INTERVAL", "interval")];
const LISTS: [(&str, &str); 8] = [
    ("BYMONTHDAY", "byMonthDay"),
    ("BYYEARDAY", "byYearDay"),
    ("BYWEEKNO", "byWeekNo"),
    ("BYSETPOS", "bySetPosition"),
    ("BYHOUR", "byHour"),
    ("BYMINUTE", "byMinute"),
    ("BYSECOND", "bySecond"),
    ("BYMONTH", "byMonth"),
];

fn known<'a>(pairs: &'a [(&str, &'a str)], part: &str) -> Option<&'a str> {
    pairs.iter().find(|(name, _)| *name == part).map(|(_, name)| *name)
}

/// The rule of a line's value; parts that nobody knows are left out.
pub(crate) fn json(line: &str) -> Value {
    let mut rule = json!({});
    for (part, value) in line.split(';').filter_map(|part| part.split_once('=')) {
        if let Some(name) = known(&WORDS, part) {
            rule[name] = value.to_ascii_lowercase().into();
        } else if let Some(name) = known(&NUMBERS, part) {
            rule[name] = value.parse::<u64>().unwrap_or(1).into();
        } else if let Some(name) = known(&LISTS, part) {
            rule[name] = value.split(',').map(|one| list_element(name, one)).collect();
        } else if part == "UNTIL" {
            rule["until"] = until(value).into();
        } else if part == "BYDAY" {
            rule["byDay"] = value.split(',').map(day).collect();
        }
    }
    rule
}

/// Months are texts in JSCalendar, the others numbers.
fn list_element(name: &str, value: &str) -> Value {
    match value.parse::<i64>() {
        Ok(number) if name != "byMonth" => number.into(),
        _ => value.into(),
    }
}

fn until(value: &str) -> String {
    let part = |from: usize, to: usize| value.get(from..to).unwrap_or("00");
    let date = format!("{}-{}-{}", part(0, 4), part(4, 6), part(6, 8));
    format!("{date}T{}:{}:{}", part(9, 11), part(11, 13), part(13, 15))
}

/// `-1TU` as the last Tuesday.
fn day(value: &str) -> Value {
    let (place, day) = value.split_at(value.len().saturating_sub(2));
    match place.parse::<i64>() {
        Ok(place) => json!({ "day": day.to_ascii_lowercase(), "nthOfPeriod": place }),
        Err(_) => json!({ "day": day.to_ascii_lowercase() }),
    }
}

/// The value of the line for a rule; none without a frequency.
pub(crate) fn line(rule: &Value) -> Option<String> {
    rule["frequency"].as_str()?;
    let word =
        |(part, name): &(&str, &str)| Some(format!("{part}={}", rule[name].as_str()?.to_ascii_uppercase()));
    let number = |(part, name): &(&str, &str)| Some(format!("{part}={}", rule[name].as_u64()?));
    let list = |(part, name): &(&str, &str)| {
        let list: Vec<String> = rule[name].as_array()?.iter().map(plain).collect();
        Some(format!("{part}={}", list.join(",")))
    };
    let until = rule["until"].as_str().map(|until| format!("UNTIL={}", until.replace(['-', ':'], "")));
    let days = rule["byDay"].as_array().map(|days| {
        let day = |day: &Value| plain(&day["nthOfPeriod"]) + &plain(&day["day"]).to_ascii_uppercase();
        format!("BYDAY={}", days.iter().map(day).collect::<Vec<_>>().join(","))
    });
    let parts = WORDS.iter().filter_map(word).chain(until).chain(NUMBERS.iter().filter_map(number));
    Some(parts.chain(days).chain(LISTS.iter().filter_map(list)).collect::<Vec<_>>().join(";"))
}

/// A text or number without quotes; nothing for null.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_go_there_and_back() {
        for rule in [
            "FREQ=WEEKLY;COUNT=10",
            "FREQ=WEEKLY;COUNT=10;INTERVAL=2;BYDAY=MO,-1TU",
            "FREQ=YEARLY;UNTIL=20270101T000000;BYMONTHDAY=1,-1;BYMONTH=2,3",
        ] {
            assert_eq!(line(&json(rule)).as_deref(), Some(rule));
        }
        assert_eq!(json("FREQ=DAILY;UNTIL=20270101")["until"], "2027-01-01T00:00:00");
        assert_eq!(line(&Value::Null), None);
    }
}
