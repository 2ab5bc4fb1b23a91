//! A bound expression, and how it is evaluated.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow_array::ArrayRef;

use super::choose;
use super::literal;
use super::operand::Operand;
use crate::value::{Column, Type};

/// What could not be computed and became NULL instead. Counts of rows, once for each operation that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvalStats {
    /// Float results that were infinite or not a number, a division by zero among them.
    pub non_finite: u64,
    /// Int results that do not fit, and int divisions by zero.
    pub overflow: u64,
    /// Texts that a cast could not read.
    pub unreadable: u64,
}

impl EvalStats {
    /// Whether nothing failed.
    pub fn is_clean(&self) -> bool {
        *self == EvalStats::default()
    }

    /// Adds the counts of another evaluation.
    pub fn merge(&mut self, other: EvalStats) {
        self.non_finite += other.non_finite;
        self.overflow += other.overflow;
        self.unreadable += other.unreadable;
    }
}

/// A bound expression: its columns are positions, its types are checked, and evaluating it cannot fail.
#[derive(Clone)]
pub struct Expr {
    pub(super) node: Node,
    pub(super) ty: Type,
    pub(super) nullable: bool,
    /// As it was written, if it is a whole expression of a file.
    pub(super) text: Option<Arc<str>>,
}

/// What a call does with its operands, all of one length or constant.
pub(super) type Kernel = Arc<dyn Fn(&[Operand], &mut EvalStats) -> Operand + Send + Sync>;

#[derive(Clone)]
pub(super) enum Node {
    Column {
        index: usize,
        name: Arc<str>,
    },
    /// One row, not null unless it is a typed NULL.
    Literal(ArrayRef),
    /// `NULL` whose type is still open; never left in a bound expression.
    Null,
    /// The name tells everything that the kernel knows beside its operands.
    Call {
        name: Arc<str>,
        kernel: Kernel,
        args: Vec<Expr>,
    },
    /// `(condition, result)` in order, and the result when none holds.
    Case {
        arms: Vec<(Expr, Expr)>,
        otherwise: Box<Expr>,
    },
    Coalesce(Vec<Expr>),
}

impl Expr {
    /// A column as it is.
    pub fn column(index: usize, column: &Column) -> Self {
        Expr::input(index, column.name.clone(), column.ty, column.nullable)
    }

    pub(super) fn of(node: Node, ty: Type, nullable: bool) -> Self {
        Expr { node, ty, nullable, text: None }
    }

    pub(super) fn input(index: usize, name: impl Into<Arc<str>>, ty: Type, nullable: bool) -> Self {
        Expr::of(Node::Column { index, name: name.into() }, ty, nullable)
    }

    pub(super) fn call(
        name: impl Into<Arc<str>>,
        ty: Type,
        nullable: bool,
        args: Vec<Expr>,
        kernel: impl Fn(&[Operand], &mut EvalStats) -> Operand + Send + Sync + 'static,
    ) -> Self {
        Expr::of(Node::Call { name: name.into(), kernel: Arc::new(kernel), args }, ty, nullable)
    }

    /// The type of its value.
    pub fn ty(&self) -> Type {
        self.ty
    }

    /// Whether its value may be null for rows that keep to their schema.
    pub fn nullable(&self) -> bool {
        self.nullable
    }

    /// The position of the column that this is, if it is nothing more.
    pub fn as_column(&self) -> Option<usize> {
        match self.node {
            Node::Column { index, .. } => Some(index),
            _ => None,
        }
    }

    /// The positions of all columns that it reads, ascending.
    pub fn columns(&self) -> Vec<usize> {
        let mut found = BTreeSet::new();
        self.visit_columns(&mut |index| _ = found.insert(index));
        found.into_iter().collect()
    }

    fn visit_columns(&self, see: &mut dyn FnMut(usize)) {
        if let Node::Column { index, .. } = self.node {
            see(index);
        }
        self.parts().for_each(|part| part.visit_columns(see));
    }

    /// The expressions directly inside this one.
    pub(super) fn parts(&self) -> Box<dyn Iterator<Item = &Expr> + '_> {
        match &self.node {
            Node::Column { .. } | Node::Literal(_) | Node::Null => Box::new(std::iter::empty()),
            Node::Call { args, .. } | Node::Coalesce(args) => Box::new(args.iter()),
            Node::Case { arms, otherwise } => {
                Box::new(arms.iter().flat_map(|(when, then)| [when, then]).chain([otherwise.as_ref()]))
            }
        }
    }

    /// The same expression over columns that stand elsewhere.
    pub fn remap(&self, to: &dyn Fn(usize) -> usize) -> Expr {
        let all = |parts: &[Expr]| parts.iter().map(|part| part.remap(to)).collect();
        let node = match &self.node {
            Node::Column { index, name } => Node::Column { index: to(*index), name: name.clone() },
            Node::Literal(_) | Node::Null => self.node.clone(),
            Node::Call { name, kernel, args } => {
                Node::Call { name: name.clone(), kernel: kernel.clone(), args: all(args) }
            }
            Node::Coalesce(args) => Node::Coalesce(all(args)),
            Node::Case { arms, otherwise } => Node::Case {
                arms: arms.iter().map(|(when, then)| (when.remap(to), then.remap(to))).collect(),
                otherwise: Box::new(otherwise.remap(to)),
            },
        };
        Expr { node, ty: self.ty, nullable: self.nullable, text: self.text.clone() }
    }

    /// A stable text: equal for expressions that mean the same columns and operations, whatever their spelling.
    /// Columns go by name, so their positions do not matter.
    pub fn canonical(&self) -> String {
        match &self.node {
            Node::Column { name, .. } => format!("{name:?}:{}", self.ty),
            Node::Literal(value) => literal::canonical(value),
            Node::Null => "null".to_owned(),
            Node::Call { name, .. } => self.prefix_form(name),
            Node::Coalesce(_) => self.prefix_form("coalesce"),
            Node::Case { .. } => self.prefix_form("case"),
        }
    }

    /// As it was written, or else its canonical text.
    pub fn text(&self) -> Cow<'_, str> {
        self.text.as_deref().map_or_else(|| self.canonical().into(), Cow::Borrowed)
    }

    fn prefix_form(&self, name: &str) -> String {
        let parts: Vec<String> = self.parts().map(Expr::canonical).collect();
        format!("{name}({})", parts.join(" "))
    }

    /// Evaluates it for each of `rows` rows.
    ///
    /// # Panics
    /// If the columns are not those of the scope it was bound in.
    pub fn eval(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> ArrayRef {
        self.operand(columns, rows, stats).into_rows(rows)
    }

    pub(super) fn operand(&self, columns: &[ArrayRef], rows: usize, stats: &mut EvalStats) -> Operand {
        match &self.node {
            Node::Column { index, .. } => Operand::Rows(columns[*index].clone()),
            Node::Literal(value) => Operand::Same(value.clone()),
            Node::Null => unreachable!("binding gives every NULL a type"),
            Node::Call { kernel, args, .. } => match args.as_slice() {
                [a] => kernel(&[a.operand(columns, rows, stats)], stats),
                [a, b] => kernel(&[a.operand(columns, rows, stats), b.operand(columns, rows, stats)], stats),
                more => {
                    let operands: Vec<Operand> = more.iter().map(|arg| arg.operand(columns, rows, stats)).collect();
                    kernel(&operands, stats)
                }
            },
            Node::Case { arms, otherwise } => choose::case(arms, otherwise, columns, rows, stats),
            Node::Coalesce(args) => choose::coalesce(args, columns, rows, stats),
        }
    }
}

impl fmt::Debug for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.canonical())
    }
}
