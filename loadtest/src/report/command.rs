//! `studyhall-loadtest report` and `machine`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde_json::json;

use super::document::{Block, Document};
use super::machine::Machine;
use super::performance::{Notes, document};
use super::results::Results;

/// `report`
#[derive(Debug, Clone, clap::Args)]
pub struct ReportArgs {
    /// Files of the JSON lines that runs printed.
    #[arg(required = true)]
    results: Vec<PathBuf>,
    /// Writes one page that asks for nothing else.
    #[arg(long)]
    html: Option<PathBuf>,
    /// Writes Markdown; its plots go to --svg.
    #[arg(long, requires = "svg")]
    markdown: Option<PathBuf>,
    /// The directory of the plots. Plots in it that are no longer drawn are removed.
    #[arg(long, requires = "markdown")]
    svg: Option<PathBuf>,
    /// Markdown by hand: what stands below a heading `## SCENARIO` comes to that scenario, `## summary` to the targets.
    #[arg(long)]
    notes: Option<PathBuf>,
}

/// `machine`
#[derive(Debug, Clone, clap::Args)]
pub struct MachineArgs {
    /// What was built.
    #[arg(long)]
    commit: Option<String>,
}

/// Writes what was asked for.
pub fn report(args: &ReportArgs) -> Result<()> {
    let notes = args.notes.as_ref().map(|path| read(path).map(|text| notes(&text))).transpose()?.unwrap_or_default();
    let document = document(&Results::read(&args.results)?, &notes);
    if let Some(path) = &args.html {
        write(path, &document.html())?;
    }
    if let (Some(path), Some(plots)) = (&args.markdown, &args.svg) {
        let beside = path.parent().and_then(|parent| plots.strip_prefix(parent).ok()).unwrap_or(plots);
        let Some(beside) = beside.to_str() else {
            bail!("{} is no text", beside.display());
        };
        let beside = beside.trim_end_matches('/');
        write(path, &document.markdown(&if beside.is_empty() { String::new() } else { format!("{beside}/") }))?;
        write_plots(plots, &document)?;
    }
    if args.html.is_none() && args.markdown.is_none() {
        print!("{}", document.markdown(""));
    }
    Ok(())
}

/// Prints the line that tells the results where they were measured.
pub fn machine(args: &MachineArgs) {
    println!("{}", json!({ "machine": Machine::here(args.commit.clone()) }));
}

fn write_plots(directory: &Path, document: &Document) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "svg") {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    for block in document.blocks() {
        if let Block::Plot { file, svg, .. } = block {
            write(&directory.join(file), svg)?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("writing {}", path.display()))
}

/// What stands before the first heading is for those who write it.
fn notes(text: &str) -> Notes {
    let parts = text.split("\n## ").skip(1);
    let split = |part: &str| part.split_once('\n').map(|(name, text)| (name.trim().to_owned(), text.trim().to_owned()));
    parts.filter_map(split).filter(|(_, text)| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plot::tests::well_formed;
    use super::super::sample;
    use super::*;

    fn args(directory: &Path) -> ReportArgs {
        fs::create_dir_all(directory.join("performance")).unwrap();
        let (results, by_hand) = (directory.join("results.jsonl"), directory.join("notes.md"));
        fs::write(&results, sample::lines()).unwrap();
        fs::write(&by_hand, "# For writers\n\n## rooms\n\nWe parse; `bun` does not.\n\n## lecture\n").unwrap();
        ReportArgs {
            results: vec![results],
            html: Some(directory.join("report.html")),
            markdown: Some(directory.join("performance.md")),
            svg: Some(directory.join("performance")),
            notes: Some(by_hand),
        }
    }

    #[test]
    fn all_files_are_written_and_old_plots_removed() {
        let directory = std::env::temp_dir().join(format!("studyhall-report-{}", std::process::id()));
        let args = args(&directory);
        let old = directory.join("performance/gone.svg");
        fs::write(&old, "").unwrap();
        report(&args).unwrap();
        assert!(!old.exists());
        let markdown = read(args.markdown.as_ref().unwrap()).unwrap();
        let linked: Vec<&str> = markdown.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
        assert!(linked.contains(&"performance/rooms-cpu.svg"), "{linked:?}");
        for plot in linked {
            assert_eq!(well_formed(&read(&directory.join(plot)).unwrap()), Ok(()), "{plot}");
        }
        assert!(markdown.contains("We parse; `bun` does not."));
        assert!(read(args.html.as_ref().unwrap()).unwrap().contains("<code>bun</code> does not"));
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn notes_go_by_scenario() {
        let found = notes("# Notes\nignored\n\n## rooms\n\nOne.\n\nTwo.\n\n## lecture\n\n## flood\nThree.\n");
        let expected =
            [("rooms", "One.\n\nTwo."), ("flood", "Three.")].map(|(name, text)| (name.to_owned(), text.to_owned()));
        assert_eq!(found, expected);
    }
}
