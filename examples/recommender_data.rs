//! The data of the recommender guide: eight weeks of ratings of films that do not exist, as `data/recommender` has them.
//!
//! `cargo run --example recommender_data -- DIR` writes `films.csv`, `users.csv` and `ratings.csv` to a folder. The data are
//! the same wherever they are made: all is integer arithmetic from one seed.
//!
//! A film has a genre and a quality of its own, and some are far better known than others. A user likes some genres and
//! dislikes others, joins on one of the first 50 days, and rates a few films in an evening: mostly of the genres that
//! he likes, and mostly the well-known ones. Stars are quality and taste, with a mood on top, from 1 to 5 in halves.

use std::fmt::Write;
use std::path::PathBuf;

use anyhow::Context;
use tidemill::time::format_time;

#[path = "generate/random.rs"]
mod random;

use random::Random;

const USERS: u64 = 400;
const FILMS: u64 = 150;
const GENRES: [&str; 6] = ["comedy", "crime", "drama", "family", "horror", "western"];
const AGES: [&str; 4] = ["15-24", "25-39", "40-59", "60+"];

/// 2025-03-03, a Monday, in seconds.
const START: u64 = 20_150 * DAY;
const DAYS: u64 = 56;
const DAY: u64 = 24 * HOUR;
const HOUR: u64 = 3600;

/// The three topics as CSV.
pub struct RecommenderData {
    pub films: String,
    pub users: String,
    pub ratings: String,
}

/// A film. The quality is in tenths of a star above or below the ordinary; the more tickets, the better known.
struct Film {
    genre: u64,
    year: u64,
    quality: i64,
    tickets: u64,
}

/// A user. Tastes are in tenths of a star, by genre.
struct User {
    joined: u64,
    age: u64,
    taste: [i64; 6],
}

/// A rating, in tenths of a star.
struct Rating {
    at: u64,
    user: u64,
    film: u64,
    tenths: i64,
}

impl RecommenderData {
    /// Makes the data.
    pub fn generate() -> RecommenderData {
        let mut random = Random::new(2026);
        let films: Vec<Film> = (0..FILMS).map(|number| film(&mut random, number)).collect();
        let users: Vec<User> = (0..USERS).map(|_| user(&mut random)).collect();
        let mut ratings = Vec::new();
        for (number, user) in (1..).zip(&users) {
            rate(&mut random, number, user, &films, &mut ratings);
        }
        ratings.sort_by_key(|rating| (rating.at, rating.user, rating.film));
        RecommenderData { films: films_text(&films), users: users_text(&users), ratings: ratings_text(&ratings) }
    }
}

fn film(random: &mut Random, number: u64) -> Film {
    let known = 1 + random.below(10);
    Film {
        genre: number % 6,
        year: 1950 + random.below(75),
        quality: random.below(17) as i64 - 8,
        tickets: known * known * known,
    }
}

fn user(random: &mut Random) -> User {
    let mut taste = [0; 6];
    taste.iter_mut().for_each(|taste| *taste = random.below(25) as i64 - 12);
    User { joined: START + random.below(50 * DAY), age: random.below(4), taste }
}

/// Appends the ratings of a user: films that he has not rated, a few in an evening.
fn rate(random: &mut Random, number: u64, user: &User, films: &[Film], ratings: &mut Vec<Rating>) {
    let (pause, mut seen, mut at) = (2 + random.below(8), vec![false; films.len()], user.joined);
    while at < START + DAYS * DAY {
        for _ in 0..1 + random.below(5) {
            let film = choose(random, user, films);
            at += 60 + random.below(600);
            if std::mem::replace(&mut seen[film], true) {
                continue;
            }
            let mood = random.below(11) as i64 - 5;
            let tenths = 32 + films[film].quality + user.taste[films[film].genre as usize] + mood;
            ratings.push(Rating { at, user: number, film: film as u64, tenths: (tenths.clamp(10, 50) + 2) / 5 * 5 });
        }
        at += (1 + random.below(2 * pause)) * DAY - random.below(4 * HOUR);
    }
    ratings.retain(|rating| rating.at < START + DAYS * DAY);
}

/// Draws a film by its tickets; one of a genre that the user dislikes is drawn again, mostly.
fn choose(random: &mut Random, user: &User, films: &[Film]) -> usize {
    let all: u64 = films.iter().map(|film| film.tickets).sum();
    loop {
        let mut ticket = random.below(all);
        let drawn = films.iter().position(|film| match ticket.checked_sub(film.tickets) {
            Some(rest) => {
                ticket = rest;
                false
            }
            None => true,
        });
        let drawn = drawn.expect("a ticket is of a film");
        if user.taste[films[drawn].genre as usize] > -4 || random.permille(150) {
            return drawn;
        }
    }
}

fn films_text(films: &[Film]) -> String {
    let mut text = String::from("film,genre,year,at\n");
    for (number, Film { genre, year, .. }) in films.iter().enumerate() {
        let at = time(START - DAY);
        writeln!(text, "f{number:03},{},{year},{at}", GENRES[*genre as usize])
            .expect("writing to a string does not fail");
    }
    text
}

fn users_text(users: &[User]) -> String {
    let mut text = String::from("user,age,at\n");
    let mut order: Vec<usize> = (0..users.len()).collect();
    order.sort_by_key(|user| users[*user].joined);
    for user in order {
        let User { joined, age, .. } = &users[user];
        writeln!(text, "u{:03},{},{}", user + 1, AGES[*age as usize], time(*joined))
            .expect("writing to a string does not fail");
    }
    text
}

/// The times of ratings are epoch seconds: the dataflow makes event times of them.
fn ratings_text(ratings: &[Rating]) -> String {
    let mut text = String::from("user,film,stars,epoch\n");
    for Rating { at, user, film, tenths } in ratings {
        writeln!(text, "u{user:03},f{film:03},{}.{},{at}", tenths / 10, tenths % 10)
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
    let RecommenderData { films, users, ratings } = RecommenderData::generate();
    for (name, text) in [("films.csv", films), ("users.csv", users), ("ratings.csv", ratings)] {
        std::fs::write(folder.join(name), text)?;
    }
    Ok(())
}
