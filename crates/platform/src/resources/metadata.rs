//! Rules for names, labels and annotations (RFC 1123 and Kubernetes' own), in Kubernetes' wording.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;

use crate::error::Cause;
use crate::kinds::Kind;
use crate::object::{name, text_map};

const SUBDOMAIN: &str = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const QUALIFIED_NAME: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
/// All annotations of one object together.
const ANNOTATIONS_BYTES_MAX: usize = 256 * 1024;

fn whole(pattern: &str) -> Regex {
    Regex::new(&format!("^{pattern}$")).expect("the patterns above compile, checked by every test that names an object")
}

static IS_SUBDOMAIN: LazyLock<Regex> = LazyLock::new(|| whole(SUBDOMAIN));
static IS_LABEL: LazyLock<Regex> = LazyLock::new(|| whole(LABEL));
static IS_LABEL_1035: LazyLock<Regex> = LazyLock::new(|| whole(LABEL_1035));
static IS_LABEL_VALUE: LazyLock<Regex> = LazyLock::new(|| whole(LABEL_VALUE));
static IS_QUALIFIED_NAME: LazyLock<Regex> = LazyLock::new(|| whole(QUALIFIED_NAME));

/// Adds what is wrong with the metadata of `object` to `causes`.
pub(super) fn check(kind: &Kind, object: &Value, causes: &mut Vec<Cause>) {
    check_name(kind, name(object), causes);
    check_labels(object, "/metadata/labels", "metadata.labels", causes);
    let annotations = text_map(object, "/metadata/annotations");
    for key in annotations.keys() {
        check_key(key, "metadata.annotations", causes);
    }
    if annotations.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() > ANNOTATIONS_BYTES_MAX {
        let message = format!("Too long: may not be more than {ANNOTATIONS_BYTES_MAX} bytes");
        causes.push(Cause { reason: "FieldValueTooLong", field: "metadata.annotations".to_owned(), message });
    }
}

fn check_name(kind: &Kind, name: &str, causes: &mut Vec<Cause>) {
    let (fits, length_max, why) = match kind.kind {
        "Service" => (IS_LABEL_1035.is_match(name), 63, label_1035_rule()),
        "Namespace" => (IS_LABEL.is_match(name), 63, label_rule()),
        _ => (IS_SUBDOMAIN.is_match(name), 253, subdomain_rule()),
    };
    if !fits {
        causes.push(Cause::invalid("metadata.name", &Value::from(name), &why));
    }
    if name.len() > length_max {
        let why = format!("must be no more than {length_max} characters");
        causes.push(Cause::invalid("metadata.name", &Value::from(name), &why));
    }
}

/// Adds what is wrong with the labels at `pointer`, which is called `field` in messages.
pub(super) fn check_labels(object: &Value, pointer: &str, field: &str, causes: &mut Vec<Cause>) {
    for (key, value) in text_map(object, pointer) {
        check_key(key, field, causes);
        if value.len() > 63 {
            causes.push(Cause::invalid(field, &Value::from(value), "must be no more than 63 characters"));
        }
        if !IS_LABEL_VALUE.is_match(value) {
            let why = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and \
                       must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
                       regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
            causes.push(Cause::invalid(field, &Value::from(value), why));
        }
    }
}

fn check_key(key: &str, field: &str, causes: &mut Vec<Cause>) {
    let (prefix, name) = key.split_once('/').unwrap_or(("", key));
    let has_good_prefix = !key.contains('/') || (IS_SUBDOMAIN.is_match(prefix) && prefix.len() <= 253);
    if !IS_QUALIFIED_NAME.is_match(name) || name.len() > 63 || !has_good_prefix {
        let why = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
                   alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
                   '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
        causes.push(Cause::invalid(field, &Value::from(key), why));
    }
}

fn subdomain_rule() -> String {
    format!(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start \
         and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')"
    )
}

fn label_rule() -> String {
    format!(
        "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end \
         with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')"
    )
}

fn label_1035_rule() -> String {
    format!(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, \
         and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '{LABEL_1035}')"
    )
}
