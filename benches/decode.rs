//! Cost of decoding a record into the columns of a batch, beside a bare decode into a struct.

#[path = "common/mod.rs"]
mod common;

use std::hint::black_box;
use std::io::Write;

use common::{BATCH, Decoded, Messages, Spread, payments, plan};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tidemill::source::{FilePartition, Ingest, InputStatus, Partition, RawMessage};
use tidemill::value::JsonDecoder;

const RECORDS: usize = 100_000;

/// A file of its own, with this content.
fn file(extension: &str, content: &[&[u8]]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(extension).tempfile().expect("a file can be made");
    content.iter().for_each(|part| file.write_all(part).expect("it can be written"));
    file
}

fn read_all(mut partition: FilePartition, mut ingest: Ingest) {
    let mut rows = 0;
    loop {
        let status = partition.read(BATCH, &mut ingest).expect("the file can be read");
        rows += ingest.take().batch.len();
        if status == InputStatus::EndOfInput {
            break;
        }
    }
    assert_eq!(rows, RECORDS);
}

fn decode(criterion: &mut Criterion) {
    let payments = payments(10_000, RECORDS, Spread::Uniform);
    let (json, csv) = (Messages::json(&payments), Messages::csv(&payments));
    let reader = &plan(&["1h"]).sources[0];
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(RECORDS as u64)).sample_size(10);

    group.bench_function("json/bare", |b| {
        b.iter(|| {
            for message in json.iter() {
                black_box(serde_json::from_slice::<Decoded<'_>>(message).expect("generated JSON is right"));
            }
        });
    });
    group.bench_function("json/ingest", |b| {
        let decoder = JsonDecoder::new(&reader.schema);
        b.iter(|| {
            let mut ingest = Ingest::new(reader.clone(), 0);
            for (offset, message) in json.iter().enumerate() {
                let raw = || RawMessage::value(message.to_vec());
                ingest.push(offset as u64, None, raw, |columns, seen| decoder.decode(message, columns, seen));
                if ingest.len() == BATCH {
                    black_box(ingest.take());
                }
            }
            black_box(ingest.take());
        });
    });

    group.bench_function("csv/bare", |b| {
        b.iter(|| {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(csv.bytes());
            let mut record = csv::StringRecord::new();
            while reader.read_record(&mut record).expect("generated CSV is right") {
                black_box(record.deserialize::<(&str, f64, &str, i64)>(None).expect("generated CSV is right"));
            }
        });
    });
    let lines = file(".csv", &[b"user,amount,country,at\n", csv.bytes()]);
    group.bench_function("csv/ingest", |b| {
        b.iter(|| {
            let paths = vec![lines.path().to_owned()];
            let partition = FilePartition::open(paths, reader.schema.clone(), vec![], vec![]).expect("just written");
            read_all(partition, Ingest::new(reader.clone(), 0));
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
