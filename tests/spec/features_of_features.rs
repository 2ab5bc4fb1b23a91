//! Views that look feature groups up: what `check` tells of them, and their definitions.

use tidemill::flow::Plan;
use tidemill::flow::draw::Graph;
use tidemill::flow::plan::PlanStep;
use tidemill::spec::{self, AssumedEntities, Spec};

/// A group over a view that looks another group up, which stands behind it, and a model that looks both up.
pub const PAY: &str = r#"
name = "pay"

[source.payments]
topic = "payments"
format = "json"
time = "at"
columns = { card = "string", merchant = "string", amount = "float", at = "timestamp" }

[view.worst]
sql = "SELECT w.*, m.relative_max_7d FROM scored w LEFT JOIN merchant m ON m.merchant = w.merchant"

[view.scored]
sql = """
SELECT p.*, p.amount / usual.amount_mean_1d AS relative
FROM payments p LEFT JOIN card usual ON usual.card = p.card
"""

[features.merchant]
from = "scored"
entity = "merchant"
aggregate = [{ of = "relative", op = "max", windows = ["7d"] }]

[features.card]
from = "payments"
entity = "card"
aggregate = [{ of = "amount", op = ["mean", "sum"], windows = ["1d"] }, { of = "amount", op = "mean", windows = ["2d"] }]

[model.m]
kind = "linear"
examples = "payments"
features = ["merchant.*", "card.*"]
label = { value = "amount" }
window = "1d"

[model.w]
kind = "linear"
examples = "worst"
features = ["relative", "relative_max_7d"]
label = { value = "amount" }
window = "1d"
"#;

fn parse(text: &str) -> Spec {
    spec::parse(text, "pay.toml").unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn check_tells_which_groups_a_view_looks_up() {
    let spec = parse(PAY);
    let text = spec.explain(AssumedEntities::default());
    assert!(text.contains("view scored: from payments, left look-up in card\n"), "{text}");
    assert!(text.contains("relative float?"), "{text}");
    let json = spec.to_json(AssumedEntities::default());
    let views = json["views"].as_array().unwrap();
    let looked_up = |name: &str| views.iter().find(|view| view["name"] == name).unwrap()["features"].to_string();
    assert_eq!([looked_up("scored"), looked_up("worst")], [r#"["card"]"#, r#"["merchant"]"#]);
    let picture = Graph::of(&spec).text();
    let card = picture.split("features card: ").nth(1).expect("the group is drawn").split("\nview").next().unwrap();
    assert!(card.contains("-> view scored (as of)"), "{picture}");
    assert!(Graph::of(&spec).edges.iter().all(|edge| edge.from < edge.to), "{picture}");
}

#[test]
fn groups_answer_before_the_records_that_have_their_features() {
    let plan = Plan::new(parse(PAY).into());
    let groups: Vec<&str> = plan.groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(groups, ["card", "merchant"], "a group comes after those that its records look up");
    let at = |step: PlanStep| plan.steps.iter().position(|known| *known == step).expect("everything is rendered");
    let view = |name| PlanStep::Stream { stream: plan.spec.stream(name).unwrap(), probed: true };
    let scored = at(view("scored"));
    assert!(at(PlanStep::Group(0)) < scored && scored < at(PlanStep::Group(1)));
    assert!(at(PlanStep::Group(1)) < at(view("worst")));
    let passed: Vec<&str> = plan.models[0].lookups.iter().map(|lookup| lookup.group.as_str()).collect();
    assert_eq!(passed, ["card", "merchant"], "examples pass the groups in the same order");
    assert_eq!(plan.steps.len(), plan.groups.len() + plan.spec.relations.iter().count());
}

#[test]
fn the_windows_of_features_of_features_reach_back_from_each_other() {
    let day = 86_400_000;
    let plan = Plan::new(parse(PAY).into());
    let reach = |name: &str| {
        let group = plan.groups.iter().find(|group| group.name == name).unwrap();
        (group.layout.history_ms().unwrap(), plan.history_of(group).unwrap())
    };
    let (card, merchant) = (reach("card"), reach("merchant"));
    assert_eq!(card.0, card.1);
    assert_eq!(merchant.1, merchant.0 + card.1);
    assert!(merchant.1 >= 9 * day && plan.history_ms() == Some(merchant.1));
}

#[test]
fn a_definition_has_those_of_the_groups_that_are_looked_up() {
    let definitions = |text: &str| {
        let spec = parse(text);
        let group = |name: &str| spec.groups.iter().find(|group| group.name == name).unwrap();
        [spec.group_definition(group("card")), spec.group_definition(group("merchant"))]
            .into_iter()
            .chain(spec.models.iter().map(|model| spec.model_definition(model)))
            .collect::<Vec<String>>()
    };
    let changed = |from: &str, to: &str| {
        assert!(PAY.contains(from), "{from}");
        let (before, after) = (definitions(PAY), definitions(&PAY.replace(from, to)));
        before.iter().zip(&after).map(|(before, after)| before != after).collect::<Vec<bool>>()
    };
    assert_eq!(changed("windows = [\"2d\"]", "windows = [\"3d\"]"), [true; 4], "the group that is looked up");
    assert_eq!(changed("usual.card = p.card", "usual.card = lower(p.card)"), [false, true, true, true], "the entity");
    assert_eq!(changed("p.card\n", "p.card WHERE p.amount > 0\n"), [false, true, true, true]);
    // Features that change names are others, although the group has the same state.
    let named = |first: &str, second: &str| {
        let lines = "{ of = \"amount\", op = [\"mean\", \"sum\"], windows = [\"1d\"] }, \
                     { of = \"amount\", op = \"mean\", windows = [\"2d\"] }";
        assert!(PAY.contains(lines));
        let swapped = format!(
            "{{ of = \"amount\", op = \"mean\", windows = [\"1d\"], as = \"{first}\" }}, \
             {{ of = \"amount * 2\", op = \"mean\", windows = [\"1d\"], as = \"{second}\" }}"
        );
        definitions(&PAY.replace(lines, &swapped))
    };
    let (one, other) = (named("amount", "double"), named("double", "amount"));
    assert_eq!((one[0] == other[0], one[1] == other[1]), (true, false), "{one:?} {other:?}");
}

#[test]
fn only_the_features_that_are_read_are_looked_up() {
    let spec = parse(PAY);
    let (_, join) = spec.relations.group_joins().next().expect("a view looks a group up");
    assert_eq!(join.lookup.features, [0], "of amount_mean_1d, amount_sum_1d and amount_mean_2d");
    assert_eq!(spec.stream_schema(spec.stream("scored").unwrap()).len(), 5);
}
