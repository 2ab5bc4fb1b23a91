//! `dataflows/fraud.toml`: its fifteen features, against the definitions of the Fraud Detection Handbook.
//!
//! The handbook (Le Borgne, Siblini, Lebichot and Bontempi, 2022, chapter 3) computes them with pandas. There a window of
//! W days of a customer ends with the payment itself and begins after t − W; one of a terminal is (t − 7 d − W, t − 7 d].
//! Ours are [t − W, t) and the payment, and [t − 7 d − W, t − 7 d): they differ where two payments are a whole number
//! of days apart, to the second, or at the same second. Every value must be ours; the windows whose totals differ from the
//! handbook's are counted, and must be few.
//!
//! `TIDEMILL_FRAUD=FILE` names the handbook's transactions, as CSV (plain or `.gz`) in the order of time, with the columns
//! `TX_DATETIME`, `CUSTOMER_ID`, `TERMINAL_ID`, `TX_AMOUNT` and `TX_FRAUD`. The first 45 days of them
//! are compared, or as many as `TIDEMILL_FRAUD_DAYS` says.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use tidemill::time::{format_time, parse_time};
use tidemill::value::Scalar;

use crate::common::shipped::{Columns, Replayed, TopicFile, root, unpacked};

#[allow(dead_code, reason = "its main function writes files")]
#[path = "../../examples/fraud_data.rs"]
mod fraud_data;

const DAY: i64 = 86_400_000;
const DELAY: i64 = 7 * DAY;
const WINDOWS: [i64; 3] = [1, 7, 30];

struct Payment {
    at: i64,
    customer: String,
    terminal: String,
    amount: f64,
    fraud: bool,
}

impl Payment {
    /// The amount as sums have it. The handbook has amounts such as 85.64999999999999.
    fn cents(&self) -> i64 {
        (self.amount * 100.0).round_ties_even() as i64
    }
}

/// All payments, and those of each customer and terminal: times and numbers, in the order of time.
struct Payments {
    all: Vec<Payment>,
    by_customer: BTreeMap<String, Vec<usize>>,
    by_terminal: BTreeMap<String, Vec<usize>>,
}

/// Count and sum of the payments in a window.
#[derive(Debug, PartialEq)]
struct Totals {
    count: i64,
    sum: i64,
}

impl Payments {
    fn read(transactions: &str) -> Payments {
        let mut reader = csv::Reader::from_reader(transactions.as_bytes());
        let payment = |record: csv::StringRecord| Payment {
            at: parse_time(&record[5]).unwrap(),
            customer: record[1].to_owned(),
            terminal: record[2].to_owned(),
            amount: record[3].parse().unwrap(),
            fraud: &record[4] == "1",
        };
        let all: Vec<Payment> = reader.records().map(|record| payment(record.unwrap())).collect();
        let (mut by_customer, mut by_terminal) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, Vec<_>>::new());
        for (number, payment) in all.iter().enumerate() {
            by_customer.entry(payment.customer.clone()).or_default().push(number);
            by_terminal.entry(payment.terminal.clone()).or_default().push(number);
        }
        Payments { all, by_customer, by_terminal }
    }

    /// Adds up the payments of a list that are in a window.
    fn totals(&self, list: &[usize], is_in: impl Fn(usize) -> bool, value: impl Fn(&Payment) -> i64) -> Totals {
        let inside = list.iter().filter(|number| is_in(**number)).map(|number| &self.all[*number]);
        inside.fold(Totals { count: 0, sum: 0 }, |totals, payment| Totals {
            count: totals.count + 1,
            sum: totals.sum + value(payment),
        })
    }

    /// The part of a list of payments with times in [from, to].
    fn between<'a>(&self, list: &'a [usize], from: i64, to: i64) -> &'a [usize] {
        let first = list.partition_point(|number| self.all[*number].at < from);
        let end = list.partition_point(|number| self.all[*number].at <= to);
        &list[first..end]
    }

    /// The windows of the customer of a payment: ours, and the handbook's.
    fn of_customer(&self, number: usize, days: i64) -> [Totals; 2] {
        let (t, edge) = (self.all[number].at, self.all[number].at - days * DAY);
        let list = self.between(&self.by_customer[&self.all[number].customer], edge, t);
        let at = |other: usize| self.all[other].at;
        let ours = |other: usize| at(other) < t || other == number;
        let theirs = |other: usize| at(other) > edge && other <= number;
        [self.totals(list, ours, Payment::cents), self.totals(list, theirs, Payment::cents)]
    }

    /// The windows of the terminal of a payment: ours, and the handbook's.
    fn of_terminal(&self, number: usize, days: i64) -> [Totals; 2] {
        let end = self.all[number].at - DELAY;
        let edge = end - days * DAY;
        let list = self.between(&self.by_terminal[&self.all[number].terminal], edge, end);
        let at = |other: usize| self.all[other].at;
        let fraud = |payment: &Payment| i64::from(payment.fraud);
        [self.totals(list, |other| at(other) < end, fraud), self.totals(list, |other| at(other) > edge, fraud)]
    }
}

/// Compares all examples, and returns the number of windows that differ from the handbook's.
fn compare(payments: &Payments, examples: &Columns) -> usize {
    assert_eq!(examples.len(), payments.all.len());
    let mut different = 0;
    for row in 0..examples.len() {
        let number: usize = examples.text("transaction", row).parse().unwrap();
        let payment = &payments.all[number];
        let is = |name: &str, expected: Scalar| {
            assert_eq!(*examples.get(name, row), expected, "{name} of {number}");
        };
        for days in WINDOWS {
            let [ours, theirs] = payments.of_customer(number, days);
            is(&format!("customer.payments_{days}d"), Scalar::Int(ours.count));
            let mean = ours.sum as f64 / (100 * ours.count) as f64;
            is(&format!("customer.amount_mean_{days}d"), Scalar::Float(mean));
            different += usize::from(ours != theirs);
            let [ours, theirs] = payments.of_terminal(number, days);
            is(&format!("terminal.payments_{days}d_lag7d"), Scalar::Int(ours.count));
            let risk = if ours.count == 0 { 0.0 } else { ours.sum as f64 / ours.count as f64 };
            is(&format!("terminal.risk_mean_{days}d_lag7d"), Scalar::Float(risk));
            different += usize::from(ours != theirs);
        }
        // The first of January 1970 was a Thursday.
        let (weekday, hour) = ((payment.at.div_euclid(DAY) + 3) % 7, payment.at.rem_euclid(DAY) / (DAY / 24));
        is("amount", Scalar::Float(payment.amount));
        is("weekend", Scalar::Int(i64::from(weekday >= 5)));
        is("night", Scalar::Int(i64::from(hour <= 6)));
        is("_label", Scalar::Float(f64::from(u8::from(payment.fraud))));
        is("_time", Scalar::Timestamp(payment.at));
        is("_known", Scalar::Timestamp(payment.at + DELAY));
    }
    different
}

fn topics<'a>(transactions: &'a str, feedback: &'a str) -> [TopicFile<'a>; 2] {
    [TopicFile { topic: "transactions", csv: transactions }, TopicFile { topic: "feedback", csv: feedback }]
}

#[test]
fn oracle_of_the_fraud_dataflow() {
    let made = fraud_data::FraudData::generate();
    for (name, text) in [("transactions", &made.transactions), ("feedback", &made.feedback)] {
        let path = root().join(format!("data/fraud/{name}.csv.gz"));
        assert!(*text == unpacked(&path), "{} is another text", path.display());
    }
    let examples = Replayed::of("fraud", &topics(&made.transactions, &made.feedback)).columns("examples/fraud");
    let payments = Payments::read(&made.transactions);
    let different = compare(&payments, &examples);
    println!("{different} of {} windows differ from the handbook's", 6 * payments.all.len());
    assert!(different < payments.all.len() / 100);
}

/// The guide says how to do without the flag in the transactions; the numbers must be the same.
#[test]
fn the_risk_of_the_feedback_is_that_of_a_week_before() {
    let guide = fs::read_to_string(root().join("docs/guides/fraud.md")).unwrap();
    let (_, group) = guide.split_once("```toml\n[features.reported]").expect("the guide has the group");
    let group = format!("[features.reported]{}", group.split("```").next().unwrap());
    let dataflow = fs::read_to_string(root().join("dataflows/fraud.toml")).unwrap();
    let dataflow = dataflow.replace("[model.fraud]", &format!("{group}\n[model.fraud]"));
    let dataflow = dataflow.replace("\"terminal.*\",", "\"terminal.*\", \"reported.*\",");
    let made = fraud_data::FraudData::generate();
    let replayed = Replayed::of_text(&dataflow, &topics(&made.transactions, &made.feedback));
    let examples = replayed.columns("examples/fraud");
    assert!(examples.len() > 10_000, "{} examples", examples.len());
    for (row, days) in (0..examples.len()).flat_map(|row| WINDOWS.map(|days| (row, days))) {
        let lagging = examples.get(&format!("terminal.risk_mean_{days}d_lag7d"), row);
        assert_eq!(examples.get(&format!("reported.risk_mean_{days}d"), row), lagging, "{days} days, row {row}");
    }
}

/// The handbook's transactions of the first days as the two topics.
fn of_the_handbook(text: &str, days: i64) -> [String; 2] {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap_or_else(|| panic!("no {name}"));
    let [at, customer, terminal, amount, fraud] =
        ["TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"].map(column);
    let mut transactions = String::from("transaction,customer,terminal,amount,fraud,at\n");
    let mut feedback = String::from("transaction,terminal,fraud,at\n");
    let mut first = None;
    for (number, record) in reader.records().enumerate() {
        let record = record.unwrap();
        let time = parse_time(&record[at]).unwrap();
        if time >= *first.get_or_insert(time) + days * DAY {
            break;
        }
        let (fraud, later) = (&record[fraud], format_time(time + DELAY));
        transactions += &format!(
            "{number},{},{},{},{fraud},{}\n",
            &record[customer], &record[terminal], &record[amount], &record[at]
        );
        feedback += &format!("{number},{},{fraud},{later}\n", &record[terminal]);
    }
    [transactions, feedback]
}

#[test]
fn oracle_of_the_fraud_dataflow_on_the_data_of_the_handbook() {
    let Some(path) = std::env::var_os("TIDEMILL_FRAUD") else {
        eprintln!("SKIPPED: TIDEMILL_FRAUD does not name the handbook's transactions; see data/fraud/README.md");
        return;
    };
    let days = std::env::var("TIDEMILL_FRAUD_DAYS").map_or(45, |days| days.parse().expect("a number of days"));
    let [transactions, feedback] = of_the_handbook(&unpacked(Path::new(&path)), days);
    let examples = Replayed::of("fraud", &topics(&transactions, &feedback)).columns("examples/fraud");
    let payments = Payments::read(&transactions);
    let different = compare(&payments, &examples);
    println!("{different} of {} windows differ from the handbook's", 6 * payments.all.len());
    assert!(different < payments.all.len() / 1000);
}
