//! What the README and the book show, done.
//!
//! A `console` block runs in a folder of its own. A line `$ command`, continued
//! by lines `> …`, goes to the shell; the lines after it are what it must say,
//! output and errors together. In them `…` stands for any text, and a line that
//! is only `…` for any lines. A command that ends in `&` is a server: it must
//! say the lines after it, or else `listening …`, before the next command
//! runs, and it is ended with the block. Ports are free ones of this run.
//!
//! In an `sh` block nothing runs: its netloom commands must only be readable,
//! and those that serve a kind must make a file that `up --check` takes. A
//! `toml` block with services must pass that check too.
#![cfg(unix)]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "a test runs beside the product: it has no Cx, and a panic is its answer"
)]

mod page;
mod said;
mod shell;

use std::fs;
use std::path::{Path, PathBuf};

use page::{Block, Command};
use said::agrees;
use shell::{Folder, Ports, Running};

#[test]
fn the_readme_and_the_book_are_true() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut pages = vec![root.join("README.md")];
    pages.extend(markdown(&root.join("docs/book/src")));
    let mut wrong = Vec::new();
    let mut blocks = 0;
    for path in pages {
        let text = fs::read_to_string(&path).unwrap();
        for block in page::blocks(&text) {
            blocks += 1;
            if let Err(why) = check(&block) {
                wrong.push(format!("{}:{}: {why}", path.display(), block.line));
            }
        }
    }
    assert!(blocks > 20, "only {blocks} blocks were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn markdown(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(markdown(&path));
        } else if path.extension().is_some_and(|ext| ext == "md") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn check(block: &Block) -> Result<(), String> {
    match block.language.as_str() {
        "console" => console(block),
        "sh" => block.text.lines().try_for_each(readable),
        "toml" if block.text.contains("[service.") => loads(&block.text),
        _ => Ok(()),
    }
}

fn console(block: &Block) -> Result<(), String> {
    let folder = Folder::new();
    let ports = Ports::of(&block.text);
    let mut servers: Vec<Running> = Vec::new();
    for Command {
        line,
        serves,
        wanted,
    } in block.commands()
    {
        let mut running = folder.start(&ports.real(&line));
        let well = |said: &[String]| {
            if wanted.is_empty() && serves {
                said.iter().any(|line| line.starts_with("listening "))
            } else {
                agrees(&wanted, &ports.written(said))
            }
        };
        let good = if serves {
            running.until(well)
        } else {
            running.run_out(well)
        };
        if !good {
            let said = ports.written(running.said()).join("\n");
            return Err(format!(
                "$ {line}\nis to say\n{}\nand says\n{said}",
                wanted.join("\n")
            ));
        }
        if serves {
            servers.push(running);
        }
    }
    Ok(())
}

/// Whether netloom can read every command of a shell's line.
fn readable(line: &str) -> Result<(), String> {
    let commands = shell::commands(line);
    for command in commands
        .iter()
        .filter(|command| command.starts_with("netloom "))
    {
        let folder = Folder::new();
        if serves_a_kind(command) {
            let (good, file) = folder.run(&format!("{command} --print-config"));
            if !good {
                return Err(format!("{command}\ncannot be read:\n{file}"));
            }
            loads(&file)
                .map_err(|why| format!("{command}\nmakes a file that does not load: {why}"))?;
        } else {
            let (good, said) = folder.run(&format!("{command} --help"));
            if !good {
                return Err(format!("{command}\ncannot be read:\n{said}"));
            }
        }
    }
    Ok(())
}

fn serves_a_kind(command: &str) -> bool {
    let mut words = command.split_whitespace().skip(1);
    match words.next() {
        Some("serve") => words.next().is_some_and(|kind| !kind.starts_with('-')),
        Some("listen") => netloom::KINDS
            .iter()
            .any(|kind| command.contains(&format!(" --{}", kind.name()))),
        _ => false,
    }
}

fn loads(file: &str) -> Result<(), String> {
    let folder = Folder::new();
    fs::write(folder.path().join("netloom.toml"), file).unwrap();
    let (good, said) = folder.run("netloom up --check");
    if good { Ok(()) } else { Err(said) }
}
