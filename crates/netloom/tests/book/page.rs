//! A page's code blocks, and the commands of a block.

/// One fenced block.
pub(crate) struct Block {
    /// The line of its fence, from 1.
    pub(crate) line: usize,
    /// The first word after the fence.
    pub(crate) language: String,
    pub(crate) text: String,
}

/// One command of a `console` block.
pub(crate) struct Command {
    pub(crate) line: String,
    /// It runs until the block ends.
    pub(crate) serves: bool,
    /// What it must say.
    pub(crate) wanted: Vec<String>,
}

/// All blocks of a page.
pub(crate) fn blocks(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut open = false;
    for (index, line) in text.lines().enumerate() {
        match line.strip_prefix("```") {
            Some(_) if open => open = false,
            Some(language) => {
                open = true;
                let language = language
                    .split([' ', ','])
                    .next()
                    .unwrap_or_default()
                    .to_owned();
                blocks.push(Block {
                    line: index + 1,
                    language,
                    text: String::new(),
                });
            }
            None if open => {
                if let Some(block) = blocks.last_mut() {
                    block.text.push_str(line);
                    block.text.push('\n');
                }
            }
            None => {}
        }
    }
    blocks
}

impl Block {
    /// Its commands in order.
    pub(crate) fn commands(&self) -> Vec<Command> {
        let mut commands: Vec<Command> = Vec::new();
        for line in self.text.lines() {
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(Command {
                    line: command.to_owned(),
                    serves: false,
                    wanted: Vec::new(),
                });
            } else if let Some(last) = commands.last_mut() {
                match line.strip_prefix("> ") {
                    Some(more) if last.wanted.is_empty() => {
                        last.line.push('\n');
                        last.line.push_str(more);
                    }
                    _ => last.wanted.push(line.to_owned()),
                }
            }
        }
        for command in &mut commands {
            if let Some(line) = command.line.strip_suffix(" &") {
                command.line = line.to_owned();
                command.serves = true;
            }
        }
        commands
    }
}

#[test]
fn a_page_is_taken_apart() {
    let page = "text\n```console\n$ netloom up &\n$ cat > x <<'END'\n> a\n> END\n$ echo 1\n1\n…\n```\n```sh\nls\n```\n";
    let blocks = blocks(page);
    assert_eq!(blocks.len(), 2);
    assert_eq!((blocks[0].line, blocks[1].language.as_str()), (2, "sh"));
    let commands = blocks[0].commands();
    assert_eq!(commands.len(), 3);
    assert!(commands[0].serves && commands[0].line == "netloom up");
    assert_eq!(commands[1].line, "cat > x <<'END'\na\nEND");
    assert_eq!(commands[2].wanted, ["1", "…"]);
}
