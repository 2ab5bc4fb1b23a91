//! Vectorised evaluation of expressions against a naive one, a row at a time.
//!
//! Expressions are made as trees of a type, written as SQL, and evaluated by the tree. Values, nulls and counts of
//! failures must agree for any batch size, and the bits of floats with them.

use std::sync::Arc;

use arrow_array::ArrayRef;
use proptest::prelude::*;
use tidemill::expr::{EvalStats, Expr, Scope};
use tidemill::value::{Column, ColumnBuilder, Scalar, Schema, Type};

/// Columns of the test relation, two a type; those of odd index are never null.
const COLUMNS: [(&str, Type); 10] = [
    ("i", Type::Int),
    ("i2", Type::Int),
    ("f", Type::Float),
    ("f2", Type::Float),
    ("s", Type::String),
    ("s2", Type::String),
    ("b", Type::Bool),
    ("b2", Type::Bool),
    ("t", Type::Timestamp),
    ("t2", Type::Timestamp),
];

fn schema() -> Schema {
    let column = |(at, (name, ty)): (usize, &(&str, Type))| Column::new(*name, *ty, at % 2 == 0);
    Schema::new(COLUMNS.iter().enumerate().map(column).collect())
}

/// An expression as the oracle sees it.
#[derive(Clone, Debug)]
enum Tree {
    Column(usize),
    Literal(Scalar),
    Infix(&'static str, Box<Tree>, Box<Tree>),
    Prefix(&'static str, Box<Tree>),
    IsNull(Box<Tree>, bool),
    In(Box<Tree>, Vec<Tree>, bool),
    Between(Box<Tree>, Box<Tree>, Box<Tree>),
    Like(Box<Tree>, String),
    Case(Vec<(Tree, Tree)>, Option<Box<Tree>>),
    Call(&'static str, Vec<Tree>),
    Cast(Box<Tree>, Type),
    /// A time and an interval of so many ms.
    Shift(&'static str, Box<Tree>, i64),
}

impl Tree {
    fn sql(&self) -> String {
        let list = |trees: &[Tree]| trees.iter().map(Tree::sql).collect::<Vec<_>>().join(", ");
        match self {
            Tree::Column(at) => COLUMNS[*at].0.to_owned(),
            Tree::Literal(Scalar::Null) => "null".to_owned(),
            Tree::Literal(Scalar::Int(value)) => format!("({value})"),
            Tree::Literal(Scalar::Float(value)) => format!("({value:?})"),
            Tree::Literal(Scalar::Bool(value)) => value.to_string(),
            Tree::Literal(Scalar::String(value)) => format!("'{}'", value.replace('\'', "''")),
            Tree::Literal(Scalar::Timestamp(ms)) => format!("timestamp '{}'", tidemill::time::format_time(*ms)),
            Tree::Infix(op, a, b) => format!("({} {op} {})", a.sql(), b.sql()),
            Tree::Prefix(op, a) => format!("({op} {})", a.sql()),
            Tree::IsNull(a, yes) => format!("({} is {} null)", a.sql(), if *yes { "" } else { "not" }),
            Tree::In(a, items, negated) => {
                format!("({} {} in ({}))", a.sql(), if *negated { "not" } else { "" }, list(items))
            }
            Tree::Between(a, low, high) => format!("({} between {} and {})", a.sql(), low.sql(), high.sql()),
            Tree::Like(a, pattern) => format!("({} like '{pattern}')", a.sql()),
            Tree::Case(arms, otherwise) => {
                let arms: Vec<String> =
                    arms.iter().map(|(w, t)| format!("when {} then {}", w.sql(), t.sql())).collect();
                let otherwise = otherwise.as_ref().map_or_else(String::new, |tree| format!("else {}", tree.sql()));
                format!("(case {} {otherwise} end)", arms.join(" "))
            }
            Tree::Call(name, args) => format!("{name}({})", list(args)),
            Tree::Cast(a, ty) => format!("cast({} as {ty})", a.sql()),
            Tree::Shift(op, t, ms) => format!("({} {op} interval '{ms} ms')", t.sql()),
        }
    }

    /// The value of a row; what SQL does not reach is not evaluated.
    fn value(&self, row: &[Scalar], stats: &mut EvalStats) -> Scalar {
        match self {
            Tree::Column(at) => row[*at].clone(),
            Tree::Literal(value) => value.clone(),
            Tree::Infix(op, a, b) => infix(op, a.value(row, stats), b.value(row, stats), stats),
            Tree::Prefix("not", a) => match a.value(row, stats) {
                Scalar::Bool(value) => Scalar::Bool(!value),
                null => null,
            },
            Tree::Prefix(_, a) => match a.value(row, stats) {
                Scalar::Int(value) => int(value.checked_neg(), stats),
                Scalar::Float(value) => Scalar::Float(-value),
                null => null,
            },
            Tree::IsNull(a, yes) => Scalar::Bool(a.value(row, stats).is_null() == *yes),
            Tree::In(a, items, negated) => {
                let a = a.value(row, stats);
                let values: Vec<Scalar> = items.iter().map(|item| item.value(row, stats)).collect();
                let found = values.into_iter().map(|item| infix("=", a.clone(), item, &mut EvalStats::default()));
                let any = found.reduce(|x, y| infix("or", x, y, &mut EvalStats::default())).unwrap();
                match any {
                    Scalar::Bool(any) => Scalar::Bool(any != *negated),
                    null => null,
                }
            }
            Tree::Between(a, low, high) => {
                let a = a.value(row, stats);
                let above = infix(">=", a.clone(), low.value(row, stats), stats);
                let below = infix("<=", a, high.value(row, stats), stats);
                infix("and", above, below, stats)
            }
            Tree::Like(a, pattern) => match a.value(row, stats) {
                Scalar::String(text) => {
                    let letters: Vec<char> = text.chars().collect();
                    Scalar::Bool(like(&letters, &pattern.chars().collect::<Vec<_>>()))
                }
                null => null,
            },
            Tree::Case(arms, otherwise) => {
                let hit = arms.iter().find(|(when, _)| when.value(row, stats) == Scalar::Bool(true));
                match (hit, otherwise) {
                    (Some((_, then)), _) => then.value(row, stats),
                    (None, Some(tree)) => tree.value(row, stats),
                    (None, None) => Scalar::Null,
                }
            }
            Tree::Call("coalesce", args) => {
                args.iter().map(|arg| arg.value(row, stats)).find(|value| !value.is_null()).unwrap_or(Scalar::Null)
            }
            Tree::Call(name, args) => {
                let args = args.iter().map(|arg| arg.value(row, stats)).collect();
                call(name, args, stats)
            }
            Tree::Cast(a, ty) => cast(a.value(row, stats), *ty, stats),
            Tree::Shift(op, t, ms) => match t.value(row, stats) {
                Scalar::Timestamp(t) => time(if *op == "+" { t.checked_add(*ms) } else { t.checked_sub(*ms) }, stats),
                null => null,
            },
        }
    }
}

fn int(value: Option<i64>, stats: &mut EvalStats) -> Scalar {
    stats.overflow += u64::from(value.is_none());
    value.map_or(Scalar::Null, Scalar::Int)
}

fn float(value: f64, stats: &mut EvalStats) -> Scalar {
    stats.non_finite += u64::from(!value.is_finite());
    if value.is_finite() { Scalar::Float(value) } else { Scalar::Null }
}

fn infix(op: &str, a: Scalar, b: Scalar, stats: &mut EvalStats) -> Scalar {
    use Scalar::{Bool, Float, Int, Null, String};
    match (op, &a, &b) {
        ("and", Bool(false), _) | ("and", _, Bool(false)) => return Bool(false),
        ("or", Bool(true), _) | ("or", _, Bool(true)) => return Bool(true),
        (_, Null, _) | (_, _, Null) => return Null,
        _ => {}
    }
    // A float on either side makes both floats.
    let (a, b) = match (a, b) {
        (Int(a), Float(b)) => (Float(a as f64), Float(b)),
        (Float(a), Int(b)) => (Float(a), Float(b as f64)),
        other => other,
    };
    let order = match (&a, &b) {
        (Int(a), Int(b)) => a.cmp(b),
        (Scalar::Timestamp(a), Scalar::Timestamp(b)) => a.cmp(b),
        (Float(a), Float(b)) => a.partial_cmp(b).unwrap(),
        (String(a), String(b)) => a.cmp(b),
        (Bool(a), Bool(b)) => a.cmp(b),
        other => panic!("{op} of {other:?}"),
    };
    match (op, a, b) {
        ("=", ..) => Bool(order.is_eq()),
        ("<>", ..) => Bool(order.is_ne()),
        ("<", ..) => Bool(order.is_lt()),
        ("<=", ..) => Bool(order.is_le()),
        (">", ..) => Bool(order.is_gt()),
        (">=", ..) => Bool(order.is_ge()),
        ("and", Bool(a), Bool(b)) => Bool(a && b),
        ("or", Bool(a), Bool(b)) => Bool(a || b),
        ("||", String(a), String(b)) => String(format!("{a}{b}").into()),
        ("+", Int(a), Int(b)) => int(a.checked_add(b), stats),
        ("-", Int(a), Int(b)) => int(a.checked_sub(b), stats),
        ("*", Int(a), Int(b)) => int(a.checked_mul(b), stats),
        ("/", Int(a), Int(b)) => int(a.checked_div(b), stats),
        ("%", Int(a), Int(b)) => int(if b == -1 { Some(0) } else { a.checked_rem(b) }, stats),
        ("+", Float(a), Float(b)) => float(a + b, stats),
        ("-", Float(a), Float(b)) => float(a - b, stats),
        ("*", Float(a), Float(b)) => float(a * b, stats),
        ("/", Float(a), Float(b)) => float(a / b, stats),
        ("%", Float(a), Float(b)) => float(a % b, stats),
        other => panic!("{other:?}"),
    }
}

fn like(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|from| like(&text[from..], rest)),
        ['_', rest @ ..] => !text.is_empty() && like(&text[1..], rest),
        [letter, rest @ ..] => text.first() == Some(letter) && like(&text[1..], rest),
    }
}

fn call(name: &str, args: Vec<Scalar>, stats: &mut EvalStats) -> Scalar {
    use Scalar::{Float, Int, Null, String, Timestamp};
    let number = |value: &Scalar| match value {
        Int(value) => *value as f64,
        Float(value) => *value,
        other => panic!("{other:?}"),
    };
    match (name, args.as_slice()) {
        ("greatest" | "least", args) => {
            let wins = if name == "greatest" { ">" } else { "<" };
            let float = args.iter().any(|arg| matches!(arg, Float(_)));
            let widened = args.iter().filter(|arg| !arg.is_null()).map(|arg| match arg {
                Int(value) if float => Float(*value as f64),
                other => other.clone(),
            });
            let better = |a: Scalar, b: Scalar| {
                let b_wins = infix(wins, b.clone(), a.clone(), &mut EvalStats::default());
                if b_wins == Scalar::Bool(true) { b } else { a }
            };
            widened.reduce(better).unwrap_or(Null)
        }
        ("nullif", [a, b]) => match infix("=", a.clone(), b.clone(), stats) {
            Scalar::Bool(true) => Null,
            _ => a.clone(),
        },
        (_, args) if args.iter().any(Scalar::is_null) => Null,
        ("abs", [Int(a)]) => int(a.checked_abs(), stats),
        ("abs", [Float(a)]) => Float(a.abs()),
        ("sign", [Int(a)]) => Int(a.signum()),
        ("sign", [Float(a)]) if *a == 0.0 => Float(0.0),
        ("sign", [Float(a)]) => Float(a.signum()),
        ("floor" | "ceil" | "round", [Int(a)]) => Int(*a),
        ("floor", [Float(a)]) => Float(a.floor()),
        ("ceil", [Float(a)]) => Float(a.ceil()),
        ("round", [Float(a)]) => Float(a.round_ties_even()),
        ("sqrt", [a]) => float(number(a).sqrt(), stats),
        ("exp", [a]) => float(libm::exp(number(a)), stats),
        ("ln", [a]) => float(libm::log(number(a)), stats),
        ("log1p", [a]) => float(libm::log1p(number(a)), stats),
        ("power", [a, b]) => float(libm::pow(number(a), number(b)), stats),
        ("length", [String(a)]) => Int(a.chars().count() as i64),
        ("upper", [String(a)]) => String(a.to_uppercase().into()),
        ("lower", [String(a)]) => String(a.to_lowercase().into()),
        ("strpos", [String(a), String(b)]) => {
            Int(a.find(b.as_ref()).map_or(0, |at| a[..at].chars().count() as i64 + 1))
        }
        ("substr", [String(a), Int(from), Int(count)]) => {
            let wanted = |at: i64| at >= *from && i128::from(at) < i128::from(*from) + i128::from(*count);
            let letters = a.chars().zip(1..).filter(|(_, at)| wanted(*at)).map(|(letter, _)| letter);
            String(letters.collect::<std::string::String>().into())
        }
        ("to_timestamp", [Int(seconds)]) => time(seconds.checked_mul(1000), stats),
        ("to_timestamp", [Float(seconds)]) => {
            let ms = (seconds * 1000.0).round_ties_even();
            time((-(2f64.powi(63))..2f64.powi(63)).contains(&ms).then_some(ms as i64), stats)
        }
        ("date_part", [String(field), Timestamp(ms)]) => match field.as_ref() {
            "hour" => Int(ms.rem_euclid(86_400_000) / 3_600_000),
            "dow" => Int((ms.div_euclid(86_400_000) + 4).rem_euclid(7)),
            "epoch" => Float(*ms as f64 / 1000.0),
            other => panic!("{other}"),
        },
        other => panic!("{other:?}"),
    }
}

fn time(ms: Option<i64>, stats: &mut EvalStats) -> Scalar {
    stats.overflow += u64::from(ms.is_none());
    ms.map_or(Scalar::Null, Scalar::Timestamp)
}

fn cast(value: Scalar, ty: Type, stats: &mut EvalStats) -> Scalar {
    match (value, ty) {
        (Scalar::Null, _) => Scalar::Null,
        (Scalar::Int(value), Type::Float) => Scalar::Float(value as f64),
        (Scalar::Int(value), Type::Bool) => Scalar::Bool(value != 0),
        (Scalar::Bool(value), Type::Int) => Scalar::Int(i64::from(value)),
        (Scalar::Bool(value), Type::Float) => Scalar::Float(f64::from(u8::from(value))),
        (Scalar::Float(value), Type::Int) => {
            let value = value.round_ties_even();
            let fits = (-(2f64.powi(63))..2f64.powi(63)).contains(&value);
            int(fits.then_some(value as i64), stats)
        }
        (Scalar::String(text), Type::Int) => {
            let value = text.trim().parse().ok();
            stats.unreadable += u64::from(value.is_none());
            value.map_or(Scalar::Null, Scalar::Int)
        }
        (Scalar::Int(value), Type::String) => Scalar::String(value.to_string().into()),
        (value, _) => value,
    }
}

fn literal(ty: Type) -> BoxedStrategy<Tree> {
    scalar(ty).prop_map(Tree::Literal).boxed()
}

fn scalar(ty: Type) -> BoxedStrategy<Scalar> {
    match ty {
        Type::Int => prop_oneof![
            (-3i64..100).prop_map(Scalar::Int),
            Just(Scalar::Int(i64::MAX)),
            Just(Scalar::Int(i64::MIN)),
            any::<i64>().prop_map(Scalar::Int)
        ]
        .boxed(),
        Type::Float => prop_oneof![
            (-8i32..8).prop_map(|x| Scalar::Float(f64::from(x) / 2.0)),
            Just(Scalar::Float(-0.0)),
            Just(Scalar::Float(1e300)),
            (-1e6f64..1e6).prop_map(Scalar::Float)
        ]
        .boxed(),
        Type::String => prop_oneof!["[ab']{0,3}", "[éA%_]{0,2}", "-?[0-9]{1,3}"]
            .prop_map(|text| Scalar::String(text.into()))
            .boxed(),
        Type::Bool => any::<bool>().prop_map(Scalar::Bool).boxed(),
        Type::Timestamp => (-10_000_000_000i64..2_000_000_000_000).prop_map(Scalar::Timestamp).boxed(),
    }
}

fn comparable() -> impl Strategy<Value = Type> {
    prop::sample::select(Type::ALL.to_vec())
}

/// A tree of a type, no deeper than `depth`.
fn tree(ty: Type, depth: u32) -> BoxedStrategy<Tree> {
    let first = COLUMNS.iter().position(|(_, of)| *of == ty).unwrap();
    let leaf = prop_oneof![3 => (first..first + 2).prop_map(Tree::Column), 1 => literal(ty)].boxed();
    if depth == 0 {
        return leaf;
    }
    let sub = move |ty| tree(ty, depth - 1);
    let boxed = move |ty| sub(ty).prop_map(Box::new);
    let condition = move || tree(Type::Bool, depth - 1);
    let case = (prop::collection::vec((condition(), sub(ty)), 1..3), prop::option::of(boxed(ty)))
        .prop_map(|(arms, otherwise)| Tree::Case(arms, otherwise));
    let choice = (prop::sample::select(vec!["coalesce", "greatest", "least"]), prop::collection::vec(sub(ty), 1..4))
        .prop_map(|(name, args)| Tree::Call(name, args));
    let null_if = (sub(ty), sub(ty)).prop_map(|(a, b)| Tree::Call("nullif", vec![a, b]));
    let call1 = move |names: &[&'static str], of| {
        (prop::sample::select(names.to_vec()), sub(of)).prop_map(|(name, a)| Tree::Call(name, vec![a])).boxed()
    };
    let arithmetic = (prop::sample::select(vec!["+", "-", "*", "/", "%"]), boxed(ty), boxed(ty))
        .prop_map(|(op, a, b)| Tree::Infix(op, a, b))
        .boxed();
    let own = match ty {
        Type::Int => prop_oneof![
            4 => arithmetic,
            1 => boxed(Type::Int).prop_map(|a| Tree::Prefix("-", a)),
            1 => call1(&["abs", "sign", "floor", "ceil", "round"], Type::Int),
            1 => call1(&["length"], Type::String),
            1 => (sub(Type::String), sub(Type::String)).prop_map(|(a, b)| Tree::Call("strpos", vec![a, b])),
            1 => (prop::sample::select(vec!["hour", "dow"]), sub(Type::Timestamp)).prop_map(|(field, t)| {
                Tree::Call("date_part", vec![Tree::Literal(Scalar::String(field.into())), t])
            }),
            1 => prop_oneof![boxed(Type::Float), boxed(Type::Bool), boxed(Type::String)]
                .prop_map(|a| Tree::Cast(a, Type::Int)),
        ]
        .boxed(),
        Type::Float => prop_oneof![
            4 => arithmetic,
            1 => (prop::sample::select(vec!["+", "-", "*", "/"]), boxed(Type::Int), boxed(Type::Float))
                .prop_map(|(op, a, b)| Tree::Infix(op, a, b)),
            1 => boxed(Type::Float).prop_map(|a| Tree::Prefix("-", a)),
            2 => call1(&["abs", "sign", "floor", "ceil", "round", "sqrt", "exp", "ln", "log1p"], Type::Float),
            1 => call1(&["sqrt", "exp", "ln"], Type::Int),
            1 => (sub(Type::Float), sub(Type::Int)).prop_map(|(a, b)| Tree::Call("power", vec![a, b])),
            1 => prop_oneof![boxed(Type::Int), boxed(Type::Bool)].prop_map(|a| Tree::Cast(a, Type::Float)),
            1 => sub(Type::Timestamp)
                .prop_map(|t| Tree::Call("date_part", vec![Tree::Literal(Scalar::String("epoch".into())), t])),
        ]
        .boxed(),
        Type::String => prop_oneof![
            2 => (boxed(ty), boxed(ty)).prop_map(|(a, b)| Tree::Infix("||", a, b)),
            1 => call1(&["upper", "lower"], Type::String),
            1 => boxed(Type::Int).prop_map(|a| Tree::Cast(a, Type::String)),
            1 => (sub(ty), -2i64..4, 0i64..4).prop_map(|(a, from, count)| {
                Tree::Call("substr", vec![a, Tree::Literal(Scalar::Int(from)), Tree::Literal(Scalar::Int(count))])
            }),
        ]
        .boxed(),
        Type::Bool => {
            let comparison = (comparable(), prop::sample::select(vec!["=", "<>", "<", "<=", ">", ">="]))
                .prop_flat_map(move |(of, op)| (boxed(of), boxed(of)).prop_map(move |(a, b)| Tree::Infix(op, a, b)));
            let mixed = (boxed(Type::Int), boxed(Type::Float)).prop_map(|(a, b)| Tree::Infix("<", a, b));
            let is_null = (comparable(), any::<bool>())
                .prop_flat_map(move |(of, yes)| boxed(of).prop_map(move |a| Tree::IsNull(a, yes)));
            let items = |of| prop_oneof![4 => literal(of), 1 => Just(Tree::Literal(Scalar::Null))];
            let is_in = (comparable(), any::<bool>()).prop_flat_map(move |(of, negated)| {
                (boxed(of), literal(of), prop::collection::vec(items(of), 0..3)).prop_map(
                    move |(a, first, mut list)| {
                        list.insert(0, first);
                        Tree::In(a, list, negated)
                    },
                )
            });
            let in_any = (boxed(Type::Int), prop::collection::vec(sub(Type::Int), 1..3))
                .prop_map(|(a, list)| Tree::In(a, list, false));
            let between = comparable().prop_flat_map(move |of| {
                (boxed(of), boxed(of), boxed(of)).prop_map(|(a, low, high)| Tree::Between(a, low, high))
            });
            prop_oneof![
                3 => comparison,
                1 => mixed,
                2 => (prop::sample::select(vec!["and", "or"]), boxed(ty), boxed(ty))
                    .prop_map(|(op, a, b)| Tree::Infix(op, a, b)),
                1 => boxed(ty).prop_map(|a| Tree::Prefix("not", a)),
                1 => is_null,
                1 => is_in,
                1 => in_any,
                1 => between,
                1 => (boxed(Type::String), "[ab%_]{0,4}").prop_map(|(a, pattern)| Tree::Like(a, pattern)),
                1 => boxed(Type::Int).prop_map(|a| Tree::Cast(a, Type::Bool)),
            ]
            .boxed()
        }
        Type::Timestamp => prop_oneof![
            3 => (prop::sample::select(vec!["+", "-"]), boxed(ty), -9_000_000i64..9_000_000)
                .prop_map(|(op, t, ms)| Tree::Shift(op, t, ms)),
            1 => call1(&["to_timestamp"], Type::Int),
            1 => call1(&["to_timestamp"], Type::Float),
        ]
        .boxed(),
    };
    prop_oneof![2 => leaf, 6 => own, 1 => case, 1 => choice, 1 => null_if].boxed()
}

fn rows() -> impl Strategy<Value = Vec<Vec<Scalar>>> {
    let value = |(at, (_, ty)): (usize, &(&str, Type))| match at % 2 {
        0 => prop_oneof![1 => Just(Scalar::Null), 3 => scalar(*ty)].boxed(),
        _ => scalar(*ty),
    };
    let row: Vec<BoxedStrategy<Scalar>> = COLUMNS.iter().enumerate().map(value).collect();
    prop::collection::vec(row, 0..12)
}

fn columns(rows: &[Vec<Scalar>]) -> Vec<ArrayRef> {
    let column = |(at, (_, ty)): (usize, &(&str, Type))| {
        let mut builder = ColumnBuilder::new(*ty);
        rows.iter().for_each(|row| builder.append(&row[at]));
        builder.finish()
    };
    COLUMNS.iter().enumerate().map(column).collect()
}

fn bits(value: &Scalar) -> String {
    match value {
        Scalar::Float(value) => format!("{:x}", value.to_bits()),
        other => format!("{other:?}"),
    }
}

fn check(ty: Type, tree: &Tree, rows: &[Vec<Scalar>]) -> Result<(), TestCaseError> {
    let sql = tree.sql();
    let expr = match Expr::parse(&sql, &Scope::of("r", &schema())) {
        Ok(expr) => expr,
        // A constant part without a value is refused, as is NULL of no type; the oracle has nothing to compare.
        Err(errors) => {
            let known = ["this constant has no value", "NULL of no type"];
            prop_assert!(errors.iter().all(|e| known.contains(&e.message.as_str())), "{sql}: {errors:?}");
            return Ok(());
        }
    };
    prop_assert_eq!(expr.ty(), ty, "{}", sql);
    let columns = columns(rows);
    let mut stats = EvalStats::default();
    let whole = expr.eval(&columns, rows.len(), &mut stats);
    prop_assert_eq!(whole.len(), rows.len());
    let (mut expected_stats, mut single_stats) = (EvalStats::default(), EvalStats::default());
    for (at, row) in rows.iter().enumerate() {
        let expected = tree.value(row, &mut expected_stats);
        let found = Scalar::of(&whole, at);
        prop_assert_eq!(bits(&found), bits(&expected), "{} in row {:?}", sql, row);
        prop_assert!(expr.nullable() || !found.is_null(), "{} is null in row {:?}", sql, row);
        let slice: Vec<ArrayRef> = columns.iter().map(|column| column.slice(at, 1)).collect();
        let single = expr.eval(&slice, 1, &mut single_stats);
        prop_assert_eq!(bits(&Scalar::of(&single, 0)), bits(&expected), "{} alone", sql);
    }
    prop_assert_eq!(stats, expected_stats, "{}", sql);
    prop_assert_eq!(single_stats, expected_stats, "{} alone", sql);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_vectorised_and_naive_evaluation_agree(
        (ty, tree) in comparable().prop_flat_map(|ty| tree(ty, 3).prop_map(move |tree| (ty, tree))),
        rows in rows(),
    ) {
        check(ty, &tree, &rows)?;
    }

    #[test]
    fn laws_a_remapped_expression_has_the_same_values_and_text(tree in tree(Type::Float, 2), rows in rows()) {
        let Ok(expr) = Expr::parse(&tree.sql(), &Scope::of("r", &schema())) else { return Ok(()) };
        let moved = expr.remap(&|at| at + 3);
        let mut shifted: Vec<ArrayRef> = columns(&rows)[..3].to_vec();
        shifted.extend(columns(&rows));
        let a = expr.eval(&columns(&rows), rows.len(), &mut EvalStats::default());
        let b = moved.eval(&shifted, rows.len(), &mut EvalStats::default());
        prop_assert_eq!(&a, &b);
        prop_assert_eq!(expr.canonical(), moved.canonical());
        prop_assert_eq!(moved.columns(), expr.columns().iter().map(|at| at + 3).collect::<Vec<_>>());
    }

    #[test]
    fn any_text_is_an_expression_or_an_error_with_a_place_in_it(text in "[a-z0-9'\"().,+*/<>=% é-]{0,30}") {
        if let Err(errors) = Expr::parse(&text, &Scope::of("r", &schema())) {
            prop_assert!(!errors.is_empty());
            for error in errors {
                prop_assert!(error.span.start <= error.span.end && error.span.end <= text.len(), "{error:?}");
                prop_assert!(text.is_char_boundary(error.span.start));
            }
        }
    }
}

/// The value of a branch that all rows take may be a constant, and fail in what is made of it.
#[test]
fn a_failure_behind_a_branch_that_all_rows_take_is_counted_in_each_of_them() {
    let int = |value: i64| Box::new(Tree::Literal(Scalar::Int(value)));
    let zero = Tree::Case(vec![(Tree::Column(7), *int(0))], Some(int(1)));
    let first = Tree::Call("coalesce", vec![zero.clone(), *int(1)]);
    let row = |b2: bool| {
        let value = |(at, (_, ty)): (usize, &(&str, Type))| match (at, ty) {
            (7, _) => Scalar::Bool(b2),
            (_, Type::Int) => Scalar::Int(1),
            (_, Type::Float) => Scalar::Float(1.0),
            (_, Type::String) => Scalar::String("a".into()),
            (_, Type::Bool) => Scalar::Bool(true),
            (_, Type::Timestamp) => Scalar::Timestamp(0),
        };
        COLUMNS.iter().enumerate().map(value).collect::<Vec<_>>()
    };
    for by in [zero, first] {
        let tree = Tree::Infix("/", int(1), Box::new(by));
        for rows in [vec![], vec![true; 5], vec![false; 5], vec![true, false, true]] {
            check(Type::Int, &tree, &rows.into_iter().map(row).collect::<Vec<_>>()).unwrap();
        }
    }
}

fn errors(text: &str) -> Vec<(String, String)> {
    let errors = Expr::parse(text, &Scope::of("r", &schema())).unwrap_err();
    errors.into_iter().map(|e| (text[e.span.start..].to_owned(), e.to_string())).collect()
}

#[test]
fn a_mistake_is_reported_where_it_is() {
    for (text, rest, message) in [
        ("f + nosuch", "nosuch", "unknown column 'nosuch'"),
        ("q.f", "q.f", "unknown name 'q'"),
        ("r.nosuch + 1", "nosuch + 1", "'r' has no column 'nosuch'"),
        ("f + s", "s", "this is a string"),
        ("i = 's'", "'s'", "this is a string"),
        ("not f", "f", "this is a float"),
        ("sqrt(1, 2)", "sqrt(1, 2)", "sqrt was given 2 arguments"),
        ("f > 1 and sqroot(f) > 2", "sqroot(f) > 2", "unknown function 'sqroot'"),
        ("sum(f)", "sum(f)", "unknown function 'sum'"),
        ("date_part('huor', t)", "'huor', t)", "unknown field 'huor'"),
        ("t > 'yesterday'", "'yesterday'", "this is not a time"),
        ("case when f then 1 else 's' end", "f then 1 else 's' end", "this is a float"),
        ("cast(f as decimal128)", "f as decimal128)", "unknown type 'decimal128'"),
        ("f +", "", "the text ends here"),
        ("f f2", "f2", "'f2' does not belong here"),
        ("1 / 0", "1 / 0", "this constant has no value"),
        ("t - t2", "t - t2", "timestamps are not subtracted"),
        ("t + interval '1 month'", "'1 month'", "a month has no fixed length"),
        ("t + interval 'six hours'", "'six hours'", "'six hours' is not an interval"),
        ("t * interval '1 hour'", "t * interval '1 hour'", "operator * is not supported with an interval"),
        ("f + interval '1 hour'", "f + interval '1 hour'", "this is a float"),
        ("interval '1 hour'", "'1 hour'", "an interval by itself"),
        ("strptime(s, '%H:%M')", "'%H:%M')", "'%H:%M' is not a time format: it does not determine a date and time"),
        ("(select 1)", "select 1)", "a subquery is not supported in an expression"),
        ("length('é') + ünknown", "ünknown", "unknown column 'ünknown'"),
    ] {
        let found = errors(text);
        assert!(found.iter().any(|(at, what)| at == rest && what == message), "{text}: {found:?}");
    }
}

#[test]
fn all_mistakes_are_reported_together() {
    let found = errors("a + b * c > 1 or length(f) = 'x'");
    let messages: Vec<&str> = found.iter().map(|(_, message)| message.as_str()).collect();
    assert_eq!(messages, ["unknown column 'a'", "unknown column 'c'", "this is a float"]);
}

#[test]
fn a_branch_that_is_not_reached_is_not_counted() {
    let expr =
        Expr::parse("case when f2 <> 0 then 1.0 / f2 else coalesce(f, f2 / 0.5) end", &Scope::of("r", &schema()));
    let row = |f2: f64| {
        let of = |ty| match ty {
            Type::Int => Scalar::Int(0),
            Type::Float => Scalar::Float(f2),
            Type::String => Scalar::String("".into()),
            Type::Bool => Scalar::Bool(true),
            Type::Timestamp => Scalar::Timestamp(0),
        };
        COLUMNS.iter().map(|(_, ty)| of(*ty)).collect::<Vec<_>>()
    };
    let rows = [row(0.0), row(2.0), row(0.0)];
    let mut stats = EvalStats::default();
    let values = expr.unwrap().eval(&columns(&rows), 3, &mut stats);
    assert!(stats.is_clean(), "{stats:?}");
    assert_eq!(Scalar::of(&values, 1), Scalar::Float(0.5));
}

#[test]
fn a_plain_column_is_the_column_itself() {
    let expr = Expr::parse("f", &Scope::of("r", &schema())).unwrap();
    let columns = columns(&[]);
    assert_eq!(expr.as_column(), Some(2));
    assert!(Arc::ptr_eq(&expr.eval(&columns, 0, &mut EvalStats::default()), &columns[2]));
}

#[test]
fn spelling_does_not_change_the_canonical_text() {
    let canonical = |text: &str| Expr::parse(text, &Scope::of("r", &schema())).unwrap().canonical();
    assert_eq!(canonical("f+1"), canonical("(r.f) +   1.0"));
    assert_eq!(canonical("extract(HOUR from t)"), canonical("date_part('hour', t)"));
    assert_eq!(canonical("i in (2, 1)"), canonical("i IN (1, 2, 1)"));
    assert_ne!(canonical("f + 1"), canonical("f2 + 1"));
    assert_ne!(canonical("s like 'a%'"), canonical("s like 'b%'"));
}
