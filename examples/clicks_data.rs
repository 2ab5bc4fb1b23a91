//! The data of the clicks guide: two weeks of clicks and orders of a shop that does not exist, as `data/clicks` has them.
//!
//! `cargo run --example clicks_data -- DIR` writes `clicks.csv` and `orders.csv` to a folder. The data are the same
//! wherever they are made: all is integer arithmetic from one seed.
//!
//! A visitor comes by one of four channels, which say how keen he is, looks at items of a category or two, and returns to
//! those that he likes. He may put an item into the cart, and orders most of what is there: soon, or up to a day later.
//! A click arrives up to four seconds after it was made, so the file is not quite in the order of time.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use tidemill::time::format_time;

#[path = "generate/random.rs"]
mod random;

use random::Random;

const USERS: u64 = 240;
const ITEMS: u64 = 60;
const CATEGORIES: [&str; 6] = ["books", "garden", "kitchen", "music", "sports", "toys"];

/// A channel, and how keen its visitors are: the chance in 1000 that one of them puts an item of ordinary appeal into the
/// cart when he sees it first.
const CHANNELS: [(&str, u64); 4] = [("ad", 12), ("direct", 60), ("mail", 35), ("search", 100)];

/// 2025-03-03, a Monday, in seconds.
const START: u64 = 20_150 * DAY;
const DAYS: u64 = 14;
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 3600;

/// The two topics as CSV.
pub struct ClicksData {
    pub clicks: String,
    pub orders: String,
}

/// An item. The appeal is in percent of the ordinary one, the price in cents.
struct Item {
    appeal: u64,
    price: u64,
}

/// A click. Times are in seconds.
struct Click {
    at: u64,
    arrives: u64,
    user: u64,
    item: u64,
    action: &'static str,
    channel: &'static str,
}

struct Order {
    at: u64,
    user: u64,
    item: u64,
}

/// The shop while its records are made.
struct Shop {
    random: Random,
    items: Vec<Item>,
    clicks: Vec<Click>,
    orders: Vec<Order>,
}

impl ClicksData {
    /// Makes the data.
    pub fn generate() -> ClicksData {
        let mut random = Random::new(2025);
        let items = (0..ITEMS).map(|_| Item { appeal: 10 + random.below(190), price: 300 + random.below(9700) });
        let items = items.collect();
        let mut shop = Shop { random, items, clicks: Vec::new(), orders: Vec::new() };
        for user in 1..=USERS {
            let (pause, favourite) = ((6 + shop.random.below(60)) * HOUR, shop.random.below(6));
            let mut at = START + shop.random.below(2 * pause);
            while at < START + DAYS * DAY {
                // No visits at night.
                let hour = at % DAY / HOUR;
                at += 7_u64.saturating_sub(hour) * HOUR;
                at = shop.visit(user, favourite, at) + 10 * 60 + shop.random.below(2 * pause);
            }
        }
        shop.clicks.sort_by_key(|click| (click.arrives, click.user, click.at));
        shop.orders.sort_by_key(|order| (order.at, order.user, order.item));
        ClicksData { clicks: clicks(&shop), orders: orders(&shop) }
    }
}

impl Shop {
    /// Makes a visit and returns the time of its last click.
    fn visit(&mut self, user: u64, favourite: u64, start: u64) -> u64 {
        let (channel, keen) = CHANNELS[self.random.below(4) as usize];
        let category = if self.random.permille(700) { favourite } else { self.random.below(6) };
        let (mut at, mut seen): (u64, Vec<u64>) = (start, Vec::new());
        loop {
            // One of the items again, or one of a category, of which the first are popular.
            let again = !seen.is_empty() && self.random.permille(300);
            let item = match again {
                true => seen[self.random.below(seen.len() as u64) as usize],
                false => 10 * category + self.random.below(10).min(self.random.below(10)),
            };
            seen.push(item);
            self.click(at, user, item, "view", channel);
            let times = seen.iter().filter(|other| **other == item).count() as u64;
            if self.random.permille((keen * self.items[item as usize].appeal * times / 100).min(900)) {
                at += 5 + self.random.below(25);
                self.click(at, user, item, "cart", channel);
                if self.random.permille(700) {
                    let soon = self.random.permille(700);
                    let pause = if soon { 30 + self.random.below(600) } else { HOUR + self.random.below(20 * HOUR) };
                    self.orders.push(Order { at: at + pause, user, item });
                }
            }
            if seen.len() == 40 || self.random.permille(220) {
                return at;
            }
            at += 5 + self.random.below(180);
        }
    }

    fn click(&mut self, at: u64, user: u64, item: u64, action: &'static str, channel: &'static str) {
        let arrives = at + self.random.below(5);
        self.clicks.push(Click { at, arrives, user, item, action, channel });
    }
}

fn clicks(shop: &Shop) -> String {
    let mut text = String::from("user,item,category,price,action,channel,at\n");
    for Click { at, user, item, action, channel, .. } in &shop.clicks {
        let (category, price) = (CATEGORIES[(*item / 10) as usize], money(shop.items[*item as usize].price));
        writeln!(text, "u{user:03},i{item:02},{category},{price},{action},{channel},{}", time(*at))
            .expect("writing to a string does not fail");
    }
    text
}

fn orders(shop: &Shop) -> String {
    let mut text = String::from("order,user,item,amount,at\n");
    for (number, Order { at, user, item }) in shop.orders.iter().enumerate() {
        let (number, amount) = (10_000 + number, money(shop.items[*item as usize].price));
        writeln!(text, "{number},u{user:03},i{item:02},{amount},{}", time(*at))
            .expect("writing to a string does not fail");
    }
    text
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn time(seconds: u64) -> String {
    format_time(seconds as i64 * 1000)
}

fn main() -> anyhow::Result<()> {
    let folder = PathBuf::from(std::env::args().nth(1).context("expected a folder")?);
    std::fs::create_dir_all(&folder)?;
    let ClicksData { clicks, orders } = ClicksData::generate();
    for (name, text) in [("clicks.csv", clicks), ("orders.csv", orders)] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
