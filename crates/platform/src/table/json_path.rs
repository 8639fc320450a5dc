//! The JSONPath that printer columns are written in: fields, escaped dots, indexes, and filters by equality.
//! `.status.conditions[?(@.type=="Ready")].status`, `.metadata.labels.strimzi\.io/cluster`.

use serde_json::Value;

/// A parsed path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
    /// The first entry whose field has this text.
    Where(String, String),
}

impl JsonPath {
    /// Parses `text`; what is not understood ends the path in a step that finds nothing.
    pub(super) fn parse(text: &str) -> Self {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            rest = if let Some(inside) = rest.strip_prefix('[') {
                let (step, after) = inside.split_once(']').unwrap_or((inside, ""));
                steps.push(bracket(step));
                after
            } else {
                let (field, after) = field(rest.strip_prefix('.').unwrap_or(rest));
                steps.push(Step::Field(field));
                after
            };
        }
        Self(steps)
    }

    /// The first value at this path.
    pub(super) fn find<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Index(index) => value.get(index),
            Step::Where(name, text) => {
                value.as_array()?.iter().find(|entry| entry.get(name).and_then(Value::as_str) == Some(text))
            }
        })
    }
}

fn bracket(step: &str) -> Step {
    let condition = step.strip_prefix("?(@.").and_then(|rest| rest.strip_suffix(')'));
    if let Some((name, value)) = condition.and_then(|condition| condition.split_once("==")) {
        let quotes = |symbol: char| symbol == '"' || symbol == '\'' || symbol == ' ';
        return Step::Where(name.trim().to_owned(), value.trim_matches(quotes).to_owned());
    }
    step.parse().map_or_else(|_| Step::Field(step.trim_matches(['\'', '"']).to_owned()), Step::Index)
}

/// A field's name up to the next unescaped dot or bracket, and what follows.
fn field(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut symbols = text.char_indices();
    while let Some((at, symbol)) = symbols.next() {
        match symbol {
            '\\' => name.extend(symbols.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[at..]),
            other => name.push(other),
        }
    }
    (name, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(path: &str, expected: &Value) {
        let object = json!({
            "metadata": { "labels": { "strimzi.io/cluster": "lab" } },
            "status": { "conditions": [{ "type": "Warning", "status": "A" }, { "type": "Ready", "status": "True" }] },
        });
        assert_eq!(JsonPath::parse(path).find(&object).unwrap_or(&Value::Null), expected, "{path}");
    }

    #[test]
    fn paths_of_strimzis_columns_find_their_values() {
        check(".metadata.labels.strimzi\\.io/cluster", &json!("lab"));
        check(".status.conditions[?(@.type==\"Ready\")].status", &json!("True"));
        check(".status.conditions[0].status", &json!("A"));
        check(".status.conditions[?(@.type==\"NotReady\")].status", &Value::Null);
        check(".status.absent.deeper", &Value::Null);
        check(".[[?(", &Value::Null);
    }
}
