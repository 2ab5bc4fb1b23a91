//! The dead letter topic: contents, failed deliveries, and errors of its writer.

use std::sync::Arc;

use tidemill::source::kafka::{Consumer, DeadLetterTopic};
use tidemill::source::{DeadLetter, Header, Reason};

use crate::broker::{Broker, PATIENCE, until};
use crate::reading::{Read, plan};

fn letter() -> DeadLetter {
    DeadLetter {
        source: "weather".to_owned(),
        topic: "weather".to_owned(),
        partition: 2,
        offset: 77,
        time: None,
        stage: "decode",
        reason: Reason::WrongType,
        detail: "n: expected int, found the text \"a\"".to_owned(),
        key: Some(vec![0, 159]),
        value: Some(b"{\"n\":\"a\"}".to_vec()),
        format: Some("json"),
        header: None,
        headers: vec![
            Header { name: "trace".to_owned(), value: Some(b"1".to_vec()) },
            Header { name: "none".to_owned(), value: None },
        ],
    }
}

#[test]
fn dead_letters_are_written_as_they_were_with_the_reason_in_headers() {
    let broker = Broker::shared();
    let cluster = broker.cluster(&[]);
    let letter = letter();
    let mut letters = DeadLetterTopic::new(&cluster, None).unwrap();
    assert_eq!(letters.topic(), "tidemill.test.dead_letters");
    letters.write(std::slice::from_ref(&letter)).unwrap();
    letters.flush(PATIENCE).unwrap();
    let read = Read::open(&cluster, &plan(letters.topic(), false), 0, None).unwrap().through();
    let found = &read.letters[0];
    assert_eq!((&found.key, &found.value), (&letter.key, &letter.value));
    assert_eq!(found.headers[..2], letter.headers);
    let text = |Header { name, value }: &Header| {
        (name.strip_prefix("__connect.errors.").unwrap().to_owned(), String::from_utf8(value.clone().unwrap()).unwrap())
    };
    let errors: Vec<(String, String)> = found.headers[2..].iter().map(text).collect();
    let expected = [
        ("topic", "weather"),
        ("partition", "2"),
        ("offset", "77"),
        ("connector.name", "tidemill.test"),
        ("task.id", letter.source.as_str()),
        ("stage", "DECODE"),
        ("class.name", "tidemill.decode"),
        ("exception.class.name", "tidemill.wrong_type"),
        ("exception.message", "n: expected int, found the text \"a\""),
        ("exception.stacktrace", "decode: wrong_type: n: expected int, found the text \"a\""),
    ];
    assert_eq!(errors, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn a_letter_that_is_too_large_for_a_message_has_its_beginning_and_its_size() {
    let broker = Broker::shared();
    let topic = broker.topic(1, &[]);
    let value = "é".repeat(499_990);
    let large = DeadLetter { value: Some(value.clone().into_bytes()), ..letter() };
    let mut letters = DeadLetterTopic::new(&broker.cluster(&[]), Some(&topic)).unwrap();
    letters.write(&[large, letter()]).and_then(|()| letters.flush(PATIENCE)).unwrap();
    let read = Read::open(&broker.cluster(&[]), &plan(&topic, false), 0, None).unwrap().through();
    let found = &read.letters[0];
    let head = found.value.as_deref().unwrap();
    assert!(head.len() == 4096 && value.as_bytes().starts_with(head));
    assert_eq!(found.headers[0].name, "__connect.errors.topic", "the headers of the record are left out");
    let truncated = found.headers.last().unwrap();
    assert_eq!(truncated.name, "__connect.errors.truncated.bytes");
    assert_eq!(truncated.value.as_deref(), Some(b"999982".as_slice()));
    assert_eq!(read.letters[1].value, letter().value);
}

#[test]
fn letters_that_cannot_be_delivered_are_an_error() {
    let broker = Broker::stopped();
    let cluster = broker.cluster(&[("message.timeout.ms", "1000")]);
    let mut letters = DeadLetterTopic::new(&cluster, Some("elsewhere")).unwrap();
    let written = letters.write(&[letter()]).and_then(|()| letters.flush(PATIENCE));
    let error = written.unwrap_err().to_string();
    assert!(error.contains("1 messages were not delivered: topic \"elsewhere\""), "{error}");
}

#[test]
fn a_stale_error_of_an_idle_writer_is_ignored() {
    let broker = Broker::stopped();
    broker.start();
    let (cluster, topic) = (broker.cluster(&[]), broker.topic(1, &[]));
    let consumer = Arc::new(Consumer::new(&cluster).unwrap());
    let mut letters = DeadLetterTopic::new(&cluster, None).unwrap();
    letters.write(&[letter()]).and_then(|()| letters.flush(PATIENCE)).unwrap();
    let read = Read::with(&consumer, &plan(&topic, false), 0, 0, None).unwrap();
    broker.kill();
    until("an error", || !consumer.poll_events(&topic));
    broker.start();
    until("no error", || consumer.poll_events(&topic));
    letters.flush(PATIENCE).unwrap();
    assert_eq!(cluster.health().last_error(), None);
    drop(read);
}
