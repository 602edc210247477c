use super::*;

fn file(content: &[u8]) -> File {
    File { path: "/etc/kboot/it's".into(), mode: 0o600, content: content.to_owned() }
}

/// What saphyr reads in an item's `content`, and its encoding.
fn read_back(content: &[u8]) -> (String, bool) {
    use saphyr_parser::{Event, Parser};
    let data = compose(&[file(content)], &[]);
    let events = Parser::new_from_str(&data.text).map(|event| event.unwrap().0);
    let scalars: Vec<String> = events
        .filter_map(|e| if let Event::Scalar(text, ..) = e { Some(text.into_owned()) } else { None })
        .collect();
    let after = |key: &str| scalars.iter().position(|s| s == key).map(|at| scalars[at + 1].clone());
    assert_eq!(after("path").as_deref(), Some("/etc/kboot/it's"));
    assert_eq!(after("permissions").as_deref(), Some("0600"));
    (after("content").unwrap(), after("encoding").is_some())
}

#[test]
fn what_is_text_stays_readable_and_whole() {
    for text in [
        "a: 1\n",
        "no end",
        "two ends\n\n",
        "#cloud-config\n---\n...\n- x\n",
        "tab\there\n\tand here\n  in\n",
        "\"'{}[]%&*!|>\n",
        "a\n \n\nb \n",
        "名字: 节点\n",
    ] {
        assert_eq!(read_back(text.as_bytes()), (text.to_owned(), false), "{text:?}");
    }
}

#[test]
fn what_yaml_would_change_is_in_base64() {
    for (bytes, base64) in [
        (&b""[..], ""),
        (b" first\n", "IGZpcnN0Cg=="),
        (b"\nfirst\n", "CmZpcnN0Cg=="),
        (b"dos\r\n", "ZG9zDQo="),
        (b"\x7fELF", "f0VMRg=="),
        (b"\xff", "/w=="),
        ("a\u{2028}b\u{85}".as_bytes(), "YeKAqGLChQ=="),
    ] {
        assert_eq!(read_back(bytes), (base64.to_owned(), true), "{bytes:?}");
    }
}

#[test]
fn the_options_file_is_for_systemd_and_for_sh() {
    let variables = [
        ("KBOOT_SERVER", "https://10.99.0.1:6443"),
        ("KBOOT_LABEL", "a b"),
        ("KBOOT_KUBELET_LAUNCH_X", "\"$HOME\" `id` \\ it's ~ #"),
    ];
    let text = defaults(&variables.map(|(n, v)| (n.to_owned(), v.to_owned())));
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(
        lines,
        [
            "KBOOT_SERVER=https://10.99.0.1:6443",
            "KBOOT_LABEL=\"a b\"",
            r#"KBOOT_KUBELET_LAUNCH_X="\"\$HOME\" \`id\` \\ it's ~ #""#,
        ]
    );
    for (line, (name, value)) in lines.iter().zip(variables) {
        assert_eq!(shell::word(line).unwrap().0, format!("{name}={value}"));
    }
}

#[test]
fn the_largest_part_is_named() {
    let data =
        compose(&[file(b"small\n"), File { path: "/big".into(), ..file(&[b'x'; 900]) }], &["true\n".into()]);
    let (name, bytes) = data.largest();
    assert!(name == "/big" && (900..1000).contains(&bytes), "{name} {bytes}");
}

#[test]
fn paths_and_sums() {
    for path in ["/usr/local/sbin/kboot", "/opt/kboot-0.1+x/bin/kboot"] {
        assert_eq!(choice::program(path).as_deref(), Ok(path));
    }
    for path in ["kboot", "/", "/a/", "/a//b", "/a/../b", "/a b", "/a$b", "/a%b", "/a;b", ""] {
        assert!(choice::program(path).is_err(), "{path}");
    }
    let sum = "0F".repeat(32);
    assert_eq!(choice::sha256(&sum), Ok("0f".repeat(32)));
    assert_eq!(choice::sha256(&format!("sha256:{sum}")), Ok("0f".repeat(32)));
    for text in ["", "0f", &sum[1..], &format!("{sum}0"), &sum.replace('F', "g")] {
        assert!(choice::sha256(text).is_err(), "{text}");
    }
}
