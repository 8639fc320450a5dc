//! Rust's names for Kafka's: `ListOffsets` → `list_offsets`, a field `Type` → `r#type`.

/// Kafka's camel case as snake case; a run of capitals stays one word, and so does KRaft.
pub(crate) fn snake_case(name: &str) -> String {
    let name = name.replace("KRaft", "Kraft");
    let letters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 8);
    for (index, letter) in letters.iter().enumerate() {
        let after_small = index > 0 && !letters[index - 1].is_uppercase();
        let before_small = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        if letter.is_uppercase() && index > 0 && (after_small || before_small) {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

/// A field's name, raw where Rust has a keyword of that name.
pub(crate) fn field_name(name: &str) -> String {
    let name = snake_case(name);
    match name.as_str() {
        "type" | "match" | "ref" | "move" | "use" | "where" | "loop" => format!("r#{name}"),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_snake_case() {
        for (name, expected) in [
            ("ListOffsets", "list_offsets"),
            ("isKRaftController", "is_kraft_controller"),
            ("KRaftVersion", "kraft_version"),
            ("CommitTimestampMs", "commit_timestamp_ms"),
            ("PreferredReadReplica", "preferred_read_replica"),
            ("LSO", "lso"),
            ("SCRAMMechanism", "scram_mechanism"),
            ("Enable2Pc", "enable2_pc"),
        ] {
            assert_eq!(snake_case(name), expected);
        }
        assert_eq!(field_name("Type"), "r#type");
    }
}
