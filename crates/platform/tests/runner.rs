//! Pods as processes: started, probed, restarted, stopped, and never left behind. Driven through kube's own client.

#![expect(clippy::unwrap_used, reason = "what fails beside the tests' own functions fails the test too")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::{AsyncReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::{ConfigMap, ContainerStatus, Event, Pod};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use kube::runtime::wait::{await_condition, conditions::is_deleted};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use millstream_platform::{Config, Platform, RUNS_IN_ANNOTATION};
use serde_json::{Value, json};

/// Far longer than anything here takes; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    platform: Platform,
    folder: tempfile::TempDir,
    client: Client,
    pods: Api<Pod>,
}

fn config(folder: &Path) -> Config {
    let mut config = Config::new(folder.join("data"));
    config.images = vec!["shell=/bin/sh -c".parse().unwrap(), "env=/usr/bin/env".parse().unwrap()];
    config.restart_backoff = Duration::from_millis(10);
    config
}

async fn start_in(folder: tempfile::TempDir) -> Running {
    let platform = Platform::start(config(folder.path())).await.unwrap();
    let client = Client::new(platform.service(), "default");
    Running { platform, folder, pods: Api::default_namespaced(client.clone()), client }
}

async fn start() -> Running {
    start_in(tempfile::tempdir().unwrap()).await
}

fn shell(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name },
        "spec": { "terminationGracePeriodSeconds": 5, "containers": [{ "name": "main", "image": "shell", "args": [script] }] },
    })
}

impl Running {
    async fn create(&self, pod: Value) {
        self.pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    }

    async fn wait(&self, name: &str, what: &str, holds: impl Fn(&Pod) -> bool) -> Pod {
        let condition = |pod: Option<&Pod>| pod.is_some_and(&holds);
        let reached = tokio::time::timeout(PATIENCE, await_condition(self.pods.clone(), name, condition)).await;
        let Ok(reached) = reached else { panic!("{name} never was {what}: {:?}", self.pods.get(name).await) };
        reached.unwrap().unwrap()
    }

    async fn wait_gone(&self, name: &str, uid: &str) {
        let gone = await_condition(self.pods.clone(), name, is_deleted(uid));
        tokio::time::timeout(PATIENCE, gone).await.unwrap().unwrap();
    }

    async fn logs(&self, name: &str) -> String {
        self.pods.logs(name, &LogParams::default()).await.unwrap()
    }

    async fn events(&self, name: &str) -> Vec<Event> {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
        events.list(&about).await.unwrap().items
    }

    async fn event_reasons(&self, name: &str) -> Vec<String> {
        self.events(name).await.into_iter().filter_map(|event| event.reason).collect()
    }

    async fn wait_for_event(&self, name: &str, is_it: impl Fn(&Event) -> bool) {
        let events: Api<Event> = Api::default_namespaced(self.client.clone());
        let about = watcher::Config::default().fields(&format!("involvedObject.name={name}"));
        let mut told = Box::pin(watcher(events, about).applied_objects());
        let coming = async { while !is_it(&told.next().await.unwrap().unwrap()) {} };
        let told = tokio::time::timeout(PATIENCE, coming).await;
        assert!(told.is_ok(), "{name} never was told it: {:?}", self.events(name).await);
    }
}

fn status(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.first()
}

fn is_ready(pod: &Pod) -> bool {
    status(pod).is_some_and(|status| status.ready)
}

fn waiting_reason(pod: &Pod) -> Option<&str> {
    status(pod)?.state.as_ref()?.waiting.as_ref()?.reason.as_deref()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn uid(pod: &Pod) -> &str {
    pod.metadata.uid.as_deref().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_logs_and_goes_when_it_is_deleted() {
    let running = start().await;
    running.create(shell("web", "echo hello from $HOSTNAME; exec sleep 1000")).await;
    let pod = running.wait("web", "ready", is_ready).await;
    assert_eq!(phase(&pod), "Running");
    assert!(pod.status.as_ref().unwrap().pod_ip.as_deref().unwrap().starts_with("127."));
    let mut follow =
        Box::pin(running.pods.log_stream("web", &LogParams { follow: true, ..LogParams::default() }).await.unwrap());
    let mut line = [0; 15];
    follow.read_exact(&mut line).await.unwrap();
    assert_eq!(&line, b"hello from web\n");
    running.pods.delete("web", &DeleteParams::default()).await.unwrap();
    running.wait_gone("web", uid(&pod)).await;
    assert_eq!(follow.read(&mut line).await.unwrap(), 0, "the log ends with its container");
    let reasons = running.event_reasons("web").await;
    for reason in ["Scheduled", "Created", "Started"] {
        assert!(reasons.iter().any(|found| found == reason), "{reason}: {reasons:?}");
    }
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_comes_from_the_manifest() {
    let running = start().await;
    let maps: Api<ConfigMap> = Api::default_namespaced(running.client.clone());
    let mut pod = shell("env", "GIVEN=$(GREETING)");
    pod["spec"]["containers"][0]["image"] = "env".into();
    pod["spec"]["restartPolicy"] = "Never".into();
    pod["spec"]["containers"][0]["envFrom"] = json!([{ "configMapRef": { "name": "late" } }]);
    pod["spec"]["containers"][0]["env"] = json!([
        { "name": "GREETING", "value": "hi" },
        { "name": "WHERE", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
    ]);
    running.create(pod).await;
    running
        .wait("env", "waiting for its ConfigMap", |pod| waiting_reason(pod) == Some("CreateContainerConfigError"))
        .await;
    let map = json!({ "metadata": { "name": "late" }, "data": { "kafka.bootstrap.servers": "k:9092" } });
    maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    let pod = running.wait("env", "done", |pod| phase(pod) == "Succeeded").await;
    let text = running.logs("env").await;
    let ip = pod.status.as_ref().unwrap().pod_ip.clone().unwrap();
    for line in
        ["kafka.bootstrap.servers=k:9092", &format!("WHERE={ip}"), &format!("POD_IP={ip}"), "HOSTNAME=env", "GIVEN=hi"]
    {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_comes_while_its_pod_starts_is_not_missed() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    // Who misses it waits for the next try, which is longer than the test does.
    config.restart_backoff = 10 * PATIENCE;
    let platform = Platform::start(config).await.unwrap();
    let client = Client::new(platform.service(), "default");
    let running = Running { platform, folder, pods: Api::default_namespaced(client.clone()), client };
    let maps: Api<ConfigMap> = Api::default_namespaced(running.client.clone());
    let names: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    for name in &names {
        let mut pod = shell(name, "exit 0");
        pod["spec"]["restartPolicy"] = "Never".into();
        pod["spec"]["containers"][0]["envFrom"] = json!([{ "configMapRef": { "name": name } }]);
        running.create(pod).await;
        running.wait(name, "shown", |pod| waiting_reason(pod).is_some()).await;
        let map = json!({ "metadata": { "name": name } });
        maps.create(&PostParams::default(), &serde_json::from_value(map).unwrap()).await.unwrap();
    }
    for name in &names {
        running.wait(name, "done", |pod| phase(pod) == "Succeeded").await;
    }
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crashing_container_is_restarted_with_back_off() {
    let running = start().await;
    running.create(shell("crash", "echo once more; exit 3")).await;
    let pod =
        running.wait("crash", "restarted", |pod| status(pod).is_some_and(|status| status.restart_count >= 3)).await;
    let last = status(&pod).unwrap().last_state.as_ref().unwrap().terminated.as_ref().unwrap();
    assert_eq!((last.exit_code, last.reason.as_deref()), (3, Some("Error")));
    running.wait("crash", "backing off", |pod| waiting_reason(pod) == Some("CrashLoopBackOff")).await;
    let previous = LogParams { previous: true, ..LogParams::default() };
    assert_eq!(running.pods.logs("crash", &previous).await.unwrap(), "once more\n");
    assert!(running.event_reasons("crash").await.iter().any(|reason| reason == "BackOff"));
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_may_not_restart_ends_in_its_exit_code() {
    let running = start().await;
    for (name, script, expected) in [("good", "exit 0", "Succeeded"), ("bad", "exit 7", "Failed")] {
        let mut pod = shell(name, script);
        pod["spec"]["restartPolicy"] = "Never".into();
        running.create(pod).await;
        let ended = running.wait(name, expected, |pod| phase(pod) == expected).await;
        assert_eq!(status(&ended).unwrap().restart_count, 0);
    }
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_its_probe_and_a_failing_liveness_probe_restarts() {
    let running = start().await;
    let file = |name: &str| running.folder.path().join(name).display().to_string();
    let mut pod = shell("probed", "exec sleep 1000");
    let container = &mut pod["spec"]["containers"][0];
    container["readinessProbe"] = json!({ "exec": { "command": ["test", "-f", file("ready")] }, "periodSeconds": 1 });
    container["livenessProbe"] =
        json!({ "exec": { "command": ["test", "!", "-f", file("sick")] }, "periodSeconds": 1, "failureThreshold": 1 });
    running.create(pod).await;
    let unready = running.wait("probed", "running", |pod| phase(pod) == "Running").await;
    assert!(!is_ready(&unready));
    std::fs::write(file("ready"), "").unwrap();
    running.wait("probed", "ready", is_ready).await;
    std::fs::write(file("sick"), "").unwrap();
    running.wait("probed", "restarted", |pod| status(pod).is_some_and(|status| status.restart_count >= 1)).await;
    let reasons = running.event_reasons("probed").await;
    assert!(reasons.iter().any(|r| r == "Unhealthy") && reasons.iter().any(|r| r == "Killing"), "{reasons:?}");
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_comes_first_and_sigkill_after_the_grace_period() {
    let running = start().await;
    let polite = running.folder.path().join("polite");
    let script = format!("trap 'touch {}; exit 0' TERM; echo up; while :; do sleep 0.05; done", polite.display());
    running.create(shell("polite", &script)).await;
    let mut stubborn = shell("stubborn", "trap '' TERM; echo up; while :; do sleep 0.05; done");
    stubborn["spec"]["terminationGracePeriodSeconds"] = 1.into();
    running.create(stubborn).await;
    for name in ["polite", "stubborn"] {
        let pod = running.wait(name, "ready", is_ready).await;
        // The trap is set when the line after it has been printed.
        let mut log =
            Box::pin(running.pods.log_stream(name, &LogParams { follow: true, ..LogParams::default() }).await.unwrap());
        log.read_exact(&mut [0; 3]).await.unwrap();
        running.pods.delete(name, &DeleteParams::default()).await.unwrap();
        running.wait_gone(name, uid(&pod)).await;
    }
    assert!(polite.exists());
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_without_a_program_says_how_to_give_it_one() {
    let running = start().await;
    let mut pod = shell("unknown", "");
    pod["spec"]["containers"][0]["image"] = "docker.io/library/nginx:1".into();
    running.create(pod).await;
    let pod = running.wait("unknown", "backing off", |pod| waiting_reason(pod) == Some("ImagePullBackOff")).await;
    let message = status(&pod).unwrap().state.as_ref().unwrap().waiting.as_ref().unwrap().message.clone().unwrap();
    let expected = "Back-off pulling image \"docker.io/library/nginx:1\": ErrImagePull: no program is known";
    assert!(message.starts_with(expected) && message.contains("--image NAME=COMMAND"), "{message}");
    assert_eq!((status(&pod).unwrap().restart_count, phase(&pod)), (0, "Pending"));
    running.wait("unknown", "tried again", |pod| waiting_reason(pod) == Some("ErrImagePull")).await;
    let events = running.events("unknown").await;
    for (kind, reason, start) in [
        ("Warning", "Failed", "Failed to pull image \"docker.io/library/nginx:1\": no program is known"),
        ("Warning", "Failed", "Error: ErrImagePull"),
        ("Normal", "BackOff", "Back-off pulling image \"docker.io/library/nginx:1\""),
        ("Warning", "Failed", "Error: ImagePullBackOff"),
    ] {
        let is_it = |event: &Event| {
            event.type_.as_deref() == Some(kind)
                && event.reason.as_deref() == Some(reason)
                && event.message.as_deref().is_some_and(|message| message.starts_with(start))
        };
        assert!(events.iter().any(is_it), "{reason} {start}: {events:?}");
    }
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_without_effect_is_an_event_of_the_pod() {
    let running = start().await;
    let mut pod = shell("odd", "exec sleep 1000");
    pod["spec"]["volumes"] = json!([{ "name": "data", "emptyDir": {} }]);
    pod["spec"]["containers"][0]["resources"] = json!({ "limits": { "memory": "64Mi" } });
    running.create(pod).await;
    running.wait("odd", "ready", is_ready).await;
    let events = running.events("odd").await;
    for path in ["spec.volumes[0].emptyDir", "spec.containers[0].resources.limits.memory"] {
        let names = |event: &&Event| event.message.as_deref().is_some_and(|message| message.starts_with(path));
        let event = events.iter().find(names).unwrap_or_else(|| panic!("{path}: {events:?}"));
        assert_eq!((event.type_.as_deref(), event.reason.as_deref()), (Some("Warning"), Some("NotServed")));
        assert_eq!(event.involved_object.field_path.as_deref(), Some(path));
    }
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_may_be_an_http_answer_or_an_open_port() {
    let running = start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let status = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(503));
    let answers = std::sync::Arc::clone(&status);
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let code = answers.load(std::sync::atomic::Ordering::SeqCst);
            let answer = format!("HTTP/1.1 {code} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            // A TCP probe is gone already; an HTTP probe reads it.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
        }
    });
    for (name, action) in [("http", "httpGet"), ("tcp", "tcpSocket")] {
        let mut pod = shell(name, "exec sleep 1000");
        pod["spec"]["containers"][0]["readinessProbe"] =
            json!({ action: { "port": port, "host": "127.0.0.1" }, "periodSeconds": 1 });
        running.create(pod).await;
    }
    running.wait("tcp", "ready", is_ready).await;
    let refused = |event: &Event| {
        event.message.as_deref() == Some("Readiness probe failed: HTTP probe failed with statuscode: 503")
    };
    running.wait_for_event("http", refused).await;
    assert!(!is_ready(&running.pods.get("http").await.unwrap()));
    status.store(200, std::sync::atomic::Ordering::SeqCst);
    running.wait("http", "ready", is_ready).await;
    running.platform.shutdown().await;
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_startup_probe_restarts_and_holds_the_others_back() {
    let running = start().await;
    let file = running.folder.path().join("started").display().to_string();
    let mut pod = shell("slow", "exec sleep 1000");
    let container = &mut pod["spec"]["containers"][0];
    container["startupProbe"] =
        json!({ "exec": { "command": ["test", "-f", file] }, "periodSeconds": 1, "failureThreshold": 2 });
    container["livenessProbe"] = json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 1 });
    running.create(pod).await;
    let killed = |message: &'static str| move |event: &Event| event.message.as_deref() == Some(message);
    running.wait_for_event("slow", killed("Container main failed startup probe, will be restarted")).await;
    let liveness = "Container main failed liveness probe, will be restarted";
    assert!(!running.events("slow").await.iter().any(killed(liveness)), "it is not asked before it has started");
    running.wait("slow", "restarted", |pod| status(pod).is_some_and(|status| status.restart_count >= 1)).await;
    std::fs::write(&file, "").unwrap();
    running.wait_for_event("slow", killed(liveness)).await;
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unhealthy_container_gets_its_probes_grace_and_is_restarted_even_if_it_ends_well() {
    let running = start().await;
    let mut pod = shell("deaf", "trap '' TERM; while :; do sleep 0.05; done");
    pod["spec"]["terminationGracePeriodSeconds"] = 1000.into();
    pod["spec"]["containers"][0]["livenessProbe"] = json!({ "exec": { "command": ["false"] }, "periodSeconds": 1,
        "failureThreshold": 1, "terminationGracePeriodSeconds": 1 });
    running.create(pod).await;
    let mut polite = shell("polite", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
    polite["spec"]["restartPolicy"] = "OnFailure".into();
    polite["spec"]["containers"][0]["livenessProbe"] =
        json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 1 });
    running.create(polite).await;
    for name in ["deaf", "polite"] {
        running.wait(name, "restarted", |pod| status(pod).is_some_and(|status| status.restart_count >= 1)).await;
    }
    running.pods.delete("deaf", &DeleteParams::default().grace_period(0)).await.unwrap();
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_deleted_while_a_probe_kills_it_has_no_more_time_than_it_is_given() {
    let running = start().await;
    let mut pod = shell("deaf", "trap '' TERM; while :; do sleep 0.05; done");
    pod["spec"]["terminationGracePeriodSeconds"] = 1000.into();
    pod["spec"]["containers"][0]["livenessProbe"] =
        json!({ "exec": { "command": ["false"] }, "periodSeconds": 1, "failureThreshold": 1 });
    running.create(pod).await;
    running.wait_for_event("deaf", |event| event.reason.as_deref() == Some("Killing")).await;
    let pod = running.pods.get("deaf").await.unwrap();
    running.pods.delete("deaf", &DeleteParams::default().grace_period(1)).await.unwrap();
    running.wait_gone("deaf", uid(&pod)).await;
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_run_first_one_after_the_other() {
    let running = start().await;
    let file = running.folder.path().join("order").display().to_string();
    let mut pod = shell("init", &format!("echo main >> {file}; echo up; exec sleep 1000"));
    let step = |name: &str| json!({ "name": name, "image": "shell", "args": [format!("echo {name} | tee -a {file}")] });
    pod["spec"]["initContainers"] = json!([step("one"), step("two")]);
    running.create(pod).await;
    running.wait("init", "ready", is_ready).await;
    let mut log =
        Box::pin(running.pods.log_stream("init", &LogParams { follow: true, ..LogParams::default() }).await.unwrap());
    log.read_exact(&mut [0; 3]).await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "one\ntwo\nmain\n");
    let of_two = LogParams { container: Some("two".to_owned()), ..LogParams::default() };
    assert_eq!(running.pods.logs("init", &of_two).await.unwrap(), "two\n");
    running.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_go_on_at_the_next_start() {
    let running = start().await;
    running.create(shell("lasting", "exec sleep 1000")).await;
    let first = running.wait("lasting", "ready", is_ready).await;
    running.platform.shutdown().await;
    let again = start_in(running.folder).await;
    let second = again
        .wait("lasting", "restarted", |pod| {
            is_ready(pod) && status(pod).is_some_and(|status| status.restart_count == 1)
        })
        .await;
    assert_eq!(uid(&first), uid(&second));
    assert_eq!(first.status.unwrap().pod_ip, second.status.unwrap().pod_ip);
    again.platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_may_stand_for_the_process_of_another() {
    let running = start().await;
    let file = running.folder.path().join("ready").display().to_string();
    let mut leader = shell("leader", "exec sleep 1000");
    leader["spec"]["containers"][0]["readinessProbe"] =
        json!({ "exec": { "command": ["test", "-f", file] }, "periodSeconds": 1 });
    let mut follower = shell("follower", "");
    follower["metadata"]["annotations"] = json!({ RUNS_IN_ANNOTATION: "pod/leader" });
    let mut inside = shell("inside", "");
    inside["metadata"]["annotations"] = json!({ RUNS_IN_ANNOTATION: "up" });
    running.create(leader).await;
    running.create(follower).await;
    running.create(inside).await;
    running.wait("inside", "ready", is_ready).await;
    let unready = running.wait("follower", "running", |pod| phase(pod) == "Running").await;
    assert!(!is_ready(&unready));
    std::fs::write(&file, "").unwrap();
    let ready = running.wait("follower", "ready", is_ready).await;
    running.pods.delete("follower", &DeleteParams::default()).await.unwrap();
    running.wait_gone("follower", uid(&ready)).await;
    running.platform.shutdown().await;
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "run by killed_with_sigkill_it_leaves_no_process_behind"]
async fn victim() {
    let folder = std::env::var("VICTIM_FOLDER").unwrap();
    let platform = Platform::start(config(Path::new(&folder))).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(Client::new(platform.service(), "default"));
    // The child of the container ignores what it can ignore, and holds the pipe open as long as it lives.
    let script = format!("exec 3> {folder}/alive; (trap '' TERM HUP INT; sleep 1000) & sleep 1000; wait");
    pods.create(&PostParams::default(), &serde_json::from_value(shell("pod", &script)).unwrap()).await.unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_with_sigkill_it_leaves_no_process_behind() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("alive");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--ignored"])
        .env("VICTIM_FOLDER", folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    // Opening waits for the container to open the other end; reading ends when the last process that holds it has ended.
    let (opened, is_open) = tokio::sync::oneshot::channel();
    let reader = tokio::task::spawn_blocking(move || {
        let mut file = std::fs::File::open(pipe).unwrap();
        opened.send(()).unwrap();
        std::io::Read::read(&mut file, &mut [0; 1]).unwrap()
    });
    tokio::time::timeout(PATIENCE, is_open).await.unwrap().unwrap();
    victim.kill().unwrap();
    victim.wait().unwrap();
    assert_eq!(tokio::time::timeout(PATIENCE, reader).await.unwrap().unwrap(), 0);
}
