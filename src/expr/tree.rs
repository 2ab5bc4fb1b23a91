//! A bound expression as data: its operations, its columns, its canonical text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::EvalStats;
use super::operand::Operand;
use crate::value::{Column, Scalar, Type};

/// A bound expression: its columns are positions, its types are checked, and evaluating it cannot fail.
#[derive(Clone)]
pub struct Expr {
    pub(super) node: ExprNode,
    pub(super) ty: Type,
    pub(super) nullable: bool,
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
        args: Vec<Expr>,
    },
    /// Pairs `(condition, result)` in order, and the result if no condition holds.
    Case {
        arms: Vec<(Expr, Expr)>,
        otherwise: Box<Expr>,
    },
    Coalesce(Vec<Expr>),
}

impl Expr {
    /// An expression that is a column.
    pub fn column(index: usize, column: &Column) -> Self {
        Expr::input(index, column.name.clone(), column.ty, column.nullable)
    }

    pub(super) fn of(node: ExprNode, ty: Type, nullable: bool) -> Self {
        Expr { node, ty, nullable, text: None }
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
        Expr::of(ExprNode::Call { name: name.into(), kernel: Arc::new(kernel), args }, ty, nullable)
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
        self.visit_columns(&mut |index| _ = found.insert(index));
        found.into_iter().collect()
    }

    fn visit_columns(&self, see: &mut dyn FnMut(usize)) {
        if let ExprNode::Column { index, .. } = self.node {
            see(index);
        }
        self.parts().for_each(|part| part.visit_columns(see));
    }

    /// Returns the expressions directly inside this one.
    pub(super) fn parts(&self) -> Box<dyn Iterator<Item = &Expr> + '_> {
        match &self.node {
            ExprNode::Column { .. } | ExprNode::Literal(_) | ExprNode::Null => Box::new(std::iter::empty()),
            ExprNode::Call { args, .. } | ExprNode::Coalesce(args) => Box::new(args.iter()),
            ExprNode::Case { arms, otherwise } => {
                Box::new(arms.iter().flat_map(|(when, then)| [when, then]).chain([otherwise.as_ref()]))
            }
        }
    }

    /// Returns the same expression over columns at other positions.
    pub fn remap(&self, to: &dyn Fn(usize) -> usize) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(|part| part.remap(to)).collect();
        let node = match &self.node {
            ExprNode::Column { index, name } => ExprNode::Column { index: to(*index), name: name.clone() },
            ExprNode::Literal(_) | ExprNode::Null => self.node.clone(),
            ExprNode::Call { name, kernel, args } => {
                ExprNode::Call { name: name.clone(), kernel: kernel.clone(), args: all(args) }
            }
            ExprNode::Coalesce(args) => ExprNode::Coalesce(all(args)),
            ExprNode::Case { arms, otherwise } => ExprNode::Case {
                arms: arms.iter().map(|(when, then)| (when.remap(to), then.remap(to))).collect(),
                otherwise: Box::new(otherwise.remap(to)),
            },
        };
        Expr { node, ty: self.ty, nullable: self.nullable, text: self.text.clone() }
    }

    /// Returns a stable text: equal for expressions with the same columns and operations, however they are written.
    /// Columns are identified by name, so their positions do not matter.
    pub fn canonical(&self) -> String {
        match &self.node {
            ExprNode::Column { name, .. } => format!("{name:?}:{}", self.ty),
            ExprNode::Literal(value) => canonical_constant(value),
            ExprNode::Null => "null".to_owned(),
            ExprNode::Call { name, .. } => self.prefix_form(name),
            ExprNode::Coalesce(_) => self.prefix_form("coalesce"),
            ExprNode::Case { .. } => self.prefix_form("case"),
        }
    }

    /// Returns the text as written, or else the canonical text.
    pub fn text(&self) -> Cow<'_, str> {
        self.text.as_deref().map_or_else(|| self.canonical().into(), Cow::Borrowed)
    }

    fn prefix_form(&self, name: &str) -> String {
        let parts: Vec<String> = self.parts().map(Expr::canonical).collect();
        format!("{name}({})", parts.join(" "))
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
