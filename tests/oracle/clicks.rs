//! `dataflows/clicks.toml`: its features, labels and lists, against loops over all clicks of a visitor or an item.

use std::collections::{BTreeMap, BTreeSet};

use tidemill::time::parse_time;
use tidemill::value::Scalar;

use crate::common::shipped::{Columns, Replayed, TopicFile, root, units, unpacked};

#[allow(dead_code, reason = "its main function writes files")]
#[path = "../../examples/clicks_data.rs"]
mod clicks_data;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

#[derive(Clone)]
struct Click {
    at: i64,
    user: String,
    item: String,
    category: String,
    cents: i64,
    cart: bool,
}

struct Order {
    at: i64,
    user: String,
    item: String,
    cents: i64,
}

/// All records, by the entities of the feature groups; each list in the order of time.
#[derive(Default)]
struct Shop {
    by_user: BTreeMap<String, Vec<Click>>,
    by_item: BTreeMap<String, Vec<Click>>,
    orders: Vec<Order>,
    newest: i64,
}

fn float(value: Option<f64>) -> Scalar {
    value.map_or(Scalar::Null, Scalar::Float)
}

fn count(records: usize) -> Scalar {
    Scalar::Int(records as i64)
}

impl Shop {
    fn read(clicks: &str, orders: &str) -> Shop {
        let records = |text: &str| -> Vec<csv::StringRecord> {
            csv::Reader::from_reader(text.as_bytes()).records().map(Result::unwrap).collect()
        };
        let mut shop = Shop::default();
        let click = |record: &csv::StringRecord| Click {
            at: parse_time(&record[6]).unwrap(),
            user: record[0].to_owned(),
            item: record[1].to_owned(),
            category: record[2].to_owned(),
            cents: units(&record[3], 2),
            cart: &record[4] == "cart",
        };
        let mut all: Vec<Click> = records(clicks).iter().map(click).collect();
        assert!(!all.is_sorted_by_key(|click| click.at), "clicks arrive out of order");
        all.sort_by_key(|click| click.at);
        for click in all {
            shop.newest = shop.newest.max(click.at);
            shop.by_item.entry(click.item.clone()).or_default().push(click.clone());
            shop.by_user.entry(click.user.clone()).or_default().push(click);
        }
        for record in records(orders) {
            let (at, cents) = (parse_time(&record[4]).unwrap(), units(&record[3], 2));
            shop.newest = shop.newest.max(at);
            shop.orders.push(Order { at, user: record[1].to_owned(), item: record[2].to_owned(), cents });
        }
        shop
    }

    /// The clicks of a user before `t` in a window whose oldest edge moves in hops.
    fn of_user(&self, user: &str, t: i64, window: i64, hop: i64) -> Vec<&Click> {
        inside(self.by_user.get(user), t, window, hop)
    }

    fn of_item(&self, item: &str, t: i64, window: i64) -> Vec<&Click> {
        inside(self.by_item.get(item), t, window, HOUR)
    }

    /// The session of a user as of `t`: back from the newest click, while clicks are at most 30 minutes apart.
    fn session(&self, user: &str, t: i64) -> Vec<&Click> {
        let (mut next, mut session) = (t, Vec::new());
        for click in self.by_user[user].iter().rev().filter(|click| click.at < t) {
            if next - click.at > 30 * MINUTE {
                break;
            }
            next = click.at;
            session.insert(0, click);
        }
        session
    }

    /// The last seven days of orders before `t`.
    fn orders(&self, t: i64, of: impl Fn(&Order) -> bool) -> Vec<&Order> {
        let edge = (t - 7 * DAY).div_euclid(HOUR) * HOUR;
        self.orders.iter().filter(|order| (edge..t).contains(&order.at) && of(order)).collect()
    }

    /// The label of a look at `t`, and when it is known: after six hours, whatever it is.
    fn label(&self, user: &str, item: &str, t: i64) -> (f64, i64) {
        let is_label =
            |order: &&Order| (t..=t + 6 * HOUR).contains(&order.at) && order.user == user && order.item == item;
        (f64::from(u8::from(self.orders.iter().any(|order| is_label(&order)))), t + 6 * HOUR)
    }
}

fn inside(clicks: Option<&Vec<Click>>, t: i64, window: i64, hop: i64) -> Vec<&Click> {
    let edge = (t - window).div_euclid(hop) * hop;
    clicks.into_iter().flatten().filter(|click| (edge..t).contains(&click.at)).collect()
}

fn items(clicks: &[&Click]) -> BTreeSet<String> {
    clicks.iter().map(|click| click.item.clone()).collect()
}

/// The sum of clicks that weigh half after six hours.
fn decayed(clicks: &[&Click], t: i64) -> Option<f64> {
    let weight = |click: &&Click| 0.5_f64.powf((t - click.at) as f64 / (6 * HOUR) as f64);
    (!clicks.is_empty()).then(|| clicks.iter().map(weight).sum())
}

/// The most frequent category, of equal ones the first in the alphabet.
fn mode(clicks: &[&Click]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    clicks.iter().for_each(|click| *counts.entry(&click.category).or_default() += 1);
    let most = *counts.values().max()?;
    counts.into_iter().find(|(_, count)| *count == most).map(|(category, _)| category.to_owned())
}

fn seconds_since(at: Option<i64>, t: i64) -> Scalar {
    float(at.map(|at| (t - at) as f64 / 1e3))
}

/// The inputs of the model that are of the visitor, as of `t`.
fn of_visitor(shop: &Shop, user: &str, t: i64) -> Vec<(&'static str, Scalar)> {
    let session = shop.session(user, t);
    let cents: i64 = session.iter().map(|click| click.cents).sum();
    let span = session.iter().map(|click| click.at).max().zip(session.first()).map(|(newest, first)| newest - first.at);
    let pace = span.filter(|_| session.len() > 1).map(|span| span as f64 / (session.len() - 1) as f64 / 1e3);
    let some = |value: Scalar| if session.is_empty() { Scalar::Null } else { value };
    let ever = shop.of_user(user, t, t, HOUR);
    let week = shop.of_user(user, t, 7 * DAY, HOUR);
    let last = &ever[ever.len().saturating_sub(20)..];
    let carts = |clicks: &[&Click]| clicks.iter().filter(|click| click.cart).count();
    let cart_mean = (!last.is_empty()).then(|| carts(last) as f64 / last.len() as f64);
    let bought = shop.orders(t, |order| order.user == user);
    let spent = bought.iter().map(|order| order.cents).sum::<i64>() as f64 / 100.0;
    vec![
        ("visit.clicks_session30m", count(session.len())),
        ("visit.carts_sum_session30m", some(count(carts(&session)))),
        ("visit.length_session30m", seconds_since(session.first().map(|click| click.at), t)),
        ("visit.pace_session30m", float(pace)),
        ("visit.item_distinct_session30m", count(items(&session).len())),
        ("visit.price_mean_session30m", some(Scalar::Float(cents as f64 / (100 * session.len()) as f64))),
        ("user.absent_lifetime", seconds_since(ever.last().map(|click| click.at), t)),
        ("user.rate_1h", Scalar::Float(shop.of_user(user, t, HOUR, MINUTE).len() as f64 / 3600.0)),
        ("user.rate_7d", Scalar::Float(week.len() as f64 / 604_800.0)),
        ("user.clicks_decayedsum6h_7d", float(decayed(&week, t))),
        ("user.cart_mean_last20", float(cart_mean)),
        ("user.item_distinct_7d", count(items(&week).len())),
        ("user.category_mode_7d", mode(&week).map_or(Scalar::Null, |category| Scalar::String(category.into()))),
        ("buyer.count_7d", count(bought.len())),
        ("buyer.amount_sum_7d", float((!bought.is_empty()).then_some(spent))),
    ]
}

/// The inputs of the model that are of the item, as of `t`.
fn of_item(shop: &Shop, user: &str, item: &str, t: i64) -> Vec<(&'static str, Scalar)> {
    let (mut short, mut long) = (shop.of_user(user, t, 30 * MINUTE, 30_000), shop.of_user(user, t, 7 * DAY, HOUR));
    short.retain(|click| click.item == item);
    long.retain(|click| click.item == item);
    let week = shop.of_item(item, t, 7 * DAY);
    let (carts, views): (Vec<&Click>, Vec<&Click>) = week.iter().partition(|click| click.cart);
    let ripe = shop.of_item(item, t - 6 * HOUR, 7 * DAY).iter().filter(|click| !click.cart).count();
    let sold = shop.orders(t, |order| order.item == item);
    let share = |part: usize, all: usize| float((all > 0).then(|| part as f64 / all as f64));
    vec![
        ("interest.count_30m", count(short.len())),
        ("interest.count_7d", count(long.len())),
        ("interest.time_since_last_7d", seconds_since(long.last().map(|click| click.at), t)),
        ("conversion_7d", share(sold.len(), ripe)),
        ("cart_rate_7d", share(carts.len(), views.len())),
        ("item.trend_decayedsum6h_7d", float(decayed(&week, t))),
        ("sales.count_7d", count(sold.len())),
        ("sales.time_since_last_7d", seconds_since(sold.iter().map(|order| order.at).max(), t)),
    ]
}

/// Returns whether a value is the expected one; decayed sums are exact to 10^-12 of their size.
fn fits(name: &str, found: &Scalar, expected: &Scalar) -> bool {
    match (found, expected) {
        (Scalar::Float(found), Scalar::Float(expected)) if name.contains("decayedsum") => {
            (found - expected).abs() <= 1e-9 * expected.abs()
        }
        _ => found == expected,
    }
}

/// Returns the clicks and the orders of the guide, which must be those that are made.
fn shipped() -> clicks_data::ClicksData {
    let made = clicks_data::ClicksData::generate();
    for (name, text) in [("clicks", &made.clicks), ("orders", &made.orders)] {
        let path = root().join(format!("data/clicks/{name}.csv.gz"));
        assert!(*text == unpacked(&path), "{} is another text", path.display());
    }
    made
}

/// Compares the examples with those expected of all looks whose label is known at the end.
fn compare_examples(shop: &Shop, examples: &Columns) {
    let mut expected: BTreeSet<(i64, String, String)> = BTreeSet::new();
    for look in shop.by_user.values().flatten().filter(|click| !click.cart) {
        if shop.label(&look.user, &look.item, look.at).1 <= shop.newest {
            expected.insert((look.at, look.user.clone(), look.item.clone()));
        }
    }
    let mut positives = 0;
    for row in 0..examples.len() {
        let (t, user, item) = (examples.time("_time", row), examples.text("user", row), examples.text("item", row));
        assert!(expected.remove(&(t, user.to_owned(), item.to_owned())), "{user} {item} at {t}");
        for (name, value) in of_visitor(shop, user, t).into_iter().chain(of_item(shop, user, item, t)) {
            // Features that only expressions read are no columns.
            let found = match name {
                "visit.price_mean_session30m" => {
                    let Scalar::Float(price) = examples.get("price", row) else { panic!("no price") };
                    let relative = match value {
                        Scalar::Float(mean) => Scalar::Float(price / mean),
                        _ => Scalar::Null,
                    };
                    assert_eq!(*examples.get("relative_price", row), relative, "{user} at {t}");
                    continue;
                }
                "user.category_mode_7d" => {
                    let favourite = match &value {
                        Scalar::String(mode) => Scalar::Bool(examples.text("category", row) == mode.as_ref()),
                        _ => Scalar::Null,
                    };
                    assert_eq!(*examples.get("favourite", row), favourite, "{user} at {t}");
                    continue;
                }
                _ => examples.get(name, row),
            };
            assert!(fits(name, found, &value), "{name} of {user} {item} at {t}: {found:?}, expected {value:?}");
        }
        let (label, known) = shop.label(user, item, t);
        assert_eq!(*examples.get("_label", row), Scalar::Float(label), "{user} {item} at {t}");
        assert_eq!(examples.time("_known", row), known, "{user} {item} at {t}");
        positives += usize::from(label > 0.0);
    }
    assert!(expected.is_empty(), "{} examples are missing", expected.len());
    assert!(positives > 300, "{positives} looks became orders");
}

/// Compares the lists, which are no inputs of models, as they are just after each click.
fn compare_lists(shop: &Shop, replayed: &Replayed) {
    let json = |list: Vec<&str>| Scalar::String(serde_json::json!(list).to_string().into());
    let (visits, users) = (replayed.columns("features/visit"), replayed.columns("features/user"));
    assert_eq!(visits.len(), shop.by_user.values().map(Vec::len).sum::<usize>());
    for row in 0..visits.len() {
        let (t, user) = (visits.time("_time", row), visits.text("user", row));
        let session = shop.session(user, t + 1);
        let mut different: Vec<&str> = Vec::new();
        for click in session.iter().rev() {
            if different.len() < 3 && !different.contains(&click.item.as_str()) {
                different.insert(0, &click.item);
            }
        }
        assert_eq!(*visits.get("item_lastdistinct3_session30m", row), json(different), "{user} at {t}");
    }
    for row in 0..users.len() {
        let (t, user) = (users.time("_time", row), users.text("user", row));
        let week = shop.of_user(user, t + 1, 7 * DAY, HOUR);
        let last: Vec<&str> = week[week.len().saturating_sub(5)..].iter().map(|click| click.item.as_str()).collect();
        assert_eq!(*users.get("item_last5_7d", row), json(last), "{user} at {t}");
    }
}

#[test]
fn oracle_of_the_clicks_dataflow() {
    let made = shipped();
    let topics = [TopicFile { topic: "clicks", csv: &made.clicks }, TopicFile { topic: "orders", csv: &made.orders }];
    let replayed = Replayed::of("clicks", &topics);
    let shop = Shop::read(&made.clicks, &made.orders);
    compare_examples(&shop, &replayed.columns("examples/order"));
    compare_lists(&shop, &replayed);
}
