//! The limit that whatever reads Kafka is measured against: a loop that consumes in batches, and no more.

use rdkafka::ClientConfig;
use rdkafka::bindings as c;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Reads so many messages of topics with so many partitions each, in batches through librdkafka.
pub fn consume(servers: &str, topics: &[(&str, usize)], messages: usize, mut each: impl FnMut(&[u8])) {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", servers),
        ("group.id", "bare"),
        ("enable.auto.commit", "false"),
        // As tidemill sets them.
        ("fetch.queue.backoff.ms", "10"),
        ("queued.max.messages.kbytes", "4096"),
        ("queued.min.messages", "50000"),
    ] {
        config.set(key, value);
    }
    let consumer: BaseConsumer = config.create().expect("a client");
    let mut all = TopicPartitionList::new();
    for (topic, partitions) in topics {
        for partition in 0..*partitions as i32 {
            all.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
        }
    }
    consumer.assign(&all).expect("partitions can be assigned");
    let mut batch: Vec<*mut c::rd_kafka_message_t> = vec![std::ptr::null_mut(); 4096];
    let mut seen = 0;
    // SAFETY: the queue is the consumer's, which outlives it; each message is read before it is destroyed, once.
    unsafe {
        let queue = c::rd_kafka_queue_get_consumer(consumer.client().native_ptr());
        while seen < messages {
            let found = c::rd_kafka_consume_batch_queue(queue, 100, batch.as_mut_ptr(), batch.len());
            for message in &batch[..usize::try_from(found).expect("no error")] {
                let m = &**message;
                if m.err as i32 == 0 && !m.payload.is_null() {
                    each(std::slice::from_raw_parts(m.payload.cast::<u8>(), m.len));
                    seen += 1;
                }
                c::rd_kafka_message_destroy(*message);
            }
        }
        c::rd_kafka_queue_destroy(queue);
    }
}
