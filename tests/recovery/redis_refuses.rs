//! A Redis server that refuses to write some keys or all: each is named and counted, and the others go on.

use std::time::Duration;

use redis::Connection;
use tidemill::store::redis::{MirrorStatus, RedisWriter};

use crate::common::servers::{Server, eventually};
use crate::redis::{Store, count, key};

fn run(redis: &mut Connection, command: &[&str]) {
    let mut sent = redis::cmd(command[0]);
    command[1..].iter().for_each(|argument| _ = sent.arg(argument));
    sent.exec(redis).unwrap_or_else(|error| panic!("{command:?}: {error}"));
}

fn refused(store: &Store, reason: &str) -> f64 {
    store.find_metric(&format!(r#"tidemill_redis_refused_total{{group="g",reason="{reason}"}}"#)).unwrap_or(0.0)
}

fn is_writing(writer: &RedisWriter) -> bool {
    writer.status() == MirrorStatus::Writing
}

#[test]
fn keys_of_another_type_are_replaced_and_the_others_are_written() {
    let server = Server::redis();
    let mut redis = server.connection();
    for (user, make) in [("u3", "SET"), ("u5", "LPUSH"), ("u7", "SADD")] {
        run(&mut redis, &[make, &key(user), "of someone else"]);
    }
    run(&mut redis, &["ZADD", &key("u9"), "1", "of someone else"]);
    run(&mut redis, &["SET", "tidemill:d:_positions", "of someone else"]);
    let store = Store::new();
    (0..20).for_each(|n| store.set(&format!("u{n}"), n));
    let writer = store.writer(&server);
    eventually("all", || (0..20).all(|n| count_if_hash(&mut redis, &format!("u{n}")) == Some(n)));
    assert!(is_writing(&writer));
    assert_eq!(refused(&store, "WRONGTYPE"), 4.0);
    // One that becomes of another type while it is mirrored.
    run(&mut redis, &["SET", &key("u1"), "of someone else"]);
    store.set("u1", 100);
    store.set("u2", 200);
    eventually("both", || count_if_hash(&mut redis, "u1") == Some(100) && count(&mut redis, "u2") == Some(200));
    store.remove("u3");
    run(&mut redis, &["SET", &key("u4"), "of someone else"]);
    store.remove("u4");
    let exists =
        |redis: &mut Connection| -> u32 { redis::cmd("EXISTS").arg(key("u3")).arg(key("u4")).query(redis).unwrap() };
    eventually("both are gone", || exists(&mut redis) == 0);
    assert_eq!(writer.finish(Duration::from_secs(5)), 0);
}

fn count_if_hash(redis: &mut Connection, user: &str) -> Option<i64> {
    redis::cmd("HGET").arg(key(user)).arg("n").query(redis).ok().flatten()
}

#[test]
fn keys_that_may_not_be_written_are_left_and_the_others_are_written() {
    let server = Server::redis();
    let mut redis = server.connection();
    run(&mut redis, &["ACL", "SETUSER", "default", "resetkeys", "~tidemill:d:_positions", "~*u1*", "~*u2*"]);
    let store = Store::new();
    ["u1", "u2", "x1", "x2"].iter().for_each(|user| store.set(user, 5));
    let writer = store.writer(&server);
    eventually("those that may be", || count(&mut redis, "u1") == Some(5) && count(&mut redis, "u2") == Some(5));
    eventually("those that are refused", || refused(&store, "NOPERM") == 2.0);
    store.set("u1", 6);
    eventually("a further change", || count(&mut redis, "u1") == Some(6));
    assert!(is_writing(&writer));
    assert_eq!(store.metric(r#"tidemill_redis_pending_keys{group="g"}"#), 2.0);
    // They are written once they may be, at their next change at the latest.
    run(&mut redis, &["ACL", "SETUSER", "default", "allkeys"]);
    store.set("x1", 7);
    eventually("it is written", || count(&mut redis, "x1") == Some(7));
    assert_eq!(writer.finish(Duration::from_secs(5)), 1, "x2 is still pending");
}

#[test]
fn features_are_written_where_nothing_may_be_written_for_replicas() {
    let server = Server::redis();
    let mut redis = server.connection();
    run(&mut redis, &["ACL", "SETUSER", "default", "resetkeys", "~tidemill:d:_positions", "~tidemill:d:g:*"]);
    let store = Store::new();
    store.set("a", 1);
    store.set_row("r", Some(1));
    let writer = store.writer_for_replicas(&server);
    eventually("a", || count(&mut redis, "a") == Some(1));
    store.set("a", 2);
    store.set_row("r", Some(2));
    eventually("a further change", || count(&mut redis, "a") == Some(2));
    assert!(is_writing(&writer));
    assert_eq!(store.metric(r#"tidemill_redis_pending_keys{group="g"}"#), 0.0);
    assert_eq!(writer.finish(Duration::from_secs(5)), 0);
}

#[test]
fn a_server_without_memory_or_of_reads_only_receives_everything_once_it_takes_writes() {
    let server = Server::redis();
    let mut redis = server.connection();
    let store = Store::new();
    store.set("a", 1);
    let writer = store.writer(&server);
    eventually("a", || count(&mut redis, "a") == Some(1));
    let states: [(&str, [&str; 4], [&str; 4]); 2] = [
        ("OOM", ["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"]),
        ("READONLY", ["REPLICAOF", "127.0.0.1", "1", ""], ["REPLICAOF", "NO", "ONE", ""]),
    ];
    for (value, (reason, refuse, accept)) in (2..).zip(states) {
        let words =
            |command: [&'static str; 4]| command.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>();
        run(&mut redis, &words(refuse));
        store.set("a", value);
        let is_said = || matches!(writer.status(), MirrorStatus::Away(said) if said.contains(reason));
        eventually("the reason", is_said);
        assert!(refused(&store, reason) >= 1.0);
        run(&mut redis, &words(accept));
        eventually("the newest", || count(&mut redis, "a") == Some(value));
    }
    eventually("writing", || is_writing(&writer));
}
