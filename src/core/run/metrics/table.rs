//! All metrics of a run in memory, with superseded rows left out.

use std::collections::HashMap;

use super::record::{Columns, Sink};

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    step: u64,
    time_ms: u64,
    /// Which of `schemas` names the values.
    schema: usize,
    /// Where they begin in `values`.
    at: usize,
}

/// The rows of a metrics file in order; what a resume superseded is already left out.
#[derive(Debug, Clone, Default)]
pub struct MetricsTable {
    rows: Vec<Row>,
    values: Vec<f64>,
    /// Distinct lists of columns.
    schemas: Vec<Columns>,
    /// The file's schema numbers, to places in `schemas`.
    numbers: HashMap<u16, usize>,
}

/// One row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RowRef<'a> {
    /// Optimizer steps done.
    pub step: u64,
    /// Milliseconds since the Unix epoch.
    pub time_ms: u64,
    columns: &'a [String],
    values: &'a [f64],
}

impl<'a> RowRef<'a> {
    /// Names and values.
    pub fn values(&self) -> impl Iterator<Item = (&'a str, f64)> + use<'a> {
        self.columns.iter().map(String::as_str).zip(self.values.iter().copied())
    }
    /// One value.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values().find(|(n, _)| *n == name).map(|(_, v)| v)
    }
}

impl MetricsTable {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Names of all columns, sorted.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.schemas.iter().flat_map(|s| s.iter().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The rows in order.
    pub fn rows(&self) -> impl Iterator<Item = RowRef<'_>> {
        self.rows.iter().map(|r| self.row_ref(r))
    }

    /// Steps and values of one metric, in order.
    pub fn column(&self, name: &str) -> Vec<(u64, f64)> {
        let place: Vec<Option<usize>> = self.schemas.iter().map(|s| s.iter().position(|n| n == name)).collect();
        self.rows.iter().filter_map(|r| Some((r.step, *self.values.get(r.at + place[r.schema]?)?))).collect()
    }

    /// The newest value of a metric.
    pub fn last(&self, name: &str) -> Option<f64> {
        self.rows.iter().rev().find_map(|r| self.row_ref(r).get(name))
    }

    /// Step of the last row.
    pub fn last_step(&self) -> Option<u64> {
        self.rows.last().map(|r| r.step)
    }

    fn row_ref(&self, row: &Row) -> RowRef<'_> {
        let columns = &self.schemas[row.schema];
        let values = &self.values[row.at..row.at + columns.len()];
        RowRef { step: row.step, time_ms: row.time_ms, columns, values }
    }

    fn place_of(&mut self, number: u16, columns: &Columns) -> usize {
        match self.numbers.get(&number) {
            // A number is taken again by the writer of a resumed run.
            Some(&place) if std::sync::Arc::ptr_eq(&self.schemas[place], columns) => place,
            _ => {
                let known = self.schemas.iter().position(|s| s == columns);
                let place = known.unwrap_or(self.schemas.len());
                if known.is_none() {
                    self.schemas.push(columns.clone());
                } else {
                    self.schemas[place] = columns.clone();
                }
                self.numbers.insert(number, place);
                place
            }
        }
    }
}

impl Sink for MetricsTable {
    fn row(&mut self, schema: u16, columns: &Columns, step: u64, time_ms: u64, values: impl Iterator<Item = f64>) {
        let schema = self.place_of(schema, columns);
        let at = self.values.len();
        self.values.extend(values);
        // A row that is shorter than its schema says is filled up, so that every place exists.
        self.values.resize(at + columns.len(), f64::NAN);
        self.rows.push(Row { step, time_ms, schema, at });
    }

    fn rewind(&mut self, step: u64) {
        while let Some(row) = self.rows.last().filter(|r| r.step > step) {
            self.values.truncate(row.at);
            self.rows.pop();
        }
    }
}
