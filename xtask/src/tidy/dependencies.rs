//! Rules for dependencies: which crate may use which, and that each outside crate states its reason.

use serde_json::Value;

use super::Finding;

/// Who uses whom, as ARCHITECTURE.md draws it: a crate and the crates of ours that it may build on. A test may
/// use any crate. A crate that is missing here may use none, so a new one must be entered.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("model", &[]),
    ("protocol", &["model"]),
    ("storage", &["model"]),
    ("metadata", &["model"]),
    ("coordinator", &["model"]),
    ("broker", &["model", "protocol", "storage", "metadata", "coordinator"]),
    ("client", &["model", "protocol"]),
    ("bench", &["model", "protocol"]),
    ("platform", &["model"]),
    ("reconcile", &["model", "client"]),
    ("services", &["model", "client"]),
    ("cli", &["model", "storage", "metadata", "client", "bench", "broker", "platform", "reconcile", "services"]),
];

/// Checks normal and build dependencies in what `cargo metadata --no-deps` says.
pub(super) fn check_directions(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        let allowed = MAY_USE.iter().find(|(user, _)| *user == short(name)).map_or(&[][..], |(_, used)| used);
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = dependency["name"].as_str().unwrap_or_default();
            let ours = dependency["path"].is_string();
            if ours && dependency["kind"] != "dev" && !allowed.contains(&short(used)) {
                let file = format!("crates/{}/Cargo.toml", short(name));
                let what = format!("{name} may not use {used}: see \"Who uses whom\" in ARCHITECTURE.md");
                findings.push(Finding { file, line: 0, what });
            }
        }
    }
    findings
}

fn short(name: &str) -> &str {
    name.strip_prefix("millstream-").unwrap_or(name)
}

/// Checks that every outside crate in `[workspace.dependencies]` has its reason behind it or on the line above.
pub(super) fn check_reasons(manifest: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut inside = false;
    let mut above = "";
    for (index, line) in manifest.lines().enumerate() {
        if line.starts_with('[') {
            inside = line.starts_with("[workspace.dependencies");
        } else if inside
            && is_entry(line)
            && !line.contains("path = ")
            && !line.contains(" # ")
            && !above.starts_with('#')
        {
            let what = format!(
                "`{}` states no reason: write one behind it, after a #",
                line.split('=').next().unwrap_or(line).trim()
            );
            findings.push(Finding { file: "Cargo.toml".to_owned(), line: index + 1, what });
        }
        above = line;
    }
    findings
}

fn is_entry(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_alphanumeric()) && line.contains(" = ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn package(name: &str, used: &str, kind: Option<&str>) -> Value {
        json!({ "packages": [{ "name": name, "dependencies": [{ "name": used, "path": "x", "kind": kind }] }] })
    }

    #[test]
    fn storage_may_not_use_the_protocol_except_in_tests() {
        assert_eq!(check_directions(&package("millstream-storage", "millstream-protocol", None)).len(), 1);
        assert_eq!(check_directions(&package("millstream-storage", "millstream-protocol", Some("dev"))).len(), 0);
        assert_eq!(check_directions(&package("millstream-storage", "millstream-model", None)).len(), 0);
    }

    #[test]
    fn a_crate_nobody_entered_may_use_none_of_ours() {
        assert_eq!(check_directions(&package("millstream-new", "millstream-model", None)).len(), 1);
    }

    #[test]
    fn outside_crates_state_their_reason() {
        let manifest = "[workspace.dependencies]\nbytes = \"1\" # shared buffers\n# errors\nanyhow = \"1\"\nhttp = \"1\"\n\
                        millstream-model = { path = \"crates/model\" }\n[profile.dev]\ndebug = true\n";
        let findings = check_reasons(manifest);
        assert_eq!(findings.len(), 1);
        assert_eq!((findings[0].line, findings[0].what.contains("`http`")), (5, true));
    }
}
