//! The boot list, which `init` runs from top to bottom. A line is
//! `[- | respawn] [NAME=VALUE...] APPLET [ARGS...]`: with `-` its failure does not stop the boot; with
//! `respawn` it is started, and again whenever it ends, while the list goes on. A word with a `/` in front
//! is a program's path. Words are quoted as in a shell, and nothing is expanded; `#` begins a comment.

use super::shell;

/// A line that runs something.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Its place in the list, from 1.
    pub number: usize,
    /// Variables for it alone.
    pub variables: Vec<(String, String)>,
    /// An applet's name, or a program's path.
    pub program: String,
    /// The words behind it.
    pub args: Vec<String>,
    /// The boot goes on where it fails.
    pub may_fail: bool,
    /// It is kept running.
    pub respawn: bool,
}

impl Line {
    /// A line of an applet's name alone.
    pub fn applet(name: &str) -> Self {
        Self { program: name.to_owned(), ..Self::default() }
    }

    /// Whether it names a program, not an applet.
    pub fn is_path(&self) -> bool {
        self.program.starts_with('/')
    }

    /// The line as it may be written again. Variables may hold secrets: their names alone.
    pub fn text(&self) -> String {
        let mark = if self.may_fail { "- " } else { "" };
        let respawn = if self.respawn { "respawn " } else { "" };
        let variables = self.variables.iter().flat_map(|(name, _)| [name, "=… "]).collect::<String>();
        let words = std::iter::once(&self.program).chain(&self.args).map(String::as_str);
        format!("{mark}{respawn}{variables}{}", shell::join(words))
    }
}

/// A list on one line: cut at each `;` that stands in no quotes.
pub fn cut(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut quote, mut is_escaped) = (Vec::new(), 0, None, false);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (None | Some('"'), '\\') => is_escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if c == open => quote = None,
            (None, ';') => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// Reads a list. The error has the line's number and what is wrong with it.
pub fn parse(lines: &[&str]) -> Result<Vec<Line>, (usize, String)> {
    let mut list = Vec::new();
    for (at, text) in lines.iter().enumerate() {
        list.extend(line(text, at + 1).map_err(|why| (at + 1, why))?);
    }
    Ok(list)
}

fn line(text: &str, number: usize) -> Result<Option<Line>, String> {
    let text = text.trim();
    let (may_fail, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let mut words = words(text)?.into_iter().peekable();
    let respawn = words.next_if(|w| w == "respawn").is_some();
    let mut variables = Vec::new();
    while let Some((name, value)) = words.peek().and_then(|w| variable(w)) {
        variables.push((name, value));
        words.next();
    }
    match words.next() {
        Some(_) if may_fail && respawn => {
            Err("what is kept running is started again whatever becomes of it: take the - away".into())
        }
        Some(program) => {
            Ok(Some(Line { number, variables, program, args: words.collect(), may_fail, respawn }))
        }
        None if may_fail || respawn || !variables.is_empty() => Err("names no applet".into()),
        None => Ok(None),
    }
}

fn words(mut text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    loop {
        text = text.trim_start_matches([' ', '\t']);
        if text.is_empty() || text.starts_with('#') {
            return Ok(words);
        }
        let (word, rest) = shell::word(text)?;
        words.push(word);
        text = rest;
    }
}

/// `NAME=VALUE`, with a name as POSIX has it.
fn variable(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then(|| (name.to_owned(), value.to_owned()))
}

/// What can be known of a list before its first step. `why_not` says what is wrong with an applet's line;
/// `stays`: nothing else takes init's place in the end.
pub fn check(
    list: &[Line],
    stays: bool,
    why_not: &dyn Fn(&Line) -> Option<String>,
) -> Result<(), (usize, String)> {
    for line in list {
        let wrong = match line.program.as_str() {
            _ if line.respawn && !stays => Some(
                "respawn needs an init that stays: another takes its place, and is to start this itself"
                    .to_owned(),
            ),
            "init" => Some("init does not run itself".to_owned()),
            path if path.starts_with('/') => None,
            path if path.contains('/') => Some(format!("{path}: a program's path begins with /")),
            _ => why_not(line),
        };
        if let Some(wrong) = wrong {
            return Err((line.number, wrong));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, (usize, String)> {
        parse(&text.lines().collect::<Vec<_>>()).map(|l| l.iter().map(Line::text).collect())
    }

    #[test]
    fn lines_and_what_becomes_of_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("# nothing\n\n \t\n", &[]),
            ("bridge --name  br0\t--mtu 1400 # why\n", &["bridge --name br0 --mtu 1400"]),
            ("-register", &["- register"]),
            ("- register --label a=b", &["- register --label a=b"]),
            ("respawn /usr/bin/dockerd -D", &["respawn /usr/bin/dockerd -D"]),
            ("A=1 _b2='x y' bridge c=d", &["A=… _b2=… bridge c=d"]),
            ("bridge --a 'b  c' \"d'e\" f\\ g ''", &[r"bridge --a 'b  c' 'd'\''e' 'f g' ''"]),
            ("bridge --name=a#b", &["bridge '--name=a#b'"]),
            ("2A=b", &["2A=b"]),
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        let line = &parse(&["", "respawn A='1 ' /bin/x y"]).unwrap()[0];
        assert_eq!(
            (line.number, &line.variables[0].1[..], line.respawn, line.is_path()),
            (2, "1 ", true, true)
        );
    }

    #[test]
    fn what_is_wrong_and_where() {
        for (text, number, why) in [
            ("bridge\nregister --label 'a", 2, "a ' is not closed"),
            ("bridge --name $NAME", 1, "a shell would expand the $: write it plainly"),
            ("bridge; register", 1, "a shell would act on the ;: write it plainly"),
            ("-", 1, "names no applet"),
            ("\nA=b", 2, "names no applet"),
            ("respawn # dockerd", 1, "names no applet"),
            (
                "-respawn /bin/x",
                1,
                "what is kept running is started again whatever becomes of it: take the - away",
            ),
        ] {
            assert_eq!(read(text), Err((number, why.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_list_on_one_line_is_cut_outside_quotes() {
        assert_eq!(cut("a b;c ';' \"\\\";\" \\; d;"), ["a b", "c ';' \"\\\";\" \\; d", ""]);
    }

    #[test]
    fn a_list_is_judged_before_its_first_step() {
        let why_not =
            |line: &Line| (line.program != "bridge").then(|| format!("{}: applet not found", line.program));
        for (text, stays, wrong) in [
            ("bridge\n/bin/x", false, None),
            ("respawn /bin/x", true, None),
            (
                "bridge\nrespawn bridge",
                false,
                Some((
                    2,
                    "respawn needs an init that stays: another takes its place, and is to start this itself",
                )),
            ),
            ("\nbrige", true, Some((2, "brige: applet not found"))),
            ("init", true, Some((1, "init does not run itself"))),
            ("bin/x", true, Some((1, "bin/x: a program's path begins with /"))),
        ] {
            let list = parse(&text.lines().collect::<Vec<_>>()).unwrap();
            let expected = wrong.map_or(Ok(()), |(number, why)| Err((number, why.to_owned())));
            assert_eq!(check(&list, stays, &why_not), expected, "{text}");
        }
    }
}
