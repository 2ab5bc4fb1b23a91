//! Rust sources as tokens, as far as rules about names and paths need them.

/// A file as tokens: identifiers, `::` and other punctuation, with the line of each; comments apart, literals dropped.
pub struct Source {
    /// Under the folder it was found in.
    pub path: String,
    pub text: String,
    pub tokens: Vec<(usize, String)>,
    pub comments: Vec<(usize, String)>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let mut source =
            Source { path: path.to_owned(), text: text.to_owned(), tokens: Vec::new(), comments: Vec::new() };
        let letters: Vec<char> = text.chars().collect();
        let (mut at, mut line) = (0, 1);
        while at < letters.len() {
            let end = token_end(&letters, at);
            let token: String = letters[at..end].iter().collect();
            if token.starts_with("//") || token.starts_with("/*") {
                source.comments.push((line, token.clone()));
            } else if !token.trim().is_empty() && !is_literal(&token) {
                source.tokens.push((line, token.trim_start_matches("r#").to_owned()));
            }
            line += token.matches('\n').count();
            at = end;
        }
        source
    }

    /// The top-level module that the file belongs to.
    pub fn top(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// Folders and files between the crate's root and this module: `model/mod.rs` 1, `model/rows.rs` 2.
    pub fn depth(&self) -> usize {
        self.path.split('/').count() - usize::from(self.path.ends_with("mod.rs"))
    }

    /// The first line of the tests, or one past the end.
    pub fn test_line(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
        tests.map_or(lines.len() + 1, |at| at + 1)
    }

    /// The modules that the file declares.
    pub fn modules(&self) -> Vec<&str> {
        let tokens = self.tokens.windows(3);
        let declared = tokens.filter(|three| three[0].1 == "mod" && [";", "{"].contains(&three[2].1.as_str()));
        declared.map(|three| three[1].1.as_str()).collect()
    }

    /// The names that the file imports from this crate.
    pub fn imports(&self) -> Vec<&str> {
        let (mut imports, mut importing) = (Vec::new(), false);
        for (at, (_, token)) in self.tokens.iter().enumerate() {
            importing = match token.as_str() {
                "super" | "crate" => importing || at > 0 && self.tokens[at - 1].1 == "use",
                ";" => false,
                _ => importing,
            };
            imports.extend(importing.then_some(token.as_str()));
        }
        imports
    }

    /// Every top-level module that the file names: after `crate::`, or after as many `super::` as lead to the root.
    pub fn crate_paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let tests = self.test_line();
        for (at, (line, token)) in self.tokens.iter().enumerate() {
            let root = match token.as_str() {
                "crate" => at + 1,
                "super" if at < 2 || self.tokens[at - 2].1 != "super" => {
                    let mut last = at;
                    while self.tokens.get(last + 2).is_some_and(|(_, next)| next == "super") {
                        last += 2;
                    }
                    let levels = (last - at) / 2 + 1;
                    if levels < self.depth() + usize::from(*line >= tests) {
                        continue;
                    }
                    last + 1
                }
                _ => continue,
            };
            found.extend(self.heads_after(root).into_iter().map(|(line, name)| (line, name.to_owned())));
        }
        found
    }

    /// The names right after the `::` at `at`: one, or the heads of a group in braces.
    pub fn heads_after(&self, at: usize) -> Vec<(usize, &str)> {
        let token = |at: usize| self.tokens.get(at).map_or("", |(_, token)| token.as_str());
        if token(at) != "::" {
            return Vec::new();
        }
        if token(at + 1) != "{" {
            return self.tokens.get(at + 1).map(|(line, name)| (*line, name.as_str())).into_iter().collect();
        }
        let (mut heads, mut depth) = (Vec::new(), 0);
        for (place, (line, name)) in self.tokens.iter().enumerate().skip(at + 1) {
            match name.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
            if depth == 1 && ["{", ","].contains(&token(place - 1)) {
                heads.push((*line, name.as_str()));
            }
        }
        heads
    }

    /// The first names of all paths: of `name::…`, `use name;` and `use name as …`.
    pub fn roots(&self) -> impl Iterator<Item = (usize, &str)> {
        let token = |at: Option<usize>| at.and_then(|at| self.tokens.get(at)).map_or("", |(_, token)| token.as_str());
        let starts = move |at: usize| {
            let [before, previous, next] = [at.checked_sub(2), at.checked_sub(1), Some(at + 1)].map(token);
            let inside = before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_' || letter == '>');
            let continues = previous == "." || previous == "::" && inside && before != "use";
            let declares = |word: &str| ["use", "crate"].contains(&word);
            let taken = declares(previous) || previous == "::" && declares(before);
            let taken = taken && [";", "as"].contains(&next);
            !continues && (next == "::" || taken)
        };
        self.tokens
            .iter()
            .enumerate()
            .filter(move |(at, _)| starts(*at))
            .map(|(_, (line, name))| (*line, name.as_str()))
    }

    /// Every function that has a body, tests and macros apart.
    pub fn functions(&self) -> Vec<Function<'_>> {
        let tests = self.test_line();
        let starts = self.tokens.windows(2).enumerate().filter(|(_, pair)| pair[0].1 == "fn" && pair[1].1 != "(");
        let starts = starts.map(|(at, _)| at).filter(|at| self.tokens[*at].0 < tests);
        starts.filter_map(|at| self.function(at)).collect()
    }

    /// The function whose `fn` is the token at `at`, `None` if it has no body.
    fn function(&self, at: usize) -> Option<Function<'_>> {
        let (mut depth, mut deepest, mut open) = (0_usize, 0, None);
        // The braces around a template of HTML, within which braces are those of the document.
        let mut template = None;
        let is_template =
            |brace: usize| matches!(&self.tokens[..brace], [.., (_, name), (_, bang)] if name == "html" && bang == "!");
        for (position, (last, token)) in self.tokens.iter().enumerate().skip(at) {
            match token.as_str() {
                "{" if open.is_none() && depth == 0 => open = Some((*last, 0_usize)),
                "{" => {
                    if let Some((_, braces)) = &mut open {
                        *braces += 1;
                        deepest = if template.is_none() { deepest.max(*braces) } else { deepest };
                        template = template.or(is_template(position).then_some(*braces));
                    }
                }
                "}" => match &mut open {
                    Some((first, 0)) => {
                        let body = *first..*last;
                        return Some(Function { line: self.tokens[at].0, name: &self.tokens[at + 1].1, body, deepest });
                    }
                    Some((_, braces)) => {
                        template = template.filter(|opened| opened != braces);
                        *braces -= 1;
                    }
                    None => {}
                },
                "(" | "[" if open.is_none() => depth += 1,
                ")" | "]" if open.is_none() => depth -= 1,
                ";" if open.is_none() && depth == 0 => return None,
                _ => {}
            }
        }
        None
    }

    /// For each token the keyword of the innermost block that it is in: `impl`, `trait`, `fn`, …; empty at the top.
    pub fn blocks(&self) -> Vec<&str> {
        let (mut stack, mut keyword, mut blocks) = (Vec::new(), "", Vec::with_capacity(self.tokens.len()));
        for (_, token) in &self.tokens {
            blocks.push(stack.last().copied().unwrap_or_default());
            match token.as_str() {
                "{" => stack.push(std::mem::take(&mut keyword)),
                "}" => (_, keyword) = (stack.pop(), ""),
                ";" => keyword = "",
                word if keyword.is_empty() && BLOCK_WORDS.contains(&word) => keyword = word,
                _ => {}
            }
        }
        blocks
    }

    /// Every type that the file declares, private and local ones included, tests and associated types apart.
    pub fn types(&self) -> Vec<(usize, &str)> {
        let (blocks, tests) = (self.blocks(), self.test_line());
        let declares = |at: usize| match self.tokens[at].1.as_str() {
            "struct" | "enum" | "trait" | "union" => true,
            "type" => !["impl", "trait"].contains(&blocks[at]),
            _ => false,
        };
        let pairs = self.tokens.windows(2).enumerate().filter(|(at, pair)| {
            let named = pair[1].1.starts_with(|letter: char| letter.is_ascii_uppercase());
            named && pair[0].0 < tests && declares(*at)
        });
        pairs.map(|(_, pair)| (pair[1].0, pair[1].1.as_str())).collect()
    }

    /// Doc comments, each with its first line: the text without its markers, lines joined by a newline.
    pub fn docs(&self) -> Vec<(usize, String)> {
        let mut docs: Vec<(usize, usize, &str, String)> = Vec::new();
        for (line, comment) in &self.comments {
            let Some(marker) = ["///", "//!"].into_iter().find(|marker| comment.starts_with(marker)) else { continue };
            let text = comment[marker.len()..].trim();
            match docs.last_mut() {
                Some((_, last, same, doc)) if *last + 1 == *line && *same == marker => {
                    *last = *line;
                    *doc += &format!("\n{text}");
                }
                _ => docs.push((*line, *line, marker, text.to_owned())),
            }
        }
        docs.into_iter().map(|(line, _, _, doc)| (line, doc)).collect()
    }

    /// The modules above and including this one: `model/mod.rs` is `model`, `model/rows.rs` is `model`, `rows`.
    pub fn module(&self) -> Vec<&str> {
        let path = self.path.strip_suffix(".rs").unwrap_or(&self.path);
        let path = path.strip_suffix("/mod").unwrap_or(path);
        path.split('/').filter(|part| !["lib", "main", "mod"].contains(part)).collect()
    }

    /// Every path from the root of the crate that the file names before its tests, whole: `crate::a::{b, c::D}` is two.
    pub fn paths(&self) -> Vec<(usize, Vec<&str>)> {
        let mut found = Vec::new();
        let tests = self.test_line();
        let token = |at: usize| self.tokens.get(at).map_or("", |(_, token)| token.as_str());
        for (at, (line, name)) in self.tokens.iter().enumerate().take_while(|(_, (line, _))| *line < tests) {
            let (mut last, mut root) = (at, self.module());
            match name.as_str() {
                "crate" => root.clear(),
                "super" if at < 2 || token(at - 2) != "super" => {
                    root.pop();
                    while token(last + 2) == "super" && token(last + 1) == "::" {
                        root.pop();
                        last += 2;
                    }
                }
                _ => continue,
            }
            self.tree(last + 1, *line, &root, &mut found);
        }
        found
    }

    /// The names that the file imports from its own modules, each with its module: `pub use a::{B, C}` of a
    /// `mod.rs` is `B` from `a` and `C` from `a`.
    pub fn exports(&self) -> Vec<(&str, &str)> {
        let modules = self.modules();
        let mut exports = Vec::new();
        for (at, pair) in self.tokens.windows(2).enumerate() {
            if pair[0].1 == "use" && modules.contains(&pair[1].1.as_str()) {
                let mut found = Vec::new();
                self.tree(at + 2, pair[0].0, &[&pair[1].1], &mut found);
                exports.extend(found.iter().map(|(_, path)| (*path.last().expect("a path has a name"), path[0])));
            }
        }
        exports
    }

    /// Follows `::name::…` or `::{…}` from the token at `at`; returns the place after it.
    fn tree<'a>(
        &'a self,
        mut at: usize,
        line: usize,
        root: &[&'a str],
        found: &mut Vec<(usize, Vec<&'a str>)>,
    ) -> usize {
        let token = |at: usize| self.tokens.get(at).map_or("", |(_, token)| token.as_str());
        let mut path = root.to_vec();
        while token(at) == "::" {
            if token(at + 1) != "{" {
                path.push(token(at + 1));
                at += 2;
                continue;
            }
            at += 2;
            while !["}", ""].contains(&token(at)) {
                let mut branch = path.clone();
                branch.extend(Some(token(at)).filter(|name| *name != "self"));
                at = self.tree(at + 1, line, &branch, found);
                while ![",", "}", ""].contains(&token(at)) {
                    at += 1;
                }
                at += usize::from(token(at) == ",");
            }
            return at + 1;
        }
        found.push((line, path));
        at
    }
}

/// Words that tell what a block is, where they stand first before its brace.
const BLOCK_WORDS: &[&str] = &[
    "impl",
    "trait",
    "fn",
    "mod",
    "struct",
    "enum",
    "union",
    "type",
    "use",
    "const",
    "static",
    "let",
    "match",
    "if",
    "else",
    "for",
    "while",
    "loop",
    "unsafe",
    "macro_rules",
    "return",
];

/// A function with a body.
pub struct Function<'a> {
    pub line: usize,
    pub name: &'a str,
    /// Lines of its braces.
    pub body: std::ops::Range<usize>,
    /// Braces within braces of the body: 1 for a block in it. Those within `html!` do not count.
    pub deepest: usize,
}

impl Function<'_> {
    /// Lines between its braces.
    pub fn lines(&self) -> usize {
        (self.body.end - self.body.start).saturating_sub(1)
    }
}

/// Returns the end of the token that starts at `at`: a comment, a literal, a name, `::`, space or one letter of punctuation.
fn token_end(letters: &[char], at: usize) -> usize {
    let rest = &letters[at..];
    let starts = |text: &str| text.chars().enumerate().all(|(place, letter)| rest.get(place) == Some(&letter));
    let name = |letter: &char| letter.is_alphanumeric() || *letter == '_';
    let run = |rest: &[char]| rest.iter().take_while(|letter| name(letter)).count();
    let prefix = run(rest);
    let prefixed = prefix > 0 && rest[..prefix].iter().all(|letter| "brc".contains(*letter));
    let hashes = rest[prefix..].iter().take_while(|letter| **letter == '#').count();
    if starts("//") {
        at + rest.iter().position(|letter| *letter == '\n').unwrap_or(rest.len())
    } else if starts("/*") {
        at + block_comment(rest)
    } else if (prefix == 0 || prefixed) && rest.get(prefix + hashes) == Some(&'"') && (hashes == 0 || prefixed) {
        let raw = rest[..prefix].contains(&'r');
        at + prefix + hashes + 1 + string(&rest[prefix + hashes + 1..], raw, hashes)
    } else if starts("r#") {
        at + 2 + run(&rest[2..])
    } else if rest[prefix.min(1)..].first() == Some(&'\'') && (prefix == 0 || starts("b'")) {
        let quote = prefix.min(1) + 1;
        let closes = if rest.get(quote) == Some(&'\\') {
            rest[quote + 2..].iter().position(|l| *l == '\'').map(|p| p + 2)
        } else {
            Some(1).filter(|_| rest.get(quote + 1) == Some(&'\''))
        };
        at + closes.map_or_else(|| quote + run(&rest[quote..]), |closes| quote + closes + 1)
    } else if prefix > 0 {
        at + prefix
    } else if starts("::") {
        at + 2
    } else {
        at + 1
    }
}

/// The length of a comment `/* … */`, which may hold others.
fn block_comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at + 1 < rest.len() {
        match (rest[at], rest[at + 1]) {
            ('/', '*') => (depth, at) = (depth + 1, at + 2),
            ('*', '/') => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

/// The length of what is left of a string, its closing quote and hashes included.
fn string(rest: &[char], raw: bool, hashes: usize) -> usize {
    let mut at = 0;
    while at < rest.len() {
        let closed = rest[at + 1..].iter().take(hashes).filter(|letter| **letter == '#').count() == hashes;
        match rest[at] {
            '\\' if !raw => at += 2,
            '"' if closed => return at + 1 + hashes,
            _ => at += 1,
        }
    }
    rest.len()
}

fn is_literal(token: &str) -> bool {
    let first = token.trim_start_matches(['b', 'r', 'c', '#']);
    first.starts_with(['"', '\'']) && !token.starts_with("r#\'")
}
