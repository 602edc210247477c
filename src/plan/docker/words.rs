//! The words that systemd makes of a command line, and its environment files. Measured with systemd 252.

/// A word as it is written, and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// With its quotes and escapes.
    pub raw: String,
    /// Without.
    pub text: String,
}

/// A word of a command line.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// As it is written.
    pub raw: String,
    /// The variable that it is: `$NAME` as a word of its own.
    pub variable: Option<String>,
    /// What it becomes: of a variable its value's words (none if it is not set), else one.
    pub words: Vec<Word>,
}

/// What the program's name may begin with (systemd.service(5); `:` means no variables, `@` that the next
/// word is argv\[0\]).
const PREFIXES: &str = "@-:+!";

/// The argv that systemd makes of an ExecStart line, argv\[0\] first. A specifier (`%H`) stays as it is.
pub fn words(line: &str, variables: &[(String, String)]) -> Result<Vec<String>, String> {
    let pieces = pieces(line, variables)?;
    let named = pieces.first().is_some_and(|p| prefixes(p).contains('@'));
    let all = pieces.into_iter().flat_map(|p| p.words).map(|w| w.text);
    let mut argv: Vec<String> = all.skip(usize::from(named)).collect();
    if let Some(program) = argv.first_mut().filter(|_| !named) {
        *program = program.trim_start_matches(|c| PREFIXES.contains(c)).to_owned();
    }
    Ok(argv)
}

/// The same with what each word was written as; the program keeps its prefixes.
pub fn pieces(line: &str, variables: &[(String, String)]) -> Result<Vec<Piece>, String> {
    let mut pieces: Vec<Piece> = Vec::new();
    for mut word in split(line, true)? {
        if word.raw == ";" {
            return Err("holds several commands, cut by ';': a service of docker has one".into());
        }
        if word.raw == "\\;" {
            ";".clone_into(&mut word.text);
        }
        word.text = word.text.replace("%%", "%");
        let plain = pieces.first().is_none_or(|p| prefixes(p).contains(':'));
        let name = word.text.strip_prefix('$').filter(|n| !plain && !n.starts_with(['{', '$']));
        let variable = name.map(str::to_owned);
        let words = match &variable {
            Some(name) => split(value(variables, name), false)?,
            None if plain => vec![word.clone()],
            None => vec![Word { text: braces(&word.text, variables), raw: word.raw.clone() }],
        };
        pieces.push(Piece { raw: word.raw, variable, words });
    }
    Ok(pieces)
}

fn prefixes(program: &Piece) -> &str {
    let end = program.raw.find(|c| !PREFIXES.contains(c)).unwrap_or(0);
    &program.raw[..end]
}

fn value<'a>(variables: &'a [(String, String)], name: &str) -> &'a str {
    variables.iter().rev().find(|(n, _)| n == name).map_or("", |(_, v)| v)
}

/// Puts in each `${NAME}`; `$$` is a dollar. Any other dollar is itself.
fn braces(text: &str, variables: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let name = rest.strip_prefix('{').and_then(|r| r.split_once('}'));
        if let Some((name, after)) = name {
            out.push_str(value(variables, name));
            rest = after;
        } else {
            out.push('$');
            rest = rest.strip_prefix('$').unwrap_or(rest);
        }
    }
    out + rest
}

/// Cuts at white space outside of quotes. With `escapes` the C escapes are understood and one that is
/// none stays (a unit's line); else a backslash is taken off the character after it and an open quote
/// ends with the text (a variable's value).
pub fn split(text: &str, escapes: bool) -> Result<Vec<Word>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (word, length) = first(rest, escapes)?;
        all.push(Word { raw: rest[..length].to_owned(), text: word });
        rest = rest[length..].trim_start();
    }
    Ok(all)
}

fn first(text: &str, escapes: bool) -> Result<(String, usize), String> {
    let (mut word, mut quote, mut at) = (String::new(), None, 0);
    while let Some(c) = text[at..].chars().next() {
        let after = at + c.len_utf8();
        match (c, quote) {
            ('\\', _) if after < text.len() => {
                let (what, length) = escape(&text[after..], escapes);
                word.push_str(&what);
                at = after + length;
                continue;
            }
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() => return Ok((word, at)),
            (c, _) => word.push(c),
        }
        at = after;
    }
    match quote {
        Some(q) if escapes => Err(format!("a {q} is not closed")),
        _ => Ok((word, at)),
    }
}

/// What stands after a backslash: the text that it means, and its length.
fn escape(rest: &str, escapes: bool) -> (String, usize) {
    let Some(c) = rest.chars().next() else { return ("\\".into(), 0) };
    let number = |skip: usize, digits: usize, radix| {
        let text = rest.get(skip..skip + digits)?;
        let code = u32::from_str_radix(text, radix).ok().filter(|n| *n > 0)?;
        Some((char::from_u32(code)?.to_string(), skip + digits))
    };
    let simple = "abfnrtvs".find(c).map(|at| "\x07\x08\x0c\n\r\t\x0b ".split_at(at).1);
    let known = match c {
        _ if !escapes => None,
        'x' => number(1, 2, 16),
        'u' => number(1, 4, 16),
        'U' => number(1, 8, 16),
        '0'..='7' => number(0, 3, 8),
        _ => simple.and_then(|s| Some((s.chars().next()?.to_string(), 1))),
    };
    let itself = !escapes || matches!(c, '\\' | '"' | '\'');
    known.unwrap_or_else(|| (if itself { c.to_string() } else { format!("\\{c}") }, c.len_utf8()))
}

/// A unit file's lines without comments, those that a backslash continues joined (it is a space). A
/// comment between them is passed over.
pub fn lines(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut begun = String::new();
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            begun.push_str(&line[..line.len() - 1]);
            begun.push(' ');
        } else {
            all.push(std::mem::take(&mut begun) + line);
        }
    }
    all.push(begun);
    all.retain(|l| !l.trim().is_empty());
    all
}

/// The assignments of an environment file (systemd.exec(5), EnvironmentFile=): one a line, `#` and `;`
/// comments, quotes around the whole value, a backslash at the end of a line joins the next one. Other
/// lines are passed over, as systemd does.
pub fn env_file(text: &str) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let text = text.replace("\\\n", "");
    for line in text.lines().map(str::trim).filter(|l| !l.starts_with(['#', ';'])) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let value = value.trim_start();
        let text = match value.chars().next() {
            Some(q @ ('"' | '\'')) => unquote(value, q),
            _ => unescape(value),
        };
        all.push((name.trim().to_owned(), text));
    }
    all
}

fn unescape(value: &str) -> String {
    let mut chars = value.chars();
    std::iter::from_fn(|| chars.next().and_then(|c| if c == '\\' { chars.next() } else { Some(c) })).collect()
}

/// In double quotes a backslash is taken off `"`, `\`, `$` and a backquote only; in single ones off none.
fn unquote(value: &str, quote: char) -> String {
    let mut out = String::new();
    let mut chars = value.chars().skip(1).peekable();
    while let Some(c) = chars.next().filter(|c| *c != quote) {
        let escaped = chars.next_if(|n| c == '\\' && quote == '"' && "\"\\$`".contains(*n));
        out.push(escaped.unwrap_or(c));
    }
    out
}

/// The line of an environment file that `env_file` and systemd read back.
pub fn assignment(name: &str, value: &str) -> String {
    let escaped: String =
        value.chars().map(|c| if "\"\\$`".contains(c) { format!("\\{c}") } else { c.into() }).collect();
    format!("{name}=\"{escaped}\"\n")
}

/// A word for an ExecStart line.
pub fn for_line(word: &str) -> String {
    let plain = word.replace('$', "$$").replace('%', "%%");
    if plain.is_empty() || plain.contains([' ', '\t', '"', '\'', '\\', ';']) {
        format!("\"{}\"", plain.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        plain
    }
}

/// A word for a variable's value that `$NAME` cuts into words.
pub fn for_value(word: &str) -> String {
    if word.is_empty() || word.contains([' ', '\t', '"', '\'', '\\']) {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        word.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Vec<(String, String)> {
        [("ONE", "one"), ("TWO", "'two two' too"), ("NONE", "")].map(|(n, v)| (n.into(), v.into())).into()
    }

    #[test]
    fn words_as_systemd_makes_them() {
        for (line, argv) in [
            // `systemd --test` of systemd 252 prints these words.
            (
                r#"/bin/echo a"b c"d 'e f'g \x41 \q x\sy foo$ONE %% %H"#,
                "/bin/echo|ab cd|e fg|A|\\q|x y|foo$ONE|%|%H",
            ),
            // systemd.service(5), COMMAND LINES.
            ("/bin/echo ${ONE} ${TWO} ${NONE}", "/bin/echo|one|'two two' too|"),
            ("/bin/echo $ONE $TWO $NONE $UNSET", "/bin/echo|one|two two|too"),
            ("/bin/echo a=${ONE}b $$ONE $${ONE} \\; '${'", "/bin/echo|a=oneb|$ONE|${ONE}|;|${"),
            ("-@/usr/bin/dockerd docker $ONE", "docker|one"),
            (":!/usr/bin/dockerd $ONE $$", "/usr/bin/dockerd|$ONE|$$"),
            (r"+/bin/x \101 \u00e9 \t\\ \", "/bin/x|A|é|\t\\|\\"),
        ] {
            assert_eq!(words(line, &variables()).unwrap().join("|"), argv, "{line}");
        }
        assert_eq!(words("/bin/x 'a", &[]).unwrap_err(), "a ' is not closed");
        assert!(words("/bin/x ; /bin/y", &[]).unwrap_err().contains("several commands"));
    }

    #[test]
    fn environment_files() {
        let text = "# c\n; d\nA=1 2 \nB=\"x \\\"y\\\" \\n\"\n C='a\\b'\njunk\nD=a\\\nb\\\\c\nE=\n";
        let read: Vec<String> = env_file(text).iter().map(|(n, v)| format!("{n}:{v}")).collect();
        assert_eq!(read, ["A:1 2", "B:x \"y\" \\n", "C:a\\b", "D:ab\\c", "E:"]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for word in ["--mtu=1450", "a b", "", r#"q"'\$`%"#, "${X}", "$X", "%H", "a;b", ";"] {
            assert_eq!(words(&format!("/x {}", for_line(word)), &[]).unwrap()[1], word);
            let line = assignment("K", &for_value(word));
            assert_eq!(words("/x $K", &env_file(&line)).unwrap()[1], word);
        }
    }
}
