//! Generated files: each as CSV and, if Vowpal Wabbit is measured on it, as its text.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use super::common::Random;

/// A number that is about standard normal.
fn normal(random: &mut Random) -> f64 {
    (0..12).map(|_| random.unit()).sum::<f64>() - 6.0
}

/// One of `count` ranks, smaller ones more often.
fn rank(random: &mut Random, count: usize) -> usize {
    let unit = random.unit();
    ((unit * unit) * count as f64) as usize
}

/// The libraries that are measured on a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Peers {
    /// The libraries that read the CSV.
    OfCsv,
    /// Vowpal Wabbit, too, which has a text format of its own.
    VowpalWabbit,
}

/// The files of some data.
struct Files {
    csv: BufWriter<File>,
    vw: Option<BufWriter<File>>,
}

impl Files {
    fn new(folder: &Path, name: &str, header: &str, peers: Peers) -> std::io::Result<Files> {
        let file = |extension| File::create(folder.join(format!("{name}.{extension}"))).map(BufWriter::new);
        let vw = (peers == Peers::VowpalWabbit).then(|| file("vw")).transpose()?;
        let mut files = Files { csv: file("csv")?, vw };
        writeln!(files.csv, "at,{header}")?;
        Ok(files)
    }
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn sign(label: bool) -> i32 {
    if label { 1 } else { -1 }
}

/// Rows of `count` normal numbers, and a label that depends on them linearly and on two of their products.
///
/// # Errors
/// If a file cannot be written.
pub fn numbers(folder: &Path, name: &str, rows: usize, count: usize, peers: Peers) -> std::io::Result<()> {
    let names: Vec<String> = (0..count).map(|at| format!("x{at}")).collect();
    let mut files = Files::new(folder, name, &format!("{},y", names.join(",")), peers)?;
    let mut random = Random(1);
    let weights: Vec<f64> = (0..count).map(|_| normal(&mut random) / 3.0).collect();
    for at in 0..rows {
        let x: Vec<f64> = (0..count).map(|_| normal(&mut random)).collect();
        let linear: f64 = x.iter().zip(&weights).map(|(x, weight)| x * weight).sum();
        let label = random.unit() < sigmoid(linear + x[0] * x[1] - x[2] * x[3]);
        let fields: Vec<String> = x.iter().map(|x| format!("{x:.4}")).collect();
        writeln!(files.csv, "{at},{},{}", fields.join(","), u8::from(label))?;
        if let Some(vw) = &mut files.vw {
            let fields: Vec<String> = names.iter().zip(&x).map(|(name, x)| format!("{name}:{x:.4}")).collect();
            writeln!(vw, "{} | {}", sign(label), fields.join(" "))?;
        }
    }
    Ok(())
}

/// The numbers of different values in 12 columns of categories.
const CATEGORIES: [usize; 12] = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 50_000, 100_000];

/// Twelve categories, and a label that depends on each and on the pair of the first two.
///
/// # Errors
/// If a file cannot be written.
pub fn categories(folder: &Path, name: &str, rows: usize) -> std::io::Result<()> {
    let names: Vec<String> = (0..CATEGORIES.len()).map(|at| format!("c{at}")).collect();
    let mut files = Files::new(folder, name, &format!("{},y", names.join(",")), Peers::VowpalWabbit)?;
    let mut random = Random(2);
    let effect = |column: usize, value: usize| normal(&mut Random((column * 1_000_003 + value) as u64 + 77)) / 3.0;
    for at in 0..rows {
        let values: Vec<usize> = CATEGORIES.iter().map(|count| rank(&mut random, *count)).collect();
        let single: f64 = values.iter().enumerate().map(|(column, value)| effect(column, *value)).sum();
        let pair = effect(99, values[0] * 1000 + values[1]) * 2.0;
        let label = random.unit() < sigmoid(single + pair - 2.0);
        let fields: Vec<String> = values.iter().map(|value| format!("v{value}")).collect();
        writeln!(files.csv, "{at},{},{}", fields.join(","), u8::from(label))?;
        if let Some(vw) = &mut files.vw {
            let rest: Vec<String> = (2..values.len()).map(|column| format!("c{column}={}", fields[column])).collect();
            writeln!(vw, "{} |a {} |b {} |o {}", sign(label), fields[0], fields[1], rest.join(" "))?;
        }
    }
    Ok(())
}

/// Ratings of items by users, from tastes in two dimensions.
///
/// # Errors
/// If a file cannot be written.
pub fn ratings(folder: &Path, name: &str, rows: usize) -> std::io::Result<()> {
    let mut files = Files::new(folder, name, "user,item,y", Peers::OfCsv)?;
    let mut random = Random(3);
    let taste = |seed: usize| {
        let mut random = Random(seed as u64);
        random.unit();
        [normal(&mut random), normal(&mut random)]
    };
    for at in 0..rows {
        let (user, item) = (rank(&mut random, 10_000), rank(&mut random, 1000));
        let (u, i) = (taste(user), taste(item + 1_000_000));
        let rating = 3.0 + 0.3 * i[0] + 0.5 * (u[0] * i[0] + u[1] * i[1]) + 0.3 * normal(&mut random);
        writeln!(files.csv, "{at},u{user},i{item},{rating:.2}")?;
    }
    Ok(())
}
