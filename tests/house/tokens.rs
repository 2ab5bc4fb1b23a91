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

    /// Line, name and length in lines of every function with a body.
    pub fn functions(&self) -> Vec<(usize, &str, usize)> {
        let starts = self.tokens.iter().enumerate().filter(|(_, (_, token))| token == "fn");
        let starts = starts.filter(|(at, _)| self.tokens.get(at + 1).is_some_and(|(_, name)| name != "("));
        let body = |(at, (line, _)): (usize, &(usize, String))| {
            let mut depth = 0;
            for (last, token) in &self.tokens[at..] {
                match token.as_str() {
                    "{" | "(" | "[" => depth += 1,
                    "}" if depth == 1 => return Some((*line, self.tokens[at + 1].1.as_str(), last - line + 1)),
                    "}" | ")" | "]" => depth -= 1,
                    ";" if depth == 0 => return None,
                    _ => {}
                }
            }
            None
        };
        starts.filter_map(body).collect()
    }
}

/// Where the token that starts at `at` ends: a comment, a literal, a name, `::`, space or one letter of punctuation.
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
