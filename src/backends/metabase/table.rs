//! A table as people and programs take it: JSON, CSV (RFC 4180) or Markdown, with an end to its rows, columns and texts.

use std::{borrow::Cow, collections::HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::client::Answer;

pub(super) const ROWS_MAX: usize = 500;
const COLUMNS_MAX: usize = 50;
/// The longest text in a cell, in characters.
const CELL_MAX: usize = 1000;
/// The longest table, in bytes of its cells.
const BYTES_MAX: usize = 512 * 1024;

/// How a table is to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Format {
    /// A list of objects, one for each row.
    #[default]
    Json,
    /// Text, comma-separated, with a line of names first.
    Csv,
    /// Text, a table in Markdown.
    Markdown,
}

/// A table in one of the formats.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Report {
    Rows(Vec<Map<String, Value>>),
    Text(String),
}

/// Columns and rows, cut to what is answered.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Value>>,
    /// Whether there was more: rows, columns or text.
    pub(super) truncated: bool,
}

impl Table {
    pub(super) fn of(answer: Answer) -> Self {
        let mut truncated = answer.columns.len() > COLUMNS_MAX || answer.rows.len() > ROWS_MAX;
        let labels = answer.columns.into_iter().take(COLUMNS_MAX).map(|column| column.label);
        let columns = distinct(labels.map(|label| cut(label, &mut truncated)).collect());
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in answer.rows.into_iter().take(ROWS_MAX) {
            let row: Vec<_> = row.into_iter().take(COLUMNS_MAX).map(|value| cell(value, &mut truncated)).collect();
            bytes += row.iter().map(weight).sum::<usize>();
            if bytes > BYTES_MAX {
                truncated = true;
                break;
            }
            rows.push(row);
        }
        Self { columns, rows, truncated }
    }

    pub(super) fn render(&self, format: Format) -> Report {
        match format {
            Format::Json => Report::Rows(
                self.rows
                    .iter()
                    .map(|row| self.columns.iter().cloned().zip(row.iter().cloned()).collect())
                    .collect(),
            ),
            Format::Csv => Report::Text(self.csv()),
            Format::Markdown => Report::Text(self.markdown()),
        }
    }

    /// RFC 4180: lines end in CRLF, and what holds a comma, a quote or a line break stands in quotes.
    fn csv(&self) -> String {
        let mut csv = String::new();
        let mut line = |cells: Vec<String>| {
            csv.push_str(&cells.join(","));
            csv.push_str("\r\n");
        };
        line(self.columns.iter().map(|name| quoted(&harmless(name))).collect());
        for row in &self.rows {
            let cells = row.iter().map(|value| match value {
                Value::String(text) => quoted(&harmless(text)),
                other => quoted(&text(other)),
            });
            line(cells.collect());
        }
        csv
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        let mut markdown = line(self.columns.iter().map(|name| escaped(name)).collect());
        markdown.push_str(&line(self.columns.iter().map(|_| "---".to_owned()).collect()));
        for row in &self.rows {
            markdown.push_str(&line(row.iter().map(|value| escaped(&text(value))).collect()));
        }
        markdown
    }
}

/// Each name once, so that a row is an object: `total`, `total_2`.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut taken = HashSet::new();
    names
        .into_iter()
        .map(|name| {
            let mut free = name.clone();
            let mut number = 2;
            while !taken.insert(free.clone()) {
                free = format!("{name}_{number}");
                number += 1;
            }
            free
        })
        .collect()
}

/// What a database keeps as an object or a list is shown as its JSON text.
fn cell(value: Value, truncated: &mut bool) -> Value {
    match value {
        Value::String(text) => Value::String(cut(text, truncated)),
        Value::Array(_) | Value::Object(_) => Value::String(cut(value.to_string(), truncated)),
        other => other,
    }
}

fn cut(text: String, truncated: &mut bool) -> String {
    match text.char_indices().nth(CELL_MAX) {
        None => text,
        Some((end, _)) => {
            *truncated = true;
            format!("{}…", &text[..end])
        }
    }
}

fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 8,
        _ => 16,
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    if text.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A text that a spreadsheet would take for a formula gets an apostrophe (OWASP, CSV Injection). A number stays one.
fn harmless(text: &str) -> Cow<'_, str> {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if formula && text.parse::<f64>().is_err() {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A cell stays a cell, and text stays text: neither a new column, nor a line, nor HTML, nor a link or picture.
fn escaped(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' => {
                cell.push('\\');
                cell.push(letter);
            }
            '<' => cell.push_str("&lt;"),
            '>' => cell.push_str("&gt;"),
            letter if letter.is_control() => cell.push(' '),
            letter => cell.push(letter),
        }
    }
    cell
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::backends::metabase::client::Column;

    fn table(columns: &[&str], rows: Value) -> Table {
        let column = |name: &&str| Column {
            name: "x".to_owned(),
            label: (*name).to_owned(),
        };
        Table::of(Answer {
            columns: columns.iter().map(column).collect(),
            rows: serde_json::from_value(rows).unwrap(),
            kept_since: None,
        })
    }

    fn rendered(table: &Table, format: Format) -> String {
        match table.render(format) {
            Report::Text(text) => text,
            Report::Rows(rows) => json!(rows).to_string(),
        }
    }

    #[test]
    fn csv_is_rfc_4180_and_holds_no_formula() {
        let table = table(
            &["Cliente", "=Total"],
            json!([
                ["Soto, Ana", -5],
                ["dijo \"sí\"\nayer", 1.5],
                ["=HYPERLINK(\"http://x\")", null],
                ["-12.5", true],
                ["@sum", "+56 9 8123 4567"],
            ]),
        );
        assert_eq!(
            rendered(&table, Format::Csv),
            "Cliente,'=Total\r\n\"Soto, Ana\",-5\r\n\"dijo \"\"sí\"\"\nayer\",1.5\r\n\"'=HYPERLINK(\"\"http://x\"\")\",\r\n-12.5,true\r\n'@sum,'+56 9 8123 4567\r\n"
        );
    }

    #[test]
    fn markdown_keeps_each_cell_a_cell() {
        let table = table(&["a|b", "c"], json!([["x | y\nz", "<b>![i](http://x)</b>"], [null, 7]]));
        assert_eq!(
            rendered(&table, Format::Markdown),
            "| a\\|b | c |\n| --- | --- |\n| x \\| y z | &lt;b&gt;!\\[i\\](http://x)&lt;/b&gt; |\n|  | 7 |\n"
        );
    }

    #[test]
    fn columns_of_one_name_are_told_apart() {
        let table = table(&["total", "total", "total_2"], json!([[1, 2, { "a": [1] }]]));
        assert_eq!(table.columns, ["total", "total_2", "total_2_2"]);
        assert_eq!(
            rendered(&table, Format::Json),
            r#"[{"total":1,"total_2":2,"total_2_2":"{\"a\":[1]}"}]"#
        );
        assert!(!table.truncated);
    }

    #[test]
    fn rows_columns_texts_and_the_whole_have_an_end() {
        let many = table(&["a"], json!(vec![[1]; ROWS_MAX + 1]));
        assert_eq!((many.rows.len(), many.truncated), (ROWS_MAX, true));
        let wide = table(&["a"; COLUMNS_MAX + 1], json!([vec![1; COLUMNS_MAX + 1]]));
        assert_eq!(
            (wide.columns.len(), wide.rows[0].len(), wide.truncated),
            (COLUMNS_MAX, COLUMNS_MAX, true)
        );
        let long = table(&["a"], json!([["é".repeat(CELL_MAX + 1)]]));
        assert_eq!(
            (long.rows[0][0].as_str().unwrap().chars().count(), long.truncated),
            (CELL_MAX + 1, true)
        );
        let heavy = table(&["a"; 10], json!(vec![vec!["x".repeat(CELL_MAX); 10]; 100]));
        assert!(heavy.truncated && heavy.rows.len() < 60);
    }
}
