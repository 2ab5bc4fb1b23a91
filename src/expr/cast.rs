//! Binding of casts and of constants that name their type.

use std::ops::Range;

use sqlparser::ast::{self, Expr as Ast, Value};

use super::bind::Binder;
use super::{Expr, ExprError, coerce, nearest};
use crate::value::Type;

impl Binder<'_> {
    pub fn typed_string(&mut self, typed: &ast::TypedString, span: &Range<usize>) -> Option<Expr> {
        let ty = self.type_named(&typed.data_type, span)?;
        let Value::SingleQuotedString(text) = &typed.value.value else {
            return self.fail(span.clone(), "this is not text", "text in single quotes");
        };
        match coerce::typed_text(text, ty) {
            Some(expr) => Some(expr),
            None if ty == Type::Timestamp => {
                self.fail(span.clone(), format!("'{text}' is not a time"), "RFC 3339, such as 2024-01-31T08:00:00Z")
            }
            None => self.fail(span.clone(), format!("'{text}' is not of type {ty}"), &format!("a {ty}")),
        }
    }

    fn type_named(&mut self, data_type: &ast::DataType, span: &Range<usize>) -> Option<Type> {
        // The text of a type that has others inside it would be as deep as they are.
        let name = match data_type {
            ast::DataType::Array(_) => "array".to_owned(),
            data_type => data_type.to_string(),
        };
        coerce::type_named(&name).or_else(|| {
            let names = Type::ALL.map(Type::name);
            let error = ExprError::new(span.clone(), format!("unknown type '{}'", name.to_lowercase()))
                .expected(format!("one of {}", names.join(", ")))
                .suggest(nearest(&name, names));
            self.report(error);
            None
        })
    }

    pub fn cast(&mut self, inner: &Ast, data_type: &ast::DataType, span: &Range<usize>) -> Option<Expr> {
        let (arg, ty) = (self.bind(inner, span), self.type_named(data_type, span));
        let (arg, ty) = (arg?, ty?);
        let from = arg.expr.ty();
        match coerce::cast(arg.expr, ty) {
            Some(expr) => Some(expr),
            None if from == Type::Timestamp && ty.is_numeric() => {
                self.fail(arg.span, format!("a timestamp is not cast to {ty}"), "date_part('epoch', …), in seconds")
            }
            None => self.fail(arg.span, format!("there is no cast from {from} to {ty}"), "a cast by way of string"),
        }
    }
}
