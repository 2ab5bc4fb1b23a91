//! The whole pipeline beside its limit: generated JSON -> windowed features, and a bare loop that only decodes.
//!
//! `cargo run --release --example pipeline -- [entities] [records] [workers] [zipf|uniform] [contender]`
//!
//! Every round runs each contender (or only `bare` and the one named) once, in turn, in this process. Rates are per
//! second of processor time, so that whatever else the machine does costs little; medians of the rounds are printed.

#[path = "../benches/common/mod.rs"]
mod common;

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;

use common::{Contender, Decoded, Messages, Spread, compare, json_partitions, payments, plan, run};

const ROUNDS: usize = 3;

fn main() {
    common::allocator::return_free_memory();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: usize| {
        arguments.get(at).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{text:?} is no number")))
    };
    let (entities, records, workers) = (number(0, 10_000), number(1, 2_000_000), number(2, 1));
    let spread = match arguments.get(3).map(String::as_str) {
        None | Some("uniform") => Spread::Uniform,
        Some("zipf") => Spread::Zipf,
        Some(other) => panic!("{other:?} is neither uniform nor zipf"),
    };
    println!("{records} records of {entities} entities ({spread:?}), {workers} workers, windows 1h and 1d");
    let mut dealt = vec![Vec::new(); workers];
    payments(entities, records, spread).iter().for_each(|p| dealt[p.user as usize % workers].push(*p));
    let messages: Vec<Arc<Messages>> = dealt.iter().map(|payments| Arc::new(Messages::json(payments))).collect();
    drop(dealt);

    let plan = plan(&["1h", "1d"]);
    let graph = |online| run(&plan, json_partitions(&plan, &messages), workers, online);
    let mut contenders: Vec<Contender<'_>> = vec![
        ("bare", "consume and decode, no more", Box::new(|| bare(&messages))),
        ("totals", "the same, and a plain hash map of totals", Box::new(|| totals(&messages))),
        ("features", "tidemill: features", Box::new(|| graph(false))),
        ("online", "tidemill: features into the online store", Box::new(|| graph(true))),
    ];
    if let Some(only) = arguments.get(4) {
        contenders.retain(|(name, _, _)| name == only || *name == "bare");
    }
    compare(ROUNDS, records, "records", &contenders);
}

fn decoded(messages: &[Arc<Messages>]) -> impl Iterator<Item = Decoded<'_>> {
    let messages = messages.iter().flat_map(|messages| messages.iter());
    messages.map(|message| serde_json::from_slice(message).expect("generated JSON is right"))
}

fn bare(messages: &[Arc<Messages>]) {
    for payment in decoded(messages) {
        black_box((payment.user, payment.amount, payment.at));
    }
}

fn totals(messages: &[Arc<Messages>]) {
    let mut totals: HashMap<String, (u64, f64, f64)> = HashMap::new();
    for payment in decoded(messages) {
        if !totals.contains_key(payment.user) {
            totals.insert(payment.user.to_owned(), Default::default());
        }
        let (n, sum, squares) = totals.get_mut(payment.user).expect("just seen to");
        (*n, *sum, *squares) = (*n + 1, *sum + payment.amount, *squares + payment.amount * payment.amount);
    }
    black_box(totals);
}
