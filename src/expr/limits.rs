//! Limits of SQL texts, checked on their tokens before they are parsed.
//!
//! A syntax tree is as deep as its text is nested, and, as `a + b + c` is `(a + b) + c`, as a chain of operators is long.
//! Both are bounded here, with the position at which a bound is exceeded, so that whatever visits a tree needs a bounded
//! stack. The items of a list stand beside each other, so their number is not bounded: a list counts as its longest item.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Token, TokenWithSpan};

/// Levels of parentheses, brackets, CASE, signs and NOT, one inside the other.
const MAX_LEVELS: usize = 200;
/// Tokens from one comma to the next, with those of the levels around and inside: 50,000 operators with their operands.
const MAX_TOKENS: usize = 100_000;
/// The weight of an operator behind its operand, in tokens: binding a chain of them takes more stack than others.
const SUFFIX: usize = 10;
/// Levels of SELECT in parentheses. None is supported; more than a few are not even parsed.
const MAX_SELECTS: usize = 4;

/// Dots of one name. The parser reads the rest of a name again for each of its parts.
const MAX_DOTS: usize = 8;

/// Levels that the parser may descend. Some forms descend more than once for a level.
pub const PARSER_LEVELS: usize = 4 * MAX_LEVELS;

/// Bytes of stack for each token of the deepest item: measured with the largest frames, those of builds without
/// optimization.
const BYTES_PER_TOKEN: usize = 1024;
const LEAST_STACK: usize = 4 << 20;

/// Calls `f` with the stack that the trees of a text of this many bytes may need, whether to visit or to drop them.
pub fn with_stack_for<R>(text_bytes: usize, f: impl FnOnce() -> R) -> R {
    let needed = LEAST_STACK + text_bytes.min(MAX_TOKENS) * BYTES_PER_TOKEN;
    stacker::maybe_grow(needed, needed, f)
}

/// Calls one level of a recursive function, on a new stack where little is left of this one.
pub fn with_stack<R>(f: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(256 << 10, 4 << 20, f)
}

/// A text that exceeds a limit.
pub struct LimitExceeded {
    pub at: Location,
    pub message: &'static str,
    pub expected: String,
}

/// The levels around a token.
#[derive(Default)]
struct Level {
    /// Tokens since the level began, or since its last comma.
    tokens: usize,
    /// The most that there were before a comma.
    most: usize,
    /// Signs and NOTs before the next operand.
    prefixes: usize,
    is_case: bool,
    is_select: bool,
}

impl Level {
    /// Begins the next item of a list; returns the tokens of the one before.
    fn next_item(&mut self) -> usize {
        self.most = self.most.max(self.tokens);
        std::mem::take(&mut self.tokens)
    }
}

/// The levels around a token, the outermost first, and sums over all of them.
struct Levels {
    open: Vec<Level>,
    tokens: usize,
    prefixes: usize,
    selects: usize,
    /// Dots of the name before the token.
    dots: usize,
}

impl Levels {
    fn innermost(&mut self) -> &mut Level {
        self.open.last_mut().expect("the outermost level stays open")
    }

    fn add(&mut self, tokens: usize) {
        self.innermost().tokens += tokens;
        self.tokens += tokens;
    }

    fn next_item(&mut self) {
        self.tokens -= self.innermost().next_item();
    }

    /// Closes a level, which counts as its longest item from now on. Returns whether it was a CASE.
    fn close(&mut self) -> bool {
        if self.open.len() == 1 {
            return false;
        }
        self.next_item();
        let closed = self.open.pop().expect("there are two");
        self.prefixes -= closed.prefixes;
        self.selects -= usize::from(closed.is_select);
        self.add(closed.most);
        closed.is_case
    }
}

/// Checks the tokens of a text.
///
/// # Errors
/// The first place where a limit is exceeded.
pub fn check(tokens: &[TokenWithSpan]) -> Result<(), LimitExceeded> {
    let mut levels = Levels { open: vec![Level::default()], tokens: 0, prefixes: 0, selects: 0, dots: 0 };
    let mut before = &Token::EOF;
    for TokenWithSpan { token, span } in tokens {
        // The token, and the names of a path that it continues.
        let word = match token {
            Token::Whitespace(_) => continue,
            Token::Word(word) => word.keyword,
            _ => Keyword::NoKeyword,
        };
        levels.dots = match (token, before) {
            (Token::Period, _) => levels.dots + 1,
            (_, Token::Period) => levels.dots,
            _ => 0,
        };
        // What it adds to the innermost level, and the levels that it closes.
        levels.add(if is_suffix(token, word) { SUFFIX } else { 1 });
        let opens = matches!(token, Token::LParen | Token::LBracket | Token::LBrace) || word == Keyword::CASE;
        let in_case = levels.innermost().is_case;
        match token {
            _ if is_prefix(token, word, before) => {
                levels.innermost().prefixes += 1;
                levels.prefixes += 1;
            }
            _ if opens || word == Keyword::ARRAY => {}
            // A CASE without END ends with what it stands in.
            Token::RParen | Token::RBracket | Token::RBrace => while levels.close() {},
            _ if word == Keyword::END && in_case => _ = levels.close(),
            _ => {
                levels.prefixes -= std::mem::take(&mut levels.innermost().prefixes);
                let arm = in_case && matches!(word, Keyword::WHEN | Keyword::THEN | Keyword::ELSE);
                if arm || matches!(token, Token::Comma) {
                    levels.next_item();
                }
                let begins = matches!(word, Keyword::SELECT | Keyword::WITH | Keyword::VALUES);
                if begins && matches!(before, Token::LParen) {
                    levels.innermost().is_select = true;
                    levels.selects += 1;
                }
            }
        }
        // The level that it opens, and the limits.
        if opens {
            levels.open.push(Level { is_case: word == Keyword::CASE, ..Level::default() });
        }
        before = token;
        exceeded(&levels)
            .map_or(Ok(()), |(message, expected)| Err(LimitExceeded { at: span.start, message, expected }))?;
    }
    Ok(())
}

/// Returns what is wrong, and what was expected, if a limit is exceeded.
fn exceeded(levels: &Levels) -> Option<(&'static str, String)> {
    if levels.open.len() - 1 + levels.prefixes > MAX_LEVELS {
        let expected = format!("at most {MAX_LEVELS} levels of parentheses, calls and CASE");
        return Some(("this is nested too deeply", expected));
    }
    if levels.tokens > MAX_TOKENS {
        let expected = format!("at most {MAX_TOKENS} names, values and operators between two commas");
        return Some(("this is too long", expected));
    }
    if levels.dots > MAX_DOTS {
        return Some(("a name of too many parts", "'column' or 'name.column'".to_owned()));
    }
    let expected = "a view of its own, by name".to_owned();
    (levels.selects > MAX_SELECTS).then_some(("SELECT in parentheses is not supported", expected))
}

/// Returns whether a token stands before its operand. An array's type is nested like one.
fn is_prefix(token: &Token, word: Keyword, before: &Token) -> bool {
    let of_array = matches!(before, Token::Word(word) if word.keyword == Keyword::ARRAY);
    let sign = matches!(token, Token::Plus | Token::Minus | Token::ExclamationMark | Token::Tilde);
    (sign && !ends_operand(before))
        || matches!(word, Keyword::NOT | Keyword::INTERVAL)
        || (matches!(token, Token::Lt) && of_array)
}

/// Returns whether an operator behind a token has it as its left operand.
fn ends_operand(token: &Token) -> bool {
    match token {
        Token::Word(word) => !matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::THEN
                | Keyword::ELSE
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::SELECT
                | Keyword::WHERE
                | Keyword::ON
        ),
        Token::Number(..) | Token::SingleQuotedString(_) | Token::RParen | Token::RBracket => true,
        _ => false,
    }
}

/// Returns whether a token begins an operator that stands behind its operand.
fn is_suffix(token: &Token, word: Keyword) -> bool {
    let words = [
        Keyword::IS,
        Keyword::NOTNULL,
        Keyword::COLLATE,
        Keyword::AT,
        Keyword::BETWEEN,
        Keyword::IN,
        Keyword::LIKE,
        Keyword::ILIKE,
        Keyword::SIMILAR,
    ];
    matches!(token, Token::DoubleColon | Token::LBracket) || words.contains(&word)
}
