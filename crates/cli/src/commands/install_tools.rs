//! `millstream install-tools`: links under the names of Kafka's scripts, so that programs which start these find them.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, bail};

use crate::tools;

/// Where the links go.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Folder for the links; made when it is missing.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let program = std::env::current_exe().context("finding this program")?;
    fs::create_dir_all(&args.folder).with_context(|| format!("making {}", args.folder.display()))?;
    for tool in tools::TOOLS {
        let link = args.folder.join(format!("{}.sh", tool.script));
        make(&program, &link).with_context(|| format!("linking {}", link.display()))?;
        println!("{}", link.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Replaces a link, and nothing that is not one: a script of Kafka's own in that place is somebody's.
fn make(program: &Path, link: &Path) -> Result<()> {
    match fs::symlink_metadata(link) {
        Ok(found) if found.is_symlink() => fs::remove_file(link)?,
        Ok(_) => bail!("a file of this name is there and is no link: name another folder"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    #[cfg(unix)]
    std::os::unix::fs::symlink(program, link)?;
    #[cfg(not(unix))]
    fs::hard_link(program, link)?;
    Ok(())
}
