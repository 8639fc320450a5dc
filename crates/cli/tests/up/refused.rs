//! What `up` cannot do: it says so in one sentence, ends with a failure, and leaves nothing half done.

use std::net::TcpListener;

use crate::harness::{Place, skip};
use crate::small_disk::{Kind, SmallDisk};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: map\n";

#[test]
fn manifests_without_an_object_start_nothing() {
    let place = Place::new();
    let empty = place.manifest("empty.yaml", "# nothing yet\n");
    assert_eq!(place.fails(&["up", "-f", &empty]), format!("error: no objects in \"{empty}\"\n"));
    std::fs::create_dir(place.path("folder")).unwrap();
    let folder = place.path("folder").display().to_string();
    let complaint = place.fails(&["up", "-f", &folder]);
    assert_eq!(complaint, format!("error: no manifests (.yaml, .yml, .json) in the folder \"{folder}\"\n"));
    assert!(place.fails(&["get", "pods"]).contains("no millstream is running"));
}

#[test]
fn an_object_that_is_too_large_is_refused_and_nothing_is_half_applied() {
    let place = Place::new();
    place.manifest("both/1.yaml", MAP);
    let large = format!("{}data:\n  text: {}\n", MAP.replace("name: map", "name: large"), "x".repeat(2 << 20));
    place.manifest("both/2.yaml", &large);
    let mut up = place.up(&["-f", &place.path("both").display().to_string(), "--routes", "127.0.0.1:0"]);
    up.line(|line| line.contains("both/2.yaml:1: ") && line.contains("too large"));
    up.line(|line| line == "error: nothing was applied");
    assert_eq!(up.end(), Some(1), "{:?}", up.seen());
    assert!(!up.seen().iter().any(|line| line.contains("configmap/map created")), "{:?}", up.seen());
}

#[test]
fn of_an_object_in_two_files_the_later_holds_and_a_second_start_changes_nothing() {
    let place = Place::new();
    place.manifest("both/1.yaml", &format!("{MAP}data: {{a: one}}\n"));
    place.manifest("both/2.yaml", &format!("{MAP}data: {{a: two}}\n"));
    let both = place.path("both").display().to_string();
    for outcome in ["created", "unchanged"] {
        let mut up = place.up(&["-f", &both, "--routes", "127.0.0.1:0"]);
        let warning = format!("Warning: {both}/1.yaml:1: ConfigMap \"map\" is also in {both}/2.yaml:1, which holds");
        up.line(|line| line == warning);
        up.line(|line| line == format!("configmap/map {outcome}"));
        assert!(place.ok(&["get", "cm", "map", "-o", "yaml"]).contains("  a: two\n"));
        up.signal(rustix::process::Signal::TERM);
        assert_eq!(up.end(), Some(0), "{:?}", up.seen());
    }
}

#[test]
fn routes_on_a_port_in_use_are_one_sentence_and_a_failure() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let manifest = place.manifest("map.yaml", MAP);
    let complaint = place.fails(&["up", "-f", &manifest, "--routes", &address]);
    assert!(complaint.starts_with(&format!("error: cannot listen on {address}: ")), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
fn a_folder_that_another_up_has_is_refused_also_where_the_two_cannot_see_each_other() {
    let (place, other) = (Place::new(), Place::new());
    let manifest = place.manifest("map.yaml", MAP);
    let data = place.path("state").display().to_string();
    let mut up = place.up(&["-f", &manifest, "--data-dir", &data, "--routes", "127.0.0.1:0"]);
    up.line(|line| line == "configmap/map created");
    let complaint = other.fails(&["up", "-f", &manifest, "--data-dir", &data, "--routes", "127.0.0.1:0"]);
    assert!(complaint.starts_with(&format!("error: {data}/platform/platform.redb")), "{complaint}");
    assert!(complaint.contains("another process") && complaint.lines().count() == 1, "{complaint}");
    assert_eq!(place.ok(&["get", "cm", "-o", "name", "--data-dir", &data]), "configmap/map\n");
}

#[test]
fn a_full_disk_is_one_sentence_and_with_space_it_starts() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let disk = match SmallDisk::mount(folder.path(), Kind::Tmpfs, "8m") {
        Ok(disk) => disk,
        Err(why) => return skip(&format!("a small file system cannot be had here: {why}")),
    };
    let place = Place::new();
    let manifest = place.manifest("map.yaml", MAP);
    let data = disk.path().join("state").display().to_string();
    let start = ["up", "-f", &manifest, "--data-dir", &data, "--routes", "127.0.0.1:0"];
    disk.fill("full");
    let mut up = place.start_behind(&disk.enter(), &start);
    up.line(|line| line.starts_with(&format!("error: {data}")) && line.contains("No space left on device"));
    assert_eq!(up.end(), Some(1), "{:?}", up.seen());
    disk.remove("full");
    let mut up = place.start_behind(&disk.enter(), &start);
    up.line(|line| line == "configmap/map created");
    up.line(|line| line.starts_with("kubectl"));
}
