//! Parsing: from text to syntax tree, and from the tree's lines and columns back to bytes of the text.

use std::ops::Range;

use sqlparser::ast;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token, Tokenizer};

use super::dialect::ExprDialect;
use super::limits::{self, with_stack_for};
use super::scope::in_quotes;
use super::{Expr, ExprError, Scope};
use crate::error::LineColumn;

impl Expr {
    /// Reads, binds and checks one expression.
    ///
    /// # Errors
    /// Every mistake, each with its position in `text`.
    pub fn parse(text: &str, scope: &Scope) -> Result<Expr, Vec<ExprError>> {
        let words = || text.split_whitespace().collect::<Vec<_>>().join(" ");
        with_stack_for(text.len(), || {
            let positions = Positions::of(text);
            let tree = parse_all(text, &positions, "an operator or the end", |parser| parser.parse_expr())
                .map_err(|error| vec![with_quotes(error, text, scope)])?;
            Expr::bind(&tree, scope, &positions).map(|expr| Expr { text: Some(words().into()), ..expr })
        })
    }
}

/// Adds to a mistake of syntax the column that stands there without the double quotes that its name needs.
fn with_quotes(error: ExprError, text: &str, scope: &Scope) -> ExprError {
    let at = error.span.start;
    let is_there = |name: &&str| {
        let mut places = text.match_indices(name).map(|(start, _)| start);
        places.any(|start| (start..=start + name.len()).contains(&at))
    };
    match scope.quoted_names().find(is_there) {
        Some(name) => error.suggest(Some(in_quotes(name))),
        None => error,
    }
}

/// Reads one SQL query. The caller runs within [`with_stack_for`] the text until it has dropped the tree.
///
/// # Errors
/// If it is not SQL, or more than one statement, or not a query.
pub fn parse_select(text: &str, positions: &Positions) -> Result<Box<ast::Query>, ExprError> {
    let query = parse_all(text, positions, "a clause or the end", |parser| match parser.peek_token().token {
        Token::EOF => Ok(None),
        _ => parser.parse_query().map(Some),
    })?;
    query.ok_or_else(|| ExprError::new(0..text.len(), "no SQL here").expected("a SELECT"))
}

/// Bound of the parser's steps. A text without mistakes takes about one for each token.
const STEPS_PER_TOKEN: usize = 4;
const LEAST_STEPS: usize = 1000;

fn parse_all<T>(
    text: &str,
    positions: &Positions,
    next: &str,
    read: impl FnOnce(&mut Parser) -> Result<T, ParserError>,
) -> Result<T, ExprError> {
    let tokens_of = |dialect: &ExprDialect| Tokenizer::new(dialect, text).tokenize_with_location();
    let tokens = tokens_of(&ExprDialect::new(0)).map_err(|error| positions.parser_error(error.into()))?;
    limits::check(&tokens).map_err(|exceeded| {
        let start = positions.byte(exceeded.at).unwrap_or(0);
        ExprError::new(start..start, exceeded.message).expected(exceeded.expected)
    })?;
    let dialect = ExprDialect::new(tokens.len() * STEPS_PER_TOKEN + LEAST_STEPS);
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(limits::PARSER_LEVELS).with_tokens_with_locations(tokens);
    let tree = read(&mut parser).map_err(|error| match error {
        ParserError::RecursionLimitExceeded => {
            let start = positions.byte(dialect.furthest()).unwrap_or(0);
            ExprError::new(start..start, "this is nested too deeply").expected("fewer levels, or a view for a part")
        }
        error => positions.parser_error(error),
    })?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    match rest.token {
        Token::EOF => Ok(tree),
        token => {
            let span = positions.bytes(rest.span).unwrap_or(0..text.len());
            let expected = match token {
                Token::Word(_) => format!("{next}; a name of several words is written in double quotes"),
                _ => next.to_owned(),
            };
            Err(ExprError::new(span, format!("'{token}' does not belong here")).expected(expected))
        }
    }
}

/// Converts between positions of a text: line and column, and byte.
#[derive(Clone, Debug)]
pub struct Positions<'a> {
    text: &'a str,
    /// The first byte of each line.
    lines: Vec<usize>,
    /// The number of characters before each line, if there are any but ASCII.
    chars_before: Option<Vec<usize>>,
    /// The byte of every 64th character, if there are any but ASCII.
    marks: Vec<usize>,
}

const MARK_EVERY: usize = 64;

impl<'a> Positions<'a> {
    pub fn of(text: &'a str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(starts).collect();
        if text.is_ascii() {
            return Positions { text, lines, chars_before: None, marks: Vec::new() };
        }
        let mut chars_before = vec![0];
        let mut marks = Vec::new();
        for (count, (byte, letter)) in text.char_indices().enumerate() {
            if count % MARK_EVERY == 0 {
                marks.push(byte);
            }
            if letter == '\n' {
                chars_before.push(count + 1);
            }
        }
        Positions { text, lines, chars_before: Some(chars_before), marks }
    }

    /// Returns the span of the whole text.
    pub fn all(&self) -> Range<usize> {
        0..self.text.len()
    }

    /// Returns the bytes of a span of the tree, `None` if the tree has no position.
    pub fn bytes(&self, span: Span) -> Option<Range<usize>> {
        let start = self.byte(span.start)?;
        Some(start..self.byte(span.end).unwrap_or(start).max(start))
    }

    /// Returns the byte of a one-based line and column (in characters).
    fn byte(&self, at: Location) -> Option<usize> {
        let line = (at.line as usize).checked_sub(1)?;
        let column = (at.column as usize).checked_sub(1)?;
        let start = *self.lines.get(line)?;
        let Some(chars_before) = &self.chars_before else { return Some((start + column).min(self.text.len())) };
        let character = chars_before[line] + column;
        let Some(mark) = self.marks.get(character / MARK_EVERY) else { return Some(self.text.len()) };
        let rest = &self.text[*mark..];
        Some(mark + rest.char_indices().nth(character % MARK_EVERY).map_or(rest.len(), |(byte, _)| byte))
    }

    /// Returns the line and column of a byte.
    pub fn line_column(&self, byte: usize) -> LineColumn {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        let mut end = byte.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        LineColumn { line, column: self.text[start..end].chars().count() + 1 }
    }

    /// Converts the parser's error, which has its position only in its text: `… at Line: 1, Column: 9`.
    fn parser_error(&self, error: ParserError) -> ExprError {
        let text = match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => text,
            ParserError::RecursionLimitExceeded => "this is nested too deeply".to_owned(),
        };
        let (message, place) = match text.rfind(" at Line: ") {
            Some(at) => (text[..at].to_owned(), text[at + " at Line: ".len()..].split_once(", Column: ")),
            None => (text, None),
        };
        let location = place.and_then(|(line, column)| Some(Location::new(line.parse().ok()?, column.parse().ok()?)));
        let start = location.and_then(|at| self.byte(at)).unwrap_or_else(|| self.text.trim_end().len());
        let span = start..start;
        match message.strip_prefix("Expected: ").and_then(|rest| rest.split_once(", found: ")) {
            Some((expected, found)) => {
                let found = if found == "EOF" { "the text ends here".to_owned() } else { format!("found '{found}'") };
                ExprError::new(span, found).expected(expected)
            }
            None => ExprError::new(span, lower_first(&message)),
        }
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
