//! Id of a topic: a topic that was deleted and created again has another, whatever its name and offsets.
//!
//! Only librdkafka's C interface returns it. The unsafe code here is calls of that interface with pointers that it
//! returned; they are freed when they go out of scope.

use std::ffi::{CStr, CString};
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as c;
use rdkafka::error::KafkaError as ClientError;

use super::KafkaError;
use super::client::Client;

/// The longest time that the brokers may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The id that brokers return if they give topics no ids.
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// An object that librdkafka has returned, with the function that frees it.
struct Owned<T>(NonNull<T>, unsafe extern "C" fn(*mut T));

impl<T> Owned<T> {
    fn new(object: *mut T, free: unsafe extern "C" fn(*mut T)) -> Option<Self> {
        NonNull::new(object).map(|object| Owned(object, free))
    }

    fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: it was given out once and is given back once, by the function that belongs to it.
        unsafe { (self.1)(self.0.as_ptr()) };
    }
}

/// Returns the id of a topic, in Base64 as Kafka's own tools show it; `None` if the brokers give topics no ids.
///
/// # Errors
/// If the brokers do not answer, or reject the request.
pub fn topic_id(client: &Client, topic: &str) -> Result<Option<String>, KafkaError> {
    let unavailable = || KafkaError::Unavailable {
        servers: client.cluster.servers().to_owned(),
        what: format!("topic {topic:?}: no answer to what its id is within {PATIENCE:?}"),
    };
    let failed = |code: c::rd_kafka_resp_err_t| client.cluster.error(ClientError::MetadataFetch(code.into()));
    let none = c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
    let event = describe(client, topic).ok_or_else(unavailable)?;
    // SAFETY: the event is alive until the end of this function, and so is all that is asked of it: a result that
    // says how many topics it has, and a topic's error and id, whose text ends in a zero. Where the event is no such
    // result, that is null.
    unsafe {
        let error = c::rd_kafka_event_error(event.as_ptr());
        if error != none {
            return Err(failed(error));
        }
        let result = c::rd_kafka_event_DescribeTopics_result(event.as_ptr());
        if result.is_null() {
            return Ok(None);
        }
        let mut count = 0;
        let topics = c::rd_kafka_DescribeTopics_result_topics(result, &mut count);
        if count == 0 {
            return Ok(None);
        }
        let error = c::rd_kafka_error_code(c::rd_kafka_TopicDescription_error(*topics));
        if error != none {
            return Err(failed(error));
        }
        let id = c::rd_kafka_Uuid_base64str(c::rd_kafka_TopicDescription_topic_id(*topics));
        let id = (!id.is_null()).then(|| CStr::from_ptr(id).to_string_lossy().into_owned());
        Ok(id.filter(|id| id != NO_ID))
    }
}

/// Requests the description of a topic and returns the answer; `None` if there is none in time, or if no topic can have
/// this name.
fn describe(client: &Client, topic: &str) -> Option<Owned<c::rd_kafka_event_t>> {
    let (native, name) = (client.native(), CString::new(topic).ok()?);
    let mut names = [name.as_ptr()];
    let patience = i32::try_from(PATIENCE.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive, as `client` is; there is one name, which ends in a zero and is copied; what is
    // given out is alive until the end of this function, and the event is not of it.
    unsafe {
        let topics = c::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let topics = Owned::new(topics, c::rd_kafka_TopicCollection_destroy)?;
        let operation = c::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options = Owned::new(c::rd_kafka_AdminOptions_new(native, operation), c::rd_kafka_AdminOptions_destroy)?;
        c::rd_kafka_AdminOptions_set_request_timeout(options.as_ptr(), patience, ptr::null_mut(), 0);
        let queue = Owned::new(c::rd_kafka_queue_new(native), c::rd_kafka_queue_destroy)?;
        c::rd_kafka_DescribeTopics(native, topics.as_ptr(), options.as_ptr(), queue.as_ptr());
        Owned::new(c::rd_kafka_queue_poll(queue.as_ptr(), patience), c::rd_kafka_event_destroy)
    }
}
