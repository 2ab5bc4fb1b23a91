//! House rules for functions: short, flat, and with their steps named where they are not.

use crate::tokens::Source;
use crate::tree::{Offence, tidy};

/// The most lines of a body.
const LONGEST: usize = 60;
/// A longer body names its steps in comments, of which it has at least [`FEWEST_STEPS`].
const LONGEST_WITHOUT_STEPS: usize = 40;
const FEWEST_STEPS: usize = 2;
/// The most braces within braces. A template of HTML is as deep as its document.
const DEEPEST: usize = 5;

#[test]
fn no_function_is_long_or_deep_and_a_longer_one_names_its_steps() {
    tidy("src", functions);
}

fn functions(source: &Source) -> Vec<Offence> {
    let mut offences = Vec::new();
    for function in source.functions() {
        let (name, lines, deepest) = (function.name, function.lines(), function.deepest);
        let mut offend = |what: String| offences.push((function.line, format!("fn {name} {what}")));
        if lines > LONGEST {
            offend(format!("has {lines} lines; {LONGEST} is the most"));
        }
        let is_step = |(line, comment): &&(usize, String)| {
            function.body.contains(line) && !comment.starts_with("///") && !comment.starts_with("// SAFETY")
        };
        // A comment of several lines is one.
        let lines_of_steps: Vec<usize> = source.comments.iter().filter(is_step).map(|(line, _)| *line).collect();
        let steps = lines_of_steps.iter().filter(|line| !lines_of_steps.contains(&(**line - 1))).count();
        if lines > LONGEST_WITHOUT_STEPS && steps < FEWEST_STEPS {
            offend(format!("has {lines} lines and {steps} comments that name a step; expected {FEWEST_STEPS}"));
        }
        if deepest > DEEPEST {
            offend(format!("is {deepest} deep; {DEEPEST} is the most"));
        }
    }
    offences
}

mod tried {
    use super::*;
    use crate::tree::{NONE, lines};

    fn body(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "a();\n".repeat(lines))
    }

    #[test]
    fn a_long_function_and_one_without_steps_are_seen() {
        assert_eq!(lines(functions, "a.rs", &body(LONGEST_WITHOUT_STEPS)), NONE);
        assert_eq!(lines(functions, "a.rs", &body(LONGEST_WITHOUT_STEPS + 1)), [1]);
        let one = body(LONGEST - 3).replacen("a();", "// One\n// step.\na();", 1);
        assert_eq!(lines(functions, "a.rs", &one), [1]);
        let two = one.replacen("a();\na();", "a();\n// Two.\na();", 1);
        assert_eq!(lines(functions, "a.rs", &two), NONE);
        assert_eq!(lines(functions, "a.rs", &two.replacen("// Two.", "// Two.\n// Three.", 1)), [1]);
        assert_eq!(lines(functions, "a.rs", &format!("#[cfg(test)]\nmod tests {{\n{}}}\n", body(LONGEST * 2))), NONE);
    }

    #[test]
    fn a_deep_function_is_seen() {
        let deep = |depth: usize| format!("fn f() {{ {} {} }}\n", "{".repeat(depth), "}".repeat(depth));
        assert_eq!(lines(functions, "a.rs", &deep(DEEPEST)), NONE);
        assert_eq!(lines(functions, "a.rs", &deep(DEEPEST + 1)), [1]);
        let template = |after: &str| format!("fn f() {{ html! {{ {} {} }} {after} }}\n", "{".repeat(9), "}".repeat(9));
        assert_eq!(lines(functions, "a.rs", &template("")), NONE);
        assert_eq!(lines(functions, "a.rs", &template(&deep(DEEPEST))), [1]);
    }
}
