//! All metrics of a run in memory, with superseded rows left out.

use std::collections::HashMap;

use super::record::{Columns, Sink};

#[derive(Debug, Clone, Copy, PartialEq)]
struct Row {
    step: u64,
    time_ms: u64,
    /// Which of `schemas` names the values.
    schema: usize,
    /// Where they begin in `values`; they end where the next row's begin.
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
        (0..self.rows.len()).map(|i| self.row_ref(i))
    }

    /// Steps and values of one metric, in order.
    pub fn column(&self, name: &str) -> Vec<(u64, f64)> {
        let place: Vec<Option<usize>> = self.schemas.iter().map(|s| s.iter().position(|n| n == name)).collect();
        let rows = self.rows.iter().enumerate();
        rows.filter_map(|(i, r)| Some((r.step, *self.values_of(i).get(place[r.schema]?)?))).collect()
    }

    /// The newest value of a metric.
    pub fn last(&self, name: &str) -> Option<f64> {
        (0..self.rows.len()).rev().find_map(|i| self.row_ref(i).get(name))
    }

    /// Step of the last row.
    pub fn last_step(&self) -> Option<u64> {
        self.rows.last().map(|r| r.step)
    }

    /// As many as there are columns, or fewer: a row may be shorter than its schema says.
    fn values_of(&self, row: usize) -> &[f64] {
        let end = self.rows.get(row + 1).map_or(self.values.len(), |next| next.at);
        &self.values[self.rows[row].at..end]
    }

    fn row_ref(&self, row: usize) -> RowRef<'_> {
        let Row { step, time_ms, schema, .. } = self.rows[row];
        RowRef { step, time_ms, columns: &self.schemas[schema], values: self.values_of(row) }
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
        self.rows.push(Row { step, time_ms, schema, at });
    }

    fn rewind(&mut self, step: u64) {
        while let Some(row) = self.rows.last().filter(|r| r.step > step) {
            self.values.truncate(row.at);
            self.rows.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::{Decoder, push_row, push_schema};
    use super::*;

    #[test]
    fn rows_without_values_take_no_room_for_the_columns_that_they_claim() {
        let names: Vec<String> = (0..20_000).map(|i| format!("m{i}")).collect();
        let mut bytes = Vec::new();
        push_schema(&mut bytes, 0, &names.iter().map(String::as_str).collect::<Vec<_>>());
        (0..1000).for_each(|step| push_row(&mut bytes, 0, step, 0, std::iter::empty()));
        push_row(&mut bytes, 0, 1000, 0, [0.5].into_iter());
        let mut table = MetricsTable::default();
        assert_eq!(Decoder::default().feed(&bytes, &mut table), bytes.len());
        assert_eq!((table.len(), table.values.len()), (1001, 1));
        assert_eq!((table.column("m0"), table.column("m1")), (vec![(1000, 0.5)], Vec::new()));
        assert_eq!((table.last("m0"), table.last("m1")), (Some(0.5), None));
        assert_eq!(table.rows().map(|row| row.values().count()).sum::<usize>(), 1);
    }
}
