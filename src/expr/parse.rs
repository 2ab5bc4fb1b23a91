//! Parsing: from text to syntax tree, and from the tree's lines and columns back to bytes of the text.

use std::ops::Range;

use sqlparser::ast;
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Location, Span, Token};

use super::{Expr, ExprError, Scope};

impl Expr {
    /// Reads, binds and checks one expression.
    ///
    /// # Errors
    /// Every mistake, each with its position in `text`.
    pub fn parse(text: &str, scope: &Scope) -> Result<Expr, Vec<ExprError>> {
        let positions = Positions::of(text);
        let tree = parse_all(text, &positions, "an operator or the end", |parser| parser.parse_expr())
            .map_err(|error| vec![error])?;
        let words = || text.split_whitespace().collect::<Vec<_>>().join(" ");
        Expr::bind(&tree, scope, &positions).map(|expr| Expr { text: Some(words().into()), ..expr })
    }
}

/// Reads one SQL query.
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

fn parse_all<T>(
    text: &str,
    positions: &Positions,
    next: &str,
    read: impl FnOnce(&mut Parser) -> Result<T, ParserError>,
) -> Result<T, ExprError> {
    let dialect = PostgreSqlDialect {};
    let mut parser = Parser::new(&dialect).try_with_sql(text).map_err(|e| positions.parser_error(e))?;
    let tree = read(&mut parser).map_err(|e| positions.parser_error(e))?;
    while parser.consume_token(&Token::SemiColon) {}
    let rest = parser.peek_token();
    match rest.token {
        Token::EOF => Ok(tree),
        token => {
            let span = positions.bytes(rest.span).unwrap_or(0..text.len());
            Err(ExprError::new(span, format!("'{token}' does not belong here")).expected(next))
        }
    }
}

/// Converts between positions of a text: line and column, and byte.
#[derive(Clone, Debug)]
pub struct Positions<'a> {
    text: &'a str,
    lines: Vec<usize>,
}

impl<'a> Positions<'a> {
    pub fn of(text: &'a str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Positions { text, lines: std::iter::once(0).chain(starts).collect() }
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
        let line = *self.lines.get((at.line as usize).checked_sub(1)?)?;
        let column = (at.column as usize).checked_sub(1)?;
        let rest = &self.text[line..];
        Some(line + rest.char_indices().nth(column).map_or(rest.len(), |(byte, _)| byte))
    }

    /// Returns the one-based line and column (in characters) of a byte.
    pub fn line_column(&self, byte: usize) -> (usize, usize) {
        let line = self.lines.partition_point(|start| *start <= byte).max(1);
        let start = self.lines[line - 1];
        let mut end = byte.clamp(start, self.text.len());
        while !self.text.is_char_boundary(end) {
            end -= 1;
        }
        (line, self.text[start..end].chars().count() + 1)
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
