use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::kinds::DEPLOYMENT;
use crate::schema;

fn check_json(target: Value, patch: Value, expected: Result<Value, &str>) {
    let patched = json(target, &patch);
    match (patched, expected) {
        (Ok(patched), Ok(expected)) => assert_eq!(patched, expected, "{patch}"),
        (Err(reason), Err(expected)) => assert!(reason.contains(expected), "{reason}"),
        (patched, expected) => panic!("{patched:?} instead of {expected:?}"),
    }
}

#[test]
fn json_patch_operations_do_what_rfc_6902_says() {
    let op = |op: &str, path: &str, value: Value| json!([{ "op": op, "path": path, "value": value }]);
    check_json(json!({ "a": [1, 3] }), op("add", "/a/1", json!(2)), Ok(json!({ "a": [1, 2, 3] })));
    check_json(json!({ "a": [1] }), op("add", "/a/-", json!(2)), Ok(json!({ "a": [1, 2] })));
    check_json(json!({ "a": { "b/c": 1 } }), op("replace", "/a/b~1c", json!(2)), Ok(json!({ "a": { "b/c": 2 } })));
    check_json(json!({ "a": 1 }), op("test", "/a", json!(2)), Err("failed"));
    check_json(json!({ "a": 1 }), op("replace", "/b", json!(2)), Err("nothing at"));
    check_json(json!({ "a": [1] }), op("add", "/a/5", json!(2)), Err("nothing at"));
    check_json(json!({ "a": [1] }), json!([{ "op": "remove", "path": "/a/0" }]), Ok(json!({ "a": [] })));
    check_json(json!({ "a": 1 }), json!([{ "op": "move", "from": "/a", "path": "/b" }]), Ok(json!({ "b": 1 })));
    check_json(json!({ "a": 1 }), json!([{ "op": "copy", "from": "/a", "path": "/b" }]), Ok(json!({ "a": 1, "b": 1 })));
    check_json(json!({ "a": {} }), json!([{ "op": "move", "from": "/a", "path": "/a/b" }]), Err("into itself"));
    check_json(json!({}), json!({ "op": "remove" }), Err("list of operations"));
}

#[test]
fn copies_cannot_grow_without_bound() {
    let doubling: Vec<Value> = (0..64).map(|_| json!({ "op": "copy", "from": "", "path": "/x" })).collect();
    check_json(json!({ "a": "x".repeat(100_000) }), Value::Array(doubling), Err("copies more than"));
}

fn deployment(containers: Value) -> Value {
    json!({ "spec": { "template": { "spec": { "containers": containers } } } })
}

fn check_strategic(before: Value, patch: Value, after: Value) {
    let patched = strategic(deployment(before), &deployment(patch), &schema::of(&DEPLOYMENT, "v1")).unwrap();
    assert_eq!(patched, deployment(after));
}

#[test]
fn containers_and_their_variables_merge_by_name() {
    check_strategic(
        json!([{ "name": "a", "image": "1", "env": [{ "name": "X", "value": "1" }] }, { "name": "b", "image": "1" }]),
        json!([{ "name": "a", "env": [{ "name": "Y", "value": "2" }, { "name": "X", "value": "3" }] }]),
        json!([
            { "name": "a", "image": "1", "env": [{ "name": "X", "value": "3" }, { "name": "Y", "value": "2" }] },
            { "name": "b", "image": "1" },
        ]),
    );
}

#[test]
fn entries_are_deleted_and_lists_replaced_by_directive() {
    let two = || json!([{ "name": "a", "image": "1" }, { "name": "b", "image": "1" }]);
    check_strategic(two(), json!([{ "name": "a", "$patch": "delete" }]), json!([{ "name": "b", "image": "1" }]));
    check_strategic(
        two(),
        json!([{ "name": "c", "image": "2" }, { "$patch": "replace" }]),
        json!([{ "name": "c", "image": "2" }]),
    );
}

#[test]
fn lists_without_a_key_are_replaced() {
    check_strategic(
        json!([{ "name": "a", "args": ["1", "2"] }]),
        json!([{ "name": "a", "args": ["3"] }]),
        json!([{ "name": "a", "args": ["3"] }]),
    );
}

#[test]
fn element_order_sorts_what_it_names() {
    let schema = schema::of(&DEPLOYMENT, "v1");
    let before = deployment(json!([{ "name": "a" }, { "name": "b" }, { "name": "c" }]));
    let mut patch = deployment(json!([{ "name": "c", "image": "2" }]));
    patch["spec"]["template"]["spec"]["$setElementOrder/containers"] =
        json!([{ "name": "c" }, { "name": "b" }, { "name": "a" }]);
    let after = strategic(before, &patch, &schema).unwrap();
    assert_eq!(after, deployment(json!([{ "name": "c", "image": "2" }, { "name": "b" }, { "name": "a" }])));
}

#[test]
fn retained_keys_and_primitive_lists_follow_their_directives() {
    let schema = schema::of(&DEPLOYMENT, "v1");
    let before = json!({ "metadata": { "finalizers": ["a", "b"] }, "spec": { "strategy": { "type": "RollingUpdate", "rollingUpdate": {} } } });
    let patch = json!({
        "metadata": { "$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"] },
        "spec": { "strategy": { "$retainKeys": ["type"], "type": "Recreate" } },
    });
    let after = strategic(before, &patch, &schema).unwrap();
    assert_eq!(
        after,
        json!({ "metadata": { "finalizers": ["b", "c"] }, "spec": { "strategy": { "type": "Recreate" } } })
    );
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(true)), any::<i32>().prop_map(Value::from), "[a-c]{0,3}".prop_map(Value::from)];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The merge patch that leads from one value to the other, by the definition of RFC 7386.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else { return to.clone() };
    let mut patch = Map::new();
    for name in from.keys().filter(|name| !to.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in to {
        match from.get(name) {
            Some(before) if before == value => {}
            Some(before @ Value::Object(_)) if value.is_object() => {
                patch.insert(name.clone(), difference(before, value));
            }
            _ => drop(patch.insert(name.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

proptest! {
    #[test]
    fn a_merge_patch_of_the_difference_leads_to_the_goal(from in any_json(), to in any_json()) {
        let patched = merge(from.clone(), &difference(&from, &to));
        prop_assert_eq!(patched, to);
    }

    #[test]
    fn a_merge_patch_is_idempotent(from in any_json(), patch in any_json()) {
        let once = merge(from, &patch);
        prop_assert_eq!(merge(once.clone(), &patch), once);
    }

    #[test]
    fn a_strategic_patch_never_panics(from in any_json(), patch in any_json()) {
        let _ = strategic(from, &patch, &schema::of(&DEPLOYMENT, "v1"));
    }

    #[test]
    fn a_json_patch_never_panics(target in any_json(), path in "(/[a-d0-3~-]{0,2}){0,3}", value in any_json()) {
        for op in ["add", "remove", "replace", "test", "move", "copy"] {
            let _ = json(target.clone(), &json!([{ "op": op, "path": path, "from": "/a", "value": value }]));
        }
    }
}
