//! What a manifest may look like, and what a broken one is told.

use super::*;

fn names(text: &str) -> Vec<String> {
    parse("m.yaml", text).unwrap().iter().map(|m| format!("{}/{}", m.kind(), m.name())).collect()
}

#[track_caller]
fn check_complaint(text: &str, complaint: &str) {
    assert_eq!(parse("m.yaml", text).unwrap_err().to_string(), complaint);
}

#[test]
fn documents_and_lists_are_unpacked_in_order() {
    let text = "---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n---\n# only a comment\n---\napiVersion: v1\n\
                kind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: b\n- apiVersion: v1\n  \
                kind: Secret\n  metadata:\n    name: c\n";
    assert_eq!(names(text), ["Service/a", "ConfigMap/b", "Secret/c"]);
}

#[test]
fn json_is_read_too() {
    assert_eq!(names(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"}}"#), ["Pod/p"]);
}

#[test]
fn a_field_knows_its_line() {
    let text = "apiVersion: kafka.strimzi.io/v1\nkind: Kafka\nmetadata:\n  name: a\nspec:\n  kafka:\n    listeners:\n      \
                - name: plain\n        port: x\n";
    let manifest = &parse("m.yaml", text).unwrap()[0];
    assert_eq!(manifest.place("spec.kafka.listeners[0].port"), "m.yaml:9");
    assert_eq!(manifest.place("spec.kafka.listeners[0].tls"), "m.yaml:8");
    assert_eq!(manifest.place("status"), "m.yaml:1");
}

#[test]
fn an_item_of_a_list_knows_its_line() {
    let text = "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: b\n";
    assert_eq!(parse("m.yaml", text).unwrap()[0].place("metadata.name"), "m.yaml:7");
}

#[test]
fn scalars_are_what_kubernetes_takes_them_for() {
    let text =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {on: yes, mode: 0644, v: '3.3', n: 1e3, t: ~}\n";
    let object = &parse("m.yaml", text).unwrap()[0].object;
    assert_eq!(object["data"].to_string(), r#"{"on":true,"mode":420,"v":"3.3","n":1000.0,"t":null}"#);
}

#[test]
fn a_broken_manifest_is_told_file_line_field_and_what_was_expected() {
    check_complaint(
        "kind: Pod\nmetadata:\n  name: a\n",
        "m.yaml:1: apiVersion: required; expected a group and version, such as v1 or kafka.strimzi.io/v1",
    );
    check_complaint("apiVersion: v1\nkind: Pod\n", "m.yaml:1: metadata: required; expected an object with a name");
    check_complaint(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  labels: {}\n",
        "m.yaml:3: metadata.name: required; expected a non-empty string",
    );
    check_complaint(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 7\n",
        "m.yaml:4: metadata.name: required; expected a non-empty string",
    );
}

#[test]
fn bad_yaml_is_placed() {
    let complaint = parse("m.yaml", "apiVersion: v1\nkind: [Pod\nmetadata: {}\n").unwrap_err().to_string();
    assert!(complaint.starts_with("error parsing m.yaml:"), "{complaint}");
}

#[test]
fn a_duplicate_key_is_refused() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  name: b\n";
    assert!(parse("m.yaml", text).unwrap_err().to_string().starts_with("error parsing m.yaml:5"));
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let previous = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", [previous.as_str(); 10].join(","));
    }
    assert!(matches!(parse("m.yaml", &text), Err(ReadError::Syntax { .. })));
}

#[test]
fn a_folder_is_read_by_name_and_other_files_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let object = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\n");
    for (file, name) in [("b.yml", "two"), ("a.yaml", "one"), ("c.json", "three"), ("d.txt", "four")] {
        fs::write(folder.path().join(file), object(name)).unwrap();
    }
    let manifests = read(&[folder.path().display().to_string()]).unwrap();
    assert_eq!(manifests.iter().map(Manifest::name).collect::<Vec<_>>(), ["one", "two", "three"]);
}

#[test]
fn a_missing_path_and_an_empty_folder_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().display().to_string();
    assert_eq!(read(&["/no/such/file".into()]).unwrap_err().to_string(), "the path \"/no/such/file\" does not exist");
    assert!(read(std::slice::from_ref(&empty)).unwrap_err().to_string().contains(&empty));
}

#[test]
fn what_is_no_manifest_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let complaint = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name).display().to_string();
        fs::write(&path, bytes).unwrap();
        read(&[path]).unwrap_err().to_string().replace(&format!("{}/", folder.path().display()), "")
    };
    assert_eq!(complaint("empty.yaml", b""), "no objects in \"empty.yaml\"");
    assert_eq!(complaint("comment.yaml", b"# nothing\n---\n---\n"), "no objects in \"comment.yaml\"");
    assert_eq!(complaint("latin.yaml", b"a: 1\nb: \xff\n"), "error parsing latin.yaml:2: not UTF-8, as YAML has to be");
    let plain = "text.yaml:1: expected an object with apiVersion, kind and metadata";
    assert_eq!(complaint("text.yaml", b"hello world\n"), plain);
    assert_eq!(
        complaint("colons.yaml", b"a: b: c\n"),
        "error parsing colons.yaml:1:5: mapping values are not allowed in this context"
    );
    let too_large = vec![b'#'; 1 + usize::try_from(FILE_BYTES_MAX).unwrap()];
    assert_eq!(complaint("large.yaml", &too_large), "large.yaml: larger than 16777216 bytes; a manifest is not");
}
