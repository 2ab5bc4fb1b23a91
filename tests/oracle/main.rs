//! Incremental, vectorised and served results, which must equal those of a slow and simple computation, bit for bit.
//!
//! | file | covers |
//! |---|---|
//! | `anomaly` | the inputs, labels and AUC of `dataflows/anomaly.toml`, against loops over all readings |
//! | `attribution` | labels that are joined from a stream, against a join of all records |
//! | `chained` | features of features, and examples that have them, against a recomputation from all records |
//! | `clicks` | features and labels of `dataflows/clicks.toml`, against loops over all clicks of a visitor or an item |
//! | `differential` | windows of shops, against the `reduce` of differential dataflow |
//! | `engine` | features, examples and labels of a dataflow, against a recomputation from all records |
//! | `explain` | the records that features are of, against a list made from all records |
//! | `explain_ops` | the records that each op of a line counts, against a list by what the op reads |
//! | `expr` | vectorised evaluation of expressions, against evaluation row by row |
//! | `files` | files: faults that cost one record, bounds in bytes, and what a restart finds changed |
//! | `formats` | one table as JSON lines, CSV and Parquet |
//! | `fraud` | the fifteen features of `dataflows/fraud.toml`, against the definitions of the Fraud Detection Handbook |
//! | `labels` | what becomes of examples and their labels |
//! | `ledger` | outcomes of records, back pressure and freshness |
//! | `nulls` | counts of values that could not be computed |
//! | `own` | features that count the record that looks them up, against a recomputation with that record |
//! | `recommender` | features of `dataflows/recommender.toml` and the scores of its lists, against loops over all ratings |
//! | `retail` | the features of `dataflows/retail.toml`, against sums over all records of each customer |
//! | `serving` | answers of the endpoint, against the operators of the graph; malformed requests |
//! | `shifted` | features, examples and labels of a view with `at`, against a recomputation from all records |
//! | `skew` | answers of the endpoint, against the examples of a replay |
//! | `times` | event times by expression, against columns of the same times |
//! | `union` | features and examples of a stream of several sources, against a recomputation from all records |
//! | `windows` | every aggregate in every kind of window, against a recomputation from all records |

#![allow(clippy::duplicate_mod, reason = "each generator of data has its random numbers from one file")]

mod anomaly;
mod attribution;
mod chained;
mod clicks;
#[path = "../common/mod.rs"]
mod common;
mod differential;
mod engine;
mod explain;
mod explain_ops;
mod expr;
mod files;
mod formats;
mod fraud;
mod labels;
mod ledger;
mod nulls;
mod own;
mod recommender;
mod retail;
mod serving;
mod shifted;
mod skew;
mod times;
mod union;
mod windows;
