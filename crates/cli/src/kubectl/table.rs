//! A `Table` of the API server as the text that kubectl prints: headers, padding, `-o wide`, `-A`, `kind/name`.
//!
//! Pure; `get` prints the result. The server decides columns and cells, this file only their layout.

use serde_json::Value;

/// What `get` was asked for, as far as the layout goes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// `-o wide`: columns of lower priority too.
    pub(crate) wide: bool,
    /// `-A`: a column with the namespace.
    pub(crate) with_namespace: bool,
    /// `--show-labels`: a column with the labels.
    pub(crate) show_labels: bool,
    /// Written before each name with a slash, when several kinds are printed: `deployment.apps`.
    pub(crate) kind: Option<String>,
    /// `--no-headers`.
    pub(crate) no_headers: bool,
}

/// Cells are this far apart, and a column is at least this wide: kubectl's tab writer.
const PADDING: usize = 3;
const COLUMN_WIDTH_MIN: usize = 6;

/// The whole table as text, a line for each row, each with its newline. Nothing for a table without rows.
pub(crate) fn render(table: &Value, layout: &Layout) -> String {
    let no_rows = Vec::new();
    let rows = table["rows"].as_array().unwrap_or(&no_rows);
    if rows.is_empty() {
        return String::new();
    }
    let columns = shown_columns(table, layout.wide);
    let mut lines = Vec::with_capacity(rows.len() + 1);
    if !layout.no_headers {
        lines.push(header(&columns, layout));
    }
    lines.extend(rows.iter().map(|row| line(row, &columns, layout)));
    align(&lines)
}

/// Position and name of the columns that are printed.
fn shown_columns(table: &Value, wide: bool) -> Vec<(usize, &str)> {
    let definitions = table["columnDefinitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let shown =
        definitions.iter().enumerate().filter(|(_, column)| wide || column["priority"].as_i64().unwrap_or(0) == 0);
    shown.map(|(index, column)| (index, column["name"].as_str().unwrap_or_default())).collect()
}

fn header(columns: &[(usize, &str)], layout: &Layout) -> Vec<String> {
    let namespace = layout.with_namespace.then(|| "NAMESPACE".to_owned());
    let labels = layout.show_labels.then(|| "LABELS".to_owned());
    namespace.into_iter().chain(columns.iter().map(|(_, name)| name.to_uppercase())).chain(labels).collect()
}

fn line(row: &Value, columns: &[(usize, &str)], layout: &Layout) -> Vec<String> {
    let metadata = &row["object"]["metadata"];
    let mut cells = Vec::with_capacity(columns.len() + 2);
    if layout.with_namespace {
        cells.push(metadata["namespace"].as_str().unwrap_or_default().to_owned());
    }
    for (index, name) in columns {
        let text = cell(&row["cells"][*index]);
        match &layout.kind {
            Some(kind) if name.eq_ignore_ascii_case("name") => cells.push(format!("{kind}/{text}")),
            _ => cells.push(text),
        }
    }
    if layout.show_labels {
        cells.push(labels(&metadata["labels"]));
    }
    cells
}

/// A cell is one line: kubectl cuts at the first line break and says so with three dots. Terminal controls are not passed on.
fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.as_str(),
        other => return other.to_string(),
    };
    let (first, cut) = match text.find(['\n', '\r', '\u{c}']) {
        Some(at) => (&text[..at], "..."),
        None => (text, ""),
    };
    first.chars().map(|c| if c == '\u{1b}' { "^[".to_owned() } else { c.to_string() }).collect::<String>() + cut
}

fn labels(labels: &Value) -> String {
    let Some(labels) = labels.as_object().filter(|labels| !labels.is_empty()) else { return "<none>".into() };
    let mut pairs: Vec<_> =
        labels.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.sort();
    pairs.join(",")
}

/// Pads every cell but a line's last to the width of its column.
fn align(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let widest = lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max();
        (widest.unwrap_or(0) + PADDING).max(COLUMN_WIDTH_MIN)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for line in lines {
        for (column, cell) in line.iter().enumerate() {
            text.push_str(cell);
            if column + 1 < line.len() {
                let pad = widths[column] - cell.chars().count();
                text.extend(std::iter::repeat_n(' ', pad));
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pods() -> Value {
        json!({"kind": "Table",
            "columnDefinitions": [{"name": "Name", "priority": 0}, {"name": "Ready", "priority": 0}, {"name": "Up", "priority": 0},
                {"name": "IP", "priority": 1}],
            "rows": [
                {"cells": ["data-consumer-1", "1/1", 3, "127.0.0.2"],
                 "object": {"metadata": {"namespace": "default", "labels": {"b": "2", "a": "1"}}}},
                {"cells": ["p", "0/1", null, null], "object": {"metadata": {"namespace": "other"}}}]})
    }

    #[test]
    fn a_table_is_laid_out_as_kubectl_does() {
        let expected = "NAME              READY   UP\ndata-consumer-1   1/1     3\np                 0/1     \n";
        assert_eq!(render(&pods(), &Layout::default()), expected);
    }

    #[test]
    fn wide_namespaces_labels_and_kind_add_their_columns() {
        let layout =
            Layout { wide: true, with_namespace: true, show_labels: true, kind: Some("pod".into()), no_headers: false };
        let text = render(&pods(), &layout);
        let expected = "NAMESPACE   NAME                  READY   UP    IP          LABELS\n\
                        default     pod/data-consumer-1   1/1     3     127.0.0.2   a=1,b=2\n\
                        other       pod/p                 0/1                       <none>\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn without_headers_the_rows_alone_decide_the_widths() {
        let layout = Layout { no_headers: true, ..Layout::default() };
        assert!(render(&pods(), &layout).starts_with("data-consumer-1   1/1   3\n"));
    }

    #[test]
    fn a_cell_is_cut_at_a_line_break_and_cannot_steer_the_terminal() {
        assert_eq!(cell(&json!("one\ntwo")), "one...");
        assert_eq!(cell(&json!("\u{1b}[31mred")), "^[[31mred");
        assert_eq!(cell(&json!(true)), "true");
    }

    #[test]
    fn no_rows_print_nothing() {
        assert_eq!(render(&json!({"rows": []}), &Layout::default()), "");
    }
}
