//! `millstream apply`: brings a running `up` to what manifests say. Where none runs, one is started in the background.

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum;

use crate::kubectl::apply::{self, Applicable, Options, Validation};
use crate::kubectl::resources::Resources;
use crate::kubectl::server::Server;
use crate::manifest::{self, Manifest};
use crate::running::Target;
use crate::up::detached;

/// Applies manifests to what is running.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    target: Target,
    /// A file or a folder with manifests, or - for standard input; may be given several times.
    #[arg(short, long = "filename", value_name = "PATH", required = true)]
    filename: Vec<String>,
    /// The namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// Only say what would be done: `client` without telling the server, `server` with the server's checks.
    #[arg(long, value_enum, default_value_t = DryRun::None, num_args = 0..=1, default_missing_value = "client", require_equals = true)]
    dry_run: DryRun,
    /// What happens with unknown fields: strict (an error), warn, ignore.
    #[arg(long, value_enum, default_value_t = Validate::Strict, num_args = 0..=1, default_missing_value = "strict", require_equals = true)]
    validate: Validate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DryRun {
    None,
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Validate {
    #[value(alias = "true")]
    Strict,
    Warn,
    #[value(alias = "false")]
    Ignore,
}

impl From<Validate> for Validation {
    fn from(validate: Validate) -> Self {
        match validate {
            Validate::Strict => Self::Strict,
            Validate::Warn => Self::Warn,
            Validate::Ignore => Self::Ignore,
        }
    }
}

pub(crate) async fn run(args: Args) -> Result<ExitCode> {
    let manifests = manifest::read(&args.filename)?;
    let options = Options { namespace: args.namespace, validation: args.validate.into() };
    let server = match args.target.find().await? {
        Some((_, server)) => server,
        None if args.dry_run == DryRun::Client => {
            // Nothing is there to compare with: everything would be made.
            for manifest in &manifests {
                println!("{} created (dry run)", apply::printed_without_server(manifest));
            }
            return Ok(ExitCode::SUCCESS);
        }
        None => {
            let (running, server) = detached::start(&args.target, &[]).await?;
            let (pid, dir) = (running.pid, running.data_dir.display());
            eprintln!("started millstream in the background (pid {pid}, data in {dir}); stop it with `kill {pid}`");
            server
        }
    };
    let mode = match args.dry_run {
        DryRun::None => Mode::Apply,
        DryRun::Client => Mode::DryRun("dry run"),
        DryRun::Server => Mode::DryRun("server dry run"),
    };
    let applied = apply_all(&server, &manifests, &options, mode).await?;
    Ok(if applied.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Whether anything is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Apply,
    /// Nothing is changed; the words behind each line.
    DryRun(&'static str),
}

/// One object that was applied: its printed name, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub(crate) printed: String,
    pub(crate) path: String,
    pub(crate) api_version: String,
    pub(crate) kind: String,
}

/// Checks all manifests, then applies them, and prints a line for each. `None` when one was refused; then nothing at all was
/// changed, and each complaint is on stderr.
///
/// # Errors
/// The server cannot be asked for its kinds, or refuses an object that it had accepted in the check.
pub(crate) async fn apply_all(
    server: &Server,
    manifests: &[Manifest],
    options: &Options,
    mode: Mode,
) -> Result<Option<Vec<Applied>>> {
    let resources = Resources::discover(server).await?;
    let (applicable, warnings) = Applicable::all(manifests, &resources, options);
    for warning in warnings {
        eprintln!("Warning: {warning}");
    }
    if let Err(complaints) = apply::check(server, &applicable, options).await {
        for complaint in complaints {
            eprintln!("error: {complaint}");
        }
        return Ok(None);
    }
    let mut applied = Vec::new();
    for object in &applicable {
        let (outcome, warnings) = object.apply(server, options, mode != Mode::Apply).await?;
        for warning in warnings {
            eprintln!("Warning: {}: {warning}", object.printed());
        }
        match mode {
            Mode::Apply => println!("{} {}", object.printed(), outcome.word()),
            Mode::DryRun(words) => println!("{} {} ({words})", object.printed(), outcome.word()),
        }
        applied.push(Applied {
            printed: object.printed(),
            path: object.path(),
            api_version: object.resource().api_version(),
            kind: object.resource().kind.clone(),
        });
    }
    Ok(Some(applied))
}
