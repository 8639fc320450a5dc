//! `millstream delete`: removes objects of a running `up`, by manifest or by name, in kubectl's words.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};

use super::get::{encode, kind_called};
use crate::kubectl::resources::{Resource, Resources};
use crate::kubectl::server::{RequestError, Server};
use crate::manifest::{self, Manifest};
use crate::running::Target;

/// How often an object that is going is looked at.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Removes objects: -f FILE, KIND NAME…, KIND/NAME…, KIND --all.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// KIND NAME… or KIND/NAME….
    #[arg(value_name = "KIND|KIND/NAME")]
    what: Vec<String>,
    /// A file or a folder with manifests, or - for standard input.
    #[arg(short, long = "filename", value_name = "PATH", conflicts_with = "what")]
    filename: Vec<String>,
    /// The namespace to look in.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// All objects of the kind in the namespace.
    #[arg(long)]
    all: bool,
    /// A missing object is no error.
    #[arg(long)]
    ignore_not_found: bool,
    /// Wait until the objects are gone.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set)]
    wait: bool,
    /// Print KIND/NAME only.
    #[arg(short, long, value_parser = ["name"])]
    output: Option<String>,
}

/// One object to delete.
struct Doomed<'r> {
    resource: &'r Resource,
    namespace: String,
    name: String,
    /// The file that names it, for complaints.
    file: Option<String>,
}

impl Doomed<'_> {
    fn path(&self) -> String {
        self.resource.object(Some(&self.namespace), &self.name)
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let manifests = manifest::read(&args.filename)?;
    let server = args.target.server().await?;
    let resources = Resources::discover(&server).await?;
    let mut complaints = 0;
    let doomed = if args.filename.is_empty() {
        named(&server, &resources, &args).await?
    } else {
        in_manifests(&manifests, &resources, &args)
    };
    if doomed.is_empty() {
        println!("No resources found");
    }
    let mut going = Vec::new();
    for object in &doomed {
        match server.delete(&object.path()).await {
            Ok(_) => {
                say(object, &args);
                going.push(object);
            }
            Err(error) if args.ignore_not_found && error.reason() == "NotFound" => {}
            Err(error) => {
                complaints += 1;
                eprintln!("{}", complaint(object, &error));
            }
        }
    }
    if args.wait {
        wait(&server, &going).await?;
    }
    Ok(if complaints == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What manifests name; a kind that the server does not know is warned about.
fn in_manifests<'r>(manifests: &[Manifest], resources: &'r Resources, args: &Args) -> Vec<Doomed<'r>> {
    let mut doomed = Vec::new();
    for manifest in manifests {
        let (kind, version) = (manifest.kind(), manifest.api_version());
        match resources.of_kind(version, kind) {
            Some(resource) => doomed.push(Doomed {
                resource,
                namespace: manifest.namespace().unwrap_or(&args.namespace).to_owned(),
                name: manifest.name().to_owned(),
                file: Some(manifest.place("")),
            }),
            None => {
                let place = manifest.place("kind");
                eprintln!("warning: {place}: no matches for kind \"{kind}\" in version \"{version}\"");
            }
        }
    }
    doomed
}

fn complaint(object: &Doomed<'_>, error: &RequestError) -> String {
    match &object.file {
        Some(file) => error.while_doing("deleting", file),
        None => error.to_string(),
    }
}

fn say(object: &Doomed<'_>, args: &Args) {
    let (kind, name) = (object.resource.printed(), &object.name);
    if args.output.is_some() {
        println!("{kind}/{name}");
    } else {
        println!("{kind} \"{name}\" deleted");
    }
}

async fn named<'r>(server: &Server, resources: &'r Resources, args: &Args) -> Result<Vec<Doomed<'r>>> {
    let of = |resource: &'r Resource, name: &str| Doomed {
        resource,
        namespace: args.namespace.clone(),
        name: name.to_owned(),
        file: None,
    };
    let Some(first) = args.what.first() else { bail!("name what to delete: -f PATH, KIND NAME, or KIND --all") };
    if first.contains('/') {
        let mut all = Vec::new();
        for word in &args.what {
            let Some((kind, name)) = word.split_once('/') else {
                bail!("arguments in resource/name form may not be mixed with others")
            };
            all.push(of(kind_called(resources, kind)?, name));
        }
        return Ok(all);
    }
    let mut all = Vec::new();
    for kind in first.split(',') {
        let resource = kind_called(resources, kind)?;
        all.extend(args.what[1..].iter().map(|name| of(resource, name)));
        if args.what.len() > 1 {
            continue;
        }
        if !args.all && args.selector.is_none() {
            bail!("resource(s) were provided, but no name was specified");
        }
        let query = args.selector.as_ref().map(|s| format!("?labelSelector={}", encode(s))).unwrap_or_default();
        let list = server.get(&format!("{}{query}", resource.collection(Some(&args.namespace)))).await?;
        let items = list["items"].as_array().cloned().unwrap_or_default();
        all.extend(items.iter().filter_map(|item| Some(of(resource, item["metadata"]["name"].as_str()?))));
    }
    Ok(all)
}

/// Finalizers and graceful ends take their time; kubectl waits for them too.
async fn wait(server: &Server, going: &[&Doomed<'_>]) -> Result<()> {
    let mut look = tokio::time::interval(LOOK_INTERVAL);
    for object in going {
        let before = server.find(&object.path()).await?;
        let uid = before.map(|object| object["metadata"]["uid"].clone());
        while let Some(uid) = &uid {
            // Another object of the same name is not the one that was deleted.
            match server.find(&object.path()).await? {
                Some(now) if now["metadata"]["uid"] == *uid && now["metadata"]["deletionTimestamp"].is_string() => {}
                _ => break,
            }
            look.tick().await;
        }
    }
    Ok(())
}
