//! `dataflows/retail.toml`: recency, frequency, money and what else it computes, against sums over all records of each
//! customer.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use tidemill::time::parse_time;
use tidemill::value::Scalar;

use crate::common::engine::rows;
use crate::common::shipped::{root, units, unpacked};

#[allow(dead_code, reason = "its main function writes files")]
#[path = "../../examples/retail_data.rs"]
mod retail_data;

const DAY: i64 = 86_400_000;

/// A purchase, in cents.
struct Purchase {
    at: i64,
    cents: i64,
}

/// A line of an invoice. The price is in billionths.
struct Line {
    at: i64,
    product: String,
    quantity: i64,
    price: i64,
}

/// The records of both topics, by customer.
#[derive(Default)]
struct Customers {
    purchases: BTreeMap<String, Vec<Purchase>>,
    lines: BTreeMap<String, Vec<Line>>,
}

impl Customers {
    fn read(purchases: &str, lines: &str) -> Customers {
        let mut customers = Customers::default();
        let records = |text: &str| -> Vec<csv::StringRecord> {
            csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect()
        };
        for record in records(purchases) {
            let purchase = Purchase { at: parse_time(&record[4]).unwrap(), cents: units(&record[3], 2) };
            customers.purchases.entry(record[1].to_owned()).or_default().push(purchase);
        }
        for record in records(lines) {
            let line = Line {
                at: parse_time(&record[5]).unwrap(),
                product: record[2].to_owned(),
                quantity: record[3].parse().unwrap(),
                price: units(&record[4], 9),
            };
            customers.lines.entry(record[1].to_owned()).or_default().push(line);
        }
        customers
    }
}

/// Returns whether a time is in the window of some days as of just after `now`, or in that of all time.
fn is_in(at: i64, now: i64, days: Option<i64>) -> bool {
    let hop = days.map_or(DAY, |days| if days > 12 { DAY } else { DAY / 24 });
    at <= now && days.is_none_or(|days| at >= (now + 1 - days * DAY).div_euclid(hop) * hop)
}

fn float(value: Option<f64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Float)
}

/// The features of `customer` just after `now`, in the order of the file.
fn customer(purchases: &[Purchase], now: i64) -> Vec<Scalar> {
    let of = |days| purchases.iter().filter(move |purchase| is_in(purchase.at, now, days));
    let windows = [Some(7), Some(30), Some(90), None];
    let newest = of(None).map(|purchase| purchase.at).max().unwrap();
    let oldest = of(None).map(|purchase| purchase.at).min().unwrap();
    let mut features = vec![float(Some((now - newest) as f64 / 1e3))];
    features.extend(windows.map(|days| Scalar::Int(of(days).count() as i64)));
    let sum = |days| of(days).map(|purchase| purchase.cents).sum::<i64>();
    features.extend(windows.map(|days| float((of(days).count() > 0).then(|| sum(days) as f64 / 100.0))));
    let count = of(Some(90)).count() as i64;
    features.push(float((count > 0).then(|| sum(Some(90)) as f64 / (100 * count) as f64)));
    features.push(float(of(Some(90)).map(|purchase| purchase.cents).max().map(|cents| cents as f64 / 100.0)));
    let gaps = of(None).count() as i64 - 1;
    features.push(float((gaps > 0).then(|| (newest - oldest) as f64 / gaps as f64 / 1e3)));
    features
}

/// The features of `basket` just after `now`.
fn basket(lines: &[Line], now: i64) -> Vec<Scalar> {
    let of = |days| lines.iter().filter(move |line| line.quantity > 0 && is_in(line.at, now, days));
    let distinct = |days| of(days).map(|line| &line.product).collect::<BTreeSet<_>>().len();
    let mut features: Vec<Scalar> =
        [Some(30), Some(90), None].map(|days| Scalar::Int(distinct(days) as i64)).into_iter().collect();
    let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
    of(Some(90)).for_each(|line| *counts.entry(&line.product).or_default() += 1);
    // Of equal counts, the smaller text.
    let mode = counts.iter().max_by(|one, other| one.1.cmp(other.1).then_with(|| other.0.cmp(one.0)));
    features.push(mode.map_or(Scalar::Null, |(product, _)| Scalar::String((*product).into())));
    let units: i64 = of(Some(30)).map(|line| line.quantity).sum();
    features.push(if of(Some(30)).count() > 0 { Scalar::Int(units) } else { Scalar::Null });
    features
}

/// The features of `returns` just after `now`. Each refund is rounded to cents.
fn returns(lines: &[Line], now: i64) -> Vec<Scalar> {
    let of = || lines.iter().filter(move |line| line.quantity < 0 && is_in(line.at, now, Some(90)));
    let refund = |line: &Line| {
        let exact = -(line.quantity as f64) * (line.price as f64 / 1e9);
        (exact * 100.0).round() as i64
    };
    let count = of().count() as i64;
    let sum: i64 = of().map(refund).sum();
    vec![Scalar::Int(count), float((count > 0).then(|| sum as f64 / 100.0))]
}

/// The pairs of a customer and a time at which records of his are counted.
fn changes<T>(customers: &BTreeMap<String, Vec<T>>, time: impl Fn(&T) -> Option<i64>) -> usize {
    let of = |records: &Vec<T>| records.iter().filter_map(&time).collect::<BTreeSet<i64>>().len();
    customers.iter().filter(|(name, _)| !name.is_empty()).map(|(_, records)| of(records)).sum()
}

/// Replays the dataflow on both files and compares every vector.
fn check(purchases: &str, lines: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("purchases.csv"), purchases).unwrap();
    fs::write(folder.path().join("lines.csv"), lines).unwrap();
    let config = "[topics.purchases]\nfile = \"purchases.csv\"\n[topics.lines]\nfile = \"lines.csv\"\n";
    fs::write(folder.path().join("config.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidemill"));
    command.arg("replay").arg(root().join("dataflows/retail.toml")).args(["--config", "config.toml", "--out", "out"]);
    let output = command.current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains(" 0 dead letters") && !said.contains(" 1 dead"), "{said}");

    let customers = Customers::read(purchases, lines);
    let vectors = |group: &str| rows(&folder.path().join(format!("out/features/{group}.parquet")));
    let compare = |group: &str, expected: &dyn Fn(&str, i64) -> Vec<Scalar>| {
        let mut count = 0usize;
        for row in vectors(group) {
            let (Scalar::Timestamp(time), Scalar::String(customer)) = (&row[0], &row[1]) else { panic!("{row:?}") };
            assert_eq!(row[2..], expected(customer, *time), "{group} {customer} at {time}");
            count += 1;
        }
        count
    };
    let compared = [
        compare("customer", &|of, now| customer(&customers.purchases[of], now)),
        compare("basket", &|of, now| basket(&customers.lines[of], now)),
        compare("returns", &|of, now| returns(&customers.lines[of], now)),
    ];
    // A change for each customer and time.
    let expected = [
        changes(&customers.purchases, |of| Some(of.at)),
        changes(&customers.lines, |of| (of.quantity > 0).then_some(of.at)),
        changes(&customers.lines, |of| (of.quantity < 0).then_some(of.at)),
    ];
    assert_eq!(compared, expected);
}

#[test]
fn oracle_of_the_retail_dataflow() {
    let made = retail_data::RetailData::generate();
    assert!(
        made.purchases == unpacked(&root().join("data/retail/purchases.csv.gz")),
        "purchases.csv.gz is another text"
    );
    assert!(made.lines == unpacked(&root().join("data/retail/lines.csv.gz")), "lines.csv.gz is another text");
    check(&made.purchases, &made.lines);
}

/// The rows of Online Retail as the two topics.
fn online_retail(text: &str) -> [String; 2] {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let headers = reader.headers().unwrap().clone();
    let column = |name: &str| headers.iter().position(|header| header == name).unwrap_or_else(|| panic!("no {name}"));
    let [date, invoice, product, quantity, price, customer, country] =
        ["InvoiceDate", "InvoiceNo", "StockCode", "Quantity", "UnitPrice", "CustomerID", "Country"].map(column);
    let mut lines = String::from("invoice,customer,product,quantity,price,at\n");
    let mut invoices: Vec<(String, String, String, String, i64)> = Vec::new();
    let mut positions: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for record in reader.records() {
        let record = record.unwrap();
        let of = |at: usize| record[at].to_owned();
        let (units_sold, price) = (of(quantity), of(price));
        // A debt that was written off has a negative price.
        if price.starts_with('-') {
            continue;
        }
        lines += &format!("{},{},{},{units_sold},{price},{}\n", of(invoice), of(customer), of(product), of(date));
        let sold: i64 = units_sold.parse().unwrap();
        if sold > 0 {
            let key = (of(invoice), of(customer), of(date));
            let position = *positions.entry(key).or_insert_with(|| {
                invoices.push((of(invoice), of(customer), of(country), of(date), 0));
                invoices.len() - 1
            });
            invoices[position].4 += sold * units(&price, 4);
        }
    }
    let mut purchases = String::from("invoice,customer,country,amount,at\n");
    for (invoice, customer, country, date, amount) in invoices {
        let cents = (amount + 50).div_euclid(100);
        purchases += &format!("{invoice},{customer},{country},{}.{:02},{date}\n", cents / 100, cents % 100);
    }
    [purchases, lines]
}

#[test]
fn oracle_of_the_retail_dataflow_on_online_retail() {
    let Some(path) = std::env::var_os("TIDEMILL_RETAIL") else {
        eprintln!("SKIPPED: TIDEMILL_RETAIL does not name the rows of Online Retail; see data/retail/README.md");
        return;
    };
    let [purchases, lines] = online_retail(&unpacked(Path::new(&path)));
    check(&purchases, &lines);
}
