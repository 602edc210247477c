//! README.zh-CN.md says what README.md says. Whether a sentence is well translated no test can tell; that
//! none is missing shows in what both languages write alike: headings, commands, tables, `code`, links, numbers.

use std::collections::BTreeSet;
use std::fs;

const ENGLISH: &str = "README.md";
const CHINESE: &str = "README.zh-CN.md";

/// What stands between two headings. A table is its rows: how many cells, and the `code` in them.
#[derive(Default)]
struct Section {
    heading: String,
    blocks: Vec<String>,
    tables: Vec<Vec<(usize, BTreeSet<String>)>>,
    code: BTreeSet<String>,
    links: BTreeSet<String>,
    numbers: BTreeSet<String>,
}

impl Section {
    fn level(&self) -> usize {
        self.heading.chars().take_while(|c| *c == '#').count()
    }

    fn table_row(&mut self, line: &str, first: bool) {
        let cells = line.replace("\\|", "").matches('|').count() - 1;
        let row = (cells, spans(line).0);
        if first {
            self.tables.push(Vec::new());
        }
        self.tables.last_mut().unwrap().push(row);
    }

    fn paragraph(&mut self, text: &str) {
        let (code, mut prose) = spans(text);
        self.code.extend(code);
        while let Some((before, rest)) = prose.split_once("](") {
            let (target, after) = rest.split_once(')').unwrap();
            let same = if target == CHINESE { ENGLISH } else { target };
            self.links.insert(if same == ENGLISH { "the other language's README" } else { same }.to_owned());
            prose = format!("{before} {after}");
        }
        let words = prose.split(|c: char| !c.is_ascii_digit() && c != '.').map(|w| w.trim_matches('.'));
        self.numbers.extend(words.filter(|w| !w.is_empty()).map(str::to_owned));
    }
}

/// The `code` in a text, and the text without it.
fn spans(text: &str) -> (BTreeSet<String>, String) {
    let parts: Vec<&str> = text.split('`').collect();
    assert!(parts.len() % 2 == 1, "a ` without its fellow: {text}");
    let prose: Vec<&str> = parts.iter().step_by(2).copied().collect();
    (parts.iter().skip(1).step_by(2).map(|s| (*s).to_owned()).collect(), prose.join("x"))
}

/// A block without its comments, which are translated: ` #` and what follows, and lines that begin with #
/// (not in a console's, where # is the prompt).
fn commands(kind: &str, block: &[&str]) -> String {
    if kind == "console" {
        return block.join("\n");
    }
    let code = block.iter().map(|l| if l.starts_with('#') { "" } else { l.split(" #").next().unwrap() });
    code.map(str::trim_end).filter(|l| !l.is_empty()).collect::<Vec<_>>().join("\n")
}

fn sections(text: &str) -> Vec<Section> {
    let mut found = vec![Section::default()];
    let mut lines = text.lines().peekable();
    let (mut paragraph, mut in_table) = (String::new(), false);
    while let Some(line) = lines.next() {
        let here = found.last_mut().unwrap();
        let row = line.starts_with('|');
        if line.is_empty() || line.starts_with('#') || line.starts_with("```") {
            here.paragraph(&std::mem::take(&mut paragraph));
        }
        if let Some(kind) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|l| *l != "```").collect();
            here.blocks.push(format!("```{kind}\n{}", commands(kind, &block)));
        } else if line.starts_with('#') {
            found.push(Section { heading: line.to_owned(), ..Section::default() });
        } else {
            if row {
                here.table_row(line, !in_table);
            }
            paragraph.push_str(if paragraph.is_empty() { "" } else { " " });
            paragraph.push_str(line.trim_start());
        }
        in_table = row;
    }
    found.last_mut().unwrap().paragraph(&paragraph);
    found
}

/// What one has and the other has not.
fn only(what: &str, english: &BTreeSet<String>, chinese: &BTreeSet<String>, told: &mut Vec<String>) {
    for (one, other, name) in [(english, chinese, ENGLISH), (chinese, english, CHINESE)] {
        told.extend(one.difference(other).map(|missing| format!("{what} only in {name}: {missing}")));
    }
}

fn section_differences(en: &Section, zh: &Section) -> Vec<String> {
    let mut told = Vec::new();
    if en.blocks.len() != zh.blocks.len() {
        told.push(format!("code blocks: {} and {}", en.blocks.len(), zh.blocks.len()));
    }
    for (one, other) in en.blocks.iter().zip(&zh.blocks).filter(|(one, other)| one != other) {
        let before = told.len();
        only("line of a code block", &lines_of(one), &lines_of(other), &mut told);
        if told.len() == before {
            told.push(format!("lines of a code block in another order, or kind: {one}"));
        }
    }
    let rows = |s: &Section| s.tables.iter().map(Vec::len).collect::<Vec<_>>();
    if rows(en) != rows(zh) {
        told.push(format!("rows of tables: {:?} and {:?}", rows(en), rows(zh)));
    }
    for (at, (one, other)) in en.tables.concat().iter().zip(&zh.tables.concat()).enumerate() {
        if one.0 != other.0 {
            told.push(format!("columns of table row {}: {} and {}", at + 1, one.0, other.0));
        }
        only(&format!("`code` of table row {}", at + 1), &one.1, &other.1, &mut told);
    }
    only("`code`", &en.code, &zh.code, &mut told);
    only("link", &en.links, &zh.links, &mut told);
    // Chinese has digits where English has words.
    only("number", &en.numbers, &en.numbers.intersection(&zh.numbers).cloned().collect(), &mut told);
    told
}

fn lines_of(block: &str) -> BTreeSet<String> {
    block.lines().map(str::to_owned).collect()
}

fn differences(english: &str, chinese: &str) -> Vec<String> {
    let (en, zh) = (sections(english), sections(chinese));
    if !en.iter().map(Section::level).eq(zh.iter().map(Section::level)) {
        let list = |all: &[Section]| all.iter().map(|s| s.heading.as_str()).collect::<Vec<_>>().join("\n  ");
        return vec![format!("headings differ:\n{ENGLISH}{}\n{CHINESE}{}", list(&en), list(&zh))];
    }
    let under = |en: &Section, zh: &Section| format!("{:?}, {:?}", en.heading, zh.heading);
    let pairs = en.iter().zip(&zh);
    pairs
        .flat_map(|(e, z)| {
            section_differences(e, z).into_iter().map(move |d| format!("{}: {d}", under(e, z)))
        })
        .collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(super::root().join(name)).unwrap()
}

#[test]
fn the_chinese_readme_has_what_the_english_one_has() {
    let told = differences(&read(ENGLISH), &read(CHINESE));
    assert!(
        told.is_empty(),
        "bring {CHINESE} up to date with {ENGLISH} (or the reverse):\n{}",
        told.join("\n")
    );
}

/// What the comparison finds: one change each, and a translation in which there is nothing to find.
#[test]
fn a_readme_left_behind_is_told_with_its_section() {
    let english = "# k\n[zh](README.zh-CN.md)\n\n## A\n`-x` takes 90 s.\n\n```sh\nk a   # does\nk b\n```\n\n| a | b |\n|---|---|\n| `c` | d |\n";
    let chinese = "# k\n[en](README.md)\n\n## 甲\n`-x` 要 90 秒。\n\n```sh\nk a # 做\n    # 好\nk b\n```\n\n| 甲 | 乙 |\n|---|---|\n| `c` | 丁 |\n";
    assert_eq!(differences(english, chinese), Vec::<String>::new());
    for (from, to, expected) in [
        ("`-x` takes", "`-x`, `-y` take", "\"## A\", \"## 甲\": `code` only in README.md: `-y`"),
        ("`-x` takes", "It takes", "`code` only in README.zh-CN.md: `-x`"),
        ("90 s", "60 s", "number only in README.md: 60"),
        ("s.\n", "s: [m](m.html).\n", "link only in README.md: m.html"),
        ("k b\n", "k c\n", "line of a code block only in README.md: k c"),
        ("k a   # does\nk b\n", "k b\nk a\n", "lines of a code block in another order"),
        ("```\n\n", "```\n\n```\nx\n```\n\n", "code blocks: 2 and 1"),
        ("| `c` | d |", "| `c` | `d` |", "`code` of table row 3 only in README.md: `d`"),
        ("| `c` | d |", "| `c` | d | e |", "columns of table row 3: 3 and 2"),
        ("d |\n", "d |\n| e | f |\n", "rows of tables: [4] and [3]"),
        ("\n## A", "\n## B\n\n## A", "headings differ:"),
        ("\n## A", "\n### A", "headings differ:"),
    ] {
        let told = differences(&english.replacen(from, to, 1), chinese);
        assert!(
            told.iter().any(|d| d.replace('`', "").contains(&expected.replace('`', ""))),
            "{from} -> {to}: {told:?}"
        );
    }
}

fn han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

/// A space between Han and Latin, full-width punctuation behind Han, and no line ends inside of a clause:
/// there Markdown would show a space.
#[test]
fn the_chinese_readme_is_typeset_as_chinese_is() {
    let text = read(CHINESE);
    for (at, line) in text.lines().enumerate().filter(|(_, l)| l.contains(han)) {
        let chars: Vec<char> = line.chars().collect();
        for two in chars.windows(2) {
            let (a, b) = (two[0], two[1]);
            let latin = |c: char| c.is_ascii_alphanumeric() || c == '`';
            let tight = (han(a) && latin(b)) || (latin(a) && han(b));
            assert!(!tight, "{CHINESE}:{}: no space between {a} and {b}: {line}", at + 1);
            assert!(!(han(a) && ",.;:!?()".contains(b)), "{CHINESE}:{}: {a}{b}: {line}", at + 1);
        }
        let next = text.lines().nth(at + 1).unwrap_or_default();
        let ends = chars.last().copied().is_some_and(|c| han(c) || c.is_ascii_alphanumeric() || c == '`');
        let runs_on = ends && !next.is_empty() && !line.starts_with('#') && !line.contains(" #");
        assert!(!runs_on, "{CHINESE}:{}: the line ends inside of a clause: {line}", at + 1);
    }
}
