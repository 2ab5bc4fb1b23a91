//! The SQL dialect of expressions: PostgreSQL's, parsed in a bounded number of steps.
//!
//! The parser tries several readings of some texts, one after the other, and again inside each. Of PostgreSQL's dialect,
//! that is the case for the arguments of a call, which may be `name => value` with any expression as the name; as no
//! function here has named arguments, this dialect leaves that reading out. Texts with mistakes still have several
//! readings, so the dialect counts the parser's steps and ends it beyond a bound.

use std::any::TypeId;
use std::cell::Cell;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::Location;

/// PostgreSQL's dialect for one text.
#[derive(Debug)]
pub struct ExprDialect {
    postgres: PostgreSqlDialect,
    steps_left: Cell<usize>,
    furthest: Cell<Location>,
}

impl ExprDialect {
    /// The dialect for a text that the parser may read in `steps` steps.
    pub fn new(steps: usize) -> Self {
        ExprDialect {
            postgres: PostgreSqlDialect {},
            steps_left: Cell::new(steps),
            furthest: Cell::new(Location::new(1, 1)),
        }
    }

    /// Returns the place of the last value that the parser began to read.
    pub fn furthest(&self) -> Location {
        self.furthest.get()
    }
}

impl Dialect for ExprDialect {
    fn dialect(&self) -> TypeId {
        self.postgres.dialect()
    }

    /// Counts a step; never parses anything itself. The error is the one that the parser does not recover from.
    fn parse_prefix(&self, parser: &mut Parser) -> Option<Result<Expr, ParserError>> {
        self.furthest.set(self.furthest.get().max(parser.peek_token_ref().span.start));
        match self.steps_left.get().checked_sub(1) {
            Some(left) => {
                self.steps_left.set(left);
                None
            }
            None => Some(Err(ParserError::RecursionLimitExceeded)),
        }
    }

    fn supports_named_fn_args_with_expr_name(&self) -> bool {
        false
    }

    // The rest is PostgreSQL's.

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.postgres.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        self.postgres.is_delimited_identifier_start(ch)
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        self.postgres.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.postgres.is_identifier_part(ch)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.postgres.is_reserved_for_identifier(keyword)
    }

    fn is_custom_operator_part(&self, ch: char) -> bool {
        self.postgres.is_custom_operator_part(ch)
    }

    fn get_next_precedence(&self, parser: &Parser) -> Option<Result<u8, ParserError>> {
        self.postgres.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.postgres.prec_value(precedence)
    }

    fn supports_unicode_string_literal(&self) -> bool {
        self.postgres.supports_unicode_string_literal()
    }

    fn supports_string_escape_constant(&self) -> bool {
        self.postgres.supports_string_escape_constant()
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        self.postgres.supports_numeric_literal_underscores()
    }

    fn supports_nested_comments(&self) -> bool {
        self.postgres.supports_nested_comments()
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        self.postgres.supports_filter_during_aggregation()
    }

    fn supports_group_by_expr(&self) -> bool {
        self.postgres.supports_group_by_expr()
    }

    fn allow_extract_custom(&self) -> bool {
        self.postgres.allow_extract_custom()
    }

    fn allow_extract_single_quotes(&self) -> bool {
        self.postgres.allow_extract_single_quotes()
    }

    fn supports_factorial_operator(&self) -> bool {
        self.postgres.supports_factorial_operator()
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        self.postgres.supports_bitwise_shift_operators()
    }

    fn supports_named_fn_args_with_colon_operator(&self) -> bool {
        self.postgres.supports_named_fn_args_with_colon_operator()
    }

    fn supports_empty_projections(&self) -> bool {
        self.postgres.supports_empty_projections()
    }

    fn supports_array_typedef_with_brackets(&self) -> bool {
        self.postgres.supports_array_typedef_with_brackets()
    }

    fn supports_geometric_types(&self) -> bool {
        self.postgres.supports_geometric_types()
    }

    fn supports_notnull_operator(&self) -> bool {
        self.postgres.supports_notnull_operator()
    }

    fn supports_interval_options(&self) -> bool {
        self.postgres.supports_interval_options()
    }

    fn supports_select_wildcard_with_alias(&self) -> bool {
        self.postgres.supports_select_wildcard_with_alias()
    }

    fn supports_comma_separated_trim(&self) -> bool {
        self.postgres.supports_comma_separated_trim()
    }

    fn supports_xml_expressions(&self) -> bool {
        self.postgres.supports_xml_expressions()
    }

    fn supports_comment_optimizer_hint(&self) -> bool {
        self.postgres.supports_comment_optimizer_hint()
    }
}
