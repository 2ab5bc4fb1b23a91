//! Partitions and offsets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::broker::{Broker, PATIENCE, Sent, until};
use rdkafka::producer::Producer as _;
use tidemill::source::kafka::{Cluster, Consumer, KafkaError, PartitionRange};
use tidemill::source::{DeadLetter, Format, Header, Ingest, InputStatus, Partition, Reason, SourceError, SourcePlan};
use tidemill::time::OffsetRange;
use tidemill::value::{Column, Scalar, Schema, Type};

const DAY: i64 = 86_400_000;
/// 2020-01-01.
const START: i64 = 1_577_836_800_000;

/// The plan of a topic of `id`, `n` and `at`: a stream, or a table by `id`.
pub fn plan(topic: &str, is_table: bool) -> Arc<SourcePlan> {
    let schema = Schema::new(vec![
        Column::new("id", Type::String, false),
        Column::new("n", Type::Int, false),
        Column::new("at", Type::Timestamp, false),
    ]);
    Arc::new(SourcePlan {
        source: "read".to_owned(),
        topic: topic.to_owned(),
        format: Format::named("json"),
        schema: if is_table { SourcePlan::with_deletes(&schema) } else { schema },
        key: vec![0],
        time: tidemill::source::RecordTime::Column(2),
        lateness_ms: i64::MAX / 4,
        filter: None,
        is_table,
        needs_order: false,
        retention_ms: i64::MAX,
    })
}

fn record(n: i64) -> Sent {
    let time = START + n * 1000;
    Sent { key: Some(format!("k{n}")), ..Sent::value(format!(r#"{{"id":"a","n":{n},"at":{time}}}"#), time) }
}

fn records(numbers: std::ops::Range<i64>) -> Vec<Sent> {
    numbers.map(record).collect()
}

/// A partition being read in a test.
pub struct Read {
    partition: Box<dyn Partition>,
    ingest: Ingest,
    consumer: Arc<Consumer>,
    rows: Vec<Vec<Scalar>>,
    pub letters: Vec<DeadLetter>,
}

impl Read {
    pub fn open(
        cluster: &Arc<Cluster>,
        plan: &Arc<SourcePlan>,
        start: u64,
        end: Option<u64>,
    ) -> Result<Self, KafkaError> {
        let consumer = Consumer::new(cluster)?;
        Read::with(&Arc::new(consumer), plan, 0, start, end)
    }

    pub fn with(
        consumer: &Arc<Consumer>,
        plan: &Arc<SourcePlan>,
        number: u32,
        start: u64,
        end: Option<u64>,
    ) -> Result<Self, KafkaError> {
        let available = consumer.bounds(&plan.topic, number)?;
        let partition = consumer.open(plan, number, PartitionRange { available, start, end })?;
        let (rows, letters) = (Vec::new(), Vec::new());
        let mut ingest = Ingest::new(plan.clone(), number);
        ingest.limit_ahead(DAY);
        Ok(Read { partition, ingest, consumer: consumer.clone(), rows, letters })
    }

    fn step(&mut self) -> Result<InputStatus, SourceError> {
        self.consumer.poll_events(&self.ingest.plan().topic.clone());
        let status = self.partition.read(64, &mut self.ingest);
        let taken = self.ingest.take_unsorted();
        self.letters.extend(taken.letters);
        let columns = taken.batch.columns;
        let row = |row: usize| columns.iter().map(|column| Scalar::of(column, row)).collect();
        self.rows.extend((0..taken.batch.times.len()).map(row));
        status
    }

    /// Reads until there is nothing more, now or ever.
    pub fn through(mut self) -> Self {
        self.to(&[InputStatus::NothingAvailable, InputStatus::EndOfInput]);
        self
    }

    fn to(&mut self, wanted: &[InputStatus]) -> InputStatus {
        let began = Instant::now();
        loop {
            let status = self.step().unwrap();
            if wanted.contains(&status) {
                return status;
            }
            assert!(began.elapsed() < PATIENCE, "not read to {wanted:?} within {PATIENCE:?}");
            if status == InputStatus::MoreAvailable {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn numbers(&self) -> Vec<i64> {
        let number = |row: &Vec<Scalar>| match row[1] {
            Scalar::Int(n) => n,
            ref other => panic!("{other:?} is no number"),
        };
        self.rows.iter().map(number).collect()
    }
}

#[test]
fn records_are_read_in_order_from_the_start_to_the_end_of_the_range() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    broker.write(&topic, 0, &records(0..5000));
    let plan = plan(&topic, false);
    let whole = Read::open(&cluster, &plan, 0, None).unwrap().through();
    assert_eq!(whole.numbers(), (0..5000).collect::<Vec<_>>());
    assert_eq!(whole.partition.lag(), Some(0));
    let mut part = Read::open(&cluster, &plan, 1234, Some(4321)).unwrap();
    assert_eq!(part.to(&[InputStatus::EndOfInput]), InputStatus::EndOfInput);
    assert_eq!(part.numbers(), (1234..4321).collect::<Vec<_>>());
    assert_eq!(part.step().unwrap(), InputStatus::EndOfInput);
}

#[test]
fn an_empty_partition_ends_if_it_is_bounded_and_waits_if_not() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    let plan = plan(&topic, false);
    assert_eq!(
        Read::open(&cluster, &plan, 0, Some(0)).unwrap().to(&[InputStatus::EndOfInput]),
        InputStatus::EndOfInput
    );
    let mut read = Read::open(&cluster, &plan, 0, None).unwrap();
    read.to(&[InputStatus::NothingAvailable]);
    broker.write(&topic, 0, &records(0..3));
    until("three records", || {
        read.step().unwrap();
        read.rows.len() == 3
    });
    assert_eq!(read.ingest.next_offset(), 3);
}

#[test]
fn gaps_of_transactions_and_compaction_do_not_keep_a_partition_from_its_end() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    let producer = broker.producer(&[("transactional.id", "gaps")]);
    producer.init_transactions(PATIENCE).unwrap();
    for (number, commit) in [(0, true), (100, false), (200, true), (300, false)] {
        producer.begin_transaction().unwrap();
        records(number..number + 10).iter().for_each(|record| record.send(&producer, &topic, 0));
        producer.flush(PATIENCE).unwrap();
        match commit {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
    }
    let plan = plan(&topic, false);
    let consumer = Arc::new(Consumer::new(&cluster).unwrap());
    // The last mark is written after the producer has been answered.
    until("each transaction has a mark at its end", || {
        consumer.bounds(&topic, 0).unwrap() == OffsetRange { start: 0, end: 44 }
    });
    let mut read = Read::with(&consumer, &plan, 0, 0, Some(44)).unwrap();
    read.to(&[InputStatus::EndOfInput]);
    let expected: Vec<i64> = (0..10).chain(200..210).collect();
    assert_eq!(read.numbers(), expected);
    let mut read = Read::open(&cluster, &plan, 0, None).unwrap();
    read.to(&[InputStatus::NothingAvailable]);
    assert_eq!(read.partition.lag(), Some(0));
}

#[test]
fn a_message_without_a_value_is_a_delete_in_a_table_and_a_dead_letter_in_a_stream() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    let delete = |key: Option<&str>, n: i64| Sent {
        key: key.map(str::to_owned),
        time: START + n,
        headers: vec![("trace".to_owned(), vec![7, 255]), ("trace".to_owned(), b"b".to_vec())],
        ..Sent::default()
    };
    let sent = [record(1), delete(Some(r#"{"id":"x"}"#), 2), delete(Some("plain key"), 3), delete(None, 4)];
    broker.write(&topic, 0, &sent);
    let table = Read::open(&cluster, &plan(&topic, true), 0, None).unwrap().through();
    let deleted = |id: &str, n: i64| {
        vec![Scalar::String(id.into()), Scalar::Null, Scalar::Timestamp(START + n), Scalar::Bool(true)]
    };
    assert_eq!(table.rows[1..], [deleted("x", 2), deleted("plain key", 3)]);
    assert_eq!(table.rows[0][3], Scalar::Null);
    assert_eq!(table.letters.len(), 1);
    assert_eq!(table.letters[0].detail, "a delete without a key");
    let source = Read::open(&cluster, &plan(&topic, false), 0, None).unwrap().through();
    assert_eq!(source.numbers(), [1]);
    let letter = &source.letters[0];
    assert_eq!((letter.offset, letter.reason, letter.value.as_deref()), (1, Reason::Malformed, None));
    assert_eq!(letter.key.as_deref(), Some(br#"{"id":"x"}"#.as_slice()));
    let headers = [vec![7, 255], b"b".to_vec()].map(|value| Header { name: "trace".to_owned(), value: Some(value) });
    assert_eq!(letter.headers, headers);
}

#[test]
fn an_event_time_too_far_ahead_of_its_message_is_a_dead_letter() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    let at = |n: i64, ahead: i64| Sent::value(format!(r#"{{"id":"a","n":{n},"at":{}}}"#, START + ahead), START);
    broker.write(&topic, 0, &[at(0, 0), at(1, DAY), at(2, DAY + 1), at(3, -400 * DAY)]);
    let read = Read::open(&cluster, &plan(&topic, false), 0, None).unwrap().through();
    assert_eq!(read.numbers(), [0, 1, 3]);
    assert_eq!((read.letters[0].offset, read.letters[0].reason), (2, Reason::TimeOutOfRange));
}

#[test]
fn an_offset_is_found_by_time() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    broker.write(&topic, 0, &records(0..100));
    let consumer = Arc::new(Consumer::new(&cluster).unwrap());
    let found = |time| consumer.offset_at(&topic, 0, time).unwrap();
    assert_eq!(found(START - DAY), 0);
    assert_eq!(found(START + 41_999), 42);
    assert_eq!(found(START + 42_000), 42);
    assert_eq!(found(START + DAY), 100, "past the last message is the end");
}

#[test]
fn a_missing_start_offset_is_refused_with_the_offsets_that_exist() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[]));
    broker.write(&topic, 0, &records(0..10));
    let refused = |start| match Read::open(&cluster, &plan(&topic, false), start, None) {
        Err(KafkaError::DataLoss(what)) => what,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("offset {start} was accepted"),
    };
    assert!(refused(11).contains("partition 0: offset 11, where reading goes on, is not there: the end is 10"));
    delete_before(&broker, &topic, 4);
    assert!(refused(3).contains("offset 3, where reading goes on, has expired: the oldest is 4"));
    let read = Read::open(&cluster, &plan(&topic, false), 4, None).unwrap().through();
    assert_eq!(read.numbers(), (4..10).collect::<Vec<_>>());
}

/// Deletes the records of partition 0 before an offset, as retention would.
fn delete_before(broker: &Broker, topic: &str, offset: i64) {
    use rdkafka::admin::{AdminClient, AdminOptions};
    use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
    let mut config = rdkafka::ClientConfig::new();
    let admin: AdminClient<_> = config.set("bootstrap.servers", broker.servers()).create().unwrap();
    let mut before = TopicPartitionList::new();
    before.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(admin.delete_records(&before, &AdminOptions::new())).unwrap();
}

#[test]
fn partitions_are_counted_and_a_missing_topic_is_named() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(3, &[]), broker.cluster(&[]));
    let consumer = Arc::new(Consumer::new(&cluster).unwrap());
    assert_eq!(consumer.partitions_of(&topic).unwrap(), 3);
    assert_eq!(consumer.partitions("nowhere").unwrap(), None);
    let error = consumer.partitions_of("nowhere").unwrap_err().to_string();
    assert_eq!(error, format!("topic \"nowhere\" does not exist on bootstrap.servers = {:?}", broker.servers()));
    assert_eq!(consumer.partitions("nowhere").unwrap(), None, "asking makes no topic");
}

#[test]
fn partitions_are_read_side_by_side_and_each_in_its_order() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(3, &[]), broker.cluster(&[]));
    let consumer = Arc::new(Consumer::new(&cluster).unwrap());
    let plan = plan(&topic, false);
    let mut reads: Vec<Read> = (0..2).map(|number| Read::with(&consumer, &plan, number, 0, None).unwrap()).collect();
    (0..3).for_each(|partition| broker.write(&topic, partition, &records(0..700)));
    reads.iter_mut().for_each(|read| until("700 records", || read.step().is_ok() && read.rows.len() == 700));
    // One more while the others are read.
    reads.push(Read::with(&consumer, &plan, 2, 0, None).unwrap());
    until("700 records", || reads[2].step().is_ok() && reads[2].rows.len() == 700);
    broker.write(&topic, 0, &records(700..705));
    until("5 more", || reads[0].step().is_ok() && reads[0].rows.len() == 705);
    assert_eq!(reads[0].numbers(), (0..705).collect::<Vec<_>>());
    assert_eq!(reads[1].numbers(), reads[2].numbers());
}

#[test]
fn committed_offsets_are_visible_to_other_clients() {
    let broker = Broker::shared();
    let (topic, cluster) = (broker.topic(1, &[]), broker.cluster(&[("group.id", "watched")]));
    broker.write(&topic, 0, &records(0..20));
    let mut read = Read::open(&cluster, &plan(&topic, false), 0, None).unwrap();
    read.to(&[InputStatus::NothingAvailable]);
    let mut config = rdkafka::ClientConfig::new();
    config.set("bootstrap.servers", broker.servers()).set("group.id", "watched");
    let other: rdkafka::consumer::BaseConsumer = config.create().unwrap();
    until("a committed offset", || {
        use rdkafka::consumer::Consumer as _;
        // Now and then, as a run does: a broker that is not ready to take offsets yet refuses them.
        read.consumer.commit();
        read.consumer.poll_events(&topic);
        let mut asked = rdkafka::TopicPartitionList::new();
        asked.add_partition(&topic, 0);
        let found = other.committed_offsets(asked, PATIENCE).unwrap();
        found.elements()[0].offset() == rdkafka::Offset::Offset(20)
    });
}

#[test]
fn a_reader_waits_for_a_killed_broker_and_loses_or_repeats_nothing() {
    let broker = Broker::stopped();
    let cluster = broker.cluster(&[]);
    let consumer = Arc::new(Consumer::new(&cluster).unwrap());
    assert!(matches!(consumer.partitions("t"), Err(KafkaError::Unavailable { .. })));
    broker.start();
    let topic = broker.topic(1, &[]);
    until("the brokers", || {
        consumer.poll_events(&topic);
        consumer.partitions(&topic).is_ok_and(|found| found == Some(1))
    });
    assert_eq!(cluster.health().last_error(), None);
    broker.write(&topic, 0, &records(0..500));
    let mut read = Read::with(&consumer, &plan(&topic, false), 0, 0, None).unwrap();
    read.to(&[InputStatus::NothingAvailable]);
    broker.kill();
    until("an error", || {
        consumer.poll_events(&topic);
        cluster.health().last_error().is_some()
    });
    assert_eq!(read.step().unwrap(), InputStatus::MoreAvailable, "nothing is known of what there is to read");
    assert_eq!(read.partition.lag(), None);
    broker.start();
    broker.write(&topic, 0, &records(500..900));
    until("900 records", || read.step().is_ok() && read.rows.len() >= 900);
    read.to(&[InputStatus::NothingAvailable]);
    assert_eq!(read.numbers(), (0..900).collect::<Vec<_>>());
}
