//! A feature group that counts the record that looks it up: its vectors, and what they answer with another record.
//!
//! The answer with a record is by the definition: that of the records before and of this one, closed behind them.

use arrow_array::Array;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tidemill::aggregate::{Expired, Feature, GroupLayout, GroupState, Update};
use tidemill::expr::EvalStats;
use tidemill::flow::plan::GroupPlan;
use tidemill::relation::project;
use tidemill::value::{Key, Scalar};

use super::serving::batch;
use crate::common::shop::{NOON, SHOP, Shop, any};

/// A group over a view, some of whose lines count the example itself, and a model on that view.
pub const PAID: &str = r#"
[features.paid]
from = "placed"
entity = "country"
aggregate = [
  { of = "amount / 2", as = "half", with = "items", op = ["sum", "count", "covariance", "max", "time_since_last"], where = "vip is not false", windows = ["1h"], current = true },
  { op = "count", as = "all", windows = ["1h", "lifetime"], current = true, default = -1 },
  { op = "count", as = "others", windows = ["1h"] },
  { expr = "half_sum_1h / (all_lifetime - 2)", as = "share" },
  { expr = "coalesce(half_time_since_last_1h, -1) * 2", as = "waited" },
]

[model.paid]
kind = "linear"
examples = "placed"
features = ["paid.*", "amount"]
label = { value = "amount" }
window = "1d"
"#;

/// The records of the group before noon, one a second.
pub struct History(Vec<Vec<Scalar>>);

impl History {
    /// Random records. The vectors of their entities, as of noon, are put in the online store.
    pub fn fill(shop: &Shop, random: &mut StdRng) -> History {
        let plan = plan(shop);
        let columns = &shop.plan.spec.stream_schema(plan.from).columns;
        let record = |_| columns.iter().map(|column| any(column.ty, random)).collect();
        let history = History((0..40).map(record).collect());
        let state = history.state(shop, &plan.layout, None);
        for country in history.0.iter().map(|record| country(shop, plan, record)) {
            let key = plan.codec.encode_one(std::slice::from_ref(&country));
            if let Some(slot) = state.find(key.as_bytes(), Key::hash_of(key.as_bytes())) {
                shop.upsert_features(&plan.name, &[country], state.vector(Some(slot), None));
            }
        }
        history
    }

    /// The vector of a record's entity as of noon, and that record in it in the lines that count it.
    pub fn with(&self, shop: &Shop, record: &[Scalar]) -> Vec<Scalar> {
        let plan = plan(shop);
        let closed = |current: bool| {
            let mut layout = plan.layout.clone();
            layout.lines.iter_mut().for_each(|line| line.current = false);
            let state = self.state(shop, &layout, current.then_some(record));
            let key = plan.codec.encode_one(&[country(shop, plan, record)]);
            state.vector(state.find(key.as_bytes(), Key::hash_of(key.as_bytes())), None)
        };
        let (with, without) = (closed(true), closed(false));
        let is_current = |position: usize| {
            let has = |positions: &Vec<usize>| positions.contains(&position);
            plan.layout.lines.iter().any(|line| line.current && line.positions.iter().any(has))
        };
        let answer = |(position, with): (usize, Feature)| {
            let feature = if is_current(position) { with } else { without[position].clone() };
            feature.scalar(NOON)
        };
        let vector: Vec<Scalar> = with.into_iter().enumerate().map(answer).collect();
        let derived = History::derived(&vector);
        [vector, derived].concat()
    }

    /// The derived features of a vector.
    fn derived(vector: &[Scalar]) -> Vec<Scalar> {
        let share = match (&vector[0], &vector[6]) {
            (Scalar::Float(half), Scalar::Int(all)) => Some(half / (*all - 2) as f64).filter(|share| share.is_finite()),
            _ => None,
        };
        let waited = match &vector[4] {
            Scalar::Float(seconds) => *seconds,
            _ => -1.0,
        };
        vec![share.map_or(Scalar::Null, Scalar::Float), Scalar::Float(waited * 2.0)]
    }

    /// The state of all records, and of one more at noon.
    fn state(&self, shop: &Shop, layout: &GroupLayout, record: Option<&[Scalar]>) -> GroupState {
        let plan = plan(shop);
        let records: Vec<Vec<Scalar>> = self.0.iter().cloned().chain(record.map(<[Scalar]>::to_vec)).collect();
        let records = batch(shop.plan.spec.stream_schema(plan.from), &records);
        let projected = project(&records, &plan.projection, &mut EvalStats::default());
        let inputs = plan.inputs(&projected).0;
        let keys = plan.codec.encode(&projected.columns[..1]);
        let mut state = GroupState::new(layout);
        for row in 0..projected.len() {
            let time = if row < self.0.len() { NOON - 1_000 * (self.0.len() - row) as i64 } else { NOON };
            if projected.columns[0].is_valid(row) {
                let key = keys.row(row).data();
                let slot = state.slot(key, Key::hash_of(key));
                let update = Update { slot, batch: 0, row: row as u32, time, event_time: time };
                state.insert(&[update], &[&inputs], &mut Vec::new());
            }
        }
        state.advance(NOON + 1, &mut Expired::default());
        state
    }
}

fn plan(shop: &Shop) -> &GroupPlan {
    shop.plan.groups.iter().find(|group| group.name == "paid").expect("the dataflow has the group")
}

fn country(shop: &Shop, plan: &GroupPlan, record: &[Scalar]) -> Scalar {
    let column = shop.plan.spec.stream_schema(plan.from).index_of("country").expect("the view has the column");
    record[column].clone()
}

#[test]
fn a_record_of_ones_own_changes_only_what_counts_it() {
    let shop = Shop::bare(&format!("{SHOP}{PAID}"));
    let mut random = StdRng::seed_from_u64(11);
    let history = History::fill(&shop, &mut random);
    let columns = &shop.plan.spec.stream_schema(plan(&shop).from).columns;
    let mut changed = 0;
    for _ in 0..30 {
        let record: Vec<Scalar> = columns.iter().map(|column| any(column.ty, &mut random)).collect();
        let key = [country(&shop, plan(&shop), &record)];
        let Some(vector) = shop.online.group("paid").unwrap().get(&plan(&shop).codec.encode_one(&key)) else {
            continue;
        };
        let shown: Vec<Scalar> = vector.iter().map(|feature| feature.scalar(NOON)).collect();
        let with = history.with(&shop, &record);
        assert_eq!(shown[7], with[7], "the other records alone");
        let (Scalar::Int(one), Scalar::Int(all)) = (&shown[6], &with[6]) else { panic!("{shown:?} {with:?}") };
        assert_eq!(one + 1, *all);
        changed += 1;
    }
    assert!(changed > 5);
}
