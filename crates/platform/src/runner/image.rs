//! What an image name stands for: a program of this machine. Images are matched by the last segment of their path, so
//! `quay.io/puzzle/quarkus-techlab-data-producer:jaegerkafka` and a `<username>` placeholder in the path are fine.

use std::path::Path;

/// Says that images of a name are run as a command: `--image NAME=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRule {
    /// The last path segment, with a tag (`web:2`) or without (`web`: any tag).
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not NAME=COMMAND, such as web=/usr/bin/python3 -m http.server")]
pub struct ImageRuleError(String);

impl std::str::FromStr for ImageRule {
    type Err = ImageRuleError;

    /// Reads `NAME=COMMAND`; the command is split at blanks.
    fn from_str(text: &str) -> Result<Self, ImageRuleError> {
        let (name, command) = text.split_once('=').ok_or_else(|| ImageRuleError(text.to_owned()))?;
        let command: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let name = name.trim();
        if name.is_empty() || name.contains('/') || command.is_empty() {
            return Err(ImageRuleError(text.to_owned()));
        }
        Ok(Self { name: name.to_owned(), command })
    }
}

/// The program behind an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    pub(super) command: Vec<String>,
    /// The variable that sets the address on which it listens.
    pub(super) bind_variable: Option<&'static str>,
}

/// The program for `image`: a rule, the first that fits, or a built-in one, which is `executable` in one of its roles.
pub(super) fn program(image: &str, rules: &[ImageRule], executable: &Path) -> Option<Program> {
    let (name, tag) = split(image);
    let tagged = format!("{name}:{tag}");
    if let Some(rule) = rules.iter().find(|rule| rule.name == name || rule.name == tagged) {
        return Some(Program { command: rule.command.clone(), bind_variable: None });
    }
    let executable = executable.to_string_lossy().into_owned();
    let role = match name.strip_prefix("quarkus-techlab-").unwrap_or(name) {
        "millstream" => return Some(Program { command: vec![executable], bind_variable: None }),
        role @ ("data-producer" | "data-consumer") => role,
        _ => return None,
    };
    // The lab's tags: `rest` and `latest` are the first chapters' images, `kafka` and `jaegerkafka` the later ones'.
    let mode = match tag {
        "kafka" | "jaegerkafka" => "event",
        "" | "rest" | "latest" => "rest",
        _ => return None,
    };
    let command = vec![executable, role.to_owned(), "--mode".to_owned(), mode.to_owned()];
    Some(Program { command, bind_variable: Some("QUARKUS_HTTP_HOST") })
}

/// The last path segment of an image without digest, and its tag (empty when there is none).
fn split(image: &str) -> (&str, &str) {
    let last = image.rsplit('/').next().unwrap_or(image);
    let last = last.split_once('@').map_or(last, |(name, _)| name);
    last.split_once(':').unwrap_or((last, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(image: &str, expected: Option<&str>) {
        let rules = ["web=python3 -m http.server", "api:2=api --new"].map(|rule| rule.parse().unwrap());
        let found = program(image, &rules, Path::new("/bin/millstream"));
        assert_eq!(found.map(|program| program.command.join(" ")).as_deref(), expected, "{image}");
    }

    #[test]
    fn images_are_known_by_their_last_segment_and_tag() {
        let event = Some("/bin/millstream data-producer --mode event");
        check("quay.io/puzzle/quarkus-techlab-data-producer:jaegerkafka", event);
        check("data-producer:kafka", event);
        check("data-producer", Some("/bin/millstream data-producer --mode rest"));
        check("registry:5000/<username>/data-consumer:latest", Some("/bin/millstream data-consumer --mode rest"));
        check("data-producer@sha256:00", Some("/bin/millstream data-producer --mode rest"));
        check("millstream:0.1.0", Some("/bin/millstream"));
        check("docker.io/library/nginx", None);
        check("quay.io/team/quarkus-techlab-data-transformer", None);
        check("data-producer:unknown", None);
    }

    #[test]
    fn rules_go_before_what_is_built_in() {
        check("docker.io/web:9", Some("python3 -m http.server"));
        check("api:2", Some("api --new"));
        check("api:3", None);
    }

    #[test]
    fn a_rule_needs_a_name_and_a_command() {
        for text in ["web", "=x", "web=", "a/b=x"] {
            assert!(text.parse::<ImageRule>().is_err(), "{text}");
        }
    }
}
