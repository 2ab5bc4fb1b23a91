//! The data of the retail guide: a year of purchases of a shop that does not exist, as `data/retail` has them.
//!
//! `cargo run --example retail_data -- DIR` writes `purchases.csv` and `lines.csv` to a folder. The data are the same
//! wherever they are made: all is integer arithmetic from one seed.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use tidemill::time::format_time;

#[path = "generate/random.rs"]
mod random;

use random::Random;

/// Customers of the shop.
const CUSTOMERS: u64 = 160;

/// Products of the shop.
const PRODUCTS: u64 = 120;

/// 2025-01-01, in minutes.
const START: u64 = 28_928_160;

/// A day in minutes.
const DAY: u64 = 1440;

const COUNTRIES: [&str; 4] = ["France", "Germany", "Ireland", "United Kingdom"];

/// The two topics as CSV.
pub struct RetailData {
    pub purchases: String,
    pub lines: String,
}

/// A line of an invoice. Times are in minutes, prices in cents.
struct InvoiceLine {
    at: u64,
    invoice: String,
    customer: u64,
    product: u64,
    quantity: i64,
    price: u64,
}

impl RetailData {
    /// Makes the data.
    pub fn generate() -> RetailData {
        let mut random = Random::new(2025);
        let prices: Vec<u64> = (0..PRODUCTS).map(|_| 50 + random.below(1950)).collect();
        let mut all: Vec<InvoiceLine> = Vec::new();
        for customer in 1..=CUSTOMERS {
            let (first, pause) = (random.below(270), 6 + random.below(60));
            let favourite = random.below(PRODUCTS);
            let mut day = first;
            while day < 365 {
                let at = START + day * DAY + 8 * 60 + random.below(12 * 60);
                let invoice = format!("{}", 100_000 + all.len());
                for _ in 0..=random.below(5) {
                    let product = (favourite + random.below(30)) % PRODUCTS;
                    let (quantity, price) = (1 + random.below(9) as i64, prices[product as usize]);
                    all.push(InvoiceLine { at, invoice: invoice.clone(), customer, product, quantity, price });
                    // Some of it comes back.
                    if random.below(25) == 0 {
                        let (at, invoice) = (at + DAY + random.below(20 * DAY), format!("R{invoice}"));
                        all.push(InvoiceLine { at, invoice, customer, product, quantity: -quantity, price });
                    }
                }
                day += 1 + random.below(2 * pause);
            }
        }
        all.sort_by(|one, other| (one.at, &one.invoice).cmp(&(other.at, &other.invoice)));
        RetailData { purchases: purchases(&all), lines: lines(&all) }
    }
}

/// One record for each invoice that is no return.
fn purchases(all: &[InvoiceLine]) -> String {
    let mut text = String::from("invoice,customer,country,amount,at\n");
    for lines in all.chunk_by(|one, other| one.invoice == other.invoice) {
        let InvoiceLine { at, invoice, customer, quantity, .. } = &lines[0];
        if *quantity > 0 {
            let country = COUNTRIES[(*customer % 4) as usize];
            let amount: u64 = lines.iter().map(|line| line.quantity.unsigned_abs() * line.price).sum();
            writeln!(text, "{invoice},C{customer:03},{country},{},{}", money(amount), time(*at))
                .expect("writing to a string does not fail");
        }
    }
    text
}

fn lines(all: &[InvoiceLine]) -> String {
    let mut text = String::from("invoice,customer,product,quantity,price,at\n");
    for InvoiceLine { at, invoice, customer, product, quantity, price } in all {
        writeln!(text, "{invoice},C{customer:03},P{product:03},{quantity},{},{}", money(*price), time(*at))
            .expect("writing to a string does not fail");
    }
    text
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn time(minutes: u64) -> String {
    format_time(minutes as i64 * 60_000)
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("expected a folder")?);
    std::fs::create_dir_all(&folder)?;
    let RetailData { purchases, lines } = RetailData::generate();
    for (name, text) in [("purchases.csv", purchases), ("lines.csv", lines)] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
