//! Expressions of any depth and length: each becomes a plan or an error with its place, with little stack and in time
//! that grows with the text.

use std::fmt::Write;

use tidemill::expr::{EvalStats, Expr, Scope};
use tidemill::flow::Plan;
use tidemill::spec::{self, Spec};
use tidemill::value::{Column, Schema, Type};

/// A dataflow in which every place of an expression can be replaced.
const FILE: &str = r#"
name = "deep"

[source.s]
topic = "s"
format = "json"
key = ["k"]
time = "at"
where = '''KEPT'''
columns = { k = "string", v = "int", x = "float", t = "string?", at = "timestamp" }

[table.t]
topic = "t"
format = "json"
time = "at"
key = ["v"]
columns = { v = "int", name = "string?", at = "timestamp" }

[view.w]
sql = '''SELECT s.k, s.v, s.x, s.t, s.at, ITEM AS item FROM s LEFT JOIN t ON t.v = ON_KEY WHERE FILTER'''

[features.g]
from = "w"
entity = "k"
aggregate = [{ of = '''OF''', as = "a", op = "mean", where = '''LINE''', windows = ["1h"] }]

[model.m]
kind = "linear"
examples = "w"
features = ["g.*", { expr = '''INPUT''', as = "i" }]
label = { value = '''VALUE''' }
window = "1d"
"#;

/// The places of a number and of a condition, with what stands there otherwise.
const NUMBERS: [(&str, &str); 5] = [("ITEM", "s.v"), ("ON_KEY", "s.v"), ("OF", "x"), ("INPUT", "x"), ("VALUE", "x")];
const CONDITIONS: [(&str, &str); 3] = [("KEPT", "v > 0"), ("FILTER", "s.v > 0"), ("LINE", "v > 0")];

fn file(place: &str, text: &str) -> String {
    let all = NUMBERS.iter().chain(&CONDITIONS);
    let usual = all.filter(|(other, _)| *other != place);
    usual.fold(FILE.replace(place, text), |file, (other, usual)| file.replace(other, usual))
}

/// Does with a file what every verb does, on a stack of 1 MiB; returns its errors.
fn used(file: String) -> Result<(), String> {
    let use_all = move || {
        let spec: Spec = spec::parse(&file, "deep.toml").map_err(|errors| errors.to_string())?;
        assert!(spec.explain(Default::default()).len() > 100);
        spec.to_json(Default::default());
        let plan = Plan::new(std::sync::Arc::new(spec));
        drop(plan);
        Ok(())
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(use_all).unwrap().join().unwrap()
}

fn chain(term: &str, operator: &str, terms: usize) -> String {
    vec![term; terms].join(operator)
}

fn nested(open: &str, inner: &str, close: &str, levels: usize) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

fn schema() -> Schema {
    let columns = [("v", Type::Int), ("x", Type::Float), ("t", Type::String), ("b", Type::Bool)];
    Schema::new(columns.map(|(name, ty)| Column::new(name, ty, true)).to_vec())
}

/// Parses and evaluates an expression, on a stack of 1 MiB; returns its first error and its place in bytes.
fn parsed(text: String) -> Result<(), (String, usize)> {
    let parse = move || {
        let expr = Expr::parse(&text, &Scope::of("s", &schema())).map_err(|errors| {
            assert!(errors.len() <= 100, "{}", errors.len());
            let message = format!("{}; expected {}", errors[0], errors[0].expected.as_deref().unwrap_or_default());
            (message, errors[0].span.start)
        })?;
        let columns: Vec<_> = schema().columns.iter().map(|c| arrow_array::new_null_array(&c.ty.arrow(), 3)).collect();
        assert_eq!(expr.eval(&columns, 3, &mut EvalStats::default()).len(), 3);
        let copy = expr.remap(&|at| at).clone();
        assert_eq!(copy.canonical(), expr.canonical());
        assert!(copy.columns().len() <= 4);
        Ok(())
    };
    std::thread::Builder::new().stack_size(1 << 20).spawn(parse).unwrap().join().unwrap()
}

#[test]
fn a_chain_of_thousands_of_operators_is_a_plan_wherever_an_expression_stands() {
    for (place, usual) in NUMBERS {
        used(file(place, &chain(usual, " + ", 3000))).unwrap_or_else(|errors| panic!("{place}: {errors}"));
    }
    for (place, usual) in CONDITIONS {
        used(file(place, &chain(usual, " or ", 2000))).unwrap_or_else(|errors| panic!("{place}: {errors}"));
    }
}

#[test]
fn chains_of_every_operator_are_evaluated_or_refused_at_their_place() {
    let chains = [
        ("v = 0", " or "),
        ("b", " and "),
        ("x", " - "),
        ("x", " * "),
        ("1", " + "),
        ("v", " % "),
        ("t", " || "),
        ("'a'", " || "),
    ];
    for (term, operator) in chains {
        parsed(chain(term, operator, 5000)).unwrap_or_else(|error| panic!("{operator}: {error:?}"));
        let (error, at) = parsed(chain(term, operator, 60_000)).unwrap_err();
        assert!(error.starts_with("this is too long; expected at most 100000 "), "{error}");
        assert!(at > 50_000, "{at}");
    }
    for suffix in [" is null", "::string", " is not true", " notnull", "::int", " in (true)", " = b"] {
        for terms in [5000, 60_000] {
            let text = format!("b{}", suffix.repeat(terms));
            // Some of these are of the wrong type, some too long; none ends the process.
            let _ = parsed(text);
        }
    }
}

#[test]
fn nesting_is_a_plan_up_to_a_stated_depth_and_an_error_with_its_place_beyond_it() {
    let forms = [
        ("(", "x", ")"),
        ("abs(", "x", ")"),
        ("coalesce(nullif(", "x", ", 1.0), 2.0)"),
        ("case when x > 0 then ", "x", " else 1.0 end"),
        ("case when b then case when b then 1.0 else ", "x", " end end"),
        ("greatest(1.0, ", "x", ")"),
        ("cast(", "x", " as float)"),
        ("- (", "x", ")"),
        ("- ", "x", ""),
        ("not ", "b", ""),
        ("not (", "b", ")"),
        ("b in (", "b", ")"),
        ("ceil(", "x", ")"),
        ("floor(", "x", ")"),
        ("1 + (", "x", ")"),
        ("position(t in ", "t", ")::string"),
    ];
    for (open, inner, close) in forms {
        parsed(nested(open, inner, close, 90)).unwrap_or_else(|error| panic!("{open}: {error:?}"));
        for levels in [201, 2000, 30_000] {
            let (error, at) = parsed(nested(open, inner, close, levels)).unwrap_err();
            assert!(error.starts_with("this is nested too deeply; expected at most 200 levels"), "{open}: {error}");
            assert!(at > 0 && at <= 210 * open.len(), "{open}: {at}");
        }
    }
}

#[test]
fn nested_mistakes_cost_no_more_than_nested_expressions() {
    for text in [
        nested("ceil(", "x y", ")", 150),
        nested("position(", "x", ", t)", 150),
        nested("extract(day from ", "x y", ")", 150),
        nested("abs(", "x y", ")", 150),
        nested("f(a => ", "x", ")", 150),
        nested("interval ", "x y", "", 150),
        nested("x in (", "x y", ")", 150),
        nested("substring(", "t from 1 to", ")", 150),
        nested("array[", "x", "]", 150),
        format!("x::{}", nested("array<", "int", ">", 5000)),
        format!("x::int{}", "[]".repeat(20_000)),
        "(".repeat(30_000),
        "case ".repeat(30_000),
        "a.".repeat(30_000),
        "x[".repeat(30_000),
        "(select ".repeat(30_000),
        "array[x + x]".repeat(1000),
        format!("array[{}]", chain("x", "+", 40_000)),
        format!("(select {})", chain("x", "+", 40_000)),
    ] {
        let start: String = text.chars().take(30).collect();
        let (error, at) = parsed(text).err().unwrap_or_else(|| panic!("{start}"));
        assert!(!error.is_empty() && at <= 200_000, "{start}: {error}");
    }
}

#[test]
fn a_view_of_any_depth_is_a_plan_or_an_error_with_its_place() {
    let view = |sql: &str| {
        used(file("ITEM", "s.v").replace("[features.g]", &format!("[view.y]\nsql = '''{sql}'''\n\n[features.g]")))
    };
    view(&chain("SELECT v, at FROM s", " UNION ALL ", 1000)).unwrap();
    for sql in [
        nested("SELECT * FROM (", "SELECT * FROM s", ")", 2000),
        nested("(", "SELECT * FROM s", ")", 2000),
        format!("SELECT * FROM {}", nested("(", "s", ")", 2000)),
        format!("SELECT * FROM {}", nested("((SELECT v FROM ", "s", ") bad", 30)),
        chain("SELECT v FROM s", " UNION ALL ", 50_000),
        format!("SELECT * FROM s JOIN t ON {}", chain("t.v = s.v", " AND ", 20_000)),
        format!("SELECT * FROM s GROUP BY {}", chain("v", "+", 20_000)),
        format!("SELECT * FROM s LIMIT {}", chain("1", "+", 20_000)),
        format!("SELECT * FROM s {}", "JOIN t ON t.v = s.v ".repeat(1000)),
        format!("SELECT * FROM f({})", chain("v", "+", 20_000)),
        format!("WITH a AS (SELECT {} FROM s) SELECT * FROM a", chain("v", "+", 20_000)),
    ] {
        let errors = view(&sql).unwrap_err();
        assert!(errors.lines().all(|line| line.starts_with("deep.toml:")), "{errors}");
    }
}

#[test]
fn a_list_of_a_hundred_thousand_values_is_checked_in_time_that_grows_with_its_length() {
    // With positions that are found by counting from the start of the text, this takes minutes.
    let mut list = String::from("x in (0");
    for number in 1..100_000 {
        write!(list, ", {number}").unwrap();
    }
    parsed(format!("{list})")).unwrap();
    parsed(format!("t = 'é' or {list})")).unwrap();
    parsed(format!("t in ('{}')", vec!["é"; 100_000].join("','"))).unwrap();
    let (error, _) = parsed(format!("v in ({})", vec!["w"; 100_000].join(", "))).unwrap_err();
    assert!(error.starts_with("unknown column 'w'"), "{error}");
    parsed(format!("case {} end", "when v = 1 then 2 ".repeat(20_000))).unwrap();
    parsed(format!("greatest({})", vec!["v"; 20_000].join(", "))).unwrap();
    parsed(format!("coalesce({})", vec!["v"; 20_000].join(", "))).unwrap();
}
