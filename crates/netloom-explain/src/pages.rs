//! The catalogue's pages: what each code means, how to see it by hand, what
//! causes it, what helps, and what to read; in English and in Chinese.
//!
//! They are files of `pages/LANGUAGE/`, packed into the program by `build.rs`.

use netloom_base::layout::Sheet;
use netloom_base::{CodeCard, Fields, Record};

/// A language that the pages are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese in simplified characters.
    Chinese,
}

impl Language {
    /// Every language.
    pub const ALL: [Language; 2] = [Language::English, Language::Chinese];

    /// The language's tag (RFC 5646).
    pub const fn tag(self) -> &'static str {
        match self {
            Language::English => "en",
            Language::Chinese => "zh",
        }
    }

    /// From a tag or a locale's name, such as `zh`, `zh-CN`, `zh_CN.UTF-8`;
    /// `None` for a language that no page is written in.
    pub fn named(name: &str) -> Option<Self> {
        let word = name.split(['-', '_', '.', '@']).next().unwrap_or_default();
        let known = |language: &Language| word.eq_ignore_ascii_case(language.tag());
        Language::ALL.into_iter().find(known)
    }

    /// The headings of the five sections, in order.
    pub const fn headings(self) -> [&'static str; 5] {
        match self {
            Language::English => ["What it means", "By hand", "Causes", "Fixes", "Read"],
            Language::Chinese => ["含义", "手工确认", "原因", "解决", "参考"],
        }
    }

    /// The same as words of a terminal's first column.
    const fn words(self) -> [&'static str; 5] {
        match self {
            Language::English => ["means", "by hand", "causes", "fixes", "read"],
            Language::Chinese => self.headings(),
        }
    }

    const fn packed(self) -> &'static [u8] {
        match self {
            Language::English => include_bytes!(concat!(env!("OUT_DIR"), "/en")),
            Language::Chinese => include_bytes!(concat!(env!("OUT_DIR"), "/zh")),
        }
    }
}

/// How large all pages of a language may be together.
const MOST: usize = 4 << 20;

/// One page.
#[derive(Debug, Clone)]
pub struct Page {
    /// The code it is about.
    pub card: CodeCard,
    /// The language it is in.
    pub language: Language,
    /// The text under each heading, in the order of [`Language::headings`].
    pub sections: [Vec<Part>; 5],
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Prose, without line breaks or marks.
    Prose(String),
    /// One point of a list.
    Point(String),
    /// A command, as it is typed.
    Command(String),
}

/// The page of a code; `None` where it has none in this language.
pub fn page(card: CodeCard, language: Language) -> Option<Page> {
    let text = all(language);
    let mut pages = text.split('\0');
    let text = pages.find(|page| title(page) == Some(card.code))?;
    read(card, language, text)
}

/// The text of all pages of a language, each with a zero byte at its end.
fn all(language: Language) -> String {
    let unpacked = miniz_oxide::inflate::decompress_to_vec_with_limit(language.packed(), MOST);
    // What `build.rs` packed can be unpacked; a test looks at every page.
    String::from_utf8(unpacked.unwrap_or_default()).unwrap_or_default()
}

fn title(page: &str) -> Option<&str> {
    Some(page.lines().next()?.strip_prefix("# ")?.trim())
}

/// Reads a page whose sections stand in order and are not empty.
fn read(card: CodeCard, language: Language, text: &str) -> Option<Page> {
    let mut sections: [Vec<Part>; 5] = Default::default();
    let mut headings = language.headings().into_iter();
    let mut at = None;
    let mut open = false; // whether the next line goes on the last part
    for line in text.lines().skip(1) {
        if let Some(heading) = line.strip_prefix("## ") {
            if headings.next() != Some(heading.trim()) {
                return None;
            }
            at = Some(at.map_or(0, |at: usize| at + 1));
            open = false;
            continue;
        }
        if line.trim().is_empty() {
            open = false;
            continue;
        }
        let parts = &mut sections[at?];
        if let Some(command) = line.strip_prefix("    ").filter(|_| !open) {
            parts.push(Part::Command(command.trim_end().to_owned()));
        } else if let Some(point) = line.strip_prefix("- ") {
            parts.push(Part::Point(unmarked(point)));
            open = true;
        } else if let (true, Some(Part::Prose(text) | Part::Point(text))) = (open, parts.last_mut())
        {
            join(text, &unmarked(line));
        } else {
            parts.push(Part::Prose(unmarked(line)));
            open = true;
        }
    }
    let whole = headings.next().is_none() && sections.iter().all(|parts| !parts.is_empty());
    whole.then_some(Page {
        card,
        language,
        sections,
    })
}

/// Without the marks around commands and the blanks around the line.
fn unmarked(line: &str) -> String {
    line.trim().replace('`', "")
}

/// Chinese goes on in the next line without a blank.
fn join(text: &mut String, line: &str) {
    let ascii = |c: Option<char>| c.is_some_and(|c| c.is_ascii());
    if ascii(text.chars().last()) || ascii(line.chars().next()) {
        text.push(' ');
    }
    text.push_str(line);
}

impl Page {
    /// The page in words, in lines of at most `width` columns where words
    /// allow it; a command is never broken.
    pub fn plain(&self, width: usize) -> String {
        let mut sheet = Sheet::new();
        sheet.row("stage", self.card.stage, "");
        for (heading, parts) in self.language.words().into_iter().zip(&self.sections) {
            sheet.gap();
            let mut last_was_command = false;
            for part in parts {
                let is_command = matches!(part, Part::Command(_));
                if is_command && !last_was_command {
                    sheet.gap();
                }
                match part {
                    Part::Prose(text) if last_was_command => {
                        sheet.gap();
                        sheet.row("", text, "");
                    }
                    Part::Prose(text) => sheet.row(heading, text, ""),
                    Part::Point(text) => sheet.point(heading, text),
                    Part::Command(text) => sheet.fixed(format_args!("    {text}")),
                }
                last_was_command = is_command;
            }
        }
        let CodeCard { code, sentence, .. } = self.card;
        format!("{code}: {sentence}\n{}", sheet.lines(width).join("\n"))
    }

    fn text(&self, section: usize) -> Vec<String> {
        let parts = self.sections[section].iter();
        parts
            .map(|part| match part {
                Part::Prose(text) | Part::Point(text) | Part::Command(text) => text.clone(),
            })
            .collect()
    }
}

impl Record for Page {
    fn kind(&self) -> &'static str {
        "page"
    }

    fn fields(&self, to: &mut dyn Fields) {
        to.text("code", self.card.code);
        to.text("stage", self.card.stage.name());
        to.text("text", self.card.sentence);
        to.text("lang", self.language.tag());
        for (i, name) in ["means", "by_hand", "causes", "fixes", "read"]
            .into_iter()
            .enumerate()
        {
            to.texts(name, &self.text(i));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::{card, codes, comes_with_a_protocol};

    const SMALL: &str = "# stopped\n\n## What it means\nIt was\nstopped.\n\n## By hand\nLook:\n\n    ps `x`\n\n\
                         ## Causes\n- one that\n  goes on\n- two\n\n## Fixes\n- `kill 1`\n\n## Read\n- kill(2)\n";

    #[test]
    fn a_page_is_read_in_parts_and_shown_without_marks() {
        let stopped = card("stopped").unwrap();
        let page = read(stopped, Language::English, SMALL).unwrap();
        assert_eq!(
            page.sections[0],
            [Part::Prose("It was stopped.".to_owned())]
        );
        assert_eq!(page.sections[1][1], Part::Command("ps `x`".to_owned()));
        assert_eq!(
            page.sections[2][0],
            Part::Point("one that goes on".to_owned())
        );
        assert_eq!(
            page.plain(30),
            "stopped: the service was told to stop\n  stage     close\n\n  means     It was stopped.\n\n  \
             by hand   Look:\n\n                ps `x`\n\n  causes    one that goes on\n            two\n\n  \
             fixes     kill 1\n\n  read      kill(2)"
        );
        let missing = SMALL.replace("## Fixes", "## Cures");
        assert!(read(stopped, Language::English, &missing).is_none());
        let empty = SMALL.replace("- kill(2)\n", "");
        assert!(read(stopped, Language::English, &empty).is_none());
    }

    #[test]
    fn chinese_lines_are_joined_without_blanks() {
        let mut text = "端口已被".to_owned();
        join(&mut text, "占用");
        join(&mut text, "TCP");
        assert_eq!(text, "端口已被占用 TCP");
    }

    #[test]
    fn a_locale_names_its_language() {
        for (name, language) in [
            ("zh", Some(Language::Chinese)),
            ("zh_CN.UTF-8", Some(Language::Chinese)),
            ("zh-Hant", Some(Language::Chinese)),
            ("en_GB.UTF-8", Some(Language::English)),
            ("C", None),
            ("zhuang", None),
        ] {
            assert_eq!(Language::named(name), language, "{name}");
        }
    }

    #[test]
    fn every_code_has_its_page_in_every_language() {
        let mut missing = Vec::new();
        for language in Language::ALL {
            for card in codes() {
                match page(card, language) {
                    Some(page) => assert!(page.plain(80).lines().count() > 10, "{}", card.code),
                    None => missing.push(format!("{}/{}", language.tag(), card.code)),
                }
            }
        }
        assert!(missing.is_empty(), "no whole page: {missing:?}");
    }

    #[test]
    fn every_page_belongs_to_a_code() {
        for language in Language::ALL {
            for text in all(language).split_terminator('\0') {
                let code = title(text).unwrap_or_default();
                let here = card(code).is_some() || comes_with_a_protocol(code);
                assert!(here, "{}: {code}", language.tag());
            }
        }
    }
}
