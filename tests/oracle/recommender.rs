//! `dataflows/recommender.toml`: its features, and the scores of its lists, against loops over all ratings.

use std::collections::{BTreeMap, BTreeSet};

use tidemill::value::Scalar;

use crate::common::shipped::{Columns, Replayed, TopicFile, root, units, unpacked};

#[allow(dead_code, reason = "its main function writes files")]
#[path = "../../examples/recommender_data.rs"]
mod recommender_data;

const DAY: i64 = 86_400_000;

#[derive(Clone)]
struct Rating {
    at: i64,
    user: String,
    film: String,
    tenths: i64,
}

fn ratings(csv: &str) -> Vec<Rating> {
    let records = csv::Reader::from_reader(csv.as_bytes()).into_records().map(Result::unwrap);
    let rating = |record: csv::StringRecord| Rating {
        at: record[3].parse::<i64>().unwrap() * 1000,
        user: record[0].to_owned(),
        film: record[1].to_owned(),
        tenths: units(&record[2], 1),
    };
    records.map(rating).collect()
}

fn genres(csv: &str) -> BTreeMap<String, String> {
    let records = csv::Reader::from_reader(csv.as_bytes()).into_records().map(Result::unwrap);
    records.map(|record| (record[0].to_owned(), record[1].to_owned())).collect()
}

/// The mean of stars, rounded once.
fn mean<'a>(ratings: impl Iterator<Item = &'a Rating>) -> Scalar {
    let (sum, count) = ratings.fold((0, 0), |(sum, count), rating| (sum + rating.tenths, count + 1));
    if count == 0 { Scalar::Null } else { Scalar::Float(sum as f64 / (count * 10) as f64) }
}

/// The number of ratings in a window of so many days with a hop of `hop`, as of `a`.
fn count<'a>(ratings: impl Iterator<Item = &'a Rating>, a: i64, days: i64, hop: i64) -> Scalar {
    let edge = (a - days * DAY).div_euclid(hop) * hop;
    Scalar::Int(ratings.filter(|rating| rating.at >= edge).count() as i64)
}

/// Compares the inputs of every example with what came before it.
fn check_examples(examples: &Columns, all: &[Rating], genres: &BTreeMap<String, String>) {
    for row in 0..examples.len() {
        let (a, user, film) = (examples.time("_time", row), examples.text("user", row), examples.text("film", row));
        let before = || all.iter().filter(|rating| rating.at < a);
        let of_film = || before().filter(|rating| rating.film == film);
        let of_user = || before().filter(|rating| rating.user == user);
        let of_taste = of_user().filter(|rating| genres[&rating.film] == genres[film]);
        assert_eq!(examples.get("genre", row), &Scalar::String(genres[film].as_str().into()), "example {row}");
        assert_eq!(examples.get("film.stars_mean_lifetime", row), &mean(of_film()), "example {row}");
        assert_eq!(examples.get("film.count_30d", row), &count(of_film(), a, 30, DAY), "example {row}");
        assert_eq!(examples.get("history.stars_mean_lifetime", row), &mean(of_user()), "example {row}");
        assert_eq!(examples.get("taste.stars_mean_lifetime", row), &mean(of_taste), "example {row}");
    }
}

/// The mean average precision of the lists of each user in each window, ranked by a column, best first. Lists in which
/// scores are equal are left out, and told by the second number.
fn map(examples: &Columns, column: &str) -> (f64, usize) {
    let mut lists: BTreeMap<(i64, String), Vec<(f64, bool)>> = BTreeMap::new();
    for row in 0..examples.len() {
        let score = match examples.get(column, row) {
            Scalar::Float(score) => *score,
            Scalar::Int(count) => *count as f64,
            _ => continue,
        };
        let Scalar::Float(stars) = examples.get("_label", row) else { panic!("a label is a float") };
        let list = (examples.time("_window_end", row), examples.text("user", row).to_owned());
        lists.entry(list).or_default().push((score, *stars >= 4.0));
    }
    let (mut sum, mut told, mut ties) = (0.0, 0, 0);
    for mut list in lists.into_values().filter(|list| list.len() > 1 && list.iter().any(|item| item.1)) {
        list.sort_by(|one, other| other.0.total_cmp(&one.0));
        if list.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            ties += 1;
            continue;
        }
        let (mut found, mut precision) = (0, 0.0);
        for (at, _) in list.iter().enumerate().filter(|(_, item)| item.1) {
            found += 1;
            precision += f64::from(found) / (at + 1) as f64;
        }
        (sum, told) = (sum + precision / f64::from(found), told + 1);
    }
    (sum / f64::from(told), ties)
}

#[test]
fn oracle_of_the_recommender_dataflow() {
    let made = recommender_data::RecommenderData::generate();
    for (name, text) in [("films", &made.films), ("users", &made.users), ("ratings", &made.ratings)] {
        let shipped = unpacked(&root().join(format!("data/recommender/{name}.csv.gz")));
        assert!(*text == shipped, "{name}.csv.gz is another text");
    }
    let topics = [
        TopicFile { topic: "films", csv: &made.films },
        TopicFile { topic: "users", csv: &made.users },
        TopicFile { topic: "ratings", csv: &made.ratings },
    ];
    let replayed = Replayed::of("recommender", &topics);
    let (all, genres) = (ratings(&made.ratings), genres(&made.films));
    let examples = replayed.columns("examples/stars");
    assert_eq!(examples.len(), all.len());
    check_examples(&examples, &all, &genres);

    // The ratings of a user, after each of them.
    let history = replayed.columns("features/history");
    for row in (0..history.len()).step_by(17) {
        let (time, user) = (history.time("_time", row), history.text("user", row));
        let rated = all.iter().filter(|rating| rating.at <= time && rating.user == user);
        let films: BTreeSet<&str> = rated.map(|rating| rating.film.as_str()).collect();
        let expected = serde_json::to_string(&films).unwrap();
        assert_eq!(history.text("film_values200_lifetime", row), expected, "row {row}");
    }

    // The lists of the champions' predictions, and of popularity.
    let digest: serde_json::Value = serde_json::from_str(&replayed.text("digest.json")).unwrap();
    let scores = &digest["training"]["stars"]["scores"];
    let metric = |role: &str| scores[role]["map"].as_f64().unwrap_or_else(|| panic!("{scores}"));
    let (found, ties) = map(&examples, "_score");
    assert_eq!(ties, 0);
    assert!((metric("champion") - found).abs() < 1e-9, "{} for {found}", metric("champion"));
    assert!(metric("champion") > metric("no_skill") + 0.1, "{scores}");
}
