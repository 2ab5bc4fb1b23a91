//! The data of the fraud guide: eleven weeks of card payments that were never made, as `data/fraud` has them.
//!
//! `cargo run --example fraud_data -- DIR` writes `transactions.csv` and `feedback.csv` to a folder. The data are the
//! same wherever they are made: all is integer arithmetic from one seed.
//!
//! Customers pay amounts around a mean of their own, at a few terminals near them. Two things go wrong: for three weeks, all
//! payments at a terminal are frauds; or for ten days, a third of a customer's payments are made with his card by someone
//! else, and are five times as high. Seven days after each payment, the feedback says whether it was a fraud.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use tidemill::time::format_time;

#[path = "generate/random.rs"]
mod random;

use random::Random;

const CUSTOMERS: u64 = 80;
const TERMINALS: u64 = 60;

/// Terminals at which a customer pays.
const NEAR: u64 = 10;

/// 2025-01-06, a Monday, in seconds.
const START: u64 = 20_094 * DAY;
const DAYS: u64 = 77;
const DAY: u64 = 86_400;

/// The time from a payment to its feedback.
const DELAY: u64 = 7 * DAY;

/// The two topics as CSV.
pub struct FraudData {
    pub transactions: String,
    pub feedback: String,
}

/// A customer. The mean amount is in cents; the payments a day are in thousandths.
struct Customer {
    mean: u64,
    a_day: u64,
    terminals: Vec<u64>,
}

/// A payment. The time is in seconds, the amount in cents.
struct Payment {
    at: u64,
    customer: u64,
    terminal: u64,
    amount: u64,
    fraud: bool,
}

/// Days on which a terminal or a card is in the wrong hands.
struct Compromise {
    of: u64,
    from: u64,
    until: u64,
}

impl Compromise {
    /// Begins one every few days.
    fn series(random: &mut Random, every: u64, lasting: u64, number: u64) -> Vec<Compromise> {
        let begin = |from| Compromise { of: random.below(number), from, until: from + lasting };
        (0..DAYS).step_by(every as usize).map(begin).collect()
    }

    fn holds(all: &[Compromise], of: u64, day: u64) -> bool {
        all.iter().any(|one| one.of == of && (one.from..one.until).contains(&day))
    }
}

impl FraudData {
    /// Makes the data.
    pub fn generate() -> FraudData {
        let mut random = Random::new(2025);
        let customer = |_| Customer {
            mean: 500 + random.below(9500),
            a_day: 400 + random.below(2400),
            terminals: (0..NEAR).map(|_| random.below(TERMINALS)).collect(),
        };
        let customers: Vec<Customer> = (0..CUSTOMERS).map(customer).collect();
        let terminals = Compromise::series(&mut random, 6, 21, TERMINALS);
        let cards = Compromise::series(&mut random, 4, 10, CUSTOMERS);
        let mut payments = Vec::new();
        for day in 0..DAYS {
            for (number, customer) in customers.iter().enumerate() {
                let number = number as u64;
                // Eight chances to pay, mostly around noon.
                for _ in 0..8 {
                    if !random.permille(customer.a_day / 8) {
                        continue;
                    }
                    let second = (random.below(DAY) + random.below(DAY) + random.below(DAY)) / 3;
                    let terminal = customer.terminals[random.below(NEAR) as usize];
                    let mut amount = customer.mean * (20 + random.below(81) + random.below(81)) / 100;
                    let stolen = Compromise::holds(&cards, number, day) && random.permille(333);
                    if stolen {
                        amount *= 5;
                    }
                    let fraud = stolen || Compromise::holds(&terminals, terminal, day);
                    let at = START + day * DAY + second;
                    payments.push(Payment { at, customer: number, terminal, amount, fraud });
                }
            }
        }
        payments.sort_by_key(|payment| (payment.at, payment.customer, payment.terminal, payment.amount));
        FraudData { transactions: transactions(&payments), feedback: feedback(&payments) }
    }
}

fn transactions(payments: &[Payment]) -> String {
    let mut text = String::from("transaction,customer,terminal,amount,fraud,at\n");
    for (number, Payment { at, customer, terminal, amount, fraud }) in payments.iter().enumerate() {
        let (amount, fraud) = (format!("{}.{:02}", amount / 100, amount % 100), u8::from(*fraud));
        writeln!(text, "{number},{customer},{terminal},{amount},{fraud},{}", time(*at))
            .expect("writing to a string does not fail");
    }
    text
}

fn feedback(payments: &[Payment]) -> String {
    let mut text = String::from("transaction,terminal,fraud,at\n");
    for (number, Payment { at, terminal, fraud, .. }) in payments.iter().enumerate() {
        writeln!(text, "{number},{terminal},{},{}", u8::from(*fraud), time(at + DELAY))
            .expect("writing to a string does not fail");
    }
    text
}

fn time(seconds: u64) -> String {
    format_time(seconds as i64 * 1000)
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("expected a folder")?);
    std::fs::create_dir_all(&folder)?;
    let FraudData { transactions, feedback } = FraudData::generate();
    for (name, text) in [("transactions.csv", transactions), ("feedback.csv", feedback)] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
