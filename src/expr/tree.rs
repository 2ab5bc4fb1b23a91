//! A bound expression as data: its operations, its columns, its canonical text.
//!
//! A tree is as deep as a chain of operators is long. Whatever visits one takes its stack from [`with_stack`], level by
//! level; copying one shares its parts, and dropping one takes no stack.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::operand::Operand;
use super::{EvalStats, with_stack};
use crate::value::{Column, Scalar, Type};

/// A bound expression: its columns are positions, its types are checked, and evaluating it cannot fail.
#[derive(Clone)]
pub struct Expr {
    pub(super) node: ExprNode,
    pub(super) ty: Type,
    pub(super) nullable: bool,
    /// Set if there is a column in it.
    pub(super) reads_columns: bool,
    /// Set if there is a CASE or coalesce in it.
    pub(super) has_branches: bool,
    /// The text as written, if this is a whole expression of a file.
    pub(super) text: Option<Arc<str>>,
}

/// The function that computes a call from its operands, which are of one length or constant.
pub(super) type Kernel = Arc<dyn Fn(&[Operand], &mut EvalStats) -> Operand + Send + Sync>;

#[derive(Clone)]
pub(super) enum ExprNode {
    Column {
        index: usize,
        name: Arc<str>,
    },
    /// One row, not null unless it is a typed NULL.
    Literal(ArrayRef),
    /// `NULL` whose type is still open; never left in a bound expression.
    Null,
    /// The name encodes everything that the kernel depends on beside its operands.
    Call {
        name: Arc<str>,
        kernel: Kernel,
        args: Parts,
    },
    /// The condition and the result of each arm, in order, then the result if no condition holds.
    Case(Parts),
    Coalesce(Parts),
}

/// The expressions directly inside another.
#[derive(Clone, Default)]
pub(super) struct Parts(Arc<Vec<Expr>>);

impl Parts {
    pub fn new(parts: Vec<Expr>) -> Self {
        Parts(Arc::new(parts))
    }

    /// Returns the parts if nothing else shares them, and leaves none.
    fn take(&mut self) -> Vec<Expr> {
        Arc::get_mut(&mut self.0).map(std::mem::take).unwrap_or_default()
    }
}

impl std::ops::Deref for Parts {
    type Target = [Expr];

    fn deref(&self) -> &[Expr] {
        &self.0
    }
}

impl FromIterator<Expr> for Parts {
    fn from_iter<I: IntoIterator<Item = Expr>>(parts: I) -> Self {
        Parts::new(parts.into_iter().collect())
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        let mut open = self.take();
        while let Some(mut expr) = open.pop() {
            if let ExprNode::Call { args: parts, .. } | ExprNode::Case(parts) | ExprNode::Coalesce(parts) =
                &mut expr.node
            {
                open.append(&mut parts.take());
            }
        }
    }
}

impl Expr {
    /// An expression that is a column.
    pub fn column(index: usize, column: &Column) -> Self {
        Expr::input(index, column.name.clone(), column.ty, column.nullable)
    }

    pub(super) fn of(node: ExprNode, ty: Type, nullable: bool) -> Self {
        let parts = node.parts();
        let reads_columns = matches!(node, ExprNode::Column { .. }) || parts.iter().any(|part| part.reads_columns);
        let has_branches =
            matches!(node, ExprNode::Case(_) | ExprNode::Coalesce(_)) || parts.iter().any(|part| part.has_branches);
        Expr { node, ty, nullable, reads_columns, has_branches, text: None }
    }

    pub(super) fn input(index: usize, name: impl Into<Arc<str>>, ty: Type, nullable: bool) -> Self {
        Expr::of(ExprNode::Column { index, name: name.into() }, ty, nullable)
    }

    pub(super) fn call(
        name: impl Into<Arc<str>>,
        ty: Type,
        nullable: bool,
        args: Vec<Expr>,
        kernel: impl Fn(&[Operand], &mut EvalStats) -> Operand + Send + Sync + 'static,
    ) -> Self {
        Expr::of(ExprNode::Call { name: name.into(), kernel: Arc::new(kernel), args: Parts::new(args) }, ty, nullable)
    }

    /// Returns the type of the value.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Returns whether the value may be null for rows that conform to their schema.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// Returns the position of the column if the expression is nothing but a column.
    pub fn as_column(&self) -> Option<usize> {
        match self.node {
            ExprNode::Column { index, .. } => Some(index),
            _ => None,
        }
    }

    /// Returns the positions of all columns that the expression reads, ascending.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = BTreeSet::new();
        self.visit_columns(&mut |index, _| _ = found.insert(index));
        found.into_iter().collect()
    }

    /// Returns the types of the columns that the expression reads, by position ascending.
    pub fn column_types(&self) -> Vec<Type> {
        let mut found = BTreeMap::new();
        self.visit_columns(&mut |index, ty| _ = found.insert(index, ty));
        found.into_values().collect()
    }

    fn visit_columns(&self, see: &mut dyn FnMut(usize, Type)) {
        if let ExprNode::Column { index, .. } = self.node {
            see(index, self.ty);
        }
        for part in self.parts().iter().filter(|part| part.reads_columns) {
            with_stack(|| part.visit_columns(see));
        }
    }

    /// Returns the expressions directly inside this one.
    pub(super) fn parts(&self) -> &[Expr] {
        self.node.parts()
    }

    /// Returns the same expression over columns at other positions.
    pub fn remap(&self, to: &dyn Fn(usize) -> usize) -> Expr {
        let all = |parts: &Parts| parts.iter().map(|part| with_stack(|| part.remap(to))).collect();
        let node = match &self.node {
            ExprNode::Column { index, name } => ExprNode::Column { index: to(*index), name: name.clone() },
            ExprNode::Literal(_) | ExprNode::Null => self.node.clone(),
            ExprNode::Call { name, kernel, args } => {
                ExprNode::Call { name: name.clone(), kernel: kernel.clone(), args: all(args) }
            }
            ExprNode::Coalesce(args) => ExprNode::Coalesce(all(args)),
            ExprNode::Case(parts) => ExprNode::Case(all(parts)),
        };
        Expr { text: self.text.clone(), ..Expr::of(node, self.ty, self.nullable) }
    }

    /// Returns a stable text: equal for expressions with the same columns and operations, however they are written.
    /// Columns are identified by name, so their positions do not matter.
    pub fn canonical(&self) -> String {
        let mut text = String::new();
        self.write_canonical(&mut text);
        text
    }

    fn write_canonical(&self, out: &mut String) {
        let name = match &self.node {
            ExprNode::Column { name, .. } => return *out += &format!("{name:?}:{}", self.ty),
            ExprNode::Literal(value) => return *out += &canonical_constant(value),
            ExprNode::Null => return *out += "null",
            ExprNode::Call { name, .. } => name,
            ExprNode::Coalesce(_) => "coalesce",
            ExprNode::Case(_) => "case",
        };
        *out += name;
        for (at, part) in self.parts().iter().enumerate() {
            out.push(if at == 0 { '(' } else { ' ' });
            with_stack(|| part.write_canonical(out));
        }
        *out += if self.parts().is_empty() { "()" } else { ")" };
    }

    /// Returns the text as written, or else the canonical text.
    pub fn text(&self) -> Cow<'_, str> {
        self.text.as_deref().map_or_else(|| self.canonical().into(), Cow::Borrowed)
    }
}

impl ExprNode {
    fn parts(&self) -> &[Expr] {
        match self {
            ExprNode::Column { .. } | ExprNode::Literal(_) | ExprNode::Null => &[],
            ExprNode::Call { args: parts, .. } | ExprNode::Coalesce(parts) | ExprNode::Case(parts) => parts,
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}

/// Returns the canonical text of a constant, a column of one row.
fn canonical_constant(value: &ArrayRef) -> String {
    match Scalar::of(value, 0) {
        Scalar::Null => format!("null:{}", Type::of_arrow(value.data_type()).expect("literals have tidemill's types")),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => format!("{value:?}"),
        Scalar::String(value) => format!("{value:?}:string"),
        Scalar::Timestamp(ms) => format!("{ms}:timestamp"),
    }
}
