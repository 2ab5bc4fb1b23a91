//! All guesses about a sample.

use std::collections::BTreeSet;

use clap::Args;

use super::column::GuessedColumn;
use super::entity::GuessedEntity;
use super::spans::SampledSpan;
use super::target::GuessedTarget;
use super::timing::GuessedTiming;
use crate::run::Failure;
use crate::source::RecordSample;
use crate::value::Separator;

/// The columns that the user has named.
#[derive(Args, Clone, Debug, Default)]
pub struct NamedColumnsOfSample {
    /// The column of the event time; otherwise guessed.
    #[arg(long, value_name = "C")]
    pub time: Option<String>,
    /// A column that identifies an entity, or several with commas between them; may be repeated. Otherwise guessed.
    #[arg(long = "entity", value_name = "C")]
    pub entities: Vec<String>,
    /// The column to predict; otherwise guessed.
    #[arg(long, value_name = "C")]
    pub label: Option<String>,
}

/// Guesses about a sample.
#[derive(Clone, Debug)]
pub struct SampleSketch {
    pub columns: Vec<GuessedColumn>,
    pub timing: GuessedTiming,
    pub entities: Vec<GuessedEntity>,
    pub target: Option<GuessedTarget>,
    pub span: SampledSpan,
    /// Texts that mean null, in any column.
    pub null_texts: BTreeSet<&'static str>,
    /// The separator of the fields of CSV.
    pub separator: Separator,
    pub rows: usize,
    pub has_more: bool,
    /// Remarks on the columns and records that are left out.
    pub left_out: Vec<String>,
}

impl SampleSketch {
    /// Guesses the columns of a sample.
    ///
    /// # Errors
    /// If it has no records, a column that was named does not exist or has other values, or no column may be the time.
    pub fn new(mut sample: RecordSample, named: &NamedColumnsOfSample) -> Result<Self, Failure> {
        sample.leave_out_unusable();
        if sample.rows == 0 || sample.columns.is_empty() {
            let refused = match sample.refused {
                0 => String::new(),
                refused => {
                    let first =
                        sample.first_refusal.as_ref().map_or_else(String::new, |why| format!("; the first: {why}"));
                    format!(" that can be read ({refused} cannot{first})")
                }
            };
            return Err(Failure::Usage(format!("error: the sample has no records{refused}; expected one at least")));
        }
        // The types of the columns, and the texts that are null in any of them.
        let mut taken = Vec::new();
        let new = |column| GuessedColumn::new(column, sample.is_text, &mut taken);
        let mut columns: Vec<GuessedColumn> = sample.columns.iter().map(new).collect();
        let mut null_texts: BTreeSet<&'static str> =
            columns.iter().flat_map(|column| column.null_texts.iter().copied()).collect();
        if sample.is_text {
            null_texts.insert("");
        }
        for (column, sampled) in columns.iter_mut().zip(&sample.columns) {
            column.read(sampled, &null_texts);
        }

        // The time, the entities and the label, each from the columns that are left.
        let timing = match &named.time {
            Some(name) => GuessedTiming::of_name(name, &columns)?,
            None => GuessedTiming::guess(&columns).ok_or_else(|| no_time(&columns))?,
        };
        let asked: Vec<GuessedEntity> =
            named.entities.iter().map(|name| GuessedEntity::of_name(name, &columns)).collect::<Result<_, _>>()?;
        let mut excluded: Vec<usize> = asked.iter().flat_map(|entity| entity.columns.iter().copied()).collect();
        excluded.extend(timing.column);
        let target = match &named.label {
            Some(name) => Some(GuessedTarget::of_name(name, &columns)?),
            None => GuessedTarget::guess(&columns, &excluded),
        };
        excluded.extend(target.iter().map(|target| target.column));
        let entities = if asked.is_empty() { GuessedEntity::guess(&columns, &excluded) } else { asked };
        let mut left_out = sample.left_out;
        if sample.refused > 0 {
            left_out.push(format!("{} records cannot be read; they become dead letters", sample.refused));
        }
        let span = SampledSpan::of(&timing.times);
        let (rows, has_more, separator) = (sample.rows, sample.has_more, sample.separator);
        let mut sketch =
            SampleSketch { columns, timing, entities, target, span, null_texts, separator, rows, has_more, left_out };
        // The event time is never null.
        if let Some(at) = sketch.timing.column {
            sketch.columns[at].column.nullable = false;
        }
        Ok(sketch)
    }

    /// Returns everything that is unsure, by its subject.
    pub fn doubts(&self) -> Vec<String> {
        let mut doubts: Vec<String> = Vec::new();
        let mut add = |subject: String, doubt: &Option<String>| {
            doubts.extend(doubt.iter().map(|doubt| format!("{subject}: {doubt}")));
        };
        add(format!("time = {}", self.timing.text), &self.timing.doubt);
        add("lateness".to_owned(), &self.timing.doubt_of_lateness);
        for column in &self.columns {
            add(format!("column {}", column.column.name), &column.doubt);
        }
        for entity in &self.entities {
            let names: Vec<&str> = entity.columns.iter().map(|at| self.columns[*at].column.name.as_str()).collect();
            add(format!("entity {}", names.join(", ")), &entity.doubt);
        }
        if let Some(target) = &self.target {
            let name = &self.columns[target.column].column.name;
            add(format!("label {name}"), &target.doubt);
            for revealing in &target.revealing {
                let column = &self.columns[*revealing].column.name;
                doubts.push(format!("column {column}: {name} follows from it, so it is not an input"));
            }
        }
        doubts.extend(self.left_out.iter().cloned());
        doubts
    }
}

fn no_time(columns: &[GuessedColumn]) -> Failure {
    let known: Vec<String> =
        columns.iter().map(|column| format!("{} ({})", column.column.flat_name(), column.column.ty)).collect();
    Failure::Usage(format!(
        "error: no column of the sample is a time, and none counts its rows; expected times in ISO 8601, in a known \
         layout or since 1970, or a column of numbers by --time, among {}",
        known.join(", ")
    ))
}
