//! Event times by expression: the same results as with a column of the same times, and a dead letter without one.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use tidemill::flow::Plan;
use tidemill::source::{Ingest, IngestedBatch, Json, MessageFormat, RawMessage, Reason, SourcePlan};

use crate::common::engine::{Found, Inputs, Run};
use crate::common::naive;
use crate::common::spec::SPEC;
use crate::common::topics::topic;

/// The dataflow of the engine's tests with each event time as an expression of the same value.
fn by_expression() -> String {
    SPEC.replace("time = \"at\"", "time = \"to_timestamp(date_part('epoch', at) - 60) + interval '1 minute'\"")
}

fn outcome(found: &Found) -> impl PartialEq + std::fmt::Debug + '_ {
    let Found { tallies, shop, pair, ever, examples, shown, versions, prices, nulls, .. } = found;
    ((tallies, shop, pair, ever), (examples, shown, versions), (prices, nulls))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn oracle_of_times_by_expression(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        end in prop::option::of(-20i64..600),
        read in 1usize..40,
        workers in 1usize..4,
        partitions in 1usize..4,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let until = end.map(|end| 1_000_000 + end);
        let expected = naive::compute_of(&inputs, &naive::Dealt { until, ..naive::Dealt::over(partitions) });
        let run = |spec: &str| Run { spec, read, workers, partitions, until, ..Run::default() }.run(&inputs);
        let (found, by_column) = (run(&by_expression()), run(&SPEC));
        prop_assert_eq!(&found.shop, &expected.shop);
        prop_assert_eq!(outcome(&found), outcome(&by_column));
    }

    #[test]
    fn a_restart_with_times_by_expression_changes_no_bit(
        asks in topic(60),
        sales in topic(120),
        prices in topic(20),
        at in 0i64..700,
    ) {
        let inputs = Inputs { asks, sales, prices };
        let again = |spec: &str| {
            let whole = Run { spec, workers: 2, snapshot: Some(1_000_000 + at), ..Run::default() }.run(&inputs);
            whole.snapshot.map(|start| Run { spec, read: 5, start: Some(start), ..Run::default() }.run(&inputs))
        };
        let (found, by_column) = (again(&by_expression()), again(&SPEC));
        prop_assert_eq!(found.as_ref().map(outcome), by_column.as_ref().map(outcome));
    }
}

const CLICKS: &str = r#"
name = "clicks"
[source.clicks]
topic = "clicks"
format = "json"
key = ["id"]
lateness = "1d"
time = "coalesce(at, to_timestamp(epoch / 1000.0), strptime(day, '%d.%m.%Y'))"
where = "id <> 'x'"
columns = { id = "string", at = "timestamp?", epoch = "int?", day = "string?" }

[table.users]
topic = "users"
format = "json"
key = ["id"]
time = "to_timestamp(since)"
columns = { id = "string", since = "float" }
"#;

fn plan(topic: usize) -> Arc<SourcePlan> {
    let spec = tidemill::spec::parse(CLICKS, "clicks.toml").unwrap_or_else(|errors| panic!("{errors}"));
    Plan::new(Arc::new(spec)).readers().nth(topic).expect("a topic").clone()
}

fn push(ingest: &mut Ingest, format: &mut Json, offset: u64, message: &str) {
    let raw = || RawMessage::value(message.as_bytes());
    ingest.push(offset, None, raw, |columns, present| format.decode(message.as_bytes(), columns, present));
}

/// Reads messages, so many at a time.
fn read(messages: &[&str], at_a_time: usize) -> Vec<IngestedBatch> {
    let plan = plan(0);
    let (mut ingest, mut format) = (Ingest::new(plan.clone(), 0), Json::new(&plan.schema));
    let mut batches = Vec::new();
    for (number, messages) in messages.chunks(at_a_time).enumerate() {
        for (message, offset) in messages.iter().zip((number * at_a_time) as u64..) {
            push(&mut ingest, &mut format, offset, message);
        }
        batches.push(ingest.take_unsorted());
    }
    batches
}

#[test]
fn a_record_without_a_time_is_a_dead_letter_that_says_which_columns_are_null() {
    let messages = [
        r#"{"id":"a","at":"2024-01-31T08:00:00Z","epoch":5}"#,
        r#"{"id":"b","epoch":1706688000001}"#,
        r#"{"id":"c"}"#,
        r#"{"id":"d","day":"31.01.2024"}"#,
        r#"{"id":"e","day":"01/31/2024"}"#,
        r#"{"id":"f","at":"2024-01-31T08:00:00Z","epoch":9223372036854775807,"day":"?"}"#,
        r#"{"id":"x"}"#,
        r#"{"id":"g","epoch":"soon"}"#,
        r#"{"id":"h","at":null,"epoch":1706688000002,"day":""}"#,
    ];
    let time = "the time, coalesce(at, to_timestamp(epoch / 1000.0), strptime(day, '%d.%m.%Y')), has no value";
    for at_a_time in [1, 2, 3, 100] {
        let batches = read(&messages, at_a_time);
        let times: Vec<i64> = batches.iter().flat_map(|batch| batch.batch.event_times.iter().copied()).collect();
        let base = 1_706_688_000_000;
        assert_eq!(times, [base, base + 1, base - 8 * 3_600_000, base, base + 2], "{at_a_time} at a time");
        let letters: BTreeMap<u64, (Reason, String)> = batches
            .iter()
            .flat_map(|batch| &batch.letters)
            .map(|letter| (letter.offset, (letter.reason, letter.detail.clone())))
            .collect();
        let missing = |columns: &str| (Reason::MissingField, format!("{time}: {columns} is null"));
        assert_eq!(
            letters,
            BTreeMap::from([
                (2, missing("at, epoch, day")),
                (4, missing("at, epoch")),
                (7, (Reason::WrongType, "epoch: expected int, found the text \"soon\"".to_owned())),
            ]),
            "{at_a_time} at a time"
        );
        let filtered: u64 = batches.iter().map(|batch| batch.counts.filtered).sum();
        assert_eq!(filtered, 1, "the source's filter excludes a record whatever its time");
    }
}

#[test]
fn a_delete_of_a_table_has_the_time_of_its_message_or_that_of_its_columns() {
    let plan = plan(1);
    let (mut ingest, mut format) = (Ingest::new(plan.clone(), 0), Json::new(&plan.schema));
    push(&mut ingest, &mut format, 0, r#"{"id":"a","since":10}"#);
    // A message without a value: its decoder sets the key and the mark alone.
    ingest.push_delete(1, Some(20_000), RawMessage::default, |columns, present| {
        format.decode(br#"{"id":"a","_deleted":true}"#, columns, present)
    });
    push(&mut ingest, &mut format, 2, r#"{"id":"a","since":30,"_deleted":true}"#);
    push(&mut ingest, &mut format, 3, r#"{"id":"a","_deleted":true}"#);
    push(&mut ingest, &mut format, 4, r#"{"id":"a","since":1e300}"#);
    let taken = ingest.take_unsorted();
    assert_eq!(taken.batch.event_times.to_vec(), [10_000, 20_000, 30_000]);
    let letters: Vec<_> = taken.letters.iter().map(|letter| (letter.offset, letter.detail.as_str())).collect();
    assert_eq!(letters, [(3, "since: missing"), (4, "the time, to_timestamp(since), has no value")]);
    assert_eq!(taken.letters[1].reason, Reason::UnparsableTime);
}
